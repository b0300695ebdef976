//! Deliveries captured from a real WooCommerce, through the real receiver.
//!
//! Invariant: byte for byte; what they say is in `tests/fixtures/woocommerce/README.md`.

use bytes::Bytes;
use local::stack::Stack;
use serde_json::Value;
use shared::domain::ids::Function;
use shared::inbound::WebhookSecret;
use shared::lambda::HttpEvent;
use shared::queue::{Body, Message, Queue};
use shared::secrets::{MemoryStore, SecretString, Secrets};

use super::start;

/// A delivery captured from a real WooCommerce: its headers and its exact body.
fn captured(name: &str) -> (Vec<(String, String)>, Bytes) {
    let path = format!("{}/fixtures/woocommerce/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let whole: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let headers = whole["headers"].as_object().unwrap();
    let headers = headers.iter().map(|(k, v)| (k.to_lowercase(), v.as_str().unwrap().to_owned())).collect();
    (headers, Bytes::from(whole["body"].as_str().unwrap().to_owned()))
}

const CAPTURED: [(&str, Option<u64>); 6] = [
    ("02-order-created-taxed-coupon-fee", Some(1_795_232_294)),
    ("03-order-updated-amount-changed", Some(1_795_232_294)),
    ("04-order-updated-paid", Some(1_795_232_296)),
    ("05-order-updated-part-refunded", Some(1_795_232_297)),
    ("06-order-updated-cancelled-after-payment", Some(1_795_232_298)),
    ("07-order-deleted", None),
];

/// The receiver with the secret of the shop that was watched.
fn receiver(stack: &Stack) -> webhook_receiver::Deps {
    let store = MemoryStore::new([("shop-webhook-secret", "whsec_wc_dev_0001")]);
    let secrets = Secrets::of_captures(store, stack.clock.clone());
    let queue = stack.engine(Function::Cli).queue;
    webhook_receiver::Deps::new(stack.config.clone(), secrets, queue, stack.clock.clone())
}

async fn receive(deps: &webhook_receiver::Deps, headers: Vec<(String, String)>, body: Bytes) -> u16 {
    let request = HttpEvent::new("POST", "/webhooks/shop", headers, body);
    webhook_receiver::handle(deps, request).await.status
}

fn queued(stack: &Stack) -> Vec<Body> {
    let contents = stack.aws.light_queues().unwrap().contents();
    let bodies = contents.into_iter().filter(|(name, _)| name.ends_with(Queue::Orders.name()));
    bodies.map(|(_, text)| serde_json::from_str::<Message>(&text).unwrap().body).collect()
}

#[tokio::test(start_paused = true)]
async fn the_captured_deliveries_pass_the_real_receiver_byte_for_byte() {
    for (name, modified) in CAPTURED {
        let stack = start().await;
        let (headers, body) = captured(name);
        assert_eq!(receive(&receiver(&stack), headers, body.clone()).await, 200, "{name}");
        let hints = queued(&stack);
        let [Body::Order { source, order_id, version, event, sha256 }] = &hints[..] else {
            panic!("{name}: {hints:?}")
        };
        assert_eq!((source.as_str(), order_id.as_str(), *version), ("shop", "34", modified), "{name}");
        let hash = shared::inbound::sha256_hex(&body);
        assert_eq!((sha256.as_deref(), event.as_str()), (Some(hash.as_str()), &hash[..32]), "{name}");
        assert!(!format!("{hints:?}").contains("example.com"), "no contact data travels");
    }
}

#[tokio::test(start_paused = true)]
async fn a_captured_delivery_with_one_byte_or_its_signature_changed_is_refused() {
    let stack = start().await;
    let deps = receiver(&stack);
    for (name, _) in CAPTURED {
        let (headers, body) = captured(name);
        let mut altered = body.to_vec();
        let last = altered.len() - 2;
        altered[last] = b'5';
        assert_eq!(receive(&deps, headers.clone(), altered.into()).await, 400, "{name}: another body");
        let unsigned = headers.iter().filter(|(k, _)| k != "x-wc-webhook-signature").cloned().collect();
        assert_eq!(receive(&deps, unsigned, body).await, 400, "{name}: no signature");
    }
    assert_eq!(queued(&stack), []);
}

#[tokio::test(start_paused = true)]
async fn the_captured_ping_is_answered_200_and_says_nothing() {
    let stack = start().await;
    let (headers, body) = captured("01-activation-ping");
    assert_eq!(receive(&receiver(&stack), headers, body).await, 200);
    assert_eq!(queued(&stack), []);
}

#[tokio::test(start_paused = true)]
async fn what_is_signed_but_unreadable_is_parked_and_other_topics_are_unused() {
    let stack = start().await;
    let deps = receiver(&stack);
    let secret = WebhookSecret::text(&SecretString::from("whsec_wc_dev_0001")).unwrap();
    for (topic, body, parked) in [
        ("order.updated", r#"{"id":"zoe@example.com"}"#, 1),
        ("product.updated", r#"{"id":10}"#, 1),
        ("order.updated", "<html>", 2),
    ] {
        let signature = shared::inbound::woo::sign(&secret, body.as_bytes());
        let headers = vec![
            ("x-wc-webhook-topic".to_owned(), topic.to_owned()),
            ("x-wc-webhook-signature".to_owned(), signature),
        ];
        assert_eq!(receive(&deps, headers, body.into()).await, 200, "{body}");
        assert_eq!(queued(&stack).len(), parked, "{body}");
    }
    assert!(queued(&stack).iter().all(|b| matches!(b, Body::Parked { .. })));
}
