//! The canonical order: what every order system maps into. It is read at the moment of use and carries contact data;
//! what is kept of it is [`crate::domain::fact::OrderView`], which carries none.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::money::{Currency, Money};
use super::time::UnixTime;

/// Where an order stands in its own system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// Waiting or in progress.
    Open,
    /// Held by a person; nothing new is charged.
    OnHold,
    /// Cancelled.
    Cancelled,
    /// Shipped, delivered, attended.
    Fulfilled,
    /// A status this build does not know: nothing is charged, a case is opened.
    #[serde(untagged)]
    Other(String),
}

impl OrderStatus {
    /// Whether the order is wanted: neither held, nor cancelled, nor in a status that nobody knows.
    pub const fn stands(&self) -> bool {
        matches!(self, Self::Open | Self::Fulfilled)
    }
}

/// How the buyer pays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Collection {
    /// On a page, by the stable link.
    #[default]
    Page,
    /// On a saved method when there is one, else on a page.
    Automatic,
    /// Not through Tandem.
    None,
}

/// When money is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaptureMode {
    /// With the payment.
    #[default]
    AtOnce,
    /// Authorised at once, captured when the order is fulfilled.
    OnFulfilment,
}

/// One line of an order. `unit_amount` in ISO minor units of the order's currency; may be negative (a discount).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The shop's article number.
    #[serde(default)]
    pub sku: String,
    /// What the buyer reads.
    pub name: String,
    /// How many.
    pub quantity: u32,
    /// Per piece.
    pub unit_amount: i64,
    /// `product`, `shipping`, `tax`, `discount`, `fee`, ...
    #[serde(default)]
    pub kind: String,
}

/// The buyer. Contact data: never stored with the order's facts, never logged.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// The shop's id of a registered buyer; `None` for a guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// E-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Full name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Phone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// Postal address, keys as at Stripe: line1, line2, city, postal_code, state, country.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub address: BTreeMap<String, String>,
    /// BCP 47 tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
}

impl std::fmt::Debug for Customer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Customer").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A refund the shop asks for. `id` is the shop's own and never reused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundRequest {
    /// The shop's id of this request.
    pub id: String,
    /// ISO minor units; `None` means all that is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<i64>,
    /// Why, in the shop's words.
    #[serde(default)]
    pub reason: String,
}

/// A refund the order system says it already made. Never a request by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedRefund {
    /// The order system's id.
    pub id: String,
    /// ISO minor units, positive.
    pub amount: i64,
    /// Our request id, when the record is our own write-back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

/// What the order system says we last told it: our own echo.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentEcho {
    /// The `payment_version` it holds.
    pub version: u64,
    /// The payment status it holds.
    pub status: String,
}

/// An order as its system shows it now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The order system's id.
    pub id: String,
    /// What people call it.
    #[serde(default)]
    pub number: String,
    /// Its status.
    pub status: OrderStatus,
    /// ISO 4217.
    pub currency: Currency,
    /// What the buyer owes in all, ISO minor units, at least 0.
    pub total: i64,
    /// Its lines.
    #[serde(default)]
    pub items: Vec<Item>,
    /// The buyer.
    #[serde(default)]
    pub customer: Option<Customer>,
    /// How it is paid.
    #[serde(default)]
    pub collection: Collection,
    /// When money is taken.
    #[serde(default)]
    pub capture: CaptureMode,
    /// What is due first, ISO minor units; the rest is due at `balance_due_at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deposit: Option<i64>,
    /// When the balance is due, Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance_due_at: Option<UnixTime>,
    /// Refunds asked for.
    #[serde(default)]
    pub refund_requests: Vec<RefundRequest>,
    /// Refunds the order system records as made.
    #[serde(default)]
    pub refunds: Vec<ReportedRefund>,
    /// Where the buyer returns after paying.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_url: Option<String>,
    /// The shop's own labels; not copied to Stripe.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// Unix seconds of the last change.
    pub updated_at: UnixTime,
    /// Grows strictly with every change of the order.
    pub version: u64,
    /// What we last told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<PaymentEcho>,
    /// What the order system's own books hold as paid, whoever took it, ISO minor units. `None`: it keeps no such books.
    #[serde(default, skip)]
    pub paid: Option<i64>,
}

impl Order {
    /// The total as money.
    pub fn total(&self) -> Money {
        Money::new(self.total, self.currency)
    }
}
