//! Gives money back: by the policy or a person's decision, once per request, never more than a charge holds.
//!
//! Invariant: before each refund the charge and its refunds are read under the revision that the claim is committed on.

use std::collections::BTreeSet;

use shared::aws::SdkConfig;
use shared::batch::{CONCURRENCY, Deadline, Delivery, Record, run_batch};
use shared::domain::fact::{Terms, What};
use shared::domain::ids::{Function, OrderKey};
use shared::domain::plan::{Action, Do, Reason, plan};
use shared::domain::state::State;
use shared::engine::route::Routed;
use shared::engine::{Engine, EngineError, Hand, Prepared, Trigger};
use shared::error::Disposition;
use shared::lambda::Error;
use shared::outbound::stripe::StripeClient;
use shared::queue::{Body, StripeHint};
use shared::store::orders::Parked;
use shared::telemetry::{Id, event};

/// What the function works with.
#[derive(Clone)]
pub struct Deps {
    engine: Engine,
}

impl Deps {
    /// From the function's environment.
    pub async fn from_env(sdk: &SdkConfig) -> Result<Self, Error> {
        Ok(Self { engine: Engine::from_env(Function::RefundProcessor, sdk).await? })
    }

    /// From parts: the local stack and tests.
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }
}

/// Handles a batch; returns the ids of the messages to keep in the queue.
pub async fn handle(deps: &Deps, records: Vec<Record>, deadline: Deadline) -> Vec<String> {
    run_batch(records, CONCURRENCY, deadline, |delivery| one(&deps.engine, delivery)).await
}

async fn one(engine: &Engine, delivery: Delivery) -> Result<Disposition, EngineError> {
    let Delivery { message, deadline, .. } = delivery;
    let (key, hint) = match message.body {
        Body::Wake { order } => (order, None),
        Body::Stripe(hint) => {
            let source = engine.stripe_source(&hint.source)?.clone();
            let client = engine.stripe(&source, deadline).await?;
            match engine.route(&hint, &source, &client).await? {
                Routed::Order(key) => (key, Some(hint)),
                Routed::Foreign => {
                    event!(info, "not ours", event.id = Id(&hint.event), object.id = Id(&hint.object_id));
                    return Ok(Disposition::Done);
                }
                Routed::Unowned => {
                    let reason = "its metadata names an order that no configured shop has".to_owned();
                    let (id, source) = (hint.object_id.clone(), hint.source.clone());
                    let parked = Parked { id, source, reason, ..Parked::default() };
                    engine.store.park(&parked, engine.clock.now()).await?;
                    return Ok(Disposition::Done);
                }
            }
        }
        Body::Order { .. } | Body::Parked { .. } | Body::Notice { .. } => {
            return Ok(Disposition::Reject("not a message for this queue"));
        }
    };
    let event = hint.as_ref().filter(|h| !h.event.is_empty()).map(|h| format!("{}/{}", h.source, h.event));
    let trigger = Trigger { corr: message.corr, event, deadline };
    engine.run(&key, &trigger, &mut Refunder { hint, read: BTreeSet::new() }).await?;
    Ok(Disposition::Done)
}

struct Refunder {
    hint: Option<StripeHint>,
    /// Charges whose refunds were read under the current revision.
    read: BTreeSet<String>,
}

impl Refunder {
    /// A charge, its refunds, and its disputes if it has any.
    async fn charge(
        &mut self,
        engine: &Engine,
        client: &StripeClient,
        key: &OrderKey,
        state: &State,
        charge: &str,
    ) -> Result<Vec<(What, Reason)>, EngineError> {
        let mut out = engine.read_charge(client, key, state, charge).await?;
        let disputed = out.iter().any(|(what, _)| matches!(what, What::ChargeSeen(c) if c.disputed));
        out.extend(engine.read_refunds(client, charge).await?);
        if disputed {
            out.extend(engine.read_disputes(client, charge).await?);
        }
        self.read.insert(charge.to_owned());
        Ok(out)
    }
}

/// Charges that the plan wants read before it goes on.
fn wanted(engine: &Engine, state: &State) -> Vec<String> {
    let now = engine.clock.now();
    let mut charges = BTreeSet::new();
    for action in plan(state, &engine.config.policy, now) {
        if !action.ready(now) || action.owner != Some(Function::RefundProcessor) {
            continue;
        }
        match action.what {
            Do::Effect { terms: Terms::Refund { charge, .. }, .. } => {
                charges.insert(charge);
            }
            // A request about to be stored is sized by what every charge still holds; a declined one
            // never held any.
            Do::Record(_) | Do::LookAtRefunds => {
                charges.extend(state.charges.values().filter(|c| c.status != "failed").map(|c| c.id.clone()));
            }
            _ => {}
        }
    }
    charges.into_iter().collect()
}

impl Hand for Refunder {
    async fn observe(
        &mut self,
        engine: &Engine,
        trigger: &Trigger,
        key: &OrderKey,
        state: &State,
        moved: bool,
    ) -> Result<Vec<(What, Reason)>, EngineError> {
        if moved {
            self.read.clear();
        }
        let mut charges: Vec<String> = Vec::new();
        if let (true, Some(hint)) = (moved, &self.hint) {
            let named =
                if hint.object_type == "charge" { Some(&hint.object_id) } else { hint.refs.get("charge") };
            charges.extend(named.cloned());
        }
        charges.extend(wanted(engine, state));
        charges.retain(|c| !self.read.contains(c));
        charges.dedup();
        let mut out = Vec::new();
        if charges.is_empty() {
            return Ok(out);
        }
        let client = engine.stripe(&engine.stripe_of(key)?.clone(), trigger.deadline).await?;
        for charge in charges {
            out.extend(self.charge(engine, &client, key, state, &charge).await?);
        }
        Ok(out)
    }

    async fn prepare(
        &mut self,
        engine: &Engine,
        trigger: &Trigger,
        key: &OrderKey,
        state: &State,
        action: &Action,
    ) -> Result<Prepared, EngineError> {
        let Do::Effect { effect, terms } = &action.what else { return Ok(Prepared::Nothing) };
        if let Terms::Refund { charge, .. } = terms
            && !self.read.contains(charge)
        {
            // Planned by what this very round saw: the list comes first, the claim in the next round.
            let client = engine.stripe(&engine.stripe_of(key)?.clone(), trigger.deadline).await?;
            let seen = self.charge(engine, &client, key, state, charge).await?;
            return Ok(Prepared::Facts(seen.into_iter().filter(|(what, _)| state.is_news(what)).collect()));
        }
        Ok(engine.prepare_effect(key, effect, terms))
    }
}
