//! Refunds: approved once, made once, never more than a charge holds.

use super::kit::{
    Story, charge, check, decided, dispute, done, intent, order, refund, refused, request, session,
};
use crate::domain::fact::{CaseKind, Decision, EffectResult, OrderView, Origin, What};
use crate::domain::order::{OrderStatus, RefundRequest, ReportedRefund};
use crate::domain::time::Seconds;
use crate::domain::view::PaymentStatus;

fn paid(total: i64) -> Story {
    Story::of(order(total)).with_session(1).paid(1, total)
}

fn asks(total: i64, requests: &[(&str, Option<i64>)]) -> OrderView {
    let wanted = |(id, amount): &(&str, Option<i64>)| RefundRequest {
        id: (*id).into(),
        amount: *amount,
        reason: String::new(),
    };
    OrderView { refund_requests: requests.iter().map(wanted).collect(), ..order(total) }
}

fn cancelled(total: i64) -> OrderView {
    OrderView { status: OrderStatus::Cancelled, ..order(total) }
}

fn made(story: Story, request: &str, re: &str, amount: i64) -> Story {
    let effect = format!("refund:{request}");
    story.take(&effect).outcome(&effect, done(re)).see(refund(re, "ch_1", amount, "succeeded", Some(request)))
}

/// Two successes for one order: 1000 owed, 2000 taken.
fn twice() -> Story {
    paid(1000).see(intent("pi_9", 1, "succeeded", 1000)).see(charge("ch_9", "pi_9", 1000))
}

#[test]
fn a_request_of_the_shop_is_a_fact_first_and_a_refund_by_policy() {
    let story = paid(1000).order(asks(1000, &[("r1", Some(400))]));
    check(&story, &["refund-processor: request shop:r1 400 (refund_asked)"]);
    let story = story.settled();
    check(&story, &["refund-processor: refund:shop:r1 400 of ch_1 (refund_within_policy)"]);
    let story = made(story, "shop:r1", "re_1", 400);
    check(&story, &[]);
    let view = story.state().view.unwrap();
    assert_eq!(
        (view.status, view.amount_refunded, view.amount_due),
        (PaymentStatus::PartiallyRefunded, 400, 0)
    );
}

#[test]
fn two_honest_requests_of_one_amount_are_two_refunds() {
    let story = paid(1000).order(asks(1000, &[("r1", Some(400)), ("r2", Some(400))])).settled();
    check(
        &story,
        &[
            "refund-processor: refund:shop:r1 400 of ch_1 (refund_within_policy)",
            "refund-processor: refund:shop:r2 400 of ch_1 (refund_within_policy)",
        ],
    );
    let story = made(made(story, "shop:r1", "re_1", 400), "shop:r2", "re_2", 400);
    assert_eq!(story.state().refunded(), 800);
    check(&story, &[]);
}

#[test]
fn requests_beyond_what_the_charge_holds_are_not_claimed_together() {
    let story = paid(1000).order(asks(1000, &[("r1", Some(600)), ("r2", Some(600))])).settled();
    check(&story, &["refund-processor: refund:shop:r1 600 of ch_1 (refund_within_policy)"]);
    assert_eq!(story.case("refund_impossible:shop:r2"), Some(CaseKind::RefundImpossible));
    let story = story.take("refund:shop:r1");
    assert!(!story.wants().iter().any(|w| w.contains("refund:shop:r2")), "{:?}", story.wants());
}

/// 1500 owed, taken as 500 and 1000.
fn in_two() -> Story {
    let deposit = OrderView {
        deposit: Some(500),
        balance_due_at: Some(super::kit::START + Seconds::days(10)),
        ..order(1500)
    };
    let story = Story::of(deposit).with_session(1).paid(1, 500).later(Seconds::days(10));
    story.with_session(2).paid(2, 1000)
}

#[test]
fn a_wish_that_no_charge_holds_alone_is_one_request_a_charge() {
    let story = in_two().order(asks(1500, &[("r1", Some(1200)), ("r2", None)]));
    check(
        &story,
        &[
            "refund-processor: request part:2:shop:r1 200 (refund_asked)",
            "refund-processor: request shop:r1 1000 (refund_asked)",
        ],
    );
    let story = story.settled();
    check(
        &story,
        &[
            "refund-processor: refund:part:2:shop:r1 200 of ch_1 (refund_within_policy)",
            "refund-processor: refund:shop:r1 1000 of ch_2 (refund_within_policy)",
            "refund-processor: refund:shop:r2 300 of ch_1 (refund_within_policy)",
        ],
    );
    let story = story.take("refund:shop:r1").outcome("refund:shop:r1", done("re_1"));
    let story = story.see(refund("re_1", "ch_2", 1000, "succeeded", Some("shop:r1")));
    let story = made(story, "part:2:shop:r1", "re_2", 200);
    let story = made(story, "shop:r2", "re_3", 300);
    check(&story, &[]);
    let view = story.state().view.unwrap();
    assert_eq!((view.status, view.amount_refunded), (PaymentStatus::Refunded, 1500));
    // The shop sees its own ids.
    let mut lines: Vec<_> = view.refunds.iter().map(|l| (l.request.as_deref().unwrap(), l.amount)).collect();
    lines.sort_unstable();
    assert_eq!(lines, [("r1", 200), ("r1", 1000), ("r2", 300)]);
}

#[test]
fn parts_are_judged_as_a_whole_and_end_one_by_one() {
    let mut story = in_two();
    story.policy.refund.auto_up_to.insert("EUR".into(), 1000);
    let story = story.order(asks(1500, &[("r1", None)])).settled();
    check(&story, &[]);
    for case in ["refund:shop:r1", "refund:part:2:shop:r1"] {
        assert_eq!(story.case(case), Some(CaseKind::RefundApproval), "{case}");
    }
    let story = story.see(decided("refund:part:2:shop:r1", Decision::Approve));
    let story = story.see(decided("refund:shop:r1", Decision::Deny)).settled();
    check(&story, &["refund-processor: refund:part:2:shop:r1 500 of ch_1 (person_approved)"]);
}

#[test]
fn what_cannot_be_refunded_says_why() {
    let case = |story: &Story, id: &str| story.state().cases[&format!("refund_impossible:{id}")].text.clone();
    let too_much = in_two().order(asks(1500, &[("r1", Some(1600))])).settled();
    assert!(case(&too_much, "shop:r1").contains("the order still holds (15.00 EUR)"));
    let spans = in_two().see(request("op:1", 1200, Origin::Operator)).settled();
    let text = case(&spans, "op:1");
    assert!(text.contains("10.00 EUR at most") && text.contains("once per charge"), "{text}");
}

#[test]
fn a_refund_whose_key_was_rolled_still_holds_its_amount_on_its_charge() {
    let story = paid(1000).order(asks(1000, &[("r1", Some(600))])).settled().take("refund:shop:r1");
    let story = story.outcome("refund:shop:r1", EffectResult::Rolled).later(Seconds::minutes(1));
    let story = story.see(charge("ch_0", "pi_0", 1000)).see(intent("pi_0", 1, "succeeded", 1000)).settled();
    assert!(story.wants().iter().any(|w| w.contains("refund:shop:r1 600 of ch_1")), "{:?}", story.wants());
    let story = story.see(request("op:1", 600, Origin::Operator)).settled();
    assert!(story.wants().iter().any(|w| w.contains("refund:op:1 600 of ch_0")), "{:?}", story.wants());
}

#[test]
fn above_the_limit_or_past_the_window_a_person_decides() {
    let story = paid(50_000).order(asks(50_000, &[("r1", Some(20_000))])).settled();
    check(&story, &[]);
    assert_eq!(story.case("refund:shop:r1"), Some(CaseKind::RefundApproval));
    let yes = story.clone().see(decided("refund:shop:r1", Decision::Approve));
    check(&yes, &["refund-processor: refund:shop:r1 20000 of ch_1 (person_approved)"]);
    check(&story.see(decided("refund:shop:r1", Decision::Deny)), &[]);
    let late = paid(1000).later(Seconds::days(91)).order(asks(1000, &[("r1", Some(400))])).settled();
    assert_eq!(late.case("refund:shop:r1"), Some(CaseKind::RefundApproval));
}

#[test]
fn a_refund_not_read_since_our_call_holds_everything_back() {
    let story = paid(1000).order(asks(1000, &[("r1", Some(600))])).settled();
    let story = story.take("refund:shop:r1").outcome("refund:shop:r1", done("odd_1"));
    let story = story.order(asks(1000, &[("r1", Some(600)), ("r2", None)]));
    check(&story, &["refund-processor: look at refunds (not_seen_since)"]);
    let story = story.see(refund("odd_1", "ch_1", 600, "pending", Some("shop:r1"))).settled();
    check(&story, &["refund-processor: refund:shop:r2 400 of ch_1 (refund_within_policy)"]);
}

#[test]
fn a_refund_that_failed_is_never_repeated_by_itself() {
    let story = paid(1000).order(asks(1000, &[("r1", Some(400))])).settled();
    let story =
        made(story, "shop:r1", "re_1", 400).see(refund("re_1", "ch_1", 400, "failed", Some("shop:r1")));
    let story = story.settled();
    check(&story, &[]);
    assert_eq!(story.case("refund_failed:re_1"), Some(CaseKind::RefundFailed));
    assert_eq!(story.state().view.unwrap().status, PaymentStatus::Paid);
}

#[test]
fn a_refused_refund_is_a_case() {
    let story = paid(1000).order(asks(1000, &[("r1", Some(400))])).settled().take("refund:shop:r1");
    let story = story.outcome("refund:shop:r1", refused("charge_already_refunded")).settled();
    check(&story, &[]);
    assert_eq!(story.case("refund_refused:shop:r1"), Some(CaseKind::RefundImpossible));
}

#[test]
fn a_cancelled_order_gives_back_what_was_taken_once() {
    let story = paid(1000).order(cancelled(1000)).settled();
    check(&story, &["refund-processor: refund:cancel:ch_1 1000 of ch_1 (refund_within_policy)"]);
    let story = made(story, "cancel:ch_1", "re_1", 1000);
    check(&story, &[]);
    let story = story.see(refund("re_1", "ch_1", 1000, "failed", Some("cancel:ch_1"))).settled();
    check(&story, &[]);
}

#[test]
fn a_cancellation_taken_back_and_made_again_asks_again() {
    let mut story = paid(1000);
    story.policy.refund.auto_up_to.clear();
    let story = story.order(cancelled(1000)).settled();
    assert!(story.case("refund:cancel:ch_1").is_some());
    let story = story.order(order(1000)).settled();
    assert!(story.case("refund:cancel:ch_1").is_none());
    check(&story, &[]);
    let story = story.order(cancelled(1000)).settled();
    assert!(story.case("refund:cancel:ch_1:2").is_some());
    // Denied is denied.
    let story = story.see(decided("refund:cancel:ch_1:2", Decision::Deny)).settled();
    check(&story, &[]);
}

#[test]
fn a_second_success_is_proposed_once() {
    let story = twice().settled();
    assert_eq!(story.case("refund:excess:ch_9:1000"), Some(CaseKind::Excess));
    check(&story, &[]);
    let approved = story.clone().see(decided("refund:excess:ch_9:1000", Decision::Approve));
    check(&approved, &["refund-processor: refund:excess:ch_9:1000 1000 of ch_9 (person_approved)"]);
    let denied = story.see(decided("refund:excess:ch_9:1000", Decision::Deny)).settled();
    check(&denied, &[]);
}

#[test]
fn an_excess_that_went_away_and_came_back_is_proposed_again() {
    let story = paid(1000).order(order(800)).settled();
    assert!(story.case("refund:excess:ch_1:200").is_some());
    let story = story.order(order(1000)).settled();
    assert!(story.case("refund:excess:ch_1:200").is_none());
    let story = story.order(order(800)).settled();
    assert!(story.case("refund:excess:ch_1:200:2").is_some());
    // Made, and then as much again.
    let id = "excess:ch_1:200:2";
    let story = story.see(decided(&format!("refund:{id}"), Decision::Approve));
    let story = made(story, id, "re_1", 200).order(order(600)).settled();
    assert!(story.case("refund:excess:ch_1:200:3").is_some(), "{:?}", story.state().cases.keys());
}

#[test]
fn an_approved_excess_that_is_gone_lapses() {
    let story = paid(1000).order(order(800)).settled();
    let story = story.see(decided("refund:excess:ch_1:200", Decision::Approve)).order(order(1000)).settled();
    check(&story, &[]);
    assert_eq!(story.state().asked(), 0);
}

#[test]
fn an_excess_over_two_charges_is_proposed_in_parts() {
    let story = twice().order(order(500)).settled();
    assert_eq!(story.state().asked(), 1500);
    assert_eq!(story.state().cases.values().filter(|c| c.kind == CaseKind::Excess && c.is_open()).count(), 2);
}

#[test]
fn an_unexplained_refund_of_equal_amount_is_a_persons() {
    let story = paid(1000).see(refund("re_9", "ch_1", 400, "succeeded", None));
    let story = story.order(asks(1000, &[("r1", Some(400))])).settled();
    check(&story, &[]);
    let case = "twin:shop:r1:re_9";
    assert_eq!(story.case(case), Some(CaseKind::RefundTwin));
    let besides = story.clone().see(decided(case, Decision::Approve));
    check(&besides, &["refund-processor: refund:shop:r1 400 of ch_1 (refund_within_policy)"]);
    let was_it = story.see(decided(case, Decision::Deny)).settled();
    check(&was_it, &[]);
    assert!(!was_it.state().request_open("shop:r1"));
}

#[test]
fn a_twin_found_after_the_approval_ends_the_request_when_a_person_says_so() {
    let story = paid(50_000).order(asks(50_000, &[("r1", Some(20_000))])).settled();
    let story = story.see(decided("refund:shop:r1", Decision::Approve));
    let story = story.see(refund("re_9", "ch_1", 20_000, "succeeded", None)).settled();
    let story = story.see(decided("twin:shop:r1:re_9", Decision::Deny)).settled();
    check(&story, &[]);
    assert_eq!(story.state().asked(), 0);
}

#[test]
fn a_reported_refund_is_a_request_only_when_a_person_approves() {
    let reports = || OrderView {
        refunds: vec![ReportedRefund { id: "x".into(), amount: 400, request: None }],
        ..order(1000)
    };
    let story = paid(1000).order(reports()).settled();
    check(&story, &[]);
    assert_eq!(story.case("reported:x"), Some(CaseKind::ReportedRefund));
    let approved = story.clone().see(decided("reported:x", Decision::Approve)).settled();
    check(&approved, &["refund-processor: refund:reported:x 400 of ch_1 (decided)"]);
    let explained = story.clone().see(refund("re_9", "ch_1", 400, "succeeded", None)).settled();
    assert!(explained.case("reported:x").is_none());
    assert!(story.order(order(1000)).settled().case("reported:x").is_none());
}

#[test]
fn an_open_dispute_holds_refunds_and_its_end_frees_them() {
    let story = paid(1000).order(asks(1000, &[("r1", Some(400))])).settled();
    let held = story.see(dispute("dp_1", "ch_1", 1000, "needs_response")).settled();
    check(&held, &[]);
    assert_eq!(held.state().view.unwrap().status, PaymentStatus::Disputed);
    let won = held.clone().see(dispute("dp_1", "ch_1", 1000, "won")).settled();
    check(&won, &["refund-processor: refund:shop:r1 400 of ch_1 (refund_within_policy)"]);
    let lost = held.see(dispute("dp_1", "ch_1", 1000, "lost")).settled();
    check(&lost, &[]);
    assert_eq!(lost.case("refund_impossible:shop:r1"), Some(CaseKind::RefundImpossible));
    assert_eq!((lost.state().lost(), lost.state().due(lost.now)), (1000, 0));
}

#[test]
fn a_lost_dispute_counts_in_excess_and_an_inquiry_does_not() {
    let story = twice().see(dispute("dp_1", "ch_9", 1000, "lost")).settled();
    assert_eq!(story.state().excess(), 0);
    assert!(story.state().requests.is_empty());
    let asked = paid(1000).see(dispute("dp_1", "ch_1", 1000, "warning_needs_response"));
    assert_eq!(asked.state().view.unwrap().status, PaymentStatus::Paid);
}

#[test]
fn a_dispute_in_another_currency_leaves_nothing_to_refund() {
    let mut what = dispute("dp_1", "ch_1", 10, "lost");
    if let What::DisputeSeen(d) = &mut what {
        d.currency = crate::domain::money::Currency::parse("USD").unwrap();
    }
    assert_eq!(paid(1000).see(what).state().left_on("ch_1"), 0);
}

#[test]
fn an_impossible_request_of_a_person_makes_no_room_for_others() {
    let story = paid(1000).see(request("op:1", -500, Origin::Operator));
    assert_eq!((story.state().asked(), story.state().excess()), (0, 0));
}

#[test]
fn the_release_of_a_partial_capture_is_no_refund() {
    let story = Story::of(order(700)).with_session(1).see(session("cs_1", 1, "complete", Some("pi_1")));
    let mut taken = super::kit::charge_view("ch_1", "pi_1", 1000);
    taken.amount_captured = 700;
    let story = story.see(intent("pi_1", 1, "succeeded", 700)).see(What::ChargeSeen(taken)).see(refund(
        "re_1",
        "ch_1",
        300,
        "succeeded",
        None,
    ));
    assert_eq!((story.state().refunded(), story.state().left_on("ch_1")), (0, 700));
}
