//! An order system's delivery: proven as its kind can prove it, then read. One file per kind beside this one.

use secrecy::SecretString;

use super::{
    BadWebhookSecret, Reading, Refusal, WebhookSecret, checkfront, checkout, shopify,
    standard_webhooks as standard, woo,
};
use crate::config::{ShopSource, System};
use crate::domain::time::UnixTime;

/// A delivery as it arrived.
#[derive(Clone, Copy)]
pub struct Delivery<'a> {
    /// A header's value by its name in lower case; none if it is absent or repeated.
    pub header: &'a (dyn Fn(&str) -> Option<&'a str> + 'a),
    /// The last part of the path, for a source whose deliveries carry no signature.
    pub path_secret: Option<&'a str>,
    /// The exact bytes.
    pub body: &'a [u8],
}

/// What a delivery proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proven {
    /// Its sender knows the secret.
    Sender,
    /// It is an unsigned test call that says nothing: answered, never read.
    Ping,
}

/// The key of a webhook secret of this kind.
pub fn secret(system: &System, text: &SecretString) -> Result<WebhookSecret, BadWebhookSecret> {
    match system {
        System::Checkout => WebhookSecret::standard(text),
        System::Woo(_) => WebhookSecret::text(text),
        System::Checkfront(_) => WebhookSecret::path(text),
        System::Shopify(_) => WebhookSecret::text(text),
    }
}

/// Whether the secret is the last part of the webhook's path.
pub const fn secret_in_path(system: &System) -> bool {
    match system {
        System::Checkout | System::Woo(_) | System::Shopify(_) => false,
        System::Checkfront(_) => true,
    }
}

/// Checks who sent it, over the exact bytes.
pub fn verify(
    source: &ShopSource,
    delivery: &Delivery<'_>,
    secrets: &[WebhookSecret],
    now: UnixTime,
) -> Result<Proven, Refusal> {
    let header = |name| (delivery.header)(name).ok_or(Refusal::Header);
    match source.system {
        System::Checkout => {
            let headers = standard::Headers {
                id: header(standard::ID_HEADER)?,
                timestamp: header(standard::TIMESTAMP_HEADER)?,
                signature: header(standard::SIGNATURE_HEADER)?,
            };
            standard::verify(headers, delivery.body, secrets, now).map(|()| Proven::Sender)
        }
        System::Woo(_) => woo::verify((delivery.header)(woo::SIGNATURE_HEADER), delivery.body, secrets),
        System::Checkfront(_) => checkfront::verify(source, delivery, secrets).map(|()| Proven::Sender),
        System::Shopify(_) => shopify::verify(source, delivery, secrets).map(|()| Proven::Sender),
    }
}

/// The authority of a base address: host and port.
pub(crate) fn authority_of(base: &str) -> &str {
    let rest = base.split_once("://").map_or(base, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// Reads a proven delivery.
pub fn read(source: &ShopSource, delivery: &Delivery<'_>) -> Reading {
    match source.system {
        System::Checkout => {
            let id = (delivery.header)(standard::ID_HEADER).unwrap_or_default();
            checkout::read(source, id, delivery.body)
        }
        System::Woo(_) => woo::read(source, (delivery.header)(woo::TOPIC_HEADER), delivery.body),
        System::Checkfront(_) => checkfront::read(source, delivery.body),
        System::Shopify(_) => shopify::read(source, delivery),
    }
}
