//! The policy: every number and choice a shop may set, with the defaults. Parsed from `tandem.toml` by
//! [`crate::config`]; the plan reads it and nothing else.

pub mod decline;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::time::Seconds;

/// All policies of a stack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Failed off-session payments.
    pub retry: RetryPolicy,
    /// Refunds.
    pub refund: RefundPolicy,
    /// Two-step capture.
    pub capture: CapturePolicy,
    /// Payment pages.
    pub page: PagePolicy,
    /// Limits and nets.
    pub limits: Limits,
    /// Notices have somewhere to go.
    pub notify: bool,
}

/// What happens after an off-session payment failed. Each ladder holds the wait before the next try.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// Waits after technical declines.
    pub technical: Vec<Seconds>,
    /// Waits after soft declines.
    pub soft: Vec<Seconds>,
    /// From the first failure to giving up, when only the buyer can help or the ladder has ended.
    pub give_up_after: Seconds,
    /// Most confirmations per card in 7 days.
    pub card_tries_7_days_max: u32,
    /// Most confirmations per card in 30 days.
    pub card_tries_30_days_max: u32,
    /// Reminders to the buyer, counted from the first request.
    pub reminders: Vec<Seconds>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        let days = |list: &[i64]| list.iter().map(|d| Seconds::days(*d)).collect();
        Self {
            technical: vec![
                Seconds::minutes(1),
                Seconds::minutes(5),
                Seconds::minutes(30),
                Seconds::hours(3),
            ],
            soft: days(&[1, 2, 3, 5]),
            give_up_after: Seconds::days(21),
            card_tries_7_days_max: 4,
            card_tries_30_days_max: 15,
            reminders: days(&[3, 7, 12]),
        }
    }
}

/// Who may refund what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approval {
    /// Within the limit without a person.
    Auto,
    /// A person decides each.
    #[default]
    Ask,
}

/// Refund policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundPolicy {
    /// Refunds the order system asks for.
    pub requested: Approval,
    /// The refund of a cancelled order.
    pub on_cancel: Approval,
    /// Per currency (upper case), ISO minor units: an automatic refund up to this; above it, or in a currency not named, a person decides.
    pub auto_up_to: BTreeMap<String, i64>,
    /// After this long since the payment a person decides.
    pub window: Seconds,
}

impl Default for RefundPolicy {
    fn default() -> Self {
        Self {
            requested: Approval::Auto,
            on_cancel: Approval::Auto,
            auto_up_to: BTreeMap::new(),
            window: Seconds::days(90),
        }
    }
}

/// What becomes of an authorisation that nobody captured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Uncaptured {
    /// Take the money.
    Capture,
    /// Let it go.
    Release,
    /// Ask a person.
    #[default]
    Case,
}

/// Two-step capture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapturePolicy {
    /// Before the authorisation ends without fulfilment.
    pub uncaptured: Uncaptured,
    /// How long before `capture_before` that is decided.
    pub lead: Seconds,
}

impl Default for CapturePolicy {
    fn default() -> Self {
        Self { uncaptured: Uncaptured::default(), lead: Seconds::hours(12) }
    }
}

/// Payment pages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PagePolicy {
    /// Life of a Checkout Session; Stripe allows 30 minutes to 24 hours.
    pub session_ttl: Seconds,
    /// The same while a retry ladder runs.
    pub session_ttl_in_ladder: Seconds,
    /// At most this many sessions per order and 24 hours by the button.
    pub sessions_per_day_max: u32,
    /// Save the method for later off-session payments.
    pub save_method: bool,
}

impl Default for PagePolicy {
    fn default() -> Self {
        Self {
            session_ttl: Seconds::hours(24),
            session_ttl_in_ladder: Seconds::hours(1),
            sessions_per_day_max: 20,
            save_method: true,
        }
    }
}

/// Nets that turn the stuck into cases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// An Unknown outcome older than this opens a case.
    pub unknown_case_after: Seconds,
    /// A write-back that fails this long opens a case.
    pub write_back_case_after: Seconds,
    /// An open attempt is looked at again this long after the last news, if nothing else is due.
    pub observe_open_attempt: Seconds,
    /// Past this many facts an order acts no more and opens a case (facts about money are still stored).
    pub facts_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            unknown_case_after: Seconds::hours(24),
            write_back_case_after: Seconds::hours(24),
            observe_open_attempt: Seconds::hours(6),
            facts_max: 500,
        }
    }
}
