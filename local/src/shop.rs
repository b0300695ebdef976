//! The demo shop: a small order system that speaks the checkout protocol, with pages for people.
//!
//! Invariant: its record is its own: what it sold, what it was told and when. Assertions about a run read it here and
//! not in Tandem's tables. One lock holds all state and is never held while waiting.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use shared::clock::Clock;
use shared::domain::money::Currency;
use shared::domain::order::{CaptureMode, Collection, Customer, Item, Order, OrderStatus, RefundRequest};
use shared::domain::order::{PaymentEcho, ReportedRefund};
use shared::domain::time::{Seconds, UnixTime};
use shared::domain::view::{PaymentStatus, PaymentView, WriteBack};
use shared::outbound::http::{HttpRequest, HttpResponse};

use self::face::Face;

mod answer;
pub mod checkfront;
mod checkout;
mod face;
mod notices;
mod pages;
pub mod shopify;
mod signature;
pub mod woo;

pub use face::{Change, Native, Speaks};
pub use notices::Notice;

/// How the shop is set up.
#[derive(Clone)]
pub struct ShopConfig {
    /// Its name in Tandem's configuration.
    pub name: String,
    /// What it speaks.
    pub speaks: Speaks,
    /// Its own public base, without a trailing slash: buyers return here.
    pub public_url: String,
    /// What callers of its API must show.
    pub api_token: String,
    /// Where its notices go: Tandem's `/webhooks/NAME`.
    pub webhook_url: String,
    /// Signs its notices: `whsec_` and base64.
    pub webhook_secret: String,
    /// Verifies what Tandem tells it at `POST /notices`: `whsec_` and base64.
    pub notice_secret: String,
}

/// What a buyer puts into the shop.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewOrder {
    /// ISO 4217.
    pub currency: Currency,
    /// The lines.
    pub items: Vec<Item>,
    /// What is owed; without it, the sum of the lines.
    #[serde(default)]
    pub total: Option<i64>,
    /// The buyer.
    #[serde(default)]
    pub customer: Option<Customer>,
    /// How it is paid.
    #[serde(default)]
    pub collection: Collection,
    /// When money is taken.
    #[serde(default)]
    pub capture: CaptureMode,
    /// What is due first.
    #[serde(default)]
    pub deposit: Option<i64>,
    /// When the rest is due.
    #[serde(default)]
    pub balance_due_at: Option<UnixTime>,
}

impl NewOrder {
    /// One thing of `amount` minor units for a buyer known by `customer`.
    pub fn simple(currency: Currency, amount: i64, customer: Option<&str>) -> Self {
        let thing = Item {
            sku: "TEA-100".to_owned(),
            name: "Tea, 100 g".to_owned(),
            quantity: 1,
            unit_amount: amount,
            kind: "product".to_owned(),
        };
        Self {
            currency,
            items: vec![thing],
            total: None,
            customer: customer.map(pages::sample_customer),
            collection: Collection::default(),
            capture: CaptureMode::default(),
            deposit: None,
            balance_due_at: None,
        }
    }
}

/// What can be made to go wrong with the shop. All off at first.
#[derive(Clone, Debug, Default)]
pub struct Knobs {
    /// So many of the next notices are never sent.
    pub lose_notices: u32,
    /// Every notice is sent so many times more than once.
    pub repeat_notices: u32,
    /// Notices leave this much later.
    pub delay_notices: Seconds,
    /// Due notices leave newest first.
    pub reverse_notices: bool,
    /// The API answers 503.
    pub down: bool,
    /// So many of the next reads of a changed order show it as it was before its last change.
    pub stale_reads: u32,
    /// Each API answer takes this long.
    pub slow: Option<Duration>,
    /// A write-back is announced like any other change.
    pub announce_write_backs: bool,
    /// So many of the next API calls are answered with "too many", in the words of the system.
    pub throttle: u32,
}

/// One write-back as it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteBackSeen {
    /// When.
    pub at: UnixTime,
    /// Its `payment_version`.
    pub version: u64,
    /// False when the shop knew that version or a later one.
    pub applied: bool,
    /// What it said.
    pub view: PaymentView,
}

/// One order with everything the shop was told about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRecord {
    /// The order as the API shows it.
    pub order: Order,
    /// The payment as last told.
    pub payment: Option<PaymentView>,
    /// The version it was told under; 0 before the first.
    pub payment_version: u64,
    /// Every write-back, in the order of arrival.
    pub write_backs: Vec<WriteBackSeen>,
    /// What only its kind of shop keeps.
    pub native: Native,
    before: Option<Box<(Order, Native)>>,
}

impl OrderRecord {
    /// Keeps what it shows now, for reads that lag behind.
    fn remember(&mut self) {
        self.before = Some(Box::new((self.order.clone(), self.native.clone())));
    }

    /// Takes what it was told under a version; one that is not above the known one is only noted.
    fn take(&mut self, body: &WriteBack, at: UnixTime) -> bool {
        let (version, view) = (body.payment_version, body.payment.clone());
        let applied = version > self.payment_version;
        if applied {
            self.payment_version = version;
            self.order.payment = Some(PaymentEcho { version, status: view.status.name().to_owned() });
            self.order.refunds = refunds_told(&view);
            self.payment = Some(view.clone());
        }
        self.write_backs.push(WriteBackSeen { at, version, applied, view });
        applied
    }
}

/// The shop's own record.
#[derive(Clone, Debug, Default)]
pub struct ShopRecord {
    /// By order id.
    pub orders: BTreeMap<String, OrderRecord>,
    /// Every notice that came with a good signature.
    pub notices: Vec<Notice>,
}

/// Why the shop cannot do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShopError {
    /// No such order.
    #[error("there is no order {0:?}")]
    NoOrder(String),
    /// Not in this state.
    #[error("{0}")]
    Conflict(&'static str),
    /// Not with these values.
    #[error("{0}")]
    Invalid(&'static str),
}

/// One line of an order's timeline, as Tandem tells it.
#[derive(Clone, Debug)]
pub struct TimelineLine {
    /// When.
    pub at: UnixTime,
    /// What happened.
    pub what: String,
    /// Why.
    pub why: String,
}

impl TimelineLine {
    /// A line.
    pub fn new(at: UnixTime, what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { at, what: what.into(), why: why.into() }
    }
}

/// Gives an order's timeline by the shop's order id.
pub type Timeline = Arc<dyn Fn(String) -> BoxFuture<'static, Vec<TimelineLine>> + Send + Sync>;

#[derive(Default)]
struct State {
    record: ShopRecord,
    outbox: Vec<notices::Delivery>,
    sent: u64,
    knobs: Knobs,
    woo: woo::WooShop,
    checkfront: checkfront::Account,
    shopify: shopify::Store,
}

struct Inner {
    face: &'static dyn Face,
    clock: Clock,
    config: ShopConfig,
    state: Mutex<State>,
    timeline: RwLock<Option<Timeline>>,
}

/// The demo shop. Cheap to clone; clones share all state.
#[derive(Clone)]
pub struct Shop(Arc<Inner>);

impl Shop {
    /// An empty shop.
    pub fn new(clock: Clock, config: ShopConfig) -> Self {
        let face = config.speaks.face();
        Self(Arc::new(Inner { face, clock, config, state: Mutex::default(), timeline: RwLock::new(None) }))
    }

    /// Its name in Tandem's configuration.
    pub fn name(&self) -> &str {
        &self.0.config.name
    }

    /// Its own public base, without a trailing slash.
    pub fn base(&self) -> &str {
        &self.0.config.public_url
    }

    /// What it speaks.
    pub fn speaks(&self) -> Speaks {
        self.0.config.speaks
    }

    /// Its pages show timelines from here.
    pub fn set_timeline(&self, timeline: Timeline) {
        *self.0.timeline.write().unwrap_or_else(PoisonError::into_inner) = Some(timeline);
    }

    /// Shows none any more.
    pub fn forget_timeline(&self) {
        *self.0.timeline.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Changes what goes wrong.
    pub fn set(&self, change: impl FnOnce(&mut Knobs)) {
        change(&mut self.lock().knobs);
    }

    /// A copy of the shop's own record.
    pub fn record(&self) -> ShopRecord {
        self.lock().record.clone()
    }

    /// One order of the record.
    pub fn order(&self, id: &str) -> Option<OrderRecord> {
        self.lock().record.orders.get(id).cloned()
    }

    /// Answers one request: the API, the notices and the pages.
    pub async fn handle(&self, request: HttpRequest) -> HttpResponse {
        let path = request.uri().path().to_owned();
        if self.0.face.is_api(&path) {
            let slow = self.lock().knobs.slow;
            if let Some(time) = slow {
                tokio::time::sleep(time).await;
            }
            if self.lock().knobs.down {
                return answer::error(503, "the shop is down for maintenance");
            }
            return self.0.face.api(self, &request);
        }
        if path == "/notices" {
            return self.catch_notice(&request);
        }
        self.page(&request).await
    }

    /// Answers on `listener` until accepting fails for good.
    pub async fn serve(self, listener: tokio::net::TcpListener) -> std::io::Result<()> {
        let answer = move |request| {
            let shop = self.clone();
            async move { shop.handle(request).await }
        };
        crate::http_server::serve(listener, answer).await
    }

    /// A buyer places an order.
    pub fn place(&self, new: NewOrder) -> Result<Order, ShopError> {
        let sum: i64 = new.items.iter().map(|i| i.unit_amount.saturating_mul(i64::from(i.quantity))).sum();
        let total = new.total.unwrap_or(sum);
        if total < 0 || new.items.is_empty() {
            return Err(ShopError::Invalid("an order has lines and a total of at least 0"));
        }
        let now = self.now();
        let mut state = self.lock();
        let id = self.0.face.order_id(1001 + state.record.orders.len(), now);
        let order = Order {
            number: format!("#{id}"),
            status: OrderStatus::Open,
            currency: new.currency,
            total,
            items: new.items,
            customer: new.customer,
            collection: new.collection,
            capture: new.capture,
            deposit: new.deposit,
            balance_due_at: new.balance_due_at,
            refund_requests: Vec::new(),
            refunds: Vec::new(),
            return_url: Some(format!("{}/o/{id}", self.0.config.public_url)),
            metadata: BTreeMap::new(),
            updated_at: now,
            version: 1,
            payment: None,
            paid: None,
            id: id.clone(),
        };
        let kept = OrderRecord {
            order: order.clone(),
            payment: None,
            payment_version: 0,
            write_backs: Vec::new(),
            native: self.0.face.native(&order),
            before: None,
        };
        state.record.orders.insert(id, kept);
        notices::announce(&mut state, self.0.face, Change::Created, &order, now);
        Ok(order)
    }

    /// Somebody cancels the order. Cancelling twice changes nothing.
    pub fn cancel(&self, id: &str) -> Result<Order, ShopError> {
        self.change(id, |order| match order.status {
            OrderStatus::Fulfilled => Err(ShopError::Conflict("a fulfilled order cannot be cancelled")),
            OrderStatus::Cancelled => Ok(false),
            _ => {
                order.status = OrderStatus::Cancelled;
                Ok(true)
            }
        })
    }

    /// The goods leave. Fulfilling twice changes nothing.
    pub fn fulfil(&self, id: &str) -> Result<Order, ShopError> {
        self.change(id, |order| match order.status {
            OrderStatus::Cancelled => Err(ShopError::Conflict("a cancelled order cannot be fulfilled")),
            OrderStatus::Fulfilled => Ok(false),
            _ => {
                order.status = OrderStatus::Fulfilled;
                Ok(true)
            }
        })
    }

    /// Asks for a refund of `amount` minor units, or of all that is left; returns the shop's own id of the request.
    pub fn request_refund(&self, id: &str, amount: Option<i64>, reason: &str) -> Result<String, ShopError> {
        if amount.is_some_and(|a| a <= 0) {
            return Err(ShopError::Invalid("the amount of a refund is above 0"));
        }
        let order = self.change(id, |order| {
            let request = format!("{}-r{}", order.id, order.refund_requests.len() + 1);
            order.refund_requests.push(RefundRequest { id: request, amount, reason: reason.to_owned() });
            Ok(true)
        })?;
        Ok(order.refund_requests.last().map(|r| r.id.clone()).unwrap_or_default())
    }

    /// The buyer owes `total` from now on; a line explains the difference.
    pub fn change_total(&self, id: &str, total: i64) -> Result<Order, ShopError> {
        if total < 0 {
            return Err(ShopError::Invalid("a total is at least 0"));
        }
        self.change(id, |order| {
            if matches!(order.status, OrderStatus::Cancelled) {
                return Err(ShopError::Conflict("a cancelled order cannot be changed"));
            }
            let difference = total - order.total;
            if difference != 0 {
                order.items.push(Item {
                    sku: String::new(),
                    name: "Adjustment".to_owned(),
                    quantity: 1,
                    unit_amount: difference,
                    kind: if difference < 0 { "discount" } else { "fee" }.to_owned(),
                });
                order.total = total;
            }
            Ok(difference != 0)
        })
    }

    /// Any change by the shop's own hand: `edit` says whether it changed anything.
    pub fn change(
        &self,
        id: &str,
        edit: impl FnOnce(&mut Order) -> Result<bool, ShopError>,
    ) -> Result<Order, ShopError> {
        let now = self.now();
        let mut state = self.lock();
        let kept = state.record.orders.get_mut(id).ok_or_else(|| ShopError::NoOrder(id.to_owned()))?;
        let mut order = kept.order.clone();
        if edit(&mut order)? {
            order.version += 1;
            order.updated_at = now;
            kept.remember();
            kept.order = order.clone();
            notices::announce(&mut state, self.0.face, Change::Updated, &order, now);
        }
        Ok(order)
    }

    /// Edits the payment status by hand, as a person with access to the shop's tables would. Nobody is told.
    pub fn tamper(&self, id: &str, status: PaymentStatus) -> Result<(), ShopError> {
        let mut state = self.lock();
        let kept = state.record.orders.get_mut(id).ok_or_else(|| ShopError::NoOrder(id.to_owned()))?;
        if let Some(view) = &mut kept.payment {
            view.status = status;
        }
        if let Some(echo) = &mut kept.order.payment {
            echo.status = status.name().to_owned();
        }
        self.0.face.tamper(kept, status);
        Ok(())
    }

    /// Takes a write-back: a version not above the known one changes nothing.
    fn write_back(&self, id: &str, body: &WriteBack) -> Result<Order, ShopError> {
        let now = self.now();
        let mut state = self.lock();
        let announce = state.knobs.announce_write_backs;
        let kept = state.record.orders.get_mut(id).ok_or_else(|| ShopError::NoOrder(id.to_owned()))?;
        if body.payment.currency != kept.order.currency {
            return Err(ShopError::Invalid("the payment's currency is not the order's"));
        }
        let before = (kept.order.clone(), kept.native.clone());
        let applied = kept.take(body, now);
        if applied {
            kept.before = Some(Box::new(before));
            kept.order.version += 1;
            kept.order.updated_at = now;
        }
        let order = kept.order.clone();
        if applied && announce {
            notices::announce(&mut state, self.0.face, Change::Updated, &order, now);
        }
        Ok(order)
    }

    /// The order with what only this kind keeps, or for a stale read both as they were before the last change.
    fn shown(&self, id: &str) -> Result<(Order, Native), ShopError> {
        let mut state = self.lock();
        let kept = state.record.orders.get(id).ok_or_else(|| ShopError::NoOrder(id.to_owned()))?;
        let (now, before) = ((kept.order.clone(), kept.native.clone()), kept.before.as_deref().cloned());
        match before {
            Some(before) if state.knobs.stale_reads > 0 => {
                state.knobs.stale_reads -= 1;
                Ok(before)
            }
            _ => Ok(now),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> UnixTime {
        self.0.clock.now()
    }
}

/// The refunds the shop records as made: those it was told of that have not failed.
fn refunds_told(view: &PaymentView) -> Vec<ReportedRefund> {
    let made = view.refunds.iter().filter(|r| !matches!(r.status.as_str(), "failed" | "canceled"));
    made.map(|r| ReportedRefund { id: r.id.clone(), amount: r.amount, request: r.request.clone() }).collect()
}

#[cfg(test)]
mod schema_tests;
#[cfg(test)]
mod tests;
