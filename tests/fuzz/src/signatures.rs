//! Signature headers, against references written from the schemes' own documents.
//!
//! A fuzzer cannot guess an HMAC: the word `{good}` in its header stands for the right one, `{late}` for the right one of a
//! time that is past, `{other}` for that of a secret we do not have.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::SecretString;
use sha2::Sha256;
use shared::domain::time::UnixTime;
use shared::inbound::standard_webhooks::{self, Headers};
use shared::inbound::{WebhookSecret, stripe};

use crate::line;

const NOW: i64 = 1_800_000_000;
const OURS: &[u8] = b"a secret of ours for a fuzzer";
const THEIRS: &[u8] = b"a secret of somebody else's...";

pub(crate) fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| panic!("any key is one"));
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

/// `time` as both schemes allow it: 1 to 12 digits.
fn seconds(time: &str) -> Option<i64> {
    let digits = !time.is_empty() && time.len() <= 12 && time.chars().all(|c| c.is_ascii_digit());
    digits.then(|| time.parse().ok()).flatten()
}

fn fresh(time: i64) -> bool {
    (NOW - 300..=NOW + 300).contains(&time)
}

/// The header with its words replaced. `key`: what the scheme signs with; `prefix`: what it signs before the time.
fn filled(header: &str, key: &[u8], prefix: &[u8], body: &[u8], print: impl Fn(&[u8]) -> String) -> String {
    let over = |key: &[u8], time: i64| {
        let mut text = prefix.to_vec();
        text.extend(time.to_string().bytes());
        text.push(b'.');
        text.extend(body);
        print(&mac(key, &text))
    };
    header
        .replace("{good}", &over(key, NOW))
        .replace("{late}", &over(key, NOW - 301))
        .replace("{other}", &over(THEIRS, NOW))
        .replace("{now}", &NOW.to_string())
        .replace("{then}", &(NOW - 301).to_string())
}

/// `Stripe-Signature`: the header is the first line, the body the rest.
pub fn stripe_signature(data: &[u8]) {
    let Some((header, body)) = line(data) else { return };
    let text = format!("whsec_{}", String::from_utf8_lossy(OURS));
    let Ok(secret) = WebhookSecret::stripe(&SecretString::from(text.clone())) else { return };
    // Stripe's key is the text itself.
    let header = filled(header, text.as_bytes(), b"", body, |mac| hex::encode(mac));
    let accepted = stripe::verify(&header, body, &[secret], UnixTime(NOW)).is_ok();
    assert_eq!(accepted, stripe_reference(&header, body, text.as_bytes()), "{header:?}");
}

fn stripe_reference(header: &str, body: &[u8], key: &[u8]) -> bool {
    if header.len() > 4096 || body.is_empty() || !header.chars().all(|c| ('!'..='~').contains(&c)) {
        return false;
    }
    let items: Vec<Option<(&str, &str)>> = header.split(',').map(|item| item.split_once('=')).collect();
    if items.iter().any(Option::is_none) {
        return false;
    }
    let values = |name: &str| -> Vec<&str> {
        items.iter().flatten().filter(|(key, _)| *key == name).map(|(_, value)| *value).collect()
    };
    let (times, signatures) = (values("t"), values("v1"));
    let [time] = times[..] else { return false };
    let signed = [time.as_bytes(), b".", body].concat();
    let right = hex::encode(mac(key, &signed));
    seconds(time).is_some_and(fresh)
        && signatures.len() <= 8
        && signatures.iter().any(|s| s.to_ascii_lowercase() == right)
}

/// Standard Webhooks: id, time and signatures are the first three lines, the body the rest.
pub fn standard_signature(data: &[u8]) {
    let Some((id, rest)) = line(data) else { return };
    let Some((timestamp, rest)) = line(rest) else { return };
    let Some((signature, body)) = line(rest) else { return };
    let text = format!("whsec_{}", STANDARD.encode(OURS));
    let Ok(secret) = WebhookSecret::standard(&SecretString::from(text)) else { return };
    let prefix = [id.as_bytes(), b"."].concat();
    let signature = filled(signature, OURS, &prefix, body, |mac| STANDARD.encode(mac));
    let timestamp = timestamp.replace("{now}", &NOW.to_string()).replace("{then}", &(NOW - 301).to_string());
    let headers = Headers { id, timestamp: &timestamp, signature: &signature };
    let accepted = standard_webhooks::verify(headers, body, &[secret], UnixTime(NOW)).is_ok();
    assert_eq!(accepted, standard_reference(headers, body), "{headers:?}");
}

fn standard_reference(headers: Headers<'_>, body: &[u8]) -> bool {
    let Headers { id, timestamp, signature } = headers;
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-:".contains(c);
    let well_formed = !body.is_empty()
        && signature.len() <= 4096
        && (1..=128).contains(&id.len())
        && id.chars().all(plain)
        && signature.split(' ').all(|entry| entry.matches(',').count() == 1);
    if !well_formed || !seconds(timestamp).is_some_and(fresh) {
        return false;
    }
    let right = mac(OURS, &[id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat());
    let ours: Vec<&str> = signature.split(' ').filter_map(|entry| entry.strip_prefix("v1,")).collect();
    ours.len() <= 8 && ours.contains(&STANDARD.encode(right).as_str())
}
