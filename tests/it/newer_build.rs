//! After a rollback: an order that holds a claim of a newer build waits for that build, and its claim is kept as it is.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use shared::domain::ids::{Function, OrderKey};
use shared::domain::plan::{Do, NEWER_CASE, plan};
use shared::domain::time::Seconds;
use shared::engine::{GRACE, owners};

use crate::far_side::{START, Stack, charge_seen, seen};

async fn claims(stack: &Stack, key: &OrderKey, new: Option<&Value>) -> Value {
    let (client, table) = (Client::new(&stack.sdk), &stack.config.resources.orders_table);
    let s = |text: &str| AttributeValue::S(text.to_owned());
    let keys = HashMap::from([("pk".to_owned(), s(key.as_str())), ("sk".to_owned(), s("head"))]);
    if let Some(new) = new {
        let update = client.update_item().table_name(table).set_key(Some(keys.clone()));
        let update = update.update_expression("SET claims = :claims");
        update.expression_attribute_values(":claims", s(&new.to_string())).send().await.unwrap();
    }
    let answer = client.get_item().table_name(table).set_key(Some(keys)).send().await.unwrap();
    serde_json::from_str(answer.item.unwrap()["claims"].as_s().unwrap()).unwrap()
}

fn claim(effect: &str, terms: &Value) -> Value {
    json!({
        "effect": effect, "generation": 1, "generation_at": START.0, "owner": "o", "by": "payment-creator",
        "deadline": START.0 + 120, "terms": terms, "calls": 0, "server_errors": 0,
        "what_only_a_newer_build_writes": { "kept": true },
    })
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_cannot_be_read_is_kept_and_the_order_waits() {
    let stack = Stack::start(|_| {}).await;
    let order = stack.order("1", 3_000, "awaiting_payment");
    let key = stack.commit("1", vec![seen(&order)]).await;
    let store = stack.engine(Function::Cli).store;
    assert!(
        owners(&store.load(&key).await.unwrap().state(), &stack.config, START)
            .contains(&Function::PaymentCreator)
    );

    let newer = json!({
        "voucher:1": claim("voucher:1", &json!({ "do": "redeem_voucher", "amount": 500 })),
        "expire:cs_9": claim("expire:cs_9", &json!({ "do": "expire_session", "attempt": 9, "session": "cs_9" })),
    });
    claims(&stack, &key, Some(&newer)).await;
    let item = store.load(&key).await.unwrap();
    assert_eq!(item.claims.len(), 1, "the one that can be read is held as ever");
    let state = item.state();
    assert!(state.unread.contains("claim voucher:1"), "{:?}", state.unread);
    for action in plan(&state, &stack.config.policy, START + Seconds::days(2)) {
        assert!(matches!(action.what, Do::Settle { .. } | Do::Record(_) | Do::LookAtOrder), "{action:?}");
    }

    // Money facts come in all the same, and the claim stays as the newer build wrote it.
    stack.commit("1", vec![charge_seen("ch_1", 3_000, START)]).await;
    let item = store.load(&key).await.unwrap();
    assert_eq!(item.state().captured(), 3_000);
    assert_eq!(claims(&stack, &key, None).await, newer, "what only the newer build knows is kept");
    assert!(item.due_at.is_some_and(|due| due <= START + GRACE), "somebody looks");

    // The newer build ends its claim.
    claims(&stack, &key, Some(&json!({}))).await;
    let state = store.load(&key).await.unwrap().state();
    assert!(state.unread.is_empty() && !state.case_open(NEWER_CASE));
}
