//! What a function brings to the loop: how it reads the truth and how it prepares its calls.

use std::future::Future;

use super::{Engine, EngineError};
use crate::clock::Deadline;
use crate::domain::fact::{Terms, What};
use crate::domain::ids::OrderKey;
use crate::domain::plan::{Action, Reason};
use crate::domain::state::State;
use crate::domain::time::Seconds;
use crate::outbound::stripe::StripeCall;

/// What made the function look.
#[derive(Clone, Debug)]
pub struct Trigger {
    /// Correlation id, from the webhook to the write-back.
    pub corr: String,
    /// The event or delivery, if there was one.
    pub event: Option<String>,
    /// When the invocation ends.
    pub deadline: Deadline,
}

/// How an action is carried out.
pub enum Prepared {
    /// A call to Stripe, claimed with its bytes.
    Call {
        /// The effect's key.
        effect: String,
        /// Its terms.
        terms: Terms,
        /// Path and bytes.
        call: StripeCall,
        /// The bytes hold contact data: they are kept apart.
        private: bool,
    },
    /// A call to somebody else, carried out by [`Hand::perform`].
    Own {
        /// The effect's key.
        effect: String,
        /// Its terms.
        terms: Terms,
        /// What is known before the call: committed with the claim.
        facts: Vec<(What, Reason)>,
    },
    /// No call is needed: these facts say it all.
    Facts(Vec<(What, Reason)>),
    /// Not now.
    Nothing,
}

/// How a call to somebody else than Stripe ended.
pub enum Own {
    /// Done; these facts follow.
    Done(Vec<What>),
    /// Not done or unknown, and safe to repeat after this long.
    Later(Seconds),
    /// Repeating will not mend it.
    Refused(Vec<What>),
}

/// One function's part in the loop.
pub trait Hand: Send {
    /// Reads the truth that the trigger or the plan asks for. Called in every round; `moved` says that what was read
    /// before does not count any more: the first round, and after somebody else's commit.
    fn observe(
        &mut self,
        engine: &Engine,
        trigger: &Trigger,
        key: &OrderKey,
        state: &State,
        moved: bool,
    ) -> impl Future<Output = Result<Vec<(What, Reason)>, EngineError>> + Send;

    /// Prepares an action that the plan gave to this function.
    fn prepare(
        &mut self,
        engine: &Engine,
        trigger: &Trigger,
        key: &OrderKey,
        state: &State,
        action: &Action,
    ) -> impl Future<Output = Result<Prepared, EngineError>> + Send;

    /// Carries out a call that is not Stripe's. Only hands that prepare [`Prepared::Own`] have one.
    fn perform(
        &mut self,
        _engine: &Engine,
        _trigger: &Trigger,
        _key: &OrderKey,
        _state: &State,
        _terms: &Terms,
    ) -> impl Future<Output = Result<Own, EngineError>> + Send {
        async { Ok(Own::Later(Seconds(60))) }
    }
}
