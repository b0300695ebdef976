//! Money that goes back: once per wish, told as it stands, reopened when the bank sends it back.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use local::aws::io::HttpEffect;
use local::aws::{Call, Faults};
use local::stack::Stack;
use local::stripe::FaultMode;
use shared::domain::time::Seconds;
use shared::domain::view::{PaymentStatus as S, RefundLine};
use shared::outbound::http::{HttpResponse, SendError};

use super::kit::*;
use crate::stories::{euros, paid, place, repeat_stripe};

/// A card whose refunds are pending for a minute.
const REFUNDS_LATER: &str = "4000000000007726";

fn ask(stack: &Stack, id: &str, amount: Option<i64>) -> String {
    stack.shop.request_refund(id, amount, "it came back").unwrap()
}

/// Refunds of an order as the shop was told them.
fn lines(stack: &Stack, id: &str) -> Vec<RefundLine> {
    stack.shop.order(id).unwrap().payment.unwrap().refunds
}

fn refunds_asked_at_stripe(stack: &Stack) -> u64 {
    stack.sim.ledger().calls_to("POST", "/v1/refunds")
}

#[tokio::test(start_paused = true)]
async fn a_refund_its_echo_and_an_old_echo_after_a_second_refund_are_told_as_two_refunds() {
    let stack = start().await;
    let id = paid(&stack, euros(5_000, Some("dora"))).await;
    let first = ask(&stack, &id, Some(1_000));
    stack.settle().await.unwrap();
    let echo = event(&stack, "refund.created");
    let second = ask(&stack, &id, Some(700));
    stack.settle().await.unwrap();
    for _ in 0..3 {
        assert_eq!(repeat_stripe(&stack, &echo).await, 200);
        stack.settle().await.unwrap();
    }
    ends(&stack, &id, S::PartiallyRefunded, 5_000, 1_700, "two refunds");
    let told = lines(&stack, &id);
    let asked: Vec<(Option<&str>, i64)> = told.iter().map(|l| (l.request.as_deref(), l.amount)).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(asked.contains(&(Some(&first), 1_000)) && asked.contains(&(Some(&second), 700)), "{asked:?}");
    assert_eq!(refunds_asked_at_stripe(&stack), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refund_that_the_bank_sends_back_reopens_the_order_and_a_person_is_told() {
    let stack = start().await;
    let id = paid(&stack, euros(5_000, Some("dora"))).await;
    ask(&stack, &id, None);
    stack.settle().await.unwrap();
    ends(&stack, &id, S::Refunded, 5_000, 5_000, "refunded");
    let refund = stack.sim.ledger().refunds.last().unwrap().id.clone();
    stack.sim.fail_refund(&refund);
    stack.settle().await.unwrap();
    ends(&stack, &id, S::Paid, 5_000, 0, "sent back");
    assert_eq!(cases(&stack), ["refund_failed"]);
    let told = lines(&stack, &id);
    assert_eq!((told.len(), told[0].status.as_str()), (1, "failed"), "the failed one stays to be seen");
    // Nobody repeats it by itself, and nobody asks the buyer for the money again.
    pass(&stack, Seconds::hours(3)).await;
    assert_eq!(refunds_asked_at_stripe(&stack), 1);
    assert_eq!(stack.shop.order(&id).unwrap().payment.unwrap().amount_due, 0);
}

/// Stripe shows as canceled what failed: the simulator's refunds only fail.
struct Canceled;

impl Faults for Canceled {
    fn around_http<'a>(
        &'a self,
        call: Call<'a>,
        _timeout: Duration,
        effect: HttpEffect,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, SendError>> + Send + 'a>> {
        let shows = call.label.service == "stripe" && call.path.starts_with("/v1/refunds");
        Box::pin(async move {
            let mut answer = effect.await?;
            if shows {
                let text = String::from_utf8_lossy(answer.body());
                let text = text.replace("\"failed\"", "\"canceled\"");
                *answer.body_mut() = Bytes::from(text);
            }
            Ok(answer)
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_refund_that_is_canceled_reopens_the_order_as_a_failed_one_does() {
    let stack = start().await;
    let id = paid(&stack, euros(5_000, Some("dora"))).await;
    ask(&stack, &id, None);
    stack.settle().await.unwrap();
    stack.aws.set_faults(Arc::new(Canceled));
    let refund = stack.sim.ledger().refunds.last().unwrap().id.clone();
    stack.sim.fail_refund(&refund);
    stack.settle().await.unwrap();
    assert_eq!(lines(&stack, &id)[0].status, "canceled");
    ends(&stack, &id, S::Paid, 5_000, 0, "canceled");
    assert_eq!(cases(&stack), ["refund_failed"]);
}

#[tokio::test(start_paused = true)]
async fn a_refund_that_waits_at_stripe_is_told_as_pending_and_then_as_made() {
    let stack = start().await;
    let id = place(&stack, euros(5_000, None)).await;
    stack.pay(&id, REFUNDS_LATER).await.unwrap();
    stack.settle().await.unwrap();
    ask(&stack, &id, Some(2_000));
    stack.settle().await.unwrap();
    assert_eq!(lines(&stack, &id)[0].status, "pending");
    ends(&stack, &id, S::PartiallyRefunded, 5_000, 2_000, "pending counts as given back");
    assert_eq!(cases(&stack), Vec::<String>::new(), "waiting is no failure");
    stack.advance(Seconds::minutes(2), None).await.unwrap();
    assert_eq!(lines(&stack, &id)[0].status, "succeeded");
    ends(&stack, &id, S::PartiallyRefunded, 5_000, 2_000, "made");
    assert_eq!(refunds_asked_at_stripe(&stack), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refund_that_was_never_sent_is_a_case_and_not_told_as_pending() {
    let stack = start().await;
    let id = paid(&stack, euros(90_000, Some("dora"))).await;
    // Above what the policy gives back by itself, then more than there is.
    for (amount, case) in [(60_000, "refund_approval"), (95_000, "refund_impossible")] {
        ask(&stack, &id, Some(amount));
        stack.settle().await.unwrap();
        assert_eq!(cases(&stack).last().unwrap(), case);
    }
    assert_eq!(lines(&stack, &id), Vec::new());
    ends(&stack, &id, S::Paid, 90_000, 0, "nothing was sent");
    assert_eq!(refunds_asked_at_stripe(&stack), 0);
}

#[tokio::test(start_paused = true)]
async fn a_refunds_event_after_a_lost_answer_is_matched_to_its_wish_and_no_second_is_made() {
    let stack = start().await;
    let id = paid(&stack, euros(5_000, Some("dora"))).await;
    strike(&stack, http::Method::POST, "/v1/refunds", FaultMode::ResetAfter, 1);
    let wish = ask(&stack, &id, Some(1_500));
    stack.settle().await.unwrap();
    let made = stack.sim.ledger().refunds.last().unwrap().id.clone();
    let told = lines(&stack, &id);
    let matched: Vec<_> = told.iter().map(|l| (l.id.as_str(), l.request.as_deref())).collect();
    assert_eq!(matched, [(made.as_str(), Some(wish.as_str()))], "by the event, before anybody asked again");
    pass(&stack, Seconds::hours(3)).await;
    ends(&stack, &id, S::PartiallyRefunded, 5_000, 1_500, "one refund");
    assert_eq!(cases(&stack), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn partial_refunds_follow_each_other_and_only_their_sum_closes_the_order() {
    let stack = start().await;
    let id = paid(&stack, euros(5_000, Some("dora"))).await;
    for (amount, back, status) in [
        (1_000, 1_000, S::PartiallyRefunded),
        (2_500, 3_500, S::PartiallyRefunded),
        (1_499, 4_999, S::PartiallyRefunded),
        (1, 5_000, S::Refunded),
    ] {
        ask(&stack, &id, Some(amount));
        stack.settle().await.unwrap();
        ends(&stack, &id, status, 5_000, back, &format!("after {amount} more"));
    }
    assert_eq!(stack.sim.ledger().refunds.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn two_honest_refunds_of_one_amount_are_two_refunds_under_two_keys() {
    let stack = start().await;
    let id = paid(&stack, euros(5_000, Some("dora"))).await;
    stack.tally.record();
    // Two at once, and a third of the same amount a day later.
    let mut wishes = vec![ask(&stack, &id, Some(700)), ask(&stack, &id, Some(700))];
    stack.settle().await.unwrap();
    stack.advance(Seconds::days(1), None).await.unwrap();
    wishes.push(ask(&stack, &id, Some(700)));
    stack.settle().await.unwrap();
    ends(&stack, &id, S::PartiallyRefunded, 5_000, 2_100, "three of one amount");
    let ledger = stack.sim.ledger();
    let named: Vec<String> = ledger.refunds.iter().map(|r| r.metadata["tandem_request"].clone()).collect();
    for wish in &wishes {
        assert_eq!(named.iter().filter(|n| **n == format!("shop:{wish}")).count(), 1, "{named:?}");
    }
    let said = stack.tally.recording();
    let keys: std::collections::BTreeSet<&str> = said
        .iter()
        .filter(|call| call["method"] == "POST" && call["path"] == "/v1/refunds")
        .map(|call| call["headers"]["idempotency-key"].as_str().unwrap())
        .collect();
    assert_eq!(keys.len(), 3);
}
