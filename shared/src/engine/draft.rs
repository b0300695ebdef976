//! One commit in the making: facts, claims and due time move together.

use std::collections::BTreeMap;

use super::hand::Trigger;
use super::look::Seen;
use super::{CLAIM_FOR, Engine, EngineError, GRACE};
use crate::domain::fact::{Fact, Terms, What, stamp};
use crate::domain::ids::Function;
use crate::domain::plan::{Do, Reason, due_at, plan};
use crate::domain::state::{Claim, State};
use crate::domain::time::UnixTime;
use crate::planted::{Bug, planted};
use crate::store::{Change, OrderItem, Summary};

/// Most rounds of records in one commit; the plan comes to rest long before.
const RECORD_ROUNDS_MAX: u32 = 8;
/// A commit takes no further fact past this many bytes: what is left goes into the next one.
const FACTS_BYTES_MAX: usize = 48 * 1024;
/// Claims of an order hold at most this much in its item.
const CLAIMS_BYTES_MAX: usize = 64 * 1024;
/// Of this, refunds and notices, of which there can be many, leave so much to the others.
const CLAIMS_BYTES_LEFT: usize = 16 * 1024;

/// A commit in the making.
pub struct Draft<'a> {
    engine: &'a Engine,
    /// The item as loaded.
    pub item: &'a OrderItem,
    /// The state with what was added.
    pub state: State,
    /// Timers to set after the commit.
    pub timers: Vec<What>,
    /// What was seen and did not fit: the next commit's.
    pub left: Seen,
    corr: String,
    hint: Option<String>,
    token: String,
    now: UnixTime,
    facts: Vec<Fact>,
    bytes: usize,
    claims: BTreeMap<String, Claim>,
    changed: bool,
}

impl<'a> Draft<'a> {
    /// Nothing changed yet.
    pub fn new(engine: &'a Engine, item: &'a OrderItem, state: State, trigger: &Trigger) -> Self {
        Self {
            engine,
            item,
            state,
            timers: Vec::new(),
            left: Vec::new(),
            corr: trigger.corr.clone(),
            hint: trigger.event.clone(),
            token: engine.tokens.fresh(),
            now: engine.clock.now(),
            facts: Vec::new(),
            bytes: 0,
            claims: item.claims.clone(),
            changed: false,
        }
    }

    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty() && !self.changed
    }

    /// Adds a fact.
    pub fn add(&mut self, what: What, why: &str) {
        let fact = Fact {
            id: format!("{}.{}", self.token, self.facts.len()),
            at: self.now,
            by: stamp(self.engine.me),
            corr: self.corr.clone(),
            hint: self.hint.clone(),
            why: why.to_owned(),
            policy: self.engine.config.policy_hash.clone(),
            prev: String::new(),
            what,
        };
        self.state.apply(&fact);
        self.bytes += serde_json::to_string(&fact).map_or(0, |text| text.len());
        self.facts.push(fact);
    }

    /// Whether one commit should hold no more facts.
    pub fn is_full(&self) -> bool {
        self.bytes >= FACTS_BYTES_MAX
    }

    /// Adds an observation if it is news.
    pub fn see(&mut self, what: What, reason: Reason) {
        if self.state.is_news(&what) {
            self.add(what, reason.name());
        }
    }

    /// Adds observations that are news, as many as fit. The event that hinted at them is known only once all of them are
    /// stored: a repeated delivery reads again after a run that ended in between.
    pub fn see_all(&mut self, seen: Seen) {
        for (what, reason) in seen {
            if !self.is_full() {
                self.see(what, reason);
            } else if self.state.is_news(&what) {
                self.left.push((what, reason));
            }
        }
        if !self.left.is_empty() {
            self.facts.iter_mut().for_each(|fact| fact.hint = None);
        }
    }

    /// Commits what the plan only records, until it asks for no more. `anybodys`: only what is no function's own.
    pub fn records(&mut self, anybodys: bool) {
        for _ in 0..RECORD_ROUNDS_MAX {
            let me = self.engine.me;
            let actions = plan(&self.state, &self.engine.config.policy, self.now);
            let records: Vec<_> = actions
                .into_iter()
                .filter(|a| a.ready(self.now) && a.owner.is_none_or(|o| o == me && !anybodys))
                .filter_map(|a| match a.what {
                    Do::Record(what) => Some((*what, a.reason, false)),
                    Do::Schedule(what) => Some((*what, a.reason, true)),
                    _ => None,
                })
                .collect();
            if records.is_empty() {
                return;
            }
            for (what, reason, timed) in records {
                if self.is_full() {
                    return;
                }
                if timed {
                    self.timers.push(what.clone());
                }
                self.add(what, reason.name());
            }
        }
    }

    /// A claim on a new effect, for this function.
    pub fn new_claim(&self, effect: String, terms: Terms, by: Function) -> Claim {
        let generation = self.state.generations.get(&effect).copied().unwrap_or(1);
        Claim {
            effect,
            generation,
            generation_at: self.now,
            owner: self.engine.tokens.fresh(),
            by,
            deadline: self.now + CLAIM_FOR,
            terms,
            path: String::new(),
            body: None,
            body_ref: None,
            unknown_since: None,
            waiting_since: None,
            calls: 0,
            server_errors: 0,
            listed_empty_at: None,
            more: BTreeMap::new(),
        }
    }

    /// Adds a claim; money effects leave a fact as well.
    pub fn claim(&mut self, claim: Claim, reason: Reason, with_fact: bool) {
        if with_fact {
            let what = What::Claimed {
                effect: claim.effect.clone(),
                generation: claim.generation,
                terms: claim.terms.clone(),
            };
            self.add(what, reason.name());
        }
        self.put_claim(claim);
    }

    /// Whether the item has room for one more claim with so many bytes of a request; what has none waits for others to end.
    pub fn has_room_for(&self, terms: &Terms, body: usize) -> bool {
        let held = serde_json::to_string(&self.claims).map_or(0, |text| text.len());
        let many = matches!(terms, Terms::Refund { .. } | Terms::Notice { .. });
        held + body + if many { CLAIMS_BYTES_LEFT } else { 0 } < CLAIMS_BYTES_MAX
    }

    /// Puts a claim as it is.
    pub fn put_claim(&mut self, claim: Claim) {
        self.state.claims.insert(claim.effect.clone(), claim.clone());
        self.claims.insert(claim.effect.clone(), claim);
        self.changed = true;
    }

    /// Ends a claim.
    pub fn drop_claim(&mut self, effect: &str) {
        self.state.claims.remove(effect);
        self.claims.remove(effect);
        self.changed = true;
    }

    /// Takes over a claim past its deadline.
    pub fn take_over(&mut self, effect: &str) -> Option<Claim> {
        let mut claim = self.claims.get(effect)?.clone();
        if claim.deadline > self.now {
            return None;
        }
        claim.owner = self.engine.tokens.fresh();
        claim.deadline = self.now + CLAIM_FOR;
        // Nobody knows what the last owner did with it.
        claim.unknown_since = claim.unknown_since.or(Some(self.now));
        self.put_claim(claim.clone());
        Some(claim)
    }

    /// The change to commit.
    pub fn change(self) -> Result<Change, EngineError> {
        let actions = plan(&self.state, &self.engine.config.policy, self.now);
        let case = self
            .state
            .cases
            .values()
            .filter(|c| c.is_open())
            .min_by_key(|c| c.opened_at)
            .map(|c| (c.kind, c.opened_at));
        Ok(Change {
            facts: self.item.chain(self.facts)?,
            token: self.token,
            claims: self.claims,
            due_at: due_at(&actions, self.now, GRACE).filter(|_| !planted(Bug::DueTimeDropped)),
            due_tries: 0,
            case,
            summary: Summary::of(&self.state),
            day: self.item.day.clone().unwrap_or_else(|| self.now.date()),
        })
    }
}
