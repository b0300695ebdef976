//! Refunds: partial, too much, pending, failing.

use crate::bench::Bench;

#[tokio::test(start_paused = true)]
async fn partial_refunds_add_up_and_never_exceed_what_was_captured() {
    let bench = Bench::new();
    let intent = bench.paid("pm_card_visa", 1000).await;
    let form = |amount: i64| {
        format!("payment_intent={}&amount={amount}&metadata[tandem_request]=r", intent.text("/id"))
    };
    assert_eq!(bench.post("/v1/refunds", &form(400)).await.text("/status"), "succeeded");
    let over = bench.post("/v1/refunds", &form(601)).await;
    assert_eq!((over.status, over.text("/error/param").as_str()), (400, "amount"));
    assert_eq!(bench.post("/v1/refunds", &form(600)).await.status, 200);
    assert_eq!(bench.post("/v1/refunds", &form(1)).await.text("/error/code"), "charge_already_refunded");
    let charge = bench.get(&format!("/v1/charges/{}", intent.text("/latest_charge")), "").await;
    assert_eq!((charge.number("/amount_refunded"), charge.text("/refunded").as_str()), (1000, "true"));
    let listed = bench.get("/v1/refunds", &format!("charge={}", intent.text("/latest_charge"))).await;
    assert_eq!(listed.ids().len(), 2);
    assert_eq!(listed.text("/data/0/metadata/tandem_request"), "r");
}

#[tokio::test(start_paused = true)]
async fn a_pending_refund_succeeds_later() {
    let bench = Bench::new();
    let intent = bench.paid("pm_card_pendingRefund", 1000).await;
    let refund = bench.post("/v1/refunds", &format!("payment_intent={}", intent.text("/id"))).await;
    assert_eq!(
        (refund.text("/status").as_str(), refund.text("/balance_transaction").as_str()),
        ("pending", "null")
    );
    bench.wait(61).await;
    assert_eq!(bench.get(&format!("/v1/refunds/{}", refund.id()), "").await.text("/status"), "succeeded");
    assert_eq!(bench.events().last().map(String::as_str), Some("refund.updated"));
}

#[tokio::test(start_paused = true)]
async fn a_refund_that_succeeded_can_fail_and_the_money_is_refundable_again() {
    let bench = Bench::new();
    let intent = bench.paid("pm_card_refundFail", 1000).await;
    let form = format!("payment_intent={}", intent.text("/id"));
    let refund = bench.post("/v1/refunds", &form).await;
    assert_eq!(refund.text("/status"), "succeeded");
    bench.wait(61).await;
    let failed = bench.get(&format!("/v1/refunds/{}", refund.id()), "").await;
    assert_eq!(
        (failed.text("/status").as_str(), failed.text("/failure_reason").as_str()),
        ("failed", "expired_or_canceled_card")
    );
    assert_eq!(bench.events().last().map(String::as_str), Some("refund.failed"));
    assert_eq!(bench.sim.ledger().money["eur"].refunded, 0);
    assert_eq!(bench.post("/v1/refunds", &form).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_captured_cannot_be_refunded() {
    let bench = Bench::new();
    let form = "amount=1000&currency=eur&allowed_payment_method_types[]=card&confirm=true&payment_method=pm_card_visa&capture_method=manual";
    let id = bench.post("/v1/payment_intents", form).await.id();
    let refund = bench.post("/v1/refunds", &format!("payment_intent={id}")).await;
    assert_eq!(refund.text("/error/code"), "charge_not_refundable");
    assert_eq!(bench.post("/v1/refunds", "amount=1").await.text("/error/code"), "parameter_missing");
}

#[tokio::test(start_paused = true)]
async fn a_refund_from_the_dashboard_has_nothing_of_ours() {
    let bench = Bench::new();
    let intent = bench.paid("pm_card_visa", 1000).await;
    let id = bench.sim.refund(&intent.text("/latest_charge"), Some(250)).unwrap();
    let refund = bench.get(&format!("/v1/refunds/{id}"), "").await;
    assert_eq!(
        (refund.number("/amount"), refund.body["metadata"].as_object().map(serde_json::Map::len)),
        (250, Some(0))
    );
    let event = bench.get("/v1/events", "type=refund.created").await;
    assert_eq!(event.text("/data/0/request/id"), "null");
}
