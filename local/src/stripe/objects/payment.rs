//! Payment intents and the charges that their confirmations make.

use serde::Serialize;
use serde_json::Value;

use super::{BillingDetails, Metadata, Object};

/// Where an intent stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the states are Stripe's")]
pub enum IntentStatus {
    RequiresPaymentMethod,
    RequiresConfirmation,
    RequiresAction,
    Processing,
    RequiresCapture,
    Succeeded,
    Canceled,
}

impl IntentStatus {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::RequiresPaymentMethod => "requires_payment_method",
            Self::RequiresConfirmation => "requires_confirmation",
            Self::RequiresAction => "requires_action",
            Self::Processing => "processing",
            Self::RequiresCapture => "requires_capture",
            Self::Succeeded => "succeeded",
            Self::Canceled => "canceled",
        }
    }

    /// Whether no charge is made, authorised or under way yet.
    pub fn is_open(self) -> bool {
        matches!(self, Self::RequiresPaymentMethod | Self::RequiresConfirmation | Self::RequiresAction)
    }
}

/// A payment intent.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are Stripe's")]
pub struct PaymentIntent {
    pub id: String,
    pub created: i64,
    pub amount: i64,
    pub amount_capturable: i64,
    pub amount_received: i64,
    pub automatic_payment_methods: Option<Value>,
    pub allowed_payment_method_types: Option<Vec<String>>,
    pub excluded_payment_method_types: Option<Vec<String>>,
    pub payment_method_types: Vec<String>,
    pub canceled_at: Option<i64>,
    pub cancellation_reason: Option<String>,
    pub capture_method: String,
    pub client_secret: String,
    pub confirmation_method: String,
    pub currency: String,
    pub customer: Option<String>,
    pub description: Option<String>,
    pub last_payment_error: Option<Value>,
    pub latest_charge: Option<String>,
    pub metadata: Metadata,
    pub next_action: Option<Value>,
    pub payment_method: Option<String>,
    pub receipt_email: Option<String>,
    pub setup_future_usage: Option<String>,
    pub shipping: Option<Value>,
    pub statement_descriptor_suffix: Option<String>,
    pub status: IntentStatus,
    pub transfer_group: Option<String>,
    /// The Checkout Session that owns it, if one does.
    #[serde(skip)]
    pub session: Option<String>,
    /// Whether the confirmation under way was made without the buyer.
    #[serde(skip)]
    pub off_session: bool,
}

impl PaymentIntent {
    /// Whether a method that redirects the buyer away could be chosen.
    pub fn may_redirect(&self) -> bool {
        let enabled = self.automatic_payment_methods.as_ref();
        self.allowed_payment_method_types.is_none()
            && self.session.is_none()
            && enabled.and_then(|a| a.get("allow_redirects")).is_some_and(|r| r == "always")
    }
}

impl Object for PaymentIntent {
    const NAME: &'static str = "payment_intent";
    fn id(&self) -> &str {
        &self.id
    }
    fn created(&self) -> i64 {
        self.created
    }
}

/// A charge: one confirmation that reached the card network, good or bad.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are Stripe's")]
pub struct Charge {
    pub id: String,
    pub created: i64,
    pub amount: i64,
    pub amount_captured: i64,
    pub amount_refunded: i64,
    pub balance_transaction: Option<String>,
    pub billing_details: BillingDetails,
    pub captured: bool,
    pub currency: String,
    pub customer: Option<String>,
    pub description: Option<String>,
    pub disputed: bool,
    pub failure_code: Option<String>,
    pub failure_message: Option<String>,
    pub fraud_details: Value,
    pub metadata: Metadata,
    pub outcome: Value,
    pub paid: bool,
    pub payment_intent: Option<String>,
    pub payment_method: Option<String>,
    pub payment_method_details: Value,
    pub receipt_email: Option<String>,
    pub receipt_url: Option<String>,
    pub refunded: bool,
    pub shipping: Option<Value>,
    pub statement_descriptor_suffix: Option<String>,
    pub status: String,
    pub transfer_group: Option<String>,
    /// What was authorised and let go without being captured; counted in `amount_refunded` too.
    #[serde(skip)]
    pub released: i64,
}

impl Charge {
    /// What was captured and is not refunded (or about to be).
    pub fn refundable(&self) -> i64 {
        self.amount_captured - (self.amount_refunded - self.released)
    }
}

impl Object for Charge {
    const NAME: &'static str = "charge";
    fn id(&self) -> &str {
        &self.id
    }
    fn created(&self) -> i64 {
        self.created
    }
}
