//! An order in words: every fact with its reason as stored at the time, a replay under today's policy, and where the
//! order stands. Pure: the facts are the audit, this only reads them aloud.
//!
//! Invariant: no contact data and no bearer token is repeated here.

mod replay;
mod standing;
mod text;
mod words;

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use self::replay::Replay;
use self::standing::Standing;
pub use self::text::wrap;
use super::fact::{Fact, StoredFact, What, chain_break};
use super::ids::OrderKey;
use super::plan::{Reason, plan};
use super::policy::Policy;
use super::state::{Claim, State, fold};
use super::time::UnixTime;

/// One fact of a timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// When it was committed.
    pub at: UnixTime,
    /// The function that committed it.
    pub function: String,
    /// What it says.
    pub what: String,
    /// Why, in words.
    pub why: String,
}

/// One fact, explained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// From 1.
    pub n: usize,
    /// When it was committed.
    #[serde(serialize_with = "as_text")]
    pub at: UnixTime,
    /// Function and version.
    pub by: String,
    /// What it says.
    pub what: String,
    /// The named reason as stored.
    pub reason: String,
    /// The reason in words.
    pub why: String,
    /// The event or delivery that hinted at it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Correlation id.
    pub corr: String,
    /// What it changed, amounts as decimals.
    pub changed: Vec<String>,
    /// For decisions: hash of the policy in force at the time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// What today's policy would do otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub today: Option<String>,
}

/// All there is to say about an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Its key.
    pub order: String,
    /// The number people use.
    pub number: String,
    /// When this was said.
    #[serde(serialize_with = "as_text")]
    pub now: UnixTime,
    /// Hash of today's policy.
    pub policy: String,
    /// The first fact (from 1) that does not carry the hash of the one before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chain_broken_at: Option<usize>,
    /// The facts, oldest first.
    pub facts: Vec<Entry>,
    /// Where the order stands.
    pub state: String,
    /// What happens next and when, the earliest first.
    pub next: Vec<String>,
}

impl Explanation {
    /// Plain text of at most `width` columns, where words allow it.
    pub fn text(&self, width: usize) -> String {
        text::render(self, width)
    }
}

fn as_text<S: Serializer>(at: &UnixTime, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(&at.to_string())
}

/// A stored reason in words; one of another build is given as it is.
pub fn reason_words(name: &str) -> String {
    let known = Reason::ALL.iter().find(|r| r.name() == name);
    known.map_or_else(|| name.replace('_', " "), |r| r.words().to_owned())
}

/// The facts as a short timeline.
pub fn timeline(facts: &[StoredFact]) -> Vec<Line> {
    let mut state = State::default();
    let mut lines = Vec::with_capacity(facts.len());
    for StoredFact { fact, .. } in facts {
        lines.push(Line {
            at: fact.at,
            function: fact.by.split('/').next().unwrap_or_default().to_owned(),
            what: words::of_fact(&fact.what, &state),
            why: reason_words(&fact.why),
        });
        state.apply(fact);
    }
    lines
}

/// Explains an order from its facts, the claims of the same revision and today's policy.
pub fn explain(
    key: &OrderKey,
    facts: &[StoredFact],
    claims: &BTreeMap<String, Claim>,
    policy: &Policy,
    policy_hash: &str,
    now: UnixTime,
) -> Explanation {
    let mut replay = Replay::new(policy, policy_hash);
    let mut entries = Vec::with_capacity(facts.len());
    for (i, StoredFact { fact, .. }) in facts.iter().enumerate() {
        let before = Standing::of(replay.state());
        let what = words::of_fact(&fact.what, replay.state());
        let today = replay.next(fact);
        let changed = before.changes(&Standing::of(replay.state()));
        entries.push(entry(i + 1, fact, what, changed, today));
    }
    let state = fold(facts.iter().map(|f| &f.fact), claims);
    let mut actions = plan(&state, policy, now);
    actions.sort_by_key(|a| a.at.max(now));
    Explanation {
        order: key.to_string(),
        number: state.order.as_ref().map(|o| o.number.clone()).unwrap_or_default(),
        now,
        policy: policy_hash.to_owned(),
        chain_broken_at: chain_break(facts, "").map(|i| i + 1),
        facts: entries,
        state: standing::paragraph(&state, now),
        next: actions.iter().map(|a| words::of_action(a, &state, now)).collect(),
    }
}

fn entry(n: usize, fact: &Fact, what: String, changed: Vec<String>, today: Option<String>) -> Entry {
    Entry {
        n,
        at: fact.at,
        by: fact.by.clone(),
        what,
        reason: fact.why.clone(),
        why: reason_words(&fact.why),
        source: fact.hint.clone(),
        corr: fact.corr.clone(),
        changed,
        policy: is_decision(&fact.what).then(|| fact.policy.clone()),
        today,
    }
}

/// Whether somebody, or the policy, decided it; what was merely seen or done is none.
fn is_decision(what: &What) -> bool {
    matches!(
        what,
        What::Claimed { .. }
            | What::RefundRequested { .. }
            | What::CaseOpened { .. }
            | What::CaseDecided { .. }
            | What::CaseLapsed { .. }
            | What::CardBudget { .. }
            | What::RetryScheduled { .. }
            | What::GaveUp { .. }
    )
}

#[cfg(test)]
mod tests;
