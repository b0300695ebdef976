//! The rows of Stripe's idempotency.

use std::time::Duration;

use local::stripe::{Fault, FaultMode};

use crate::bench::Bench;

const CREATE: &str = "amount=1000&currency=eur";

#[tokio::test(start_paused = true)]
async fn the_same_key_and_parameters_replay_the_answer_and_act_once() {
    let bench = Bench::new();
    let first = bench.keyed("/v1/payment_intents", CREATE, "k1").await;
    let again = bench.keyed("/v1/payment_intents", "currency=eur&amount=1000", "k1").await;
    assert_eq!(first.body, again.body);
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(again.headers["original-request"], first.headers["request-id"]);
    assert_eq!(bench.sim.ledger().intents.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_same_key_with_other_parameters_is_an_idempotency_error() {
    let bench = Bench::new();
    bench.keyed("/v1/payment_intents", CREATE, "k1").await;
    let other = bench.keyed("/v1/payment_intents", "amount=1001&currency=eur", "k1").await;
    assert_eq!((other.status, other.text("/error/type").as_str()), (400, "idempotency_error"));
}

#[tokio::test(start_paused = true)]
async fn a_decline_is_replayed_under_its_key() {
    let bench = Bench::new();
    let form = "amount=1000&currency=eur&allowed_payment_method_types[]=card&confirm=true&payment_method=pm_card_chargeDeclined";
    let first = bench.keyed("/v1/payment_intents", form, "k1").await;
    let again = bench.keyed("/v1/payment_intents", form, "k1").await;
    assert_eq!((first.status, again.status), (402, 402));
    assert_eq!(first.body, again.body);
    assert_eq!(bench.sim.ledger().charges.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_validation_failure_leaves_the_key_free() {
    let bench = Bench::new();
    let bad = bench.keyed("/v1/payment_intents", "amount=1000", "k1").await;
    assert_eq!((bad.status, bad.text("/error/code").as_str()), (400, "parameter_missing"));
    assert_eq!(bench.keyed("/v1/payment_intents", CREATE, "k1").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_500_after_the_effect_is_stored_and_replayed() {
    let bench = Bench::new();
    bench.sim.add_fault(Fault::once(http::Method::POST, "/v1/payment_intents", FaultMode::ErrorAfter));
    let first = bench.keyed("/v1/payment_intents", CREATE, "k1").await;
    let again = bench.keyed("/v1/payment_intents", CREATE, "k1").await;
    assert_eq!((first.status, again.status), (500, 500));
    assert_eq!(bench.sim.ledger().intents.len(), 1);
    // Only after the key was forgotten does it act again.
    bench.wait(24 * 3600).await;
    assert_eq!(bench.keyed("/v1/payment_intents", CREATE, "k1").await.status, 200);
    assert_eq!(bench.sim.ledger().intents.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_500_before_the_effect_executes_on_retry() {
    let bench = Bench::new();
    bench.sim.add_fault(Fault::once(http::Method::POST, "/v1/payment_intents", FaultMode::ErrorBefore));
    assert_eq!(bench.keyed("/v1/payment_intents", CREATE, "k1").await.status, 500);
    assert_eq!(bench.sim.ledger().intents.len(), 0);
    assert_eq!(bench.keyed("/v1/payment_intents", CREATE, "k1").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_key_in_use_is_a_conflict_that_may_be_retried() {
    let bench = Bench::new();
    bench.sim.add_fault(Fault::once(http::Method::POST, "/v1/payment_intents", FaultMode::Slow(1000)));
    let slow = bench.keyed("/v1/payment_intents", CREATE, "k1");
    let second = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        bench.keyed("/v1/payment_intents", CREATE, "k1").await
    };
    let (slow, second) = tokio::join!(slow, second);
    assert_eq!((second.status, second.text("/error/code").as_str()), (409, "idempotency_key_in_use"));
    assert_eq!(second.headers["stripe-should-retry"], "true");
    assert_eq!(slow.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_get_ignores_the_key() {
    let bench = Bench::new();
    let intent = bench.post("/v1/payment_intents", CREATE).await.id();
    let path = format!("/v1/payment_intents/{intent}");
    let headers = [("Idempotency-Key", "k1")];
    bench.send("GET", &path, "", &headers).await;
    assert!(bench.send("GET", &path, "", &headers).await.headers.get("idempotent-replayed").is_none());
}
