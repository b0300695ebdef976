//! How far a source was read, and what was handed over near that point. Kept as one text under the stack's cursors.
//!
//! Invariant: the watermark never passes something that was not handed over; what is kept stays far below an item's limit.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use shared::domain::time::{Seconds, UnixTime};
use shared::engine::Engine;
use shared::inbound::short_hash;

use crate::PartError;

/// Most marks kept for one source: about 120 KB.
pub(crate) const MARKS_MAX: usize = 6_000;
/// Hex digits of a mark: two things of one second collide once in 10^14.
const MARK_DIGITS: usize = 12;

/// What was handed over, by its own second.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// Marks before this second were dropped for want of room: what is older is not listed again.
    #[serde(default)]
    pub(crate) floor: UnixTime,
    /// Marks by second.
    #[serde(default)]
    marks: BTreeMap<i64, BTreeSet<String>>,
}

fn mark(id: &str) -> String {
    short_hash(id, MARK_DIGITS)
}

impl Seen {
    /// Whether it was handed over.
    pub(crate) fn has(&self, at: UnixTime, id: &str) -> bool {
        self.marks.get(&at.0).is_some_and(|marks| marks.contains(&mark(id)))
    }

    /// It was handed over.
    pub(crate) fn add(&mut self, at: UnixTime, id: &str) {
        self.marks.entry(at.0).or_default().insert(mark(id));
    }

    /// Forgets what lies before `since`, and the oldest whole seconds beyond the limit. The newest second stays.
    pub(crate) fn trim(&mut self, since: UnixTime) {
        self.marks.retain(|at, _| *at >= since.0);
        let mut kept: usize = self.marks.values().map(BTreeSet::len).sum();
        while kept > MARKS_MAX && self.marks.len() > 1 {
            if let Some((at, dropped)) = self.marks.pop_first() {
                kept -= dropped.len();
                self.floor = UnixTime(at + 1);
            }
        }
    }
}

/// A longer look back under way, in pieces over several runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LongLook {
    /// Done up to here.
    pub(crate) at: UnixTime,
    /// Ends here.
    pub(crate) until: UnixTime,
    /// Handed over in the second it stands in.
    #[serde(default)]
    pub(crate) seen: Seen,
}

/// A listing of an order system that one run could not end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Listing {
    /// What it asked for.
    pub(crate) since: UnixTime,
    /// The first page's time: the next watermark.
    pub(crate) as_of: UnixTime,
    /// The page to go on with.
    pub(crate) page: String,
    /// It is the day's long one.
    pub(crate) long: bool,
    /// Pages it has named.
    #[serde(default)]
    pub(crate) visited: Visited,
}

impl Listing {
    /// Notes a page that it names; `false` if it named it before, and so goes in a circle.
    pub(crate) fn visit(&mut self, page: &str) -> bool {
        self.visited.visit(page)
    }
}

/// The pages that a listing has named, as marks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Visited(BTreeSet<String>);

impl Visited {
    /// Notes a page; `false` if it was noted before, or if there are more than any listing has.
    pub(crate) fn visit(&mut self, page: &str) -> bool {
        self.0.len() < MARKS_MAX && self.0.insert(mark(page))
    }
}

/// How far a source was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Nothing before this is ever looked at.
    pub(crate) started: UnixTime,
    /// Everything before this was handed over.
    pub(crate) watermark: UnixTime,
    /// The last run that went well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) good_at: Option<UnixTime>,
    /// When the next long look begins.
    pub(crate) next_long: UnixTime,
    /// Handed over within the overlap.
    #[serde(default)]
    pub(crate) seen: Seen,
    /// For events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) long: Option<LongLook>,
    /// For orders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) listing: Option<Listing>,
    /// For orders: when the source's webhooks are looked at next.
    #[serde(default)]
    pub(crate) next_probe: UnixTime,
}

/// No good run for longer than this means that we were down, or the source was. A message is tried for about as long before
/// it is a dead letter.
const GAP: Seconds = Seconds::minutes(20);

impl Progress {
    /// After a gap nothing counts as handed over: what was queued just before may have died with its messages. So it is
    /// handed over again, and the long look comes now.
    fn after_gap(&mut self, now: UnixTime) {
        if self.good_at.is_some_and(|at| now - at > GAP) {
            self.seen = Seen { floor: self.seen.floor, ..Seen::default() };
            self.next_long = self.next_long.min(now);
            // Once for each gap: a source that stays down is not handed over anew with every run.
            self.good_at = None;
        }
    }

    /// Everything from `since` on is handed over again. What lies further back already stays.
    pub(crate) fn back_to(&mut self, since: UnixTime) {
        self.started = self.started.min(since);
        self.watermark = self.watermark.min(since);
        self.seen = Seen::default();
        (self.long, self.listing) = (None, None);
    }

    /// A run reached the source and handed over what it found, or as much as it may.
    pub(crate) fn ran(&mut self, now: UnixTime) {
        self.good_at = Some(now);
    }
}

/// A source's progress as loaded.
pub(crate) struct Cursor {
    name: String,
    before: Option<String>,
    pub(crate) progress: Progress,
}

impl Cursor {
    /// Loads it, or starts one at `first` whose first long look is `next_long`.
    pub(crate) async fn open(
        engine: &Engine,
        name: String,
        first: UnixTime,
        next_long: UnixTime,
    ) -> Result<Self, PartError> {
        let before = engine.store.cursor(&engine.config.stack, &name).await?;
        let mut progress: Progress = match &before {
            Some(text) => serde_json::from_str(text).map_err(|_| PartError::Cursor(name.clone()))?,
            None => Progress {
                started: first,
                watermark: first,
                good_at: None,
                next_long,
                seen: Seen::default(),
                long: None,
                listing: None,
                next_probe: UnixTime(0),
            },
        };
        progress.after_gap(engine.clock.now());
        Ok(Self { name, before, progress })
    }

    /// Stores it, if nobody else moved it meanwhile.
    pub(crate) async fn save(&mut self, engine: &Engine) -> Result<(), PartError> {
        let text = serde_json::to_string(&self.progress).map_err(|_| PartError::Cursor(self.name.clone()))?;
        if self.before.as_deref() == Some(&text) {
            return Ok(());
        }
        let stack = &engine.config.stack;
        if !engine.store.move_cursor(stack, &self.name, self.before.as_deref(), &text).await? {
            return Err(PartError::Moved(self.name.clone()));
        }
        self.before = Some(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_was_handed_over_is_known_until_it_is_trimmed() {
        let mut seen = Seen::default();
        seen.add(UnixTime(5), "evt_1");
        assert!(seen.has(UnixTime(5), "evt_1"));
        assert!(!seen.has(UnixTime(6), "evt_1") && !seen.has(UnixTime(5), "evt_2"));
        seen.trim(UnixTime(5));
        assert!(seen.has(UnixTime(5), "evt_1"));
        seen.trim(UnixTime(6));
        assert!(!seen.has(UnixTime(5), "evt_1"));
    }

    proptest! {
        #[test]
        fn what_a_trim_forgets_lies_before_the_floor(seconds in proptest::collection::vec(0_i64..40, 1..40)) {
            let mut seen = Seen::default();
            let per_second = MARKS_MAX / 10;
            for at in &seconds {
                for n in 0..per_second {
                    seen.add(UnixTime(*at), &format!("evt_{n}"));
                }
            }
            seen.trim(UnixTime(0));
            for at in seconds {
                prop_assert!(UnixTime(at) < seen.floor || seen.has(UnixTime(at), "evt_0"));
            }
            let text = serde_json::to_string(&seen).unwrap();
            prop_assert!(text.len() < 200_000, "{} bytes", text.len());
            prop_assert_eq!(serde_json::from_str::<Seen>(&text).unwrap(), seen);
        }
    }
}
