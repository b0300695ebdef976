//! The simulator against what the documentation says, by requests of our own and by the bundle's client.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use http::StatusCode;
use secrecy::SecretString;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::config::{ShopSource, System};
use shared::domain::money::Currency;
use shared::domain::order::OrderStatus;
use shared::outbound::http::{Http, SendFuture};
use shared::outbound::shop::{OrderSystem as _, Severity, ShopClient, ShopError};

use super::*;
use crate::shop::{NewOrder, Speaks};

/// 2027-01-15T03:00:00Z: the evening before in the account's zone.
const EVENING: UnixTime = UnixTime(1_799_982_000);

fn shop() -> Shop {
    let config = ShopConfig {
        name: "tours".into(),
        speaks: Speaks::Checkfront,
        public_url: "http://tours.test:9101".into(),
        api_token: "key:secret".into(),
        webhook_url: "http://tandem.test/webhooks/tours/path-secret-of-24-bytes-x".into(),
        webhook_secret: "path-secret-of-24-bytes-x".into(),
        notice_secret: format!("whsec_{}", "b".repeat(32)),
    };
    Shop::new(Clock::tokio_from(EVENING), config)
}

fn eur() -> Currency {
    Currency::parse("EUR").unwrap()
}

fn place(shop: &Shop, amount: i64) -> String {
    shop.place(NewOrder::simple(eur(), amount, Some("anna"))).unwrap().id
}

fn book(shop: &Shop, id: &str) -> Book {
    shop.order(id).unwrap().booking().unwrap().clone()
}

async fn call(shop: &Shop, method: &str, path: &str, body: &str) -> (u16, Value) {
    let pair = base64::engine::general_purpose::STANDARD.encode("key:secret");
    let request = http::Request::builder()
        .method(method)
        .uri(format!("http://tours.test/api/3.0/{path}"))
        .header("authorization", format!("Basic {pair}"))
        .body(Bytes::from(body.to_owned()))
        .unwrap();
    let answer = shop.handle(request).await;
    (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap())
}

struct Beneath(Shop);

impl Http for Beneath {
    fn send(&self, request: HttpRequest, _: Duration) -> SendFuture<'_> {
        Box::pin(async move { Ok(self.0.handle(request).await) })
    }
}

fn client(shop: &Shop) -> ShopClient {
    let source = ShopSource {
        name: "tours".into(),
        base_url: "http://tours.test".into(),
        stripe: "stripe".into(),
        api_key: "tours-key".into(),
        webhook_secrets: vec!["tours-path".into()],
        system: System::Checkfront(Box::default()),
    };
    ShopClient::new(Arc::new(Beneath(shop.clone())), source, SecretString::from("key:secret".to_owned()))
}

#[tokio::test(start_paused = true)]
async fn a_code_carries_the_day_of_the_accounts_zone() {
    let shop = shop();
    let id = place(&shop, 4830);
    assert_eq!(id.split_once('-').map(|(_, day)| day), Some("140127"), "in UTC it is the 15th: {id}");
    tokio::time::advance(Duration::from_secs(5 * 3600)).await;
    assert!(place(&shop, 4830).ends_with("-150127"), "behind UTC the next day has begun");
}

#[tokio::test(start_paused = true)]
async fn without_the_key_there_is_an_error_object_and_no_envelope() {
    let shop = shop();
    let bare = http::Request::get("http://tours.test/api/3.0/ping").body(Bytes::new()).unwrap();
    let answer = shop.handle(bare).await;
    let body: Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert!(body.get("request").is_none() && body["error"]["message"].is_string());
    let (_, pong) = call(&shop, "GET", "ping", "").await;
    assert_eq!((&pong["pong"]["timezone"], &pong["request"]["status"]), (&json!(ZONE), &json!("OK")));
    let (_, company) = call(&shop, "GET", "company", "").await;
    assert_eq!(
        (&company["company"]["currency_id"], &company["locale"]["currency"]),
        (&json!("EUR"), &json!("EUR"))
    );
}

#[tokio::test(start_paused = true)]
async fn set_paid_records_the_whole_balance_once_and_goes_with_nothing_else() {
    let shop = shop();
    let id = place(&shop, 4830);
    shop.pay_inside(&id, 1000).unwrap();
    let update = format!("booking/{id}/update");
    assert_eq!(call(&shop, "POST", &update, "set_paid=1").await.0, 400, "status_id is required");
    assert_eq!(call(&shop, "POST", &update, "status_id=PAID&set_paid=1&amount=1").await.0, 400);
    assert_eq!(call(&shop, "POST", &update, "status_id=PAID&set_paid=1&notify=0").await.0, 200);
    let paid = book(&shop, &id).transactions;
    assert_eq!(
        paid.iter().map(|t| (t.mask.as_str(), t.amount)).collect::<Vec<_>>(),
        [("1111", 1000), ("POS", 3830)]
    );
    assert_eq!(call(&shop, "POST", &update, "status_id=PAID&set_paid=1&notify=0").await.0, 400, "it is paid");
    assert_eq!((book(&shop, &id).transactions.len(), book(&shop, &id).notified), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_status_alone_records_no_money_and_an_unknown_one_is_refused() {
    let shop = shop();
    let id = place(&shop, 4830);
    let update = format!("booking/{id}/update");
    assert_eq!(call(&shop, "POST", &update, "status_id=PAID").await.0, 200);
    let booking = book(&shop, &id);
    assert_eq!(
        (booking.status.as_str(), booking.paid(), booking.notified),
        ("PAID", 0, 1),
        "who does not say, notifies"
    );
    assert_eq!(call(&shop, "POST", &update, "status_id=XTRA").await.0, 400);
    assert_eq!(call(&shop, "POST", &update, "status_id=STOP&notify=0").await.0, 200);
    assert_eq!(shop.order(&id).unwrap().order.status, OrderStatus::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn notes_are_the_whole_accounts_and_of_thirty_days() {
    let shop = shop();
    let (old, other) = (place(&shop, 1000), place(&shop, 2000));
    call(&shop, "POST", &format!("booking/{old}/note"), "body=first").await;
    tokio::time::advance(Duration::from_secs(40 * 86_400)).await;
    call(&shop, "POST", &format!("booking/{other}/note"), "body=second%20word").await;
    let (_, listed) = call(&shop, "GET", "booking/notes?booking_id=ABCD-010101", "").await;
    let notes = listed["notes"].as_array().unwrap();
    assert_eq!(
        (notes.len(), &notes[0]["body"], &notes[0]["booking_id"]),
        (1, &json!("second word"), &json!(other))
    );
    let date: jiff::Timestamp = notes[0]["date"].as_str().unwrap().parse().unwrap();
    assert_eq!(date.as_second(), EVENING.0 + 40 * 86_400, "ISO 8601 with an offset");
    for (date, n) in [("2027-01-14", 1), ("2027-01-15", 0), ("2027-01", 1), ("2027-02", 1)] {
        let (_, found) = call(&shop, "GET", &format!("booking/notes?date={date}"), "").await;
        assert_eq!(found["notes"].as_array().unwrap().len(), n, "{date}: a day or a month, not since");
    }
    let long = format!("body={}", "x".repeat(3001));
    assert_eq!(call(&shop, "POST", &format!("booking/{old}/note"), &long).await.0, 400);
}

#[tokio::test(start_paused = true)]
async fn a_listing_has_pages_of_rows_keyed_by_the_internal_id() {
    let shop = shop();
    for _ in 0..120 {
        place(&shop, 1000);
    }
    let (_, first) = call(&shop, "GET", "booking/index?limit=100", "").await;
    assert_eq!((&first["request"]["pages"], &first["request"]["page"]), (&json!(2), &json!(1)));
    let rows = first["booking/index"].as_object().unwrap();
    assert_eq!(rows.len(), 100);
    let (key, row) = rows.iter().next().unwrap();
    assert_eq!((&row["booking_id"].to_string(), row["total"].as_str()), (key, Some("10.00")));
    let client = client(&shop);
    let one = client.list(EVENING, None).await.unwrap();
    let two = client.list(EVENING, one.next_cursor.as_deref()).await.unwrap();
    assert_eq!((one.orders.len(), two.orders.len(), two.next_cursor), (100, 20, None));
    assert_eq!(client.list(EVENING + Seconds(1), None).await.unwrap().orders, []);
}

#[tokio::test(start_paused = true)]
async fn too_many_calls_are_asked_to_wait() {
    let shop = shop();
    let id = place(&shop, 1000);
    shop.checkfront(|account| account.throttle = 1);
    let client = client(&shop);
    assert_eq!(client.get_order(&id).await, Err(ShopError::Throttled { retry_after: Some(30) }));
    assert_eq!(client.get_order(&id).await.unwrap().total, 1000);
}

#[tokio::test(start_paused = true)]
async fn the_check_of_the_bundle_finds_nothing_wrong_here() {
    let found = client(&shop()).check("https://pay.example.com/webhooks/tours").await;
    assert!(found.iter().all(|f| f.severity != Severity::Bad), "{found:?}");
}

/// Remembers what was posted and answers as told.
struct Receiver {
    seen: Mutex<Vec<(String, Value)>>,
    status: u16,
}

impl Http for Receiver {
    fn send(&self, request: HttpRequest, _: Duration) -> SendFuture<'_> {
        let body = serde_json::from_slice(request.body()).unwrap();
        self.seen.lock().unwrap().push((request.uri().to_string(), body));
        let mut answer = HttpResponse::new(Bytes::new());
        *answer.status_mut() = StatusCode::from_u16(self.status).unwrap();
        Box::pin(async move { Ok(answer) })
    }
}

fn receiver(status: u16) -> Receiver {
    Receiver { seen: Mutex::default(), status }
}

#[tokio::test(start_paused = true)]
async fn a_change_of_status_fires_both_booking_events_and_a_payment_a_third() {
    let shop = shop();
    let id = place(&shop, 4830);
    let to = receiver(200);
    assert_eq!(shop.deliver_due(&to).await, 1, "created: Booking Modified");
    shop.pay_inside(&id, 4830).unwrap();
    assert_eq!(shop.deliver_due(&to).await, 3);
    let seen = to.seen.lock().unwrap();
    let (url, created) = &seen[0];
    assert!(url.ends_with("/webhooks/tours/path-secret-of-24-bytes-x"));
    assert_eq!(
        (&created["@attributes"]["host"], &created["booking"]["code"]),
        (&json!("tours.test"), &json!(id))
    );
    assert_eq!((&created["booking"]["tid"], &created["booking"]["status"]), (&json!({}), &json!("PEND")));
    assert!(created["booking"]["order"]["items"]["item"].is_object(), "a single line stands alone");
    assert_eq!(seen[1].1, seen[2].1, "two webhooks, one body");
    let payment = &seen[3].1;
    assert_eq!((&payment["type"], &payment["host"]), (&json!("transaction"), &json!("tours.test")));
    assert_eq!(
        (&payment["transaction"]["booking_id"], &payment["transaction"]["amount"]),
        (&json!(id), &json!("48.30"))
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_again_and_five_failures_in_a_row_switch_the_webhook_off() {
    let shop = shop();
    let (bad, good) = (receiver(500), receiver(200));
    for n in 1..=5 {
        place(&shop, 1000);
        assert_eq!(shop.deliver_due(&bad).await, 0);
        assert_eq!(shop.next_notice_at(), None, "failure {n} is not repeated");
        if n == 3 {
            shop.checkfront(|account| assert!(!account.hook_disabled));
            place(&shop, 1000);
            assert_eq!(shop.deliver_due(&good).await, 1, "a success begins the count anew");
        }
    }
    shop.checkfront(|account| assert_eq!((account.hook_failures, account.hook_disabled), (2, false)));
    for _ in 0..3 {
        place(&shop, 1000);
        shop.deliver_due(&bad).await;
    }
    shop.checkfront(|account| assert!(account.hook_disabled));
    place(&shop, 1000);
    assert_eq!(
        (shop.deliver_due(&good).await, good.seen.lock().unwrap().len()),
        (0, 1),
        "only a person can switch it on"
    );
}
