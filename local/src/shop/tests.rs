//! The shop as Tandem's own client, a browser and a forger see it.

use std::sync::Mutex as StdMutex;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use secrecy::SecretString;
use serde_json::{Value, json};
use shared::config::ShopSource;
use shared::domain::money::Currency;
use shared::domain::order::{CaptureMode, ReportedRefund};
use shared::domain::time::Seconds;
use shared::domain::view::{PaymentStatus, PaymentView, RefundLine};
use shared::outbound::checkout::CheckoutClient;
use shared::outbound::http::{Http, SendError, SendFuture};
use shared::outbound::shop::{OrderSystem as _, ShopError, Telling};

use super::*;

const START: UnixTime = UnixTime(1_800_000_000);

fn shop() -> Shop {
    let key = |fill: char| format!("whsec_{}", fill.to_string().repeat(32));
    let config = ShopConfig {
        name: "shop".into(),
        speaks: Speaks::Checkout,
        public_url: "http://shop.test".into(),
        api_token: "token-for-tests".into(),
        webhook_url: "http://tandem.test/webhooks/shop".into(),
        webhook_secret: key('a'),
        notice_secret: key('b'),
    };
    Shop::new(Clock::tokio_from(START), config)
}

fn eur() -> Currency {
    Currency::parse("EUR").unwrap()
}

fn order(shop: &Shop) -> String {
    shop.place(NewOrder::simple(eur(), 1250, Some("c1"))).unwrap().id
}

/// The seam with the shop beneath it.
struct Beneath(Shop);

impl Http for Beneath {
    fn send(&self, request: HttpRequest, _: Duration) -> SendFuture<'_> {
        Box::pin(async move { Ok(self.0.handle(request).await) })
    }
}

fn client(shop: &Shop) -> CheckoutClient {
    let source = ShopSource {
        name: "shop".into(),
        base_url: "http://shop.test".into(),
        stripe: "stripe".into(),
        api_key: "shop-token".into(),
        webhook_secrets: vec![],
        system: shared::config::System::Checkout,
    };
    CheckoutClient::new(
        Arc::new(Beneath(shop.clone())),
        source,
        SecretString::from("token-for-tests".to_owned()),
    )
}

async fn tell(
    client: &CheckoutClient,
    id: &str,
    version: u64,
    view: &PaymentView,
) -> Result<Order, ShopError> {
    let telling = Telling { id, version, view, recorded: 0, total: view.amount_captured };
    client.tell(&telling).await.map(|told| told.order)
}

fn view(status: PaymentStatus, captured: i64) -> PaymentView {
    PaymentView {
        status,
        payment_url: Some("http://tandem.test/pay/x".into()),
        currency: eur(),
        amount_due: 1250 - captured,
        amount_captured: captured,
        amount_refunded: 0,
        payment_id: None,
        reason: "paid_in_full".into(),
        refunds: vec![],
    }
}

#[tokio::test(start_paused = true)]
async fn a_lower_or_equal_payment_version_is_ignored_and_answered_with_the_order() {
    let shop = shop();
    let id = order(&shop);
    let client = client(&shop);
    let told = tell(&client, &id, 7, &view(PaymentStatus::Paid, 1250)).await.unwrap();
    assert_eq!((told.version, told.payment.unwrap().version), (2, 7));
    for late in [7, 3] {
        let same = tell(&client, &id, late, &view(PaymentStatus::AwaitingPayment, 0)).await.unwrap();
        assert_eq!((same.version, same.payment.unwrap().status.as_str()), (2, "paid"));
    }
    let kept = shop.order(&id).unwrap();
    let seen: Vec<_> = kept.write_backs.iter().map(|w| (w.version, w.applied)).collect();
    assert_eq!(seen, [(7, true), (7, false), (3, false)]);
    assert_eq!(kept.payment.unwrap().status, PaymentStatus::Paid);
}

#[tokio::test(start_paused = true)]
async fn refunds_are_recorded_as_told_with_the_request_they_answer() {
    let shop = shop();
    let id = order(&shop);
    let request = shop.request_refund(&id, Some(500), "broken").unwrap();
    let mut told = view(PaymentStatus::PartiallyRefunded, 1250);
    let line = |id: &str, request: Option<&String>, status: &str| RefundLine {
        id: id.into(),
        request: request.cloned(),
        amount: 500,
        status: status.into(),
    };
    told.refunds = vec![line("re_1", Some(&request), "succeeded"), line("re_2", None, "failed")];
    let order = tell(&client(&shop), &id, 1, &told).await.unwrap();
    assert_eq!(order.refunds, [ReportedRefund { id: "re_1".into(), amount: 500, request: Some(request) }]);
}

#[tokio::test(start_paused = true)]
async fn paging_misses_no_order_among_equal_times_and_repeats_none() {
    let shop = shop();
    let ids: Vec<String> = (0..120).map(|_| order(&shop)).collect();
    tokio::time::advance(Duration::from_secs(10)).await;
    shop.fulfil(&ids[3]).unwrap();
    let client = client(&shop);
    let (mut seen, mut cursor, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = client.list(START, cursor.as_deref()).await.unwrap();
        assert_eq!(page.as_of, UnixTime(START.0 + 10));
        seen.extend(page.orders);
        pages += 1;
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!((pages, seen.len()), (3, 120));
    assert!(seen.is_sorted_by_key(|o| (o.updated_at, o.id.clone())));
    assert_eq!((seen[119].id.as_str(), seen[119].version), (ids[3].as_str(), 2));
    assert_eq!(client.list(UnixTime(START.0 + 5), None).await.unwrap().orders.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_api_refuses_strangers_unknown_orders_and_bad_bodies() {
    let shop = shop();
    let id = order(&shop);
    let client = client(&shop);
    assert_eq!(client.get_order("7").await.unwrap_err(), ShopError::NotFound("7".into()));
    let mut wrong = view(PaymentStatus::Paid, 1250);
    wrong.currency = Currency::parse("USD").unwrap();
    assert_eq!(tell(&client, &id, 1, &wrong).await.unwrap_err(), ShopError::Refused(422));
    let bare = http::Request::get(format!("http://shop.test/orders/{id}")).body(Bytes::new()).unwrap();
    assert_eq!(shop.handle(bare).await.status(), StatusCode::UNAUTHORIZED);
    shop.set(|knobs| knobs.down = true);
    assert_eq!(client.get_order(&id).await.unwrap_err(), ShopError::ServerFault(503));
}

#[tokio::test(start_paused = true)]
async fn the_api_places_changes_fulfils_and_refunds() {
    let shop = shop();
    let call = |method: &str, path: &str, body: Value| {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("http://shop.test{path}"))
            .header("authorization", "Bearer token-for-tests");
        let shop = shop.clone();
        let request = request.body(Bytes::from(body.to_string())).unwrap();
        async move {
            let answer = shop.handle(request).await;
            (answer.status().as_u16(), serde_json::from_slice::<Value>(answer.body()).unwrap())
        }
    };
    let item = json!({"name": "Tea", "quantity": 2, "unit_amount": 600});
    let (status, placed) = call("POST", "/orders", json!({"currency": "EUR", "items": [item]})).await;
    assert_eq!((status, &placed["total"], &placed["version"]), (200, &json!(1200), &json!(1)));
    let (_, changed) = call("POST", "/orders/1001/change", json!({"total": 1000})).await;
    assert_eq!((&changed["total"], &changed["version"]), (&json!(1000), &json!(2)));
    let (_, asked) = call("POST", "/orders/1001/refund_requests", json!({"amount": 100})).await;
    assert_eq!(asked["refund_requests"][0]["id"], "1001-r1");
    assert_eq!(call("POST", "/orders/1001/fulfil", json!({})).await.1["status"], "fulfilled");
    assert_eq!(call("POST", "/orders/1001/cancel", json!({})).await.0, 409);
    assert_eq!(call("POST", "/orders", json!({"currency": "EUR"})).await.0, 422);
}

#[tokio::test(start_paused = true)]
async fn everything_that_is_said_fits_the_published_schema() {
    use super::schema_tests::{assert_fits, assert_published};
    let shop = shop();
    let receiver = Receiver { seen: StdMutex::default(), up: true.into() };
    let mut new = NewOrder::simple(eur(), 1250, Some("c1"));
    (new.deposit, new.balance_due_at) = (Some(250), Some(UnixTime(START.0 + 9)));
    let id = shop.place(new).unwrap().id;
    let request = shop.request_refund(&id, None, "broken").unwrap();
    let mut told = view(PaymentStatus::Refunded, 1250);
    told.payment_id = Some("pi_1".into());
    let status = "succeeded".to_owned();
    told.refunds = vec![RefundLine { id: "re_1".into(), request: Some(request), amount: 1250, status }];
    let body = serde_json::to_value(WriteBack { payment_version: 1, payment: told.clone() }).unwrap();
    assert_fits("writeBack", &body);
    let order = tell(&client(&shop), &id, 1, &told).await.unwrap();
    let order = serde_json::to_value(order).unwrap();
    assert_fits("order", &order);
    assert_published("order", &order);
    let listed = client(&shop).list(START, None).await.unwrap();
    assert_fits("page", &serde_json::to_value(listed).unwrap());
    assert_eq!(shop.deliver_due(&receiver).await, 2);
    for request in receiver.seen.lock().unwrap().iter() {
        assert_fits("notice", &serde_json::from_slice(request.body()).unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stale_read_shows_the_order_before_its_last_change() {
    let shop = shop();
    let id = order(&shop);
    shop.change_total(&id, 2000).unwrap();
    shop.set(|knobs| knobs.stale_reads = 1);
    let client = client(&shop);
    let stale = client.get_order(&id).await.unwrap();
    assert_eq!((stale.total, stale.version), (1250, 1));
    assert_eq!(client.get_order(&id).await.unwrap().total, 2000);
}

#[tokio::test]
async fn over_a_real_socket_the_clock_jumps_three_days_and_the_shop_goes_on_answering() {
    use crate::aws::EmbeddedAws;
    use crate::pump::{ClockMode, jump_clock};
    let shop = shop();
    let id = order(&shop);
    let aws = EmbeddedAws::new(shop.0.clock.clone()).unwrap();
    aws.provision("test").await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut source = client(&shop).source().clone();
    source.base_url = format!("http://{}", listener.local_addr().unwrap());
    let token = SecretString::from("token-for-tests".to_owned());
    let http = Arc::new(shared::outbound::http::ReqwestHttp::new().unwrap());
    let client = CheckoutClient::new(http, source, token);
    let served = shop.clone().serve(listener);
    let story = async {
        assert_eq!(client.get_order(&id).await.unwrap().version, 1);
        jump_clock(&aws, Duration::from_secs(3 * 86_400), ClockMode::Running).await.unwrap();
        assert!(shop.now() - START >= Seconds::days(3));
        shop.cancel(&id).unwrap();
        assert_eq!(client.get_order(&id).await.unwrap().version, 2);
    };
    tokio::select! {
        ended = served => panic!("{ended:?}"),
        () = story => {}
    }
}

/// Remembers what was posted and answers as told.
struct Receiver {
    seen: StdMutex<Vec<HttpRequest>>,
    up: std::sync::atomic::AtomicBool,
}

impl Http for Receiver {
    fn send(&self, request: HttpRequest, _: Duration) -> SendFuture<'_> {
        let up = self.up.load(std::sync::atomic::Ordering::SeqCst);
        self.seen.lock().unwrap().push(request);
        Box::pin(async move {
            if up { Ok(http::Response::new(Bytes::new())) } else { Err(SendError::NotSent("down".into())) }
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_notice_is_sent_again_under_the_same_id_with_a_fresh_signature() {
    let shop = shop();
    let id = order(&shop);
    let receiver = Receiver { seen: StdMutex::default(), up: false.into() };
    assert_eq!(shop.deliver_due(&receiver).await, 0);
    assert_eq!(shop.next_notice_at(), Some(UnixTime(START.0 + 5)));
    receiver.up.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(shop.deliver_due(&receiver).await, 0, "not due yet");
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(shop.deliver_due(&receiver).await, 1);
    assert_eq!(shop.next_notice_at(), None);
    let seen = receiver.seen.lock().unwrap();
    let header = |i: usize, name: &str| seen[i].headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header(0, "webhook-id"), header(1, "webhook-id"));
    assert_ne!(header(0, "webhook-signature"), header(1, "webhook-signature"));
    let body: Value = serde_json::from_slice(seen[1].body()).unwrap();
    assert_eq!((&body["type"], &body["data"]), (&json!("order.created"), &json!({"id": id, "version": 1})));
}

#[tokio::test(start_paused = true)]
async fn notices_are_lost_repeated_delayed_and_turned_round_on_demand() {
    let shop = shop();
    let receiver = Receiver { seen: StdMutex::default(), up: true.into() };
    shop.set(|k| k.lose_notices = 1);
    let id = order(&shop);
    assert_eq!(shop.deliver_due(&receiver).await, 0);
    shop.set(|k| k.repeat_notices = 2);
    shop.change_total(&id, 1).unwrap();
    assert_eq!(shop.deliver_due(&receiver).await, 3);
    shop.set(|k| (k.repeat_notices, k.delay_notices, k.reverse_notices) = (0, Seconds(60), true));
    shop.change_total(&id, 2).unwrap();
    shop.change_total(&id, 3).unwrap();
    assert_eq!(shop.deliver_due(&receiver).await, 0);
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(shop.deliver_due(&receiver).await, 2);
    let seen = receiver.seen.lock().unwrap();
    let version =
        |i: usize| serde_json::from_slice::<Value>(seen[i].body()).unwrap()["data"]["version"].as_u64();
    assert_eq!((version(3), version(4)), (Some(4), Some(3)));
}

#[tokio::test(start_paused = true)]
async fn only_a_signed_and_fresh_notice_is_caught() {
    let shop = shop();
    let body = r#"{"type":"case.opened","data":{"order":"1001"}}"#;
    let post = |timestamp: i64, body: &'static str, signature: String| {
        let request = http::Request::post("http://shop.test/notices")
            .header("webhook-id", "n1")
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature);
        let shop = shop.clone();
        async move { shop.handle(request.body(Bytes::from(body)).unwrap()).await.status().as_u16() }
    };
    let sign =
        |timestamp: i64| signature::sign(&shop.0.config.notice_secret, "n1", timestamp, body.as_bytes());
    assert_eq!(post(START.0, body, format!("v1,AAAA {}", sign(START.0))).await, 200);
    assert_eq!(post(START.0, "{}", sign(START.0)).await, 401);
    assert_eq!(post(START.0 - 301, body, sign(START.0 - 301)).await, 401);
    let notices = shop.record().notices;
    assert_eq!((notices.len(), notices[0].kind.as_str()), (1, "case.opened"));
}

#[tokio::test(start_paused = true)]
async fn a_person_places_an_order_and_follows_it_without_scripts() {
    let shop = shop();
    shop.set_timeline(Arc::new(|id| {
        Box::pin(
            async move { vec![TimelineLine::new(START, format!("session for {id} <made>"), "first_page")] },
        )
    }));
    let post = |path: &str, body: &'static str, origin: &str| {
        let request = http::Request::post(format!("http://shop.test{path}")).header("origin", origin);
        let shop = shop.clone();
        async move { shop.handle(request.body(Bytes::from(body)).unwrap()).await }
    };
    let form = "product=POT-1&currency=KWD&collection=automatic&capture=on_fulfilment&customer=ada+1";
    let placed = post("/place", form, "http://shop.test").await;
    assert_eq!(
        (placed.status().as_u16(), &placed.headers()["location"]),
        (303, &HeaderValue::from_static("/o/1001"))
    );
    let kept = shop.order("1001").unwrap().order;
    assert_eq!((kept.total().to_string(), kept.capture), ("49.000 KWD".into(), CaptureMode::OnFulfilment));
    assert_eq!(
        post("/o/1001/change", "amount=50.5", "http://shop.test").await.status(),
        StatusCode::SEE_OTHER
    );
    assert_eq!(shop.order("1001").unwrap().order.total, 50_500);
    assert_eq!(post("/o/1001/change", "amount=1.00005", "http://shop.test").await.status().as_u16(), 422);
    assert_eq!(post("/o/1001/cancel", "", "http://evil.test").await.status().as_u16(), 403);
    let get = |path: &str| {
        let request = http::Request::get(format!("http://shop.test{path}")).body(Bytes::new()).unwrap();
        let shop = shop.clone();
        async move { String::from_utf8(shop.handle(request).await.body().to_vec()).unwrap() }
    };
    let page = get("/o/1001").await;
    assert!(page.contains("session for 1001 &lt;made&gt;") && page.contains("first_page"), "{page}");
    assert!(!page.contains("<script") && get("/").await.contains("50.500 KWD"));
}
