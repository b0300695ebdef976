//! An order in words.

use std::collections::BTreeMap;

use serde::Serialize;

use super::fact::StoredFact;
use super::ids::OrderKey;
use super::policy::Policy;
use super::state::Claim;
use super::time::UnixTime;

/// All there is to say about an order.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// Its key.
    pub order: String,
}

impl Explanation {
    /// Plain text.
    pub fn text(&self, _width: usize) -> String {
        self.order.clone()
    }
}

/// Wraps text.
pub fn wrap(text: &str, _width: usize, indent: &str) -> String {
    format!("{indent}{text}")
}

/// Explains an order.
pub fn explain(
    key: &OrderKey,
    _facts: &[StoredFact],
    _claims: &BTreeMap<String, Claim>,
    _policy: &Policy,
    _policy_hash: &str,
    _now: UnixTime,
) -> Explanation {
    Explanation { order: key.to_string() }
}

/// One line of an order's timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When.
    pub at: super::time::UnixTime,
    /// By which function.
    pub function: String,
    /// What happened.
    pub what: String,
    /// Why.
    pub why: String,
}

/// The timeline.
pub fn timeline(facts: &[super::fact::StoredFact]) -> Vec<Line> {
    facts
        .iter()
        .map(|f| Line {
            at: f.fact.at,
            function: f.fact.by.clone(),
            what: serde_json::to_string(&f.fact.what).unwrap_or_default(),
            why: f.fact.why.clone(),
        })
        .collect()
}
