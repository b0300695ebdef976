//! Client of Checkfront: reads bookings by API v3, marks them paid by `set_paid`, and keeps what it told in the booking's
//! notes, because that is the one place of v3 that takes a word of ours.
//!
//! Invariant: every write is preceded by a read of the booking and of its notes; `set_paid` goes out alone, only when the
//! whole balance is what we hold, and never on a booking that is cancelled, on hold or in a status nobody explained.

mod check;
mod decide;
mod envelope;
mod import;
mod notes;
mod read;
mod tell;

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::Method;
use secrecy::SecretString;

use self::envelope::Envelope;
use self::read::Booking;
use super::http::SharedHttp;
use super::shop::call::{Caller, Shown};
use super::shop::{Finding, Hook, OrderSystem, Page, ShopError, Telling, Told};
use super::stripe::form::{Form, segment};
use crate::config::{CheckfrontSettings, ShopSource};
use crate::domain::money::Currency;
use crate::domain::order::{Order, PaymentEcho};
use crate::domain::time::{Seconds, UnixTime};
use crate::inbound::checkfront::is_code;

/// Bookings, and notes, on one page.
const LIMIT: u32 = 100;
/// Media type of every body of v3.
const FORM: &str = "application/x-www-form-urlencoded";

/// Talks to one Checkfront account.
#[derive(Clone)]
pub struct CheckfrontClient {
    caller: Caller,
    source: ShopSource,
    settings: Box<CheckfrontSettings>,
    /// The account's currency, once it was asked for.
    currency: Arc<Mutex<Option<Currency>>>,
}

impl std::fmt::Debug for CheckfrontClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CheckfrontClient").field("source", &self.source.name).finish_non_exhaustive()
    }
}

impl CheckfrontClient {
    /// A client of `source`, whose settings these are, that shows `key`: the API key, a colon, the API secret.
    pub(super) fn new(
        http: SharedHttp,
        source: ShopSource,
        key: SecretString,
        settings: Box<CheckfrontSettings>,
    ) -> Self {
        let caller = Caller::new(http, &source.base_url, key, Shown::Basic);
        Self { caller, source, settings, currency: Arc::default() }
    }

    /// The source it talks to.
    pub fn source(&self) -> &ShopSource {
        &self.source
    }

    async fn get(&self, path: &str, query: &Form, id: &str) -> Result<Envelope, ShopError> {
        let path = query.on_path(&format!("/api/3.0/{path}"));
        Envelope::of(&self.caller.send(Method::GET, &path, None).await?, id)
    }

    async fn post(&self, path: &str, form: &Form, id: &str) -> Result<Envelope, ShopError> {
        let body = (FORM, Bytes::from(form.encode()));
        let answer = self.caller.send(Method::POST, &format!("/api/3.0/{path}"), Some(body)).await?;
        // An error object instead of the envelope is a word of refusal: nothing was written.
        Envelope::of(&answer, id).map_err(|error| match error {
            ShopError::ErrorInside(_) => ShopError::Rejected(format!(
                "Checkfront answers POST {} with an error object; try the same change by hand in Checkfront",
                path.rsplit('/').next().unwrap_or_default()
            )),
            other => other,
        })
    }

    /// The booking as it is now.
    async fn booking(&self, code: &str) -> Result<Booking, ShopError> {
        if !is_code(code) {
            return Err(ShopError::Field {
                field: "id".to_owned(),
                found: format!("{:?}", code.chars().take(40).collect::<String>()),
                rule: "a booking's code such as ABCD-211126",
            });
        }
        let answer = self.get(&format!("booking/{}", segment(code)), &Form::new(), code).await?;
        let currency = match read::currency(&answer, code)? {
            Some(currency) => currency,
            None => self.company_currency().await?,
        };
        read::booking(&answer, code, currency, &self.settings)
    }

    /// The account's currency: one for all of its bookings.
    async fn company_currency(&self) -> Result<Currency, ShopError> {
        let known = *self.currency.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(currency) = known {
            return Ok(currency);
        }
        let answer = self.get("company", &Form::new(), "").await?;
        let currency = read::company(&answer)?;
        *self.currency.lock().unwrap_or_else(PoisonError::into_inner) = Some(currency);
        Ok(currency)
    }

    /// One page of what changed after `since`.
    async fn page(&self, since: UnixTime, page: u32) -> Result<(Envelope, Page), ShopError> {
        // "After", while we are asked for "at or after".
        let query = Form::new()
            .set("last_modified", format!(">{}", (since - Seconds(1)).0.max(0)))
            .set("limit", LIMIT)
            .set("page", page);
        let answer = self.get("booking/index", &query, "").await?;
        let listed = read::page(&answer, since, page)?;
        Ok((answer, listed))
    }
}

impl OrderSystem for CheckfrontClient {
    async fn get_order(&self, id: &str) -> Result<Order, ShopError> {
        Ok(self.booking(id).await?.order)
    }

    /// What was told stands in the notes: a read of its own, for the reconciler.
    async fn get_told(&self, id: &str) -> Result<Order, ShopError> {
        let booking = self.booking(id).await?;
        let marks = notes::read(self, &booking).await?;
        let payment = marks.status.map(|status| PaymentEcho { version: marks.version, status });
        Ok(Order { payment, ..booking.order })
    }

    async fn tell(&self, telling: &Telling<'_>) -> Result<Told, ShopError> {
        tell::tell(self, telling).await
    }

    async fn list(&self, since: UnixTime, cursor: Option<&str>) -> Result<Page, ShopError> {
        let page = match cursor {
            None => 1,
            // A cursor that is none of ours: the listing begins anew.
            Some(cursor) => cursor.parse().map_err(|_| ShopError::Refused(400))?,
        };
        Ok(self.page(since, page).await?.1)
    }

    /// Webhooks are kept in Checkfront's pages only.
    async fn hooks(&self, _address: &str) -> Result<Option<Vec<Hook>>, ShopError> {
        Ok(None)
    }

    async fn mend(&self, _address: &str, _hook: &Hook) -> Result<bool, ShopError> {
        Ok(false)
    }

    async fn check(&self, address: &str) -> Vec<Finding> {
        check::check(self, address).await
    }
}

#[cfg(test)]
mod tests;
