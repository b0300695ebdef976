//! Dead letters.

use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};

use super::{attribute, receipt};
use crate::bench::Bench;
use crate::check::{Seen, Trouble, checks, taken};

const DEAD: &str = "SQS guide, Dead-letter queues";

checks! {
    "dead-letter", "a message that nobody deletes, with 2 receives at most", "2 receives, then dead, same id and body", DEAD => dead_letter;
    "dead-after-visibility-0", "the same, each time shown again at once by visibility 0", "2 receives, then dead, same id and body", DEAD => dead_after_visibility_0;
    "dead-keeps-its-age", "when a dead letter says it was sent", "when it was sent first", "SQS guide, Dead-letter queue retention" => dead_keeps_its_age;
    "receives-as-text", "a redrive policy whose maxReceiveCount is text", "accepted", "SQS API, CreateQueue" => receives_as_text;
    "no-such-dead-letter-queue", "a redrive policy that names no queue", "refused", "SQS API, CreateQueue" => no_such_dead_letter_queue;
}

struct Pair {
    work: String,
    dead: String,
}

async fn pair(bench: &Bench, hidden: &str) -> Result<Pair, Trouble> {
    let dead = bench.hiding("30").await?;
    let policy = format!("{{\"deadLetterTargetArn\":\"{}\",\"maxReceiveCount\":2}}", bench.arn(&dead).await?);
    let attributes =
        [(QueueAttributeName::VisibilityTimeout, hidden), (QueueAttributeName::RedrivePolicy, &policy)];
    Ok(Pair { work: bench.queue(&attributes).await?, dead })
}

/// How a message that nobody deletes ends.
async fn die(bench: &Bench, pair: &Pair, at_once: bool) -> Result<(u32, Option<Message>), Trouble> {
    let mut receives = 0;
    while receives < 5 {
        let came = bench.awaited(&pair.work, 4).await?;
        let Some(message) = came.first() else { break };
        receives += 1;
        if at_once {
            let change = bench.sqs.change_message_visibility().queue_url(&pair.work).visibility_timeout(0);
            change.receipt_handle(receipt(message)).send().await?;
        }
    }
    Ok((receives, bench.awaited(&pair.dead, 5).await?.pop()))
}

async fn dies(bench: &Bench, at_once: bool) -> Seen {
    let pair = pair(bench, if at_once { "60" } else { "1" }).await?;
    let sent = bench.sqs.send_message().queue_url(&pair.work).message_body("m").send().await?;
    let (receives, dead) = die(bench, &pair, at_once).await?;
    let Some(dead) = dead else { return Ok(format!("{receives} receives, not dead")) };
    let same = dead.message_id() == sent.message_id() && dead.body() == Some("m");
    Ok(format!("{receives} receives, then dead, {}", if same { "same id and body" } else { "changed" }))
}

async fn dead_letter(bench: &Bench) -> Seen {
    dies(bench, false).await
}

async fn dead_after_visibility_0(bench: &Bench) -> Seen {
    dies(bench, true).await
}

async fn dead_keeps_its_age(bench: &Bench) -> Seen {
    let pair = pair(bench, "1").await?;
    bench.send(&pair.work, "m").await?;
    let sent = bench.the_message(&pair.work).await?;
    let (_, dead) = die(bench, &pair, false).await?;
    let Some(dead) = dead else { return Ok("not dead".to_owned()) };
    let time = |message| attribute(message, &MessageSystemAttributeName::SentTimestamp);
    Ok(if time(&dead) == time(&sent) { "when it was sent first" } else { "when it died" }.to_owned())
}

async fn receives_as_text(bench: &Bench) -> Seen {
    let dead = bench.arn(&bench.hiding("30").await?).await?;
    let policy = format!("{{\"deadLetterTargetArn\":\"{dead}\",\"maxReceiveCount\":\"2\"}}");
    let create = bench.sqs.create_queue().queue_name(bench.name("queue"));
    Ok(taken(&create.attributes(QueueAttributeName::RedrivePolicy, policy).send().await).to_owned())
}

async fn no_such_dead_letter_queue(bench: &Bench) -> Seen {
    let arn = bench.arn(&bench.hiding("30").await?).await?;
    let policy = format!("{{\"deadLetterTargetArn\":\"{arn}-not\",\"maxReceiveCount\":2}}");
    let create = bench.sqs.create_queue().queue_name(bench.name("queue"));
    Ok(taken(&create.attributes(QueueAttributeName::RedrivePolicy, policy).send().await).to_owned())
}
