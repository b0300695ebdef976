//! Answers as Stripe may send them: complete, bare, null, expanded, from tomorrow.

use serde_json::{Value, json};

use super::*;
use crate::domain::time::UnixTime;

fn parse<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

#[test]
fn a_bare_object_is_readable() {
    let intent: PaymentIntent =
        parse(json!({"id": "pi", "amount": 5, "currency": "eur", "status": "processing"}));
    assert_eq!((intent.amount_received, intent.latest_charge, intent.metadata.len()), (0, None, 0));
    let _: Charge = parse(json!({"id": "ch", "amount": 5, "currency": "eur", "status": "failed"}));
    let _: Session = parse(json!({"id": "cs"}));
    let _: Refund = parse(json!({"id": "re", "amount": 5, "currency": "eur"}));
    let _: Dispute = parse(json!({"id": "du", "amount": 5, "currency": "eur", "status": "won"}));
    let _: Customer = parse(json!({"id": "cus"}));
    let _: PaymentMethod = parse(json!({"id": "pm"}));
    let _: BalanceTransaction = parse(json!({"id": "txn", "amount": -5, "currency": "eur"}));
    let _: Payout = parse(json!({"id": "po", "amount": -5, "currency": "eur", "status": "paid"}));
    let _: Event = parse(json!({"id": "evt", "type": "a", "data": {"object": {}}}));
}

#[test]
fn null_is_the_same_as_absent() {
    let charge: Charge = parse(json!({
        "id": "ch", "amount": 5, "currency": "eur", "status": "pending", "amount_captured": null, "captured": null,
        "disputed": null, "metadata": null, "payment_intent": null, "outcome": null, "payment_method_details": null,
        "created": null, "balance_transaction": null,
    }));
    assert_eq!((charge.amount_captured, charge.captured, charge.created), (0, false, UnixTime(0)));
    let customer: Customer =
        parse(json!({"id": "cus", "email": null, "invoice_settings": null, "deleted": null}));
    assert_eq!(customer.default_payment_method(), None);
}

#[test]
fn an_object_without_its_amount_is_not_readable() {
    let bare = json!({"id": "re", "currency": "eur"});
    assert!(serde_json::from_value::<Refund>(bare).is_err());
}

#[test]
fn values_of_tomorrow_are_kept() {
    let intent: PaymentIntent = parse(json!({
        "id": "pi", "amount": 5, "currency": "eur", "status": "requires_prayer", "capture_method": "someday",
        "brand_new": {"deep": [1]}, "next_action": {"type": "sing"}, "last_payment_error": "what?",
    }));
    assert_eq!(intent.status, IntentStatus::Other("requires_prayer".to_owned()));
    assert_eq!(intent.status.to_string(), "requires_prayer");
    assert!(!intent.status.is_terminal());
    assert_eq!(intent.next_action.unwrap().kind, "sing");
    assert_eq!(intent.last_payment_error, None);
    let dispute = DisputeStatus::from("appeal_of_appeal");
    assert!(!dispute.is_terminal() && !dispute.is_inquiry());
}

#[test]
fn names_go_both_ways() {
    assert_eq!(IntentStatus::from("requires_capture"), IntentStatus::RequiresCapture);
    assert_eq!(serde_json::to_value(RefundStatus::RequiresAction).unwrap(), json!("requires_action"));
    assert!(RefundStatus::Pending.counts() && !RefundStatus::Failed.counts());
    assert!(DisputeStatus::WarningClosed.is_inquiry() && DisputeStatus::WarningClosed.is_terminal());
    assert!(!DisputeStatus::AppealNeedsResponse.is_terminal());
}

#[test]
fn a_reference_is_an_id_or_an_object() {
    let plain =
        json!({"id": "ch", "amount": 5, "currency": "eur", "status": "succeeded", "payment_intent": "pi_1"});
    let charge: Charge = parse(plain);
    let reference = charge.payment_intent.unwrap();
    assert_eq!((reference.id(), reference.object()), ("pi_1", None));
    let deep: Charge = parse(json!({
        "id": "ch", "amount": 5, "currency": "eur", "status": "succeeded",
        "payment_intent": {"id": "pi_1", "amount": 5, "currency": "eur", "status": "succeeded", "latest_charge": "ch"},
        "balance_transaction": {"id": "txn_1", "amount": 5, "fee": 1, "net": 4, "currency": "usd", "type": "charge",
            "exchange_rate": 1.07, "fee_details": [{"amount": 1, "currency": "usd", "type": "stripe_fee"}],
            "source": {"id": "ch", "object": "charge"}},
    }));
    assert_eq!(deep.payment_intent.as_ref().unwrap().id(), "pi_1");
    let entry = deep.balance_transaction.as_ref().unwrap().object().unwrap();
    assert_eq!((entry.net, entry.fee_details.len()), (4, 1));
    assert_eq!(entry.source.as_ref().unwrap().id(), "ch");
}

#[test]
fn a_charge_tells_its_card_and_its_deadline() {
    let charge: Charge = parse(json!({
        "id": "ch", "amount": 5, "currency": "eur", "status": "succeeded", "paid": true, "captured": false,
        "outcome": {"type": "authorized", "risk_level": "normal", "risk_score": 12, "rule": "x"},
        "payment_method_details": {"type": "card", "card": {"fingerprint": "fp", "brand": "visa", "last4": "4242",
            "capture_before": 1_800_000_000, "checks": {}}},
    }));
    let card = charge.card().unwrap();
    assert_eq!(
        (card.fingerprint.as_deref(), card.capture_before),
        (Some("fp"), Some(UnixTime(1_800_000_000)))
    );
    assert_eq!(charge.outcome.unwrap().risk_score, Some(12));
}

#[test]
fn a_dispute_carries_its_ledger_entries() {
    let dispute: Dispute = parse(json!({
        "id": "du", "amount": 5, "currency": "eur", "status": "needs_response", "is_charge_refundable": false,
        "balance_transactions": [{"id": "txn", "amount": -5, "fee": 15, "net": -20, "currency": "eur"}],
        "evidence_details": {"due_by": null, "has_evidence": false, "past_due": false, "submission_count": 0},
    }));
    assert_eq!(dispute.balance_transactions[0].net, -20);
    assert_eq!(dispute.evidence_details.unwrap().due_by, None);
}

#[test]
fn contact_data_and_snapshots_are_not_shown() {
    let customer: Customer =
        parse(json!({"id": "cus", "email": "buyer@example.test", "name": "Bo", "phone": "1"}));
    assert_eq!(customer.email.as_ref().unwrap().expose(), "buyer@example.test");
    assert!(!format!("{customer:?}").contains("buyer"));
    let method: PaymentMethod =
        parse(json!({"id": "pm", "type": "card", "card": {"brand": "visa", "last4": "4242"}}));
    assert!(!format!("{method:?}").contains("4242"));
    let event: Event = parse(json!({
        "id": "evt", "type": "customer.created", "request": {"id": null, "idempotency_key": "k"},
        "data": {"object": {"id": "cus", "object": "customer", "email": "buyer@example.test"}},
    }));
    assert!(!format!("{event:?}").contains("buyer"));
    assert_eq!(event.request.unwrap().idempotency_key.as_deref(), Some("k"));
}

#[test]
fn an_old_event_names_its_request_by_a_string() {
    let event: Event = parse(json!({"id": "evt", "type": "a", "request": "req_1", "data": {"object": {}}}));
    assert_eq!(event.request, None);
}
