//! Reads an order that may need paying, sees to the buyer's Stripe customer and the payment attempt.
//!
//! Invariant: the order is read at its system before anything is made, under the revision that the claim is committed on.

use shared::aws::SdkConfig;
use shared::batch::Record;
use shared::clock::Deadline;
use shared::domain::fact::What;
use shared::domain::ids::{Function, OrderKey};
use shared::domain::order::{Collection, Order};
use shared::domain::plan::{Action, Do, Reason};
use shared::domain::state::State;
use shared::engine::worker::{self, Cause, Worker};
use shared::engine::{Engine, EngineError, Hand, Prepared, Trigger};
use shared::error::Disposition;
use shared::lambda::Error;
use shared::queue::Body;

/// What the function works with.
#[derive(Clone)]
pub struct Deps {
    engine: Engine,
}

impl Deps {
    /// From the function's environment.
    pub async fn from_env(sdk: &SdkConfig) -> Result<Self, Error> {
        Ok(Self { engine: Engine::from_env(Function::PaymentCreator, sdk).await? })
    }

    /// From parts: the local stack and tests.
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }
}

/// Handles a batch; returns the ids of the messages to keep in the queue.
pub async fn handle(deps: &Deps, records: Vec<Record>, deadline: Deadline) -> Vec<String> {
    worker::run(&deps.engine, &PaymentCreator, records, deadline).await
}

struct PaymentCreator;

impl Worker for PaymentCreator {
    type Hand = Creator;

    fn hand(&self, cause: Cause) -> Option<Creator> {
        match cause {
            Cause::Woken => Some(Creator { hinted: None, order: None }),
            Cause::Changed(version) => Some(Creator { hinted: version, order: None }),
            Cause::Stripe(_) => None,
        }
    }

    async fn apart(&self, engine: &Engine, body: Body) -> Result<Disposition, EngineError> {
        worker::park(engine, body).await
    }
}

struct Creator {
    hinted: Option<u64>,
    order: Option<Order>,
}

impl Hand for Creator {
    async fn observe(
        &mut self,
        engine: &Engine,
        trigger: &Trigger,
        key: &OrderKey,
        state: &State,
        moved: bool,
    ) -> Result<Vec<(What, Reason)>, EngineError> {
        if !moved {
            return Ok(Vec::new());
        }
        let (order, mut seen) = engine.read_order(key, state, self.hinted).await?;
        let pays = order.status.stands() && order.total > 0 && order.collection != Collection::None;
        let registered = order.customer.as_ref().is_some_and(|c| c.id.is_some());
        if pays && registered && (state.customer.is_none() || engine.wants_method(state, &order)) {
            let client = engine.stripe(&engine.stripe_of(key)?.clone(), trigger.deadline).await?;
            seen.extend(engine.customer(&client, key, state, &order).await?);
            let linked = seen.iter().find_map(|(what, _)| match what {
                What::CustomerLinked { customer } => Some(customer.clone()),
                _ => None,
            });
            // A customer made just now has no saved method.
            let known = state.customer.clone().or(linked);
            if let Some(customer) = known
                && engine.wants_method(state, &order)
            {
                seen.extend(engine.read_method(&client, &customer).await?);
            }
        }
        self.order = Some(order);
        Ok(seen)
    }

    async fn prepare(
        &mut self,
        engine: &Engine,
        _trigger: &Trigger,
        key: &OrderKey,
        state: &State,
        action: &Action,
    ) -> Result<Prepared, EngineError> {
        match (&action.what, &self.order) {
            (what @ Do::CreateSession { .. }, Some(order)) => {
                let base = engine.config.public_url.as_deref().ok_or_else(|| {
                    let need = "set the public address of the API as TANDEM_PUBLIC_URL or [stack] public_url";
                    EngineError::Config(need.into())
                })?;
                engine.prepare_session(key, state, order, what, base)
            }
            (what @ Do::CreateIntent { .. }, Some(_)) => Ok(engine.prepare_intent(key, state, what)),
            (Do::Effect { effect, terms }, _) => Ok(engine.prepare_effect(key, effect, terms)),
            (Do::ReserveCard { .. }, _) => engine.prepare_budget(key, action).await,
            _ => Ok(Prepared::Nothing),
        }
    }
}
