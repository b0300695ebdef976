//! Why an order system's answer is of no use.
//!
//! Invariant: an error names the field and, where it cannot be contact data, the value; never a body, never a secret.

use super::call::BODY_BYTES_MAX;
use crate::outbound::stripe::Effect;

/// Why an order system's answer is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShopError {
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
    /// It understood the request and will not do it.
    #[error("the order system refused the request: {0}")]
    Rejected(String),
    /// It refused a step of a telling for good, and of what its books hold this much is known to be our own record.
    #[error("the order system refused to be told further: {why}")]
    Stopped {
        /// What it said, and what to do.
        why: String,
        /// ISO minor units.
        recorded: i64,
    },
    /// Not now: an earlier request may still be under way there.
    #[error("the order system is asked again in {after} s: {why}")]
    Wait {
        /// Seconds.
        after: u32,
        /// Why.
        why: &'static str,
    },
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

impl ShopError {
    /// Whether the call can have changed anything.
    pub fn effect(&self) -> Effect {
        match self {
            Self::NotSent(_)
            | Self::NotFound(_)
            | Self::Unauthorized(_)
            | Self::Throttled { .. }
            | Self::Wait { .. }
            | Self::Rejected(_)
            | Self::Refused(_) => Effect::SurelyNotDone,
            Self::Unknown(_)
            | Self::Stopped { .. }
            | Self::ServerFault(_)
            | Self::TooLarge(_)
            | Self::NotJson { .. }
            | Self::ErrorInside(_)
            | Self::OtherOrder { .. }
            | Self::Field { .. } => Effect::Unknown,
        }
    }

    /// A refusal within a telling, with how much of the books is known to be our own record by then: a record that nobody
    /// acknowledges would count as paid by other means.
    pub(crate) fn knowing(self, recorded: i64) -> Self {
        match self {
            Self::Rejected(why) => Self::Stopped { why, recorded },
            Self::Refused(status) => Self::Stopped { why: format!("it answers {status}"), recorded },
            other => other,
        }
    }

    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::NotSent(_)
                | Self::Unknown(_)
                | Self::Throttled { .. }
                | Self::Wait { .. }
                | Self::ServerFault(_)
        )
    }
}
