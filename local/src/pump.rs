//! Lambda's part over the SQS API: poll, batch, invoke, answer partial failures, bound concurrency; and Scheduler's
//! part: send what a due schedule says. It works the same over any SQS.
//!
//! Invariant: a message is deleted only after its function said it was done; a function that fails, panics or
//! overstays leaves its whole batch to the queue.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message,
    MessageSystemAttributeName, QueueAttributeName,
};
use futures::future::{BoxFuture, Either, join_all, select};
use futures::stream::{FuturesUnordered, StreamExt as _};
use serde_json::json;
use shared::clock::Clock;
use shared::config::Resources;
use shared::domain::time::UnixTime;
use shared::queue::Queue;
use tokio::sync::Notify;

use crate::aws::{AwsError, EmbeddedAws, REGION};

mod invocation;
mod time;

pub use invocation::{CURRENT_FUNCTION, Ended, INVOCATION, Invocation, invocation};
pub use time::{ClockMode, jump_clock};

/// What a queue's function looks like to the pump.
pub type Handler = Arc<dyn Fn(SqsEvent) -> BoxFuture<'static, SqsBatchResponse> + Send + Sync>;

/// How one queue is worked, as the template's event source mapping says.
#[derive(Clone, Copy, Debug)]
pub struct Mapping {
    /// Messages per invocation, at most 10.
    pub batch_size: i32,
    /// Invocations at once.
    pub concurrency: usize,
    /// An invocation that takes longer is killed.
    pub timeout: Duration,
    /// When set, what failed is visible again after this many seconds, instead of the queue's visibility time.
    pub retry_visibility: Option<i32>,
}

impl Default for Mapping {
    fn default() -> Self {
        Self { batch_size: 10, concurrency: 4, timeout: Duration::from_secs(30), retry_visibility: None }
    }
}

/// What the pump did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PumpStats {
    /// Invocations by queue name.
    pub invocations: BTreeMap<&'static str, u64>,
    /// Messages handed over.
    pub messages: u64,
    /// Messages left to the queue again.
    pub failed: u64,
    /// Invocations that panicked.
    pub panics: u64,
    /// Invocations that overstayed.
    pub timeouts: u64,
    /// Schedules fired.
    pub schedules: u64,
    /// The limit was reached before everything was quiet.
    pub gave_up: bool,
}

impl PumpStats {
    /// Invocations of all queues.
    pub fn total_invocations(&self) -> u64 {
        self.invocations.values().sum()
    }
}

struct Route {
    queue: Queue,
    url: String,
    arn: String,
    handler: Handler,
    mapping: Mapping,
}

/// The pump. Register the functions, then run it.
pub struct Pump {
    sqs: aws_sdk_sqs::Client,
    resources: Resources,
    clock: Clock,
    scheduler: Option<EmbeddedAws>,
    mapping: Mapping,
    routes: Vec<Route>,
}

/// What the pollers of one run share.
struct Run {
    state: Mutex<RunState>,
    changed: Notify,
    limit: u64,
    for_ever: bool,
}

#[derive(Default)]
struct RunState {
    /// Grows whenever a function ended or a schedule fired: there may be new messages.
    epoch: u64,
    /// Pollers that found their queue empty in this epoch and run nothing. Looking again, which takes time at a slow
    /// service, does not take one out; finding something does.
    idle: BTreeSet<Queue>,
    over: bool,
    /// A poller found something although all had found nothing: its look was under way.
    late: bool,
    stats: PumpStats,
}

impl Run {
    fn with<T>(&self, f: impl FnOnce(&mut RunState) -> T) -> T {
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn bump(&self) {
        self.with(|s| {
            s.epoch += 1;
            s.idle.clear();
        });
        self.changed.notify_waiters();
    }
}

/// Between two looks at an empty queue while others still work.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

impl Pump {
    /// A pump without functions.
    pub fn new(sqs: aws_sdk_sqs::Client, resources: Resources, clock: Clock) -> Self {
        Self { sqs, resources, clock, scheduler: None, mapping: Mapping::default(), routes: Vec::new() }
    }

    /// Fires the schedules of `aws` too.
    #[must_use]
    pub fn with_scheduler(mut self, aws: EmbeddedAws) -> Self {
        self.scheduler = Some(aws);
        self
    }

    /// How queues registered from now on are worked.
    #[must_use]
    pub fn with_mapping(mut self, mapping: Mapping) -> Self {
        self.mapping = mapping;
        self
    }

    /// `handler` serves `queue`.
    pub fn register(&mut self, queue: Queue, handler: Handler) {
        let named = |names: &BTreeMap<String, String>| names.get(queue.name()).cloned().unwrap_or_default();
        let (url, arn) = (named(&self.resources.queue_urls), named(&self.resources.queue_arns));
        self.routes.retain(|route| route.queue != queue);
        self.routes.push(Route { queue, url, arn, handler, mapping: self.mapping });
    }

    /// When the next schedule is due, or a hidden message is visible again (as far as the queues can tell).
    pub fn next_due_at(&self) -> Option<UnixTime> {
        let aws = self.scheduler.as_ref()?;
        let visible = aws.light_queues().and_then(crate::aws::queues::Queues::next_visible_ms);
        let visible = visible.map(|ms| UnixTime(ms.div_euclid(1000) + i64::from(ms.rem_euclid(1000) > 0)));
        [aws.scheduler().next_due_at(), visible].into_iter().flatten().min()
    }

    /// Whether no registered queue holds anything: visible, in flight or delayed.
    pub async fn is_quiet(&self) -> Result<bool, AwsError> {
        for route in &self.routes {
            let call = self.sqs.get_queue_attributes().queue_url(&route.url);
            let answer = call.attribute_names(QueueAttributeName::All).send().await;
            let answer = answer.map_err(|e| AwsError::new(route.queue.name(), e))?;
            let held = [
                QueueAttributeName::ApproximateNumberOfMessages,
                QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
                QueueAttributeName::ApproximateNumberOfMessagesDelayed,
            ];
            let attributes = answer.attributes.unwrap_or_default();
            if held.iter().any(|name| attributes.get(name).is_some_and(|n| n != "0")) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Works everything that is visible or due now, and what comes of it, until nothing is left or
    /// `max_invocations` were made. What failed waits for its visibility time and is not waited for.
    pub async fn run_until_idle(&self, max_invocations: u64) -> PumpStats {
        self.run(max_invocations, false).await
    }

    /// Works for ever.
    pub async fn run_forever(&self) {
        let fire = async {
            loop {
                self.fire_due().await;
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        futures::future::join(self.run(u64::MAX, true), fire).await;
    }

    async fn run(&self, limit: u64, for_ever: bool) -> PumpStats {
        let run = Run { state: Mutex::default(), changed: Notify::new(), limit, for_ever };
        loop {
            run.with(|s| {
                (s.over, s.late) = (false, false);
                s.idle.clear();
            });
            let seen = self.due_now();
            let fired = if for_ever { 0 } else { self.fire_due().await };
            run.with(|s| s.stats.schedules += fired);
            join_all(self.routes.iter().map(|route| self.poll(route, &run))).await;
            let (late, gave_up) = run.with(|s| (s.late, s.stats.gave_up));
            if late && !gave_up {
                continue;
            }
            let still_due = self.due_now();
            let stuck = fired == 0 && still_due.iter().any(|due| seen.contains(due));
            if gave_up || still_due.is_empty() || stuck {
                return run.with(|s| s.stats.clone());
            }
        }
    }

    fn due_now(&self) -> Vec<crate::aws::scheduler::DueSchedule> {
        let now = self.clock.now();
        self.scheduler.as_ref().map(|aws| aws.scheduler().due(now)).unwrap_or_default()
    }

    /// Sends the message of each due schedule. One that cannot be sent stays due.
    async fn fire_due(&self) -> u64 {
        let mut fired = 0;
        for due in self.due_now() {
            let named = self.resources.queue_arns.iter().find(|(_, arn)| **arn == due.target_arn);
            let url = named.and_then(|(name, _)| self.resources.queue_urls.get(name));
            if let (Some(url), Some(aws)) = (url, self.scheduler.as_ref()) {
                if self.sqs.send_message().queue_url(url).message_body(&due.input).send().await.is_ok() {
                    aws.scheduler().complete(&due);
                    fired += 1;
                }
            } else {
                tracing::warn!(
                    name = due.name,
                    target = due.target_arn,
                    "schedule names no queue of this stack"
                );
                if let Some(aws) = self.scheduler.as_ref() {
                    aws.scheduler().complete(&due);
                }
            }
        }
        fired
    }

    /// The poller of one queue: keeps up to `concurrency` invocations running until the run is over.
    async fn poll(&self, route: &Route, run: &Run) {
        let mut running = FuturesUnordered::new();
        loop {
            let epoch = run.with(|s| s.epoch);
            let mut empty = false;
            while !empty && running.len() < route.mapping.concurrency && self.may_invoke(run) {
                let batch = self.receive(route).await;
                empty = batch.is_empty();
                if !empty {
                    run.with(|s| {
                        s.idle.remove(&route.queue);
                        s.late |= s.over;
                        *s.stats.invocations.entry(route.queue.name()).or_default() += 1;
                    });
                    running.push(self.invoke(route, batch, run));
                }
            }
            if running.is_empty() {
                if self.wait_idle(route.queue, run, epoch).await {
                    return;
                }
            } else {
                let changed = std::pin::pin!(look_again(run));
                if let Either::Left((Some(()), _)) = select(running.next(), changed).await {
                    run.bump();
                }
            }
        }
    }

    fn may_invoke(&self, run: &Run) -> bool {
        run.with(|s| {
            let may = s.stats.total_invocations() < run.limit;
            s.stats.gave_up |= !may;
            may
        })
    }

    /// Waits until there may be something new; true when the run is over.
    async fn wait_idle(&self, queue: Queue, run: &Run, epoch: u64) -> bool {
        let over = run.with(|s| {
            if s.epoch == epoch {
                s.idle.insert(queue);
                s.over |= s.idle.len() == self.routes.len() && !run.for_ever;
            }
            s.over || s.stats.gave_up
        });
        if over {
            run.changed.notify_waiters();
            return true;
        }
        look_again(run).await;
        run.with(|s| s.over)
    }

    /// One invocation of `queue`'s function with these messages, beside the queue: as a repeated or early delivery.
    /// Which of them it failed, by index; `None`: the whole invocation.
    pub async fn deliver(&self, queue: Queue, bodies: &[String]) -> Option<Vec<usize>> {
        let route = self.routes.iter().find(|r| r.queue == queue)?;
        let messages: Vec<Message> = bodies
            .iter()
            .enumerate()
            .map(|(n, body)| Message::builder().message_id(n.to_string()).body(body).build())
            .collect();
        let handler = Arc::clone(&route.handler);
        let event = event_of(&messages, &route.arn);
        let work = async move { handler(event).await };
        let answer = invocation(queue.owner(), route.mapping.timeout, work).await.ok()?;
        let failed = failed_of(&messages, &answer);
        Some(failed.iter().filter_map(|m| m.message_id.as_deref()?.parse().ok()).collect())
    }

    async fn receive(&self, route: &Route) -> Vec<Message> {
        let call = self.sqs.receive_message().queue_url(&route.url);
        let call = call.max_number_of_messages(route.mapping.batch_size);
        let answer = call.message_system_attribute_names(MessageSystemAttributeName::All).send().await;
        match answer {
            Ok(answer) => answer.messages.unwrap_or_default(),
            Err(error) => {
                tracing::warn!(queue = route.queue.name(), ?error, "receive failed");
                Vec::new()
            }
        }
    }

    async fn invoke(&self, route: &Route, batch: Vec<Message>, run: &Run) {
        let owner = route.queue.owner();
        let event = event_of(&batch, &route.arn);
        let handler = Arc::clone(&route.handler);
        let outcome = invocation(owner, route.mapping.timeout, async move { handler(event).await }).await;
        let failed: Vec<&Message> = match &outcome {
            Ok(answer) => failed_of(&batch, answer),
            Err(_) => batch.iter().collect(),
        };
        run.with(|s| {
            s.stats.messages += batch.len() as u64;
            s.stats.failed += failed.len() as u64;
            s.stats.panics += u64::from(matches!(outcome, Err(Ended::Panicked)));
            s.stats.timeouts += u64::from(matches!(outcome, Err(Ended::TimedOut)));
        });
        self.settle(route, &batch, &failed).await;
    }

    /// Deletes what is done and leaves the rest to the queue. A delete that fails means one more delivery.
    async fn settle(&self, route: &Route, batch: &[Message], failed: &[&Message]) {
        let is_failed = |m: &Message| failed.iter().any(|f| f.message_id == m.message_id);
        let mut done = self.sqs.delete_message_batch().queue_url(&route.url);
        let mut again = self.sqs.change_message_visibility_batch().queue_url(&route.url);
        for (i, message) in batch.iter().enumerate() {
            let receipt = message.receipt_handle.clone().unwrap_or_default();
            if is_failed(message) {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(format!("m{i}"))
                    .receipt_handle(receipt)
                    .visibility_timeout(route.mapping.retry_visibility.unwrap_or_default());
                again = entry.build().map_or(again.clone(), |entry| again.entries(entry));
            } else {
                let entry =
                    DeleteMessageBatchRequestEntry::builder().id(format!("m{i}")).receipt_handle(receipt);
                done = entry.build().map_or(done.clone(), |entry| done.entries(entry));
            }
        }
        if failed.len() < batch.len()
            && let Err(error) = done.send().await
        {
            tracing::warn!(queue = route.queue.name(), ?error, "delete failed; the messages will come again");
        }
        if !failed.is_empty()
            && route.mapping.retry_visibility.is_some()
            && let Err(error) = again.send().await
        {
            tracing::warn!(queue = route.queue.name(), ?error, "visibility not changed");
        }
    }
}

async fn look_again(run: &Run) {
    let _ = tokio::time::timeout(LOOK_AGAIN, run.changed.notified()).await;
}

/// The failed messages by Lambda's rule: an id it does not know, or none, fails the whole batch.
fn failed_of<'a>(batch: &'a [Message], answer: &SqsBatchResponse) -> Vec<&'a Message> {
    let mut failed = Vec::new();
    for failure in &answer.batch_item_failures {
        let found = batch.iter().find(|m| m.message_id.as_deref() == Some(failure.item_identifier.as_str()));
        match found {
            Some(message) => failed.push(message),
            None => return batch.iter().collect(),
        }
    }
    failed
}

/// The event as Lambda hands it over.
fn event_of(batch: &[Message], arn: &str) -> SqsEvent {
    let records: Vec<serde_json::Value> = batch
        .iter()
        .map(|m| {
            let attributes: BTreeMap<&str, &str> =
                m.attributes().into_iter().flatten().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            json!({
                "messageId": m.message_id, "receiptHandle": m.receipt_handle, "body": m.body,
                "md5OfBody": m.md5_of_body, "attributes": attributes, "messageAttributes": {},
                "eventSource": "aws:sqs", "eventSourceARN": arn, "awsRegion": REGION,
            })
        })
        .collect();
    serde_json::from_value(json!({ "Records": records })).unwrap_or_default()
}

#[cfg(test)]
mod tests;
