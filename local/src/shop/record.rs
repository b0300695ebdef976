//! What the shop keeps: its orders with all that it was told about them, and what can be made to go wrong with it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::domain::money::Currency;
use shared::domain::order::{CaptureMode, Collection, Customer, Item, Order, PaymentEcho, ReportedRefund};
use shared::domain::time::{Seconds, UnixTime};
use shared::domain::view::{PaymentView, WriteBack};

use super::{Native, Notice};

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
            customer: customer.map(super::pages::sample_customer),
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
    pub(super) before: Option<Box<(Order, Native)>>,
}

impl OrderRecord {
    /// Keeps what it shows now, for reads that lag behind.
    pub(super) fn remember(&mut self) {
        self.before = Some(Box::new((self.order.clone(), self.native.clone())));
    }

    /// Takes what it was told under a version; one that is not above the known one is only noted.
    pub(super) fn take(&mut self, body: &WriteBack, at: UnixTime) -> bool {
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

/// The refunds the shop records as made: those it was told of that have not failed.
fn refunds_told(view: &PaymentView) -> Vec<ReportedRefund> {
    let made = view.refunds.iter().filter(|r| r.stands());
    made.map(|r| ReportedRefund { id: r.id.clone(), amount: r.amount, request: r.request.clone() }).collect()
}
