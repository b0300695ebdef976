//! `GET /pay/{token}`: a link that never dies. It leads to the one live Checkout Session, or to a page that says how the
//! order stands; its button makes the next session.
//!
//! Invariant: a `GET` changes nothing and calls nobody but our own table, so that mail scanners may follow the link.

mod pages;

use shared::aws::SdkConfig;
use shared::domain::fact::What;
use shared::domain::ids::{Function, OrderKey};
use shared::domain::order::Order;
use shared::domain::plan::{Action, Do, Reason};
use shared::domain::state::{Phase, State};
use shared::engine::{Engine, EngineError, Hand, Prepared, Trigger};
use shared::lambda::{Error, HttpEvent, HttpReply};
use shared::store::keys;
use shared::telemetry::{Id, correlation_id, event};

/// What the function works with.
#[derive(Clone)]
pub struct Deps {
    engine: Engine,
}

impl Deps {
    /// From the function's environment.
    pub async fn from_env(sdk: &SdkConfig) -> Result<Self, Error> {
        Ok(Self { engine: Engine::from_env(Function::PaymentPage, sdk).await? })
    }

    /// From parts: the local stack and tests.
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }
}

/// Answers one request.
pub async fn handle(deps: &Deps, request: HttpEvent) -> HttpReply {
    let reply = reply(&deps.engine, request).await;
    deps.engine.metrics.flush();
    reply
}

async fn reply(engine: &Engine, request: HttpEvent) -> HttpReply {
    let segments = request.segments();
    let token = match segments.as_slice() {
        [.., "pay", token] if is_token(token) => (*token).to_owned(),
        _ => return pages::unknown(),
    };
    let answer = match request.method.as_str() {
        "GET" | "HEAD" => show(engine, &token).await,
        "POST" => pay(engine, &token, &request).await,
        _ => return HttpReply::status(405).with("allow", "GET, POST"),
    };
    answer.unwrap_or_else(|error| {
        let text = error.to_string();
        event!(warn, "the payment page could not be made", error = shared::telemetry::Scrubbed(&text));
        pages::try_again()
    })
}

/// 32 hex digits: what is not one is answered without a look at any table.
fn is_token(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

async fn order_of(engine: &Engine, token: &str) -> Result<Option<OrderKey>, EngineError> {
    Ok(engine.store.linked(&keys::pay_link(token)).await?)
}

async fn show(engine: &Engine, token: &str) -> Result<HttpReply, EngineError> {
    let Some(key) = order_of(engine, token).await? else { return Ok(pages::unknown()) };
    let state = engine.store.load(&key).await?.state();
    Ok(answer(engine, &state, token))
}

/// The live session, or how the order stands.
fn answer(engine: &Engine, state: &State, token: &str) -> HttpReply {
    match live_url(engine, state) {
        Some(url) => HttpReply::see_other(&url).with("cache-control", "no-store"),
        None => pages::standing(engine, state, token),
    }
}

/// Where the buyer can pay now, by what is stored.
fn live_url(engine: &Engine, state: &State) -> Option<String> {
    if !state.payable(engine.clock.now()) {
        return None;
    }
    let (id, url) = state.live_session()?;
    let open = state.sessions.get(id).is_some_and(|s| s.expires_at > engine.clock.now());
    open.then(|| url.to_owned())
}

async fn pay(engine: &Engine, token: &str, request: &HttpEvent) -> Result<HttpReply, EngineError> {
    let Some(key) = order_of(engine, token).await? else { return Ok(pages::unknown()) };
    let state = engine.store.load(&key).await?.state();
    // While the bank decides there is nothing to ask Stripe: pressing again and again costs one read of our table.
    let processing = matches!(state.live_attempt(), Some((_, Phase::Processing)));
    if live_url(engine, &state).is_some() || processing || !state.payable(engine.clock.now()) {
        return Ok(answer(engine, &state, token));
    }
    let corr = correlation_id(&engine.tokens.fresh());
    event!(info, "a buyer asks for a page", corr = Id(&corr), order.key = Id(key.as_str()));
    let trigger = Trigger { corr, event: None, deadline: request.deadline };
    let mut hand = Page { base: base(engine, request), order: None };
    engine.run(&key, &trigger, &mut hand).await?;
    let state = engine.store.load(&key).await?.state();
    Ok(answer(engine, &state, token))
}

/// The public base: configured, else where the request came to.
fn base(engine: &Engine, request: &HttpEvent) -> Option<String> {
    engine.config.public_url.clone().or_else(|| {
        let host = request.host.as_deref()?;
        let name = host.split(':').next().unwrap_or_default();
        let scheme = if matches!(name, "localhost" | "127.0.0.1" | "[") { "http" } else { "https" };
        Some(format!("{scheme}://{host}"))
    })
}

struct Page {
    base: Option<String>,
    order: Option<Order>,
}

impl Hand for Page {
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
        let (order, mut seen) = engine.read_order(key, state, None).await?;
        self.order = Some(order);
        let live = state.live_attempt().map(|(a, phase)| (a.n, phase));
        if let Some((n, Phase::Open | Phase::Unseen | Phase::Processing)) = live {
            // Only Stripe can say that the attempt before is over.
            let client = engine.stripe(&engine.stripe_of(key)?.clone(), trigger.deadline).await?;
            seen.extend(engine.read_attempt(&client, key, state, n).await?);
        }
        let mut next = state.clone();
        for (what, _) in &seen {
            next.apply(&provisional(what.clone(), engine));
        }
        let waits = next.buyer_asked.is_some_and(|(number, _)| number > next.last_creation);
        let open = next.live_session().is_some();
        if !open && !waits && next.payable(engine.clock.now()) {
            seen.push((What::BuyerAsked, Reason::BuyerAsked));
        }
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
                let base = self.base.as_deref().ok_or_else(|| {
                    EngineError::Config("the request names no host and no public_url is configured".into())
                })?;
                engine.prepare_session(key, state, order, what, base)
            }
            (Do::Effect { effect, terms }, _) => Ok(engine.prepare_effect(key, effect, terms)),
            _ => Ok(Prepared::Nothing),
        }
    }
}

/// A fact as it would be committed, to see what the state would be.
fn provisional(what: What, engine: &Engine) -> shared::domain::fact::Fact {
    shared::domain::fact::Fact {
        id: String::new(),
        at: engine.clock.now(),
        by: String::new(),
        corr: String::new(),
        hint: None,
        why: String::new(),
        policy: String::new(),
        prev: String::new(),
        what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_token_is_looked_up() {
        assert!(is_token("0123456789abcdef0123456789ABCDEF"));
        for bad in ["", "..", "0123456789abcdef0123456789abcde", "0123456789abcdef0123456789abcdeg", "a#b"] {
            assert!(!is_token(bad), "{bad}");
        }
    }
}
