//! Checkfront has a card provider of its own: what is paid there is never taken again, and never recorded as ours.

use super::*;

/// The webhook of the new booking waits in the queue while somebody pays inside: the page is made from what is read then.
#[tokio::test(start_paused = true)]
async fn the_booking_is_read_right_before_a_page_is_made() {
    let stack = start().await;
    let id = stack.shop.place(simple(4830)).unwrap().id;
    stack.shop.set(|knobs| knobs.lose_notices = 9);
    stack.shop.pay_inside(&id, 4830).unwrap();
    stack.settle().await.unwrap();
    assert!(stack.sim.ledger().sessions.is_empty(), "nothing is due, so nothing is asked for");
    let view = stack.shop.order(&id).unwrap().payment.unwrap();
    assert_eq!((view.status, view.amount_due, view.reason.as_str()), (S::Paid, 0, "paid_elsewhere"));
    assert!(book(&stack, &id).updates.is_empty(), "its status is Checkfront's own");
}

#[tokio::test(start_paused = true)]
async fn a_saved_card_is_not_charged_for_what_was_paid_inside() {
    let stack = start().await;
    let first = place(&stack, simple(1000)).await;
    pay(&stack, &first).await;
    let id = stack.shop.place(crate::stories::automatic(7000, "anna")).unwrap().id;
    stack.shop.set(|knobs| knobs.lose_notices = 9);
    stack.shop.pay_inside(&id, 7000).unwrap();
    stack.settle().await.unwrap();
    assert_eq!(charged(&stack, &id), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_payment_inside_closes_our_open_page() {
    let stack = start().await;
    let id = place(&stack, simple(4830)).await;
    let page = session(&stack, &id).await;
    stack.shop.pay_inside(&id, 4830).unwrap();
    stack.settle().await.unwrap();
    assert!(stack.sim.ledger().sessions.iter().all(|s| s.status == "expired"));
    stack.pay_session(&page, GOOD).await.unwrap();
    stack.settle().await.unwrap();
    assert_eq!(charged(&stack, &id), (0, 0), "a closed page takes nothing");
    assert_eq!(told(&stack, &id), Some(S::Paid));
    assert_eq!(paid_by(&stack, &id), [("1111".to_owned(), 4830)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_due_shrinks_by_a_part_paid_inside_and_only_the_rest_is_recorded_as_ours() {
    let stack = start().await;
    let id = place(&stack, simple(4830)).await;
    stack.shop.pay_inside(&id, 1000).unwrap();
    stack.settle().await.unwrap();
    let view = stack.shop.order(&id).unwrap().payment.unwrap();
    assert_eq!((view.status, view.amount_due), (S::AwaitingPayment, 3830));
    pay(&stack, &id).await;
    pass(&stack, Seconds::hours(1)).await;
    assert_eq!(charged(&stack, &id), (1, 3830));
    assert_eq!(paid_by(&stack, &id), [("1111".to_owned(), 1000), ("POS".to_owned(), 3830)]);
    let state = state(&stack, &id).await;
    assert_eq!((state.recorded, state.elsewhere(), state.excess()), (3830, 1000, 0));
    assert!(cases(&stack, &id).await.is_empty());
    let pages: Vec<i64> = stack.sim.ledger().sessions.iter().map(|s| s.amount_total).collect();
    assert_eq!(
        pages,
        [4830, 3830],
        "no page asked again for what was paid inside while our record was on its way"
    );
    let versions: Vec<S> =
        stack.shop.order(&id).unwrap().write_backs.into_iter().map(|w| w.view.status).collect();
    assert!(!versions.contains(&S::PartiallyPaid), "{versions:?}");
}

/// The buyer pays by Stripe and, in another window, inside Checkfront: a person has to give one of them back.
#[tokio::test(start_paused = true)]
async fn paid_at_both_places_is_put_before_a_person_and_set_paid_is_never_sent() {
    let stack = start().await;
    let id = place(&stack, simple(4830)).await;
    let page = session(&stack, &id).await;
    stack.shop.set(|knobs| knobs.lose_notices = 9);
    stack.shop.pay_inside(&id, 4830).unwrap();
    stack.pay_session(&page, GOOD).await.unwrap();
    stack.settle().await.unwrap();
    stack.shop.set(|knobs| knobs.lose_notices = 0);
    pass(&stack, Seconds::hours(1)).await;
    assert_eq!(paid_by(&stack, &id), [("1111".to_owned(), 4830)], "none of it is recorded as ours");
    assert!(book(&stack, &id).updates.is_empty());
    let state = state(&stack, &id).await;
    assert_eq!(
        (state.elsewhere(), state.asked(), state.recorded),
        (4830, 4830, 0),
        "a refund waits for a person"
    );
    let open = cases(&stack, &id).await;
    assert!(open.contains(&CaseKind::WriteBack) && open.contains(&CaseKind::Excess), "{open:?}");
    let text = &state.cases.values().find(|c| c.kind == CaseKind::WriteBack).unwrap().text;
    assert!(text.contains("paid in Checkfront too"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_note_by_the_customer_that_looks_like_ours_changes_nothing() {
    let stack = start().await;
    let id = place(&stack, simple(4830)).await;
    let ours = book(&stack, &id).notes.pop().unwrap().body;
    let forged = ours.replace("tandem v", "tandem v9").replace("payment_version\":", "payment_version\":9");
    stack.shop.write_note(&id, 0, &forged).unwrap();
    stack.settle().await.unwrap();
    pay(&stack, &id).await;
    assert_eq!((paid_by(&stack, &id), told(&stack, &id)), (pos(4830), Some(S::Paid)));
}
