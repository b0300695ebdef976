//! Facts: what was seen, decided and done, in the order in which it was committed. They are the audit.
//!
//! Invariant: facts are only ever added; each carries the hash of the one before it, so an edit breaks the chain.
//! No fact holds a name, an address, a card number or a secret.

mod chain;
mod views;

use serde::{Deserialize, Serialize};

pub use self::chain::{StoredFact, chain_break, hash_of};
pub use self::views::{ChargeView, DisputeView, IntentView, OrderView, RefundView, SessionView};
use super::ids::Function;
use super::money::Currency;
use super::policy::decline::{Decline, DeclineClass};
use super::time::UnixTime;

/// One fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// `{commit token}.{n}`: tells a lost answer of our own commit from somebody else's. Stored as `fact`: what it says
    /// may have an `id` of its own.
    #[serde(rename = "fact")]
    pub id: String,
    /// When it was committed.
    pub at: UnixTime,
    /// `payment-creator/0.1.0`.
    pub by: String,
    /// Correlation id of what led here.
    pub corr: String,
    /// The event or delivery that hinted at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The named reason.
    pub why: String,
    /// Hash of the policy in force.
    pub policy: String,
    /// Hash of the fact before it, as stored; empty for the first.
    pub prev: String,
    /// What it says.
    #[serde(flatten)]
    pub what: What,
}

/// What a fact says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum What {
    /// The order as its system showed it.
    OrderSeen(Box<OrderView>),
    /// The stable link's token of this order.
    PayToken {
        /// Unguessable.
        token: String,
    },
    /// The buyer's Stripe customer.
    CustomerLinked {
        /// `cus_...`
        customer: String,
    },
    /// The saved payment method that off-session payments use, as Stripe showed it.
    MethodSeen {
        /// `pm_...`, or none.
        method: Option<String>,
        /// The card's fingerprint.
        fingerprint: Option<String>,
    },
    /// A Checkout Session.
    SessionSeen(SessionView),
    /// A PaymentIntent.
    IntentSeen(IntentView),
    /// A Charge.
    ChargeSeen(ChargeView),
    /// A Refund.
    RefundSeen(RefundView),
    /// A Dispute.
    DisputeSeen(DisputeView),
    /// An effect is about to be carried out.
    Claimed {
        /// The effect's key, e.g. `session:1`.
        effect: String,
        /// Generation of its idempotency key.
        generation: u32,
        /// What it does.
        terms: Terms,
    },
    /// An effect came to its end.
    Outcome {
        /// The effect's key.
        effect: String,
        /// The generation that ended.
        generation: u32,
        /// How.
        result: EffectResult,
    },
    /// Somebody wants money back.
    RefundRequested {
        /// Our id of the request; unique within the order.
        request: String,
        /// ISO minor units.
        amount: i64,
        /// The charge it is meant for, when only one fits.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        charge: Option<String>,
        /// Where it comes from.
        origin: Origin,
        /// Who, for operators.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by_name: Option<String>,
        /// In words.
        text: String,
    },
    /// A decision that is left to people.
    CaseOpened {
        /// Unique within the order.
        case: String,
        /// Its kind.
        case_kind: CaseKind,
        /// In words: what happened and what to decide.
        text: String,
    },
    /// A person decided.
    CaseDecided {
        /// The case.
        case: String,
        /// Approve or deny.
        decision: Decision,
        /// Name given with `--by`.
        by_name: String,
        /// The caller's ARN on a deployed stack.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        arn: Option<String>,
    },
    /// What the case was about is gone.
    CaseLapsed {
        /// The case.
        case: String,
    },
    /// One confirmation on a card was asked for.
    CardBudget {
        /// The attempt.
        attempt: u32,
        /// The try within it.
        try_no: u32,
        /// Whether the card's budget allows it.
        granted: bool,
        /// If not, when it may.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        again_at: Option<UnixTime>,
    },
    /// The next try of a failed payment.
    RetryScheduled {
        /// The attempt that failed.
        attempt: u32,
        /// The try to come, counted over the order.
        try_no: u32,
        /// When.
        due: UnixTime,
        /// Why it may be tried again.
        class: DeclineClass,
    },
    /// No more tries.
    GaveUp {
        /// Class of the last decline.
        class: DeclineClass,
    },
    /// The buyer pressed the button of the stable link.
    BuyerAsked,
    /// What we are about to tell adds to what the order system's own books hold as paid.
    Telling {
        /// How much of it is our own record then, ISO minor units.
        records: i64,
    },
    /// The order system acknowledged our view.
    ViewTold {
        /// Its version.
        version: u64,
        /// How much of what its own books hold as paid is our record, ISO minor units.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        recorded: Option<i64>,
    },
    /// A write-back or a notice failed in a way that repeating will not mend.
    TellFailed {
        /// `tell` or `notice:...`.
        effect: String,
        /// What the other side said: a status code, never a body.
        detail: String,
        /// How much of what the order system's own books hold as paid is our record all the same, ISO minor units.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        recorded: Option<i64>,
    },
    /// A notice went out.
    Noticed {
        /// Its key.
        key: String,
    },
    /// A kind that this build does not know: it changes nothing here.
    Unknown {
        /// The kind as written.
        was: String,
    },
    /// A kind that this build knows, in a form that it cannot read: the order waits for a build that can.
    Unread {
        /// The kind as written, and the effect it is about, if any.
        was: String,
    },
}

/// What an effect does: enough to judge its result and to find it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Terms {
    /// Make a Checkout Session.
    CreateSession {
        /// The attempt.
        attempt: u32,
        /// ISO minor units.
        amount: i64,
        /// Its currency.
        currency: Currency,
        /// The order's fingerprint.
        fingerprint: String,
    },
    /// Make an unconfirmed PaymentIntent.
    CreateIntent {
        /// The attempt.
        attempt: u32,
        /// ISO minor units.
        amount: i64,
        /// Its currency.
        currency: Currency,
        /// The order's fingerprint.
        fingerprint: String,
        /// The saved method.
        method: String,
        /// The card's fingerprint.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        card: Option<String>,
    },
    /// Confirm the stored intent off-session.
    Confirm {
        /// The attempt.
        attempt: u32,
        /// The try, counted over the order.
        try_no: u32,
        /// The stored intent.
        intent: String,
        /// The saved method.
        method: String,
    },
    /// Cancel an intent.
    CancelIntent {
        /// The attempt.
        attempt: u32,
        /// The stored intent.
        intent: String,
    },
    /// Expire a session.
    ExpireSession {
        /// The attempt.
        attempt: u32,
        /// The stored session.
        session: String,
    },
    /// Capture.
    Capture {
        /// The attempt.
        attempt: u32,
        /// The stored intent.
        intent: String,
        /// Stripe's integer.
        amount_stripe: i64,
    },
    /// Refund.
    Refund {
        /// The request.
        request: String,
        /// The charge.
        charge: String,
        /// Stripe's integer.
        amount_stripe: i64,
    },
    /// Write our view back to the order system.
    Tell {
        /// Its version.
        version: u64,
    },
    /// Send a notice.
    Notice {
        /// Its key.
        key: String,
    },
}

/// How an effect ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum EffectResult {
    /// Carried out.
    Done {
        /// The object made or changed.
        object: String,
    },
    /// Surely not carried out.
    Refused {
        /// Stripe's error code, or ours.
        code: String,
        /// For a payment: why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        decline: Option<Decline>,
    },
    /// The key's generation ended without an object; the next generation may be sent.
    Rolled,
}

/// Where a refund request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The order system's `refund_requests[]`.
    Shop,
    /// A refund the order system reported and a person approved.
    Reported,
    /// An operator.
    Operator,
    /// The cancellation policy.
    Cancellation,
    /// More was captured than is owed.
    Excess,
}

macro_rules! case_kinds {
    ($($doc:literal $kind:ident = $name:literal,)*) => {
        /// What a case is about.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum CaseKind { $(#[doc = $doc] #[serde(rename = $name)] $kind,)* }
        impl CaseKind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];
            /// The word stored in the index.
            pub const fn name(self) -> &'static str { match self { $(Self::$kind => $name,)* } }
        }
    };
}

case_kinds! {
    "A refund needs approval." RefundApproval = "refund_approval",
    "A refund cannot be made as asked." RefundImpossible = "refund_impossible",
    "An unexplained refund of the same amount exists." RefundTwin = "refund_twin",
    "A refund failed after it was made." RefundFailed = "refund_failed",
    "The order system reports a refund that Stripe does not know." ReportedRefund = "reported_refund",
    "More captured than owed." Excess = "excess",
    "A dispute." Dispute = "dispute",
    "Stripe refused to create a payment." CreationRefused = "creation_refused",
    "An authorisation is about to end." Uncaptured = "uncaptured",
    "Two observations cannot both be true." Contradiction = "contradiction",
    "An outcome stays unknown." Unknown = "unknown",
    "The order system's copy differs from what it acknowledged, or it refuses our write." WriteBack = "write_back",
    "An order status this build does not know." OrderStatus = "order_status",
    "Too many facts." Limit = "limit",
}

/// A person's decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Do what the case proposes.
    Approve,
    /// Leave it; close the case.
    Deny,
}

/// `payment-creator/0.1.0`.
pub fn stamp(function: Function) -> String {
    format!("{}/{}", function.name(), env!("CARGO_PKG_VERSION"))
}
