//! What is around every answer of API v3.
//!
//! Invariant: an answer without its envelope is an error, whatever its status says.

use serde_json::Value;

use crate::domain::time::UnixTime;
use crate::inbound::checkfront::word;
use crate::outbound::http::HttpResponse;
use crate::outbound::shop::ShopError;
use crate::outbound::shop::call::{date, json_in, refused};
use crate::outbound::shop::field::refuse;

/// An answer that is one.
#[derive(Debug)]
pub(super) struct Envelope {
    /// All of it.
    pub(super) body: Value,
    /// The account's time when it answered.
    pub(super) as_of: Option<UnixTime>,
}

impl Envelope {
    /// The envelope in `answer`, or why it is none; `id` is the booking asked for.
    pub(super) fn of(answer: &HttpResponse, id: &str) -> Result<Self, ShopError> {
        if let Some(error) = refused(answer, id) {
            return Err(error);
        }
        let body = json_in(answer)?;
        // Critical errors come alone; their text is not repeated, it may quote what was sent.
        if let Some(error) = body.get("error").filter(|e| !e.is_null()) {
            return Err(match word(error.get("code").or(Some(error))).as_str() {
                "401" => ShopError::Unauthorized(401),
                "403" => ShopError::Unauthorized(403),
                "404" => ShopError::NotFound(id.to_owned()),
                "429" => ShopError::Throttled { retry_after: None },
                _ => ShopError::ErrorInside(answer.status().as_u16()),
            });
        }
        let request = body.get("request");
        let status = word(request.and_then(|r| r.get("status")));
        if request.is_none_or(|r| !r.is_object()) {
            return Err(refuse("request", request, "the envelope that is around every answer of API v3"));
        }
        if !status.is_empty() && !status.eq_ignore_ascii_case("OK") {
            return Err(ShopError::ErrorInside(answer.status().as_u16()));
        }
        let told = request.and_then(|r| time(r.get("timestamp")));
        Ok(Self { as_of: told.or_else(|| date(answer)), body })
    }

    /// A number of the envelope's `request`.
    pub(super) fn number(&self, name: &str) -> Option<u32> {
        word(self.body.get("request")?.get(name)).parse().ok()
    }

    /// The rows of a payload: an object keyed by id, a list, or nothing at all.
    pub(super) fn rows(&self, keys: &[&str]) -> Result<Vec<&Value>, ShopError> {
        let found = keys.iter().find_map(|key| self.body.get(*key));
        match found {
            Some(Value::Object(rows)) => Ok(rows.values().collect()),
            Some(Value::Array(rows)) => Ok(rows.iter().collect()),
            Some(Value::Null) => Ok(Vec::new()),
            None if self.number("records").is_none_or(|n| n == 0) => Ok(Vec::new()),
            other => {
                let key = keys.first().copied().unwrap_or_default();
                Err(refuse(key, other, "an object of rows keyed by id"))
            }
        }
    }
}

/// A time as any part of Checkfront writes it: Unix seconds, with or without parts of them, as a number or in a string, or
/// ISO 8601 with an offset.
pub(super) fn time(value: Option<&Value>) -> Option<UnixTime> {
    let text = word(value);
    let whole = text.split_once('.').map_or(text.as_str(), |(whole, _)| whole);
    let seconds = whole.parse::<i64>().ok();
    let iso = || text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second);
    seconds.or_else(iso).filter(|s| *s > 0).map(UnixTime)
}
