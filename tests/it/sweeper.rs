//! The sweeper finds what was lost, hints once, and writes nothing but due times and cursors.

use std::time::Duration;

use serde_json::{Value, json};
use shared::domain::fact::{Terms, What};
use shared::domain::ids::Function;
use shared::domain::plan::{Do, plan};
use shared::domain::time::{Seconds, UnixTime};
use shared::engine::{Draft, Trigger};
use shared::queue::{Body, Queue};
use shared::store::orders::Committed;
use sweeper::{Deps, SweepError, SweepReport, handle, import_since};

use super::far_side::{START, Stack, charge_seen, deadline, seen};

async fn sweep(stack: &Stack) -> SweepReport {
    stack.held().as_of = stack.now().0;
    handle(&Deps::new(stack.engine(Function::Sweeper)), deadline()).await.unwrap()
}

async fn pass(minutes: u64) {
    tokio::time::advance(Duration::from_secs(minutes * 60)).await;
}

/// Sweeps every quarter of an hour, as without a gap.
async fn sweep_for(stack: &Stack, minutes: u64) {
    for _ in 0..minutes / 15 {
        sweep(stack).await;
        pass(15).await;
    }
}

fn event(id: &str, kind: &str, created: UnixTime, object: &Value) -> Value {
    json!({ "id": id, "object": "event", "type": kind, "created": created.0, "livemode": false,
            "data": { "object": object } })
}

fn intent(id: &str, ours: bool) -> Value {
    let metadata = if ours { json!({ "tandem_order": "demo#checkout#shop#1" }) } else { json!({}) };
    json!({ "id": id, "object": "payment_intent", "customer": "cus_1", "receipt_email": "buyer@example.com",
            "metadata": metadata })
}

#[tokio::test(start_paused = true)]
async fn due_work_is_redated_with_back_off_and_its_owner_woken() {
    let stack = Stack::start(|_| {}).await;
    let order = stack.order("1", 1_000, "awaiting_payment");
    let key = stack.commit("1", vec![seen(&order)]).await;
    let before = stack.engine(Function::Cli).store.load(&key).await.unwrap();
    assert_eq!(sweep(&stack).await.due.looked, 0, "not due yet");
    let mut waits = Vec::new();
    for _ in 0..8 {
        tokio::time::advance(Duration::from_secs(7 * 3_600)).await;
        let now = stack.now();
        let report = sweep(&stack).await;
        assert_eq!(report.due.looked, 1);
        let woken = stack.drain(Queue::Orders).await;
        assert!(woken.iter().any(|m| m.body == Body::Wake { order: key.clone() } && m.corr == "c0ffee"));
        let item = stack.engine(Function::Cli).store.load(&key).await.unwrap();
        assert_eq!(item.facts, before.facts, "re-dating adds no fact");
        waits.push((item.due_at.unwrap() - now).0 / 60);
    }
    assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 360]);
}

#[tokio::test(start_paused = true)]
async fn hints_are_bounded_and_no_shard_starves() {
    let stack = Stack::start(|config| config.sweeper.hints_max = 16).await;
    for n in 0..60 {
        let order = stack.order(&n.to_string(), 1_000, "awaiting_payment");
        stack.commit(&n.to_string(), vec![seen(&order)]).await;
    }
    stack.held().orders.clear();
    pass(10).await;
    let mut orders = std::collections::BTreeSet::new();
    for _ in 0..12 {
        let report = sweep(&stack).await;
        assert!(report.due.woken <= 16 + 2, "{report:?}");
        for queue in Queue::ALL {
            orders.extend(stack.drain(queue).await.into_iter().filter_map(|m| match m.body {
                Body::Wake { order } => Some(order),
                _ => None,
            }));
        }
    }
    assert_eq!(orders.len(), 60);
}

#[tokio::test(start_paused = true)]
async fn a_lost_event_is_handed_over_once_and_oldest_first() {
    let stack = Stack::start(|_| {}).await;
    sweep(&stack).await;
    pass(2).await;
    let at = stack.now();
    stack.held().stripe.insert(
        "events",
        vec![
            event(
                "evt_3",
                "refund.created",
                at,
                &json!({ "id": "re_1", "object": "refund", "charge": "ch_1" }),
            ),
            event("evt_2", "payment_intent.succeeded", at, &intent("pi_x", false)),
            event("evt_1", "payment_intent.succeeded", at - Seconds(9), &intent("pi_1", true)),
        ],
    );
    pass(3).await;
    let report = sweep(&stack).await;
    assert_eq!((report.events["stripe"].hinted, report.events["stripe"].foreign), (2, 1));
    let payments = stack.drain(Queue::Payments).await;
    let [message] = &payments[..] else { panic!("{payments:?}") };
    let Body::Stripe(hint) = &message.body else { panic!("{message:?}") };
    assert_eq!((hint.event.as_str(), hint.object_id.as_str()), ("evt_1", "pi_1"));
    assert_eq!(hint.metadata["tandem_order"], "demo#checkout#shop#1");
    assert!(!serde_json::to_string(message).unwrap().contains("example.com"));
    assert_eq!(stack.drain(Queue::Refunds).await.len(), 1);
    for _ in 0..5 {
        pass(5).await;
        let again = sweep(&stack).await;
        assert_eq!((again.hints(), again.events["stripe"].foreign), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_backlog_of_events_is_handed_over_in_bounded_runs_and_none_twice() {
    let stack = Stack::start(|config| config.sweeper.hints_max = 40).await;
    sweep(&stack).await;
    let events = (0..250).map(|n| {
        let at = START + Seconds(30 + i64::from(n) / 60);
        event(&format!("evt_{n}"), "payment_intent.succeeded", at, &intent(&format!("pi_{n}"), true))
    });
    let events: Vec<Value> = events.collect();
    stack.held().stripe.insert("events", events);
    pass(26 * 60).await;
    let mut handed = Vec::new();
    for _ in 0..9 {
        let report = sweep(&stack).await;
        assert!(report.events["stripe"].hinted <= 40);
        handed.extend(stack.drain(Queue::Payments).await.into_iter().filter_map(|m| match m.body {
            Body::Stripe(hint) => Some(hint.event),
            _ => None,
        }));
        if handed.len() >= 250 {
            break;
        }
        pass(5).await;
    }
    let unique: std::collections::BTreeSet<&String> = handed.iter().collect();
    assert_eq!(unique.len(), 250);
    assert_eq!(handed.len(), 250);
}

#[tokio::test(start_paused = true)]
async fn once_a_day_three_days_are_looked_at_again() {
    let stack = Stack::start(|_| {}).await;
    sweep_for(&stack, 23 * 60).await;
    // It shows up late, behind every overlap.
    let at = START + Seconds::hours(1);
    let late = event("evt_late", "payment_intent.succeeded", at, &intent("pi_1", true));
    stack.held().stripe.insert("events", vec![late]);
    stack.order("7", 500, "awaiting_payment");
    stack.held().orders.get_mut("7").unwrap()["updated_at"] = (START.0 + 60).into();
    pass(5).await;
    assert_eq!(sweep(&stack).await.hints(), 0);
    sweep_for(&stack, 45).await;
    pass(15).await;
    let report = sweep(&stack).await;
    assert_eq!((report.events["stripe"].hinted, report.polls["shop"].hinted), (1, 1));
    pass(5).await;
    assert_eq!(sweep(&stack).await.hints(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_changed_order_is_handed_over_once_per_version() {
    let stack = Stack::start(|_| {}).await;
    assert_eq!(sweep(&stack).await.hints(), 0);
    pass(1).await;
    stack.order("1", 1_000, "awaiting_payment");
    pass(4).await;
    assert_eq!(sweep(&stack).await.polls["shop"].hinted, 1);
    let sent = stack.drain(Queue::Orders).await;
    assert!(
        matches!(&sent[0].body, Body::Order { order_id, version: Some(_), event, .. } if order_id == "1" && event.starts_with("poll-1-"))
    );
    pass(5).await;
    assert_eq!(sweep(&stack).await.polls["shop"].known, 1);
    stack.order("1", 1_200, "awaiting_payment");
    assert_eq!(sweep(&stack).await.polls["shop"].hinted, 1);
}

#[tokio::test(start_paused = true)]
async fn after_a_gap_what_was_handed_over_just_before_is_handed_over_again() {
    let stack = Stack::start(|_| {}).await;
    stack.order("1", 1_000, "open");
    assert_eq!(sweep(&stack).await.polls["shop"].hinted, 1);
    pass(5).await;
    assert_eq!(sweep(&stack).await.polls["shop"].hinted, 0, "once while all is well");
    // We are down for a day: the hint died in its queue.
    stack.drain(Queue::Orders).await;
    pass(26 * 60).await;
    let report = sweep(&stack).await;
    assert_eq!(report.polls["shop"].hinted, 1);
    assert_eq!(stack.drain(Queue::Orders).await.len(), 1);
    pass(5).await;
    assert_eq!(sweep(&stack).await.polls["shop"].hinted, 0, "and only once");
}

#[tokio::test(start_paused = true)]
async fn a_listing_longer_than_a_run_goes_on_at_its_page_and_the_watermark_waits() {
    let stack = Stack::start(|config| config.sweeper.hints_max = 7).await;
    sweep(&stack).await;
    pass(1).await;
    // All of one second: no time could tell them apart.
    for n in 0..25 {
        stack.order(&format!("o{n:02}"), 1_000, "awaiting_payment");
    }
    stack.held().page = 10;
    let mut handed = Vec::new();
    for _ in 0..4 {
        pass(5).await;
        assert!(sweep(&stack).await.polls["shop"].hinted <= 7);
        handed.extend(stack.drain(Queue::Orders).await);
    }
    assert_eq!(handed.len(), 25);
    pass(5).await;
    assert_eq!(sweep(&stack).await.hints(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_goes_in_a_circle_is_noticed_within_a_run_and_over_several() {
    for hints_max in [500, 2] {
        let stack = Stack::start(|config| config.sweeper.hints_max = hints_max).await;
        sweep(&stack).await;
        pass(1).await;
        for n in 0..6 {
            stack.order(&n.to_string(), 1_000, "awaiting_payment");
        }
        (stack.held().page, stack.held().circles) = (2, true);
        let mut found = None;
        for _ in 0..6 {
            stack.held().as_of = stack.now().0;
            if let Err(SweepError::Parts(report)) =
                handle(&Deps::new(stack.engine(Function::Sweeper)), deadline()).await
            {
                found = Some(report);
                break;
            }
            pass(5).await;
        }
        let (part, why) = found.unwrap().failed.remove(0);
        assert!(part == "shop" && why.contains("names a page twice"), "{part}: {why}");
        assert_eq!(stack.drain(Queue::Orders).await.len(), 6, "what it lists is handed over all the same");
        // Mended, it is read from the same watermark again.
        stack.held().circles = false;
        pass(5).await;
        sweep(&stack).await;
        let deps = Deps::new(stack.engine(Function::Cli));
        stack.held().circles = true;
        let import = import_since(&deps, START - Seconds::days(1), false).await;
        assert!(import.failed[0].1.contains("names a page twice"), "{import:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_listed_id_that_no_notice_could_carry_is_counted_and_left_out() {
    let stack = Stack::start(|_| {}).await;
    sweep(&stack).await;
    pass(1).await;
    for id in ["1", "buyer@example.com", "two words", "SO/2026/7"] {
        stack.order(id, 1_000, "awaiting_payment");
    }
    let report = sweep(&stack).await;
    assert_eq!((report.polls["shop"].hinted, report.polls["shop"].unusable), (2, 2));
    let sent = stack.drain(Queue::Orders).await;
    assert!(!serde_json::to_string(&sent).unwrap().contains("example"), "{sent:?}");
    pass(5).await;
    assert_eq!(sweep(&stack).await.polls["shop"].unusable, 0, "counted once");
    let deps = Deps::new(stack.engine(Function::Cli));
    let import = import_since(&deps, START - Seconds::days(1), true).await;
    assert_eq!((import.listed["shop"], import.hinted, import.unusable), (4, 2, 2));
}

#[tokio::test(start_paused = true)]
async fn one_failing_source_stops_no_other_and_is_reported() {
    let stack = Stack::start(|_| {}).await;
    sweep(&stack).await;
    pass(1).await;
    stack.order("1", 1_000, "awaiting_payment");
    stack.held().down.insert("stripe.test");
    let deps = Deps::new(stack.engine(Function::Sweeper));
    let Err(SweepError::Parts(report)) = handle(&deps, deadline()).await else { panic!() };
    assert_eq!(report.polls["shop"].hinted, 1);
    assert_eq!(report.failed.iter().map(|(part, _)| part.as_str()).collect::<Vec<_>>(), ["stripe"]);
    // The outage over, what happened in it is found.
    let at = stack.now();
    let lost = event("evt_1", "payment_intent.succeeded", at, &intent("pi_1", true));
    stack.held().stripe.insert("events", vec![lost]);
    pass(26 * 60).await;
    stack.held().down.clear();
    assert_eq!(sweep(&stack).await.events["stripe"].hinted, 1);
}

#[tokio::test(start_paused = true)]
async fn only_one_run_at_a_time_and_a_dead_one_loses_its_lease() {
    let stack = Stack::start(|_| {}).await;
    let store = stack.engine(Function::Cli).store;
    let until = stack.now() + Seconds(260);
    assert!(store.lease("demo", "sweeper", "dead", stack.now(), until).await.unwrap());
    assert!(sweep(&stack).await.busy);
    pass(5).await;
    assert!(!sweep(&stack).await.busy);
    assert!(!sweep(&stack).await.busy, "given back");
}

#[tokio::test(start_paused = true)]
async fn an_import_is_a_dry_run_unless_applied() {
    let stack = Stack::start(|_| {}).await;
    for n in 0..5 {
        stack.order(&n.to_string(), 1_000, "awaiting_payment");
    }
    stack.held().page = 2;
    let deps = Deps::new(stack.engine(Function::Cli));
    let dry = import_since(&deps, START - Seconds::days(400), false).await;
    assert_eq!((dry.listed["shop"], dry.hinted, stack.drain(Queue::Orders).await.len()), (5, 0, 0));
    let wet = import_since(&deps, START - Seconds::days(400), true).await;
    assert_eq!((wet.hinted, stack.drain(Queue::Orders).await.len()), (5, 5));
}

#[tokio::test(start_paused = true)]
async fn an_order_with_nothing_ready_any_more_is_only_corrected() {
    let stack = Stack::start(|_| {}).await;
    let order = stack.order("1", 1_000, "paid");
    let key = stack.commit("1", vec![seen(&order), charge_seen("ch_1", 1_000, stack.now())]).await;
    let engine = stack.engine(Function::Cli);
    let item = engine.store.load(&key).await.unwrap();
    let version = item.state().view_version;
    // Told and noticed; the item says that it is due all the same.
    let trigger = Trigger { corr: "c0ffee".into(), event: None, deadline: deadline() };
    let mut draft = Draft::new(&engine, &item, item.state(), &trigger);
    draft.add(What::ViewTold { version, recorded: None }, "planted");
    loop {
        let planned = plan(&draft.state, &engine.config.policy, stack.now());
        let notice = planned.into_iter().find_map(|a| match a.what {
            Do::Effect { terms: Terms::Notice { key, .. }, .. } => Some(key),
            _ => None,
        });
        let Some(key) = notice else { break };
        draft.add(What::Noticed { key }, "planted");
    }
    draft.records(false);
    let mut change = draft.change().unwrap();
    change.due_at = Some(stack.now());
    assert!(matches!(engine.store.commit(&item, change).await.unwrap(), Committed::Yes(_)));
    let before = engine.store.load(&key).await.unwrap();
    pass(5).await;
    let report = sweep(&stack).await;
    assert_eq!((report.due.looked, report.due.corrected, report.due.woken), (1, 1, 0), "{before:#?}");
    let after = engine.store.load(&key).await.unwrap();
    assert_eq!(after.facts, before.facts);
    assert!(after.due_at.is_none_or(|due| due > stack.now()));
    assert_eq!(sweep(&stack).await.due.looked, 0);
}

#[test]
fn the_events_in_the_repository_are_schedules() {
    let text = include_str!("../../events/sweeper/schedule.json");
    let event = shared::lambda::schedule_event(serde_json::from_str(text).unwrap());
    assert!(event.time.is_some());
}
