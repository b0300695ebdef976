//! Webhooks of a store: who gets in, what is kept, and what is found although nobody told.

use bytes::Bytes;
use local::stack::local_secrets;
use serde_json::json;

use super::*;

/// Signed by the app's client secret, as the store of that domain sends it.
async fn post(stack: &Stack, domain: &str, topic: &str, secret: &str, body: &str) -> u16 {
    let signature = signature(secret, body);
    let request = http::Request::post(format!("{}/webhooks/shop", stack.bases.webhooks))
        .header("X-Shopify-Topic", topic)
        .header("X-Shopify-Hmac-SHA256", signature)
        .header("X-Shopify-Shop-Domain", domain)
        .header("X-Shopify-Event-Id", "event-1")
        .body(Bytes::from(body.to_owned()))
        .unwrap();
    let answer = stack.http.send(request, std::time::Duration::from_secs(10)).await.unwrap();
    answer.status().as_u16()
}

fn signature(secret: &str, body: &str) -> String {
    local::shop::shopify::sign(secret, body.as_bytes()).unwrap()
}

fn domain(stack: &Stack) -> String {
    stack.bases.shop.trim_start_matches("http://").to_owned()
}

fn secret() -> String {
    local_secrets::webhook_of("shop", Speaks::Shopify)
}

#[tokio::test(start_paused = true)]
async fn only_what_the_apps_secret_signed_for_this_store_gets_in() {
    let stack = start().await;
    stack.shop.set(|knobs| knobs.lose_notices = 1);
    let id = stack.shop.place(simple(4830)).unwrap().id;
    let (ours, body) = (domain(&stack), format!("{{\"id\":{id}}}"));
    assert_eq!(post(&stack, &ours, "orders/updated", "a guess of at least 16 bytes", &body).await / 100, 4);
    assert_eq!(post(&stack, "rival.myshopify.com", "orders/updated", &secret(), &body).await / 100, 4);
    stack.settle().await.unwrap();
    assert_eq!(told(&stack, &id), None, "nothing was read, nothing was written");
    assert_eq!(post(&stack, &ours, "orders/updated", &secret(), &body).await, 200);
    stack.settle().await.unwrap();
    assert_eq!(told(&stack, &id), Some(S::AwaitingPayment));
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_lies_about_a_payment_moves_nothing() {
    let stack = start().await;
    let id = place(&stack, simple(4830)).await;
    let lie = json!({"id": id.parse::<u64>().unwrap(), "financial_status": "paid", "total_outstanding": "0.00", "updated_at": "2026-09-21T10:13:20-04:00"});
    assert_eq!(post(&stack, &domain(&stack), "orders/paid", &secret(), &lie.to_string()).await, 200);
    stack.settle().await.unwrap();
    assert_eq!((told(&stack, &id), movements(&stack, &id)), (Some(S::AwaitingPayment), vec![]));
}

#[tokio::test(start_paused = true)]
async fn what_is_signed_and_unreadable_is_kept_and_what_is_not_for_us_is_only_acknowledged() {
    let stack = start().await;
    let ours = domain(&stack);
    for topic in ["customers/data_request", "customers/redact", "shop/redact", "app/uninstalled"] {
        assert_eq!(post(&stack, &ours, topic, &secret(), "{\"shop_id\":1}").await, 200, "{topic}");
    }
    stack.settle().await.unwrap();
    assert!(stack.engine(Function::Cli).store.parked().await.unwrap().is_empty());
    assert_eq!(post(&stack, &ours, "orders/updated", &secret(), "{\"id\":\"buyer@example.com\"}").await, 200);
    stack.settle().await.unwrap();
    let kept = format!("{:?}", stack.engine(Function::Cli).store.parked().await.unwrap());
    assert!(kept.contains("id is missing or no order's number") && !kept.contains("buyer@"), "{kept}");
}

/// Eight failures delete a subscription; the hourly look makes it anew, and the listing finds what happened meanwhile.
#[tokio::test(start_paused = true)]
async fn a_subscription_that_was_deleted_is_made_anew_within_the_hour() {
    let stack = start().await;
    pass(&stack, Seconds::minutes(10)).await;
    let topics = || stack.shop.subscriptions().into_iter().map(|s| s.topic).collect::<Vec<_>>();
    let all = topics();
    stack.shop.unsubscribe();
    assert!(topics().is_empty());
    let id = stack.shop.place(simple(4830)).unwrap().id;
    pass(&stack, Seconds::minutes(6)).await;
    assert_eq!(told(&stack, &id), Some(S::AwaitingPayment), "the listing found it");
    pass(&stack, Seconds::hours(1)).await;
    assert_eq!(topics(), all);
    stack.shop.change_total(&id, 5000).unwrap();
    stack.settle().await.unwrap();
    assert_eq!(stack.shop.order(&id).unwrap().payment.unwrap().amount_due, 5000, "a webhook told");
}
