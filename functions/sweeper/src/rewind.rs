//! Looking back on purpose: an operator sets the watermarks back, and the next runs hand over again what lies after.
//!
//! Invariant: a watermark is moved back only, never on; a run under way is not disturbed, it is told that it lost.

use std::collections::BTreeMap;

use shared::config::Source;
use shared::domain::time::UnixTime;

use crate::cursor::Cursor;
use crate::{Deps, PartError};

/// Most tries against runs of the sweeper that move the same watermark.
const TRIES: u32 = 5;

/// What a rewind did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RewindReport {
    /// From when each source is read next, by source.
    pub reads_from: BTreeMap<String, UnixTime>,
    /// What failed, in words, by source: its watermark stands where it stood.
    pub failed: Vec<(String, String)>,
}

/// Sets the watermark of every source back to `since` and forgets what was handed over after it. Safe to repeat: what is
/// known is acknowledged by whoever gets the hint.
pub async fn rewind(deps: &Deps, since: UnixTime) -> RewindReport {
    let mut report = RewindReport::default();
    for (name, source) in &deps.engine.config.sources {
        let kind = match source {
            Source::Stripe(_) => "stripe",
            Source::Shop(_) => "shop",
        };
        match back(deps, &format!("{kind}:{name}"), since).await {
            Ok(from) => {
                report.reads_from.insert(name.clone(), from);
            }
            Err(error) => report.failed.push((name.clone(), shared::error::chain(&error))),
        }
    }
    report
}

async fn back(deps: &Deps, cursor: &str, since: UnixTime) -> Result<UnixTime, PartError> {
    // A time to come would make the sweeper blind until then.
    let since = since.min(deps.now());
    for _ in 0..TRIES {
        let mut cursor = Cursor::open(&deps.engine, cursor.to_owned(), since, deps.now()).await?;
        cursor.progress.back_to(since);
        match cursor.save(&deps.engine).await {
            Ok(()) => return Ok(cursor.progress.watermark),
            Err(PartError::Moved(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Err(PartError::Moved(cursor.to_owned()))
}
