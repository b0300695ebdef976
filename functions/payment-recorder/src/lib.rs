//! Reads what Stripe says happened and records it; captures what was authorised.
//!
//! Invariant: an event only says where to look. What is stored is what Stripe showed under the item's revision.

use std::collections::BTreeSet;

use shared::aws::SdkConfig;
use shared::batch::{CONCURRENCY, Deadline, Delivery, Record, run_batch};
use shared::domain::fact::{Terms, What};
use shared::domain::ids::{Function, OrderKey};
use shared::domain::plan::{Action, Do, Reason, plan};
use shared::domain::state::State;
use shared::engine::look::unless_missing;
use shared::engine::route::Routed;
use shared::engine::{Engine, EngineError, Hand, Prepared, Trigger};
use shared::error::Disposition;
use shared::lambda::Error;
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
        Ok(Self { engine: Engine::from_env(Function::PaymentRecorder, sdk).await? })
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
                    keep(engine, &hint).await?;
                    return Ok(Disposition::Done);
                }
            }
        }
        Body::Parked { source, event, sha256, size, reason } => {
            let id = event.unwrap_or_else(|| sha256.clone());
            let parked = Parked { id, source, reason, sha256, size: u64::try_from(size).unwrap_or(u64::MAX) };
            engine.store.park(&parked, engine.clock.now()).await?;
            return Ok(Disposition::Done);
        }
        Body::Order { .. } | Body::Notice { .. } => {
            return Ok(Disposition::Reject("not a message for this queue"));
        }
    };
    let event = hint.as_ref().filter(|h| !h.event.is_empty()).map(|h| format!("{}/{}", h.source, h.event));
    let trigger = Trigger { corr: message.corr, event, deadline };
    engine.run(&key, &trigger, &mut Recorder { hint, checked: BTreeSet::new() }).await?;
    Ok(Disposition::Done)
}

/// Keeps an object that names us and that no order of this stack answers to.
async fn keep(engine: &Engine, hint: &StripeHint) -> Result<(), EngineError> {
    let parked = Parked {
        id: hint.object_id.clone(),
        source: hint.source.clone(),
        reason: "its metadata names an order that no configured shop has".into(),
        sha256: hint.sha256.clone().unwrap_or_default(),
        size: 0,
    };
    Ok(engine.store.park(&parked, engine.clock.now()).await?)
}

struct Recorder {
    hint: Option<StripeHint>,
    /// Intents whose order and state were read under the current revision.
    checked: BTreeSet<String>,
}

impl Hand for Recorder {
    async fn observe(
        &mut self,
        engine: &Engine,
        trigger: &Trigger,
        key: &OrderKey,
        state: &State,
        moved: bool,
    ) -> Result<Vec<(What, Reason)>, EngineError> {
        let mut out = Vec::new();
        if moved {
            self.checked.clear();
        }
        if let (true, Some(hint)) = (moved, &self.hint) {
            let client = engine.stripe(&engine.stripe_of(key)?.clone(), trigger.deadline).await?;
            let id = hint.object_id.as_str();
            out = match hint.object_type.as_str() {
                "payment_intent" => engine.read_intent(&client, key, state, id).await?,
                "checkout.session" => engine.read_session(&client, key, state, id).await?,
                "charge" => engine.read_charge(&client, key, state, id).await?,
                "dispute" => self.dispute(engine, &client, key, state, id).await?,
                _ => Vec::new(),
            };
        }
        out.extend(self.before_capture(engine, trigger, key, state).await?);
        if out.is_empty() {
            out = engine.read_attempts(key, state, Function::PaymentRecorder, trigger.deadline).await?;
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
        if let Terms::Capture { intent, .. } | Terms::CancelIntent { intent, .. } = terms
            && !self.checked.contains(intent)
        {
            // Planned by what this very round saw: the order is read first, the claim comes in the next round.
            let seen = self.check(engine, trigger, key, state, intent).await?;
            return Ok(Prepared::Facts(seen.into_iter().filter(|(what, _)| state.is_news(what)).collect()));
        }
        Ok(engine.prepare_effect(key, effect, terms))
    }
}

impl Recorder {
    /// The dispute as it stands, and its charge: a dispute of a charge not seen before names money.
    async fn dispute(
        &self,
        engine: &Engine,
        client: &shared::outbound::stripe::StripeClient,
        key: &OrderKey,
        state: &State,
        id: &str,
    ) -> Result<Vec<(What, Reason)>, EngineError> {
        let Some(read) = unless_missing(client.retrieve_dispute(id).await)? else { return Ok(Vec::new()) };
        let mut out = Vec::new();
        if let Some(charge) = read.charge.as_ref().map(|c| c.id().to_owned()) {
            out = engine.read_charge(client, key, state, &charge).await?;
        }
        let unreadable = |why| EngineError::Unreadable { object: id.to_owned(), why };
        out.push((seen::dispute(&read).map_err(unreadable)?, Reason::Observed));
        Ok(out)
    }

    /// A capture or a release is decided on what the order system and Stripe show now.
    async fn before_capture(
        &mut self,
        engine: &Engine,
        trigger: &Trigger,
        key: &OrderKey,
        state: &State,
    ) -> Result<Vec<(What, Reason)>, EngineError> {
        let now = engine.clock.now();
        let intents: Vec<String> = plan(state, &engine.config.policy, now)
            .into_iter()
            .filter(|a| a.ready(now) && a.owner == Some(Function::PaymentRecorder))
            .filter_map(|a| match a.what {
                Do::Effect {
                    terms: Terms::Capture { intent, .. } | Terms::CancelIntent { intent, .. },
                    ..
                } => Some(intent),
                _ => None,
            })
            .collect();
        let mut out = Vec::new();
        for intent in intents.into_iter().filter(|i| !self.checked.contains(i)).collect::<Vec<_>>() {
            out.extend(self.check(engine, trigger, key, state, &intent).await?);
        }
        Ok(out)
    }

    async fn check(
        &mut self,
        engine: &Engine,
        trigger: &Trigger,
        key: &OrderKey,
        state: &State,
        intent: &str,
    ) -> Result<Vec<(What, Reason)>, EngineError> {
        let client = engine.stripe(&engine.stripe_of(key)?.clone(), trigger.deadline).await?;
        let mut out = engine.read_order(key, state, None).await?.1;
        out.extend(engine.read_intent(&client, key, state, intent).await?);
        self.checked.insert(intent.to_owned());
        Ok(out)
    }
}
