//! A worker that was stopped in mid call, and woken after its claim had ended.
//!
//! Invariant: what it brings back ends nobody else's claim. Money would be safe all the same, by the idempotency key and by
//! what is read; the record would not be: it would say that a call ended which is still under way.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Either, select};
use local::aws::io::HttpEffect;
use local::aws::{Call, Faults};
use shared::batch::{Deadline, Record};
use shared::domain::ids::Function;
use shared::domain::time::Seconds;
use shared::outbound::http::{HttpResponse, SendError};
use shared::queue::Queue;
use tokio::sync::{Notify, oneshot};

use crate::aside::on_own_clock;
use crate::interleave::pairs::{take, tell};
use crate::world::{World, euros, options};

/// Holds every creation of a payment page until it is let go; the first then fails as one that never left.
#[derive(Default)]
struct Hold {
    waiting: Mutex<VecDeque<oneshot::Sender<()>>>,
    held: Mutex<u32>,
    reached: Notify,
}

impl Hold {
    async fn next(&self) {
        self.reached.notified().await;
    }

    fn let_go(&self) {
        if let Some(first) = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front() {
            let _ = first.send(());
        }
    }
}

impl Faults for Hold {
    fn around_http<'a>(
        &'a self,
        call: Call<'a>,
        _: Duration,
        effect: HttpEffect,
    ) -> BoxFuture<'a, Result<HttpResponse, SendError>> {
        if call.label.operation != "POST /v1/checkout/sessions" {
            return effect;
        }
        Box::pin(async move {
            let (release, released) = oneshot::channel();
            let number = {
                let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
                *held += 1;
                *held
            };
            self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back(release);
            self.reached.notify_one();
            let _ = released.await;
            if number == 1 {
                Err(SendError::NotSent("it was stopped before it was sent".into()))
            } else {
                effect.await
            }
        })
    }
}

/// Tells it, on a clock of its own; what did not hold.
pub fn stopped_worker() -> Vec<String> {
    on_own_clock(told()).unwrap_or_else(|error| vec![format!("no runtime: {error}")])
}

async fn told() -> Vec<String> {
    let world = World::start(options(), None).await;
    let order = match world.stack.shop.place(euros(1250, Some("dora"))) {
        Ok(order) => order.id,
        Err(error) => return vec![format!("an order cannot be placed: {error}")],
    };
    tell(&world).await;
    let bodies = take(&world, Queue::Orders);
    let hold = Arc::new(Hold::default());
    world.stack.aws.set_faults(hold.clone());
    let deps = payment_creator::Deps::new(world.stack.engine(Function::PaymentCreator));
    let work = || {
        let record = |(n, body): (usize, &String)| Record {
            id: n.to_string(),
            body: body.clone(),
            receives: 1,
            sent_ms: None,
        };
        let records = bodies.iter().enumerate().map(record).collect();
        payment_creator::handle(&deps, records, Deadline::after(Duration::from_secs(3600))).boxed()
    };
    // The first is in its call and is not looked at again until its claim has ended.
    let Either::Right(((), first)) = select(work(), Box::pin(hold.next())).await else {
        return vec!["the first worker made no call".into()];
    };
    if let Err(error) = world.stack.jump(Seconds(130)).await {
        return vec![format!("the clock: {error}")];
    }
    let Either::Right(((), second)) = select(work(), Box::pin(hold.next())).await else {
        return vec!["nobody took the claim over".into()];
    };
    let store = world.operator().store;
    let key = world.key(&order);
    let before = store.load(&key).await.map(|item| item.claims);
    hold.let_go();
    first.await;
    let after = store.load(&key).await.map(|item| item.claims);
    let mut found = Vec::new();
    match (before, after) {
        (Ok(before), Ok(after)) if !before.is_empty() && before == after => {}
        (before, after) => found.push(format!(
            "E3: what a stopped worker brought back changed the claim of who took over: {before:?} became {after:?}"
        )),
    }
    hold.let_go();
    second.await;
    let settled = store.load(&key).await.map(|item| item.claims.len());
    if !matches!(settled, Ok(0)) {
        found.push(format!("E3: the second worker's claim did not end: {settled:?}"));
    }
    let sessions = world.stack.sim.ledger().sessions.len();
    if sessions != 1 {
        found.push(format!("S2: {sessions} payment pages were made for one order"));
    }
    found
}
