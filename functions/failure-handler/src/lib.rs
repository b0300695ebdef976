//! Failed off-session payments: schedules the next try, confirms the stored intent when it is due, gives up by policy.
//!
//! Invariant: a card is confirmed only within its budget, and only after order and intent were read again.

use std::collections::BTreeSet;

use shared::aws::SdkConfig;
use shared::batch::Record;
use shared::clock::Deadline;
use shared::domain::fact::{Terms, What};
use shared::domain::ids::{Function, OrderKey};
use shared::domain::plan::{Action, Do, Reason, plan};
use shared::domain::state::State;
use shared::engine::worker::{self, Cause, Worker};
use shared::engine::{Engine, EngineError, Hand, Prepared, Trigger};
use shared::lambda::Error;

/// What the function works with.
#[derive(Clone)]
pub struct Deps {
    engine: Engine,
}

impl Deps {
    /// From the function's environment.
    pub async fn from_env(sdk: &SdkConfig) -> Result<Self, Error> {
        Ok(Self { engine: Engine::from_env(Function::FailureHandler, sdk).await? })
    }

    /// From parts: the local stack and tests.
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }
}

/// Handles a batch; returns the ids of the messages to keep in the queue.
pub async fn handle(deps: &Deps, records: Vec<Record>, deadline: Deadline) -> Vec<String> {
    worker::run(&deps.engine, &FailureHandler, records, deadline).await
}

struct FailureHandler;

impl Worker for FailureHandler {
    type Hand = Ladder;

    fn hand(&self, cause: Cause) -> Option<Ladder> {
        matches!(cause, Cause::Woken).then(Ladder::default)
    }
}

#[derive(Default)]
struct Ladder {
    /// Intents whose order and state were read under the current revision.
    checked: BTreeSet<String>,
}

impl Ladder {
    async fn check(
        &mut self,
        engine: &Engine,
        trigger: &Trigger,
        key: &OrderKey,
        state: &State,
        intent: &str,
    ) -> Result<Vec<(What, Reason)>, EngineError> {
        let mut out = engine.read_order(key, state, None).await?.1;
        let client = engine.stripe(&engine.stripe_of(key)?.clone(), trigger.deadline).await?;
        out.extend(engine.read_intent(&client, key, state, intent).await?);
        self.checked.insert(intent.to_owned());
        Ok(out)
    }
}

impl Hand for Ladder {
    async fn observe(
        &mut self,
        engine: &Engine,
        trigger: &Trigger,
        key: &OrderKey,
        state: &State,
        moved: bool,
    ) -> Result<Vec<(What, Reason)>, EngineError> {
        if moved {
            self.checked.clear();
        }
        let now = engine.clock.now();
        let intents: Vec<String> = plan(state, &engine.config.policy, now)
            .into_iter()
            .filter(|a| a.ready(now) && a.owner == Some(Function::FailureHandler))
            .filter_map(|a| match a.what {
                Do::Effect { terms: Terms::Confirm { intent, .. }, .. } => Some(intent),
                Do::ReserveCard { attempt, .. } => {
                    state.attempts.get(&attempt).and_then(|a| a.object.clone())
                }
                _ => None,
            })
            .collect();
        let mut out = Vec::new();
        for intent in intents {
            if !self.checked.contains(&intent) {
                out.extend(self.check(engine, trigger, key, state, &intent).await?);
            }
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
        match &action.what {
            Do::Effect { effect, terms } => {
                if let Terms::Confirm { intent, .. } = terms
                    && !self.checked.contains(intent)
                {
                    // Planned by what this very round stored: the order is read first, the claim comes in the next round.
                    let seen = self.check(engine, trigger, key, state, intent).await?;
                    let news = seen.into_iter().filter(|(what, _)| state.is_news(what));
                    return Ok(Prepared::Facts(news.collect()));
                }
                Ok(engine.prepare_effect(key, effect, terms))
            }
            Do::ReserveCard { .. } => engine.prepare_budget(key, action).await,
            _ => Ok(Prepared::Nothing),
        }
    }
}
