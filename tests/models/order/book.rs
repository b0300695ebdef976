//! The item, its facts and claims, folded and planned by the product's own code.
//!
//! Invariant: a state of the model holds numbers only; the book says what each stands for, and it only grows.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pure::domain::fact::{EffectResult, Fact, What};
use pure::domain::ids::Function;
use pure::domain::plan::{Action, plan};
use pure::domain::policy::Policy;
use pure::domain::state::{Claim, State, fold};
use pure::domain::time::UnixTime;
use serde::Serialize;

use super::hand::Worker;

/// Folded states kept; more, and they are folded anew.
const STATES_KEPT: usize = 8_000;
/// Plans kept.
const PLANS_KEPT: usize = 60_000;

/// The order's item: facts and claims by their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Item {
    pub(crate) facts: Vec<u16>,
    pub(crate) claims: Vec<u16>,
    pub(crate) due_at: Option<i64>,
}

/// Things by number.
struct Pool<T> {
    numbers: HashMap<String, u16>,
    things: Vec<Arc<T>>,
}

impl<T: Serialize> Pool<T> {
    const fn new(numbers: HashMap<String, u16>) -> Self {
        Self { numbers, things: Vec::new() }
    }

    fn number(&mut self, thing: T) -> u16 {
        let text = serde_json::to_string(&thing).unwrap_or_default();
        let next = u16::try_from(self.things.len()).unwrap_or(u16::MAX);
        let number = *self.numbers.entry(text).or_insert(next);
        if number == next {
            self.things.push(Arc::new(thing));
        }
        number
    }

    fn thing(&self, number: u16) -> Arc<T> {
        self.things[usize::from(number)].clone()
    }
}

type Ids = (Vec<u16>, Vec<u16>);

struct Pages {
    facts: Pool<Fact>,
    claims: Pool<Claim>,
    whats: Pool<What>,
    keys: Pool<String>,
    states: HashMap<Ids, Arc<State>>,
    plans: HashMap<(Ids, i64), Arc<Vec<Action>>>,
    looks: HashMap<u64, Option<Arc<Worker>>>,
}

/// What the numbers of one model stand for.
pub(crate) struct Book {
    pub(crate) policy: Policy,
    pages: Mutex<Pages>,
}

impl Book {
    pub(crate) fn new(policy: Policy) -> Self {
        let pages = Pages {
            facts: Pool::new(HashMap::new()),
            claims: Pool::new(HashMap::new()),
            whats: Pool::new(HashMap::new()),
            keys: Pool::new(HashMap::new()),
            states: HashMap::new(),
            plans: HashMap::new(),
            looks: HashMap::new(),
        };
        Self { policy, pages: Mutex::new(pages) }
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A fact. Only a decline and a rolled key are waited for by the time of their fact; the others have none here, so
    /// that worlds that differ by it alone are one.
    pub(crate) fn fact(&self, at: UnixTime, why: &str, what: What) -> u16 {
        let waited = matches!(
            &what,
            What::Outcome { result: EffectResult::Refused { .. } | EffectResult::Rolled, .. }
        );
        let at = if waited { at } else { UnixTime(0) };
        self.pages().facts.number(Fact {
            id: String::new(),
            at,
            by: String::new(),
            corr: String::new(),
            hint: None,
            why: why.to_owned(),
            policy: String::new(),
            prev: String::new(),
            what,
        })
    }

    /// Adds facts. What was seen since the last claim or outcome counts by its last sight, in any order.
    pub(super) fn extend(&self, facts: &mut Vec<u16>, new: Vec<u16>) {
        for fact in new {
            let Some(object) = self.seen(fact) else {
                facts.push(fact);
                continue;
            };
            let begin = facts.iter().rposition(|f| self.seen(*f).is_none()).map_or(0, |i| i + 1);
            let mut run: BTreeMap<String, u16> =
                facts.drain(begin..).filter_map(|f| self.seen(f).map(|object| (object, f))).collect();
            run.insert(object, fact);
            facts.extend(run.into_values());
        }
    }

    /// The object that a fact is a sight of.
    fn seen(&self, fact: u16) -> Option<String> {
        match &self.fact_of(fact).what {
            What::OrderSeen(_) => Some("order".into()),
            What::SessionSeen(seen) => Some(seen.id.clone()),
            What::IntentSeen(seen) => Some(seen.id.clone()),
            What::ChargeSeen(seen) => Some(seen.id.clone()),
            _ => None,
        }
    }

    pub(crate) fn fact_of(&self, number: u16) -> Arc<Fact> {
        self.pages().facts.thing(number)
    }

    pub(crate) fn claim(&self, claim: Claim) -> u16 {
        self.pages().claims.number(claim)
    }

    pub(crate) fn claim_of(&self, number: u16) -> Arc<Claim> {
        self.pages().claims.thing(number)
    }

    pub(crate) fn what(&self, what: What) -> u16 {
        self.pages().whats.number(what)
    }

    pub(crate) fn what_of(&self, number: u16) -> Arc<What> {
        self.pages().whats.thing(number)
    }

    pub(crate) fn key(&self, key: String) -> u16 {
        self.pages().keys.number(key)
    }

    /// What comes of a look, drafted once for all that look alike. The checker, too, tells states apart by 64 bits.
    pub(super) fn looked(
        &self,
        look: &impl Hash,
        draft: impl FnOnce() -> Option<Worker>,
    ) -> Option<Arc<Worker>> {
        let mut hasher = DefaultHasher::new();
        look.hash(&mut hasher);
        let seen = hasher.finish();
        if let Some(known) = self.pages().looks.get(&seen) {
            return known.clone();
        }
        let drafted = draft().map(Arc::new);
        self.pages().looks.insert(seen, drafted.clone());
        drafted
    }

    /// The claims of an item by effect.
    pub(crate) fn claims(&self, item: &Item) -> BTreeMap<String, Claim> {
        let claims = item.claims.iter().map(|id| self.claim_of(*id));
        claims.map(|claim| (claim.effect.clone(), Claim::clone(&claim))).collect()
    }

    /// The fold of an item.
    pub(crate) fn state(&self, item: &Item) -> Arc<State> {
        let ids: Ids = (item.facts.clone(), item.claims.clone());
        if let Some(known) = self.pages().states.get(&ids) {
            return known.clone();
        }
        let facts: Vec<Arc<Fact>> = item.facts.iter().map(|id| self.fact_of(*id)).collect();
        let state = Arc::new(fold(facts.iter().map(Arc::as_ref), &self.claims(item)));
        let mut pages = self.pages();
        if pages.states.len() >= STATES_KEPT {
            pages.states.clear();
        }
        pages.states.insert(ids, state.clone());
        state
    }

    /// The plan of an item, for the functions of the model.
    pub(crate) fn plan(&self, item: &Item, now: UnixTime) -> Arc<Vec<Action>> {
        let ids: Ids = (item.facts.clone(), item.claims.clone());
        if let Some(known) = self.pages().plans.get(&(ids.clone(), now.0)) {
            return known.clone();
        }
        let actions = Arc::new(self.plan_of(&self.state(item), now));
        let mut pages = self.pages();
        if pages.plans.len() >= PLANS_KEPT {
            pages.plans.clear();
        }
        pages.plans.insert((ids, now.0), actions.clone());
        actions
    }

    /// The plan of a state, without what is told and given back: those functions are not in the model.
    pub(crate) fn plan_of(&self, state: &State, now: UnixTime) -> Vec<Action> {
        let ours = [
            Function::PaymentCreator,
            Function::PaymentPage,
            Function::PaymentRecorder,
            Function::FailureHandler,
        ];
        let mut actions = plan(state, &self.policy, now);
        actions.retain(|a| a.owner.is_none_or(|o| ours.contains(&o)));
        actions
    }
}
