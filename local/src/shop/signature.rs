//! Standard Webhooks v1 as the shop does it, written apart from Tandem's own so that each checks the other.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

fn mac(secret: &str, id: &str, timestamp: &str, body: &[u8]) -> Option<Hmac<Sha256>> {
    let key = STANDARD.decode(secret.strip_prefix("whsec_")?).ok()?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    Some(mac)
}

/// The value of `webhook-signature`; empty if the secret cannot be one.
pub(super) fn sign(secret: &str, id: &str, timestamp: i64, body: &[u8]) -> String {
    mac(secret, id, &timestamp.to_string(), body)
        .map(|mac| format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
        .unwrap_or_default()
}

/// Whether any v1 signature of `header` fits.
pub(super) fn verify(secret: &str, id: &str, timestamp: &str, header: &str, body: &[u8]) -> bool {
    header.split(' ').filter_map(|entry| entry.strip_prefix("v1,")).any(|entry| {
        let given = STANDARD.decode(entry).unwrap_or_default();
        mac(secret, id, timestamp, body).is_some_and(|mac| mac.verify_slice(&given).is_ok())
    })
}
