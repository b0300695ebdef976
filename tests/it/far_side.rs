//! Stripe's lists and an order system's listing from a script, beneath the one HTTP seam, and a stack over embedded AWS.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use local::aws::EmbeddedAws;
use serde_json::{Value, json};
use shared::aws::SdkConfig;
use shared::batch::Deadline;
use shared::clock::Clock;
use shared::config::{Config, SHIPPED_TOML};
use shared::domain::fact::{ChargeView, OrderView, RefundView, What};
use shared::domain::ids::{Function, OrderKey};
use shared::domain::money::Currency;
use shared::domain::order::Order;
use shared::domain::time::UnixTime;
use shared::engine::{Draft, Engine, Tokens, Trigger};
use shared::outbound::http::{Http, HttpRequest, HttpResponse, SendError, SendFuture};
use shared::queue::{Message, Queue};
use shared::store::orders::Committed;

/// 2027-01-15T08:00:00Z
pub(crate) const START: UnixTime = UnixTime(1_800_000_000);

/// What the far side holds.
#[derive(Default)]
pub(crate) struct Held {
    /// Stripe's objects by list, newest first.
    pub(crate) stripe: BTreeMap<&'static str, Vec<Value>>,
    /// The shop's orders by id.
    pub(crate) orders: BTreeMap<String, Value>,
    /// The shop's time.
    pub(crate) as_of: i64,
    /// Orders per page.
    pub(crate) page: usize,
    /// The listing never ends: after its last page comes its second.
    pub(crate) circles: bool,
    /// Hosts that do not answer.
    pub(crate) down: BTreeSet<&'static str>,
    /// A host whose answers take so long.
    pub(crate) slow: Option<(&'static str, Duration)>,
    /// `METHOD uri` of every request.
    pub(crate) requests: Vec<String>,
}

#[derive(Clone, Default)]
pub(crate) struct FarSide(pub(crate) Arc<Mutex<Held>>);

fn query(uri: &http::Uri) -> BTreeMap<String, String> {
    let pairs = uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(k, v)| (k.replace("%5B", "[").replace("%5D", "]"), v.to_owned())).collect()
}

impl Held {
    fn answer(&mut self, request: &HttpRequest) -> Option<Value> {
        let (uri, query) = (request.uri(), query(request.uri()));
        assert_eq!(request.method(), http::Method::GET, "only reads: {uri}");
        let path = uri.path();
        if uri.host() == Some("shop.test") {
            return match path.strip_prefix("/orders/") {
                Some(id) => self.orders.get(id).cloned(),
                None => Some(self.listing(&query)),
            };
        }
        let parts: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
        let all = self.stripe.get(parts[0]).cloned().unwrap_or_default();
        match parts.get(1) {
            Some(id) => all.into_iter().find(|o| o["id"] == **id),
            None => {
                let bound = |name: &str| query.get(name).and_then(|v| v.parse::<i64>().ok());
                let (from, until) = (bound("created[gte]"), bound("created[lt]"));
                let charge = query.get("charge");
                let fits = |o: &Value| {
                    let created = o["created"].as_i64().unwrap();
                    from.is_none_or(|f| created >= f)
                        && until.is_none_or(|u| created < u)
                        && charge.is_none_or(|c| o["charge"] == **c)
                };
                let mut found: Vec<Value> = all.into_iter().filter(fits).collect();
                found.sort_by_key(|o| -o["created"].as_i64().unwrap());
                if let Some(after) = query.get("starting_after") {
                    let at = found.iter().position(|o| o["id"] == **after).unwrap();
                    found.drain(..=at);
                }
                let limit: usize = query["limit"].parse().unwrap();
                let more = found.len() > limit;
                found.truncate(limit);
                Some(json!({ "object": "list", "data": found, "has_more": more }))
            }
        }
    }

    fn listing(&self, query: &BTreeMap<String, String>) -> Value {
        let since: i64 = query["updated_since"].parse().unwrap();
        let mut lines: Vec<&Value> =
            self.orders.values().filter(|o| o["updated_at"].as_i64().unwrap() >= since).collect();
        lines.sort_by_key(|o| (o["updated_at"].as_i64().unwrap(), o["id"].as_str().unwrap().to_owned()));
        let at: usize = query.get("cursor").map_or(0, |c| c.parse().unwrap());
        let page = self.page.max(1);
        let orders: Vec<Value> = lines
            .iter()
            .skip(at)
            .take(page)
            .map(|o| json!({ "id": o["id"], "version": o["version"], "updated_at": o["updated_at"] }))
            .collect();
        let end = self.circles.then(|| page.to_string());
        let next = (at + page < lines.len()).then(|| (at + page).to_string()).or(end);
        json!({ "orders": orders, "as_of": self.as_of, "next_cursor": next })
    }
}

impl Http for FarSide {
    fn send(&self, request: HttpRequest, _timeout: Duration) -> SendFuture<'_> {
        let mut held = self.0.lock().unwrap();
        held.requests.push(format!("{} {}", request.method(), request.uri()));
        if held.down.iter().any(|host| request.uri().host() == Some(host)) {
            return Box::pin(async { Err(SendError::NotSent("refused".to_owned())) });
        }
        let (status, body) = match held.answer(&request) {
            Some(body) => (200, body),
            None => {
                (404, json!({ "error": { "type": "invalid_request_error", "code": "resource_missing" } }))
            }
        };
        let bytes = Bytes::from(body.to_string());
        let response: HttpResponse = http::Response::builder()
            .status(status)
            .header("content-type", "application/json")
            .header("request-id", "req_1")
            .body(bytes)
            .unwrap();
        let slow = held.slow.filter(|(host, _)| request.uri().host() == Some(*host));
        Box::pin(async move {
            if let Some((_, span)) = slow {
                tokio::time::sleep(span).await;
            }
            Ok(response)
        })
    }
}

/// A stack over embedded AWS.
pub(crate) struct Stack {
    pub(crate) aws: EmbeddedAws,
    pub(crate) sdk: SdkConfig,
    pub(crate) config: Arc<Config>,
    pub(crate) far: FarSide,
}

impl Stack {
    pub(crate) async fn start(change: impl FnOnce(&mut Config)) -> Self {
        let aws = EmbeddedAws::new(Clock::tokio_from(START)).unwrap();
        let overrides = |name: &str| match name {
            "TANDEM_STRIPE_BASE_URL" => Some("https://stripe.test".to_owned()),
            "TANDEM_SHOP_BASE_URL" => Some("https://shop.test".to_owned()),
            _ => None,
        };
        let mut config = Config::parse(SHIPPED_TOML, &overrides).unwrap();
        config.resources = aws.provision("demo").await.unwrap();
        let key = ["sk", "test", "local-is-not-a-secret"].join("_");
        for name in config.stripe("stripe").unwrap().api_keys.values() {
            aws.ssm().put_secret(&format!("/tandem/demo/{name}"), &key, START);
        }
        aws.ssm().put_secret("/tandem/demo/shop-api-key", "a-token-for-tests", START);
        change(&mut config);
        let far = FarSide::default();
        far.0.lock().unwrap().page = 100;
        Self { sdk: aws.sdk_config(), aws, config: Arc::new(config), far }
    }

    pub(crate) fn engine(&self, me: Function) -> Engine {
        let (clock, far) = (self.aws.clock().clone(), Arc::new(self.far.clone()));
        Engine::over(me, self.config.clone(), &self.sdk, far, clock, Tokens::seeded(me as u64 + 7))
    }

    pub(crate) fn now(&self) -> UnixTime {
        self.aws.clock().now()
    }

    pub(crate) fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.far.0.lock().unwrap()
    }

    /// The shop has this order, changed now.
    pub(crate) fn order(&self, id: &str, total: i64, echo: &str) -> Order {
        let now = self.now().0;
        let value = json!({
            "id": id, "number": id, "status": "open", "currency": "EUR", "total": total, "updated_at": now,
            "version": now, "payment": { "version": 1, "status": echo },
        });
        let mut held = self.held();
        held.orders.insert(id.to_owned(), value.clone());
        held.as_of = now;
        serde_json::from_value(value).unwrap()
    }

    /// Commits facts about an order, as a hand would.
    pub(crate) async fn commit(&self, id: &str, facts: Vec<What>) -> OrderKey {
        let key = OrderKey::new("demo", "checkout", "shop", id).unwrap();
        let engine = self.engine(Function::PaymentRecorder);
        let item = engine.store.load(&key).await.unwrap();
        let trigger = Trigger { corr: "c0ffee".into(), event: None, deadline: deadline() };
        let mut draft = Draft::new(&engine, &item, item.state(), &trigger);
        facts.into_iter().for_each(|what| draft.add(what, "planted"));
        let change = draft.change().unwrap();
        let committed = engine.store.commit(&item, change).await.unwrap();
        assert!(matches!(committed, Committed::Yes(_)));
        key
    }

    /// Everything in a queue.
    pub(crate) async fn drain(&self, queue: Queue) -> Vec<Message> {
        let sqs = aws_sdk_sqs::Client::new(&self.sdk);
        let url = &self.config.resources.queue_urls[queue.name()];
        let mut all = Vec::new();
        loop {
            let got = sqs.receive_message().queue_url(url).max_number_of_messages(10).send().await.unwrap();
            let messages = got.messages.unwrap_or_default();
            if messages.is_empty() {
                return all;
            }
            for message in messages {
                let handle = message.receipt_handle.unwrap();
                sqs.delete_message().queue_url(url).receipt_handle(handle).send().await.unwrap();
                all.push(serde_json::from_str(&message.body.unwrap()).unwrap());
            }
        }
    }
}

pub(crate) fn deadline() -> Deadline {
    Deadline::after(Duration::from_secs(240))
}

pub(crate) fn seen(order: &Order) -> What {
    What::OrderSeen(Box::new(OrderView::of(order)))
}

pub(crate) fn charge_seen(id: &str, amount: i64, created: UnixTime) -> What {
    What::ChargeSeen(ChargeView {
        id: id.into(),
        intent: format!("pi_{id}"),
        status: "succeeded".into(),
        amount,
        amount_captured: amount,
        amount_refunded: 0,
        currency: Currency::parse("EUR").unwrap(),
        captured: true,
        disputed: false,
        capture_before: None,
        fingerprint: None,
        decline: None,
        created,
    })
}

pub(crate) fn refund_seen(id: &str, charge: &str, amount: i64) -> What {
    What::RefundSeen(RefundView {
        id: id.into(),
        charge: charge.into(),
        amount,
        currency: Currency::parse("EUR").unwrap(),
        status: "succeeded".into(),
        request: None,
        reason: None,
        failure_reason: None,
    })
}
