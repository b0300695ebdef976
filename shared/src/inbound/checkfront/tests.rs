//! The shapes of the documentation, and what must not pass.

use secrecy::SecretString;
use serde_json::json;

use super::*;
use crate::config::System;

const SECRET: &str = "path_secret_of_at_least_24_bytes";

fn source() -> ShopSource {
    ShopSource {
        name: "tours".into(),
        base_url: "https://tours.checkfront.com".into(),
        stripe: "stripe".into(),
        api_key: "k".into(),
        webhook_secrets: vec!["s".into()],
        system: System::Checkfront(Box::default()),
    }
}

fn secrets() -> Vec<WebhookSecret> {
    ["another_secret_of_at_least_24_bytes", SECRET]
        .map(|text| WebhookSecret::path(&SecretString::from(text)).unwrap())
        .into()
}

fn verified(path: Option<&str>, body: &str) -> Result<(), Refusal> {
    let delivery = Delivery { header: &|_| None, path_secret: path, body: body.as_bytes() };
    verify(&source(), &delivery, &secrets())
}

fn booking(status: &str, paid: &str, items: Value) -> Value {
    json!({
        "@attributes": {"version": "3.0", "host": "tours.checkfront.com"},
        "booking": {
            "@attributes": {"booking_id": "4411"},
            "status": status, "code": "KMVQ-060314", "tid": {}, "created_date": "1394140000",
            "customer": {"name": "Anna Buyer", "email": "anna@example.com"},
            "order": {"@attributes": {"currency_id": "CAD"}, "sub_total": "46.00", "tax_total": "2.30",
                "paid_total": paid, "total": "48.30", "items": {"item": items}},
        },
    })
}

fn hinted(body: &Value) -> (String, String) {
    match read(&source(), body.to_string().as_bytes()) {
        Reading::Hint {
            queue: Queue::Orders,
            body: Body::Order { order_id, version: None, event, .. },
            ..
        } => (order_id, event),
        other => panic!("{other:?}"),
    }
}

fn reason(text: &str) -> String {
    match read(&source(), text.as_bytes()) {
        Reading::Parked { queue: Queue::Orders, body: Body::Parked { reason, size, .. } } => {
            assert_eq!(size, text.len());
            reason
        }
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn the_path_must_know_one_of_the_secrets_and_the_body_our_host() {
    let body = booking("PEND", "0.00", json!([])).to_string();
    assert_eq!(verified(Some(SECRET), &body), Ok(()));
    assert_eq!(verified(Some("another_secret_of_at_least_24_bytes"), &body), Ok(()));
    for wrong in ["", "path_secret_of_at_least_24_byte", "PATH_SECRET_OF_AT_LEAST_24_BYTES"] {
        assert_eq!(verified(Some(wrong), &body), Err(Refusal::Mismatch), "{wrong}");
    }
    assert_eq!(verified(None, &body), Err(Refusal::Header));
    assert_eq!(verified(Some(&"x".repeat(513)), &body), Err(Refusal::Limit));
    assert_eq!(verified(Some(SECRET), ""), Err(Refusal::Empty));
    let other = body.replace("tours.checkfront.com", "rival.checkfront.com");
    assert_eq!(verified(Some(SECRET), &other), Err(Refusal::OtherShop));
    let flat = json!({"version": "3.0", "host": "rival.checkfront.com", "type": "transaction"}).to_string();
    assert_eq!(verified(Some(SECRET), &flat), Err(Refusal::OtherShop));
}

/// The fuzzer found it: HMAC fills a short key up with zeros.
#[test]
fn a_secret_with_more_behind_it_is_another() {
    let body = booking("PAID", "0.00", json!({})).to_string();
    assert_eq!(verified(Some(SECRET), &body), Ok(()));
    for tail in ["\0", "\0\0", "x"] {
        assert_eq!(verified(Some(&format!("{SECRET}{tail}")), &body), Err(Refusal::Mismatch), "{tail:?}");
    }
}

#[test]
fn a_weak_secret_or_one_that_no_path_holds_is_refused() {
    use crate::inbound::BadWebhookSecret;
    for (text, why) in [
        ("short", BadWebhookSecret::ShortPath),
        ("a secret with blanks, longer than it must be", BadWebhookSecret::Path),
        ("slashes/part/a/path/so/it/is/refused", BadWebhookSecret::Path),
    ] {
        assert_eq!(WebhookSecret::path(&SecretString::from(text)).unwrap_err(), why, "{text}");
    }
}

#[test]
fn a_booking_becomes_a_hint_that_names_its_code_and_nothing_else() {
    let body = booking("HOLD", "0.00", json!({"sku": "kayak", "qty": "1"}));
    assert_eq!(hinted(&body).0, "KMVQ-060314");
    let Reading::Hint { body: hint, .. } = read(&source(), body.to_string().as_bytes()) else { panic!() };
    let text = serde_json::to_string(&hint).unwrap();
    assert!(!text.contains("example.com") && !text.contains("Anna") && !text.contains("48.30"), "{text}");
}

#[test]
fn both_events_of_one_status_change_are_one_and_another_state_is_another() {
    let one = hinted(&booking("PEND", "0.00", json!({"qty": "1"}))).1;
    assert_eq!(one, hinted(&booking("PEND", "0.00", json!({"qty": "1"}))).1);
    assert_ne!(one, hinted(&booking("PEND", "0.00", json!([{"qty": "1"}, {"qty": "2"}]))).1);
    assert_ne!(one, hinted(&booking("PAID", "0.00", json!([]))).1);
    assert_ne!(one, hinted(&booking("PEND", "10.00", json!([]))).1);
}

#[test]
fn a_payment_names_the_code_though_the_field_says_id() {
    for (status, amount) in [("PAID", "27.00"), ("REFUND", "27.00")] {
        let body = json!({"version": "3.0", "host": "tours.checkfront.com", "type": "transaction", "action": "insert",
            "transaction": {"transaction_id": "9", "date": 1_394_140_000, "status": status, "amount": amount,
                "gateway_id": "stripe", "payment_mask": "1111", "booking_id": "KMVQ-060314"}});
        assert_eq!(hinted(&body).0, "KMVQ-060314");
    }
}

#[test]
fn xml_and_forms_are_kept_with_the_words_on_what_to_choose() {
    for text in ["<?xml version=\"1.0\"?><checkfront-notify/>", "code=KMVQ-060314&status=PAID"] {
        assert!(reason(text).contains("choose JSON"), "{text}");
        assert_eq!(verified(Some(SECRET), text), Ok(()), "kept, not refused: a person must see it");
    }
}

#[test]
fn what_names_no_booking_is_kept_with_its_reason() {
    let named = |mut body: Value| {
        body["host"] = json!("tours.checkfront.com");
        reason(&body.to_string())
    };
    assert!(named(json!({"booking": {"code": {}}})).starts_with("booking.code"));
    assert!(named(json!({"booking": {"code": "4411"}})).starts_with("booking.code"));
    assert!(named(json!({"booking": {"code": "anna@example.com"}})).starts_with("booking.code"));
    assert!(named(json!({"type": "transaction", "transaction": {}})).starts_with("transaction.booking_id"));
    assert!(named(json!({"hello": 1})).starts_with("neither"));
    assert!(reason("{\"booking\":{\"code\":\"KMVQ-060314\"}}").starts_with("host"));
    assert_eq!(reason("{\"booking\""), "no JSON");
}

#[test]
fn one_body_is_kept_for_each_reason_since_nobody_signed_it() {
    let key = |code: Value| {
        let body = json!({"host": "tours.checkfront.com", "booking": {"code": code}}).to_string();
        match read(&source(), body.as_bytes()) {
            Reading::Parked { body: Body::Parked { event, .. }, .. } => event.expect("a key of its own"),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(key(json!("4411")), key(json!("4412")), "whoever knows the path cannot fill the list");
}

#[test]
fn items_rates_and_calendars_are_unused() {
    for kind in ["item", "rate", "event"] {
        let body = json!({"host": "tours.checkfront.com", "type": kind, "action": "update"}).to_string();
        assert_eq!(read(&source(), body.as_bytes()), Reading::Unused);
    }
}

#[test]
fn hosts_are_compared_without_port_and_path() {
    for (base, host) in [
        ("https://tours.checkfront.com", "tours.checkfront.com"),
        ("http://127.0.0.1:9101/x", "127.0.0.1"),
        ("https://tours.checkfront.com/", "tours.checkfront.com"),
    ] {
        assert_eq!(host_of(base), host);
    }
}
