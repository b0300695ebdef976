//! Where a simulator is easily kinder than Stripe: load, order, balances, and what it does not play.

use local::stripe::bench::Receiver;

use super::{CARD, Sim, told};
use crate::check::{Seen, checks};

const HOLD: &str = "Stripe docs, Place a hold on a payment method";

checks! { over Sim;
    "load", "200 reads within a second", "some 429 rate_limit", "Stripe docs, Rate limits" => load;
    "arrival-order", "the events of five payments at the endpoint", "any order", "Stripe docs, Receive events: ordering" => arrival_order;
    "short-balance", "a refund when the balance has been paid out", "pending insufficient_funds", "Stripe docs, Refund and cancel payments" => short_balance;
    "radar-block", "a card that Radar always blocks", "402 card_declined, outcome blocked", "Stripe docs, Testing: fraud prevention" => radar_block;
    "refund-events", "the events of a refund", "charge.refunded refund.created", "Stripe docs, Types of events" => refund_events;
    "debit-processing", "the intent of a bank debit until it settles", "processing", "Stripe docs, Payment Intents lifecycle" => debit_processing;
    "multicapture", "a capture that is not the last", "requires_capture, 400 received", HOLD => multicapture;
    "increment", "a hold raised from 1000 to 1200", "200", HOLD => increment;
    "search", "the search for charges", "200", "Stripe API reference, Search" => search;
    "setup-session", "a session that only saves a card", "200", "Stripe API reference, Checkout Sessions" => setup_session;
    "fee-kept", "the balance after a charge and its full refund", "1000 in, 1000 out, fee kept", "Stripe docs, Refund and cancel payments" => fee_kept;
}

async fn load(sim: &Sim) -> Seen {
    for _ in 0..200 {
        if sim.get("/v1/charges", "").await.status == 429 {
            return Ok("some 429 rate_limit".to_owned());
        }
    }
    Ok("none refused".to_owned())
}

async fn arrival_order(sim: &Sim) -> Seen {
    let receiver = Receiver::default();
    sim.sim.add_webhook_endpoint("http://127.0.0.1:9/webhooks/stripe", &["whsec_one"], &[]);
    for _ in 0..5 {
        sim.paid("pm_card_visa", 1000).await;
    }
    sim.sim.deliver_due(&receiver).await;
    Ok(if receiver.types() == sim.events() { "as made" } else { "any order" }.to_owned())
}

async fn short_balance(sim: &Sim) -> Seen {
    let charge = sim.paid("pm_card_visa", 1000).await.text("/latest_charge");
    sim.wait(3 * 86_400).await;
    if sim.sim.create_payout("eur").is_none() {
        return Ok("nothing was paid out".to_owned());
    }
    sim.wait(2 * 86_400 + 1).await;
    let refund = sim.post("/v1/refunds", &format!("charge={charge}")).await;
    Ok(match refund.text("/pending_reason").as_str() {
        "absent" | "null" => refund.text("/status"),
        why => format!("{} {why}", refund.text("/status")),
    })
}

async fn radar_block(sim: &Sim) -> Seen {
    let form = format!("{CARD}&payment_method=pm_card_radarBlock");
    let answer = sim.post("/v1/payment_intents", &form).await;
    let charge = sim.get(&format!("/v1/charges/{}", answer.text("/error/charge")), "").await;
    Ok(format!("{}, outcome {}", told(&answer), charge.text("/outcome/type")))
}

async fn refund_events(sim: &Sim) -> Seen {
    let charge = sim.paid("pm_card_visa", 1000).await.text("/latest_charge");
    let before = sim.events().len();
    sim.post("/v1/refunds", &format!("charge={charge}&amount=100")).await;
    let mut events = sim.events().split_off(before);
    events.sort_unstable();
    Ok(events.join(" "))
}

async fn debit_processing(sim: &Sim) -> Seen {
    let id = sim.session("").await.text("/id");
    sim.pay(&id, "card_number=AT611904300234573201").await;
    let session = sim.get(&format!("/v1/checkout/sessions/{id}"), "expand[]=payment_intent").await;
    Ok(session.text("/payment_intent/status"))
}

/// The path of an intent that holds 1000.
async fn held(sim: &Sim, more: &str) -> String {
    let form = format!("{CARD}&payment_method=pm_card_visa&capture_method=manual{more}");
    format!("/v1/payment_intents/{}", sim.post("/v1/payment_intents", &form).await.text("/id"))
}

async fn multicapture(sim: &Sim) -> Seen {
    let path = held(sim, "&payment_method_options[card][request_multicapture]=if_available").await;
    let form = "amount_to_capture=400&final_capture=false";
    let answer = sim.post(&format!("{path}/capture"), form).await;
    if answer.status != 200 {
        return Ok(told(&answer));
    }
    Ok(format!("{}, {} received", answer.text("/status"), answer.number("/amount_received")))
}

async fn increment(sim: &Sim) -> Seen {
    let path =
        held(sim, "&payment_method_options[card][request_incremental_authorization]=if_available").await;
    Ok(told(&sim.post(&format!("{path}/increment_authorization"), "amount=1200").await))
}

async fn search(sim: &Sim) -> Seen {
    Ok(told(&sim.get("/v1/charges/search", "query=amount%3E999").await))
}

async fn setup_session(sim: &Sim) -> Seen {
    let form = "mode=setup&currency=eur&success_url=https://shop.test/ok";
    Ok(told(&sim.post("/v1/checkout/sessions", form).await))
}

async fn fee_kept(sim: &Sim) -> Seen {
    let charge = sim.paid("pm_card_visa", 1000).await.text("/latest_charge");
    sim.wait(3).await;
    sim.post("/v1/refunds", &format!("charge={charge}")).await;
    let rows = sim.get("/v1/balance_transactions", "").await;
    let rows = rows.body["data"].as_array().cloned().unwrap_or_default();
    let sum = |name: &str, sign: i64| -> i64 {
        rows.iter().filter_map(|r| r[name].as_i64()).filter(|n| n.signum() == sign).sum()
    };
    let fee =
        if rows.iter().filter_map(|r| r["fee"].as_i64()).sum::<i64>() > 0 { "kept" } else { "returned" };
    Ok(format!("{} in, {} out, fee {fee}", sum("amount", 1), -sum("amount", -1)))
}
