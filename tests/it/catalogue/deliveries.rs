//! Deliveries that repeat, cross, fail, change and get refused: a webhook says where to look, and looking is what counts.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_smithy_runtime_api::client::result::ConnectorError;
use futures::future::join_all;
use local::aws::io::{Effect, internal_error};
use local::aws::{Answer, Call, Faults};
use local::stack::{Stack, local_secrets};
use local::stripe::{Event, FaultMode};
use serde_json::json;
use shared::domain::ids::Function;
use shared::domain::time::Seconds;
use shared::domain::view::PaymentStatus as S;
use shared::queue::Queue;

use super::kit::*;
use crate::stories::{Calls, DECLINED, GOOD, Meter, euros, notice, paid, place, repeat_stripe, session};

/// How often the shop took this status.
fn times_told(stack: &Stack, id: &str, status: S) -> usize {
    statuses(stack, id).into_iter().filter(|s| *s == status).count()
}

/// Every message of a queue, each in an invocation of its own, all at once; what failed comes back until none does.
async fn all_at_once(stack: &Stack, queue: Queue) -> usize {
    let mut bodies = stack.aws.light_queues().unwrap().drain(&format!("demo-{}", queue.name()));
    let first = bodies.len();
    for _ in 0..8 {
        let one = |body: String| async move {
            let failed = stack.pump.deliver(queue, std::slice::from_ref(&body)).await;
            (failed != Some(Vec::new())).then_some(body)
        };
        bodies = join_all(bodies.into_iter().map(one)).await.into_iter().flatten().collect();
        if bodies.is_empty() {
            return first;
        }
    }
    panic!("{} deliveries still fail", bodies.len());
}

#[tokio::test(start_paused = true)]
async fn one_event_delivered_eight_times_at_once_is_accepted_each_time_and_has_one_effect() {
    let stack = start().await;
    let id = place(&stack, euros(1_250, Some("anna"))).await;
    lose_events(&stack);
    stack.pay(&id, GOOD).await.unwrap();
    let paid = event(&stack, "payment_intent.succeeded");
    let answers = join_all((0..8).map(|_| repeat_stripe(&stack, &paid))).await;
    assert_eq!(answers, [200; 8]);
    assert_eq!(all_at_once(&stack, Queue::Payments).await, 8);
    stack.settle().await.unwrap();
    ends(&stack, &id, S::Paid, 1_250, 0, "one event eight times");
    assert_eq!(times_told(&stack, &id, S::Paid), 1);
}

#[tokio::test(start_paused = true)]
async fn one_order_announced_eight_times_at_once_has_one_page_and_one_customer() {
    let stack = start().await;
    stack.shop.set(|knobs| knobs.lose_notices = 1);
    let id = stack.shop.place(euros(1_250, Some("anna"))).unwrap().id;
    let body = json!({ "type": "order.created", "data": { "id": id, "version": 1 } }).to_string();
    let send = || notice(&stack, local_secrets::shop_webhook(), "msg_same", &body);
    assert_eq!(join_all((0..8).map(|_| send())).await, [200; 8]);
    assert_eq!(all_at_once(&stack, Queue::Orders).await, 8);
    // Who met the other's claim on the customer waits for the sweeper.
    pass(&stack, Seconds::minutes(10)).await;
    let ledger = stack.sim.ledger();
    assert_eq!((ledger.sessions.len(), ledger.customers.len()), (1, 1));
    stack.pay(&id, GOOD).await.unwrap();
    stack.settle().await.unwrap();
    ends(&stack, &id, S::Paid, 1_250, 0, "one order eight times");
}

#[tokio::test(start_paused = true)]
async fn the_buyers_return_the_webhook_and_the_sweeper_at_once_tell_the_shop_paid_once() {
    let stack = start().await;
    let id = place(&stack, euros(2_000, Some("ben"))).await;
    let link = stack.pay_link(&id).unwrap();
    stack.pay(&id, GOOD).await.unwrap();
    let (settled, returned, pressed, swept) =
        tokio::join!(stack.settle(), stack.open_link(&link), stack.press_button(&link), stack.sweep());
    settled.unwrap();
    swept.unwrap();
    returned.unwrap().ok();
    pressed.unwrap().ok();
    stack.settle().await.unwrap();
    ends(&stack, &id, S::Paid, 2_000, 0, "return against webhook");
    assert_eq!(times_told(&stack, &id, S::Paid), 1);
    assert_eq!(stack.sim.ledger().sessions.len(), 1, "no second page for a paid order");
    assert!(stack.open_link(&link).await.unwrap().is_err(), "a paid order's link leads to no payment page");
}

/// Every order of `n` things.
fn permutations(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![Vec::new()];
    }
    let shorter = permutations(n - 1);
    let insert = |order: &Vec<usize>, at: usize| {
        let mut longer = order.clone();
        longer.insert(at, n - 1);
        longer
    };
    shorter.iter().flat_map(|order| (0..n).map(move |at| insert(order, at))).collect()
}

#[tokio::test(start_paused = true)]
async fn events_of_one_second_settle_an_order_alike_in_each_of_their_orders() {
    let stack = start().await;
    lose_events(&stack);
    let orders = permutations(4);
    assert_eq!(orders.len(), 24);
    for order in orders {
        let id = place(&stack, euros(3_000, None)).await;
        let before = stack.sim.ledger().events.len();
        let page = session(&stack, &id).await;
        stack.pay_session(&page, DECLINED).await.unwrap();
        stack.pay_session(&page, GOOD).await.unwrap();
        stack.sim.refund(&charge(&stack, &id), Some(250)).unwrap();
        let told = [
            "payment_intent.payment_failed",
            "payment_intent.succeeded",
            "checkout.session.completed",
            "refund.created",
        ];
        let made: Vec<Event> = stack.sim.ledger().events.split_off(before);
        let events = told.map(|kind| made.iter().find(|e| e.kind == kind).unwrap());
        assert!(events.iter().all(|e| e.created == events[0].created), "all of one second");
        for n in &order {
            assert_eq!(repeat_stripe(&stack, events[*n]).await, 200);
            stack.settle().await.unwrap();
        }
        ends(&stack, &id, S::PartiallyRefunded, 3_000, 250, &format!("{order:?}"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_whose_work_failed_to_the_end_is_worked_when_it_comes_again() {
    let stack = start().await;
    let id = place(&stack, euros(4_000, None)).await;
    lose_events(&stack);
    stack.pay(&id, GOOD).await.unwrap();
    let paid = event(&stack, "payment_intent.succeeded");
    strike(&stack, http::Method::GET, "/v1/", FaultMode::ErrorBefore, 1_000);
    assert_eq!(repeat_stripe(&stack, &paid).await, 200);
    stack.settle().await.unwrap();
    for _ in 0..9 {
        stack.advance(Seconds(185), None).await.unwrap();
    }
    assert_eq!(dead_letters(&stack, Queue::Payments).await, 1, "tried eight times and given up");
    assert_eq!(told(&stack, &id).0, S::AwaitingPayment);
    stack.sim.calm();
    assert_eq!(repeat_stripe(&stack, &paid).await, 200);
    stack.settle().await.unwrap();
    ends(&stack, &id, S::Paid, 4_000, 0, "the same id after a failure");
}

#[tokio::test(start_paused = true)]
async fn an_event_of_an_api_version_to_come_is_a_hint_like_any_other() {
    let stack = start().await;
    let id = place(&stack, euros(1_250, None)).await;
    lose_events(&stack);
    stack.pay(&id, GOOD).await.unwrap();
    let mut body = body_of(&event(&stack, "payment_intent.succeeded"));
    body["api_version"] = "2031-01-01.future".into();
    body["context"] = json!({ "of": ["another", "shape"] });
    let object = &mut body["data"]["object"];
    // Nothing but id, type and our mark is as it was; and what it says of money is not so.
    *object = json!({
        "id": object["id"], "object": object["object"], "metadata": object["metadata"],
        "amount": { "value": "999.99", "unit": "EUR" }, "status": "paid_somehow", "charges": 7,
    });
    assert_eq!(send_stripe(&stack, &body).await, 200);
    stack.settle().await.unwrap();
    ends(&stack, &id, S::Paid, 1_250, 0, "another API version");
}

#[tokio::test(start_paused = true)]
async fn one_good_signature_among_several_is_enough_and_without_one_nothing_is_queued() {
    let stack = start().await;
    let id = place(&stack, euros(1_250, None)).await;
    lose_events(&stack);
    stack.pay(&id, GOOD).await.unwrap();
    let body = body_of(&event(&stack, "payment_intent.succeeded")).to_string();
    let good = signature(&stack, &body);
    let (time, ours) = good.split_once(',').unwrap();
    let wrong = format!("v1={},v1={}", "0".repeat(64), "a".repeat(64));
    let before = Meter::begin(&stack);
    assert_eq!(post(&stack, &body, &format!("{time},{wrong}")).await, 400);
    let sent =
        |calls: Calls| calls.into_keys().filter(|(_, _, what)| what.starts_with("SendMessage")).count();
    assert_eq!(sent(before.since(&stack)), 0);
    assert_eq!(post(&stack, &body, &format!("{time},{wrong},{ours}")).await, 200);
    assert_eq!(sent(before.since(&stack)), 1);
    stack.settle().await.unwrap();
    ends(&stack, &id, S::Paid, 1_250, 0, "the third signature");
}

/// The receiver cannot reach its queues.
#[derive(Default)]
struct NoQueue(AtomicBool);

impl Faults for NoQueue {
    fn around<'a>(
        &'a self,
        call: Call<'a>,
        effect: Effect,
    ) -> Pin<Box<dyn Future<Output = Result<Answer, ConnectorError>> + Send + 'a>> {
        let receiver = call.label.function == Some(Function::WebhookReceiver);
        let fails = receiver && call.label.service == "sqs" && self.0.load(Ordering::Relaxed);
        Box::pin(async move { Ok(if fails { internal_error() } else { effect.await }) })
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_could_not_be_queued_is_answered_5xx_and_comes_again_by_itself() {
    let stack = start().await;
    let id = place(&stack, euros(1_250, None)).await;
    let fault = Arc::new(NoQueue(AtomicBool::new(true)));
    stack.aws.set_faults(fault.clone());
    stack.pay(&id, GOOD).await.unwrap();
    assert_eq!(repeat_stripe(&stack, &event(&stack, "payment_intent.succeeded")).await, 503);
    stack.settle().await.unwrap();
    assert_eq!(told(&stack, &id).0, S::AwaitingPayment);
    fault.0.store(false, Ordering::Relaxed);
    // No sweeper: Stripe itself sends again what had no 2xx.
    stack.advance(Seconds::minutes(2), None).await.unwrap();
    ends(&stack, &id, S::Paid, 1_250, 0, "5xx, then again");
}

#[tokio::test(start_paused = true)]
async fn an_event_id_with_another_object_behind_it_is_looked_at_and_no_duplicate() {
    let stack = start().await;
    let id = paid(&stack, euros(5_000, None)).await;
    lose_events(&stack);
    let taken = charge(&stack, &id);
    stack.sim.refund(&taken, Some(250)).unwrap();
    let first = event(&stack, "refund.created");
    assert_eq!(repeat_stripe(&stack, &first).await, 200);
    stack.settle().await.unwrap();
    ends(&stack, &id, S::PartiallyRefunded, 5_000, 250, "the first of this id");
    stack.sim.refund(&taken, Some(400)).unwrap();
    let other = Event { id: first.id, ..event(&stack, "refund.created") };
    assert_eq!(repeat_stripe(&stack, &other).await, 200);
    stack.settle().await.unwrap();
    ends(&stack, &id, S::PartiallyRefunded, 5_000, 650, "the same id, another refund");
}

#[tokio::test(start_paused = true)]
async fn a_notice_id_with_another_version_behind_it_is_looked_at_and_no_duplicate() {
    let stack = start().await;
    stack.shop.set(|knobs| knobs.lose_notices = 2);
    let id = stack.shop.place(euros(3_000, None)).unwrap().id;
    let tell = async |version: u64| {
        let body = json!({ "type": "order.updated", "data": { "id": id, "version": version } }).to_string();
        assert_eq!(notice(&stack, local_secrets::shop_webhook(), "msg_same", &body).await, 200);
        stack.settle().await.unwrap();
    };
    tell(1).await;
    let version = stack.shop.change_total(&id, 3_500).unwrap().version;
    tell(version).await;
    stack.pay(&id, GOOD).await.unwrap();
    stack.settle().await.unwrap();
    ends(&stack, &id, S::Paid, 3_500, 0, "the same notice id, a newer version");
}
