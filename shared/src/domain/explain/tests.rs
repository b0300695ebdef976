//! What an operator reads.

use super::*;
use crate::domain::fact::{CaseKind, Decision, EffectResult, OrderView, Origin, SessionView, Terms, hash_of};
use crate::domain::money::Currency;
use crate::domain::order::OrderStatus;
use crate::domain::policy::Approval;

const START: UnixTime = UnixTime(1_800_000_000);

fn key() -> OrderKey {
    OrderKey::new("demo", "checkout", "shop", "1001").unwrap()
}

fn eur() -> Currency {
    Currency::parse("EUR").unwrap()
}

fn order(total: i64, status: OrderStatus, version: u64) -> What {
    What::OrderSeen(Box::new(OrderView {
        number: "A-1001".into(),
        status,
        currency: eur(),
        total,
        customer: None,
        collection: Default::default(),
        capture: Default::default(),
        deposit: None,
        balance_due_at: None,
        refund_requests: Vec::new(),
        refunds: Vec::new(),
        paid: None,
        items_hash: "h".into(),
        echo: None,
        version,
    }))
}

fn session(status: &str) -> What {
    What::SessionSeen(SessionView {
        id: "cs_1".into(),
        attempt: 1,
        status: status.into(),
        payment_status: if status == "complete" { "paid" } else { "unpaid" }.into(),
        intent: (status == "complete").then(|| "pi_1".into()),
        url: Some("https://pay.test/secret-page".into()),
        expires_at: UnixTime(START.0 + 86_400),
    })
}

fn paid() -> [What; 2] {
    let intent = serde_json::json!({
        "id": "pi_1", "attempt": 1, "status": "succeeded", "amount": 3000, "amount_capturable": 0,
        "amount_received": 3000, "currency": "EUR", "latest_charge": "ch_1",
    });
    let charge = serde_json::json!({
        "id": "ch_1", "intent": "pi_1", "status": "succeeded", "amount": 3000, "amount_captured": 3000,
        "amount_refunded": 0, "currency": "EUR", "captured": true, "disputed": false, "created": START.0 + 60,
    });
    [
        What::IntentSeen(serde_json::from_value(intent).unwrap()),
        What::ChargeSeen(serde_json::from_value(charge).unwrap()),
    ]
}

/// Facts of one commit each list, a minute apart, chained.
fn stored(policy: &str, commits: Vec<(&str, Vec<(What, &str)>)>) -> Vec<StoredFact> {
    let mut out: Vec<StoredFact> = Vec::new();
    for (c, (function, facts)) in commits.into_iter().enumerate() {
        for (n, (what, why)) in facts.into_iter().enumerate() {
            let fact = Fact {
                id: format!("c{c}.{n}"),
                at: UnixTime(START.0 + 60 * i64::try_from(c).unwrap()),
                by: format!("{function}/0.1.0"),
                corr: "corr-1".into(),
                hint: (c == 0).then(|| "shop/msg_1".into()),
                why: why.into(),
                policy: policy.into(),
                prev: out.last().map(|f| hash_of(&f.raw)).unwrap_or_default(),
                what,
            };
            out.push(StoredFact { raw: serde_json::to_string(&fact).unwrap(), fact });
        }
    }
    out
}

/// Paid on a page, cancelled, refunded by the policy of the time.
fn story(policy: &str) -> Vec<StoredFact> {
    let create = Terms::CreateSession { attempt: 1, amount: 3000, currency: eur(), fingerprint: "f".into() };
    let claimed = |effect: &str, terms| What::Claimed { effect: effect.into(), generation: 1, terms };
    let made = |effect: &str, object: &str| What::Outcome {
        effect: effect.into(),
        generation: 1,
        result: EffectResult::Done { object: object.into() },
    };
    let [intent, charge] = paid();
    let asked = What::RefundRequested {
        request: "cancel:ch_1".into(),
        amount: 3000,
        charge: Some("ch_1".into()),
        origin: Origin::Cancellation,
        by_name: None,
        text: "the order was cancelled".into(),
    };
    let give = Terms::Refund { request: "cancel:ch_1".into(), charge: "ch_1".into(), amount_stripe: 3000 };
    stored(
        policy,
        vec![
            (
                "payment-creator",
                vec![
                    (order(3000, OrderStatus::Open, 1), "observed"),
                    (What::PayToken { token: "tok_secret_token".into() }, "observed"),
                    (claimed("session:1", create), "first_session"),
                ],
            ),
            (
                "payment-creator",
                vec![(made("session:1", "cs_1"), "carried_out"), (session("open"), "carried_out")],
            ),
            (
                "payment-recorder",
                vec![(session("complete"), "observed"), (intent, "observed"), (charge, "observed")],
            ),
            ("payment-creator", vec![(order(3000, OrderStatus::Cancelled, 2), "observed")]),
            (
                "refund-processor",
                vec![
                    (asked, "refund_on_cancel"),
                    (claimed("refund:cancel:ch_1", give), "refund_within_policy"),
                ],
            ),
        ],
    )
}

fn lenient() -> Policy {
    let mut policy = Policy::default();
    policy.refund.auto_up_to.insert("EUR".into(), 50_000);
    policy
}

fn told(facts: &[StoredFact], policy: &Policy, hash: &str) -> Explanation {
    explain(&key(), facts, &BTreeMap::new(), policy, hash, UnixTime(START.0 + 600))
}

#[test]
fn an_order_is_told_fact_by_fact_with_reasons_and_what_changed() {
    let text = told(&story("p1"), &lenient(), "p1").text(100);
    let expected = "\
Order demo#checkout#shop#1001 (number A-1001)
As of 2027-01-15T08:10:00Z; today's policy p1; 11 facts, their chain of hashes is whole

  1  2027-01-15T08:00:00Z  payment-creator/0.1.0
     order A-1001 was read: open, total 30.00 EUR, paid on a page, taken at once, no deposit, a
     guest, 0 refund request(s), 0 refund(s) reported (version 1)
     why: seen at its source (from shop/msg_1, correlation corr-1)
     now: payment nothing known -> awaiting_payment; still to be taken 0.00 -> 30.00 EUR
";
    assert!(text.starts_with(expected), "{text}");
    for line in [
        "     decided to make a payment page for 30.00 EUR as attempt 1 (session:1)",
        "     policy then: p1",
        "     payment page cs_1 of attempt 1: open -> complete, unpaid -> paid",
        "     now: payment awaiting_payment -> paid; still to be taken 30.00 -> 0.00 EUR; taken 0.00 -> 30.00",
        "     order A-1001 changed: open -> cancelled (version 2)",
        "     why: the refund policy allows it without a person (correlation corr-1)",
    ] {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
    assert!(text.lines().all(|l| l.chars().count() <= 100), "{text}");
    for private in ["tok_secret", "secret-page", "someone", "!!"] {
        assert!(!text.contains(private), "{private} is in\n{text}");
    }
}

#[test]
fn the_end_says_where_the_order_stands_and_what_happens_next() {
    let facts = story("p1");
    let end = told(&facts, &lenient(), "p1");
    assert_eq!(
        end.state,
        "The payment is paid. The order comes to 30.00 EUR; 30.00 EUR was taken and 0.00 EUR given back; \
         0.00 EUR is owed now, 30.00 EUR is asked back and not yet made. No case is open."
    );
    assert!(
        end.next.iter().any(|n| n
            == "now, refund-processor: give back 30.00 EUR of ch_1 for cancel:ch_1 \
             (the refund policy allows it without a person)"),
        "{:?}",
        end.next
    );
    let json = serde_json::to_value(&end).unwrap();
    assert_eq!(json["facts"][0]["at"], "2027-01-15T08:00:00Z");
    assert_eq!(json["facts"][2]["policy"], "p1");
}

#[test]
fn a_replay_under_the_same_rules_marks_nothing_and_a_stricter_policy_marks_what_it_would_not_do() {
    let facts = story("p1");
    let marked = |told: &Explanation| -> Vec<usize> {
        told.facts.iter().filter(|f| f.today.is_some()).map(|f| f.n).collect()
    };
    // Another hash, the same rules: every decision of the time is found in the plan of today.
    assert_eq!(marked(&told(&facts, &lenient(), "p2")), Vec::<usize>::new());
    let mut strict = lenient();
    strict.refund.on_cancel = Approval::Ask;
    let today = told(&facts, &strict, "p2");
    assert_eq!(marked(&today), [11]);
    let text = today.text(100);
    assert!(
        text.contains("!! today's policy would not; it would record: case refund:cancel:ch_1 was opened"),
        "{text}"
    );
    assert!(text.contains("(policy then p1,") && text.contains("today p2)"), "{text}");
    // The same policy's word is not doubted.
    assert_eq!(marked(&told(&facts, &strict, "p1")), Vec::<usize>::new());
}

#[test]
fn an_edited_fact_is_marked_where_the_chain_breaks() {
    let mut facts = story("p1");
    facts[3].raw = facts[3].raw.replace("cs_1", "cs_2");
    let broken = told(&facts, &lenient(), "p1");
    assert_eq!(broken.chain_broken_at, Some(5));
    let text = broken.text(100);
    assert!(text.contains("THEIR CHAIN OF HASHES BREAKS AT FACT 5"), "{text}");
    assert!(text.contains("!! The chain breaks here"), "{text}");
}

#[test]
fn a_timeline_is_one_line_a_fact_and_people_are_named() {
    let decided = What::CaseDecided {
        case: "c".into(),
        decision: Decision::Deny,
        by_name: "Ada".into(),
        arn: Some("arn:aws:iam::1:user/ada".into()),
    };
    let opened = What::CaseOpened { case: "c".into(), case_kind: CaseKind::Dispute, text: "look".into() };
    let facts = stored("p", vec![("cli", vec![(opened, "person_decides"), (decided, "decided")])]);
    let lines = timeline(&facts);
    assert_eq!(lines.len(), 2);
    assert_eq!(
        (lines[1].function.as_str(), lines[1].what.as_str(), lines[1].why.as_str()),
        ("cli", "Ada (arn:aws:iam::1:user/ada) denied case c", "a person decided")
    );
    assert_eq!(reason_words("of_another_build"), "of another build");
}
