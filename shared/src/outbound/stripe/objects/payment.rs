//! What takes money: intents, charges, checkout sessions, customers and their payment methods.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::BalanceTransaction;
use super::open::{Expandable, Private, StripeObject, lenient, open_enum, or_absent};
use crate::domain::time::UnixTime;

/// Stripe's string map. `tandem_order` and its kin live here.
pub type Metadata = BTreeMap<String, String>;

open_enum! {
    /// Where a PaymentIntent stands.
    IntentStatus {
        /// No method yet, or the last one failed.
        RequiresPaymentMethod = "requires_payment_method",
        /// A method is attached; nobody confirmed.
        RequiresConfirmation = "requires_confirmation",
        /// The buyer must do something (3-D Secure, a redirect).
        RequiresAction = "requires_action",
        /// A slow method is under way.
        Processing = "processing",
        /// Authorised, not captured.
        RequiresCapture = "requires_capture",
        /// Ended without money.
        Canceled = "canceled",
        /// Captured.
        Succeeded = "succeeded",
    }
}

impl IntentStatus {
    /// Nothing can change it any more.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Canceled | Self::Succeeded)
    }
}

open_enum! {
    /// When an authorised amount is captured.
    CaptureMethod {
        /// At once.
        Automatic = "automatic",
        /// At once, with the ledger entry later.
        AutomaticAsync = "automatic_async",
        /// By a call of ours.
        Manual = "manual",
    }
}

open_enum! {
    /// Where a charge stands.
    ChargeStatus {
        /// Authorised or captured (see `captured`).
        Succeeded = "succeeded",
        /// A slow method is under way.
        Pending = "pending",
        /// Declined.
        Failed = "failed",
    }
}

open_enum! {
    /// Where a Checkout Session stands.
    SessionStatus {
        /// The buyer can pay.
        Open = "open",
        /// The buyer is through; see `payment_status` and the intent.
        Complete = "complete",
        /// Nobody can pay it any more.
        Expired = "expired",
    }
}

open_enum! {
    /// Whether a session's money is there.
    PaymentStatus {
        /// It is.
        Paid = "paid",
        /// Not yet, or never.
        Unpaid = "unpaid",
        /// There was nothing to pay.
        NoPaymentRequired = "no_payment_required",
    }
}

/// One try to be paid; it keeps its id over declines.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct PaymentIntent {
    /// `pi_..`
    pub id: String,
    /// What it asks for, in Stripe's minor units.
    pub amount: i64,
    /// Above zero only while `requires_capture`.
    #[serde(default, deserialize_with = "lenient")]
    pub amount_capturable: i64,
    /// Captured so far.
    #[serde(default, deserialize_with = "lenient")]
    pub amount_received: i64,
    /// Lower-case ISO code.
    pub currency: String,
    /// Where it stands.
    pub status: IntentStatus,
    /// When the amount is captured.
    #[serde(default)]
    pub capture_method: Option<CaptureMethod>,
    /// Why it was canceled, by us or by Stripe.
    #[serde(default)]
    pub cancellation_reason: Option<String>,
    /// When it was canceled.
    #[serde(default)]
    pub canceled_at: Option<UnixTime>,
    /// When it was created.
    #[serde(default, deserialize_with = "lenient")]
    pub created: UnixTime,
    /// Whose it is.
    #[serde(default)]
    pub customer: Option<Expandable<Customer>>,
    /// The charge of the last confirmation.
    #[serde(default)]
    pub latest_charge: Option<Expandable<Charge>>,
    /// Why the last confirmation failed.
    #[serde(default, deserialize_with = "or_absent")]
    pub last_payment_error: Option<PaymentError>,
    /// The attached method.
    #[serde(default)]
    pub payment_method: Option<Expandable<PaymentMethod>>,
    /// Whether the method is kept for later.
    #[serde(default)]
    pub setup_future_usage: Option<String>,
    /// What the buyer must do.
    #[serde(default, deserialize_with = "or_absent")]
    pub next_action: Option<NextAction>,
    /// Our marks.
    #[serde(default, deserialize_with = "lenient")]
    pub metadata: Metadata,
}

/// What a buyer must do before an intent goes on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct NextAction {
    /// `redirect_to_url`, `use_stripe_sdk`, ...
    #[serde(rename = "type")]
    pub kind: String,
}

/// Why a confirmation failed, without the text (it may name the card).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct PaymentError {
    /// `card_error`, ...
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// Machine code.
    #[serde(default)]
    pub code: Option<String>,
    /// The issuer's or Stripe's reason.
    #[serde(default)]
    pub decline_code: Option<String>,
    /// Stripe's advice: wins over the decline code.
    #[serde(default)]
    pub advice_code: Option<String>,
    /// The network's advice.
    #[serde(default)]
    pub network_advice_code: Option<String>,
    /// The network's raw code.
    #[serde(default)]
    pub network_decline_code: Option<String>,
    /// The failed charge.
    #[serde(default)]
    pub charge: Option<String>,
    /// The method that failed.
    #[serde(default, deserialize_with = "or_absent")]
    pub payment_method: Option<PaymentMethod>,
}

/// One confirmation of an intent, good or bad.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Charge {
    /// `ch_..` or `py_..`
    pub id: String,
    /// What it asked for.
    pub amount: i64,
    /// Captured; refunds are counted against this.
    #[serde(default, deserialize_with = "lenient")]
    pub amount_captured: i64,
    /// Cumulative, and includes a released remainder: refund objects are the truth.
    #[serde(default, deserialize_with = "lenient")]
    pub amount_refunded: i64,
    /// Lower-case ISO code.
    pub currency: String,
    /// Where it stands.
    pub status: ChargeStatus,
    /// Money was taken, not only reserved.
    #[serde(default, deserialize_with = "lenient")]
    pub captured: bool,
    /// Also true for a mere authorisation.
    #[serde(default, deserialize_with = "lenient")]
    pub paid: bool,
    /// Fully refunded (or released).
    #[serde(default, deserialize_with = "lenient")]
    pub refunded: bool,
    /// Has or had a dispute.
    #[serde(default, deserialize_with = "lenient")]
    pub disputed: bool,
    /// When it was created.
    #[serde(default, deserialize_with = "lenient")]
    pub created: UnixTime,
    /// The intent it belongs to.
    #[serde(default)]
    pub payment_intent: Option<Expandable<PaymentIntent>>,
    /// Whose it is.
    #[serde(default)]
    pub customer: Option<Expandable<Customer>>,
    /// The method's id.
    #[serde(default)]
    pub payment_method: Option<String>,
    /// The ledger entry; null until settled.
    #[serde(default)]
    pub balance_transaction: Option<Expandable<BalanceTransaction>>,
    /// Machine code of a failure.
    #[serde(default)]
    pub failure_code: Option<String>,
    /// What the network and Radar said.
    #[serde(default, deserialize_with = "or_absent")]
    pub outcome: Option<Outcome>,
    /// The method, as used.
    #[serde(default, deserialize_with = "or_absent")]
    pub payment_method_details: Option<PaymentMethodDetails>,
    /// Our marks, copied from the intent.
    #[serde(default, deserialize_with = "lenient")]
    pub metadata: Metadata,
}

impl Charge {
    /// The card, if it was one.
    pub fn card(&self) -> Option<&CardDetails> {
        self.payment_method_details.as_ref()?.card.as_ref()
    }
}

/// What the network and Radar said about a charge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Outcome {
    /// `authorized`, `issuer_declined`, `blocked`, ...
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// The reason for a block or a decline.
    #[serde(default)]
    pub reason: Option<String>,
    /// `approved_by_network`, ...
    #[serde(default)]
    pub network_status: Option<String>,
    /// `normal`, `elevated`, `highest`, ...
    #[serde(default)]
    pub risk_level: Option<String>,
    /// 0 to 100, for accounts that have it.
    #[serde(default)]
    pub risk_score: Option<i64>,
    /// Stripe's advice.
    #[serde(default)]
    pub advice_code: Option<String>,
    /// The network's advice.
    #[serde(default)]
    pub network_advice_code: Option<String>,
    /// The network's raw code.
    #[serde(default)]
    pub network_decline_code: Option<String>,
}

/// The method as a charge used it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct PaymentMethodDetails {
    /// `card`, `sepa_debit`, ...
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// Present for cards.
    #[serde(default)]
    pub card: Option<CardDetails>,
}

/// A card as a charge used it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct CardDetails {
    /// The same card has the same fingerprint, whatever its method's id.
    #[serde(default)]
    pub fingerprint: Option<String>,
    /// `visa`, ...
    #[serde(default)]
    pub brand: Option<String>,
    /// The last four digits.
    #[serde(default)]
    pub last4: Option<Private>,
    /// The network that carried it.
    #[serde(default)]
    pub network: Option<String>,
    /// The authorisation's end: the authoritative deadline for a capture.
    #[serde(default)]
    pub capture_before: Option<UnixTime>,
}

/// A hosted page on which a buyer pays.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Session {
    /// `cs_..`
    pub id: String,
    /// Where it stands.
    #[serde(default)]
    pub status: Option<SessionStatus>,
    /// Whether the money is there.
    #[serde(default)]
    pub payment_status: Option<PaymentStatus>,
    /// The page, while it is open.
    #[serde(default)]
    pub url: Option<String>,
    /// What it asks for.
    #[serde(default)]
    pub amount_total: Option<i64>,
    /// Lower-case ISO code.
    #[serde(default)]
    pub currency: Option<String>,
    /// `payment`, `subscription`, `setup`.
    #[serde(default)]
    pub mode: Option<String>,
    /// Its intent; made only when the buyer pays.
    #[serde(default)]
    pub payment_intent: Option<Expandable<PaymentIntent>>,
    /// Whose it is.
    #[serde(default)]
    pub customer: Option<Expandable<Customer>>,
    /// Our reference.
    #[serde(default)]
    pub client_reference_id: Option<String>,
    /// When it stops being payable.
    #[serde(default)]
    pub expires_at: Option<UnixTime>,
    /// When it was created.
    #[serde(default, deserialize_with = "lenient")]
    pub created: UnixTime,
    /// Our marks.
    #[serde(default, deserialize_with = "lenient")]
    pub metadata: Metadata,
}

/// A buyer at Stripe. A deleted one has almost nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Customer {
    /// `cus_..`
    pub id: String,
    /// It was deleted: it cannot pay any more.
    #[serde(default, deserialize_with = "lenient")]
    pub deleted: bool,
    /// When it was created.
    #[serde(default, deserialize_with = "lenient")]
    pub created: UnixTime,
    /// Contact, read at the moment of use.
    #[serde(default)]
    pub email: Option<Private>,
    /// Contact, read at the moment of use.
    #[serde(default)]
    pub name: Option<Private>,
    /// Contact, read at the moment of use.
    #[serde(default)]
    pub phone: Option<Private>,
    /// The saved default.
    #[serde(default, deserialize_with = "lenient")]
    pub invoice_settings: InvoiceSettings,
    /// Our marks.
    #[serde(default, deserialize_with = "lenient")]
    pub metadata: Metadata,
}

impl Customer {
    /// The id of the default payment method.
    pub fn default_payment_method(&self) -> Option<&str> {
        self.invoice_settings.default_payment_method.as_ref().map(Expandable::id)
    }
}

/// A customer's defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct InvoiceSettings {
    /// The method used unless another is named.
    #[serde(default)]
    pub default_payment_method: Option<Expandable<PaymentMethod>>,
}

/// A saved way to pay.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct PaymentMethod {
    /// `pm_..`
    pub id: String,
    /// `card`, ...
    #[serde(default, rename = "type", deserialize_with = "lenient")]
    pub kind: String,
    /// Whose it is; a method of one customer cannot pay for another.
    #[serde(default)]
    pub customer: Option<Expandable<Customer>>,
    /// When it was created.
    #[serde(default, deserialize_with = "lenient")]
    pub created: UnixTime,
    /// `always`, `limited`, `unspecified`.
    #[serde(default)]
    pub allow_redisplay: Option<String>,
    /// Present for cards.
    #[serde(default, deserialize_with = "or_absent")]
    pub card: Option<PaymentMethodCard>,
}

/// A saved card.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct PaymentMethodCard {
    /// `visa`, ...
    #[serde(default)]
    pub brand: Option<String>,
    /// The last four digits.
    #[serde(default)]
    pub last4: Option<Private>,
    /// Month of expiry.
    #[serde(default)]
    pub exp_month: Option<i64>,
    /// Year of expiry.
    #[serde(default)]
    pub exp_year: Option<i64>,
    /// The same card has the same fingerprint.
    #[serde(default)]
    pub fingerprint: Option<String>,
    /// `credit`, `debit`, ...
    #[serde(default)]
    pub funding: Option<String>,
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
named!(PaymentIntent, Charge, Session, Customer, PaymentMethod);
