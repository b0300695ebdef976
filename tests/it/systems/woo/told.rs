//! What an order in WooCommerce is told, step by step, with any answer lost, any call unsent and any call late.
//!
//! Invariant: judged by what WooCommerce keeps, never by what the client says.

use local::shop::NewOrder;
use serde_json::json;
use shared::config::woo::{Meanwhile, PaymentLink, Woo};
use shared::domain::money::Currency;
use shared::domain::order::{Collection, OrderStatus};
use shared::domain::view::{PaymentStatus as S, PaymentView, RefundLine};
use shared::outbound::shop::{OrderSystem as _, ShopError};

use super::shop::{Fate, LINK, World, mark};

fn plain() -> World {
    World::new(Woo::default(), euros())
}

fn euros() -> NewOrder {
    NewOrder::simple(Currency::parse("EUR").unwrap(), 5_000, Some("zoe"))
}

fn view(status: S, captured: i64) -> PaymentView {
    PaymentView {
        status,
        payment_url: (captured == 0).then(|| LINK.to_owned()),
        currency: Currency::parse("EUR").unwrap(),
        amount_due: (5_000 - captured).max(0),
        amount_captured: captured,
        amount_refunded: 0,
        payment_id: (captured > 0).then(|| "pi_1".to_owned()),
        reason: "as_it_is".to_owned(),
        refunds: vec![],
    }
}

fn refunded(captured: i64, refunds: &[(&str, i64, &str)]) -> PaymentView {
    let line = |(id, amount, status): &(&str, i64, &str)| RefundLine {
        id: (*id).to_owned(),
        request: None,
        amount: *amount,
        status: (*status).to_owned(),
    };
    PaymentView { refunds: refunds.iter().map(line).collect(), ..view(S::PartiallyRefunded, captured) }
}

/// A life with every kind of step.
fn life() -> Vec<PaymentView> {
    vec![
        view(S::AwaitingPayment, 0),
        view(S::Processing, 0),
        view(S::Paid, 5_000),
        refunded(5_000, &[("re_1", 1_000, "pending")]),
        view(S::Disputed, 5_000),
        refunded(5_000, &[("re_1", 1_000, "succeeded"), ("re_2", 500, "succeeded")]),
        refunded(5_000, &[("re_1", 1_000, "failed"), ("re_2", 500, "succeeded")]),
        refunded(5_000, &[("re_1", 1_000, "failed"), ("re_2", 500, "succeeded")]),
    ]
}

async fn live(world: &World) {
    for (version, view) in (1..).zip(life()) {
        world.insist(version, &view).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_whole_life_ends_as_it_must() {
    let world = plain();
    live(&world).await;
    let end = world.end();
    assert_eq!((end.status.as_str(), end.paid, end.transaction.as_str()), ("processing", true, "pi_1"));
    assert_eq!(end.refunds, [(Some("re_2".to_owned()), 500)], "the one that failed is taken away");
    assert_eq!(end.told, (8, Some(S::PartiallyRefunded)));
    let mails = world.book().mails().iter().filter(|text| text.contains(LINK)).count();
    assert_eq!(mails, 1, "the buyer gets the link once");
}

#[tokio::test(start_paused = true)]
async fn any_write_whose_answer_is_lost_or_that_never_arrives_is_made_once_in_effect() {
    let clean = plain();
    live(&clean).await;
    let writes = clean.line.1.lock().unwrap().writes;
    assert!(writes > 15, "{writes}");
    for fate in [Fate::Lost, Fate::Unsent] {
        for n in 0..writes {
            let world = plain();
            world.line.1.lock().unwrap().strike = Some((n, fate));
            live(&world).await;
            assert_eq!(world.end(), clean.end(), "write {n}: {fate:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn any_write_that_comes_late_is_healed_by_the_next_view() {
    let clean = plain();
    live(&clean).await;
    let writes = clean.line.1.lock().unwrap().writes;
    // The last view's own writes have no view after them.
    for n in 0..writes - 1 {
        let world = plain();
        world.line.1.lock().unwrap().strike = Some((n, Fate::Late));
        live(&world).await;
        let (mut end, mut must) = (world.end(), clean.end());
        // A note that was sent twice cannot be taken back.
        end.notes.dedup();
        must.notes.dedup();
        assert_eq!(end, must, "write {n}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_held_is_told_without_a_write_and_a_lower_one_undoes_nothing() {
    let world = plain();
    world.tell(7, &view(S::Paid, 5_000)).await;
    let (writes, before) = (world.line.1.lock().unwrap().writes, world.book());
    for late in [7, 3] {
        let told = world.tell(late, &view(S::AwaitingPayment, 0)).await;
        assert_eq!((told.order.payment.unwrap().version, told.recorded), (7, Some(5_000)));
    }
    assert_eq!((world.line.1.lock().unwrap().writes, world.book()), (writes, before));
}

#[tokio::test(start_paused = true)]
async fn telling_costs_two_reads_and_few_writes() {
    let world = plain();
    world.tell(1, &view(S::AwaitingPayment, 0)).await;
    world.tell(2, &view(S::Paid, 5_000)).await;
    let order = "/wp-json/wc/v3/orders/1001";
    let notes = format!("{order}/notes");
    let must = [
        format!("GET {order}"),
        format!("GET {notes}"),
        format!("POST {notes}"),
        format!("PUT {order}"),
        format!("GET {order}"),
        format!("PUT {order}"),
        format!("PUT {order}"),
    ];
    assert_eq!(world.line.1.lock().unwrap().calls, must);
}

#[tokio::test(start_paused = true)]
async fn paid_in_full_is_set_paid_from_pending_failed_and_on_hold() {
    for status in ["pending", "failed", "on-hold"] {
        let world = plain();
        world.put(json!({"status": status})).await;
        let told = world.tell(1, &view(S::Paid, 5_000)).await;
        let book = world.book();
        assert_eq!((book.status.as_str(), book.transaction_id.as_str()), ("processing", "pi_1"), "{status}");
        assert_eq!((told.recorded, told.order.paid), (Some(5_000), Some(5_000)), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_over_is_never_set_paid_staff_reads_a_note_instead() {
    for status in ["cancelled", "refunded", "trash"] {
        let world = plain();
        world.put(json!({"status": status, "transaction_id": "older"})).await;
        let told = world.tell(1, &view(S::Paid, 5_000)).await;
        let book = world.book();
        assert_eq!((book.status.as_str(), book.transaction_id.as_str()), (status, "older"));
        assert_eq!((book.paid_at, told.recorded, told.order.paid), (None, Some(0), Some(0)));
        let note = book.notes.iter().find(|n| n.text.contains("pi_1")).unwrap();
        assert!(!note.customer && note.text.contains("50.00 EUR"), "{}", note.text);
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_gateway_was_paid_stays_the_order_s_payment() {
    let world = plain();
    world.put(json!({"set_paid": true, "transaction_id": "PAYPAL-1"})).await;
    let seen = world.client.get_order(&world.id).await.unwrap();
    assert_eq!(seen.paid, Some(5_000));
    // And yet Stripe took it too.
    let told = world.tell(1, &view(S::Paid, 5_000)).await;
    assert_eq!(world.book().transaction_id, "PAYPAL-1");
    assert_eq!((told.recorded, told.order.paid), (Some(0), Some(5_000)), "twice, and known to be");
}

#[tokio::test(start_paused = true)]
async fn an_order_of_another_gateway_is_marked_but_nobody_is_bothered() {
    let world = plain();
    world.put(json!({"payment_method": "paypal", "set_paid": true, "transaction_id": "PAYPAL-1"})).await;
    let book = world.book();
    world.tell(1, &PaymentView { payment_url: None, ..view(S::Paid, 0) }).await;
    let told = world.book();
    assert_eq!(
        (told.notes, told.status, told.transaction_id),
        (book.notes, book.status, book.transaction_id)
    );
}

#[tokio::test(start_paused = true)]
async fn what_staff_set_paid_by_hand_stays_paid_by_other_means_after_we_told_ours() {
    let world = plain();
    world.tell(1, &view(S::AwaitingPayment, 0)).await;
    world.put(json!({"status": "processing"})).await;
    let told = world.tell(2, &view(S::Paid, 5_000)).await;
    assert_eq!((told.recorded, told.order.paid), (Some(0), Some(5_000)));
    let again = world.client.get_order(&world.id).await.unwrap();
    assert_eq!(again.paid, Some(5_000), "our own view does not change the judgement");
}

#[tokio::test(start_paused = true)]
async fn a_bank_debit_holds_the_order_which_stays_open_to_tandem_and_is_let_go() {
    let world = plain();
    let held = world.tell(1, &view(S::Processing, 0)).await;
    assert_eq!((world.book().status.as_str(), held.order.status), ("on-hold", OrderStatus::Open));
    world.tell(2, &view(S::AwaitingPayment, 0)).await;
    assert_eq!(world.book().status, "pending", "the debit was returned");
    world.tell(3, &view(S::Processing, 0)).await;
    world.tell(4, &view(S::Failed, 0)).await;
    assert_eq!(world.book().status, "failed");
    world.tell(5, &view(S::Processing, 0)).await;
    world.tell(6, &view(S::Paid, 5_000)).await;
    let book = world.book();
    assert_eq!((book.status.as_str(), book.meta_text("_tandem_held")), ("processing", Some("")));
}

#[tokio::test(start_paused = true)]
async fn what_staff_held_or_cancelled_is_never_moved_by_a_debit_or_a_failure() {
    for status in ["on-hold", "cancelled", "completed"] {
        let world = plain();
        world.put(json!({"status": status})).await;
        for (version, view) in
            (1..).zip([view(S::Processing, 0), view(S::Failed, 0), view(S::AwaitingPayment, 0)])
        {
            world.tell(version, &view).await;
            assert_eq!(world.book().status, status);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_dispute_holds_a_paid_order_and_says_so_and_its_end_restores_it() {
    let world = plain();
    world.tell(1, &view(S::Paid, 5_000)).await;
    world.tell(2, &view(S::Disputed, 5_000)).await;
    assert_eq!(world.book().status, "on-hold");
    let notes = world.book().notes;
    assert_eq!(notes.iter().filter(|n| n.text.contains("disputes the payment") && !n.customer).count(), 1);
    let told = world.tell(3, &view(S::Paid, 5_000)).await;
    assert_eq!((world.book().status.as_str(), told.recorded), ("processing", Some(5_000)));
}

#[tokio::test(start_paused = true)]
async fn with_leave_neither_debit_nor_dispute_moves_the_status() {
    let woo = Woo { on_processing: Meanwhile::Leave, on_dispute: Meanwhile::Leave, ..Woo::default() };
    let world = World::new(woo, euros());
    for (version, view) in (1..).zip([view(S::Processing, 0), view(S::Disputed, 0)]) {
        world.tell(version, &view).await;
        assert_eq!(world.book().status, "pending");
    }
}

#[tokio::test(start_paused = true)]
async fn the_link_is_mailed_once_or_kept_in_metadata_and_goes_when_it_leads_nowhere() {
    for (link, mails) in [(PaymentLink::CustomerNote, 1), (PaymentLink::Meta, 0)] {
        let world = World::new(Woo { payment_link: link, ..Woo::default() }, euros());
        for version in 1..4 {
            world.tell(version, &view(S::AwaitingPayment, 0)).await;
        }
        let book = world.book();
        assert_eq!((book.mails().len(), book.meta_text("_tandem_payment_url")), (mails, Some(LINK)));
        world.tell(4, &view(S::Paid, 5_000)).await;
        assert_eq!(world.book().meta_text("_tandem_payment_url"), Some(""));
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_to_pay_what_a_saved_card_is_going_to_pay() {
    let world = World::new(Woo::default(), NewOrder { collection: Collection::Automatic, ..euros() });
    let first = PaymentView { reason: "nothing_paid_yet".into(), ..view(S::AwaitingPayment, 0) };
    world.tell(1, &first).await;
    assert!(world.book().mails().is_empty());
    world.tell(2, &PaymentView { reason: "insufficient_funds".into(), ..first }).await;
    assert_eq!(world.book().mails().len(), 1, "declined: now the buyer has to");
}

#[tokio::test(start_paused = true)]
async fn a_refund_is_a_row_with_its_id_and_the_shop_s_wish_and_asks_no_gateway() {
    let world = plain();
    world.tell(1, &view(S::Paid, 5_000)).await;
    let wish = world.shop.request_refund(&world.id, Some(1_500), "Stain").unwrap();
    let mut view = refunded(5_000, &[("re_1", 1_500, "succeeded")]);
    view.refunds[0].request = Some(wish.clone());
    let told = world.tell(2, &view).await;
    let book = world.book();
    let [row] = &book.refunds[..] else { panic!("{:?}", book.refunds) };
    assert_eq!((row.amount, row.reason.as_str()), (1_500, "Stain (re_1)"));
    assert_eq!(mark(row, "_tandem_request"), Some(wish));
    assert_eq!(told.order.refunds[0].request.as_deref(), Some("re_1"), "our own record");
    // All of it: WooCommerce calls the order refunded.
    world.tell(3, &refunded(5_000, &[("re_1", 1_500, "succeeded"), ("re_2", 3_500, "succeeded")])).await;
    assert_eq!(world.book().status, "refunded");
}

#[tokio::test(start_paused = true)]
async fn a_refund_of_what_was_paid_twice_never_leaves_the_order_s_books() {
    let world = plain();
    world.tell(1, &view(S::Paid, 5_000)).await;
    // A second charge was taken and given back, and then a part of the first.
    world
        .tell(2, &refunded(10_000, &[("re_double", 5_000, "succeeded"), ("re_part", 700, "succeeded")]))
        .await;
    let book = world.book();
    assert_eq!((book.status.as_str(), book.refunded()), ("processing", 700));
    assert!(book.notes.iter().any(|n| n.text.contains("re_double") && !n.customer));
}

#[tokio::test(start_paused = true)]
async fn of_two_rows_of_one_refund_the_younger_goes_and_a_stranger_s_row_stays() {
    let world = plain();
    world.tell(1, &view(S::Paid, 5_000)).await;
    let path = format!("/orders/{}/refunds", world.id);
    let marked = json!({"amount": "10.00", "api_refund": false, "meta_data": [{"key": "_tandem_refund", "value": "re_1"}]});
    for _ in 0..2 {
        world.rest("POST", &path, marked.clone()).await;
    }
    world.rest("POST", &path, json!({"amount": "10.00", "api_refund": false, "reason": "goodwill"})).await;
    let first = world.book().refunds[0].id;
    let reported = world.client.get_order(&world.id).await.unwrap().refunds;
    assert_eq!(reported.iter().filter(|r| r.request.is_none()).count(), 2, "until then anybody's");
    world.tell(2, &refunded(5_000, &[("re_1", 1_000, "succeeded")])).await;
    let rows: Vec<_> = world.book().refunds.iter().map(|r| (r.id == first, r.reason.clone())).collect();
    assert_eq!(rows, [(true, String::new()), (false, "goodwill".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn a_refund_that_woocommerce_refuses_is_a_refusal_with_its_code_and_its_cure() {
    let world = plain();
    world.tell(1, &view(S::Paid, 5_000)).await;
    let path = format!("/orders/{}/refunds", world.id);
    world.rest("POST", &path, json!({"amount": "45.00", "api_refund": false})).await;
    let error = world.try_tell(2, &refunded(5_000, &[("re_1", 1_000, "succeeded")])).await.unwrap_err();
    let ShopError::Rejected(why) = &error else { panic!("{error}") };
    assert!(why.starts_with("refund re_1: woocommerce_rest_cannot_create_order_refund"), "{why}");
    assert!(why.contains("compare its refunds"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn another_currency_than_the_order_s_is_refused_before_anything_is_written() {
    let world = plain();
    let wrong = PaymentView { currency: Currency::parse("USD").unwrap(), ..view(S::Paid, 5_000) };
    assert!(matches!(world.try_tell(1, &wrong).await, Err(ShopError::Rejected(why)) if why.contains("EUR")));
    assert_eq!(world.line.1.lock().unwrap().writes, 0);
}

#[tokio::test(start_paused = true)]
async fn a_check_names_what_is_wrong_and_changes_nothing() {
    use shared::outbound::shop::Severity;
    let address = "http://tandem.test/webhooks/woo";
    let woo =
        Woo { payment_methods: vec!["bacs".into(), "cheque".into(), "klarna".into()], ..Woo::default() };
    let world = World::new(woo, euros());
    let before = world.shop.order(&world.id);
    let bad = |findings: Vec<shared::outbound::shop::Finding>| -> Vec<String> {
        findings
            .into_iter()
            .filter(|f| f.severity != Severity::Good)
            .map(|f| format!("{}: {}", f.what, f.text))
            .collect()
    };
    let found = bad(world.client.check(address).await);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("\"cheque\" is off") && found[1].contains("no method \"klarna\""), "{found:?}");
    world.shop.woo(|shop| {
        shop.may_write = false;
        shop.decimals = Some(3);
        shop.gateways.push(("stripe".into(), true));
        shop.hooks[1].status = "disabled".into();
        shop.hooks.truncate(2);
    });
    let found = bad(world.client.check(address).await).join("\n");
    for part in [
        "Read/Write",
        "3 decimals, EUR has 2",
        "official Stripe plug-in",
        "order.updated is off",
        "order.deleted is missing",
    ] {
        assert!(found.contains(part), "{part}\n{found}");
    }
    assert_eq!(world.shop.order(&world.id), before);
}
