//! The signature's grammar, and what becomes of events of every shape.

use secrecy::SecretString;
use serde_json::json;

use super::*;
use crate::inbound::BadWebhookSecret;

const NOW: UnixTime = UnixTime(1_795_000_000);
const BODY: &[u8] = b"{\"id\":\"evt_1\"}\r\n";

fn secret(tail: &str) -> WebhookSecret {
    WebhookSecret::stripe(&SecretString::from(format!("whsec_{tail}"))).unwrap()
}

fn current() -> WebhookSecret {
    secret("a1b2c3d4e5f6g7h8i9j0k1l2")
}

fn check(header: &str) -> Result<(), Refusal> {
    verify(header, BODY, &[current()], NOW)
}

fn v1() -> String {
    sign(&current(), BODY, NOW).split_once("v1=").unwrap().1.to_owned()
}

#[test]
fn a_good_signature_passes_in_any_order_beside_unknown_items() {
    let (t, v1) = (NOW.0, v1());
    assert_eq!(check(&format!("t={t},v1={v1}")), Ok(()));
    assert_eq!(check(&format!("v1={v1},t={t},v0=00,x=y")), Ok(()));
    assert_eq!(check(&format!("t={t},v1=00,v1={v1}")), Ok(()));
    let both = [secret("z1b2c3d4e5f6g7h8i9j0k1l2"), current()];
    assert_eq!(verify(&format!("t={t},v1={v1}"), BODY, &both, NOW), Ok(()));
}

#[test]
fn the_key_is_the_whole_text_of_the_secret() {
    let header = sign(&current(), b"{}", NOW);
    let mut mac =
        <hmac::Hmac<sha2::Sha256> as hmac::KeyInit>::new_from_slice(b"whsec_a1b2c3d4e5f6g7h8i9j0k1l2")
            .unwrap();
    hmac::Mac::update(&mut mac, b"1795000000.{}");
    let expected = hex::encode(hmac::Mac::finalize(mac).into_bytes());
    assert_eq!(header, format!("t=1795000000,v1={expected}"));
}

#[test]
fn only_v1_counts() {
    let (t, v1) = (NOW.0, v1());
    for scheme in ["v0", "v2", "V1", "v01"] {
        assert_eq!(check(&format!("t={t},{scheme}={v1}")), Err(Refusal::Scheme), "{scheme}");
    }
    assert_eq!(check(&format!("t={t}")), Err(Refusal::Scheme));
}

#[test]
fn the_time_is_digits_once_and_within_five_minutes_either_way() {
    for shift in [-300, 300] {
        assert_eq!(verify(&sign(&current(), BODY, NOW), BODY, &[current()], UnixTime(NOW.0 + shift)), Ok(()));
    }
    for shift in [-301, 301] {
        let header = sign(&current(), BODY, NOW);
        assert_eq!(verify(&header, BODY, &[current()], UnixTime(NOW.0 + shift)), Err(Refusal::Time));
    }
    let v1 = v1();
    for t in ["", "+1795000000", " 1795000000", "1e9", "-1795000000", "0x6b", "9223372036854775808"] {
        assert_eq!(check(&format!("t={t},v1={v1}")), Err(Refusal::Malformed), "{t}");
    }
    assert_eq!(check(&format!("v1={v1}")), Err(Refusal::Malformed));
}

#[test]
fn two_headers_joined_by_a_comma_are_refused() {
    let header = sign(&current(), BODY, NOW);
    assert_eq!(check(&format!("{header},{header}")), Err(Refusal::Malformed));
    assert_eq!(check(&format!("{header}, {header}")), Err(Refusal::Malformed));
}

#[test]
fn limits_come_before_hashing() {
    let (t, v1) = (NOW.0, v1());
    let eight = format!("t={t},{}v1={v1}", "v1=00,".repeat(7));
    assert_eq!(check(&eight), Ok(()));
    assert_eq!(check(&format!("{eight},v1=00")), Err(Refusal::Limit));
    assert_eq!(check(&"a".repeat(4097)), Err(Refusal::Limit));
    assert_eq!(verify(&sign(&current(), b"", NOW), b"", &[current()], NOW), Err(Refusal::Empty));
}

#[test]
fn exact_bytes_are_signed_whatever_they_are() {
    let bodies: [&[u8]; 5] =
        [b"{\n  \"a\": 1\n}", "{\"a\":\"ü\"}".as_bytes(), b"{}\r\n", b"\xef\xbb\xbf{}", b"\xff\xfe"];
    for body in bodies {
        let header = sign(&current(), body, NOW);
        assert_eq!(verify(&header, body, &[current()], NOW), Ok(()));
        let mut longer = body.to_vec();
        longer.push(b' ');
        assert_eq!(verify(&header, &longer, &[current()], NOW), Err(Refusal::Mismatch));
    }
}

#[test]
fn an_empty_or_short_secret_cannot_be_loaded() {
    let load = |text: &str| WebhookSecret::stripe(&SecretString::from(text)).unwrap_err();
    assert_eq!(load(""), BadWebhookSecret::Prefix);
    assert_eq!(load("whsec_short"), BadWebhookSecret::Short);
    assert_eq!(load("a1b2c3d4e5f6g7h8i9j0k1l2m3"), BadWebhookSecret::Prefix);
    assert_eq!(check(&format!("t={},v1={}", NOW.0, "00".repeat(32))), Err(Refusal::Mismatch));
}

fn source() -> StripeSource {
    StripeSource {
        name: "stripe".into(),
        account: "acct_1".into(),
        connect: false,
        livemode: false,
        base_url: "https://api.stripe.com".into(),
        api_keys: BTreeMap::new(),
        webhook_secrets: vec!["s".into()],
    }
}

fn event(event_type: &str, object: &Value) -> Value {
    json!({ "id": "evt_1", "object": "event", "type": event_type, "livemode": false, "created": 1,
            "api_version": "2026-10-28.endive", "data": { "object": object } })
}

fn read_value(value: &Value) -> Reading {
    read(&source(), value.to_string().as_bytes())
}

fn hint(value: &Value) -> (Queue, StripeHint) {
    match read_value(value) {
        Reading::Hint { queue, body: Body::Stripe(hint), .. } => (queue, hint),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_hint_carries_ids_and_our_metadata_and_nothing_personal() {
    let object = json!({
        "id": "pi_1", "object": "payment_intent", "customer": { "id": "cus_1", "email": "buyer@example.com" },
        "latest_charge": "ch_1", "client_secret": "pi_1_secret_2", "receipt_email": "buyer@example.com",
        "metadata": { "tandem_order": "demo#checkout#shop#1", "note": "call 555-1234", "tandem_x": "buyer@example.com" },
    });
    let (queue, hint) = hint(&event("payment_intent.succeeded", &object));
    assert_eq!(queue, Queue::Payments);
    assert_eq!((hint.object_type.as_str(), hint.object_id.as_str()), ("payment_intent", "pi_1"));
    assert_eq!(hint.refs["charge"], "ch_1");
    assert_eq!(hint.refs["customer"], "cus_1");
    assert_eq!(hint.metadata, [("tandem_order".to_owned(), "demo#checkout#shop#1".to_owned())].into());
    let text = serde_json::to_string(&hint).unwrap();
    for canary in ["example.com", "secret", "555"] {
        assert!(!text.contains(canary), "{text}");
    }
}

#[test]
fn types_go_to_their_owner_s_queue() {
    for (event_type, queue) in [
        ("payment_intent.payment_failed", Some(Queue::Payments)),
        ("payment_intent.a_type_of_next_year", Some(Queue::Payments)),
        ("charge.dispute.created", Some(Queue::Payments)),
        ("checkout.session.expired", Some(Queue::Payments)),
        ("payment_method.automatically_updated", None),
        ("refund.failed", Some(Queue::Refunds)),
        ("charge.succeeded", None),
        ("charge.updated", None),
        ("charge.refunded", None),
        ("payment_intent.created", None),
        ("customer.created", None),
        ("invoice.paid", None),
        ("payment_method.attached", None),
    ] {
        assert_eq!(route(event_type), queue, "{event_type}");
    }
}

#[test]
fn an_event_of_another_mode_or_account_is_told_apart() {
    let object = json!({ "id": "pi_1", "object": "payment_intent" });
    let mut live = event("payment_intent.succeeded", &object);
    live["livemode"] = true.into();
    assert_eq!(read_value(&live), Reading::WrongWorld);
    let mut other = event("payment_intent.succeeded", &object);
    other["account"] = "acct_2".into();
    assert_eq!(read_value(&other), Reading::WrongWorld);
    other["account"] = "acct_1".into();
    hint(&other);
    let connected = StripeSource { connect: true, ..source() };
    let own = event("payment_intent.succeeded", &object).to_string();
    assert_eq!(read(&connected, own.as_bytes()), Reading::WrongWorld);
}

#[test]
fn signed_but_unreadable_events_are_parked() {
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    let no_object = event("payment_intent.succeeded", &json!({})).to_string();
    let odd_id = event("payment_intent.succeeded", &json!({ "id": "a b", "object": "charge" })).to_string();
    let thin =
        json!({ "id": "evt_1", "object": "v2.core.event", "type": "v1.x", "livemode": false }).to_string();
    let no_mode = json!({ "id": "evt_1", "object": "event", "type": "payment_intent.succeeded" }).to_string();
    for (text, event) in [
        ("not json", None),
        (deep.as_str(), None),
        (no_object.as_str(), Some("evt_1")),
        (odd_id.as_str(), Some("evt_1")),
        (thin.as_str(), Some("evt_1")),
        (no_mode.as_str(), Some("evt_1")),
    ] {
        let Reading::Parked { queue: Queue::Payments, body: Body::Parked { event: id, size, sha256, .. } } =
            read(&source(), text.as_bytes())
        else {
            panic!("{text:.60}")
        };
        assert_eq!((id.as_deref(), size), (event, text.len()));
        assert_eq!(sha256, sha256_hex(text.as_bytes()));
    }
}

#[test]
fn an_unused_type_is_unused_whatever_its_object_is() {
    assert_eq!(read_value(&event("customer.created", &json!(null))), Reading::Unused);
}

#[test]
fn every_listed_type_has_a_queue_and_stripe_takes_the_list_in_one_request() {
    assert!(LISTED_TYPES.iter().all(|t| route(t).is_some()));
    assert!(LISTED_TYPES.len() <= 20);
}
