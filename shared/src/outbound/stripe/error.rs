//! What went wrong with a call, and the one question about it: surely not done, or unknown?
//!
//! Invariant: a doubt is [`Effect::Unknown`]. No error shows a secret, card data or contact data.

use std::fmt;

use http::HeaderMap;
use serde_json::Value;

use super::objects::PaymentIntent;

/// Whether a call that failed can have changed anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It changed nothing, and nothing of it can land later.
    SurelyNotDone,
    /// It may have been carried out: settle it before anything else.
    Unknown,
}

/// A call that brought no usable answer.
#[derive(Clone, Debug, PartialEq)]
pub struct StripeError {
    /// What went wrong with the last try.
    pub kind: ErrorKind,
    /// An earlier try of the same call ended unknown, so a later refusal proves less.
    pub earlier_unknown: bool,
    /// How many requests were sent.
    pub tries: u32,
}

/// The kinds of failure.
#[derive(Clone, Debug, PartialEq)]
pub enum ErrorKind {
    /// Never left: no connection, or no time.
    NotSent(String),
    /// Could not be built: sending it again is no use.
    Unsendable(String),
    /// Sent, but no whole answer came: timeout, reset, body cut off.
    Unknown(String),
    /// Stripe said yes in a body that cannot be read.
    Unreadable {
        /// The HTTP status.
        status: u16,
        /// What could not be read; never the body.
        why: String,
        /// For Stripe's support.
        request_id: Option<String>,
    },
    /// Stripe said no.
    Api(Box<ApiError>),
    /// The answer is of the other mode: the key or the base URL is wrong.
    WrongMode {
        /// What the configuration says.
        expected_livemode: bool,
    },
    /// The answer is of another account.
    WrongAccount {
        /// What the answer says.
        got: String,
    },
    /// A list is longer than the caller's limit; what was read is no basis for a decision.
    ListTooLong {
        /// The limit, in pages or items.
        limit: usize,
    },
}

/// Stripe's refusal, without anything that names a person or a card.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// The body was Stripe's error envelope. If not, somebody else may have answered.
    pub readable: bool,
    /// `card_error`, `invalid_request_error`, `idempotency_error`, `api_error`.
    pub kind: Option<String>,
    /// Machine code.
    pub code: Option<String>,
    /// The issuer's or Stripe's reason for a decline.
    pub decline_code: Option<String>,
    /// Stripe's advice: wins over the decline code.
    pub advice_code: Option<String>,
    /// The network's advice.
    pub network_advice_code: Option<String>,
    /// The network's raw code.
    pub network_decline_code: Option<String>,
    /// The parameter at fault.
    pub param: Option<String>,
    /// Stripe's words; absent for card errors and wherever they could name a person, a card or a key.
    pub message: Option<String>,
    /// For Stripe's support.
    pub request_id: Option<String>,
    /// The failed charge.
    pub charge: Option<String>,
    /// The intent as the refusal left it.
    pub payment_intent: Option<Box<PaymentIntent>>,
    /// This is the stored answer of an earlier request with the same key.
    pub stored_replay: bool,
    /// `Stripe-Should-Retry`.
    pub should_retry: Option<bool>,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<u64>,
    /// `Stripe-Rate-Limited-Reason`.
    pub rate_limited_reason: Option<String>,
}

impl ApiError {
    /// Reads a refusal from its status, headers and body.
    pub(super) fn read(status: u16, headers: &HeaderMap, body: &[u8]) -> Self {
        let parsed: Option<Value> = serde_json::from_slice(body).ok();
        let envelope = parsed.as_ref().and_then(|value| value.get("error")).filter(|error| error.is_object());
        let text = |name: &str| envelope?.get(name)?.as_str().map(str::to_owned);
        let mut error = Self {
            status,
            readable: envelope.is_some(),
            kind: text("type"),
            code: text("code"),
            decline_code: text("decline_code"),
            advice_code: text("advice_code"),
            network_advice_code: text("network_advice_code"),
            network_decline_code: text("network_decline_code"),
            param: text("param"),
            message: None,
            request_id: header(headers, "request-id"),
            charge: text("charge"),
            payment_intent: envelope
                .and_then(|error| error.get("payment_intent"))
                .and_then(|intent| serde_json::from_value(intent.clone()).ok())
                .map(Box::new),
            stored_replay: header(headers, "idempotent-replayed").as_deref() == Some("true"),
            should_retry: header(headers, "stripe-should-retry").and_then(|text| text.parse().ok()),
            retry_after: header(headers, "retry-after").and_then(|text| text.parse().ok()),
            rate_limited_reason: header(headers, "stripe-rate-limited-reason"),
        };
        error.message =
            text("message").filter(|message| error.may_keep(message)).map(|message| clip(&message));
        error
    }

    /// A restricted key was not granted this. With another code of 403 the key lacks nothing: it is not of this account.
    pub fn lacks_permission(&self) -> bool {
        self.readable && self.status == 403 && self.code.as_deref() != Some("account_invalid")
    }

    /// Card errors speak of cards, 401 shows a part of the key, and some parameters are contact data.
    fn may_keep(&self, message: &str) -> bool {
        const CONTACT: [&str; 6] = ["email", "phone", "name", "address", "shipping", "billing"];
        let contact =
            self.param.as_deref().is_some_and(|param| CONTACT.iter().any(|word| param.contains(word)));
        let digits = message
            .split(|c: char| !c.is_ascii_digit() && c != ' ' && c != '-')
            .any(|run| run.chars().filter(char::is_ascii_digit).count() >= 12);
        self.kind.as_deref() != Some("card_error")
            && !matches!(self.status, 401 | 402)
            && !contact
            && !digits
            && !message.contains('@')
            && !message.contains("sk_")
            && !message.contains("rk_")
    }
}

pub(super) fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

fn clip(text: &str) -> String {
    text.chars().take(300).collect()
}

impl StripeError {
    /// An error of one try, or of none.
    pub(super) fn new(kind: ErrorKind) -> Self {
        Self { kind, earlier_unknown: false, tries: 1 }
    }

    /// The one question. After an earlier unknown try only the key's own stored answer proves that nothing was done.
    pub fn effect(&self) -> Effect {
        let last = self.last_effect();
        if self.earlier_unknown && last == Effect::SurelyNotDone && !self.is_stored_verdict() {
            Effect::Unknown
        } else {
            last
        }
    }

    /// Whether the key's answer is settled: Stripe stored this refusal, so nothing else can come of the key while it
    /// is kept. A refusal that is not stored (400, 401, 403, 404, 429) says nothing about an earlier send of the key.
    pub fn is_stored_verdict(&self) -> bool {
        self.api().is_some_and(|e| e.readable && e.status < 500 && (e.status == 402 || e.stored_replay))
            && !self.is_key_in_use()
            && !self.is_idempotency_mismatch()
    }

    /// The effect of the last try alone.
    fn last_effect(&self) -> Effect {
        match &self.kind {
            ErrorKind::NotSent(_) | ErrorKind::Unsendable(_) | ErrorKind::ListTooLong { .. } => {
                Effect::SurelyNotDone
            }
            ErrorKind::Api(e)
                if e.readable
                    && matches!(e.status, 400..=404 | 429)
                    // The key was used for something else, which may have been done.
                    && !self.is_idempotency_mismatch() =>
            {
                Effect::SurelyNotDone
            }
            _ => Effect::Unknown,
        }
    }

    /// Stripe's refusal, if it was one.
    pub fn api(&self) -> Option<&ApiError> {
        match &self.kind {
            ErrorKind::Api(error) => Some(error),
            _ => None,
        }
    }

    /// The HTTP status, if there was an answer.
    pub fn status(&self) -> Option<u16> {
        match &self.kind {
            ErrorKind::Api(error) => Some(error.status),
            ErrorKind::Unreadable { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Stripe's machine code.
    pub fn code(&self) -> Option<&str> {
        self.api()?.code.as_deref()
    }

    /// `req_..`, for Stripe's support.
    pub fn request_id(&self) -> Option<&str> {
        match &self.kind {
            ErrorKind::Api(error) => error.request_id.as_deref(),
            ErrorKind::Unreadable { request_id, .. } => request_id.as_deref(),
            _ => None,
        }
    }

    fn is_status(&self, status: u16) -> bool {
        self.status() == Some(status)
    }

    /// 402: the request was fine, the payment was refused. A new try needs a new key.
    pub fn is_decline(&self) -> bool {
        self.is_status(402)
    }

    /// There is no such object (in this mode and account), as path or as parameter.
    pub fn is_missing(&self) -> bool {
        self.code() == Some("resource_missing")
    }

    /// 401 or 403: the key is wrong or may not do this. Back off, same attempt, tell somebody.
    pub fn is_auth(&self) -> bool {
        self.is_status(401) || self.is_status(403)
    }

    /// 429 (or its old form): nothing was done. Back off, same attempt.
    pub fn is_rate_limited(&self) -> bool {
        self.is_status(429) || (self.is_status(400) && self.code() == Some("rate_limit"))
    }

    /// 429 because another request holds the object, not because of a limit.
    pub fn is_lock_timeout(&self) -> bool {
        self.is_status(429)
            && self.code() != Some("rate_limit")
            && self.api().is_some_and(|e| e.rate_limited_reason.is_none())
    }

    /// The key was used with other bytes: a bug, and a case for a person.
    pub fn is_idempotency_mismatch(&self) -> bool {
        self.api()
            .is_some_and(|e| matches!(e.status, 400 | 404) && e.kind.as_deref() == Some("idempotency_error"))
    }

    /// 409: the first request with this key is still running.
    pub fn is_key_in_use(&self) -> bool {
        self.is_status(409)
    }

    /// 5xx. See [`Self::is_stored_replay`]: a stored one will not change while the key is kept.
    pub fn is_server_error(&self) -> bool {
        self.api().is_some_and(|e| e.status >= 500)
    }

    /// The answer is Stripe's stored one of an earlier request with this key.
    pub fn is_stored_replay(&self) -> bool {
        self.api().is_some_and(|e| e.stored_replay)
    }

    /// Sending the same key and bytes again can help.
    pub fn retryable(&self) -> bool {
        match &self.kind {
            ErrorKind::NotSent(_) | ErrorKind::Unknown(_) | ErrorKind::Unreadable { .. } => true,
            ErrorKind::Api(e) => e
                .should_retry
                .unwrap_or_else(|| e.status >= 500 || self.is_key_in_use() || self.is_rate_limited()),
            ErrorKind::Unsendable(_)
            | ErrorKind::WrongMode { .. }
            | ErrorKind::WrongAccount { .. }
            | ErrorKind::ListTooLong { .. } => false,
        }
    }
}

impl fmt::Display for StripeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ErrorKind::NotSent(why) => write!(f, "request to Stripe not sent: {why}")?,
            ErrorKind::Unsendable(why) => write!(f, "request to Stripe cannot be built: {why}")?,
            ErrorKind::Unknown(why) => write!(f, "no usable answer from Stripe: {why}")?,
            ErrorKind::Unreadable { status, why, .. } => write!(f, "unreadable {status} from Stripe: {why}")?,
            ErrorKind::WrongMode { expected_livemode } => {
                write!(
                    f,
                    "Stripe answered with livemode = {}, configured is {expected_livemode}",
                    !expected_livemode
                )?;
            }
            ErrorKind::WrongAccount { got } => write!(f, "Stripe answered for another account: {got}")?,
            ErrorKind::ListTooLong { limit } => {
                write!(f, "list at Stripe is longer than the limit of {limit}")?
            }
            ErrorKind::Api(e) => {
                write!(f, "Stripe refused with {}", e.status)?;
                for (name, value) in [
                    ("type", &e.kind),
                    ("code", &e.code),
                    ("decline_code", &e.decline_code),
                    ("param", &e.param),
                    ("message", &e.message),
                ] {
                    if let Some(value) = value {
                        write!(f, ", {name}: {value}")?;
                    }
                }
            }
        }
        if let Some(id) = self.request_id() {
            write!(f, " ({id})")?;
        }
        Ok(())
    }
}

impl std::error::Error for StripeError {}
