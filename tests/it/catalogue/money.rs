//! Charging once: answers that are lost, crashes, keys, two tabs, declines that are not the last word, and currencies.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Method;
use local::aws::io::HttpEffect;
use local::aws::{Call, Faults};
use local::shop::NewOrder;
use local::stack::Stack;
use local::stack::buyer::Paid;
use local::stripe::{CardOutcome, FaultMode, Reason, WebhookRule};
use shared::domain::fact::Decision;
use shared::domain::ids::Function;
use shared::domain::money::Currency;
use shared::domain::order::CaptureMode;
use shared::domain::time::Seconds;
use shared::domain::view::PaymentStatus as S;
use shared::operator::{self, By};
use shared::outbound::http::{HttpResponse, SendError};

use super::kit::*;
use crate::stories::{DECLINED, GOOD, automatic, euros, newest_card, paid, place, repeat_stripe, session};

/// What can become of a call whose answer never comes.
fn lost_answers() -> [FaultMode; 4] {
    [
        FaultMode::ResetAfter,
        FaultMode::ErrorAfter,
        FaultMode::SlowAfter(90_000),
        FaultMode::LandsLater(150_000),
    ]
}

/// Another card than the one that pays.
const OTHER_CARD: &str = "5555555555554444";

#[tokio::test(start_paused = true)]
async fn a_refund_whose_answer_is_lost_is_made_once_however_often_it_is_looked_at() {
    for mode in lost_answers() {
        let stack = start().await;
        let id = paid(&stack, euros(4_000, Some("dora"))).await;
        strike(&stack, Method::POST, "/v1/refunds", mode.clone(), 1);
        stack.shop.request_refund(&id, Some(1_000), "one piece came back").unwrap();
        stack.settle().await.unwrap();
        for _ in 0..3 {
            operator::wake(&stack.engine(Function::Cli), &stack.key(&id).unwrap()).await.unwrap();
            stack.settle().await.unwrap();
        }
        pass(&stack, Seconds::hours(3)).await;
        ends(&stack, &id, S::PartiallyRefunded, 4_000, 1_000, &format!("{mode:?}"));
        assert_eq!(stack.sim.ledger().refunds.len(), 1, "{mode:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_charge_whose_answer_is_lost_is_made_once_however_often_it_is_looked_at() {
    for mode in lost_answers() {
        let stack = start().await;
        paid(&stack, euros(1_000, Some("emil"))).await;
        strike(&stack, Method::POST, "/v1/payment_intents/{id}/confirm", mode.clone(), 1);
        let id = place(&stack, automatic(7_000, "emil")).await;
        for _ in 0..3 {
            operator::wake(&stack.engine(Function::Cli), &stack.key(&id).unwrap()).await.unwrap();
            stack.settle().await.unwrap();
        }
        pass(&stack, Seconds::hours(3)).await;
        ends(&stack, &id, S::Paid, 7_000, 0, &format!("{mode:?}"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_is_repeated_with_the_bytes_it_had_although_the_order_changed_meanwhile() {
    let stack = start().await;
    stack.tally.record();
    strike(&stack, Method::POST, "/v1/checkout/sessions", FaultMode::ErrorBefore, 1);
    let id = place(&stack, euros(3_000, Some("fay"))).await;
    stack
        .shop
        .change(&id, |order| {
            order.number = "#renamed".into();
            order.metadata.insert("channel".into(), "phone".into());
            if let Some(customer) = &mut order.customer {
                customer.email = Some("new.address@example.com".into());
            }
            Ok(true)
        })
        .unwrap();
    stack.shop.change_total(&id, 3_600).unwrap();
    pass(&stack, Seconds::hours(2)).await;
    let mut sent: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for call in stack.tally.recording().iter().filter(|c| c["method"] == "POST") {
        let key = call["headers"]["idempotency-key"].as_str().unwrap().to_owned();
        sent.entry(key).or_default().push(call["body"].as_str().unwrap().to_owned());
        assert_ne!(call["response"]["error"]["type"], "idempotency_error", "{call}");
    }
    assert!(sent.values().any(|bodies| bodies.len() >= 2), "something was repeated");
    for (key, bodies) in &sent {
        assert!(bodies.iter().all(|b| b == &bodies[0]), "{key} was sent with two bodies");
    }
    stack.pay(&id, GOOD).await.unwrap();
    stack.settle().await.unwrap();
    ends(&stack, &id, S::Paid, 3_600, 0, "under the new total");
}

#[tokio::test(start_paused = true)]
async fn a_stored_500_is_not_asked_for_for_ever_and_the_buyer_pays() {
    let stack = start().await;
    strike(&stack, Method::POST, "/v1/checkout/sessions", FaultMode::ErrorAfter, 1);
    let id = place(&stack, euros(3_000, None)).await;
    pass(&stack, Seconds::hours(4)).await;
    let tried = stack.sim.ledger().calls_to("POST", "/v1/checkout/sessions");
    assert!((1..=4).contains(&tried), "{tried} calls");
    let open = stack.sim.ledger().sessions.iter().filter(|s| s.status == "open").count();
    assert_eq!(open, 1, "what the 500 hid was found, not made again");
    stack.pay(&id, GOOD).await.unwrap();
    stack.settle().await.unwrap();
    ends(&stack, &id, S::Paid, 3_000, 0, "after a stored 500");
}

/// The simulation found it: each page was only looked for once it had expired, for as long as Stripe answered like that.
#[tokio::test(start_paused = true)]
async fn a_page_whose_answer_is_lost_twice_is_found_by_the_second_call() {
    for mode in [FaultMode::ErrorAfter, FaultMode::ResetAfter] {
        let stack = start().await;
        let what = format!("{mode:?}");
        strike(&stack, Method::POST, "/v1/checkout/sessions", mode, 100);
        let id = place(&stack, euros(3_000, None)).await;
        // One sweep, and so one more call.
        stack.advance(Seconds::minutes(3), Some(Seconds::minutes(3))).await.unwrap();
        assert_eq!(stack.sim.ledger().calls_to("POST", "/v1/checkout/sessions"), 2, "{what}");
        stack.pay(&id, GOOD).await.unwrap();
        stack.settle().await.unwrap();
        ends(&stack, &id, S::Paid, 3_000, 0, &what);
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_decline_the_next_try_reaches_the_card_and_another_card_pays() {
    let stack = start().await;
    paid(&stack, euros(1_000, Some("emil"))).await;
    let card = newest_card(&stack);
    let outcomes = [Reason::ProcessingError, Reason::LostCard].map(CardOutcome::Decline).to_vec();
    stack.sim.set_card_behaviour(&card, outcomes);
    let id = place(&stack, automatic(7_000, "emil")).await;
    stack.advance(Seconds::hours(25), None).await.unwrap();
    let key = stack.key(&id).unwrap();
    let tries = || {
        let charges = stack.sim.ledger().charges;
        charges.iter().filter(|c| c.metadata.get("tandem_order").is_some_and(|o| o == key.as_str())).count()
    };
    assert_eq!(tries(), 2, "the second try was no replay of the first decline");
    assert!(matches!(stack.pay(&id, OTHER_CARD).await.unwrap(), Paid::Returned(_)));
    stack.settle().await.unwrap();
    ends(&stack, &id, S::Paid, 7_000, 0, "with another card");
    assert_eq!(tries(), 3);
}

/// The function dies when the answer to a call is there and nothing of it is stored.
struct Crash {
    what: &'static str,
    armed: AtomicBool,
}

impl Faults for Crash {
    fn around_http<'a>(
        &'a self,
        call: Call<'a>,
        _timeout: Duration,
        effect: HttpEffect,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, SendError>> + Send + 'a>> {
        let dies = call.label.operation == self.what && self.armed.swap(false, Ordering::Relaxed);
        Box::pin(async move {
            let answer = effect.await;
            assert!(!dies, "the function dies here");
            answer
        })
    }
}

fn crash(stack: &Stack, what: &'static str) -> Arc<Crash> {
    let crash = Arc::new(Crash { what, armed: AtomicBool::new(true) });
    stack.aws.set_faults(crash.clone());
    crash
}

#[tokio::test(start_paused = true)]
async fn a_page_made_just_before_a_crash_is_the_one_the_buyer_gets() {
    let stack = start().await;
    let crash = crash(&stack, "POST /v1/checkout/sessions");
    let id = place(&stack, euros(3_000, None)).await;
    assert!(!crash.armed.load(Ordering::Relaxed), "it crashed");
    pass(&stack, Seconds::minutes(30)).await;
    let sessions = stack.sim.ledger().sessions;
    assert_eq!(sessions.len(), 1, "adopted, not made again");
    assert_eq!(session(&stack, &id).await, sessions[0].url.clone().unwrap());
    stack.pay(&id, GOOD).await.unwrap();
    stack.settle().await.unwrap();
    ends(&stack, &id, S::Paid, 3_000, 0, "after a crash");
}

#[tokio::test(start_paused = true)]
async fn an_intent_of_a_crash_is_adopted_a_day_after_stripe_has_forgotten_its_key() {
    let stack = start().await;
    paid(&stack, euros(1_000, Some("emil"))).await;
    let crash = crash(&stack, "POST /v1/payment_intents");
    let id = place(&stack, automatic(7_000, "emil")).await;
    assert!(!crash.armed.load(Ordering::Relaxed), "it crashed");
    // Nothing runs for longer than Stripe keeps a key.
    stack.jump(Seconds::hours(26)).await.unwrap();
    pass(&stack, Seconds::hours(2)).await;
    let key = stack.key(&id).unwrap();
    let intents = stack.sim.ledger().intents;
    let of_order =
        intents.iter().filter(|i| i.metadata.get("tandem_order").is_some_and(|o| o == key.as_str()));
    assert_eq!(of_order.count(), 1, "found by our mark, not made again");
    ends(&stack, &id, S::Paid, 7_000, 0, "adopted and charged");
}

#[tokio::test(start_paused = true)]
async fn a_capture_that_was_already_made_is_success_and_gives_nothing_back() {
    for by_hand in [false, true] {
        let stack = start().await;
        let order = NewOrder { capture: CaptureMode::OnFulfilment, ..euros(4_000, Some("carla")) };
        let id = paid(&stack, order).await;
        assert_eq!(told(&stack, &id).0, S::Authorized);
        if by_hand {
            lose_events(&stack);
            let intent = stack.sim.ledger().intents[0].id.clone();
            at_stripe(&stack, &format!("/v1/payment_intents/{intent}/capture"), "").await;
        } else {
            let path = "/v1/payment_intents/{id}/capture";
            strike(&stack, Method::POST, path, FaultMode::ResetAfter, 1);
        }
        stack.shop.fulfil(&id).unwrap();
        stack.settle().await.unwrap();
        pass(&stack, Seconds::minutes(30)).await;
        ends(&stack, &id, S::Paid, 4_000, 0, &format!("captured by hand: {by_hand}"));
        assert_eq!(stack.sim.ledger().calls_to("POST", "/v1/refunds"), 0);
        assert_eq!(cases(&stack), Vec::<String>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn two_tabs_reloads_and_impatient_clicks_make_one_charge() {
    let stack = start().await;
    let id = place(&stack, euros(3_000, Some("gil"))).await;
    let link = stack.pay_link(&id).unwrap();
    let (one, other, again) =
        tokio::join!(stack.open_link(&link), stack.press_button(&link), stack.open_link(&link));
    let tabs = [one.unwrap().unwrap(), other.unwrap().unwrap(), again.unwrap().unwrap()];
    assert!(tabs.iter().all(|t| t == &tabs[0]), "every tab shows the one page");
    let (first, second) =
        tokio::join!(stack.pay_session(&tabs[0], GOOD), stack.pay_session(&tabs[1], OTHER_CARD));
    let went = [first.unwrap(), second.unwrap()].iter().filter(|p| matches!(p, Paid::Returned(_))).count();
    assert!(went >= 1);
    stack.settle().await.unwrap();
    assert!(stack.press_button(&link).await.unwrap().is_err(), "a paid order sells no second page");
    stack.settle().await.unwrap();
    ends(&stack, &id, S::Paid, 3_000, 0, "two tabs");
    assert_eq!(stack.sim.ledger().sessions.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_second_charge_from_elsewhere_is_flagged_once_and_given_back_when_a_person_says_so() {
    let stack = start().await;
    let id = paid(&stack, euros(3_000, Some("gil"))).await;
    let key = stack.key(&id).unwrap();
    charge_elsewhere(&stack, 3_000, Some(key.as_str())).await;
    stack.settle().await.unwrap();
    pass(&stack, Seconds::hours(7)).await;
    assert_eq!(money(&stack, &id), (2, 6_000, 0), "nothing goes back by itself");
    assert_eq!(cases(&stack), ["excess"], "flagged once");
    let case = notices(&stack, "case.opened")[0].data["case"]["id"].as_str().unwrap().to_owned();
    let olga = By::new("Olga", None).unwrap();
    operator::decide(&stack.engine(Function::Cli), &key, &case, Decision::Approve, &olga).await.unwrap();
    stack.settle().await.unwrap();
    assert_eq!(money(&stack, &id), (2, 6_000, 3_000));
    assert_eq!(told(&stack, &id), (S::PartiallyRefunded, 6_000, 3_000));
}

#[tokio::test(start_paused = true)]
async fn amounts_reach_stripe_in_stripes_own_units_and_come_back_unchanged() {
    let stack = start().await;
    // ISO minor units, what Stripe must be asked for, and a part given back in both.
    for (code, minor, stripe, part, stripe_part) in [
        ("EUR", 1_234, 1_234, 34, 34),
        ("JPY", 1_500, 1_500, 500, 500),
        ("KWD", 12_340, 12_340, 2_340, 2_340),
        ("ISK", 1_500, 150_000, 500, 50_000),
        ("UGX", 9_000, 900_000, 1_000, 100_000),
    ] {
        let id = paid(&stack, NewOrder::simple(Currency::parse(code).unwrap(), minor, None)).await;
        assert_eq!(money(&stack, &id), (1, stripe, 0), "{code}");
        assert_eq!(told(&stack, &id), (S::Paid, minor, 0), "{code}");
        // Beyond the policy's limits in some of these: the part is asked for by a person.
        let (engine, key, olga) =
            (stack.engine(Function::Cli), stack.key(&id).unwrap(), By::new("Olga", None));
        stack.shop.request_refund(&id, Some(part), "a piece came back").unwrap();
        stack.settle().await.unwrap();
        let asked = format!("refund:shop:{id}-r1");
        operator::decide(&engine, &key, &asked, Decision::Approve, &olga.unwrap()).await.ok();
        stack.settle().await.unwrap();
        assert_eq!(money(&stack, &id), (1, stripe, stripe_part), "{code}");
        assert_eq!(told(&stack, &id), (S::PartiallyRefunded, minor, part), "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_try_heard_of_an_hour_after_the_payment_changes_nothing() {
    let stack = start().await;
    let id = place(&stack, euros(3_000, None)).await;
    let late = WebhookRule { delay_ms: 3_600_000, ..WebhookRule::on("payment_intent.payment_failed") };
    stack.sim.add_webhook_rule(late);
    let page = session(&stack, &id).await;
    stack.pay_session(&page, DECLINED).await.unwrap();
    stack.pay_session(&page, GOOD).await.unwrap();
    stack.settle().await.unwrap();
    ends(&stack, &id, S::Paid, 3_000, 0, "paid");
    let told_before = statuses(&stack, &id);
    stack.advance(Seconds(3_700), None).await.unwrap();
    assert_eq!(repeat_stripe(&stack, &event(&stack, "payment_intent.payment_failed")).await, 200);
    stack.settle().await.unwrap();
    ends(&stack, &id, S::Paid, 3_000, 0, "an old failure");
    assert_eq!(statuses(&stack, &id), told_before, "the shop was not told anything else meanwhile");
}

#[tokio::test(start_paused = true)]
async fn a_buyer_with_two_first_orders_and_a_lost_answer_is_one_customer_although_the_search_fails() {
    // Soon enough for the same key, and after Stripe has forgotten it: then only a search can tell.
    for gap in [Seconds(0), Seconds::hours(26)] {
        let stack = start().await;
        strike(&stack, Method::POST, "/v1/customers", FaultMode::ResetAfter, 1);
        strike(&stack, Method::GET, "/v1/customers", FaultMode::ErrorBefore, 3);
        let ids = [1_000, 2_000].map(|amount| stack.shop.place(euros(amount, Some("heidi"))).unwrap().id);
        stack.settle().await.unwrap();
        stack.jump(gap).await.unwrap();
        pass(&stack, Seconds::hours(4)).await;
        for (id, amount) in ids.iter().zip([1_000, 2_000]) {
            stack.pay(id, GOOD).await.unwrap();
            stack.settle().await.unwrap();
            ends(&stack, id, S::Paid, amount, 0, &format!("two first orders, {gap:?}"));
        }
        let ledger = stack.sim.ledger();
        assert_eq!(ledger.customers.len(), 1, "{gap:?}");
        assert!(ledger.charges.iter().all(|c| c.customer.as_ref() == Some(&ledger.customers[0].id)));
        assert_eq!(
            ledger.calls_to("GET", "/v1/customers") > 3,
            gap > Seconds(0),
            "searched past its failures"
        );
    }
}
