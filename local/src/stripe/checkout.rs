//! What a buyer does on the hosted page: a session's life from open to complete or expired.
//!
//! Invariant: the intent is made when the buyer first pays, and nobody but the page confirms it.

use super::cards::TestCard;
use super::charging::Manner;
use super::error::ApiError;
use super::objects::{
    BillingDetails, CardFace, Customer, IntentStatus, Metadata, Object, PaymentIntent, PaymentMethod, Session,
};
use super::world::World;

/// What the buyer typed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Typed {
    pub(crate) number: String,
    pub(crate) exp: String,
    pub(crate) cvc: String,
    pub(crate) email: Option<String>,
}

impl World {
    /// The buyer presses Pay. An error is what the page says.
    pub(crate) fn pay_session(&mut self, session: &str, typed: &Typed) -> Result<(), String> {
        let Some(s) = self.sessions.get(session).filter(|s| s.status == "open").cloned() else {
            return Err("This page is no longer open.".into());
        };
        let card = super::cards::by_number(&typed.number).map_err(str::to_owned)?;
        let (month, year) = self.expiry(&typed.exp)?;
        if !typed.cvc.is_empty() && !(3..=4).contains(&typed.cvc.len()) {
            return Err("Your card's security code is incomplete.".into());
        }
        let email =
            typed.email.clone().or_else(|| s.customer_email.clone()).or_else(|| self.customer_email(&s));
        if let Some(row) = self.sessions.get_mut(session) {
            row.customer_details = Some(serde_json::json!({
                "address": null, "business_name": null, "email": email, "individual_name": null,
                "name": null, "phone": null, "tax_exempt": "none", "tax_ids": [],
            }));
        }
        if s.amount_total == 0 {
            self.finish_session(session, "no_payment_required");
            return Ok(());
        }
        let intent = self.session_intent(session, &s, email.clone());
        let details = BillingDetails { email, ..BillingDetails::default() };
        let method = self.new_method(card, details, month, year);
        self.confirm(&intent, &method, &Manner::default()).map_err(|e| e.message().to_owned())
    }

    fn customer_email(&self, s: &Session) -> Option<String> {
        s.customer.as_deref().and_then(|c| self.customers.get(c)).and_then(|c| c.email.clone())
    }

    /// `MM/YY`, `MMYY` or nothing (a date to come).
    fn expiry(&self, typed: &str) -> Result<(i64, i64), String> {
        let this_year = super::year_of(self.now());
        let digits: Vec<i64> = typed.chars().filter_map(|c| c.to_digit(10)).map(i64::from).collect();
        match digits[..] {
            [] => Ok((12, this_year + 4)),
            [a, b, c, d] => {
                let (month, year) = (a * 10 + b, 2000 + c * 10 + d);
                if !(1..=12).contains(&month) {
                    Err("Your card's expiration date is invalid.".into())
                } else if year < this_year {
                    Err("Your card's expiration year is in the past.".into())
                } else {
                    Ok((month, year))
                }
            }
            _ => Err("Your card's expiration date is incomplete.".into()),
        }
    }

    /// The intent of a session; made now if the buyer pays for the first time.
    fn session_intent(&mut self, session: &str, s: &Session, email: Option<String>) -> String {
        if let Some(intent) = &s.payment_intent {
            return intent.clone();
        }
        let wants =
            s.customer_creation.as_deref() == Some("always") || s.intent_data.setup_future_usage.is_some();
        let customer = match &s.customer {
            Some(c) => Some(c.clone()),
            None if wants => Some(self.new_customer(Customer { email, ..Customer::default() })),
            None => None,
        };
        let data = &s.intent_data;
        let mut intent = self.blank_intent(s.amount_total, &s.currency);
        intent.capture_method = data.capture_method.clone().unwrap_or_else(|| "automatic_async".into());
        intent.customer.clone_from(&customer);
        intent.description.clone_from(&data.description);
        intent.metadata = data.metadata.clone();
        intent.receipt_email.clone_from(&data.receipt_email);
        intent.setup_future_usage.clone_from(&data.setup_future_usage);
        intent.statement_descriptor_suffix.clone_from(&data.statement_descriptor_suffix);
        intent.transfer_group.clone_from(&data.transfer_group);
        intent.session = Some(session.to_owned());
        let id = self.add_intent(intent);
        if let Some(row) = self.sessions.get_mut(session) {
            row.payment_intent = Some(id.clone());
            row.customer = customer;
        }
        id
    }

    /// An intent with nothing but its amount.
    pub(crate) fn blank_intent(&mut self, amount: i64, currency: &str) -> PaymentIntent {
        let id = self.id("pi_3");
        let secret = format!("{id}_secret_{}", self.token(24));
        PaymentIntent {
            id,
            created: self.now(),
            amount,
            amount_capturable: 0,
            amount_received: 0,
            automatic_payment_methods: Some(
                serde_json::json!({ "enabled": true, "allow_redirects": "always" }),
            ),
            allowed_payment_method_types: None,
            excluded_payment_method_types: None,
            payment_method_types: vec!["card".into()],
            canceled_at: None,
            cancellation_reason: None,
            capture_method: "automatic_async".into(),
            client_secret: secret,
            confirmation_method: "automatic".into(),
            currency: currency.into(),
            customer: None,
            description: None,
            last_payment_error: None,
            latest_charge: None,
            metadata: Metadata::new(),
            next_action: None,
            payment_method: None,
            receipt_email: None,
            setup_future_usage: None,
            shipping: None,
            statement_descriptor_suffix: None,
            status: IntentStatus::RequiresPaymentMethod,
            transfer_group: None,
            session: None,
            off_session: false,
        }
    }

    /// Stores an intent and tells.
    pub(crate) fn add_intent(&mut self, intent: PaymentIntent) -> String {
        let id = intent.id.clone();
        self.intents.insert(intent);
        self.emit_intent("payment_intent.created", &id);
        id
    }

    /// Stores a customer and tells.
    pub(crate) fn new_customer(&mut self, mut customer: Customer) -> String {
        let id = self.id("cus_");
        customer.id.clone_from(&id);
        customer.created = self.now();
        customer.invoice_prefix = self.token(8).to_uppercase();
        self.customers.insert(customer);
        if let Some(object) = self.customers.get(&id).map(Object::render) {
            self.emit("customer.created", &object, None);
        }
        id
    }

    /// A payment method of a test card.
    pub(crate) fn new_method(
        &mut self,
        card: &'static TestCard,
        details: BillingDetails,
        month: i64,
        year: i64,
    ) -> String {
        let id = self.id("pm_1");
        let sepa = card.brand == "sepa_debit";
        let last4 = card.number.get(card.number.len().saturating_sub(4)..).unwrap_or_default().to_owned();
        let cvc = if card.token == "cvcCheckFail" { "fail" } else { "pass" };
        let face = CardFace {
            brand: card.brand.into(),
            country: card.country.into(),
            display_brand: card.brand.into(),
            exp_month: month,
            exp_year: year,
            fingerprint: fingerprint(card),
            funding: card.funding.into(),
            last4: last4.clone(),
            networks: serde_json::json!({ "available": [card.brand], "preferred": null }),
            checks: serde_json::json!({ "address_line1_check": null, "address_postal_code_check": null, "cvc_check": cvc }),
        };
        let account = serde_json::json!({
            "bank_code": "19043", "branch_code": "", "country": card.country, "fingerprint": "SepaTestFingerprint",
            "generated_from": null, "last4": last4,
        });
        self.methods.insert(PaymentMethod {
            id: id.clone(),
            created: self.now(),
            kind: if sepa { "sepa_debit" } else { "card" }.into(),
            allow_redisplay: "unspecified".into(),
            billing_details: details,
            customer: None,
            card: (!sepa).then_some(face),
            sepa_debit: sepa.then_some(account),
            metadata: Metadata::new(),
            test: card,
            consumed: false,
            set_up: false,
        });
        id
    }

    /// The session of an intent that has just been paid, authorised or put under way is complete.
    pub(crate) fn complete_session(&mut self, intent: &str) {
        let Some(i) = self.intents.get(intent) else { return };
        let Some(session) = i.session.clone() else { return };
        // An authorisation or a debit under way is not paid yet.
        let status = if i.status == IntentStatus::Succeeded { "paid" } else { "unpaid" };
        if self.sessions.get(&session).is_some_and(|s| s.status == "open") {
            self.finish_session(&session, status);
        }
    }

    fn finish_session(&mut self, session: &str, payment_status: &str) {
        if let Some(row) = self.sessions.get_mut(session) {
            row.status = "complete".into();
            row.payment_status = payment_status.into();
            row.url = None;
            row.notice = None;
        }
        self.emit_session("checkout.session.completed", session);
    }

    /// A debit that began on the page has ended.
    pub(crate) fn settle_session(&mut self, intent: &str, good: bool) {
        let Some(session) = self.intents.get(intent).and_then(|i| i.session.clone()) else { return };
        if let Some(row) = self.sessions.get_mut(&session)
            && good
        {
            row.payment_status = "paid".into();
        }
        let kind = if good {
            "checkout.session.async_payment_succeeded"
        } else {
            "checkout.session.async_payment_failed"
        };
        self.emit_session(kind, &session);
    }

    /// Closes an open session for ever, with its intent.
    pub(crate) fn expire_session(&mut self, session: &str) -> Result<(), ApiError> {
        let Some(row) = self.sessions.get_mut(session) else {
            return Err(ApiError::missing("checkout.session", session));
        };
        if row.status != "open" {
            let text = format!(
                "Only Checkout Sessions with a status in [\"open\"] can be expired. This Checkout Session has a status of {}.",
                row.status
            );
            return Err(ApiError::bad_request(&text).executed());
        }
        row.status = "expired".into();
        row.url = None;
        let intent = row.payment_intent.clone();
        if let Some(intent) = intent
            && self.intents.get(&intent).is_some_and(|i| i.status.is_open())
        {
            self.cancel(&intent, Some("automatic"));
        }
        self.emit_session("checkout.session.expired", session);
        Ok(())
    }
}

/// The same for every payment method of one test card.
fn fingerprint(card: &TestCard) -> String {
    use sha2::Digest as _;
    hex::encode(sha2::Sha256::digest(card.number)).chars().take(16).collect()
}
