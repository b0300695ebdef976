//! Tokens: owners of claims, payment links. Random in production; a seeded counter where a run must be repeatable.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Tokens: random in production, seeded in the simulation.
#[derive(Clone, Debug)]
pub enum Tokens {
    /// From the operating system.
    Random,
    /// A counter under a seed: the same run gives the same tokens.
    Seeded(Arc<SeededTokens>),
}

/// The state of seeded tokens.
#[derive(Debug)]
pub struct SeededTokens {
    seed: u64,
    next: AtomicU64,
}

impl Tokens {
    /// Reproducible tokens.
    pub fn seeded(seed: u64) -> Self {
        Self::Seeded(Arc::new(SeededTokens { seed, next: AtomicU64::new(1) }))
    }

    /// A new token: 32 hex digits, 122 random bits.
    pub fn fresh(&self) -> String {
        match self {
            Self::Random => uuid::Uuid::new_v4().simple().to_string(),
            Self::Seeded(state) => {
                let n = state.next.fetch_add(1, Ordering::Relaxed);
                crate::domain::fact::hash_of(&format!("{}:{n}", state.seed))
            }
        }
    }
}
