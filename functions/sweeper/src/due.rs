//! Due work: each shard from its smallest due time, re-dated on its revision with back-off, its owners woken.
//!
//! Invariant: an order is re-dated before anybody is woken, so that a run cut short never hints twice in a row; a lost
//! race is somebody else's progress.

use shared::batch::Deadline;
use shared::domain::ids::{Function, OrderKey};
use shared::domain::plan::plan;
use shared::domain::time::{Seconds, UnixTime};
use shared::engine::{Draft, EngineError, Trigger, owners};
use shared::queue::{Body, Queue};
use shared::store::keys::due_shards;
use shared::store::orders::Committed;
use shared::telemetry::{Id, Scrubbed, correlation_id, event};

use crate::{Deps, Hints, MARGIN, PartError};

/// The first wait before an order is hinted at again.
const BACK_OFF: Seconds = Seconds::minutes(5);
/// The longest.
const BACK_OFF_MAX: Seconds = Seconds::hours(6);
/// Orders of one shard asked for at once.
const PAGE: i32 = 50;

/// What was done about due work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DueReport {
    /// Orders found in the index.
    pub looked: u32,
    /// Wakes sent.
    pub woken: u32,
    /// Orders with nothing ready any more: only their due time was corrected.
    pub corrected: u32,
    /// Races lost: somebody else is at work there.
    pub lost: u32,
    /// Entries that are no order's.
    pub strange: u32,
    /// Orders that could not be looked at.
    pub failed: u32,
    /// More is due than one run may hint at.
    pub more: bool,
}

/// Wakes the owners of what is due.
pub(crate) async fn run(deps: &Deps, deadline: Deadline, report: &mut DueReport) -> Result<(), PartError> {
    let now = deps.now();
    let mut hints = Hints::new(deps, deps.engine.config.sweeper.hints_max);
    let mut shards: Vec<String> = due_shards().collect();
    // Another shard is first each time, so that the last ones are never the ones that starve.
    let first = usize::try_from(now.0 / BACK_OFF.0).unwrap_or(0) % shards.len().max(1);
    shards.rotate_left(first);
    let mut left = u32::try_from(shards.len()).unwrap_or(1);
    for shard in shards {
        let share = hints.left.div_ceil(left.max(1));
        left = left.saturating_sub(1);
        let stop_at = hints.left.saturating_sub(share);
        shard_of(deps, &shard, now, deadline, &mut hints, stop_at, report).await?;
    }
    Ok(())
}

async fn shard_of(
    deps: &Deps,
    shard: &str,
    now: UnixTime,
    deadline: Deadline,
    hints: &mut Hints<'_>,
    stop_at: u32,
    report: &mut DueReport,
) -> Result<(), PartError> {
    let mut after = None;
    loop {
        let (keys, next) = deps.engine.store.due_page(shard, now, PAGE, after).await?;
        for key in keys {
            if hints.left <= stop_at || !deadline.allows(MARGIN) {
                report.more = true;
                return Ok(());
            }
            report.looked += 1;
            let key = match key {
                Ok(key) => key,
                Err(strange) => {
                    report.strange += 1;
                    event!(warn, "the due index names what is no order", entry = Id(&strange));
                    continue;
                }
            };
            let looked = look(deps, &key, deadline, hints, report).await;
            report.woken = hints.sent;
            if let Err(error) = looked {
                report.failed += 1;
                let text = shared::error::chain(&error);
                event!(warn, "due order passed over", order.key = key, error = Scrubbed(&text));
            }
        }
        if next.is_none() {
            return Ok(());
        }
        after = next;
    }
}

async fn look(
    deps: &Deps,
    key: &OrderKey,
    deadline: Deadline,
    hints: &mut Hints<'_>,
    report: &mut DueReport,
) -> Result<(), PartError> {
    let engine = &deps.engine;
    let now = deps.now();
    let item = engine.store.load(key).await?;
    // The index may lag behind the item.
    if item.rev == 0 || item.due_at.is_none_or(|due| due > now) {
        report.lost += 1;
        return Ok(());
    }
    let state = item.state();
    let mut wake = owners(&state, &engine.config, now);
    let for_anybody = plan(&state, &engine.config.policy, now)
        .iter()
        .any(|action| action.ready(now) && action.owner.is_none());
    if for_anybody && !wake.contains(&Function::PaymentRecorder) {
        // What only adds facts any hand commits; the owner of the rest may be kept from it by the other side.
        wake.push(Function::PaymentRecorder);
    }
    let corr = item.facts.last().map(|f| f.fact.corr.clone()).filter(|c| !c.is_empty());
    let corr = corr.unwrap_or_else(|| correlation_id(key.as_str()));
    let trigger = Trigger { corr: corr.clone(), event: None, deadline };
    let mut change = Draft::new(engine, &item, state, &trigger).change()?;
    if !wake.is_empty() {
        // What waits for its own time is not put off by what is hinted at again.
        let own_time = plan(&item.state(), &engine.config.policy, now)
            .iter()
            .filter(|a| !a.ready(now))
            .map(|a| a.at)
            .min();
        let again = now + back_off(item.due_tries);
        change.due_at = Some(own_time.map_or(again, |at| at.min(again)));
        change.due_tries = item.due_tries.saturating_add(1);
    }
    match engine.store.commit(&item, change).await.map_err(EngineError::from)? {
        Committed::Lost(_) => report.lost += 1,
        Committed::Yes(_) if wake.is_empty() => report.corrected += 1,
        Committed::Yes(_) => {
            for queue in wake.into_iter().filter_map(Queue::of) {
                hints.send(queue, &corr, Body::Wake { order: key.clone() }).await?;
            }
        }
    }
    Ok(())
}

/// Five minutes, doubling up to six hours.
fn back_off(tries: u32) -> Seconds {
    let doubled = BACK_OFF.0.saturating_mul(1_i64.checked_shl(tries.min(30)).unwrap_or(i64::MAX));
    Seconds(doubled.min(BACK_OFF_MAX.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_six_hours() {
        let waits: Vec<i64> = [0, 1, 2, 6, 7, 40, u32::MAX].map(|t| back_off(t).0).to_vec();
        assert_eq!(waits, [300, 600, 1_200, 19_200, 21_600, 21_600, 21_600]);
    }
}
