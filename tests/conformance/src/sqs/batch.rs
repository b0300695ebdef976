//! Batches: some of a batch can fail.

use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, SendMessageBatchRequestEntry,
};

use super::receipt;
use crate::bench::Bench;
use crate::check::{Seen, Trouble, checks, verdict};

const SEND: &str = "SQS API, SendMessageBatch";

checks! {
    "batch-send", "three messages, one with a delay that is too long", "2 sent, 1 failed as the sender's fault", SEND => batch_send;
    "batch-delete", "two deletions, one with a made-up receipt", "1 deleted, 1 failed as the sender's fault", "SQS API, DeleteMessageBatch" => batch_delete;
    "batch-visibility", "two changes of visibility, one with a made-up receipt", "1 changed, 1 failed as the sender's fault", "SQS API, ChangeMessageVisibilityBatch" => batch_visibility;
    "batch-empty", "a batch of nothing", "EmptyBatchRequest", SEND => batch_empty;
    "batch-of-11", "a batch of eleven", "TooManyEntriesInBatchRequest", SEND => batch_of_11;
    "batch-same-ids", "a batch with one id twice", "BatchEntryIdsNotDistinct", SEND => batch_same_ids;
    "batch-too-long", "a batch of 1 MiB and some bytes", "BatchRequestTooLong", SEND => batch_too_long;
}

fn entry(id: &str, body: &str) -> Result<SendMessageBatchRequestEntry, Trouble> {
    Ok(SendMessageBatchRequestEntry::builder().id(id).message_body(body).build()?)
}

fn told(done: usize, word: &str, failed: &[aws_sdk_sqs::types::BatchResultErrorEntry]) -> String {
    let whose = match failed.iter().filter(|f| f.sender_fault).count() {
        n if n == failed.len() => "the sender's fault",
        _ => "the service's fault",
    };
    format!("{done} {word}, {} failed as {whose}", failed.len())
}

async fn batch_send(bench: &Bench) -> Seen {
    let url = bench.hiding("30").await?;
    let late = SendMessageBatchRequestEntry::builder().id("late").message_body("m").delay_seconds(901);
    let send = bench.sqs.send_message_batch().queue_url(&url);
    let sent = send.entries(entry("a", "m")?).entries(late.build()?).entries(entry("b", "m")?).send().await;
    Ok(match &sent {
        Ok(answer) => told(answer.successful().len(), "sent", answer.failed()),
        Err(_) => format!("the whole batch refused: {}", verdict(&sent)),
    })
}

async fn batch_delete(bench: &Bench) -> Seen {
    let url = bench.hiding("30").await?;
    bench.send(&url, "m").await?;
    let good = receipt(&bench.the_message(&url).await?);
    let entry = |id: &str, receipt: &str| {
        DeleteMessageBatchRequestEntry::builder().id(id).receipt_handle(receipt).build()
    };
    let delete = bench.sqs.delete_message_batch().queue_url(&url);
    let sent = delete.entries(entry("a", "made up")?).entries(entry("b", &good)?).send().await;
    Ok(match &sent {
        Ok(answer) => told(answer.successful().len(), "deleted", answer.failed()),
        Err(_) => format!("the whole batch refused: {}", verdict(&sent)),
    })
}

async fn batch_visibility(bench: &Bench) -> Seen {
    let url = bench.hiding("30").await?;
    bench.send(&url, "m").await?;
    let good = receipt(&bench.the_message(&url).await?);
    let entry = |id: &str, receipt: &str| {
        let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(id).visibility_timeout(0);
        entry.receipt_handle(receipt).build()
    };
    let change = bench.sqs.change_message_visibility_batch().queue_url(&url);
    let sent = change.entries(entry("a", "made up")?).entries(entry("b", &good)?).send().await;
    Ok(match &sent {
        Ok(answer) => told(answer.successful().len(), "changed", answer.failed()),
        Err(_) => format!("the whole batch refused: {}", verdict(&sent)),
    })
}

async fn sent(bench: &Bench, entries: Vec<SendMessageBatchRequestEntry>) -> Seen {
    let url = bench.hiding("30").await?;
    let send = bench.sqs.send_message_batch().queue_url(&url).set_entries(Some(entries));
    Ok(verdict(&send.send().await))
}

async fn batch_empty(bench: &Bench) -> Seen {
    sent(bench, Vec::new()).await
}

async fn batch_of_11(bench: &Bench) -> Seen {
    let entries: Result<Vec<_>, _> = (0..11).map(|i| entry(&format!("m{i}"), "m")).collect();
    sent(bench, entries?).await
}

async fn batch_same_ids(bench: &Bench) -> Seen {
    sent(bench, vec![entry("a", "m")?, entry("a", "n")?]).await
}

async fn batch_too_long(bench: &Bench) -> Seen {
    let half = "x".repeat(512 * 1024 + 8);
    sent(bench, vec![entry("a", &half)?, entry("b", &half)?]).await
}
