//! What is read after a signature held, and what Lambda hands over.

use std::cell::RefCell;
use std::sync::OnceLock;
use std::time::Duration;

use base64::Engine as _;
use serde::de::IgnoredAny;
use serde_json::Value;
use shared::batch::{Deadline, Record, run_batch};
use shared::config::{Config, SHIPPED_TOML};
use shared::error::Disposition;
use shared::inbound::{Reading, checkout, stripe};
use shared::lambda::{RawHttp, http_event, records};
use shared::queue::{Body, MESSAGE_VERSION, Message};

/// A message of ours is small: SQS would take 1 MiB, and a dead letter is read by people.
const MESSAGE_BYTES_MAX: usize = 8 * 1024;

fn config() -> &'static Config {
    static CONFIG: OnceLock<Config> = OnceLock::new();
    CONFIG.get_or_init(|| match Config::parse(SHIPPED_TOML, &|_| None) {
        Ok(config) => config,
        Err(errors) => panic!("{errors}"),
    })
}

/// The JSON of a body. A field that nobody reads may hold bytes that are no UTF-8: the product does not look at them.
fn json(data: &[u8]) -> Option<Value> {
    serde_json::from_str(&String::from_utf8_lossy(data)).ok()
}

/// By its grammar alone: a field that nobody reads may hold a number past any float.
pub(crate) fn is_json_object(data: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(data).is_ok() && data.trim_ascii_start().starts_with(b"{")
}

/// What may be queued: small, and read back as it was.
pub(crate) fn may_be_queued(body: &Body) {
    let message = Message::new("corr", body.clone());
    let text = match serde_json::to_string(&message) {
        Ok(text) => text,
        Err(error) => panic!("a message that cannot be written: {error}"),
    };
    assert!(text.len() <= MESSAGE_BYTES_MAX, "{} bytes", text.len());
    assert_eq!(serde_json::from_str::<Message>(&text).ok(), Some(message));
}

/// A parked body carries its hash and size, whatever it was.
pub(crate) fn is_parked_with_its_size(body: &Body, data: &[u8]) {
    let Body::Parked { size, sha256, .. } = body else { panic!("{body:?} is not parked") };
    assert_eq!((*size, sha256.as_str()), (data.len(), shared::inbound::sha256_hex(data).as_str()));
}

/// A signed body of Stripe's: what it hints at is what a plain look at the JSON finds.
pub fn stripe_event(data: &[u8]) {
    let Some(source) = config().stripe("stripe") else { return };
    let reading = stripe::read(source, data);
    match &reading {
        Reading::Hint { body, event, .. } => {
            may_be_queued(body);
            let Body::Stripe(hint) = body else { panic!("{body:?} is no hint of Stripe's") };
            let value = json(data).unwrap_or_default();
            assert_eq!(value["id"].as_str(), Some(event.as_str()));
            assert_eq!(value["type"].as_str(), Some(hint.event_type.as_str()));
            assert_eq!(value["livemode"].as_bool(), Some(source.livemode));
            let object = &value["data"]["object"];
            assert_eq!(object["id"].as_str(), Some(hint.object_id.as_str()));
            for (key, told) in &hint.metadata {
                assert_eq!(object["metadata"][key].as_str(), Some(told.as_str()));
            }
        }
        Reading::Parked { body, .. } => {
            may_be_queued(body);
            is_parked_with_its_size(body, data);
        }
        Reading::Unused | Reading::WrongWorld => {
            assert!(is_json_object(data), "only what was read may be passed over");
        }
    }
    assert_eq!(reading, stripe::read(source, data), "read again it says the same");
}

/// A signed notice of a shop.
pub fn order_notice(data: &[u8]) {
    let Some(source) = config().shop("shop") else { return };
    match checkout::read(source, "msg_1", data) {
        Reading::Hint { body, event, .. } => {
            may_be_queued(&body);
            assert_eq!(event, "msg_1");
            let Body::Order { order_id, version, .. } = &body else { panic!("{body:?} names no order") };
            let value = json(data).unwrap_or_default();
            let told = &value["data"]["id"];
            let told = told.as_str().map_or_else(|| told.to_string(), str::to_owned);
            assert_eq!(*order_id, told);
            assert_eq!(*version, value["data"]["version"].as_u64());
        }
        Reading::Parked { body, .. } => {
            may_be_queued(&body);
            is_parked_with_its_size(&body, data);
        }
        Reading::Unused => {
            assert!(is_json_object(data), "only what was read may be passed over");
            if let Some(value) = json(data) {
                assert!(value["type"].as_str().is_some_and(|t| !t.starts_with("order.")));
            }
        }
        Reading::WrongWorld => panic!("a shop has one world"),
    }
}

/// A payload of API Gateway's: the body is the bytes that were sent, and nothing over a limit passes.
pub fn gateway_event(data: &[u8]) {
    let Ok(value) = serde_json::from_slice::<Value>(data) else { return };
    let Ok(raw) = serde_json::from_slice::<RawHttp>(data) else { return };
    match http_event(raw) {
        Ok(event) => {
            assert!(event.body.len() <= 1024 * 1024);
            assert!(event.header_bytes() <= 16 * 1024);
            assert!(event.headers.iter().all(|(name, _)| *name == name.to_ascii_lowercase()));
            assert_eq!(event.method, event.method.to_ascii_uppercase());
            let sent = value["body"].as_str().unwrap_or_default();
            if value["isBase64Encoded"] == true {
                let encoded = base64::engine::general_purpose::STANDARD.encode(&event.body);
                assert_eq!(encoded.trim_end_matches('='), sent.trim_end_matches('='));
            } else {
                assert_eq!(event.body, sent.as_bytes());
            }
            for (name, _) in &event.headers {
                let times = event.headers.iter().filter(|(n, _)| n == name).count();
                assert_eq!(event.header(name).is_some(), times == 1, "{name} occurs {times} times");
            }
        }
        Err(reply) => assert!((400..500).contains(&reply.status)),
    }
}

/// Whether a worker can read a message, by a plain look at it.
fn readable(body: &str) -> bool {
    serde_json::from_str::<Message>(body).is_ok_and(|m| m.v <= MESSAGE_VERSION)
}

/// A batch of SQS: exactly the unreadable messages come back, the others are handled once each.
pub fn sqs_batch(data: &[u8]) {
    let Ok(event) = serde_json::from_slice(data) else { return };
    let records: Vec<Record> = records(event);
    let mut unreadable: Vec<String> =
        records.iter().filter(|r| !readable(&r.body)).map(|r| r.id.clone()).collect();
    let good = records.len() - unreadable.len();
    let handled = RefCell::new(0);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_time().build() {
        Ok(runtime) => runtime,
        Err(error) => panic!("{error}"),
    };
    let mut failed =
        runtime.block_on(run_batch(records, 3, Deadline::after(Duration::from_secs(60)), |_| {
            *handled.borrow_mut() += 1;
            async { Ok::<_, std::fmt::Error>(Disposition::Done) }
        }));
    failed.sort_unstable();
    unreadable.sort_unstable();
    assert_eq!(failed, unreadable);
    assert_eq!(*handled.borrow(), good);
}
