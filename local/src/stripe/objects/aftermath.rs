//! What follows a charge: refunds, disputes, balance transactions, payouts, events and the endpoints that hear of them.

use serde::Serialize;
use serde_json::Value;

use super::{Metadata, Object};

/// A refund.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are Stripe's")]
pub struct Refund {
    pub id: String,
    pub created: i64,
    pub amount: i64,
    pub balance_transaction: Option<String>,
    pub charge: String,
    pub currency: String,
    pub customer: Option<String>,
    pub destination_details: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_balance_transaction: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions_email: Option<String>,
    pub metadata: Metadata,
    pub payment_intent: Option<String>,
    pub payment_method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_reason: Option<String>,
    pub reason: Option<String>,
    pub status: String,
    /// Lets go of an authorisation: no money moved.
    #[serde(skip)]
    pub release: bool,
}

/// A dispute.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are Stripe's")]
pub struct Dispute {
    pub id: String,
    pub created: i64,
    pub amount: i64,
    pub balance_transactions: Vec<Value>,
    pub charge: String,
    pub currency: String,
    pub evidence: Value,
    pub evidence_details: EvidenceDetails,
    pub is_charge_refundable: bool,
    pub metadata: Metadata,
    pub payment_intent: Option<String>,
    pub payment_method_details: Value,
    pub reason: String,
    pub status: String,
}

/// How far the answer to a dispute is.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are Stripe's")]
pub struct EvidenceDetails {
    pub due_by: Option<i64>,
    pub enhanced_eligibility: Value,
    pub has_evidence: bool,
    pub past_due: bool,
    pub submission_count: i64,
    pub submission_method: String,
}

/// One movement of the balance.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are Stripe's")]
pub struct BalanceTransaction {
    pub id: String,
    pub created: i64,
    pub amount: i64,
    pub available_on: i64,
    pub currency: String,
    pub description: Option<String>,
    pub fee: i64,
    pub fee_details: Vec<FeeDetail>,
    pub net: i64,
    pub reporting_category: String,
    pub source: Option<String>,
    pub status: String,
    #[serde(rename = "type")]
    pub kind: String,
    /// The payout that paid it out.
    #[serde(skip)]
    pub payout: Option<String>,
}

/// One part of a fee.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are Stripe's")]
pub struct FeeDetail {
    pub amount: i64,
    pub application: Option<String>,
    pub currency: String,
    pub description: Option<String>,
    #[serde(rename = "type")]
    pub kind: String,
}

/// A payout to the bank.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are Stripe's")]
pub struct Payout {
    pub id: String,
    pub created: i64,
    pub amount: i64,
    pub arrival_date: i64,
    pub automatic: bool,
    pub balance_transaction: Option<String>,
    pub currency: String,
    pub destination: Option<String>,
    pub failure_balance_transaction: Option<String>,
    pub failure_code: Option<String>,
    pub failure_message: Option<String>,
    pub metadata: Metadata,
    pub reconciliation_status: String,
    pub status: String,
}

/// An event. Its data never changes; only the count of open deliveries does.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are Stripe's")]
pub struct Event {
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    pub api_version: String,
    pub created: i64,
    pub data: Value,
    pub livemode: bool,
    pub pending_webhooks: i64,
    pub request: Value,
    #[serde(rename = "type")]
    pub kind: String,
}

/// A webhook endpoint. The secret is shown once, at creation.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are Stripe's")]
pub struct Endpoint {
    pub id: String,
    pub created: i64,
    pub api_version: Option<String>,
    pub description: Option<String>,
    pub enabled_events: Vec<String>,
    pub metadata: Metadata,
    pub status: String,
    pub url: String,
    /// Active signing secrets: several while one is rolled.
    #[serde(skip)]
    pub secrets: Vec<String>,
}

/// Says that a type is an object of the API.
macro_rules! object {
    ($($type:ty => $name:literal),+ $(,)?) => {$(
        impl Object for $type {
            const NAME: &'static str = $name;
            fn id(&self) -> &str {
                &self.id
            }
            fn created(&self) -> i64 {
                self.created
            }
        }
    )+};
}

object! {
    Refund => "refund",
    Dispute => "dispute",
    BalanceTransaction => "balance_transaction",
    Payout => "payout",
    Event => "event",
    Endpoint => "webhook_endpoint",
}
