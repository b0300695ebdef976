//! What is found although nobody told it, and what is not done although it could be: sweeps, limits, cards, the audit.

use local::stack::Stack;
use local::stripe::{CardOutcome, Charge, FaultMode, Reason};
use shared::domain::explain;
use shared::domain::ids::Function;
use shared::domain::time::Seconds;
use shared::domain::view::PaymentStatus as S;

use super::kit::*;
use crate::stories::{GOOD, automatic, euros, newest_card, paid, place};

#[tokio::test(start_paused = true)]
async fn without_webhooks_and_without_the_event_list_a_paid_order_is_found_by_asking_for_it() {
    let stack = start().await;
    let id = place(&stack, euros(3_000, None)).await;
    lose_events(&stack);
    stack.pay(&id, GOOD).await.unwrap();
    strike(&stack, http::Method::GET, "/v1/events", FaultMode::ErrorBefore, 10_000);
    stack.settle().await.unwrap();
    assert_eq!(told(&stack, &id).0, S::AwaitingPayment);
    for _ in 0..14 {
        stack.advance(Seconds::minutes(30), None).await.unwrap();
        let swept = stack.sweep().await.unwrap_err().to_string();
        assert!(swept.contains("stripe"), "a part that failed is said: {swept}");
        stack.settle().await.unwrap();
    }
    ends(&stack, &id, S::Paid, 3_000, 0, "asked for within seven hours");
}

#[tokio::test(start_paused = true)]
async fn an_order_that_its_shop_gave_up_as_unpaid_although_it_was_paid_gives_all_of_it_back() {
    let stack = start().await;
    let id = place(&stack, euros(3_000, None)).await;
    lose_events(&stack);
    stack.pay(&id, GOOD).await.unwrap();
    assert_eq!(told(&stack, &id).0, S::AwaitingPayment);
    stack.shop.cancel(&id).unwrap();
    stack.settle().await.unwrap();
    pass(&stack, Seconds::minutes(30)).await;
    ends(&stack, &id, S::Refunded, 3_000, 3_000, "nobody keeps money for a cancelled order");
    assert_eq!(stack.sim.ledger().refunds.len(), 1);
}

/// The tries of a card, oldest first.
fn tries(stack: &Stack, card: &str) -> Vec<Charge> {
    let charges = stack.sim.ledger().charges;
    charges
        .into_iter()
        .filter(|c| c.status == "failed" && c.payment_method.as_deref() == Some(card))
        .collect()
}

/// Most tries that any span of so many days holds.
fn most_in(tries: &[Charge], days: i64) -> usize {
    let within =
        |from: i64| tries.iter().filter(|c| (from..from + days * 86_400).contains(&c.created)).count();
    tries.iter().map(|c| within(c.created)).max().unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn a_card_is_never_tried_more_often_than_its_budget_over_all_its_orders() {
    let stack = start().await;
    paid(&stack, euros(1_000, Some("emil"))).await;
    let card = newest_card(&stack);
    stack.sim.set_card_behaviour(&card, vec![CardOutcome::Decline(Reason::InsufficientFunds); 200]);
    for amount in [2_000, 3_000, 4_000] {
        place(&stack, automatic(amount, "emil")).await;
    }
    stack.advance(Seconds::days(35), Some(Seconds::hours(6))).await.unwrap();
    let tried = tries(&stack, &card);
    assert!(tried.len() > 4, "only {} tries: the budget was never met", tried.len());
    assert!(most_in(&tried, 7) <= 4, "{} in 7 days", most_in(&tried, 7));
    assert!(most_in(&tried, 30) <= 15, "{} in 30 days", most_in(&tried, 30));
}

#[tokio::test(start_paused = true)]
async fn a_stolen_blocked_or_fraudulent_card_is_tried_once_and_never_again() {
    for reason in [Reason::StolenCard, Reason::Blocked, Reason::Fraudulent] {
        let stack = start().await;
        paid(&stack, euros(1_000, Some("fritz"))).await;
        let card = newest_card(&stack);
        let outcomes = vec![CardOutcome::Decline(reason), CardOutcome::Succeed, CardOutcome::Succeed];
        stack.sim.set_card_behaviour(&card, outcomes);
        let id = place(&stack, automatic(8_000, "fritz")).await;
        stack.advance(Seconds::days(35), Some(Seconds::hours(12))).await.unwrap();
        let key = stack.key(&id).unwrap();
        let ledger = stack.sim.ledger();
        let asked = ledger
            .charges
            .iter()
            .filter(|c| c.metadata.get("tandem_order").is_some_and(|o| o == key.as_str()));
        assert!(asked.count() <= 1, "{reason:?}");
        assert_eq!(money(&stack, &id).1, 0, "{reason:?}");
        assert_eq!(notices(&stack, "payment.action_required").len(), 1, "{reason:?}: the buyer is asked");
    }
}

#[tokio::test(start_paused = true)]
async fn a_limited_listing_is_a_failed_sweep_and_the_next_good_one_begins_where_it_was() {
    let stack = start().await;
    let id = place(&stack, euros(3_000, None)).await;
    stack.sweep().await.unwrap();
    lose_events(&stack);
    stack.pay(&id, GOOD).await.unwrap();
    strike(&stack, http::Method::GET, "/v1/events", FaultMode::RateLimited("global-rate".into()), 3);
    let calls = || stack.sim.ledger().calls_to("GET", "/v1/events");
    for _ in 0..3 {
        stack.advance(Seconds::minutes(5), None).await.unwrap();
        let before = calls();
        assert!(stack.sweep().await.is_err(), "limited is not empty");
        assert!(calls() - before <= 3, "and not asked on and on");
        stack.settle().await.unwrap();
        assert_eq!(told(&stack, &id).0, S::AwaitingPayment);
    }
    stack.advance(Seconds::minutes(5), None).await.unwrap();
    stack.sweep().await.unwrap();
    stack.settle().await.unwrap();
    ends(&stack, &id, S::Paid, 3_000, 0, "the next good sweep");
}

#[tokio::test(start_paused = true)]
async fn a_shop_that_announces_nothing_any_more_is_followed_by_asking_it() {
    let stack = start().await;
    stack.sweep().await.unwrap();
    stack.shop.set(|knobs| knobs.lose_notices = 1_000);
    let sweep = Seconds::minutes(6);
    let id = place(&stack, euros(3_000, None)).await;
    pass(&stack, sweep).await;
    assert_eq!(told(&stack, &id).0, S::AwaitingPayment);
    stack.shop.change_total(&id, 3_500).unwrap();
    pass(&stack, sweep).await;
    stack.pay(&id, GOOD).await.unwrap();
    stack.settle().await.unwrap();
    ends(&stack, &id, S::Paid, 3_500, 0, "the new total was found");
    stack.shop.request_refund(&id, Some(500), "a discount").unwrap();
    pass(&stack, sweep).await;
    ends(&stack, &id, S::PartiallyRefunded, 3_500, 500, "so was the wish");
    stack.shop.cancel(&id).unwrap();
    pass(&stack, sweep).await;
    ends(&stack, &id, S::Refunded, 3_500, 3_500, "and the cancellation");
}

#[tokio::test(start_paused = true)]
async fn what_was_undone_stays_told_with_every_object_that_stripe_holds() {
    let stack = start().await;
    let engine = stack.engine(Function::Cli);
    let id = paid(&stack, euros(5_000, Some("dora"))).await;
    let key = stack.key(&id).unwrap();
    stack.shop.request_refund(&id, None, "all of it came back").unwrap();
    stack.settle().await.unwrap();
    let before = engine.store.load(&key).await.unwrap();
    let told_then = engine.store.history(&before).await.unwrap();
    // Undone by the bank, and the order corrected twice.
    let refund = stack.sim.ledger().refunds[0].id.clone();
    stack.sim.fail_refund(&refund);
    stack.settle().await.unwrap();
    for total in [4_000, 5_000] {
        stack.shop.change_total(&id, total).unwrap();
        stack.settle().await.unwrap();
    }
    ends(&stack, &id, S::Paid, 5_000, 0, "undone");
    let after = engine.store.load(&key).await.unwrap();
    let told_now = engine.store.history(&after).await.unwrap();
    assert!(told_now.len() > told_then.len());
    assert!(told_now.iter().zip(&told_then).all(|(now, then)| now.raw == then.raw), "facts are only added");
    let (policy, now) = (&engine.config.policy, stack.clock.now());
    let text = explain::explain(&key, &told_now, &after.claims, policy, "of another day", now).text(200);
    let ledger = stack.sim.ledger();
    let held = ledger.charges.iter().map(|c| &c.id).chain(ledger.refunds.iter().map(|r| &r.id));
    for object in held.chain(ledger.sessions.iter().map(|s| &s.id)) {
        let short = object.get(..18).unwrap_or(object);
        assert!(text.contains(short), "{object} is not told:\n{text}");
    }
    assert!(text.contains("succeeded -> failed"), "{text}");
}
