//! The only file that knows Lambda: turns its payloads into plain types and back. The conversions are public and pure,
//! so the local stack and tests drive the same handlers in process.
//!
//! What a handler returns is boxed: its type nests deeper than the compiler follows from an entry point.

mod http_event;

use std::future::Future;
use std::time::Duration;

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
pub use lambda_runtime::Error;
use lambda_runtime::{Context, LambdaEvent, service_fn};
use serde::Deserialize;

pub use crate::batch::Record;
pub use crate::clock::Deadline;
pub use http_event::{BODY_BYTES_MAX, HttpEvent, HttpReply, RawHttp, http_event};

use crate::clock::Clock;
use crate::domain::time::UnixTime;

fn deadline(context: &Context) -> Deadline {
    let now = u64::try_from(Clock::System.now_ms()).unwrap_or(0);
    Deadline::after(Duration::from_millis(context.deadline.saturating_sub(now)))
}

/// Serves an HTTP API (payload 2.0) or a REST API (payload 1.0). What breaks a limit is answered before `handler` runs.
pub async fn serve_http<H, F>(handler: H) -> Result<(), Error>
where
    H: Fn(HttpEvent) -> F,
    F: Future<Output = HttpReply>,
{
    lambda_runtime::run(service_fn(|event: LambdaEvent<RawHttp>| {
        let deadline = deadline(&event.context);
        let pending = http_event(event.payload).map(|http| Box::pin(handler(HttpEvent { deadline, ..http })));
        async move {
            let reply = match pending {
                Ok(reply) => reply.await,
                Err(refused) => refused,
            };
            Ok::<_, Error>(reply.to_payload())
        }
    }))
    .await
}

/// Serves a queue with `ReportBatchItemFailures`: `handler` returns the ids of the messages to keep.
pub async fn serve_batch<H, F>(handler: H) -> Result<(), Error>
where
    H: Fn(Vec<Record>, Deadline) -> F,
    F: Future<Output = Vec<String>>,
{
    lambda_runtime::run(service_fn(|event: LambdaEvent<SqsEvent>| {
        let pending = Box::pin(handler(records(event.payload), deadline(&event.context)));
        async move { Ok::<_, Error>(batch_reply(pending.await)) }
    }))
    .await
}

/// Serves a schedule of EventBridge.
pub async fn serve_schedule<H, F, E>(handler: H) -> Result<(), Error>
where
    H: Fn(ScheduleEvent, Deadline) -> F,
    F: Future<Output = Result<(), E>>,
    E: std::error::Error + Send + Sync + 'static,
{
    lambda_runtime::run(service_fn(|event: LambdaEvent<RawSchedule>| {
        let pending = Box::pin(handler(schedule_event(event.payload), deadline(&event.context)));
        async move { pending.await.map_err(|error| Error::from(error.to_string())) }
    }))
    .await
}

/// The records of a batch. One without an id cannot be reported alone, so an empty id fails the whole batch, which is
/// what the queue expects then.
pub fn records(event: SqsEvent) -> Vec<Record> {
    let record = |message: aws_lambda_events::event::sqs::SqsMessage| Record {
        receives: message.attributes.get("ApproximateReceiveCount").and_then(|n| n.parse().ok()).unwrap_or(1),
        sent_ms: message.attributes.get("SentTimestamp").and_then(|ms| ms.parse().ok()),
        id: message.message_id.unwrap_or_default(),
        body: message.body.unwrap_or_default(),
    };
    event.records.into_iter().map(record).collect()
}

/// The answer that keeps the `failed` messages in the queue.
pub fn batch_reply(failed: Vec<String>) -> SqsBatchResponse {
    let item = |id: String| {
        let mut item = BatchItemFailure::default();
        item.item_identifier = id;
        item
    };
    let mut reply = SqsBatchResponse::default();
    reply.batch_item_failures = failed.into_iter().map(item).collect();
    reply
}

/// A schedule's payload: EventBridge's envelope, or whatever input the schedule was given.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct RawSchedule {
    #[serde(default)]
    id: String,
    #[serde(default)]
    time: Option<String>,
    #[serde(default)]
    detail: serde_json::Value,
}

/// A scheduled run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScheduleEvent {
    /// The event's id; empty if the payload names none.
    pub id: String,
    /// When it was meant to run, if the payload says so.
    pub time: Option<UnixTime>,
    /// What the schedule was given as detail, e.g. a date window.
    pub detail: serde_json::Value,
}

/// Reads a schedule's payload.
pub fn schedule_event(raw: RawSchedule) -> ScheduleEvent {
    let time = raw.time.and_then(|t| t.parse::<jiff::Timestamp>().ok());
    ScheduleEvent { id: raw.id, time: time.map(|t| UnixTime(t.as_second())), detail: raw.detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_becomes_records_and_its_failures_the_documented_answer() {
        let event: SqsEvent = serde_json::from_value(serde_json::json!({ "Records": [{
            "messageId": "m1", "body": "{}", "messageAttributes": {},
            "attributes": { "ApproximateReceiveCount": "3", "SentTimestamp": "1790000000123" },
        }]}))
        .unwrap();
        let sent_ms = Some(1_790_000_000_123);
        assert_eq!(records(event), [Record { id: "m1".into(), body: "{}".into(), receives: 3, sent_ms }]);
        let reply = serde_json::to_value(batch_reply(vec!["m1".into()])).unwrap();
        assert_eq!(reply, serde_json::json!({ "batchItemFailures": [{ "itemIdentifier": "m1" }] }));
        let empty = serde_json::to_value(batch_reply(Vec::new())).unwrap();
        assert_eq!(empty, serde_json::json!({ "batchItemFailures": [] }));
    }

    #[test]
    fn a_schedule_s_time_is_read() {
        let raw = serde_json::from_value(serde_json::json!({
            "id": "e1", "time": "2026-11-21T00:00:00Z", "detail-type": "Scheduled Event", "detail": {},
        }))
        .unwrap();
        let event = schedule_event(raw);
        assert_eq!(event.time, Some(UnixTime(1_795_219_200)));
        assert_eq!(schedule_event(serde_json::from_str("{}").unwrap()), ScheduleEvent::default());
    }
}
