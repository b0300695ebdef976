//! Queue messages: hints and wakes, and nothing that decides about money.
//!
//! Invariant: a message carries ids, a type and a hash; no name, address, card or secret.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::ids::{Function, OrderKey, key_part};

/// The work queues. Each has a dead letter queue beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Queue {
    /// To payment-creator.
    Orders,
    /// To payment-recorder.
    Payments,
    /// To refund-processor.
    Refunds,
    /// To failure-handler.
    Failures,
    /// To order-updater.
    OrderUpdates,
    /// To notifier.
    Notifications,
}

impl Queue {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Orders,
        Self::Payments,
        Self::Refunds,
        Self::Failures,
        Self::OrderUpdates,
        Self::Notifications,
    ];

    /// Its name in configuration, template and command line, e.g. `order-updates`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Payments => "payments",
            Self::Refunds => "refunds",
            Self::Failures => "failures",
            Self::OrderUpdates => "order-updates",
            Self::Notifications => "notifications",
        }
    }

    /// The queue that wakes `owner`, for functions that have one.
    pub const fn of(owner: Function) -> Option<Self> {
        match owner {
            Function::PaymentCreator => Some(Self::Orders),
            Function::PaymentRecorder => Some(Self::Payments),
            Function::RefundProcessor => Some(Self::Refunds),
            Function::FailureHandler => Some(Self::Failures),
            Function::OrderUpdater => Some(Self::OrderUpdates),
            Function::Notifier => Some(Self::Notifications),
            Function::WebhookReceiver
            | Function::PaymentPage
            | Function::Sweeper
            | Function::Reconciler
            | Function::Cli => None,
        }
    }

    /// The function it feeds.
    pub const fn owner(self) -> Function {
        match self {
            Self::Orders => Function::PaymentCreator,
            Self::Payments => Function::PaymentRecorder,
            Self::Refunds => Function::RefundProcessor,
            Self::Failures => Function::FailureHandler,
            Self::OrderUpdates => Function::OrderUpdater,
            Self::Notifications => Function::Notifier,
        }
    }
}

/// Version of the message's shape. A reader refuses a higher one back to the queue.
pub const MESSAGE_VERSION: u32 = 1;

/// SQS takes no longer group; what a stranger wrote into Stripe's metadata may be.
const GROUP_CHARS_MAX: usize = 128;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// [`MESSAGE_VERSION`].
    pub v: u32,
    /// Correlation id: from the webhook to the write-back.
    pub corr: String,
    /// What to look at.
    #[serde(flatten)]
    pub body: Body,
}

/// What a message asks to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Body {
    /// Look at this order's item: something of yours is due.
    Wake {
        /// The order.
        order: OrderKey,
    },
    /// An order system says this order changed.
    Order {
        /// The source's name.
        source: String,
        /// The order system's id.
        order_id: String,
        /// The version the notice named, if it did: a read below it is a lagging replica.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<u64>,
        /// Delivery id (`webhook-id`), or what the poll made up.
        event: String,
        /// SHA-256 of the raw body, hex.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sha256: Option<String>,
    },
    /// Stripe says something happened to this object.
    Stripe(StripeHint),
    /// Signed but unreadable.
    Parked {
        /// The source's name.
        source: String,
        /// Delivery or event id, if it could be read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        event: Option<String>,
        /// SHA-256 of the raw body, hex.
        sha256: String,
        /// Bytes of the raw body.
        size: usize,
        /// What could not be read.
        reason: String,
    },
    /// A notice that belongs to no order (a reconciliation's summary).
    Notice {
        /// Sent once per key.
        key: String,
        /// What it says: ids, counts and amounts only.
        data: BTreeMap<String, serde_json::Value>,
    },
}

/// Ids of a Stripe event and of what it names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StripeHint {
    /// The Stripe source's name.
    pub source: String,
    /// `evt_...`, or empty when the hint comes from a listing.
    pub event: String,
    /// The event's type, e.g. `payment_intent.succeeded`.
    #[serde(rename = "type")]
    pub event_type: String,
    /// `payment_intent`, `charge`, `refund`, `dispute`, `checkout.session`, ...
    pub object_type: String,
    /// The object's id.
    pub object_id: String,
    /// Ids the object names: `charge`, `payment_intent`, `customer`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refs: BTreeMap<String, String>,
    /// Our metadata on the object: keys that begin with `tandem_`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// SHA-256 of the raw body, hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

impl Message {
    /// A wake of `order`'s owner.
    pub fn wake(order: OrderKey, corr: &str) -> Self {
        Self { v: MESSAGE_VERSION, corr: corr.to_owned(), body: Body::Wake { order } }
    }
    /// Any body.
    pub fn new(corr: &str, body: Body) -> Self {
        Self { v: MESSAGE_VERSION, corr: corr.to_owned(), body }
    }

    /// Whose this is: the shop's name as keys have it, else the source's. The queue is fair between them, so that the
    /// hundred thousand messages of one shop do not hold up the ten of another. None: it waits for nobody.
    pub fn group(&self) -> Option<String> {
        let shop = |key: &OrderKey| key_part(&key.shop());
        let group = match &self.body {
            Body::Wake { order } => shop(order),
            Body::Stripe(hint) => {
                let marked = hint.metadata.get("tandem_order").and_then(|key| OrderKey::parse(key).ok());
                marked.map_or_else(|| key_part(&hint.source), |key| shop(&key))
            }
            Body::Order { source, .. } | Body::Parked { source, .. } => key_part(source),
            Body::Notice { .. } => return None,
        };
        Some(group).filter(|group| (1..=GROUP_CHARS_MAX).contains(&group.len()))
    }
}

/// Why a message was not queued.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The template gave no URL for this queue.
    #[error("no URL is configured for queue {queue}", queue = .0.name())]
    NotConfigured(Queue),
    /// The message could not be written as JSON.
    #[error("the message for queue {queue} could not be encoded", queue = .0.name())]
    Encode(Queue),
    /// The call failed; the message may be queued all the same.
    #[error("sending to queue {queue} failed: {reason}", queue = .queue.name())]
    Send {
        /// Which queue.
        queue: Queue,
        /// The service's code, or what happened to the request.
        reason: String,
    },
}

/// Sends messages.
#[derive(Clone, Debug)]
pub struct QueueSender {
    client: aws_sdk_sqs::Client,
    urls: std::sync::Arc<BTreeMap<String, String>>,
    fair: bool,
}

impl QueueSender {
    /// Sends to the queues whose URLs the template gave. `fair`: messages say whose they are ([`Message::group`]).
    pub fn new(client: aws_sdk_sqs::Client, resources: &crate::config::Resources, fair: bool) -> Self {
        Self { client, urls: std::sync::Arc::new(resources.queue_urls.clone()), fair }
    }

    /// Queues one message, visible after `delay` seconds (at most 900, SQS's limit).
    pub async fn send(&self, queue: Queue, message: &Message, delay: Option<u32>) -> Result<(), QueueError> {
        let url = self.urls.get(queue.name()).ok_or(QueueError::NotConfigured(queue))?;
        let body = serde_json::to_string(message).map_err(|_| QueueError::Encode(queue))?;
        let delay = delay.map(|seconds| i32::try_from(seconds.min(900)).unwrap_or(900));
        let sent = self.client.send_message().queue_url(url).message_body(body).set_delay_seconds(delay);
        sent.set_message_group_id(message.group().filter(|_| self.fair))
            .send()
            .await
            .map(|_| ())
            .map_err(|error| QueueError::Send { queue, reason: crate::error::aws_reason(&error) })
    }
}

#[cfg(test)]
mod sender_tests {
    use super::*;
    use crate::aws::{self, double::Double};
    use crate::config::Resources;

    fn sender(double: &Double, fair: bool) -> QueueSender {
        let mut resources = Resources::default();
        resources.queue_urls.insert("orders".into(), "https://sqs.example.com/1/orders".into());
        QueueSender::new(aws::sqs(&double.sdk()), &resources, fair)
    }

    fn wake() -> Message {
        Message::wake(OrderKey::new("demo", "checkout", "shop", "1").unwrap(), "c")
    }

    #[tokio::test]
    async fn a_send_is_one_call_with_the_message_and_its_delay() {
        let double = Double::new(|_| (200, "", "{}".to_owned()));
        sender(&double, true).send(Queue::Orders, &wake(), None).await.unwrap();
        sender(&double, false).send(Queue::Orders, &wake(), Some(5_000)).await.unwrap();
        let calls = double.calls();
        assert_eq!(calls.len(), 2);
        assert_eq!(calls[0].0, "AmazonSQS.SendMessage");
        assert_eq!(
            serde_json::from_str::<Message>(calls[0].1["MessageBody"].as_str().unwrap()).unwrap(),
            wake()
        );
        assert!(calls[0].1.get("DelaySeconds").is_none());
        assert_eq!(calls[0].1["MessageGroupId"], "shop");
        assert_eq!(calls[1].1["DelaySeconds"], 900);
        assert!(calls[1].1.get("MessageGroupId").is_none(), "one shop waits for nobody");
    }

    #[test]
    fn messages_of_one_shop_are_one_group_whoever_sent_them() {
        let hint = |order: Option<&str>| {
            let mut hint: StripeHint = serde_json::from_value(serde_json::json!({
                "source": "stripe", "event": "evt_1", "type": "charge.succeeded", "object_type": "charge",
                "object_id": "ch_1"
            }))
            .unwrap();
            hint.metadata.extend(order.map(|o| ("tandem_order".to_owned(), o.to_owned())));
            Message::new("c", Body::Stripe(hint)).group()
        };
        let (source, order_id) = ("shop".to_owned(), "1".to_owned());
        let notice = Body::Order { source, order_id, version: None, event: "m".into(), sha256: None };
        let shop = Some("shop".to_owned());
        assert_eq!((wake().group(), Message::new("c", notice).group()), (shop.clone(), shop.clone()));
        assert_eq!(hint(Some("demo#checkout#shop#1")), shop);
        assert_eq!(hint(None).as_deref(), Some("stripe"));
        assert_eq!(hint(Some("no key")).as_deref(), Some("stripe"));
        // SQS would refuse a longer one, and the message would be lost.
        assert_eq!(hint(Some(&format!("demo#checkout#{}#1", "s".repeat(150)))), None);
        assert_eq!(Message::new("c", Body::Notice { key: "k".into(), data: BTreeMap::new() }).group(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_retried_twice_and_then_named_by_its_code() {
        let double = Double::new(|_| (500, "InternalError", "{}".to_owned()));
        let error = sender(&double, true).send(Queue::Orders, &wake(), None).await.unwrap_err();
        assert_eq!(error.to_string(), "sending to queue orders failed: InternalError");
        assert_eq!(double.calls().len(), 3);
        let error = sender(&double, true).send(Queue::Refunds, &wake(), None).await.unwrap_err();
        assert!(matches!(error, QueueError::NotConfigured(Queue::Refunds)));
    }
}
