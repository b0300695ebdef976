//! A WooCommerce shop on its own, with Tandem's client before it and a line between them that fares badly on demand.
//!
//! Invariant: judged by what WooCommerce keeps, never by what the client says.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use local::shop::woo::Book;
use local::shop::{NewOrder, Shop, ShopConfig, Speaks};
use serde_json::Value;
use shared::clock::Clock;
use shared::config::woo::Woo;
use shared::config::{ShopSource, System};
use shared::domain::time::UnixTime;
use shared::domain::view::{PaymentStatus as S, PaymentView};
use shared::outbound::http::{Http, HttpRequest, SendError, SendFuture};
use shared::outbound::shop::{OrderSystem as _, ShopClient, ShopError, Telling, Told};
use shared::secrets::SecretString;

const KEY: &str = "ck_test:cs_test";
pub(super) const LINK: &str = "http://tandem.test/pay/abc";

/// What happens to one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Carried out; its answer is lost.
    Lost,
    /// It never arrives.
    Unsent,
    /// It breaks off at once and is carried out later.
    Late,
}

#[derive(Default)]
pub(super) struct Wire {
    pub(super) writes: usize,
    pub(super) strike: Option<(usize, Fate)>,
    late: Vec<HttpRequest>,
    pub(super) calls: Vec<String>,
}

/// The seam with the shop beneath it, where one write fares badly.
pub(super) struct Line(Shop, pub(super) Mutex<Wire>);

impl Http for Line {
    fn send(&self, request: HttpRequest, _: Duration) -> SendFuture<'_> {
        Box::pin(async move {
            let reads = request.method() == http::Method::GET;
            let fate = {
                let mut wire = self.1.lock().unwrap();
                wire.calls.push(format!("{} {}", request.method(), request.uri().path()));
                let n = wire.writes;
                wire.writes += usize::from(!reads);
                wire.strike.filter(|(at, _)| *at == n && !reads).map(|(_, fate)| fate)
            };
            let unknown = || SendError::Unknown("connection reset".into());
            match fate {
                Some(Fate::Unsent) => Err(SendError::NotSent("connection refused".into())),
                Some(Fate::Late) => {
                    self.1.lock().unwrap().late.push(request);
                    Err(unknown())
                }
                Some(Fate::Lost) => {
                    self.0.handle(request).await;
                    Err(unknown())
                }
                None => Ok(self.0.handle(request).await),
            }
        })
    }
}

pub(super) struct World {
    pub(super) shop: Shop,
    pub(super) line: Arc<Line>,
    pub(super) client: ShopClient,
    pub(super) id: String,
}

impl World {
    pub(super) fn new(woo: Woo, order: NewOrder) -> Self {
        let config = ShopConfig {
            name: "woo".into(),
            speaks: Speaks::Woo,
            public_url: "http://woo.test".into(),
            api_token: KEY.into(),
            webhook_url: "http://tandem.test/webhooks/woo".into(),
            webhook_secret: "sixteen bytes of it".into(),
            notice_secret: String::new(),
        };
        let shop = Shop::new(Clock::tokio_from(UnixTime(1_800_000_000)), config);
        let line = Arc::new(Line(shop.clone(), Mutex::default()));
        let source = ShopSource {
            name: "woo".into(),
            base_url: "http://woo.test".into(),
            stripe: "stripe".into(),
            api_key: "k".into(),
            webhook_secrets: vec![],
            system: System::Woo(woo),
        };
        let client = ShopClient::new(line.clone(), source, SecretString::from(KEY));
        let id = shop.place(order).unwrap().id;
        Self { shop, line, client, id }
    }

    pub(super) fn book(&self) -> Book {
        self.shop.woo_book(&self.id).unwrap()
    }

    pub(super) async fn try_tell(&self, version: u64, view: &PaymentView) -> Result<Told, ShopError> {
        self.client
            .tell(&Telling {
                id: &self.id,
                version,
                view,
                recorded: 0,
                total: view.amount_captured + view.amount_due,
            })
            .await
    }

    pub(super) async fn tell(&self, version: u64, view: &PaymentView) -> Told {
        self.try_tell(version, view).await.unwrap_or_else(|e| panic!("version {version}: {e}"))
    }

    /// As the updater does: again until it is told. What was late comes then.
    pub(super) async fn insist(&self, version: u64, view: &PaymentView) {
        for _ in 0..3 {
            if self.try_tell(version, view).await.is_ok() {
                let late: Vec<HttpRequest> = self.line.1.lock().unwrap().late.drain(..).collect();
                for request in late {
                    self.shop.handle(request).await;
                }
                return;
            }
        }
        panic!("version {version} is never told");
    }

    /// Somebody else with a key, or another plug-in.
    pub(super) async fn rest(&self, method: &str, path: &str, body: Value) -> Value {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("http://woo.test/wp-json/wc/v3{path}"))
            .header("authorization", "Basic Y2tfdGVzdDpjc190ZXN0")
            .body(Bytes::from(body.to_string()))
            .unwrap();
        let answer = self.shop.handle(request).await;
        assert!(answer.status().is_success(), "{method} {path}: {}", answer.status());
        serde_json::from_slice(answer.body()).unwrap()
    }

    pub(super) async fn put(&self, body: Value) {
        self.rest("PUT", &format!("/orders/{}", self.id), body).await;
    }

    /// What the buyer, staff and accounts see in the end.
    pub(super) fn end(&self) -> End {
        let book = self.book();
        let refunds = book.refunds.iter().map(|r| (mark(r, "_tandem_refund"), r.amount)).collect();
        let notes = book.notes.iter().filter(|n| !n.text.starts_with("Order status"));
        let mut notes: Vec<(bool, String)> = notes.map(|n| (n.customer, n.text.clone())).collect();
        notes.sort();
        let record = self.shop.order(&self.id).unwrap();
        End {
            status: book.status.clone(),
            paid: book.paid_at.is_some(),
            transaction: book.transaction_id.clone(),
            refunds,
            notes,
            told: (record.payment_version, record.payment.map(|p| p.status)),
        }
    }
}

pub(super) fn mark(row: &local::shop::woo::RefundRow, key: &str) -> Option<String> {
    row.meta.iter().find(|m| m.key == key).and_then(|m| m.value.as_str()).map(str::to_owned)
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) status: String,
    pub(super) paid: bool,
    pub(super) transaction: String,
    pub(super) refunds: Vec<(Option<String>, i64)>,
    pub(super) notes: Vec<(bool, String)>,
    pub(super) told: (u64, Option<S>),
}
