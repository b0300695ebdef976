//! WooCommerce's deliveries: `base64(HMAC-SHA256(body, secret))` beside a body that is the order as it is when it leaves.
//!
//! Invariant: of the body only the order's id and the time of its last change are read. The delivery's own id is the same
//! for all of one second, so a delivery is told apart by its bytes.

use base64::Engine as _;
use serde::Deserialize;
use serde_json::Value;

use super::shop::Proven;
use super::{
    Reading, Refusal, SIGNATURE_BYTES_MAX, WebhookSecret, base64_signature, may_be_object, parked, sha256_hex,
};
use crate::config::ShopSource;
use crate::queue::{Body, Queue};

/// The signature.
pub const SIGNATURE_HEADER: &str = "x-wc-webhook-signature";
/// What happened, e.g. `order.updated`.
pub const TOPIC_HEADER: &str = "x-wc-webhook-topic";

/// Checks who sent it. The call by which a new webhook is tried out is not signed and says nothing: a ping.
pub fn verify(signature: Option<&str>, body: &[u8], secrets: &[WebhookSecret]) -> Result<Proven, Refusal> {
    let Some(signature) = signature else {
        return if is_ping(body) { Ok(Proven::Ping) } else { Err(Refusal::Header) };
    };
    if body.is_empty() {
        return Err(Refusal::Empty);
    }
    if signature.len() > SIGNATURE_BYTES_MAX {
        return Err(Refusal::Limit);
    }
    base64_signature(signature, secrets, body).map(|()| Proven::Sender)
}

/// The signature of a body: for whoever plays the shop.
pub fn sign(secret: &WebhookSecret, body: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(secret.sign(&[body]))
}

/// `webhook_id=4`, and nothing else.
fn is_ping(body: &[u8]) -> bool {
    let id = body.strip_prefix(b"webhook_id=").unwrap_or_default();
    (1..=20).contains(&id.len()) && id.iter().all(u8::is_ascii_digit)
}

#[derive(Deserialize)]
struct Changed {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    date_modified_gmt: Value,
}

/// Reads a verified body.
pub fn read(source: &ShopSource, topic: Option<&str>, bytes: &[u8]) -> Reading {
    let park = |reason: &str| parked(Queue::Orders, &source.name, None, bytes, reason);
    match topic {
        Some(topic) if !topic.starts_with("order.") => return Reading::Unused,
        Some(_) => {}
        None => return park("the header X-WC-Webhook-Topic is missing"),
    }
    if !may_be_object(bytes) {
        return park("no JSON object");
    }
    let Ok(changed) = serde_json::from_slice::<Changed>(bytes) else { return park("no JSON") };
    let Some(id) = changed.id.as_u64().filter(|id| *id > 0) else {
        return park("id is missing or no whole number above 0");
    };
    let version = changed.date_modified_gmt.as_str().and_then(seconds);
    let sha256 = sha256_hex(bytes);
    let event: String = sha256.chars().take(32).collect();
    let body = Body::Order {
        source: source.name.clone(),
        order_id: id.to_string(),
        version,
        event: event.clone(),
        sha256: Some(sha256),
    };
    Reading::Hint { queue: Queue::Orders, body, event }
}

/// A time as WooCommerce writes it in fields that end in `_gmt`: without a zone.
pub(crate) fn seconds(text: &str) -> Option<u64> {
    let text = text.trim_end_matches('Z');
    let time = format!("{text}Z").parse::<jiff::Timestamp>().ok()?;
    u64::try_from(time.as_second()).ok()
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;
    use crate::config::{System, woo::Woo};

    fn source() -> ShopSource {
        ShopSource {
            name: "woo".into(),
            base_url: "https://shop.example.com".into(),
            stripe: "stripe".into(),
            api_key: "k".into(),
            webhook_secrets: vec!["s".into()],
            system: System::Woo(Woo::default()),
        }
    }

    fn secret(text: &str) -> WebhookSecret {
        WebhookSecret::text(&SecretString::from(text.to_owned())).unwrap()
    }

    fn reading(text: &str) -> Reading {
        read(&source(), Some("order.updated"), text.as_bytes())
    }

    const BODY: &[u8] = br#"{"id":727,"status":"pending","total":"29.35","currency":"USD"}"#;
    const SIGNATURE: &str = "0L+5zHj3lqwgi9JSuu2tGUNW2ThIvFaEl3Qpi1Gy+Ok=";

    #[test]
    fn the_signature_is_base64_of_an_hmac_over_the_raw_body() {
        // The vector's secret has 11 bytes: shorter than one that is accepted from a configuration.
        let known = WebhookSecret(b"shhh-secret".to_vec().into());
        let old = secret("a secret of sixteen bytes");
        let sender = Ok(Proven::Sender);
        assert_eq!(verify(Some(SIGNATURE), BODY, &[old.clone(), known.clone()]), sender, "an older secret");
        assert_eq!(verify(Some(SIGNATURE), BODY, &[old]), Err(Refusal::Mismatch));
        let spaced = String::from_utf8_lossy(BODY).replace(":7", ": 7");
        assert_eq!(
            verify(Some(SIGNATURE), spaced.as_bytes(), std::slice::from_ref(&known)),
            Err(Refusal::Mismatch)
        );
        assert_eq!(verify(Some("not base64!"), BODY, std::slice::from_ref(&known)), Err(Refusal::Malformed));
        assert_eq!(verify(Some(&"A".repeat(5000)), BODY, std::slice::from_ref(&known)), Err(Refusal::Limit));
        assert_eq!(verify(Some(SIGNATURE), b"", std::slice::from_ref(&known)), Err(Refusal::Empty));
        assert_eq!(verify(None, BODY, &[known]), Err(Refusal::Header));
    }

    #[test]
    fn a_secret_is_any_text_of_sixteen_bytes_and_signs_as_it_is() {
        for text in ["quotes \" and & and <x>", "sixteen bytes ok"] {
            let key = secret(text);
            let signature = sign(&key, BODY);
            assert_eq!(verify(Some(&signature), BODY, &[key]), Ok(Proven::Sender));
        }
        let short = WebhookSecret::text(&SecretString::from("fifteen bytes!!".to_owned())).unwrap_err();
        assert!(short.to_string().contains("fewer than 16 bytes"), "{short}");
    }

    #[test]
    fn the_unsigned_call_of_a_new_webhook_is_a_ping_and_nothing_like_it_is() {
        assert_eq!(verify(None, b"webhook_id=4", &[]), Ok(Proven::Ping));
        for body in ["webhook_id=", "webhook_id=4&id=34", "webhook_id=x", "{\"webhook_id\":4}", "", "id=4"] {
            assert_eq!(verify(None, body.as_bytes(), &[]), Err(Refusal::Header), "{body}");
        }
        assert!(verify(Some("AAAA"), b"webhook_id=4", &[secret("a secret of sixteen bytes")]).is_err());
    }

    #[test]
    fn a_delivery_becomes_a_hint_that_names_the_order_and_its_time_and_nothing_else() {
        let text =
            r#"{"id":34,"date_modified_gmt":"2026-11-21T03:38:14","billing":{"email":"zoe@example.com"}}"#;
        let Reading::Hint { queue: Queue::Orders, body, event } = reading(text) else { panic!() };
        assert!(!serde_json::to_string(&body).unwrap().contains("example.com"));
        let Body::Order { order_id, version, source, sha256, .. } = body else { panic!() };
        assert_eq!((order_id.as_str(), version, source.as_str()), ("34", Some(1_795_232_294), "woo"));
        assert!(sha256.unwrap().starts_with(&event), "the event is known by its bytes");
        let Reading::Hint { event: other, .. } = reading(&text.replace("03:38:14", "03:38:15")) else {
            panic!()
        };
        assert_ne!(event, other);
        assert_eq!(reading(text), reading(text), "the same body twice is one event");
    }

    #[test]
    fn a_deleted_order_is_its_id_alone() {
        let reading = read(&source(), Some("order.deleted"), br#"{"id":34}"#);
        let Reading::Hint { body: Body::Order { order_id, version, .. }, .. } = reading else { panic!() };
        assert_eq!((order_id.as_str(), version), ("34", None));
    }

    #[test]
    fn other_topics_are_unused() {
        for topic in
            ["product.updated", "customer.created", "action.woocommerce_order_refunded", "coupon.deleted"]
        {
            assert_eq!(read(&source(), Some(topic), br#"{"id":34}"#), Reading::Unused, "{topic}");
        }
    }

    #[test]
    fn what_is_signed_but_unreadable_is_parked_with_a_reason_that_names_no_one() {
        for (text, names) in [
            ("hello", "JSON object"),
            ("[]", "JSON object"),
            ("{", "no JSON"),
            ("{}", "id is missing"),
            (r#"{"id":"zoe@example.com"}"#, "id is missing or no whole number"),
            (r#"{"id":0}"#, "above 0"),
            (r#"{"id":-4}"#, "above 0"),
            (r#"{"id":3.5}"#, "whole number"),
        ] {
            let Reading::Parked { queue: Queue::Orders, body: Body::Parked { reason, size, sha256, .. } } =
                reading(text)
            else {
                panic!("{text}")
            };
            assert!(reason.contains(names) && !reason.contains("example"), "{text}: {reason}");
            assert_eq!((size, sha256), (text.len(), sha256_hex(text.as_bytes())));
        }
        assert!(matches!(read(&source(), None, br#"{"id":34}"#), Reading::Parked { .. }));
    }

    #[test]
    fn a_time_that_is_none_is_no_version() {
        for (text, at) in [
            ("2026-11-21T03:38:14", Some(1_795_232_294)),
            ("2026-11-21T03:38:14Z", Some(1_795_232_294)),
            ("1969-12-31T23:59:59", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(seconds(text), at, "{text:?}");
        }
    }
}
