//! What an order system may answer, and what is made of it.

use std::sync::{Arc, Mutex};

use serde_json::json;

use std::time::Duration;

use bytes::Bytes;

use super::super::http::{Http, HttpRequest, HttpResponse, SendError, SendFuture};
use super::super::stripe::Effect;
use super::*;
use crate::config::System;
use crate::domain::money::Currency;
use crate::domain::view::{PaymentStatus, PaymentView};
use crate::outbound::shop::BODY_BYTES_MAX;

struct Canned {
    answer: Mutex<Option<Result<HttpResponse, SendError>>>,
    seen: Mutex<Option<HttpRequest>>,
}

impl Http for Canned {
    fn send(&self, request: HttpRequest, _: Duration) -> SendFuture<'_> {
        *self.seen.lock().unwrap() = Some(request);
        let answer = self.answer.lock().unwrap().take().unwrap();
        Box::pin(async { answer })
    }
}

fn client(answer: Result<HttpResponse, SendError>) -> (CheckoutClient, Arc<Canned>) {
    let http = Arc::new(Canned { answer: Mutex::new(Some(answer)), seen: Mutex::default() });
    let source = ShopSource {
        name: "shop".into(),
        base_url: "http://127.0.0.1:1/api/".into(),
        stripe: "stripe".into(),
        api_key: "shop-token".into(),
        webhook_secrets: vec![],
        system: System::Checkout,
    };
    (CheckoutClient::new(http.clone(), source, SecretString::from("token-of-the-shop".to_owned())), http)
}

fn answer(status: u16, content_type: &str, body: impl Into<Bytes>) -> Result<HttpResponse, SendError> {
    let builder = http::Response::builder().status(status).header("content-type", content_type);
    Ok(builder.body(body.into()).unwrap())
}

fn good() -> Value {
    json!({"id": "o 1", "status": "open", "currency": "EUR", "total": 1250, "updated_at": 1_800_000_000, "version": 3,
        "customer": {"id": "c1", "email": "ada@example.org", "name": "Ada"}, "refund_requests": [{"id": "r1", "amount": 5}]})
}

async fn read(body: &Value) -> Result<Order, ShopError> {
    client(answer(200, "application/json", body.to_string())).0.get_order("o 1").await
}

#[tokio::test]
async fn a_good_order_is_read_with_the_token_from_its_own_path() {
    let (client, http) = client(answer(200, "application/json", good().to_string()));
    let order = client.get_order("o 1").await.unwrap();
    assert_eq!((order.total, order.version), (1250, 3));
    let request = http.seen.lock().unwrap().take().unwrap();
    assert_eq!(request.uri(), "http://127.0.0.1:1/api/orders/o%201");
    assert_eq!(request.headers()["authorization"], "Bearer token-of-the-shop");
    assert!(!format!("{request:?} {client:?}").contains("token-of-the-shop"));
}

#[tokio::test]
async fn a_bad_field_is_named_with_its_value_but_contact_data_never() {
    for (change, field, found) in [
        (json!({"total": null}), "total", "null"),
        (json!({"total": -1}), "total", "-1"),
        (json!({"total": 12.5}), "total", "12.5"),
        (json!({"total": "1250"}), "total", "\"1250\""),
        (json!({"currency": "euro"}), "currency", "\"euro\""),
        (json!({"version": -3}), "version", "-3"),
        (json!({"status": 4}), "status", "4"),
        (json!({"deposit": 2000}), "deposit", "2000"),
        (json!({"customer": "ada@example.org"}), "customer", "a string"),
        (json!({"customer": {"email": 5, "name": "Ada"}}), "customer", "an object"),
        (json!({"items": [{"name": "Ada's thing", "quantity": -1, "unit_amount": 5}]}), "items", "a list"),
        (json!({"refund_requests": [{"id": "r1", "amount": 0}]}), "refund_requests[0].amount", "0"),
        (json!({"refund_requests": [{"id": "r1"}, {"id": "r1"}]}), "refund_requests[1].id", "\"r1\""),
        (json!({"refunds": [{"id": "x", "amount": -5}]}), "refunds[0].amount", "-5"),
    ] {
        let mut body = good();
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let error = read(&body).await.unwrap_err();
        let ShopError::Field { field: f, found: v, .. } = &error else { panic!("{error}") };
        assert_eq!((f.as_str(), v.as_str()), (field, found), "{change}");
        assert!(!error.to_string().to_lowercase().contains("ada"), "{error}");
    }
    let mut body = good();
    body.as_object_mut().unwrap().remove("total");
    assert_eq!(
        read(&body).await.unwrap_err().to_string(),
        "field `total` is missing: an integer in minor units, at least 0"
    );
}

#[tokio::test]
async fn every_failure_says_whether_a_write_back_can_have_happened() {
    use Effect::{SurelyNotDone, Unknown};
    let json = "application/json";
    let view = PaymentView {
        status: PaymentStatus::Paid,
        payment_url: None,
        currency: Currency::parse("EUR").unwrap(),
        amount_due: 0,
        amount_captured: 1250,
        amount_refunded: 0,
        payment_id: None,
        reason: String::new(),
        refunds: vec![],
    };
    let mut other = good();
    other["id"] = "o 2".into();
    for (reply, effect, words) in [
        (Err(SendError::NotSent("refused".into())), SurelyNotDone, "not reached"),
        (Err(SendError::Unknown("reset".into())), Unknown, "no whole answer"),
        (answer(404, json, "{}"), SurelyNotDone, "does not know order \"o 1\""),
        (answer(401, json, "{}"), SurelyNotDone, "refuses the token"),
        (answer(429, json, "{}"), SurelyNotDone, "slow down"),
        (answer(422, json, "{}"), SurelyNotDone, "refused the request (422)"),
        (answer(302, json, "{}"), SurelyNotDone, "refused the request (302)"),
        (answer(503, json, "{}"), Unknown, "failed (503)"),
        (answer(200, "text/html", "<html>Sign in"), Unknown, "\"text/html\" instead of JSON"),
        (answer(200, json, r#"{"error":{"message":"nope"}}"#), Unknown, "an `error` inside"),
        (answer(200, json, other.to_string()), Unknown, "got \"o 2\""),
        (answer(200, json, "[]"), Unknown, "field `(body)` is a list"),
        (answer(200, json, vec![b' '; BODY_BYTES_MAX + 1]), Unknown, "bytes, more than 1048576"),
    ] {
        let error = client(reply)
            .0
            .tell(&Telling { id: "o 1", version: 7, view: &view, recorded: 0, total: 1250 })
            .await
            .unwrap_err();
        assert_eq!(error.effect(), effect, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    let (client, http) = client(answer(200, json, good().to_string()));
    client.tell(&Telling { id: "o 1", version: 7, view: &view, recorded: 0, total: 1250 }).await.unwrap();
    let request = http.seen.lock().unwrap().take().unwrap();
    assert_eq!(request.method(), Method::PATCH);
    let sent: WriteBack = serde_json::from_slice(request.body()).unwrap();
    assert_eq!(sent, WriteBack { payment_version: 7, payment: view });
}

#[tokio::test]
async fn a_page_is_read_strictly_and_its_cursor_is_sent_back_encoded() {
    let body =
        json!({"orders": [{"id": "o1", "version": 2, "updated_at": 5}], "as_of": 9, "next_cursor": "5|o&1"});
    let (first, _) = client(answer(200, "application/json", body.to_string()));
    let page = first.list(UnixTime(1), None).await.unwrap();
    assert_eq!((page.orders.len(), page.as_of), (1, UnixTime(9)));
    let (second, http) =
        client(answer(200, "application/json", r#"{"orders":[],"as_of":9,"next_cursor":null}"#));
    assert_eq!(second.list(UnixTime(1), page.next_cursor.as_deref()).await.unwrap().next_cursor, None);
    let request = http.seen.lock().unwrap().take().unwrap();
    assert_eq!(request.uri().query(), Some("updated_since=1&cursor=5%7Co%261"));
    for (bad, field) in [
        (r#"{"orders":[]}"#, "as_of"),
        (r#"{"as_of":1}"#, "orders"),
        (r#"{"as_of":1,"orders":[{"id":"a","version":"x","updated_at":1}]}"#, "orders[0].version"),
        (r#"{"as_of":1,"orders":[],"next_cursor":5}"#, "next_cursor"),
    ] {
        let error = client(answer(200, "application/json", bad)).0.list(UnixTime(1), None).await.unwrap_err();
        assert!(matches!(&error, ShopError::Field { field: f, .. } if f == field), "{error}");
    }
}

#[tokio::test]
async fn an_id_that_is_a_path_is_never_sent() {
    for id in ["", ".", ".."] {
        assert!(matches!(client(answer(200, "", "")).0.get_order(id).await, Err(ShopError::Field { .. })));
    }
}
