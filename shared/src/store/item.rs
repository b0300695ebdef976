//! The order item: facts, claims, due time and revision in one place, so that they can never disagree.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Item, StoreError, number_of, text_of};
use crate::domain::fact::{CaseKind, Fact, StoredFact, hash_of};
use crate::domain::ids::OrderKey;
use crate::domain::state::{Claim, State, fold};
use crate::domain::time::UnixTime;

/// An order's item as loaded.
#[derive(Clone, Debug)]
pub struct OrderItem {
    /// Its key.
    pub key: OrderKey,
    /// 0: there is no item yet.
    pub rev: u64,
    /// Facts, oldest first.
    pub facts: Vec<StoredFact>,
    /// Claims by effect.
    pub claims: BTreeMap<String, Claim>,
    /// When the sweeper looks at it.
    pub due_at: Option<UnixTime>,
    /// How often the sweeper re-dated it since the last commit of a hand.
    pub due_tries: u32,
    /// Date of the first commit, for the day index.
    pub day: Option<String>,
    /// Token of the last commit.
    pub token: String,
}

/// What the day index shows of an order. Amounts in ISO minor units.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The number people use.
    pub number: String,
    /// Payment status.
    pub status: String,
    /// ISO 4217.
    pub currency: String,
    /// Owed.
    pub total: i64,
    /// Captured.
    pub captured: i64,
    /// Refunded.
    pub refunded: i64,
    /// Intents that took money.
    pub intents: Vec<String>,
    /// Open cases.
    pub cases: Vec<String>,
}

/// What one commit changes.
#[derive(Clone, Debug)]
pub struct Change {
    /// Token of this commit.
    pub token: String,
    /// Facts to add.
    pub facts: Vec<StoredFact>,
    /// All claims after the commit.
    pub claims: BTreeMap<String, Claim>,
    /// Due time after the commit.
    pub due_at: Option<UnixTime>,
    /// Re-datings by the sweeper.
    pub due_tries: u32,
    /// The oldest open case.
    pub case: Option<(CaseKind, UnixTime)>,
    /// For the indexes.
    pub summary: Summary,
    /// Date of the first commit.
    pub day: String,
}

impl OrderItem {
    /// No item yet.
    pub fn absent(key: OrderKey) -> Self {
        Self {
            key,
            rev: 0,
            facts: Vec::new(),
            claims: BTreeMap::new(),
            due_at: None,
            due_tries: 0,
            day: None,
            token: String::new(),
        }
    }

    /// The fold of its facts with its claims.
    pub fn state(&self) -> State {
        fold(self.facts.iter().map(|f| &f.fact), &self.claims)
    }

    /// Hash the next fact carries.
    pub fn last_hash(&self) -> String {
        self.facts.last().map(|f| hash_of(&f.raw)).unwrap_or_default()
    }

    /// Chains and serialises new facts.
    pub fn chain(&self, facts: Vec<Fact>) -> Result<Vec<StoredFact>, StoreError> {
        let mut prev = self.last_hash();
        let mut out = Vec::with_capacity(facts.len());
        for mut fact in facts {
            fact.prev = prev;
            let raw = serde_json::to_string(&fact).map_err(|e| self.unreadable(&e.to_string()))?;
            prev = hash_of(&raw);
            out.push(StoredFact { raw, fact });
        }
        Ok(out)
    }

    fn unreadable(&self, detail: &str) -> StoreError {
        StoreError::Unreadable { key: self.key.to_string(), detail: detail.to_owned() }
    }

    /// Whether `token` made this item what it is, or added one of its facts.
    pub fn has_commit(&self, token: &str) -> bool {
        self.token == token || self.facts.iter().rev().any(|f| f.fact.id.split('.').next() == Some(token))
    }

    pub(super) fn parse(key: OrderKey, item: &Item) -> Result<Self, StoreError> {
        let mut out = Self::absent(key);
        let rev = number_of(item, "rev").and_then(|r| u64::try_from(r).ok());
        out.rev = rev.ok_or_else(|| out.unreadable("rev"))?;
        if let Some(list) = item.get("facts").and_then(|v| v.as_l().ok()) {
            for value in list {
                let raw = value.as_s().map_err(|_| out.unreadable("a fact is not text"))?.clone();
                let fact = StoredFact::parse(raw).map_err(|e| out.unreadable(&e.to_string()))?;
                out.facts.push(fact);
            }
        }
        if let Some(text) = text_of(item, "claims") {
            out.claims = serde_json::from_str(text).map_err(|e| out.unreadable(&e.to_string()))?;
        }
        out.due_at = number_of(item, "due_at").map(UnixTime);
        out.due_tries = number_of(item, "due_tries").and_then(|t| u32::try_from(t).ok()).unwrap_or(0);
        out.day = text_of(item, "date").map(str::to_owned);
        out.token = text_of(item, "token").unwrap_or_default().to_owned();
        // The newest fact has none after it: its hash is kept beside the list, so that an edit of it shows too.
        if text_of(item, "head_hash").is_some_and(|hash| hash != out.last_hash()) {
            return Err(out.unreadable("its newest fact was changed after it was stored"));
        }
        Ok(out)
    }
}

impl Summary {
    /// Of a state.
    pub fn of(state: &State) -> Self {
        let view = state.view.as_ref();
        Self {
            number: state.order.as_ref().map(|o| o.number.clone()).unwrap_or_default(),
            status: view.map(|v| v.status.name().to_owned()).unwrap_or_default(),
            currency: view.map(|v| v.currency.code().to_owned()).unwrap_or_default(),
            total: state.order.as_ref().map_or(0, |o| o.total),
            captured: state.captured(),
            refunded: state.refunded(),
            intents: state.charges.values().filter(|c| c.captured).map(|c| c.intent.clone()).collect(),
            cases: state.cases.iter().filter(|(_, c)| c.is_open()).map(|(id, _)| id.clone()).collect(),
        }
    }
}
