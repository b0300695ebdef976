//! Gives money back: by the policy or a person's decision, once per request, never more than a charge holds.
//!
//! Invariant: before each refund the charge and its refunds are read under the revision that the claim is committed on.

use std::collections::BTreeSet;

use shared::aws::SdkConfig;
use shared::batch::Record;
use shared::clock::Deadline;
use shared::domain::fact::{Terms, What};
use shared::domain::ids::{Function, OrderKey};
use shared::domain::plan::{Action, Do, Reason, plan};
use shared::domain::state::State;
use shared::engine::look::unless_missing;
use shared::engine::worker::{self, Cause, Worker};
use shared::engine::{Engine, EngineError, Hand, Prepared, Trigger, seen};
use shared::lambda::Error;
use shared::outbound::stripe::StripeClient;
use shared::outbound::stripe::objects::{Expandable, Refund};
use shared::planted::{Bug, planted};
use shared::queue::StripeHint;

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
    worker::run(&deps.engine, &RefundProcessor, records, deadline).await
}

struct RefundProcessor;

impl Worker for RefundProcessor {
    type Hand = Refunder;

    fn hand(&self, cause: Cause) -> Option<Refunder> {
        match cause {
            Cause::Woken => Some(Refunder { hint: None, read: BTreeSet::new() }),
            Cause::Stripe(hint) => Some(Refunder { hint: Some(hint), read: BTreeSet::new() }),
            Cause::Changed(_) => None,
        }
    }
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

/// What an event is about: charges to read, and the refund itself where the event did not say whose it is.
#[derive(Default)]
struct Named {
    charges: Vec<String>,
    refund: Option<Refund>,
}

async fn named(
    engine: &Engine,
    trigger: &Trigger,
    key: &OrderKey,
    state: &State,
    hint: &StripeHint,
) -> Result<Named, EngineError> {
    let known = if hint.object_type == "charge" { Some(&hint.object_id) } else { hint.refs.get("charge") };
    if known.is_some() || hint.object_type != "refund" {
        return Ok(Named { charges: known.cloned().into_iter().collect(), refund: None });
    }
    let client = engine.stripe(&engine.stripe_of(key)?.clone(), trigger.deadline).await?;
    let Some(mut refund) = unless_missing(client.retrieve_refund(&hint.object_id).await)? else {
        return Ok(Named::default());
    };
    if refund.charge.is_none() {
        let intent = refund.payment_intent.as_ref().map(|i| i.id());
        let charge =
            state.charges.values().filter(|c| Some(c.intent.as_str()) == intent).max_by_key(|c| c.created);
        refund.charge = charge.map(|c| Expandable::Id(c.id.clone()));
    }
    let charges = match &refund.charge {
        Some(charge) => vec![charge.id().to_owned()],
        // It may be of any that the order has.
        None => state.charges.keys().cloned().collect(),
    };
    Ok(Named { charges, refund: Some(refund) })
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
        let Named { mut charges, refund } = match (moved, &self.hint) {
            (true, Some(hint)) => named(engine, trigger, key, state, hint).await?,
            _ => Named::default(),
        };
        let mut out = Vec::new();
        if let Some(refund) = refund.filter(|r| r.charge.is_some()) {
            let unreadable = |why| EngineError::Unreadable { object: refund.id.clone(), why };
            out.push((seen::refund(&refund).map_err(unreadable)?, Reason::Observed));
        }
        if !planted(Bug::RefundWithoutList) {
            charges.extend(wanted(engine, state));
        }
        charges.retain(|c| !self.read.contains(c));
        charges.dedup();
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
            && !planted(Bug::RefundWithoutList)
        {
            // Planned by what this very round saw: the list comes first, the claim in the next round.
            let client = engine.stripe(&engine.stripe_of(key)?.clone(), trigger.deadline).await?;
            let seen = self.charge(engine, &client, key, state, charge).await?;
            return Ok(Prepared::Facts(seen.into_iter().filter(|(what, _)| state.is_news(what)).collect()));
        }
        Ok(engine.prepare_effect(key, effect, terms))
    }
}
