//! Dead letters back to work: sent to the work queue first, deleted only then, so that a failure in between repeats a
//! hint and loses none.

use aws_sdk_sqs::Client;

use crate::config::Resources;
use crate::error::aws_reason;
use crate::queue::{Message, Queue};

/// Messages per receive: the service's limit.
const PAGE: u32 = 10;
/// How long a received dead letter is ours; if we fail it comes back after this.
const HELD_SECONDS: i32 = 60;
/// One long poll asks every server of the queue; a short one may miss messages.
const WAIT_SECONDS: i32 = 2;

/// What a redrive did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redriven {
    /// Sent to the work queue.
    pub moved: u32,
    /// Of these, still in the dead letter queue as well: its deletion failed, it may be moved once more.
    pub kept: u32,
    /// The dead letter queue answered that it is empty.
    pub emptied: bool,
    /// What stopped it early, in words.
    pub stopped: Option<String>,
}

/// Why a redrive did not begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no address is known of the {0}; give the stack's names with --resources FILE")]
pub struct RedriveError(String);

/// Moves at most `most` messages of `queue`'s dead letter queue back to `queue`.
pub async fn redrive(
    sqs: &Client,
    resources: &Resources,
    queue: Queue,
    most: u32,
) -> Result<Redriven, RedriveError> {
    let name = queue.name();
    let dead = resources.dead_queue_urls.get(name);
    let dead = dead.ok_or_else(|| RedriveError(format!("dead letter queue of {name}")))?;
    let work = resources.queue_urls.get(name).ok_or_else(|| RedriveError(format!("work queue {name}")))?;
    let mut done = Redriven::default();
    while done.moved < most && !done.emptied && done.stopped.is_none() {
        page(sqs, dead, work, most - done.moved, &mut done).await;
    }
    Ok(done)
}

async fn page(sqs: &Client, dead: &str, work: &str, left: u32, done: &mut Redriven) {
    let received = sqs
        .receive_message()
        .queue_url(dead)
        .max_number_of_messages(i32::try_from(left.min(PAGE)).unwrap_or(1))
        .visibility_timeout(HELD_SECONDS)
        .wait_time_seconds(WAIT_SECONDS)
        .send()
        .await;
    let messages = match received {
        Ok(answer) => answer.messages.unwrap_or_default(),
        Err(error) => return done.stopped = Some(format!("receiving failed: {}", aws_reason(&error))),
    };
    done.emptied = messages.is_empty();
    for message in messages {
        let body = message.body().unwrap_or_default();
        let group = serde_json::from_str::<Message>(body).ok().and_then(|m| m.group());
        let sent = sqs.send_message().queue_url(work).message_body(body).set_message_group_id(group);
        if let Err(error) = sent.send().await {
            let why = aws_reason(&error);
            return done.stopped = Some(format!("sending failed: {why}; the message stays a dead letter"));
        }
        done.moved += 1;
        let receipt = message.receipt_handle.unwrap_or_default();
        if sqs.delete_message().queue_url(dead).receipt_handle(receipt).send().await.is_err() {
            done.kept += 1;
        }
    }
}
