//! Reads what Stripe says happened and records it; captures what was authorised.
//!
//! Invariant: an event only says where to look. What is stored is what Stripe showed under the item's revision.

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
use shared::error::Disposition;
use shared::lambda::Error;
use shared::queue::{Body, StripeHint};

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
    worker::run(&deps.engine, &PaymentRecorder, records, deadline).await
}

struct PaymentRecorder;

impl Worker for PaymentRecorder {
    type Hand = Recorder;

    fn hand(&self, cause: Cause) -> Option<Recorder> {
        match cause {
            Cause::Woken => Some(Recorder { hint: None, checked: BTreeSet::new() }),
            Cause::Stripe(hint) => Some(Recorder { hint: Some(hint), checked: BTreeSet::new() }),
            Cause::Changed(_) => None,
        }
    }

    async fn apart(&self, engine: &Engine, body: Body) -> Result<Disposition, EngineError> {
        worker::park(engine, body).await
    }
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
