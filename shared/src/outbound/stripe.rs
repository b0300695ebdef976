//! The Stripe client: one small layer over the HTTP seam.
//!
//! Invariant: every request names the pinned version, every POST goes out with exactly the bytes and the key that were
//! stored, and every error answers "surely not done, or unknown?". Nothing here decides about money.

pub mod backoff;
pub mod calls;
pub mod error;
pub mod form;
pub mod grants;
pub mod objects;
pub mod pages;
pub mod read;
#[cfg(test)]
mod scripted;
pub mod setup;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::backoff::Jitter;
pub use self::calls::StripeCall;
use self::error::{ApiError, ErrorKind, header};
pub use self::error::{Effect, StripeError};
pub use self::pages::Pages;
use crate::clock::{Clock, Deadline};
use crate::outbound::http::{HttpRequest, HttpResponse, SendError, SharedHttp};

/// The version of the API that everything here is written for.
pub const STRIPE_VERSION: &str = "2026-10-28.endive";

/// A try is not begun with less time than this: it would end unknown for nothing.
const LEAST_TIME: Duration = Duration::from_millis(300);

/// Stripe takes no longer idempotency key.
const KEY_LIMIT: usize = 255;

/// What a client is made of.
#[derive(Clone)]
pub struct StripeSettings {
    /// The seam.
    pub http: SharedHttp,
    /// Spreads the waits of calls that have no key.
    pub clock: Clock,
    /// `https://api.stripe.com`, or a simulator.
    pub base_url: String,
    /// The restricted or secret key.
    pub key: SecretString,
    /// The own account's id, to check answers with.
    pub account: Option<String>,
    /// The connected account to act for.
    pub connect_account: Option<String>,
    /// What every object's `livemode` must be.
    pub livemode: bool,
    /// Retries within one call: 2 in production, 0 in the simulation.
    pub max_retries: u32,
    /// The longest a single request may take.
    pub request_timeout: Duration,
    /// The longest a call may take with its retries when no [`Deadline`] is set.
    pub total_timeout: Duration,
    /// The spread of the waits.
    pub jitter: Jitter,
}

impl StripeSettings {
    /// The usual settings.
    pub fn new(
        http: SharedHttp,
        clock: Clock,
        base_url: impl Into<String>,
        key: SecretString,
        livemode: bool,
    ) -> Self {
        Self {
            http,
            clock,
            base_url: base_url.into(),
            key,
            account: None,
            connect_account: None,
            livemode,
            max_retries: 2,
            request_timeout: Duration::from_secs(20),
            total_timeout: Duration::from_secs(60),
            jitter: backoff::hashed,
        }
    }
}

/// Talks to Stripe. Cheap to clone.
#[derive(Clone)]
pub struct StripeClient {
    settings: Arc<StripeSettings>,
    authorization: HeaderValue,
    deadline: Option<Deadline>,
}

/// A good answer.
#[derive(Clone, PartialEq)]
pub struct Answer {
    /// The object or list.
    pub value: Value,
    /// The HTTP status.
    pub status: u16,
    /// `req_..`, for Stripe's support.
    pub request_id: Option<String>,
    /// Stripe's stored answer of an earlier request with this key.
    pub stored_replay: bool,
    /// How many requests were sent.
    pub tries: u32,
}

impl std::fmt::Debug for Answer {
    /// Kind and id only: the object holds contact data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer")
            .field("id", &objects::StripeObject::id(&self.value))
            .field("status", &self.status)
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}

impl Answer {
    /// The object. One that cannot be read is unknown: Stripe did say yes.
    pub fn parse<T: DeserializeOwned>(self) -> Result<T, StripeError> {
        serde_json::from_value(self.value).map_err(|e| StripeError {
            kind: ErrorKind::Unreadable {
                status: self.status,
                why: pages::shape(&e),
                request_id: self.request_id,
            },
            earlier_unknown: false,
            tries: self.tries,
        })
    }
}

impl StripeClient {
    /// A client. Fails only if the key cannot stand in a header.
    pub fn new(settings: StripeSettings) -> Result<Self, StripeError> {
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", settings.key.expose_secret()))
            .map_err(|_| {
                StripeError::new(ErrorKind::Unsendable("the key has characters no key has".to_owned()))
            })?;
        authorization.set_sensitive(true);
        Ok(Self { settings: Arc::new(settings), authorization, deadline: None })
    }

    /// The same client for an invocation that must be done by `deadline`, retries and waits included.
    #[must_use]
    pub fn until(&self, deadline: Deadline) -> Self {
        Self { deadline: Some(deadline), ..self.clone() }
    }

    /// What every object's `livemode` must be.
    pub fn livemode(&self) -> bool {
        self.settings.livemode
    }

    /// The account that objects belong to: the connected one, else the own, if configured.
    pub fn account(&self) -> Option<&str> {
        self.settings.connect_account.as_deref().or(self.settings.account.as_deref())
    }

    /// Any request. `path` begins with `/v1/` and holds the query; `body` is an encoded form.
    pub async fn send_raw(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        idempotency_key: Option<&str>,
    ) -> Result<Value, StripeError> {
        Ok(self.exchange(method, path, body, idempotency_key).await?.value)
    }

    /// Sends stored bytes under their stored key.
    pub async fn post_stored(&self, path: &str, body: Bytes, key: &str) -> Result<Answer, StripeError> {
        self.exchange(Method::POST, path, Some(body), Some(key)).await
    }

    /// Sends a built call under `key` and reads the object.
    pub async fn post<T: DeserializeOwned>(&self, call: &StripeCall, key: &str) -> Result<T, StripeError> {
        self.post_stored(&call.path, call.bytes(), key).await?.parse()
    }

    /// Reads one path.
    pub async fn get(&self, path: &str) -> Result<Answer, StripeError> {
        self.exchange(Method::GET, path, None, None).await
    }

    /// Reads one object.
    pub async fn get_as<T: DeserializeOwned>(&self, path: &str) -> Result<T, StripeError> {
        self.get(path).await?.parse()
    }

    /// One call with its retries: same key, same bytes, never past the deadline.
    pub async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        idempotency_key: Option<&str>,
    ) -> Result<Answer, StripeError> {
        let deadline = self.deadline.unwrap_or_else(|| Deadline::after(self.settings.total_timeout));
        let safe_to_repeat = method == Method::GET || idempotency_key.is_some();
        let spread_by =
            idempotency_key.map_or_else(|| format!("{path} {}", self.settings.clock.now_ms()), str::to_owned);
        let mut earlier_unknown = false;
        let mut tries = 0;
        loop {
            tries += 1;
            let error = match self.once(&method, path, body.clone(), idempotency_key, deadline).await {
                Ok(answer) => return Ok(Answer { tries, ..answer }),
                Err(kind) => StripeError { kind, earlier_unknown, tries },
            };
            let spread = (self.settings.jitter)(&spread_by, tries);
            let wait = if tries > self.settings.max_retries {
                None
            } else {
                backoff::wait(&error, safe_to_repeat, tries, spread)
                    .filter(|wait| *wait + LEAST_TIME < deadline.remaining())
            };
            tracing::debug!(%method, path = without_query(path), tries, retry = wait.is_some(), error = %error, "stripe call failed");
            let Some(wait) = wait else { return Err(error) };
            earlier_unknown |= error.effect() == Effect::Unknown;
            tokio::time::sleep(wait).await;
        }
    }

    /// One request.
    async fn once(
        &self,
        method: &Method,
        path: &str,
        body: Option<Bytes>,
        key: Option<&str>,
        deadline: Deadline,
    ) -> Result<Answer, ErrorKind> {
        let request =
            self.request(method, path, body, key).map_err(|e| ErrorKind::Unsendable(e.to_string()))?;
        if key.is_some_and(|key| key.len() > KEY_LIMIT) {
            return Err(ErrorKind::Unsendable(format!("idempotency key longer than {KEY_LIMIT} characters")));
        }
        let timeout = deadline.remaining().min(self.settings.request_timeout);
        if timeout < LEAST_TIME {
            return Err(ErrorKind::NotSent("no time left".to_owned()));
        }
        // The seam keeps the time too; this holds whatever stands behind it.
        match tokio::time::timeout(timeout, self.settings.http.send(request, timeout)).await {
            Ok(Ok(response)) => self.read(&response).map_err(|mut kind| {
                if let ErrorKind::Api(refusal) = &mut kind
                    && refusal.lacks_permission()
                {
                    refusal.message = grants::wanting(method, path);
                }
                kind
            }),
            Ok(Err(SendError::NotSent(why))) => Err(ErrorKind::NotSent(why)),
            Ok(Err(SendError::Unknown(why))) => Err(ErrorKind::Unknown(why)),
            Err(_) => Err(ErrorKind::Unknown(format!("no answer within {} ms", timeout.as_millis()))),
        }
    }

    fn request(
        &self,
        method: &Method,
        path: &str,
        body: Option<Bytes>,
        key: Option<&str>,
    ) -> Result<HttpRequest, http::Error> {
        let uri = format!("{}{path}", self.settings.base_url.trim_end_matches('/'));
        let mut builder = http::Request::builder()
            .method(method)
            .uri(uri)
            .header(http::header::AUTHORIZATION, &self.authorization)
            .header("stripe-version", STRIPE_VERSION);
        if method == Method::POST {
            builder = builder.header(http::header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        if let Some(account) = &self.settings.connect_account {
            builder = builder.header("stripe-account", account);
        }
        if let Some(key) = key {
            builder = builder.header("idempotency-key", key);
        }
        builder.body(body.unwrap_or_default())
    }

    fn read(&self, response: &HttpResponse) -> Result<Answer, ErrorKind> {
        let status = response.status().as_u16();
        let headers = response.headers();
        if !response.status().is_success() {
            return Err(ErrorKind::Api(Box::new(ApiError::read(status, headers, response.body()))));
        }
        let request_id = header(headers, "request-id");
        let value: Value = match serde_json::from_slice(response.body()) {
            Ok(value @ Value::Object(_)) => value,
            _ => {
                let why = format!("{} bytes that are no JSON object", response.body().len());
                return Err(ErrorKind::Unreadable { status, why, request_id });
            }
        };
        self.check_mode(&value)?;
        if let (Some(got), Some(own)) = (header(headers, "stripe-account"), self.account())
            && got != own
        {
            return Err(ErrorKind::WrongAccount { got });
        }
        let stored_replay = header(headers, "idempotent-replayed").as_deref() == Some("true");
        Ok(Answer { value, status, request_id, stored_replay, tries: 1 })
    }

    /// The object's own mode, or that of each of a list's items.
    fn check_mode(&self, value: &Value) -> Result<(), ErrorKind> {
        let expected_livemode = self.settings.livemode;
        let right = |v: &Value| {
            v.get("livemode").and_then(Value::as_bool).is_none_or(|mode| mode == expected_livemode)
        };
        let items = value.get("data").and_then(Value::as_array);
        if right(value) && items.is_none_or(|items| items.iter().all(right)) {
            Ok(())
        } else {
            Err(ErrorKind::WrongMode { expected_livemode })
        }
    }
}

impl std::fmt::Debug for StripeClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StripeClient")
            .field("base_url", &self.settings.base_url)
            .field("account", &self.account())
            .field("livemode", &self.settings.livemode)
            .finish_non_exhaustive()
    }
}

/// A query may hold contact data.
fn without_query(path: &str) -> &str {
    path.split_once('?').map_or(path, |(path, _)| path)
}
