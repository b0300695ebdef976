//! What card holders and their banks do after the payment: nothing is lost by it and nothing is given back twice.

use shared::domain::order::OrderStatus;
use shared::domain::time::Seconds;
use shared::domain::view::PaymentStatus as S;

use super::kit::*;
use crate::stories::{GOOD, euros, paid, place, repeat_stripe};

#[tokio::test(start_paused = true)]
async fn a_dispute_heard_of_before_its_payment_holds_the_order_and_winning_it_restores_it() {
    let stack = start().await;
    let id = place(&stack, euros(3_000, Some("nora"))).await;
    lose_events(&stack);
    stack.pay(&id, GOOD).await.unwrap();
    let dispute = stack.sim.create_dispute(&charge(&stack, &id), "fraudulent", None).unwrap();
    // The dispute's event is the first that is heard of this payment.
    assert_eq!(repeat_stripe(&stack, &event(&stack, "charge.dispute.created")).await, 200);
    stack.settle().await.unwrap();
    ends(&stack, &id, S::Disputed, 3_000, 0, "disputed");
    stack.sim.close_dispute(&dispute, true);
    assert_eq!(repeat_stripe(&stack, &event(&stack, "charge.dispute.closed")).await, 200);
    stack.settle().await.unwrap();
    ends(&stack, &id, S::Paid, 3_000, 0, "won");
    // The payment's own event comes last.
    assert_eq!(repeat_stripe(&stack, &event(&stack, "payment_intent.succeeded")).await, 200);
    pass(&stack, Seconds::hours(1)).await;
    ends(&stack, &id, S::Paid, 3_000, 0, "and the payment's event after it");
}

#[tokio::test(start_paused = true)]
async fn a_lost_dispute_gives_nothing_back_besides_and_asks_nobody_to_pay_again() {
    let stack = start().await;
    let id = paid(&stack, euros(3_000, Some("nora"))).await;
    let dispute = stack.sim.create_dispute(&charge(&stack, &id), "fraudulent", None).unwrap();
    stack.settle().await.unwrap();
    // The shop gives up on the order while the bank decides.
    stack.shop.cancel(&id).unwrap();
    stack.settle().await.unwrap();
    stack.sim.close_dispute(&dispute, false);
    stack.settle().await.unwrap();
    pass(&stack, Seconds::hours(8)).await;
    let view = stack.shop.order(&id).unwrap().payment.unwrap();
    assert_eq!(view.amount_due, 0);
    assert_eq!(money(&stack, &id), (1, 3_000, 0), "the bank has taken it back; a refund would pay twice");
    assert_eq!(stack.sim.ledger().calls_to("POST", "/v1/refunds"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_won_dispute_leaves_a_cancelled_order_cancelled_and_refunded() {
    let stack = start().await;
    let id = paid(&stack, euros(3_000, Some("nora"))).await;
    stack.shop.request_refund(&id, Some(1_000), "a piece came back").unwrap();
    stack.settle().await.unwrap();
    let dispute = stack.sim.create_dispute(&charge(&stack, &id), "fraudulent", None).unwrap();
    stack.shop.cancel(&id).unwrap();
    stack.settle().await.unwrap();
    ends(&stack, &id, S::Disputed, 3_000, 1_000, "the rest waits for the bank");
    stack.sim.close_dispute(&dispute, true);
    stack.settle().await.unwrap();
    pass(&stack, Seconds::hours(1)).await;
    ends(&stack, &id, S::Refunded, 3_000, 3_000, "won, so the cancellation gives the rest back");
    assert_eq!(stack.shop.order(&id).unwrap().order.status, OrderStatus::Cancelled, "the shop's own status");
}

#[tokio::test(start_paused = true)]
async fn an_inquiry_moves_no_money_and_the_order_stays_paid() {
    let stack = start().await;
    let id = paid(&stack, euros(3_000, Some("nora"))).await;
    let inquiry = stack.sim.create_inquiry(&charge(&stack, &id), "general").unwrap();
    stack.settle().await.unwrap();
    ends(&stack, &id, S::Paid, 3_000, 0, "somebody only asks");
    stack.sim.close_dispute(&inquiry, true);
    stack.settle().await.unwrap();
    pass(&stack, Seconds::hours(1)).await;
    ends(&stack, &id, S::Paid, 3_000, 0, "the answer sufficed");
    assert!(statuses(&stack, &id).iter().all(|s| !matches!(s, S::Refunded | S::Disputed)));
}
