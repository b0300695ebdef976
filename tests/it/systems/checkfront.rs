//! Checkfront, from the webhook to the booking's own books.
//!
//! Invariant: what was recorded is judged by the transactions and notes of the booking, what was taken by Stripe's ledger.

mod faults;
mod inside;
mod webhooks;

use local::shop::checkfront::{Book, Shape};
use local::shop::{NewOrder, Speaks};
use local::stack::{Options, Stack};
use shared::domain::fact::CaseKind;
use shared::domain::ids::Function;
use shared::domain::order::OrderStatus;
use shared::domain::time::Seconds;
use shared::domain::view::PaymentStatus as S;

use super::kit::{cases, charged, pay, state, told};
use crate::stories::{GOOD, euros, place, session};

const SET_PAID: &str = "status_id=PAID&set_paid=1&notify=0";

fn options(settings: &'static str) -> Options {
    Options { speaks: Speaks::Checkfront, settings, light_queues: true, ..Options::in_process() }
}

async fn start() -> Stack {
    Stack::start(options("")).await.unwrap()
}

fn book(stack: &Stack, id: &str) -> Book {
    stack.shop.order(id).unwrap().booking().unwrap().clone()
}

/// Lets schedules, redeliveries and the sweeper do what they do in `span`.
async fn pass(stack: &Stack, span: Seconds) {
    stack.advance_through(span, Some(Seconds::minutes(5))).await.unwrap();
}

/// What Checkfront's books hold: who paid, and how much.
fn paid_by(stack: &Stack, id: &str) -> Vec<(String, i64)> {
    book(stack, id).transactions.into_iter().map(|t| (t.mask, t.amount)).collect()
}

fn pos(amount: i64) -> Vec<(String, i64)> {
    vec![("POS".to_owned(), amount)]
}

#[tokio::test(start_paused = true)]
async fn a_booking_is_paid_and_its_whole_balance_recorded_once_without_a_word_to_the_buyer() {
    for shape in [Shape::Nested, Shape::Flat, Shape::Keyed] {
        let stack = start().await;
        stack.shop.checkfront(|account| account.shape = shape);
        let id = place(&stack, euros(4830, Some("anna"))).await;
        let notes = book(&stack, &id).notes;
        let link = format!("Pay here: {}", stack.pay_link(&id).unwrap());
        assert!(
            notes.iter().any(|n| n.body.contains(&link)),
            "{shape:?}: the link stands in a note: {notes:?}"
        );
        assert_eq!(book(&stack, &id).updates, Vec::<String>::new(), "{shape:?}: nothing is paid yet");
        pay(&stack, &id).await;
        assert_eq!(paid_by(&stack, &id), pos(4830), "{shape:?}");
        let booking = book(&stack, &id);
        assert_eq!(
            (booking.updates.as_slice(), booking.notified),
            (&[SET_PAID.to_owned()][..], 0),
            "{shape:?}"
        );
        assert_eq!((booking.status.as_str(), told(&stack, &id)), ("PAID", Some(S::Paid)), "{shape:?}");
        let state = state(&stack, &id).await;
        assert_eq!((state.recorded, state.elsewhere(), state.excess()), (4830, 0, 0), "{shape:?}");
        // The echo of our own write came as webhooks, and nothing follows from it.
        pass(&stack, Seconds::hours(1)).await;
        assert_eq!((book(&stack, &id).updates.len(), charged(&stack, &id)), (1, (1, 4830)), "{shape:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_partial_refund_is_a_note_because_v3_has_no_word_for_it() {
    let stack = start().await;
    let id = place(&stack, euros(4830, Some("anna"))).await;
    pay(&stack, &id).await;
    stack.shop.request_refund(&id, Some(1000), "rain").unwrap();
    stack.settle().await.unwrap();
    assert_eq!((paid_by(&stack, &id), told(&stack, &id)), (pos(4830), Some(S::PartiallyRefunded)));
    let last = book(&stack, &id).notes.pop().unwrap();
    assert!(last.body.starts_with("10.00 EUR of 48.30 EUR was refunded by Stripe."), "{}", last.body);
    assert_eq!(book(&stack, &id).status, "PAID");
}

#[tokio::test(start_paused = true)]
async fn a_booking_whose_money_went_back_is_cancelled_only_where_the_configuration_says_so() {
    for (settings, status) in [("", "PAID"), ("cancel_when_refunded = true\n", "STOP")] {
        let stack = Stack::start(options(settings)).await.unwrap();
        let id = place(&stack, euros(4830, Some("anna"))).await;
        pay(&stack, &id).await;
        stack.shop.request_refund(&id, None, "rain").unwrap();
        stack.settle().await.unwrap();
        pass(&stack, Seconds::hours(1)).await;
        assert_eq!((book(&stack, &id).status.as_str(), told(&stack, &id)), (status, Some(S::Refunded)));
        assert_eq!(stack.sim.ledger().money["eur"].refunded, 4830);
    }
}

/// The deposit is due at once, the balance two weeks before the booking starts; then the whole is recorded.
#[tokio::test(start_paused = true)]
async fn a_deposit_changes_the_status_and_the_balance_records_all() {
    let settings = "deposit_percent = 20\nbalance_days_before_start = 14\n";
    let stack = Stack::start(options(settings)).await.unwrap();
    let id = place(&stack, euros(10_000, Some("anna"))).await;
    let link = stack.pay_link(&id).unwrap();
    pay(&stack, &id).await;
    assert_eq!((charged(&stack, &id), told(&stack, &id)), ((1, 2000), Some(S::PartiallyPaid)));
    assert_eq!((book(&stack, &id).status.as_str(), paid_by(&stack, &id)), ("PART", vec![]));
    // Bookings of the demo start 30 days after they were made.
    stack.advance(Seconds::hours(16 * 24 + 2), Some(Seconds::hours(6))).await.unwrap();
    let page = match stack.open_link(&link).await.unwrap() {
        Ok(page) => page,
        Err(_) => stack.press_button(&link).await.unwrap().unwrap(),
    };
    stack.pay_session(&page, GOOD).await.unwrap();
    stack.settle().await.unwrap();
    assert_eq!((charged(&stack, &id), told(&stack, &id)), ((2, 10_000), Some(S::Paid)));
    assert_eq!(paid_by(&stack, &id), pos(10_000));
    assert_eq!(book(&stack, &id).status, "PAID");
}

#[tokio::test(start_paused = true)]
async fn with_imports_a_part_is_recorded_with_stripes_reference() {
    let settings = "import_v4 = true\nimport_body = '{\"amount\":{amount},\"currency\":\"{currency}\",\"reference\":\"{payment_id}\"}'\n\
        deposit_percent = 20\nbalance_days_before_start = 14\n";
    let stack = Stack::start(options(settings)).await.unwrap();
    let id = place(&stack, euros(10_000, Some("anna"))).await;
    pay(&stack, &id).await;
    let made = paid_by(&stack, &id);
    assert!(matches!(made.as_slice(), [(reference, 2000)] if reference.starts_with("pi_")), "{made:?}");
    assert_eq!(book(&stack, &id).status, "PART");
    let state = state(&stack, &id).await;
    assert_eq!((state.recorded, state.elsewhere()), (2000, 0));
}

#[tokio::test(start_paused = true)]
async fn imports_are_refused_while_the_two_apis_do_not_count_alike() {
    let settings = "import_v4 = true\nimport_body = '{\"amount\":{amount},\"currency\":\"{currency}\"}'\n";
    let stack = Stack::start(options(settings)).await.unwrap();
    stack.shop.checkfront(|account| account.v4_in_major_units = true);
    let id = place(&stack, euros(10_000, Some("anna"))).await;
    pay(&stack, &id).await;
    assert_eq!((paid_by(&stack, &id), cases(&stack, &id).await), (vec![], vec![CaseKind::WriteBack]));
}

#[tokio::test(start_paused = true)]
async fn a_status_nobody_explained_is_not_charged_and_a_person_is_asked() {
    let stack = start().await;
    let new = stack.shop.place(euros(4830, Some("anna"))).unwrap();
    stack.shop.set_status(&new.id, "XTRA").unwrap();
    stack.settle().await.unwrap();
    assert!(stack.sim.ledger().sessions.is_empty(), "no page is made");
    assert_eq!(cases(&stack, &new.id).await, [CaseKind::OrderStatus]);
    let stack = Stack::start(options("\n[sources.shop.statuses]\nXTRA = \"open\"\n")).await.unwrap();
    stack.shop.checkfront(|account| account.custom.push(("XTRA".into(), OrderStatus::Open)));
    let new = stack.shop.place(euros(4830, Some("anna"))).unwrap();
    stack.shop.set_status(&new.id, "XTRA").unwrap();
    stack.settle().await.unwrap();
    assert!(session(&stack, &new.id).await.contains("http"), "explained, it is charged");
}

#[tokio::test(start_paused = true)]
async fn stop_and_void_close_the_page_and_after_payment_give_the_money_back() {
    for code in ["STOP", "VOID"] {
        let stack = start().await;
        let waiting = place(&stack, euros(1000, Some("anna"))).await;
        stack.shop.set_status(&waiting, code).unwrap();
        stack.settle().await.unwrap();
        assert!(stack.sim.ledger().sessions.iter().all(|s| s.status == "expired"), "{code}");
        let done = place(&stack, euros(4830, Some("ben"))).await;
        pay(&stack, &done).await;
        stack.shop.set_status(&done, code).unwrap();
        stack.settle().await.unwrap();
        assert_eq!(stack.sim.ledger().money["eur"].refunded, 4830, "{code}");
        assert_eq!((book(&stack, &done).status.as_str(), told(&stack, &done)), (code, Some(S::Refunded)));
    }
}

/// Codes carry letters and a day, so two accounts can have the same.
#[tokio::test(start_paused = true)]
async fn equal_codes_of_two_accounts_are_two_orders() {
    let beside = vec![("outlet", Speaks::Checkfront)];
    let stack = Stack::start(Options { beside, ..options("") }).await.unwrap();
    let outlet = stack.shop_named("outlet").unwrap();
    let mine = stack.shop.place(euros(1000, Some("anna"))).unwrap().id;
    let theirs = outlet.place(euros(2000, Some("anna"))).unwrap().id;
    assert_eq!(mine, theirs);
    stack.settle().await.unwrap();
    stack.pay_at(outlet, &theirs, GOOD).await.unwrap();
    stack.settle().await.unwrap();
    let paid = outlet.order(&theirs).unwrap();
    assert_eq!((paid.booking().unwrap().paid(), paid.payment.unwrap().status), (2000, S::Paid));
    assert_eq!((book(&stack, &mine).paid(), told(&stack, &mine)), (0, Some(S::AwaitingPayment)));
}

#[tokio::test(start_paused = true)]
async fn the_total_grows_between_the_payment_and_the_record_and_only_what_was_paid_is_ever_recorded() {
    let stack = start().await;
    let id = place(&stack, euros(3000, Some("anna"))).await;
    stack.pay(&id, GOOD).await.unwrap();
    // Nobody hears of it: the view is made for 30.00, the booking is at 35.00.
    stack.shop.set(|knobs| knobs.lose_notices = 9);
    stack.shop.change_total(&id, 3500).unwrap();
    stack.settle().await.unwrap();
    assert_eq!(paid_by(&stack, &id), vec![], "35.00 were not paid");
    stack.shop.set(|knobs| knobs.lose_notices = 0);
    pass(&stack, Seconds::minutes(30)).await;
    assert_eq!((told(&stack, &id), book(&stack, &id).status.as_str()), (Some(S::PartiallyPaid), "PART"));
    assert!(cases(&stack, &id).await.is_empty());
    pay(&stack, &id).await;
    assert_eq!((paid_by(&stack, &id), charged(&stack, &id)), (pos(3500), (2, 3500)));
}

fn simple(amount: i64) -> NewOrder {
    euros(amount, Some("anna"))
}
