//! Bugs planted on purpose: each is a mistake that somebody could make here, and the suite must notice every one of them.
//!
//! Invariant: without the feature `planted-bugs`, which only tests/sim asks for, every question is answered `false` when the
//! program is compiled, and no bootstrap holds a trace of them.

/// One mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bug {
    /// Each call gets an idempotency key of its own.
    RandomKey,
    /// The idempotency key holds the owner's token: whoever takes over sends another one.
    KeyWithToken,
    /// The outcome is recorded before the call is made.
    MarkBeforeSend,
    /// An outcome is recorded although somebody else owns the claim by now.
    ClaimWithoutOwner,
    /// A commit does not ask whether the revision is still the same.
    CommitWithoutRevision,
    /// A conflict is taken for our own commit told late.
    EveryConflictIsOurs,
    /// A claim is dropped when the outcome of its call is unknown.
    DeleteClaimOnUnknown,
    /// A call that broke off or was answered 5xx counts as not done.
    UnknownIsFailed,
    /// A message is taken for the truth: what is known already is not read again.
    TrustTheMessage,
    /// What was read before somebody else's commit is stored after it.
    StoreUnderMovedRevision,
    /// An answer that cannot be read counts as one without news.
    SwallowParseError,
    /// A refund is made without looking at the charge's refunds first.
    RefundWithoutList,
    /// A creation that was lost is not searched for before its key is rolled.
    RollWithoutSearch,
    /// A refund's key is rolled after the first empty list.
    RollAtOnce,
    /// A session is closed in our books before Stripe shows it closed.
    SecondAttemptBeforeClosed,
    /// A worker that has to wait sends the message to itself.
    SendToSelf,
    /// The due time is dropped when an order is committed.
    DueTimeDropped,
    /// Keys leave out the shop.
    ShopMissingFromKey,
    /// An older state of the order is accepted from its system.
    AcceptLaggingReplica,
    /// The switch that stops money calls is not asked.
    IgnoreMoneySwitch,
    /// The order system is told without a version.
    UnconditionalPush,
    /// The poll's watermark moves before the hints are queued.
    WatermarkBeforeHints,
    /// A new generation of a key reuses the old one.
    GenerationNotInKey,
}

impl Bug {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::RandomKey,
        Self::KeyWithToken,
        Self::MarkBeforeSend,
        Self::ClaimWithoutOwner,
        Self::CommitWithoutRevision,
        Self::EveryConflictIsOurs,
        Self::DeleteClaimOnUnknown,
        Self::UnknownIsFailed,
        Self::TrustTheMessage,
        Self::StoreUnderMovedRevision,
        Self::SwallowParseError,
        Self::RefundWithoutList,
        Self::RollWithoutSearch,
        Self::RollAtOnce,
        Self::SecondAttemptBeforeClosed,
        Self::SendToSelf,
        Self::DueTimeDropped,
        Self::ShopMissingFromKey,
        Self::AcceptLaggingReplica,
        Self::IgnoreMoneySwitch,
        Self::UnconditionalPush,
        Self::WatermarkBeforeHints,
        Self::GenerationNotInKey,
    ];
}

/// Whether this mistake is being made now.
#[cfg(not(feature = "planted-bugs"))]
#[inline(always)]
pub const fn planted(_: Bug) -> bool {
    false
}

#[cfg(feature = "planted-bugs")]
mod active {
    use std::cell::Cell;

    use super::Bug;

    /// Read in a binary, it tells that the binary can make mistakes.
    pub const MARK: &str = "tandem-planted-bugs-inside";

    thread_local! {
        static ACTIVE: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Makes one mistake from now on, on this thread; `None`: none.
    pub fn plant(bug: Option<Bug>) {
        ACTIVE.with(|active| active.set(bug));
    }

    /// Whether this mistake is being made now.
    pub fn planted(bug: Bug) -> bool {
        ACTIVE.with(|active| active.get() == Some(bug)) && !std::hint::black_box(MARK).is_empty()
    }
}

#[cfg(feature = "planted-bugs")]
pub use active::{MARK, plant, planted};
