//! The replay: what today's policy would have decided on the facts of the time.
//!
//! A commit holds what was seen and what was decided on it, so a decision counts as planned today if the plan at any
//! point of its commit asks for it.

use std::collections::BTreeMap;

use crate::domain::fact::{Fact, Origin, Terms, What};
use crate::domain::ids::Function;
use crate::domain::plan::{Action, Do, plan};
use crate::domain::policy::Policy;
use crate::domain::state::{Claim, State};
use crate::domain::time::UnixTime;

pub(super) struct Replay<'a> {
    policy: &'a Policy,
    hash: &'a str,
    state: State,
    commit: String,
    plans: Vec<Vec<Action>>,
}

impl<'a> Replay<'a> {
    pub(super) fn new(policy: &'a Policy, hash: &'a str) -> Self {
        Self { policy, hash, state: State::default(), commit: String::new(), plans: Vec::new() }
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// Goes past one fact; says what today's policy would do otherwise.
    pub(super) fn next(&mut self, fact: &Fact) -> Option<String> {
        let commit = fact.id.split('.').next().unwrap_or_default();
        if commit != self.commit {
            commit.clone_into(&mut self.commit);
            self.plans.clear();
        }
        let mut otherwise = None;
        if fact.policy != self.hash {
            self.plans.push(plan(&self.state, self.policy, fact.at));
            otherwise = self.otherwise(fact);
        }
        self.state.apply(fact);
        self.hold(fact);
        otherwise
    }

    fn otherwise(&self, fact: &Fact) -> Option<String> {
        if !was_planned(&fact.what) {
            return None;
        }
        let all = || self.plans.iter().flatten();
        if all().any(|a| a.ready(fact.at) && asks_for(&a.what, &fact.what)) {
            return None;
        }
        let mut instead = all().filter(|a| rivals(&a.what, &fact.what)).map(|a| {
            let words = super::words::of_do(&a.what, &self.state);
            if a.ready(fact.at) { words } else { format!("{words} at {}", a.at) }
        });
        Some(match instead.next_back() {
            Some(instead) => format!("today's policy would not; it would {instead}"),
            None => "today's policy would not".to_owned(),
        })
    }

    /// Claims are no facts, but the plan of the time saw them: those that left a fact are held until their outcome.
    fn hold(&mut self, fact: &Fact) {
        match &fact.what {
            What::Claimed { effect, generation, terms } => {
                let claim = Claim {
                    effect: effect.clone(),
                    generation: *generation,
                    generation_at: fact.at,
                    owner: String::new(),
                    by: Function::Cli,
                    deadline: UnixTime(i64::MAX),
                    terms: terms.clone(),
                    path: String::new(),
                    body: None,
                    body_ref: None,
                    unknown_since: None,
                    waiting_since: None,
                    calls: 0,
                    server_errors: 0,
                    listed_empty_at: None,
                    more: BTreeMap::new(),
                };
                self.state.claims.insert(effect.clone(), claim);
            }
            What::Outcome { effect, .. } => {
                self.state.claims.remove(effect);
            }
            _ => {}
        }
    }
}

/// Decisions that the plan makes from the facts alone. Cases about claims need the claim, people need no plan.
fn was_planned(what: &What) -> bool {
    match what {
        What::Claimed { .. } | What::RetryScheduled { .. } | What::GaveUp { .. } => true,
        What::RefundRequested { origin, by_name, .. } => *origin != Origin::Operator || by_name.is_none(),
        What::CaseOpened { case, .. } | What::CaseLapsed { case } => !case.starts_with("unknown:"),
        _ => false,
    }
}

fn recorded(what: &Do) -> Option<&What> {
    match what {
        Do::Record(what) | Do::Schedule(what) => Some(what),
        _ => None,
    }
}

fn effect_of(what: &Do) -> Option<String> {
    match what {
        Do::CreateSession { attempt, .. } => Some(format!("session:{attempt}")),
        Do::CreateIntent { attempt, .. } => Some(format!("intent:{attempt}")),
        Do::Effect { effect, .. } => Some(effect.clone()),
        _ => None,
    }
}

/// Whether an action is this very decision.
fn asks_for(action: &Do, fact: &What) -> bool {
    match fact {
        What::Claimed { effect, .. } => effect_of(action).as_ref() == Some(effect),
        What::CaseOpened { case, .. } => {
            matches!(recorded(action), Some(What::CaseOpened { case: planned, .. }) if planned == case)
        }
        What::CaseLapsed { case } => {
            matches!(recorded(action), Some(What::CaseLapsed { case: planned }) if planned == case)
        }
        What::RefundRequested { request, amount, .. } => matches!(
            recorded(action),
            Some(What::RefundRequested { request: planned, amount: sum, .. }) if planned == request && sum == amount
        ),
        What::RetryScheduled { try_no, due, .. } => matches!(
            recorded(action),
            Some(What::RetryScheduled { try_no: planned, due: then, .. }) if planned == try_no && then == due
        ),
        What::GaveUp { .. } => matches!(recorded(action), Some(What::GaveUp { .. })),
        _ => false,
    }
}

/// Whether an action is what today's policy does about the same thing.
fn rivals(action: &Do, fact: &What) -> bool {
    let about = |request: &str| format!("refund:{request}");
    match fact {
        What::Claimed { terms: Terms::Refund { request, .. }, .. } => {
            matches!(recorded(action), Some(What::CaseOpened { case, .. }) if *case == about(request))
        }
        What::Claimed { terms: Terms::CreateSession { .. } | Terms::CreateIntent { .. }, .. } => {
            matches!(action, Do::CreateSession { .. } | Do::CreateIntent { .. })
        }
        What::CaseOpened { case, .. } => effect_of(action).as_ref() == Some(case),
        What::RetryScheduled { .. } | What::GaveUp { .. } => {
            matches!(recorded(action), Some(What::RetryScheduled { .. } | What::GaveUp { .. }))
        }
        _ => false,
    }
}
