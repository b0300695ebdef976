//! Tells the order system our view of an order's payment. The only writer to order systems.
//!
//! Invariant: one write in flight per order; a lower version never undoes a newer one.

use shared::aws::SdkConfig;
use shared::batch::Record;
use shared::clock::Deadline;
use shared::domain::fact::{OrderView, Terms, What};
use shared::domain::ids::{Function, OrderKey};
use shared::domain::order::Order;
use shared::domain::plan::{Action, Do, Reason};
use shared::domain::state::State;
use shared::domain::time::Seconds;
use shared::engine::worker::{self, Cause, Worker};
use shared::engine::{Engine, EngineError, Hand, Own, Prepared, Trigger};
use shared::lambda::Error;
use shared::outbound::shop::{OrderSystem as _, ShopError, Telling, Told};
use shared::planted::{Bug, planted};
use shared::telemetry::{Scrubbed, event};

/// What the function works with.
#[derive(Clone)]
pub struct Deps {
    engine: Engine,
}

impl Deps {
    /// From the function's environment.
    pub async fn from_env(sdk: &SdkConfig) -> Result<Self, Error> {
        Ok(Self { engine: Engine::from_env(Function::OrderUpdater, sdk).await? })
    }

    /// From parts: the local stack and tests.
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }
}

/// Handles a batch; returns the ids of the messages to keep in the queue.
pub async fn handle(deps: &Deps, records: Vec<Record>, deadline: Deadline) -> Vec<String> {
    worker::run(&deps.engine, &OrderUpdater, records, deadline).await
}

struct OrderUpdater;

impl Worker for OrderUpdater {
    type Hand = Teller;

    fn hand(&self, cause: Cause) -> Option<Teller> {
        matches!(cause, Cause::Woken).then_some(Teller)
    }
}

/// Whether the order system holds a version that this history never gave it.
fn forgotten(state: &State, order: &Order) -> bool {
    !planted(Bug::UnconditionalPush) && state.forgotten_version(&OrderView::of(order)).is_some()
}

struct Teller;

impl Hand for Teller {
    async fn observe(
        &mut self,
        _engine: &Engine,
        _trigger: &Trigger,
        _key: &OrderKey,
        _state: &State,
        _moved: bool,
    ) -> Result<Vec<(What, Reason)>, EngineError> {
        Ok(Vec::new())
    }

    async fn prepare(
        &mut self,
        engine: &Engine,
        _trigger: &Trigger,
        key: &OrderKey,
        state: &State,
        action: &Action,
    ) -> Result<Prepared, EngineError> {
        match &action.what {
            Do::Effect { effect, terms: terms @ Terms::Tell { .. } } => {
                let system = &engine.shop_of(key)?.system;
                let records = state.view.as_ref().and_then(|view| system.books(view)).unwrap_or(0);
                // What its books will hold is known before they can hold it: else it would look paid by other means.
                let facts = (records > state.recorded)
                    .then_some((What::Telling { records }, Reason::ViewChanged))
                    .into_iter()
                    .collect();
                Ok(Prepared::Own { effect: effect.clone(), terms: terms.clone(), facts })
            }
            _ => Ok(Prepared::Nothing),
        }
    }

    async fn perform(
        &mut self,
        engine: &Engine,
        _trigger: &Trigger,
        key: &OrderKey,
        state: &State,
        _terms: &Terms,
    ) -> Result<Own, EngineError> {
        // Always the newest view: a claim taken over may be older.
        let (Some(view), version) = (state.view.clone(), state.view_version) else {
            return Ok(Own::Done(Vec::new()));
        };
        // A claim taken over may be of a view that had nothing to record yet: claimed anew, with what the books will hold.
        let records = engine.shop_of(key)?.system.books(&view).unwrap_or(0);
        if records > state.recorded.max(state.telling) {
            return Ok(Own::Done(Vec::new()));
        }
        let mut view = view;
        if state.payable(engine.clock.now())
            && let (Some(base), Some(token)) = (&engine.config.public_url, &state.pay_token)
        {
            view.payment_url = Some(format!("{}/pay/{token}", base.trim_end_matches('/')));
        }
        let failed = |detail: String, recorded: Option<i64>| {
            let effect = "tell".to_owned();
            Ok(Own::Refused(vec![What::TellFailed { effect, detail, recorded }]))
        };
        let refused = |detail: String| failed(detail, None);
        let version = if planted(Bug::UnconditionalPush) { version + 1_000_000 } else { version };
        let id = key.order_id();
        let total = state.order.as_ref().map_or(0, |order| order.total);
        let telling = Telling { id: &id, version, view: &view, recorded: state.recorded, total };
        match engine.shop(key).await?.tell(&telling).await {
            // It holds what this history never told, as after a restore: what it shows is seen, and the next version lies above.
            Ok(Told { order, .. }) if forgotten(state, &order) => {
                Ok(Own::Refused(vec![What::OrderSeen(Box::new(OrderView::of(&order)))]))
            }
            Ok(Told { order, recorded }) => match order.payment.map_or(0, |p| p.version) {
                held if held == version => Ok(Own::Done(vec![What::ViewTold { version, recorded }])),
                held if held > version => {
                    refused(format!("it holds payment_version {held}, ours is {version}"))
                }
                _ => Ok(Own::Later(Seconds::minutes(1))),
            },
            Err(ShopError::NotFound(_)) => refused("it does not know the order (404)".into()),
            Err(ShopError::Refused(status)) => refused(format!("it answers {status}")),
            Err(ShopError::Rejected(why)) => refused(why),
            Err(ShopError::Stopped { why, recorded }) => failed(why, Some(recorded)),
            Err(ShopError::Wait { after, .. }) => Ok(Own::Later(Seconds(i64::from(after)))),
            Err(ShopError::Throttled { retry_after }) => {
                Ok(Own::Later(Seconds(i64::from(retry_after.unwrap_or(60)))))
            }
            Err(error) => {
                let text = shared::error::chain(&error);
                event!(warn, "the order system was not told", order.key = key, error = Scrubbed(&text));
                Ok(Own::Later(Seconds::minutes(1)))
            }
        }
    }
}
