//! When a call is sent again, and how long it waits before.
//!
//! Invariant: a POST is sent again only with its key, unless its request surely never left.

use std::time::Duration;

use super::error::{ErrorKind, StripeError};

/// Where the spread of the waits comes from: a number for each (key or path, try).
pub type Jitter = fn(what: &str, attempt: u32) -> u64;

/// A longer `Retry-After` than this is for the queue to wait, not for a function that is paid by the millisecond.
const LONGEST_ASKED: Duration = Duration::from_secs(10);

/// The default jitter: a hash, so that a replayed run waits the same and two orders do not wait alike.
pub fn hashed(what: &str, attempt: u32) -> u64 {
    // FNV-1a, then one round of mixing: its low bits alone are too regular.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in what.bytes().chain(attempt.to_le_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

/// How long to wait before the next try, or `None` if there must not be one. `done` counts the tries so far, from 1.
pub(super) fn wait(error: &StripeError, safe_to_repeat: bool, done: u32, spread: u64) -> Option<Duration> {
    let never_left = matches!(error.kind, ErrorKind::NotSent(_));
    if !error.retryable() || !(safe_to_repeat || never_left) {
        return None;
    }
    let doublings = done.saturating_sub(1).min(8);
    let asked = error.api().and_then(|e| e.retry_after).map(Duration::from_secs);
    if asked.is_some_and(|span| span > LONGEST_ASKED) {
        return None;
    }
    let limited = error.is_rate_limited() && !error.is_lock_timeout();
    let own = if limited {
        // 1, 2, 4, 8 s, and up to half of it more: everybody was told to go away at the same moment.
        let base = 1000_u64 << doublings.min(3);
        base + spread % (base / 2 + 1)
    } else {
        // Stripe's own formula: 0.5 s doubled up to 5 s, times 0.5 to 1, but not under 0.5 s.
        let base = (500_u64 << doublings).min(5000);
        (base / 2 + spread % (base / 2 + 1)).max(500)
    };
    Some(Duration::from_millis(own).max(asked.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::super::error::ApiError;
    use super::*;

    fn api(error: ApiError) -> StripeError {
        StripeError::new(ErrorKind::Api(Box::new(ApiError { readable: true, ..error })))
    }

    fn status(status: u16) -> StripeError {
        api(ApiError { status, ..ApiError::default() })
    }

    #[test]
    fn a_post_without_key_is_repeated_only_if_it_never_left() {
        assert!(wait(&StripeError::new(ErrorKind::NotSent(String::new())), false, 1, 0).is_some());
        assert!(wait(&StripeError::new(ErrorKind::Unknown(String::new())), false, 1, 0).is_none());
        assert!(wait(&status(503), false, 1, 0).is_none());
        assert!(wait(&status(503), true, 1, 0).is_some());
    }

    #[test]
    fn waits_grow_and_stay_within_their_bounds() {
        for spread in [0, 1, 999, u64::MAX] {
            let waits: Vec<u128> =
                (1..=6).filter_map(|n| wait(&status(500), true, n, spread)).map(|d| d.as_millis()).collect();
            assert_eq!(waits[0], 500);
            assert!((500..=1000).contains(&waits[1]) && (2500..=5000).contains(&waits[5]), "{waits:?}");
        }
    }

    #[test]
    fn a_rate_limit_waits_longer_than_a_lock() {
        let limit = api(ApiError {
            status: 429,
            rate_limited_reason: Some("global-rate".to_owned()),
            ..ApiError::default()
        });
        assert_eq!(wait(&limit, true, 2, 0), Some(Duration::from_secs(2)));
        assert_eq!(wait(&status(429), true, 1, 0), Some(Duration::from_millis(500)));
    }

    #[test]
    fn stripe_decides_over_the_status() {
        let stop = api(ApiError { status: 500, should_retry: Some(false), ..ApiError::default() });
        assert_eq!(wait(&stop, true, 1, 0), None);
        let again = api(ApiError { status: 400, should_retry: Some(true), ..ApiError::default() });
        assert!(wait(&again, true, 1, 0).is_some());
    }

    #[test]
    fn retry_after_is_honoured_unless_it_is_too_long() {
        let asks = |seconds| api(ApiError { status: 429, retry_after: Some(seconds), ..ApiError::default() });
        assert_eq!(wait(&asks(3), true, 1, 0), Some(Duration::from_secs(3)));
        assert_eq!(wait(&asks(60), true, 1, 0), None);
    }

    #[test]
    fn the_default_jitter_is_the_same_every_time_and_differs_between_keys() {
        assert_eq!(hashed("a", 1), hashed("a", 1));
        assert_ne!(hashed("a", 1), hashed("b", 1));
        assert_ne!(hashed("a", 1), hashed("a", 2));
    }
}
