//! The archive of settled facts: what leaves the head of an order's item, and what the head keeps of it.
//!
//! Invariant: facts leave the head oldest first and only after they are in an archive; the hashes run on through the
//! archives into the head, and the head's seal covers its newest fact, what it keeps of the archives, and their snapshot.

use serde::{Deserialize, Serialize};

use super::fact::{StoredFact, chain_break, hash_of};
use super::snapshot;
use super::state::State;

/// Past this a head gives its settled facts away.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// But not while its facts are fewer than this: what makes it large is something else.
const FACTS_BYTES_MAX: usize = 32 * 1024;
/// Facts that stay, the newest: people and retries ask for them.
const KEPT_BYTES: usize = 16 * 1024;
/// Most that one archive holds. DynamoDB's limit of an item is 400 KB.
const ARCHIVE_BYTES_MAX: usize = 256 * 1024;
/// Tokens of commits that are kept of archived facts.
const TOKENS_KEPT: usize = 16;
/// What one element of a list costs besides its text.
const ELEMENT_BYTES: usize = 4;

/// What a head keeps of the facts that left it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archived {
    /// Archives, numbered from 1.
    pub archives: u32,
    /// Facts in them.
    pub facts: u64,
    /// Hash of the last one: the first fact of the head carries it.
    pub last: String,
    /// Hash of the snapshot's text, if one is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// Tokens of the newest commits among them, oldest first.
    #[serde(default)]
    pub tokens: Vec<String>,
}

/// What a head keeps, with the exact text that is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The parsed form.
    pub archived: Archived,
    /// Its text, over which the seal runs.
    pub raw: String,
    /// The snapshot's text, if one is kept.
    pub snapshot: Option<String>,
}

impl Kept {
    /// From what is stored. An error says what does not fit.
    pub fn parse(raw: String, snapshot: Option<String>) -> Result<Self, String> {
        let archived: Archived = serde_json::from_str(&raw).map_err(|e| e.to_string())?;
        if archived.snapshot != snapshot.as_deref().map(hash_of) {
            return Err("its snapshot was changed after it was stored".into());
        }
        Ok(Self { archived, raw, snapshot })
    }

    fn of(mut archived: Archived, state: &State) -> Result<Self, serde_json::Error> {
        let snapshot = snapshot::write(state);
        archived.snapshot = snapshot.as_deref().map(hash_of);
        Ok(Self { raw: serde_json::to_string(&archived)?, archived, snapshot })
    }

    /// After `facts` went to one more archive; `state` is the fold of all archived facts.
    pub fn after(
        before: Option<&Self>,
        facts: &[StoredFact],
        state: &State,
    ) -> Result<Self, serde_json::Error> {
        let none = Archived::default();
        Self::of(before.map_or(&none, |kept| &kept.archived).with(facts), state)
    }

    /// With a snapshot of this build's own.
    pub fn renewed(&self, state: &State) -> Result<Self, serde_json::Error> {
        Self::of(self.archived.clone(), state)
    }

    /// Without the snapshot: the item would be too large.
    pub fn bare(&self) -> Result<Self, serde_json::Error> {
        let archived = Archived { snapshot: None, ..self.archived.clone() };
        Ok(Self { raw: serde_json::to_string(&archived)?, archived, snapshot: None })
    }

    /// The fold of the archived facts, if this very build stored it.
    pub fn state(&self) -> Option<State> {
        self.snapshot.as_deref().and_then(snapshot::read)
    }

    /// Bytes in the item.
    pub fn bytes(&self) -> usize {
        self.raw.len() + self.snapshot.as_ref().map_or(0, String::len)
    }
}

impl Archived {
    #[must_use]
    fn with(&self, facts: &[StoredFact]) -> Self {
        let mut tokens = self.tokens.clone();
        for token in facts.iter().filter_map(|f| f.fact.id.split('.').next()) {
            if tokens.last().is_none_or(|last| last != token) {
                tokens.push(token.to_owned());
            }
        }
        tokens.drain(..tokens.len().saturating_sub(TOKENS_KEPT));
        Self {
            archives: self.archives + 1,
            facts: self.facts + facts.len() as u64,
            last: facts.last().map_or_else(|| self.last.clone(), |f| hash_of(&f.raw)),
            snapshot: None,
            tokens,
        }
    }
}

/// The hash over a head: its newest fact, which no other carries the hash of, and what it keeps of its archives.
/// `newest` is that fact's own hash.
pub fn seal(kept: Option<&Kept>, newest: &str) -> String {
    kept.map_or_else(|| newest.to_owned(), |kept| hash_of(&format!("{newest}\n{}", kept.raw)))
}

/// The first fact (of all, from 0) that does not carry the hash of the one before it, or that an archive lacks.
pub fn broken_at(kept: Option<&Kept>, archived: &[StoredFact], head: &[StoredFact]) -> Option<usize> {
    let broken = chain_break(archived.iter().chain(head), "");
    let none = Archived::default();
    let kept = kept.map_or(&none, |kept| &kept.archived);
    let last = archived.last().map(|f| hash_of(&f.raw)).unwrap_or_default();
    let whole = kept.facts == archived.len() as u64 && kept.last == last;
    broken.or((!whole).then_some(archived.len()))
}

/// Bytes of facts as text; in the item they lie packed.
pub fn bytes_of(facts: &[StoredFact]) -> usize {
    facts.iter().map(|f| f.raw.len() + ELEMENT_BYTES).sum()
}

/// How many of the oldest facts of a head leave it, when `new` bytes of facts are about to be added and all else in the
/// item takes `rest` bytes.
pub fn settled(facts: &[StoredFact], new: usize, rest: usize) -> usize {
    let total = bytes_of(facts) + new;
    if total <= FACTS_BYTES_MAX || total + rest <= HEAD_BYTES_MAX {
        return 0;
    }
    let (mut moved, mut stays) = (0, total);
    for (n, fact) in facts.iter().enumerate() {
        let bytes = fact.raw.len() + ELEMENT_BYTES;
        if stays <= KEPT_BYTES || moved + bytes > ARCHIVE_BYTES_MAX {
            return n;
        }
        moved += bytes;
        stays -= bytes;
    }
    facts.len()
}
