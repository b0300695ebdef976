//! Orders and Stripe's objects in words. Payment pages' addresses and the buyer's link are left out: whoever holds one
//! may use it.

use super::{stripe_sum, word};
use crate::domain::fact::{ChargeView, DisputeView, IntentView, OrderView, RefundView, SessionView};
use crate::domain::money::Money;
use crate::domain::order::{CaptureMode, Collection};
use crate::domain::policy::decline::Decline;

/// The whole order when it is new, else what changed.
pub(super) fn order(seen: &OrderView, before: Option<&OrderView>) -> String {
    let name = if seen.number.is_empty() { "the order".to_owned() } else { format!("order {}", seen.number) };
    let Some(before) = before else {
        return format!("{name} was read: {} (version {})", traits(seen).join(", "), seen.version);
    };
    let mut changes: Vec<String> = traits(before)
        .into_iter()
        .zip(traits(seen))
        .filter(|(old, new)| old != new)
        .map(|(old, new)| format!("{old} -> {new}"))
        .collect();
    if before.items_hash != seen.items_hash {
        changes.push("other lines".to_owned());
    }
    if changes.is_empty() {
        changes.push("nothing that people would name".to_owned());
    }
    format!("{name} changed: {} (version {})", changes.join(", "), seen.version)
}

fn traits(order: &OrderView) -> Vec<String> {
    let money = |minor: i64| Money::new(minor, order.currency).to_string();
    let collected = match order.collection {
        Collection::Page => "paid on a page",
        Collection::Automatic => "collected from a saved method",
        Collection::None => "not collected through Tandem",
    };
    let taken = match order.capture {
        CaptureMode::AtOnce => "taken at once",
        CaptureMode::OnFulfilment => "taken on fulfilment",
    };
    let deposit = match (order.deposit, order.balance_due_at) {
        (Some(deposit), Some(at)) => format!("deposit {}, the rest from {at}", money(deposit)),
        (Some(deposit), None) => format!("deposit {}", money(deposit)),
        (None, _) => "no deposit".to_owned(),
    };
    vec![
        word(&order.status),
        format!("total {}", money(order.total)),
        collected.to_owned(),
        taken.to_owned(),
        deposit,
        order.customer.as_ref().map_or_else(|| "a guest".to_owned(), |c| format!("customer {c}")),
        format!("{} refund request(s)", order.refund_requests.len()),
        format!("{} refund(s) reported", order.refunds.len()),
    ]
}

fn moved(before: Option<&str>, now: &str) -> String {
    match before {
        Some(before) if before != now => format!("{} -> {}", before.replace('_', " "), now.replace('_', " ")),
        _ => now.replace('_', " "),
    }
}

pub(super) fn session(seen: &SessionView, before: Option<&SessionView>) -> String {
    let status = moved(before.map(|b| b.status.as_str()), &seen.status);
    let paid = moved(before.map(|b| b.payment_status.as_str()), &seen.payment_status);
    let until = if seen.status == "open" { format!(", until {}", seen.expires_at) } else { String::new() };
    format!("payment page {} of attempt {}: {status}, {paid}{until}", seen.id, seen.attempt)
}

pub(super) fn intent(seen: &IntentView, before: Option<&IntentView>) -> String {
    let sum = |amount: i64| stripe_sum(amount, Some(seen.currency));
    let status = moved(before.map(|b| b.status.as_str()), &seen.status);
    let mut out = format!("payment {} of attempt {}: {status}, {}", seen.id, seen.attempt, sum(seen.amount));
    if seen.amount_received > 0 {
        out.push_str(&format!(", {} received", sum(seen.amount_received)));
    }
    if seen.amount_capturable > 0 {
        out.push_str(&format!(", {} can be captured", sum(seen.amount_capturable)));
    }
    if let Some(declined) = &seen.decline {
        out.push_str(&decline(declined));
    }
    if let Some(why) = &seen.cancellation_reason {
        out.push_str(&format!(", {}", why.replace('_', " ")));
    }
    if let Some(review) = &seen.review {
        out.push_str(&format!(", review {review}"));
    }
    out
}

pub(super) fn charge(seen: &ChargeView) -> String {
    let sum = |amount: i64| stripe_sum(amount, Some(seen.currency));
    let mut out = format!("charge {} of {}: {}, {}", seen.id, seen.intent, seen.status, sum(seen.amount));
    match (seen.captured, seen.capture_before) {
        (true, _) => out.push_str(&format!(", {} captured", sum(seen.amount_captured))),
        (false, Some(before)) => out.push_str(&format!(", held until {before}")),
        (false, None) => {}
    }
    if seen.amount_refunded > 0 {
        out.push_str(&format!(", {} returned or released", sum(seen.amount_refunded)));
    }
    if seen.disputed {
        out.push_str(", disputed");
    }
    if let Some(declined) = &seen.decline {
        out.push_str(&decline(declined));
    }
    out
}

pub(super) fn refund(seen: &RefundView, before: Option<&RefundView>) -> String {
    let status = moved(before.map(|b| b.status.as_str()), &seen.status);
    let sum = stripe_sum(seen.amount, Some(seen.currency));
    let whose =
        seen.request.as_ref().map_or_else(|| "names no request of ours".to_owned(), |r| format!("for {r}"));
    let why = seen.failure_reason.as_ref().or(seen.reason.as_ref());
    let why = why.map(|w| format!(", {}", w.replace('_', " "))).unwrap_or_default();
    format!("refund {} of {sum} on {}: {status}, {whose}{why}", seen.id, seen.charge)
}

pub(super) fn dispute(seen: &DisputeView) -> String {
    let sum = stripe_sum(seen.amount, Some(seen.currency));
    let by = seen.due_by.map(|t| format!(", evidence is due by {t}")).unwrap_or_default();
    let (status, reason) = (seen.status.replace('_', " "), seen.reason.replace('_', " "));
    format!("dispute {} over {sum} on {}: {status}, {reason}{by}", seen.id, seen.charge)
}

/// What Stripe said about a decline.
pub(super) fn decline(decline: &Decline) -> String {
    let mut said = vec![decline.code.as_str()];
    said.extend(decline.decline_code.as_deref());
    said.extend(decline.advice_code.as_deref());
    said.retain(|w| !w.is_empty());
    if decline.blocked {
        said.push("blocked by Radar");
    }
    if said.is_empty() { String::new() } else { format!(", declined ({})", said.join(", ")) }
}
