//! The operator as one more hand of the loop: it observes nothing and adds its decision once, on the revision at which
//! the decision was found to be allowed.

use super::{By, REPEAT_WINDOW, Refusal};
use crate::domain::fact::{Decision, Origin, What};
use crate::domain::ids::OrderKey;
use crate::domain::money::Money;
use crate::domain::plan::{Action, Reason};
use crate::domain::state::{Case, State};
use crate::domain::time::UnixTime;
use crate::engine::{Engine, EngineError, Hand, Prepared, Trigger};

/// What the operator wants.
pub(super) enum Wish {
    /// Approve or deny a case.
    Decide {
        /// The case.
        case: String,
        /// Which way.
        decision: Decision,
        /// Who.
        by: By,
    },
    /// Give money back.
    Refund {
        /// Our id of the request.
        request: String,
        /// As typed.
        amount: String,
        /// Why.
        text: String,
        /// Who.
        by: By,
        /// Although the same amount was asked for just before.
        again: bool,
    },
}

impl Wish {
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Decide { case, .. } => case,
            Self::Refund { request, .. } => request,
        }
    }

    /// The fact, if the state allows it.
    fn fact(&self, key: &OrderKey, state: &State, now: UnixTime) -> Result<What, Refusal> {
        match self {
            Self::Decide { case, decision, by } => {
                if state.facts == 0 {
                    return Err(Refusal::NoOrder(key.clone()));
                }
                open_case(state, case)?;
                Ok(What::CaseDecided {
                    case: case.clone(),
                    decision: *decision,
                    by_name: by.name.clone(),
                    arn: by.arn.clone(),
                })
            }
            Self::Refund { request, amount, text, by, again } => {
                let money = refundable(key, state, amount)?;
                if !again {
                    not_just_asked(state, money, now)?;
                }
                Ok(What::RefundRequested {
                    request: request.clone(),
                    amount: money.minor,
                    charge: None,
                    origin: Origin::Operator,
                    by_name: Some(by.both()),
                    text: text.clone(),
                })
            }
        }
    }
}

fn open_case(state: &State, case: &str) -> Result<(), Refusal> {
    let Some(found) = state.cases.get(case) else {
        let open: Vec<&str> =
            state.cases.iter().filter(|(_, c)| c.is_open()).map(|(id, _)| id.as_str()).collect();
        let open = if open.is_empty() { "none".to_owned() } else { open.join(", ") };
        return Err(Refusal::NoCase { case: case.chars().take(120).collect(), open });
    };
    match found {
        Case { decision: Some(Decision::Approve), .. } => Err("it was approved"),
        Case { decision: Some(Decision::Deny), .. } => Err("it was denied"),
        Case { lapsed: true, .. } => Err("what it was about is gone"),
        Case { .. } => Ok(()),
    }
    .map_err(|how| Refusal::Closed { case: case.to_owned(), how: how.to_owned() })
}

/// The amount in the order's currency, exact, positive, sendable, and not more than is left.
fn refundable(key: &OrderKey, state: &State, amount: &str) -> Result<Money, Refusal> {
    let Some(order) = &state.order else { return Err(Refusal::NoOrder(key.clone())) };
    let asked = Money::parse_decimal(amount, order.currency)?;
    if asked.minor <= 0 {
        return Err(Refusal::NotPositive(asked));
    }
    asked.to_stripe()?;
    let left = state.captured() - state.refunded() - state.asked() - state.lost();
    if asked.minor > left {
        return Err(Refusal::TooMuch { asked, left: Money::new(left.max(0), order.currency) });
    }
    Ok(asked)
}

/// A command that was repeated because its answer was slow must not give back twice.
fn not_just_asked(state: &State, amount: Money, now: UnixTime) -> Result<(), Refusal> {
    let before = state
        .requests
        .values()
        .find(|r| r.origin == Origin::Operator && r.amount == amount.minor && now - r.at < REPEAT_WINDOW);
    match before {
        Some(request) => Err(Refusal::Repeated { amount, at: request.at, request: request.id.clone() }),
        None => Ok(()),
    }
}

/// The hand.
pub(super) struct Deciding {
    wish: Wish,
    /// Set when the state does not allow it.
    pub(super) refusal: Option<Refusal>,
    /// Set when the decision is committed.
    pub(super) stored: bool,
}

impl Deciding {
    pub(super) fn new(wish: Wish) -> Self {
        Self { wish, refusal: None, stored: false }
    }
}

impl Hand for Deciding {
    async fn observe(
        &mut self,
        engine: &Engine,
        _trigger: &Trigger,
        key: &OrderKey,
        state: &State,
        moved: bool,
    ) -> Result<Vec<(What, Reason)>, EngineError> {
        if !moved {
            // Asked again under our own commit: the decision is in.
            self.stored = true;
        }
        if self.stored {
            return Ok(Vec::new());
        }
        match self.wish.fact(key, state, engine.clock.now()) {
            Ok(fact) => Ok(vec![(fact, Reason::Decided)]),
            Err(refusal) => {
                self.refusal = Some(refusal);
                Ok(Vec::new())
            }
        }
    }

    async fn prepare(
        &mut self,
        _engine: &Engine,
        _trigger: &Trigger,
        _key: &OrderKey,
        _state: &State,
        _action: &Action,
    ) -> Result<Prepared, EngineError> {
        Ok(Prepared::Nothing)
    }
}
