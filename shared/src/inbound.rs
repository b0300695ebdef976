//! From bytes to verified hints; one file per kind of source.
//!
//! Invariant: the signature is checked over the exact bytes before anything reads them, and what leaves here carries ids,
//! a type and a hash, never contact data, cards or secrets.

pub mod checkfront;
pub mod checkout;
pub mod shop;
pub mod shopify;
pub mod standard_webhooks;
pub mod stripe;
pub mod woo;

use base64::Engine as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use sha2::{Digest, Sha256};

use crate::config::Source;
use crate::domain::time::{Seconds, UnixTime};
use crate::queue::{Body, Queue};

/// How far a signature's time may lie from ours, in either direction.
pub const TOLERANCE: Seconds = Seconds(300);
/// Longest signature header.
pub const SIGNATURE_BYTES_MAX: usize = 4 * 1024;
/// Most signatures in one header.
pub const SIGNATURES_MAX: usize = 8;
/// Shortest secret after its prefix.
const SECRET_BYTES_MIN: usize = 24;
/// Shortest secret that is free text: people make these up themselves.
const TEXT_BYTES_MIN: usize = 16;
/// What signs secrets in paths to be compared.
const PATH_TAG: &[u8] = b"the last part of a path";

/// The key of one of a source's webhook secrets.
pub fn secret(source: &Source, text: &SecretString) -> Result<WebhookSecret, BadWebhookSecret> {
    match source {
        Source::Stripe(_) => WebhookSecret::stripe(text),
        Source::Shop(shop) => shop::secret(&shop.system, text),
    }
}

/// Why a request is refused. For logs and metrics only: the sender learns nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A header of the signature is absent or occurs twice.
    #[error("signature header absent or repeated")]
    Header,
    /// Too long, or too many signatures.
    #[error("signature header over its limit")]
    Limit,
    /// Not the grammar of the scheme.
    #[error("signature header malformed")]
    Malformed,
    /// No signature of a scheme we accept.
    #[error("no signature of an accepted scheme")]
    Scheme,
    /// The signed time is too far from now.
    #[error("signed time outside the tolerance")]
    Time,
    /// The body is empty.
    #[error("empty body")]
    Empty,
    /// No secret makes this signature.
    #[error("no secret matches")]
    Mismatch,
    /// It names another shop or account than the source's.
    #[error("it names another shop than the source's")]
    OtherShop,
}

impl Refusal {
    /// A word for logs and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Limit => "limit",
            Self::Malformed => "malformed",
            Self::Scheme => "scheme",
            Self::Time => "time",
            Self::Empty => "empty",
            Self::Mismatch => "mismatch",
            Self::OtherShop => "other_shop",
        }
    }
}

/// A stored secret that cannot sign webhooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadWebhookSecret {
    /// Not `whsec_...`.
    #[error("it does not begin with whsec_")]
    Prefix,
    /// Under 24 bytes.
    #[error("it has fewer than 24 bytes after whsec_")]
    Short,
    /// The part after the prefix is not base64.
    #[error("the part after whsec_ is not base64")]
    Base64,
    /// Free text under 16 bytes.
    #[error("it has fewer than 16 bytes; make one with `openssl rand -hex 32`")]
    ShortText,
    /// Under 24 bytes, of one that stands in a path.
    #[error("it has fewer than 24 bytes; make one with `openssl rand -hex 32`")]
    ShortPath,
    /// It cannot stand in a path as it is.
    #[error("it holds more than letters, digits, - and _; make one with `openssl rand -hex 32`")]
    Path,
}

/// The key of a webhook's signature. Neither shown nor compared.
#[derive(Clone)]
pub struct WebhookSecret(SecretSlice<u8>);

impl std::fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WebhookSecret(***)")
    }
}

impl WebhookSecret {
    /// Stripe's: the key is the text itself, with its prefix.
    pub fn stripe(text: &SecretString) -> Result<Self, BadWebhookSecret> {
        let tail = text.expose_secret().strip_prefix("whsec_").ok_or(BadWebhookSecret::Prefix)?;
        if tail.len() < SECRET_BYTES_MIN {
            return Err(BadWebhookSecret::Short);
        }
        Ok(Self(text.expose_secret().as_bytes().to_vec().into()))
    }

    /// Standard Webhooks': the key is what the base64 after the prefix decodes to.
    pub fn standard(text: &SecretString) -> Result<Self, BadWebhookSecret> {
        let tail = text.expose_secret().strip_prefix("whsec_").ok_or(BadWebhookSecret::Prefix)?;
        let key = base64::engine::general_purpose::STANDARD.decode(tail);
        let key = key.map_err(|_| BadWebhookSecret::Base64)?;
        if key.len() < SECRET_BYTES_MIN {
            return Err(BadWebhookSecret::Short);
        }
        Ok(Self(key.into()))
    }

    /// Free text: the key is its bytes.
    pub fn text(text: &SecretString) -> Result<Self, BadWebhookSecret> {
        let key = text.expose_secret().as_bytes();
        if key.len() < TEXT_BYTES_MIN {
            return Err(BadWebhookSecret::ShortText);
        }
        Ok(Self(key.to_vec().into()))
    }

    /// One that stands in the webhook's path, for a source without signatures: the text itself.
    pub fn path(text: &SecretString) -> Result<Self, BadWebhookSecret> {
        let text = text.expose_secret();
        if text.len() < SECRET_BYTES_MIN {
            return Err(BadWebhookSecret::ShortPath);
        }
        if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
            return Err(BadWebhookSecret::Path);
        }
        Ok(Self(text.as_bytes().to_vec().into()))
    }

    /// Whether `shown` is one of the secrets. What is compared are their tags, in constant time, and all are compared: the
    /// time taken tells neither which one matched nor how far. The texts are what is signed, not the key: as keys, a text
    /// and the same with a NUL behind it are one.
    fn any_is(secrets: &[Self], shown: &str) -> bool {
        let by = Self(PATH_TAG.to_vec().into());
        let shown = [by.sign(&[shown.as_bytes()])];
        let is = |secret: &Self| any_matches(std::slice::from_ref(&by), &shown, &[secret.0.expose_secret()]);
        secrets.iter().fold(false, |any, secret| any | is(secret))
    }

    fn mac(&self, parts: &[&[u8]]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose_secret()).ok()?;
        parts.iter().for_each(|part| mac.update(part));
        Some(mac)
    }

    fn sign(&self, parts: &[&[u8]]) -> Vec<u8> {
        self.mac(parts).map_or_else(Vec::new, |mac| mac.finalize().into_bytes().to_vec())
    }
}

/// Checks one signature over the whole body, written as base64 of HMAC-SHA256: WooCommerce's and Shopify's scheme.
fn base64_signature(shown: &str, secrets: &[WebhookSecret], body: &[u8]) -> Result<(), Refusal> {
    let given = base64::engine::general_purpose::STANDARD.decode(shown).map_err(|_| Refusal::Malformed)?;
    if any_matches(secrets, &[given], &[body]) { Ok(()) } else { Err(Refusal::Mismatch) }
}

/// Whether any secret made any of the signatures. Every pair is compared, each in constant time, so the time taken does
/// not tell which one matched.
fn any_matches(secrets: &[WebhookSecret], signatures: &[Vec<u8>], parts: &[&[u8]]) -> bool {
    let mut matched = false;
    for secret in secrets {
        for signature in signatures {
            matched |= secret.mac(parts).is_some_and(|mac| mac.verify_slice(signature).is_ok());
        }
    }
    matched
}

/// Digits only, as both schemes write their time: no sign, no blank, no exponent.
fn parse_time(text: &str) -> Result<UnixTime, Refusal> {
    if !(1..=12).contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Refusal::Malformed);
    }
    text.parse().map(UnixTime).map_err(|_| Refusal::Malformed)
}

fn within_tolerance(signed: UnixTime, now: UnixTime) -> bool {
    (now - signed).0.abs() <= TOLERANCE.0
}

/// SHA-256 as hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The first `digits` hex digits of the SHA-256: to tell apart, not to prove.
pub fn short_hash(bytes: impl AsRef<[u8]>, digits: usize) -> String {
    let mut hash = sha256_hex(bytes.as_ref());
    hash.truncate(digits);
    hash
}

/// What a verified body says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Look at something.
    Hint {
        /// The queue of the function that will.
        queue: Queue,
        /// What to look at.
        body: Body,
        /// The event's or delivery's id.
        event: String,
    },
    /// A type nothing uses.
    Unused,
    /// Another account or mode than the source's.
    WrongWorld,
    /// Signed but unreadable: kept with what is known of it.
    Parked {
        /// Where it is kept.
        queue: Queue,
        /// Ids, size, hash, reason.
        body: Body,
    },
}

fn parked(queue: Queue, source: &str, event: Option<String>, bytes: &[u8], reason: &str) -> Reading {
    let body = Body::Parked {
        source: source.to_owned(),
        event,
        sha256: sha256_hex(bytes),
        size: bytes.len(),
        reason: reason.to_owned(),
    };
    Reading::Parked { queue, body }
}

/// Whether a body could be a JSON object. A list is none, though serde reads one as the fields in their order.
fn may_be_object(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().starts_with(b"{")
}

/// An id of Stripe's making, or one like it.
fn is_id(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::{Config, SHIPPED_TOML};

    proptest! {
        /// Whatever arrives is refused or read; nothing panics and nothing unsigned passes.
        #[test]
        fn no_bytes_pass_unsigned_or_break_a_reader(
            header in "[tv01=, .a-f+-]{0,80}|\\PC{0,40}",
            id in "\\PC{0,20}",
            body in proptest::collection::vec(any::<u8>(), 0..200),
            json in "[\\[\\]{}\",:a-z0-9._]{0,120}",
        ) {
            let secret = WebhookSecret::stripe(&SecretString::from("whsec_a1b2c3d4e5f6g7h8i9j0k1l2")).unwrap();
            let now = UnixTime(1);
            prop_assert!(stripe::verify(&header, &body, std::slice::from_ref(&secret), now).is_err());
            let headers = standard_webhooks::Headers { id: &id, timestamp: "1", signature: &header };
            prop_assert!(standard_webhooks::verify(headers, &body, std::slice::from_ref(&secret), now).is_err());
            prop_assert!(woo::verify(Some(&header), &body, &[secret]).is_err());
            let config = Config::parse(SHIPPED_TOML, &|_| None).unwrap();
            for bytes in [&body[..], json.as_bytes()] {
                let _ = stripe::read(config.stripe("stripe").unwrap(), bytes);
                let _ = checkout::read(config.shop("shop").unwrap(), "msg", bytes);
                let _ = woo::read(config.shop("shop").unwrap(), Some("order.updated"), bytes);
                let _ = checkfront::read(config.shop("shop").unwrap(), bytes);
            }
        }
    }
}
