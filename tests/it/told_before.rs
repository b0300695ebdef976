//! What a webhook told before a call's own outcome was known: it counts for the call, and no older answer undoes it.

use http::Method;
use local::stripe::{CardOutcome, Fault, FaultMode, Reason};
use shared::domain::ids::Function;
use shared::domain::time::Seconds;
use shared::domain::view::PaymentStatus;

use crate::stories::{automatic, euros, newest_card, paid, place, start};

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
