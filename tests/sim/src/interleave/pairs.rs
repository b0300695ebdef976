//! Who meets on one order: each pair of deliveries that real life brings together, and some threes.

use local::stripe::{CardOutcome, Reason};
use shared::domain::time::Seconds;
use shared::domain::view::PaymentStatus as S;
use shared::queue::Queue;

use super::{Actor, Meeting};
use crate::scenario::people::{ask_refund, saved_card};
use crate::world::{GOOD, World, automatic, euros, on_fulfilment};

macro_rules! meetings {
    ($($name:literal => $prepare:ident),* $(,)?) => {
        /// All of them.
        pub fn all() -> Vec<Meeting> {
            vec![$(Meeting { name: $name, prepare: |world| Box::pin($prepare(world)) }),*]
        }
    };
}

meetings! {
    "same-event-twice" => same_event_twice,
    "same-order-twice" => same_order_twice,
    "webhook-worker" => webhook_against_worker,
    "refund-dispute" => refund_against_dispute,
    "refund-twice" => refund_twice,
    "sweeper-worker" => sweeper_against_worker,
    "schedule-webhook" => schedule_against_webhook,
    "page-ladder" => page_against_ladder,
    "page-twice" => page_twice,
    "capture-change" => capture_against_change,
    "write-back-twice" => write_back_twice,
    "reconcile-recorder" => reconcile_against_recorder,
    "reconcile-creator" => reconcile_against_creator,
    "three-workers" => three_workers,
    "three-refunds" => three_refunds,
}

/// The meeting of that name.
pub fn named(name: &str) -> Option<Meeting> {
    all().into_iter().find(|m| m.name == name)
}

/// Brings webhooks into the queues and works nothing.
async fn tell(world: &World) {
    let http = world.stack.http.clone();
    world.stack.shop.deliver_due(http.as_ref()).await;
    world.stack.sim.deliver_due(http.as_ref()).await;
}

/// Takes what a queue holds.
fn take(world: &World, queue: Queue) -> Vec<String> {
    let name = format!("{}-{}", world.stack.config.stack, queue.name());
    world.stack.aws.light_queues().map(|q| q.drain(&name)).unwrap_or_default()
}

/// One delivery. What it fails goes back to its queue, as a message that becomes visible again.
fn delivery(world: &World, queue: Queue, bodies: Vec<String>) -> Actor<'_> {
    Box::pin(async move {
        let failed = match world.stack.pump.deliver(queue, &bodies).await {
            Some(failed) => failed,
            None => (0..bodies.len()).collect(),
        };
        for n in failed {
            world.give_back(queue, &bodies[n]).await;
        }
    })
}

fn sweep(world: &World) -> Actor<'_> {
    Box::pin(async move {
        let _ = world.stack.sweep().await;
    })
}

fn reconcile(world: &World) -> Actor<'_> {
    Box::pin(async move {
        if let Err(error) = world.stack.reconcile(world.began).await {
            world.broken(format!("the reconciler ended: {error}"));
        }
    })
}

/// What a queue holds, as one delivery.
fn waiting(world: &World, queue: Queue) -> Actor<'_> {
    let bodies = take(world, queue);
    if bodies.is_empty() {
        world.broken(format!("nobody meets: the queue {} is empty", queue.name()));
    }
    delivery(world, queue, bodies)
}

/// An order that the buyer has just paid, with nobody told yet.
async fn just_paid(world: &World, customer: &str, amount: i64) -> String {
    let id = world.place(euros(amount, Some(customer))).await;
    if world.stack.pay(&id, GOOD).await.is_err() {
        world.broken("the buyer cannot pay");
    }
    id
}

async fn same_event_twice(world: &World) -> Vec<Actor<'_>> {
    let id = just_paid(world, "anna", 1250).await;
    world.ends(&id, S::Paid, 1250, 0);
    tell(world).await;
    let bodies = take(world, Queue::Payments);
    vec![delivery(world, Queue::Payments, bodies.clone()), delivery(world, Queue::Payments, bodies)]
}

async fn same_order_twice(world: &World) -> Vec<Actor<'_>> {
    let placed = world.stack.shop.place(euros(1300, Some("berta")));
    let Ok(order) = placed else { return Vec::new() };
    world.ends(&order.id, S::AwaitingPayment, 0, 0);
    tell(world).await;
    let bodies = take(world, Queue::Orders);
    vec![delivery(world, Queue::Orders, bodies.clone()), delivery(world, Queue::Orders, bodies)]
}

async fn webhook_against_worker(world: &World) -> Vec<Actor<'_>> {
    let id = just_paid(world, "carl", 1400).await;
    if world.stack.shop.change_total(&id, 1900).is_err() {
        world.broken("the total cannot be changed");
    }
    world.ends(&id, S::PartiallyPaid, 1400, 0);
    tell(world).await;
    let mut actors = vec![waiting(world, Queue::Payments)];
    actors.push(waiting(world, Queue::Orders));
    actors
}

async fn refund_against_dispute(world: &World) -> Vec<Actor<'_>> {
    let id = just_paid(world, "dina", 3300).await;
    world.settle().await;
    let Some(charge) = world.charge(&id) else { return Vec::new() };
    if world.stack.shop.request_refund(&id, Some(300), "a discount").is_err() {
        world.broken("no refund can be asked for");
    }
    tell(world).await;
    // The request becomes a fact, and the refund's owner is woken.
    for body in take(world, Queue::Orders) {
        world.stack.pump.deliver(Queue::Orders, &[body]).await;
    }
    world.stack.sim.create_dispute(&charge, "fraudulent", None);
    tell(world).await;
    world.ends_in(&id, &[(S::Disputed, 3300, 300), (S::Disputed, 3300, 0)]);
    let mut actors = vec![waiting(world, Queue::Refunds)];
    actors.push(waiting(world, Queue::Payments));
    actors
}

async fn refund_twice(world: &World) -> Vec<Actor<'_>> {
    let id = just_paid(world, "egon", 5000).await;
    world.settle().await;
    if world.stack.shop.request_refund(&id, Some(700), "it came back").is_err() {
        world.broken("no refund can be asked for");
    }
    tell(world).await;
    for body in take(world, Queue::Orders) {
        world.stack.pump.deliver(Queue::Orders, &[body]).await;
    }
    let bodies = take(world, Queue::Refunds);
    world.ends(&id, S::PartiallyRefunded, 5000, 700);
    vec![delivery(world, Queue::Refunds, bodies.clone()), delivery(world, Queue::Refunds, bodies)]
}

async fn sweeper_against_worker(world: &World) -> Vec<Actor<'_>> {
    let id = just_paid(world, "frida", 1500).await;
    world.ends(&id, S::Paid, 1500, 0);
    tell(world).await;
    let mut actors = vec![waiting(world, Queue::Payments)];
    actors.push(sweep(world));
    actors
}

/// An order whose retry is due now, with the timer's message taken out of its queue.
async fn retry_due(world: &World, customer: &str) -> (String, Vec<String>) {
    let Some(card) = saved_card(world, customer).await else { return Default::default() };
    let outcomes = vec![CardOutcome::Decline(Reason::InsufficientFunds), CardOutcome::Succeed];
    world.stack.sim.set_card_behaviour(&card, outcomes);
    let id = world.place(automatic(9000, customer)).await;
    let due = world.stack.pump.next_due_at();
    let Some(due) = due else {
        world.broken("no retry is scheduled");
        return Default::default();
    };
    let left = due - world.stack.clock.now();
    world.wait(Seconds((left.0 - 1).max(0))).await;
    let _ = world.stack.jump(Seconds(1)).await;
    let timers = world.stack.aws.scheduler().due(world.stack.clock.now());
    for timer in &timers {
        world.stack.aws.scheduler().complete(timer);
    }
    (id, timers.into_iter().map(|t| t.input).collect())
}

async fn schedule_against_webhook(world: &World) -> Vec<Actor<'_>> {
    let (id, timer) = retry_due(world, "gerda").await;
    // Meanwhile the shop changes what is owed.
    if world.stack.shop.change_total(&id, 9500).is_err() {
        world.broken("the total cannot be changed");
    }
    world.ends_in(&id, &[(S::Paid, 9500, 0), (S::PartiallyPaid, 9000, 0), (S::AwaitingPayment, 0, 0)]);
    tell(world).await;
    let mut actors = vec![waiting(world, Queue::Orders)];
    actors.push(delivery(world, Queue::Failures, timer));
    actors
}

async fn page_against_ladder(world: &World) -> Vec<Actor<'_>> {
    let (id, timer) = retry_due(world, "hanna").await;
    world.ends_in(&id, &[(S::Paid, 9000, 0), (S::AwaitingPayment, 0, 0)]);
    let page: Actor<'_> = Box::pin(async move {
        if let Ok(link) = world.stack.pay_link(&id) {
            let _ = world.stack.press_button(&link).await;
        }
    });
    vec![delivery(world, Queue::Failures, timer), page]
}

async fn page_twice(world: &World) -> Vec<Actor<'_>> {
    let (id, timer) = retry_due(world, "inge").await;
    for body in &timer {
        world.give_back(Queue::Failures, body).await;
    }
    world.ends_in(&id, &[(S::Paid, 9000, 0), (S::AwaitingPayment, 0, 0)]);
    let press = |id: String| -> Actor<'_> {
        Box::pin(async move {
            if let Ok(link) = world.stack.pay_link(&id) {
                let _ = world.stack.press_button(&link).await;
            }
        })
    };
    vec![press(id.clone()), press(id)]
}

async fn capture_against_change(world: &World) -> Vec<Actor<'_>> {
    let id = world.place(on_fulfilment(4000, "jutta")).await;
    world.pay(&id).await;
    world.shows(&id, &[S::Authorized]).await;
    if world.stack.shop.fulfil(&id).is_err() {
        world.broken("the order cannot be fulfilled");
    }
    tell(world).await;
    for body in take(world, Queue::Orders) {
        world.stack.pump.deliver(Queue::Orders, &[body]).await;
    }
    let capture = take(world, Queue::Payments);
    // Fewer goods left than were ordered.
    if world.stack.shop.change_total(&id, 3000).is_err() {
        world.broken("the total cannot be changed");
    }
    tell(world).await;
    world.ends_in(&id, &[(S::Paid, 3000, 0), (S::Paid, 4000, 0)]);
    vec![waiting(world, Queue::Orders), delivery(world, Queue::Payments, capture)]
}

async fn write_back_twice(world: &World) -> Vec<Actor<'_>> {
    let id = just_paid(world, "karl", 1600).await;
    tell(world).await;
    for body in take(world, Queue::Payments) {
        world.stack.pump.deliver(Queue::Payments, &[body]).await;
    }
    world.ends(&id, S::Paid, 1600, 0);
    let bodies = take(world, Queue::OrderUpdates);
    vec![delivery(world, Queue::OrderUpdates, bodies.clone()), delivery(world, Queue::OrderUpdates, bodies)]
}

async fn reconcile_against_recorder(world: &World) -> Vec<Actor<'_>> {
    let id = just_paid(world, "lisa", 1700).await;
    world.ends(&id, S::Paid, 1700, 0);
    tell(world).await;
    let mut actors = vec![waiting(world, Queue::Payments)];
    actors.push(reconcile(world));
    actors
}

async fn reconcile_against_creator(world: &World) -> Vec<Actor<'_>> {
    let Ok(order) = world.stack.shop.place(euros(1800, Some("mona"))) else { return Vec::new() };
    world.ends(&order.id, S::AwaitingPayment, 0, 0);
    tell(world).await;
    let mut actors = vec![waiting(world, Queue::Orders)];
    actors.push(reconcile(world));
    actors
}

async fn three_workers(world: &World) -> Vec<Actor<'_>> {
    let id = just_paid(world, "nils", 1900).await;
    ask_refund_untold(world, &id, 500);
    world.ends(&id, S::PartiallyRefunded, 1900, 500);
    tell(world).await;
    let mut actors = vec![waiting(world, Queue::Payments)];
    actors.push(waiting(world, Queue::Orders));
    actors.push(sweep(world));
    actors
}

fn ask_refund_untold(world: &World, id: &str, amount: i64) {
    if world.stack.shop.request_refund(id, Some(amount), "it came back").is_err() {
        world.broken("no refund can be asked for");
    }
}

async fn three_refunds(world: &World) -> Vec<Actor<'_>> {
    let id = just_paid(world, "olaf", 2000).await;
    world.settle().await;
    ask_refund(world, &id, Some(100)).await;
    world.settle().await;
    let Some(charge) = world.charge(&id) else { return Vec::new() };
    ask_refund_untold(world, &id, 300);
    if world.stack.sim.refund(&charge, Some(450)).is_err() {
        world.broken("no refund in the dashboard");
    }
    tell(world).await;
    world.ends(&id, S::PartiallyRefunded, 2000, 850);
    let refunds = take(world, Queue::Refunds);
    vec![
        delivery(world, Queue::Refunds, refunds.clone()),
        waiting(world, Queue::Orders),
        delivery(world, Queue::Refunds, refunds),
    ]
}
