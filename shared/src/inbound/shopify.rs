//! A delivery of Shopify: base64 HMAC-SHA256 over the raw body. Of the REST-shaped body only the order's id and times are
//! read; the order itself is read from the store.
//!
//! Invariant: topic, store and ids stand in headers that nobody signed, so they choose at most which order is looked at.
//! A delivery that names another store is refused.

use serde_json::Value;

use super::shop::{Delivery, authority_of};
use super::{Reading, Refusal, WebhookSecret, base64_signature, may_be_object, parked, sha256_hex};
use crate::config::ShopSource;
use crate::queue::{Body, Queue};

/// Topics besides `orders/..` whose body names its order as `order_id`.
const NAMES_ORDER: [&str; 5] = [
    "refunds/create",
    "order_transactions/create",
    "disputes/create",
    "disputes/update",
    "fulfillments/create",
];

/// A header by its name after the prefix: `X-Shopify-Topic`, or `Shopify-Topic` of the newer deliveries.
fn header<'a>(delivery: &Delivery<'a>, name: &str) -> Option<&'a str> {
    let with = format!("x-shopify-{name}");
    (delivery.header)(&with).or_else(|| (delivery.header)(&with[2..]))
}

/// Checks the signature over the exact bytes, and that the delivery is meant for this store.
pub fn verify(
    source: &ShopSource,
    delivery: &Delivery<'_>,
    secrets: &[WebhookSecret],
) -> Result<(), Refusal> {
    if delivery.body.is_empty() {
        return Err(Refusal::Empty);
    }
    let shown = header(delivery, "hmac-sha256").ok_or(Refusal::Header)?;
    if shown.len() > 100 {
        return Err(Refusal::Limit);
    }
    base64_signature(shown.trim(), secrets, delivery.body)?;
    // One app signs for all stores that installed it with one secret.
    match header(delivery, "shop-domain") {
        Some(shop) if !shop.eq_ignore_ascii_case(authority_of(&source.base_url)) => Err(Refusal::OtherShop),
        _ => Ok(()),
    }
}

/// Reads a verified delivery.
pub fn read(source: &ShopSource, delivery: &Delivery<'_>) -> Reading {
    let id = header(delivery, "event-id").or_else(|| header(delivery, "webhook-id")).filter(|id| is_word(id));
    let sha256 = sha256_hex(delivery.body);
    let topic = header(delivery, "topic").filter(|topic| is_word(topic));
    // One action of the merchant has one event id over all its topics.
    let event = format!("{}:{}", topic.unwrap_or("unknown"), id.unwrap_or(&sha256));
    let park = |reason: &str| parked(Queue::Orders, &source.name, Some(event.clone()), delivery.body, reason);
    let Some(topic) = topic else { return park("the topic header is missing or no topic") };
    let of_order = topic.starts_with("orders/");
    if !of_order && !NAMES_ORDER.contains(&topic) {
        return Reading::Unused;
    }
    if !may_be_object(delivery.body) {
        return park("no JSON object");
    }
    let Ok(body) = serde_json::from_slice::<Value>(delivery.body) else { return park("no JSON") };
    let field = if of_order { "id" } else { "order_id" };
    let order_id = match body.get(field) {
        Some(Value::Number(id)) => id.as_u64().filter(|id| *id > 0).map(|id| id.to_string()),
        Some(Value::String(id)) => Some(id.clone()).filter(|id| is_id(id)),
        _ => None,
    };
    let Some(order_id) = order_id else {
        return park(if of_order {
            "id is missing or no order's number"
        } else {
            "order_id is missing or no order's number"
        });
    };
    let hint = Body::Order {
        source: source.name.clone(),
        order_id,
        version: if of_order { version(delivery, &body) } else { None },
        event: event.clone(),
        sha256: Some(sha256),
    };
    Reading::Hint { queue: Queue::Orders, body: hint, event }
}

/// A retry carries the original body however late it comes: no read may lie below the older of its times, and above it
/// anything may.
fn version(delivery: &Delivery<'_>, body: &Value) -> Option<u64> {
    let seconds = |text: &str| {
        text.parse::<jiff::Timestamp>().ok().and_then(|time| u64::try_from(time.as_second()).ok())
    };
    let updated = body.get("updated_at").and_then(Value::as_str).and_then(seconds)?;
    let triggered = header(delivery, "triggered-at").and_then(seconds).unwrap_or(updated);
    Some(updated.min(triggered))
}

/// The numeric part of an order's global id.
pub fn is_id(id: &str) -> bool {
    (1..=20).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_digit()) && !id.starts_with('0')
}

fn is_word(text: &str) -> bool {
    (1..=100).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-./".contains(&b))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use base64::Engine as _;
    use hmac::{Hmac, KeyInit as _, Mac as _};
    use secrecy::SecretString;
    use sha2::Sha256;

    use super::*;
    use crate::config::System;
    use crate::config::shopify::Shopify;

    const SECRET: &str = "an app's own client secret";
    const ORDER: &str = r#"{"id":450789469,"admin_graphql_api_id":"gid://shopify/Order/450789469","updated_at":"2026-11-20T12:00:30-05:00","email":"buyer@example.com","total_price":"12.50"}"#;

    fn source() -> ShopSource {
        ShopSource {
            name: "tea".into(),
            base_url: "https://tea.myshopify.com".into(),
            stripe: "stripe".into(),
            api_key: "k".into(),
            webhook_secrets: vec!["s".into()],
            system: System::Shopify(Shopify::defaults(false)),
        }
    }

    fn key(text: &str) -> WebhookSecret {
        WebhookSecret::text(&SecretString::from(text.to_owned())).unwrap()
    }

    fn sign(secret: &str, body: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(body.as_bytes());
        base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
    }

    /// A delivery with these headers; names without the prefix.
    fn with<T>(headers: &[(&str, &str)], prefix: &str, body: &str, f: impl FnOnce(&Delivery<'_>) -> T) -> T {
        let headers: BTreeMap<String, String> =
            headers.iter().map(|(n, v)| (format!("{prefix}{n}"), (*v).to_owned())).collect();
        let header = |name: &str| headers.get(name).map(String::as_str);
        f(&Delivery { header: &header, path_secret: None, body: body.as_bytes() })
    }

    #[test]
    fn the_published_vector_verifies() {
        let body = r#"{"id":727,"status":"pending","total":"29.35","currency":"USD"}"#;
        let signature = "0L+5zHj3lqwgi9JSuu2tGUNW2ThIvFaEl3Qpi1Gy+Ok=";
        assert_eq!(sign("shhh-secret", body), signature);
        let short = WebhookSecret::text(&SecretString::from("shhh-secret".to_owned()));
        assert!(short.is_err(), "eleven bytes are no secret of an app");
    }

    #[test]
    fn both_spellings_of_the_headers_and_both_secrets_of_a_rotation_are_taken() {
        for prefix in ["x-shopify-", "shopify-"] {
            for secret in [SECRET, "the client secret before"] {
                let headers =
                    [("hmac-sha256", sign(secret, ORDER)), ("shop-domain", "Tea.myshopify.com".into())];
                let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
                let secrets = [key(SECRET), key("the client secret before")];
                with(&headers, prefix, ORDER, |d| assert_eq!(verify(&source(), d, &secrets), Ok(())));
            }
        }
    }

    #[test]
    fn what_is_forged_altered_or_meant_for_another_store_is_refused() {
        let good = sign(SECRET, ORDER);
        let secrets = [key(SECRET)];
        let refused = |headers: &[(&str, &str)], body: &str| {
            with(headers, "x-shopify-", body, |d| verify(&source(), d, &secrets))
        };
        assert_eq!(refused(&[], ORDER), Err(Refusal::Header));
        assert_eq!(refused(&[("hmac-sha256", "no base64!")], ORDER), Err(Refusal::Malformed));
        assert_eq!(refused(&[("hmac-sha256", &"A".repeat(200))], ORDER), Err(Refusal::Limit));
        assert_eq!(
            refused(&[("hmac-sha256", &sign("somebody else's secret", ORDER))], ORDER),
            Err(Refusal::Mismatch)
        );
        assert_eq!(
            refused(&[("hmac-sha256", &good)], &ORDER.replace("12.50", "0.50")),
            Err(Refusal::Mismatch)
        );
        assert_eq!(refused(&[("hmac-sha256", &good)], ""), Err(Refusal::Empty));
        let other = [("hmac-sha256", good.as_str()), ("shop-domain", "coffee.myshopify.com")];
        assert_eq!(refused(&other, ORDER), Err(Refusal::OtherShop));
    }

    fn hint(headers: &[(&str, &str)], body: &str) -> (String, String, Option<u64>) {
        with(headers, "x-shopify-", body, |d| match read(&source(), d) {
            Reading::Hint { queue: Queue::Orders, body, event } => {
                assert!(!serde_json::to_string(&body).unwrap().contains("example.com"));
                let Body::Order { order_id, version, .. } = body else { panic!() };
                (order_id, event, version)
            }
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn one_action_seen_over_two_topics_is_two_deliveries_and_a_repetition_is_one() {
        let create = hint(&[("topic", "orders/create"), ("event-id", "e-1"), ("webhook-id", "w-1")], ORDER);
        let update = hint(&[("topic", "orders/updated"), ("event-id", "e-1"), ("webhook-id", "w-2")], ORDER);
        let again = hint(&[("topic", "orders/updated"), ("event-id", "e-1"), ("webhook-id", "w-3")], ORDER);
        assert_eq!((create.0.as_str(), create.1.as_str()), ("450789469", "orders/create:e-1"));
        assert_ne!(create.1, update.1);
        assert_eq!(update, again);
    }

    #[test]
    fn a_stale_retry_asks_for_no_more_than_the_older_of_its_times() {
        let updated = 1_795_194_030;
        let late = [("topic", "orders/updated"), ("triggered-at", "2026-11-20T18:00:00Z")];
        assert_eq!(hint(&late, ORDER).2, Some(updated));
        let early = [("topic", "orders/updated"), ("triggered-at", "2026-11-20T17:00:00.123456789Z")];
        assert_eq!(hint(&early, ORDER).2, Some(updated - 30));
        assert_eq!(hint(&[("topic", "orders/updated")], r#"{"id":1}"#).2, None);
    }

    #[test]
    fn refunds_and_transactions_name_their_order() {
        for topic in ["refunds/create", "order_transactions/create", "disputes/create"] {
            let body = r#"{"id":1,"order_id":450789469,"created_at":"2026-11-20T12:00:00Z"}"#;
            let (order, _, version) = hint(&[("topic", topic)], body);
            assert_eq!((order.as_str(), version), ("450789469", None), "{topic}");
        }
    }

    #[test]
    fn privacy_requests_and_uninstalling_are_acknowledged_and_not_used() {
        for topic in [
            "customers/data_request",
            "customers/redact",
            "shop/redact",
            "app/uninstalled",
            "products/update",
        ] {
            with(&[("topic", topic)], "x-shopify-", "{}", |d| {
                assert_eq!(read(&source(), d), Reading::Unused, "{topic}");
            });
        }
    }

    #[test]
    fn what_is_signed_but_unreadable_is_parked_with_size_hash_and_the_fields_name() {
        for (topic, body, reason) in [
            ("orders/updated", "hello", "no JSON object"),
            ("orders/updated", "{\"id\":", "no JSON"),
            ("orders/updated", r#"{"id":"buyer@example.com"}"#, "id is missing or no order's number"),
            ("orders/updated", r#"{"id":-5}"#, "id is missing or no order's number"),
            ("refunds/create", r#"{"id":5}"#, "order_id is missing or no order's number"),
            ("buyer@example.com", r#"{"id":5}"#, "the topic header is missing or no topic"),
        ] {
            with(&[("topic", topic), ("event-id", "e")], "x-shopify-", body, |d| match read(&source(), d) {
                Reading::Parked {
                    queue: Queue::Orders,
                    body: Body::Parked { event, size, sha256, reason: why, .. },
                } => {
                    assert_eq!((why.as_str(), size), (reason, body.len()));
                    assert_eq!(sha256, sha256_hex(body.as_bytes()));
                    assert!(!event.unwrap().contains("example.com"));
                }
                other => panic!("{other:?}"),
            });
        }
    }
}
