//! SQS: standard queues as the bundle uses them, and FIFO queues, which it does not use.

mod batch;
mod dead;
mod fifo;
mod hide;
mod limits;

use aws_sdk_sqs::operation::receive_message::builders::ReceiveMessageFluentBuilder;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};

use crate::bench::Bench;
use crate::check::{Check, Trouble};

/// All of them.
pub(crate) fn all() -> Vec<Check> {
    [hide::all(), dead::all(), batch::all(), limits::all(), fifo::all()].into_iter().flatten().collect()
}

/// The value of a system attribute.
fn attribute(message: &Message, name: &MessageSystemAttributeName) -> String {
    message.attributes().and_then(|all| all.get(name)).cloned().unwrap_or_default()
}

/// How often a message was received, as it says itself.
fn count(message: &Message) -> String {
    attribute(message, &MessageSystemAttributeName::ApproximateReceiveCount)
}

fn bodies(messages: &[Message]) -> String {
    messages.iter().filter_map(|m| m.body()).collect::<Vec<_>>().join(" ")
}

fn receipt(message: &Message) -> String {
    message.receipt_handle().unwrap_or_default().to_owned()
}

impl Bench {
    /// A queue of its own.
    pub(crate) async fn queue(&self, attributes: &[(QueueAttributeName, &str)]) -> Result<String, Trouble> {
        let fifo = attributes.iter().any(|(name, _)| *name == QueueAttributeName::FifoQueue);
        let name = self.name("queue") + if fifo { ".fifo" } else { "" };
        let mut create = self.sqs.create_queue().queue_name(name);
        for (name, value) in attributes {
            create = create.attributes(name.clone(), *value);
        }
        Ok(create.send().await?.queue_url.unwrap_or_default())
    }

    /// A queue whose messages hide for so many seconds.
    async fn hiding(&self, seconds: &str) -> Result<String, Trouble> {
        self.queue(&[(QueueAttributeName::VisibilityTimeout, seconds)]).await
    }

    pub(crate) async fn arn(&self, url: &str) -> Result<String, Trouble> {
        let get =
            self.sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::QueueArn);
        let answer = get.send().await?;
        let arn = answer.attributes().and_then(|all| all.get(&QueueAttributeName::QueueArn)).cloned();
        arn.ok_or_else(|| Trouble::new("the queue has no ARN"))
    }

    async fn send(&self, url: &str, body: &str) -> Result<(), Trouble> {
        self.sqs.send_message().queue_url(url).message_body(body).send().await?;
        Ok(())
    }

    fn receiving(&self, url: &str) -> ReceiveMessageFluentBuilder {
        let receive = self.sqs.receive_message().queue_url(url).max_number_of_messages(10);
        receive.message_system_attribute_names(MessageSystemAttributeName::All)
    }

    pub(crate) async fn receive(&self, url: &str) -> Result<Vec<Message>, Trouble> {
        Ok(self.receiving(url).send().await?.messages.unwrap_or_default())
    }

    /// The one message of a queue.
    async fn the_message(&self, url: &str) -> Result<Message, Trouble> {
        self.receive(url).await?.pop().ok_or_else(|| Trouble::new("no message came"))
    }

    /// What comes within so many seconds; empty if nothing does.
    pub(crate) async fn awaited(&self, url: &str, seconds: u64) -> Result<Vec<Message>, Trouble> {
        for _ in 0..seconds {
            let messages = self.receive(url).await?;
            if !messages.is_empty() {
                return Ok(messages);
            }
            self.pass(1).await;
        }
        self.receive(url).await
    }

    async fn delete(&self, url: &str, message: &Message) -> Result<(), Trouble> {
        self.sqs.delete_message().queue_url(url).receipt_handle(receipt(message)).send().await?;
        Ok(())
    }
}
