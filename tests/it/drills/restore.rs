//! The orders table is restored to yesterday: it forgets claims and facts since, and Stripe does not.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use http::Method;
use local::stack::Stack;
use local::stripe::{Fault, FaultMode};
use shared::domain::fact::CaseKind;
use shared::domain::ids::Function;
use shared::domain::reconcile::Kind;
use shared::domain::time::{Seconds, UnixTime};
use shared::domain::view::PaymentStatus as S;

use super::kit::*;
use crate::stories::{automatic, euros};

type Item = HashMap<String, AttributeValue>;

fn keys_of(item: &Item) -> Item {
    ["pk", "sk"].map(|name| (name.to_owned(), item[name].clone())).into()
}

/// Every item of the orders table, as a restore to this moment would bring it back.
async fn copy(stack: &Stack) -> Vec<Item> {
    let client = Client::new(&stack.aws.sdk_config());
    let mut pages =
        client.scan().table_name(&stack.config.resources.orders_table).into_paginator().items().send();
    let mut items = Vec::new();
    while let Some(item) = pages.next().await {
        items.push(item.unwrap());
    }
    items
}

/// The table is what it was.
async fn put_back(stack: &Stack, items: Vec<Item>) {
    let client = Client::new(&stack.aws.sdk_config());
    let table = &stack.config.resources.orders_table;
    for item in copy(stack).await {
        client.delete_item().table_name(table).set_key(Some(keys_of(&item))).send().await.unwrap();
    }
    for item in items {
        client.put_item().table_name(table).set_item(Some(item)).send().await.unwrap();
    }
}

/// The answers of the next calls are lost; they are carried out.
fn answers_are_lost(stack: &Stack, path: &str) {
    stack.sim.add_fault(Fault::once(Method::POST, path, FaultMode::ResetAfter));
}

/// Freeze, restore, look at Stripe, compare, thaw: as the runbook says.
async fn recover(stack: &Stack, items: Vec<Item>, at: UnixTime) {
    money(stack, false).await;
    // The workers stand; webhooks go on being queued.
    deliver(stack).await;
    put_back(stack, items).await;
    rewind(stack, at - Seconds::minutes(15)).await;
    stack.settle().await.unwrap();
    // Still frozen: until neither Stripe's events nor the shop's orders are new.
    for run in 0.. {
        assert!(run < 20, "the sweeper does not come to an end");
        let report = sweep(stack).await;
        stack.settle().await.unwrap();
        let listed = report.events["stripe"].hinted + report.polls["shop"].hinted;
        if listed == 0 {
            break;
        }
        pass(stack, SWEEP_EVERY, None).await;
    }
    let report = stack.reconcile(at).await.unwrap();
    let bad = |kind| matches!(kind, Kind::DuplicateCharge | Kind::MissingHere | Kind::MissingThere);
    let left: Vec<_> = report.exceptions.iter().filter(|e| bad(e.kind)).collect();
    assert!(left.is_empty(), "{left:#?}");
    money(stack, true).await;
}

#[tokio::test(start_paused = true)]
async fn a_table_restored_to_yesterday_charges_and_refunds_nobody_twice_and_every_shop_is_told() {
    let stack = stack().await;
    let mut ends = Ends::default();
    with_card(&stack, "emil", &mut ends).await;
    with_card(&stack, "frida", &mut ends).await;
    // Known before.
    let open = place(&stack, euros(2_000, None));
    let refunded = paid(&stack, euros(3_000, Some("anna"))).await;
    let fulfilled = paid(&stack, on_fulfilment(4_000, "carla")).await;
    let cancelled = paid(&stack, euros(5_000, None)).await;
    let untouched = paid(&stack, euros(5_500, None)).await;
    ends.must(&untouched, S::Paid, 5_500, 0);
    let parted = paid(&stack, euros(6_000, None)).await;
    pass(&stack, Seconds::hours(1), Some(SWEEP_EVERY)).await;
    // In the middle: claimed, called, and the answer is lost.
    answers_are_lost(&stack, "/v1/checkout/sessions");
    let claimed = place(&stack, euros(7_000, None));
    stack.settle().await.unwrap();
    answers_are_lost(&stack, "/v1/payment_intents/{id}/confirm");
    let charged = place(&stack, automatic(7_500, "emil"));
    stack.settle().await.unwrap();
    answers_are_lost(&stack, "/v1/refunds");
    stack.shop.request_refund(&parted, Some(900), "half of it").unwrap();
    stack.settle().await.unwrap();
    let (at, items) = (stack.clock.now(), copy(&stack).await);

    // A day that the table forgets.
    pass(&stack, Seconds::hours(1), Some(SWEEP_EVERY)).await;
    ends.must(&charged, S::Paid, 7_500, 0);
    ends.must(&parted, S::PartiallyRefunded, 6_000, 900);
    for id in [&open, &claimed] {
        pay(&stack, id).await;
    }
    ends.must(&open, S::Paid, 2_000, 0);
    ends.must(&claimed, S::Paid, 7_000, 0);
    stack.shop.request_refund(&refunded, Some(700), "a part came back").unwrap();
    stack.shop.fulfil(&fulfilled).unwrap();
    ends.must(&fulfilled, S::Paid, 4_000, 0);
    stack.shop.cancel(&cancelled).unwrap();
    ends.must(&cancelled, S::Refunded, 5_000, 5_000);
    let bought = paid(&stack, euros(8_000, Some("ben"))).await;
    ends.must(&bought, S::Paid, 8_000, 0);
    let saved = place(&stack, automatic(8_500, "frida"));
    ends.must(&saved, S::Paid, 8_500, 0);
    stack.settle().await.unwrap();
    pass(&stack, Seconds::hours(24), Some(Seconds::minutes(15))).await;
    let late = place(&stack, euros(9_000, Some("dora")));
    stack.settle().await.unwrap();
    ends.must(&refunded, S::PartiallyRefunded, 3_000, 700);
    ends.must(&late, S::AwaitingPayment, 0, 0);
    ends.hold(&stack);
    let before = stack.sim.ledger();

    recover(&stack, items, at).await;
    pass(&stack, Seconds::hours(7), Some(SWEEP_EVERY)).await;
    let after = stack.sim.ledger();
    assert_eq!(after.money["eur"], before.money["eur"], "no money moved but what had moved before");
    ends.hold(&stack);
    // Life goes on: what comes now is told under versions that the shop takes.
    pay(&stack, &late).await;
    ends.must(&late, S::Paid, 9_000, 0);
    stack.shop.request_refund(&refunded, Some(800), "another part").unwrap();
    ends.must(&refunded, S::PartiallyRefunded, 3_000, 1_500);
    stack.sim.refund(&charge(&stack, &open), Some(300)).unwrap();
    ends.must(&open, S::PartiallyRefunded, 2_000, 300);
    stack.settle().await.unwrap();
    pass(&stack, Seconds::hours(1), Some(SWEEP_EVERY)).await;
    ends.hold(&stack);
    let cases = stack.engine(Function::Cli).store.cases(CaseKind::WriteBack).await.unwrap();
    assert!(cases.is_empty(), "nobody has to decide what the shop is told: {cases:?}");
}
