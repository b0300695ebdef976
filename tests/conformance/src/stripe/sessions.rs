//! Checkout Sessions, from open to complete or expired.

use local::stripe::bench::START;

use super::{Sim, told};
use crate::check::{Seen, checks};

const API: &str = "Stripe API reference, Checkout Sessions";
const FULFIL: &str = "Stripe docs, Fulfill orders";
const EXPIRE: &str = "Stripe API reference, Expire a Session";
const INTENTS: &str = "Stripe API reference, PaymentIntents";

checks! { over Sim;
    "session-open", "a new session", "open, unpaid, no intent, 2000", API => open;
    "session-declined", "after a decline on the page", "open, intent requires_payment_method", API => declined;
    "session-paid", "paid after a decline", "complete, paid, back at the shop with its id, one intent, two charges", API => paid;
    "session-events", "the events of a payment on the page", "payment_intent.created charge.succeeded payment_intent.succeeded checkout.session.completed", FULFIL => events;
    "session-metadata", "payment_intent_data[metadata] on session and intent", "not on the session, on the intent", API => metadata;
    "session-default-end", "when a session ends by itself", "24 hours", API => default_end;
    "session-end-bounds", "ends in 30 minutes, a second less, a second more than a day", "200, 400, 400", API => end_bounds;
    "session-expired", "past its end", "expired, no url, intent canceled, checkout.session.expired sent", API => expired;
    "session-expired-paid", "paying it then", "not paid", API => expired_paid;
    "session-expire", "expired by a call, and once more", "expired, 400", EXPIRE => expire;
    "session-expire-paid", "expired by a call when it is complete", "400", EXPIRE => expire_paid;
    "session-intent-confirm", "its intent confirmed by somebody else", "400 payment_intent_unexpected_state", INTENTS => intent_confirm;
    "session-intent-cancel", "its intent cancelled by somebody else", "400 payment_intent_unexpected_state", INTENTS => intent_cancel;
    "session-hold", "a session with manual capture, paid", "complete, unpaid, intent requires_capture", "Stripe docs, Fulfill orders (unverified)" => hold;
    "session-hold-cancel", "its intent cancelled then", "canceled", INTENTS => hold_cancel;
    "session-debit", "a bank debit: at once, after days", "complete unpaid, complete paid, checkout.session.async_payment_succeeded", FULFIL => debit;
    "session-debit-fails", "a bank debit that fails", "complete unpaid, complete unpaid, checkout.session.async_payment_failed", FULFIL => debit_fails;
    "session-sca", "a card that needs authentication: shown, failed, another card", "requires_action, complete", "Stripe docs, Testing: authentication" => sca;
    "session-saves-card", "a card saved for off-session use, used", "succeeded", "Stripe docs, Save payment details during payment" => saves_card;
    "session-two-customers", "customer and customer_email together", "400", API => two_customers;
}

async fn read(sim: &Sim, id: &str) -> local::stripe::bench::Answer {
    sim.get(&format!("/v1/checkout/sessions/{id}"), "expand[]=payment_intent").await
}

async fn open(sim: &Sim) -> Seen {
    let session = sim.session("").await;
    let intent = if session.text("/payment_intent") == "null" { "no intent" } else { "an intent" };
    let (status, paid) = (session.text("/status"), session.text("/payment_status"));
    Ok(format!("{status}, {paid}, {intent}, {}", session.number("/amount_total")))
}

async fn declined(sim: &Sim) -> Seen {
    let id = sim.session("").await.text("/id");
    sim.pay(&id, "card_number=4000000000000002").await;
    let session = read(sim, &id).await;
    Ok(format!("{}, intent {}", session.text("/status"), session.text("/payment_intent/status")))
}

async fn paid(sim: &Sim) -> Seen {
    let id = sim.session("").await.text("/id");
    sim.pay(&id, "card_number=4000000000000002").await;
    let page = sim.pay(&id, "card_number=4242424242424242").await;
    let to = page.headers().get("location").and_then(|l| l.to_str().ok()).unwrap_or_default();
    let back = if to == format!("https://shop.test/ok?s={id}") { "back at the shop with its id" } else { to };
    let session = read(sim, &id).await;
    let ledger = sim.sim.ledger();
    let one = if ledger.intents.len() == 1 { "one intent" } else { "more intents" };
    let two = if ledger.charges.len() == 2 { "two charges" } else { "other charges" };
    Ok(format!("{}, {}, {back}, {one}, {two}", session.text("/status"), session.text("/payment_status")))
}

async fn events(sim: &Sim) -> Seen {
    let id = sim.session("").await.text("/id");
    sim.pay(&id, "card_number=4242424242424242").await;
    Ok(sim.events().join(" "))
}

async fn metadata(sim: &Sim) -> Seen {
    let id = sim.session("&payment_intent_data[metadata][tandem_order]=o1").await.text("/id");
    sim.pay(&id, "card_number=4242424242424242").await;
    let session = read(sim, &id).await;
    let on = |pointer: &str| if session.text(pointer) == "o1" { "on" } else { "not on" };
    let (own, intents) = (on("/metadata/tandem_order"), on("/payment_intent/metadata/tandem_order"));
    Ok(format!("{own} the session, {intents} the intent"))
}

async fn default_end(sim: &Sim) -> Seen {
    let session = sim.session("").await;
    Ok(format!("{} hours", (session.number("/expires_at") - session.number("/created")) / 3600))
}

async fn end_bounds(sim: &Sim) -> Seen {
    let mut statuses = Vec::new();
    for end in [1800, 1799, 86_401] {
        let form = format!(
            "mode=payment&success_url=https://s.test&expires_at={}&line_items[0][price_data][currency]=eur\
             &line_items[0][price_data][unit_amount]=1000&line_items[0][price_data][product_data][name]=Tea\
             &line_items[0][quantity]=1",
            START + end
        );
        statuses.push(sim.post("/v1/checkout/sessions", &form).await.status.to_string());
    }
    Ok(statuses.join(", "))
}

/// A session past its end, with a declined attempt.
async fn ended(sim: &Sim) -> String {
    let id = sim.session(&format!("&expires_at={}", START + 1800)).await.text("/id");
    sim.pay(&id, "card_number=4000000000000002").await;
    sim.wait(1801).await;
    id
}

async fn expired(sim: &Sim) -> Seen {
    let session = read(sim, &ended(sim).await).await;
    let url = if session.text("/url") == "null" { "no url" } else { "a url" };
    let sent = sim.events().contains(&"checkout.session.expired".to_owned());
    let sent = if sent { "sent" } else { "not sent" };
    let intent = session.text("/payment_intent/status");
    Ok(format!("{}, {url}, intent {intent}, checkout.session.expired {sent}", session.text("/status")))
}

async fn expired_paid(sim: &Sim) -> Seen {
    let id = ended(sim).await;
    sim.pay(&id, "card_number=4242424242424242").await;
    let charged = sim.sim.ledger().charges.iter().any(|c| c.status == "succeeded");
    Ok(if charged { "paid" } else { "not paid" }.to_owned())
}

async fn expire(sim: &Sim) -> Seen {
    let path = format!("/v1/checkout/sessions/{}/expire", sim.session("").await.text("/id"));
    let first = sim.post(&path, "").await.text("/status");
    Ok(format!("{first}, {}", sim.post(&path, "").await.status))
}

async fn expire_paid(sim: &Sim) -> Seen {
    let id = sim.session("").await.text("/id");
    sim.pay(&id, "card_number=4242424242424242").await;
    Ok(sim.post(&format!("/v1/checkout/sessions/{id}/expire"), "").await.status.to_string())
}

/// The path of an open session's intent.
async fn intent(sim: &Sim) -> String {
    let id = sim.session("").await.text("/id");
    sim.pay(&id, "card_number=4000000000000002").await;
    format!("/v1/payment_intents/{}", read(sim, &id).await.text("/payment_intent/id"))
}

async fn intent_confirm(sim: &Sim) -> Seen {
    let path = intent(sim).await;
    Ok(told(&sim.post(&format!("{path}/confirm"), "payment_method=pm_card_visa").await))
}

async fn intent_cancel(sim: &Sim) -> Seen {
    let path = intent(sim).await;
    Ok(told(&sim.post(&format!("{path}/cancel"), "").await))
}

async fn held(sim: &Sim) -> local::stripe::bench::Answer {
    let id = sim.session("&payment_intent_data[capture_method]=manual").await.text("/id");
    sim.pay(&id, "card_number=4242424242424242").await;
    read(sim, &id).await
}

async fn hold(sim: &Sim) -> Seen {
    let session = held(sim).await;
    let intent = session.text("/payment_intent/status");
    Ok(format!("{}, {}, intent {intent}", session.text("/status"), session.text("/payment_status")))
}

async fn hold_cancel(sim: &Sim) -> Seen {
    let intent = held(sim).await.text("/payment_intent/id");
    Ok(sim.post(&format!("/v1/payment_intents/{intent}/cancel"), "").await.text("/status"))
}

async fn by_debit(sim: &Sim, iban: &str) -> Seen {
    let id = sim.session("").await.text("/id");
    sim.pay(&id, &format!("card_number={iban}")).await;
    let state = async || {
        let session = read(sim, &id).await;
        format!("{} {}", session.text("/status"), session.text("/payment_status"))
    };
    let at_once = state().await;
    sim.wait(181).await;
    let last = sim.events().pop().unwrap_or_default();
    Ok(format!("{at_once}, {}, {last}", state().await))
}

async fn debit(sim: &Sim) -> Seen {
    by_debit(sim, "AT611904300234573201").await
}

async fn debit_fails(sim: &Sim) -> Seen {
    by_debit(sim, "AT861904300235473202").await
}

async fn sca(sim: &Sim) -> Seen {
    let id = sim.session("").await.text("/id");
    sim.pay(&id, "card_number=4000002760003184").await;
    let waits = read(sim, &id).await.text("/payment_intent/status");
    sim.pay(&id, "action=fail").await;
    sim.pay(&id, "card_number=4242424242424242").await;
    Ok(format!("{waits}, {}", read(sim, &id).await.text("/status")))
}

async fn saves_card(sim: &Sim) -> Seen {
    let customer = sim.post("/v1/customers", "email=a@b.test").await.text("/id");
    let more = format!("&customer={customer}&payment_intent_data[setup_future_usage]=off_session");
    let id = sim.session(&more).await.text("/id");
    sim.pay(&id, "card_number=4242424242424242").await;
    let saved = sim.get(&format!("/v1/customers/{customer}/payment_methods"), "").await.text("/data/0/id");
    let form = format!("{}&off_session=true&customer={customer}&payment_method={saved}", super::CARD);
    Ok(sim.post("/v1/payment_intents", &form).await.text("/status"))
}

async fn two_customers(sim: &Sim) -> Seen {
    let customer = sim.post("/v1/customers", "email=a@b.test").await.text("/id");
    let form = format!(
        "mode=payment&success_url=https://s.test&customer={customer}&customer_email=b@b.test\
         &line_items[0][price_data][currency]=eur&line_items[0][price_data][unit_amount]=1000\
         &line_items[0][price_data][product_data][name]=Tea&line_items[0][quantity]=1"
    );
    Ok(sim.post("/v1/checkout/sessions", &form).await.status.to_string())
}
