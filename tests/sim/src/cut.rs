//! One fault at one I/O: which call, in what way, for how long.
//!
//! Invariant: a cut is named by three words and strikes the same call whenever its story is told.

mod cutter;

use std::fmt;
use std::str::FromStr;

use local::aws::IoLabel;

pub use self::cutter::{Cutter, Seen};

/// In what way a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// The connection fails before anything was done.
    Refused,
    /// It is done; the answer is lost.
    Lost,
    /// The process dies before the call.
    CrashBefore,
    /// The process dies when the call is done.
    CrashAfter,
    /// Nothing is done and no answer comes.
    HangBefore,
    /// It is done and no answer comes.
    HangAfter,
    /// The other side refuses for load.
    Throttled,
    /// 5xx; nothing was done.
    ErrorBefore,
    /// 5xx; it was done. Stripe stores the answer and replays it under the key.
    ErrorAfter,
    /// It is done; the answer is cut off in the middle.
    Garbled,
    /// The connection breaks at once; it is done after the next delivery.
    Late,
    /// The answer is true, but old: a replica or an index that lags.
    Stale,
}

/// For how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Length {
    /// This one call. Another try of the SDK succeeds.
    Once,
    /// Every call of this kind in this invocation.
    Delivery,
    /// Every call of this kind until its message is a dead letter.
    UntilDead,
    /// Everything at this service for 26 hours: longer than Stripe remembers idempotency keys.
    Outage,
}

macro_rules! words {
    ($type:ident { $($variant:ident => $word:literal),* $(,)? }) => {
        impl $type {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $word),* })
            }
        }
        impl FromStr for $type {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok(Self::$variant),)*
                    other => Err(format!("{other:?} is none of {}", [$($word),*].join(", "))),
                }
            }
        }
    };
}

words!(Mode {
    Refused => "refused",
    Lost => "lost",
    CrashBefore => "crash-before",
    CrashAfter => "crash-after",
    HangBefore => "hang-before",
    HangAfter => "hang-after",
    Throttled => "throttled",
    ErrorBefore => "error-before",
    ErrorAfter => "error-after",
    Garbled => "garbled",
    Late => "late",
    Stale => "stale",
});
words!(Length {
    Once => "once",
    Delivery => "delivery",
    UntilDead => "until-dead",
    Outage => "outage",
});

impl Length {
    /// How long after its first strike the fault is gone, in milliseconds of the clock, where time decides.
    fn span_ms(self) -> Option<i64> {
        match self {
            Self::Once | Self::Delivery => None,
            // Eight receives, three minutes apart, and a little.
            Self::UntilDead => Some(27 * 60_000),
            Self::Outage => Some(26 * 3_600_000),
        }
    }
}

/// Whether a call changes something on the other side.
pub fn writes(label: &IoLabel) -> bool {
    match label.service {
        // A query over GraphQL is a POST that changes nothing.
        "stripe" | "shop" | "other" => !["GET ", "query "].iter().any(|p| label.operation.starts_with(p)),
        _ => !matches!(
            label.operation.as_str(),
            "GetItem"
                | "Query"
                | "BatchGetItem"
                | "GetParameter"
                | "GetParameters"
                | "GetSchedule"
                | "ListSchedules"
                | "GetQueueAttributes"
                | "GetObject"
                | "ListObjectsV2"
        ),
    }
}

impl Mode {
    /// Whether it makes a difference at such a call. A read has no effect that could be lost, repeated or late.
    pub fn fits(self, label: &IoLabel) -> bool {
        match self {
            Self::Refused
            | Self::CrashBefore
            | Self::HangBefore
            | Self::Throttled
            | Self::ErrorBefore
            | Self::Garbled => true,
            Self::Lost | Self::CrashAfter | Self::HangAfter | Self::ErrorAfter | Self::Late => writes(label),
            Self::Stale => {
                let index = label.resource.as_deref().is_some_and(|r| r.contains("/index/"));
                index || (label.service == "shop" && !writes(label))
            }
        }
    }

    /// Whether more than one strike makes sense.
    pub fn lasts(self, length: Length) -> bool {
        match length {
            Length::Once | Length::Delivery => true,
            Length::UntilDead => self != Self::Late,
            Length::Outage => matches!(
                self,
                Self::Refused
                    | Self::Throttled
                    | Self::ErrorBefore
                    | Self::HangBefore
                    | Self::Lost
                    | Self::ErrorAfter
            ),
        }
    }
}

/// One fault of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cut {
    /// The call, counted from 0 in the order in which functions make them.
    pub at: usize,
    /// In what way.
    pub mode: Mode,
    /// For how long.
    pub length: Length,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.at, self.mode, self.length)
    }
}

impl FromStr for Cut {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(':');
        let (Some(at), Some(mode), Some(length), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(format!("{text:?} is not call:mode:length, e.g. 12:lost:delivery"));
        };
        let at = at.parse().map_err(|_| format!("{at:?} is not the number of a call"))?;
        Ok(Self { at, mode: mode.parse()?, length: length.parse()? })
    }
}
