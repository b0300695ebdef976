//! PaymentIntents: states, capture, authentication, customers.

use super::{CARD, Sim, told};
use crate::check::{Seen, checks};

const STATES: &str = "Stripe docs, Payment Intents lifecycle";
const HOLD: &str = "Stripe docs, Place a hold on a payment method";
const API: &str = "Stripe API reference, PaymentIntents";
const SCA: &str = "Stripe docs, Testing: authentication";
const CUSTOMERS: &str = "Stripe API reference, Customers";
const PATH: &str = "/v1/payment_intents";

checks! { over Sim;
    "intent-unconfirmed", "created without and with a payment method", "requires_payment_method, requires_confirmation", STATES => unconfirmed;
    "intent-confirmed", "confirmed", "succeeded, 1000 received", STATES => confirmed;
    "intent-confirmed-twice", "confirmed once more", "400 payment_intent_unexpected_state, carries succeeded", STATES => confirmed_twice;
    "intent-declined", "after a decline", "requires_payment_method, last error card_declined, same id", STATES => declined;
    "intent-paid-after-decline", "the same intent confirmed with another card", "succeeded, 2 charges, the second is the latest", STATES => paid_after_decline;
    "intent-cancelled", "cancelled, then cancelled and confirmed", "canceled abandoned, 400, 400", STATES => cancelled;
    "intent-succeeded-cancelled", "cancelled after it succeeded", "400 payment_intent_unexpected_state", STATES => succeeded_cancelled;
    "intent-needs-return-url", "confirmed where redirects are possible, without a return_url", "400, names return_url", "Stripe docs, Dynamic payment methods" => needs_return_url;
    "hold", "manual capture", "requires_capture, 1000 capturable, 0 received", HOLD => hold;
    "hold-until", "until when a card can be captured", "7 days", HOLD => hold_until;
    "hold-part", "700 of 1000 captured", "succeeded, 700 received, charge 700 captured and 300 refunded", "captured payloads, no document (unverified)" => hold_part;
    "hold-too-much", "1001 of 1000 captured", "400", HOLD => hold_too_much;
    "hold-twice", "captured twice", "200, 400 payment_intent_unexpected_state", HOLD => hold_twice;
    "hold-expired", "after seven days", "canceled expired, charge.expired sent", HOLD => hold_expired;
    "hold-late", "captured after it expired", "400 payment_intent_unexpected_state", HOLD => hold_late;
    "hold-released", "cancelled while held", "canceled, no money moved", HOLD => hold_released;
    "async-capture", "the balance transaction of a charge: at once, later", "null, set, charge.updated sent", "Stripe docs, Asynchronous capture" => async_capture;
    "sca-on-session", "a card that needs authentication, buyer present", "200, requires_action", SCA => sca_on_session;
    "sca-off-session", "the same off session", "402 authentication_required, requires_payment_method", SCA => sca_off_session;
    "sca-error-instead", "the same with error_on_requires_action", "402", API => sca_error_instead;
    "customer-deleted", "a deleted customer: read, used", "200 deleted, 400 resource_missing", CUSTOMERS => customer_deleted;
    "customer-other", "a saved card of another customer", "400", "Stripe API reference, PaymentMethods" => customer_other;
    "update-amount", "the amount changed before, and after it succeeded", "1200, 400 payment_intent_unexpected_state", API => update_amount;
}

async fn unconfirmed(sim: &Sim) -> Seen {
    let bare = sim.post(PATH, "amount=1000&currency=eur").await.text("/status");
    let form = "amount=1000&currency=eur&allowed_payment_method_types[]=card&payment_method=pm_card_visa";
    Ok(format!("{bare}, {}", sim.post(PATH, form).await.text("/status")))
}

async fn ready(sim: &Sim) -> String {
    let form = "amount=1000&currency=eur&allowed_payment_method_types[]=card&payment_method=pm_card_visa";
    format!("{PATH}/{}", sim.post(PATH, form).await.text("/id"))
}

async fn confirmed(sim: &Sim) -> Seen {
    let path = ready(sim).await;
    let done = sim.post(&format!("{path}/confirm"), "").await;
    Ok(format!("{}, {} received", done.text("/status"), done.number("/amount_received")))
}

async fn confirmed_twice(sim: &Sim) -> Seen {
    let path = format!("{}/confirm", ready(sim).await);
    sim.post(&path, "").await;
    let again = sim.post(&path, "").await;
    Ok(format!("{}, carries {}", told(&again), again.text("/error/payment_intent/status")))
}

/// A declined intent's path.
async fn refused(sim: &Sim) -> String {
    let answer = sim.post(PATH, &format!("{CARD}&payment_method=pm_card_chargeDeclined")).await;
    format!("{PATH}/{}", answer.text("/error/payment_intent/id"))
}

async fn declined(sim: &Sim) -> Seen {
    let path = refused(sim).await;
    let intent = sim.get(&path, "").await;
    let same = if path.ends_with(&intent.text("/id")) { "same id" } else { "another id" };
    let last = intent.text("/last_payment_error/code");
    Ok(format!("{}, last error {last}, {same}", intent.text("/status")))
}

async fn paid_after_decline(sim: &Sim) -> Seen {
    let path = refused(sim).await;
    let first = sim.get(&path, "").await.text("/latest_charge");
    let done = sim.post(&format!("{path}/confirm"), "payment_method=pm_card_visa").await;
    let latest = done.text("/latest_charge");
    let which = if latest != first && latest.starts_with("ch_") { "the second" } else { "the first" };
    Ok(format!("{}, {} charges, {which} is the latest", done.text("/status"), sim.sim.ledger().charges.len()))
}

async fn cancelled(sim: &Sim) -> Seen {
    let path = ready(sim).await;
    let gone = sim.post(&format!("{path}/cancel"), "cancellation_reason=abandoned").await;
    let again = sim.post(&format!("{path}/cancel"), "").await.status;
    let late = sim.post(&format!("{path}/confirm"), "").await.status;
    Ok(format!("{} {}, {again}, {late}", gone.text("/status"), gone.text("/cancellation_reason")))
}

async fn succeeded_cancelled(sim: &Sim) -> Seen {
    let id = sim.paid("pm_card_visa", 1000).await.text("/id");
    Ok(told(&sim.post(&format!("{PATH}/{id}/cancel"), "").await))
}

async fn needs_return_url(sim: &Sim) -> Seen {
    let form = "amount=1000&currency=eur&confirm=true&payment_method=pm_card_visa";
    let answer = sim.post(PATH, form).await;
    Ok(format!("{}, names {}", answer.status, answer.text("/error/param")))
}

/// The path of an intent that holds 1000.
async fn held(sim: &Sim) -> String {
    let answer = sim.post(PATH, &format!("{CARD}&payment_method=pm_card_visa&capture_method=manual")).await;
    format!("{PATH}/{}", answer.text("/id"))
}

async fn hold(sim: &Sim) -> Seen {
    let intent = sim.get(&held(sim).await, "").await;
    let (capturable, received) = (intent.number("/amount_capturable"), intent.number("/amount_received"));
    Ok(format!("{}, {capturable} capturable, {received} received", intent.text("/status")))
}

async fn hold_until(sim: &Sim) -> Seen {
    let intent = sim.get(&held(sim).await, "expand[]=latest_charge").await;
    let until = intent.number("/latest_charge/payment_method_details/card/capture_before");
    let days = (until - intent.number("/latest_charge/created")) / 86_400;
    Ok(format!("{days} days"))
}

async fn hold_part(sim: &Sim) -> Seen {
    let path = held(sim).await;
    let done = sim.post(&format!("{path}/capture"), "amount_to_capture=700").await;
    let charge = sim.get(&format!("/v1/charges/{}", done.text("/latest_charge")), "").await;
    Ok(format!(
        "{}, {} received, charge {} captured and {} refunded",
        done.text("/status"),
        done.number("/amount_received"),
        charge.number("/amount_captured"),
        charge.number("/amount_refunded")
    ))
}

async fn hold_too_much(sim: &Sim) -> Seen {
    let path = held(sim).await;
    Ok(sim.post(&format!("{path}/capture"), "amount_to_capture=1001").await.status.to_string())
}

async fn hold_twice(sim: &Sim) -> Seen {
    let path = format!("{}/capture", held(sim).await);
    let first = told(&sim.post(&path, "").await);
    Ok(format!("{first}, {}", told(&sim.post(&path, "").await)))
}

async fn expired(sim: &Sim) -> String {
    let path = held(sim).await;
    sim.wait(7 * 86_400 + 1).await;
    path
}

async fn hold_expired(sim: &Sim) -> Seen {
    let gone = sim.get(&expired(sim).await, "").await;
    let sent = if sim.events().contains(&"charge.expired".to_owned()) { "sent" } else { "not sent" };
    Ok(format!("{} {}, charge.expired {sent}", gone.text("/status"), gone.text("/cancellation_reason")))
}

async fn hold_late(sim: &Sim) -> Seen {
    let path = expired(sim).await;
    Ok(told(&sim.post(&format!("{path}/capture"), "").await))
}

async fn hold_released(sim: &Sim) -> Seen {
    let path = held(sim).await;
    let gone = sim.post(&format!("{path}/cancel"), "").await.text("/status");
    let moved = sim.sim.ledger().money.values().any(|m| m.captured != 0 || m.refunded != 0);
    Ok(format!("{gone}, {}", if moved { "money moved" } else { "no money moved" }))
}

async fn async_capture(sim: &Sim) -> Seen {
    let answer = sim.post(PATH, &format!("{CARD}&payment_method=pm_card_visa")).await;
    let path = format!("/v1/charges/{}", answer.text("/latest_charge"));
    let at_once = sim.get(&path, "").await.text("/balance_transaction");
    sim.wait(3).await;
    let later = sim.get(&path, "").await.text("/balance_transaction");
    let later = if later.starts_with("txn_") { "set" } else { "not set" };
    let sent = if sim.events().contains(&"charge.updated".to_owned()) { "sent" } else { "not sent" };
    Ok(format!("{at_once}, {later}, charge.updated {sent}"))
}

const SCA_CARD: &str = "payment_method=pm_card_authenticationRequired";

async fn sca_on_session(sim: &Sim) -> Seen {
    let answer = sim.post(PATH, &format!("{CARD}&{SCA_CARD}&return_url=https://shop.test/back")).await;
    Ok(format!("{}, {}", answer.status, answer.text("/status")))
}

async fn sca_off_session(sim: &Sim) -> Seen {
    let answer = sim.post(PATH, &format!("{CARD}&{SCA_CARD}&off_session=true")).await;
    Ok(format!("{}, {}", told(&answer), answer.text("/error/payment_intent/status")))
}

async fn sca_error_instead(sim: &Sim) -> Seen {
    let answer = sim.post(PATH, &format!("{CARD}&{SCA_CARD}&error_on_requires_action=true")).await;
    Ok(answer.status.to_string())
}

async fn customer_deleted(sim: &Sim) -> Seen {
    let id = sim.post("/v1/customers", "email=a@b.test").await.text("/id");
    sim.send("DELETE", &format!("/v1/customers/{id}"), "", &[]).await;
    let read = sim.get(&format!("/v1/customers/{id}"), "").await;
    let deleted = if read.text("/deleted") == "true" { "deleted" } else { "not deleted" };
    let used = sim.post(PATH, &format!("amount=1000&currency=eur&customer={id}")).await;
    Ok(format!("{} {deleted}, {}", read.status, told(&used)))
}

async fn customer_other(sim: &Sim) -> Seen {
    let one = sim.post("/v1/customers", "").await.text("/id");
    let two = sim.post("/v1/customers", "").await.text("/id");
    let attach = sim.post("/v1/payment_methods/pm_card_visa/attach", &format!("customer={one}")).await;
    let form = format!("amount=1000&currency=eur&customer={two}&payment_method={}", attach.text("/id"));
    Ok(sim.post(PATH, &form).await.status.to_string())
}

async fn update_amount(sim: &Sim) -> Seen {
    let path = ready(sim).await;
    let before = sim.post(&path, "amount=1200").await.text("/amount");
    sim.post(&format!("{path}/confirm"), "").await;
    Ok(format!("{before}, {}", told(&sim.post(&path, "amount=1300").await)))
}
