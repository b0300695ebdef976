//! Refusals in Stripe's error shape.
//!
//! Invariant: an error knows whether execution had begun; only then is it stored under an idempotency key.

use http::StatusCode;
use serde_json::{Map, Value, json};

/// A refusal.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) executed: bool,
    body: Map<String, Value>,
}

impl ApiError {
    fn new(status: StatusCode, kind: &str, message: &str) -> Self {
        let mut body = Map::new();
        body.insert("type".into(), kind.into());
        body.insert("message".into(), message.into());
        Self { status, executed: false, body }
    }

    /// 400 without a code.
    pub(crate) fn bad_request(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
    }

    /// 400 about one parameter, without a code.
    pub(crate) fn plain_param(param: &str, message: &str) -> Self {
        Self::bad_request(message).with("param", param)
    }

    /// 400 about one parameter.
    pub(crate) fn param(code: &str, param: &str, message: &str) -> Self {
        Self::plain_param(param, message).coded(code)
    }

    /// The object named in the URL does not exist.
    pub(crate) fn missing(what: &str, id: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "invalid_request_error", &format!("No such {what}: '{id}'"))
            .coded("resource_missing")
            .with("param", "id")
    }

    /// The object named by a parameter does not exist.
    pub(crate) fn missing_param(what: &str, param: &str, id: &str) -> Self {
        Self::param("resource_missing", param, &format!("No such {what}: '{id}'"))
    }

    /// The URL is not part of the API.
    pub(crate) fn unknown_url(method: &str, path: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "invalid_request_error",
            &format!("Unrecognized request URL ({method}: {path})."),
        )
    }

    /// The object is not in a state that allows this. Execution has begun.
    pub(crate) fn state(code: &str, message: &str) -> Self {
        Self::bad_request(message).coded(code).executed()
    }

    /// No key, an unknown key or a revoked one.
    pub(crate) fn unauthorized(message: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "invalid_request_error", message)
    }

    /// The key may not do this.
    pub(crate) fn forbidden(message: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "invalid_request_error", message)
    }

    /// The key was used with other parameters.
    pub(crate) fn idempotency(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "idempotency_error", message)
    }

    /// The first request with this key is still running.
    pub(crate) fn key_in_use() -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "invalid_request_error",
            "There is another request in progress with the same idempotency key.",
        )
        .coded("idempotency_key_in_use")
    }

    /// Stripe's own trouble.
    pub(crate) fn server() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "api_error", "An unknown error occurred.").executed()
    }

    /// Too many requests, or a lock held too long.
    pub(crate) fn too_many(code: &str, message: &str) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "invalid_request_error", message).coded(code)
    }

    /// The payment failed: 402. The caller adds the decline's fields.
    pub(crate) fn card(message: &str) -> Self {
        Self::new(StatusCode::PAYMENT_REQUIRED, "card_error", message).executed()
    }

    /// Sets the machine code and its page in the documentation.
    pub(crate) fn coded(self, code: &str) -> Self {
        let page = format!("https://stripe.com/docs/error-codes/{}", code.replace('_', "-"));
        self.with("code", code).with("doc_url", page)
    }

    /// Adds a field.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.body.insert(name.to_owned(), value.into());
        self
    }

    /// Marks that execution had begun: the answer is stored under the idempotency key.
    pub(crate) fn executed(mut self) -> Self {
        self.executed = true;
        self
    }

    /// What a person reads.
    pub(crate) fn message(&self) -> &str {
        self.body.get("message").and_then(Value::as_str).unwrap_or_default()
    }

    /// The body on the wire.
    pub(crate) fn body(&self) -> Value {
        json!({ "error": self.body })
    }
}
