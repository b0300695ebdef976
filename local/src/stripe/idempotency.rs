//! Answers kept under idempotency keys, as Stripe keeps them.
//!
//! | case | answer |
//! | --- | --- |
//! | same key, same request, done | the stored status and body, marked as a replay: declines and 500s too |
//! | same key, other parameters | 400 `idempotency_error` |
//! | same key, first still running | 409 `idempotency_key_in_use` |
//! | nothing was executed (validation, 401, 403, 429) | not stored |
//! | key older than 24 h | executed as new |

use std::collections::HashMap;

use http::StatusCode;
use serde_json::Value;

use super::error::ApiError;

/// Keys may be pruned once they are this old.
const RETENTION_MS: i64 = 24 * 3600 * 1000;

/// A stored answer.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
    pub(crate) request: String,
}

#[derive(Debug)]
struct Entry {
    fingerprint: String,
    since_ms: i64,
    answer: Option<Stored>,
}

/// All keys of the account.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    entries: HashMap<String, Entry>,
}

impl Answers {
    /// Reserves a key. `Some` is the answer to replay.
    pub(crate) fn begin(
        &mut self,
        key: &str,
        fingerprint: &str,
        now_ms: i64,
    ) -> Result<Option<Stored>, ApiError> {
        if key.chars().count() > 255 {
            return Err(ApiError::bad_request("Idempotency keys may have 255 characters."));
        }
        self.entries.retain(|_, e| e.answer.is_none() || now_ms - e.since_ms < RETENTION_MS);
        if let Some(entry) = self.entries.get(key) {
            if entry.fingerprint != fingerprint {
                let text = format!(
                    "Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a key other than '{key}' if you meant to execute a different request."
                );
                return Err(ApiError::idempotency(&text));
            }
            return entry.answer.clone().map(Some).ok_or_else(ApiError::key_in_use);
        }
        let entry = Entry { fingerprint: fingerprint.to_owned(), since_ms: now_ms, answer: None };
        self.entries.insert(key.to_owned(), entry);
        Ok(None)
    }

    /// Keeps the answer of a request that was executed.
    pub(crate) fn keep(&mut self, key: &str, answer: Stored) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.answer = Some(answer);
        }
    }

    /// Frees a key under which nothing was executed.
    pub(crate) fn release(&mut self, key: &str) {
        if self.entries.get(key).is_some_and(|e| e.answer.is_none()) {
            self.entries.remove(key);
        }
    }

    /// Forgets every finished key.
    pub(crate) fn forget(&mut self) {
        self.entries.retain(|_, e| e.answer.is_none());
    }
}
