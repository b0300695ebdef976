//! What the queues' workers share: which order a message means, what is kept for a person, and the loop over that order
//! with the function's own hand.
//!
//! Invariant: a message that a queue does not carry is rejected before any call; what names us and answers to no order
//! is kept, never dropped.

use std::future::Future;

use super::hand::{Hand, Trigger};
use super::route::Routed;
use super::{Engine, EngineError};
use crate::batch::{CONCURRENCY, Delivery, Record, run_batch};
use crate::clock::Deadline;
use crate::domain::ids::OrderKey;
use crate::error::Disposition;
use crate::queue::{Body, StripeHint};
use crate::store::orders::Parked;
use crate::telemetry::{Id, event};

/// The event id of a hint from an order system's listing begins with this.
pub const POLLED: &str = "poll-";

/// A message of another queue.
pub const ANOTHERS: Disposition = Disposition::Reject("not a message for this queue");

/// What made the function look at an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Something of its own is due.
    Woken,
    /// The order system says that the order changed, to this version if it says so.
    Changed(Option<u64>),
    /// Stripe says that something happened.
    Stripe(StripeHint),
}

/// A function that is fed by a queue.
pub trait Worker: Sync {
    /// Its part in the loop.
    type Hand: Hand;

    /// The hand for one message. `None`: its queue carries no such messages.
    fn hand(&self, cause: Cause) -> Option<Self::Hand>;

    /// A message about no order. Only a function whose queue carries such answers otherwise.
    fn apart(
        &self,
        _engine: &Engine,
        _body: Body,
    ) -> impl Future<Output = Result<Disposition, EngineError>> + Send {
        async { Ok(ANOTHERS) }
    }
}

/// Handles a batch; returns the ids of the messages to keep in the queue.
pub async fn run<W: Worker>(
    engine: &Engine,
    worker: &W,
    records: Vec<Record>,
    deadline: Deadline,
) -> Vec<String> {
    let now = engine.clock.now_ms();
    for sent in records.iter().filter_map(|record| record.sent_ms) {
        // The queue's clock and ours may differ a little.
        engine.metrics.took("MessageAge", u64::try_from(now - sent).unwrap_or(0), &[]);
    }
    let kept = run_batch(records, CONCURRENCY, deadline, |delivery| one(engine, worker, delivery)).await;
    engine.metrics.flush();
    kept
}

async fn one<W: Worker>(engine: &Engine, worker: &W, delivery: Delivery) -> Result<Disposition, EngineError> {
    let Delivery { message, deadline, .. } = delivery;
    let (cause, meant) = match message.body {
        Body::Wake { order } => (Cause::Woken, Meant::Order(order, None)),
        Body::Order { source, order_id, version, event, .. } => {
            let made = engine.config.order_key(engine.shop_source(&source)?, &order_id);
            let key = made.map_err(|e| EngineError::Config(e.to_string()))?;
            let about = version.map(|v| v.to_string());
            (Cause::Changed(version), Meant::Order(key, Some(delivery_of(&source, &event, about.as_deref()))))
        }
        Body::Stripe(hint) => (Cause::Stripe(hint.clone()), Meant::Object(hint)),
        body @ (Body::Parked { .. } | Body::Notice { .. }) => return worker.apart(engine, body).await,
    };
    let Some(mut hand) = worker.hand(cause) else { return Ok(ANOTHERS) };
    let found = match meant {
        Meant::Order(key, event) => Some((key, event)),
        Meant::Object(hint) => order_of(engine, hint, deadline).await?,
    };
    let Some((key, event)) = found else { return Ok(Disposition::Done) };
    let polled = event.as_deref().is_some_and(|event| event.starts_with(&format!("{}/{POLLED}", key.shop())));
    let trigger = Trigger { corr: message.corr, event, deadline };
    let ran = engine.run(&key, &trigger, &mut hand).await?;
    if polled && ran.commits > 0 {
        // News that no webhook brought, or not yet: many of these say that a webhook is silent.
        engine.metrics.count("FoundByPoll", &[("Source", &key.shop())]);
    }
    Ok(Disposition::Done)
}

/// The name under which a delivery is known once it was worked: its id, and what it is about. The same id about something
/// else is another delivery, not a repetition, and is looked at.
fn delivery_of(source: &str, event: &str, about: Option<&str>) -> String {
    match about {
        Some(about) => format!("{source}/{event}/{about}"),
        None => format!("{source}/{event}"),
    }
}

/// What a message names.
enum Meant {
    /// An order, and the event it tells of.
    Order(OrderKey, Option<String>),
    /// An object at Stripe, whose order is to be found.
    Object(StripeHint),
}

/// The order of an object at Stripe, and the event. `None`: no order of this stack.
async fn order_of(
    engine: &Engine,
    hint: StripeHint,
    deadline: Deadline,
) -> Result<Option<(OrderKey, Option<String>)>, EngineError> {
    let source = engine.stripe_source(&hint.source)?.clone();
    let client = engine.stripe(&source, deadline).await?;
    match engine.route(&hint, &source, &client).await? {
        Routed::Order(key) => {
            // A hint from a listing has no event.
            let event = Some(&hint.event).filter(|id| !id.is_empty());
            Ok(Some((key, event.map(|id| delivery_of(&hint.source, id, Some(&hint.object_id))))))
        }
        Routed::Foreign => {
            engine.metrics.count("Foreign", &[("Source", &hint.source)]);
            event!(info, "not ours", event.id = Id(&hint.event), object.id = Id(&hint.object_id));
            Ok(None)
        }
        Routed::Unowned => {
            engine.metrics.count("Unowned", &[("Source", &hint.source)]);
            let parked = Parked {
                id: hint.object_id,
                source: hint.source,
                reason: "its metadata names an order that no configured shop has".to_owned(),
                sha256: hint.sha256.unwrap_or_default(),
                size: 0,
            };
            engine.store.park(&parked, engine.clock.now()).await?;
            Ok(None)
        }
    }
}

/// Keeps what was signed and cannot be read, for a person: the part of functions whose queue carries such.
pub async fn park(engine: &Engine, body: Body) -> Result<Disposition, EngineError> {
    let Body::Parked { source, event, sha256, size, reason } = body else { return Ok(ANOTHERS) };
    let id = event.unwrap_or_else(|| sha256.clone());
    let parked = Parked { id, source, reason, sha256, size: u64::try_from(size).unwrap_or(u64::MAX) };
    engine.store.park(&parked, engine.clock.now()).await?;
    Ok(Disposition::Done)
}
