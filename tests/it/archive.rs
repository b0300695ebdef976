//! The archive over a real table: nothing is lost, whoever dies or races in between, and no item ever comes near its limit.

mod kit;

use std::sync::Arc;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use shared::domain::archive::{Kept, seal};
use shared::domain::explain::explain;
use shared::domain::fact::{ChargeView, IntentView, SessionView, What, chain_break, hash_of};
use shared::domain::ids::Function;
use shared::domain::snapshot;
use shared::domain::time::UnixTime;
use shared::domain::view::PaymentStatus;
use shared::store::StoreError;
use shared::store::orders::Committed;
use shared::store::packed::{pack, unpack};

use self::kit::*;
use crate::far_side::{START, Stack, charge_seen, refund_seen, seen};

#[tokio::test(start_paused = true)]
async fn a_long_order_keeps_a_small_head_and_its_whole_history() {
    let stack = Stack::start(|_| {}).await;
    let (key, _) = nearly_full(&stack).await;
    let table = Table::of(&stack, &key);
    assert_eq!(table.archives().await, 0, "an order below the limit has none");
    let engine = engine(&stack, 2);
    let mut stored = whole(&stack, &key).await.state().facts;
    for n in 1_000..1_060 {
        let four: Vec<What> = (4 * n..4 * n + 4).flat_map(decline).collect();
        run(&engine, &key, &format!("stripe/evt_{n}"), four).await.unwrap();
        let item = whole(&stack, &key).await;
        stored += 8;
        assert!(item.state().facts >= stored, "{} of {stored}", item.state().facts);
        stored = item.state().facts;
        assert!(table.largest().await < 80 * 1024);
    }
    assert!(table.archives().await >= 4, "{}", table.archives().await);
    let before = stack.aws.io_counts();
    engine.store.load(&key).await.unwrap();
    let calls: u64 = local::aws::io::since(&before, &stack.aws.io_counts()).values().sum();
    assert_eq!(calls, 1, "the snapshot stands for the archives");
}

#[tokio::test(start_paused = true)]
async fn what_a_run_that_died_left_in_an_archive_leaves_the_head_exactly() {
    let stack = Stack::start(|_| {}).await;
    let (key, _) = nearly_full(&stack).await;
    let table = Table::of(&stack, &key);
    let (one, two) = (engine(&stack, 2), engine(&stack, 3));
    let item = one.store.load(&key).await.unwrap();
    let faults = Arc::new(Broken::default());
    stack.aws.set_faults(faults.clone());
    // The archive is put; the commit never is.
    faults.0.lock().unwrap().extend([("UpdateItem", Fault::Fails); ATTEMPTS]);
    let died = one.store.commit(&item, change(&one, &item, many())).await;
    assert!(matches!(died, Err(StoreError::Unavailable { operation: "UpdateItem", .. })), "{died:?}");
    assert_eq!(table.archives().await, 1);
    let left = text_list(&table.item("archive#000001").await.unwrap());
    assert_eq!(whole(&stack, &key).await.rev, item.rev, "nobody refers to it");
    // The head grows on before the next one archives, and would give away more.
    let small = two.store.commit(&item, change(&two, &item, decline(70_000))).await.unwrap();
    assert!(matches!(small, Committed::Yes(_)));
    let item = two.store.load(&key).await.unwrap();
    let done = two.store.commit(&item, change(&two, &item, many())).await.unwrap();
    assert!(matches!(done, Committed::Yes(_)));
    let now = whole(&stack, &key).await;
    assert_eq!(now.kept.as_ref().unwrap().archived.facts as usize, left.len());
    assert_eq!(text_list(&table.item("archive#000001").await.unwrap()), left, "an archive never changes");
    assert_eq!(now.state().facts, item.state().facts + 40);
}

fn text_list(item: &Item) -> Vec<String> {
    unpack(item["facts"].as_b().unwrap().as_ref()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn lost_answers_of_the_archive_and_of_its_commit_are_found_out() {
    let stack = Stack::start(|_| {}).await;
    let (key, _) = nearly_full(&stack).await;
    let engine = engine(&stack, 2);
    let item = engine.store.load(&key).await.unwrap();
    let faults = Arc::new(Broken::default());
    stack.aws.set_faults(faults.clone());
    // The SDK repeats both: the put finds its own archive, the update finds its own token.
    faults.0.lock().unwrap().extend([("PutItem", Fault::Lost), ("UpdateItem", Fault::Lost)]);
    let done = engine.store.commit(&item, change(&engine, &item, many())).await.unwrap();
    assert!(matches!(done, Committed::Yes(_)), "{done:?}");
    let now = whole(&stack, &key).await;
    assert_eq!((now.rev, now.state().facts), (item.rev + 1, item.state().facts + 40));
    // The token of a commit is known after its facts were archived.
    let token = item.facts.last().unwrap().fact.id.split('.').next().unwrap().to_owned();
    let kept = now.kept.clone().unwrap().archived;
    assert!(now.has_commit(&token) && !kept.tokens.is_empty() && now.has_commit(&kept.tokens[0]));
    assert!(!now.has_commit("nobody"));
}

#[tokio::test(start_paused = true)]
async fn of_two_that_archive_at_once_one_commits_and_nothing_is_lost() {
    let stack = Stack::start(|_| {}).await;
    let (key, _) = nearly_full(&stack).await;
    let (one, two) = (engine(&stack, 2), engine(&stack, 3));
    let item = one.store.load(&key).await.unwrap();
    let more: Vec<What> = (80_000..80_030).flat_map(decline).collect();
    let (first, second) = tokio::join!(
        one.store.commit(&item, change(&one, &item, many())),
        two.store.commit(&item, change(&two, &item, more)),
    );
    let yes = |c: &Committed| matches!(c, Committed::Yes(_));
    assert_eq!(
        [&first, &second].iter().filter(|c| yes(c.as_ref().unwrap())).count(),
        1,
        "{first:?} {second:?}"
    );
    let Committed::Lost(now) = [first, second].into_iter().map(Result::unwrap).find(|c| !yes(c)).unwrap()
    else {
        panic!("one lost")
    };
    assert_eq!(now.state(), whole(&stack, &key).await.state(), "the loser knows the whole order");
    assert_eq!(Table::of(&stack, &key).archives().await, 1);
}

/// The head as a build with another fold would have stored it.
async fn stored_by_another_build(table: &Table) {
    let mut head = table.item("head").await.unwrap();
    let mut theirs: serde_json::Value = serde_json::from_str(&text(&head, "snapshot")).unwrap();
    theirs["fold"] = "of another build".into();
    theirs["state"]["what_only_they_know"] = 1.into();
    let mut archived: serde_json::Value = serde_json::from_str(&text(&head, "archived")).unwrap();
    archived["snapshot"] = hash_of(&theirs.to_string()).into();
    let kept = Kept::parse(archived.to_string(), Some(theirs.to_string())).unwrap();
    let newest = hash_of(text_list(&head).last().unwrap());
    head.insert("head_hash".into(), AttributeValue::S(seal(Some(&kept), &newest)));
    head.insert("archived".into(), AttributeValue::S(kept.raw.clone()));
    head.insert("snapshot".into(), AttributeValue::S(theirs.to_string()));
    table.put(head).await;
}

#[tokio::test(start_paused = true)]
async fn builds_with_different_folds_take_turns_on_an_order() {
    let stack = Stack::start(|_| {}).await;
    let (key, _) = nearly_full(&stack).await;
    let (engine, table) = (engine(&stack, 2), Table::of(&stack, &key));
    run(&engine, &key, "stripe/evt_many", many()).await.unwrap();
    for turn in 0..3 {
        let ours = whole(&stack, &key).await;
        assert!(snapshot::read(&text(&table.item("head").await.unwrap(), "snapshot")).is_some());
        stored_by_another_build(&table).await;
        let before = stack.aws.io_counts();
        let item = engine.store.load(&key).await.unwrap();
        let calls: u64 = local::aws::io::since(&before, &stack.aws.io_counts()).values().sum();
        assert_eq!(calls, 2, "the head and one archive");
        assert_eq!(item.state(), ours.state(), "their snapshot is not read, the facts are");
        run(&engine, &key, &format!("stripe/evt_turn_{turn}"), decline(60_000 + turn)).await.unwrap();
    }
    // A build that knows no archive compares this hash with the one of the newest fact, and refuses the order.
    let head = table.item("head").await.unwrap();
    assert_ne!(text(&head, "head_hash"), hash_of(text_list(&head).last().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn an_edit_of_an_archive_or_of_what_the_head_keeps_is_seen() {
    let stack = Stack::start(|_| {}).await;
    let (key, _) = nearly_full(&stack).await;
    let (engine, table) = (engine(&stack, 2), Table::of(&stack, &key));
    run(&engine, &key, "stripe/evt_many", many()).await.unwrap();
    let head = table.item("head").await.unwrap();
    for name in ["snapshot", "archived", "head_hash"] {
        let mut edited = head.clone();
        let held = text(&head, name);
        // A hash may lack any one digit.
        let digit = held.chars().find(char::is_ascii_digit).unwrap();
        let other = held.replacen(digit, if digit == '1' { "2" } else { "1" }, 1);
        edited.insert(name.into(), AttributeValue::S(other));
        table.put(edited).await;
        let load = engine.store.load(&key).await;
        assert!(matches!(load, Err(StoreError::Unreadable { .. })), "{name}: {load:?}");
        table.put(head.clone()).await;
    }
    for missing in ["snapshot", "archived", "head_hash"] {
        let mut edited = head.clone();
        edited.remove(missing);
        table.put(edited).await;
        let load = engine.store.load(&key).await;
        assert!(matches!(load, Err(StoreError::Unreadable { .. })), "without {missing}: {load:?}");
        table.put(head.clone()).await;
    }
    // Its newest fact, amount and all.
    let archive = table.item("archive#000001").await.unwrap();
    let mut texts = text_list(&archive);
    let newest = texts.pop().unwrap();
    texts.push(newest.replacen("3000", "3001", 1));
    assert_ne!(texts.last(), Some(&newest));
    let mut edited = archive.clone();
    let packed = pack(texts.iter().map(String::as_str)).unwrap();
    edited.insert("facts".into(), AttributeValue::B(Blob::new(packed)));
    table.put(edited).await;
    let item = engine.store.load(&key).await.unwrap();
    let facts = engine.store.history(&item).await.unwrap();
    assert_eq!(chain_break(&facts, ""), Some(texts.len()));
    let policy = &stack.config.policy;
    let told = explain(&key, &facts, &item.claims, policy, "today", stack.now());
    assert_eq!(told.chain_broken_at, Some(texts.len() + 1));
    // Without a snapshot nobody acts on it.
    stored_by_another_build(&table).await;
    let load = engine.store.load(&key).await;
    assert!(matches!(load, Err(StoreError::Unreadable { .. })), "{load:?}");
}

#[tokio::test(start_paused = true)]
async fn an_order_with_two_thousand_declines_is_paid_told_and_explained() {
    let stack = Stack::start(|_| {}).await;
    let order = stack.order("1", 3_000, "awaiting_payment");
    let session = What::SessionSeen(SessionView {
        id: "cs_1".into(),
        attempt: 1,
        status: "open".into(),
        payment_status: "unpaid".into(),
        intent: Some("pi_1".into()),
        url: Some("https://pay.test/c".into()),
        expires_at: UnixTime(START.0 + 86_400),
    });
    let key = stack.commit("1", vec![seen(&order), session]).await;
    let (engine, table) = (engine(&stack, 2), Table::of(&stack, &key));
    // Eight at a time: what is stored is the same, one by one.
    for n in (0..2_000).step_by(8) {
        let eight = (n..n + 8).flat_map(decline).collect();
        run(&engine, &key, &format!("stripe/evt_{n}"), eight).await.unwrap();
    }
    // Deliveries come again, late and under other ids: what is remembered is no news.
    let before = whole(&stack, &key).await.state();
    for n in [1_992, 1_984, 1_800] {
        run(&engine, &key, &format!("stripe/evt_again_{n}"), decline(n)[1..].to_vec()).await.unwrap();
        run(&engine, &key, &format!("stripe/evt_{n}"), decline(n)).await.unwrap();
    }
    let state = whole(&stack, &key).await.state();
    assert_eq!((state.facts, state.declines.count), (before.facts, 2_000));
    assert!(state.case_open("limit"), "a person is told");
    let paid = IntentView {
        status: "succeeded".into(),
        amount_received: 3_000,
        latest_charge: Some("ch_paid".into()),
        ..match &decline(1)[0] {
            What::IntentSeen(intent) => intent.clone(),
            other => panic!("{other:?}"),
        }
    };
    let What::ChargeSeen(charge) = charge_seen("ch_paid", 3_000, START) else { panic!() };
    let charge = What::ChargeSeen(ChargeView { intent: "pi_1".into(), ..charge });
    run(&engine, &key, "stripe/evt_paid", vec![What::IntentSeen(paid), charge]).await.unwrap();

    let item = whole(&stack, &key).await;
    let view = item.state().view.unwrap();
    assert_eq!((view.status, view.amount_captured, view.amount_due), (PaymentStatus::Paid, 3_000, 0));
    let owners = shared::engine::owners(&item.state(), &stack.config, stack.now());
    assert!(owners.contains(&Function::OrderUpdater), "the shop is told: {owners:?}");
    assert!(table.largest().await < 100 * 1024, "{}", table.largest().await);
    let facts = engine.store.history(&item).await.unwrap();
    let told = explain(&key, &facts, &item.claims, &stack.config.policy, "today", stack.now());
    assert_eq!((told.facts.len() as u64, told.chain_broken_at), (item.state().facts, None));
    assert!(told.facts.len() > 4_000 && told.text(100).contains("ch_3SMp2EAbcdEfGh00000000"));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_one_commit_goes_into_several() {
    let stack = Stack::start(|_| {}).await;
    let order = stack.order("1", 3_000, "paid");
    let key = stack.commit("1", vec![seen(&order), charge_seen("ch_1", 3_000, START)]).await;
    let (engine, table) = (engine(&stack, 2), Table::of(&stack, &key));
    let refunds: Vec<What> = (0..500).map(|n| refund_seen(&format!("re_{n:04}"), "ch_1", 1)).collect();
    let faults = Arc::new(Broken::default());
    stack.aws.set_faults(faults.clone());
    // The second commit cannot be made: the message comes back, and is no known one.
    faults.0.lock().unwrap().push(("UpdateItem", Fault::Works));
    faults.0.lock().unwrap().extend([("UpdateItem", Fault::Fails); ATTEMPTS]);
    run(&engine, &key, "stripe/evt_refunds", refunds.clone()).await.unwrap_err();
    let half = whole(&stack, &key).await.state();
    assert!((1..500).contains(&half.refunds.len()), "{}", half.refunds.len());
    assert!(!half.knows("stripe/evt_refunds"));
    let ran = run(&engine, &key, "stripe/evt_refunds", refunds).await.unwrap();
    assert!(ran.commits >= 2, "{ran:?}");
    let item = whole(&stack, &key).await;
    let state = item.state();
    assert_eq!((state.refunds.len(), state.refunded()), (500, 500));
    assert!(state.knows("stripe/evt_refunds"));
    assert!(table.largest().await < 200 * 1024, "{}", table.largest().await);
}
