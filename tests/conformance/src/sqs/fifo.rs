//! FIFO queues. The bundle has none; what the doubles do is written down for whoever wants one.

use aws_sdk_sqs::types::QueueAttributeName;

use super::bodies;
use crate::bench::Bench;
use crate::check::{Seen, Trouble, checks, taken};

const FIFO: &str = "SQS guide, FIFO queue delivery logic";
const ONCE: &str = "SQS guide, Exactly-once processing";

checks! {
    "fifo-order", "three messages of a group in one receive", "a b c", FIFO => fifo_order;
    "fifo-locked", "a group while one of its messages is in flight", "nothing of the group", FIFO => fifo_locked;
    "fifo-other-group", "another group meanwhile", "b", FIFO => fifo_other_group;
    "fifo-unlocked", "the group after the deletion", "b", FIFO => fifo_unlocked;
    "fifo-again-first", "after the visibility time the same message comes first again", "a", FIFO => fifo_again_first;
    "fifo-dedup", "one deduplication id twice", "one message", ONCE => fifo_dedup;
    "fifo-dedup-after-delete", "the same, when the first was received and deleted", "no second message", ONCE => fifo_dedup_after_delete;
    "fifo-content-dedup", "one body twice on a queue that compares contents", "one message", ONCE => fifo_content_dedup;
    "fifo-no-group", "a message without a group", "refused", "SQS API, SendMessage" => fifo_no_group;
    "fifo-no-dedup-id", "a message without a deduplication id on a queue that does not compare contents", "refused", "SQS API, SendMessage" => fifo_no_dedup_id;
    "fifo-delay", "a delay of one message", "refused", "SQS API, SendMessage" => fifo_delay;
}

async fn fifo(bench: &Bench, by_content: &str) -> Result<String, Trouble> {
    let attributes = [
        (QueueAttributeName::FifoQueue, "true"),
        (QueueAttributeName::ContentBasedDeduplication, by_content),
        (QueueAttributeName::VisibilityTimeout, "8"),
    ];
    bench.queue(&attributes).await
}

async fn put(bench: &Bench, url: &str, group: &str, body: &str, id: &str) -> Result<(), Trouble> {
    let send = bench.sqs.send_message().queue_url(url).message_group_id(group).message_body(body);
    send.message_deduplication_id(id).send().await?;
    Ok(())
}

async fn fifo_order(bench: &Bench) -> Seen {
    let url = fifo(bench, "false").await?;
    for body in ["a", "b", "c"] {
        put(bench, &url, "g", body, body).await?;
    }
    Ok(bodies(&bench.receive(&url).await?))
}

/// The first of two messages of a group in flight, the second waiting.
async fn one_in_flight(
    bench: &Bench,
    second: &str,
) -> Result<(String, aws_sdk_sqs::types::Message), Trouble> {
    let url = fifo(bench, "false").await?;
    put(bench, &url, "g", "a", "a").await?;
    let first = bench.the_message(&url).await?;
    put(bench, &url, second, "b", "b").await?;
    Ok((url, first))
}

async fn fifo_locked(bench: &Bench) -> Seen {
    let (url, _) = one_in_flight(bench, "g").await?;
    let came = bench.receive(&url).await?;
    Ok(if came.is_empty() { "nothing of the group".to_owned() } else { bodies(&came) })
}

async fn fifo_other_group(bench: &Bench) -> Seen {
    let (url, _) = one_in_flight(bench, "h").await?;
    Ok(bodies(&bench.receive(&url).await?))
}

async fn fifo_unlocked(bench: &Bench) -> Seen {
    let (url, first) = one_in_flight(bench, "g").await?;
    bench.delete(&url, &first).await?;
    Ok(bodies(&bench.awaited(&url, 2).await?))
}

async fn fifo_again_first(bench: &Bench) -> Seen {
    let (url, _) = one_in_flight(bench, "g").await?;
    let came = bench.awaited(&url, 14).await?;
    Ok(came.first().and_then(|m| m.body()).unwrap_or("nothing").to_owned())
}

/// How many messages come of what was sent.
async fn how_many(bench: &Bench, url: &str) -> Seen {
    let came = bench.receive(url).await?;
    Ok(if came.len() == 1 { "one message".to_owned() } else { format!("{} messages", came.len()) })
}

async fn fifo_dedup(bench: &Bench) -> Seen {
    let url = fifo(bench, "false").await?;
    put(bench, &url, "g", "a", "same").await?;
    put(bench, &url, "g", "b", "same").await?;
    how_many(bench, &url).await
}

async fn fifo_dedup_after_delete(bench: &Bench) -> Seen {
    let url = fifo(bench, "false").await?;
    put(bench, &url, "g", "a", "same").await?;
    let first = bench.the_message(&url).await?;
    bench.delete(&url, &first).await?;
    put(bench, &url, "g", "b", "same").await?;
    let came = bench.awaited(&url, 2).await?;
    Ok(if came.is_empty() { "no second message" } else { "a second message" }.to_owned())
}

async fn fifo_content_dedup(bench: &Bench) -> Seen {
    let url = fifo(bench, "true").await?;
    for _ in 0..2 {
        let send = bench.sqs.send_message().queue_url(&url).message_group_id("g").message_body("same");
        send.send().await?;
    }
    how_many(bench, &url).await
}

async fn fifo_no_group(bench: &Bench) -> Seen {
    let url = fifo(bench, "true").await?;
    Ok(taken(&bench.sqs.send_message().queue_url(&url).message_body("m").send().await).to_owned())
}

async fn fifo_no_dedup_id(bench: &Bench) -> Seen {
    let url = fifo(bench, "false").await?;
    let send = bench.sqs.send_message().queue_url(&url).message_body("m").message_group_id("g");
    Ok(taken(&send.send().await).to_owned())
}

async fn fifo_delay(bench: &Bench) -> Seen {
    let url = fifo(bench, "true").await?;
    let send = bench.sqs.send_message().queue_url(&url).message_body("m").message_group_id("g");
    Ok(taken(&send.delay_seconds(5).send().await).to_owned())
}
