//! What cannot settle by itself: contradictions, the unknown, write-backs, limits.

use super::kit::{Story, charge, charge_view, check, decided, intent, order, refused, request, session};
use crate::domain::fact::{
    CaseKind, ChargeView, Decision, OrderView, Origin, StoredFact, Terms, What, chain_break, hash_of,
};
use crate::domain::ids::Function;
use crate::domain::money::Currency;
use crate::domain::order::PaymentEcho;
use crate::domain::plan::{CUSTOMER_CASE, Do, due_at, plan};
use crate::domain::time::Seconds;
use crate::domain::view::PaymentStatus;

fn tells(story: &Story) -> bool {
    story.plan().iter().any(|a| matches!(&a.what, Do::Effect { effect, .. } if effect == "tell"))
}

#[test]
fn an_order_never_seen_is_looked_at() {
    let story = Story::empty().see(What::BuyerAsked);
    check(&story, &["payment-creator: look at order (order_not_seen)"]);
    assert!(plan(&Story::empty().state(), &story.policy, story.now).is_empty());
}

#[test]
fn a_contradiction_charges_nothing_until_a_person_goes_on() {
    let story = Story::of(order(1000))
        .with_session(1)
        .see(session("cs_1", 1, "expired", Some("pi_1")))
        .see(intent("pi_1", 1, "succeeded", 0))
        .see(intent("pi_1", 1, "canceled", 0))
        .see(What::BuyerAsked)
        .settled();
    check(&story, &[]);
    let case = "contradiction:pi_1";
    assert_eq!(story.case(case), Some(CaseKind::Contradiction));
    assert_eq!(story.state().view.unwrap().status, PaymentStatus::Review);
    let on = story.see(decided(case, Decision::Approve));
    assert!(on.wants()[0].contains("session:2"), "{:?}", on.wants());
    assert_ne!(on.state().view.unwrap().status, PaymentStatus::Review);
}

#[test]
fn a_payment_in_a_status_of_tomorrow_may_be_on_its_way() {
    let expired = Story::of(order(1000)).with_session(1).see(session("cs_1", 1, "expired", Some("pi_1")));
    let story = expired.clone().see(intent("pi_1", 1, "settling", 1000)).see(What::BuyerAsked);
    check(&story, &[]);
    let back = expired.see(intent("pi_1", 1, "requires_payment_method", 1000)).see(What::BuyerAsked);
    assert!(back.wants().iter().any(|w| w.contains("session:2")), "{:?}", back.wants());
}

#[test]
fn an_attempt_that_a_restored_table_forgot_is_waited_for_while_it_may_take_money() {
    let forgotten = |status: &str| {
        Story::of(order(1000)).see(intent("pi_7", 7, status, 1000)).see(What::BuyerAsked).wants()
    };
    let makes = |wants: &[String]| wants.iter().any(|w| w.contains("session:1"));
    for status in ["processing", "requires_capture", "settling"] {
        assert!(!makes(&forgotten(status)), "{status}: {:?}", forgotten(status));
    }
    assert!(forgotten("requires_capture")[0].contains("cancel:pi_7"));
    for status in ["canceled", "requires_payment_method"] {
        assert!(makes(&forgotten(status)), "{status}: {:?}", forgotten(status));
    }
}

#[test]
fn what_was_refused_and_is_there_all_the_same_is_closed_before_the_next() {
    let refused = Story::of(order(1000)).take("session:1").outcome("session:1", refused("odd"));
    let there = refused.see(session("cs_1", 1, "open", None)).order(order(1500));
    check(&there, &["payment-creator: expire:cs_1 (amount_changed)"]);
}

#[test]
fn a_refund_in_the_orders_currency_is_never_made_on_a_charge_in_another() {
    let yen = ChargeView { currency: Currency::parse("JPY").unwrap(), ..charge_view("ch_1", "pi_1", 1000) };
    let story = Story::of(order(1000)).see(What::ChargeSeen(yen)).see(request("op:1", 500, Origin::Operator));
    assert!(story.state().captured() > 0);
    let story = story.settled();
    assert!(!story.wants().iter().any(|w| w.contains("refund:op:1 ")), "{:?}", story.wants());
    assert_eq!(story.case("refund_impossible:op:1"), Some(CaseKind::RefundImpossible));
}

#[test]
fn money_in_another_currency_than_the_order_is_a_contradiction_either_way() {
    let usd = Currency::parse("USD").unwrap();
    let mut dollars = charge_view("ch_1", "pi_1", 1000);
    dollars.currency = usd;
    assert!(Story::of(order(1000)).see(What::ChargeSeen(dollars)).state().contradicted());
    let paid = Story::of(order(1000)).see(charge("ch_1", "pi_1", 1000));
    let turned = paid.order(OrderView { currency: usd, ..order(1000) });
    assert!(turned.state().contradicted());
    assert!(!turned.order(order(1000)).state().contradicted());
}

#[test]
fn an_outcome_unknown_for_too_long_is_a_case_each_time() {
    let unknown = |mut story: Story| {
        let since = story.now;
        for claim in story.claims.values_mut() {
            claim.unknown_since = Some(since);
        }
        story.later(Seconds::days(1)).settled()
    };
    let tell = |story: Story| {
        story.claim("tell", Terms::Tell { version: 1 }, Function::OrderUpdater, "view_changed")
    };
    let story = unknown(tell(Story::of(order(0))));
    assert_eq!(story.state().cases.values().filter(|c| c.is_open()).count(), 1);
    let mut story = story;
    story.claims.clear();
    let story = story.settled();
    assert_eq!(story.state().cases.values().filter(|c| c.is_open()).count(), 0);
    let story = unknown(tell(story));
    assert_eq!(story.state().cases.values().filter(|c| c.is_open()).count(), 1);
}

#[test]
fn a_customer_that_cannot_be_created_is_a_case_until_it_is_linked() {
    let buyer = OrderView { customer: Some("b1".into()), ..order(1000) };
    let opened = What::CaseOpened {
        case: CUSTOMER_CASE.into(),
        case_kind: CaseKind::Unknown,
        text: "the buyer's Stripe customer could not be created".into(),
    };
    let story = Story::of(buyer).see(opened).settled();
    assert_eq!(story.case(CUSTOMER_CASE), Some(CaseKind::Unknown));
    let linked = story.see(What::CustomerLinked { customer: "cus_1".into() }).settled();
    assert_eq!(linked.case(CUSTOMER_CASE), None);
}

#[test]
fn a_refused_write_back_is_repeated_once_per_approval() {
    let refused =
        || What::TellFailed { effect: "tell".into(), detail: "it answers 422".into(), recorded: None };
    let story = Story::of(order(0));
    assert!(tells(&story));
    let story = story.see(refused()).settled();
    assert!(!tells(&story));
    let case =
        |story: &Story| story.state().cases.iter().find(|(_, c)| c.is_open()).map(|(id, _)| id.clone());
    let first = case(&story).unwrap();
    let story = story.see(decided(&first, Decision::Approve));
    assert!(tells(&story));
    let story = story.see(refused()).settled();
    assert!(!tells(&story));
    assert_ne!(case(&story).unwrap(), first);
    // A newer view is told, and the old refusal is history.
    let story = story.order(order(500)).settled();
    assert!(tells(&story));
    let version = story.state().view_version;
    assert_eq!(case(&story.see(What::ViewTold { version, recorded: None }).settled()), None);
}

#[test]
fn a_version_that_a_restored_table_forgot_is_exceeded_once_and_never_by_a_loop() {
    let story = Story::of(order(0)).settled();
    let version = story.state().view_version;
    let holds = |version, status: &str| {
        let echo = Some(PaymentEcho { version, status: status.into() });
        OrderView { echo, ..order(0) }
    };
    let shown = story.state().view.unwrap().status.name();
    // Its own echo, with the answer lost: nothing to see.
    assert!(!story.state().is_news(&What::OrderSeen(Box::new(holds(version, shown)))));
    for (held, status) in [(40, shown), (version, "refunded")] {
        let story = story.clone().see(What::ViewTold { version: version - 1, recorded: None });
        assert!(story.state().is_news(&What::OrderSeen(Box::new(holds(held, status)))), "{held} {status}");
        let story = story.order(holds(held, status)).settled();
        assert_eq!(story.state().view_version, held + 1);
        assert!(tells(&story), "it is told above what it holds");
        // A shop that counts by itself takes nothing: no second jump before the first was taken.
        assert!(!story.state().is_news(&What::OrderSeen(Box::new(holds(held + 9, status)))));
        let told = story.see(What::ViewTold { version: held + 1, recorded: None }).settled();
        assert!(!tells(&told));
        let changed = told.order(holds(held + 1, shown)).order(order(500)).settled();
        assert!(changed.state().view_version > held + 1, "and what comes after lies above as well");
    }
    let nonsense = story.order(holds(u64::MAX, "paid"));
    assert_eq!(nonsense.state().view_version, version);
}

#[test]
fn an_echo_that_differs_after_an_acknowledgement_is_a_case_not_a_loop() {
    let story = Story::of(order(0));
    let version = story.state().view_version;
    let story = story.see(What::ViewTold { version, recorded: None });
    let echo = Some(PaymentEcho { version, status: "refunded".into() });
    let story = story.order(OrderView { echo, ..order(0) }).settled();
    assert_eq!(story.case(&format!("echo:{version}")), Some(CaseKind::WriteBack));
    assert!(!tells(&story));
}

#[test]
fn past_the_limit_nothing_is_done_but_a_person_is_told() {
    let mut story = Story::of(order(1000));
    story.policy.limits.facts_max = 1;
    story.policy.notify = true;
    let story = story.settled();
    check(&story, &["notifier: notice:case:limit (must_be_told)"]);
    let story = story.see(What::Noticed { key: "case:limit".into() });
    check(&story, &[]);
}

#[test]
fn a_person_lets_an_order_go_on_past_the_limit_from_where_it_stands() {
    let mut story = Story::of(order(1000));
    story.policy.limits.facts_max = 4;
    // Money facts go on coming in while it is stopped.
    let stopped = (0..30).fold(story, |story, n| story.order(order(1000 + n))).settled();
    assert_eq!(stopped.case("limit"), Some(CaseKind::Limit));
    assert!(!stopped.wants().iter().any(|w| w.contains("session:1")), "{:?}", stopped.wants());
    let on = stopped.see(decided("limit", Decision::Approve)).settled();
    assert!(on.wants().iter().any(|w| w.contains("session:1")), "{:?}", on.wants());
    // And it stops again, as a case of its own.
    let again = (0..5).fold(on, |story, n| story.order(order(2000 + n))).settled();
    assert_eq!(again.case("limit:2"), Some(CaseKind::Limit));
    assert!(!again.wants().iter().any(|w| w.contains("session:1")), "{:?}", again.wants());
}

#[test]
fn due_is_the_earliest_and_ready_work_of_others_has_grace() {
    let story = Story::of(order(1000));
    assert_eq!(due_at(&story.plan(), story.now, Seconds(120)), Some(story.now + Seconds(120)));
    assert_eq!(due_at(&[], story.now, Seconds(120)), None);
}

#[test]
fn a_kind_of_tomorrow_is_kept_and_ignored() {
    let story = Story::of(order(1000));
    let mut value = serde_json::to_value(&story.facts[0]).unwrap();
    value["kind"] = "tomorrow".into();
    let raw = value.to_string();
    let stored = StoredFact::parse(raw.clone()).unwrap();
    assert_eq!(stored.raw, raw);
    assert_eq!(stored.fact.what, What::Unknown { was: "tomorrow".into() });
    let mut with = story.clone();
    with.facts.push(stored.fact);
    assert_eq!(with.wants(), story.wants());
}

#[test]
fn an_edit_anywhere_before_the_end_breaks_the_chain() {
    let story = Story::of(order(1000)).with_session(1).paid(1, 1000);
    let mut prev = String::new();
    let mut stored = Vec::new();
    for mut fact in story.facts {
        fact.prev = prev;
        let raw = serde_json::to_string(&fact).unwrap();
        prev = hash_of(&raw);
        stored.push(StoredFact { raw, fact });
    }
    assert_eq!(chain_break(&stored, ""), None);
    for i in 0..stored.len() - 1 {
        let mut edited = stored.clone();
        edited[i] = StoredFact::parse(edited[i].raw.replacen("\"test/1\"", "\"tesT/1\"", 1)).unwrap();
        assert_eq!(chain_break(&edited, ""), Some(i + 1));
        let mut dropped = stored.clone();
        dropped.remove(i);
        assert_eq!(chain_break(&dropped, ""), Some(i));
    }
}

#[test]
fn what_was_taken_past_any_amount_is_not_taken_again() {
    let story = Story::of(order(i64::MAX)).with_session(1).paid(1, i64::MAX);
    assert_eq!(story.state().due(story.now), 0);
}

/// The simulation found it: a lagging read of another function undid what the poll had seen within the same second, and the
/// poll's word counted as known for good.
#[test]
fn a_hint_is_known_no_more_once_another_state_of_the_same_version_was_seen() {
    let seen = |total, version| OrderView { version, ..order(total) };
    let story = Story::of(seen(1000, 7)).hinted("poll-a").order(seen(1200, 7)).hinted("poll-b");
    assert!(!story.state().knows("poll-a") && story.state().knows("poll-b"));
    let lagging = story.clone().order(seen(1000, 7)).hinted("stripe/evt_1");
    assert!(!lagging.state().knows("poll-b"), "it makes us look again");
    let newer = story.order(seen(1300, 8)).hinted("poll-c");
    assert!(newer.state().knows("poll-b"), "the version tells which is the newer");
}
