//! Paid by other means: what the order system's own books hold beside our record.

use super::kit::{Story, check, decided, order, refund as refund_view};
use crate::domain::fact::{Decision, OrderView, What};
use crate::domain::order::{Collection, OrderStatus, RefundRequest, ReportedRefund};
use crate::domain::view::PaymentStatus;

/// The order with so much in its system's own books.
fn booked(total: i64, paid: i64) -> OrderView {
    OrderView { paid: Some(paid), ..order(total) }
}

fn status(story: &Story) -> (PaymentStatus, i64, String) {
    let view = story.state().view.unwrap();
    (view.status, view.amount_due, view.reason)
}

#[test]
fn a_part_paid_in_the_order_system_is_not_charged_again() {
    let story = Story::of(booked(1000, 400));
    check(&story, &["payment-creator: session:1 600 (first_session)"]);
    assert_eq!(status(&story), (PaymentStatus::AwaitingPayment, 600, "nothing_paid_yet".into()));
}

#[test]
fn a_page_that_asks_for_more_than_is_left_is_closed() {
    let story = Story::of(booked(1000, 0)).with_session(1);
    let part = story.clone().order(booked(1000, 400));
    check(&part, &["payment-creator: expire:cs_1 (amount_changed)"]);
    let whole = story.order(booked(1000, 1000));
    check(&whole, &["payment-creator: expire:cs_1 (nothing_due)"]);
    assert_eq!(status(&whole), (PaymentStatus::Paid, 0, "paid_elsewhere".into()));
}

#[test]
fn our_own_record_in_its_books_is_not_another_payment() {
    let story = Story::of(booked(1000, 0)).with_session(1).paid(1, 1000);
    // On its way: it may have arrived, the answer may be lost.
    let telling = story.see(What::Telling { records: 1000 }).order(booked(1000, 1000));
    assert_eq!(telling.state().elsewhere(), 0);
    check(&telling, &[]);
    let version = telling.state().view_version;
    let told = telling.see(What::ViewTold { version, recorded: Some(1000) });
    assert_eq!((told.state().elsewhere(), told.state().telling), (0, 0));
    check(&told, &[]);
    assert_eq!(status(&told), (PaymentStatus::Paid, 0, "captured_in_full".into()));
}

#[test]
fn a_record_that_was_refused_is_none_of_ours() {
    let story = Story::of(booked(1000, 0)).with_session(1).paid(1, 1000).see(What::Telling { records: 1000 });
    let refused =
        story.see(What::TellFailed { effect: "tell".into(), detail: "paid already".into(), recorded: None });
    assert_eq!(refused.order(booked(1000, 1000)).state().elsewhere(), 1000);
}

#[test]
fn a_telling_refused_after_its_record_arrived_leaves_the_record_ours() {
    let story = Story::of(booked(1000, 0)).with_session(1).paid(1, 1000).see(What::Telling { records: 1000 });
    let shown = story.order(booked(1000, 1000));
    let detail = "no such status".to_owned();
    let refused = shown.see(What::TellFailed { effect: "tell".into(), detail, recorded: Some(1000) });
    assert_eq!((refused.state().recorded, refused.state().elsewhere()), (1000, 0));
    check(&refused, &["any: open case tell:6 (person_decides)"]);
}

#[test]
fn an_order_paid_twice_over_is_proposed_for_a_refund_that_a_person_decides() {
    let story = Story::of(booked(1000, 0)).with_session(1).order(booked(1000, 1000)).paid(1, 1000);
    let settled = story.settled();
    assert_eq!(settled.state().excess() + settled.state().asked(), 1000);
    check(&settled, &[]);
    let cases: Vec<_> = settled.state().cases.into_keys().collect();
    assert_eq!(cases, ["refund:excess:ch_1:1000"]);
    // The other payment was taken back there: nothing is called for any more.
    let alone = settled.order(booked(1000, 0)).settled();
    assert!(!alone.state().case_open("refund:excess:ch_1:1000"));
}

/// All that was taken is proposed to go back: a wish for all that is left waits for what becomes of that.
#[test]
fn a_wish_for_all_that_is_left_waits_for_the_proposal_that_holds_it() {
    let wish = RefundRequest { id: "r1".into(), amount: None, reason: "all of it".into() };
    let wishes = OrderView { refund_requests: vec![wish], ..booked(1000, 1000) };
    let story = Story::of(booked(1000, 0)).with_session(1).order(booked(1000, 1000)).paid(1, 1000).settled();
    let asked = story.order(wishes).settled();
    assert!(!asked.state().requests.contains_key("shop:r1"));
    check(&asked, &[]);
    let kept = asked.clone().see(decided("refund:excess:ch_1:1000", Decision::Deny)).settled();
    assert_eq!(kept.state().requests["shop:r1"].amount, 1000);
    let approved = asked.see(decided("refund:excess:ch_1:1000", Decision::Approve));
    let back =
        approved.see(refund_view("re_1", "ch_1", 1000, "succeeded", Some("excess:ch_1:1000"))).settled();
    check(&back, &[]);
    assert_eq!((back.state().asked(), back.state().refunded()), (0, 1000));
}

#[test]
fn an_order_that_comes_to_be_payable_is_told_again_so_that_its_link_is_shown() {
    let waits = [
        OrderView { status: OrderStatus::OnHold, ..order(1000) },
        OrderView { status: OrderStatus::Other("draft".into()), ..order(1000) },
        OrderView { collection: Collection::None, ..order(1000) },
    ];
    for held in waits {
        let story = Story::of(held.clone());
        let version = story.state().view_version;
        let told = story.see(What::ViewTold { version, recorded: None });
        let payable = told.order(order(1000)).state();
        assert!(payable.view_version > version, "{held:?}: its link is never told");
        assert_eq!(payable.view.unwrap().reason, "nothing_paid_yet");
    }
}

#[test]
fn another_payment_seen_while_ours_was_on_its_way_counts_once_ours_turns_out_not_to_be_there() {
    let story = Story::of(booked(1000, 0)).with_session(1).paid(1, 1000);
    let story = story.see(What::Telling { records: 1000 }).order(booked(1000, 1000));
    let version = story.state().view_version;
    let told = story.see(What::ViewTold { version, recorded: Some(0) });
    assert_eq!((told.state().elsewhere(), told.state().excess()), (1000, 1000));
}

#[test]
fn a_payment_of_an_order_that_does_not_stand_is_told_again_once_it_stands() {
    let held = OrderView { status: OrderStatus::OnHold, ..booked(1000, 0) };
    let story = Story::of(booked(1000, 0)).with_session(1).order(held).paid(1, 1000);
    let before = story.state();
    assert_eq!(before.view.unwrap().reason, "captured_while_it_does_not_stand");
    let told = story.see(What::ViewTold { version: before.view_version, recorded: Some(0) });
    check(&told, &[]);
    let again = told.order(booked(1000, 0)).state();
    assert!(again.view_version > again.told_version, "its books take the payment now");
}

#[test]
fn a_refund_of_money_that_we_never_took_is_nobodys_case() {
    let refund = ReportedRefund { id: "57".into(), amount: 400, request: None };
    let theirs = OrderView { collection: Collection::None, refunds: vec![refund], ..booked(1000, 1000) };
    check(&Story::of(theirs), &[]);
}

#[test]
fn one_return_of_goods_is_paid_back_once_though_the_shop_says_it_in_two_ways() {
    let refund = ReportedRefund { id: "57".into(), amount: 400, request: None };
    let back = OrderView { refunds: vec![refund], ..booked(600, 600) };
    let story = Story::of(booked(1000, 0)).with_session(1).paid(1, 1000);
    let version = story.state().view_version;
    let told = story.see(What::ViewTold { version, recorded: Some(1000) }).order(back).settled();
    let open = |story: &Story| -> Vec<String> {
        let cases = story.state().cases;
        cases.into_iter().filter(|(_, c)| c.is_open()).map(|(id, _)| id).collect()
    };
    assert_eq!(open(&told), ["refund:excess:ch_1:400", "reported:57"]);
    let paid = told
        .see(decided("refund:excess:ch_1:400", Decision::Approve))
        .see(refund_view("re_1", "ch_1", 400, "succeeded", Some("excess:ch_1:400")))
        .settled();
    assert_eq!(open(&paid), [""; 0]);
}
