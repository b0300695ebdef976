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
use pure::domain::state::{Claim, State, resume};
use pure::domain::time::UnixTime;
use serde::Serialize;

use super::hand::Worker;

/// Folded states kept; more, and they are folded anew.
const STATES_KEPT: usize = 8_000;
/// Plans kept.
const PLANS_KEPT: usize = 60_000;

/// The order's item: the fold of its facts, and its claims, by their numbers. The product, too, folds on from a fold that
/// it has written down.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Item {
    pub(crate) fold: u32,
    pub(crate) claims: Vec<u16>,
    pub(crate) due_at: Option<i64>,
}

/// Things by number.
struct Pool<T> {
    numbers: HashMap<String, u32>,
    things: Vec<Arc<T>>,
}

impl<T: Serialize> Pool<T> {
    fn new() -> Self {
        Self { numbers: HashMap::new(), things: Vec::new() }
    }

    fn number(&mut self, thing: T) -> u32 {
        let text = serde_json::to_string(&thing).unwrap_or_default();
        let next = u32::try_from(self.things.len()).unwrap_or(u32::MAX);
        let number = *self.numbers.entry(text).or_insert(next);
        if number == next {
            self.things.push(Arc::new(thing));
        }
        number
    }

    /// A number of things of which a model has few.
    fn short(&mut self, thing: T) -> u16 {
        u16::try_from(self.number(thing)).unwrap_or(u16::MAX)
    }

    fn thing(&self, number: impl Into<u32>) -> Arc<T> {
        self.things[usize::try_from(number.into()).unwrap_or(usize::MAX)].clone()
    }
}

type Ids = (u32, Vec<u16>);

struct Pages {
    folds: Pool<State>,
    facts: Pool<Fact>,
    claims: Pool<Claim>,
    whats: Pool<What>,
    keys: Pool<String>,
    extended: HashMap<Ids, u32>,
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
        let mut folds = Pool::new();
        folds.number(State::default());
        let pages = Pages {
            folds,
            facts: Pool::new(),
            claims: Pool::new(),
            whats: Pool::new(),
            keys: Pool::new(),
            extended: HashMap::new(),
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
        self.pages().facts.short(Fact {
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

    /// The fold after more facts.
    pub(crate) fn extend(&self, fold: u32, new: Vec<u16>) -> u32 {
        let ids: Ids = (fold, new);
        if let Some(known) = self.pages().extended.get(&ids) {
            return *known;
        }
        let facts: Vec<Arc<Fact>> = ids.1.iter().map(|id| self.fact_of(*id)).collect();
        let base = State::clone(&self.pages().folds.thing(fold));
        let folded = resume(base, facts.iter().map(Arc::as_ref), &BTreeMap::new());
        let mut pages = self.pages();
        let number = pages.folds.number(unnumbered(folded));
        pages.extended.insert(ids, number);
        number
    }

    pub(crate) fn fact_of(&self, number: u16) -> Arc<Fact> {
        self.pages().facts.thing(number)
    }

    pub(crate) fn claim(&self, claim: Claim) -> u16 {
        self.pages().claims.short(claim)
    }

    pub(crate) fn claim_of(&self, number: u16) -> Arc<Claim> {
        self.pages().claims.thing(number)
    }

    pub(crate) fn what(&self, what: What) -> u16 {
        self.pages().whats.short(what)
    }

    pub(crate) fn what_of(&self, number: u16) -> Arc<What> {
        self.pages().whats.thing(number)
    }

    pub(crate) fn key(&self, key: String) -> u16 {
        self.pages().keys.short(key)
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
        let ids: Ids = (item.fold, item.claims.clone());
        if let Some(known) = self.pages().states.get(&ids) {
            return known.clone();
        }
        let claims = self.claims(item);
        let mut pages = self.pages();
        let state = Arc::new(State { claims, ..State::clone(&pages.folds.thing(item.fold)) });
        if pages.states.len() >= STATES_KEPT {
            pages.states.clear();
        }
        pages.states.insert(ids, state.clone());
        state
    }

    /// The plan of an item, for the functions of the model.
    pub(crate) fn plan(&self, item: &Item, now: UnixTime) -> Arc<Vec<Action>> {
        let ids: Ids = (item.fold, item.claims.clone());
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

/// A fold without what its facts' mere number makes of it. Of the numbers of facts only one pair is ever compared: whether
/// the buyer asked after the last creation was claimed.
fn unnumbered(mut state: State) -> State {
    let waits = state.buyer_asked.is_some_and(|(asked, _)| asked > state.last_creation);
    (state.facts, state.view_version, state.last_creation) = (2, 0, 1);
    (state.view_at, state.last_at) = (UnixTime(0), UnixTime(0));
    if let Some((asked, _)) = &mut state.buyer_asked {
        *asked = u64::from(waits) * 2;
    }
    state
}
