//! What a real WooCommerce 10.0.2 was seen to do, row by row; the simulator does the same.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::StatusCode;
use serde_json::Value;
use shared::clock::Clock;
use shared::domain::money::Currency;
use shared::outbound::http::{Http, SendFuture};

use super::*;
use crate::shop::{NewOrder, Speaks};

const START: UnixTime = UnixTime(1_800_000_000);
const SECRET: &str = "quotes \" and & and <x>";

/// The shop, and a target that keeps its deliveries and answers as it is told.
struct World {
    shop: Shop,
    target: Arc<Target>,
}

struct Target {
    status: Mutex<u16>,
    seen: Mutex<Vec<HttpRequest>>,
}

impl Http for Target {
    fn send(&self, request: HttpRequest, _: Duration) -> SendFuture<'_> {
        self.seen.lock().unwrap().push(request);
        let mut answer = HttpResponse::new(Bytes::new());
        *answer.status_mut() = StatusCode::from_u16(*self.status.lock().unwrap()).unwrap();
        Box::pin(async move { Ok(answer) })
    }
}

impl World {
    fn new() -> Self {
        let config = ShopConfig {
            name: "woo".into(),
            speaks: Speaks::Woo,
            public_url: "http://woo.test".into(),
            api_token: "ck_test:cs_test".into(),
            webhook_url: "http://tandem.test/webhooks/woo".into(),
            webhook_secret: SECRET.into(),
            notice_secret: String::new(),
        };
        let shop = Shop::new(Clock::tokio_from(START), config);
        Self { shop, target: Arc::new(Target { status: Mutex::new(200), seen: Mutex::default() }) }
    }

    async fn send(&self, method: &str, path: &str, body: Option<Value>, key: &str) -> (u16, Value) {
        let key = base64::engine::general_purpose::STANDARD.encode(key);
        let request = http::Request::builder()
            .method(method)
            .uri(format!("http://woo.test/wp-json/wc/v3{path}"))
            .header("authorization", format!("Basic {key}"))
            .body(body.map_or_else(Bytes::new, |b| b.to_string().into()))
            .unwrap();
        let answer = self.shop.handle(request).await;
        (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap())
    }

    async fn rest(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.send(method, path, Some(body), "ck_test:cs_test").await;
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    async fn refused(&self, method: &str, path: &str, body: Value) -> (u16, String) {
        let (status, answer) = self.send(method, path, Some(body), "ck_test:cs_test").await;
        (status, answer["code"].as_str().unwrap_or_default().to_owned())
    }

    async fn get(&self, path: &str) -> Value {
        self.rest("GET", path, Value::Null).await
    }

    /// An order over 12.50 EUR, announced.
    async fn order(&self) -> String {
        let new = NewOrder::simple(Currency::parse("EUR").unwrap(), 1250, Some("zoe"));
        let id = self.shop.place(new).unwrap().id;
        self.deliver().await;
        id
    }

    async fn put(&self, id: &str, body: Value) -> Value {
        self.rest("PUT", &format!("/orders/{id}"), body).await
    }

    /// Topics and bodies of what is delivered now.
    async fn deliver(&self) -> Vec<(String, Value)> {
        self.shop.deliver_due(self.target.as_ref()).await;
        let seen: Vec<HttpRequest> = self.target.seen.lock().unwrap().drain(..).collect();
        let topic = |r: &HttpRequest| r.headers()["x-wc-webhook-topic"].to_str().unwrap().to_owned();
        seen.iter().map(|r| (topic(r), serde_json::from_slice(r.body()).unwrap_or_default())).collect()
    }

    async fn topics(&self) -> Vec<String> {
        self.deliver().await.into_iter().map(|(topic, _)| topic).collect()
    }
}

const UPDATED: [&str; 1] = ["order.updated"];

#[tokio::test(start_paused = true)]
async fn a_delivery_is_signed_over_its_raw_body_and_a_secret_with_quotes_signs_as_it_is() {
    let world = World::new();
    world.order().await;
    world.shop.cancel("1001").unwrap();
    world.shop.deliver_due(world.target.as_ref()).await;
    let seen = world.target.seen.lock().unwrap().pop().unwrap();
    let header = |name: &str| seen.headers()[name].to_str().unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(seen.body());
    let must = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
    assert_eq!(header("x-wc-webhook-signature"), must);
    assert_eq!(header("user-agent"), "WooCommerce/10.0.2 Hookshot (WordPress/6.8.8)");
    assert_eq!((header("x-wc-webhook-resource"), header("x-wc-webhook-event")), ("order", "updated"));
    assert_eq!((header("x-wc-webhook-id"), header("x-wc-webhook-delivery-id").len()), ("5", 32));
}

#[tokio::test(start_paused = true)]
async fn a_new_webhook_is_tried_out_with_an_unsigned_form_and_made_even_if_its_target_fails() {
    let world = World::new();
    *world.target.status.lock().unwrap() = 500;
    let made = world
        .rest("POST", "/webhooks", json!({"topic": "order.updated", "delivery_url": "http://tandem.test/x"}))
        .await;
    assert_eq!(made["status"], "active");
    world.shop.deliver_due(world.target.as_ref()).await;
    let ping = world.target.seen.lock().unwrap().pop().unwrap();
    assert_eq!((ping.body().as_ref(), ping.uri().path()), (&b"webhook_id=7"[..], "/x"));
    assert!(ping.headers().keys().all(|name| !name.as_str().starts_with("x-wc-")), "no signature, no topic");
    // None when a disabled one is set active again.
    world.rest("PUT", "/webhooks/7", json!({"status": "disabled"})).await;
    world.rest("PUT", "/webhooks/7", json!({"status": "active"})).await;
    assert_eq!(world.shop.deliver_due(world.target.as_ref()).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_new_order_sends_created_and_updated_with_one_body_and_other_delivery_ids() {
    let world = World::new();
    world.shop.place(NewOrder::simple(Currency::parse("EUR").unwrap(), 1250, None)).unwrap();
    world.shop.deliver_due(world.target.as_ref()).await;
    let seen = world.target.seen.lock().unwrap().clone();
    let [created, updated] = &seen[..] else { panic!("{}", seen.len()) };
    assert_eq!(created.headers()["x-wc-webhook-topic"], "order.created");
    assert_eq!(updated.headers()["x-wc-webhook-topic"], "order.updated");
    assert_eq!(created.body(), updated.body());
    let id = "x-wc-webhook-delivery-id";
    assert_ne!(created.headers()[id], updated.headers()[id]);
}

#[tokio::test(start_paused = true)]
async fn two_deliveries_of_one_webhook_within_a_second_have_one_id() {
    let world = World::new();
    for _ in 0..2 {
        world.shop.place(NewOrder::simple(Currency::parse("EUR").unwrap(), 1250, None)).unwrap();
    }
    world.shop.deliver_due(world.target.as_ref()).await;
    let seen = world.target.seen.lock().unwrap().clone();
    let ids: Vec<_> = seen.iter().map(|r| r.headers()["x-wc-webhook-delivery-id"].clone()).collect();
    assert_eq!((ids.len(), &ids[0], &ids[1]), (4, &ids[2], &ids[3]));
    assert_ne!(seen[0].body(), seen[2].body());
}

#[tokio::test(start_paused = true)]
async fn two_changes_before_the_queue_runs_are_one_delivery_with_the_last_state() {
    let world = World::new();
    let id = world.order().await;
    world.put(&id, json!({"status": "on-hold"})).await;
    world.put(&id, json!({"status": "cancelled"})).await;
    let delivered = world.deliver().await;
    assert_eq!(delivered.len(), 1);
    assert_eq!(delivered[0].1["status"], "cancelled");
}

#[tokio::test(start_paused = true)]
async fn a_checkout_draft_made_by_rest_is_sent_as_created() {
    let world = World::new();
    let made = world.rest(
        "POST",
        "/orders",
        json!({"status": "checkout-draft", "line_items": [{"name": "Mug", "total": "12.50"}]}),
    );
    assert_eq!(made.await["status"], "checkout-draft");
    let delivered = world.deliver().await;
    assert_eq!(
        (delivered[0].0.as_str(), &delivered[0].1["status"]),
        ("order.created", &json!("checkout-draft"))
    );
}

#[tokio::test(start_paused = true)]
async fn every_write_over_rest_is_announced_but_a_note_is_not_and_moves_no_date() {
    let world = World::new();
    let id = world.order().await;
    let mut modified = world.get(&format!("/orders/{id}")).await["date_modified_gmt"].clone();
    for (n, (body, moves)) in [
        (json!({"meta_data": [{"key": "_k", "value": "1"}]}), true),
        (json!({"meta_data": [{"key": "_k", "value": "1"}]}), false),
        (json!({"status": "on-hold"}), true),
        (json!({"status": "pending"}), true),
        (json!({"set_paid": true}), true),
    ]
    .into_iter()
    .enumerate()
    {
        tokio::time::advance(Duration::from_secs(1)).await;
        let now = world.put(&id, body.clone()).await["date_modified_gmt"].clone();
        assert_eq!(now != modified, moves, "case {n}");
        assert_eq!(world.topics().await, UPDATED, "case {n}: {body}");
        modified = now;
    }
    tokio::time::advance(Duration::from_secs(1)).await;
    world
        .rest("POST", &format!("/orders/{id}/refunds"), json!({"amount": "2.50", "api_refund": false}))
        .await;
    assert_eq!(world.topics().await, UPDATED, "a refund");
    let refunded = world.get(&format!("/orders/{id}")).await["date_modified_gmt"].clone();
    tokio::time::advance(Duration::from_secs(1)).await;
    world.rest("POST", &format!("/orders/{id}/notes"), json!({"note": "hello"})).await;
    let same = world.put(&id, json!({"status": "processing"})).await;
    assert_eq!(
        (world.topics().await, &same["date_modified_gmt"]),
        (vec![], &refunded),
        "a note, and nothing"
    );
}

#[tokio::test(start_paused = true)]
async fn a_webhook_is_disabled_at_the_seventh_failure_in_a_row_and_set_active_again_over_rest() {
    let world = World::new();
    let id = world.order().await;
    *world.target.status.lock().unwrap() = 503;
    for n in 1..=7 {
        let total = format!("{n}.00");
        world.put(&id, json!({"line_items": [{"id": 1, "total": total}]})).await;
        assert_eq!(world.topics().await, UPDATED, "failure {n}: sent once, never again");
        let status = world.get("/webhooks").await[1]["status"].clone();
        assert_eq!(status, if n < 7 { "active" } else { "disabled" }, "after {n}");
    }
    *world.target.status.lock().unwrap() = 200;
    world.put(&id, json!({"status": "on-hold"})).await;
    assert_eq!(world.topics().await, [""; 0], "lost");
    assert_eq!(world.get("/webhooks").await[0]["status"], "active", "each webhook by itself");
    world.rest("PUT", "/webhooks/5", json!({"status": "active"})).await;
    world.put(&id, json!({"status": "pending"})).await;
    assert_eq!(world.topics().await, UPDATED, "the next event is delivered");
}

#[tokio::test(start_paused = true)]
async fn a_success_between_failures_counts_them_anew() {
    let world = World::new();
    let id = world.order().await;
    for n in 0..20_u16 {
        *world.target.status.lock().unwrap() = if n % 6 == 5 { 302 } else { 500 };
        world.put(&id, json!({"meta_data": [{"key": "n", "value": n}]})).await;
        world.deliver().await;
    }
    assert!(world.shop.woo_hooks().iter().all(|(_, status)| status == "active"));
}

#[tokio::test(start_paused = true)]
async fn set_paid_pays_what_is_pending_or_failed() {
    for status in ["pending", "failed"] {
        let world = World::new();
        let id = world.order().await;
        world.put(&id, json!({"status": status})).await;
        let paid = world.put(&id, json!({"set_paid": true, "transaction_id": "pi_1"})).await;
        assert_eq!((&paid["status"], &paid["transaction_id"]), (&json!("processing"), &json!("pi_1")));
        assert!(paid["date_paid_gmt"].is_string() && paid["needs_payment"] == false);
    }
}

#[tokio::test(start_paused = true)]
async fn set_paid_elsewhere_pays_nothing_but_writes_the_transaction_id_over_an_older_one() {
    for status in ["on-hold", "cancelled", "refunded"] {
        let world = World::new();
        let id = world.order().await;
        world.put(&id, json!({"status": status, "transaction_id": "old"})).await;
        let same = world.put(&id, json!({"set_paid": true, "transaction_id": "pi_1"})).await;
        assert_eq!((&same["status"], &same["date_paid_gmt"]), (&json!(status), &Value::Null));
        assert_eq!(same["transaction_id"], "pi_1");
    }
}

#[tokio::test(start_paused = true)]
async fn processing_with_set_paid_pays_an_order_on_hold() {
    let world = World::new();
    let id = world.order().await;
    world.put(&id, json!({"status": "on-hold"})).await;
    let paid =
        world.put(&id, json!({"status": "processing", "set_paid": true, "transaction_id": "pi_1"})).await;
    assert_eq!((&paid["status"], &paid["transaction_id"]), (&json!("processing"), &json!("pi_1")));
    assert!(paid["date_paid_gmt"].is_string());
}

#[tokio::test(start_paused = true)]
async fn a_full_refund_makes_the_order_refunded_and_a_part_leaves_it() {
    let world = World::new();
    let id = world.order().await;
    world.put(&id, json!({"set_paid": true})).await;
    let path = format!("/orders/{id}/refunds");
    world.rest("POST", &path, json!({"amount": "2.50", "reason": "Stain", "api_refund": false})).await;
    let part = world.get(&format!("/orders/{id}")).await;
    assert_eq!((&part["status"], &part["refunds"][0]["total"]), (&json!("processing"), &json!("-2.50")));
    assert_eq!(part["refunds"][0]["reason"], "Stain");
    world.rest("POST", &path, json!({"amount": "10.00", "api_refund": false})).await;
    assert_eq!(world.get(&format!("/orders/{id}")).await["status"], "refunded");
}

#[tokio::test(start_paused = true)]
async fn a_refund_that_cannot_be_is_a_500_that_is_a_refusal_and_makes_no_row() {
    let world = World::new();
    let id = world.order().await;
    let path = format!("/orders/{id}/refunds");
    let no = (500, "woocommerce_rest_cannot_create_order_refund".to_owned());
    let over = json!({"amount": "12.51", "api_refund": false});
    assert_eq!(world.refused("POST", &path, over).await, no, "more than what is left");
    assert_eq!(world.refused("POST", &path, json!({"amount": "5.00"})).await, no, "the gateway cannot");
    let negative = json!({"amount": "-5.00", "api_refund": false});
    assert_eq!(world.refused("POST", &path, negative).await.1, "woocommerce_rest_invalid_order_refund");
    assert_eq!(world.get(&path).await, json!([]));
}

#[tokio::test(start_paused = true)]
async fn totals_have_the_decimals_of_the_shop_and_a_units_price_is_a_float() {
    let world = World::new();
    world.shop.woo(|woo| {
        woo.decimals = Some(0);
        woo.tax_percent = 19;
    });
    let lines = json!([{"name": "Mug", "quantity": 3, "total": "37.50"}]);
    let huf = world.rest("POST", "/orders", json!({"currency": "HUF", "line_items": lines})).await;
    assert_eq!((&huf["total"], &huf["line_items"][0]["price"]), (&json!("45"), &json!(12.5)));
    let yen = NewOrder::simple(Currency::parse("JPY").unwrap(), 45, None);
    let yen = world.shop.place(yen).unwrap().id;
    assert_eq!(world.get(&format!("/orders/{yen}")).await["total"], "45");
    world.shop.woo(|woo| woo.decimals = Some(3));
    let kwd = world.rest("POST", "/orders", json!({"currency": "KWD", "line_items": lines})).await;
    assert_eq!(kwd["total"], "44.625");
}

#[tokio::test(start_paused = true)]
async fn the_shop_rounds_taxes_at_its_decimals() {
    for (decimals, total) in [(2, "44.63"), (0, "45")] {
        let world = World::new();
        world.shop.woo(|woo| {
            woo.decimals = Some(decimals);
            woo.tax_percent = 19;
        });
        let lines = json!([{"name": "Mug", "quantity": 3, "total": "37.50"}]);
        assert_eq!(world.rest("POST", "/orders", json!({"line_items": lines})).await["total"], total);
    }
}

#[tokio::test(start_paused = true)]
async fn a_changed_line_changes_the_total_and_is_announced_under_the_same_id() {
    let world = World::new();
    let id = world.order().await;
    let changed = world.put(&id, json!({"line_items": [{"id": 1, "quantity": 2}]})).await;
    assert_eq!((&changed["total"], changed["id"].to_string()), (&json!("25.00"), id));
    assert_eq!(world.topics().await, UPDATED);
}

#[tokio::test(start_paused = true)]
async fn errors_have_their_codes() {
    let world = World::new();
    let id = world.order().await;
    let path = format!("/orders/{id}");
    let code = |status: u16, code: &str| (status, code.to_owned());
    assert_eq!(
        world.refused("PUT", &path, json!({"status": "on-the-moon"})).await,
        code(400, "rest_invalid_param")
    );
    assert_eq!(
        world.refused("GET", "/orders/9", Value::Null).await,
        code(404, "woocommerce_rest_shop_order_invalid_id")
    );
    assert_eq!(
        world.refused("GET", "/orders?per_page=101", Value::Null).await,
        code(400, "rest_invalid_param")
    );
    assert_eq!(world.refused("GET", "/nothing", Value::Null).await, code(404, "rest_no_route"));
    for key in ["ck_test:cs_other", ""] {
        let (status, answer) = world.send("GET", &path, None, key).await;
        assert_eq!((status, &answer["code"]), (401, &json!("woocommerce_rest_cannot_view")));
    }
}

#[tokio::test(start_paused = true)]
async fn the_poll_takes_modified_after_with_several_orders_in_one_second_and_trims_its_fields() {
    let world = World::new();
    for _ in 0..3 {
        world.order().await;
    }
    tokio::time::advance(Duration::from_secs(5)).await;
    world.put("1001", json!({"status": "on-hold"})).await;
    let poll = "/orders?dates_are_gmt=true&orderby=modified&order=asc&per_page=2&_fields=id,date_modified_gmt&modified_after=";
    let first = world.get(&format!("{poll}2027-01-15T07:59:59")).await;
    assert_eq!(
        first,
        json!([{"id": 1002, "date_modified_gmt": "2027-01-15T08:00:00"}, {"id": 1003, "date_modified_gmt": "2027-01-15T08:00:00"}])
    );
    let after = world.get(&format!("{poll}2027-01-15T08:00:00")).await;
    assert_eq!(after[0]["id"], 1001, "its own second is left out");
    assert_eq!(world.get(&format!("{poll}2027-01-15T07:59:59&page=2")).await[0]["id"], 1001);
}

#[tokio::test(start_paused = true)]
async fn the_trash_sends_the_id_alone_and_a_status_brings_the_order_back() {
    let world = World::new();
    let id = world.order().await;
    world.rest("DELETE", &format!("/orders/{id}"), Value::Null).await;
    assert_eq!(world.deliver().await, [("order.deleted".to_owned(), json!({"id": 1001}))]);
    assert_eq!(world.get("/orders").await, json!([]));
    assert_eq!(world.get(&format!("/orders/{id}")).await["status"], "trash");
    world.put(&id, json!({"status": "pending"})).await;
    assert_eq!(world.deliver().await[0].1["status"], "pending");
    world.rest("DELETE", &format!("/orders/{id}?force=true"), Value::Null).await;
    assert_eq!(world.refused("GET", &format!("/orders/{id}"), Value::Null).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn what_staff_does_in_the_shop_moves_the_status_and_completing_sets_the_day_of_payment() {
    let world = World::new();
    let id = world.order().await;
    world.shop.fulfil(&id).unwrap();
    let book = world.shop.woo_book(&id).unwrap();
    assert_eq!(
        (book.status.as_str(), book.paid_at, book.completed_at),
        ("completed", Some(START), Some(START))
    );
}
