//! Stripe's objects, as far as Tandem uses them.
//!
//! Invariant: an id, an amount with its currency, and a status must be there; everything else may be missing, null,
//! unknown, an id or an object.

mod ledger;
mod open;
mod payment;

pub use ledger::{
    BalanceTransaction, Dispute, DisputeStatus, Event, EventData, EventRequest, EvidenceDetails, FeeDetail,
    Payout, PayoutStatus, Refund, RefundStatus,
};
pub use open::{Expandable, Private, StripeObject};
pub use payment::{
    CaptureMethod, CardDetails, Charge, ChargeStatus, Customer, IntentStatus, InvoiceSettings, Metadata,
    NextAction, Outcome, PaymentError, PaymentIntent, PaymentMethod, PaymentMethodCard, PaymentMethodDetails,
    PaymentStatus, Session, SessionStatus,
};

#[cfg(test)]
mod tests;
