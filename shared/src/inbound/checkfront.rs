//! Checkfront's webhooks: unsigned, so the secret is the last part of their path and the host in the body must be ours.
//!
//! Invariant: what arrives is a hint that names a booking's code and nothing else; the booking is read before anything is
//! decided. The body is XML turned to JSON: an empty element is `{}`, a single child stands without its list.

use serde_json::Value;

use super::shop::{Delivery, authority_of};
use super::{Reading, Refusal, WebhookSecret, may_be_object, parked, sha256_hex, short_hash};
use crate::config::ShopSource;
use crate::queue::{Body, Queue};

/// Longest last part of a path that is looked at.
const SECRET_BYTES_MAX: usize = 512;
/// Hex digits of an event's id.
const EVENT_DIGITS: usize = 32;
/// Where a person chooses what is sent.
const CHOOSE: &str = "choose JSON for this webhook in Manage > Developer > Webhooks";

/// Whether the path knows a secret and the body names our account.
pub fn verify(
    source: &ShopSource,
    delivery: &Delivery<'_>,
    secrets: &[WebhookSecret],
) -> Result<(), Refusal> {
    let shown = delivery.path_secret.ok_or(Refusal::Header)?;
    if shown.len() > SECRET_BYTES_MAX {
        return Err(Refusal::Limit);
    }
    if !WebhookSecret::any_is(secrets, shown) {
        return Err(Refusal::Mismatch);
    }
    if delivery.body.is_empty() {
        return Err(Refusal::Empty);
    }
    // What is no JSON names nobody here: it is kept, with words on what to choose.
    let named = json(delivery.body).and_then(|body| host(&body).map(str::to_owned));
    match named {
        Some(host) if !host.eq_ignore_ascii_case(host_of(&source.base_url)) => Err(Refusal::OtherShop),
        _ => Ok(()),
    }
}

/// Reads a delivery that came by the secret path.
pub fn read(source: &ShopSource, bytes: &[u8]) -> Reading {
    // Nobody signed it: whoever knows the path could fill the list of parked bodies, so there is one for each reason.
    let park = |reason: &str| {
        let id = short_hash(reason, 16);
        parked(Queue::Orders, &source.name, Some(format!("unsigned-{id}")), bytes, reason)
    };
    if bytes.trim_ascii_start().starts_with(b"<") {
        return park(&format!("XML instead of JSON; {CHOOSE}"));
    }
    if !may_be_object(bytes) {
        return park(&format!("no JSON object, perhaps a form; {CHOOSE}"));
    }
    let Some(body) = json(bytes) else { return park("no JSON") };
    if host(&body).is_none() {
        return park("host is missing: nothing says which account it is from");
    }
    match (body.get("booking"), word(body.get("type")).as_str()) {
        (Some(booking), _) => {
            hint(source, bytes, &word(booking.get("code"))).unwrap_or_else(|| park(&no_code("booking.code")))
        }
        (None, "transaction") => {
            let code = word(body.get("transaction").and_then(|t| t.get("booking_id")));
            hint(source, bytes, &code).unwrap_or_else(|| park(&no_code("transaction.booking_id")))
        }
        // Items, rates, events, calendars.
        (None, kind) if !kind.is_empty() => Reading::Unused,
        _ => park("neither a booking nor a type"),
    }
}

/// There is no id of a delivery: one body is one event, however often and by how many webhooks it is told. A state that went
/// and came back has the body that it had: the listing finds it. None if this is no booking's code.
fn hint(source: &ShopSource, bytes: &[u8], code: &str) -> Option<Reading> {
    if !is_code(code) {
        return None;
    }
    let sha256 = sha256_hex(bytes);
    let event: String = sha256.chars().take(EVENT_DIGITS).collect();
    let body = Body::Order {
        source: source.name.clone(),
        order_id: code.to_owned(),
        version: None,
        event: event.clone(),
        sha256: Some(sha256),
    };
    Some(Reading::Hint { queue: Queue::Orders, body, event })
}

fn no_code(field: &str) -> String {
    format!("{field} is missing or no booking code such as ABCD-211126")
}

/// The object inside, without the XML's root where it was kept.
fn json(bytes: &[u8]) -> Option<Value> {
    let body = may_be_object(bytes).then(|| serde_json::from_slice::<Value>(bytes).ok())??;
    Some(body.get("checkfront-notify").cloned().unwrap_or(body))
}

fn host(body: &Value) -> Option<&str> {
    let attributes = body.get("@attributes").and_then(|a| a.get("host"));
    attributes.or_else(|| body.get("host")).and_then(Value::as_str).filter(|h| !h.is_empty())
}

/// The host of a base address, without port and user.
pub(crate) fn host_of(base: &str) -> &str {
    let authority = authority_of(base);
    authority.rsplit_once(':').map_or(authority, |(host, _)| host)
}

/// A scalar as text. An empty element arrives as `{}`, a missing one not at all: both are empty.
pub(crate) fn word(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}

/// A booking's code as Checkfront makes them: capitals, a dash, the day. The internal number is none.
pub(crate) fn is_code(text: &str) -> bool {
    let Some((letters, day)) = text.split_once('-') else { return false };
    let good = |part: &str| {
        (1..=20).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    };
    good(letters) && letters.bytes().any(|b| b.is_ascii_uppercase()) && good(day)
}

#[cfg(test)]
mod tests;
