//! What an operator may do: decide a case, ask for a refund, have an order looked at, turn the money switch, put away what is
//! parked, send dead letters back to work.
//!
//! Invariant: a decision only appends facts, on the order's revision, and wakes the owners of what is then ready. Nothing
//! here calls Stripe or an order system.

mod dead;
mod hand;
mod wake;

use std::time::Duration;

pub use self::dead::{RedriveError, Redriven, redrive};
use self::hand::{Deciding, Wish};
pub use self::wake::{Woken, wake};
use crate::clock::Deadline;
use crate::domain::fact::Decision;
use crate::domain::ids::OrderKey;
use crate::domain::money::{Money, MoneyError};
use crate::domain::time::Seconds;
use crate::engine::{Engine, EngineError, Trigger};
use crate::store::StoreError;

/// How long one decision may take, lost races included.
const TIME: Duration = Duration::from_secs(30);
/// The same amount asked for again within this is taken for a repeated command.
pub const REPEAT_WINDOW: Seconds = Seconds::minutes(15);
/// Longest name of a person kept.
const NAME_CHARS_MAX: usize = 80;
/// Longest reason kept.
const TEXT_CHARS_MAX: usize = 200;

/// Who decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By {
    name: String,
    arn: Option<String>,
}

impl By {
    /// `name` as given with `--by`; `arn` of the caller on a deployed stack.
    pub fn new(name: &str, arn: Option<String>) -> Result<Self, Refusal> {
        Ok(Self { name: words(name, NAME_CHARS_MAX, "the name after --by")?, arn })
    }

    /// For records that hold one text.
    fn both(&self) -> String {
        match &self.arn {
            Some(arn) => format!("{} ({arn})", self.name),
            None => self.name.clone(),
        }
    }
}

/// Text that people read later: not empty, without control characters, not longer than is kept.
fn words(text: &str, most: usize, what: &'static str) -> Result<String, Refusal> {
    let text = text.trim();
    let fits = !text.is_empty() && text.chars().count() <= most && !text.chars().any(char::is_control);
    if fits { Ok(text.to_owned()) } else { Err(Refusal::Words { what, most }) }
}

/// Why a decision was not stored. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing is known of the order.
    #[error("nothing is known of order {0}: look at the spelling, or bring it in with `tandem import`")]
    NoOrder(OrderKey),
    /// The order has no such case.
    #[error("the order has no case {case:?}; open are: {open}")]
    NoCase {
        /// As given.
        case: String,
        /// Open cases, or `none`.
        open: String,
    },
    /// Decided or lapsed before.
    #[error("case {case:?} is closed: {how}; nothing was changed")]
    Closed {
        /// The case.
        case: String,
        /// How.
        how: String,
    },
    /// The amount.
    #[error(transparent)]
    Amount(#[from] MoneyError),
    /// Not more than nothing.
    #[error("a refund must be more than 0, not {0}")]
    NotPositive(Money),
    /// More than what is left.
    #[error(
        "{asked} is more than the order still holds: {left} was taken and neither returned nor asked for"
    )]
    TooMuch {
        /// As asked.
        asked: Money,
        /// Captured, less returned, asked for and lost.
        left: Money,
    },
    /// The same amount was asked for just before.
    #[error(
        "a refund of {amount} was asked for at {at} ({request}); add --again if this is another one of the same amount"
    )]
    Repeated {
        /// The amount.
        amount: Money,
        /// When.
        at: crate::domain::time::UnixTime,
        /// The earlier request.
        request: String,
    },
    /// Nothing of this name is parked.
    #[error("nothing from {source_name} called {id:?} is parked; `tandem parked list` shows what is")]
    NotParked {
        /// The source.
        source_name: String,
        /// As given.
        id: String,
    },
    /// A text that cannot be kept.
    #[error("{what} must have 1 to {most} characters on one line")]
    Words {
        /// Which.
        what: &'static str,
        /// Most characters.
        most: usize,
    },
}

/// Why an operator's command failed.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// Refused; nothing was changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Not done, or nobody knows: look at the order and repeat.
    #[error("{0}; look with `tandem explain`, then repeat")]
    Engine(#[from] EngineError),
}

/// A decision that is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Case or request.
    pub id: String,
    /// Owners woken.
    pub woken: u32,
    /// Why owners could not be woken, if so: the sweeper finds the order when it is due.
    pub wake_failed: Option<String>,
}

/// Decides an open case: appends the decision and wakes the owners of what is then ready.
pub async fn decide(
    engine: &Engine,
    order: &OrderKey,
    case: &str,
    decision: Decision,
    by: &By,
) -> Result<Stored, OperatorError> {
    let wish = Wish::Decide { case: case.to_owned(), decision, by: by.clone() };
    append(engine, order, wish).await
}

/// Asks for a refund of `amount`, a decimal in the order's currency. `again`: although the same was asked just before.
pub async fn refund(
    engine: &Engine,
    order: &OrderKey,
    amount: &str,
    reason: &str,
    by: &By,
    again: bool,
) -> Result<Stored, OperatorError> {
    let wish = Wish::Refund {
        request: format!("op:{}", engine.tokens.fresh()),
        amount: amount.to_owned(),
        text: words(reason, TEXT_CHARS_MAX, "the text after --reason")?,
        by: by.clone(),
        again,
    };
    append(engine, order, wish).await
}

async fn append(engine: &Engine, order: &OrderKey, wish: Wish) -> Result<Stored, OperatorError> {
    let corr = format!("op-{}", engine.tokens.fresh());
    let trigger = Trigger { corr, event: None, deadline: Deadline::after(TIME) };
    let id = wish.id().to_owned();
    let mut hand = Deciding::new(wish);
    let ran = engine.run(order, &trigger, &mut hand).await;
    if let Some(refusal) = hand.refusal {
        return Err(refusal.into());
    }
    match ran {
        Ok(ran) => Ok(Stored { id, woken: ran.woken, wake_failed: None }),
        // The decision is in and the due time with it.
        Err(error) if hand.stored => Ok(Stored { id, woken: 0, wake_failed: Some(error.to_string()) }),
        Err(error) => Err(error.into()),
    }
}

/// Puts a parked item away: it was dealt with. Should it come again, it is shown again.
pub async fn unpark(engine: &Engine, source: &str, id: &str, by: &By) -> Result<(), OperatorError> {
    let done = engine.store.unpark(source, id, &by.both(), engine.clock.now()).await;
    if done.map_err(EngineError::from)? {
        return Ok(());
    }
    Err(Refusal::NotParked { source_name: source.to_owned(), id: id.to_owned() }.into())
}

/// Turns the switch that stops every money call.
pub async fn set_money(engine: &Engine, on: bool, by: &By) -> Result<(), StoreError> {
    engine.store.set_money(&engine.config.stack, on, &by.both(), engine.clock.now()).await
}
