//! A refusal at each call that moves money, of the kinds that the simulation does not cut with: the order ends the same, with one charge and one refund.
//!
//! Invariant: the end is judged by the simulator's ledger and the shop's record, never by our tables.

use http::Method;
use local::shop::NewOrder;
use local::stack::Stack;
use local::stripe::{Fault, FaultMode};
use shared::domain::ids::Function;
use shared::domain::order::CaptureMode;
use shared::domain::time::Seconds;
use shared::domain::view::PaymentStatus;

use crate::stories::{GOOD, automatic, euros, paid, place, start};

/// What the sweeps of tests/sim do not have; the other kinds they put at every call.
fn modes() -> Vec<FaultMode> {
    vec![FaultMode::Unreachable, FaultMode::LockTimeout, FaultMode::KeyExpired]
}

/// Lets schedules, redeliveries and the sweeper do what they do in `span`.
async fn pass(stack: &Stack, span: Seconds) {
    stack.advance(span, Some(Seconds::minutes(10))).await.unwrap();
}

fn strike(stack: &Stack, path: &str, mode: &FaultMode, times: u32) {
    stack.sim.add_fault(Fault { times, ..Fault::once(Method::POST, path, mode.clone()) });
}

async fn pay_open(stack: &Stack, id: &str) {
    let said = stack.pay(id, GOOD).await;
    said.unwrap_or_else(|e| panic!("order {id} cannot be paid: {e}"));
    stack.settle().await.unwrap();
}

async fn ends(stack: &Stack, id: &str, status: PaymentStatus, captured: i64, refunded: i64, what: &str) {
    let key = stack.key(id).unwrap();
    let ledger = stack.sim.ledger();
    let charges: Vec<_> = ledger.captured_for(key.as_str()).collect();
    let back: i64 = charges
        .iter()
        .flat_map(|c| ledger.refunds_of(&c.id))
        .filter(|r| r.reason.as_deref() != Some("expired_uncaptured_charge"))
        .map(|r| r.amount)
        .sum();
    let taken: i64 = charges.iter().map(|c| c.amount_captured).sum();
    assert_eq!((charges.len(), taken, back), (1, captured, refunded), "{what}: Stripe's ledger");
    let view = stack.shop.order(id).unwrap().payment.unwrap_or_else(|| panic!("{what}: told nothing"));
    assert_eq!(
        (view.status, view.amount_captured, view.amount_refunded),
        (status, captured, refunded),
        "{what}"
    );
    let item = stack.engine(Function::Cli).store.load(&key).await.unwrap();
    assert!(item.facts.len() < 60, "{what}: {} facts: it went in circles", item.facts.len());
    assert!(item.claims.is_empty(), "{what}: {:?}", item.claims.keys());
}

#[tokio::test(start_paused = true)]
async fn a_page_order_survives_one_fault_of_any_kind_at_any_call() {
    for path in ["/v1/customers", "/v1/checkout/sessions", "/v1/refunds"] {
        for mode in modes() {
            let what = format!("{mode:?} at {path}");
            let stack = start().await;
            strike(&stack, path, &mode, 1);
            let id = place(&stack, euros(1250, Some("anna"))).await;
            pass(&stack, Seconds::minutes(40)).await;
            pay_open(&stack, &id).await;
            stack.shop.request_refund(&id, Some(500), "a part came back").unwrap();
            stack.settle().await.unwrap();
            pass(&stack, Seconds::minutes(40)).await;
            ends(&stack, &id, PaymentStatus::PartiallyRefunded, 1250, 500, &what).await;
            assert_eq!(stack.sim.ledger().customers.len(), 1, "{what}: one customer");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_changed_amount_survives_one_fault_of_any_kind_at_the_expiry() {
    for mode in modes() {
        let what = format!("{mode:?} at the expiry");
        let stack = start().await;
        let id = place(&stack, euros(1250, None)).await;
        strike(&stack, "/v1/checkout/sessions/{id}/expire", &mode, 1);
        stack.shop.change_total(&id, 1500).unwrap();
        stack.settle().await.unwrap();
        pass(&stack, Seconds::minutes(40)).await;
        pay_open(&stack, &id).await;
        ends(&stack, &id, PaymentStatus::Paid, 1500, 0, &what).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_automatic_order_survives_one_fault_of_any_kind_at_any_call() {
    for path in ["/v1/payment_intents", "/v1/payment_intents/{id}/confirm"] {
        for mode in modes() {
            let what = format!("{mode:?} at {path}");
            let stack = start().await;
            paid(&stack, euros(1000, Some("emil"))).await;
            strike(&stack, path, &mode, 1);
            let id = place(&stack, automatic(7000, "emil")).await;
            pass(&stack, Seconds::hours(2)).await;
            ends(&stack, &id, PaymentStatus::Paid, 7000, 0, &what).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_capture_survives_one_fault_of_any_kind() {
    for mode in modes() {
        let what = format!("{mode:?} at the capture");
        let stack = start().await;
        let order = NewOrder { capture: CaptureMode::OnFulfilment, ..euros(4000, Some("carla")) };
        let id = paid(&stack, order).await;
        strike(&stack, "/v1/payment_intents/{id}/capture", &mode, 1);
        stack.shop.fulfil(&id).unwrap();
        stack.settle().await.unwrap();
        pass(&stack, Seconds::hours(2)).await;
        ends(&stack, &id, PaymentStatus::Paid, 4000, 0, &what).await;
    }
}
