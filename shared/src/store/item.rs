//! The order item: facts, claims, due time and revision in one place, so that they can never disagree.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

use super::packed::{pack, unpack};
use super::{Item, StoreError, number_of, text_of};
use crate::domain::archive::{Kept, seal};
use crate::domain::fact::{CaseKind, Fact, StoredFact, hash_of};
use crate::domain::ids::OrderKey;
use crate::domain::state::{Claim, State, resume};
use crate::domain::time::UnixTime;

/// An order's item as loaded.
#[derive(Clone, Debug)]
pub struct OrderItem {
    /// Its key.
    pub key: OrderKey,
    /// 0: there is no item yet.
    pub rev: u64,
    /// Facts that are not archived, oldest first.
    pub facts: Vec<StoredFact>,
    /// What is kept of archived ones.
    pub kept: Option<Kept>,
    /// The fold of archived facts.
    pub base: Box<State>,
    /// Claims by effect.
    pub claims: BTreeMap<String, Claim>,
    /// Claims that only a newer build can read, as they are stored.
    pub unread: BTreeMap<String, serde_json::Value>,
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
            kept: None,
            base: Box::default(),
            claims: BTreeMap::new(),
            unread: BTreeMap::new(),
            due_at: None,
            due_tries: 0,
            day: None,
            token: String::new(),
        }
    }

    /// The fold of all its facts with its claims.
    pub fn state(&self) -> State {
        let mut state = resume(State::clone(&self.base), self.facts.iter().map(|f| &f.fact), &self.claims);
        state.unread.extend(self.unread.keys().map(|effect| format!("claim {effect}")));
        state
    }

    /// Hash the next fact carries.
    pub fn last_hash(&self) -> String {
        let archived = || self.kept.as_ref().map(|k| k.archived.last.clone()).unwrap_or_default();
        self.facts.last().map_or_else(archived, |f| hash_of(&f.raw))
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

    pub(super) fn unreadable(&self, detail: &str) -> StoreError {
        StoreError::Unreadable { key: self.key.to_string(), detail: detail.to_owned() }
    }

    /// Whether `token` made this item what it is, or added one of its facts.
    pub fn has_commit(&self, token: &str) -> bool {
        let archived = || self.kept.iter().any(|k| k.archived.tokens.iter().any(|t| t == token));
        let ours = |f: &StoredFact| f.fact.id.split('.').next() == Some(token);
        self.token == token || self.facts.iter().rev().any(ours) || archived()
    }

    /// The text of `claims` with those that this build cannot read as they are.
    pub(super) fn claims_text(&self, claims: &BTreeMap<String, Claim>) -> Result<String, StoreError> {
        let unreadable = |e: serde_json::Error| self.unreadable(&e.to_string());
        let mut all = self.unread.clone();
        for (effect, claim) in claims {
            all.insert(effect.clone(), serde_json::to_value(claim).map_err(unreadable)?);
        }
        serde_json::to_string(&all).map_err(unreadable)
    }

    /// Facts as the attribute that holds them.
    pub(super) fn packed<'a>(
        &self,
        facts: impl IntoIterator<Item = &'a StoredFact>,
    ) -> Result<AttributeValue, StoreError> {
        let texts = facts.into_iter().map(|f| f.raw.as_str());
        let bytes = pack(texts).map_err(|e| self.unreadable(e))?;
        Ok(AttributeValue::B(Blob::new(bytes)))
    }

    /// The facts of an item of this order: its head, or an archive.
    pub(super) fn unpacked(&self, item: &Item) -> Result<Vec<StoredFact>, StoreError> {
        let Some(held) = item.get("facts") else { return Ok(Vec::new()) };
        let bytes = held.as_b().map_err(|_| self.unreadable("its facts are not packed"))?;
        let texts = unpack(bytes.as_ref()).map_err(|e| self.unreadable(e))?;
        texts
            .into_iter()
            .map(|raw| StoredFact::parse(raw).map_err(|e| self.unreadable(&e.to_string())))
            .collect()
    }

    pub(super) fn parse(key: OrderKey, item: &Item) -> Result<Self, StoreError> {
        let mut out = Self::absent(key);
        let rev = number_of(item, "rev").and_then(|r| u64::try_from(r).ok());
        out.rev = rev.ok_or_else(|| out.unreadable("rev"))?;
        out.facts = out.unpacked(item)?;
        if let Some(text) = text_of(item, "claims") {
            let all: BTreeMap<String, serde_json::Value> =
                serde_json::from_str(text).map_err(|e| out.unreadable(&e.to_string()))?;
            for (effect, value) in all {
                match serde_json::from_value(value.clone()) {
                    Ok(claim) => out.claims.insert(effect, claim).map(|_| ()),
                    // Held by a newer build: forgetting it would let this one do the same again.
                    Err(_) => out.unread.insert(effect, value).map(|_| ()),
                };
            }
        }
        if let Some(raw) = text_of(item, "archived") {
            let snapshot = text_of(item, "snapshot").map(str::to_owned);
            out.kept = Some(Kept::parse(raw.to_owned(), snapshot).map_err(|e| out.unreadable(&e))?);
        }
        out.due_at = number_of(item, "due_at").map(UnixTime);
        out.due_tries = number_of(item, "due_tries").and_then(|t| u32::try_from(t).ok()).unwrap_or(0);
        out.day = text_of(item, "date").map(str::to_owned);
        out.token = text_of(item, "token").unwrap_or_default().to_owned();
        // The newest fact has none after it: a hash over it, and over what is kept of the archives, is beside the list.
        let newest = out.facts.last().map(|f| hash_of(&f.raw)).unwrap_or_default();
        let sealed = text_of(item, "head_hash").unwrap_or_default();
        if sealed != seal(out.kept.as_ref(), &newest) {
            return Err(
                out.unreadable("its facts or their archive's seal were changed after they were stored")
            );
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
