//! A secret is rotated while webhooks come in and calls go out: nothing is refused that was rightly signed, and nothing is
//! lost.

use bytes::Bytes;
use http::Method;
use local::shop::Speaks;
use local::stack::{Stack, local_secrets};
use serde_json::Value;
use shared::domain::time::Seconds;
use shared::domain::view::PaymentStatus as S;
use shared::inbound::{WebhookSecret, standard_webhooks};
use shared::secrets::SecretString;

use super::kit::*;
use crate::stories::{euros, notice, repeat_stripe};

fn rolled() -> String {
    ["whsec", "rolled_secret_of_the_local_simulator"].join("_")
}

/// `tandem secrets put NAME < FILE`.
fn put(stack: &Stack, name: &str, value: &str) {
    stack.aws.ssm().put_secret(&format!("/tandem/demo/{name}"), value, stack.clock.now());
}

async fn dashboard(stack: &Stack, method: Method, path: &str) -> Value {
    let request = http::Request::builder()
        .method(method)
        .uri(format!("{}{path}", stack.bases.stripe))
        .header("authorization", format!("Bearer {}", local_secrets::stripe_key()))
        .body(Bytes::new())
        .unwrap();
    let answer = stack.http.send(request, std::time::Duration::from_secs(10)).await.unwrap();
    assert!(answer.status().is_success(), "{answer:?}");
    serde_json::from_slice(answer.body()).unwrap()
}

/// Stripe signs with these from now on.
async fn signs_with(stack: &Stack, secrets: &[&str]) {
    let listed = dashboard(stack, Method::GET, "/v1/webhook_endpoints").await;
    for endpoint in listed["data"].as_array().unwrap() {
        let path = format!("/v1/webhook_endpoints/{}", endpoint["id"].as_str().unwrap());
        dashboard(stack, Method::DELETE, &path).await;
    }
    stack.sim.add_webhook_endpoint(&format!("{}/webhooks/stripe", stack.bases.webhooks), secrets, &[]);
}

/// Every event was acknowledged at its first delivery.
fn all_taken(stack: &Stack) {
    assert_eq!(stack.sim.next_delivery_at(), None, "a webhook was not acknowledged");
}

#[tokio::test(start_paused = true)]
async fn stripe_s_signing_secret_is_rolled_while_buyers_pay_and_no_webhook_is_refused() {
    let stack = stack().await;
    let (old, new) = (local_secrets::stripe_webhook(), rolled());
    let mut ends = Ends::default();
    let mut buy = async |amount: i64| {
        let id = paid(&stack, euros(amount, None)).await;
        all_taken(&stack);
        ends.must(&id, S::Paid, amount, 0);
        ends.hold(&stack);
    };
    buy(1_000).await;
    // Rolled in the dashboard: for some hours Stripe signs with both.
    signs_with(&stack, &[&new, &old]).await;
    buy(2_000).await;
    put(&stack, "stripe-webhook-secret", &new);
    buy(3_000).await;
    pass(&stack, Seconds::minutes(6), None).await;
    buy(4_000).await;
    signs_with(&stack, &[&new]).await;
    buy(5_000).await;
    let event = stack.sim.ledger().events.pop().unwrap();
    assert_eq!(repeat_stripe(&stack, &event).await, 400, "the old secret opens nothing any more");
}

#[tokio::test(start_paused = true)]
async fn a_secret_rolled_at_once_is_found_at_the_first_signature_that_does_not_match() {
    let stack = stack().await;
    let mut ends = Ends::default();
    let id = paid(&stack, euros(1_000, None)).await;
    ends.must(&id, S::Paid, 1_000, 0);
    pass(&stack, Seconds::minutes(2), None).await;
    // The receiver still keeps the old one.
    signs_with(&stack, &[&rolled()]).await;
    put(&stack, "stripe-webhook-secret", &rolled());
    let id = paid(&stack, euros(2_000, None)).await;
    all_taken(&stack);
    ends.must(&id, S::Paid, 2_000, 0);
    ends.hold(&stack);
}

#[tokio::test(start_paused = true)]
async fn the_shop_signs_with_both_secrets_while_its_own_is_rotated() {
    let stack = stack().await;
    stack.shop.set(|knobs| knobs.lose_notices = u32::MAX);
    let old = local_secrets::shop_webhook();
    // Another one of the shape that the shop's secrets have.
    let new = local_secrets::webhook_of("shop", Speaks::Checkout);
    let both = async |id: &str, delivery: &str| {
        let (now, body) = (stack.clock.now(), body(id));
        let one = |secret: &str| {
            let secret = WebhookSecret::standard(&SecretString::from(secret.to_owned())).unwrap();
            standard_webhooks::sign(&secret, delivery, now, body.as_bytes())
        };
        let request = http::Request::post(format!("{}/webhooks/shop", stack.bases.webhooks))
            .header(standard_webhooks::ID_HEADER, delivery)
            .header(standard_webhooks::TIMESTAMP_HEADER, now.0)
            .header(standard_webhooks::SIGNATURE_HEADER, format!("{} {}", one(&new), one(&old)))
            .body(Bytes::from(body))
            .unwrap();
        stack.http.send(request, std::time::Duration::from_secs(10)).await.unwrap().status().as_u16()
    };
    let first = place(&stack, euros(1_000, None));
    assert_eq!(both(&first, "msg_1").await, 200);
    put(&stack, "shop-webhook-secret", &new);
    let second = place(&stack, euros(2_000, None));
    assert_eq!(both(&second, "msg_2").await, 200);
    pass(&stack, Seconds::minutes(6), None).await;
    let third = place(&stack, euros(3_000, None));
    assert_eq!(both(&third, "msg_3").await, 200);
    let fourth = place(&stack, euros(4_000, None));
    assert_eq!(notice(&stack, new.clone(), "msg_4", &body(&fourth)).await, 200);
    assert_eq!(notice(&stack, old.clone(), "msg_5", &body(&fourth)).await, 400);
    stack.settle().await.unwrap();
    for id in [first, second, third, fourth] {
        assert_eq!(shown(&stack, &id), Some(S::AwaitingPayment));
    }
}

fn body(id: &str) -> String {
    format!(r#"{{"type":"order.created","data":{{"id":"{id}","version":1}}}}"#)
}

#[tokio::test(start_paused = true)]
async fn a_leaked_stripe_key_is_deleted_first_and_calls_wait_for_the_new_one() {
    let stack = stack().await;
    let mut ends = Ends::default();
    // Deleted at Stripe: it answers 401 to what the functions still hold.
    let leaked = ["sk", "test", "leaked", "and", "deleted"].join("_");
    for function in ["payment-creator", "refund-processor"] {
        put(&stack, &format!("stripe-key-{function}"), &leaked);
    }
    let waiting = place(&stack, euros(1_000, Some("anna")));
    stack.settle().await.unwrap();
    pass(&stack, Seconds::minutes(20), Some(SWEEP_EVERY)).await;
    assert!(stack.pay_link(&waiting).is_err() || stack.sim.ledger().sessions.is_empty());
    for function in ["payment-creator", "refund-processor"] {
        put(&stack, &format!("stripe-key-{function}"), &local_secrets::stripe_key());
    }
    pass(&stack, Seconds::hours(2), Some(SWEEP_EVERY)).await;
    pay(&stack, &waiting).await;
    stack.settle().await.unwrap();
    ends.must(&waiting, S::Paid, 1_000, 0);
    ends.hold(&stack);
    assert_eq!(stack.sim.ledger().customers.len(), 1);
}
