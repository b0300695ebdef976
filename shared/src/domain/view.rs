//! What an order system is told about an order's payment: our view of it, as it goes over the wire.
//!
//! Invariant: amounts are ISO minor units of `currency`, never negative; nothing here names a person.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::money::Currency;

/// The one word an order system is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// Nothing paid yet; `payment_url` says where.
    AwaitingPayment,
    /// The buyer paid by a method that takes days to confirm.
    Processing,
    /// Reserved, not yet taken.
    Authorized,
    /// All that is due was taken.
    Paid,
    /// Some was taken, more is due.
    PartiallyPaid,
    /// Given up: no further attempt will be made by itself.
    Failed,
    /// Some of what was taken went back.
    PartiallyRefunded,
    /// All that was taken went back.
    Refunded,
    /// The buyer's bank is asking for the money back.
    Disputed,
    /// A person has to decide.
    Review,
    /// The order was cancelled and nothing is held.
    Cancelled,
}

impl PaymentStatus {
    /// All of them, in the order of the protocol's documentation.
    pub const ALL: [Self; 11] = [
        Self::AwaitingPayment,
        Self::Processing,
        Self::Authorized,
        Self::Paid,
        Self::PartiallyPaid,
        Self::Failed,
        Self::PartiallyRefunded,
        Self::Refunded,
        Self::Disputed,
        Self::Review,
        Self::Cancelled,
    ];

    /// The word on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AwaitingPayment => "awaiting_payment",
            Self::Processing => "processing",
            Self::Authorized => "authorized",
            Self::Paid => "paid",
            Self::PartiallyPaid => "partially_paid",
            Self::Failed => "failed",
            Self::PartiallyRefunded => "partially_refunded",
            Self::Refunded => "refunded",
            Self::Disputed => "disputed",
            Self::Review => "review",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for PaymentStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One refund that exists at Stripe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefundLine {
    /// `re_...`.
    pub id: String,
    /// The order system's own request id, when this refund answers one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// ISO minor units, positive.
    pub amount: i64,
    /// As at Stripe: `pending`, `requires_action`, `succeeded`, `failed`, `canceled`.
    pub status: String,
}

impl RefundLine {
    /// Whether it is made or on its way.
    pub fn stands(&self) -> bool {
        !matches!(self.status.as_str(), "failed" | "canceled")
    }

    /// Whether staff recorded it by hand before it was made, as the plan takes it: nobody's request, or what a reported
    /// refund became, of the amount of a record in `by_hand`. That record is then used up.
    pub fn takes_record(&self, by_hand: &mut Vec<i64>) -> bool {
        let may = self.request.as_deref().is_none_or(|request| request.starts_with("reported:"));
        let known = by_hand.iter().position(|amount| may && *amount == self.amount);
        known.map(|at| by_hand.swap_remove(at)).is_some()
    }
}

/// Our view of an order's payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaymentView {
    /// In one word.
    pub status: PaymentStatus,
    /// The stable link for the buyer, while there is something to pay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_url: Option<String>,
    /// ISO 4217.
    pub currency: Currency,
    /// Still to be taken.
    pub amount_due: i64,
    /// Taken in all, refunds not subtracted.
    pub amount_captured: i64,
    /// Went back in all.
    pub amount_refunded: i64,
    /// `pi_...` of the payment that counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_id: Option<String>,
    /// Why it is so, as the plan names it.
    #[serde(default)]
    pub reason: String,
    /// Every refund known.
    #[serde(default)]
    pub refunds: Vec<RefundLine>,
}

/// The body of a write-back. `payment_version` strictly grows; an order system ignores a lower or equal one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WriteBack {
    /// Version of the view.
    pub payment_version: u64,
    /// The view.
    pub payment: PaymentView,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_one_word_on_the_wire_and_reads_back() {
        for status in PaymentStatus::ALL {
            let json = serde_json::to_string(&status).unwrap();
            assert_eq!(json, format!("\"{}\"", status.name()));
            assert_eq!(serde_json::from_str::<PaymentStatus>(&json).unwrap(), status);
        }
    }

    #[test]
    fn a_write_back_has_the_published_shape() {
        let text = r#"{"payment_version":7,"payment":{"status":"paid","payment_url":"http://x/pay/t","currency":"EUR",
            "amount_due":0,"amount_captured":1250,"amount_refunded":500,"payment_id":"pi_1","reason":"paid_in_full",
            "refunds":[{"id":"re_1","request":"r1","amount":500,"status":"succeeded"}]}}"#;
        let body: WriteBack = serde_json::from_str(text).unwrap();
        assert_eq!(body.payment.refunds[0].request.as_deref(), Some("r1"));
        let again: serde_json::Value = serde_json::to_value(&body).unwrap();
        assert_eq!(again, serde_json::from_str::<serde_json::Value>(text).unwrap());
    }
}
