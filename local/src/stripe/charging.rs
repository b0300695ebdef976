//! Confirming, authenticating, capturing and cancelling: the status machine of an intent.
//!
//! Invariant: every confirmation that reaches the network makes one charge of its own; an intent has at most one
//! successful charge.

use serde_json::{Value, json};

use super::cards::{Behaviour, Decline, Reason};
use super::error::ApiError;
use super::money;
use super::objects::{Charge, IntentStatus, Metadata, Object, PaymentIntent, PaymentMethod};
use super::world::{Booking, Later, World};
use super::{CardOutcome, SEVEN_DAYS};

/// How long an asynchronous capture is without its balance transaction.
const SETTLING: i64 = 2;
/// How long a bank debit is under way.
const DEBIT: i64 = 180;
/// How soon a disputing card disputes.
const DISPUTE: i64 = 1;
/// When captured money is available.
const AVAILABLE: i64 = 2 * 86_400;

/// How a confirmation is made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Manner {
    pub(crate) off_session: bool,
    pub(crate) fail_on_action: bool,
    pub(crate) return_url: Option<String>,
}

/// What the issuer says to one attempt.
enum Verdict {
    Approve,
    Decline(Reason),
    Authenticate,
    Debit(bool),
}

impl World {
    /// Tries to pay an open intent with a method. The error is the 402; the intent shows it too.
    pub(crate) fn confirm(&mut self, intent: &str, method: &str, manner: &Manner) -> Result<(), ApiError> {
        let Some(pm) = self.methods.get(method).cloned() else {
            return Err(ApiError::missing_param("PaymentMethod", "payment_method", method));
        };
        if let Some(i) = self.intents.get_mut(intent) {
            i.payment_method = Some(pm.id.clone());
            i.next_action = None;
            i.last_payment_error = None;
            i.off_session = manner.off_session;
        }
        match self.verdict(&pm, manner.off_session) {
            Verdict::Approve => self.approve(intent, &pm),
            Verdict::Decline(reason) => Err(self.decline(intent, &pm, reason)),
            Verdict::Authenticate if manner.off_session || manner.fail_on_action => {
                Err(self.decline(intent, &pm, Reason::AuthenticationRequired))
            }
            Verdict::Authenticate => {
                self.ask_buyer(intent, manner.return_url.as_deref());
                Ok(())
            }
            Verdict::Debit(good) => {
                self.start_debit(intent, &pm, good);
                Ok(())
            }
        }
    }

    fn verdict(&mut self, pm: &PaymentMethod, off_session: bool) -> Verdict {
        let names = [Some(pm.id.as_str()), pm.fingerprint()];
        for name in names.into_iter().flatten() {
            if let Some(next) = self.scripts.get_mut(name).and_then(std::collections::VecDeque::pop_front) {
                return match next {
                    CardOutcome::Succeed => Verdict::Approve,
                    CardOutcome::Decline(reason) => Verdict::Decline(reason),
                    CardOutcome::RequireAuthentication => Verdict::Authenticate,
                };
            }
        }
        match pm.test.behaviour {
            Behaviour::Decline(reason) => Verdict::Decline(reason),
            Behaviour::AttachThenDecline => Verdict::Decline(Reason::Generic),
            Behaviour::Blocked => Verdict::Decline(Reason::Blocked),
            Behaviour::Authenticate | Behaviour::AuthenticateThenDecline(_) => Verdict::Authenticate,
            Behaviour::AuthenticateUnlessSetUp if !(off_session && pm.set_up) => Verdict::Authenticate,
            Behaviour::AuthenticateOnSession if !off_session => Verdict::Authenticate,
            Behaviour::SettlesLater => Verdict::Debit(true),
            Behaviour::FailsLater => Verdict::Debit(false),
            _ => Verdict::Approve,
        }
    }

    /// The buyer has to act: `requires_action`.
    fn ask_buyer(&mut self, intent: &str, return_url: Option<&str>) {
        let url = format!("{}/c/authenticate/{intent}", self.options.base_url);
        if let Some(i) = self.intents.get_mut(intent) {
            i.status = IntentStatus::RequiresAction;
            i.next_action = Some(json!({
                "type": "redirect_to_url",
                "redirect_to_url": { "url": url, "return_url": return_url },
            }));
        }
        self.emit_intent("payment_intent.requires_action", intent);
    }

    /// The buyer authenticated, or failed to.
    pub(crate) fn authenticate(&mut self, intent: &str, passed: bool) -> Result<(), ApiError> {
        let Some(found) = self.intents.get_mut(intent).filter(|i| i.status == IntentStatus::RequiresAction)
        else {
            return Err(ApiError::state("payment_intent_unexpected_state", "Nothing waits for the buyer."));
        };
        found.next_action = None;
        let method = found.payment_method.clone().unwrap_or_default();
        let Some(pm) = self.methods.get(&method).cloned() else {
            return Err(ApiError::missing_param("PaymentMethod", "payment_method", &method));
        };
        if !passed {
            let decline = Decline {
                code: "payment_intent_authentication_failure",
                decline_code: None,
                advice: None,
                network: None,
                message: "We are unable to authenticate your payment method. Please choose a different payment method and try again.",
            };
            return Err(self.failed(intent, &pm, &decline, None, "invalid_request_error"));
        }
        match pm.test.behaviour {
            Behaviour::AuthenticateThenDecline(reason) => Err(self.decline(intent, &pm, reason)),
            _ => self.approve(intent, &pm),
        }
    }

    /// The issuer says yes.
    fn approve(&mut self, intent: &str, pm: &PaymentMethod) -> Result<(), ApiError> {
        let Some(i) = self.intents.get(intent).cloned() else {
            return Err(ApiError::missing("payment_intent", intent));
        };
        let manual = i.capture_method == "manual";
        let id = self.new_charge(&i, pm, None);
        if let Some(charge) = self.charges.get_mut(&id) {
            charge.captured = !manual;
            charge.amount_captured = if manual { 0 } else { charge.amount };
        }
        self.keep_method(&i, pm);
        if let Some(open) = self.intents.get_mut(intent) {
            open.latest_charge = Some(id.clone());
            open.status = if manual { IntentStatus::RequiresCapture } else { IntentStatus::Succeeded };
            open.amount_capturable = if manual { open.amount } else { 0 };
            open.amount_received = if manual { 0 } else { open.amount };
        }
        if manual {
            self.emit_charge("charge.succeeded", &id);
            self.emit_intent("payment_intent.amount_capturable_updated", intent);
            let until = capture_before(i.off_session, pm.test.brand);
            self.plan(until, Later::ExpireHold(id.clone()));
        } else {
            self.book_capture(&id, &i.capture_method);
            self.emit_charge("charge.succeeded", &id);
            self.emit_intent("payment_intent.succeeded", intent);
        }
        self.after_success(&id, pm.test.behaviour);
        self.complete_session(intent);
        Ok(())
    }

    /// Saves the method on the customer if the intent says so; a method that stays loose is used up.
    fn keep_method(&mut self, intent: &PaymentIntent, pm: &PaymentMethod) {
        let off_session = intent.setup_future_usage.as_deref() == Some("off_session");
        let attach =
            intent.setup_future_usage.is_some() && pm.customer.is_none() && intent.customer.is_some();
        if let Some(row) = self.methods.get_mut(&pm.id) {
            row.set_up |= off_session;
            if attach {
                row.customer.clone_from(&intent.customer);
                row.allow_redisplay = "limited".into();
            }
            row.consumed = row.customer.is_none();
        }
        if attach && let Some(object) = self.methods.get(&pm.id).map(Object::render) {
            self.emit("payment_method.attached", &object, None);
        }
    }

    /// Money comes in: at once, or a moment later when the capture is asynchronous.
    fn book_capture(&mut self, charge: &str, capture_method: &str) {
        if capture_method == "automatic_async" {
            self.plan(SETTLING, Later::Settle(charge.to_owned()));
        } else {
            self.charge_transaction(charge);
        }
    }

    fn charge_transaction(&mut self, charge: &str) {
        let Some(c) = self.charges.get(charge).cloned() else { return };
        let txn = self.book(Booking {
            amount: c.amount_captured,
            fee: money::fee(c.amount_captured, &c.currency),
            currency: &c.currency,
            kind: "charge",
            category: "charge",
            source: &c.id,
            description: c.description.as_deref(),
            available_after: AVAILABLE,
        });
        if let Some(row) = self.charges.get_mut(charge) {
            row.balance_transaction = Some(txn);
        }
    }

    /// An asynchronous capture has settled.
    pub(crate) fn settle(&mut self, charge: &str) {
        self.charge_transaction(charge);
        if let Some(object) = self.charges.get(charge).map(Object::render) {
            self.emit("charge.updated", &object, Some(json!({ "balance_transaction": null })));
        }
    }

    fn after_success(&mut self, charge: &str, behaviour: Behaviour) {
        let (reason, inquiry) = match behaviour {
            Behaviour::Dispute(reason) => (reason, false),
            Behaviour::Inquiry => ("fraudulent", true),
            _ => return,
        };
        self.plan(DISPUTE, Later::OpenDispute { charge: charge.to_owned(), reason: reason.into(), inquiry });
    }

    /// The issuer (or Radar) says no: a failed charge, and the intent back where a method is needed.
    fn decline(&mut self, intent: &str, pm: &PaymentMethod, reason: Reason) -> ApiError {
        let decline = reason.decline();
        let Some(i) = self.intents.get(intent).cloned() else {
            return ApiError::missing("payment_intent", intent);
        };
        let id = self.new_charge(&i, pm, Some((&decline, reason == Reason::Blocked)));
        if let Some(open) = self.intents.get_mut(intent) {
            open.latest_charge = Some(id.clone());
        }
        self.emit_charge("charge.failed", &id);
        self.failed(intent, pm, &decline, Some(&id), "card_error")
    }

    /// Puts the intent back to `requires_payment_method` with the error, and returns the error.
    fn failed(
        &mut self,
        intent: &str,
        pm: &PaymentMethod,
        decline: &Decline,
        charge: Option<&str>,
        kind: &str,
    ) -> ApiError {
        let method = self.methods.get(&pm.id).map(Object::render).unwrap_or_default();
        let mut error =
            decline.onto(ApiError::card(decline.message)).with("type", kind).with("payment_method", method);
        if let Some(charge) = charge {
            error = error.with("charge", charge);
        }
        if let Some(open) = self.intents.get_mut(intent) {
            open.status = IntentStatus::RequiresPaymentMethod;
            open.payment_method = None;
            open.next_action = None;
            open.last_payment_error = error.body().get("error").cloned();
        }
        self.emit_intent("payment_intent.payment_failed", intent);
        match self.intents.get(intent).map(Object::render) {
            Some(shape) => error.with("payment_intent", shape),
            None => error,
        }
    }

    /// A charge of the intent's amount; `refusal` makes it a failed one.
    fn new_charge(
        &mut self,
        intent: &PaymentIntent,
        pm: &PaymentMethod,
        refusal: Option<(&Decline, bool)>,
    ) -> String {
        let id = self.id("ch_3");
        let hold = (refusal.is_none() && intent.capture_method == "manual")
            .then(|| self.now() + capture_before(intent.off_session, pm.test.brand));
        let outcome = match refusal {
            Some((decline, blocked)) => decline.outcome(blocked),
            None => json!({
                "advice_code": null, "network_advice_code": null, "network_decline_code": null,
                "network_status": "approved_by_network", "reason": null, "risk_level": "normal",
                "seller_message": "Payment complete.", "type": "authorized",
            }),
        };
        let receipt = format!("{}/receipts/{id}", self.options.base_url);
        self.charges.insert(Charge {
            id: id.clone(),
            created: self.now(),
            amount: intent.amount,
            amount_captured: 0,
            amount_refunded: 0,
            balance_transaction: None,
            billing_details: pm.billing_details.clone(),
            captured: false,
            currency: intent.currency.clone(),
            customer: intent.customer.clone(),
            description: intent.description.clone(),
            disputed: false,
            failure_code: refusal.map(|(d, _)| d.code.to_owned()),
            failure_message: refusal.map(|(d, _)| d.message.to_owned()),
            fraud_details: json!({}),
            metadata: intent.metadata.clone(),
            outcome,
            paid: refusal.is_none(),
            payment_intent: Some(intent.id.clone()),
            payment_method: Some(pm.id.clone()),
            payment_method_details: details(pm, intent.amount, refusal.is_none(), hold),
            receipt_email: intent.receipt_email.clone(),
            receipt_url: refusal.is_none().then_some(receipt),
            refunded: false,
            shipping: intent.shipping.clone(),
            statement_descriptor_suffix: intent.statement_descriptor_suffix.clone(),
            status: if refusal.is_none() { "succeeded" } else { "failed" }.into(),
            transfer_group: intent.transfer_group.clone(),
            released: 0,
        });
        id
    }

    /// A bank debit begins: `processing`.
    fn start_debit(&mut self, intent: &str, pm: &PaymentMethod, good: bool) {
        let Some(i) = self.intents.get(intent).cloned() else { return };
        let id = self.new_charge(&i, pm, None);
        if let Some(charge) = self.charges.get_mut(&id) {
            charge.status = "pending".into();
            charge.paid = false;
        }
        if let Some(open) = self.intents.get_mut(intent) {
            open.latest_charge = Some(id.clone());
            open.status = IntentStatus::Processing;
        }
        self.emit_charge("charge.pending", &id);
        self.emit_intent("payment_intent.processing", intent);
        self.complete_session(intent);
        self.plan(DEBIT, Later::FinishDebit(intent.to_owned(), good));
    }

    /// The bank has answered a debit.
    pub(crate) fn finish_debit(&mut self, intent: &str, good: bool) {
        let Some(i) = self.intents.get(intent).filter(|i| i.status == IntentStatus::Processing).cloned()
        else {
            return;
        };
        let charge = i.latest_charge.clone().unwrap_or_default();
        let decline = Reason::DebitFailed.decline();
        if let Some(row) = self.charges.get_mut(&charge) {
            row.status = if good { "succeeded" } else { "failed" }.into();
            row.paid = good;
            row.captured = good;
            row.amount_captured = if good { row.amount } else { 0 };
            row.failure_code = (!good).then(|| decline.code.to_owned());
            row.failure_message = (!good).then(|| decline.message.to_owned());
        }
        if good {
            if let Some(open) = self.intents.get_mut(intent) {
                open.status = IntentStatus::Succeeded;
                open.amount_received = open.amount;
            }
            self.book_capture(&charge, "automatic");
            self.emit_charge("charge.succeeded", &charge);
            self.emit_intent("payment_intent.succeeded", intent);
        } else {
            self.emit_charge("charge.failed", &charge);
            let method = i.payment_method.as_deref().and_then(|m| self.methods.get(m)).cloned();
            if let Some(pm) = method {
                let _ = self.failed(intent, &pm, &decline, Some(&charge), "card_error");
            }
        }
        self.settle_session(intent, good);
    }

    /// Takes authorised money; what is not taken is released.
    pub(crate) fn capture(&mut self, intent: &str, amount: i64) {
        let Some(i) = self.intents.get(intent).cloned() else { return };
        let charge = i.latest_charge.clone().unwrap_or_default();
        if let Some(row) = self.charges.get_mut(&charge) {
            row.captured = true;
            row.amount_captured = amount;
        }
        if let Some(open) = self.intents.get_mut(intent) {
            open.status = IntentStatus::Succeeded;
            open.amount_capturable = 0;
            open.amount_received = amount;
        }
        self.book_capture(&charge, "automatic");
        let rest = i.amount_capturable - amount;
        self.emit_charge("charge.captured", &charge);
        if rest > 0 {
            self.release(&charge, rest);
        }
        self.emit_intent("payment_intent.succeeded", intent);
    }

    /// Closes an intent for ever. An authorisation is let go.
    pub(crate) fn cancel(&mut self, intent: &str, reason: Option<&str>) {
        let Some(i) = self.intents.get(intent).cloned() else { return };
        let now = self.now();
        if let Some(open) = self.intents.get_mut(intent) {
            open.status = IntentStatus::Canceled;
            open.canceled_at = Some(now);
            open.cancellation_reason = reason.map(str::to_owned);
            open.amount_capturable = 0;
            open.next_action = None;
        }
        if i.status == IntentStatus::RequiresCapture
            && let Some(charge) = &i.latest_charge
        {
            self.release(charge, i.amount_capturable);
        }
        self.emit_intent("payment_intent.canceled", intent);
    }

    /// An authorisation nobody captured in time.
    pub(crate) fn expire_hold(&mut self, charge: &str) {
        let Some(intent) = self.charges.get(charge).and_then(|c| c.payment_intent.clone()) else { return };
        let waiting = self.intents.get(&intent).is_some_and(|i| i.status == IntentStatus::RequiresCapture);
        if waiting {
            self.cancel(&intent, Some("expired"));
            self.emit_charge("charge.expired", charge);
        }
    }

    /// Copies of an intent's metadata do not follow: the charge keeps what was there at the attempt.
    pub(crate) fn describe(&mut self, charge: &str, metadata: Metadata, description: Option<String>) {
        if let Some(row) = self.charges.get_mut(charge) {
            row.metadata = metadata;
            if description.is_some() {
                row.description = description;
            }
        }
        self.emit_charge("charge.updated", charge);
    }
}

/// Seconds an authorisation lasts.
fn capture_before(off_session: bool, brand: &str) -> i64 {
    if off_session && brand == "visa" { 4 * 86_400 + 18 * 3600 } else { SEVEN_DAYS }
}

/// `payment_method_details` of a charge.
fn details(pm: &PaymentMethod, amount: i64, good: bool, hold: Option<i64>) -> Value {
    let Some(card) = &pm.card else {
        return json!({ "type": pm.kind, "sepa_debit": {
            "bank_code": "19043", "branch_code": "", "country": "AT", "expected_debit_date": null,
            "fingerprint": "SepaTestFingerprint", "last4": pm.sepa_debit.as_ref().and_then(|s| s.get("last4")).cloned(),
            "mandate": null,
        } });
    };
    let mut shape = json!({
        "amount_authorized": good.then_some(amount),
        "authorization_code": good.then_some("123456"),
        "brand": card.brand,
        "checks": card.checks,
        "country": card.country,
        "exp_month": card.exp_month,
        "exp_year": card.exp_year,
        "extended_authorization": { "status": "disabled" },
        "fingerprint": card.fingerprint,
        "funding": card.funding,
        "incremental_authorization": { "status": "unavailable" },
        "installments": null,
        "last4": card.last4,
        "mandate": null,
        "multicapture": { "status": "unavailable" },
        "network": card.brand,
        "network_token": { "used": false },
        "network_transaction_id": good.then_some("718210917292170"),
        "overcapture": { "maximum_amount_capturable": amount, "status": "unavailable" },
        "regulated_status": "unregulated",
        "three_d_secure": null,
        "wallet": null,
    });
    if let (Some(until), Some(map)) = (hold, shape.as_object_mut()) {
        map.insert("capture_before".into(), until.into());
    }
    json!({ "type": "card", "card": shape })
}
