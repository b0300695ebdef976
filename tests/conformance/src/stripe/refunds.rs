//! Refunds and disputes.

use super::{CARD, Sim, told};
use crate::check::{Seen, checks};

const API: &str = "Stripe API reference, Refunds";
const GUIDE: &str = "Stripe docs, Refund and cancel payments";
const TESTING: &str = "Stripe docs, Testing: refunds";
const DISPUTES: &str = "Stripe API reference, Disputes";
const DISPUTING: &str = "Stripe docs, Testing: disputes";

checks! { over Sim;
    "refund-parts", "400 and 600 of 1000", "succeeded, succeeded, charge refunded", GUIDE => parts;
    "refund-too-much", "601 when 600 are left", "400, names amount", GUIDE => too_much;
    "refund-nothing-left", "1 when nothing is left", "400 charge_already_refunded", GUIDE => nothing_left;
    "refund-rest", "without an amount, after 400", "600", API => rest;
    "refund-by-intent", "named by its intent; by neither intent nor charge", "200, 400", API => by_intent;
    "refund-intent-stays", "the intent after a full refund", "succeeded, 1000 received", "Stripe docs, Payment Intents lifecycle" => intent_stays;
    "refund-uncaptured", "of a hold", "400", GUIDE => uncaptured;
    "refund-partial-capture", "what a partial capture leaves as refunds", "300 refunded on the charge, no money back", "captured payloads, no document (unverified)" => partial_capture;
    "refund-pending", "a refund that takes time", "pending, succeeded, refund.updated", TESTING => pending;
    "refund-fails", "a refund that fails later", "succeeded, failed expired_or_canceled_card, refund.failed", TESTING => fails;
    "refund-fails-again", "the amount after the failure", "can be refunded again", GUIDE => fails_again;
    "refund-same-twice", "two equal refunds under two keys", "both made", API => same_twice;
    "refund-disputed", "of a charge that was charged back", "400 charge_disputed", GUIDE => disputed;
    "refund-cancel", "cancelling a refund that succeeded", "400", "Stripe API reference, Cancel a refund" => cancel;
    "dispute-opened", "a disputed charge", "needs_response, charge disputed, funds withdrawn", DISPUTING => dispute_opened;
    "dispute-won", "won", "won, charge.dispute.funds_reinstated then charge.dispute.closed", DISPUTES => dispute_won;
    "dispute-lost", "lost", "lost, funds not reinstated", DISPUTES => dispute_lost;
    "dispute-inquiry", "an inquiry", "warning_needs_response, refundable, no funds withdrawn", DISPUTING => dispute_inquiry;
    "dispute-due", "by when evidence is due", "set", DISPUTES => dispute_due;
}

async fn paid(sim: &Sim, card: &str) -> String {
    sim.paid(card, 1000).await.text("/latest_charge")
}

async fn refund(sim: &Sim, charge: &str, more: &str) -> local::stripe::bench::Answer {
    sim.post("/v1/refunds", &format!("charge={charge}{more}")).await
}

async fn charge(sim: &Sim, id: &str) -> local::stripe::bench::Answer {
    sim.get(&format!("/v1/charges/{id}"), "").await
}

async fn parts(sim: &Sim) -> Seen {
    let id = paid(sim, "pm_card_visa").await;
    let first = refund(sim, &id, "&amount=400").await.text("/status");
    let second = refund(sim, &id, "&amount=600").await.text("/status");
    let after = if charge(sim, &id).await.text("/refunded") == "true" { "refunded" } else { "not refunded" };
    Ok(format!("{first}, {second}, charge {after}"))
}

async fn too_much(sim: &Sim) -> Seen {
    let id = paid(sim, "pm_card_visa").await;
    refund(sim, &id, "&amount=400").await;
    let over = refund(sim, &id, "&amount=601").await;
    Ok(format!("{}, names {}", over.status, over.text("/error/param")))
}

async fn nothing_left(sim: &Sim) -> Seen {
    let id = paid(sim, "pm_card_visa").await;
    refund(sim, &id, "").await;
    Ok(told(&refund(sim, &id, "&amount=1").await))
}

async fn rest(sim: &Sim) -> Seen {
    let id = paid(sim, "pm_card_visa").await;
    refund(sim, &id, "&amount=400").await;
    Ok(refund(sim, &id, "").await.number("/amount").to_string())
}

async fn by_intent(sim: &Sim) -> Seen {
    let intent = sim.paid("pm_card_visa", 1000).await.text("/id");
    let named = sim.post("/v1/refunds", &format!("payment_intent={intent}&amount=10")).await.status;
    Ok(format!("{named}, {}", sim.post("/v1/refunds", "amount=10").await.status))
}

async fn intent_stays(sim: &Sim) -> Seen {
    let intent = sim.paid("pm_card_visa", 1000).await;
    refund(sim, &intent.text("/latest_charge"), "").await;
    let after = sim.get(&format!("/v1/payment_intents/{}", intent.text("/id")), "").await;
    Ok(format!("{}, {} received", after.text("/status"), after.number("/amount_received")))
}

async fn held(sim: &Sim) -> local::stripe::bench::Answer {
    let form = format!("{CARD}&payment_method=pm_card_visa&capture_method=manual");
    sim.post("/v1/payment_intents", &form).await
}

async fn uncaptured(sim: &Sim) -> Seen {
    let id = held(sim).await.text("/latest_charge");
    Ok(refund(sim, &id, "").await.status.to_string())
}

async fn partial_capture(sim: &Sim) -> Seen {
    let intent = held(sim).await;
    let path = format!("/v1/payment_intents/{}/capture", intent.text("/id"));
    sim.post(&path, "amount_to_capture=700").await;
    let refunded = charge(sim, &intent.text("/latest_charge")).await.number("/amount_refunded");
    let back = sim.sim.ledger().money.values().any(|m| m.refunded != 0);
    let back = if back { "money back" } else { "no money back" };
    Ok(format!("{refunded} refunded on the charge, {back}"))
}

/// A refund's status at once and a minute later, and the last event.
async fn later(sim: &Sim, card: &str) -> (String, local::stripe::bench::Answer, String) {
    let made = refund(sim, &paid(sim, card).await, "").await;
    sim.wait(61).await;
    let after = sim.get(&format!("/v1/refunds/{}", made.text("/id")), "").await;
    (made.text("/status"), after, sim.events().pop().unwrap_or_default())
}

async fn pending(sim: &Sim) -> Seen {
    let (first, after, last) = later(sim, "pm_card_pendingRefund").await;
    Ok(format!("{first}, {}, {last}", after.text("/status")))
}

async fn fails(sim: &Sim) -> Seen {
    let (first, after, last) = later(sim, "pm_card_refundFail").await;
    Ok(format!("{first}, {} {}, {last}", after.text("/status"), after.text("/failure_reason")))
}

async fn fails_again(sim: &Sim) -> Seen {
    let (_, after, _) = later(sim, "pm_card_refundFail").await;
    let again = refund(sim, &after.text("/charge"), "").await.status;
    Ok(if again == 200 { "can be refunded again" } else { "cannot be refunded" }.to_owned())
}

async fn same_twice(sim: &Sim) -> Seen {
    let id = paid(sim, "pm_card_visa").await;
    let form = format!("charge={id}&amount=100");
    let first = sim.keyed("/v1/refunds", &form, "k1").await;
    let second = sim.keyed("/v1/refunds", &form, "k2").await;
    let both = first.status == 200 && second.status == 200 && first.text("/id") != second.text("/id");
    Ok(if both { "both made" } else { "one made" }.to_owned())
}

async fn cancel(sim: &Sim) -> Seen {
    let id = refund(sim, &paid(sim, "pm_card_visa").await, "").await.text("/id");
    Ok(sim.post(&format!("/v1/refunds/{id}/cancel"), "").await.status.to_string())
}

/// A disputed charge and its dispute.
async fn dispute(sim: &Sim, card: &str) -> (String, local::stripe::bench::Answer) {
    let id = paid(sim, card).await;
    sim.wait(2).await;
    let dispute = sim.get("/v1/disputes", &format!("charge={id}")).await.text("/data/0/id");
    (id, sim.get(&format!("/v1/disputes/{dispute}"), "").await)
}

fn sent(sim: &Sim, kind: &str) -> bool {
    sim.events().iter().any(|event| event == kind)
}

async fn disputed(sim: &Sim) -> Seen {
    let (id, _) = dispute(sim, "pm_card_createDispute").await;
    Ok(told(&refund(sim, &id, "").await))
}

async fn dispute_opened(sim: &Sim) -> Seen {
    let (id, dispute) = dispute(sim, "pm_card_createDispute").await;
    let marked = if charge(sim, &id).await.text("/disputed") == "true" { "disputed" } else { "not disputed" };
    let funds = if sent(sim, "charge.dispute.funds_withdrawn") { "withdrawn" } else { "not withdrawn" };
    Ok(format!("{}, charge {marked}, funds {funds}", dispute.text("/status")))
}

async fn dispute_won(sim: &Sim) -> Seen {
    let (_, dispute) = dispute(sim, "pm_card_createDispute").await;
    sim.sim.close_dispute(&dispute.text("/id"), true);
    let status = sim.get(&format!("/v1/disputes/{}", dispute.text("/id")), "").await.text("/status");
    let events = sim.events();
    let last = events.iter().rev().take(2).rev().cloned().collect::<Vec<_>>().join(" then ");
    Ok(format!("{status}, {last}"))
}

async fn dispute_lost(sim: &Sim) -> Seen {
    let (_, dispute) = dispute(sim, "pm_card_createDispute").await;
    sim.sim.close_dispute(&dispute.text("/id"), false);
    let status = sim.get(&format!("/v1/disputes/{}", dispute.text("/id")), "").await.text("/status");
    let back = if sent(sim, "charge.dispute.funds_reinstated") { "reinstated" } else { "not reinstated" };
    Ok(format!("{status}, funds {back}"))
}

async fn dispute_inquiry(sim: &Sim) -> Seen {
    let (_, dispute) = dispute(sim, "pm_card_createDisputeInquiry").await;
    let can = if dispute.text("/is_charge_refundable") == "true" { "refundable" } else { "not refundable" };
    let funds =
        if sent(sim, "charge.dispute.funds_withdrawn") { "funds withdrawn" } else { "no funds withdrawn" };
    Ok(format!("{}, {can}, {funds}", dispute.text("/status")))
}

async fn dispute_due(sim: &Sim) -> Seen {
    let (_, dispute) = dispute(sim, "pm_card_createDispute").await;
    let due = dispute.number("/evidence_details/due_by");
    Ok(if due > sim.now() { "set" } else { "not set" }.to_owned())
}
