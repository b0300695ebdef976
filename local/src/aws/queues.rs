//! A double of SQS that lives on the one clock: a jump of a day costs nothing and a run repeats exactly.
//!
//! Invariant: what it answers is what the emulator beside it answers to the same script (the conformance checks say so).
//! Standard queues only. It keeps time in milliseconds of the clock and never waits longer than it is asked to.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};
use shared::clock::Clock;

use super::{ACCOUNT, Answer, REGION, error_answer, json_answer};

/// Most messages of one receive or one batch.
const BATCH_MAX: usize = 10;
/// Bytes of a message, and of all messages of a batch.
const BYTES_MAX: usize = 1_048_576;
/// Longest name of a group.
const GROUP_CHARS_MAX: usize = 128;
/// A group that has so many messages in flight, and more than a tenth of all, is noisy (SQS guide, Fair queues).
const NOISY_FROM: usize = 30;

#[derive(Clone, Debug)]
struct Message {
    id: String,
    body: String,
    /// Whose it is; without one it is alone.
    group: Option<String>,
    sent_ms: i64,
    visible_at: i64,
    first_received: Option<i64>,
    receives: u32,
    receipt: Option<String>,
}

#[derive(Debug, Default)]
struct Queue {
    visibility: i64,
    delay: i64,
    retention: i64,
    /// ARN of the dead letter queue and how often a message is tried.
    redrive: Option<(String, u32)>,
    /// By order of sending.
    messages: BTreeMap<u64, Message>,
    created: i64,
}

#[derive(Debug, Default)]
struct State {
    queues: BTreeMap<String, Queue>,
    next: u64,
}

/// The queues.
#[derive(Debug)]
pub struct Queues {
    state: Mutex<State>,
    clock: Clock,
}

/// What a call answers when it cannot be done: status, type, words.
struct Refusal(&'static str, String);

type Outcome = Result<Value, Refusal>;

fn invalid(text: impl Into<String>) -> Refusal {
    Refusal("InvalidParameterValue", text.into())
}

fn arn(name: &str) -> String {
    format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}")
}

fn seconds(value: &Value, most: i64) -> Result<Option<i64>, Refusal> {
    let given = match value {
        Value::Null => return Ok(None),
        Value::String(text) => text.parse().ok(),
        other => other.as_i64(),
    };
    match given {
        Some(n) if (0..=most).contains(&n) => Ok(Some(n)),
        _ => Err(invalid(format!("Value {value} must be between 0 and {most}."))),
    }
}

impl Queues {
    pub(super) fn new(clock: Clock) -> Self {
        Self { state: Mutex::default(), clock }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next moment, in milliseconds, at which something hidden or delayed becomes visible.
    pub fn next_visible_ms(&self) -> Option<i64> {
        let now = self.clock.now_ms();
        let state = self.lock();
        let hidden = state.queues.values().flat_map(|q| q.messages.values()).map(|m| m.visible_at);
        hidden.filter(|at| *at > now).min()
    }

    /// Every message of every queue, by queue name: what a test looks through.
    pub fn contents(&self) -> Vec<(String, String)> {
        let state = self.lock();
        let all = state.queues.iter();
        all.flat_map(|(name, q)| q.messages.values().map(|m| (name.clone(), m.body.clone()))).collect()
    }

    /// Takes every message out of a queue: their bodies, oldest first.
    pub fn drain(&self, name: &str) -> Vec<String> {
        let mut state = self.lock();
        let queue = state.queues.get_mut(name);
        queue
            .map(|q| std::mem::take(&mut q.messages))
            .unwrap_or_default()
            .into_values()
            .map(|m| m.body)
            .collect()
    }

    pub(super) async fn call(&self, operation: &str, body: &[u8]) -> Answer {
        let request: Value = match serde_json::from_slice(body) {
            Ok(request) => request,
            Err(error) => return error_answer(400, "SerializationException", &error.to_string()),
        };
        let mut outcome = self.answer(operation, &request);
        let wait = request["WaitTimeSeconds"].as_i64().unwrap_or(0);
        if operation == "ReceiveMessage"
            && wait > 0
            && matches!(&outcome, Ok(v) if v.get("Messages").is_none())
        {
            let now = self.clock.now_ms();
            let until = self.next_visible_ms().map_or(wait * 1000, |at| (at - now).min(wait * 1000));
            tokio::time::sleep(Duration::from_millis(u64::try_from(until).unwrap_or(0))).await;
            outcome = self.answer(operation, &request);
        }
        match outcome {
            Ok(value) => json_answer(200, &value),
            Err(Refusal(kind, text)) => error_answer(400, &format!("com.amazonaws.sqs#{kind}"), &text),
        }
    }

    fn answer(&self, operation: &str, request: &Value) -> Outcome {
        let now = self.clock.now_ms();
        let mut state = self.lock();
        if operation == "CreateQueue" {
            return state.create(request, now);
        }
        if operation == "ListQueues" {
            let prefix = request["QueueNamePrefix"].as_str().unwrap_or_default();
            let urls: Vec<String> =
                state.queues.keys().filter(|name| name.starts_with(prefix)).map(|name| url(name)).collect();
            return Ok(json!({ "QueueUrls": urls }));
        }
        let name = match operation {
            "GetQueueUrl" => request["QueueName"].as_str().unwrap_or_default().to_owned(),
            _ => request["QueueUrl"]
                .as_str()
                .unwrap_or_default()
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .to_owned(),
        };
        if !state.queues.contains_key(&name) {
            return Err(Refusal("QueueDoesNotExist", "The specified queue does not exist.".into()));
        }
        match operation {
            "GetQueueUrl" => Ok(json!({ "QueueUrl": url(&name) })),
            "DeleteQueue" => {
                state.queues.remove(&name);
                Ok(json!({}))
            }
            "PurgeQueue" => {
                state.with(&name, |q| q.messages.clear());
                Ok(json!({}))
            }
            "GetQueueAttributes" => Ok(state.with(&name, |q| q.attributes(&name, request, now))),
            "SetQueueAttributes" => {
                let attributes = request["Attributes"].clone();
                state.with(&name, |q| q.set(&attributes)).map(|()| json!({}))
            }
            "SendMessage" => state.send(&name, request, now),
            "SendMessageBatch" => state.batch(request, |state, entry| state.send(&name, entry, now)),
            "ReceiveMessage" => state.receive(&name, request, now),
            "DeleteMessage" => state.delete(&name, request),
            "DeleteMessageBatch" => state.batch(request, |state, entry| state.delete(&name, entry)),
            "ChangeMessageVisibility" => state.hide(&name, request, now),
            "ChangeMessageVisibilityBatch" => {
                state.batch(request, |state, entry| state.hide(&name, entry, now))
            }
            other => Err(Refusal("UnsupportedOperation", format!("{other} is not emulated"))),
        }
    }
}

fn url(name: &str) -> String {
    format!("http://sqs.embedded/{ACCOUNT}/{name}")
}

impl Queue {
    fn set(&mut self, attributes: &Value) -> Result<(), Refusal> {
        if let Some(v) = seconds(&attributes["VisibilityTimeout"], 43_200)? {
            self.visibility = v * 1000;
        }
        if let Some(v) = seconds(&attributes["DelaySeconds"], 900)? {
            self.delay = v * 1000;
        }
        if let Some(v) = seconds(&attributes["MessageRetentionPeriod"], 1_209_600)? {
            self.retention = v * 1000;
        }
        if let Some(text) = attributes["RedrivePolicy"].as_str() {
            let policy: Value = serde_json::from_str(text).map_err(|e| invalid(e.to_string()))?;
            let most = match &policy["maxReceiveCount"] {
                Value::String(text) => text.parse().ok(),
                other => other.as_u64(),
            };
            let target = policy["deadLetterTargetArn"].as_str().map(str::to_owned);
            let (Some(target), Some(most)) = (target, most.and_then(|n: u64| u32::try_from(n).ok())) else {
                return Err(invalid("RedrivePolicy needs deadLetterTargetArn and maxReceiveCount"));
            };
            self.redrive = Some((target, most));
        }
        Ok(())
    }

    fn attributes(&self, name: &str, request: &Value, now: i64) -> Value {
        let wanted: Vec<&str> =
            request["AttributeNames"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let count =
            |f: &dyn Fn(&Message) -> bool| self.messages.values().filter(|m| f(m)).count().to_string();
        let mut all = BTreeMap::from([
            ("QueueArn", arn(name)),
            ("ApproximateNumberOfMessages", count(&|m| m.visible_at <= now)),
            ("ApproximateNumberOfMessagesNotVisible", count(&|m| m.visible_at > now && m.receives > 0)),
            ("ApproximateNumberOfMessagesDelayed", count(&|m| m.visible_at > now && m.receives == 0)),
            ("VisibilityTimeout", (self.visibility / 1000).to_string()),
            ("DelaySeconds", (self.delay / 1000).to_string()),
            ("MessageRetentionPeriod", (self.retention / 1000).to_string()),
            ("CreatedTimestamp", (self.created / 1000).to_string()),
        ]);
        if let Some((target, most)) = &self.redrive {
            let policy = json!({"deadLetterTargetArn": target, "maxReceiveCount": most});
            all.insert("RedrivePolicy", policy.to_string());
        }
        all.retain(|name, _| wanted.contains(&"All") || wanted.contains(name));
        json!({ "Attributes": all })
    }

    /// What is received next, and what was tried too often. As sent, but groups that hold the workers come after those
    /// that do not, and of such groups those first that hold fewer. SQS's other measure, the share of the workers' time,
    /// is left out: it would find a noisy group sooner.
    fn ready(&self, now: i64, most: usize, tries: u32) -> (Vec<u64>, Vec<u64>) {
        let mut in_flight: BTreeMap<&str, usize> = BTreeMap::new();
        let mut all = 0;
        for message in self.messages.values().filter(|m| m.receives > 0 && m.visible_at > now) {
            all += 1;
            if let Some(group) = &message.group {
                *in_flight.entry(group).or_default() += 1;
            }
        }
        in_flight.retain(|_, held| *held >= NOISY_FROM && *held * 10 > all);
        let noise = |m: &Message| m.group.as_deref().and_then(|group| in_flight.get(group)).copied();
        let (mut ready, mut spent): (Vec<(usize, u64)>, _) = (Vec::new(), Vec::new());
        for (n, message) in self.messages.iter().filter(|(_, m)| m.visible_at <= now) {
            let next = (noise(message).unwrap_or(0), *n);
            if message.receives >= tries {
                spent.push(*n);
            } else if ready.len() < most || ready.last().is_some_and(|last| next < *last) {
                ready.insert(ready.partition_point(|held| *held < next), next);
                ready.truncate(most);
            }
        }
        (ready.into_iter().map(|(_, n)| n).collect(), spent)
    }

    /// By the newest receipt: an older one no longer counts, as a standard queue may treat it.
    fn by_receipt(&mut self, receipt: &str) -> Option<u64> {
        let n = receipt.split('-').nth(1)?.parse().ok()?;
        self.messages.get(&n).filter(|m| m.receipt.as_deref() == Some(receipt)).map(|_| n)
    }
}

impl State {
    /// Works on a queue that is known to exist.
    fn with<T>(&mut self, name: &str, f: impl FnOnce(&mut Queue) -> T) -> T {
        f(self.queues.entry(name.to_owned()).or_default())
    }

    fn create(&mut self, request: &Value, now: i64) -> Outcome {
        let name = request["QueueName"].as_str().unwrap_or_default();
        if name.is_empty() || name.len() > 80 {
            return Err(invalid(
                "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
            ));
        }
        if name.ends_with(".fifo") {
            return Err(Refusal("UnsupportedOperation", "FIFO queues are not emulated".into()));
        }
        if !self.queues.contains_key(name) {
            let mut queue =
                Queue { visibility: 30_000, retention: 345_600_000, created: now, ..Queue::default() };
            queue.set(&request["Attributes"])?;
            self.queues.insert(name.to_owned(), queue);
        }
        Ok(json!({ "QueueUrl": url(name) }))
    }

    fn send(&mut self, name: &str, request: &Value, now: i64) -> Outcome {
        let body = request["MessageBody"].as_str().unwrap_or_default().to_owned();
        if body.is_empty() {
            return Err(Refusal(
                "MissingParameter",
                "The request must contain the parameter MessageBody.".into(),
            ));
        }
        if body.len() > BYTES_MAX {
            return Err(invalid(format!(
                "One or more parameters are invalid. Reason: Message must be shorter than {BYTES_MAX} bytes."
            )));
        }
        let delay = seconds(&request["DelaySeconds"], 900)?;
        let group = request["MessageGroupId"].as_str().map(str::to_owned);
        if group.as_ref().is_some_and(|g| g.is_empty() || g.len() > GROUP_CHARS_MAX) {
            return Err(invalid(format!("MessageGroupId must have 1 to {GROUP_CHARS_MAX} characters.")));
        }
        self.next += 1;
        let (n, id) = (self.next, format!("00000000-0000-4000-8000-{:012x}", self.next));
        self.with(name, |queue| {
            let visible_at = now + delay.map_or(queue.delay, |s| s * 1000);
            let message = Message {
                id: id.clone(),
                body,
                group,
                sent_ms: now,
                visible_at,
                first_received: None,
                receives: 0,
                receipt: None,
            };
            queue.messages.insert(n, message);
        });
        Ok(json!({ "MessageId": id }))
    }

    fn receive(&mut self, name: &str, request: &Value, now: i64) -> Outcome {
        let most = request["MaxNumberOfMessages"].as_u64().unwrap_or(1);
        let Some(most) = usize::try_from(most).ok().filter(|n| (1..=BATCH_MAX).contains(n)) else {
            return Err(invalid(format!(
                "Value {most} for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided."
            )));
        };
        let hidden_for = seconds(&request["VisibilityTimeout"], 43_200)?;
        let mut dead = Vec::new();
        let mut next = self.next;
        let (found, redrive) = self.with(name, |queue| {
            let retention = queue.retention;
            queue.messages.retain(|_, m| now - m.sent_ms <= retention);
            let hide = hidden_for.map_or(queue.visibility, |s| s * 1000);
            let tries = queue.redrive.as_ref().map_or(u32::MAX, |(_, most)| *most);
            let (ready, spent) = queue.ready(now, most, tries);
            dead.extend(spent.iter().filter_map(|n| queue.messages.remove(n)));
            let mut found = Vec::new();
            for n in ready {
                if let Some(message) = queue.messages.get_mut(&n) {
                    next += 1;
                    message.receives += 1;
                    message.first_received.get_or_insert(now);
                    message.visible_at = now + hide;
                    message.receipt = Some(format!("receipt-{n}-{next}"));
                    found.push(shown(message));
                }
            }
            (found, queue.redrive.clone())
        });
        self.next = next;
        if let Some((target, _)) = redrive {
            let target = target.rsplit(':').next().unwrap_or_default().to_owned();
            for message in dead {
                self.next += 1;
                let (n, message) =
                    (self.next, Message { visible_at: now, receives: 0, receipt: None, ..message });
                self.with(&target, |queue| queue.messages.insert(n, message));
            }
        }
        Ok(if found.is_empty() { json!({}) } else { json!({ "Messages": found }) })
    }

    fn delete(&mut self, name: &str, request: &Value) -> Outcome {
        let receipt = receipt_of(request)?;
        self.with(name, |queue| {
            if let Some(n) = queue.by_receipt(receipt) {
                queue.messages.remove(&n);
            }
        });
        Ok(json!({}))
    }

    fn hide(&mut self, name: &str, request: &Value, now: i64) -> Outcome {
        let receipt = receipt_of(request)?;
        let hide = seconds(&request["VisibilityTimeout"], 43_200)?.unwrap_or(0);
        self.with(name, |queue| match queue.by_receipt(receipt).and_then(|n| queue.messages.get_mut(&n)) {
            Some(message) if message.visible_at > now => {
                message.visible_at = now + hide * 1000;
                Ok(json!({}))
            }
            _ => Err(Refusal("MessageNotInflight", "The message referred to isn't in flight.".into())),
        })
    }

    /// Each entry by itself: what fails is listed and fails nothing else.
    fn batch(&mut self, request: &Value, mut each: impl FnMut(&mut Self, &Value) -> Outcome) -> Outcome {
        let entries = request["Entries"].as_array().cloned().unwrap_or_default();
        if entries.is_empty() {
            return Err(Refusal(
                "EmptyBatchRequest",
                "There should be at least one entry in the request.".into(),
            ));
        }
        if entries.len() > BATCH_MAX {
            return Err(Refusal(
                "TooManyEntriesInBatchRequest",
                "Maximum number of entries per request are 10.".into(),
            ));
        }
        let bytes: usize = entries.iter().filter_map(|e| e["MessageBody"].as_str()).map(str::len).sum();
        if bytes > BYTES_MAX {
            return Err(Refusal(
                "BatchRequestTooLong",
                format!("Batch requests cannot be longer than {BYTES_MAX} bytes."),
            ));
        }
        let (mut done, mut failed) = (Vec::new(), Vec::new());
        for entry in &entries {
            match each(self, entry) {
                Ok(mut answer) => {
                    answer["Id"] = entry["Id"].clone();
                    done.push(answer);
                }
                Err(Refusal(kind, text)) => {
                    failed
                        .push(json!({"Id": entry["Id"], "Code": kind, "Message": text, "SenderFault": true}));
                }
            }
        }
        Ok(json!({ "Successful": done, "Failed": failed }))
    }
}

fn receipt_of(request: &Value) -> Result<&str, Refusal> {
    match request["ReceiptHandle"].as_str() {
        Some(receipt) if receipt.starts_with("receipt-") => Ok(receipt),
        other => Err(Refusal(
            "ReceiptHandleIsInvalid",
            format!(
                "The input receipt handle {:?} is not a valid receipt handle.",
                other.unwrap_or_default()
            ),
        )),
    }
}

fn shown(message: &Message) -> Value {
    let mut attributes = Map::new();
    attributes.insert("ApproximateReceiveCount".into(), message.receives.to_string().into());
    attributes.insert("SentTimestamp".into(), message.sent_ms.to_string().into());
    attributes.insert("SenderId".into(), ACCOUNT.into());
    let first = message.first_received.unwrap_or(message.sent_ms);
    attributes.insert("ApproximateFirstReceiveTimestamp".into(), first.to_string().into());
    json!({
        "MessageId": message.id,
        "ReceiptHandle": message.receipt,
        "Body": message.body,
        "Attributes": attributes,
    })
}
