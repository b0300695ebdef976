//! Limits, queues themselves, purging.

use aws_sdk_sqs::types::QueueAttributeName;

use crate::bench::Bench;
use crate::check::{Seen, checks, taken, verdict};

const QUOTAS: &str = "SQS guide, Quotas: messages";
const CREATE: &str = "SQS API, CreateQueue";
const RECEIVE: &str = "SQS API, ReceiveMessage";

checks! {
    "1-mib", "a message of exactly 1 MiB", "accepted", QUOTAS => one_mib;
    "past-1-mib", "a message of one byte more", "refused", QUOTAS => past_one_mib;
    "empty-body", "a message without a text", "refused", "SQS API, SendMessage" => empty_body;
    "control-character", "a message with the character U+0001", "refused", "SQS API, SendMessage" => control_character;
    "receive-11", "a receive of eleven", "refused", RECEIVE => receive_11;
    "wait-21", "a wait of 21 s", "refused", RECEIVE => wait_21;
    "hidden-past-12-hours", "a visibility time of 12 hours and 1 s", "refused", CREATE => hidden_past_12_hours;
    "missing-queue", "a message to a queue that is not there, as the SDK types it", "QueueDoesNotExist", "SQS API, SendMessage" => missing_queue;
    "missing-queue-receive", "a receive from it", "QueueDoesNotExist", RECEIVE => missing_queue_receive;
    "bad-name", "a queue name with a blank", "refused", CREATE => bad_name;
    "same-queue-again", "creating a queue that is there with the same attributes", "accepted, same address", CREATE => same_queue_again;
    "other-attributes", "creating it with another visibility time", "QueueAlreadyExists", CREATE => other_attributes;
    "deleted-recently", "creating a queue that was deleted just before", "QueueDeletedRecently", CREATE => deleted_recently;
    "purge", "a purged queue", "empty", "SQS API, PurgeQueue" => purge;
    "purge-in-flight", "a purged message that was in flight, after its visibility time", "gone", "SQS API, PurgeQueue" => purge_in_flight;
    "purge-twice", "a purge within 60 s of the last", "PurgeQueueInProgress", "SQS API, PurgeQueue" => purge_twice;
    "group-on-standard", "a message group id on a standard queue", "accepted", "SQS guide, Fair queues" => group_on_standard;
}

async fn one_mib(bench: &Bench) -> Seen {
    let url = bench.hiding("30").await?;
    let send = bench.sqs.send_message().queue_url(&url).message_body("x".repeat(1024 * 1024));
    Ok(taken(&send.send().await).to_owned())
}

async fn past_one_mib(bench: &Bench) -> Seen {
    let url = bench.hiding("30").await?;
    let send = bench.sqs.send_message().queue_url(&url).message_body("x".repeat(1024 * 1024 + 1));
    Ok(taken(&send.send().await).to_owned())
}

async fn body(bench: &Bench, body: &str) -> Seen {
    let url = bench.hiding("30").await?;
    Ok(taken(&bench.sqs.send_message().queue_url(&url).message_body(body).send().await).to_owned())
}

async fn empty_body(bench: &Bench) -> Seen {
    body(bench, "").await
}

async fn control_character(bench: &Bench) -> Seen {
    body(bench, "a\u{1}b").await
}

async fn receive_11(bench: &Bench) -> Seen {
    let url = bench.hiding("30").await?;
    Ok(taken(&bench.receiving(&url).max_number_of_messages(11).send().await).to_owned())
}

async fn wait_21(bench: &Bench) -> Seen {
    let url = bench.hiding("30").await?;
    bench.send(&url, "m").await?;
    Ok(taken(&bench.receiving(&url).wait_time_seconds(21).send().await).to_owned())
}

async fn hidden_past_12_hours(bench: &Bench) -> Seen {
    let create = bench.sqs.create_queue().queue_name(bench.name("queue"));
    Ok(taken(&create.attributes(QueueAttributeName::VisibilityTimeout, "43201").send().await).to_owned())
}

async fn missing_queue(bench: &Bench) -> Seen {
    let url = bench.hiding("30").await?;
    let sent = bench.sqs.send_message().queue_url(format!("{url}-x")).message_body("m").send().await;
    let typed =
        sent.as_ref().is_err_and(|e| e.as_service_error().is_some_and(|e| e.is_queue_does_not_exist()));
    Ok(if typed { "QueueDoesNotExist".to_owned() } else { format!("untyped {}", verdict(&sent)) })
}

async fn missing_queue_receive(bench: &Bench) -> Seen {
    let url = bench.hiding("30").await?;
    Ok(verdict(&bench.receiving(&format!("{url}-x")).send().await))
}

async fn bad_name(bench: &Bench) -> Seen {
    Ok(taken(&bench.sqs.create_queue().queue_name("no such name").send().await).to_owned())
}

async fn again(bench: &Bench, hidden: &str) -> Seen {
    let name = bench.name("queue");
    let create = |hidden: &str| {
        let create = bench.sqs.create_queue().queue_name(&name);
        create.attributes(QueueAttributeName::VisibilityTimeout, hidden).send()
    };
    let first = create("30").await?;
    let second = create(hidden).await;
    Ok(match &second {
        Ok(answer) if answer.queue_url() == first.queue_url() => "accepted, same address".to_owned(),
        Ok(_) => "accepted, another address".to_owned(),
        Err(_) => verdict(&second),
    })
}

async fn same_queue_again(bench: &Bench) -> Seen {
    again(bench, "30").await
}

async fn other_attributes(bench: &Bench) -> Seen {
    again(bench, "31").await
}

async fn deleted_recently(bench: &Bench) -> Seen {
    let name = bench.name("queue");
    let made = bench.sqs.create_queue().queue_name(&name).send().await?;
    bench.sqs.delete_queue().queue_url(made.queue_url().unwrap_or_default()).send().await?;
    Ok(verdict(&bench.sqs.create_queue().queue_name(&name).send().await))
}

async fn purge(bench: &Bench) -> Seen {
    let url = bench.hiding("30").await?;
    for body in ["a", "b"] {
        bench.send(&url, body).await?;
    }
    bench.sqs.purge_queue().queue_url(&url).send().await?;
    bench.pass(1).await;
    Ok(if bench.receive(&url).await?.is_empty() { "empty" } else { "not empty" }.to_owned())
}

async fn purge_in_flight(bench: &Bench) -> Seen {
    let url = bench.hiding("2").await?;
    bench.send(&url, "m").await?;
    bench.the_message(&url).await?;
    bench.sqs.purge_queue().queue_url(&url).send().await?;
    Ok(if bench.awaited(&url, 5).await?.is_empty() { "gone" } else { "back" }.to_owned())
}

async fn purge_twice(bench: &Bench) -> Seen {
    let url = bench.hiding("30").await?;
    bench.sqs.purge_queue().queue_url(&url).send().await?;
    Ok(verdict(&bench.sqs.purge_queue().queue_url(&url).send().await))
}

async fn group_on_standard(bench: &Bench) -> Seen {
    let url = bench.hiding("30").await?;
    let send = bench.sqs.send_message().queue_url(&url).message_body("m").message_group_id("shop");
    Ok(verdict(&send.send().await))
}
