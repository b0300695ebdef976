//! Three records of the same money side by side: our facts, Stripe's objects, the order system's word. Pure matching.
//!
//! Invariants: the same input in any order gives the same exceptions in the same order; no tolerance on amounts; what is
//! neither marked as ours nor known to us is counted as foreign and never an exception.

mod compare;
mod exception;
mod index;
mod ledger;
mod matching;
mod row;
mod window;

pub use self::exception::{Exception, Kind};
pub use self::ledger::Lacking;
pub use self::matching::{Matched, Matching};
pub use self::window::{BadWindow, Window};

use super::fact::{ChargeView, RefundView};
use super::ids::OrderKey;
use super::money::{Currency, Money};
use super::order::OrderStatus;
use super::state::State;
use super::time::{Seconds, UnixTime};

/// What the matching has to know besides the records.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Our stack: a mark of another stack is foreign.
    pub stack: String,
    /// Now, for ages.
    pub now: UnixTime,
    /// Younger than this is still on its way, not an exception.
    pub grace: Seconds,
}

/// An order as our facts have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OurOrder {
    /// Its key.
    pub key: OrderKey,
    /// Whether all its objects at Stripe were looked for: only then can one be missing there.
    pub complete: bool,
    /// Its currency, once the order was seen.
    pub currency: Option<Currency>,
    /// ISO minor units; a cancelled order keeps its total.
    pub total: i64,
    /// What our view says, in one word.
    pub status: String,
    /// When it began to say so.
    pub view_at: UnixTime,
    /// Captured in all, ISO minor units.
    pub captured: i64,
    /// Given back in all, by refunds and lost disputes.
    pub returned: i64,
    /// The Stripe customer.
    pub customer: Option<String>,
    /// Charges known.
    pub charges: Vec<ChargeView>,
    /// Refunds known.
    pub refunds: Vec<RefundView>,
    /// Intents known.
    pub intents: Vec<String>,
}

impl OurOrder {
    /// Of an order's state.
    pub fn of(key: OrderKey, state: &State, complete: bool) -> Self {
        let order = state.order.as_ref();
        Self {
            key,
            complete,
            currency: order.map(|o| o.currency),
            total: order.map_or(0, |o| o.total),
            status: state.view.as_ref().map(|v| v.status.name().to_owned()).unwrap_or_default(),
            view_at: state.view_at,
            captured: state.captured(),
            returned: state.refunded() + state.lost(),
            customer: state.customer.clone(),
            charges: state.charges.values().cloned().collect(),
            refunds: state.refunds.values().cloned().collect(),
            intents: state.intents.keys().cloned().collect(),
        }
    }
}

/// A charge as Stripe has it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TheirCharge {
    /// What we would keep of it.
    pub charge: ChargeView,
    /// `tandem_order` of its metadata, or of its link.
    pub order: Option<String>,
    /// Its customer.
    pub customer: Option<String>,
}

/// A refund as Stripe has it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TheirRefund {
    /// What we would keep of it.
    pub refund: RefundView,
    /// `tandem_order` of its metadata, or of its charge's link.
    pub order: Option<String>,
    /// Its intent.
    pub intent: Option<String>,
    /// When it was created.
    pub created: UnixTime,
}

/// An order as its own system has it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShopOrder {
    /// Its key here.
    pub key: OrderKey,
    /// When it last changed there.
    pub updated_at: UnixTime,
    /// What a read showed, if it was read.
    pub read: Option<ShopRead>,
}

/// What reading an order in its own system showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShopRead {
    /// It does not exist there.
    Gone,
    /// It exists.
    Order {
        /// Its status.
        status: OrderStatus,
        /// ISO 4217.
        currency: Currency,
        /// ISO minor units.
        total: i64,
        /// The payment status it holds.
        echo: Option<String>,
    },
}

/// An amount of Stripe's in ISO minor units; one that cannot be expressed stays as it is and will not agree.
fn iso(amount: i64, currency: Currency) -> i64 {
    Money::from_stripe(amount, currency).map_or(amount, |money| money.minor)
}

fn is_money(charge: &ChargeView) -> bool {
    charge.status == "succeeded" && charge.captured && charge.amount_captured > 0
}
