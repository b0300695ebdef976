//! Changed orders: the order system's own listing, as hints to the function that reads orders.
//!
//! Invariant: the watermark becomes the first page's `as_of` only after the last page's hints are queued; a listing that
//! one run cannot end goes on in the next at the page it stood at.

use shared::batch::Deadline;
use shared::config::ShopSource;
use shared::domain::ids::key_part;
use shared::domain::time::{Seconds, UnixTime};
use shared::engine::worker::POLLED;
use shared::inbound::checkout::is_order_id;
use shared::outbound::shop::{OrderRef, OrderSystem as _, ShopClient, ShopError};
use shared::planted::{Bug, planted};
use shared::queue::{Body, Queue};
use shared::telemetry::{Id, correlation_id, event};

use crate::cursor::{Cursor, Listing, Visited};
use crate::hooks::{self, HookReport, PROBE_EVERY};
use crate::{Deps, Hints, MARGIN, PartError};

/// A long listing begins a day after the last one.
const LONG_EVERY: Seconds = Seconds::days(1);

/// What was done about the orders of one source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PollReport {
    /// Orders listed.
    pub listed: u32,
    /// Hints queued.
    pub hinted: u32,
    /// Handed over earlier at the same version.
    pub known: u32,
    /// New ones whose id is none that may travel through queues and logs.
    pub unusable: u32,
    /// The listing goes on in the next run.
    pub more: bool,
    /// How the source's webhooks stand, when they were looked at.
    pub hooks: Option<HookReport>,
}

/// The hint's event id: the same for the same version of the same order, told apart by its state where a version is not
/// enough.
pub(crate) fn event_of(order: &OrderRef) -> String {
    let state = order.state.as_deref().map(|hash| format!("-{hash}")).unwrap_or_default();
    format!("{POLLED}{}-{}{state}", key_part(&order.id), order.version)
}

/// Body and correlation id of the hint.
pub(crate) fn hint_of(source: &str, order: &OrderRef) -> (String, Body) {
    let event = event_of(order);
    let corr = correlation_id(&format!("{source}/{event}"));
    let body = Body::Order {
        source: source.to_owned(),
        order_id: order.id.clone(),
        version: Some(order.version),
        event,
        sha256: None,
    };
    (corr, body)
}

/// Hands over the orders that changed since the last run.
pub(crate) async fn run(
    deps: &Deps,
    source: &ShopSource,
    deadline: Deadline,
    report: &mut PollReport,
) -> Result<(), PartError> {
    let name = format!("shop:{}", source.name);
    let mut cursor = Cursor::open(&deps.engine, name, deps.first_start(), deps.now() + LONG_EVERY).await?;
    let client = deps.engine.shop_named(&source.name).await?;
    if deps.now() >= cursor.progress.next_probe {
        report.hooks = hooks::probe(deps, &client).await;
        cursor.progress.next_probe = deps.now() + PROBE_EVERY;
    }
    let ended = pages(deps, &client, deadline, &mut cursor, report).await;
    let progress = &mut cursor.progress;
    if ended.is_ok() {
        progress.ran(deps.now());
    }
    progress.seen.trim(progress.watermark - deps.engine.config.sweeper.overlap);
    cursor.save(&deps.engine).await?;
    ended
}

/// The listing under way, or a new one.
fn listing(deps: &Deps, cursor: &Cursor) -> (Listing, Option<String>) {
    let (progress, limits) = (&cursor.progress, &deps.engine.config.sweeper);
    if let Some(listing) = &progress.listing {
        return (listing.clone(), Some(listing.page.clone()));
    }
    let long = deps.now() >= progress.next_long;
    let overlap = if long { limits.long_overlap } else { limits.overlap };
    let since = progress.started.max(progress.watermark - overlap);
    (Listing { since, as_of: UnixTime(0), page: String::new(), long, visited: Visited::default() }, None)
}

async fn pages(
    deps: &Deps,
    client: &ShopClient,
    deadline: Deadline,
    cursor: &mut Cursor,
    report: &mut PollReport,
) -> Result<(), PartError> {
    let source = client.source();
    let mut hints = Hints::new(deps, deps.engine.config.sweeper.hints_max);
    let (mut listing, mut page_at) = listing(deps, cursor);
    loop {
        let page = match client.list(listing.since, page_at.as_deref()).await {
            Ok(page) => page,
            Err(error) => {
                if page_at.is_some() && forgotten(&error) {
                    // The order system forgot the page: the next run begins anew at the same watermark.
                    cursor.progress.listing = None;
                }
                return Err(error.into());
            }
        };
        if page_at.is_none() {
            listing.as_of = page.as_of;
        }
        for order in &page.orders {
            report.listed += 1;
            let event = event_of(order);
            if cursor.progress.seen.has(order.updated_at, &event) {
                report.known += 1;
                continue;
            }
            if !is_order_id(&order.id) {
                // The id itself is not logged: it may be an address.
                event!(error, "a listed order has an id that none can have", source = Id(&source.name));
                report.unusable += 1;
                cursor.progress.seen.add(order.updated_at, &event);
                continue;
            }
            if hints.spent() {
                report.more = true;
                cursor.progress.listing = resume(&listing, page_at);
                return Ok(());
            }
            let (corr, body) = hint_of(&source.name, order);
            let sent = hints.send(Queue::Orders, &corr, body).await;
            if !planted(Bug::WatermarkBeforeHints) {
                sent?;
            }
            report.hinted = hints.sent;
            cursor.progress.seen.add(order.updated_at, &event);
        }
        match page.next_cursor {
            None => break,
            Some(next) if !listing.visit(&next) => {
                cursor.progress.listing = None;
                return Err(PartError::Circle(source.name.clone()));
            }
            Some(next) => page_at = Some(next),
        }
        cursor.progress.listing = resume(&listing, page_at.clone());
        if !deadline.allows(MARGIN) {
            report.more = true;
            return Ok(());
        }
    }
    let progress = &mut cursor.progress;
    progress.listing = None;
    // A clock that runs ahead must not blind the poll.
    progress.watermark = listing.as_of.min(deps.now());
    if listing.long {
        progress.next_long = deps.now() + LONG_EVERY;
    }
    Ok(())
}

/// Where the next run goes on; from the first page it begins anew.
fn resume(listing: &Listing, page_at: Option<String>) -> Option<Listing> {
    page_at.map(|page| Listing { page, ..listing.clone() })
}

fn forgotten(error: &ShopError) -> bool {
    matches!(error, ShopError::Refused(_) | ShopError::NotFound(_))
}
