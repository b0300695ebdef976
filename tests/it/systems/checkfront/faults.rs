//! No call of v3 has an idempotency key: each write's answer is lost, or the write lands late, and the books are right all the same.

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
            pass(&stack, Seconds::minutes(40)).await;
            strike.land().await;
            pass(&stack, Seconds::minutes(40)).await;
            let what = format!("{how:?} at call {at}");
            assert_eq!(paid_by(&stack, &id), pos(4830), "{what}");
            assert_eq!(
                (book(&stack, &id).status.as_str(), told(&stack, &id)),
                ("PAID", Some(S::Paid)),
                "{what}"
            );
            let state = state(&stack, &id).await;
            assert_eq!((state.recorded, state.elsewhere(), state.excess()), (4830, 0, 0), "{what}");
            assert!(cases(&stack, &id).await.is_empty(), "{what}");
            assert!(state.claims.is_empty(), "{what}");
            let words =
                book(&stack, &id).notes.iter().filter(|n| n.body.contains("was paid by Stripe")).count();
            assert!((1..=2).contains(&words), "{what}: {words} notes");
            if !strike.struck() {
                assert!(at >= 6, "{what}: a telling has reads, notes and a record");
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_import_is_made_once_although_its_answer_is_lost() {
    let settings = "import_v4 = true\nimport_body = '{\"amount\":{amount},\"currency\":\"{currency}\"}'\n";
    for how in [How::AnswerLost, How::NeverSent] {
        for at in 0..9 {
            let stack = Stack::start(options(settings)).await.unwrap();
            let id = place(&stack, simple(4830)).await;
            Strike::on(&stack, at, how);
            pay(&stack, &id).await;
            pass(&stack, Seconds::hours(2)).await;
            assert_eq!(book(&stack, &id).paid(), 4830, "{how:?} at call {at}");
            assert_eq!(book(&stack, &id).transactions.len(), 1, "{how:?} at call {at}");
            assert_eq!(told(&stack, &id), Some(S::Paid), "{how:?} at call {at}");
        }
    }
}

/// Wherever the account refuses the rest, what it recorded before stays ours, and nobody is offered a refund of it.
#[tokio::test(start_paused = true)]
async fn a_telling_refused_halfway_leaves_no_payment_by_other_means() {
    let import = "import_v4 = true\nimport_body = '{\"amount\":{amount},\"currency\":\"{currency}\"}'\n";
    for settings in ["", import] {
        for at in 0.. {
            let stack = Stack::start(options(settings)).await.unwrap();
            let id = place(&stack, simple(4830)).await;
            let strike = Strike::on(&stack, at, How::Refused(r#"{"error":{"title":"no"}}"#));
            pay(&stack, &id).await;
            pass(&stack, Seconds::hours(2)).await;
            let state = state(&stack, &id).await;
            let (ours, what) = (book(&stack, &id).paid(), format!("{settings:?} at call {at}"));
            assert_eq!((state.recorded, state.elsewhere(), state.excess()), (ours, 0, 0), "{what}");
            if !strike.struck() {
                assert!(at >= 5, "a telling reads, intends, records, reads and notes: {what}");
                break;
            }
            assert!(cases(&stack, &id).await.iter().all(|kind| *kind == CaseKind::WriteBack), "{what}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_down_for_a_day_never_holds_up_stripe_and_is_told_afterwards() {
    let stack = start().await;
    let id = place(&stack, simple(4830)).await;
    let page = session(&stack, &id).await;
    stack.shop.set(|knobs| knobs.down = true);
    stack.pay_session(&page, GOOD).await.unwrap();
    stack.settle().await.unwrap();
    assert_eq!(charged(&stack, &id), (1, 4830));
    assert_eq!(state(&stack, &id).await.captured(), 4830, "what Stripe took is known at once");
    stack.advance_through(Seconds::hours(26), Some(Seconds::minutes(30))).await.unwrap();
    assert_eq!((told(&stack, &id), book(&stack, &id).paid()), (Some(S::AwaitingPayment), 0));
    assert!(!cases(&stack, &id).await.is_empty(), "after a day a person is told");
    stack.shop.set(|knobs| knobs.down = false);
    stack.advance(Seconds::hours(3), Some(Seconds::minutes(10))).await.unwrap();
    assert_eq!((told(&stack, &id), paid_by(&stack, &id)), (Some(S::Paid), pos(4830)));
}

#[tokio::test(start_paused = true)]
async fn an_account_that_asks_to_slow_down_is_told_later() {
    let stack = start().await;
    let id = place(&stack, simple(4830)).await;
    stack.pay(&id, GOOD).await.unwrap();
    stack.shop.checkfront(|account| account.throttle = 3);
    stack.settle().await.unwrap();
    pass(&stack, Seconds::minutes(15)).await;
    assert_eq!((told(&stack, &id), paid_by(&stack, &id)), (Some(S::Paid), pos(4830)));
    assert!(cases(&stack, &id).await.is_empty());
}
