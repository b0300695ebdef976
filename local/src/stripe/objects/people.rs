//! Customers and their payment methods.

use serde::Serialize;
use serde_json::Value;

use super::{Metadata, Object};
use crate::stripe::cards::TestCard;

/// A customer.
#[derive(Clone, Debug, Default, Serialize)]
#[expect(missing_docs, reason = "the fields are Stripe's")]
pub struct Customer {
    pub id: String,
    pub created: i64,
    pub email: Option<String>,
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub individual_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub business_name: Option<String>,
    pub phone: Option<String>,
    pub description: Option<String>,
    pub address: Option<Value>,
    pub shipping: Option<Value>,
    pub balance: i64,
    pub preferred_locales: Vec<String>,
    pub invoice_prefix: String,
    pub invoice_settings: InvoiceSettings,
    pub metadata: Metadata,
    /// Deleted customers stay retrievable, almost empty.
    #[serde(skip)]
    pub deleted: bool,
}

/// The part of a customer's invoice settings that lives.
#[derive(Clone, Debug, Default, Serialize)]
#[expect(missing_docs, reason = "the fields are Stripe's")]
pub struct InvoiceSettings {
    pub default_payment_method: Option<String>,
}

impl Object for Customer {
    const NAME: &'static str = "customer";
    fn id(&self) -> &str {
        &self.id
    }
    fn created(&self) -> i64 {
        self.created
    }
    fn render(&self) -> Value {
        if self.deleted {
            return serde_json::json!({ "id": self.id, "object": Self::NAME, "deleted": true });
        }
        self.shaped()
    }
}

/// Who pays, as typed at payment.
#[derive(Clone, Debug, Default, Serialize)]
#[expect(missing_docs, reason = "the fields are Stripe's")]
pub struct BillingDetails {
    pub address: Option<Value>,
    pub email: Option<String>,
    pub name: Option<String>,
    pub phone: Option<String>,
    pub tax_id: Option<String>,
}

/// A payment method: a card, or a SEPA account for payments that settle later.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are Stripe's")]
pub struct PaymentMethod {
    pub id: String,
    pub created: i64,
    #[serde(rename = "type")]
    pub kind: String,
    pub allow_redisplay: String,
    pub billing_details: BillingDetails,
    pub customer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card: Option<CardFace>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sepa_debit: Option<Value>,
    pub metadata: Metadata,
    /// Which test card it is: decides what happens when it is charged.
    #[serde(skip)]
    pub test: &'static TestCard,
    /// Used or detached without a customer: it cannot be used again.
    #[serde(skip)]
    pub consumed: bool,
    /// Authenticated once for later off-session use.
    #[serde(skip)]
    pub set_up: bool,
}

/// What a card shows.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are Stripe's")]
pub struct CardFace {
    pub brand: String,
    pub country: String,
    pub display_brand: String,
    pub exp_month: i64,
    pub exp_year: i64,
    pub fingerprint: String,
    pub funding: String,
    pub last4: String,
    pub networks: Value,
    pub checks: Value,
}

impl PaymentMethod {
    /// The card's fingerprint, the same for every payment method of one card.
    pub fn fingerprint(&self) -> Option<&str> {
        self.card.as_ref().map(|c| c.fingerprint.as_str())
    }
}

impl Object for PaymentMethod {
    const NAME: &'static str = "payment_method";
    fn id(&self) -> &str {
        &self.id
    }
    fn created(&self) -> i64 {
        self.created
    }
    fn render(&self) -> Value {
        let mut shape = self.shaped();
        if self.card.is_none()
            && let Some(map) = shape.as_object_mut()
        {
            map.remove("card");
        }
        shape
    }
}
