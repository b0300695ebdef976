//! Stripe's webhooks: the `Stripe-Signature` header and the few fields of an event that make a hint.
//!
//! Stricter than the official libraries, which take the first or last of several times, accept the future, and any number
//! of signatures.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{
    Reading, Refusal, SIGNATURE_BYTES_MAX, SIGNATURES_MAX, WebhookSecret, any_matches, is_id, may_be_object,
    parked, parse_time, sha256_hex, within_tolerance,
};
use crate::config::StripeSource;
use crate::domain::time::UnixTime;
use crate::queue::{Body, Queue, StripeHint};

/// Checks `header` (`t=..,v1=..[,v1=..]`) over the exact bytes of `body`.
pub fn verify(header: &str, body: &[u8], secrets: &[WebhookSecret], now: UnixTime) -> Result<(), Refusal> {
    if header.len() > SIGNATURE_BYTES_MAX {
        return Err(Refusal::Limit);
    }
    if body.is_empty() {
        return Err(Refusal::Empty);
    }
    let mut time = None;
    let mut signatures = Vec::new();
    for item in header.split(',') {
        let (key, value) = item.split_once('=').ok_or(Refusal::Malformed)?;
        // The grammar has no blanks; a blank after the comma is how a gateway joins two headers.
        if !item.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Refusal::Malformed);
        }
        match key {
            // A second time means two headers that a gateway joined, or a forger's attempt at confusion.
            "t" if time.is_some() => return Err(Refusal::Malformed),
            "t" => time = Some(value),
            "v1" if signatures.len() == SIGNATURES_MAX => return Err(Refusal::Limit),
            "v1" => signatures.push(value),
            // `v0` signs with a public secret, and schemes to come are not ours to trust.
            _ => {}
        }
    }
    let time = time.ok_or(Refusal::Malformed)?;
    let signed_at = parse_time(time)?;
    if signatures.is_empty() {
        return Err(Refusal::Scheme);
    }
    let signatures: Vec<Vec<u8>> = signatures.into_iter().filter_map(|s| hex::decode(s).ok()).collect();
    if !within_tolerance(signed_at, now) {
        return Err(Refusal::Time);
    }
    if any_matches(secrets, &signatures, &[time.as_bytes(), b".", body]) {
        Ok(())
    } else {
        Err(Refusal::Mismatch)
    }
}

/// The header Stripe would send: for the simulator and for tests.
pub fn sign(secret: &WebhookSecret, body: &[u8], at: UnixTime) -> String {
    let time = at.0.to_string();
    let signature = secret.sign(&[time.as_bytes(), b".", body]);
    format!("t={time},v1={}", hex::encode(signature))
}

/// The queue an event's type goes to; `None` for types that nothing uses.
pub fn route(event_type: &str) -> Option<Queue> {
    // One teller per happening: intents tell what charges tell, refunds tell what `charge.refunded` tells.
    let begins = |prefixes: &[&str]| prefixes.iter().any(|p| event_type.starts_with(p));
    if event_type == "payment_intent.created" {
        None
    } else if begins(&["refund."]) {
        Some(Queue::Refunds)
    } else if begins(&["payment_intent.", "charge.dispute.", "checkout.session."]) {
        Some(Queue::Payments)
    } else {
        None
    }
}

/// The types that a listing of events asks for: of each happening the one that tells it soonest. Stripe takes at most 20.
pub const LISTED_TYPES: [&str; 18] = [
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
    "payment_intent.processing",
    "payment_intent.requires_action",
    "payment_intent.amount_capturable_updated",
    "checkout.session.completed",
    "checkout.session.expired",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
    "refund.created",
    "refund.updated",
    "refund.failed",
];

/// The hint that an event makes; `None`: it names no object.
pub fn hint(
    source: &str,
    event: &str,
    event_type: &str,
    object: &Value,
    sha256: Option<String>,
) -> Option<StripeHint> {
    let text = |key: &str| object.get(key).and_then(Value::as_str).filter(|id| is_type(id));
    Some(StripeHint {
        source: source.to_owned(),
        event: event.to_owned(),
        event_type: event_type.to_owned(),
        object_type: text("object")?.to_owned(),
        object_id: text("id")?.to_owned(),
        refs: refs(object),
        metadata: our_metadata(object),
        sha256,
    })
}

#[derive(Deserialize)]
struct Envelope {
    id: String,
    object: String,
    #[serde(rename = "type")]
    event_type: String,
    livemode: bool,
    #[serde(default)]
    account: Option<String>,
    #[serde(default)]
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(default)]
    object: Value,
}

/// Reads a verified body.
pub fn read(source: &StripeSource, bytes: &[u8]) -> Reading {
    let park = |event: Option<String>, reason: &str| {
        let event = event.filter(|id| is_id(id));
        parked(Queue::Payments, &source.name, event, bytes, reason)
    };
    if !may_be_object(bytes) {
        return park(None, "no JSON object");
    }
    let envelope: Envelope = match serde_json::from_slice(bytes) {
        Ok(envelope) => envelope,
        Err(error) if error.is_data() => {
            let loose: Option<Value> = serde_json::from_slice(bytes).ok();
            let id = loose.and_then(|v| v.get("id").and_then(Value::as_str).map(str::to_owned));
            return park(id, "no event: id, object, type or livemode is missing or of another type");
        }
        Err(_) => return park(None, "no JSON"),
    };
    if envelope.object != "event" {
        return park(Some(envelope.id), "a thin event; the destination must send snapshots");
    }
    if !is_id(&envelope.id) {
        return park(None, "the event's id is none");
    }
    if envelope.livemode != source.livemode || !account_matches(source, envelope.account.as_deref()) {
        return Reading::WrongWorld;
    }
    let Some(queue) = route(&envelope.event_type) else { return Reading::Unused };
    let object = envelope.data.map(|d| d.object).unwrap_or_default();
    let made = hint(&source.name, &envelope.id, &envelope.event_type, &object, Some(sha256_hex(bytes)));
    let Some(hint) = made else {
        return park(Some(envelope.id), "the event names no object");
    };
    Reading::Hint { queue, body: Body::Stripe(hint), event: envelope.id }
}

/// An own account's events name no account; a connected account's name it.
fn account_matches(source: &StripeSource, account: Option<&str>) -> bool {
    match account {
        Some(account) => account == source.account,
        None => !source.connect,
    }
}

fn is_type(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
}

/// The ids an object names, whether expanded or not. An intent names its charge as `latest_charge`.
pub fn refs(object: &Value) -> BTreeMap<String, String> {
    let id = |key: &str| {
        let value = object.get(key)?;
        value.as_str().or_else(|| value.get("id")?.as_str()).filter(|id| is_id(id)).map(str::to_owned)
    };
    let named = [
        ("charge", id("charge").or_else(|| id("latest_charge"))),
        ("payment_intent", id("payment_intent")),
        ("customer", id("customer")),
    ];
    named.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

/// Metadata we set ourselves. Anyone with a dashboard may write there too, so a value that is not made like ours is left.
pub fn our_metadata(object: &Value) -> BTreeMap<String, String> {
    let ours = |value: &str| {
        (1..=200).contains(&value.len())
            && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.:#%".contains(&b))
    };
    let entries = object.get("metadata").and_then(Value::as_object);
    let pairs =
        entries.into_iter().flatten().filter(|(key, _)| key.starts_with("tandem_") && key.len() <= 40);
    pairs
        .filter_map(|(key, value)| Some((key.clone(), value.as_str().filter(|v| ours(v))?.to_owned())))
        .take(8)
        .collect()
}

#[cfg(test)]
mod tests;
