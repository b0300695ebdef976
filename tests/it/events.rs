//! Every payload in `events/` is taken as Lambda would hand it over, given to its function's real handler on a stack
//! where it finds its work, and the work is seen to be done.
//!
//! Invariant: no file in `events/` is left out, and a poison record in a batch is the one that fails.

mod order_systems;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use local::shop::NewOrder;
use local::stack::{Stack, local_secrets};
use local::stripe::{CardOutcome, Reason};
use serde_json::{Value, json};
use shared::domain::fact::What;
use shared::domain::ids::Function;
use shared::domain::order::CaptureMode;
use shared::domain::state::State;
use shared::domain::time::Seconds;
use shared::domain::view::PaymentStatus;
use shared::inbound::{WebhookSecret, standard_webhooks, stripe as stripe_scheme};
use shared::lambda::{
    Deadline, HttpReply, Record, ScheduleEvent, batch_reply, http_event, records, schedule_event,
};
use shared::secrets::SecretString;

use super::stories::*;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../events");
const POISON: &str = "059f36b4-87a3-44ab-83d2-661975830a7d";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// The files that a test here hands over.
const HANDED: &[&str] = &[
    "failure-handler/wake",
    "notifier/notice",
    "notifier/wake",
    "order-updater/wake",
    "payment-creator/order-hint",
    "payment-creator/parked",
    "payment-creator/wake",
    "payment-page/get",
    "payment-page/post",
    "payment-recorder/parked",
    "payment-recorder/stripe-hint",
    "payment-recorder/wake",
    "reconciler/daily",
    "reconciler/window",
    "refund-processor/stripe-hint",
    "refund-processor/wake",
    "sweeper/schedule",
    "webhook-receiver/checkfront-booking",
    "webhook-receiver/checkout-order-created",
    "webhook-receiver/shopify-orders-updated",
    "webhook-receiver/stripe-forged",
    "webhook-receiver/stripe-payment-succeeded",
    "webhook-receiver/woocommerce-order-updated",
];

/// A file's JSON with what must be alive put in place of what it shows.
fn payload(file: &str, alive: &[(&str, &str)]) -> Value {
    assert!(HANDED.contains(&file), "{file} is not listed");
    let mut text = std::fs::read_to_string(format!("{FOLDER}/{file}.json")).unwrap();
    for (shown, real) in alive {
        assert!(text.contains(shown), "{file} does not show {shown}");
        text = text.replace(shown, real);
    }
    serde_json::from_str(&text).unwrap()
}

fn deadline() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

/// The records of a file with a poison one behind them.
fn batch(file: &str, alive: &[(&str, &str)]) -> Vec<Record> {
    let mut event = payload(file, alive);
    let all = event["Records"].as_array_mut().unwrap();
    let mut poison = all[0].clone();
    poison["messageId"] = POISON.into();
    poison["body"] = "{\"v\":1,\"kind\":\"wake\",\"order\":".into();
    all.push(poison);
    let event: aws_lambda_events::event::sqs::SqsEvent = serde_json::from_value(event).unwrap();
    let records = records(event);
    assert_eq!(records.len(), 2);
    records
}

/// Hands a file over and sees that the poison record alone comes back.
async fn hand(stack: &Stack, file: &str, alive: &[(&str, &str)]) {
    let (records, until) = (batch(file, alive), deadline());
    macro_rules! to {
        ($owner:ident, $krate:ident) => {
            $krate::handle(&$krate::Deps::new(stack.engine(Function::$owner)), records, until).await
        };
    }
    let failed = match file.split('/').next().unwrap() {
        "payment-creator" => to!(PaymentCreator, payment_creator),
        "payment-recorder" => to!(PaymentRecorder, payment_recorder),
        "refund-processor" => to!(RefundProcessor, refund_processor),
        "failure-handler" => to!(FailureHandler, failure_handler),
        "order-updater" => to!(OrderUpdater, order_updater),
        "notifier" => to!(Notifier, notifier),
        other => panic!("{other} has no queue"),
    };
    let reply = serde_json::to_value(batch_reply(failed)).unwrap();
    assert_eq!(reply, json!({ "batchItemFailures": [{ "itemIdentifier": POISON }] }), "{file}");
}

/// An order that Tandem has not heard of; its id in the files is 1001.
fn unheard(stack: &Stack, order: NewOrder) -> String {
    stack.shop.set(|knobs| knobs.lose_notices = 1);
    stack.shop.place(order).unwrap().id
}

async fn state(stack: &Stack, id: &str) -> State {
    stack.engine(Function::Cli).store.load(&stack.key(id).unwrap()).await.unwrap().state()
}

#[test]
fn no_file_is_left_out() {
    let mut there = BTreeSet::new();
    for folder in std::fs::read_dir(FOLDER).unwrap() {
        let folder = folder.unwrap().path();
        for file in std::fs::read_dir(&folder).unwrap() {
            let path = file.unwrap().path();
            let relative = path.strip_prefix(Path::new(FOLDER)).unwrap().with_extension("");
            there.insert(relative.to_str().unwrap().replace('\\', "/"));
        }
    }
    assert_eq!(there, HANDED.iter().map(|file| (*file).to_owned()).collect());
}

#[tokio::test(start_paused = true)]
async fn payment_creator_makes_a_session_by_a_hint_and_by_a_wake() {
    for file in ["payment-creator/order-hint", "payment-creator/wake"] {
        let stack = start().await;
        assert_eq!(unheard(&stack, euros(4_200, Some("anna"))), "1001");
        hand(&stack, file, &[]).await;
        let state = state(&stack, "1001").await;
        assert!(state.live_session().is_some() && state.customer.is_some(), "{file}");
        let sessions = stack.sim.ledger().sessions;
        assert_eq!(sessions.len(), 1, "{file}");
        hand(&stack, file, &[]).await;
        assert_eq!(stack.sim.ledger().sessions.len(), 1, "{file}: handed over twice");
    }
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_read_is_kept_for_people() {
    for (file, event) in
        [("payment-creator/parked", "msg_demo_0002"), ("payment-recorder/parked", "evt_3Demo0002")]
    {
        let stack = start().await;
        hand(&stack, file, &[]).await;
        let parked = stack.engine(Function::Cli).store.parked().await.unwrap();
        let [(_, kept)] = &parked[..] else { panic!("{file}: {parked:?}") };
        assert_eq!(kept.id, event);
    }
}

#[tokio::test(start_paused = true)]
async fn payment_recorder_records_what_stripe_shows() {
    let stack = start().await;
    place(&stack, euros(4_200, Some("anna"))).await;
    stack.pay_session(&session(&stack, "1001").await, GOOD).await.unwrap();
    let intent = stack.sim.ledger().intents[0].id.clone();
    hand(&stack, "payment-recorder/stripe-hint", &[("pi_3Demo0001", &intent)]).await;
    let state = state(&stack, "1001").await;
    assert_eq!(state.captured(), 4_200);
    assert!(state.knows(&format!("stripe/evt_3Demo0001/{intent}")));
}

#[tokio::test(start_paused = true)]
async fn payment_recorder_captures_by_a_wake() {
    let stack = start().await;
    let order = NewOrder { capture: CaptureMode::OnFulfilment, ..euros(4_200, Some("anna")) };
    paid(&stack, order).await;
    assert_eq!(state(&stack, "1001").await.captured(), 0);
    stack.shop.set(|knobs| knobs.lose_notices = 1);
    stack.shop.fulfil("1001").unwrap();
    hand(&stack, "payment-creator/order-hint", &[]).await;
    hand(&stack, "payment-recorder/wake", &[]).await;
    assert_eq!(state(&stack, "1001").await.captured(), 4_200);
    assert_eq!(stack.sim.ledger().money["eur"].captured, 4_200);
}

#[tokio::test(start_paused = true)]
async fn refund_processor_refunds_by_a_wake_and_records_by_a_hint() {
    let stack = start().await;
    paid(&stack, euros(4_200, Some("anna"))).await;
    stack.shop.set(|knobs| knobs.lose_notices = 1);
    stack.shop.request_refund("1001", Some(1_200), "one piece came back").unwrap();
    hand(&stack, "payment-creator/order-hint", &[]).await;
    hand(&stack, "refund-processor/wake", &[]).await;
    assert_eq!(stack.sim.ledger().money["eur"].refunded, 1_200);
    hand(&stack, "refund-processor/wake", &[]).await;
    assert_eq!(stack.sim.ledger().money["eur"].refunded, 1_200, "handed over twice");

    let ledger = stack.sim.ledger();
    let (charge, intent) = (ledger.charges[0].id.clone(), ledger.intents[0].id.clone());
    let refund = stack.sim.refund(&charge, Some(500)).unwrap();
    let alive = [("re_3Demo0001", &*refund), ("ch_3Demo0001", &*charge), ("pi_3Demo0001", &*intent)];
    hand(&stack, "refund-processor/stripe-hint", &alive).await;
    let state = state(&stack, "1001").await;
    assert_eq!(state.refunds[&refund].amount, 500);
}

/// An order to be charged on a saved card that declines for `reason`: 1002, for 1001 saved the card.
async fn declined(stack: &Stack, reason: Reason) {
    paid(stack, euros(1_000, Some("anna"))).await;
    stack.sim.set_card_behaviour(&newest_card(stack), vec![CardOutcome::Decline(reason)]);
    assert_eq!(unheard(stack, automatic(4_200, "anna")), "1002");
    hand(stack, "payment-creator/order-hint", &[("1001", "1002")]).await;
}

#[tokio::test(start_paused = true)]
async fn failure_handler_sets_the_timer_of_the_next_try() {
    let stack = start().await;
    declined(&stack, Reason::InsufficientFunds).await;
    assert_eq!(stack.pump.next_due_at(), None);
    hand(&stack, "failure-handler/wake", &[("1001", "1002")]).await;
    let due = stack.pump.next_due_at().unwrap();
    assert_eq!((due - stack.clock.now()).0 / 3_600, 24);
    let facts = stack.engine(Function::Cli).store.load(&stack.key("1002").unwrap()).await.unwrap().facts;
    assert!(facts.iter().any(|f| matches!(f.fact.what, What::RetryScheduled { .. })));
}

#[tokio::test(start_paused = true)]
async fn notifier_tells_once_of_an_order_and_of_a_report() {
    let stack = start().await;
    declined(&stack, Reason::LostCard).await;
    hand(&stack, "failure-handler/wake", &[("1001", "1002")]).await;
    let told = |kind: &str| stack.shop.record().notices.iter().filter(|n| n.kind == kind).count();
    for _ in 0..2 {
        hand(&stack, "notifier/wake", &[("1001", "1002")]).await;
        hand(&stack, "notifier/notice", &[]).await;
        assert_eq!((told("payment.action_required"), told("reconciliation")), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn order_updater_tells_the_shop() {
    let stack = start().await;
    unheard(&stack, euros(4_200, None));
    hand(&stack, "payment-creator/wake", &[]).await;
    hand(&stack, "order-updater/wake", &[]).await;
    let record = stack.shop.order("1001").unwrap();
    let told = record.payment.unwrap();
    assert_eq!(told.status, PaymentStatus::AwaitingPayment);
    assert!(told.payment_url.is_some());
    hand(&stack, "order-updater/wake", &[]).await;
    assert_eq!(stack.shop.order("1001").unwrap().write_backs.len(), 1, "handed over twice");
}

async fn page(stack: &Stack, file: &str, token: &str) -> HttpReply {
    let raw = serde_json::from_value(payload(file, &[(TOKEN, token)])).unwrap();
    let deps = payment_page::Deps::new(stack.engine(Function::PaymentPage));
    payment_page::handle(&deps, http_event(raw).unwrap()).await
}

fn location(reply: &HttpReply) -> &str {
    &reply.headers.iter().find(|(name, _)| name == "location").unwrap().1
}

#[tokio::test(start_paused = true)]
async fn payment_page_leads_to_the_session_and_makes_the_next() {
    let stack = start().await;
    place(&stack, euros(4_200, Some("anna"))).await;
    let token = state(&stack, "1001").await.pay_token.unwrap();
    assert_eq!(page(&stack, "payment-page/get", TOKEN).await.status, 404, "nobody has the token of the file");
    let first = page(&stack, "payment-page/get", &token).await;
    assert_eq!(first.status, 303);
    assert_eq!(location(&page(&stack, "payment-page/post", &token).await), location(&first));
    stack.advance(Seconds::hours(25), None).await.unwrap();
    let expired = page(&stack, "payment-page/get", &token).await;
    assert!(expired.status == 200 && expired.body.contains("<button"), "{expired:?}");
    let next = page(&stack, "payment-page/post", &token).await;
    assert_eq!(next.status, 303);
    assert_ne!(location(&next), location(&first));
    assert_eq!(location(&page(&stack, "payment-page/get", &token).await), location(&next));
}

async fn receive(stack: &Stack, file: &str, sign: bool) -> HttpReply {
    let mut event = payload(file, &[]);
    let (now, body) = (stack.clock.now(), event["body"].as_str().unwrap().to_owned());
    let headers = event["headers"].as_object_mut().unwrap();
    if sign && headers.contains_key("stripe-signature") {
        let secret = WebhookSecret::stripe(&SecretString::from(local_secrets::stripe_webhook())).unwrap();
        let signature = stripe_scheme::sign(&secret, body.as_bytes(), now);
        headers.insert("stripe-signature".into(), signature.into());
    } else if sign {
        let secret = WebhookSecret::standard(&SecretString::from(local_secrets::shop_webhook())).unwrap();
        let signature = standard_webhooks::sign(&secret, "msg_demo_0001", now, body.as_bytes());
        headers.insert(standard_webhooks::SIGNATURE_HEADER.into(), signature.into());
        headers.insert(standard_webhooks::TIMESTAMP_HEADER.into(), now.0.to_string().into());
    }
    handed(stack, event).await
}

async fn handed(stack: &Stack, event: Value) -> HttpReply {
    let e = stack.engine(Function::WebhookReceiver);
    let deps = webhook_receiver::Deps::new(e.config, e.secrets, e.queue, e.clock);
    webhook_receiver::handle(&deps, http_event(serde_json::from_value(event).unwrap()).unwrap()).await
}

#[tokio::test(start_paused = true)]
async fn webhook_receiver_takes_what_is_signed_and_refuses_what_is_forged() {
    let stack = start().await;
    unheard(&stack, euros(4_200, Some("anna")));
    for file in ["checkout-order-created", "stripe-forged", "stripe-payment-succeeded"] {
        let reply = receive(&stack, &format!("webhook-receiver/{file}"), false).await;
        assert!((400..500).contains(&reply.status), "{file} as it is in the repository: {}", reply.status);
    }
    assert_eq!(stack.settle().await.unwrap().messages, 0, "what is refused sends nothing");
    let taken = receive(&stack, "webhook-receiver/checkout-order-created", true).await;
    assert_eq!(taken.status / 100, 2);
    stack.settle().await.unwrap();
    assert!(state(&stack, "1001").await.live_session().is_some());
    let taken = receive(&stack, "webhook-receiver/stripe-payment-succeeded", true).await;
    assert_eq!(taken.status / 100, 2);
    let stats = stack.settle().await.unwrap();
    assert_eq!((stats.invocations["payments"], stats.failed), (1, 0));
    assert_eq!(state(&stack, "1001").await.captured(), 0, "the truth is read: there is no such intent");
}

fn schedule(file: &str) -> ScheduleEvent {
    schedule_event(serde_json::from_value(payload(file, &[])).unwrap())
}

#[tokio::test(start_paused = true)]
async fn sweeper_finds_an_order_that_nobody_announced() {
    let stack = start().await;
    stack.sweep().await.unwrap();
    stack.advance(Seconds::minutes(5), None).await.unwrap();
    unheard(&stack, euros(4_200, Some("anna")));
    let deps = sweeper::Deps::new(stack.engine(Function::Sweeper));
    sweeper::scheduled(&deps, schedule("sweeper/schedule"), deadline()).await.unwrap();
    stack.settle().await.unwrap();
    assert!(state(&stack, "1001").await.live_session().is_some());
}

#[tokio::test(start_paused = true)]
async fn reconciler_reports_on_its_window() {
    let stack = start().await;
    paid(&stack, euros(4_200, Some("anna"))).await;
    for file in ["reconciler/daily", "reconciler/window"] {
        let deps = reconciler::Deps::new(stack.engine(Function::Reconciler), &stack.aws.sdk_config());
        reconciler::scheduled(&deps, schedule(file), deadline()).await.unwrap();
        stack.settle().await.unwrap();
    }
    let told = stack.shop.record().notices.iter().filter(|n| n.kind == "reconciliation").count();
    assert_eq!(told, 2);
}
