//! A WooCommerce shop behind the real handlers: whole stories, and its bad habits.
//!
//! Invariant: judged by Stripe's ledger and by what WooCommerce keeps, never by our tables.

mod captured;
mod shop;
mod told;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use local::aws::io::HttpEffect;
use local::aws::{Call, Faults};
use local::shop::woo::Book;
use local::shop::{NewOrder, Shop, Speaks};
use local::stack::{Options, Stack, local_secrets};
use serde_json::{Value, json};
use shared::config::{Config, Source};
use shared::domain::fact::Decision;
use shared::domain::ids::Function;
use shared::domain::time::Seconds;
use shared::domain::view::PaymentStatus as S;
use shared::operator::{self, By};
use shared::outbound::http::{HttpResponse, SendError};

use super::kit::state;
use crate::stories::{GOOD, charge, euros, paid, place, session};

/// One shop that speaks WooCommerce.
async fn start() -> Stack {
    with(|_| {}).await
}

async fn with(change: impl FnOnce(&mut Options)) -> Stack {
    let mut options = Options { light_queues: true, speaks: Speaks::Woo, ..Options::in_process() };
    change(&mut options);
    Stack::start(options).await.unwrap()
}

fn book(stack: &Stack, id: &str) -> Book {
    stack.shop.woo_book(id).unwrap()
}

/// Somebody else with a key to the shop: staff, another plug-in.
async fn rest(stack: &Stack, method: &str, path: &str, body: Value) -> Value {
    use base64::Engine as _;
    let key = base64::engine::general_purpose::STANDARD.encode(local_secrets::key_of("shop", Speaks::Woo));
    let request = http::Request::builder()
        .method(method)
        .uri(format!("{}/wp-json/wc/v3{path}", stack.bases.shop))
        .header("authorization", format!("Basic {key}"))
        .body(Bytes::from(body.to_string()))
        .unwrap();
    let answer = stack.http.send(request, Duration::from_secs(10)).await.unwrap();
    assert!(answer.status().is_success(), "{method} {path}: {}", answer.status());
    serde_json::from_slice(answer.body()).unwrap()
}

async fn put(stack: &Stack, id: &str, body: Value) {
    rest(stack, "PUT", &format!("/orders/{id}"), body).await;
}

/// Kinds of the open cases.
async fn cases(stack: &Stack, id: &str) -> Vec<String> {
    let state = state(stack, id).await;
    state.cases.values().filter(|c| c.is_open()).map(|c| format!("{}: {}", c.kind.name(), c.text)).collect()
}

/// Charges, taken, given back, by Stripe's ledger.
fn money(stack: &Stack, id: &str) -> (usize, i64, i64) {
    let (ledger, key) = (stack.sim.ledger(), stack.key(id).unwrap());
    let charges: Vec<_> = ledger.captured_for(key.as_str()).collect();
    let back = charges.iter().flat_map(|c| ledger.refunds_of(&c.id)).map(|r| r.amount).sum();
    (charges.len(), charges.iter().map(|c| c.amount_captured).sum(), back)
}

async fn pass(stack: &Stack, span: Seconds) {
    stack.advance_through(span, Some(Seconds::minutes(10))).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_order_is_placed_paid_and_set_paid_once() {
    let stack = start().await;
    let id = place(&stack, euros(1_250, Some("anna"))).await;
    let link = stack.pay_link(&id).unwrap();
    let waiting = book(&stack, &id);
    assert_eq!((waiting.status.as_str(), waiting.mails().len()), ("pending", 1));
    assert!(waiting.mails()[0].contains(&link) && waiting.mails()[0].contains("12.50 EUR"));
    stack.pay(&id, GOOD).await.unwrap();
    stack.settle().await.unwrap();
    let done = book(&stack, &id);
    let intent = stack.sim.ledger().intents[0].id.clone();
    assert_eq!((done.status.as_str(), done.transaction_id.as_str()), ("processing", intent.as_str()));
    assert!(done.paid_at.is_some());
    pass(&stack, Seconds::hours(2)).await;
    assert_eq!(book(&stack, &id), done, "our own echoes end in silence");
    assert_eq!((money(&stack, &id), done.mails().len()), ((1, 1_250, 0), 1));
    assert_eq!(cases(&stack, &id).await, [""; 0]);
    assert_eq!(state(&stack, &id).await.recorded, 1_250);
}

#[tokio::test(start_paused = true)]
async fn refunds_the_shop_asks_for_are_rows_once_and_the_last_one_makes_it_refunded() {
    let stack = start().await;
    let id = paid(&stack, euros(5_000, Some("dora"))).await;
    stack.shop.request_refund(&id, Some(1_500), "Stain").unwrap();
    stack.settle().await.unwrap();
    assert_eq!((book(&stack, &id).status.as_str(), book(&stack, &id).refunded()), ("processing", 1_500));
    stack.shop.request_refund(&id, None, "all of it").unwrap();
    stack.settle().await.unwrap();
    pass(&stack, Seconds::hours(1)).await;
    let done = book(&stack, &id);
    let rows: Vec<i64> = done.refunds.iter().map(|r| r.amount).collect();
    assert_eq!((done.status.as_str(), rows), ("refunded", vec![1_500, 3_500]));
    assert_eq!(money(&stack, &id), (1, 5_000, 5_000));
    assert_eq!(cases(&stack, &id).await, [""; 0], "our own rows are no reports");
}

#[tokio::test(start_paused = true)]
async fn a_refund_that_staff_makes_in_woocommerce_is_a_case_and_gives_nothing_back_by_itself() {
    let stack = start().await;
    let id = paid(&stack, euros(5_000, Some("dora"))).await;
    let body = json!({"amount": "10.00", "reason": "goodwill", "api_refund": false});
    rest(&stack, "POST", &format!("/orders/{id}/refunds"), body).await;
    stack.settle().await.unwrap();
    let open = cases(&stack, &id).await;
    assert!(open.len() == 1 && open[0].contains("reports refund"), "{open:?}");
    assert_eq!(money(&stack, &id), (1, 5_000, 0));

    // A person approves: the row that staff made is the record of it, and stays the only one.
    let case = state(&stack, &id).await.cases.into_keys().next().unwrap();
    let (engine, by) = (stack.engine(Function::Cli), By::new("Ada", None).unwrap());
    operator::decide(&engine, &stack.key(&id).unwrap(), &case, Decision::Approve, &by).await.unwrap();
    pass(&stack, Seconds::hours(1)).await;
    assert_eq!(money(&stack, &id), (1, 5_000, 1_000));
    let rows: Vec<i64> = book(&stack, &id).refunds.iter().map(|r| r.amount).collect();
    assert_eq!((rows, cases(&stack, &id).await), (vec![1_000], vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_refund_that_the_bank_sends_back_is_taken_away_again() {
    let stack = start().await;
    let id = paid(&stack, euros(5_000, Some("dora"))).await;
    stack.shop.request_refund(&id, Some(2_000), "Stain").unwrap();
    stack.settle().await.unwrap();
    assert_eq!(book(&stack, &id).refunded(), 2_000);
    let refund = stack.sim.ledger().refunds.last().unwrap().id.clone();
    stack.sim.fail_refund(&refund);
    stack.settle().await.unwrap();
    assert_eq!(book(&stack, &id).refunded(), 0);
    assert!(book(&stack, &id).notes.iter().any(|n| n.text.contains(&refund) && n.text.contains("failed")));
}

#[tokio::test(start_paused = true)]
async fn an_order_paid_elsewhere_before_tandem_sees_it_is_never_charged() {
    let stack = start().await;
    stack.shop.set(|knobs| knobs.lose_notices = 1);
    let id = place(&stack, euros(1_250, Some("anna"))).await;
    put(&stack, &id, json!({"set_paid": true, "transaction_id": "PAYPAL-1"})).await;
    stack.settle().await.unwrap();
    assert_eq!(stack.sim.ledger().sessions.len(), 0);
    let done = book(&stack, &id);
    assert_eq!((done.transaction_id.as_str(), done.mails().len()), ("PAYPAL-1", 0));
    assert!(done.notes.iter().any(|n| n.text.contains("paid by other means")));
    assert_eq!(stack.shop.order(&id).unwrap().payment.unwrap().status, S::Paid);
}

#[tokio::test(start_paused = true)]
async fn an_order_paid_elsewhere_while_our_page_is_open_closes_the_page() {
    let stack = start().await;
    let id = place(&stack, euros(1_250, Some("anna"))).await;
    let page = session(&stack, &id).await;
    put(&stack, &id, json!({"set_paid": true, "transaction_id": "PAYPAL-1"})).await;
    stack.settle().await.unwrap();
    assert!(stack.sim.ledger().sessions.iter().all(|s| s.status == "expired"));
    stack.pay_session(&page, GOOD).await.unwrap();
    stack.settle().await.unwrap();
    assert_eq!((money(&stack, &id), book(&stack, &id).transaction_id.as_str()), ((0, 0, 0), "PAYPAL-1"));
}

#[tokio::test(start_paused = true)]
async fn an_order_paid_twice_at_the_same_moment_keeps_both_on_record_and_proposes_a_refund() {
    for other in [json!({"set_paid": true, "transaction_id": "PAYPAL-1"}), json!({"status": "processing"})] {
        let stack = start().await;
        let id = place(&stack, euros(1_250, Some("anna"))).await;
        let page = session(&stack, &id).await;
        stack.pay_session(&page, GOOD).await.unwrap();
        put(&stack, &id, other.clone()).await;
        stack.settle().await.unwrap();
        pass(&stack, Seconds::hours(1)).await;
        assert_eq!(money(&stack, &id), (1, 1_250, 0), "{other}");
        let open = cases(&stack, &id).await;
        assert!(open.iter().any(|c| c.starts_with("excess")), "{other}: {open:?}");
        assert_ne!(book(&stack, &id).transaction_id, stack.sim.ledger().intents[0].id, "{other}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_nobody_knows_charges_nothing_and_opens_a_case() {
    let stack = start().await;
    stack.shop.woo(|shop| shop.statuses.push("on-the-moon".into()));
    let lines = json!([{"name": "Mug", "total": "12.50"}]);
    rest(&stack, "POST", "/orders", json!({"status": "on-the-moon", "line_items": lines})).await;
    stack.settle().await.unwrap();
    assert_eq!(stack.sim.ledger().sessions.len(), 0);
    let open = cases(&stack, "1001").await;
    assert!(open.len() == 1 && open[0].contains("on-the-moon"), "{open:?}");
    put(&stack, "1001", json!({"status": "pending"})).await;
    stack.settle().await.unwrap();
    assert!(stack.pay_link("1001").is_ok());
}

#[tokio::test(start_paused = true)]
async fn drafts_and_orders_of_other_methods_are_not_charged_until_they_are_ours_to_charge() {
    let stack = start().await;
    let lines = json!([{"name": "Mug", "total": "12.50"}]);
    for body in [
        json!({"status": "checkout-draft", "line_items": lines}),
        json!({"payment_method": "bacs", "line_items": lines}),
        json!({"payment_method": "stripe", "line_items": lines, "meta_data": [{"key": "_stripe_intent_id", "value": "pi_x"}]}),
    ] {
        rest(&stack, "POST", "/orders", body).await;
    }
    stack.settle().await.unwrap();
    pass(&stack, Seconds::hours(1)).await;
    assert_eq!(stack.sim.ledger().sessions.len(), 0);
    put(&stack, "1001", json!({"status": "pending"})).await;
    stack.settle().await.unwrap();
    assert_eq!(stack.sim.ledger().sessions.len(), 1, "the draft was ordered");
    assert_eq!(book(&stack, "1001").mails().len(), 1, "and its buyer knows where to pay");
}

#[tokio::test(start_paused = true)]
async fn a_shop_without_decimals_is_charged_the_total_that_it_rounded() {
    let stack = start().await;
    stack.shop.woo(|shop| {
        shop.decimals = Some(0);
        shop.tax_percent = 19;
    });
    let lines = json!([{"name": "Mug", "quantity": 3, "total": "3750.00"}]);
    rest(&stack, "POST", "/orders", json!({"currency": "HUF", "line_items": lines})).await;
    stack.settle().await.unwrap();
    stack.pay("1001", GOOD).await.unwrap();
    stack.settle().await.unwrap();
    assert_eq!(
        money(&stack, "1001"),
        (1, 446_300, 0),
        "4463 forint, rounded by the shop, are 446300 at Stripe"
    );
    assert_eq!(book(&stack, "1001").status, "processing");
}

#[tokio::test(start_paused = true)]
async fn a_shop_that_is_down_for_a_day_blocks_no_payment_is_told_later_and_becomes_a_case_meanwhile() {
    let stack = start().await;
    let id = place(&stack, euros(1_250, Some("anna"))).await;
    stack.shop.set(|knobs| knobs.down = true);
    stack.pay(&id, GOOD).await.unwrap();
    stack.settle().await.unwrap();
    assert_eq!(
        (money(&stack, &id), state(&stack, &id).await.captured()),
        ((1, 1_250, 0), 1_250),
        "Stripe's part is done"
    );
    pass(&stack, Seconds::hours(26)).await;
    let open = cases(&stack, &id).await;
    assert!(open.iter().any(|c| c.contains("tell")), "{open:?}");
    stack.shop.set(|knobs| knobs.down = false);
    pass(&stack, Seconds::hours(2)).await;
    assert_eq!(book(&stack, &id).status, "processing");
    assert_eq!(cases(&stack, &id).await, [""; 0], "the case went with its cause");
}

/// Every call of one kind to the shop loses its answer the first time.
struct LoseOnce {
    what: &'static str,
    left: std::sync::atomic::AtomicU32,
}

impl Faults for LoseOnce {
    fn around_http<'a>(
        &'a self,
        call: Call<'a>,
        _timeout: Duration,
        effect: HttpEffect,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<HttpResponse, SendError>> + Send + 'a>> {
        use std::sync::atomic::Ordering::SeqCst;
        let struck = call.label.service == "shop" && call.label.operation.starts_with(self.what);
        Box::pin(async move {
            let answer = effect.await?;
            let lose = struck && self.left.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1)).is_ok();
            if lose { Err(SendError::Unknown("connection reset".into())) } else { Ok(answer) }
        })
    }
}

#[tokio::test(start_paused = true)]
async fn lost_answers_of_every_kind_of_write_end_as_if_nothing_were_lost() {
    let mut ends = Vec::new();
    for (what, times) in
        [("nothing", 0), ("PUT", 1), ("PUT", 3), ("POST", 1), ("POST", 3), ("DELETE", 1), ("GET", 2)]
    {
        let stack = start().await;
        stack.aws.set_faults(Arc::new(LoseOnce { what, left: times.into() }));
        let id = place(&stack, euros(5_000, Some("dora"))).await;
        pass(&stack, Seconds::minutes(30)).await;
        stack.pay(&id, GOOD).await.unwrap();
        pass(&stack, Seconds::minutes(30)).await;
        stack.shop.request_refund(&id, Some(1_500), "Stain").unwrap();
        pass(&stack, Seconds::minutes(30)).await;
        let done = book(&stack, &id);
        let rows: Vec<i64> = done.refunds.iter().map(|r| r.amount).collect();
        ends.push((
            done.status.clone(),
            rows,
            done.mails().len(),
            money(&stack, &id),
            cases(&stack, &id).await,
        ));
        assert_eq!(ends.last(), ends.first(), "{what} {times}");
    }
    assert_eq!(ends[0], ("processing".to_owned(), vec![1_500], 1, (1, 5_000, 1_500), vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_payment_that_comes_before_the_link_was_acknowledged_is_not_taken_for_another() {
    let stack = start().await;
    stack.aws.set_faults(Arc::new(LoseOnce { what: "PUT", left: 4.into() }));
    let id = place(&stack, euros(5_000, Some("dora"))).await;
    stack.pay(&id, GOOD).await.unwrap();
    stack.settle().await.unwrap();
    pass(&stack, Seconds::hours(1)).await;
    assert_eq!(book(&stack, &id).status, "processing");
    assert_eq!(state(&stack, &id).await.cases.into_keys().collect::<Vec<_>>(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_was_switched_off_is_polled_around_and_switched_on_again() {
    let stack = start().await;
    stack.shop.woo(|shop| shop.hooks.iter_mut().for_each(|hook| hook.status = "disabled".into()));
    let id = place(&stack, euros(1_250, None)).await;
    assert!(stack.shop.order(&id).unwrap().payment.is_none(), "nothing was heard");
    pass(&stack, Seconds::minutes(25)).await;
    assert!(stack.pay_link(&id).is_ok(), "the listing told");
    pass(&stack, Seconds::hours(2)).await;
    assert!(
        stack.shop.woo_hooks().iter().all(|(_, status)| status == "active"),
        "{:?}",
        stack.shop.woo_hooks()
    );
}

#[tokio::test(start_paused = true)]
async fn seven_failed_deliveries_switch_the_webhook_off_and_nothing_is_lost() {
    let stack = start().await;
    // The receiver is told the wrong secret: it refuses everything.
    stack.aws.ssm().put_secret(
        "/tandem/demo/shop-webhook-secret",
        "another-secret-entirely-0123",
        stack.clock.now(),
    );
    stack.jump(Seconds::minutes(10)).await.unwrap();
    let mut ids = Vec::new();
    for n in 0..8 {
        ids.push(place(&stack, euros(1_000 + n, None)).await);
    }
    assert!(stack.shop.woo_hooks().iter().any(|(_, status)| status == "disabled"));
    pass(&stack, Seconds::minutes(30)).await;
    for id in ids {
        assert!(stack.pay_link(&id).is_ok(), "order {id} was found by the listing");
    }
}

#[tokio::test(start_paused = true)]
async fn many_orders_of_one_second_are_all_listed() {
    let stack = start().await;
    stack.shop.set(|knobs| knobs.lose_notices = 230);
    for n in 0..230 {
        stack
            .shop
            .place(NewOrder::simple(shared::domain::money::Currency::parse("EUR").unwrap(), 1_000 + n, None))
            .unwrap();
    }
    stack.advance(Seconds::minutes(11), Some(Seconds::minutes(5))).await.unwrap();
    let record = stack.shop.record();
    assert_eq!(record.orders.values().filter(|o| o.payment.is_some()).count(), 230);
}

#[tokio::test(start_paused = true)]
async fn two_shops_with_the_same_order_numbers_never_meet() {
    let stack = with(|options| options.beside = vec![("second", Speaks::Woo)]).await;
    let second: &Shop = stack.shop_named("second").unwrap();
    let here = stack.shop.place(euros(1_250, Some("anna"))).unwrap().id;
    let there = second.place(euros(9_900, Some("anna"))).unwrap().id;
    assert_eq!(here, there);
    stack.settle().await.unwrap();
    stack.pay_at(second, &there, GOOD).await.unwrap();
    stack.settle().await.unwrap();
    assert_eq!(second.woo_book(&there).unwrap().status, "processing");
    assert_eq!(book(&stack, &here).status, "pending");
    let ledger = stack.sim.ledger();
    let taken: Vec<_> =
        ledger.captured_for(stack.key_in("second", &there).unwrap().as_str()).map(|c| c.amount).collect();
    assert_eq!((taken, money(&stack, &here)), (vec![9_900], (0, 0, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_dispute_holds_the_order_and_winning_it_lets_it_go() {
    let stack = start().await;
    let id = paid(&stack, euros(3_000, Some("nora"))).await;
    let dispute = stack.sim.create_dispute(&charge(&stack, &id), "fraudulent", None).unwrap();
    stack.settle().await.unwrap();
    assert_eq!(book(&stack, &id).status, "on-hold");
    stack.sim.close_dispute(&dispute, true);
    stack.settle().await.unwrap();
    assert_eq!(book(&stack, &id).status, "processing");
    assert_eq!(cases(&stack, &id).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_thrown_away_order_is_charged_no_more_and_cancelled_only_where_the_shop_says_so() {
    let stack = start().await;
    let id = place(&stack, euros(1_250, None)).await;
    rest(&stack, "DELETE", &format!("/orders/{id}"), Value::Null).await;
    stack.settle().await.unwrap();
    assert!(!state(&stack, &id).await.payable(stack.clock.now()));
    put(&stack, &id, json!({"status": "pending"})).await;
    stack.settle().await.unwrap();
    stack.pay(&id, GOOD).await.unwrap();
    stack.settle().await.unwrap();
    assert_eq!(book(&stack, &id).status, "processing");
}

#[test]
fn the_configuration_in_the_documentation_is_right() {
    let text = include_str!("../../../docs/order-systems/woocommerce.md");
    let sample = text.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let whole = format!("{}\n{sample}", shared::config::SHIPPED_TOML);
    let config = Config::parse(&whole, &|_| None).unwrap();
    assert!(
        matches!(config.sources.get("woo"), Some(Source::Shop(shop)) if shop.system.name() == "woocommerce")
    );
}
