//! Answers that get lost, requests that land late, a store that is down: the books hold one sale and one refund all the same.

use shared::domain::fact::CaseKind;

use super::super::kit::{How, Strike};
use super::*;

/// Every call of the telling that records the money, and every way in which it can be lost.
#[tokio::test(start_paused = true)]
async fn a_payment_is_recorded_once_whichever_call_is_lost_and_however() {
    for how in [How::AnswerLost, How::NeverSent, How::Late] {
        for at in 0.. {
            let stack = start().await;
            let id = place(&stack, simple(4830)).await;
            let strike = Strike::on(&stack, at, how);
            pay(&stack, &id).await;
            pass(&stack, Seconds::minutes(11)).await;
            strike.land().await;
            pass(&stack, Seconds::minutes(11)).await;
            let what = format!("{how:?} at call {at}");
            assert_eq!(
                (movements(&stack, &id), told(&stack, &id)),
                (vec![(Kind::Sale, 4830)], Some(S::Paid)),
                "{what}"
            );
            let state = state(&stack, &id).await;
            assert_eq!((state.recorded, state.elsewhere(), state.excess()), (4830, 0, 0), "{what}");
            assert!(cases(&stack, &id).await.is_empty() && state.claims.is_empty(), "{what}");
            if !strike.struck() {
                assert!(at >= 5, "{what}: a telling reads, records, marks, tags and writes its marker");
                break;
            }
        }
    }
}

/// Wherever the store refuses the rest, what it recorded before stays ours, and nobody is offered a refund of it.
#[tokio::test(start_paused = true)]
async fn a_telling_refused_halfway_leaves_no_payment_by_other_means() {
    let denied = r#"{"errors":[{"message":"denied","extensions":{"code":"ACCESS_DENIED"}}]}"#;
    for at in 0.. {
        let stack = start().await;
        let id = place(&stack, simple(4830)).await;
        let strike = Strike::on(&stack, at, How::Refused(denied));
        pay(&stack, &id).await;
        pass(&stack, Seconds::hours(2)).await;
        let state = state(&stack, &id).await;
        let ours: i64 = movements(&stack, &id).iter().map(|(_, amount)| amount).sum();
        assert_eq!((state.recorded, state.elsewhere(), state.excess()), (ours, 0, 0), "at call {at}");
        if !strike.struck() {
            assert!(at >= 5, "a telling reads, records, marks, tags and writes its marker: {at}");
            break;
        }
        assert_eq!(cases(&stack, &id).await, [CaseKind::WriteBack], "at call {at}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refund_is_recorded_once_whichever_call_is_lost_and_however() {
    for how in [How::AnswerLost, How::NeverSent, How::Late] {
        for at in 0.. {
            let stack = start().await;
            let id = place(&stack, simple(4830)).await;
            pay(&stack, &id).await;
            let strike = Strike::on(&stack, at, how);
            stack.shop.request_refund(&id, Some(1000), "broken").unwrap();
            stack.settle().await.unwrap();
            pass(&stack, Seconds::minutes(11)).await;
            strike.land().await;
            pass(&stack, Seconds::minutes(11)).await;
            let what = format!("{how:?} at call {at}");
            assert_eq!(movements(&stack, &id), [(Kind::Sale, 4830), (Kind::Refund, 1000)], "{what}");
            assert_eq!(
                (book(&stack, &id).refunds.len(), told(&stack, &id)),
                (1, Some(S::PartiallyRefunded)),
                "{what}"
            );
            assert!(cases(&stack, &id).await.is_empty(), "{what}");
            if !strike.struck() {
                assert!(at >= 4, "{what}: a telling reads, refunds, tags and writes its marker");
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_for_a_day_never_holds_up_stripe_and_is_told_afterwards() {
    let stack = start().await;
    let id = place(&stack, simple(4830)).await;
    let page = session(&stack, &id).await;
    stack.shop.set(|knobs| knobs.down = true);
    stack.pay_session(&page, GOOD).await.unwrap();
    stack.settle().await.unwrap();
    assert_eq!(charged(&stack, &id), (1, 4830));
    assert_eq!(state(&stack, &id).await.captured(), 4830, "what Stripe took is known at once");
    stack.advance_through(Seconds::hours(26), Some(Seconds::minutes(30))).await.unwrap();
    assert_eq!((told(&stack, &id), movements(&stack, &id)), (Some(S::AwaitingPayment), vec![]));
    assert!(!cases(&stack, &id).await.is_empty(), "after a day a person is told");
    stack.shop.set(|knobs| knobs.down = false);
    stack.advance(Seconds::hours(3), Some(Seconds::minutes(10))).await.unwrap();
    assert_eq!((told(&stack, &id), movements(&stack, &id)), (Some(S::Paid), vec![(Kind::Sale, 4830)]));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_throttles_is_told_later() {
    let stack = start().await;
    let id = place(&stack, simple(4830)).await;
    stack.pay(&id, GOOD).await.unwrap();
    stack.shop.set(|knobs| knobs.throttle = 3);
    stack.settle().await.unwrap();
    stack.advance_through(Seconds::minutes(30), Some(Seconds::minutes(5))).await.unwrap();
    assert_eq!((told(&stack, &id), movements(&stack, &id)), (Some(S::Paid), vec![(Kind::Sale, 4830)]));
    assert!(cases(&stack, &id).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_total_that_grows_while_the_payment_is_told_heals_by_itself() {
    let stack = start().await;
    let id = place(&stack, simple(4830)).await;
    let page = session(&stack, &id).await;
    stack.pay_session(&page, GOOD).await.unwrap();
    // Nobody has heard of it when the payment is told.
    stack.shop.set(|knobs| knobs.lose_notices = 1);
    stack.shop.change_total(&id, 6000).unwrap();
    stack.settle().await.unwrap();
    assert_eq!(movements(&stack, &id), [], "marking it as paid would have paid 60.00");
    pass(&stack, Seconds::minutes(20)).await;
    assert_eq!(told(&stack, &id), Some(S::PartiallyPaid));
    pay(&stack, &id).await;
    pass(&stack, Seconds::minutes(20)).await;
    assert_eq!((charged(&stack, &id), movements(&stack, &id)), ((2, 6000), vec![(Kind::Sale, 6000)]));
    assert!(cases(&stack, &id).await.is_empty(), "{:?}", cases(&stack, &id).await);
}
