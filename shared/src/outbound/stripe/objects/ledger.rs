//! What moves money afterwards, and what tells of it: refunds, disputes, ledger entries, payouts, events.

use serde::Deserialize;

use super::open::{Expandable, StripeObject, lenient, open_enum, or_absent};
use super::{Charge, Metadata, PaymentIntent};
use crate::domain::time::UnixTime;

open_enum! {
    /// Where a refund stands. Even `succeeded` can become `failed` later.
    RefundStatus {
        /// Under way.
        Pending = "pending",
        /// The buyer must name an account.
        RequiresAction = "requires_action",
        /// Sent.
        Succeeded = "succeeded",
        /// Came back.
        Failed = "failed",
        /// Withdrawn.
        Canceled = "canceled",
    }
}

impl RefundStatus {
    /// It takes money from what is left to refund.
    pub fn counts(&self) -> bool {
        !matches!(self, Self::Failed | Self::Canceled)
    }
}

open_enum! {
    /// Where a dispute stands.
    DisputeStatus {
        /// An inquiry waits for an answer; no money has moved.
        WarningNeedsResponse = "warning_needs_response",
        /// An inquiry was answered.
        WarningUnderReview = "warning_under_review",
        /// An inquiry ended without a dispute.
        WarningClosed = "warning_closed",
        /// A chargeback waits for evidence.
        NeedsResponse = "needs_response",
        /// Evidence was sent.
        UnderReview = "under_review",
        /// Lost, but an appeal is possible.
        AppealNeedsResponse = "appeal_needs_response",
        /// An appeal was sent.
        AppealUnderReview = "appeal_under_review",
        /// The money comes back.
        Won = "won",
        /// The money is gone.
        Lost = "lost",
        /// Refunded before it became a chargeback.
        Prevented = "prevented",
    }
}

impl DisputeStatus {
    /// An inquiry: no money moved, refunds are still possible.
    pub fn is_inquiry(&self) -> bool {
        matches!(self, Self::WarningNeedsResponse | Self::WarningUnderReview | Self::WarningClosed)
    }

    /// Nothing more is expected. A status we do not know counts as open.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::WarningClosed | Self::Won | Self::Lost | Self::Prevented)
    }
}

open_enum! {
    /// Where a payout stands. Even `paid` can become `failed` later.
    PayoutStatus {
        /// Not sent yet.
        Pending = "pending",
        /// With the bank.
        InTransit = "in_transit",
        /// Arrived.
        Paid = "paid",
        /// Came back.
        Failed = "failed",
        /// Withdrawn.
        Canceled = "canceled",
    }
}

/// Money on its way back to a buyer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Refund {
    /// `re_..` or `pyr_..`
    pub id: String,
    /// How much.
    pub amount: i64,
    /// Lower-case ISO code.
    pub currency: String,
    /// Where it stands.
    #[serde(default)]
    pub status: Option<RefundStatus>,
    /// `requested_by_customer`, ...; `expired_uncaptured_charge` is a release, not a refund.
    #[serde(default)]
    pub reason: Option<String>,
    /// Why it failed.
    #[serde(default)]
    pub failure_reason: Option<String>,
    /// Why it waits.
    #[serde(default)]
    pub pending_reason: Option<String>,
    /// The charge it belongs to.
    #[serde(default)]
    pub charge: Option<Expandable<Charge>>,
    /// The intent it belongs to.
    #[serde(default)]
    pub payment_intent: Option<Expandable<PaymentIntent>>,
    /// The ledger entry; null while pending.
    #[serde(default)]
    pub balance_transaction: Option<Expandable<BalanceTransaction>>,
    /// The credit back after a failure.
    #[serde(default)]
    pub failure_balance_transaction: Option<Expandable<BalanceTransaction>>,
    /// When it was created.
    #[serde(default, deserialize_with = "lenient")]
    pub created: UnixTime,
    /// Our marks.
    #[serde(default, deserialize_with = "lenient")]
    pub metadata: Metadata,
}

/// A buyer's bank asks for the money back.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Dispute {
    /// `du_..` or `dp_..`
    pub id: String,
    /// The disputed amount: may differ from the charge's.
    pub amount: i64,
    /// Lower-case ISO code: may differ from the charge's.
    pub currency: String,
    /// Where it stands.
    pub status: DisputeStatus,
    /// `fraudulent`, `product_not_received`, ...
    #[serde(default)]
    pub reason: Option<String>,
    /// The disputed charge.
    #[serde(default)]
    pub charge: Option<Expandable<Charge>>,
    /// Its intent.
    #[serde(default)]
    pub payment_intent: Option<Expandable<PaymentIntent>>,
    /// The withdrawal and the reinstatement, as far as they happened.
    #[serde(default, deserialize_with = "lenient")]
    pub balance_transactions: Vec<BalanceTransaction>,
    /// A refund is still possible.
    #[serde(default, deserialize_with = "lenient")]
    pub is_charge_refundable: bool,
    /// Deadline and state of the evidence.
    #[serde(default, deserialize_with = "or_absent")]
    pub evidence_details: Option<EvidenceDetails>,
    /// When it was opened.
    #[serde(default, deserialize_with = "lenient")]
    pub created: UnixTime,
    /// Our marks.
    #[serde(default, deserialize_with = "lenient")]
    pub metadata: Metadata,
}

/// Deadline and state of a dispute's evidence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct EvidenceDetails {
    /// The last moment; absent or zero: no answer is possible.
    #[serde(default)]
    pub due_by: Option<UnixTime>,
    /// Something is staged.
    #[serde(default, deserialize_with = "lenient")]
    pub has_evidence: bool,
    /// Too late.
    #[serde(default, deserialize_with = "lenient")]
    pub past_due: bool,
    /// How often it was sent.
    #[serde(default, deserialize_with = "lenient")]
    pub submission_count: i64,
}

/// One entry of the account's ledger, in the settlement currency.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct BalanceTransaction {
    /// `txn_..`
    pub id: String,
    /// Gross, signed.
    pub amount: i64,
    /// Positive when charged.
    #[serde(default, deserialize_with = "lenient")]
    pub fee: i64,
    /// `amount - fee`.
    #[serde(default, deserialize_with = "lenient")]
    pub net: i64,
    /// The settlement currency: may differ from the charge's.
    pub currency: String,
    /// `charge`, `refund`, `adjustment`, `payout`, ...
    #[serde(default, rename = "type", deserialize_with = "lenient")]
    pub kind: String,
    /// The better category for accounts.
    #[serde(default)]
    pub reporting_category: Option<String>,
    /// `available`, `pending`.
    #[serde(default)]
    pub status: Option<String>,
    /// When it becomes available.
    #[serde(default)]
    pub available_on: Option<UnixTime>,
    /// When it was booked.
    #[serde(default, deserialize_with = "lenient")]
    pub created: UnixTime,
    /// What caused it.
    #[serde(default)]
    pub source: Option<Expandable<serde_json::Value>>,
    /// The parts of the fee.
    #[serde(default, deserialize_with = "lenient")]
    pub fee_details: Vec<FeeDetail>,
}

/// One part of a fee.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct FeeDetail {
    /// How much.
    pub amount: i64,
    /// Lower-case ISO code.
    #[serde(default, deserialize_with = "lenient")]
    pub currency: String,
    /// `stripe_fee`, `tax`, ...
    #[serde(default, rename = "type", deserialize_with = "lenient")]
    pub kind: String,
}

/// Money on its way to the bank.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Payout {
    /// `po_..`
    pub id: String,
    /// Signed: negative is a debit from the bank.
    pub amount: i64,
    /// Lower-case ISO code.
    pub currency: String,
    /// Where it stands.
    pub status: PayoutStatus,
    /// Only automatic payouts can be itemised.
    #[serde(default, deserialize_with = "lenient")]
    pub automatic: bool,
    /// Itemise only when `completed`.
    #[serde(default)]
    pub reconciliation_status: Option<String>,
    /// When it arrives.
    #[serde(default)]
    pub arrival_date: Option<UnixTime>,
    /// When it was created.
    #[serde(default, deserialize_with = "lenient")]
    pub created: UnixTime,
    /// The ledger entry.
    #[serde(default)]
    pub balance_transaction: Option<Expandable<BalanceTransaction>>,
    /// The credit back after a failure.
    #[serde(default)]
    pub failure_balance_transaction: Option<Expandable<BalanceTransaction>>,
    /// Why it failed.
    #[serde(default)]
    pub failure_code: Option<String>,
}

/// A message that something happened: a hint, never a truth.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Event {
    /// `evt_..`
    pub id: String,
    /// `payment_intent.succeeded`, ...
    #[serde(rename = "type")]
    pub kind: String,
    /// To the second: cannot order events.
    #[serde(default, deserialize_with = "lenient")]
    pub created: UnixTime,
    /// Live or test.
    #[serde(default)]
    pub livemode: Option<bool>,
    /// The version `data` is rendered in, for ever.
    #[serde(default)]
    pub api_version: Option<String>,
    /// The connected account it comes from; absent for one's own.
    #[serde(default)]
    pub account: Option<String>,
    /// The request that caused it.
    #[serde(default, deserialize_with = "or_absent")]
    pub request: Option<EventRequest>,
    /// The snapshot.
    pub data: EventData,
}

/// The request that caused an event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct EventRequest {
    /// `req_..`; null: Stripe acted by itself.
    #[serde(default)]
    pub id: Option<String>,
    /// The key we sent, if it was us.
    #[serde(default)]
    pub idempotency_key: Option<String>,
}

/// An event's snapshot: may be stale, is never expanded.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct EventData {
    /// The object at the time.
    pub object: serde_json::Value,
}

impl std::fmt::Debug for EventData {
    /// Kind and id only: the snapshot holds contact data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = self.object.get("object").and_then(serde_json::Value::as_str).unwrap_or_default();
        f.debug_struct("EventData").field("object", &kind).field("id", &self.object.id()).finish()
    }
}

macro_rules! named {
    ($($kind:ty),*) => {$(
        impl StripeObject for $kind {
            fn id(&self) -> &str {
                &self.id
            }
        }
    )*};
}
named!(Refund, Dispute, BalanceTransaction, Payout, Event);
