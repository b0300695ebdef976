//! Lays our facts, Stripe's objects and the order system's word side by side for a window of days, and reports what does
//! not agree: a file for people, a file for machines, a summary for the notifier.
//!
//! Invariant: it reads only. It writes reports and one notice, and corrects nothing anywhere.

mod gather;
mod report;
mod theirs;

use std::collections::BTreeMap;
use std::time::Duration;

use shared::aws::{self, SdkConfig};
use shared::batch::Deadline;
use shared::domain::ids::Function;
use shared::domain::reconcile::{BadWindow, Exception, Kind, Matched, Scope, Window};
use shared::domain::time::{Seconds, UnixTime};
use shared::engine::{Engine, EngineError};
use shared::lambda::{Error, ScheduleEvent};
use shared::outbound::reports::{ReportError, Reports};
use shared::queue::{Body, Message, Queue, QueueError};
use shared::store::StoreError;
use shared::telemetry::{Metrics, correlation_id};

/// Nothing new is begun with less time than this.
const MARGIN: Duration = Duration::from_secs(15);
/// What is younger may still be on its way: one sweep.
const GRACE: Seconds = Seconds::minutes(5);

/// Bounds of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most orders read in their own system.
    pub shop_reads: u32,
    /// Most single objects looked up: at Stripe because a listing lacked them, or in our links.
    pub lookups: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { shop_reads: 2_000, lookups: 2_000 }
    }
}

/// What the reconciler works with.
#[derive(Clone)]
pub struct Deps {
    engine: Engine,
    reports: Reports,
    grace: Seconds,
    limits: Limits,
}

impl Deps {
    /// From the function's environment. Refuses to start on a bad setting, a missing queue or bucket.
    pub async fn from_env(sdk: &SdkConfig) -> Result<Self, Error> {
        let engine = Engine::from_env(Function::Reconciler, sdk).await?;
        engine.config.resources.queue_url(Queue::Notifications)?;
        let deps = Self::new(engine, sdk);
        deps.reports.bucket()?;
        Ok(deps)
    }

    /// From parts: the local stack and tests. Metrics stay in memory.
    pub fn new(engine: Engine, sdk: &SdkConfig) -> Self {
        let reports = Reports::new(aws::s3(sdk), &engine.config.resources);
        Self { engine, reports, grace: GRACE, limits: Limits::default() }
    }

    /// Counts what is younger than `grace` as still on its way; five minutes if this is not called.
    #[must_use]
    pub fn with_grace(mut self, grace: Seconds) -> Self {
        self.grace = grace;
        self
    }

    /// Other bounds.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// What was counted.
    pub fn metrics(&self) -> &Metrics {
        &self.engine.metrics
    }

    fn now(&self) -> UnixTime {
        self.engine.clock.now()
    }
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The event names no window of days.
    #[error(transparent)]
    Window(#[from] BadWindow),
    /// Tables, Stripe, secrets. A report over half the records would find what is not there, so there is none.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The bucket.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The report could not be written as text.
    #[error("the report could not be written as {0}")]
    Write(&'static str),
    /// The invocation ends.
    #[error("no time left after {0}; use a shorter window")]
    OutOfTime(&'static str),
}

impl From<StoreError> for ReconcileError {
    fn from(error: StoreError) -> Self {
        Self::Engine(error.into())
    }
}
impl From<QueueError> for ReconcileError {
    fn from(error: QueueError) -> Self {
        Self::Engine(error.into())
    }
}
impl From<shared::outbound::stripe::StripeError> for ReconcileError {
    fn from(error: shared::outbound::stripe::StripeError) -> Self {
        Self::Engine(error.into())
    }
}

/// What one run found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReconcileReport {
    /// The days compared.
    pub window: Window,
    /// Our orders compared.
    pub orders: u32,
    /// Charges and refunds of ours that agree.
    pub agreed: u32,
    /// Charges and refunds that are not ours.
    pub foreign: u32,
    /// What does not agree.
    pub exceptions: Vec<Exception>,
    /// Money at risk by currency, ISO minor units; each order once, with its gravest exception.
    pub at_risk: BTreeMap<String, i64>,
    /// Order systems that could not be compared, or only in part, in words.
    pub partial: Vec<String>,
    /// Where the files are: this, with `.csv` and `.json`.
    pub key: String,
}

impl ReconcileReport {
    /// How many exceptions there are of each kind.
    pub fn counts(&self) -> BTreeMap<Kind, u32> {
        let mut counts = BTreeMap::new();
        for exception in &self.exceptions {
            *counts.entry(exception.kind).or_default() += 1;
        }
        counts
    }
}

/// The days an event asks for; yesterday and today if it names none.
pub fn window_of(event: &ScheduleEvent, now: UnixTime) -> Result<Window, BadWindow> {
    let text = |name: &str| event.detail.get(name).and_then(serde_json::Value::as_str);
    match (text("from"), text("to")) {
        (Some(from), to) => Window::parse(from, to.unwrap_or(&now.date())),
        (None, Some(to)) => Window::parse(to, to),
        (None, None) => Window::yesterday_and_today(event.time.unwrap_or(now)),
    }
}

/// One scheduled run.
pub async fn scheduled(deps: &Deps, event: ScheduleEvent, deadline: Deadline) -> Result<(), ReconcileError> {
    let window = window_of(&event, deps.now())?;
    let ended = handle(deps, window, deadline).await;
    deps.metrics().flush();
    ended.map(|_| ())
}

/// Compares a window of days, writes the report and queues its summary.
pub async fn handle(
    deps: &Deps,
    window: Window,
    deadline: Deadline,
) -> Result<ReconcileReport, ReconcileError> {
    let scope = Scope { stack: deps.engine.config.stack.clone(), now: deps.now(), grace: deps.grace };
    let now = scope.now;
    let mut books = gather::Books::new(deps, window, deadline, scope);
    books.our_days().await?;
    books.at_stripe().await?;
    let so_far = books.matching.matched();
    books.at_shops(&so_far).await?;
    let orders = u32::try_from(books.matching.orders()).unwrap_or(u32::MAX);
    let matched = books.matching.matched();
    let report = report::of(window, orders, books.foreign, books.partial, matched);
    for (suffix, kind, body) in [
        ("csv", "text/csv; charset=utf-8", report::csv(&report)?),
        ("json", "application/json", report::json(&report, now)?),
    ] {
        deps.reports.put(&format!("{}.{suffix}", report.key), kind, body).await?;
    }
    let notice = report::notice(&report);
    let Body::Notice { key, .. } = &notice else { return Ok(report) };
    let message = Message::new(&correlation_id(key), notice);
    deps.engine.queue.send(Queue::Notifications, &message, None).await?;
    for (kind, count) in report.counts() {
        deps.metrics().add("Exceptions", u64::from(count), &[("Kind", kind.name())]);
    }
    deps.metrics().count("Reconciliations", &[]);
    Ok(report)
}

/// What a matching says of the objects that are not foreign.
fn merged(matched: &Matched, foreign: u32) -> u32 {
    matched.foreign.saturating_add(foreign)
}
