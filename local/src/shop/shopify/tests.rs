//! The store as the adapter, the receiver's rules and a forger see it.

use std::sync::{Arc, Mutex as StdMutex};
use std::time::Duration;

use http::HeaderMap;
use secrecy::SecretString;
use shared::clock::Clock;
use shared::config::shopify::{PartPayments, RefundRecords, Shopify as Settings};
use shared::config::{ShopSource, System};
use shared::domain::money::Currency;
use shared::domain::order::{Collection, ReportedRefund};
use shared::domain::view::{PaymentStatus, PaymentView, RefundLine};
use shared::outbound::http::{Http, SendError, SendFuture};
use shared::outbound::shop::{
    Finding, HookState, OrderSystem as _, Severity, ShopClient, ShopError, Telling, Told,
};

use super::*;
use crate::shop::{NewOrder, Speaks};

mod cuts;

const START: UnixTime = UnixTime(1_800_000_000);
const ADDRESS: &str = "http://tandem.test/webhooks/shop";

fn store() -> Shop {
    let config = ShopConfig {
        name: "shop".into(),
        speaks: Speaks::Shopify,
        public_url: "http://tea.test".into(),
        api_token: "token-for-tests".into(),
        webhook_url: ADDRESS.into(),
        webhook_secret: "the client secret of an app".into(),
        notice_secret: format!("whsec_{}", "b".repeat(32)),
    };
    Shop::new(Clock::tokio_from(START), config)
}

fn eur() -> Currency {
    Currency::parse("EUR").unwrap()
}

fn placed(shop: &Shop) -> String {
    shop.place(NewOrder::simple(eur(), 1250, Some("c1"))).unwrap().id
}

/// The seam with the store beneath it.
struct Beneath(Shop);

impl Http for Beneath {
    fn send(&self, request: HttpRequest, _: Duration) -> SendFuture<'_> {
        Box::pin(async move { Ok(self.0.handle(request).await) })
    }
}

fn client(shop: &Shop) -> ShopClient {
    client_with(shop, Settings::defaults(false), "token-for-tests")
}

fn client_with(shop: &Shop, settings: Settings, token: &str) -> ShopClient {
    let source = ShopSource {
        name: "shop".into(),
        base_url: shop.base().to_owned(),
        stripe: "stripe".into(),
        api_key: "shop-token".into(),
        webhook_secrets: vec![],
        system: System::Shopify(settings),
    };
    ShopClient::new(Arc::new(Beneath(shop.clone())), source, SecretString::from(token.to_owned()))
}

#[tokio::test(start_paused = true)]
async fn a_new_order_is_read_as_it_was_placed() {
    let shop = store();
    let id = placed(&shop);
    let order = client(&shop).get_order(&id).await.unwrap();
    assert_eq!((order.total, order.version, order.paid), (1250, 1_800_000_000, Some(0)));
    let page = client(&shop).list(START, None).await.unwrap();
    assert_eq!((page.orders.len(), page.as_of, page.next_cursor), (1, START, None));
}

fn view(status: PaymentStatus, captured: i64, due: i64) -> PaymentView {
    PaymentView {
        status,
        payment_url: (due > 0).then(|| "http://tandem.test/pay/x".to_owned()),
        currency: eur(),
        amount_due: due,
        amount_captured: captured,
        amount_refunded: 0,
        payment_id: Some("pi_1".into()),
        reason: "captured_in_full".into(),
        refunds: vec![],
    }
}

fn line(id: &str, request: Option<&str>, amount: i64, status: &str) -> RefundLine {
    RefundLine { id: id.into(), request: request.map(str::to_owned), amount, status: status.into() }
}

/// Paid in full, then 500 given back.
fn refunded() -> PaymentView {
    let refunds = vec![line("re_1", Some("1001-r1"), 500, "succeeded"), line("re_2", None, 100, "failed")];
    PaymentView { amount_refunded: 500, refunds, ..view(PaymentStatus::PartiallyRefunded, 1250, 0) }
}

async fn tell(
    client: &ShopClient,
    id: &str,
    version: u64,
    view: &PaymentView,
    recorded: i64,
) -> Result<Told, ShopError> {
    client.tell(&Telling { id, version, view, recorded, total: view.amount_captured }).await
}

fn book(shop: &Shop, id: &str) -> Book {
    book_of(&shop.order(id).unwrap().native)
}

/// Kind, amount and gateway of every movement.
fn movements(shop: &Shop, id: &str) -> Vec<(Kind, i64)> {
    book(shop, id).transactions.iter().map(|t| (t.kind, t.amount)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_payment_in_full_is_one_sale_a_tag_and_a_marker_and_telling_it_again_writes_nothing() {
    let shop = store();
    let id = placed(&shop);
    let client = client(&shop);
    shop.with_book(&id, |book| book.tags = vec!["vip".into()]);
    let told = tell(&client, &id, 3, &view(PaymentStatus::AwaitingPayment, 0, 1250), 0).await.unwrap();
    assert_eq!((told.recorded, told.order.payment.unwrap().version), (Some(0), 3));
    let open = book(&shop, &id);
    assert_eq!(open.tags, ["vip", "tandem-awaiting-payment"]);
    let url = |book: &Book| book.metafields.iter().find(|f| f.key == "payment_url").map(|f| f.value.clone());
    assert_eq!(url(&open).as_deref(), Some("http://tandem.test/pay/x"));
    let told = tell(&client, &id, 7, &view(PaymentStatus::Paid, 1250, 0), 0).await.unwrap();
    assert_eq!((told.recorded, told.order.paid), (Some(1250), Some(1250)));
    let paid = book(&shop, &id);
    assert_eq!(paid.tags, ["vip", "tandem-paid"]);
    assert_eq!(url(&paid), None, "nothing is left to pay");
    assert_eq!(movements(&shop, &id), [(Kind::Sale, 1250)]);
    for late in [7, 3] {
        let same =
            tell(&client, &id, late, &view(PaymentStatus::AwaitingPayment, 0, 1250), 1250).await.unwrap();
        assert_eq!((same.order.payment.unwrap().version, same.recorded), (7, Some(1250)));
    }
    assert_eq!(book(&shop, &id), paid);
    assert_eq!(client.get_order(&id).await.unwrap().payment.unwrap().status, "paid");
}

#[tokio::test(start_paused = true)]
async fn a_refund_stands_against_our_own_sale_once_and_reads_back_as_ours() {
    let shop = store();
    let id = placed(&shop);
    let client = client(&shop);
    tell(&client, &id, 1, &view(PaymentStatus::Paid, 1250, 0), 0).await.unwrap();
    let told = tell(&client, &id, 2, &refunded(), 1250).await.unwrap();
    assert_eq!(told.recorded, Some(1250));
    assert_eq!(movements(&shop, &id), [(Kind::Sale, 1250), (Kind::Refund, 500)]);
    let order = client.get_order(&id).await.unwrap();
    assert_eq!(order.refunds.len(), 1);
    assert_eq!((order.refunds[0].amount, order.refunds[0].request.as_deref()), (500, Some("1001-r1")));
    assert_eq!(order.paid, Some(1250), "a refund makes nothing due again");
    // The same refund once more in the next view, and one made in Stripe's dashboard.
    let mut more = refunded();
    more.refunds.push(line("re_3", None, 750, "pending"));
    tell(&client, &id, 3, &more, 1250).await.unwrap();
    let order = client.get_order(&id).await.unwrap();
    let requests: Vec<_> = order.refunds.iter().map(|r| (r.amount, r.request.as_deref())).collect();
    assert_eq!(requests, [(500, Some("1001-r1")), (750, Some("re_3"))]);
}

#[tokio::test(start_paused = true)]
async fn payment_and_refund_told_at_once_are_recorded_one_after_the_other() {
    let shop = store();
    let id = placed(&shop);
    let client = client(&shop);
    let first = tell(&client, &id, 4, &refunded(), 0).await.unwrap_err();
    assert!(matches!(first, ShopError::Wait { after: 30, .. }), "{first}");
    assert_eq!(movements(&shop, &id), [(Kind::Sale, 1250)]);
    let told = tell(&client, &id, 4, &refunded(), 0).await.unwrap();
    assert_eq!((told.recorded, told.order.paid), (Some(1250), Some(1250)));
    assert_eq!(movements(&shop, &id), [(Kind::Sale, 1250), (Kind::Refund, 500)]);
}

#[tokio::test(start_paused = true)]
async fn a_refund_that_a_person_made_is_reported_as_nobodys_request() {
    let shop = store();
    let id = placed(&shop);
    let client = client(&shop);
    tell(&client, &id, 1, &view(PaymentStatus::Paid, 1250, 0), 0).await.unwrap();
    tell(&client, &id, 2, &refunded(), 1250).await.unwrap();
    shop.with_book(&id, |book| {
        let ours = book.refunds[0].clone();
        book.refunds.push(Refund { id: 9, note: "broken cup".into(), amount: 200, ..ours.clone() });
        book.refunds.push(Refund { id: 10, ..ours.clone() });
        // Restocked without money.
        book.refunds.push(Refund { id: 11, note: String::new(), amount: 0, ..ours });
    });
    let order = client.get_order(&id).await.unwrap();
    assert_eq!(order.refunds[0].request.as_deref(), Some("1001-r1"));
    let strange = |id: &str, amount| ReportedRefund { id: id.into(), amount, request: None };
    assert_eq!(order.refunds[1..], [strange("9", 200), strange("10", 500)]);
}

#[tokio::test(start_paused = true)]
async fn marked_as_paid_by_a_person_meanwhile_is_not_taken_for_ours() {
    let shop = store();
    let id = placed(&shop);
    let client = client(&shop);
    shop.with_book(&id, |book| {
        let sale = Transaction::manual_sale(1, "Bank Deposit", 1250);
        book.transactions.push(sale);
    });
    let told = tell(&client, &id, 1, &view(PaymentStatus::Paid, 1250, 0), 0).await.unwrap();
    assert_eq!((told.recorded, told.order.paid), (Some(0), Some(1250)), "all of it was paid by other means");
    assert_eq!(movements(&shop, &id), [(Kind::Sale, 1250)]);
}

#[tokio::test(start_paused = true)]
async fn an_order_that_asks_for_more_than_was_captured_is_not_marked_as_paid() {
    let shop = store();
    let id = placed(&shop);
    shop.change_total(&id, 2000).unwrap();
    let refused = tell(&client(&shop), &id, 1, &view(PaymentStatus::Paid, 1250, 0), 0).await.unwrap_err();
    assert!(
        refused.to_string().contains("20.00 EUR is outstanding in Shopify, but 12.50 EUR was captured"),
        "{refused}"
    );
    assert_eq!(movements(&shop, &id), []);
    // With the setting the part is recorded, and a part alone as well.
    let manual = Settings { part_payments: PartPayments::Manual, ..Settings::defaults(false) };
    let client = client_with(&shop, manual, "token-for-tests");
    let told = tell(&client, &id, 1, &view(PaymentStatus::PartiallyPaid, 1250, 750), 0).await.unwrap();
    assert_eq!((told.recorded, told.order.paid), (Some(1250), Some(1250)));
    let told = tell(&client, &id, 2, &view(PaymentStatus::Paid, 2000, 0), 1250).await.unwrap();
    assert_eq!(
        (told.recorded, movements(&shop, &id)),
        (Some(2000), vec![(Kind::Sale, 1250), (Kind::Sale, 750)])
    );
    // A part of ours that landed twice is nobody's payment, and a person takes it back.
    shop.with_book(&id, |book| {
        book.transactions.push(Transaction { id: 99, ..book.transactions[0].clone() })
    });
    assert_eq!(client.get_order(&id).await.unwrap().paid, Some(2000));
    let refused = tell(&client, &id, 3, &view(PaymentStatus::Paid, 2000, 0), 2000).await.unwrap_err();
    assert!(refused.to_string().contains("stands in the store twice (12.50 EUR too much)"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_part_paid_elsewhere_leaves_the_rest_to_us_and_both_are_told_apart() {
    let shop = store();
    let id = placed(&shop);
    shop.with_book(&id, |book| {
        let part = Transaction::manual_sale(1, "Bank Deposit", 500);
        book.transactions.push(part);
    });
    let client = client(&shop);
    assert_eq!(client.get_order(&id).await.unwrap().paid, Some(500));
    let told = tell(&client, &id, 1, &view(PaymentStatus::Paid, 750, 0), 0).await.unwrap();
    assert_eq!((told.recorded, told.order.paid), (Some(750), Some(1250)));
    assert_eq!(movements(&shop, &id), [(Kind::Sale, 500), (Kind::Sale, 750)]);
}

#[tokio::test(start_paused = true)]
async fn a_deposit_is_only_noted_until_the_whole_is_paid() {
    let shop = store();
    let id = placed(&shop);
    let client = client(&shop);
    let told = tell(&client, &id, 1, &view(PaymentStatus::PartiallyPaid, 250, 1000), 0).await.unwrap();
    assert_eq!((told.recorded, movements(&shop, &id)), (Some(0), vec![]));
    let told = tell(&client, &id, 2, &view(PaymentStatus::Paid, 1250, 0), 0).await.unwrap();
    assert_eq!((told.recorded, movements(&shop, &id)), (Some(1250), vec![(Kind::Sale, 1250)]));
}

#[tokio::test(start_paused = true)]
async fn orders_of_another_gateway_test_orders_and_held_ones_are_not_charged() {
    let shop = store();
    let id = placed(&shop);
    let settings = Settings::defaults(true);
    let live = client_with(&shop, settings.clone(), "token-for-tests");
    let collection = async |client: &ShopClient| client.get_order(&id).await.unwrap().collection;
    assert_eq!(collection(&live).await, Collection::Page);
    shop.with_book(&id, |book| book.test = true);
    assert_eq!(collection(&live).await, Collection::None);
    assert_eq!(collection(&client(&shop)).await, Collection::Page, "a test order, a test account");
    shop.with_book(&id, |book| (book.test, book.gateways) = (false, vec!["shopify_payments".into()]));
    assert_eq!(collection(&live).await, Collection::None);
    let wider = Settings { gateways: vec!["shopify_payments".into()], ..settings };
    assert_eq!(collection(&client_with(&shop, wider, "token-for-tests")).await, Collection::Page);
    shop.with_book(&id, |book| (book.gateways, book.tags) = (vec![], vec!["Tandem-Hold".into()]));
    assert_eq!(live.get_order(&id).await.unwrap().status, OrderStatus::OnHold);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_call_says_when_it_may_come_again() {
    let shop = store();
    let id = placed(&shop);
    shop.set(|knobs| knobs.throttle = 1);
    let error = client(&shop).get_order(&id).await.unwrap_err();
    let ShopError::Throttled { retry_after: Some(wait) } = error else { panic!("{error}") };
    assert!((1..=10).contains(&wait), "{wait} s for a query that costs {}", wait * 100);
    assert!(client(&shop).get_order(&id).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_refund_without_a_key_is_refused_and_a_key_answers_once() {
    let shop = store();
    let id = placed(&shop);
    tell(&client(&shop), &id, 1, &view(PaymentStatus::Paid, 1250, 0), 0).await.unwrap();
    let ask = async |directive: &str, note: &str| {
        let query = format!(
            "mutation R($input: RefundInput!) {{ refundCreate(input: $input) {directive} {{ refund {{ id }} userErrors {{ message }} }} }}"
        );
        let input = json!({ "orderId": shapes::gid("Order", &id), "note": note, "transactions": [] });
        let body = json!({ "query": query, "variables": { "input": input } }).to_string();
        let request = http::Request::post("http://tea.test/admin/api/2026-10/graphql.json")
            .header("x-shopify-access-token", "token-for-tests")
            .body(Bytes::from(body))
            .unwrap();
        serde_json::from_slice::<Value>(shop.handle(request).await.body()).unwrap()
    };
    assert_eq!(ask("", "a").await["errors"][0]["extensions"]["code"], "BAD_REQUEST");
    let first = ask("@idempotent(key: \"k1\")", "a").await["data"].clone();
    assert_eq!(ask("@idempotent(key: \"k1\")", "a").await["data"], first);
    assert_ne!(ask("@idempotent(key: \"k2\")", "a").await["data"], first);
    let other = ask("@idempotent(key: \"k1\")", "b").await;
    assert_eq!(other["errors"][0]["extensions"]["code"], "IDEMPOTENCY_KEY_PARAMETER_MISMATCH");
    assert_eq!(book(&shop, &id).refunds.len(), 2);
}

/// Keeps what was posted and answers with a status.
struct Receiver {
    seen: StdMutex<Vec<(HeaderMap, Value)>>,
    status: u16,
}

impl Http for Receiver {
    fn send(&self, request: HttpRequest, timeout: Duration) -> SendFuture<'_> {
        assert_eq!(timeout, Duration::from_secs(5));
        let body = serde_json::from_slice(request.body()).unwrap();
        self.seen.lock().unwrap().push((request.headers().clone(), body));
        Box::pin(async move {
            let mut answer = HttpResponse::new(Bytes::new());
            *answer.status_mut() = http::StatusCode::from_u16(self.status).unwrap();
            Ok(answer)
        })
    }
}

fn receiver(status: u16) -> Receiver {
    Receiver { seen: StdMutex::default(), status }
}

#[tokio::test(start_paused = true)]
async fn a_retry_carries_the_first_body_and_after_eight_failures_the_subscription_is_gone_and_is_made_anew() {
    let shop = store();
    let id = placed(&shop);
    let down = receiver(503);
    shop.deliver_due(&down).await;
    let first = down.seen.lock().unwrap()[1].1.clone();
    shop.change_total(&id, 2000).unwrap();
    let client = client(&shop);
    let updated = |hooks: Vec<shared::outbound::shop::Hook>| {
        hooks.into_iter().find(|h| h.topic == "ORDERS_UPDATED").unwrap()
    };
    assert_eq!(updated(client.hooks(ADDRESS).await.unwrap().unwrap()).state, HookState::Active);
    for _ in 0..8 {
        tokio::time::advance(Duration::from_secs(80 * 60)).await;
        shop.deliver_due(&down).await;
    }
    let retried = down.seen.lock().unwrap().iter().filter(|(_, body)| *body == first).count();
    assert!(retried > 1, "the original body is repeated");
    let gone = updated(client.hooks(ADDRESS).await.unwrap().unwrap());
    assert_eq!((gone.state, gone.id.clone()), (HookState::Missing, None));
    assert!(client.mend(ADDRESS, &gone).await.unwrap());
    assert_eq!(updated(client.hooks(ADDRESS).await.unwrap().unwrap()).state, HookState::Active);
    let up = receiver(200);
    shop.change_total(&id, 2100).unwrap();
    assert!(shop.deliver_due(&up).await > 0);
}

#[tokio::test(start_paused = true)]
async fn one_action_has_one_event_id_over_its_topics_and_headers_are_spelt_both_ways() {
    let shop = store();
    let up = receiver(200);
    let ids = [placed(&shop), placed(&shop)];
    shop.deliver_due(&up).await;
    let seen = up.seen.lock().unwrap();
    let header = |i: usize, name: &str| seen[i].0.get(name).map(|v| v.to_str().unwrap().to_owned());
    assert_eq!(ids[0], "1001");
    assert_eq!(header(0, "shopify-topic").as_deref(), Some("orders/create"));
    assert_eq!(header(1, "shopify-topic").as_deref(), Some("orders/updated"));
    assert_eq!(header(0, "shopify-event-id"), header(1, "shopify-event-id"));
    assert_ne!(header(0, "shopify-webhook-id"), header(1, "shopify-webhook-id"));
    assert_eq!(header(2, "x-shopify-topic").as_deref(), Some("orders/create"));
    assert_ne!(header(0, "shopify-event-id"), header(2, "x-shopify-event-id"));
}

#[tokio::test(start_paused = true)]
async fn the_check_finds_a_store_that_is_ready_and_says_what_to_do_about_one_that_is_not() {
    let shop = store();
    let worst = |findings: &[Finding]| findings.iter().map(|f| f.severity).max().unwrap();
    let ready = client(&shop).check(ADDRESS).await;
    assert_eq!(worst(&ready), Severity::Good, "{ready:?}");
    let elsewhere = client(&shop).check("http://elsewhere.test/webhooks/shop").await;
    let hook = elsewhere.iter().find(|f| f.what == "webhooks").unwrap();
    assert!(hook.severity == Severity::Warning && hook.text.contains("ORDERS_CREATE"), "{hook:?}");
    let stranger = client_with(&shop, Settings::defaults(false), "somebody-else's").check(ADDRESS).await;
    assert_eq!(worst(&stranger), Severity::Bad);
    assert!(
        stranger[0].text.contains("access token") && !stranger[0].text.contains("somebody"),
        "{stranger:?}"
    );
    let by_app =
        Settings { webhooks: shared::config::shopify::Subscriptions::App, ..Settings::defaults(false) };
    let client = client_with(&shop, by_app, "token-for-tests");
    assert_eq!(client.hooks(ADDRESS).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn notes_alone_record_a_refund_when_the_setting_says_so() {
    let shop = store();
    let id = placed(&shop);
    let noted = Settings { refunds: RefundRecords::Note, ..Settings::defaults(false) };
    let client = client_with(&shop, noted, "token-for-tests");
    tell(&client, &id, 1, &view(PaymentStatus::Paid, 1250, 0), 0).await.unwrap();
    tell(&client, &id, 2, &refunded(), 1250).await.unwrap();
    assert_eq!(movements(&shop, &id), [(Kind::Sale, 1250)]);
    let order = client.get_order(&id).await.unwrap();
    assert_eq!((order.refunds[0].amount, order.refunds[0].request.as_deref()), (500, Some("1001-r1")));
}

#[tokio::test(start_paused = true)]
async fn markers_of_many_views_are_thinned_out_and_the_newest_stays() {
    let shop = store();
    let id = placed(&shop);
    let client = client(&shop);
    for version in 1..=60 {
        tell(&client, &id, version, &view(PaymentStatus::AwaitingPayment, 0, 1250), 0).await.unwrap();
    }
    let markers = book(&shop, &id).metafields.iter().filter(|f| f.key.starts_with("payment_v")).count();
    assert!(markers <= 22, "{markers}");
    assert_eq!(client.get_order(&id).await.unwrap().payment.unwrap().version, 60);
}
