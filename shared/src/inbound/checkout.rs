//! The notice of the checkout protocol: `{"type": "order.updated", "timestamp": .., "data": {"id": .., "version": ..}}`.
//! Whatever else it holds is left unread: the order itself is read from the shop.

use serde::Deserialize;
use serde_json::Value;

use super::{Reading, may_be_object, parked, sha256_hex};
use crate::config::ShopSource;
use crate::queue::{Body, Queue};

#[derive(Deserialize)]
struct Notice {
    #[serde(rename = "type")]
    notice_type: String,
    #[serde(default)]
    data: Value,
}

/// Reads a verified body. `delivery` is its `webhook-id`.
pub fn read(source: &ShopSource, delivery: &str, bytes: &[u8]) -> Reading {
    let park = |reason: &str| parked(Queue::Orders, &source.name, Some(delivery.to_owned()), bytes, reason);
    if !may_be_object(bytes) {
        return park("no JSON object");
    }
    let notice: Notice = match serde_json::from_slice(bytes) {
        Ok(notice) => notice,
        Err(error) if error.is_data() => return park("no notice: type is missing or no string"),
        Err(_) => return park("no JSON"),
    };
    if !notice.notice_type.starts_with("order.") {
        return Reading::Unused;
    }
    let Some(order_id) = order_id(&notice.data) else {
        return park("data.id is missing or no id of an order");
    };
    let version = match notice.data.get("version") {
        None | Some(Value::Null) => None,
        Some(version) => match version.as_u64() {
            Some(version) => Some(version),
            None => return park("data.version is no whole number"),
        },
    };
    let body = Body::Order {
        source: source.name.clone(),
        order_id,
        version,
        event: delivery.to_owned(),
        sha256: Some(sha256_hex(bytes)),
    };
    Reading::Hint { queue: Queue::Orders, body, event: delivery.to_owned() }
}

/// An id as shops write them (`1001`, `#1001`, `SO/2026/7`). One that could be an e-mail address or a sentence is none:
/// it would travel through queues and logs.
fn order_id(data: &Value) -> Option<String> {
    let id = match data.get("id")? {
        Value::String(id) => id.clone(),
        Value::Number(id) => id.as_u64()?.to_string(),
        _ => return None,
    };
    is_order_id(&id).then_some(id)
}

/// Whether an id may travel: the rule for notices and for listings.
pub fn is_order_id(id: &str) -> bool {
    (1..=100).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.:#/".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::System;

    fn source() -> ShopSource {
        ShopSource {
            name: "shop".into(),
            base_url: "https://shop.example.com".into(),
            stripe: "stripe".into(),
            api_key: "k".into(),
            webhook_secrets: vec!["s".into()],
            system: System::Checkout,
        }
    }

    fn read_text(text: &str) -> Reading {
        read(&source(), "msg_1", text.as_bytes())
    }

    #[test]
    fn a_list_is_no_notice() {
        let Reading::Parked { body: Body::Parked { reason, .. }, .. } =
            read_text(r#"["order.updated", {"id": "1"}]"#)
        else {
            panic!()
        };
        assert_eq!(reason, "no JSON object");
    }

    #[test]
    fn a_notice_becomes_a_hint_that_names_the_order_and_nothing_else() {
        let text = r#"{"type":"order.updated","timestamp":"2026-11-21T00:00:00Z","data":{"id":"1001","version":7,"customer":{"email":"buyer@example.com"}}}"#;
        let Reading::Hint { queue: Queue::Orders, body, event } = read_text(text) else { panic!() };
        assert_eq!(event, "msg_1");
        assert!(!serde_json::to_string(&body).unwrap().contains("example.com"));
        let Body::Order { order_id, version, source, .. } = body else { panic!() };
        assert_eq!((order_id.as_str(), version, source.as_str()), ("1001", Some(7), "shop"));
    }

    #[test]
    fn numbers_and_missing_versions_are_read() {
        let Reading::Hint { body: Body::Order { order_id, version, .. }, .. } =
            read_text(r#"{"type":"order.anything_new","data":{"id":727}}"#)
        else {
            panic!()
        };
        assert_eq!((order_id.as_str(), version), ("727", None));
    }

    #[test]
    fn what_is_signed_but_unreadable_is_parked_with_size_and_hash() {
        for text in [
            "hello",
            "[]",
            "{}",
            r#"{"type":"order.updated"}"#,
            r#"{"type":"order.updated","data":{"id":"buyer@example.com"}}"#,
            r#"{"type":"order.updated","data":{"id":"1","version":"x"}}"#,
        ] {
            let Reading::Parked {
                queue: Queue::Orders,
                body: Body::Parked { event, size, sha256, reason, .. },
            } = read_text(text)
            else {
                panic!("{text}")
            };
            assert_eq!((event.as_deref(), size), (Some("msg_1"), text.len()));
            assert_eq!(sha256, sha256_hex(text.as_bytes()));
            assert!(!reason.contains("example.com"));
        }
    }

    #[test]
    fn other_types_are_unused() {
        assert_eq!(read_text(r#"{"type":"product.updated","data":{"id":"1"}}"#), Reading::Unused);
    }
}
