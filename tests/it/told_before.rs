//! What a webhook told before a call's own outcome was known: it counts for the call, and no older answer undoes it.

use http::Method;
use local::shop::NewOrder;
use local::stripe::{CardOutcome, Fault, FaultMode, Reason};
use serde_json::json;
use shared::clock::Deadline;
use shared::domain::fact::What;
use shared::domain::ids::Function;
use shared::domain::order::CaptureMode;
use shared::domain::time::Seconds;
use shared::domain::view::PaymentStatus;

use crate::stories::{GOOD, automatic, euros, newest_card, paid, place, send_stripe, session, start};

/// Stripe answers a confirmation with 500 after the bank has said "stolen card"; its webhook comes before anybody looks.
#[tokio::test(start_paused = true)]
async fn a_decline_known_from_a_webhook_ends_the_confirmation_that_met_it() {
    let stack = start().await;
    paid(&stack, euros(1000, Some("emil"))).await;
    let outcomes = vec![CardOutcome::Decline(Reason::StolenCard), CardOutcome::Succeed];
    stack.sim.set_card_behaviour(&newest_card(&stack), outcomes);
    let confirm = "/v1/payment_intents/{id}/confirm";
    stack.sim.add_fault(Fault::once(Method::POST, confirm, FaultMode::ErrorAfter));
    let id = place(&stack, automatic(7000, "emil")).await;
    stack.advance(Seconds::hours(4), Some(Seconds::minutes(10))).await.unwrap();

    let key = stack.key(&id).unwrap();
    let ledger = stack.sim.ledger();
    assert_eq!(ledger.captured_for(key.as_str()).count(), 0, "a stolen card was charged again");
    let state = stack.engine(Function::Cli).store.load(&key).await.unwrap().state();
    assert_eq!(state.failures.len(), 1, "the decline counts as the failure of its try");
    assert_eq!(state.charges.len(), 1, "the card was asked once");
}

/// Stripe makes a page and answers 500, the page is seen by a hint and shown, and Stripe forgets the key before the call
/// is sent again.
#[tokio::test(start_paused = true)]
async fn of_a_page_made_twice_the_one_that_was_shown_stays_the_payable_one() {
    let stack = start().await;
    stack.sim.add_fault(Fault::once(Method::POST, "/v1/checkout/sessions", FaultMode::ErrorAfter));
    let id = place(&stack, euros(5000, None)).await;
    let made = stack.sim.ledger().sessions.remove(0);
    let hint = json!({
        "id": "evt_of_a_page", "object": "event", "type": "checkout.session.async_payment_failed", "livemode": false,
        "created": stack.clock.now().0,
        "data": { "object": { "id": made.id, "object": "checkout.session", "metadata": made.metadata } },
    });
    assert_eq!(send_stripe(&stack, &hint).await, 200);
    stack.settle().await.unwrap();
    let shown = session(&stack, &id).await;
    stack.sim.forget_idempotency_keys();
    stack.advance(Seconds::hours(1), Some(Seconds::minutes(10))).await.unwrap();

    assert_eq!(stack.sim.ledger().sessions.len(), 2, "the call was carried out twice");
    assert_eq!(session(&stack, &id).await, shown, "the link leads where the buyer already is");
    stack.pay_session(&shown, GOOD).await.unwrap();
    stack.settle().await.unwrap();
    let ledger = stack.sim.ledger();
    assert_eq!(ledger.captured_for(stack.key(&id).unwrap().as_str()).count(), 1);
    let open = ledger.sessions.iter().filter(|s| s.status == "open").count();
    assert_eq!(open, 0, "the second page was closed");
    assert_eq!(stack.shop.order(&id).unwrap().payment.unwrap().status, PaymentStatus::Paid);
}

/// A refund's answer is lost, the refund fails, its webhook is read; then the stored answer ("succeeded") is replayed.
#[tokio::test(start_paused = true)]
async fn a_replayed_answer_does_not_undo_what_was_read_since() {
    let stack = start().await;
    let id = paid(&stack, euros(5000, Some("dora"))).await;
    stack.sim.add_fault(Fault::once(Method::POST, "/v1/refunds", FaultMode::ResetAfter));
    stack.shop.request_refund(&id, Some(1500), "one piece came back").unwrap();
    stack.settle().await.unwrap();
    let refund = stack.sim.ledger().refunds.last().unwrap().id.clone();
    stack.sim.fail_refund(&refund);
    stack.settle().await.unwrap();
    stack.advance(Seconds::hours(2), Some(Seconds::minutes(10))).await.unwrap();

    let state = stack.engine(Function::Cli).store.load(&stack.key(&id).unwrap()).await.unwrap().state();
    assert_eq!(state.refunds[&refund].status, "failed");
    assert!(state.contradictions.is_empty(), "{:?}", state.contradictions);
    assert!(state.claims.is_empty());
    let view = stack.shop.order(&id).unwrap().payment.unwrap();
    assert_eq!((view.status, view.amount_refunded), (PaymentStatus::Paid, 0));
}

/// Stripe refused to cancel the intent of a page that is not the attempt's own: only the intent is stale, not its page.
#[tokio::test(start_paused = true)]
async fn the_intent_of_a_second_page_that_would_not_close_is_read() {
    let stack = start().await;
    let order = NewOrder { capture: CaptureMode::OnFulfilment, ..euros(4000, None) };
    let id = paid(&stack, order).await;
    let key = stack.key(&id).unwrap();
    let engine = stack.engine(Function::PaymentRecorder);
    let mut state = engine.store.load(&key).await.unwrap().state();
    let intent = state.intents.keys().next().unwrap().clone();
    state.attempts.get_mut(&1).unwrap().object = Some("cs_test_another".into());
    state.stale = [intent.clone()].into();

    let source = engine.stripe_of(&key).unwrap().clone();
    let client = engine.stripe(&source, Deadline::after(std::time::Duration::from_secs(30))).await.unwrap();
    let seen = engine.read_attempt(&client, &key, &state, 1).await.unwrap();
    let read = |(what, _): &(What, _)| matches!(what, What::IntentSeen(seen) if seen.id == intent);
    assert!(seen.iter().any(read), "{seen:?}");
}
