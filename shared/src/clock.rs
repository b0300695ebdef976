//! The one clock. In production it is the system's; locally it is a start plus tokio's elapsed time, so that a
//! paused runtime moves every part of Tandem together. Nothing else may ask for the time.

use crate::domain::time::UnixTime;

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
        base: tokio::time::Instant,
    },
}

impl Clock {
    /// A clock that starts at `start` and follows tokio's clock (paused and advanced in tests and the demo).
    pub fn tokio_from(start: UnixTime) -> Self {
        Self::Tokio { start_ms: start.0 * 1000, base: tokio::time::Instant::now() }
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
