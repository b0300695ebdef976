//! Checkfront as it is documented: API v3 with forms in and strings out, one page of v4, unsigned webhooks.
//!
//! Invariant: the order book stays the one of every shop; what only a booking has (its status code, its transactions, its
//! notes) lies in [`Book`], and money in it is what Checkfront's own books would hold.

mod api;
mod book;
mod hooks;
mod shown;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use serde_json::Value;
use shared::domain::order::Order;
use shared::domain::time::{Seconds, UnixTime};
use shared::domain::view::PaymentStatus;
use shared::outbound::http::{HttpRequest, HttpResponse};

pub use self::book::{Account, Book, Note, Shape, Transaction};
use super::face::{Change, Face, Native};
use super::notices::Delivery;
use super::{OrderRecord, Shop, ShopConfig, State};

/// The zone of the account: codes carry its day.
pub(super) const ZONE: &str = "America/Vancouver";

/// The face of Checkfront.
pub(super) struct Checkfront;

impl Face for Checkfront {
    /// Four capitals, a dash, and the day in the account's zone.
    fn order_id(&self, n: usize, now: UnixTime) -> String {
        let letters: Vec<char> = [17_576, 676, 26, 1]
            .into_iter()
            .map(|place| char::from(b'A' + u8::try_from(n / place % 26).unwrap_or(0)))
            .collect();
        format!("{}-{}", letters.into_iter().collect::<String>(), book::local(now, "%d%m%y"))
    }

    fn native(&self, order: &Order) -> Native {
        Native::Checkfront(Box::new(Book::of(order)))
    }

    fn is_api(&self, path: &str) -> bool {
        path.starts_with("/api/")
    }

    fn api(&self, shop: &Shop, request: &HttpRequest) -> HttpResponse {
        shop.checkfront_api(request)
    }

    fn deliveries(&self, state: &mut State, change: Change, order: &Order, now: UnixTime) -> Vec<Delivery> {
        hooks::of_a_booking(state, change, &order.id, now)
    }

    /// The host is the account's own; nothing is signed.
    fn outgoing(
        &self,
        state: &State,
        config: &ShopConfig,
        delivery: &Delivery,
        _now: UnixTime,
    ) -> Option<HttpRequest> {
        if state.checkfront.hook_disabled {
            return None;
        }
        let mut body: Value = serde_json::from_slice(&delivery.body).ok()?;
        let host = config.public_url.parse::<http::Uri>().ok()?.host()?.to_owned();
        match body.get_mut("@attributes") {
            Some(attributes) => attributes["host"] = host.into(),
            None => body["host"] = host.into(),
        }
        let request = http::Request::post(&config.webhook_url).header("content-type", "application/json");
        request.body(Bytes::from(body.to_string())).ok()
    }

    /// Nothing is sent again; after five failures in a row the hook is off, and only a person can switch it on.
    fn after(
        &self,
        state: &mut State,
        _config: &ShopConfig,
        _delivery: &Delivery,
        status: Option<u16>,
    ) -> Option<Seconds> {
        let account = &mut state.checkfront;
        if status.is_some_and(|s| (200..300).contains(&s)) {
            account.hook_failures = 0;
        } else {
            account.hook_failures += 1;
            account.hook_disabled |= account.hook_failures >= 5;
        }
        None
    }

    /// What was told stands in the notes, and staff may edit notes.
    fn tamper(&self, kept: &mut OrderRecord, status: PaymentStatus) {
        let told = kept.payment_version;
        let marker = |note: &&mut Note| note.body.contains(&format!("\ntandem v{told} "));
        let words = PaymentStatus::ALL.map(|s| format!("\"status\":\"{s}\""));
        for note in kept.booking_mut().into_iter().flat_map(|book| &mut book.notes).filter(marker) {
            for word in &words {
                note.body = note.body.replacen(word, &format!("\"status\":\"{status}\""), 1);
            }
        }
    }
}
