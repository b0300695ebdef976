//! Ids as types. An order's key begins every item, link, idempotency key and metadata value of that order.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The functions of the bundle; each owns its actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Function {
    /// Verifies webhooks and queues hints.
    WebhookReceiver,
    /// The buyer's stable link.
    PaymentPage,
    /// Customer, attempt, session or intent.
    PaymentCreator,
    /// What Stripe says happened; capture.
    PaymentRecorder,
    /// Refunds.
    RefundProcessor,
    /// Declines, retries, giving up.
    FailureHandler,
    /// The only writer to order systems.
    OrderUpdater,
    /// Notices.
    Notifier,
    /// Finds what is due; hints only.
    Sweeper,
    /// Compares; reads only.
    Reconciler,
    /// The operator's command.
    Cli,
}

impl Function {
    /// The name of the package and the Lambda, e.g. `payment-creator`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WebhookReceiver => "webhook-receiver",
            Self::PaymentPage => "payment-page",
            Self::PaymentCreator => "payment-creator",
            Self::PaymentRecorder => "payment-recorder",
            Self::RefundProcessor => "refund-processor",
            Self::FailureHandler => "failure-handler",
            Self::OrderUpdater => "order-updater",
            Self::Notifier => "notifier",
            Self::Sweeper => "sweeper",
            Self::Reconciler => "reconciler",
            Self::Cli => "cli",
        }
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// `{stack}#{system}#{shop}#{order id}`, each part percent-encoded so that `#` cannot occur in one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OrderKey(String);

/// Not an order key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an order key; it has the form stack#system#shop#order-id")]
pub struct BadOrderKey(String);

/// Longest order key, in bytes. Stripe's metadata values hold 500 and idempotency keys 255 characters.
pub const ORDER_KEY_BYTES_MAX: usize = 180;

fn encode_part(part: &str, out: &mut String) {
    use fmt::Write as _;
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

fn decode_part(part: &str) -> String {
    let bytes = part.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let hex =
            (bytes[i] == b'%').then(|| part.get(i + 1..i + 3).and_then(|h| u8::from_str_radix(h, 16).ok()));
        match hex {
            Some(Some(byte)) => {
                out.push(byte);
                i += 3;
            }
            _ => {
                out.push(bytes[i]);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

impl OrderKey {
    /// Builds the key from its raw parts.
    pub fn new(stack: &str, system: &str, shop: &str, order_id: &str) -> Result<Self, BadOrderKey> {
        let mut key = String::new();
        for (i, part) in [stack, system, shop, order_id].into_iter().enumerate() {
            if part.is_empty() {
                return Err(BadOrderKey(format!("{stack}#{system}#{shop}#{order_id}")));
            }
            if i > 0 {
                key.push('#');
            }
            encode_part(part, &mut key);
        }
        if key.len() > ORDER_KEY_BYTES_MAX {
            return Err(BadOrderKey(key));
        }
        Ok(Self(key))
    }

    /// Parses a stored key.
    pub fn parse(key: &str) -> Result<Self, BadOrderKey> {
        let (mut parts, mut part_bytes, mut strange) = (1, 0, false);
        for byte in key.bytes() {
            match byte {
                b'#' => {
                    strange |= part_bytes == 0;
                    (parts, part_bytes) = (parts + 1, 0);
                }
                b'-' | b'_' | b'.' | b'%' => part_bytes += 1,
                _ => {
                    strange |= !byte.is_ascii_alphanumeric();
                    part_bytes += 1;
                }
            }
        }
        let well_formed = parts == 4 && part_bytes > 0 && !strange && key.len() <= ORDER_KEY_BYTES_MAX;
        if well_formed { Ok(Self(key.to_owned())) } else { Err(BadOrderKey(key.chars().take(200).collect())) }
    }

    /// The key as stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn part(&self, index: usize) -> &str {
        self.0.split('#').nth(index).unwrap_or_default()
    }

    /// The stack's name.
    pub fn stack(&self) -> String {
        decode_part(self.part(0))
    }
    /// The kind of order system, e.g. `checkout`.
    pub fn system(&self) -> String {
        decode_part(self.part(1))
    }
    /// The shop: the source's name in the configuration.
    pub fn shop(&self) -> String {
        decode_part(self.part(2))
    }
    /// The order system's own id.
    pub fn order_id(&self) -> String {
        decode_part(self.part(3))
    }

    /// `{stack}#{system}#{shop}`: what all keys of one shop begin with.
    pub fn shop_prefix(&self) -> String {
        let mut end = 0;
        for _ in 0..3 {
            end = self.0[end..].find('#').map_or(self.0.len(), |i| end + i + 1);
        }
        self.0[..end.saturating_sub(1)].to_owned()
    }
}

impl fmt::Display for OrderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for OrderKey {
    type Error = BadOrderKey;
    fn try_from(key: String) -> Result<Self, Self::Error> {
        Self::parse(&key)
    }
}

impl From<OrderKey> for String {
    fn from(key: OrderKey) -> Self {
        key.0
    }
}

/// Percent-encodes one part of a key the way order keys do.
pub fn key_part(part: &str) -> String {
    let mut out = String::new();
    encode_part(part, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_hash_in_an_order_id_cannot_reach_another_shop() {
        let key = OrderKey::new("prod", "checkout", "a", "1#checkout#b#2").unwrap();
        assert_eq!(key.as_str(), "prod#checkout#a#1%23checkout%23b%232");
        assert_eq!(key.order_id(), "1#checkout#b#2");
        assert_eq!(key.shop_prefix(), "prod#checkout#a");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let long = format!("s#checkout#shop#{}", "1".repeat(ORDER_KEY_BYTES_MAX - 16));
        assert!(OrderKey::parse(&long).is_ok() && OrderKey::parse("s#a-b#c_d.e#%23").is_ok());
        let longer = format!("{long}1");
        for wrong in [
            "",
            "s",
            "###",
            "s#checkout#shop",
            "s#checkout#shop#",
            "#checkout#shop#1",
            "s##shop#1",
            "s#a#b#1#2",
            "s#a#b#1 2",
            "s#a#b#ü",
            &longer,
        ] {
            assert!(OrderKey::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn keys_are_injective_and_parse_back(shop in "\\PC{1,10}", id in "\\PC{1,10}") {
            if let Ok(key) = OrderKey::new("s", "checkout", &shop, &id) {
                prop_assert_eq!(key.shop(), shop);
                prop_assert_eq!(key.order_id(), id);
                prop_assert_eq!(OrderKey::parse(key.as_str()).unwrap(), key);
            }
        }
    }
}
