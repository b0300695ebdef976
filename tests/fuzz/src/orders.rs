//! What WooCommerce, Shopify and Checkfront send and answer, in one form for all: the kind, the headers, an empty line, a body.
//!
//! Invariant: who is believed is judged by a reference written from the systems' own documents, and an order that was read
//! says what the body says of it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use serde_json::Value;

use shared::config::shopify::Shopify;
use shared::config::woo::Woo;
use shared::config::{ShopSource, System};
use shared::domain::time::UnixTime;
use shared::inbound::shop::{self, Delivery, Proven};
use shared::inbound::{Reading, WebhookSecret};
use shared::outbound::http::{Http, HttpRequest, SendError, SendFuture};
use shared::outbound::shop::{OrderSystem as _, ShopClient};
use shared::queue::Body;

use crate::readers::{is_json_object, is_parked_with_its_size, may_be_queued};
use crate::signatures::mac;

const SECRET: &str = "a-secret-of-ours-for-a-fuzzer";
const THEIRS: &str = "a-secret-of-somebody-else";
const HOST: &str = "shop.example.com";

/// Named by the first line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Woo,
    Shopify,
    Checkfront,
}

impl Kind {
    fn of(word: &str) -> Option<Self> {
        [("woocommerce", Self::Woo), ("shopify", Self::Shopify), ("checkfront", Self::Checkfront)]
            .into_iter()
            .find_map(|(name, kind)| (name == word).then_some(kind))
    }

    fn source(self) -> ShopSource {
        ShopSource {
            name: "shop".into(),
            base_url: format!("https://{HOST}"),
            stripe: "stripe".into(),
            api_key: "shop-api-key".into(),
            webhook_secrets: vec!["shop-webhook-secret".into()],
            system: match self {
                Self::Woo => System::Woo(Woo::default()),
                Self::Shopify => System::Shopify(Shopify::defaults(false)),
                Self::Checkfront => System::Checkfront(Box::default()),
            },
        }
    }
}

/// The words of the first line, the lines up to the empty one, and what is behind it.
fn parts(data: &[u8]) -> Option<(Vec<&str>, Vec<&str>, &[u8])> {
    let at = data.windows(2).position(|two| two == b"\n\n")?;
    let mut lines = std::str::from_utf8(&data[..at]).ok()?.lines();
    Some((lines.next()?.split(' ').collect(), lines.collect(), &data[at + 2..]))
}

/// Headers as `name: value`; one that is repeated counts as absent, as in the receiver.
fn headers(lines: &[&str], body: &[u8]) -> BTreeMap<String, Option<String>> {
    let print = |key: &str| STANDARD.encode(mac(key.as_bytes(), body));
    let mut headers = BTreeMap::new();
    for (name, value) in lines.iter().filter_map(|line| line.split_once(": ")) {
        let value = value.replace("{good}", &print(SECRET)).replace("{other}", &print(THEIRS));
        let value = value.replace("{secret}", SECRET);
        headers.entry(name.to_ascii_lowercase()).and_modify(|v| *v = None).or_insert(Some(value));
    }
    headers
}

/// A delivery of an order system: `path` stands for the last part of the path.
pub fn order_delivery(data: &[u8]) {
    let Some((words, lines, body)) = parts(data) else { return };
    let Some(kind) = words.first().and_then(|word| Kind::of(word)) else { return };
    let (source, headers) = (kind.source(), headers(&lines, body));
    let text = SecretString::from(SECRET.to_owned());
    let Ok(secret) = shop::secret(&source.system, &text) else {
        panic!("{SECRET} is a secret of every kind")
    };
    let header = |name: &str| headers.get(name).and_then(|value| value.as_deref());
    let delivery = Delivery { header: &header, path_secret: header("path"), body };
    let proven = proven(&source, &delivery, secret);
    let reference = match kind {
        Kind::Woo => woo_reference(&header, body),
        Kind::Shopify => shopify_reference(&header, body),
        Kind::Checkfront => checkfront_reference(&header, body),
    };
    assert_eq!(proven, reference, "{headers:?}");
    if proven != Some(Proven::Sender) {
        return;
    }
    match shop::read(&source, &delivery) {
        Reading::Hint { body: hint, event, .. } => {
            may_be_queued(&hint);
            assert!(!event.is_empty() && event.len() <= 256, "{event:?}");
            let Body::Order { order_id, .. } = &hint else { panic!("{hint:?} names no order") };
            assert_eq!(Some(order_id.clone()), named(kind, &header, body), "{hint:?}");
        }
        Reading::Parked { body: parked, .. } => {
            may_be_queued(&parked);
            is_parked_with_its_size(&parked, body);
        }
        Reading::Unused => {
            assert!(is_of_no_order(kind, &header, body), "only what is of no order is passed over")
        }
        Reading::WrongWorld => panic!("an order system has one world"),
    }
}

fn proven(source: &ShopSource, delivery: &Delivery<'_>, secret: WebhookSecret) -> Option<Proven> {
    shop::verify(source, delivery, &[secret], UnixTime(1_800_000_000)).ok()
}

type Header<'a> = &'a dyn Fn(&str) -> Option<&'a str>;

/// base64 of HMAC-SHA256 over the body; without a signature only the call that tries out a new webhook.
fn woo_reference<'a>(header: Header<'a>, body: &[u8]) -> Option<Proven> {
    let Some(signature) = header("x-wc-webhook-signature") else {
        let id = std::str::from_utf8(body).ok()?.strip_prefix("webhook_id=")?;
        let ping = (1..=20).contains(&id.len()) && id.chars().all(|c| c.is_ascii_digit());
        return ping.then_some(Proven::Ping);
    };
    (!body.is_empty() && signature == STANDARD.encode(mac(SECRET.as_bytes(), body))).then_some(Proven::Sender)
}

fn of_shopify<'a>(header: Header<'a>, name: &str) -> Option<&'a str> {
    header(&format!("x-shopify-{name}")).or_else(|| header(&format!("shopify-{name}")))
}

/// The same signature; the store that is named, if one is, must be ours.
fn shopify_reference<'a>(header: Header<'a>, body: &[u8]) -> Option<Proven> {
    let signature = of_shopify(header, "hmac-sha256")?;
    let store = of_shopify(header, "shop-domain").is_none_or(|store| store.to_ascii_lowercase() == HOST);
    let right = signature.trim() == STANDARD.encode(mac(SECRET.as_bytes(), body)) && signature.len() <= 100;
    (store && right && !body.is_empty()).then_some(Proven::Sender)
}

/// No signature: the path knows the secret, and a body that names an account names ours.
fn checkfront_reference<'a>(header: Header<'a>, body: &[u8]) -> Option<Proven> {
    let knows = header("path") == Some(SECRET) && !body.is_empty();
    let ours = checkfront_host(body).is_none_or(|host| host.eq_ignore_ascii_case(HOST));
    (knows && ours).then_some(Proven::Sender)
}

/// The object of a Checkfront body, with or without the XML's root.
fn checkfront_object(body: &[u8]) -> Option<Value> {
    let value: Value = serde_json::from_slice(body).ok().filter(Value::is_object)?;
    Some(value.get("checkfront-notify").unwrap_or(&value).clone())
}

fn checkfront_host(body: &[u8]) -> Option<String> {
    let object = checkfront_object(body)?;
    let within = object.get("@attributes").and_then(|a| a.get("host"));
    let host = within.or(object.get("host"))?.as_str()?;
    (!host.is_empty()).then(|| host.to_owned())
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The order that a plain look finds.
fn named<'a>(kind: Kind, header: Header<'a>, body: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_str(&String::from_utf8_lossy(body)).ok()?;
    match kind {
        Kind::Woo => scalar(&value["id"]),
        Kind::Shopify => {
            let of_order = of_shopify(header, "topic")?.starts_with("orders/");
            scalar(&value[if of_order { "id" } else { "order_id" }])
        }
        Kind::Checkfront => {
            let object = checkfront_object(body)?;
            match object.get("booking") {
                Some(booking) => scalar(&booking["code"]),
                None => scalar(&object["transaction"]["booking_id"]),
            }
        }
    }
}

fn is_of_no_order<'a>(kind: Kind, header: Header<'a>, body: &[u8]) -> bool {
    match kind {
        Kind::Woo => header("x-wc-webhook-topic").is_some_and(|topic| !topic.starts_with("order.")),
        Kind::Shopify => of_shopify(header, "topic").is_some_and(|topic| !topic.starts_with("orders/")),
        Kind::Checkfront => {
            is_json_object(body)
                && checkfront_object(body).is_some_and(|object| object.get("booking").is_none())
        }
    }
}

/// Answers each call with the next of these, the last one for ever.
struct Canned(Mutex<VecDeque<Vec<u8>>>);

impl Http for Canned {
    fn send(&self, _: HttpRequest, _: Duration) -> SendFuture<'_> {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let body = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        Box::pin(async move {
            let answer = http::Response::builder().header("content-type", "application/json");
            let answer = answer.header("date", "Sat, 21 Nov 2026 12:00:00 GMT");
            answer.body(body.unwrap_or_default().into()).map_err(|e| SendError::NotSent(e.to_string()))
        })
    }
}

/// Where one answer ends and the next begins.
const NEXT: &[u8] = b"\n---\n";

fn answers(mut rest: &[u8]) -> VecDeque<Vec<u8>> {
    let mut all = VecDeque::new();
    while let Some(at) = rest.windows(NEXT.len()).position(|part| part == NEXT) {
        all.push_back(rest[..at].to_vec());
        rest = &rest[at + NEXT.len()..];
    }
    all.push_back(rest.to_vec());
    all
}

/// What an order system answers when one order is read; the id asked for stands behind the kind. No order but the one
/// asked for, and none that is less than nothing.
pub fn order_answer(data: &[u8]) {
    let Some((words, _, rest)) = parts(data) else { return };
    let [kind, id] = words[..] else { return };
    let Some(kind) = Kind::of(kind) else { return };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_time().build() {
        Ok(runtime) => runtime,
        Err(error) => panic!("{error}"),
    };
    let read = || {
        let http = Arc::new(Canned(Mutex::new(answers(rest))));
        let client = ShopClient::new(http, kind.source(), SecretString::from("key:secret".to_owned()));
        runtime.block_on(client.get_order(id))
    };
    match read() {
        Ok(order) => {
            assert_eq!(order.id, id);
            assert!(order.total >= 0 && order.paid.is_none_or(|paid| paid >= 0), "{order:?}");
            assert!(
                order.refunds.iter().all(|refund| refund.amount > 0 && !refund.id.is_empty()),
                "{order:?}"
            );
            assert!(order.refund_requests.iter().all(|wish| wish.amount.is_none_or(|a| a > 0)), "{order:?}");
            assert_eq!(read(), Ok(order), "read again it says the same");
        }
        Err(error) => {
            let text = error.to_string();
            assert!(!text.is_empty() && text.len() < 2000, "a reason that a person can read: {text}");
        }
    }
}
