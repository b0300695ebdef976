//! When a message is shown, to whom, and how often.

use aws_sdk_sqs::types::{MessageSystemAttributeName, QueueAttributeName};
use futures::future::join_all;

use super::{bodies, count, receipt};
use crate::bench::Bench;
use crate::check::{Seen, checks, taken, verdict};

const HIDDEN: &str = "SQS guide, Visibility timeout";
const DELETE: &str = "SQS API, DeleteMessage";
const POLLING: &str = "SQS guide, Short and long polling";
const STANDARD: &str = "SQS guide, Standard queues";
const DELAYS: &str = "SQS guide, Message timers";
const CHANGE: &str = "SQS API, ChangeMessageVisibility";

checks! {
    "receive", "a message comes as it was sent", "same body, id and MD5, count 1", "SQS API, ReceiveMessage" => receive;
    "system-attributes", "what a message says about itself", "ApproximateFirstReceiveTimestamp ApproximateReceiveCount SenderId SentTimestamp", "SQS API, ReceiveMessage" => system_attributes;
    "hidden", "a received message, at once and after its visibility time", "hidden, then again with count 2", HIDDEN => hidden;
    "hidden-for", "a receive that names 1 s on a queue of 60 s", "again within 5 s", "SQS API, ReceiveMessage" => hidden_for;
    "shown-at-once", "visibility changed to 0", "again at once with count 2", CHANGE => shown_at_once;
    "hidden-longer", "visibility of 2 s changed to 9 s", "hidden after 4 s, then again", CHANGE => hidden_longer;
    "not-in-flight", "visibility of a message that is visible again", "MessageNotInflight", CHANGE => not_in_flight;
    "sent-time", "when a message says it was sent", "now", "SQS API, ReceiveMessage" => sent_time;
    "delay", "a message with a delay of 5 s", "not at once, then there", DELAYS => delay;
    "delay-limit", "delays of 900 and of 901 s", "accepted, refused", DELAYS => delay_limit;
    "deleted", "a deleted message after its visibility time", "gone", DELETE => deleted;
    "deleted-twice", "the same deletion again", "accepted", DELETE => deleted_twice;
    "deleted-late", "a deletion after the visibility time, before anybody else received it", "accepted, gone", DELETE => deleted_late;
    "old-receipt", "a deletion with the receipt of an earlier receive", "accepted", DELETE => old_receipt;
    "wrong-receipt", "a deletion with a made-up receipt", "ReceiptHandleIsInvalid", DELETE => wrong_receipt;
    "long-poll-empty", "a wait of 2 s at an empty queue", "nothing after the wait", POLLING => long_poll_empty;
    "long-poll-wakes", "a message sent while a receive waits", "came before the wait ended", POLLING => long_poll_wakes;
    "short-poll", "one receive of ten at a queue of ten", "may miss some", POLLING => short_poll;
    "order", "twenty messages, received in batches", "any order", STANDARD => order;
    "eight-receivers", "8 receives at once of one message, 10 times", "at most one, each time", HIDDEN => eight_receivers;
    "depth", "one message visible, one in flight, one delayed", "1, 1, 1", "SQS API, GetQueueAttributes" => depth;
    "retention", "a message kept for 60 s, after 65 s", "gone", "SQS API, SetQueueAttributes" => retention;
}

async fn receive(bench: &Bench) -> Seen {
    let url = bench.hiding("30").await?;
    let body = "{\"v\":1,\"text\":\"ü \u{1f600} \\\"<&>\"}";
    let sent = bench.sqs.send_message().queue_url(&url).message_body(body).send().await?;
    let came = bench.the_message(&url).await?;
    let mut same = Vec::new();
    for (what, is, was) in [
        ("body", came.body(), Some(body)),
        ("id", came.message_id(), sent.message_id()),
        ("MD5", came.md5_of_body(), sent.md5_of_message_body()),
    ] {
        same.push(if is == was && is.is_some() { what.to_owned() } else { format!("{is:?}") });
    }
    Ok(format!("same {}, {} and {}, count {}", same[0], same[1], same[2], count(&came)))
}

async fn system_attributes(bench: &Bench) -> Seen {
    let url = bench.hiding("30").await?;
    bench.send(&url, "m").await?;
    let came = bench.the_message(&url).await?;
    let mut names: Vec<&str> =
        came.attributes().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    Ok(names.join(" "))
}

async fn sent_time(bench: &Bench) -> Seen {
    let url = bench.hiding("30").await?;
    let before = bench.clock.now_ms();
    bench.send(&url, "m").await?;
    let sent = super::attribute(&bench.the_message(&url).await?, &MessageSystemAttributeName::SentTimestamp);
    let sent: i64 = sent.parse().map_err(crate::check::Trouble::new)?;
    Ok(if (before - 2_000..before + 10_000).contains(&sent) { "now" } else { "by another clock" }.to_owned())
}

async fn hidden(bench: &Bench) -> Seen {
    let url = bench.hiding("4").await?;
    bench.send(&url, "m").await?;
    bench.the_message(&url).await?;
    let at_once = if bench.receive(&url).await?.is_empty() { "hidden" } else { "shown" };
    bench.pass(4).await;
    let again = bench.awaited(&url, 6).await?;
    Ok(match again.first() {
        Some(message) => format!("{at_once}, then again with count {}", count(message)),
        None => format!("{at_once}, then gone"),
    })
}

async fn hidden_for(bench: &Bench) -> Seen {
    let url = bench.hiding("60").await?;
    bench.send(&url, "m").await?;
    bench.receiving(&url).visibility_timeout(1).send().await?;
    let again = bench.awaited(&url, 5).await?;
    Ok(if again.is_empty() { "not again within 5 s" } else { "again within 5 s" }.to_owned())
}

async fn shown_at_once(bench: &Bench) -> Seen {
    let url = bench.hiding("60").await?;
    bench.send(&url, "m").await?;
    let message = bench.the_message(&url).await?;
    let change = bench.sqs.change_message_visibility().queue_url(&url).visibility_timeout(0);
    change.receipt_handle(receipt(&message)).send().await?;
    let again = bench.awaited(&url, 2).await?;
    Ok(match again.first() {
        Some(message) => format!("again at once with count {}", count(message)),
        None => "still hidden".to_owned(),
    })
}

async fn hidden_longer(bench: &Bench) -> Seen {
    let url = bench.hiding("2").await?;
    bench.send(&url, "m").await?;
    let message = bench.the_message(&url).await?;
    let change = bench.sqs.change_message_visibility().queue_url(&url).visibility_timeout(9);
    change.receipt_handle(receipt(&message)).send().await?;
    bench.pass(4).await;
    let early = if bench.receive(&url).await?.is_empty() { "hidden" } else { "shown" };
    let late = if bench.awaited(&url, 12).await?.is_empty() { "then gone" } else { "then again" };
    Ok(format!("{early} after 4 s, {late}"))
}

async fn not_in_flight(bench: &Bench) -> Seen {
    let url = bench.hiding("1").await?;
    bench.send(&url, "m").await?;
    let message = bench.the_message(&url).await?;
    bench.pass(3).await;
    let change = bench.sqs.change_message_visibility().queue_url(&url).visibility_timeout(5);
    Ok(verdict(&change.receipt_handle(receipt(&message)).send().await))
}

async fn delay(bench: &Bench) -> Seen {
    let url = bench.hiding("30").await?;
    bench.sqs.send_message().queue_url(&url).message_body("m").delay_seconds(5).send().await?;
    let early = if bench.receive(&url).await?.is_empty() { "not at once" } else { "at once" };
    let late = if bench.awaited(&url, 10).await?.is_empty() { "never there" } else { "then there" };
    Ok(format!("{early}, {late}"))
}

async fn delay_limit(bench: &Bench) -> Seen {
    let url = bench.hiding("30").await?;
    let send = |delay| bench.sqs.send_message().queue_url(&url).message_body("m").delay_seconds(delay).send();
    let most = taken(&send(900).await);
    Ok(format!("{most}, {}", taken(&send(901).await)))
}

async fn deleted(bench: &Bench) -> Seen {
    let url = bench.hiding("1").await?;
    bench.send(&url, "m").await?;
    let message = bench.the_message(&url).await?;
    bench.delete(&url, &message).await?;
    let again = bench.awaited(&url, 3).await?;
    Ok(if again.is_empty() { "gone" } else { "back" }.to_owned())
}

async fn deleted_twice(bench: &Bench) -> Seen {
    let url = bench.hiding("30").await?;
    bench.send(&url, "m").await?;
    let message = bench.the_message(&url).await?;
    bench.delete(&url, &message).await?;
    let delete = bench.sqs.delete_message().queue_url(&url).receipt_handle(receipt(&message));
    Ok(verdict(&delete.send().await))
}

async fn deleted_late(bench: &Bench) -> Seen {
    let url = bench.hiding("1").await?;
    bench.send(&url, "m").await?;
    let message = bench.the_message(&url).await?;
    bench.pass(3).await;
    let delete = bench.sqs.delete_message().queue_url(&url).receipt_handle(receipt(&message));
    let told = verdict(&delete.send().await);
    let again = bench.awaited(&url, 2).await?;
    Ok(format!("{told}, {}", if again.is_empty() { "gone" } else { "back" }))
}

async fn old_receipt(bench: &Bench) -> Seen {
    let url = bench.hiding("1").await?;
    bench.send(&url, "m").await?;
    let old = bench.the_message(&url).await?;
    bench.pass(2).await;
    if bench.awaited(&url, 5).await?.is_empty() {
        return Ok("not received again".to_owned());
    }
    let delete = bench.sqs.delete_message().queue_url(&url).receipt_handle(receipt(&old));
    Ok(verdict(&delete.send().await))
}

async fn wrong_receipt(bench: &Bench) -> Seen {
    let url = bench.hiding("30").await?;
    let delete = bench.sqs.delete_message().queue_url(&url).receipt_handle("made up");
    Ok(verdict(&delete.send().await))
}

async fn long_poll_empty(bench: &Bench) -> Seen {
    let url = bench.hiding("30").await?;
    let began = bench.clock.now_ms();
    let came = bench.receiving(&url).wait_time_seconds(2).send().await?.messages.unwrap_or_default();
    let waited = bench.clock.now_ms() - began >= 1_900;
    let what = if came.is_empty() { "nothing" } else { "something" };
    Ok(format!("{what} {}", if waited { "after the wait" } else { "at once" }))
}

async fn long_poll_wakes(bench: &Bench) -> Seen {
    let url = bench.hiding("30").await?;
    let began = bench.clock.now_ms();
    let send = async {
        bench.pass(1).await;
        bench.send(&url, "m").await
    };
    let (came, sent) = futures::future::join(bench.receiving(&url).wait_time_seconds(15).send(), send).await;
    sent?;
    let early = bench.clock.now_ms() - began < 10_000;
    Ok(match (came?.messages().is_empty(), early) {
        (false, true) => "came before the wait ended",
        (false, false) => "came when the wait had ended",
        (true, _) => "was not received",
    }
    .to_owned())
}

async fn short_poll(bench: &Bench) -> Seen {
    for _ in 0..5 {
        let url = bench.hiding("30").await?;
        for i in 0..10 {
            bench.send(&url, &i.to_string()).await?;
        }
        if bench.receive(&url).await?.len() < 10 {
            return Ok("may miss some".to_owned());
        }
    }
    Ok("always all ten".to_owned())
}

async fn order(bench: &Bench) -> Seen {
    let url = bench.hiding("60").await?;
    let sent: Vec<String> = (0..20).map(|i| i.to_string()).collect();
    for body in &sent {
        bench.send(&url, body).await?;
    }
    let mut came = Vec::new();
    while came.len() < sent.len() {
        let batch = bench.awaited(&url, 3).await?;
        if batch.is_empty() {
            return Ok(format!("only {} came", came.len()));
        }
        came.extend(batch);
    }
    Ok(if bodies(&came) == sent.join(" ") { "as sent" } else { "any order" }.to_owned())
}

async fn eight_receivers(bench: &Bench) -> Seen {
    for _ in 0..10 {
        let url = bench.hiding("60").await?;
        bench.send(&url, "m").await?;
        let receives = join_all((0..8).map(|_| bench.receive(&url))).await;
        let mut came = 0;
        for messages in receives {
            came += messages?.len();
        }
        if came > 1 {
            return Ok(format!("{came} at once"));
        }
    }
    Ok("at most one, each time".to_owned())
}

async fn depth(bench: &Bench) -> Seen {
    let url = bench.hiding("60").await?;
    bench.send(&url, "a").await?;
    bench.the_message(&url).await?;
    bench.send(&url, "b").await?;
    bench.sqs.send_message().queue_url(&url).message_body("c").delay_seconds(60).send().await?;
    bench.pass(1).await;
    let get = bench.sqs.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::All);
    let all = get.send().await?.attributes.unwrap_or_default();
    let shown = [
        QueueAttributeName::ApproximateNumberOfMessages,
        QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        QueueAttributeName::ApproximateNumberOfMessagesDelayed,
    ];
    let shown = shown.iter().map(|name| all.get(name).map_or("absent", String::as_str));
    Ok(shown.collect::<Vec<_>>().join(", "))
}

async fn retention(bench: &Bench) -> Seen {
    let url = bench.queue(&[(QueueAttributeName::MessageRetentionPeriod, "60")]).await?;
    bench.send(&url, "m").await?;
    bench.pass(65).await;
    let kept = bench.receive(&url).await?;
    let sent = kept.first().map(|m| super::attribute(m, &MessageSystemAttributeName::SentTimestamp));
    Ok(if sent.is_some() { "still there" } else { "gone" }.to_owned())
}
