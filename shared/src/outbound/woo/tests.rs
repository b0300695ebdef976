//! What WooCommerce may answer, and what is made of it. The order is the one captured from a real shop.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::config::System;
use crate::domain::order::{CaptureMode, Collection, OrderStatus};
use crate::domain::view::{PaymentStatus, PaymentView, WriteBack};
use crate::outbound::http::{Http, HttpRequest, SendError, SendFuture};
use crate::outbound::stripe::Effect;

/// Answers in their order; then none.
struct Canned {
    answers: Mutex<VecDeque<Result<HttpResponse, SendError>>>,
    seen: Mutex<Vec<String>>,
}

impl Http for Canned {
    fn send(&self, request: HttpRequest, _: Duration) -> SendFuture<'_> {
        let line = format!("{} {}", request.method(), request.uri());
        assert_eq!(request.headers()["authorization"], "Basic Y2tfYTpjc19i", "ck_a:cs_b");
        self.seen.lock().unwrap().push(line);
        let answer = self.answers.lock().unwrap().pop_front().expect("a call too many");
        Box::pin(async { answer })
    }
}

fn source(woo: Woo) -> ShopSource {
    ShopSource {
        name: "woo".into(),
        base_url: "https://shop.example.com/".into(),
        stripe: "stripe".into(),
        api_key: "woo-key".into(),
        webhook_secrets: vec![],
        system: System::Woo(woo),
    }
}

fn client(woo: Woo, answers: Vec<Result<HttpResponse, SendError>>) -> (WooClient, Arc<Canned>) {
    let http = Arc::new(Canned { answers: Mutex::new(answers.into()), seen: Mutex::default() });
    let key = SecretString::from("ck_a:cs_b".to_owned());
    (WooClient::new(http.clone(), source(woo.clone()), key, woo), http)
}

fn answer(status: u16, body: impl Into<Bytes>) -> Result<HttpResponse, SendError> {
    Ok(http::Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(body.into())
        .unwrap())
}

fn captured(name: &str) -> Value {
    let path = format!("{}/../tests/fixtures/woocommerce/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let whole: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    serde_json::from_str(whole["body"].as_str().unwrap()).unwrap()
}

/// The captured order, with a method that Tandem collects.
fn good() -> Value {
    let mut order = captured("02-order-created-taxed-coupon-fee");
    order["payment_method"] = "".into();
    order
}

async fn read_with(order: Value, woo: Woo) -> Result<Order, ShopError> {
    client(woo, vec![answer(200, order.to_string())]).0.get_order("34").await
}

async fn read(order: Value) -> Result<Order, ShopError> {
    read_with(order, Woo::default()).await
}

/// A good order with some fields another way.
fn but(change: Value) -> Value {
    let mut order = good();
    order.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    order
}

fn meta(rows: &[(&str, Value)]) -> Value {
    let rows: Vec<Value> = rows.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
    json!({ "meta_data": rows })
}

fn view(version: u64, status: PaymentStatus, captured: i64, due: i64) -> (String, Value) {
    let payment = PaymentView {
        status,
        payment_url: None,
        currency: crate::domain::money::Currency::parse("EUR").unwrap(),
        amount_due: due,
        amount_captured: captured,
        amount_refunded: 0,
        payment_id: Some("pi_1".into()),
        reason: String::new(),
        refunds: vec![],
    };
    let text = serde_json::to_string(&WriteBack { payment_version: version, payment }).unwrap();
    (format!("_tandem_payment_v{version}"), text.into())
}

#[tokio::test]
async fn a_captured_order_is_read_by_its_total_and_its_gmt_times_and_lines_are_unescaped() {
    let (client, http) = client(Woo::default(), vec![answer(200, good().to_string())]);
    let order = client.get_order("34").await.unwrap();
    assert_eq!(http.seen.lock().unwrap()[..], ["GET https://shop.example.com/wp-json/wc/v3/orders/34"]);
    assert!(!format!("{client:?}").contains("cs_b"));
    assert_eq!((order.id.as_str(), order.number.as_str(), &order.status), ("34", "34", &OrderStatus::Open));
    assert_eq!((order.total, order.currency.code(), order.paid), (6978, "EUR", Some(0)));
    assert_eq!((order.version, order.updated_at.0), (1_795_232_294, 1_795_232_294));
    let customer = order.customer.as_ref().unwrap();
    assert_eq!((customer.id.as_deref(), customer.name.as_deref()), (Some("2"), Some("Zoë O'Neil")));
    assert_eq!(customer.address["country"], "DE");
    let lines: Vec<_> =
        order.items.iter().map(|i| (i.name.as_str(), i.quantity, i.unit_amount, i.kind.as_str())).collect();
    assert_eq!(
        lines,
        [
            ("Mug", 3, 1125, "product"),
            ("Tee & Cap", 1, 1799, "product"),
            ("Flat rate", 1, 490, "shipping"),
            ("Gift wrap", 1, 200, "fee"),
            ("Tax", 1, 1114, "tax"),
        ]
    );
    assert_eq!(lines.iter().map(|(_, n, each, _)| i64::from(*n) * each).sum::<i64>(), order.total);
    let thanks = "https://127.0.0.1:8085/checkout/order-received/34/?key=wc_order_DLrkXh4UVKs5y";
    assert_eq!(order.return_url.as_deref(), Some(thanks));
}

#[tokio::test]
async fn the_captured_life_of_one_order_is_read_at_every_stage() {
    let rows = json!([{"id": 35, "amount": "5.00", "reason": "Stain", "meta_data": []}]);
    for (name, status, total, paid, refunds) in [
        ("02-order-created-taxed-coupon-fee", OrderStatus::Open, 6978, 0, 0),
        ("03-order-updated-amount-changed", OrderStatus::Open, 5640, 0, 0),
        // With a transaction that is not ours: paid by other means.
        ("04-order-updated-paid", OrderStatus::Open, 5640, 5640, 0),
        ("05-order-updated-part-refunded", OrderStatus::Open, 5640, 5640, 1),
        ("06-order-updated-cancelled-after-payment", OrderStatus::Cancelled, 5640, 5640, 1),
    ] {
        let mut answers = vec![answer(200, captured(name).to_string())];
        answers.extend((refunds > 0).then(|| answer(200, rows.to_string())));
        let order = client(Woo::default(), answers).0.get_order("34").await.unwrap();
        assert_eq!((&order.status, order.total, order.paid), (&status, total, Some(paid)), "{name}");
        assert_eq!(order.refunds.len(), refunds, "{name}");
        assert!(order.refunds.iter().all(|r| (r.amount, r.request.as_deref()) == (500, None)), "{name}");
        assert_eq!(order.collection, Collection::None, "bank transfer is not ours to collect");
    }
}

#[tokio::test]
async fn a_bad_field_is_named_with_its_value_but_contact_data_never() {
    for (change, field, found) in [
        (json!({"total": null}), "total", "null"),
        (json!({"total": 29.35}), "total", "29.35"),
        (json!({"total": "29,35"}), "total", "\"29,35\""),
        (json!({"total": "29.355"}), "total", "\"29.355\""),
        (json!({"total": "-1.00"}), "total", "\"-1.00\""),
        (json!({"currency": "EURO"}), "currency", "\"EURO\""),
        (json!({"status": 7}), "status", "7"),
        (json!({"status": ""}), "status", "\"\""),
        (json!({"date_modified_gmt": null}), "date_modified_gmt", "null"),
        (json!({"date_modified_gmt": "soon"}), "date_modified_gmt", "\"soon\""),
        (json!({"date_paid_gmt": 5}), "date_paid_gmt", "5"),
        (json!({"payment_method": null}), "payment_method", "null"),
        (json!({"meta_data": {"zoe": 1}}), "meta_data", "an object"),
        (json!({"refunds": "zoe"}), "refunds", "a string"),
        (json!({"id": "34"}), "id", "\"34\""),
        (meta(&[("tandem_collection", "card".into())]), "tandem_collection", "\"card\""),
        (meta(&[("tandem_capture", "later".into())]), "tandem_capture", "\"later\""),
        (meta(&[("tandem_deposit", "99.00".into())]), "deposit", "9900"),
        (meta(&[("tandem_deposit", 5.into())]), "tandem_deposit", "5"),
        (meta(&[("tandem_balance_due_at", "soon".into())]), "tandem_balance_due_at", "\"soon\""),
        (meta(&[("tandem_refund_requests", "{".into())]), "tandem_refund_requests", "a string"),
        (
            meta(&[("tandem_refund_requests", json!([{"amount": "1.00"}]))]),
            "tandem_refund_requests[0].id",
            "missing",
        ),
        (
            meta(&[("tandem_refund_requests", json!([{"id": "r", "amount": 1}]))]),
            "tandem_refund_requests[0].amount",
            "1",
        ),
        (
            meta(&[("tandem_refund_requests", json!([{"id": "r"}, {"id": "r"}]))]),
            "refund_requests[1].id",
            "\"r\"",
        ),
    ] {
        let error = read(but(change.clone())).await.unwrap_err();
        let ShopError::Field { field: f, found: v, .. } = &error else { panic!("{change}: {error}") };
        assert_eq!((f.as_str(), v.as_str()), (field, found), "{change}");
        assert!(!error.to_string().to_lowercase().contains("zo"), "{error}");
    }
    for field in
        ["id", "status", "currency", "total", "date_modified_gmt", "date_paid_gmt", "meta_data", "refunds"]
    {
        let mut order = good();
        order.as_object_mut().unwrap().remove(field);
        let error = read(order).await.unwrap_err().to_string();
        assert!(error.contains(&format!("`{field}` is missing")), "{field}: {error}");
    }
}

#[tokio::test]
async fn another_orders_answer_is_none_and_an_id_that_is_no_number_is_never_sent() {
    let error = read(but(json!({"id": 35}))).await.unwrap_err();
    assert_eq!(error, ShopError::OtherOrder { asked: "34".into(), got: "35".into() });
    for id in ["", "34/refunds", "..", "#34", "34?force=true"] {
        let error = client(Woo::default(), vec![]).0.get_order(id).await.unwrap_err();
        assert!(matches!(&error, ShopError::Field { field, .. } if field == "id"), "{id}: {error}");
    }
}

#[tokio::test]
async fn every_failure_says_what_it_is_and_whether_a_write_can_have_happened() {
    use Effect::{SurelyNotDone, Unknown};
    let error = |code: &str| json!({"code": code, "message": "zoe@example.com", "data": {}}).to_string();
    for (reply, effect, words) in [
        (Err(SendError::NotSent("refused".into())), SurelyNotDone, "not reached"),
        (Err(SendError::Unknown("reset".into())), Unknown, "no whole answer"),
        (answer(404, error("woocommerce_rest_shop_order_invalid_id")), SurelyNotDone, "does not know order"),
        (answer(404, error("rest_no_route")), Unknown, "pretty permalinks"),
        (answer(404, "<html>"), Unknown, "404 for the whole API"),
        (answer(401, error("woocommerce_rest_cannot_view")), SurelyNotDone, "refuses the token (401)"),
        (answer(403, "<html>blocked</html>"), SurelyNotDone, "refuses the token (403)"),
        (answer(400, error("rest_invalid_param")), SurelyNotDone, "sources.NAME.statuses"),
        (answer(400, error("zoe@example.com")), SurelyNotDone, "an error without a code"),
        (answer(429, "slow down"), SurelyNotDone, "slow down"),
        (
            answer(500, error("woocommerce_rest_cannot_create_order_refund")),
            SurelyNotDone,
            "more than what the order has left",
        ),
        (answer(500, error("internal_server_error")), Unknown, "failed (500)"),
        (answer(501, "Method Not Implemented"), Unknown, "failed (501)"),
        (answer(503, "<html>maintenance</html>"), Unknown, "failed (503)"),
        (answer(200, "<html>login</html>"), Unknown, "instead of JSON"),
        (answer(200, error("rest_forbidden")), Unknown, "`error` inside"),
        (answer(200, "[]"), Unknown, "one order as a JSON object"),
        (answer(200, vec![b' '; crate::outbound::shop::BODY_BYTES_MAX + 1]), Unknown, "more than"),
    ] {
        let error = client(Woo::default(), vec![reply]).0.get_order("34").await.unwrap_err();
        assert_eq!(error.effect(), effect, "{error}");
        assert!(error.to_string().contains(words) && !error.to_string().contains("zoe"), "{words}: {error}");
    }
}

#[tokio::test]
async fn statuses_mean_what_the_configuration_says_and_an_unknown_one_is_kept_as_it_is() {
    let mut woo = Woo::default();
    woo.statuses.insert("packed".into(), OrderStatus::Open);
    for (status, means) in [
        ("pending", OrderStatus::Open),
        ("failed", OrderStatus::Open),
        ("processing", OrderStatus::Open),
        ("packed", OrderStatus::Open),
        ("completed", OrderStatus::Fulfilled),
        ("cancelled", OrderStatus::Cancelled),
        ("on-hold", OrderStatus::OnHold),
        ("refunded", OrderStatus::OnHold),
        ("checkout-draft", OrderStatus::OnHold),
        ("trash", OrderStatus::OnHold),
        ("on-the-moon", OrderStatus::Other("on-the-moon".into())),
    ] {
        let order = read_with(but(json!({"status": status})), woo.clone()).await.unwrap();
        assert_eq!(order.status, means, "{status}");
    }
}

#[tokio::test]
async fn an_order_that_tandem_held_is_still_what_it_was_before() {
    let held = |status: &str| {
        let mut order = but(meta(&[("_tandem_held", "pending".into())]));
        order["status"] = status.into();
        order
    };
    assert_eq!(read(held("on-hold")).await.unwrap().status, OrderStatus::Open);
    assert_eq!(read(held("cancelled")).await.unwrap().status, OrderStatus::Cancelled, "staff was later");
    let let_go = but(json!({"status": "on-hold", "meta_data": [{"key": "_tandem_held", "value": ""}]}));
    assert_eq!(read(let_go).await.unwrap().status, OrderStatus::OnHold);
}

#[tokio::test]
async fn only_orders_of_named_methods_without_the_stripe_plug_ins_intent_are_collected() {
    let woo = Woo { payment_methods: vec![String::new(), "cheque".into()], ..Woo::default() };
    for (method, collected) in
        [("", true), ("cheque", true), ("bacs", false), ("stripe", false), ("ppcp-gateway", false)]
    {
        let order = read_with(but(json!({"payment_method": method})), woo.clone()).await.unwrap();
        assert_eq!(order.collection != Collection::None, collected, "{method:?}");
    }
    let theirs = read(but(meta(&[("_stripe_intent_id", "pi_theirs".into())]))).await.unwrap();
    assert_eq!(theirs.collection, Collection::None);
}

#[tokio::test]
async fn what_woocommerce_has_no_field_for_is_read_from_the_orders_metadata() {
    let requests = json!([{"id": "r1", "amount": "5.00", "reason": "Stain"}, {"id": "r2"}]);
    let order = read(but(meta(&[
        ("tandem_collection", "automatic".into()),
        ("tandem_capture", "on_fulfilment".into()),
        ("tandem_deposit", "10.00".into()),
        ("tandem_balance_due_at", "2026-12-01T00:00:00Z".into()),
        ("tandem_refund_requests", requests.to_string().into()),
    ])))
    .await
    .unwrap();
    assert_eq!((order.collection, order.capture), (Collection::Automatic, CaptureMode::OnFulfilment));
    assert_eq!((order.deposit, order.balance_due_at), (Some(1000), Some(UnixTime(1_796_083_200))));
    let asked: Vec<_> = order.refund_requests.iter().map(|r| (r.id.as_str(), r.amount)).collect();
    assert_eq!(asked, [("r1", Some(500)), ("r2", None)]);
    // A number in a field of digits, and a structure instead of text.
    let order = read(but(meta(&[
        ("tandem_balance_due_at", 1_796_083_200.into()),
        ("tandem_refund_requests", requests),
    ])));
    assert_eq!(order.await.unwrap().balance_due_at, Some(UnixTime(1_796_083_200)));
}

#[tokio::test]
async fn amounts_are_exact_whatever_decimals_the_shop_has() {
    for (currency, total, minor) in [
        ("JPY", "45", 45),
        ("HUF", "45", 4500),
        ("KWD", "44.625", 44_625),
        ("EUR", "45", 4500),
        ("EUR", "12.500", 1250),
    ] {
        let order = read(but(json!({"currency": currency, "total": total}))).await.unwrap();
        assert_eq!((order.total, order.currency.code()), (minor, currency));
    }
    // Lines finer than the currency are not listed; what is owed is the total.
    let fine = read(but(json!({"total_tax": "11.1375"}))).await.unwrap();
    assert_eq!((fine.items.len(), fine.total), (0, 6978));
}

#[tokio::test]
async fn what_counts_as_paid_is_ours_by_our_own_marks_and_anybodys_without_them() {
    let paid = json!({"date_paid_gmt": "2026-11-21T04:00:00", "status": "processing"});
    let of = |rows: Vec<(String, Value)>, transaction: &str| {
        let rows: Vec<(&str, Value)> = rows.iter().map(|(k, v)| (k.as_str(), v.clone())).collect();
        let mut order = but(meta(&rows));
        order.as_object_mut().unwrap().extend(paid.as_object().unwrap().clone());
        order["transaction_id"] = transaction.into();
        order
    };
    let ours = || ("_tandem_paid".to_owned(), json!("pi_1"));
    let elsewhere = |amount: &str| ("_tandem_paid_elsewhere".to_owned(), json!(amount));
    use PaymentStatus as S;
    for (what, order, must) in [
        ("by another gateway", of(vec![], "PAYPAL-1"), 6978),
        ("by hand", of(vec![], ""), 6978),
        ("by hand, after a deposit of ours", of(vec![view(3, S::PartiallyPaid, 2000, 4978)], ""), 4978),
        ("goods left on a reserved payment", of(vec![view(3, S::Authorized, 0, 6978)], ""), 0),
        ("ours, not yet told", of(vec![ours()], "pi_1"), 0),
        ("ours", of(vec![ours(), view(4, S::Paid, 6978, 0)], "pi_1"), 6978),
        (
            "ours, and the total grew since",
            of(vec![ours(), view(4, S::Paid, 5000, 0), view(5, S::PartiallyPaid, 5000, 1978)], "pi_1"),
            5000,
        ),
        ("judged before", of(vec![elsewhere("69.78"), view(5, S::Paid, 6978, 0)], ""), 6978),
        ("both", of(vec![ours(), elsewhere("40.00"), view(5, S::Paid, 2978, 0)], "pi_1"), 6978),
    ] {
        assert_eq!(read(order).await.unwrap().paid, Some(must), "{what}");
    }
    let unpaid = but(meta(&[("_tandem_paid", "pi_1".into())]));
    assert_eq!(read(unpaid).await.unwrap().paid, Some(0), "not without the day of payment");
}

#[tokio::test]
async fn the_highest_version_is_what_it_was_told_whatever_came_later() {
    use PaymentStatus as S;
    let rows = [view(12, S::Paid, 6978, 0), view(9, S::AwaitingPayment, 0, 6978)];
    let rows: Vec<(&str, Value)> = rows.iter().map(|(k, v)| (k.as_str(), v.clone())).collect();
    let echo = read(but(meta(&rows))).await.unwrap().payment.unwrap();
    assert_eq!((echo.version, echo.status.as_str()), (12, "paid"));
    let broken = read(but(meta(&[("_tandem_payment_v13", "edited by hand".into())]))).await.unwrap();
    assert_eq!(broken.payment.unwrap().status, "unreadable", "its version counts, its words do not");
}

#[tokio::test]
async fn a_status_that_lands_after_the_order_was_paid_is_no_echo_of_ours() {
    use PaymentStatus as S;
    for (status, must) in [
        ("processing", "paid"),
        ("completed", "paid"),
        ("failed", "failed after paid"),
        ("pending", "pending after paid"),
    ] {
        let (key, told) = view(12, S::Paid, 6978, 0);
        let mut order = but(meta(&[("_tandem_paid", "pi_1".into()), (key.as_str(), told)]));
        order["status"] = status.into();
        order["date_paid_gmt"] = "2026-11-21T03:40:00".into();
        assert_eq!(read(order).await.unwrap().payment.unwrap().status, must);
    }
}

#[tokio::test]
async fn refunds_with_our_mark_are_ours_once_and_any_other_is_reported() {
    let mut order = good();
    order["refunds"] = json!([{"id": 1, "total": "-5.00"}]);
    let row = |id: u64, meta: Value, reason: &str| json!({"id": id, "amount": "5.00", "reason": reason, "meta_data": meta});
    let mark = |id: &str| json!([{"key": "_tandem_refund", "value": id}]);
    let rows = json!([
        row(40, mark("re_1"), ""),
        row(38, mark("re_1"), ""),
        row(39, json!([]), "Stain (re_2)"),
        row(41, json!([]), "Stain (left sleeve)"),
    ]);
    let answers = vec![answer(200, order.to_string()), answer(200, rows.to_string())];
    let (client, http) = client(Woo::default(), answers);
    let refunds = client.get_order("34").await.unwrap().refunds;
    let seen: Vec<_> = refunds.iter().map(|r| (r.id.as_str(), r.request.as_deref())).collect();
    assert_eq!(seen, [("38", Some("re_1")), ("39", Some("re_2")), ("40", None), ("41", None)]);
    assert!(http.seen.lock().unwrap()[1].ends_with("/orders/34/refunds?per_page=100"));
}

#[tokio::test]
async fn a_listing_asks_by_second_and_by_modification_and_says_when_it_began() {
    let rows = json!([{"id": 34, "date_modified_gmt": "2026-11-21T03:38:14", "status": "pending"}]);
    let listed = http::Response::builder().status(200).header("date", "Sat, 21 Nov 2026 03:40:00 GMT");
    let listed = listed.header("content-type", "application/json").body(rows.to_string().into()).unwrap();
    let (client, http) = client(Woo::default(), vec![Ok(listed), answer(200, rows.to_string())]);
    let page = client.list(UnixTime(1_795_232_000), None).await.unwrap();
    let url = http.seen.lock().unwrap()[0].clone();
    for part in [
        "modified_after=2026-11-21T03:33:19&",
        "dates_are_gmt=true",
        "orderby=modified",
        "order=asc",
        "per_page=100",
        "status=any",
    ] {
        assert!(url.contains(part), "{url}");
    }
    assert!(!url.contains("dp="));
    assert_eq!((page.as_of, page.next_cursor), (UnixTime(1_795_232_399), None));
    let line = &page.orders[0];
    assert_eq!((line.id.as_str(), line.version), ("34", 1_795_232_294));
    assert_eq!(line.state.as_ref().unwrap().len(), 16);
    let undated = client.list(UnixTime(1), Some("1795232000.2")).await.unwrap();
    assert_eq!(undated.as_of, UnixTime(1_795_232_294), "without a date, the newest row");
    assert!(http.seen.lock().unwrap()[1].contains("&page=2&"));
    let nonsense = client.list(UnixTime(1), Some("nonsense")).await;
    assert_eq!(nonsense.unwrap_err(), ShopError::Refused(400), "the sweeper begins anew");
}
