//! Facts in words.

use super::fact::StoredFact;
use super::time::UnixTime;

/// One line of an order's timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When.
    pub at: UnixTime,
    /// By which function.
    pub function: String,
    /// What happened.
    pub what: String,
    /// Why.
    pub why: String,
}

/// The timeline.
pub fn timeline(facts: &[StoredFact]) -> Vec<Line> {
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
