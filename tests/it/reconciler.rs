//! The reconciler finds what was planted, and nothing on a clean run.

use std::time::Duration;

use reconciler::{Deps, ReconcileReport, handle, window_of};
use serde_json::{Value, json};
use shared::domain::fact::What;
use shared::domain::ids::Function;
use shared::domain::reconcile::{Kind, Window};
use shared::domain::time::UnixTime;
use shared::lambda::ScheduleEvent;
use shared::queue::{Body, Queue};

use super::far_side::{Stack, charge_seen, deadline, refund_seen, seen};

fn charge(id: &str, order: Option<&str>, amount: i64, created: UnixTime) -> Value {
    let metadata = order.map_or(json!({}), |o| json!({ "tandem_order": format!("demo#checkout#shop#{o}") }));
    json!({ "id": id, "object": "charge", "amount": amount, "amount_captured": amount, "currency": "eur",
            "status": "succeeded", "captured": true, "paid": true, "created": created.0,
            "payment_intent": format!("pi_{id}"), "metadata": metadata })
}

fn refund(id: &str, charge: &str, amount: i64, created: UnixTime) -> Value {
    json!({ "id": id, "object": "refund", "amount": amount, "currency": "eur", "status": "succeeded",
            "charge": charge, "payment_intent": format!("pi_{charge}"), "created": created.0, "metadata": {} })
}

/// Five orders, paid and told; the last was partly refunded.
async fn paid() -> Stack {
    let stack = Stack::start(|_| {}).await;
    for n in 1..=5 {
        let (id, amount) = (n.to_string(), 1_000 * n);
        let echo = if n == 5 { "partially_refunded" } else { "paid" };
        let order = stack.order(&id, amount, echo);
        let ch = format!("ch_{n}");
        let mut facts = vec![seen(&order), charge_seen(&ch, amount, stack.now())];
        if n == 5 {
            facts.push(refund_seen("re_5", &ch, 100));
            stack.held().stripe.entry("refunds").or_default().push(refund("re_5", &ch, 100, stack.now()));
        }
        stack.held().stripe.entry("charges").or_default().push(charge(&ch, Some(&id), amount, stack.now()));
        stack.commit(&id, facts).await;
    }
    // One that nobody has paid, and somebody else's business on the same account.
    let order = stack.order("6", 600, "awaiting_payment");
    stack.commit("6", vec![seen(&order)]).await;
    stack.held().stripe.entry("charges").or_default().push(charge("ch_x", None, 77, stack.now()));
    stack
}

async fn reconcile(stack: &Stack) -> ReconcileReport {
    tokio::time::advance(Duration::from_secs(3_600)).await;
    let deps = Deps::new(stack.engine(Function::Reconciler), &stack.sdk);
    let window = Window::yesterday_and_today(stack.now()).unwrap();
    handle(&deps, window, deadline()).await.unwrap()
}

fn kinds(report: &ReconcileReport) -> Vec<(Kind, &str)> {
    report.exceptions.iter().map(|e| (e.kind, e.order.rsplit('#').next().unwrap())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_clean_day_has_a_report_a_summary_and_no_exception() {
    let stack = paid().await;
    let report = reconcile(&stack).await;
    assert_eq!(kinds(&report), []);
    assert_eq!((report.orders, report.agreed, report.foreign), (6, 6, 1));
    assert_eq!(report.partial, Vec::<String>::new());
    let files = stack.aws.s3().objects(&stack.config.resources.reports_bucket, "reports/2027-01-15/");
    let names: Vec<&str> = files.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(names, [format!("{}.csv", report.key), format!("{}.json", report.key)]);
    let notices = stack.drain(Queue::Notifications).await;
    let [notice] = &notices[..] else { panic!("{notices:?}") };
    let Body::Notice { key, data } = &notice.body else { panic!("{notice:?}") };
    assert!(key.starts_with("reconciliation:2027-01-14_2027-01-15:"), "{key}");
    assert_eq!(data["exceptions"], 0);
    let again = reconcile(&stack).await;
    assert_eq!(again.key, report.key, "the same findings are the same report");
}

#[tokio::test(start_paused = true)]
async fn planted_discrepancies_are_found_and_none_else() {
    let stack = paid().await;
    let now = stack.now();
    {
        let mut held = stack.held();
        let charges = held.stripe.get_mut("charges").unwrap();
        // Made in the dashboard for the order nobody has paid.
        charges.push(charge("ch_dash", Some("6"), 600, now));
        // A second one for a paid order.
        charges.push(charge("ch_second", Some("1"), 1_000, now));
        // Another amount than our facts have.
        charges.iter_mut().find(|c| c["id"] == "ch_2").unwrap()["amount_captured"] = 1_900.into();
        // Nobody linked this refund.
        held.stripe.get_mut("refunds").unwrap().push(refund("re_lost", "ch_3", 250, now));
        // The shop still waits for money that is there.
        held.orders.get_mut("4").unwrap()["payment"]["status"] = "awaiting_payment".into();
        // An order that never reached us.
        held.orders.insert(
            "9".into(),
            json!({ "id": "9", "status": "open", "currency": "EUR", "total": 900,
            "updated_at": now.0, "version": 1 }),
        );
    }
    let report = reconcile(&stack).await;
    assert_eq!(
        kinds(&report),
        [
            (Kind::DuplicateCharge, "1"),
            (Kind::MissingHere, "6"),
            (Kind::MissingHere, "9"),
            (Kind::Amount, "2"),
            (Kind::UnlinkedRefund, "3"),
            (Kind::Status, "4"),
        ]
    );
    assert_eq!(report.at_risk["EUR"], 1_000 + 600 + 100 + 250 + 4_000);
    let files = stack.aws.s3().objects(&stack.config.resources.reports_bucket, "reports/");
    let text = String::from_utf8(files[0].1.to_vec()).unwrap();
    assert_eq!(text.lines().count(), 7);
    assert!(
        text.contains("duplicate_charge,demo#checkout#shop#1,ch_second,pi_ch_second,,EUR,,10.00,10.00,"),
        "{text}"
    );
    assert!(stack.held().requests.iter().all(|r| r.starts_with("GET ")));
}

#[tokio::test(start_paused = true)]
async fn a_charge_outside_the_listing_s_window_is_looked_up_before_it_counts_as_missing() {
    let stack = paid().await;
    let window = Window::parse("2027-01-15", "2027-01-15").unwrap();
    // Paid a day after it was ordered: outside the window, but there.
    let later = stack.now() + shared::domain::time::Seconds::days(1);
    let order = stack.order("7", 700, "paid");
    stack.commit("7", vec![seen(&order), charge_seen("ch_7", 700, later)]).await;
    stack.held().stripe.get_mut("charges").unwrap().push(charge("ch_7", Some("7"), 700, later));
    // Our facts know it, Stripe does not.
    let order = stack.order("8", 800, "paid");
    stack.commit("8", vec![seen(&order), charge_seen("ch_8", 800, stack.now())]).await;
    tokio::time::advance(Duration::from_secs(2 * 86_400)).await;
    let deps = Deps::new(stack.engine(Function::Reconciler), &stack.sdk);
    let report = handle(&deps, window, deadline()).await.unwrap();
    assert_eq!(kinds(&report), [(Kind::MissingThere, "8")]);
}

#[tokio::test(start_paused = true)]
async fn an_order_system_that_is_down_leaves_its_part_out_and_the_report_says_so() {
    let stack = paid().await;
    stack.held().down.insert("shop.test");
    let report = reconcile(&stack).await;
    assert_eq!(kinds(&report), []);
    assert!(report.partial.iter().any(|p| p.starts_with("shop: ")), "{:?}", report.partial);
}

#[tokio::test(start_paused = true)]
async fn an_order_system_that_is_slow_costs_its_own_part_and_not_the_report() {
    let stack = paid().await;
    stack.held().slow = Some(("shop.test", Duration::from_secs(50)));
    let report = reconcile(&stack).await;
    assert_eq!((kinds(&report), report.agreed), (vec![], 6));
    let want = "shop: not read to the end: no time left; use a shorter window";
    assert_eq!(report.partial, [want]);
}

#[tokio::test(start_paused = true)]
async fn a_refund_of_an_older_order_is_linked_by_its_intent() {
    let stack = paid().await;
    let engine = stack.engine(Function::Cli);
    let key = stack.commit("1", vec![What::BuyerAsked]).await;
    let link = shared::store::keys::stripe_link("acct_demo", "test", "pi_ch_1");
    engine.store.link(&link, &key).await.unwrap();
    tokio::time::advance(Duration::from_secs(5 * 86_400)).await;
    stack.held().stripe.get_mut("refunds").unwrap().push(refund("re_late", "ch_1", 50, stack.now()));
    let report = reconcile(&stack).await;
    assert_eq!(kinds(&report), [(Kind::UnlinkedRefund, "1")]);
}

#[test]
fn the_events_in_the_repository_name_their_windows() {
    let read =
        |text: &str| -> ScheduleEvent { shared::lambda::schedule_event(serde_json::from_str(text).unwrap()) };
    let now = UnixTime(1_795_235_400);
    let daily = window_of(&read(include_str!("../../events/reconciler/daily.json")), now).unwrap();
    assert_eq!((daily.from(), daily.to()), ("2026-11-20".into(), "2026-11-21".into()));
    let window = window_of(&read(include_str!("../../events/reconciler/window.json")), now).unwrap();
    assert_eq!((window.from(), window.to()), ("2026-11-01".into(), "2026-11-07".into()));
}
