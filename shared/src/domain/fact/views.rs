//! What facts keep of an order and of Stripe's objects: ids, amounts and status words, never contact data.

use serde::{Deserialize, Serialize};

use super::hash_of;
use crate::domain::money::Currency;
use crate::domain::order::{
    CaptureMode, Collection, Order, OrderStatus, PaymentEcho, RefundRequest, ReportedRefund,
};
use crate::domain::policy::decline::Decline;
use crate::domain::time::UnixTime;

/// What is kept of an order: no contact data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderView {
    /// What people call it.
    pub number: String,
    /// Its status.
    pub status: OrderStatus,
    /// ISO 4217.
    pub currency: Currency,
    /// ISO minor units.
    pub total: i64,
    /// The shop's customer id; none for a guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// How it is paid.
    pub collection: Collection,
    /// When money is taken.
    pub capture: CaptureMode,
    /// Due first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deposit: Option<i64>,
    /// When the rest is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance_due_at: Option<UnixTime>,
    /// Refunds asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refund_requests: Vec<RefundRequest>,
    /// Refunds the system reports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refunds: Vec<ReportedRefund>,
    /// What its own books hold as paid, whoever took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid: Option<i64>,
    /// Hash of the lines.
    pub items_hash: String,
    /// What it says we told it, when that differs from what we told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub echo: Option<PaymentEcho>,
    /// The order system's version at this sight.
    pub version: u64,
}

impl OrderView {
    /// What is kept of `order`.
    pub fn of(order: &Order) -> Self {
        let items = serde_json::to_string(&order.items).unwrap_or_default();
        Self {
            number: order.number.clone(),
            status: order.status.clone(),
            currency: order.currency,
            total: order.total,
            customer: order.customer.as_ref().and_then(|c| c.id.clone()),
            collection: order.collection,
            capture: order.capture,
            deposit: order.deposit,
            balance_due_at: order.balance_due_at,
            // Shops word reasons freely: the words may name people and stay with the shop.
            refund_requests: order
                .refund_requests
                .iter()
                .map(|r| RefundRequest { reason: String::new(), ..r.clone() })
                .collect(),
            // Records that carry our request id are our own write-back.
            refunds: order.refunds.iter().filter(|r| r.request.is_none()).cloned().collect(),
            paid: order.paid,
            items_hash: hash_of(&items),
            echo: order.payment.clone(),
            version: order.version,
        }
    }

    /// Equal in everything that matters: what we write ourselves (version, echo) is left out.
    pub fn same_as(&self, other: &Self) -> bool {
        let plain = |v: &Self| Self { version: 0, echo: None, ..v.clone() };
        plain(self) == plain(other)
    }

    /// Hash of what a payment attempt depends on; a refused creation is tried again only when it changes.
    pub fn fingerprint(&self) -> String {
        hash_of(&format!(
            "{}|{}|{:?}|{:?}|{:?}|{:?}|{}",
            self.currency,
            self.total,
            self.customer,
            self.collection,
            self.capture,
            self.deposit,
            self.items_hash
        ))
    }
}

/// A Checkout Session as Stripe showed it. Amounts as Stripe's integers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionView {
    /// `cs_...`
    pub id: String,
    /// `tandem_attempt` of its metadata.
    pub attempt: u32,
    /// `open`, `complete`, `expired`.
    pub status: String,
    /// `paid`, `unpaid`, `no_payment_required`.
    pub payment_status: String,
    /// Its intent, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
    /// Where the buyer pays, while open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// When Stripe closes it.
    pub expires_at: UnixTime,
}

/// A PaymentIntent as Stripe showed it. Amounts are Stripe's integers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntentView {
    /// `pi_...`
    pub id: String,
    /// `tandem_attempt` of its metadata; 0 when it carries none.
    pub attempt: u32,
    /// Stripe's status word.
    pub status: String,
    /// Stripe's integer.
    pub amount: i64,
    /// Capturable now.
    pub amount_capturable: i64,
    /// Captured so far.
    pub amount_received: i64,
    /// Its currency.
    pub currency: Currency,
    /// Its newest charge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_charge: Option<String>,
    /// Why it was canceled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancellation_reason: Option<String>,
    /// The last decline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decline: Option<Decline>,
    /// A Radar review is open or was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<String>,
}

/// A Charge as Stripe showed it. Amounts are Stripe's integers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChargeView {
    /// `ch_...` or `py_...`
    pub id: String,
    /// Its intent.
    pub intent: String,
    /// `succeeded`, `pending`, `failed`.
    pub status: String,
    /// Authorised.
    pub amount: i64,
    /// Taken.
    pub amount_captured: i64,
    /// Cumulative, releases included.
    pub amount_refunded: i64,
    /// Its currency.
    pub currency: Currency,
    /// Money was taken.
    pub captured: bool,
    /// A dispute was opened.
    pub disputed: bool,
    /// The authorisation's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture_before: Option<UnixTime>,
    /// The card, for budgets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Its decline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decline: Option<Decline>,
    /// When Stripe made it.
    pub created: UnixTime,
}

impl ChargeView {
    /// Money was taken: a pending charge shows itself captured before its bank has paid.
    pub fn took(&self) -> bool {
        self.captured && self.status == "succeeded"
    }
}

/// A Refund as Stripe showed it. Amounts are Stripe's integers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundView {
    /// `re_...`
    pub id: String,
    /// Its charge.
    pub charge: String,
    /// Stripe's integer.
    pub amount: i64,
    /// Its currency.
    pub currency: Currency,
    /// `pending`, `requires_action`, `succeeded`, `failed`, `canceled`.
    pub status: String,
    /// `tandem_request` of its metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// Stripe's reason; `expired_uncaptured_charge` is a release, not a refund.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<String>,
}

impl RefundView {
    /// Money is on its way back, or there.
    pub fn counts(&self) -> bool {
        !matches!(self.status.as_str(), "failed" | "canceled")
            && self.reason.as_deref() != Some("expired_uncaptured_charge")
    }
}

/// A Dispute as Stripe showed it. Amounts are Stripe's integers in the dispute's own currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisputeView {
    /// `du_...` or `dp_...`
    pub id: String,
    /// Its charge.
    pub charge: String,
    /// Disputed.
    pub amount: i64,
    /// May differ from the charge's.
    pub currency: Currency,
    /// Stripe's status word.
    pub status: String,
    /// Stripe's reason word.
    pub reason: String,
    /// Evidence is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_by: Option<UnixTime>,
}

impl DisputeView {
    /// An inquiry moves no money.
    pub fn is_inquiry(&self) -> bool {
        self.status.starts_with("warning_")
    }
    /// Money is withdrawn and the end is open. An unknown status counts as open.
    pub fn is_open(&self) -> bool {
        !self.is_inquiry() && !matches!(self.status.as_str(), "won" | "lost" | "prevented")
    }
    /// The money is gone. `prevented` ends in a refund through the prevention programme.
    pub fn is_lost(&self) -> bool {
        matches!(self.status.as_str(), "lost" | "prevented")
    }
}
