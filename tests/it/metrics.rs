//! What the functions count, through the real handlers: enough to see from outside that work is done, waits or fails.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use local::pump::Handler;
use local::stack::Stack;
use local::stripe::{CardOutcome, Fault, FaultMode, Reason};
use shared::domain::ids::Function;
use shared::domain::time::Seconds;
use shared::lambda::{Deadline, Record, batch_reply, records};
use shared::queue::{Message, Queue};
use shared::telemetry::Metrics;

use super::stories::*;

/// The metrics of the six workers.
type Counted = BTreeMap<Function, Metrics>;

/// A stack whose workers' metrics can be read.
async fn watched() -> (Stack, Counted) {
    let mut stack = start().await;
    let mut counted = Counted::new();
    macro_rules! watch {
        ($queue:ident, $krate:ident) => {{
            let engine = stack.engine(Queue::$queue.owner());
            counted.insert(engine.me, engine.metrics.clone());
            let deps = $krate::Deps::new(engine);
            let handler: Handler = Arc::new(move |event| {
                let (deps, until) = (deps.clone(), Deadline::after(Duration::from_secs(60)));
                Box::pin(async move { batch_reply($krate::handle(&deps, records(event), until).await) })
            });
            stack.pump.register(Queue::$queue, handler);
        }};
    }
    watch!(Orders, payment_creator);
    watch!(Payments, payment_recorder);
    watch!(Refunds, refund_processor);
    watch!(Failures, failure_handler);
    watch!(OrderUpdates, order_updater);
    watch!(Notifications, notifier);
    (stack, counted)
}

#[tokio::test(start_paused = true)]
async fn a_paid_order_is_counted_by_every_worker_that_had_a_part() {
    let (stack, counted) = watched().await;
    paid(&stack, euros(5_000, Some("anna"))).await;
    let creator = &counted[&Function::PaymentCreator];
    assert_eq!(creator.total("Orders"), 1);
    // The customer is the buyer's, the session the order's.
    assert_eq!(creator.total_of("Calls", "Outcome", "done"), 1);
    assert_eq!(creator.total("Commits"), 2, "facts and claim, then the outcome");
    assert!(counted[&Function::PaymentRecorder].total("Commits") > 0);
    let updater = &counted[&Function::OrderUpdater];
    assert_eq!(updater.total_of("Calls", "Outcome", "done"), 2, "the link, then paid");
    for (function, metrics) in &counted {
        let trouble =
            ["not_done", "unknown", "waits", "rolled"].map(|o| metrics.total_of("Calls", "Outcome", o));
        assert_eq!((trouble, metrics.total("CasesOpened")), ([0; 4], 0), "{function}");
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_unknown_outcomes_retries_and_cases_are_counted() {
    let (stack, counted) = watched().await;
    paid(&stack, euros(1_000, Some("emil"))).await;
    let outcomes = vec![CardOutcome::Decline(Reason::InsufficientFunds), CardOutcome::Succeed];
    stack.sim.set_card_behaviour(&newest_card(&stack), outcomes);
    place(&stack, automatic(7_000, "emil")).await;
    let creator = &counted[&Function::PaymentCreator];
    assert_eq!(creator.total_of("Calls", "Outcome", "not_done"), 1, "the first try was declined");
    let retried: u64 = counted.values().map(|m| m.total("RetriesScheduled")).sum();
    assert_eq!(retried, 1);

    let dear = paid(&stack, euros(90_000, Some("dora"))).await;
    stack.shop.request_refund(&dear, None, "all of it came back").unwrap();
    stack.settle().await.unwrap();
    let opened: u64 = counted.values().map(|m| m.total_of("CasesOpened", "Kind", "refund_approval")).sum();
    assert_eq!(opened, 1);

    let refunds = &counted[&Function::RefundProcessor];
    let lost = Fault {
        method: Some(http::Method::POST),
        path: "/v1/refunds".to_owned(),
        skip: 0,
        times: 1,
        mode: FaultMode::ResetAfter,
    };
    stack.sim.add_fault(lost);
    let small = paid(&stack, euros(4_000, Some("ida"))).await;
    stack.shop.request_refund(&small, Some(1_000), "one piece came back").unwrap();
    stack.settle().await.unwrap();
    assert_eq!(refunds.total_of("Calls", "Outcome", "unknown"), 1);
    stack.advance(Seconds::minutes(10), Some(Seconds::minutes(5))).await.unwrap();
    assert_eq!(refunds.total_of("Calls", "Outcome", "done"), 1, "the lost answer was looked up");
}

#[tokio::test(start_paused = true)]
async fn the_age_of_a_message_is_what_it_waited() {
    let stack = start().await;
    let id = place(&stack, euros(5_000, None)).await;
    let engine = stack.engine(Function::OrderUpdater);
    let deps = order_updater::Deps::new(engine.clone());
    let body = serde_json::to_string(&Message::wake(stack.key(&id).unwrap(), "c0ffee")).unwrap();
    let sent = |ms: i64| Record {
        id: format!("m{ms}"),
        body: body.clone(),
        receives: 1,
        sent_ms: Some(engine.clock.now_ms() - ms),
    };
    let batch = vec![sent(1_500), sent(-20)];
    assert!(order_updater::handle(&deps, batch, Deadline::after(Duration::from_secs(60))).await.is_empty());
    assert_eq!(engine.metrics.spans("MessageAge"), [1_500, 0]);
    assert_eq!(engine.metrics.total("Orders"), 2);
}
