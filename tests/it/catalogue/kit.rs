//! What the catalogue's tests share: senders of webhooks, somebody else at Stripe, and how an order must stand.

use std::time::Duration;

use bytes::Bytes;
use local::shop::Notice;
use local::stack::{Options, Stack, local_secrets};
use local::stripe::{Event, Fault, FaultMode};
use serde_json::Value;
use shared::domain::ids::Function;
use shared::domain::time::Seconds;
use shared::domain::view::PaymentStatus;
use shared::queue::Queue;
use shared::secrets::Secrets;

use crate::metrics::{Counted, watch};
pub(super) use crate::stories::{body_of, charge, lose_events, post, send_stripe, signature};

/// A stack whose queues cost nothing when the clock jumps.
pub(super) async fn start() -> Stack {
    Stack::start(Options { light_queues: true, ..Options::in_process() }).await.unwrap()
}

/// The same, with its workers' metrics.
pub(super) async fn watched() -> (Stack, Counted) {
    watch(start().await)
}

/// Charges that took money for an order, and what they took and gave back, by Stripe's ledger.
pub(super) fn money(stack: &Stack, id: &str) -> (usize, i64, i64) {
    let (ledger, key) = (stack.sim.ledger(), stack.key(id).unwrap());
    let charges: Vec<_> = ledger.captured_for(key.as_str()).collect();
    let back = charges.iter().flat_map(|c| ledger.refunds_of(&c.id)).map(|r| r.amount).sum();
    (charges.len(), charges.iter().map(|c| c.amount_captured).sum(), back)
}

/// What the shop was told last: status, captured, given back.
pub(super) fn told(stack: &Stack, id: &str) -> (PaymentStatus, i64, i64) {
    let view = stack.shop.order(id).unwrap().payment.unwrap_or_else(|| panic!("order {id}: told nothing"));
    (view.status, view.amount_captured, view.amount_refunded)
}

/// Stripe holds this much in one charge and gave this much back; the shop was told the same under this status.
#[track_caller]
pub(super) fn ends(stack: &Stack, id: &str, status: PaymentStatus, captured: i64, refunded: i64, what: &str) {
    let charges = usize::from(captured > 0);
    assert_eq!(money(stack, id), (charges, captured, refunded), "{what}: Stripe's ledger");
    assert_eq!(told(stack, id), (status, captured, refunded), "{what}: the shop's record");
}

/// Statuses in the order in which the shop took them.
pub(super) fn statuses(stack: &Stack, id: &str) -> Vec<PaymentStatus> {
    let written = stack.shop.order(id).unwrap().write_backs;
    written.into_iter().filter(|w| w.applied).map(|w| w.view.status).collect()
}

/// Notices of a kind that people got.
pub(super) fn notices(stack: &Stack, kind: &str) -> Vec<Notice> {
    stack.shop.record().notices.into_iter().filter(|n| n.kind == kind).collect()
}

/// Kinds of the cases that people were told of.
pub(super) fn cases(stack: &Stack) -> Vec<String> {
    let opened = notices(stack, "case.opened");
    opened.iter().map(|n| n.data["case"]["kind"].as_str().unwrap().to_owned()).collect()
}

/// The newest event of this type.
pub(super) fn event(stack: &Stack, kind: &str) -> Event {
    let events = stack.sim.ledger().events;
    events.into_iter().rev().find(|e| e.kind == kind).unwrap_or_else(|| panic!("Stripe made no {kind}"))
}

/// A call to Stripe by somebody else who has the account's key.
pub(super) async fn at_stripe(stack: &Stack, path: &str, form: &str) -> Value {
    let request = http::Request::post(format!("{}{path}", stack.bases.stripe))
        .header("authorization", format!("Bearer {}", local_secrets::stripe_key()))
        .header("content-type", "application/x-www-form-urlencoded")
        .header("stripe-version", local::stripe::API_VERSION)
        .body(Bytes::from(form.to_owned()))
        .unwrap();
    let answer = stack.http.send(request, Duration::from_secs(20)).await.unwrap();
    let text = String::from_utf8_lossy(answer.body()).into_owned();
    assert!(answer.status().is_success(), "{path}: {text}");
    serde_json::from_str(&text).unwrap()
}

/// Somebody charges a card outside of Tandem; `order` is what the metadata names.
pub(super) async fn charge_elsewhere(stack: &Stack, amount: i64, order: Option<&str>) -> Value {
    let mark = order.map(|o| format!("&metadata[tandem_order]={}", o.replace('#', "%23")));
    let form = format!(
        "amount={amount}&currency=eur&confirm=true&payment_method=pm_card_visa\
         &automatic_payment_methods[enabled]=true&automatic_payment_methods[allow_redirects]=never{}",
        mark.unwrap_or_default()
    );
    at_stripe(stack, "/v1/payment_intents", &form).await
}

/// So many of the next calls to this path fail so.
pub(super) fn strike(stack: &Stack, method: http::Method, path: &str, mode: FaultMode, times: u32) {
    stack.sim.add_fault(Fault { times, ..Fault::once(method, path, mode) });
}

/// Time passes; the sweeper runs every five minutes, as deployed, and more seldom in a long wait: fewer sweeps heal no better.
pub(super) async fn pass(stack: &Stack, span: Seconds) {
    let every = if span < Seconds::hours(2) { 5 } else { 20 };
    stack.advance(span, Some(Seconds::minutes(every))).await.unwrap();
}

/// Messages that were given up.
pub(super) async fn dead_letters(stack: &Stack, queue: Queue) -> usize {
    let url = &stack.config.resources.dead_queue_urls[queue.name()];
    let sqs = shared::aws::sqs(&stack.aws.sdk_config());
    let call = sqs.receive_message().queue_url(url).max_number_of_messages(10).visibility_timeout(0);
    call.send().await.unwrap().messages.unwrap_or_default().len()
}

/// A receiver whose counts can be read; it sends to the stack's queues.
pub(super) fn receiver(stack: &Stack) -> webhook_receiver::Deps {
    let sdk = stack.aws.sdk_config();
    let secrets = Secrets::new(&stack.config.secrets, &sdk, stack.clock.clone());
    let queue = stack.engine(Function::Cli).queue;
    webhook_receiver::Deps::new(stack.config.clone(), secrets, queue, stack.clock.clone())
}

/// One webhook of Stripe's to that receiver.
pub(super) async fn receive(stack: &Stack, deps: &webhook_receiver::Deps, body: &Value) -> u16 {
    let body = body.to_string();
    let headers = vec![("stripe-signature".to_owned(), signature(stack, &body))];
    let request = shared::lambda::HttpEvent::new("POST", "/webhooks/stripe", headers, Bytes::from(body));
    webhook_receiver::handle(deps, request).await.status
}
