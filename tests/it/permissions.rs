//! What the functions do against what the template lets them do, both ways: nothing is done that a role forbids, and
//! nothing is allowed that is never done without a reason given here.

use std::collections::BTreeSet;

use local::stack::{Stack, local_secrets};
use local::stripe::{CardOutcome, Reason, WebhookRule};
use serde_json::Value;
use shared::config::CALLS_STRIPE;
use shared::domain::fact::Decision;
use shared::domain::ids::Function;
use shared::domain::order::CaptureMode;
use shared::domain::time::Seconds;
use shared::operator::{self, By};
use shared::outbound::stripe::grants::{self, Resource};
use shared::queue::{Body, Message, Queue};

use super::stories::*;
use super::template::rules::permissions::{as_roles_name_it, role_of, statements};
use super::template::rules::{list, pascal};
use super::template::source;

/// Function, action as IAM names it, and the resource; empty where the request's body does not name one.
type Right = (Function, String, String);

/// Allowed, never done by these stories, and why it is allowed all the same: function (`*`: any; `hands`: those that
/// wake others), action, resource.
const UNDONE: &[(&str, &str, &str, &str)] = &[
    ("*", "sqs:ReceiveMessage", "*", "done by Lambda's poller under the function's role"),
    ("*", "sqs:DeleteMessage", "*", "done by Lambda's poller under the function's role"),
    ("*", "sqs:GetQueueAttributes", "*", "done by Lambda's poller under the function's role"),
    ("*", "sqs:SendMessage", "schedules-dead", "done by Lambda when a scheduled run fails"),
    (
        "failure-handler",
        "dynamodb:PutItem",
        "links",
        "an intent that the retry is the first to see is linked",
    ),
    ("failure-handler", "dynamodb:PutItem", "orders", "settled facts of a long order go to an archive"),
    ("order-updater", "dynamodb:PutItem", "orders", "settled facts of a long order go to an archive"),
    ("notifier", "dynamodb:PutItem", "orders", "settled facts of a long order go to an archive"),
    ("hands", "sqs:SendMessage", "*", "whoever commits wakes the owner of whatever the plan finds ready"),
];

fn function_of(name: &str) -> Function {
    let all = [
        Function::WebhookReceiver,
        Function::PaymentPage,
        Function::PaymentCreator,
        Function::PaymentRecorder,
        Function::RefundProcessor,
        Function::FailureHandler,
        Function::OrderUpdater,
        Function::Notifier,
        Function::Sweeper,
        Function::Reconciler,
    ];
    all.into_iter().find(|f| f.name() == name).unwrap()
}

const FUNCTIONS: [&str; 10] = [
    "webhook-receiver",
    "payment-page",
    "payment-creator",
    "payment-recorder",
    "refund-processor",
    "failure-handler",
    "order-updater",
    "notifier",
    "sweeper",
    "reconciler",
];

/// A resource of the template by the name it has in a request's body, without the stack's part.
fn resource_of(value: &Value, services: &str) -> String {
    let attribute = value["Fn::GetAtt"][0].as_str().map(kebab);
    if let Some(name) = attribute {
        return name.trim_end_matches("-queue").trim_end_matches("-table").to_owned();
    }
    let text = value["Fn::Sub"].as_str().unwrap_or_default();
    if let Some((table, index)) = text.split_once(".Arn}/index/") {
        return format!("{}/index/{index}", kebab(table.trim_start_matches("${")).trim_end_matches("-table"));
    }
    match services {
        "ssm" => as_roles_name_it(text.rsplit('/').next().unwrap_or_default()),
        // Objects and schedules are named in the path, not in the body.
        _ => String::new(),
    }
}

fn kebab(pascal: &str) -> String {
    let mut out = String::new();
    for c in pascal.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('-');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

fn allowed() -> BTreeSet<Right> {
    let template = source::template().unwrap();
    let mut rights = BTreeSet::new();
    for name in FUNCTIONS {
        assert!(role_of(&template, name).is_object(), "{} has no role", pascal(name));
        for statement in statements(role_of(&template, name)) {
            for action in list(&statement["Action"]) {
                let action = action.as_str().unwrap();
                let service = action.split(':').next().unwrap();
                if ["dynamodb", "sqs", "scheduler", "s3", "ssm"].contains(&service) {
                    let resources = list(&statement["Resource"]).into_iter();
                    // A secret of Secrets Manager is read as the parameter that refers to it.
                    let secret = |r: &&Value| {
                        r["Fn::Sub"].as_str().is_some_and(|arn| arn.contains(":secretsmanager:"))
                    };
                    for resource in resources.filter(|r| !secret(r)) {
                        rights.insert((function_of(name), action.to_owned(), resource_of(resource, service)));
                    }
                }
            }
        }
    }
    rights
}

/// Everything that functions did on AWS since the stack began.
fn done(stack: &Stack) -> BTreeSet<Right> {
    let labels = stack.aws.io_counts().into_keys();
    let rights = labels.filter_map(|label| {
        let resource = label.resource.unwrap_or_default();
        let resource = resource.strip_prefix("demo-").unwrap_or(&resource);
        let resource = as_roles_name_it(resource.rsplit("/tandem/demo/").next().unwrap_or_default());
        Some((label.function?, format!("{}:{}", label.service, label.operation), resource))
    });
    rights.filter(|(function, ..)| *function != Function::Cli).collect()
}

async fn money(stack: &Stack) {
    let id = paid(stack, euros(5_000, Some("anna"))).await;
    stack.shop.request_refund(&id, Some(1_000), "one piece came back").unwrap();
    stack.settle().await.unwrap();
    let charge = stack.sim.ledger().captured_for(stack.key(&id).unwrap().as_str()).next().unwrap().id.clone();
    let dispute = stack.sim.create_dispute(&charge, "fraudulent", Some(100)).unwrap();
    stack.settle().await.unwrap();
    stack.sim.close_dispute(&dispute, true);
    stack.settle().await.unwrap();
    let mut guest = euros(3_000, Some("gast"));
    guest.customer.as_mut().unwrap().id = None;
    let guest = paid(stack, guest).await;
    stack.shop.cancel(&guest).unwrap();
    stack.settle().await.unwrap();
    let mut later = euros(4_000, Some("carla"));
    later.capture = CaptureMode::OnFulfilment;
    let later = paid(stack, later).await;
    stack.shop.fulfil(&later).unwrap();
    stack.settle().await.unwrap();
    let changed = place(stack, euros(3_000, Some("ben"))).await;
    stack.shop.change_total(&changed, 3_500).unwrap();
    stack.settle().await.unwrap();
    let mut unpaid = euros(2_000, Some("late"));
    unpaid.customer.as_mut().unwrap().id = None;
    let unpaid = place(stack, unpaid).await;
    stack.advance(Seconds::hours(25), None).await.unwrap();
    for id in [changed, unpaid] {
        stack.press_button(&stack.pay_link(&id).unwrap()).await.unwrap().unwrap();
    }
    stack.settle().await.unwrap();
    // Above what policy gives back by itself: a person decides.
    let dear = paid(stack, euros(90_000, Some("dora"))).await;
    stack.shop.request_refund(&dear, None, "all of it came back").unwrap();
    stack.settle().await.unwrap();
    let (engine, key) = (stack.engine(Function::Cli), stack.key(&dear).unwrap());
    let cases = engine.store.load(&key).await.unwrap().state().cases;
    let case = cases.iter().find(|(_, c)| c.is_open()).map(|(id, _)| id.clone()).unwrap();
    let by = By::new("nina", None).unwrap();
    operator::decide(&engine, &key, &case, Decision::Approve, &by).await.unwrap();
    stack.settle().await.unwrap();
    assert_eq!(stack.sim.ledger().money["eur"].refunded, 1_000 + 3_000 + 90_000);
}

async fn trouble(stack: &Stack) {
    for reason in [Reason::InsufficientFunds, Reason::LostCard] {
        paid(stack, euros(1_000, Some("emil"))).await;
        stack.sim.set_card_behaviour(
            &newest_card(stack),
            vec![CardOutcome::Decline(reason), CardOutcome::Succeed],
        );
        let id = place(stack, automatic(7_000, "emil")).await;
        stack.advance(Seconds(86_490), None).await.unwrap();
        stack.sweep().await.unwrap();
        if matches!(reason, Reason::LostCard) {
            // The buyer pays by another card: the page gives up the attempt with the lost one.
            stack.press_button(&stack.pay_link(&id).unwrap()).await.unwrap().unwrap();
            stack.settle().await.unwrap();
        }
    }
    stack.shop.set(|knobs| knobs.lose_notices = 1);
    stack.sim.add_webhook_rule(WebhookRule { lose: true, ..WebhookRule::on("*") });
    let id = place(stack, euros(11_000, Some("ida"))).await;
    stack.advance(Seconds::minutes(6), Some(Seconds::minutes(5))).await.unwrap();
    stack.pay(&id, GOOD).await.unwrap();
    let charge =
        stack.sim.ledger().captured_for(stack.key("1001").unwrap().as_str()).next().unwrap().id.clone();
    stack.sim.refund(&charge, Some(250)).unwrap();
    stack.sim.calm();
    stack.advance(Seconds::minutes(6), Some(Seconds::minutes(5))).await.unwrap();
    let body = r#"{"type":"order.created","data":"no order at all"}"#;
    assert!(notice(stack, local_secrets::shop_webhook(), "msg_unreadable", body).await < 300);
    for (queue, metadata) in [(Queue::Payments, "payment_intent"), (Queue::Refunds, "refund")] {
        unowned(stack, queue, metadata).await;
    }
    stack.settle().await.unwrap();
}

/// Somebody else charges on the same account: only its links could say that it is ours.
async fn foreign_charge(stack: &Stack) {
    let form = "amount=700&currency=eur&confirm=true&payment_method=pm_card_visa\
        &automatic_payment_methods[enabled]=true&automatic_payment_methods[allow_redirects]=never";
    let request = http::Request::post(format!("{}/v1/payment_intents", stack.bases.stripe))
        .header("authorization", format!("Bearer {}", local_secrets::stripe_key()))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(bytes::Bytes::from_static(form.as_bytes()))
        .unwrap();
    let answer = stack.http.send(request, std::time::Duration::from_secs(10)).await.unwrap();
    assert_eq!(answer.status(), 200);
    stack.settle().await.unwrap();
    let charge = stack.sim.ledger().charges.last().unwrap().id.clone();
    stack.sim.refund(&charge, None).unwrap();
    stack.settle().await.unwrap();
}

/// An object whose metadata names an order of a shop that is not configured is kept.
async fn unowned(stack: &Stack, queue: Queue, object_type: &str) {
    let hint = shared::queue::StripeHint {
        source: "stripe".into(),
        event: format!("evt_{object_type}"),
        event_type: format!("{object_type}.updated"),
        object_type: object_type.into(),
        object_id: format!("{object_type}_1"),
        refs: Default::default(),
        metadata: [("tandem_order".to_owned(), "demo#checkout#elsewhere#1".to_owned())].into(),
        sha256: None,
    };
    let engine = stack.engine(Function::Cli);
    engine.queue.send(queue, &Message::new("c0ffee", Body::Stripe(hint)), None).await.unwrap();
    let parked = Body::Parked {
        source: "stripe".into(),
        event: Some(format!("evt_parked_{object_type}")),
        sha256: "00".into(),
        size: 2,
        reason: "not readable".into(),
    };
    if queue == Queue::Payments {
        engine.queue.send(queue, &Message::new("c0ffee", parked), None).await.unwrap();
    }
}

/// Granted to a function's key, never asked for by these stories, and why it is granted all the same.
const UNASKED: &[(&str, Resource, &str)] = &[
    ("payment-page", Resource::Charges, "the newest charge is expanded in its intent"),
    ("payment-page", Resource::Refunds, "the dashboard gives it with charges"),
    ("payment-creator", Resource::Charges, "the newest charge is expanded in its intent"),
    ("payment-creator", Resource::Refunds, "the dashboard gives it with charges"),
    ("payment-recorder", Resource::Refunds, "the dashboard gives it with charges"),
    ("failure-handler", Resource::Charges, "the newest charge is expanded in its intent"),
    ("failure-handler", Resource::Refunds, "the dashboard gives it with charges"),
];

/// The grants that were used in full.
fn asked(stack: &Stack) -> BTreeSet<(Function, Resource, grants::Access)> {
    let used = stack.sim.ledger().used;
    let most = |function, resource: Resource| {
        used.get(&(local_secrets::stripe_key_of(function), resource.name())).copied()
    };
    let all = CALLS_STRIPE.into_iter().flat_map(|f| Resource::ALL.map(|r| (f, r)));
    all.filter_map(|(f, r)| Some((f, r, most(f, r)?))).collect()
}

fn fits(excuse: &(&str, &str, &str, &str), (function, action, resource): &Right) -> bool {
    let (who, what, on, _) = *excuse;
    let whose = match who {
        "*" => true,
        "hands" => !matches!(function, Function::WebhookReceiver | Function::Reconciler),
        name => name == function.name(),
    };
    whose && what == action && (on == "*" || on == resource)
}

#[tokio::test(start_paused = true)]
async fn roles_allow_what_is_done_and_nothing_else() {
    let stack = start().await;
    let began = stack.clock.now();
    money(&stack).await;
    trouble(&stack).await;
    foreign_charge(&stack).await;
    stack.reconcile(began).await.unwrap();
    stack.settle().await.unwrap();
    assert_eq!(stack.sim.ledger().denied, [""; 0]);
    let asked = asked(&stack);
    let granted: BTreeSet<_> = CALLS_STRIPE
        .into_iter()
        .flat_map(|f| grants::grants(f).iter().map(move |(r, a)| (f, *r, *a)))
        .collect();
    let unasked: Vec<_> = granted.difference(&asked).collect();
    let excused = |(f, r, _): &&&_| {
        UNASKED.iter().any(|e: &(&str, Resource, &str)| (e.0, e.1) == (Function::name(*f), *r))
    };
    let idle: Vec<_> = unasked.iter().filter(|grant| !excused(grant)).collect();
    assert!(idle.is_empty(), "granted to a restricted key, never asked for: {idle:#?}");
    assert_eq!(unasked.len(), UNASKED.len(), "needs no excuse any more");
    let (allowed, done) = (allowed(), done(&stack));
    let forbidden: Vec<_> = done.difference(&allowed).collect();
    assert!(forbidden.is_empty(), "done, but no role of template.yaml allows it: {forbidden:#?}");
    let unused: Vec<_> = allowed.difference(&done).collect();
    let idle: Vec<_> = unused.iter().filter(|right| !UNDONE.iter().any(|e| fits(e, right))).collect();
    assert!(idle.is_empty(), "allowed in template.yaml, never done and without a reason: {idle:#?}");
    for excuse in UNDONE {
        assert!(unused.iter().any(|right| fits(excuse, right)), "needs no excuse any more: {excuse:?}");
    }
}
