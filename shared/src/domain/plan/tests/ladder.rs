//! The retry ladder: classes, budget, asking, giving up.

use super::kit::{Story, check, declined, done, intent, order, refused};
use crate::domain::fact::{OrderView, What};
use crate::domain::order::{Collection, OrderStatus};
use crate::domain::time::Seconds;
use crate::domain::view::PaymentStatus;

fn automatic() -> OrderView {
    OrderView { customer: Some("7".into()), collection: Collection::Automatic, ..order(1000) }
}

fn buyer(card: Option<&str>) -> Story {
    Story::of(automatic())
        .see(What::CustomerLinked { customer: "cus_1".into() })
        .see(What::MethodSeen { method: Some("pm_1".into()), fingerprint: card.map(Into::into) })
}

/// An order whose first off-session try was declined with `code`.
fn failed(code: &str) -> Story {
    let story = buyer(None).with_intent(1, 1000).take("confirm:1:1").outcome("confirm:1:1", declined(code));
    story.see(intent("pi_1", 1, "requires_payment_method", 1000)).settled()
}

#[test]
fn a_saved_method_is_charged_unconfirmed_first() {
    check(&buyer(None), &["payment-creator: intent:1 1000 (saved_method)"]);
    let story = buyer(None).with_intent(1, 1000);
    check(&story, &["payment-creator: confirm:1:1 (first_try)"]);
    let story = story.take("confirm:1:1");
    check(&story, &["payment-creator: settle confirm:1:1 (claim_unsettled) in 120"]);
    let story = story.outcome("confirm:1:1", done("pi_1"));
    check(&story, &["payment-recorder: look at attempt 1 (not_seen_since)"]);
    check(&story.see(intent("pi_1", 1, "processing", 1000)), &[]);
}

#[test]
fn without_a_saved_method_there_is_a_page() {
    let story = Story::of(automatic())
        .see(What::CustomerLinked { customer: "cus_1".into() })
        .see(What::MethodSeen { method: None, fingerprint: None });
    check(&story, &["payment-creator: session:1 1000 (first_session)"]);
}

#[test]
fn a_card_is_confirmed_only_within_its_budget() {
    let story = buyer(Some("fp")).with_intent(1, 1000);
    check(&story, &["payment-creator: reserve:1 (card_budget)"]);
    let answer = |granted, again_at| What::CardBudget { attempt: 1, try_no: 1, granted, again_at };
    check(&story.clone().see(answer(true, None)), &["payment-creator: confirm:1:1 (first_try)"]);
    let again = story.now + Seconds::days(3);
    let full = story.clone().see(answer(false, Some(again)));
    check(&full, &["failure-handler: reserve:1 (card_budget) in 259200"]);
    check(&story.see(answer(false, None)), &["failure-handler: reserve:1 (card_budget) in 3600"]);
}

#[test]
fn while_a_card_is_full_the_buyer_is_asked_once_and_the_card_waits_for_room() {
    let mut story = buyer(Some("fp")).with_intent(1, 1000);
    story.policy.notify = true;
    let answer = |try_no, granted, again_at| What::CardBudget { attempt: 1, try_no, granted, again_at };
    let again = story.now + Seconds::days(3);
    let full = story.clone().see(answer(1, false, Some(again)));
    let waits = "failure-handler: reserve:1 (card_budget) in 259200";
    check(&full, &["notifier: notice:ask:0 (must_be_told)", waits]);
    assert!(full.state().payable(full.now), "the link leads to a page");
    let told = full.see(What::Noticed { key: "ask:0".into() });
    check(&told, &[waits]);
    // The buyer comes, or there is room again.
    let comes = told.clone().see(What::BuyerAsked);
    assert!(comes.wants().iter().any(|w| w.starts_with("payment-page: cancel:pi_1")), "{:?}", comes.wants());
    let room = told.later(Seconds::days(3)).see(answer(1, true, None));
    check(&room, &["payment-creator: confirm:1:1 (first_try)"]);
    // Full at a later try: asked about that one.
    let room = room.take("confirm:1:1").outcome("confirm:1:1", declined("insufficient_funds"));
    let room = room.see(intent("pi_1", 1, "requires_payment_method", 1000)).settled();
    let room = room.later(Seconds::days(1)).see(answer(2, false, None));
    assert!(room.wants().iter().any(|w| w == "notifier: notice:ask:1 (must_be_told)"), "{:?}", room.wants());
}

#[test]
fn soft_and_technical_declines_climb_their_ladders() {
    let story = failed("insufficient_funds");
    check(&story, &["failure-handler: confirm:1:2 (retry_due) in 86400"]);
    check(&failed("processing_error"), &["failure-handler: confirm:1:2 (retry_due) in 60"]);
    let later = story.later(Seconds::days(1)).take("confirm:1:2");
    let later = later.outcome("confirm:1:2", declined("insufficient_funds")).settled();
    check(&later, &["failure-handler: confirm:1:3 (retry_due) in 172800"]);
}

#[test]
fn what_only_the_buyer_can_mend_is_asked_of_the_buyer_and_given_up() {
    for code in ["authentication_required", "stolen_card"] {
        let mut story = failed(code);
        check(&story, &["failure-handler: give up (gave_up) in 1814400"]);
        story.policy.notify = true;
        assert!(story.wants().iter().any(|w| w == "notifier: notice:ask:1 (must_be_told)"));
        story.policy.notify = false;
        let story = story.later(Seconds::days(21)).settled();
        check(&story, &["payment-creator: cancel:pi_1 (gave_up)"]);
        let story = story.take("cancel:pi_1").outcome("cancel:pi_1", done("pi_1"));
        let story = story.see(intent("pi_1", 1, "canceled", 1000));
        check(&story, &[]);
        assert_eq!(story.state().view.unwrap().status, PaymentStatus::Failed);
    }
}

#[test]
fn a_bank_that_waits_for_the_buyer_is_given_up_too() {
    let story = buyer(None).with_intent(1, 1000).take("confirm:1:1").outcome("confirm:1:1", done("pi_1"));
    let story = story.see(intent("pi_1", 1, "requires_action", 1000));
    check(&story, &["failure-handler: give up (gave_up) in 1814400"]);
}

#[test]
fn the_ladder_ends_and_the_buyer_is_asked() {
    let mut story = failed("insufficient_funds");
    for try_no in 2..=5 {
        story = story.later(Seconds::days(6)).take(&format!("confirm:1:{try_no}"));
        story = story.outcome(&format!("confirm:1:{try_no}"), declined("insufficient_funds")).settled();
    }
    // The fifth failure came after the buyer's time was up already.
    check(&story, &["payment-creator: cancel:pi_1 (gave_up)"]);
}

#[test]
fn the_buyer_at_the_page_stops_the_ladder() {
    let story = failed("insufficient_funds").see(What::BuyerAsked);
    check(
        &story,
        &[
            "payment-creator: cancel:pi_1 (buyer_pays_on_page) in 120",
            "payment-page: cancel:pi_1 (buyer_pays_on_page)",
        ],
    );
    let story = story.take("cancel:pi_1").outcome("cancel:pi_1", done("pi_1"));
    let story = story.see(intent("pi_1", 1, "canceled", 1000));
    let story = story.take("session:2").outcome("session:2", done("cs_2"));
    let story = story.see(super::kit::session("cs_2", 2, "open", None));
    check(&story.clone().later(Seconds::hours(1)), &[]);
    // The buyer left: the ladder goes on at its time.
    let story = story.see(super::kit::session("cs_2", 2, "expired", None));
    check(&story, &["payment-creator: intent:3 1000 (saved_method) in 86400"]);
}

#[test]
fn an_intent_that_stripe_cancelled_does_not_end_the_ladder() {
    let story = buyer(None).with_intent(1, 1000).take("confirm:1:1");
    let story = story.outcome("confirm:1:1", refused("intent_canceled"));
    check(
        &story.see(intent("pi_1", 1, "canceled", 1000)),
        &["payment-creator: intent:2 1000 (saved_method) in 86400"],
    );
}

#[test]
fn a_held_order_is_not_confirmed() {
    for status in [OrderStatus::OnHold, OrderStatus::Other("odd".into())] {
        let held = OrderView { status, ..automatic() };
        let story = buyer(None).with_intent(1, 1000).order(held).settled();
        check(&story, &[]);
        assert_eq!(story.wants().len(), 1);
    }
}

#[test]
fn another_buyer_or_another_way_of_paying_ends_the_saved_methods_part() {
    let page = OrderView { collection: Collection::Page, ..automatic() };
    let story = buyer(None).with_intent(1, 1000).order(page);
    check(&story, &["payment-creator: cancel:pi_1 (terms_changed)"]);
    let other = OrderView { customer: Some("8".into()), ..automatic() };
    let story = buyer(None).with_intent(1, 1000).order(other);
    check(&story, &["payment-creator: cancel:pi_1 (terms_changed)"]);
    let story = story.take("cancel:pi_1").outcome("cancel:pi_1", done("pi_1"));
    let story = story.see(intent("pi_1", 1, "canceled", 1000));
    check(&story, &["payment-creator: look at order (customer_first)"]);
    // The old card is not the new buyer's.
    let story = story.see(What::MethodSeen { method: Some("pm_1".into()), fingerprint: None });
    let story = story.see(What::CustomerLinked { customer: "cus_2".into() });
    check(&story, &["payment-creator: session:2 1000 (amount_changed)"]);
}
