//! The fold of settled facts as text, so that an order is read without its archives.
//!
//! Invariant: a snapshot is used only by the very fold that wrote it. To any other build it says nothing, and that one
//! folds the archived facts from the first.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::state::State;

/// Names the fold of this build: a hash over its source files, made by the build script. Nobody can forget to change it.
pub const FOLD: &str = env!("TANDEM_FOLD");

/// A larger one is not kept: the order is folded from its archives then.
const BYTES_MAX: usize = 64 * 1024;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Snapshot<V, S> {
    fold: V,
    state: S,
}

/// The text of a state without its claims. `None`: too large to be kept.
pub fn write(state: &State) -> Option<String> {
    let text = serde_json::to_string(&Snapshot { fold: FOLD, state }).ok()?;
    (text.len() <= BYTES_MAX).then_some(text)
}

/// The state that a snapshot of this very fold holds. `None`: another build wrote it.
pub fn read(text: &str) -> Option<State> {
    let by: Snapshot<String, IgnoredAny> = serde_json::from_str(text).ok()?;
    if by.fold != FOLD {
        return None;
    }
    serde_json::from_str::<Snapshot<IgnoredAny, State>>(text).ok().map(|whole| whole.state)
}
