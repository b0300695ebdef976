//! Unsigned webhooks: who gets in, what is kept, and what is found although nobody told.

use bytes::Bytes;
use local::stack::local_secrets;
use serde_json::json;

use super::*;

async fn post(stack: &Stack, secret: Option<&str>, body: &str) -> u16 {
    let part = secret.map(|s| format!("/{s}")).unwrap_or_default();
    let url = format!("{}/webhooks/shop{part}", stack.bases.webhooks);
    let request = http::Request::post(url).body(Bytes::from(body.to_owned())).unwrap();
    let answer = stack.http.send(request, std::time::Duration::from_secs(10)).await.unwrap();
    answer.status().as_u16()
}

fn secret() -> String {
    local_secrets::webhook_of("shop", Speaks::Checkfront)
}

#[tokio::test(start_paused = true)]
async fn only_the_secret_path_and_the_accounts_own_host_get_in() {
    let stack = start().await;
    stack.shop.set(|knobs| knobs.lose_notices = 9);
    let id = stack.shop.place(simple(4830)).unwrap().id;
    let body = |host: &str| json!({"@attributes": {"host": host}, "booking": {"code": id}}).to_string();
    let (ours, other) = (body("127.0.0.1"), body("rival.checkfront.com"));
    assert_eq!(post(&stack, None, &ours).await, 404);
    assert_eq!(post(&stack, Some("guess-of-at-least-24-bytes-length"), &ours).await, 400);
    assert_eq!(post(&stack, Some(&secret()), &other).await, 400);
    stack.settle().await.unwrap();
    assert!(told(&stack, &id).is_none(), "nothing was read, nothing was written");
    assert_eq!(post(&stack, Some(&secret()), &ours).await, 200);
    stack.settle().await.unwrap();
    assert_eq!(told(&stack, &id), Some(S::AwaitingPayment));
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_lies_about_a_payment_moves_nothing() {
    let stack = start().await;
    let id = place(&stack, simple(4830)).await;
    let lie = json!({"host": "127.0.0.1", "type": "transaction", "action": "insert", "transaction": {
        "transaction_id": "1", "status": "PAID", "amount": "48.30", "booking_id": id}});
    assert_eq!(post(&stack, Some(&secret()), &lie.to_string()).await, 200);
    stack.settle().await.unwrap();
    assert_eq!((told(&stack, &id), book(&stack, &id).paid()), (Some(S::AwaitingPayment), 0));
}

#[tokio::test(start_paused = true)]
async fn xml_is_kept_and_says_what_to_choose() {
    let stack = start().await;
    assert_eq!(post(&stack, Some(&secret()), "<checkfront-notify/>").await, 200);
    stack.settle().await.unwrap();
    let text = format!("{:?}", stack.engine(Function::Cli).store.parked().await.unwrap());
    assert!(text.contains("choose JSON"), "{text}");
}

/// Five failures switch the webhook off, nothing is sent again and nobody is told: the listing finds what happened.
#[tokio::test(start_paused = true)]
async fn a_webhook_that_was_switched_off_is_made_up_for_by_the_listing() {
    let stack = start().await;
    pass(&stack, Seconds::minutes(6)).await;
    stack.shop.checkfront(|account| account.hook_disabled = true);
    let id = place(&stack, simple(4830)).await;
    assert!(told(&stack, &id).is_none());
    pass(&stack, Seconds::minutes(6)).await;
    assert_eq!(told(&stack, &id), Some(S::AwaitingPayment));
    pay(&stack, &id).await;
    assert_eq!(paid_by(&stack, &id), pos(4830));
}

/// Cancelled and taken back: the last webhook has the very body of an earlier one. The listing has no times either.
#[tokio::test(start_paused = true)]
async fn a_state_that_went_and_came_back_is_found() {
    let stack = start().await;
    let id = place(&stack, simple(4830)).await;
    stack.shop.set_status(&id, "STOP").unwrap();
    stack.settle().await.unwrap();
    assert_eq!(told(&stack, &id), Some(S::Cancelled));
    stack.shop.set_status(&id, "PEND").unwrap();
    stack.settle().await.unwrap();
    pass(&stack, Seconds::minutes(20)).await;
    assert_eq!(told(&stack, &id), Some(S::AwaitingPayment));
    pay(&stack, &id).await;
    assert_eq!(paid_by(&stack, &id), pos(4830));
}

#[tokio::test(start_paused = true)]
async fn a_long_listing_is_read_to_its_last_page_although_the_account_asks_to_slow_down() {
    let stack = start().await;
    stack.shop.set(|knobs| knobs.lose_notices = 1000);
    let ids: Vec<String> = (0..130).map(|_| stack.shop.place(euros(1000, None)).unwrap().id).collect();
    stack.shop.set(|knobs| knobs.lose_notices = 0);
    stack.shop.checkfront(|account| account.throttle = 2);
    pass(&stack, Seconds::minutes(30)).await;
    let untold: Vec<&String> = ids.iter().filter(|id| told(&stack, id).is_none()).collect();
    assert!(untold.is_empty(), "{} of 130: {untold:?}", untold.len());
}
