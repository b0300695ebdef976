//! The webhooks: two kinds of bodies, no signature, no id, and both booking events for one change of status.

use bytes::Bytes;
use serde_json::{Value, json};
use shared::domain::money::Money;
use shared::domain::time::UnixTime;

use super::super::State;
use super::super::face::Change;
use super::super::notices::Delivery;
use super::Transaction;
use super::shown;

fn delivery(state: &mut State, order: &str, topic: &'static str, body: &Value, now: UnixTime) -> Delivery {
    state.sent += 1;
    Delivery {
        id: format!("{topic} {}", state.sent),
        order: order.to_owned(),
        topic,
        body: Bytes::from(body.to_string()),
        due_at: now,
        attempt: 0,
    }
}

/// Booking Modified, and Booking Status Change with the same body.
pub(super) fn of_a_booking(state: &mut State, change: Change, id: &str, now: UnixTime) -> Vec<Delivery> {
    let Some(kept) = state.record.orders.get(id) else { return Vec::new() };
    let Some(book) = kept.booking() else { return Vec::new() };
    let status = book.code_of(&kept.order.status);
    let before = kept.before.as_deref().map(|(order, native)| match native {
        super::super::face::Native::Checkfront(book) => book.code_of(&order.status),
        _ => String::new(),
    });
    let body = json!({
        "@attributes": {"version": "3.0"},
        "booking": shown::nested(&kept.order, book, true),
    });
    let changed = change == Change::Updated && before.is_some_and(|before| before != status);
    let mut all = vec![delivery(state, id, "booking_modified", &body, now)];
    if changed {
        all.push(delivery(state, id, "booking_status", &body, now));
    }
    all
}

/// New Payment/Refund, into the outbox.
pub(super) fn of_a_transaction(state: &mut State, id: &str, made: &Transaction, now: UnixTime) {
    let Some(kept) = state.record.orders.get(id) else { return };
    let amount = Money::new(made.amount.abs(), kept.order.currency).decimal();
    let body = json!({
        "version": "3.0", "type": "transaction", "action": "insert",
        "transaction": {
            "transaction_id": made.id.to_string(), "date": made.at.0,
            "status": if made.amount < 0 { "REFUND" } else { "PAID" },
            "amount": amount, "gateway_id": {}, "payment_mask": made.mask, "payment_type": "card",
            "payment_customer": {}, "booking_id": id,
        },
    });
    if state.knobs.lose_notices > 0 {
        state.knobs.lose_notices -= 1;
        return;
    }
    let one = delivery(state, id, "transaction", &body, now + state.knobs.delay_notices);
    for _ in 0..=state.knobs.repeat_notices {
        state.outbox.push(one.clone());
    }
}
