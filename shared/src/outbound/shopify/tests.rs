//! What a store may answer, and what is made of it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::config::System;
use crate::config::shopify::OrderMoney;
use crate::domain::order::{CaptureMode, Collection, OrderStatus, RefundRequest};
use crate::domain::view::{PaymentStatus, PaymentView};
use crate::outbound::http::{Http, HttpRequest, SendError, SendFuture};
use crate::outbound::shop::BODY_BYTES_MAX;

/// Answers each call with the next answer, the last one for ever.
struct Canned {
    answers: Mutex<Vec<(u16, &'static str, Bytes)>>,
    seen: Mutex<Vec<Value>>,
    headers: Mutex<Vec<http::HeaderMap>>,
}

impl Http for Canned {
    fn send(&self, request: HttpRequest, _: Duration) -> SendFuture<'_> {
        self.seen.lock().unwrap().push(serde_json::from_slice(request.body()).unwrap());
        self.headers.lock().unwrap().push(request.headers().clone());
        assert_eq!(request.uri(), "https://tea.myshopify.com/admin/api/2026-10/graphql.json");
        let mut answers = self.answers.lock().unwrap();
        let (status, kind, body) = if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() };
        Box::pin(async move {
            let builder = http::Response::builder().status(status).header("content-type", kind);
            let builder = builder.header("date", "Sat, 21 Nov 2026 12:00:00 GMT");
            builder.body(body).map_err(|e| SendError::NotSent(e.to_string()))
        })
    }
}

fn client_of(settings: Shopify, answers: Vec<(u16, &'static str, Bytes)>) -> (ShopifyClient, Arc<Canned>) {
    let http =
        Arc::new(Canned { answers: Mutex::new(answers), seen: Mutex::default(), headers: Mutex::default() });
    let source = ShopSource {
        name: "tea".into(),
        base_url: "https://tea.myshopify.com".into(),
        stripe: "stripe".into(),
        api_key: "tea-token".into(),
        webhook_secrets: vec![],
        system: System::Shopify(settings.clone()),
    };
    let token = SecretString::from("token-of-the-store".to_owned());
    (ShopifyClient::new(http.clone(), source, token, settings), http)
}

fn json_answer(body: &Value) -> (u16, &'static str, Bytes) {
    (200, "application/json", Bytes::from(body.to_string()))
}

fn client(body: &Value) -> (ShopifyClient, Arc<Canned>) {
    client_of(Shopify::defaults(false), vec![json_answer(body)])
}

fn bag(amount: &str) -> Value {
    json!({ "shopMoney": { "amount": amount, "currencyCode": "EUR" } })
}

fn field(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": value, "compareDigest": "d" })
}

fn good() -> Value {
    json!({
        "id": "gid://shopify/Order/450789469", "name": "#1001", "updatedAt": "2026-11-21T12:00:30Z", "cancelledAt": null,
        "displayFulfillmentStatus": "UNFULFILLED", "paymentGatewayNames": ["Bank Deposit"], "test": false,
        "tags": ["vip"], "canMarkAsPaid": true, "statusPageUrl": "https://tea.example/orders/x",
        "currencyCode": "EUR", "presentmentCurrencyCode": "EUR",
        "currentTotalPriceSet": bag("12.5"), "totalReceivedSet": bag("0.0"), "totalOutstandingSet": bag("12.50"),
        "lineItems": { "nodes": [{ "name": "Tea", "sku": null, "currentQuantity": 1, "discountedUnitPriceSet": bag("12.500") }] },
        "transactions": [], "refunds": [], "metafields": { "nodes": [] },
        "customerLocale": "en", "email": "ada@example.org", "phone": null,
        "customer": { "id": "gid://shopify/Customer/7" },
        "billingAddress": { "name": "Ada", "address1": "1 Road", "address2": null, "city": "Ely", "zip": "X1", "provinceCode": null, "countryCodeV2": "GB" },
    })
}

fn with(change: Value) -> Value {
    let mut order = good();
    for (name, value) in change.as_object().unwrap() {
        order[name.as_str()] = value.clone();
    }
    json!({ "data": { "order": order } })
}

async fn read(body: &Value) -> Result<Order, ShopError> {
    client(body).0.get_order("450789469").await
}

async fn read_with(settings: Shopify, body: &Value) -> Result<Order, ShopError> {
    client_of(settings, vec![json_answer(body)]).0.get_order("450789469").await
}

#[tokio::test]
async fn a_good_order_is_read_with_the_token_in_its_own_header() {
    let (client, http) = client(&with(json!({})));
    let order = client.get_order("450789469").await.unwrap();
    assert_eq!((order.id.as_str(), order.number.as_str(), order.total), ("450789469", "#1001", 1250));
    assert_eq!((order.version, order.paid, order.collection), (1_795_262_430, Some(0), Collection::Page));
    assert_eq!((order.items[0].unit_amount, order.items[0].quantity), (1250, 1));
    let customer = order.customer.unwrap();
    assert_eq!((customer.id.as_deref(), customer.address["postal_code"].as_str()), (Some("7"), "X1"));
    assert_eq!(http.headers.lock().unwrap()[0]["x-shopify-access-token"], "token-of-the-store");
    assert!(!format!("{client:?} {:?}", http.headers.lock().unwrap()).contains("token-of-the-store"));
    let sent = http.seen.lock().unwrap()[0]["variables"].clone();
    assert_eq!(sent, json!({ "id": "gid://shopify/Order/450789469", "shop": true, "contact": true }));
}

#[tokio::test]
async fn a_bad_field_is_named_with_its_value_but_contact_data_never() {
    for (change, field, found) in [
        (
            json!({ "currentTotalPriceSet": bag("12.505") }),
            "order.currentTotalPriceSet.shopMoney.amount",
            "\"12.505\"",
        ),
        (json!({ "currentTotalPriceSet": bag("-1") }), "currentTotalPriceSet", "a number"),
        (json!({ "currentTotalPriceSet": null }), "order.currentTotalPriceSet", "null"),
        (
            json!({ "totalReceivedSet": { "shopMoney": { "amount": 5, "currencyCode": "EUR" } } }),
            "order.totalReceivedSet.shopMoney.amount",
            "5",
        ),
        (
            json!({ "totalReceivedSet": { "shopMoney": { "amount": "5", "currencyCode": "USD" } } }),
            "order.totalReceivedSet.shopMoney.currencyCode",
            "\"USD\"",
        ),
        (json!({ "updatedAt": "yesterday" }), "order.updatedAt", "\"yesterday\""),
        (json!({ "displayFulfillmentStatus": null }), "order.displayFulfillmentStatus", "null"),
        (json!({ "paymentGatewayNames": "x" }), "order.paymentGatewayNames", "a string"),
        (json!({ "canMarkAsPaid": null }), "order.canMarkAsPaid", "null"),
        (json!({ "email": ["ada@example.org"] }), "order.email", "a list"),
        (
            json!({ "metafields": { "nodes": [field("collection", "sometimes")] } }),
            "collection",
            "\"sometimes\"",
        ),
        (json!({ "metafields": { "nodes": [field("deposit", "lots")] } }), "tandem.deposit", "\"lots\""),
        (json!({ "metafields": { "nodes": [field("deposit", "13.00")] } }), "deposit", "1300"),
        (
            json!({ "metafields": { "nodes": [field("balance_due_at", "soon")] } }),
            "balance_due_at",
            "\"soon\"",
        ),
        (
            json!({ "metafields": { "nodes": [field("refund_requests", "[{\"id\":\"r1\",\"amount\":5}]")] } }),
            "tandem.refund_requests[0].amount",
            "5",
        ),
    ] {
        let error = read(&with(change.clone())).await.unwrap_err();
        let ShopError::Field { field: name, found: value, .. } = &error else { panic!("{change}: {error}") };
        assert_eq!((name.as_str(), value.as_str()), (field, found), "{change}");
        assert!(!error.to_string().contains("ada@"), "{error}");
    }
}

#[tokio::test]
async fn an_unknown_currency_is_refused_by_name() {
    let unknown = json!({ "shopMoney": { "amount": "1", "currencyCode": "XXZ" } });
    let error = read(&with(json!({ "currentTotalPriceSet": unknown }))).await.unwrap_err();
    assert!(error.to_string().contains("currencyCode` is \"XXZ\""), "{error}");
}

#[tokio::test]
async fn states_read_as_the_table_says_and_an_unknown_one_keeps_its_word() {
    for (change, status) in [
        (json!({}), OrderStatus::Open),
        (json!({ "displayFulfillmentStatus": "FULFILLED" }), OrderStatus::Fulfilled),
        (json!({ "displayFulfillmentStatus": "FULFILLMENT_NOT_REQUIRED" }), OrderStatus::Fulfilled),
        (json!({ "displayFulfillmentStatus": "PARTIALLY_FULFILLED" }), OrderStatus::Open),
        (json!({ "displayFulfillmentStatus": "ON_HOLD" }), OrderStatus::Open),
        (json!({ "displayFulfillmentStatus": "TELEPORTED" }), OrderStatus::Other("teleported".into())),
        (
            json!({ "displayFulfillmentStatus": "FULFILLED", "cancelledAt": "2026-11-21T00:00:00Z" }),
            OrderStatus::Cancelled,
        ),
        (json!({ "tags": ["TANDEM-HOLD"] }), OrderStatus::OnHold),
    ] {
        assert_eq!(read(&with(change.clone())).await.unwrap().status, status, "{change}");
    }
    let mut settings = Shopify::defaults(false);
    settings.statuses.insert("ON_HOLD".into(), OrderStatus::OnHold);
    let held = read_with(settings, &with(json!({ "displayFulfillmentStatus": "ON_HOLD" }))).await.unwrap();
    assert_eq!(held.status, OrderStatus::OnHold);
}

#[tokio::test]
async fn what_a_shop_sets_in_metafields_is_read() {
    let fields = [
        field("collection", "automatic"),
        field("capture", "on_fulfilment"),
        field("deposit", "2.5"),
        field("balance_due_at", "2026-12-01T00:00:00+01:00"),
        field(
            "refund_requests",
            r#"[{"id":"r1","amount":"5.00","reason":"broken"},{"id":"r2","amount":null}]"#,
        ),
    ];
    let order = read(&with(json!({ "metafields": { "nodes": fields } }))).await.unwrap();
    assert_eq!((order.collection, order.capture), (Collection::Automatic, CaptureMode::OnFulfilment));
    assert_eq!((order.deposit, order.balance_due_at), (Some(250), Some(UnixTime(1_796_079_600))));
    let request =
        |id: &str, amount, reason: &str| RefundRequest { id: id.into(), amount, reason: reason.into() };
    assert_eq!(order.refund_requests, [request("r1", Some(500), "broken"), request("r2", None, "")]);
}

#[tokio::test]
async fn the_buyers_own_currency_counts_when_the_setting_says_so() {
    let both = |shop: &str, buyer: &str| {
        json!({ "shopMoney": { "amount": shop, "currencyCode": "EUR" },
            "presentmentMoney": { "amount": buyer, "currencyCode": "JPY" } })
    };
    let body = with(json!({
        "presentmentCurrencyCode": "JPY", "currentTotalPriceSet": both("12.5", "2000.0"),
        "totalReceivedSet": both("0.0", "0.0"), "totalOutstandingSet": both("12.5", "2000.0"),
    }));
    let settings = Shopify { money: OrderMoney::Presentment, ..Shopify::defaults(false) };
    assert_eq!(read_with(settings, &body).await.unwrap().total().to_string(), "2000 JPY");
    let order = read(&body).await.unwrap();
    assert_eq!(order.total().to_string(), "12.50 EUR");
}

#[tokio::test]
async fn without_leave_to_read_contact_data_there_is_no_buyer() {
    let mut body = with(json!({}));
    for name in ["customerLocale", "email", "phone", "customer", "billingAddress"] {
        body["data"]["order"].as_object_mut().unwrap().remove(name);
    }
    let settings = Shopify { contact: false, ..Shopify::defaults(false) };
    assert_eq!(read_with(settings, &body).await.unwrap().customer, None);
}

#[tokio::test]
async fn another_order_no_order_and_a_wrong_id_are_told_apart() {
    let other = read(&with(json!({ "id": "gid://shopify/Order/1" }))).await.unwrap_err();
    assert_eq!(other, ShopError::OtherOrder { asked: "450789469".into(), got: "1".into() });
    let none = read(&json!({ "data": { "order": null } })).await.unwrap_err();
    assert_eq!(none, ShopError::NotFound("450789469".into()));
    let (client, http) = client(&with(json!({})));
    for id in ["", "#1001", "1/../2", "01", "gid://shopify/Order/1"] {
        assert!(matches!(client.get_order(id).await, Err(ShopError::Field { .. })), "{id}");
    }
    assert!(http.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_200_with_an_error_inside_is_what_its_code_says() {
    let error =
        |code: &str| json!({ "data": null, "errors": [{ "message": "m", "extensions": { "code": code } }] });
    let mut throttled = error("THROTTLED");
    throttled["extensions"]["cost"] = json!({ "requestedQueryCost": 380,
        "throttleStatus": { "maximumAvailable": 2000.0, "currentlyAvailable": 80, "restoreRate": 100.0 } });
    assert_eq!(read(&throttled).await.unwrap_err(), ShopError::Throttled { retry_after: Some(3) });
    let denied = read(&error("ACCESS_DENIED")).await.unwrap_err();
    assert!(denied.to_string().contains("tandem check --live"), "{denied}");
    assert_eq!(read(&error("INTERNAL_SERVER_ERROR")).await.unwrap_err(), ShopError::ServerFault(500));
    assert_eq!(read(&error("undefinedField")).await.unwrap_err(), ShopError::ErrorInside(200));
    assert_eq!(read(&json!({ "errors": "Invalid token" })).await.unwrap_err(), ShopError::ErrorInside(200));
    let mut half = with(json!({}));
    half["errors"] = json!([{ "message": "half of it" }]);
    assert_eq!(
        read(&half).await.unwrap_err(),
        ShopError::ErrorInside(200),
        "data beside an error is not used"
    );
}

#[tokio::test]
async fn html_strangers_and_bodies_over_the_limit_are_told_apart() {
    let settings = || Shopify::defaults(false);
    let get = async |status, kind: &'static str, body: Bytes| {
        client_of(settings(), vec![(status, kind, body)]).0.get_order("450789469").await.unwrap_err()
    };
    let html = get(200, "text/html; charset=utf-8", "<html>Log in</html>".into()).await;
    assert!(matches!(html, ShopError::NotJson { status: 200, .. }), "{html}");
    assert_eq!(get(401, "application/json", "{}".into()).await, ShopError::Unauthorized(401));
    assert_eq!(
        get(404, "text/html", "no such store".into()).await,
        ShopError::ServerFault(404),
        "not the order is missing"
    );
    assert_eq!(get(402, "application/json", "{}".into()).await, ShopError::Refused(402), "a frozen store");
    assert_eq!(get(503, "text/html", "".into()).await, ShopError::ServerFault(503));
    let large = get(200, "application/json", Bytes::from(vec![b' '; BODY_BYTES_MAX + 1])).await;
    assert_eq!(large, ShopError::TooLarge(BODY_BYTES_MAX + 1));
}

fn view(status: PaymentStatus, captured: i64, due: i64) -> PaymentView {
    PaymentView {
        status,
        payment_url: None,
        currency: crate::domain::money::Currency::parse("EUR").unwrap(),
        amount_due: due,
        amount_captured: captured,
        amount_refunded: 0,
        payment_id: None,
        reason: String::new(),
        refunds: vec![],
    }
}

#[tokio::test]
async fn a_user_error_is_a_refusal_with_its_words_but_without_addresses() {
    let refused = |message: &str| {
        json!({ "data": { "orderMarkAsPaid": { "order": null, "userErrors": [{ "field": ["id"], "message": message }] },
            "metafieldsSet": { "metafields": [{ "key": "record", "compareDigest": "e" }], "userErrors": [] } } })
    };
    for (message, shown) in [
        ("Order cannot be marked.", "Order cannot be marked."),
        ("mail ada@example.org", "(a message with an address in it)"),
    ] {
        // Read; record; mark; read again; record taken back.
        let answers =
            [with(json!({})), refused(message), refused(message), with(json!({})), refused(message)];
        let answers = answers.iter().map(json_answer).collect();
        let (client, http) = client_of(Shopify::defaults(false), answers);
        let paid = view(PaymentStatus::Paid, 1250, 0);
        let telling = Telling { id: "450789469", version: 5, view: &paid, recorded: 0, total: 1250 };
        let error = client.tell(&telling).await.unwrap_err();
        let why = format!("orderMarkAsPaid: {shown}");
        assert_eq!(error, ShopError::Stopped { why, recorded: 0 });
        let last = http.seen.lock().unwrap().last().unwrap()["variables"]["metafields"][0].clone();
        assert_eq!((&last["key"], &last["compareDigest"]), (&json!("record"), &json!("e")));
        let value: Value = serde_json::from_str(last["value"].as_str().unwrap()).unwrap();
        assert_eq!(value, json!({ "before": 0, "after": 0, "paid": 0, "parts": 0 }));
    }
}

#[tokio::test]
async fn a_metafield_that_changed_meanwhile_is_waited_for() {
    let stale = json!({ "data": { "metafieldsSet": { "metafields": null,
        "userErrors": [{ "code": "STALE_OBJECT", "field": ["metafields"], "message": "has been updated" }] } } });
    let answers = [with(json!({ "tags": ["tandem-awaiting-payment"] })), stale];
    let (client, _) = client_of(Shopify::defaults(false), answers.iter().map(json_answer).collect());
    let open = view(PaymentStatus::AwaitingPayment, 0, 1250);
    let error = client
        .tell(&Telling { id: "450789469", version: 5, view: &open, recorded: 0, total: 1250 })
        .await
        .unwrap_err();
    assert!(matches!(error, ShopError::Wait { after: 60, .. }), "{error}");
}

#[tokio::test]
async fn a_payment_in_another_currency_is_not_written() {
    let (client, http) = client(&with(json!({})));
    let mut paid = view(PaymentStatus::Paid, 1250, 0);
    paid.currency = crate::domain::money::Currency::parse("USD").unwrap();
    let error = client
        .tell(&Telling { id: "450789469", version: 5, view: &paid, recorded: 0, total: 1250 })
        .await
        .unwrap_err();
    assert!(error.to_string().contains("the payment is in USD, the order in EUR"), "{error}");
    assert_eq!(http.seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_listing_has_the_stores_own_time_and_tells_two_states_of_one_second_apart() {
    let row = |paid: &str| {
        json!({ "id": "gid://shopify/Order/5", "updatedAt": "2026-11-21T11:59:59Z", "cancelledAt": null,
            "displayFinancialStatus": paid, "displayFulfillmentStatus": "UNFULFILLED", "currentTotalPriceSet": bag("1.0") })
    };
    let page = |paid: &str, more: bool| json!({ "data": { "orders": { "nodes": [row(paid)], "pageInfo": { "hasNextPage": more, "endCursor": "c1" } } } });
    let (client, http) = client_of(
        Shopify::defaults(false),
        vec![json_answer(&page("PENDING", true)), json_answer(&page("PAID", false))],
    );
    let first = client.list(UnixTime(1_795_262_400), None).await.unwrap();
    assert_eq!((first.as_of, first.next_cursor.as_deref()), (UnixTime(1_795_262_400), Some("c1")));
    let second = client.list(UnixTime(1_795_262_400), Some("c1")).await.unwrap();
    assert_eq!((second.orders[0].id.as_str(), second.next_cursor), ("5", None));
    assert_eq!(first.orders[0].version, second.orders[0].version);
    assert_ne!(first.orders[0].state, second.orders[0].state);
    let sent = http.seen.lock().unwrap();
    assert_eq!(
        sent[0]["variables"],
        json!({ "query": "updated_at:>='2026-11-21T12:00:00Z'", "after": null })
    );
    assert_eq!(sent[1]["variables"]["after"], "c1");
}

#[test]
fn every_document_begins_with_its_operation_and_its_name() {
    for text in [
        document::CHECK,
        document::FORGET,
        document::MANUAL_PAYMENT,
        document::MARK_PAID,
        document::METAFIELDS,
        document::ORDER,
        document::ORDERS,
        document::REFUND,
        document::RETAG,
        document::SUBSCRIBE,
        document::SUBSCRIPTIONS,
    ] {
        assert!(text.starts_with("query ") || text.starts_with("mutation "), "{text}");
        assert_eq!(text.contains("userErrors"), text.starts_with("mutation "), "{text}");
    }
    assert!(document::REFUND.contains("@idempotent(key: $key)"));
}
