//! The calls that only read: one object by its id, or a list.

use super::StripeClient;
use super::error::StripeError;
use super::form::{Form, segment};
use super::objects::{
    BalanceTransaction, Charge, Customer, Dispute, Event, PaymentIntent, PaymentMethod, Payout, Refund,
    Session,
};
use super::pages::Pages;
use crate::domain::time::UnixTime;

/// Stripe takes no more event types in one request.
const EVENT_TYPES: usize = 20;

/// A window of creation times; an open end is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Created {
    /// The first second in it.
    pub from: Option<UnixTime>,
    /// The first second after it.
    pub until: Option<UnixTime>,
}

impl Created {
    /// Everything.
    pub const ANY: Self = Self { from: None, until: None };

    /// Everything from here on.
    pub fn since(from: UnixTime) -> Self {
        Self { from: Some(from), until: None }
    }

    /// `from <= created < until`.
    pub fn between(from: UnixTime, until: UnixTime) -> Self {
        Self { from: Some(from), until: Some(until) }
    }

    fn on(self, form: Form) -> Form {
        form.opt("created[gte]", self.from).opt("created[lt]", self.until)
    }
}

impl StripeClient {
    /// An intent with its latest charge.
    pub async fn retrieve_intent(&self, id: &str) -> Result<PaymentIntent, StripeError> {
        let query = Form::new().list("expand", ["latest_charge"]);
        self.get_as(&query.on_path(&format!("/v1/payment_intents/{}", segment(id)))).await
    }

    /// A session with its intent and that intent's latest charge.
    pub async fn retrieve_session(&self, id: &str) -> Result<Session, StripeError> {
        let query = Form::new().list("expand", ["payment_intent.latest_charge"]);
        self.get_as(&query.on_path(&format!("/v1/checkout/sessions/{}", segment(id)))).await
    }

    /// A charge.
    pub async fn retrieve_charge(&self, id: &str) -> Result<Charge, StripeError> {
        self.get_as(&format!("/v1/charges/{}", segment(id))).await
    }

    /// A refund.
    pub async fn retrieve_refund(&self, id: &str) -> Result<Refund, StripeError> {
        self.get_as(&format!("/v1/refunds/{}", segment(id))).await
    }

    /// A dispute.
    pub async fn retrieve_dispute(&self, id: &str) -> Result<Dispute, StripeError> {
        self.get_as(&format!("/v1/disputes/{}", segment(id))).await
    }

    /// A customer. A deleted one is an answer too: see [`Customer::deleted`].
    pub async fn retrieve_customer(&self, id: &str) -> Result<Customer, StripeError> {
        self.get_as(&format!("/v1/customers/{}", segment(id))).await
    }

    /// A payment method.
    pub async fn retrieve_payment_method(&self, id: &str) -> Result<PaymentMethod, StripeError> {
        self.get_as(&format!("/v1/payment_methods/{}", segment(id))).await
    }

    /// An event, rendered as it was at its time.
    pub async fn retrieve_event(&self, id: &str) -> Result<Event, StripeError> {
        self.get_as(&format!("/v1/events/{}", segment(id))).await
    }

    /// A payout.
    pub async fn retrieve_payout(&self, id: &str) -> Result<Payout, StripeError> {
        self.get_as(&format!("/v1/payouts/{}", segment(id))).await
    }

    /// A ledger entry.
    pub async fn retrieve_balance_transaction(&self, id: &str) -> Result<BalanceTransaction, StripeError> {
        self.get_as(&format!("/v1/balance_transactions/{}", segment(id))).await
    }

    /// Every refund of a charge.
    pub fn list_refunds(&self, charge: &str) -> Pages<Refund> {
        Pages::new(self.clone(), "/v1/refunds", Form::new().set("charge", charge))
    }

    /// Refunds by their time of creation.
    pub fn list_refunds_created(&self, created: Created) -> Pages<Refund> {
        Pages::new(self.clone(), "/v1/refunds", created.on(Form::new()))
    }

    /// Charges of an intent (each confirmation is one), or of everybody.
    pub fn list_charges(&self, intent: Option<&str>, created: Created) -> Pages<Charge> {
        Pages::new(self.clone(), "/v1/charges", created.on(Form::new().opt("payment_intent", intent)))
    }

    /// Intents of a customer, or of everybody.
    pub fn list_intents(&self, customer: Option<&str>, created: Created) -> Pages<PaymentIntent> {
        Pages::new(self.clone(), "/v1/payment_intents", created.on(Form::new().opt("customer", customer)))
    }

    /// Sessions of a customer, or of everybody.
    pub fn list_sessions(&self, customer: Option<&str>, created: Created) -> Pages<Session> {
        Pages::new(self.clone(), "/v1/checkout/sessions", created.on(Form::new().opt("customer", customer)))
    }

    /// The sessions that an intent belongs to: at most one.
    pub fn list_sessions_of_intent(&self, intent: &str) -> Pages<Session> {
        Pages::new(self.clone(), "/v1/checkout/sessions", Form::new().set("payment_intent", intent))
    }

    /// Customers by address (exact, case-sensitive, not unique) and time of creation.
    pub fn list_customers(&self, email: Option<&str>, created: Created) -> Pages<Customer> {
        Pages::new(self.clone(), "/v1/customers", created.on(Form::new().opt("email", email)))
    }

    /// Disputes of a charge, or all.
    pub fn list_disputes(&self, charge: Option<&str>, created: Created) -> Pages<Dispute> {
        Pages::new(self.clone(), "/v1/disputes", created.on(Form::new().opt("charge", charge)))
    }

    /// Events since `from`, newest first, at most 30 days back. No type at all means every type; more than Stripe
    /// takes in one request are filtered here.
    pub fn list_events(&self, from: UnixTime, types: &[&str]) -> Pages<Event> {
        self.list_events_created(Created::since(from), types)
    }

    /// Events of a window, newest first; else as [`StripeClient::list_events`].
    pub fn list_events_created(&self, created: Created, types: &[&str]) -> Pages<Event> {
        let form = created.on(Form::new());
        if types.len() <= EVENT_TYPES {
            return Pages::new(self.clone(), "/v1/events", form.list("types", types.iter().copied()));
        }
        let types: Vec<String> = types.iter().map(|&name| name.to_owned()).collect();
        Pages::new(self.clone(), "/v1/events", form).keep(move |event: &Event| types.contains(&event.kind))
    }

    /// Ledger entries, of one payout or of a window. Sources are ids unless expanded.
    pub fn list_balance_transactions(
        &self,
        payout: Option<&str>,
        created: Created,
    ) -> Pages<BalanceTransaction> {
        Pages::new(self.clone(), "/v1/balance_transactions", created.on(Form::new().opt("payout", payout)))
    }

    /// Payouts by time of creation.
    pub fn list_payouts(&self, created: Created) -> Pages<Payout> {
        Pages::new(self.clone(), "/v1/payouts", created.on(Form::new()))
    }

    /// The saved methods of a customer.
    pub fn list_payment_methods(&self, customer: &str) -> Pages<PaymentMethod> {
        Pages::new(self.clone(), "/v1/payment_methods", Form::new().set("customer", customer))
    }
}
