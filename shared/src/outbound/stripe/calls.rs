//! The calls that change something, as pure builders: path and bytes, to be stored before they are sent.
//!
//! Invariant: the same arguments give the same bytes. `payment_method_types` is never sent (Stripe refuses it), an
//! intent is never created confirmed.

use std::fmt;

use bytes::Bytes;

use super::form::{Form, segment};
use super::objects::{CaptureMethod, Metadata};
use crate::domain::time::UnixTime;

/// Metadata: the order's key.
pub const TANDEM_ORDER: &str = "tandem_order";
/// Metadata: the number of the order's attempt.
pub const TANDEM_ATTEMPT: &str = "tandem_attempt";
/// Metadata: the request that asked for it (a refund's, a customer creation's).
pub const TANDEM_REQUEST: &str = "tandem_request";

/// A POST that is ready to be stored and sent.
#[derive(Clone, PartialEq, Eq)]
pub struct StripeCall {
    /// Begins with `/v1/`.
    pub path: String,
    /// The encoded form.
    pub body: String,
}

impl StripeCall {
    /// Any POST of Stripe's first version of the API.
    pub fn new(path: impl Into<String>, form: &Form) -> Self {
        Self { path: path.into(), body: form.encode() }
    }

    /// The body's bytes.
    pub fn bytes(&self) -> Bytes {
        Bytes::copy_from_slice(self.body.as_bytes())
    }
}

impl fmt::Debug for StripeCall {
    /// Without the body: it may hold contact data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StripeCall").field("path", &self.path).field("bytes", &self.body.len()).finish()
    }
}

/// Our marks on an object. The map is ordered, so the bytes are stable.
pub fn marks(order: Option<&str>, attempt: Option<u32>, request: Option<&str>) -> Metadata {
    [
        (TANDEM_ORDER, order.map(str::to_owned)),
        (TANDEM_ATTEMPT, attempt.map(|n| n.to_string())),
        (TANDEM_REQUEST, request.map(str::to_owned)),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key.to_owned(), value?)))
    .collect()
}

fn with_metadata(form: Form, metadata: &Metadata) -> Form {
    metadata.iter().fold(form, |form, (key, value)| form.set(format!("metadata[{key}]"), value))
}

/// A postal address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PostalAddress {
    /// First line.
    pub line1: Option<String>,
    /// Second line.
    pub line2: Option<String>,
    /// City.
    pub city: Option<String>,
    /// State or province.
    pub state: Option<String>,
    /// Postal code.
    pub postal_code: Option<String>,
    /// Two-letter code.
    pub country: Option<String>,
}

/// A new customer. Its bytes are contact data.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CreateCustomer {
    /// E-mail address.
    pub email: Option<String>,
    /// Full name.
    pub name: Option<String>,
    /// Telephone number.
    pub phone: Option<String>,
    /// Postal address.
    pub address: Option<PostalAddress>,
    /// Preferred languages, best first.
    pub locales: Vec<String>,
    /// Our marks; they name the customer, not an order.
    pub metadata: Metadata,
}

impl CreateCustomer {
    /// The call.
    pub fn call(&self) -> StripeCall {
        let mut form = Form::new()
            .opt("email", self.email.as_ref())
            .opt("name", self.name.as_ref())
            .opt("phone", self.phone.as_ref());
        if let Some(address) = &self.address {
            let inner = Form::new()
                .opt("line1", address.line1.as_ref())
                .opt("line2", address.line2.as_ref())
                .opt("city", address.city.as_ref())
                .opt("state", address.state.as_ref())
                .opt("postal_code", address.postal_code.as_ref())
                .opt("country", address.country.as_ref());
            form = form.nest("address", inner);
        }
        form = form.list("preferred_locales", &self.locales);
        StripeCall::new("/v1/customers", &with_metadata(form, &self.metadata))
    }
}

/// Who pays on a session.
#[derive(Clone, PartialEq, Eq)]
pub enum Buyer {
    /// A customer at Stripe.
    Customer(String),
    /// Only an address to fill in: contact data.
    Email(String),
    /// The page asks.
    Unknown,
}

/// One line of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionLine {
    /// What the buyer reads.
    pub name: String,
    /// In Stripe's minor units of the session's currency.
    pub unit_amount: i64,
    /// How many.
    pub quantity: u32,
}

/// A new hosted payment page.
#[derive(Clone, PartialEq, Eq)]
pub struct CreateSession {
    /// Lower-case ISO code.
    pub currency: String,
    /// What is paid for; at most 100.
    pub lines: Vec<SessionLine>,
    /// Who pays.
    pub buyer: Buyer,
    /// Where the buyer goes after paying.
    pub success_url: String,
    /// Where the buyer goes on giving up.
    pub cancel_url: Option<String>,
    /// 30 minutes to 24 hours after creation. Fixed when built, so that the bytes stay the same.
    pub expires_at: Option<UnixTime>,
    /// The page's language.
    pub locale: Option<String>,
    /// Our reference, at most 200 characters.
    pub client_reference_id: Option<String>,
    /// When the money is captured; `None` leaves it to Stripe.
    pub capture_method: Option<CaptureMethod>,
    /// Keep the method for later charges without the buyer.
    pub save_for_off_session: bool,
    /// Our marks, on the session and on its intent.
    pub metadata: Metadata,
}

impl CreateSession {
    /// The call.
    pub fn call(&self) -> StripeCall {
        let lines = self.lines.iter().map(|line| {
            let price = Form::new()
                .set("currency", &self.currency)
                .set("unit_amount", line.unit_amount)
                .set("product_data[name]", &line.name);
            Form::new().nest("price_data", price).set("quantity", line.quantity)
        });
        let mut form = Form::new()
            .set("mode", "payment")
            .set("success_url", &self.success_url)
            .opt("cancel_url", self.cancel_url.as_ref())
            .opt("expires_at", self.expires_at)
            .opt("locale", self.locale.as_ref())
            .opt("client_reference_id", self.client_reference_id.as_ref())
            .each("line_items", lines);
        form = match &self.buyer {
            Buyer::Customer(id) => form.set("customer", id),
            Buyer::Email(email) => form.set("customer_email", email),
            Buyer::Unknown => form,
        };
        let intent = Form::new()
            .opt("capture_method", self.capture_method.as_ref().map(CaptureMethod::as_str))
            .opt("setup_future_usage", self.save_for_off_session.then_some("off_session"));
        form = form.nest("payment_intent_data", with_metadata(intent, &self.metadata));
        StripeCall::new("/v1/checkout/sessions", &with_metadata(form, &self.metadata))
    }
}

/// A new intent on a saved method; it is confirmed by a call of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateIntent {
    /// In Stripe's minor units.
    pub amount: i64,
    /// Lower-case ISO code.
    pub currency: String,
    /// Whose method it is.
    pub customer: Option<String>,
    /// The saved method.
    pub payment_method: Option<String>,
    /// When the money is captured; `None` leaves it to Stripe.
    pub capture_method: Option<CaptureMethod>,
    /// What the buyer may read.
    pub description: Option<String>,
    /// Our marks.
    pub metadata: Metadata,
}

impl CreateIntent {
    /// The call.
    pub fn call(&self) -> StripeCall {
        let form = Form::new()
            .set("amount", self.amount)
            .set("currency", &self.currency)
            .opt("customer", self.customer.as_ref())
            .opt("payment_method", self.payment_method.as_ref())
            .opt("capture_method", self.capture_method.as_ref().map(CaptureMethod::as_str))
            .opt("description", self.description.as_ref())
            .set("automatic_payment_methods[enabled]", true)
            // Nobody is there to follow a redirect.
            .set("automatic_payment_methods[allow_redirects]", "never");
        StripeCall::new("/v1/payment_intents", &with_metadata(form, &self.metadata))
    }
}

/// Confirms a stored intent without the buyer.
pub fn confirm(intent: &str, payment_method: &str) -> StripeCall {
    let form = Form::new().set("payment_method", payment_method).set("off_session", true);
    StripeCall::new(format!("/v1/payment_intents/{}/confirm", segment(intent)), &form)
}

/// Captures an authorised intent: all of it, or `amount` with the rest released.
pub fn capture(intent: &str, amount: Option<i64>) -> StripeCall {
    let form = Form::new().opt("amount_to_capture", amount);
    StripeCall::new(format!("/v1/payment_intents/{}/capture", segment(intent)), &form)
}

/// Cancels an intent. `reason`: `abandoned`, `duplicate`, `fraudulent`, `requested_by_customer`.
pub fn cancel_intent(intent: &str, reason: Option<&str>) -> StripeCall {
    let form = Form::new().opt("cancellation_reason", reason);
    StripeCall::new(format!("/v1/payment_intents/{}/cancel", segment(intent)), &form)
}

/// Ends an open session.
pub fn expire_session(session: &str) -> StripeCall {
    StripeCall::new(format!("/v1/checkout/sessions/{}/expire", segment(session)), &Form::new())
}

/// What a refund refunds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefundOf {
    /// One charge: the exact form.
    Charge(String),
    /// The successful charge of an intent.
    Intent(String),
}

/// A new refund. The amount is always said: "all that is left" would depend on the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateRefund {
    /// What is refunded.
    pub of: RefundOf,
    /// In Stripe's minor units of the charge's currency.
    pub amount: i64,
    /// `duplicate`, `fraudulent` (also blocks the card), `requested_by_customer`.
    pub reason: Option<String>,
    /// Our marks.
    pub metadata: Metadata,
}

impl CreateRefund {
    /// The call.
    pub fn call(&self) -> StripeCall {
        let form = match &self.of {
            RefundOf::Charge(id) => Form::new().set("charge", id),
            RefundOf::Intent(id) => Form::new().set("payment_intent", id),
        };
        let form = form.set("amount", self.amount).opt("reason", self.reason.as_ref());
        StripeCall::new("/v1/refunds", &with_metadata(form, &self.metadata))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_marks_itself_and_its_intent() {
        let call = CreateSession {
            currency: "eur".to_owned(),
            lines: vec![SessionLine { name: "Mug".to_owned(), unit_amount: 500, quantity: 2 }],
            buyer: Buyer::Customer("cus_1".to_owned()),
            success_url: "https://shop.test/ok".to_owned(),
            cancel_url: None,
            expires_at: Some(UnixTime(1_800_000_000)),
            locale: None,
            client_reference_id: Some("A-1".to_owned()),
            capture_method: Some(CaptureMethod::Manual),
            save_for_off_session: true,
            metadata: marks(Some("t#checkout#shop#A-1"), Some(1), None),
        }
        .call();
        assert_eq!(call.path, "/v1/checkout/sessions");
        assert_eq!(
            call.body,
            "mode=payment&success_url=https%3A%2F%2Fshop.test%2Fok&expires_at=1800000000&client_reference_id=A-1\
             &line_items[0][price_data][currency]=eur&line_items[0][price_data][unit_amount]=500\
             &line_items[0][price_data][product_data][name]=Mug&line_items[0][quantity]=2&customer=cus_1\
             &payment_intent_data[capture_method]=manual&payment_intent_data[setup_future_usage]=off_session\
             &payment_intent_data[metadata][tandem_attempt]=1\
             &payment_intent_data[metadata][tandem_order]=t%23checkout%23shop%23A-1\
             &metadata[tandem_attempt]=1&metadata[tandem_order]=t%23checkout%23shop%23A-1"
        );
    }

    #[test]
    fn an_intent_is_created_unconfirmed() {
        let call = CreateIntent {
            amount: 1000,
            currency: "jpy".to_owned(),
            customer: Some("cus_1".to_owned()),
            payment_method: Some("pm_1".to_owned()),
            capture_method: None,
            description: None,
            metadata: Metadata::new(),
        }
        .call();
        assert_eq!(
            call.body,
            "amount=1000&currency=jpy&customer=cus_1&payment_method=pm_1\
             &automatic_payment_methods[enabled]=true&automatic_payment_methods[allow_redirects]=never"
        );
    }

    #[test]
    fn short_calls_name_their_object_in_the_path() {
        assert_eq!(confirm("pi_1", "pm_1").body, "payment_method=pm_1&off_session=true");
        assert_eq!(confirm("pi_1", "pm_1").path, "/v1/payment_intents/pi_1/confirm");
        assert_eq!(capture("pi_1", None).body, "");
        assert_eq!(capture("pi_1", Some(5)).body, "amount_to_capture=5");
        assert_eq!(cancel_intent("pi_1", Some("abandoned")).body, "cancellation_reason=abandoned");
        assert_eq!(expire_session("cs_1").path, "/v1/checkout/sessions/cs_1/expire");
    }

    #[test]
    fn a_refund_says_its_amount_and_its_request() {
        let refund = CreateRefund {
            of: RefundOf::Charge("ch_1".to_owned()),
            amount: 300,
            reason: None,
            metadata: marks(Some("o"), None, Some("r1")),
        };
        assert_eq!(
            refund.call().body,
            "charge=ch_1&amount=300&metadata[tandem_order]=o&metadata[tandem_request]=r1"
        );
    }

    #[test]
    fn a_customer_call_never_shows_its_bytes() {
        let call = CreateCustomer {
            email: Some("buyer@example.test".to_owned()),
            address: Some(PostalAddress { country: Some("DE".to_owned()), ..PostalAddress::default() }),
            locales: vec!["de".to_owned()],
            ..CreateCustomer::default()
        }
        .call();
        assert_eq!(call.body, "email=buyer%40example.test&address[country]=DE&preferred_locales[0]=de");
        assert!(!format!("{call:?}").contains("buyer"));
    }
}
