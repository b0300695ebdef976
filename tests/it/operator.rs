//! Decisions of people: stored once on the order's revision, owners woken, dead letters never lost.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::result::ConnectorError;
use local::aws::io::{Effect, internal_error};
use local::aws::{Answer, Call, Faults};
use local::shop::NewOrder;
use local::stack::{Options, Stack as LocalStack};
use local::stripe::WebhookRule;
use shared::domain::explain;
use shared::domain::fact::{CaseKind, Decision, Origin, What};
use shared::domain::ids::Function;
use shared::domain::money::Currency;
use shared::domain::time::Seconds;
use shared::domain::view::PaymentStatus;
use shared::operator::{self, By, OperatorError, Refusal};
use shared::queue::{Body, Message, Queue};
use shared::store::OrderItem;
use shared::store::orders::Parked;

use crate::far_side::{Stack, charge_seen, seen};

fn ada() -> By {
    By::new("Ada", Some("arn:aws:iam::000000000000:user/ada".into())).unwrap()
}

fn refused(error: OperatorError) -> Refusal {
    match error {
        OperatorError::Refused(refusal) => refusal,
        OperatorError::Engine(error) => panic!("{error}"),
    }
}

/// An order of 30.00 EUR, paid, with a refund of 10.00 EUR that the policy leaves to a person.
async fn paid(stack: &Stack) -> OrderItem {
    let order = stack.order("1", 3_000, "paid");
    let asked = What::RefundRequested {
        request: "shop:r1".into(),
        amount: 1_000,
        charge: None,
        origin: Origin::Shop,
        by_name: None,
        text: "too small".into(),
    };
    let case = What::CaseOpened {
        case: "refund:shop:r1".into(),
        case_kind: CaseKind::RefundApproval,
        text: "approve or deny".into(),
    };
    let mut order_seen = seen(&order);
    if let What::OrderSeen(view) = &mut order_seen {
        view.echo = None;
    }
    let key = stack.commit("1", vec![order_seen, charge_seen("ch_1", 3_000, stack.now()), asked, case]).await;
    stack.engine(Function::Cli).store.load(&key).await.unwrap()
}

async fn woken(stack: &Stack) -> Vec<&'static str> {
    let mut out = Vec::new();
    for queue in Queue::ALL {
        for message in stack.drain(queue).await {
            assert!(matches!(message.body, Body::Wake { .. }), "{message:?}");
            out.push(queue.name());
        }
    }
    out
}

#[tokio::test(start_paused = true)]
async fn an_approval_is_stored_with_its_author_and_wakes_the_owner_and_a_second_one_is_refused() {
    let stack = Stack::start(|config| config.policy.refund.auto_up_to = BTreeMap::new()).await;
    let engine = stack.engine(Function::Cli);
    let before = paid(&stack).await;
    let case = "refund:shop:r1";
    let stored = operator::decide(&engine, &before.key, case, Decision::Approve, &ada()).await.unwrap();
    assert_eq!((stored.id.as_str(), stored.wake_failed), (case, None));
    let woken = woken(&stack).await;
    assert!(woken.contains(&"refunds"), "{woken:?}");
    assert_eq!(stored.woken as usize, woken.len());

    let after = engine.store.load(&before.key).await.unwrap();
    let fact = &after.facts[before.facts.len()].fact;
    assert_eq!((fact.by.as_str(), fact.why.as_str()), ("cli/0.1.0", "decided"));
    let What::CaseDecided { by_name, arn, .. } = &fact.what else { panic!("{fact:?}") };
    assert_eq!((by_name.as_str(), arn.as_deref()), ("Ada", Some("arn:aws:iam::000000000000:user/ada")));
    assert!(after.due_at.is_some(), "the sweeper would find it without the wake");
    assert!(after.claims.is_empty(), "a decision carries nothing out");

    for decision in [Decision::Approve, Decision::Deny] {
        let again = operator::decide(&engine, &before.key, case, decision, &ada()).await.unwrap_err();
        assert!(again.to_string().contains("it was approved; nothing was changed"), "{again}");
    }
    let unknown = operator::decide(&engine, &before.key, "no-such", Decision::Deny, &ada()).await;
    assert!(matches!(refused(unknown.unwrap_err()), Refusal::NoCase { .. }));
    assert_eq!(engine.store.load(&before.key).await.unwrap().rev, after.rev);
    assert_eq!(stack.held().requests, Vec::<String>::new(), "nobody outside was asked anything");
}

#[tokio::test(start_paused = true)]
async fn of_two_people_who_decide_at_once_one_is_refused() {
    let stack = Stack::start(|_| {}).await;
    let before = paid(&stack).await;
    let (one, two) = (stack.engine(Function::Cli), stack.engine(Function::Reconciler));
    let bob = By::new("Bob", None).unwrap();
    let (ada, case) = (ada(), "refund:shop:r1");
    let both = tokio::join!(
        operator::decide(&one, &before.key, case, Decision::Approve, &ada),
        operator::decide(&two, &before.key, case, Decision::Deny, &bob),
    );
    assert!(both.0.is_ok() != both.1.is_ok(), "{both:?}");
    let after = one.store.load(&before.key).await.unwrap();
    let decisions = after.facts.iter().filter(|f| matches!(f.fact.what, What::CaseDecided { .. })).count();
    assert_eq!(decisions, 1);
}

#[tokio::test(start_paused = true)]
async fn a_refund_is_asked_for_exactly_and_not_twice_by_a_repeated_command() {
    let stack = Stack::start(|_| {}).await;
    let engine = stack.engine(Function::Cli);
    let before = paid(&stack).await;
    let key = &before.key;
    let ask = |amount: &'static str, again: bool| {
        let engine = engine.clone();
        async move { operator::refund(&engine, key, amount, "a gift", &ada(), again).await }
    };
    for wrong in ["0", "-1.00", "1.005", "ten", "20.01"] {
        refused(ask(wrong, false).await.unwrap_err());
    }
    assert_eq!(engine.store.load(key).await.unwrap().rev, before.rev, "a refusal changes nothing");
    let stored = ask("2.5", false).await.unwrap();
    assert!(stored.id.starts_with("op:"));
    let after = engine.store.load(key).await.unwrap();
    let request = after.state().requests[&stored.id].clone();
    assert_eq!((request.amount, request.origin), (250, Origin::Operator));
    assert!(woken(&stack).await.contains(&"refunds"));
    assert!(matches!(refused(ask("2.50", false).await.unwrap_err()), Refusal::Repeated { .. }));
    assert_ne!(ask("2.50", true).await.unwrap().id, stored.id);
    let nameless = By::new(" ", None).unwrap_err();
    assert!(nameless.to_string().contains("--by"), "{nameless}");
}

/// One operation fails a number of times.
#[derive(Default)]
struct Broken {
    operation: Mutex<&'static str>,
    left: AtomicU32,
}

impl Broken {
    fn fail(&self, operation: &'static str, times: u32) {
        *self.operation.lock().unwrap() = operation;
        self.left.store(times, Ordering::Relaxed);
    }
}

impl Faults for Broken {
    fn around<'a>(
        &'a self,
        call: Call<'a>,
        effect: Effect,
    ) -> Pin<Box<dyn Future<Output = Result<Answer, ConnectorError>> + Send + 'a>> {
        let meant = *self.operation.lock().unwrap() == call.label.operation;
        let breaks = meant
            && self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok();
        Box::pin(async move { Ok(if breaks { internal_error() } else { effect.await }) })
    }
}

/// Attempts that the SDK makes of one call.
const ATTEMPTS: u32 = 3;

#[tokio::test(start_paused = true)]
async fn a_redrive_loses_no_dead_letter_whatever_fails() {
    let stack = Stack::start(|_| {}).await;
    let faults = Arc::new(Broken::default());
    stack.aws.set_faults(faults.clone());
    let sqs = aws_sdk_sqs::Client::new(&stack.sdk);
    let resources = &stack.config.resources;
    let key = paid(&stack).await.key;
    for n in 0..12 {
        let body = serde_json::to_string(&Message::wake(key.clone(), &format!("c{n}"))).unwrap();
        let dead = &resources.dead_queue_urls["payments"];
        sqs.send_message().queue_url(dead).message_body(body).send().await.unwrap();
    }
    let run = |most: u32| operator::redrive(&sqs, resources, Queue::Payments, most);

    faults.fail("SendMessage", ATTEMPTS);
    let done = run(100).await.unwrap();
    assert_eq!((done.moved, done.kept), (0, 0));
    assert!(done.stopped.unwrap().contains("stays a dead letter"));
    assert!(stack.drain(Queue::Payments).await.is_empty());

    // What was received comes back after its time; a failed deletion repeats a hint and loses none.
    tokio::time::advance(std::time::Duration::from_secs(61)).await;
    faults.fail("DeleteMessage", ATTEMPTS);
    let done = run(5).await.unwrap();
    assert_eq!((done.moved, done.kept, done.emptied), (5, 1, false), "never more than asked for");
    tokio::time::advance(std::time::Duration::from_secs(61)).await;
    let done = run(100).await.unwrap();
    assert_eq!((done.moved, done.kept, done.emptied, done.stopped), (8, 0, true, None));
    let mut all: Vec<String> = stack.drain(Queue::Payments).await.into_iter().map(|m| m.corr).collect();
    assert_eq!(all.len(), 13);
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 12, "every dead letter is back at work");
}

#[tokio::test(start_paused = true)]
async fn with_the_money_switch_off_an_operators_refund_waits_and_then_is_made_and_explained() {
    let stack = LocalStack::start(Options::in_process()).await.unwrap();
    let engine = stack.engine(Function::Cli);
    let eur = Currency::parse("EUR").unwrap();
    let order = stack.shop.place(NewOrder::simple(eur, 1_250, Some("c1"))).unwrap();
    stack.settle().await.unwrap();
    stack.pay(&order.id, "4242424242424242").await.unwrap();
    stack.settle().await.unwrap();
    let key = stack.key(&order.id).unwrap();

    operator::set_money(&engine, false, &ada()).await.unwrap();
    let asked = operator::refund(&engine, &key, "2.50", "a scratch", &ada(), false).await.unwrap();
    stack.settle().await.unwrap();
    assert_eq!(stack.sim.ledger().money["eur"].refunded, 0, "the switch is off");
    operator::set_money(&engine, true, &ada()).await.unwrap();
    stack.advance(Seconds::minutes(30), Some(Seconds::minutes(5))).await.unwrap();
    assert_eq!(stack.sim.ledger().money["eur"].refunded, 250);

    let item = engine.store.load(&key).await.unwrap();
    let now = engine.clock.now();
    let policy = &engine.config.policy;
    let told = explain::explain(&key, &item.facts, &item.claims, policy, "of another day", now);
    let text = told.text(100);
    assert!(text.contains("give back 2.50 EUR of ch_") && text.contains(&asked.id), "{text}");
    assert!(told.state.contains("12.50 EUR was taken and 2.50 EUR given back"), "{}", told.state);
    assert_eq!(told.chain_broken_at, None);
    let marked: Vec<_> = told.facts.iter().filter(|f| f.today.is_some()).collect();
    assert!(marked.is_empty(), "the same rules under another hash decide the same: {marked:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_wake_brings_in_an_order_whose_notice_was_lost() {
    let stack = LocalStack::start(Options::in_process()).await.unwrap();
    let engine = stack.engine(Function::Cli);
    stack.shop.set(|knobs| knobs.lose_notices = 1);
    let order = stack.shop.place(NewOrder::simple(Currency::parse("EUR").unwrap(), 1_250, None)).unwrap();
    stack.settle().await.unwrap();
    let key = stack.key(&order.id).unwrap();
    assert_eq!(engine.store.load(&key).await.unwrap().rev, 0, "nobody heard of it");
    let woken = operator::wake(&engine, &key).await.unwrap();
    assert_eq!((woken.functions, woken.object), (vec![Function::PaymentCreator], None));
    assert_eq!(engine.store.load(&key).await.unwrap().rev, 0, "a hint stores nothing");
    stack.settle().await.unwrap();
    assert!(stack.pay_link(&order.id).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_wake_finds_a_payment_whose_events_were_lost() {
    let stack = LocalStack::start(Options::in_process()).await.unwrap();
    let engine = stack.engine(Function::Cli);
    let order = stack.shop.place(NewOrder::simple(Currency::parse("EUR").unwrap(), 1_250, None)).unwrap();
    stack.settle().await.unwrap();
    stack.sim.add_webhook_rule(WebhookRule { lose: true, ..WebhookRule::on("*") });
    stack.pay(&order.id, "4242424242424242").await.unwrap();
    stack.settle().await.unwrap();
    let shown = || stack.shop.order(&order.id).unwrap().payment.map(|p| p.status);
    assert_eq!(shown(), Some(PaymentStatus::AwaitingPayment));
    let woken = operator::wake(&engine, &stack.key(&order.id).unwrap()).await.unwrap();
    assert!(woken.functions.contains(&Function::PaymentRecorder), "{woken:?}");
    assert!(woken.object.unwrap().starts_with("cs_"));
    stack.settle().await.unwrap();
    assert_eq!(shown(), Some(PaymentStatus::Paid));
}

#[tokio::test(start_paused = true)]
async fn what_is_parked_is_put_away_once_and_shown_again_when_it_comes_again() {
    let stack = Stack::start(|_| {}).await;
    let engine = stack.engine(Function::Cli);
    let odd = |id: &str| Parked { id: id.into(), source: "stripe".into(), ..Parked::default() };
    for id in ["evt_1", "evt:2#x"] {
        engine.store.park(&odd(id), engine.clock.now()).await.unwrap();
    }
    let listed = || async {
        let all = engine.store.parked().await.unwrap();
        all.into_iter().map(|(_, p)| p.id).collect::<BTreeSet<_>>()
    };
    operator::unpark(&engine, "stripe", "evt:2#x", &ada()).await.unwrap();
    assert_eq!(listed().await, ["evt_1".to_owned()].into());
    for (source, id) in [("stripe", "evt:2#x"), ("stripe", "evt_9"), ("shop", "evt_1")] {
        let refusal = refused(operator::unpark(&engine, source, id, &ada()).await.unwrap_err());
        assert!(refusal.to_string().contains("tandem parked list"), "{refusal}");
    }
    engine.store.park(&odd("evt:2#x"), engine.clock.now()).await.unwrap();
    assert_eq!(listed().await.len(), 2);
}
