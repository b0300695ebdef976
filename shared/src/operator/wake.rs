//! Having an order looked at now: by whoever has something to do, by the function that reads orders, and, while a payment
//! is under way, by the one that reads it at Stripe.
//!
//! Invariant: nothing is stored and nothing is decided here; what is sent are hints, as a webhook or the sweeper would send.

use std::collections::{BTreeMap, BTreeSet};

use super::OperatorError;
use crate::domain::ids::{Function, OrderKey};
use crate::domain::state::{Phase, State};
use crate::engine::{Engine, EngineError, owners};
use crate::outbound::stripe::calls::TANDEM_ORDER;
use crate::queue::{Body, Message, Queue, StripeHint};

/// Who was asked to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Woken {
    /// The functions.
    pub functions: Vec<Function>,
    /// The object at Stripe that is looked at, if a payment is under way.
    pub object: Option<String>,
    /// Correlation id, for the logs.
    pub corr: String,
}

/// Sends hints about one order. One that nothing is known of is read and brought in.
pub async fn wake(engine: &Engine, order: &OrderKey) -> Result<Woken, OperatorError> {
    let state = engine.store.load(order).await.map_err(EngineError::from)?.state();
    let mut functions: BTreeSet<Function> =
        owners(&state, &engine.config, engine.clock.now()).into_iter().collect();
    functions.insert(Function::PaymentCreator);
    let hint = stripe_hint(engine, order, &state)?;
    if hint.is_some() {
        functions.insert(Function::PaymentRecorder);
    }
    let corr = format!("op-{}", engine.tokens.fresh());
    let mut woken = Woken { functions: Vec::new(), object: None, corr: corr.clone() };
    for function in functions {
        let Some(queue) = Queue::of(function) else { continue };
        let message = match (&hint, function) {
            (Some(hint), Function::PaymentRecorder) => {
                woken.object = Some(hint.object_id.clone());
                Message::new(&corr, Body::Stripe(hint.clone()))
            }
            _ => Message::wake(order.clone(), &corr),
        };
        engine.queue.send(queue, &message, None).await.map_err(EngineError::from)?;
        woken.functions.push(function);
    }
    Ok(woken)
}

/// The payment under way, as an event about it would name it.
fn stripe_hint(engine: &Engine, order: &OrderKey, state: &State) -> Result<Option<StripeHint>, EngineError> {
    let Some((attempt, phase)) = state.live_attempt() else { return Ok(None) };
    let Some(object) = attempt.object.clone().filter(|_| phase != Phase::Paid) else { return Ok(None) };
    let object_type = if attempt.off_session { "payment_intent" } else { "checkout.session" };
    Ok(Some(StripeHint {
        source: engine.stripe_of(order)?.name.clone(),
        // No event: one that is known would be acknowledged without a look.
        event: String::new(),
        event_type: format!("{object_type}.looked_at"),
        object_type: object_type.to_owned(),
        object_id: object,
        refs: BTreeMap::new(),
        metadata: [(TANDEM_ORDER.to_owned(), order.as_str().to_owned())].into(),
        sha256: None,
    }))
}
