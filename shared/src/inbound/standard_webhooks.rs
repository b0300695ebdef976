//! Standard Webhooks, version 1 (HMAC-SHA256): the scheme of the checkout protocol and of our own notices.

use base64::Engine as _;

use super::{
    Refusal, SIGNATURE_BYTES_MAX, SIGNATURES_MAX, WebhookSecret, any_matches, parse_time, within_tolerance,
};
use crate::domain::time::UnixTime;

/// The three headers, lower case as HTTP delivers them.
pub const ID_HEADER: &str = "webhook-id";
/// Unix seconds of this attempt.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// `v1,base64` entries separated by blanks.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

/// The values of the three headers.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a> {
    /// Of [`ID_HEADER`].
    pub id: &'a str,
    /// Of [`TIMESTAMP_HEADER`].
    pub timestamp: &'a str,
    /// Of [`SIGNATURE_HEADER`].
    pub signature: &'a str,
}

/// Checks the headers over the exact bytes of `body`.
pub fn verify(
    headers: Headers<'_>,
    body: &[u8],
    secrets: &[WebhookSecret],
    now: UnixTime,
) -> Result<(), Refusal> {
    let Headers { id, timestamp, signature } = headers;
    if signature.len() > SIGNATURE_BYTES_MAX {
        return Err(Refusal::Limit);
    }
    // A dot would let a forger shift bytes between the id and the time; a comma means two headers that were joined.
    let id_is_plain =
        (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-:".contains(&b));
    if !id_is_plain {
        return Err(Refusal::Malformed);
    }
    let signed_at = parse_time(timestamp)?;
    if body.is_empty() {
        return Err(Refusal::Empty);
    }
    let mut signatures = Vec::new();
    for entry in signature.split(' ') {
        let (version, value) = entry.split_once(',').ok_or(Refusal::Malformed)?;
        if value.contains(',') {
            return Err(Refusal::Malformed);
        }
        if version == "v1" {
            if signatures.len() == SIGNATURES_MAX {
                return Err(Refusal::Limit);
            }
            signatures.push(value);
        }
    }
    if signatures.is_empty() {
        return Err(Refusal::Scheme);
    }
    if !within_tolerance(signed_at, now) {
        return Err(Refusal::Time);
    }
    let engine = base64::engine::general_purpose::STANDARD;
    let signatures: Vec<Vec<u8>> = signatures.into_iter().filter_map(|s| engine.decode(s).ok()).collect();
    let parts = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
    if any_matches(secrets, &signatures, &parts) { Ok(()) } else { Err(Refusal::Mismatch) }
}

/// The value of [`SIGNATURE_HEADER`] for one attempt.
pub fn sign(secret: &WebhookSecret, id: &str, timestamp: UnixTime, body: &[u8]) -> String {
    let time = timestamp.0.to_string();
    let signature = secret.sign(&[id.as_bytes(), b".", time.as_bytes(), b".", body]);
    format!("v1,{}", base64::engine::general_purpose::STANDARD.encode(signature))
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    // The vector that the reference libraries share. The prefix is joined at run time: scanners take it for a secret.
    fn vector() -> (WebhookSecret, Headers<'static>, &'static [u8], UnixTime) {
        let text = format!("whsec_{}", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let headers = Headers {
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
            timestamp: "1614265330",
            signature: "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        };
        let secret = WebhookSecret::standard(&SecretString::from(text)).unwrap();
        (secret, headers, b"{\"test\": 2432232314}", UnixTime(1_614_265_330))
    }

    #[test]
    fn the_shared_vector_verifies_and_is_what_we_sign() {
        let (secret, headers, body, now) = vector();
        assert_eq!(sign(&secret, headers.id, now, body), headers.signature);
        assert_eq!(verify(headers, body, &[secret], now), Ok(()));
    }

    #[test]
    fn times_within_five_minutes_either_way_pass_and_no_others() {
        let (secret, headers, body, now) = vector();
        for (shift, expected) in
            [(-300, Ok(())), (300, Ok(())), (-301, Err(Refusal::Time)), (301, Err(Refusal::Time))]
        {
            assert_eq!(
                verify(headers, body, std::slice::from_ref(&secret), UnixTime(now.0 + shift)),
                expected,
                "{shift}"
            );
        }
        for timestamp in [
            "",
            "+1614265330",
            " 1614265330",
            "1e9",
            "-1",
            "1614265330.0",
            "99999999999999999999",
            "1614265330,1614265330",
        ] {
            let broken = Headers { timestamp, ..headers };
            assert_eq!(
                verify(broken, body, std::slice::from_ref(&secret), now),
                Err(Refusal::Malformed),
                "{timestamp}"
            );
        }
    }

    #[test]
    fn any_known_signature_and_any_secret_will_do() {
        let (secret, headers, body, now) = vector();
        let other = format!("whsec_{}", base64::engine::general_purpose::STANDARD.encode([7_u8; 24]));
        let other = WebhookSecret::standard(&SecretString::from(other)).unwrap();
        let good = headers.signature;
        let with = |signature: &str, secrets: &[WebhookSecret]| {
            verify(Headers { signature, ..headers }, body, secrets, now)
        };
        assert_eq!(with(&format!("v1,AAAA {good}"), &[other.clone(), secret.clone()]), Ok(()));
        assert_eq!(with(&format!("v1a,AAAA v9,x {good}"), std::slice::from_ref(&secret)), Ok(()));
        assert_eq!(with(&good.replace("v1", "v2"), std::slice::from_ref(&secret)), Err(Refusal::Scheme));
        assert_eq!(with(good, &[other]), Err(Refusal::Mismatch));
        assert_eq!(with(good, &[]), Err(Refusal::Mismatch));
        assert_eq!(with(&format!("{good},{good}"), std::slice::from_ref(&secret)), Err(Refusal::Malformed));
        assert_eq!(with(&[good; 9].join(" "), std::slice::from_ref(&secret)), Err(Refusal::Limit));
        assert_eq!(with(&"v".repeat(4097), &[secret]), Err(Refusal::Limit));
    }

    #[test]
    fn one_changed_byte_or_header_is_refused() {
        let (secret, headers, body, now) = vector();
        let secrets = [secret];
        assert_eq!(verify(headers, b"{\"test\":2432232314}", &secrets, now), Err(Refusal::Mismatch));
        let id = Headers { id: "msg_p5jXN8AQM9LWM0D4loKWxJeK", ..headers };
        assert_eq!(verify(id, body, &secrets, now), Err(Refusal::Mismatch));
        for id in ["", "a.b", "a b", "a,a"] {
            assert_eq!(verify(Headers { id, ..headers }, body, &secrets, now), Err(Refusal::Malformed));
        }
        assert_eq!(verify(headers, b"", &secrets, now), Err(Refusal::Empty));
    }

    #[test]
    fn a_weak_or_foreign_secret_is_refused_when_it_is_loaded() {
        use crate::inbound::BadWebhookSecret;
        let load = |text: &str| WebhookSecret::standard(&SecretString::from(text)).unwrap_err();
        assert_eq!(load(""), BadWebhookSecret::Prefix);
        assert_eq!(load("whsec_"), BadWebhookSecret::Short);
        assert_eq!(load("whsec_AAAA"), BadWebhookSecret::Short);
        assert_eq!(load("whsec_***"), BadWebhookSecret::Base64);
    }
}
