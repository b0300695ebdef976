//! API v4, behind a flag: the one call that records a part of a payment and carries our reference.
//!
//! Invariant: nothing is imported before both APIs were seen to mean the same by an amount, and what was imported is
//! believed only when v3 shows it.

use bytes::Bytes;
use http::Method;
use serde_json::Value;

use super::CheckfrontClient;
use super::read::Booking;
use crate::domain::money::Money;
use crate::domain::view::PaymentView;
use crate::inbound::checkfront::word;
use crate::outbound::shop::ShopError;
use crate::outbound::shop::call::{json_of, refused};
use crate::outbound::stripe::form::segment;

/// Whether v4 counts in minor units, by this very booking.
pub(super) async fn unit(client: &CheckfrontClient, booking: &Booking) -> Result<(), ShopError> {
    let id = booking.order.id.as_str();
    let path = format!("/api/4.0/bookings/{}", segment(id));
    let body = json_of(&client.caller.send(Method::GET, &path, None).await?, id)?;
    let shown = body.pointer("/data/total").or(body.pointer("/data/0/total"));
    match shown.and_then(Value::as_i64) {
        Some(total) if total == booking.order.total => Ok(()),
        _ => Err(ShopError::Rejected(format!(
            "API v4 shows a total of {:?} where v3 shows {}: it does not count in minor units; set import_v4 = false",
            word(shown).chars().take(20).collect::<String>(),
            Money::new(booking.order.total, booking.order.currency),
        ))),
    }
}

/// Imports a payment; the booking after it.
pub(super) async fn import(
    client: &CheckfrontClient,
    before: Booking,
    view: &PaymentView,
    version: u64,
    amount: i64,
) -> Result<Booking, ShopError> {
    let id = before.order.id.as_str();
    let payment = view.payment_id.as_deref().unwrap_or_default();
    let body = client.settings.import(amount, before.order.currency, payment, version).unwrap_or_default();
    let path = format!("/api/4.0/bookings/{}/transactions/import", segment(id));
    let answer =
        client.caller.send(Method::POST, &path, Some(("application/json", Bytes::from(body)))).await?;
    if let Some(error) = refused(&answer, id) {
        return Err(error);
    }
    let after = client.booking(id).await?;
    let grown = after.paid() - before.paid();
    if grown == amount {
        return Ok(after);
    }
    let money = |minor| Money::new(minor, before.order.currency);
    Err(ShopError::Rejected(format!(
        "an import of {} changed what is paid by {}; look at the booking's transactions and at import_body",
        money(amount),
        money(grown)
    )))
}
