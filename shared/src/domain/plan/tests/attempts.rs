//! Attempts: made, closed, captured.

use super::kit::{Story, charge_view, check, decided, done, intent, order, refused, session};
use crate::domain::fact::{Decision, EffectResult, OrderView, Terms, What};
use crate::domain::ids::Function;
use crate::domain::order::{CaptureMode, Collection, OrderStatus};
use crate::domain::policy::Uncaptured;
use crate::domain::time::Seconds;
use crate::domain::view::PaymentStatus;

fn with(total: i64, change: impl FnOnce(&mut OrderView)) -> OrderView {
    let mut order = order(total);
    change(&mut order);
    order
}

fn cancelled(total: i64) -> OrderView {
    with(total, |o| o.status = OrderStatus::Cancelled)
}

fn two_step(total: i64, status: OrderStatus) -> OrderView {
    with(total, |o| (o.capture, o.status) = (CaptureMode::OnFulfilment, status))
}

fn authorised() -> Story {
    Story::of(two_step(1000, OrderStatus::Open))
        .with_session(1)
        .see(session("cs_1", 1, "complete", Some("pi_1")))
        .see(intent("pi_1", 1, "requires_capture", 1000))
}

#[test]
fn a_new_order_gets_its_first_session() {
    check(&Story::of(order(1000)), &["payment-creator: session:1 1000 (first_session)"]);
}

#[test]
fn an_order_of_nothing_is_paid_without_stripe() {
    let story = Story::of(order(0));
    check(&story, &[]);
    assert_eq!(story.state().view.unwrap().status, PaymentStatus::Paid);
}

#[test]
fn held_foreign_and_uncollected_orders_are_not_charged() {
    check(&Story::of(with(1000, |o| o.status = OrderStatus::OnHold)), &[]);
    check(&Story::of(with(1000, |o| o.collection = Collection::None)), &[]);
    let story = Story::of(with(1000, |o| o.status = OrderStatus::Other("odd".into())));
    check(&story, &["any: open case order_status (person_decides)"]);
    check(&story.order(order(1000)).settled(), &["payment-creator: session:1 1000 (first_session)"]);
}

#[test]
fn an_attempt_in_the_making_is_the_only_one() {
    let story = Story::of(order(1000)).take("session:1");
    check(&story, &["payment-creator: settle session:1 (claim_unsettled) in 120"]);
    check(&story.later(Seconds(120)), &["payment-creator: settle session:1 (claim_unsettled)"]);
}

#[test]
fn an_open_session_is_always_looked_at_again() {
    let story = Story::of(order(1000)).with_session(1);
    assert_eq!(story.wants(), ["payment-recorder: look at attempt 1 (not_seen_since) in 21600"]);
    let late = story.later(Seconds::days(2)).order(with(1000, |o| o.number = "B".into()));
    assert_eq!(late.wants(), ["payment-recorder: look at attempt 1 (not_seen_since) in 300"]);
}

#[test]
fn after_an_expiry_only_a_buyer_makes_the_next_page() {
    let story = Story::of(order(1000)).with_session(1).see(session("cs_1", 1, "expired", None));
    check(&story, &[]);
    let asked = story.see(What::BuyerAsked);
    let creator = "payment-creator: session:2 1000 (buyer_asked)";
    let page = "payment-page: session:2 1000 (buyer_asked)";
    check(&asked, &[page, &format!("{creator} in 120")]);
    // The page's function may have died: the creator makes it.
    check(&asked.later(Seconds(120)), &[page, creator]);
}

#[test]
fn the_days_limit_of_pages_delays_the_next() {
    let mut story = Story::of(order(1000)).with_session(1).see(session("cs_1", 1, "expired", None));
    story.policy.page.sessions_per_day_max = 1;
    let story = story.later(Seconds::hours(1)).see(What::BuyerAsked);
    assert!(story.wants().iter().all(|w| w.contains(" in 82800")), "{:?}", story.wants());
    assert_eq!(story.wants().len(), 2);
}

#[test]
fn an_abandoned_page_is_settled_by_the_creator() {
    let story = Story::of(order(1000))
        .with_session(1)
        .see(session("cs_1", 1, "expired", None))
        .see(What::BuyerAsked)
        .take("session:2");
    check(
        &story.later(Seconds(120)),
        &[
            "payment-creator: settle session:2 (claim_unsettled)",
            "payment-page: settle session:2 (claim_unsettled)",
        ],
    );
}

#[test]
fn a_changed_amount_closes_sees_it_closed_then_makes_a_new_one() {
    let story = Story::of(order(1000)).with_session(1).order(order(900));
    check(&story, &["payment-creator: expire:cs_1 (amount_changed)"]);
    let closing = story.take("expire:cs_1");
    check(&closing, &["payment-creator: settle expire:cs_1 (claim_unsettled) in 120"]);
    let closed = closing.outcome("expire:cs_1", done("cs_1"));
    check(&closed, &["payment-recorder: look at attempt 1 (not_seen_since)"]);
    let seen = closed.see(session("cs_1", 1, "expired", None));
    check(&seen, &["payment-creator: session:2 900 (amount_changed)"]);
}

#[test]
fn a_page_paid_while_it_was_closed_wins() {
    let story = Story::of(order(1000)).with_session(1).order(order(900)).take("expire:cs_1");
    let story = story.outcome("expire:cs_1", refused("session_complete"));
    check(&story, &["payment-recorder: look at attempt 1 (not_seen_since)"]);
    check(&story.paid(1, 1000), &["refund-processor: request excess:ch_1:100 100 (person_decides)"]);
}

#[test]
fn a_closing_that_stripe_refuses_is_a_case_and_not_a_loop() {
    let story = Story::of(order(1000)).with_session(1).order(order(900)).take("expire:cs_1");
    let story = story.outcome("expire:cs_1", refused("odd")).see(session("cs_1", 1, "open", None)).settled();
    check(&story, &[]);
    assert_eq!(story.wants().len(), 1, "it is looked at again: {:?}", story.wants());
    let again = story.see(decided("refused:expire:cs_1:1", Decision::Approve));
    check(&again, &["payment-creator: expire:cs_1 (amount_changed)"]);
    let again = again.take("expire:cs_1").outcome("expire:cs_1", refused("odd"));
    let again = again.see(session("cs_1", 1, "open", None)).settled();
    check(&again, &[]);
    assert!(again.case("refused:expire:cs_1:2").is_some());
    // It went away by itself.
    let gone = again.see(session("cs_1", 1, "expired", None)).settled();
    assert!(gone.case("refused:expire:cs_1:2").is_none());
}

#[test]
fn a_cancelled_order_closes_its_page_and_makes_no_other() {
    let story = Story::of(order(1000)).with_session(1).order(cancelled(1000));
    check(&story, &["payment-creator: expire:cs_1 (order_cancelled)"]);
    let story = story.take("expire:cs_1").outcome("expire:cs_1", done("cs_1"));
    check(&story.see(session("cs_1", 1, "expired", None)), &[]);
}

#[test]
fn a_bank_that_confirms_later_holds_the_order() {
    let story = Story::of(order(1000))
        .with_session(1)
        .see(session("cs_1", 1, "complete", Some("pi_1")))
        .see(intent("pi_1", 1, "processing", 1000));
    check(&story, &[]);
    assert_eq!(story.wants().len(), 1);
    // A pending charge shows itself captured before the bank has paid.
    let mut pending = charge_view("ch_1", "pi_1", 1000);
    pending.status = "pending".into();
    let story = story.see(What::ChargeSeen(pending));
    assert_eq!((story.state().captured(), story.state().contradicted()), (0, false));
    let mut failed = charge_view("ch_1", "pi_1", 1000);
    (failed.status, failed.captured, failed.amount_captured) = ("failed".into(), false, 0);
    let story = story.see(intent("pi_1", 1, "requires_payment_method", 1000)).see(What::ChargeSeen(failed));
    assert!(!story.state().contradicted());
    // Nobody can confirm it again: the buyer makes the next.
    check(&story, &[]);
    assert!(story.see(What::BuyerAsked).wants()[0].contains("session:2"));
}

#[test]
fn a_complete_session_whose_buyer_still_authenticates_stays_payable() {
    for status in ["requires_action", "requires_confirmation", "a_word_of_next_year"] {
        let story = Story::of(order(1000))
            .with_session(1)
            .see(session("cs_1", 1, "complete", Some("pi_1")))
            .see(intent("pi_1", 1, status, 1000))
            .see(What::BuyerAsked);
        assert!(!story.wants().iter().any(|w| w.contains("session:2")), "{status}");
    }
}

#[test]
fn what_our_call_changed_is_read_before_anything_else() {
    let story = Story::of(order(1000)).take("session:1").outcome("session:1", done("cs_1"));
    check(&story.see(What::BuyerAsked), &["payment-recorder: look at attempt 1 (not_seen_since)"]);
}

#[test]
fn a_refused_creation_waits_for_a_change() {
    let story = Story::of(order(1000)).take("session:1").outcome("session:1", refused("amount_too_small"));
    let story = story.settled();
    check(&story, &[]);
    assert!(story.case("refused:1").is_some());
    check(&story.clone().see(What::BuyerAsked), &[]);
    let approved = story.clone().see(decided("refused:1", Decision::Approve));
    check(&approved, &["payment-creator: session:2 1000 (first_session)"]);
    check(&story.order(order(2000)).settled(), &["payment-creator: session:2 2000 (first_session)"]);
}

#[test]
fn a_refused_customer_is_asked_for_again_once_per_approval() {
    let buyer = with(1000, |o| o.customer = Some("7".into()));
    let customer =
        || What::Outcome { effect: "customer".into(), generation: 1, result: refused("email_invalid") };
    let story = Story::of(buyer);
    check(&story, &["payment-creator: look at order (customer_first)"]);
    let story = story.see(customer()).settled();
    check(&story, &[]);
    let case = story.state().cases.keys().next().unwrap().clone();
    let story = story.see(decided(&case, Decision::Approve));
    check(&story, &["payment-creator: look at order (customer_first)"]);
    let story = story.see(customer()).settled();
    check(&story, &[]);
    assert_eq!(story.state().cases.values().filter(|c| c.is_open()).count(), 1);
    let story = story.see(What::CustomerLinked { customer: "cus_1".into() }).settled();
    check(&story, &["payment-creator: session:1 1000 (first_session)"]);
}

#[test]
fn a_rolled_creation_is_made_anew_after_a_wait_that_grows() {
    let mut story = Story::of(order(1000));
    for wait in [60, 120, 240] {
        story = story.take("session:1").outcome("session:1", EffectResult::Rolled);
        check(&story, &[&format!("payment-creator: session:1 1000 (key_rolled) in {wait}")]);
        story = story.later(Seconds(wait));
    }
    check(&story.order(cancelled(1000)), &[]);
}

#[test]
fn a_second_object_is_closed_before_anything_else_is_made() {
    let story = Story::of(order(1000)).with_session(1).see(session("cs_9", 1, "open", None));
    check(&story, &["payment-creator: expire:cs_9 (second_object)"]);
    let story = story.take("expire:cs_9");
    assert!(story.state().live_session().is_some(), "the stored one stays payable");
    let story = story.see(session("cs_1", 1, "expired", None)).see(What::BuyerAsked);
    assert!(!story.wants().iter().any(|w| w.contains("session:2")), "{:?}", story.wants());
    // Our call closed it; nobody reads second objects, and nobody asks again.
    let story = story.outcome("expire:cs_9", done("cs_9"));
    assert!(story.wants()[0].contains("session:2"), "{:?}", story.wants());
}

#[test]
fn a_second_object_that_would_not_close_is_read_at_once() {
    let story = Story::of(order(1000)).with_session(1).see(session("cs_9", 1, "open", None));
    let story = story.take("expire:cs_9").outcome("expire:cs_9", refused("resource_missing"));
    check(
        &story,
        &[
            "any: open case refused:expire:cs_9:1 (person_decides)",
            "payment-recorder: look at attempt 1 (not_seen_since)",
        ],
    );
    // Somebody had paid it: Stripe closes no page that is complete.
    let paid =
        story.see(session("cs_9", 1, "complete", Some("pi_9"))).see(intent("pi_9", 1, "succeeded", 1000));
    assert!(paid.wants().iter().any(|w| w.contains("expire:cs_1")), "{:?}", paid.wants());
}

#[test]
fn when_a_second_session_took_the_money_the_first_is_closed() {
    let story = Story::of(order(1000))
        .with_session(1)
        .see(session("cs_9", 1, "complete", Some("pi_9")))
        .see(intent("pi_9", 1, "succeeded", 1000));
    assert!(story.wants().iter().any(|w| w.contains("expire:cs_1")), "{:?}", story.wants());
}

#[test]
fn a_session_of_an_attempt_that_a_restored_table_forgot_is_closed_first() {
    let story = Story::of(order(1000)).see(session("cs_1", 1, "open", None));
    check(&story, &["payment-creator: expire:cs_1 (second_object)"]);
}

#[test]
fn a_deposit_comes_first_and_the_balance_on_its_day() {
    let start = super::kit::START;
    let booking =
        with(1000, |o| (o.deposit, o.balance_due_at) = (Some(300), Some(start + Seconds::days(10))));
    let story = Story::of(booking).with_session(1);
    let paid = story.paid(1, 300).settled();
    assert_eq!(paid.state().view.unwrap().status, PaymentStatus::PartiallyPaid);
    check(&paid, &["payment-creator: session:2 700 (balance_due) in 864000"]);
    let story = paid.later(Seconds::days(10)).with_session(2).paid(2, 700);
    check(&story, &[]);
    assert_eq!(story.state().view.unwrap().status, PaymentStatus::Paid);
}

#[test]
fn when_the_balance_falls_due_the_buyer_is_told_the_link_once_more() {
    let due_at = super::kit::START + Seconds::days(10);
    let with_deposit = OrderView { deposit: Some(300), balance_due_at: Some(due_at), ..order(1000) };
    let mut story = Story::of(with_deposit.clone()).with_session(1).paid(1, 300);
    story.policy.notify = true;
    let notice = format!("notifier: notice:balance:{} (must_be_told)", due_at.0);
    check(
        &story,
        &["payment-creator: session:2 700 (balance_due) in 864000", &format!("{notice} in 864000")],
    );
    let story = story.later(Seconds::days(10));
    check(&story, &["payment-creator: session:2 700 (balance_due)", &notice]);
    let told = story.clone().see(What::Noticed { key: format!("balance:{}", due_at.0) });
    check(&told, &["payment-creator: session:2 700 (balance_due)"]);
    // Paid meanwhile, cancelled, or charged by ourselves: nobody is told.
    let paid = story.clone().with_session(2).paid(2, 700);
    check(&paid, &[]);
    let cancelled = OrderView { status: OrderStatus::Cancelled, ..with_deposit.clone() };
    assert!(!story.clone().order(cancelled).wants().contains(&notice));
    let automatic =
        OrderView { collection: Collection::Automatic, customer: Some("7".into()), ..with_deposit };
    let ours = story
        .order(automatic)
        .see(What::CustomerLinked { customer: "cus_1".into() })
        .see(What::MethodSeen { method: Some("pm_1".into()), fingerprint: None });
    assert!(!ours.wants().contains(&notice), "{:?}", ours.wants());
}

#[test]
fn an_authorisation_is_captured_on_fulfilment() {
    let story = authorised().order(two_step(1000, OrderStatus::Fulfilled));
    check(&story, &["payment-recorder: capture:pi_1 1000 (fulfilled)"]);
    let less = authorised().order(two_step(700, OrderStatus::Fulfilled));
    check(&less, &["payment-recorder: capture:pi_1 700 (fulfilled)"]);
    let more = authorised().order(two_step(1500, OrderStatus::Fulfilled));
    check(&more, &["payment-recorder: capture:pi_1 1000 (fulfilled)"]);
}

#[test]
fn what_stripe_cannot_express_is_captured_a_little_less_never_more() {
    let kwd = crate::domain::money::Currency::parse("KWD").unwrap();
    let kuwait = |total, status| {
        with(total, |o| (o.currency, o.capture, o.status) = (kwd, CaptureMode::OnFulfilment, status))
    };
    let seen = |what| match what {
        What::IntentSeen(mut i) => {
            i.currency = kwd;
            What::IntentSeen(i)
        }
        other => other,
    };
    let story = Story::of(kuwait(10_000, OrderStatus::Open))
        .with_session(1)
        .see(session("cs_1", 1, "complete", Some("pi_1")))
        .see(seen(intent("pi_1", 1, "requires_capture", 10_000)))
        .order(kuwait(9_995, OrderStatus::Fulfilled));
    check(&story, &["payment-recorder: capture:pi_1 9990 (fulfilled)"]);
}

#[test]
fn an_authorisation_about_to_end_is_the_policys() {
    let lead = Seconds::days(7).0 - Seconds::hours(12).0;
    let story = authorised();
    assert!(story.wants()[0].contains(&format!("(authorisation_ends) in {lead}")));
    let late = |policy| {
        let mut story = story.clone().later(Seconds(lead));
        story.policy.capture.uncaptured = policy;
        story
    };
    check(&late(Uncaptured::Capture), &["payment-recorder: capture:pi_1 1000 (authorisation_ends)"]);
    let released = late(Uncaptured::Release);
    check(&released, &["payment-recorder: cancel:pi_1 (authorisation_ends)"]);
    let released = released.take("cancel:pi_1").outcome("cancel:pi_1", done("pi_1"));
    check(&released.see(intent("pi_1", 1, "canceled", 1000)), &[]);
    let asked = late(Uncaptured::Case).settled();
    check(&asked, &[]);
    check(
        &asked.clone().see(decided("uncaptured:pi_1", Decision::Approve)),
        &["payment-recorder: capture:pi_1 1000 (person_approved)"],
    );
    check(
        &asked.see(decided("uncaptured:pi_1", Decision::Deny)),
        &["payment-recorder: cancel:pi_1 (person_denied)"],
    );
}

#[test]
fn a_held_or_unknown_status_captures_nothing_by_itself() {
    for status in [OrderStatus::OnHold, OrderStatus::Other("odd".into())] {
        let at_once = with(1000, |o| o.status = status.clone());
        let mut story = authorised().order(at_once).settled();
        check(&story, &[]);
        story.policy.capture.uncaptured = Uncaptured::Capture;
        let late = story.later(Seconds::days(7)).settled();
        check(&late, &[]);
        assert!(late.case("uncaptured:pi_1").is_some());
    }
}

#[test]
fn a_cancelled_order_releases_its_authorisation() {
    let story = authorised().order(cancelled(1000));
    check(&story, &["payment-recorder: cancel:pi_1 (order_cancelled)"]);
}

#[test]
fn an_authorisation_in_another_currency_is_released() {
    let story = authorised()
        .order(with(1000, |o| o.currency = crate::domain::money::Currency::parse("USD").unwrap()));
    check(&story, &["payment-recorder: cancel:pi_1 (amount_changed)"]);
}

#[test]
fn a_capture_that_stripe_refuses_is_a_case_and_not_a_loop() {
    let story = authorised().order(two_step(1000, OrderStatus::Fulfilled)).take("capture:pi_1");
    let story = story.outcome("capture:pi_1", refused("charge_expired_for_capture"));
    check(&story, &["payment-recorder: look at attempt 1 (not_seen_since)"]);
    let story = story.see(intent("pi_1", 1, "requires_capture", 1000)).settled();
    check(&story, &[]);
    assert!(story.case("refused:capture:pi_1:1").is_some());
    assert_eq!(story.wants().len(), 1, "{:?}", story.wants());
}

#[test]
fn a_settled_claim_of_the_page_is_nobodys_secret() {
    let terms = Terms::CancelIntent { attempt: 1, intent: "pi_1".into() };
    let story =
        Story::of(order(1000)).claim("cancel:pi_1", terms, Function::PaymentPage, "buyer_pays_on_page");
    let owners: Vec<_> = story.later(Seconds(120)).plan().into_iter().filter_map(|a| a.owner).collect();
    assert!(owners.contains(&Function::PaymentCreator));
}
