//! What the documentation leaves open and the simulator decides: fees, scripts of a card, the dashboard, payouts. What the
//! documentation says is asked of it row by row in `tests/conformance`.

use local::stripe::bench::Bench;
use local::stripe::{CardOutcome, Reason};

#[tokio::test(start_paused = true)]
async fn a_capture_that_is_asynchronous_gets_its_balance_transaction_later() {
    let bench = Bench::new();
    let form = "amount=1000&currency=eur&allowed_payment_method_types[]=card&confirm=true&payment_method=pm_card_visa";
    let charge = bench.post("/v1/payment_intents", form).await.text("/latest_charge");
    let path = format!("/v1/charges/{charge}");
    assert_eq!(bench.get(&path, "").await.text("/balance_transaction"), "null");
    bench.wait(3).await;
    let settled = bench.get(&path, "expand[]=balance_transaction").await;
    assert_eq!(
        (settled.number("/balance_transaction/fee"), settled.number("/balance_transaction/net")),
        (59, 941)
    );
    assert_eq!(bench.events().last().map(String::as_str), Some("charge.updated"));
}

#[tokio::test(start_paused = true)]
async fn a_saved_card_does_what_the_script_says_and_then_what_it_is() {
    let bench = Bench::new();
    let customer = bench.post("/v1/customers", "email=a@b.test").await.id();
    let pm =
        bench.post("/v1/payment_methods/pm_card_visa/attach", &format!("customer={customer}")).await.id();
    bench.sim.set_card_behaviour(&pm, vec![CardOutcome::Decline(Reason::InsufficientFunds)]);
    let form = format!(
        "amount=1000&currency=eur&allowed_payment_method_types[]=card&customer={customer}&payment_method={pm}"
    );
    let intent = bench.post("/v1/payment_intents", &form).await.id();
    let path = format!("/v1/payment_intents/{intent}/confirm");
    let soft = bench.post(&path, "off_session=true").await;
    assert_eq!((soft.status, soft.text("/error/decline_code").as_str()), (402, "insufficient_funds"));
    let recovered = bench.post(&path, &format!("off_session=true&payment_method={pm}")).await;
    assert_eq!(recovered.text("/status"), "succeeded");
    assert_eq!(bench.sim.ledger().charges.len(), 2);
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

#[tokio::test(start_paused = true)]
async fn a_payout_lists_what_it_paid() {
    let bench = Bench::new();
    bench.paid("pm_card_visa", 1000).await;
    assert!(bench.sim.create_payout("eur").is_none(), "nothing is available yet");
    bench.wait(3 * 86_400).await;
    let payout = bench.sim.create_payout("eur").unwrap();
    let rows = bench.get("/v1/balance_transactions", &format!("payout={payout}&type=charge")).await;
    assert_eq!(
        rows.number("/data/0/net"),
        bench.get(&format!("/v1/payouts/{payout}"), "").await.number("/amount")
    );
    bench.wait(2 * 86_400 + 1).await;
    assert_eq!(bench.get(&format!("/v1/payouts/{payout}"), "").await.text("/status"), "paid");
}

#[tokio::test(start_paused = true)]
async fn there_is_no_customer_without_its_card() {
    let bench = Bench::new();
    let refused = bench.post("/v1/customers", "payment_method=pm_card_visa_chargeDeclinedLostCard").await;
    assert_eq!((refused.status, bench.sim.ledger().customers.len()), (402, 0));
}
