//! What does not agree, as people and files are told it: ids, amounts, an age and what to do.

use serde::Serialize;

use crate::domain::time::{Seconds, UnixTime};

/// The kinds of exceptions, the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// More than one charge took money for one order.
    DuplicateCharge,
    /// The other side has it, we do not.
    MissingHere,
    /// We have it, the other side does not.
    MissingThere,
    /// Two sides name different amounts.
    Amount,
    /// Two sides name different currencies.
    Currency,
    /// A refund that our facts do not know.
    UnlinkedRefund,
    /// Two sides say different things about the same payment.
    Status,
    /// The charge is another customer's.
    Customer,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::DuplicateCharge,
        Self::MissingHere,
        Self::MissingThere,
        Self::Amount,
        Self::Currency,
        Self::UnlinkedRefund,
        Self::Status,
        Self::Customer,
    ];

    /// The word in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DuplicateCharge => "duplicate_charge",
            Self::MissingHere => "missing_here",
            Self::MissingThere => "missing_there",
            Self::Amount => "amount",
            Self::Currency => "currency",
            Self::UnlinkedRefund => "unlinked_refund",
            Self::Status => "status",
            Self::Customer => "customer",
        }
    }

    /// What a person does about it.
    pub const fn action(self) -> &'static str {
        match self {
            Self::DuplicateCharge => {
                "compare the charges with the order; refund the one that is not owed: tandem refund"
            }
            Self::MissingHere => {
                "bring it in: tandem import --since DAY --apply; then look again: tandem explain ORDER"
            }
            Self::MissingThere => {
                "search it at the other side by its id; check account and mode of the source"
            }
            Self::Amount => {
                "compare both amounts with the order: tandem explain ORDER; then refund or charge the difference"
            }
            Self::Currency => "find out which side is wrong before any money moves: tandem explain ORDER",
            Self::UnlinkedRefund => {
                "find out who made the refund; wake the order, so that it is recorded: tandem explain ORDER"
            }
            Self::Status => {
                "look at both sides: tandem explain ORDER; if the order system missed it, redrive order-updates"
            }
            Self::Customer => {
                "check whether two buyers were merged or split; a refund follows the charge, not the customer"
            }
        }
    }
}

/// One disagreement. Amounts in ISO minor units.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Exception {
    /// What kind.
    pub kind: Kind,
    /// The order, if known.
    pub order: String,
    /// `ch_..`, or empty.
    pub charge: String,
    /// `pi_..`, or empty.
    pub intent: String,
    /// `re_..`, or empty.
    pub refund: String,
    /// ISO 4217, or empty.
    pub currency: String,
    /// Our amount, where amounts are the matter.
    pub ours: Option<i64>,
    /// The other side's.
    pub theirs: Option<i64>,
    /// What may be lost if nobody acts, at least 0.
    pub at_risk: i64,
    /// When it arose.
    pub since: UnixTime,
    /// How old it is.
    pub age: Seconds,
    /// What happened.
    pub text: String,
    /// What to do.
    pub action: &'static str,
}
