//! One HTTP call to an order system: the credential, the limits, and what an answer must be to be read at all.

use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::ShopError;
use crate::domain::time::UnixTime;
use crate::outbound::http::{HttpResponse, SendError, SharedHttp};

/// Largest answer that is read.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Longest wait for one answer.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// How a credential is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shown {
    /// `Authorization: Bearer {key}`.
    Bearer,
    /// `Authorization: Basic`; the key is `user:password`.
    Basic,
    /// In a header of its own.
    Header(&'static str),
}

/// Calls one order system with its credential.
#[derive(Clone)]
pub(crate) struct Caller {
    http: SharedHttp,
    base: String,
    key: SecretString,
    shown: Shown,
}

impl Caller {
    pub(crate) fn new(http: SharedHttp, base_url: &str, key: SecretString, shown: Shown) -> Self {
        Self { http, base: base_url.trim_end_matches('/').to_owned(), key, shown }
    }

    /// Sends one request. `path` begins with a slash; `body` is its media type and bytes.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<(&'static str, Bytes)>,
    ) -> Result<HttpResponse, ShopError> {
        let (name, value) = self.credential()?;
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(name, value)
            .header(header::ACCEPT, "application/json");
        let mut bytes = Bytes::new();
        if let Some((media_type, body)) = body {
            request = request.header(header::CONTENT_TYPE, media_type);
            bytes = body;
        }
        let request = request.body(bytes).map_err(|e| ShopError::NotSent(e.to_string()))?;
        let answer = self.http.send(request, TIMEOUT).await.map_err(|e| match e {
            SendError::NotSent(why) => ShopError::NotSent(why),
            SendError::Unknown(why) => ShopError::Unknown(why),
        })?;
        if answer.body().len() > BODY_BYTES_MAX {
            return Err(ShopError::TooLarge(answer.body().len()));
        }
        Ok(answer)
    }

    fn credential(&self) -> Result<(HeaderName, HeaderValue), ShopError> {
        let key = self.key.expose_secret();
        let (name, text) = match self.shown {
            Shown::Bearer => (header::AUTHORIZATION, format!("Bearer {key}")),
            Shown::Basic => {
                let pair = base64::engine::general_purpose::STANDARD.encode(key);
                (header::AUTHORIZATION, format!("Basic {pair}"))
            }
            Shown::Header(name) => (HeaderName::from_static(name), key.to_owned()),
        };
        let mut value = HeaderValue::try_from(text)
            .map_err(|_| ShopError::NotSent("the key holds characters no header may".to_owned()))?;
        value.set_sensitive(true);
        Ok((name, value))
    }
}

/// The order system's own clock, by its `Date` header.
pub(crate) fn date(answer: &HttpResponse) -> Option<UnixTime> {
    let text = answer.headers().get(header::DATE)?.to_str().ok()?;
    jiff::fmt::rfc2822::parse(text).ok().map(|time| UnixTime(time.timestamp().as_second()))
}

/// What a status that is no success means; `id` is the order asked for.
pub(crate) fn refused(answer: &HttpResponse, id: &str) -> Option<ShopError> {
    let status = answer.status();
    Some(match status {
        StatusCode::NOT_FOUND => ShopError::NotFound(id.to_owned()),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ShopError::Unauthorized(status.as_u16()),
        StatusCode::TOO_MANY_REQUESTS => {
            let after = answer.headers().get(header::RETRY_AFTER).and_then(|v| v.to_str().ok());
            ShopError::Throttled { retry_after: after.and_then(|s| s.parse().ok()) }
        }
        // A gateway's time-out: the request may still be under way behind it.
        StatusCode::REQUEST_TIMEOUT => ShopError::ServerFault(status.as_u16()),
        _ if status.is_server_error() => ShopError::ServerFault(status.as_u16()),
        _ if !status.is_success() => ShopError::Refused(status.as_u16()),
        _ => return None,
    })
}

/// The JSON of an answer, whatever its status.
pub(crate) fn json_in(answer: &HttpResponse) -> Result<Value, ShopError> {
    serde_json::from_slice::<Value>(answer.body()).map_err(|_| {
        let content_type = answer.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
        let content_type = content_type.unwrap_or("no content type").chars().take(60).collect();
        ShopError::NotJson { status: answer.status().as_u16(), content_type }
    })
}

/// The JSON of a successful answer without an error inside.
pub(crate) fn json_of(answer: &HttpResponse, id: &str) -> Result<Value, ShopError> {
    if let Some(error) = refused(answer, id) {
        return Err(error);
    }
    let body = json_in(answer)?;
    let inside = |name: &str| body.get(name).is_some_and(|e| !e.is_null());
    if inside("error") || inside("errors") {
        return Err(ShopError::ErrorInside(answer.status().as_u16()));
    }
    Ok(body)
}
