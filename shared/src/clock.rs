//! The one clock. In production it is the system's; locally it is a start plus tokio's elapsed time, so that a
//! paused runtime moves every part of Tandem together. Nothing else may ask for the time.

use std::time::Duration;

use tokio::time::Instant;

use crate::domain::time::UnixTime;

/// When an invocation ends. Follows tokio's clock, so a paused runtime moves it too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline {
    at: Instant,
}

impl Deadline {
    /// From now.
    pub fn after(span: Duration) -> Self {
        Self { at: Instant::now() + span }
    }

    /// What is left; zero when it has passed.
    pub fn remaining(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// Whether at least `span` is left.
    pub fn allows(&self, span: Duration) -> bool {
        self.remaining() >= span
    }
}

/// Where the time comes from. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The operating system's wall clock.
    System,
    /// `start_ms` (Unix milliseconds) plus what tokio's clock has advanced since `base`.
    Tokio {
        /// Wall time at `base`, in Unix milliseconds.
        start_ms: i64,
        /// The instant of tokio's clock that `start_ms` belongs to.
        base: Instant,
    },
}

impl Clock {
    /// A clock that starts at `start` and follows tokio's clock (paused and advanced in tests and the demo).
    pub fn tokio_from(start: UnixTime) -> Self {
        Self::Tokio { start_ms: start.0 * 1000, base: Instant::now() }
    }

    /// Milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> i64 {
        match self {
            Self::System => {
                #[expect(clippy::disallowed_methods, reason = "the clock is the one place that may ask")]
                let now = std::time::SystemTime::now();
                match now.duration_since(std::time::UNIX_EPOCH) {
                    Ok(d) => i64::try_from(d.as_millis()).unwrap_or(i64::MAX),
                    Err(_) => 0,
                }
            }
            Self::Tokio { start_ms, base } => {
                start_ms.saturating_add(i64::try_from(base.elapsed().as_millis()).unwrap_or(i64::MAX))
            }
        }
    }

    /// Whole seconds since the Unix epoch.
    pub fn now(&self) -> UnixTime {
        UnixTime(self.now_ms().div_euclid(1000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_counts_down_to_zero() {
        let deadline = Deadline::after(Duration::from_secs(3));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(deadline.remaining(), Duration::from_secs(1));
        assert!(deadline.allows(Duration::from_secs(1)) && !deadline.allows(Duration::from_secs(2)));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(deadline.remaining(), Duration::ZERO);
    }
}
