//! Shopify, from the webhook to the store's own books.
//!
//! Invariant: what was recorded is judged by the store's transactions, refunds, tags and metafields, what was taken by
//! Stripe's ledger.

mod faults;
mod webhooks;

use local::shop::Speaks;
use local::shop::shopify::{Book, Kind, Transaction};
use local::shop::{Native, NewOrder};
use local::stack::{Options, Stack};
use shared::domain::ids::Function;
use shared::domain::order::OrderStatus;
use shared::domain::time::Seconds;
use shared::domain::view::PaymentStatus as S;

use super::kit::{cases, charged, pay, state, told};
use crate::stories::{GOOD, euros, place, session};

fn options(settings: &'static str) -> Options {
    Options { speaks: Speaks::Shopify, settings, light_queues: true, ..Options::in_process() }
}

async fn start() -> Stack {
    Stack::start(options("")).await.unwrap()
}

fn simple(amount: i64) -> NewOrder {
    euros(amount, Some("anna"))
}

fn book(stack: &Stack, id: &str) -> Book {
    match stack.shop.order(id).unwrap().native {
        Native::Shopify(book) => book,
        other => panic!("{other:?}"),
    }
}

/// What the store's books hold: kind and amount of each movement.
fn movements(stack: &Stack, id: &str) -> Vec<(Kind, i64)> {
    book(stack, id).transactions.iter().map(|t| (t.kind, t.amount)).collect()
}

/// The words of ours among the order's tags.
fn tags(stack: &Stack, id: &str) -> Vec<String> {
    book(stack, id).tags.into_iter().filter(|t| t.starts_with("tandem-")).collect()
}

async fn pass(stack: &Stack, span: Seconds) {
    stack.advance(span, Some(Seconds::minutes(5))).await.unwrap();
}

/// Somebody at the store records a payment, which is announced like any change.
fn paid_at_the_desk(stack: &Stack, id: &str, amount: i64) {
    stack.shop.with_book(id, |book| {
        let id = 9_000 + book.transactions.len() as u64;
        book.transactions.push(Transaction::manual_sale(id, "Bank Deposit", amount));
    });
    stack.shop.change(id, |_| Ok(true)).unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_order_is_paid_and_its_whole_amount_recorded_once_beside_the_shops_own_tags() {
    let stack = start().await;
    let id = place(&stack, simple(4830)).await;
    stack.shop.with_book(&id, |book| book.tags.push("vip".to_owned()));
    let link = stack.pay_link(&id).unwrap();
    let url = book(&stack, &id).metafields.into_iter().find(|f| f.key == "payment_url").unwrap();
    assert_eq!((url.value, movements(&stack, &id)), (link, vec![]));
    pay(&stack, &id).await;
    assert_eq!(movements(&stack, &id), [(Kind::Sale, 4830)]);
    assert_eq!(
        (book(&stack, &id).tags, told(&stack, &id)),
        (vec!["vip".to_owned(), "tandem-paid".to_owned()], Some(S::Paid))
    );
    let state = state(&stack, &id).await;
    assert_eq!((state.recorded, state.elsewhere(), state.excess()), (4830, 0, 0));
    // The echo of our own writes came as webhooks, and nothing follows from it.
    pass(&stack, Seconds::hours(1)).await;
    assert_eq!((movements(&stack, &id).len(), charged(&stack, &id)), (1, (1, 4830)));
}

#[tokio::test(start_paused = true)]
async fn a_partial_refund_stands_against_our_payment_under_the_shops_own_request() {
    let stack = start().await;
    let id = place(&stack, simple(4830)).await;
    pay(&stack, &id).await;
    let request = stack.shop.request_refund(&id, Some(1000), "broken").unwrap();
    stack.settle().await.unwrap();
    assert_eq!(movements(&stack, &id), [(Kind::Sale, 4830), (Kind::Refund, 1000)]);
    let refund = book(&stack, &id).refunds.remove(0);
    assert!(refund.note.ends_with(&format!("1000 for:{request}]")), "{}", refund.note);
    assert_eq!(
        (tags(&stack, &id), told(&stack, &id)),
        (vec!["tandem-partially-refunded".to_owned()], Some(S::PartiallyRefunded))
    );
    pass(&stack, Seconds::hours(1)).await;
    assert!(cases(&stack, &id).await.is_empty());
    assert_eq!(stack.sim.ledger().money["eur"].refunded, 1000);
}

#[tokio::test(start_paused = true)]
async fn a_refund_made_in_the_admin_is_no_request_and_a_person_decides() {
    let stack = start().await;
    let id = place(&stack, simple(4830)).await;
    pay(&stack, &id).await;
    stack.shop.request_refund(&id, Some(1000), "broken").unwrap();
    stack.settle().await.unwrap();
    stack.shop.with_book(&id, |book| {
        let mut refund = book.refunds[0].clone();
        (refund.id, refund.note, refund.amount) = (5, "by hand".to_owned(), 700);
        book.refunds.push(refund);
    });
    stack.shop.change(&id, |_| Ok(true)).unwrap();
    pass(&stack, Seconds::hours(1)).await;
    assert_eq!(stack.sim.ledger().money["eur"].refunded, 1000, "nothing moved by itself");
    assert_eq!(cases(&stack, &id).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_paid_at_the_desk_before_is_not_asked_for_again() {
    let stack = start().await;
    let id = place(&stack, simple(4830)).await;
    paid_at_the_desk(&stack, &id, 1830);
    stack.settle().await.unwrap();
    pay(&stack, &id).await;
    assert_eq!(charged(&stack, &id), (1, 3000));
    assert_eq!(movements(&stack, &id), [(Kind::Sale, 1830), (Kind::Sale, 3000)]);
    let state = state(&stack, &id).await;
    assert_eq!((state.recorded, state.elsewhere(), state.excess()), (3000, 1830, 0));
    assert_eq!(told(&stack, &id), Some(S::Paid));
}

#[tokio::test(start_paused = true)]
async fn what_is_paid_at_the_desk_while_our_page_is_open_closes_the_page() {
    let stack = start().await;
    let id = place(&stack, simple(4830)).await;
    let page = session(&stack, &id).await;
    paid_at_the_desk(&stack, &id, 4830);
    stack.settle().await.unwrap();
    stack.pay_session(&page, GOOD).await.unwrap();
    stack.settle().await.unwrap();
    assert_eq!(charged(&stack, &id), (0, 0));
    assert_eq!((movements(&stack, &id).len(), told(&stack, &id)), (1, Some(S::Paid)));
}

#[tokio::test(start_paused = true)]
async fn paid_twice_over_is_one_record_and_a_refund_that_a_person_decides() {
    let stack = start().await;
    let id = place(&stack, simple(4830)).await;
    let page = session(&stack, &id).await;
    // Nobody hears of the payment at the desk before the buyer pays.
    stack.shop.set(|knobs| knobs.lose_notices = 1);
    paid_at_the_desk(&stack, &id, 4830);
    stack.pay_session(&page, GOOD).await.unwrap();
    stack.settle().await.unwrap();
    pass(&stack, Seconds::hours(1)).await;
    assert_eq!((charged(&stack, &id), movements(&stack, &id)), ((1, 4830), vec![(Kind::Sale, 4830)]));
    let state = state(&stack, &id).await;
    assert_eq!((state.recorded, state.elsewhere()), (0, 4830));
    assert!(!cases(&stack, &id).await.is_empty());
    assert_eq!(stack.sim.ledger().money["eur"].refunded, 0);
}

#[tokio::test(start_paused = true)]
async fn a_deposit_is_noted_and_the_whole_recorded_with_the_balance() {
    for (settings, part) in
        [("", vec![]), ("part_payments = \"orderCreateManualPayment\"\n", vec![(Kind::Sale, 1000)])]
    {
        let stack = Stack::start(options(settings)).await.unwrap();
        let due = stack.clock.now() + Seconds::days(10);
        let order = NewOrder { deposit: Some(1000), balance_due_at: Some(due), ..simple(4830) };
        let id = place(&stack, order).await;
        let link = stack.pay_link(&id).unwrap();
        pay(&stack, &id).await;
        assert_eq!(
            (charged(&stack, &id), told(&stack, &id)),
            ((1, 1000), Some(S::PartiallyPaid)),
            "{settings}"
        );
        assert_eq!(movements(&stack, &id), part, "{settings}");
        stack.advance(Seconds::days(11), Some(Seconds::hours(6))).await.unwrap();
        let page = match stack.open_link(&link).await.unwrap() {
            Ok(page) => page,
            Err(_) => stack.press_button(&link).await.unwrap().unwrap(),
        };
        stack.pay_session(&page, GOOD).await.unwrap();
        stack.settle().await.unwrap();
        pass(&stack, Seconds::minutes(10)).await;
        let sum: i64 = movements(&stack, &id).iter().map(|(_, amount)| amount).sum();
        assert_eq!(
            (charged(&stack, &id), sum, told(&stack, &id)),
            ((2, 4830), 4830, Some(S::Paid)),
            "{settings}"
        );
        assert_eq!(state(&stack, &id).await.recorded, 4830, "{settings}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_state_charges_nothing_and_opens_a_case() {
    let stack = start().await;
    let id = stack.shop.place(simple(4830)).unwrap().id;
    stack
        .shop
        .change(&id, |order| {
            order.status = OrderStatus::Other("teleported".to_owned());
            Ok(true)
        })
        .unwrap();
    stack.settle().await.unwrap();
    assert_eq!((charged(&stack, &id), cases(&stack, &id).await.len()), ((0, 0), 1));
    assert!(stack.sim.ledger().money.get("eur").is_none_or(|m| m.captured == 0));
}

#[tokio::test(start_paused = true)]
async fn an_order_of_another_gateway_and_one_that_staff_holds_get_no_page() {
    let stack = start().await;
    for (gateway, tag) in [("shopify_payments", "vip"), ("Bank Deposit", "tandem-hold")] {
        let id = stack.shop.place(simple(4830)).unwrap().id;
        stack.shop.with_book(&id, |book| {
            (book.gateways, book.tags) = (vec![gateway.to_owned()], vec![tag.to_owned()])
        });
        stack.settle().await.unwrap();
        assert!(state(&stack, &id).await.sessions.is_empty(), "{gateway} {tag}");
    }
}

#[tokio::test(start_paused = true)]
async fn two_stores_with_equal_numbers_never_meet() {
    let beside = vec![("outlet", Speaks::Shopify)];
    let stack = Stack::start(Options { beside, ..options("") }).await.unwrap();
    let outlet = stack.shop_named("outlet").unwrap().clone();
    let id = place(&stack, simple(4830)).await;
    assert_eq!(outlet.place(simple(990)).unwrap().id, id);
    stack.settle().await.unwrap();
    pay(&stack, &id).await;
    assert_eq!(outlet.order(&id).unwrap().payment.unwrap().status, S::AwaitingPayment);
    stack.pay_at(&outlet, &id, GOOD).await.unwrap();
    stack.settle().await.unwrap();
    assert_eq!(movements(&stack, &id), [(Kind::Sale, 4830)]);
    let Native::Shopify(book) = outlet.order(&id).unwrap().native else { panic!() };
    assert_eq!(book.transactions.iter().map(|t| t.amount).collect::<Vec<_>>(), [990]);
}
