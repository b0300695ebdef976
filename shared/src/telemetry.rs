//! Logs, metrics, correlation. Logs are an allow-list: a value is logged only if its type implements [`Loggable`], and
//! ids from outside pass [`Id`], which masks what looks like contact data or a secret.
//!
//! Invariant: nothing secret or personal reaches stdout, not even from a panic or a chatty dependency.

mod metrics;

use std::fmt;
use std::io::Write as _;

pub use tracing as __tracing;
use tracing::Subscriber;
pub use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::prelude::*;

pub use metrics::Metrics;

use crate::domain::ids::{Function, OrderKey};
use crate::domain::time::{Seconds, UnixTime};
use crate::queue::Queue;

/// JSON lines on stdout at the level of `AWS_LAMBDA_LOG_LEVEL`, and the panic hook. Call once, first thing in main.
pub fn init() {
    let level = crate::config::env("AWS_LAMBDA_LOG_LEVEL").unwrap_or_default();
    let level = match level.to_ascii_uppercase().as_str() {
        "TRACE" | "DEBUG" => LevelFilter::DEBUG,
        "WARN" => LevelFilter::WARN,
        "ERROR" | "FATAL" => LevelFilter::ERROR,
        _ => LevelFilter::INFO,
    };
    let _ = lines(level, std::io::stdout).try_init();
    std::panic::set_hook(Box::new(|panic| {
        // The message of a panic may hold a value; where it happened holds none.
        let place = panic.location().map_or_else(String::new, |l| format!("{}:{}", l.file(), l.line()));
        let line = serde_json::json!({ "level": "ERROR", "message": "panic", "location": place });
        let _ = writeln!(std::io::stdout(), "{line}");
    }));
}

/// What is logged, as JSON lines for `writer`.
pub fn lines<W>(level: LevelFilter, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    // Dependencies may log requests and bodies below WARN; no setting turns that on.
    let ours_only = Targets::new().with_default(LevelFilter::OFF).with_target("tandem", level);
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_target(false)
        .with_writer(writer);
    tracing_subscriber::registry().with(lines).with(ours_only)
}

/// Types that may be logged.
pub trait Loggable {
    /// Writes the value as it may be seen.
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

/// Shows a loggable value; used by [`event!`](crate::event).
pub struct Shown<'a, T: ?Sized>(pub &'a T);

impl<T: Loggable + ?Sized> fmt::Display for Shown<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show(f)
    }
}

macro_rules! loggable {
    ($($type:ty),+) => {$(
        impl Loggable for $type {
            fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )+};
}
// A `&'static str` is a word of the program, not data.
loggable!(&'static str, bool, u16, u32, u64, usize, i64, UnixTime, Function);

impl Loggable for &OrderKey {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Id(self.as_str()).show(f)
    }
}
impl Loggable for OrderKey {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Id(self.as_str()).show(f)
    }
}
impl Loggable for Seconds {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
impl Loggable for Queue {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
impl<T: Loggable> Loggable for Option<T> {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().map_or(Ok(()), |value| value.show(f))
    }
}

/// An id from outside. Shown only if it looks like one; anything that may be an address, a card or a secret is `***`.
#[derive(Clone, Copy)]
pub struct Id<'a>(pub &'a str);

impl Loggable for Id<'_> {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if is_plain_id(self.0) { self.0 } else { "***" })
    }
}

fn is_plain_id(text: &str) -> bool {
    text.len() <= 200
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.:#%/".contains(&b))
        && !text.contains("%40")
        && !looks_secret(text)
        && !text.split(|c: char| !c.is_ascii_digit()).any(is_card_number)
}

fn looks_secret(word: &str) -> bool {
    ["sk_live_", "rk_live_", "sk_test_", "rk_test_", "whsec_", "whsk_", "_secret_"]
        .iter()
        .any(|p| word.contains(p))
        || word.starts_with("eyJ")
}

fn is_card_number(digits: &str) -> bool {
    if !(13..=19).contains(&digits.len()) {
        return false;
    }
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(i, b)| {
            let d = u32::from(b - b'0');
            match (i % 2, d) {
                (0, d) => d,
                (_, d) if d > 4 => d * 2 - 9,
                (_, d) => d * 2,
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// An error's text for a log line: words that look like contact data, cards or secrets are masked.
pub struct Scrubbed<'a>(pub &'a str);

impl Loggable for Scrubbed<'_> {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, word) in self.0.split_ascii_whitespace().take(80).enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            let masked = word.contains('@')
                || looks_secret(word)
                || word.len() > 200
                || word.split(|c: char| !c.is_ascii_digit()).any(is_card_number);
            f.write_str(if masked { "***" } else { word })?;
        }
        Ok(())
    }
}

/// Logs one line: `event!(info, "webhook accepted", corr = Id(&corr), queue = queue)`. Only [`Loggable`] values compile.
#[macro_export]
macro_rules! event {
    ($level:ident, $message:literal $(, $($key:tt).+ = $value:expr)* $(,)?) => {
        $crate::telemetry::__tracing::$level!(
            target: "tandem",
            { $($($key).+ = %$crate::telemetry::Shown(&$value)),* },
            $message
        )
    };
}
pub use crate::event;

/// The correlation id that begins with `seed` (an event's or delivery's id): the same for every repetition of it, and
/// carried by every message, call and write-back that follows.
pub fn correlation_id(seed: &str) -> String {
    crate::inbound::short_hash(seed, 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canaries_in_ids_and_errors_are_masked() {
        let key = format!("sk_{}_0123456789abcdef", "live");
        let canaries = ["buyer@example.com", "4242424242424242", &key, "pi_1_secret_2"];
        for canary in canaries {
            assert_eq!(Shown(&Id(canary)).to_string(), "***", "{canary}");
            let text = format!("reading {canary} failed");
            assert_eq!(Shown(&Scrubbed(&text)).to_string(), "reading *** failed");
        }
        for odd in ["two words", "buyer%40example.com", "line\nbreak"] {
            assert_eq!(Shown(&Id(odd)).to_string(), "***", "{odd}");
        }
        for id in ["evt_1Abc", "demo#checkout#shop#1001", "cs_test_a1B2", "1712345678901"] {
            assert_eq!(Shown(&Id(id)).to_string(), id);
        }
    }

    #[test]
    fn a_repeated_delivery_keeps_its_correlation_id() {
        assert_eq!(correlation_id("evt_1"), correlation_id("evt_1"));
        assert_ne!(correlation_id("evt_1"), correlation_id("evt_2"));
        assert_eq!(correlation_id("evt_1").len(), 16);
    }
}
