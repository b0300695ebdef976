//! Whose business is not ours: other systems on the same account, and bad records among good ones.

use local::stack::Stack;
use shared::domain::time::Seconds;
use shared::domain::view::PaymentStatus as S;
use shared::queue::Queue;

use super::kit::*;
use crate::metrics::Counted;
use crate::stories::{GOOD, euros, paid};

fn counted(metrics: &Counted, name: &str) -> u64 {
    metrics.values().map(|m| m.total_of(name, "Source", "stripe")).sum()
}

/// `POST`s to Stripe so far.
fn writes(stack: &Stack) -> u64 {
    stack.sim.ledger().calls.iter().filter(|((method, _), _)| method == "POST").map(|(_, n)| n).sum()
}

#[tokio::test(start_paused = true)]
async fn payments_of_other_systems_on_the_account_are_acknowledged_counted_and_left_alone() {
    let (stack, metrics) = watched().await;
    let ours = paid(&stack, euros(1_250, Some("anna"))).await;
    let before = stack.shop.record();
    let foreign = charge_elsewhere(&stack, 7_700, None).await;
    // Another installation with the same order number, on the same account.
    charge_elsewhere(&stack, 8_800, Some(&format!("staging#checkout#shop#{ours}"))).await;
    stack.sim.refund(foreign["latest_charge"].as_str().unwrap(), Some(100)).unwrap();
    let made = writes(&stack);
    let stats = stack.settle().await.unwrap();
    assert!(stats.messages > 0 && stats.failed == 0, "acknowledged: {stats:?}");
    pass(&stack, Seconds::minutes(30)).await;
    assert_eq!(writes(&stack), made, "nothing was done to them");
    let after = stack.shop.record();
    assert_eq!((&before.orders, before.notices.len()), (&after.orders, after.notices.len()));
    ends(&stack, &ours, S::Paid, 1_250, 0, "our own order");
    // Each payment's event, and the refund's.
    assert!(counted(&metrics, "Foreign") >= 3, "{}", counted(&metrics, "Foreign"));
}

#[tokio::test(start_paused = true)]
async fn a_payment_that_names_a_shop_nobody_configured_is_kept_for_a_person_and_counted() {
    let (stack, metrics) = watched().await;
    charge_elsewhere(&stack, 900, Some("demo#checkout#closed-shop#1001")).await;
    let stats = stack.settle().await.unwrap();
    assert!(stats.messages > 0 && stats.failed == 0, "acknowledged: {stats:?}");
    assert!(counted(&metrics, "Unowned") >= 1);
    let ledger = stack.sim.ledger();
    assert_eq!((ledger.money["eur"].captured, ledger.money["eur"].refunded), (900, 0));
    assert!(stack.shop.record().orders.is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_poison_record_among_good_ones_is_parked_or_given_up_and_holds_up_nobody() {
    let stack = start().await;
    let sqs = shared::aws::sqs(&stack.aws.sdk_config());
    let url = &stack.config.resources.queue_urls[Queue::Orders.name()];
    // No JSON, no message of ours, an order whose shop does not know it, a body without an id.
    let unknown = r#"{"v":1,"corr":"c","kind":"order","source":"nobody","order_id":"1","event":"m"}"#;
    for poison in ["{", r#"{"v":1,"corr":"c","kind":"surprise"}"#, unknown] {
        sqs.send_message().queue_url(url).message_body(poison).send().await.unwrap();
    }
    assert_eq!(
        send_stripe(&stack, &serde_json::json!({ "id": "evt_1NoType", "object": "event" })).await,
        200
    );
    let mut good = Vec::new();
    for _ in 0..7 {
        good.push(stack.shop.place(euros(1_000, None)).unwrap().id);
    }
    let stats = stack.settle().await.unwrap();
    assert_eq!((stats.failed, stats.panics), (3, 0), "each poison fails alone");
    for id in &good {
        assert!(stack.pay_link(id).is_ok(), "order {id} waits behind the poison");
    }
    for _ in 0..9 {
        stack.advance(Seconds(185), None).await.unwrap();
    }
    assert_eq!(dead_letters(&stack, Queue::Orders).await, 3, "kept for a person");
    let parked = stack.engine(shared::domain::ids::Function::Cli).store.parked().await.unwrap();
    assert_eq!(parked.iter().map(|(_, p)| p.id.as_str()).collect::<Vec<_>>(), ["evt_1NoType"]);
    stack.pay(&good[6], GOOD).await.unwrap();
    stack.settle().await.unwrap();
    ends(&stack, &good[6], S::Paid, 1_000, 0, "behind the poison");
}
