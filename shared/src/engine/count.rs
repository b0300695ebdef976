//! What the loop counts: commits and what they bring, and how claims end.

use super::Engine;
use super::carry::Verdict;
use super::hand::Own;
use crate::domain::fact::What;
use crate::store::orders::Committed;
use crate::store::{Change, OrderItem, StoreError};

/// What a commit brings that is worth counting.
#[derive(Default)]
struct Brought {
    cases: Vec<&'static str>,
    retries: u64,
}

impl Brought {
    fn of(change: &Change) -> Self {
        let mut brought = Self::default();
        for fact in &change.facts {
            match &fact.fact.what {
                What::CaseOpened { case_kind, .. } => brought.cases.push(case_kind.name()),
                What::RetryScheduled { .. } => brought.retries += 1,
                _ => {}
            }
        }
        brought
    }
}

impl Engine {
    /// One commit, counted: won or lost, and what it brought.
    pub(super) async fn commit(&self, item: &OrderItem, change: Change) -> Result<Committed, StoreError> {
        let brought = Brought::of(&change);
        let ended = self.store.commit(item, change).await?;
        match ended {
            Committed::Yes(_) => {
                self.metrics.count("Commits", &[]);
                for kind in brought.cases {
                    self.metrics.count("CasesOpened", &[("Kind", kind)]);
                }
                if brought.retries > 0 {
                    self.metrics.add("RetriesScheduled", brought.retries, &[]);
                }
            }
            Committed::Lost(_) => self.metrics.count("CommitsLost", &[]),
        }
        Ok(ended)
    }

    /// How a call ended, once it is recorded.
    pub(super) fn count_outcome(&self, outcome: &'static str) {
        self.metrics.count("Calls", &[("Outcome", outcome)]);
    }
}

impl Verdict {
    /// The outcome as a word.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Done(_) | Self::Seen { .. } => "done",
            Self::Refused { .. } => "not_done",
            Self::Later { unknown: true, .. } | Self::ListedEmpty => "unknown",
            Self::Later { unknown: false, .. } => "waits",
            Self::Roll => "rolled",
        }
    }
}

impl Own {
    /// The outcome as a word: what may be repeated safely is unknown until it succeeds.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::Refused(_) => "not_done",
            Self::Later(_) => "unknown",
        }
    }
}
