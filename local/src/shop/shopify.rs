//! A Shopify store: the Admin API over GraphQL as far as the adapter speaks it, and its webhooks.
//!
//! Invariant: only what was selected is answered, under the costs, user errors and idempotency rules that Shopify
//! documents. A delivery keeps its first body however often it is sent, and a subscription that fails eight times in a row
//! is gone until somebody makes it anew.

use base64::Engine as _;
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderValue, Method};
use serde_json::{Map, Value, json};
use sha2::Sha256;
use shared::domain::order::{Order, OrderStatus};
use shared::domain::time::{Seconds, UnixTime};
use shared::outbound::http::{HttpRequest, HttpResponse};
use shared::outbound::shopify::API_VERSION;

use super::answer::json_answer;
use super::face::{Change, Face, Native};
use super::notices::Delivery;
use super::{Shop, ShopConfig, State};

mod graphql;
mod queries;
mod shapes;
mod writes;

/// Waits between attempts: eight more over four hours.
const RETRY_AFTER: [Seconds; 8] = [
    Seconds(10),
    Seconds::minutes(1),
    Seconds::minutes(5),
    Seconds::minutes(14),
    Seconds::minutes(30),
    Seconds::minutes(50),
    Seconds::minutes(60),
    Seconds::minutes(80),
];
/// So many failures in a row delete a subscription.
const FAILURES_MAX: u32 = 8;
/// What a bucket holds, and how much of it comes back each second.
const BUCKET: u64 = 2000;
const RESTORE: u64 = 100;

/// What a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Taken at once.
    Sale,
    /// Taken of what was authorised.
    Capture,
    /// Given back.
    Refund,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Sale => "SALE",
            Self::Capture => "CAPTURE",
            Self::Refund => "REFUND",
        }
    }
}

/// One movement in the store's books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Its number.
    pub id: u64,
    /// What it is.
    pub kind: Kind,
    /// The payment method.
    pub gateway: String,
    /// Whether no money moves through it.
    pub manual: bool,
    /// ISO minor units.
    pub amount: i64,
    /// The transaction it takes back.
    pub parent: Option<u64>,
}

impl Transaction {
    /// A payment that somebody wrote down: no money moved through its gateway.
    pub fn manual_sale(id: u64, gateway: impl Into<String>, amount: i64) -> Self {
        Self { id, kind: Kind::Sale, gateway: gateway.into(), manual: true, amount, parent: None }
    }
}

/// One refund in the store's books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    /// Its number.
    pub id: u64,
    /// What was written beside it.
    pub note: String,
    /// Sum of its transactions, ISO minor units.
    pub amount: i64,
    /// The idempotency key it was made under.
    pub key: String,
    input: Value,
}

/// A metafield in the namespace `tandem`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metafield {
    /// Its key.
    pub key: String,
    /// `json`, `url`, ...
    pub kind: String,
    /// Its value.
    pub value: String,
}

/// What the store keeps of an order besides what every shop keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    /// In the order of their making.
    pub metafields: Vec<Metafield>,
    /// The order's tags.
    pub tags: Vec<String>,
    /// Payments and refunds of payments.
    pub transactions: Vec<Transaction>,
    /// Refunds.
    pub refunds: Vec<Refund>,
    /// What the buyer chose to pay with.
    pub gateways: Vec<String>,
    /// Made with a gateway in test mode.
    pub test: bool,
}

impl Book {
    fn gateway_names(&self) -> Vec<String> {
        let mut names = self.gateways.clone();
        for row in &self.transactions {
            if !names.contains(&row.gateway) {
                names.push(row.gateway.clone());
            }
        }
        names
    }
}

/// One webhook subscription made through the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Its number.
    pub id: u64,
    /// `ORDERS_UPDATED`.
    pub topic: String,
    /// Where it delivers.
    pub uri: String,
    /// Failed deliveries in a row.
    pub failures: u32,
}

/// What the store keeps besides its orders.
#[derive(Debug, Default)]
pub(super) struct Store {
    /// None before anybody looked: then those that the adapter needs.
    subscriptions: Option<Vec<Subscription>>,
    numbers: u64,
}

impl Store {
    fn number(&mut self) -> u64 {
        self.numbers += 1;
        70_000 + self.numbers
    }

    fn subscriptions(&mut self, config: &ShopConfig) -> &mut Vec<Subscription> {
        if self.subscriptions.is_none() {
            let topics =
                ["ORDERS_CREATE", "ORDERS_UPDATED", "ORDERS_CANCELLED", "ORDERS_EDITED", "REFUNDS_CREATE"];
            let made = topics.map(|topic| Subscription {
                id: self.number(),
                topic: topic.to_owned(),
                uri: config.webhook_url.clone(),
                failures: 0,
            });
            self.subscriptions = Some(made.to_vec());
        }
        self.subscriptions.get_or_insert_default()
    }
}

/// `orders/updated` as the API writes it: `ORDERS_UPDATED`.
fn enum_word(topic: &str) -> String {
    topic.replace('/', "_").to_uppercase()
}

/// One event id for everything that one action causes.
fn caused(
    state: &mut State,
    topics: &[&'static str],
    order: &Order,
    body: &Value,
    now: UnixTime,
) -> Vec<Delivery> {
    state.sent += 1;
    let id = format!("{:08x}-0000-4000-8000-{:0>12}", state.sent, order.id);
    let delivery = |topic: &&'static str| Delivery {
        id: id.clone(),
        order: order.id.clone(),
        topic,
        body: Bytes::from(body.to_string()),
        due_at: now,
        attempt: 0,
    };
    topics.iter().map(delivery).collect()
}

/// The face of Shopify.
pub(super) struct Shopify;

impl Face for Shopify {
    fn native(&self, _order: &Order) -> Native {
        Native::Shopify(Book { gateways: vec!["Bank Deposit".to_owned()], ..Book::default() })
    }

    fn is_api(&self, path: &str) -> bool {
        path.starts_with("/admin/api/")
    }

    fn api(&self, shop: &Shop, request: &HttpRequest) -> HttpResponse {
        let mut answer = shop.shopify_api(request);
        answer.headers_mut().insert("x-shopify-api-version", HeaderValue::from_static(API_VERSION));
        if let Ok(date) = HeaderValue::try_from(http_date(shop.now())) {
            answer.headers_mut().insert(http::header::DATE, date);
        }
        answer
    }

    fn deliveries(&self, state: &mut State, change: Change, order: &Order, now: UnixTime) -> Vec<Delivery> {
        let topics: &[&'static str] = match (change, &order.status) {
            (Change::Created, _) => &["orders/create", "orders/updated"],
            (Change::Updated, OrderStatus::Cancelled) => &["orders/updated", "orders/cancelled"],
            (Change::Updated, _) => &["orders/updated"],
        };
        let book = state.record.orders.get(&order.id).map(|kept| book_of(&kept.native)).unwrap_or_default();
        caused(state, topics, order, &shapes::rest(order, &book), now)
    }

    fn outgoing(
        &self,
        state: &State,
        config: &ShopConfig,
        delivery: &Delivery,
        _now: UnixTime,
    ) -> Option<HttpRequest> {
        let word = enum_word(delivery.topic);
        let wanted = |s: &Subscription| s.topic == word && s.uri == config.webhook_url;
        if state.shopify.subscriptions.as_ref().is_some_and(|list| !list.iter().any(wanted)) {
            return None;
        }
        let signature = sign(&config.webhook_secret, &delivery.body)?;
        let body: Value = serde_json::from_slice(&delivery.body).unwrap_or_default();
        let domain = config.public_url.split_once("://").map_or("", |(_, rest)| rest);
        // The newer deliveries spell their headers without the `X-`.
        let prefix = if delivery.order.ends_with(['1', '4', '7']) { "" } else { "X-" };
        let webhook_id = format!("{}-{}", delivery.id, word.to_lowercase());
        let mut request = http::Request::builder()
            .method(Method::POST)
            .uri(&config.webhook_url)
            .header("content-type", "application/json");
        for (name, value) in [
            ("Topic", delivery.topic),
            ("Hmac-SHA256", signature.as_str()),
            ("Shop-Domain", domain),
            ("API-Version", API_VERSION),
            ("Webhook-Id", webhook_id.as_str()),
            ("Event-Id", delivery.id.as_str()),
            ("Triggered-At", body["updated_at"].as_str().unwrap_or_default()),
        ] {
            request = request.header(format!("{prefix}Shopify-{name}"), value);
        }
        request.body(delivery.body.clone()).ok()
    }

    fn timeout(&self) -> std::time::Duration {
        std::time::Duration::from_secs(5)
    }

    fn after(
        &self,
        state: &mut State,
        config: &ShopConfig,
        delivery: &Delivery,
        status: Option<u16>,
    ) -> Option<Seconds> {
        let accepted = status.is_some_and(|s| (200..300).contains(&s));
        let word = enum_word(delivery.topic);
        let list = state.shopify.subscriptions(config);
        if let Some(subscription) = list.iter_mut().find(|s| s.topic == word) {
            subscription.failures = if accepted { 0 } else { subscription.failures + 1 };
        }
        list.retain(|s| s.failures < FAILURES_MAX);
        RETRY_AFTER.get(delivery.attempt).copied().filter(|_| !accepted)
    }
}

/// The signature of a webhook's body.
pub fn sign(secret: &str, body: &[u8]) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(body);
    Some(base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes()))
}

fn book_of(native: &Native) -> Book {
    match native {
        Native::Shopify(book) => book.clone(),
        _ => Book::default(),
    }
}

fn http_date(at: UnixTime) -> String {
    let time = jiff::Timestamp::from_second(at.0).unwrap_or_default();
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// An answer with an error beside the data.
fn refusal(code: &str, message: &str, cost: Option<Value>) -> HttpResponse {
    let error = json!({ "message": message, "extensions": { "code": code } });
    let mut body = json!({ "errors": [error] });
    if let Some(cost) = cost {
        body["extensions"] = json!({ "cost": cost });
    }
    json_answer(200, &body)
}

fn cost_shown(requested: u64, available: u64) -> Value {
    json!({
        "requestedQueryCost": requested,
        "actualQueryCost": requested,
        "throttleStatus": { "maximumAvailable": BUCKET, "currentlyAvailable": available, "restoreRate": RESTORE },
    })
}

impl Shop {
    fn shopify_api(&self, request: &HttpRequest) -> HttpResponse {
        let token = request.headers().get("x-shopify-access-token").and_then(|v| v.to_str().ok());
        if token != Some(self.0.config.api_token.as_str()) {
            let text = "[API] Invalid API key or access token (unrecognized login or wrong password)";
            return json_answer(401, &json!({ "errors": text }));
        }
        if request.method() != Method::POST || !request.uri().path().ends_with("/graphql.json") {
            return json_answer(404, &json!({ "errors": "Not Found" }));
        }
        let Ok(body) = serde_json::from_slice::<Value>(request.body()) else {
            return json_answer(
                400,
                &json!({ "errors": { "query": "Required parameter missing or invalid" } }),
            );
        };
        let variables: Map<String, Value> = body["variables"].as_object().cloned().unwrap_or_default();
        let operation = match graphql::operation(body["query"].as_str().unwrap_or_default(), &variables) {
            Ok(operation) => operation,
            Err(why) => return refusal("GRAPHQL_VALIDATION_FAILED", &why, None),
        };
        let cost = graphql::cost(&operation);
        if cost > graphql::COST_MAX {
            let text = format!("Query cost is {cost}, which exceeds the single query max cost limit");
            return refusal("MAX_COST_EXCEEDED", &text, Some(cost_shown(cost, BUCKET)));
        }
        if self.throttled() {
            return refusal("THROTTLED", "Throttled", Some(cost_shown(cost, 0)));
        }
        let mut data = Map::new();
        for field in &operation.fields {
            let whole = if operation.mutation { self.shopify_write(field) } else { self.shopify_read(field) };
            let shown = whole.and_then(|whole| match whole {
                Value::Null => Ok(Value::Null),
                whole => graphql::select(&whole, &field.fields).map_err(|why| ("undefinedField", why)),
            });
            match shown {
                Ok(shown) => data.insert(field.shown.clone(), shown),
                Err((code, why)) => return refusal(code, &why, None),
            };
        }
        json_answer(200, &json!({ "data": data, "extensions": { "cost": cost_shown(cost, BUCKET - cost) } }))
    }

    fn throttled(&self) -> bool {
        let mut state = self.lock();
        let throttled = state.knobs.throttle > 0;
        state.knobs.throttle = state.knobs.throttle.saturating_sub(1);
        throttled
    }

    /// The subscriptions that the store holds now.
    pub fn subscriptions(&self) -> Vec<Subscription> {
        self.lock().shopify.subscriptions(&self.0.config).clone()
    }

    /// All subscriptions are gone, as after eight failures of each.
    pub fn unsubscribe(&self) {
        self.lock().shopify.subscriptions = Some(Vec::new());
    }

    /// The store's own books of an order: what a person does in the admin.
    pub fn with_book(&self, id: &str, edit: impl FnOnce(&mut Book)) {
        let mut state = self.lock();
        if let Some(kept) = state.record.orders.get_mut(id) {
            kept.remember();
            if let Native::Shopify(book) = &mut kept.native {
                edit(book);
            }
        }
    }
}

#[cfg(test)]
mod tests;
