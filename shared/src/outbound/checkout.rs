//! Client of the checkout protocol: read one order, tell it our view, list what changed.
//!
//! Invariant: an order that does not say clearly what it is, is no order. Errors name the field and, where it cannot
//! be contact data, the value.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::http::{HttpResponse, SendError, SharedHttp};
use super::stripe::Effect;
use crate::config::CheckoutSource;
use crate::domain::ids::key_part;
use crate::domain::order::Order;
use crate::domain::time::UnixTime;
use crate::domain::view::{PaymentView, WriteBack};

mod read;

/// Largest answer that is read.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Longest wait for one answer.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// Why an order system's answer is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckoutError {
    /// The request surely never arrived.
    #[error("the order system was not reached: {0}")]
    NotSent(String),
    /// No whole answer came.
    #[error("the order system gave no whole answer: {0}")]
    Unknown(String),
    /// The order system does not know this order.
    #[error("the order system does not know order {0:?} (404)")]
    NotFound(String),
    /// The token is refused.
    #[error("the order system refuses the token ({0}); check the secret named by `api_key`")]
    Unauthorized(u16),
    /// Too many requests.
    #[error("the order system asks to slow down (429)")]
    Throttled {
        /// Seconds from its `Retry-After`.
        retry_after: Option<u32>,
    },
    /// It refused the request.
    #[error("the order system refused the request ({0})")]
    Refused(u16),
    /// It failed.
    #[error("the order system failed ({0})")]
    ServerFault(u16),
    /// The answer is larger than [`BODY_BYTES_MAX`].
    #[error("the order system's answer has {0} bytes, more than {BODY_BYTES_MAX}")]
    TooLarge(usize),
    /// Not JSON: a login page, an error page.
    #[error("the order system answered {status} with {content_type:?} instead of JSON")]
    NotJson {
        /// The answer's status.
        status: u16,
        /// The answer's content type, shortened.
        content_type: String,
    },
    /// Success outside, an error inside.
    #[error("the order system answered {0} with an `error` inside")]
    ErrorInside(u16),
    /// The answer is about another order.
    #[error("asked for order {asked:?}, got {got:?}")]
    OtherOrder {
        /// The id asked for.
        asked: String,
        /// The id in the answer.
        got: String,
    },
    /// A field is missing or says what it must not.
    #[error("field `{field}` is {found}: {rule}")]
    Field {
        /// Its path.
        field: String,
        /// Its value, or only its type where it may hold contact data.
        found: String,
        /// What it must be.
        rule: &'static str,
    },
}

impl CheckoutError {
    /// Whether the call can have changed anything.
    pub fn effect(&self) -> Effect {
        match self {
            Self::NotSent(_)
            | Self::NotFound(_)
            | Self::Unauthorized(_)
            | Self::Throttled { .. }
            | Self::Refused(_) => Effect::SurelyNotDone,
            Self::Unknown(_)
            | Self::ServerFault(_)
            | Self::TooLarge(_)
            | Self::NotJson { .. }
            | Self::ErrorInside(_)
            | Self::OtherOrder { .. }
            | Self::Field { .. } => Effect::Unknown,
        }
    }

    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::NotSent(_) | Self::Unknown(_) | Self::Throttled { .. } | Self::ServerFault(_))
    }
}

/// One line of a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderRef {
    /// The order system's id.
    pub id: String,
    /// Its version.
    pub version: u64,
    /// When it last changed.
    pub updated_at: UnixTime,
}

/// One page of a listing, sorted by (`updated_at`, `id`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The orders.
    pub orders: Vec<OrderRef>,
    /// The order system's time when the listing began.
    pub as_of: UnixTime,
    /// Where the next page begins; none on the last.
    #[serde(default)]
    pub next_cursor: Option<String>,
}

/// Talks to one order system.
#[derive(Clone)]
pub struct CheckoutClient {
    http: SharedHttp,
    source: CheckoutSource,
    token: SecretString,
}

impl std::fmt::Debug for CheckoutClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CheckoutClient").field("source", &self.source.name).finish_non_exhaustive()
    }
}

impl CheckoutClient {
    /// A client of `source` that shows `token`.
    pub fn new(http: SharedHttp, source: CheckoutSource, token: SecretString) -> Self {
        Self { http, source, token }
    }

    /// The source it talks to.
    pub fn source(&self) -> &CheckoutSource {
        &self.source
    }

    /// The order as it is now.
    pub async fn get_order(&self, id: &str) -> Result<Order, CheckoutError> {
        let body = self.call(Method::GET, &order_path(id)?, None, id).await?;
        read::order(&body, id)
    }

    /// Tells the order our view of its payment. Safe to repeat: the order system ignores a version it knows.
    pub async fn write_back(
        &self,
        id: &str,
        version: u64,
        view: &PaymentView,
    ) -> Result<Order, CheckoutError> {
        let request = WriteBack { payment_version: version, payment: view.clone() };
        let bytes = serde_json::to_vec(&request).map_err(|e| CheckoutError::NotSent(e.to_string()))?;
        let body = self.call(Method::PATCH, &order_path(id)?, Some(bytes.into()), id).await?;
        read::order(&body, id)
    }

    /// One page of the orders changed at or after `updated_since`.
    pub async fn list(&self, updated_since: UnixTime, cursor: Option<&str>) -> Result<Page, CheckoutError> {
        let mut path = format!("/orders?updated_since={}", updated_since.0);
        if let Some(cursor) = cursor {
            path.push_str("&cursor=");
            path.push_str(&key_part(cursor));
        }
        let body = self.call(Method::GET, &path, None, "").await?;
        read::page(&body)
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        id: &str,
    ) -> Result<Value, CheckoutError> {
        let url = format!("{}{path}", self.source.base_url.trim_end_matches('/'));
        let mut bearer = header::HeaderValue::try_from(format!("Bearer {}", self.token.expose_secret()))
            .map_err(|_| CheckoutError::NotSent("the token holds characters no header may".to_owned()))?;
        bearer.set_sensitive(true);
        let mut request = http::Request::builder()
            .method(method)
            .uri(url)
            .header(header::AUTHORIZATION, bearer)
            .header(header::ACCEPT, "application/json");
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request =
            request.body(body.unwrap_or_default()).map_err(|e| CheckoutError::NotSent(e.to_string()))?;
        let answer = self.http.send(request, TIMEOUT).await.map_err(|e| match e {
            SendError::NotSent(why) => CheckoutError::NotSent(why),
            SendError::Unknown(why) => CheckoutError::Unknown(why),
        })?;
        usable(&answer, id)
    }
}

/// `/orders/{id}`, for an id that stays one part of the path.
fn order_path(id: &str) -> Result<String, CheckoutError> {
    if id.is_empty() || id == "." || id == ".." {
        return Err(CheckoutError::Field {
            field: "id".to_owned(),
            found: format!("{id:?}"),
            rule: "an order's id is neither empty nor a path",
        });
    }
    Ok(format!("/orders/{}", key_part(id)))
}

/// The JSON of a successful answer.
fn usable(answer: &HttpResponse, id: &str) -> Result<Value, CheckoutError> {
    let status = answer.status();
    match status {
        StatusCode::NOT_FOUND => return Err(CheckoutError::NotFound(id.to_owned())),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            return Err(CheckoutError::Unauthorized(status.as_u16()));
        }
        StatusCode::TOO_MANY_REQUESTS => {
            let after = answer.headers().get(header::RETRY_AFTER).and_then(|v| v.to_str().ok());
            return Err(CheckoutError::Throttled { retry_after: after.and_then(|s| s.parse().ok()) });
        }
        // A gateway's time-out: the request may still be under way behind it.
        StatusCode::REQUEST_TIMEOUT => return Err(CheckoutError::ServerFault(status.as_u16())),
        _ if status.is_server_error() => return Err(CheckoutError::ServerFault(status.as_u16())),
        _ if !status.is_success() => return Err(CheckoutError::Refused(status.as_u16())),
        _ => {}
    }
    if answer.body().len() > BODY_BYTES_MAX {
        return Err(CheckoutError::TooLarge(answer.body().len()));
    }
    let Ok(body) = serde_json::from_slice::<Value>(answer.body()) else {
        let content_type = answer.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
        let content_type = content_type.unwrap_or("no content type").chars().take(60).collect();
        return Err(CheckoutError::NotJson { status: status.as_u16(), content_type });
    };
    if body.get("error").is_some_and(|e| !e.is_null()) || body.get("errors").is_some_and(|e| !e.is_null()) {
        return Err(CheckoutError::ErrorInside(status.as_u16()));
    }
    Ok(body)
}

#[cfg(test)]
mod tests;
