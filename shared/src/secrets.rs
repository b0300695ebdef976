//! Secrets by name, kept for five minutes.
//!
//! Invariant: a value below its minimum or a placeholder never leaves this module; a value is never in an error, a log
//! or a `Debug`. While the store is down a known value serves up to an hour; after a refusal by the other side (a 401, a
//! failed signature) `refresh` asks again, at most once a minute.

mod store;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use secrecy::ExposeSecret as _;
pub use secrecy::SecretString;

use crate::aws::SdkConfig;
use crate::clock::Clock;
use crate::config::SecretStore;
use store::Store;
pub use store::{MemoryStore, file, variable};

/// How long a value is used without asking the store.
const FRESH_MS: i64 = 5 * 60 * 1000;
/// How long a value is used while the store is down.
const STALE_MS: i64 = 60 * 60 * 1000;
/// A value younger than this is not asked for again, whoever insists.
const REFRESH_MS: i64 = 60 * 1000;

/// Why there is no secret. Carries names only.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The store has none of this name.
    #[error("secret {name} does not exist; store it with `tandem secrets put {name}`")]
    Missing {
        /// Its name.
        name: String,
    },
    /// Too short, or a placeholder.
    #[error("secret {name} is refused: it {weakness}")]
    Weak {
        /// Its name.
        name: String,
        /// In words.
        weakness: &'static str,
    },
    /// The store did not answer.
    #[error("secret {name} could not be read: {reason}")]
    Store {
        /// Its name.
        name: String,
        /// The service's code, or what happened to the request.
        reason: String,
    },
}

#[derive(Debug, Default)]
struct Entry {
    value: Option<SecretString>,
    /// When the store last said what it holds, even if that was nothing.
    fetched_ms: Option<i64>,
    asked_ms: Option<i64>,
}

struct Inner {
    store: Store,
    clock: Clock,
    rule: Rule,
    entries: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<Entry>>>>,
}

/// Which values leave this module.
type Rule = fn(&str, &str) -> Result<SecretString, SecretError>;

/// The secrets of a stack. Cheap to clone; clones share what is kept.
#[derive(Clone)]
pub struct Secrets {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}

impl Secrets {
    /// Reads from the configured store.
    pub fn new(store: &SecretStore, sdk: &SdkConfig, clock: Clock) -> Self {
        Self::over(Store::of(store, sdk), clock, strong)
    }

    /// Reads from memory: the local stack and tests.
    pub fn in_memory(store: MemoryStore, clock: Clock) -> Self {
        Self::over(Store::Memory(store), clock, strong)
    }

    /// The same with weak values too: what was captured from test shops is signed with the secrets that they had.
    #[cfg(any(test, feature = "testing"))]
    pub fn of_captures(store: MemoryStore, clock: Clock) -> Self {
        Self::over(Store::Memory(store), clock, |_, text| Ok(SecretString::from(text)))
    }

    fn over(store: Store, clock: Clock, rule: Rule) -> Self {
        Self { inner: Arc::new(Inner { store, clock, rule, entries: Mutex::default() }) }
    }

    fn entry(&self, name: &str) -> Arc<tokio::sync::Mutex<Entry>> {
        let mut entries = self.inner.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.entry(name.to_owned()).or_default().clone()
    }

    /// The secret called `name`. Many callers at once make one call to the store.
    pub async fn get(&self, name: &str) -> Result<SecretString, SecretError> {
        let entry = self.entry(name);
        let mut entry = entry.lock().await;
        let age = entry.fetched_ms.map_or(i64::MAX, |at| self.inner.clock.now_ms() - at);
        let missing = || SecretError::Missing { name: name.to_owned() };
        if age < FRESH_MS {
            return entry.value.clone().ok_or_else(missing);
        }
        let asked_just_now = entry.asked_ms.is_some_and(|at| self.inner.clock.now_ms() - at < 1_000);
        if let (Some(value), true) = (&entry.value, asked_just_now && age < STALE_MS) {
            // The store is down: do not make every request wait for it.
            return Ok(value.clone());
        }
        match self.fetch(name, &mut entry).await {
            Ok(_) => {}
            Err(SecretError::Store { .. }) if entry.value.is_some() && age < STALE_MS => {}
            Err(error) => return Err(error),
        }
        entry.value.clone().ok_or_else(missing)
    }

    /// Asks the store again because the kept value was refused by the other side. Does nothing if it was asked within
    /// the last 60 seconds. True if the value has changed.
    pub async fn refresh(&self, name: &str) -> Result<bool, SecretError> {
        let entry = self.entry(name);
        let mut entry = entry.lock().await;
        let now = self.inner.clock.now_ms();
        if entry.asked_ms.is_some_and(|at| now - at < REFRESH_MS) {
            return Ok(false);
        }
        self.fetch(name, &mut entry).await
    }

    async fn fetch(&self, name: &str, entry: &mut Entry) -> Result<bool, SecretError> {
        let now = self.inner.clock.now_ms();
        entry.asked_ms = Some(now);
        let text = self.inner.store.read(name).await.inspect_err(|error| {
            if matches!(error, SecretError::Missing { .. }) {
                (entry.value, entry.fetched_ms) = (None, Some(now));
            }
        })?;
        let value = (self.inner.rule)(name, &text)?;
        let changed = entry.value.as_ref().is_none_or(|old| old.expose_secret() != value.expose_secret());
        entry.value = Some(value);
        entry.fetched_ms = Some(now);
        Ok(changed)
    }
}

/// The trimmed value, if it is strong enough: the rule for reading, and for the command that stores it.
pub fn strong(name: &str, text: &str) -> Result<SecretString, SecretError> {
    let value = text.trim();
    match weakness(value) {
        None => Ok(SecretString::from(value)),
        Some(weakness) => Err(SecretError::Weak { name: name.to_owned(), weakness }),
    }
}

/// What makes a secret unfit. A webhook secret (`whsec_`) needs 24 bytes after its prefix, any other 16 characters.
pub fn weakness(value: &str) -> Option<&'static str> {
    let lower = value.to_ascii_lowercase();
    let placeholders = [
        "...",
        "changeme",
        "change-me",
        "change_me",
        "placeholder",
        "replace",
        "your_",
        "your-",
        "<",
        "xxxxxx",
    ];
    let tail = value.strip_prefix("whsec_").unwrap_or(value);
    let mut distinct: Vec<char> = tail.chars().collect();
    distinct.sort_unstable();
    distinct.dedup();
    if value.is_empty() {
        Some("is empty")
    } else if value.chars().any(|c| c.is_whitespace() || c.is_control()) {
        Some("contains a blank or a control character")
    } else if value.starts_with("whsec_") && tail.len() < 24 {
        Some("has fewer than 24 bytes after whsec_")
    } else if value.chars().count() < 16 {
        Some("has fewer than 16 characters")
    } else if placeholders.iter().any(|p| lower.contains(p)) || distinct.len() < 5 {
        Some("is a placeholder")
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
