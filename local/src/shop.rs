//! The demo shop: a small order system that speaks the checkout protocol, with pages for people.
//!
//! Invariant: its record is its own: what it sold, what it was told and when. Assertions about a run read it here and
//! not in Tandem's tables. One lock holds all state and is never held while waiting.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use futures::future::BoxFuture;
use shared::clock::Clock;
use shared::domain::order::{Item, Order, OrderStatus, RefundRequest};
use shared::domain::time::UnixTime;
use shared::domain::view::{PaymentStatus, WriteBack};
use shared::outbound::http::{HttpRequest, HttpResponse};

use self::face::Face;

mod answer;
pub mod checkfront;
mod checkout;
mod face;
mod notices;
mod pages;
mod record;
pub mod shopify;
mod signature;
pub mod woo;

pub use face::{Change, Native, Speaks};
pub use notices::Notice;
pub use record::{Knobs, NewOrder, OrderRecord, ShopError, ShopRecord, TimelineLine, WriteBackSeen};

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

#[cfg(test)]
mod schema_tests;
#[cfg(test)]
mod tests;
