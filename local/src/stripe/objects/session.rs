//! Checkout Sessions.

use serde::Serialize;
use serde_json::Value;

use super::{Metadata, Object};

/// A Checkout Session.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are Stripe's")]
pub struct Session {
    pub id: String,
    pub created: i64,
    pub amount_subtotal: i64,
    pub amount_total: i64,
    pub cancel_url: Option<String>,
    pub client_reference_id: Option<String>,
    pub currency: String,
    pub customer: Option<String>,
    pub customer_creation: Option<String>,
    pub customer_details: Option<Value>,
    pub customer_email: Option<String>,
    pub expires_at: i64,
    pub locale: Option<String>,
    pub metadata: Metadata,
    pub mode: String,
    pub payment_intent: Option<String>,
    pub payment_method_types: Vec<String>,
    pub payment_status: String,
    pub status: String,
    pub submit_type: Option<String>,
    pub success_url: Option<String>,
    pub url: Option<String>,
    #[serde(skip)]
    pub lines: Vec<Line>,
    /// What the intent will be made with, once the buyer pays.
    #[serde(skip)]
    pub intent_data: IntentData,
    /// What the page tells the buyer about the last attempt.
    #[serde(skip)]
    pub notice: Option<String>,
}

/// One line of a session.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are Stripe's")]
pub struct Line {
    pub id: String,
    pub price: String,
    pub product: String,
    pub name: String,
    pub quantity: i64,
    pub unit_amount: i64,
    pub created: i64,
}

/// `payment_intent_data` of a session.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the fields are Stripe's")]
pub struct IntentData {
    pub capture_method: Option<String>,
    pub description: Option<String>,
    pub metadata: Metadata,
    pub receipt_email: Option<String>,
    pub setup_future_usage: Option<String>,
    pub statement_descriptor_suffix: Option<String>,
    pub transfer_group: Option<String>,
}

impl Line {
    /// The shape on the wire.
    pub(crate) fn render(&self, currency: &str) -> Value {
        let total = self.unit_amount * self.quantity;
        serde_json::json!({
            "id": self.id,
            "object": "item",
            "adjustable_quantity": null,
            "amount_discount": 0,
            "amount_subtotal": total,
            "amount_tax": 0,
            "amount_total": total,
            "currency": currency,
            "description": self.name,
            "metadata": {},
            "price": {
                "id": self.price,
                "object": "price",
                "active": false,
                "billing_scheme": "per_unit",
                "created": self.created,
                "currency": currency,
                "custom_unit_amount": null,
                "livemode": false,
                "lookup_key": null,
                "metadata": {},
                "nickname": null,
                "product": self.product,
                "recurring": null,
                "tax_behavior": "unspecified",
                "tiers_mode": null,
                "transform_quantity": null,
                "type": "one_time",
                "unit_amount": self.unit_amount,
                "unit_amount_decimal": self.unit_amount.to_string(),
            },
            "quantity": self.quantity,
        })
    }
}

impl Object for Session {
    const NAME: &'static str = "checkout.session";
    fn id(&self) -> &str {
        &self.id
    }
    fn created(&self) -> i64 {
        self.created
    }
}
