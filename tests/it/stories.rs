//! What the tests of calls, permissions and payloads share: a stack, people who do things, and what it cost.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use local::aws::{IoCounts, IoLabel};
use local::shop::NewOrder;
use local::stack::{Options, Stack, local_secrets};
use local::stripe::{Event, WebhookRule};
use serde_json::Value;
use shared::domain::ids::Function;
use shared::domain::money::Currency;
use shared::domain::order::Collection;
use shared::inbound::{WebhookSecret, standard_webhooks, stripe as stripe_scheme};
use shared::secrets::SecretString;

pub(crate) const GOOD: &str = "4242424242424242";
pub(crate) const DECLINED: &str = "4000000000000002";

/// Calls that functions made: who, where (`dynamodb`, `shop`, ..), what.
pub(crate) type Calls = BTreeMap<(Function, String, String), u64>;

pub(crate) async fn start() -> Stack {
    Stack::start(Options::in_process()).await.unwrap()
}

pub(crate) fn euros(amount: i64, customer: Option<&str>) -> NewOrder {
    NewOrder::simple(Currency::parse("EUR").unwrap(), amount, customer)
}

/// To be charged on the saved method.
pub(crate) fn automatic(amount: i64, customer: &str) -> NewOrder {
    NewOrder { collection: Collection::Automatic, ..euros(amount, Some(customer)) }
}

/// Places an order and lets it come to rest; its id.
pub(crate) async fn place(stack: &Stack, order: NewOrder) -> String {
    let id = stack.shop.place(order).unwrap().id;
    stack.settle().await.unwrap();
    id
}

/// The address of the live session behind an order's link.
pub(crate) async fn session(stack: &Stack, id: &str) -> String {
    stack.open_link(&stack.pay_link(id).unwrap()).await.unwrap().unwrap()
}

/// Places an order and pays it.
pub(crate) async fn paid(stack: &Stack, order: NewOrder) -> String {
    let id = place(stack, order).await;
    stack.pay(&id, GOOD).await.unwrap();
    stack.settle().await.unwrap();
    id
}

/// The newest saved card.
pub(crate) fn newest_card(stack: &Stack) -> String {
    let methods = stack.sim.ledger().payment_methods;
    methods.into_iter().rev().find(|m| m.customer.is_some()).unwrap().id
}

/// Sends a notice to the shop's source as a shop would, signed with `secret`; the answer's status.
pub(crate) async fn notice(stack: &Stack, secret: String, id: &str, body: &str) -> u16 {
    let (now, secret) = (stack.clock.now(), WebhookSecret::standard(&SecretString::from(secret)).unwrap());
    let request = http::Request::post(format!("{}/webhooks/shop", stack.bases.webhooks))
        .header("content-type", "application/json")
        .header(standard_webhooks::ID_HEADER, id)
        .header(standard_webhooks::TIMESTAMP_HEADER, now.0)
        .header(
            standard_webhooks::SIGNATURE_HEADER,
            standard_webhooks::sign(&secret, id, now, body.as_bytes()),
        )
        .body(Bytes::from(body.to_owned()))
        .unwrap();
    stack.http.send(request, Duration::from_secs(10)).await.unwrap().status().as_u16()
}

/// The charge that took an order's money.
pub(crate) fn charge(stack: &Stack, id: &str) -> String {
    let key = stack.key(id).unwrap();
    stack.sim.ledger().captured_for(key.as_str()).next().unwrap().id.clone()
}

/// No event of Stripe's is delivered from now on. They exist all the same.
pub(crate) fn lose_events(stack: &Stack) {
    stack.sim.add_webhook_rule(WebhookRule { lose: true, ..WebhookRule::on("*") });
}

/// An event's body as Stripe sends it.
pub(crate) fn body_of(event: &Event) -> Value {
    let mut body = serde_json::to_value(event).unwrap();
    body["object"] = "event".into();
    body
}

/// The signature of a body at this moment.
pub(crate) fn signature(stack: &Stack, body: &str) -> String {
    let secret = WebhookSecret::stripe(&SecretString::from(local_secrets::stripe_webhook())).unwrap();
    stripe_scheme::sign(&secret, body.as_bytes(), stack.clock.now())
}

/// Posts to Stripe's address with this signature; the answer's status.
pub(crate) async fn post(stack: &Stack, body: &str, signature: &str) -> u16 {
    let request = http::Request::post(format!("{}/webhooks/stripe", stack.bases.webhooks))
        .header("stripe-signature", signature)
        .body(Bytes::from(body.to_owned()))
        .unwrap();
    stack.http.send(request, Duration::from_secs(10)).await.unwrap().status().as_u16()
}

/// Sends an event as Stripe would, signed; the answer's status.
pub(crate) async fn send_stripe(stack: &Stack, event: &Value) -> u16 {
    let body = event.to_string();
    post(stack, &body, &signature(stack, &body)).await
}

/// Sends an event that Stripe has sent before once more.
pub(crate) async fn repeat_stripe(stack: &Stack, event: &Event) -> u16 {
    send_stripe(stack, &body_of(event)).await
}

/// The calls made so far; take two and subtract.
pub(crate) struct Meter {
    units: local::aws::units::HalfUnits,
    aws: IoCounts,
    http: BTreeMap<(Option<Function>, &'static str, String), u64>,
}

impl Meter {
    pub(crate) fn begin(stack: &Stack) -> Self {
        Self { aws: stack.aws.io_counts(), http: stack.tally.calls(), units: stack.aws.half_units() }
    }

    /// Capacity units that functions took since, in halves; none where nobody counts.
    pub(crate) fn half_units(&self, stack: &Stack) -> Calls {
        let units = local::aws::io::since(&self.units, &stack.aws.half_units());
        units.into_iter().filter_map(|(label, n)| Some((aws_call(label)?, n))).collect()
    }

    /// What functions did since; what nobody's function did is the pump's and the test's own.
    pub(crate) fn since(&self, stack: &Stack) -> Calls {
        let aws = local::aws::io::since(&self.aws, &stack.aws.io_counts());
        let mut calls: Calls = aws.into_iter().filter_map(|(label, n)| Some((aws_call(label)?, n))).collect();
        for ((function, place, what), n) in stack.tally.calls() {
            let before = self.http.get(&(function, place, what.clone())).copied().unwrap_or(0);
            if let (Some(function), true) = (function, n > before) {
                let place = if place == "other" { "notices" } else { place };
                calls.insert((function, place.to_owned(), what), n - before);
            }
        }
        calls
    }
}

fn aws_call(label: IoLabel) -> Option<(Function, String, String)> {
    let resource = label.resource.as_deref().unwrap_or_default();
    let what = format!("{} {}", label.operation, resource.strip_prefix("demo-").unwrap_or(resource));
    Some((label.function?, label.service.to_owned(), what.trim_end().to_owned()))
}
