//! What an account may answer, and what is made of it.

mod telling;

use std::collections::VecDeque;
use std::time::Duration;

use http::header;
use serde_json::{Value, json};

use super::*;
use crate::config::Deposit;
use crate::config::System;
use crate::domain::order::{CaptureMode, Collection, OrderStatus, RefundRequest};
use crate::outbound::http::{Http, HttpRequest, HttpResponse, SendError, SendFuture};
use crate::outbound::shop::Severity;

const CODE: &str = "KMVQ-060314";
const NOW: i64 = 1_800_000_000;

type Answer = Result<HttpResponse, SendError>;

/// Answers from a script, and keeps what was asked.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<Answer>>,
    seen: Mutex<Vec<(String, String)>>,
}

impl Http for Script {
    fn send(&self, request: HttpRequest, _: Duration) -> SendFuture<'_> {
        let path = request.uri().path_and_query().unwrap().to_string();
        assert_eq!(request.headers()[header::AUTHORIZATION], "Basic a2V5OnNlY3JldA==");
        let said =
            (format!("{} {path}", request.method()), String::from_utf8_lossy(request.body()).into_owned());
        self.seen.lock().unwrap().push(said);
        let answer = self.answers.lock().unwrap().pop_front();
        Box::pin(
            async move { answer.unwrap_or_else(|| Err(SendError::NotSent("the script has ended".into()))) },
        )
    }
}

fn client(settings: CheckfrontSettings, answers: Vec<Answer>) -> (CheckfrontClient, Arc<Script>) {
    let http = Arc::new(Script { answers: Mutex::new(answers.into()), seen: Mutex::default() });
    let source = ShopSource {
        name: "tours".into(),
        base_url: "https://tours.checkfront.com".into(),
        stripe: "stripe".into(),
        api_key: "tours-key".into(),
        webhook_secrets: vec!["tours-path".into()],
        system: System::Checkfront(Box::new(settings.clone())),
    };
    let key = SecretString::from("key:secret".to_owned());
    (CheckfrontClient::new(http.clone(), source, key, Box::new(settings)), http)
}

fn raw(status: u16, content_type: &str, body: impl Into<Bytes>) -> Answer {
    let builder = http::Response::builder().status(status).header("content-type", content_type);
    Ok(builder.body(body.into()).unwrap())
}

fn ok(payload: Value) -> Answer {
    let mut body = json!({
        "version": "3.0", "account_id": 7, "locale": {"id": "en_CA", "lang": "en", "currency": "CAD"},
        "request": {"status": "OK", "page": 1, "pages": 1, "timestamp": NOW},
    });
    body.as_object_mut().unwrap().extend(payload.as_object().unwrap().clone());
    raw(200, "application/json", body.to_string())
}

/// A booking as its webhook would show it.
fn booking() -> Value {
    json!({
        "@attributes": {"booking_id": "4411"}, "code": CODE, "status_id": "PEND", "tid": {},
        "created_date": "1799900000", "start_date": "1802592000", "end_date": {},
        "customer": {"code": "C-9", "name": "Anna Buyer", "email": "anna@example.com", "address": "1 Quay", "country": "CA",
            "phone": {}, "region": {}},
        "fields": {"customer_name": "Anna Buyer"}, "meta": {},
        "order": {"@attributes": {"currency_id": "CAD"}, "sub_total": "46.00", "tax_total": "2.30", "paid_total": "0.00",
            "total": "48.30", "items": {"item": {"name": "Kayak", "qty": "2", "total": "46.00", "sku": {}}}},
    })
}

async fn read_with(settings: CheckfrontSettings, booking: Value) -> Result<Order, ShopError> {
    client(settings, vec![ok(json!({ "booking": booking }))]).0.get_order(CODE).await
}

async fn read(booking: Value) -> Result<Order, ShopError> {
    read_with(CheckfrontSettings::default(), booking).await
}

#[tokio::test]
async fn a_booking_is_an_order_with_its_code_as_the_id() {
    let (client, http) = client(CheckfrontSettings::default(), vec![ok(json!({"booking": booking()}))]);
    let order = client.get_order(CODE).await.unwrap();
    assert_eq!(http.seen.lock().unwrap()[0].0, "GET /api/3.0/booking/KMVQ-060314");
    assert_eq!((order.id.as_str(), order.total, order.paid, order.version), (CODE, 4830, Some(0), 0));
    assert_eq!((order.currency.code(), &order.status), ("CAD", &OrderStatus::Open));
    let lines: Vec<_> = order.items.iter().map(|i| (i.name.as_str(), i.quantity, i.unit_amount)).collect();
    assert_eq!(lines, [("Kayak", 2, 2300), ("Tax", 1, 230)]);
    let customer = order.customer.unwrap();
    assert_eq!((customer.id.as_deref(), customer.email.as_deref()), (Some("C-9"), Some("anna@example.com")));
    assert_eq!(customer.address.get("line1").map(String::as_str), Some("1 Quay"));
    assert!(customer.phone.is_none(), "an empty element arrives as an empty object");
    assert!(!format!("{client:?}").contains("secret"));
}

/// The object is documented nowhere: the listing's names, the webhook's, and rows keyed by id all say the same.
#[tokio::test]
async fn every_shape_of_a_booking_says_the_same() {
    let flat = json!({"booking_id": 4411, "code": CODE, "status_id": "PEND", "created_date": 1_799_900_000, "total": "48.30",
        "tax_total": "2.30", "paid_total": "10.00", "customer_name": "Anna Buyer", "customer_email": "anna@example.com"});
    let mut hook = booking();
    hook["status"] = hook["status_id"].take();
    hook["order"]["paid_total"] = json!("10.00");
    hook["order"]["items"]["item"] = json!([{"qty": "1", "total": "20.00"}, {"qty": "2", "total": "26.00"}]);
    // As a developer of Checkfront shows the call, and as people use it.
    let shown = json!({"id": CODE, "booking_id": 4411, "status_id": "PEND", "total": "48.30", "amount_paid": "10.00",
        "customer_name": "Anna Buyer", "customer_email": "anna@example.com", "start_date": 1_802_592_000,
        "items": {"1": {"id": 6, "name": "Kayak", "qty": 2, "total": "48.30"}}});
    let named = read(shown.clone()).await.unwrap();
    assert_eq!(
        named.items.iter().map(|i| (i.name.as_str(), i.unit_amount)).collect::<Vec<_>>(),
        [("Kayak", 2415)]
    );
    for shape in [flat.clone(), json!({"4411": flat}), json!({CODE: flat}), json!([flat]), hook, shown] {
        let order = read(shape.clone()).await.unwrap();
        assert_eq!(
            (order.total, order.paid, &order.status),
            (4830, Some(1000), &OrderStatus::Open),
            "{shape}"
        );
        assert_eq!(order.customer.unwrap().email.as_deref(), Some("anna@example.com"));
    }
}

#[tokio::test]
async fn statuses_mean_what_the_configuration_says_and_an_unknown_one_is_none_of_ours() {
    let mut settings = CheckfrontSettings::default();
    settings.statuses.insert("DONE".into(), OrderStatus::Fulfilled);
    for (code, status) in [
        ("PEND", OrderStatus::Open),
        ("PAID", OrderStatus::Open),
        ("WAIT", OrderStatus::OnHold),
        ("STOP", OrderStatus::Cancelled),
        ("VOID", OrderStatus::Cancelled),
        ("DONE", OrderStatus::Fulfilled),
        ("XTRA", OrderStatus::Other("XTRA".into())),
    ] {
        let mut booking = booking();
        booking["status_id"] = json!(code);
        assert_eq!(read_with(settings.clone(), booking).await.unwrap().status, status, "{code}");
    }
}

#[tokio::test]
async fn a_bad_field_is_named_with_its_value_but_contact_data_never() {
    for (pointer, value, field, found) in [
        ("/order/total", json!("48.305"), "total", "\"48.305\""),
        ("/order/total", json!({}), "total", "missing"),
        ("/order/total", json!("-48.30"), "total", "\"-48.30\""),
        ("/order/paid_total", json!("ten"), "paid_total", "\"ten\""),
        ("/order/@attributes/currency_id", json!("EURO"), "currency", "\"EURO\""),
        ("/status_id", json!({}), "status", "missing"),
    ] {
        let mut booking = booking();
        *booking.pointer_mut(pointer).unwrap() = value;
        match read(booking).await.unwrap_err() {
            ShopError::Field { field: named, found: shown, .. } => {
                assert_eq!((named.as_str(), shown.as_str()), (field, found))
            }
            other => panic!("{pointer}: {other}"),
        }
    }
    let mut other = booking();
    other["code"] = json!("ZZZZ-010126");
    let got = "ZZZZ-010126".to_owned();
    assert_eq!(read(other).await.unwrap_err(), ShopError::OtherOrder { asked: CODE.into(), got });
    for bad in ["4411", "../ping", "anna@example.com", ""] {
        let (client, http) = client(CheckfrontSettings::default(), vec![]);
        assert!(matches!(client.get_order(bad).await, Err(ShopError::Field { .. })), "{bad}");
        assert!(http.seen.lock().unwrap().is_empty(), "nothing is asked about {bad:?}");
    }
}

#[tokio::test]
async fn another_currency_than_the_configured_one_is_refused() {
    let settings =
        CheckfrontSettings { currency: Currency::parse("USD").ok(), ..CheckfrontSettings::default() };
    let error = read_with(settings, booking()).await.unwrap_err();
    assert!(error.to_string().starts_with("field `currency` is \"CAD\""), "{error}");
}

#[tokio::test]
async fn an_answer_without_its_envelope_is_an_error_whatever_its_status() {
    let error = |code: Value| json!({"error": {"code": code, "message": "anna@example.com"}}).to_string();
    for (answer, expected) in [
        (raw(200, "application/json", error(json!("401"))), ShopError::Unauthorized(401)),
        (raw(200, "application/json", error(json!(403))), ShopError::Unauthorized(403)),
        (raw(200, "application/json", error(json!(404))), ShopError::NotFound(CODE.into())),
        (raw(200, "application/json", error(json!("x"))), ShopError::ErrorInside(200)),
        (raw(500, "text/html", "<h1>"), ShopError::ServerFault(500)),
        (
            raw(200, "text/html", "<h1>Sign in</h1>"),
            ShopError::NotJson { status: 200, content_type: "text/html".into() },
        ),
        (ok(json!({"request": {"status": "FAIL"}})), ShopError::ErrorInside(200)),
        (ok(json!({"booking": []})), ShopError::NotFound(CODE.into())),
        (ok(json!({"booking": {}})), ShopError::NotFound(CODE.into())),
        (raw(200, "application/json", "x".repeat(2_000_000)), ShopError::TooLarge(2_000_000)),
    ] {
        assert_eq!(
            client(CheckfrontSettings::default(), vec![answer]).0.get_order(CODE).await,
            Err(expected)
        );
    }
    let bare = raw(200, "application/json", json!({"booking": booking()}).to_string());
    let refused = client(CheckfrontSettings::default(), vec![bare]).0.get_order(CODE).await.unwrap_err();
    assert!(matches!(&refused, ShopError::Field { field, .. } if field == "request"), "{refused}");
    let mut slow = raw(429, "text/plain", "").unwrap();
    slow.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("30"));
    let throttled = client(CheckfrontSettings::default(), vec![Ok(slow)]).0.get_order(CODE).await;
    assert_eq!(throttled, Err(ShopError::Throttled { retry_after: Some(30) }));
}

#[tokio::test]
async fn an_account_whose_answers_name_no_currency_is_asked_for_it_once() {
    let mut silent = booking();
    silent["order"]["@attributes"] = json!({});
    let company = ok(json!({"company": {"currency_id": "JPY"}, "locale": {}}));
    silent["order"]["total"] = json!("4830");
    silent["order"]["paid_total"] = json!("0");
    let yen = || ok(json!({"booking": silent.clone(), "locale": {}}));
    let (client, http) = client(CheckfrontSettings::default(), vec![yen(), company, yen()]);
    for _ in 0..2 {
        assert_eq!(client.get_order(CODE).await.unwrap().total, 4830);
    }
    let asked: Vec<String> = http.seen.lock().unwrap().iter().map(|(what, _)| what.clone()).collect();
    assert_eq!(asked.iter().filter(|what| what.ends_with("/company")).count(), 1, "{asked:?}");
}

#[tokio::test]
async fn a_deposit_is_due_at_once_and_the_balance_before_the_start() {
    let settings = |deposit| CheckfrontSettings {
        deposit: Some(deposit),
        balance_days_before_start: 14,
        ..CheckfrontSettings::default()
    };
    let due = Some(UnixTime(1_802_592_000 - 14 * 86_400));
    for (deposit, first) in [
        (Deposit::Percent(20), 966),
        (Deposit::Percent(33), 1594),
        (Deposit::Percent(100), 4830),
        (Deposit::Amount(1000), 1000),
        (Deposit::Amount(9999), 4830),
    ] {
        let order = read_with(settings(deposit), booking()).await.unwrap();
        assert_eq!((order.deposit, order.balance_due_at), (Some(first), due), "{deposit:?}");
    }
    let mut undated = booking();
    undated["start_date"] = json!({});
    let order = read_with(settings(Deposit::Percent(20)), undated).await.unwrap();
    assert_eq!((order.deposit, order.balance_due_at), (None, None), "without a start all is due");
}

#[tokio::test]
async fn fields_of_the_booking_count_only_where_the_configuration_says_so() {
    let mut booking = booking();
    booking["fields"] = json!({"tandem_collection": "automatic", "tandem_capture": "on_fulfilment", "tandem_deposit": "10.00",
        "tandem_balance_due_at": "2027-02-01T09:00:00-08:00", "tandem_fulfilled": "1",
        "tandem_refund_requests": "[{\"id\":\"r1\",\"amount\":\"5.00\",\"reason\":\"rain\"},{\"id\":\"r2\"}]"});
    let plain = read(booking.clone()).await.unwrap();
    assert_eq!((plain.collection, plain.deposit, plain.refund_requests.len()), (Collection::Page, None, 0));
    let settings = CheckfrontSettings { custom_fields: true, ..CheckfrontSettings::default() };
    let order = read_with(settings.clone(), booking.clone()).await.unwrap();
    assert_eq!((order.collection, order.capture), (Collection::Automatic, CaptureMode::OnFulfilment));
    assert_eq!((order.deposit, order.balance_due_at), (Some(1000), Some(UnixTime(1_801_501_200))));
    assert_eq!(order.status, OrderStatus::Fulfilled);
    let asked =
        |id: &str, amount, reason: &str| RefundRequest { id: id.into(), amount, reason: reason.into() };
    assert_eq!(order.refund_requests, [asked("r1", Some(500), "rain"), asked("r2", None, "")]);
    booking["fields"]["tandem_refund_requests"] = json!("all of it please");
    let error = read_with(settings, booking).await.unwrap_err();
    assert!(error.to_string().starts_with("field `refund_requests` is a string"), "{error}");
}

fn rows(n: usize, page: u32, pages: u32) -> Answer {
    let rows: serde_json::Map<String, Value> = (0..n)
        .map(|i| {
            let row = json!({"booking_id": i, "code": format!("AB{}-060314", char::from(b'A' + i as u8)), "status_id": "PEND",
                "created_date": NOW - 50, "total": "1.00", "paid_total": "0.00", "customer_name": "Anna"});
            (i.to_string(), row)
        })
        .collect();
    ok(
        json!({"booking/index": rows, "request": {"status": "", "page": page, "pages": pages, "limit": 100, "timestamp": NOW.to_string()}}),
    )
}

#[tokio::test]
async fn a_listing_is_paged_and_its_time_is_the_accounts() {
    let (client, http) = client(CheckfrontSettings::default(), vec![rows(3, 1, 2), rows(1, 2, 2)]);
    let since = UnixTime(NOW - 900);
    let first = client.list(since, None).await.unwrap();
    assert_eq!(
        (first.orders.len(), first.as_of, first.next_cursor.as_deref()),
        (3, UnixTime(NOW), Some("2"))
    );
    let last = client.list(since, Some("2")).await.unwrap();
    assert_eq!((last.orders.len(), last.next_cursor), (1, None));
    let asked: Vec<String> = http.seen.lock().unwrap().iter().map(|(what, _)| what.clone()).collect();
    let path = format!("GET /api/3.0/booking/index?last_modified=%3E{}&limit=100", NOW - 901);
    assert_eq!(asked, [format!("{path}&page=1"), format!("{path}&page=2")], "after is not at or after");
    assert_eq!(first.orders[0].version, 0);
    assert_ne!(first.orders[0].state, first.orders[1].state);
}

#[tokio::test]
async fn an_empty_listing_in_any_spelling_is_empty_and_one_without_its_rows_is_an_error() {
    for empty in [json!({"booking/index": []}), json!({"booking/index": {}}), json!({})] {
        let (client, _) = client(CheckfrontSettings::default(), vec![ok(empty)]);
        assert_eq!(client.list(UnixTime(NOW), None).await.unwrap().orders, []);
    }
    let lost =
        ok(json!({"request": {"status": "OK", "records": 3, "page": 1, "pages": 1, "timestamp": NOW}}));
    let (client, _) = client(CheckfrontSettings::default(), vec![lost]);
    assert!(matches!(client.list(UnixTime(NOW), None).await, Err(ShopError::Field { .. })));
}

/// A row has no time of its change: a state that went and came back must be told again.
#[tokio::test]
async fn a_state_that_came_back_is_another_line_a_quarter_of_an_hour_later_and_the_same_until_then() {
    let at = |seconds: i64| {
        let row = json!({"code": CODE, "status_id": "PEND", "created_date": NOW, "total": "1.00", "paid_total": "0.00"});
        let request = json!({"status": "OK", "page": 1, "pages": 1, "timestamp": NOW + seconds});
        let answer = ok(json!({"booking/index": {"1": row}, "request": request}));
        async move {
            let (client, _) = client(CheckfrontSettings::default(), vec![answer]);
            client.list(UnixTime(NOW - 900), None).await.unwrap().orders.remove(0)
        }
    };
    assert_eq!(at(1).await, at(299).await);
    assert_ne!(at(1).await.state, at(901).await.state);
}

#[tokio::test]
async fn the_time_of_a_listing_may_have_parts_of_seconds_or_stand_in_the_date_header() {
    let parts =
        ok(json!({"booking/index": {}, "request": {"status": "OK", "timestamp": 1_800_000_000.018_568}}));
    let (client, _) = client(CheckfrontSettings::default(), vec![parts]);
    assert_eq!(client.list(UnixTime(0), None).await.unwrap().as_of, UnixTime(NOW));
    let mut answer = ok(json!({"booking/index": {}, "request": {"status": "OK"}})).unwrap();
    let date = header::HeaderValue::from_static("Fri, 15 Jan 2027 08:00:00 GMT");
    answer.headers_mut().insert(header::DATE, date);
    let (client, _) = self::client(CheckfrontSettings::default(), vec![Ok(answer)]);
    assert_eq!(client.list(UnixTime(0), None).await.unwrap().as_of, UnixTime(NOW));
}

#[tokio::test]
async fn a_check_says_what_to_do_and_shows_no_secret() {
    let pong = || ok(json!({"pong": {"timezone": "America/Vancouver"}}));
    let company = || ok(json!({"company": {"currency_id": "CAD"}}));
    let address = "https://pay.example.com/webhooks/tours";
    let good = vec![pong(), company(), ok(json!({"booking/index": {}})), ok(json!({"booking/notes": []}))];
    let found = client(CheckfrontSettings::default(), good).0.check(address).await;
    assert!(found.iter().all(|f| f.severity != Severity::Bad), "{found:?}");
    let all: String = found.iter().map(|f| f.text.as_str()).collect();
    for word in [
        "America/Vancouver",
        "CAD",
        "tours-path",
        "https://pay.example.com/webhooks/tours/SECRET",
        "24 bytes",
    ] {
        assert!(all.contains(word), "{word} is not in {all}");
    }
    let wrong = CheckfrontSettings { currency: Currency::parse("USD").ok(), ..CheckfrontSettings::default() };
    let refused = || raw(403, "application/json", "{}");
    let found = client(wrong, vec![pong(), company(), refused(), refused()]).0.check(address).await;
    let bad: Vec<&str> = found.iter().filter(|f| f.severity == Severity::Bad).map(|f| f.what).collect();
    assert_eq!(bad, ["currency", "listing", "notes"]);
    let found =
        client(CheckfrontSettings::default(), vec![raw(200, "text/html", "<h1>")]).0.check(address).await;
    assert_eq!(found.len(), 1);
    assert!(found[0].text.contains("base_url"), "{found:?}");
    assert_eq!(client(CheckfrontSettings::default(), vec![]).0.hooks(address).await, Ok(None));
}
