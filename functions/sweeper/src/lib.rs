//! Finds what was lost: due work nobody woke up for, Stripe events that never arrived, orders whose notice never came.
//!
//! Invariant: everything it sends is a hint. It moves no money, reads at Stripe and at order systems only, and its one
//! write to an order re-dates it. One failing part never stops the others; what failed is returned after all have run.

mod cursor;
mod due;
mod events;
mod hooks;
mod import;
mod poll;
mod rewind;

use std::time::Duration;

use shared::aws::SdkConfig;
use shared::batch::Deadline;
use shared::config::Source;
use shared::domain::ids::Function;
use shared::domain::time::{Seconds, UnixTime};
use shared::engine::{Engine, EngineError};
use shared::lambda::{Error, ScheduleEvent};
use shared::queue::{Body, Message, Queue, QueueError};
use shared::store::StoreError;
use shared::telemetry::{Metrics, Scrubbed, event};

pub use due::DueReport;
pub use events::EventsReport;
pub use hooks::HookReport;
pub use import::{ImportReport, import_since};
pub use poll::PollReport;
pub use rewind::{RewindReport, rewind};

/// Nothing new is begun with less time than this.
const MARGIN: Duration = Duration::from_secs(10);
/// A run that was killed blocks the next one this long past its own end.
const LEASE_MARGIN: Seconds = Seconds(20);
/// The lease's name.
const LEASE: &str = "sweeper";

/// What the sweeper works with.
#[derive(Clone)]
pub struct Deps {
    engine: Engine,
}

impl Deps {
    /// From the function's environment. Refuses to start on a bad setting or a missing queue.
    pub async fn from_env(sdk: &SdkConfig) -> Result<Self, Error> {
        let engine = Engine::from_env(Function::Sweeper, sdk).await?;
        for queue in Queue::ALL {
            engine.config.resources.queue_url(queue)?;
        }
        Ok(Self { engine })
    }

    /// From parts: the local stack, the command line and tests. Metrics stay in memory.
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }

    /// What was counted.
    pub fn metrics(&self) -> &Metrics {
        &self.engine.metrics
    }

    fn now(&self) -> UnixTime {
        self.engine.clock.now()
    }

    /// When this stack begins to look at the world, if a cursor starts now.
    fn first_start(&self) -> UnixTime {
        self.engine.config.since.unwrap_or_else(|| self.now())
    }
}

/// Why a part of a run failed.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    /// Tables, queues, Stripe, order systems, secrets.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A stored cursor that this build cannot read.
    #[error("cursor {0} cannot be read; a newer build may have written it, deploy that one")]
    Cursor(String),
    /// Somebody else moved the cursor during this run.
    #[error("cursor {0} was moved by another run; nothing is lost, the next run goes on from there")]
    Moved(String),
    /// An order system whose listing does not end.
    #[error("the listing of {0} names a page twice, or more pages than any listing has")]
    Circle(String),
}

impl From<StoreError> for PartError {
    fn from(error: StoreError) -> Self {
        Self::Engine(error.into())
    }
}
impl From<QueueError> for PartError {
    fn from(error: QueueError) -> Self {
        Self::Engine(error.into())
    }
}
impl From<shared::outbound::stripe::StripeError> for PartError {
    fn from(error: shared::outbound::stripe::StripeError) -> Self {
        Self::Engine(error.into())
    }
}
impl From<shared::outbound::shop::ShopError> for PartError {
    fn from(error: shared::outbound::shop::ShopError) -> Self {
        Self::Engine(error.into())
    }
}

/// What one run did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Another run holds the lease: nothing was done.
    pub busy: bool,
    /// Due work.
    pub due: DueReport,
    /// Lost events, by Stripe source.
    pub events: std::collections::BTreeMap<String, EventsReport>,
    /// Changed orders, by order source.
    pub polls: std::collections::BTreeMap<String, PollReport>,
    /// What failed, in words, by part.
    pub failed: Vec<(String, String)>,
}

impl SweepReport {
    /// Hints sent in all.
    pub fn hints(&self) -> u32 {
        self.due.woken
            + self.events.values().map(|e| e.hinted).sum::<u32>()
            + self.polls.values().map(|p| p.hinted).sum::<u32>()
    }
}

/// A run that could not do all of its parts.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The lease could not be asked for; nothing was done.
    #[error("asking for the lease: {0}")]
    Lease(#[from] StoreError),
    /// Some parts failed, the others are done.
    #[error("{} of the run's parts failed: {}", .0.failed.len(), words(&.0.failed))]
    Parts(Box<SweepReport>),
}

fn words(failed: &[(String, String)]) -> String {
    failed.iter().map(|(part, why)| format!("{part}: {why}")).collect::<Vec<_>>().join("; ")
}

/// One scheduled run.
pub async fn scheduled(deps: &Deps, _event: ScheduleEvent, deadline: Deadline) -> Result<(), SweepError> {
    let ended = handle(deps, deadline).await;
    deps.metrics().flush();
    ended.map(|_| ())
}

/// One run, unless another one is under way.
pub async fn handle(deps: &Deps, deadline: Deadline) -> Result<SweepReport, SweepError> {
    let engine = &deps.engine;
    let (stack, holder) = (&engine.config.stack, engine.tokens.fresh());
    let left = Seconds(i64::try_from(deadline.remaining().as_secs()).unwrap_or(0));
    let now = deps.now();
    if !engine.store.lease(stack, LEASE, &holder, now, now + left + LEASE_MARGIN).await? {
        deps.metrics().count("SweepsBusy", &[]);
        return Ok(SweepReport { busy: true, ..SweepReport::default() });
    }
    let report = run(deps, deadline).await;
    if let Err(error) = engine.store.release(stack, LEASE, &holder, deps.now()).await {
        // It ends by time.
        event!(warn, "lease not given back", error = Scrubbed(&error.to_string()));
    }
    count(deps, &report);
    if report.failed.is_empty() { Ok(report) } else { Err(SweepError::Parts(Box::new(report))) }
}

async fn run(deps: &Deps, deadline: Deadline) -> SweepReport {
    let mut report = SweepReport::default();
    due::run(deps, deadline, &mut report.due).await.unwrap_or_else(|e| failed(&mut report.failed, "due", &e));
    for (name, source) in &deps.engine.config.sources {
        if !deadline.allows(MARGIN) {
            report.failed.push((name.clone(), "no time left in this run".to_owned()));
            continue;
        }
        match source {
            Source::Stripe(source) => {
                let part = report.events.entry(name.clone()).or_default();
                let ended = events::run(deps, source, deadline, part).await;
                ended.unwrap_or_else(|e| failed(&mut report.failed, name, &e));
            }
            Source::Shop(source) => {
                let part = report.polls.entry(name.clone()).or_default();
                let ended = poll::run(deps, source, deadline, part).await;
                ended.unwrap_or_else(|e| failed(&mut report.failed, name, &e));
            }
        }
    }
    if report.due.failed > 0 {
        report
            .failed
            .push(("due".to_owned(), format!("{} orders could not be looked at", report.due.failed)));
    }
    report
}

fn failed(list: &mut Vec<(String, String)>, part: &str, error: &PartError) {
    let text = shared::error::chain(error);
    event!(error, "a part of the sweep failed", error = Scrubbed(&text));
    list.push((part.to_owned(), text));
}

fn count(deps: &Deps, report: &SweepReport) {
    let metrics = deps.metrics();
    metrics.add("DueFound", u64::from(report.due.looked), &[]);
    metrics.add("DueWoken", u64::from(report.due.woken), &[]);
    metrics.add("DueUnreadable", u64::from(report.due.strange), &[]);
    for (name, part) in &report.events {
        metrics.add("EventsHinted", u64::from(part.hinted), &[("Source", name)]);
        metrics.add("EventsForeign", u64::from(part.foreign), &[("Source", name)]);
    }
    for (name, part) in &report.polls {
        metrics.add("OrdersHinted", u64::from(part.hinted), &[("Source", name)]);
        metrics.add("OrdersUnusable", u64::from(part.unusable), &[("Source", name)]);
    }
    metrics.add("SweepPartsFailed", report.failed.len() as u64, &[]);
}

/// A bounded number of hints.
struct Hints<'a> {
    deps: &'a Deps,
    left: u32,
    sent: u32,
}

impl<'a> Hints<'a> {
    fn new(deps: &'a Deps, most: u32) -> Self {
        Self { deps, left: most, sent: 0 }
    }

    fn spent(&self) -> bool {
        self.left == 0
    }

    async fn send(&mut self, queue: Queue, corr: &str, body: Body) -> Result<(), PartError> {
        self.deps.engine.queue.send(queue, &Message::new(corr, body), None).await?;
        self.left = self.left.saturating_sub(1);
        self.sent += 1;
        Ok(())
    }
}
