//! Lost events: Stripe's own list, oldest first, as the hints that the receiver would have queued.
//!
//! Invariant: the watermark passes an event only after its hint is queued; an event handed over within the overlap is
//! not handed over again; a list too long is read in shorter slices of time, never cut.

use shared::batch::Deadline;
use shared::config::StripeSource;
use shared::domain::ids::OrderKey;
use shared::domain::time::{Seconds, UnixTime};
use shared::inbound::stripe::{LISTED_TYPES, hint, route};
use shared::outbound::stripe::error::ErrorKind;
use shared::outbound::stripe::objects::Event;
use shared::outbound::stripe::read::Created;
use shared::outbound::stripe::{StripeClient, StripeError};
use shared::queue::{Body, Queue, StripeHint};
use shared::telemetry::correlation_id;

use crate::cursor::{Cursor, LongLook, Seen};
use crate::{Deps, Hints, MARGIN, PartError};

/// One listing covers at most this.
const SLICE: Seconds = Seconds::hours(12);
/// A slice is not cut shorter than this.
const SLICE_MIN: Seconds = Seconds(60);
/// Pages of one listing: more, and the slice is cut.
const SLICE_PAGES: usize = 20;
/// Stripe keeps events this long.
const KEPT: Seconds = Seconds::days(30);
/// A long look begins a day after the last one.
const LONG_EVERY: Seconds = Seconds::days(1);

/// What was done about the events of one source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventsReport {
    /// Hints queued.
    pub hinted: u32,
    /// Handed over earlier.
    pub known: u32,
    /// New events of objects that are not ours.
    pub foreign: u32,
    /// Events that name no object, or of the other mode.
    pub unusable: u32,
    /// More was there than one run may hint at.
    pub more: bool,
}

/// Where a walk over a span of time ended, and why.
struct Walked {
    reached: UnixTime,
    ended: Result<(), PartError>,
}

struct Walk<'a> {
    client: StripeClient,
    source: &'a StripeSource,
    stack: &'a str,
    deadline: Deadline,
    hints: Hints<'a>,
    report: &'a mut EventsReport,
    /// Foreign events before this were counted by an earlier run.
    counted: UnixTime,
}

/// Hands over the events since the last run, then a piece of the day's long look.
pub(crate) async fn run(
    deps: &Deps,
    source: &StripeSource,
    deadline: Deadline,
    report: &mut EventsReport,
) -> Result<(), PartError> {
    let (engine, now, limits) = (&deps.engine, deps.now(), &deps.engine.config.sweeper);
    let name = format!("stripe:{}", source.name);
    let mut cursor = Cursor::open(engine, name, deps.first_start(), now + LONG_EVERY).await?;
    let mut walk = Walk {
        client: engine.stripe(source, deadline).await?,
        source,
        stack: &engine.config.stack,
        deadline,
        hints: Hints::new(deps, limits.hints_max),
        report,
        counted: cursor.progress.watermark,
    };
    let progress = &mut cursor.progress;
    let from = progress.started.max(progress.watermark - limits.overlap).max(progress.seen.floor);
    let walked = walk.over(from.max(now - KEPT), now, true, &mut progress.seen).await;
    progress.watermark = progress.watermark.max(walked.reached);
    progress.seen.trim(progress.watermark - limits.overlap);
    let mut ended = walked.ended;
    if progress.long.is_none() && now >= progress.next_long {
        let at = progress.started.max(now - limits.long_overlap);
        progress.long = Some(LongLook { at, until: from, seen: Seen::default() });
        progress.next_long = now + LONG_EVERY;
    }
    if let (Some(long), true) = (&mut progress.long, ended.is_ok()) {
        let looked = walk.over(long.at, long.until, false, &mut long.seen).await;
        long.at = looked.reached;
        long.seen.trim(long.at);
        ended = looked.ended;
        if long.at >= long.until {
            progress.long = None;
        }
    }
    walk.report.hinted = walk.hints.sent;
    if ended.is_ok() {
        progress.ran(now);
    }
    cursor.save(engine).await?;
    ended
}

impl Walk<'_> {
    /// Hands over what happened in `from..until`, oldest first. `open`: also what Stripe's clock places past `until`.
    async fn over(&mut self, from: UnixTime, until: UnixTime, open: bool, seen: &mut Seen) -> Walked {
        let (mut at, mut slice) = (from, SLICE);
        loop {
            let to = (at + slice).min(until);
            let last = to >= until;
            if last && !open && at >= until {
                return Walked { reached: at, ended: Ok(()) };
            }
            if self.hints.spent() || !self.deadline.allows(MARGIN) {
                self.report.more = true;
                return Walked { reached: at, ended: Ok(()) };
            }
            let window = if last && open { Created::since(at) } else { Created::between(at, to) };
            let found = match self.list(window).await {
                Ok(found) => found,
                Err(error) if too_long(&error) && slice > SLICE_MIN && to - at > SLICE_MIN => {
                    slice = Seconds(((to - at).0 / 2).max(SLICE_MIN.0));
                    continue;
                }
                Err(error) => return Walked { reached: at, ended: Err(error.into()) },
            };
            for (created, queue, hint) in found {
                if seen.has(created, &hint.event) {
                    self.report.known += 1;
                    continue;
                }
                if self.hints.spent() {
                    self.report.more = true;
                    return Walked { reached: created.max(at), ended: Ok(()) };
                }
                let event = hint.event.clone();
                let corr = correlation_id(&format!("{}/{event}", self.source.name));
                if let Err(error) = self.hints.send(queue, &corr, Body::Stripe(hint)).await {
                    return Walked { reached: created.max(at), ended: Err(error) };
                }
                seen.add(created, &event);
            }
            at = to.max(at);
            if last {
                return Walked { reached: at, ended: Ok(()) };
            }
        }
    }

    /// The hints of one window, oldest first. Stripe lists newest first, so a window is read whole before it is used.
    async fn list(&mut self, window: Created) -> Result<Vec<(UnixTime, Queue, StripeHint)>, StripeError> {
        let mut pages = self.client.list_events_created(window, &LISTED_TYPES).limit_pages(SLICE_PAGES);
        let mut found = Vec::new();
        let (mut foreign, mut unusable) = (0, 0);
        while let Some(page) = pages.next().await? {
            for event in page {
                match self.hint_of(&event) {
                    Some((_, hint)) if self.is_foreign(&hint) => {
                        foreign += u32::from(event.created >= self.counted);
                    }
                    Some((queue, hint)) => found.push((event.created, queue, hint)),
                    None => unusable += u32::from(event.created >= self.counted),
                }
            }
        }
        self.report.foreign += foreign;
        self.report.unusable += unusable;
        found.reverse();
        found.sort_by_key(|(created, ..)| *created);
        Ok(found)
    }

    fn hint_of(&self, event: &Event) -> Option<(Queue, StripeHint)> {
        if event.livemode.is_some_and(|live| live != self.source.livemode) {
            return None;
        }
        let queue = route(&event.kind)?;
        Some((queue, hint(&self.source.name, &event.id, &event.kind, &event.data.object, None)?))
    }

    /// Whether it is surely not ours: another stack's, or without our marks on an object that would carry them.
    fn is_foreign(&self, hint: &StripeHint) -> bool {
        match hint.metadata.get("tandem_order") {
            Some(order) => OrderKey::parse(order).is_ok_and(|key| key.stack() != self.stack),
            None => matches!(hint.object_type.as_str(), "payment_intent" | "checkout.session"),
        }
    }
}

fn too_long(error: &StripeError) -> bool {
    matches!(error.kind, ErrorKind::ListTooLong { .. })
}
