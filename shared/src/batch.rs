//! Runs a batch of queue messages: each on its own, so that one bad message fails alone.
//!
//! Invariant: a message is reported as done only if its handler said so; one that panicked, ran out of time, could not
//! be read or was not started is reported as failed and comes back.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};

pub use crate::clock::Deadline;
use crate::error::{Disposition, chain};
use crate::event;
use crate::queue::{MESSAGE_VERSION, Message};
use crate::telemetry::{Id, Scrubbed};

/// How many messages of a batch are handled at once.
pub const CONCURRENCY: usize = 4;
/// With less time left than this no new message is begun.
pub const START_MARGIN: Duration = Duration::from_secs(2);
/// What runs is given up this long before the deadline, so that the answer about the rest still goes out.
const STOP_MARGIN: Duration = Duration::from_millis(500);

/// A message as the queue hands it over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The queue's id of it, for the answer.
    pub id: String,
    /// Its body.
    pub body: String,
    /// How often it was received, this time included.
    pub receives: u32,
    /// When it was first sent, in Unix milliseconds, if the queue says so.
    pub sent_ms: Option<i64>,
}

/// A message as a function sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// What it says.
    pub message: Message,
    /// How often it was received, this time included.
    pub receives: u32,
    /// When the invocation ends.
    pub deadline: Deadline,
}

/// Handles every record and returns the ids of those to keep in the queue.
pub async fn run_batch<H, F, E>(
    records: Vec<Record>,
    concurrency: usize,
    deadline: Deadline,
    handler: H,
) -> Vec<String>
where
    H: Fn(Delivery) -> F,
    F: Future<Output = Result<Disposition, E>>,
    E: std::error::Error,
{
    let handler = &handler;
    let failed = futures::stream::iter(records)
        .map(|record| async move {
            let done = run_one(&record, deadline, handler).await;
            (!done).then_some(record.id)
        })
        .buffer_unordered(concurrency.max(1))
        .filter_map(std::future::ready);
    failed.collect().await
}

async fn run_one<H, F, E>(record: &Record, deadline: Deadline, handler: &H) -> bool
where
    H: Fn(Delivery) -> F,
    F: Future<Output = Result<Disposition, E>>,
    E: std::error::Error,
{
    let id = Id(&record.id);
    if !deadline.allows(START_MARGIN) {
        event!(warn, "message not begun: too little time left", message.id = id);
        return false;
    }
    let message = match read(&record.body) {
        Ok(message) => message,
        Err(reason) => {
            event!(
                error,
                "message not readable",
                message.id = id,
                reason = reason,
                receives = record.receives
            );
            return false;
        }
    };
    let corr = message.corr.clone();
    let delivery = Delivery { message, receives: record.receives, deadline };
    // The closure itself may panic before it returns a future: both are inside the guard.
    let guarded = AssertUnwindSafe(async { handler(delivery).await }).catch_unwind();
    let budget = deadline.remaining().saturating_sub(STOP_MARGIN);
    let corr = Id(&corr);
    match tokio::time::timeout(budget, guarded).await {
        Ok(Ok(Ok(Disposition::Done))) => true,
        Ok(Ok(Ok(Disposition::Retry(reason)))) => {
            event!(
                info,
                "message returns to the queue",
                corr = corr,
                reason = reason,
                receives = record.receives
            );
            false
        }
        Ok(Ok(Ok(Disposition::Reject(reason)))) => {
            event!(error, "message rejected", corr = corr, reason = reason, receives = record.receives);
            false
        }
        Ok(Ok(Err(error))) => {
            let text = chain(&error);
            let error = Scrubbed(&text);
            event!(warn, "message failed", corr = corr, error = error, receives = record.receives);
            false
        }
        Ok(Err(_panic)) => {
            event!(error, "message handler panicked", corr = corr, receives = record.receives);
            false
        }
        Err(_elapsed) => {
            event!(error, "message given up: out of time", corr = corr, receives = record.receives);
            false
        }
    }
}

fn read(body: &str) -> Result<Message, &'static str> {
    #[derive(serde::Deserialize)]
    struct Version {
        v: u32,
    }
    // The version first: a newer shape is not broken, only too new for this build.
    let Version { v } = serde_json::from_str(body).map_err(|_| "no message of Tandem")?;
    if v > MESSAGE_VERSION {
        return Err("written by a newer version");
    }
    serde_json::from_str(body).map_err(|_| "shape not known")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::domain::ids::OrderKey;

    #[derive(Debug, thiserror::Error)]
    #[error("nothing works")]
    struct Broken;

    fn wake(order: &str) -> String {
        let key = OrderKey::new("s", "checkout", "shop", order).unwrap();
        serde_json::to_string(&Message::wake(key, "c")).unwrap()
    }

    fn record(id: &str, body: &str) -> Record {
        Record { id: id.to_owned(), body: body.to_owned(), receives: 1, sent_ms: None }
    }

    fn order(delivery: &Delivery) -> String {
        match &delivery.message.body {
            crate::queue::Body::Wake { order } => order.order_id(),
            other => panic!("{other:?}"),
        }
    }

    async fn run(records: Vec<Record>, seconds: u64) -> Vec<String> {
        let deadline = Deadline::after(Duration::from_secs(seconds));
        let mut failed = run_batch(records, CONCURRENCY, deadline, |delivery| async move {
            match order(&delivery).as_str() {
                "panics" => panic!("a value nobody should see"),
                "errs" => Err(Broken),
                "waits" => Ok(Disposition::Retry("lagging read")),
                "rejected" => Ok(Disposition::Reject("not ours")),
                "slow" => {
                    tokio::time::sleep(Duration::from_secs(60)).await;
                    Ok(Disposition::Done)
                }
                _ => Ok(Disposition::Done),
            }
        })
        .await;
        failed.sort();
        failed
    }

    #[tokio::test(start_paused = true)]
    async fn each_message_fails_alone() {
        let records =
            ["ok", "panics", "errs", "waits", "rejected", "fine"].map(|o| record(o, &wake(o))).to_vec();
        assert_eq!(run(records, 30).await, ["errs", "panics", "rejected", "waits"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_read_or_is_too_new_comes_back() {
        let newer = wake("ok").replace("\"v\":1", "\"v\":2");
        let records =
            vec![record("text", "hello"), record("newer", &newer), record("odd", "{\"v\":1,\"kind\":\"?\"}")];
        assert_eq!(run(records, 30).await, ["newer", "odd", "text"]);
    }

    #[tokio::test(start_paused = true)]
    async fn near_the_deadline_nothing_is_begun_and_what_runs_is_given_up() {
        assert_eq!(run(vec![record("ok", &wake("ok"))], 1).await, ["ok"]);
        assert_eq!(run(vec![record("a", &wake("slow")), record("b", &wake("ok"))], 10).await, ["a"]);
    }

    #[tokio::test(start_paused = true)]
    async fn at_most_four_run_at_once() {
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (running, most) = (&running, &most);
        let records = (0..12).map(|i| record(&i.to_string(), &wake("x"))).collect();
        let deadline = Deadline::after(Duration::from_secs(30));
        let failed = run_batch(records, CONCURRENCY, deadline, |_| async move {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(10)).await;
            running.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, Broken>(Disposition::Done)
        })
        .await;
        assert!(failed.is_empty());
        assert_eq!(most.load(Ordering::SeqCst), 4);
    }
}
