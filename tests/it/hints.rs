//! Hints that say little: what they are about is read, never taken for nothing.

use std::collections::BTreeMap;

use local::stack::Stack;
use local::stripe::WebhookRule;
use shared::domain::ids::Function;
use shared::queue::{Body, Message, Queue, StripeHint};

use super::stories::*;

/// A paid order, and a refund by hand whose events were lost.
async fn refunded_by_hand(stack: &Stack) -> (String, String) {
    let id = paid(stack, euros(5_000, Some("anna"))).await;
    let charge = stack.sim.ledger().captured_for(stack.key(&id).unwrap().as_str()).next().unwrap().id.clone();
    stack.sim.add_webhook_rule(WebhookRule { lose: true, ..WebhookRule::on("*") });
    let refund = stack.sim.refund(&charge, Some(250)).unwrap();
    stack.settle().await.unwrap();
    stack.sim.calm();
    (id, refund)
}

async fn hint(stack: &Stack, refund: &str, refs: BTreeMap<String, String>) {
    let hint = StripeHint {
        source: "stripe".into(),
        event: format!("evt_{refund}"),
        event_type: "refund.updated".into(),
        object_type: "refund".into(),
        object_id: refund.into(),
        refs,
        metadata: BTreeMap::new(),
        sha256: None,
    };
    let engine = stack.engine(Function::Cli);
    engine.queue.send(Queue::Refunds, &Message::new("c0ffee", Body::Stripe(hint)), None).await.unwrap();
    stack.settle().await.unwrap();
}

async fn known(stack: &Stack, id: &str) -> i64 {
    let engine = stack.engine(Function::Cli);
    engine.store.load(&stack.key(id).unwrap()).await.unwrap().state().refunded()
}

#[tokio::test(start_paused = true)]
async fn a_refund_event_that_names_neither_charge_nor_intent_is_read() {
    let stack = start().await;
    let (id, refund) = refunded_by_hand(&stack).await;
    assert_eq!(known(&stack, &id).await, 0);
    hint(&stack, &refund, BTreeMap::new()).await;
    assert_eq!(known(&stack, &id).await, 250);
}

#[tokio::test(start_paused = true)]
async fn a_refund_event_that_names_only_the_intent_is_read() {
    let stack = start().await;
    let (id, refund) = refunded_by_hand(&stack).await;
    let intent = stack.sim.ledger().intents[0].id.clone();
    hint(&stack, &refund, [("payment_intent".to_owned(), intent)].into()).await;
    assert_eq!(known(&stack, &id).await, 250);
}

#[tokio::test(start_paused = true)]
async fn a_refund_that_is_not_there_is_nobodys() {
    let stack = start().await;
    let id = paid(&stack, euros(5_000, Some("anna"))).await;
    hint(&stack, "re_of_another_account", BTreeMap::new()).await;
    assert_eq!(known(&stack, &id).await, 0);
}
