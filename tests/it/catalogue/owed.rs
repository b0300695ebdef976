//! Cases of features that are not there yet: such input is acknowledged, counted, and moves no money.

use std::collections::BTreeMap;

use bytes::Bytes;
use local::stack::{Stack, local_secrets};
use serde_json::{Value, json};
use shared::domain::time::Seconds;
use shared::domain::view::PaymentStatus as S;
use shared::lambda::HttpEvent;

use super::kit::*;
use crate::stories::{GOOD, euros, notice, paid, place, session};

/// Sends these to a receiver: all are accepted and counted as unused, and nothing else is called.
async fn all_unused(stack: &Stack, bodies: &[Value]) {
    let deps = receiver(stack);
    // The secret is read once.
    assert_eq!(receive(stack, &deps, &bodies[0]).await, 200);
    let (aws, http) = (stack.aws.io_counts(), stack.tally.calls());
    for body in bodies {
        assert_eq!(receive(stack, &deps, body).await, 200, "{body}");
    }
    assert_eq!(deps.metrics().total_of("Unused", "Source", "stripe"), bodies.len() as u64 + 1);
    assert_eq!(local::aws::io::since(&aws, &stack.aws.io_counts()), BTreeMap::new(), "no call to AWS");
    assert_eq!(stack.tally.calls(), http, "no call to anybody");
}

/// An event about an object that even carries our mark.
fn about(stack: &Stack, n: usize, kind: &str, object: &str, status: &str, order: &str) -> Value {
    json!({
        "id": format!("evt_1Owed{n}"), "object": "event", "type": kind, "livemode": false, "account": null,
        "created": stack.clock.now().0, "data": { "object": {
            "id": format!("{object}_1"), "object": object, "status": status, "amount_due": 4_900,
            "metadata": { "tandem_order": order }
        } }
    })
}

#[tokio::test(start_paused = true)]
async fn a_subscriptions_events_in_any_order_are_acknowledged_counted_and_move_nothing() {
    let stack = start().await;
    let id = paid(&stack, euros(4_900, Some("anna"))).await;
    let order = stack.key(&id).unwrap().as_str().to_owned();
    let before = stack.shop.record().orders;
    let mut bodies: Vec<Value> = [("updated", "active"), ("created", "incomplete"), ("deleted", "canceled")]
        .iter()
        .enumerate()
        .map(|(n, (what, status))| {
            let kind = format!("customer.subscription.{what}");
            about(&stack, n, &kind, "subscription", status, &order)
        })
        .collect();
    all_unused(&stack, &bodies).await;
    bodies.reverse();
    all_unused(&stack, &bodies).await;
    stack.settle().await.unwrap();
    assert_eq!(stack.shop.record().orders, before);
    ends(&stack, &id, S::Paid, 4_900, 0, "an order beside a subscription");
}

#[tokio::test(start_paused = true)]
async fn a_subscriptions_invoices_grant_nothing_and_their_payments_are_somebody_elses() {
    let (stack, metrics) = watched().await;
    let id = place(&stack, euros(4_900, Some("anna"))).await;
    let order = stack.key(&id).unwrap().as_str().to_owned();
    let kinds = [
        ("customer.subscription.updated", "subscription", "past_due"),
        ("customer.subscription.updated", "subscription", "incomplete"),
        ("invoice.payment_failed", "invoice", "open"),
        ("invoice.paid", "invoice", "paid"),
        ("invoice.payment_action_required", "invoice", "open"),
    ];
    let bodies: Vec<Value> = kinds
        .iter()
        .enumerate()
        .map(|(n, (kind, object, status))| about(&stack, n, kind, object, status, &order))
        .collect();
    all_unused(&stack, &bodies).await;
    // What an invoice takes is an intent without our mark.
    charge_elsewhere(&stack, 4_900, None).await;
    stack.settle().await.unwrap();
    let foreign: u64 = metrics.values().map(|m| m.total_of("Foreign", "Source", "stripe")).sum();
    assert!(foreign >= 1);
    ends(&stack, &id, S::AwaitingPayment, 0, 0, "an invoice pays no order");
    assert_eq!(stack.sim.ledger().money["eur"].refunded, 0);
}

#[tokio::test(start_paused = true)]
async fn a_dispute_is_told_with_its_deadline_and_nothing_is_submitted_in_anybodys_name() {
    let (stack, metrics) = watched().await;
    let id = paid(&stack, euros(3_000, Some("nora"))).await;
    let dispute = stack.sim.create_dispute(&charge(&stack, &id), "fraudulent", None).unwrap();
    stack.settle().await.unwrap();
    let opened: u64 = metrics.values().map(|m| m.total_of("CasesOpened", "Kind", "dispute")).sum();
    assert_eq!((cases(&stack), opened), (vec!["dispute".to_owned()], 1));
    let text = notices(&stack, "case.opened")[0].data["case"]["text"].as_str().unwrap().to_owned();
    assert!(text.contains(&dispute) && text.contains("evidence is due by 20"), "{text}");
    stack.shop.request_refund(&id, Some(300), "a discount").unwrap();
    // Past the deadline.
    stack.advance(Seconds::days(12), Some(Seconds::hours(12))).await.unwrap();
    let ledger = stack.sim.ledger();
    assert_eq!(ledger.disputes[0].evidence_details.submission_count, 0);
    let touched = ledger.calls.keys().any(|(method, path)| method == "POST" && path.contains("/disputes"));
    assert!(!touched, "a person answers, in Stripe's dashboard");
    ends(&stack, &id, S::Disputed, 3_000, 0, "the refund waits for the bank");
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_tried_cards_takes_no_money_and_no_try_of_it_is_repeated_by_us() {
    let (stack, metrics) = watched().await;
    let id = place(&stack, euros(900, Some("mallory"))).await;
    let bad =
        ["4000000000000002", "4000000000009987", "4000000000009979", "4100000000000019", "4000000000000127"];
    let page = session(&stack, &id).await;
    let recorder = &metrics[&shared::domain::ids::Function::PaymentRecorder];
    let before = recorder.total("Orders");
    for round in 0..30 {
        stack.pay_session(&page, bad[round % bad.len()]).await.unwrap();
    }
    let stats = stack.settle().await.unwrap();
    assert_eq!((stats.failed, stats.panics), (0, 0), "acknowledged: {stats:?}");
    assert!(recorder.total("Orders") - before >= 30, "each is counted");
    stack.advance(Seconds::hours(20), Some(Seconds::hours(1))).await.unwrap();
    let ledger = stack.sim.ledger();
    assert_eq!(ledger.calls_to("POST", "/v1/payment_intents/{id}/confirm"), 0);
    assert_eq!((ledger.intents.len(), money(&stack, &id)), (1, (0, 0, 0)));
    // An early warning of fraud and a review are told to nobody yet.
    let order = stack.key(&id).unwrap().as_str().to_owned();
    let warned =
        about(&stack, 1, "radar.early_fraud_warning.created", "radar.early_fraud_warning", "", &order);
    all_unused(&stack, &[warned, about(&stack, 2, "review.opened", "review", "", &order)]).await;
    // An honest buyer of the same order is not locked out.
    stack.pay(&id, GOOD).await.unwrap();
    stack.settle().await.unwrap();
    ends(&stack, &id, S::Paid, 900, 0, "after the flood");
}

#[tokio::test(start_paused = true)]
async fn hooks_of_order_systems_that_are_not_there_are_refused_and_unknown_notices_counted() {
    let stack = start().await;
    let id = paid(&stack, euros(900, None)).await;
    let before = stack.shop.record().orders;
    // A signed notice that the hook was switched off, of a shop that is configured.
    for (n, kind) in ["webhook.disabled", "app.uninstalled", "product.updated"].iter().enumerate() {
        let body = json!({ "type": kind, "data": { "id": id } }).to_string();
        assert_eq!(notice(&stack, local_secrets::shop_webhook(), &format!("msg_{n}"), &body).await, 200);
    }
    // WooCommerce and Shopify are no kinds of source: nothing answers there.
    let deps = receiver(&stack);
    for path in ["/webhooks/woocommerce", "/webhooks/shopify"] {
        let headers = vec![("x-shopify-topic".to_owned(), "orders/create".to_owned())];
        let request = HttpEvent::new("POST", path, headers, Bytes::from("{\"id\":1}"));
        assert_eq!(webhook_receiver::handle(&deps, request).await.status, 404);
    }
    let stats = stack.settle().await.unwrap();
    assert_eq!(stats.messages, 0, "nothing was queued");
    assert_eq!(stack.shop.record().orders, before);
    ends(&stack, &id, S::Paid, 900, 0, "beside odd hooks");
}
