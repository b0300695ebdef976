//! Tells people: one signed webhook per notice, once per key.
//!
//! Invariant: a notice carries ids, amounts and reasons, never contact data; whoever needs that reads the order.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use shared::aws::SdkConfig;
use shared::batch::Record;
use shared::clock::Deadline;
use shared::domain::fact::{Terms, What, hash_of};
use shared::domain::ids::{Function, OrderKey};
use shared::domain::plan::{Action, Do, Reason};
use shared::domain::state::State;
use shared::domain::time::Seconds;
use shared::engine::worker::{self, Cause, Worker};
use shared::engine::{Engine, EngineError, Hand, Own, Prepared, Trigger};
use shared::error::Disposition;
use shared::lambda::Error;
use shared::outbound::notice::{NoticeClient, Posted};
use shared::queue::Body;

/// What the function works with.
#[derive(Clone)]
pub struct Deps {
    engine: Engine,
}

impl Deps {
    /// From the function's environment.
    pub async fn from_env(sdk: &SdkConfig) -> Result<Self, Error> {
        Ok(Self { engine: Engine::from_env(Function::Notifier, sdk).await? })
    }

    /// From parts: the local stack and tests.
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }
}

/// Handles a batch; returns the ids of the messages to keep in the queue.
pub async fn handle(deps: &Deps, records: Vec<Record>, deadline: Deadline) -> Vec<String> {
    worker::run(&deps.engine, &Notifier, records, deadline).await
}

struct Notifier;

impl Worker for Notifier {
    type Hand = Teller;

    fn hand(&self, cause: Cause) -> Option<Teller> {
        matches!(cause, Cause::Woken).then_some(Teller)
    }

    async fn apart(&self, engine: &Engine, body: Body) -> Result<Disposition, EngineError> {
        match body {
            Body::Notice { key, data } => of_no_order(engine, &key, data).await,
            _ => Ok(worker::ANOTHERS),
        }
    }
}

async fn client(engine: &Engine) -> Result<Option<NoticeClient>, EngineError> {
    let Some(target) = engine.config.notices.clone() else { return Ok(None) };
    let secret = engine.secrets.get(&target.secret).await?;
    Ok(Some(NoticeClient::new(engine.http.clone(), engine.clock.clone(), target.url, secret)))
}

/// A notice about no single order: sent, then marked as sent. The receiver knows a repetition by its id.
async fn of_no_order(
    engine: &Engine,
    key: &str,
    data: BTreeMap<String, Value>,
) -> Result<Disposition, EngineError> {
    let Some(client) = client(engine).await? else { return Ok(Disposition::Done) };
    let mark = format!("notice#{key}");
    if engine.store.cursor(&engine.config.stack, &mark).await?.is_some() {
        return Ok(Disposition::Done);
    }
    let kind = key.split(':').next().unwrap_or("notice").to_owned();
    let id = hash_of(&format!("{}:{key}", engine.config.stack));
    match client.post(&id, &kind, &json!(data)).await {
        Posted::Yes | Posted::Refused(_) => {
            engine.store.move_cursor(&engine.config.stack, &mark, None, "sent").await?;
            Ok(Disposition::Done)
        }
        Posted::Later => Ok(Disposition::Retry("the notice was not taken")),
    }
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
        _engine: &Engine,
        _trigger: &Trigger,
        _key: &OrderKey,
        _state: &State,
        action: &Action,
    ) -> Result<Prepared, EngineError> {
        match &action.what {
            Do::Effect { effect, terms: terms @ Terms::Notice { .. } } => {
                Ok(Prepared::Own { effect: effect.clone(), terms: terms.clone(), facts: Vec::new() })
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
        terms: &Terms,
    ) -> Result<Own, EngineError> {
        let Terms::Notice { key: notice } = terms else { return Ok(Own::Done(Vec::new())) };
        let Some(client) = client(engine).await? else { return Ok(Own::Done(Vec::new())) };
        let (kind, data) = notice_of(engine, key, state, notice);
        let id = hash_of(&format!("{key}:{notice}"));
        Ok(match client.post(&id, kind, &data).await {
            Posted::Yes => Own::Done(vec![What::Noticed { key: notice.clone() }]),
            Posted::Refused(status) => Own::Refused(vec![What::TellFailed {
                effect: format!("notice:{notice}"),
                detail: format!("it answers {status}"),
                recorded: None,
            }]),
            Posted::Later => Own::Later(Seconds::minutes(1)),
        })
    }
}

/// Type and data of a notice.
fn notice_of(engine: &Engine, key: &OrderKey, state: &State, notice: &str) -> (&'static str, Value) {
    let mut data = json!({
        "order": { "system": key.system(), "shop": key.shop(), "id": key.order_id() },
        "number": state.order.as_ref().map(|o| o.number.clone()),
    });
    if let Some(view) = &state.view {
        data["payment"] = json!(view);
    }
    let link = engine.config.public_url.as_ref().zip(state.pay_token.as_ref());
    if let Some((base, token)) = link.filter(|_| state.payable(engine.clock.now())) {
        data["payment_url"] = json!(format!("{}/pay/{token}", base.trim_end_matches('/')));
    }
    if let Some(failure) = state.failures.last() {
        data["decline"] = json!({ "code": failure.code, "class": failure.class });
    }
    let mut parts = notice.splitn(2, ':');
    match (parts.next(), parts.next()) {
        (Some("case"), Some(id)) => {
            if let Some(case) = state.cases.get(id) {
                data["case"] = json!({ "id": id, "kind": case.kind, "text": case.text });
            }
            ("case.opened", data)
        }
        (Some("gave_up"), _) => ("payment.gave_up", data),
        (Some("balance"), _) => ("payment.balance_due", data),
        (_, Some(rest)) if rest.contains("reminder") => ("payment.reminder", data),
        _ => ("payment.action_required", data),
    }
}
