//! The parts of a state: claims, requests, cases, failures.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::fact::{CaseKind, Decision, EffectResult, Origin, Terms};
use crate::domain::ids::Function;
use crate::domain::policy::decline::DeclineClass;
use crate::domain::time::UnixTime;

/// Why an effect is held: who may carry it out, until when, and the exact bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The effect's key.
    pub effect: String,
    /// Generation of the idempotency key.
    pub generation: u32,
    /// When this generation was first claimed; Stripe may forget a key 24 h later.
    pub generation_at: UnixTime,
    /// Token of the one who may call and record.
    pub owner: String,
    /// The function it belongs to.
    pub by: Function,
    /// Past this its next owner settles it.
    pub deadline: UnixTime,
    /// What it does.
    pub terms: Terms,
    /// The API path, empty for calls that are not Stripe's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// The request's bytes, unless they are kept apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Owner token that names the item with the bytes, when they are kept apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_ref: Option<String>,
    /// Since when the outcome is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_since: Option<UnixTime>,
    /// Since when it could not be sent: the key is refused, or the limits are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_since: Option<UnixTime>,
    /// Calls made.
    #[serde(default)]
    pub calls: u32,
    /// Received 5xx answers in this generation: a repeated one is a stored one.
    #[serde(default)]
    pub server_errors: u32,
    /// When a listing last found nothing to adopt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed_empty_at: Option<UnixTime>,
    /// What a newer build wrote besides: kept as it is.
    #[serde(flatten)]
    pub more: BTreeMap<String, serde_json::Value>,
}

/// A refund request and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Our id.
    pub id: String,
    /// ISO minor units.
    pub amount: i64,
    /// The charge it is meant for.
    pub charge: Option<String>,
    /// Where it comes from.
    pub origin: Origin,
    /// When it was stored.
    pub at: UnixTime,
    /// The charge that its effect was claimed on.
    pub refunded_charge: Option<String>,
    /// How its effect ended.
    pub result: Option<EffectResult>,
}

/// A case and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// Its kind.
    pub kind: CaseKind,
    /// When it was opened.
    pub opened_at: UnixTime,
    /// What is to decide.
    pub text: String,
    /// A person's decision.
    pub decision: Option<Decision>,
    /// Its cause is gone.
    pub lapsed: bool,
}

impl Case {
    /// Somebody still has to decide.
    pub fn is_open(&self) -> bool {
        self.decision.is_none() && !self.lapsed
    }
}

/// A failed off-session confirmation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The attempt.
    pub attempt: u32,
    /// The try, counted over the order.
    pub try_no: u32,
    /// When its outcome was committed.
    pub at: UnixTime,
    /// What it allows.
    pub class: DeclineClass,
    /// Stripe's word.
    pub code: String,
}

/// A granted or refused place in a card's budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// May confirm.
    pub granted: bool,
    /// Ask again at.
    pub again_at: Option<UnixTime>,
}

/// How often Stripe refused an effect on an object that has not changed since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Stripe's word.
    pub code: String,
    /// Generation that was refused: names the case.
    pub generation: u32,
}
