//! A newer build ran, the older one comes back, and then the newer one again. This build plays the older; what only the
//! newer one writes is planted, and the newer one is this build with what it must know besides.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use local::stack::Stack;
use serde_json::json;
use shared::domain::fact::{StoredFact, chain_break};
use shared::domain::ids::{Function, OrderKey};
use shared::domain::plan::NEWER_CASE;
use shared::domain::time::Seconds;
use shared::domain::view::PaymentStatus as S;
use shared::engine::{Draft, Trigger};
use shared::lambda::{Deadline, batch_reply, records};
use shared::queue::{MESSAGE_VERSION, Message, Queue};
use shared::store::orders::Committed;

use super::kit::*;
use crate::stories::euros;

/// The newer build commits a fact of a kind that this one does not know.
async fn newer_fact(stack: &Stack, key: &OrderKey) -> String {
    let engine = stack.engine(Function::PaymentCreator);
    let item = engine.store.load(key).await.unwrap();
    let deadline = Deadline::after(std::time::Duration::from_secs(60));
    let trigger = Trigger { corr: "newer".into(), event: None, deadline };
    let mut change = Draft::new(&engine, &item, item.state(), &trigger).change().unwrap();
    let raw = json!({
        "fact": format!("{}.0", change.token), "at": stack.clock.now().0, "by": "payment-creator/9.0.0", "corr": "newer",
        "why": "voucher_redeemed", "policy": engine.config.policy_hash, "prev": item.last_hash(),
        "kind": "voucher_redeemed", "voucher": "SPRING", "amount": 0,
    })
    .to_string();
    change.facts.push(StoredFact::parse(raw.clone()).unwrap());
    assert!(matches!(engine.store.commit(&item, change).await.unwrap(), Committed::Yes(_)));
    raw
}

/// The claims of an order as the newer build leaves them.
async fn newer_claims(stack: &Stack, key: &OrderKey, claims: &serde_json::Value) {
    let client = Client::new(&stack.aws.sdk_config());
    let s = |text: &str| AttributeValue::S(text.to_owned());
    let keys = HashMap::from([("pk".to_owned(), s(key.as_str())), ("sk".to_owned(), s("head"))]);
    let update = client.update_item().table_name(&stack.config.resources.orders_table).set_key(Some(keys));
    let update = update.update_expression("SET claims = :claims");
    update.expression_attribute_values(":claims", s(&claims.to_string())).send().await.unwrap();
}

/// A message in the shape of the newer build.
async fn newer_message(stack: &Stack, key: &OrderKey) {
    let mut message = serde_json::to_value(Message::wake(key.clone(), "newer")).unwrap();
    message["v"] = (MESSAGE_VERSION + 1).into();
    let sqs = shared::aws::sqs(&stack.aws.sdk_config());
    let url = &stack.config.resources.queue_urls[Queue::Orders.name()];
    sqs.send_message().queue_url(url).message_body(message.to_string()).send().await.unwrap();
}

/// The newer payment-creator reads its own messages too.
fn deploy_newer(stack: &mut Stack) {
    let deps = payment_creator::Deps::new(stack.engine(Function::PaymentCreator));
    let newer = format!("\"v\":{}", MESSAGE_VERSION + 1);
    stack.pump.register(
        Queue::Orders,
        Arc::new(move |event| {
            let (deps, newer) = (deps.clone(), newer.clone());
            Box::pin(async move {
                let mut batch = records(event);
                for record in &mut batch {
                    record.body = record.body.replace(&newer, &format!("\"v\":{MESSAGE_VERSION}"));
                }
                let deadline = Deadline::after(std::time::Duration::from_secs(60));
                batch_reply(payment_creator::handle(&deps, batch, deadline).await)
            })
        }),
    );
}

#[tokio::test(start_paused = true)]
async fn after_a_rollback_what_the_newer_build_left_waits_untouched_and_ends_right_when_it_is_back() {
    let mut stack = stack().await;
    let mut ends = Ends::default();
    let plain = place(&stack, euros(1_000, None));
    let noted = place(&stack, euros(2_000, None));
    let held = place(&stack, euros(3_000, None));
    let refunded = paid(&stack, euros(4_000, None)).await;
    let key = |id: &str| stack.key(id).unwrap();
    let (noted_key, held_key, refunded_key) = (key(&noted), key(&held), key(&refunded));
    // The newer build was at work when it was rolled back.
    let fact = newer_fact(&stack, &noted_key).await;
    let now = stack.clock.now();
    let voucher = json!({ "voucher:1": {
        "effect": "voucher:1", "generation": 1, "generation_at": now.0, "owner": "o", "by": "payment-creator",
        "deadline": now.0 + 120, "terms": { "do": "redeem_voucher", "amount": 0 }, "calls": 0, "server_errors": 0,
    }});
    newer_claims(&stack, &held_key, &voucher).await;
    newer_claims(&stack, &refunded_key, &voucher).await;
    stack.shop.set(|knobs| knobs.lose_notices = 1);
    let unheard = place(&stack, euros(5_000, None));
    newer_message(&stack, &key(&unheard)).await;

    // The older build: what it can read goes its way, the rest is recorded and waits.
    for id in [&plain, &noted, &held] {
        pay(&stack, id).await;
    }
    stack.shop.request_refund(&refunded, Some(500), "a part came back").unwrap();
    pass(&stack, Seconds::minutes(40), None).await;
    ends.must(&plain, S::Paid, 1_000, 0);
    ends.must(&noted, S::Paid, 2_000, 0);
    ends.hold(&stack);
    assert_eq!(shown(&stack, &held), Some(S::AwaitingPayment), "half an order tells nothing");
    assert_eq!(stack.sim.ledger().money["eur"].refunded, 0, "nor gives it back");
    assert_eq!(shown(&stack, &unheard), None);
    assert_eq!(dead(&stack, Queue::Orders), 1, "the message of the newer build");
    let store = stack.engine(Function::Cli).store;
    for key in [&held_key, &refunded_key] {
        assert!(store.load(key).await.unwrap().state().case_open(NEWER_CASE));
    }
    let item = store.load(&noted_key).await.unwrap();
    assert!(item.facts.iter().any(|f| f.raw == fact), "its fact is kept as it wrote it");
    assert_eq!(chain_break(&item.facts, ""), None);

    // Forward again: the newer build ends its claims and reads its messages.
    deploy_newer(&mut stack);
    newer_claims(&stack, &held_key, &json!({})).await;
    newer_claims(&stack, &refunded_key, &json!({})).await;
    assert_eq!(redrive(&stack, Queue::Orders).await.moved, 1);
    pass(&stack, Seconds::hours(7), Some(SWEEP_EVERY)).await;
    pay(&stack, &unheard).await;
    stack.settle().await.unwrap();
    ends.must(&held, S::Paid, 3_000, 0);
    ends.must(&refunded, S::PartiallyRefunded, 4_000, 500);
    ends.must(&unheard, S::Paid, 5_000, 0);
    ends.hold(&stack);
    for key in [&held_key, &refunded_key] {
        assert!(!store.load(key).await.unwrap().state().case_open(NEWER_CASE), "it lapses");
    }
}
