//! A payment attempt and its phase. Invariant: at most one attempt of an order can still take money.

use serde::{Deserialize, Serialize};

use super::State;
use crate::domain::fact::{EffectResult, IntentView};
use crate::domain::money::Currency;
use crate::domain::time::UnixTime;

/// One confirmation of an off-session intent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfirmTry {
    /// Counted over the order.
    pub try_no: u32,
    /// When it was claimed.
    pub at: UnixTime,
    /// Nobody had confirmed the intent when it was claimed: a decline on it is this try's own.
    pub unconfirmed: bool,
    /// The intent's newest charge when it was claimed: another one is this try's own.
    pub charge_before: Option<String>,
    /// How it ended.
    pub result: Option<EffectResult>,
}

/// One attempt: a Checkout Session, or an off-session PaymentIntent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// From 1.
    pub n: u32,
    /// An intent on a saved method.
    pub off_session: bool,
    /// ISO minor units.
    pub amount: i64,
    /// Its currency.
    pub currency: Currency,
    /// The order's fingerprint when it was claimed.
    pub fingerprint: String,
    /// The saved method.
    pub method: Option<String>,
    /// The card's fingerprint.
    pub card: Option<String>,
    /// When it was claimed.
    pub claimed_at: UnixTime,
    /// The shop's buyer then.
    pub buyer: Option<String>,
    /// How the creation ended.
    pub created: Option<EffectResult>,
    /// The session or intent.
    pub object: Option<String>,
    /// The key of its creation was rolled: surely nothing was made, it may be made anew.
    pub rolled: bool,
    /// Why we closed it, if we did.
    pub closed_for: Option<String>,
    /// Confirmations.
    pub confirms: Vec<ConfirmTry>,
}

impl Attempt {
    /// A session attempt as claimed.
    pub(super) fn session(n: u32, amount: i64, currency: Currency, fingerprint: &str, at: UnixTime) -> Self {
        Self {
            n,
            off_session: false,
            amount,
            currency,
            fingerprint: fingerprint.to_owned(),
            method: None,
            card: None,
            claimed_at: at,
            buyer: None,
            created: None,
            object: None,
            rolled: false,
            closed_for: None,
            confirms: Vec::new(),
        }
    }

    /// The key of the effect that creates it.
    pub fn creation(&self) -> String {
        if self.off_session { format!("intent:{}", self.n) } else { format!("session:{}", self.n) }
    }
}

/// Where an attempt stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Claimed, its object is not known yet.
    Creating,
    /// Stripe refused to create it.
    Refused(String),
    /// Somebody can still pay it.
    Open,
    /// Complete, but its intent has not been seen since.
    Unseen,
    /// Money is on its way.
    Processing,
    /// Reserved, not captured.
    Authorized,
    /// Money was taken.
    Paid,
    /// Stripe showed that nobody can pay it any more.
    Dead,
}

impl Phase {
    /// It may still take money, or has reserved it: no other attempt may exist beside it.
    pub fn is_live(&self) -> bool {
        matches!(self, Self::Creating | Self::Open | Self::Unseen | Self::Processing | Self::Authorized)
    }
}

impl State {
    /// The intent of an attempt, if seen.
    pub fn intent_of(&self, attempt: &Attempt) -> Option<&IntentView> {
        let object = attempt.object.as_deref();
        if attempt.off_session {
            return self.intents.get(object?);
        }
        let named = object.and_then(|id| self.sessions.get(id)).and_then(|s| s.intent.as_deref());
        match named {
            Some(id) => self.intents.get(id),
            // One that another session of the attempt names is that session's.
            None => self.intents.values().find(|i| {
                i.attempt == attempt.n && !self.sessions.values().any(|s| s.intent.as_ref() == Some(&i.id))
            }),
        }
    }

    /// Where the attempt stands, by what Stripe showed last.
    pub fn phase(&self, attempt: &Attempt) -> Phase {
        let intent = self.intent_of(attempt);
        let by_intent = intent.map(|intent| match intent.status.as_str() {
            "succeeded" => Phase::Paid,
            "processing" => Phase::Processing,
            "requires_capture" => Phase::Authorized,
            "canceled" => Phase::Dead,
            status if status.starts_with("requires_") => Phase::Open,
            // A status that this build does not know: money may be on its way.
            _ => Phase::Processing,
        });
        let Some(object) = attempt.object.as_deref() else {
            // What was seen is there, whatever the call that made it answered.
            return match (by_intent, &attempt.created) {
                (Some(settled @ (Phase::Paid | Phase::Processing | Phase::Authorized)), _) => settled,
                (None | Some(Phase::Dead), Some(EffectResult::Refused { code, .. })) => {
                    Phase::Refused(code.clone())
                }
                _ => Phase::Creating,
            };
        };
        if self.stale.contains(object) || intent.is_some_and(|i| self.stale.contains(&i.id)) {
            return Phase::Unseen;
        }
        if attempt.off_session {
            // Created but not yet read: it cannot have been confirmed by anybody but us.
            return by_intent.unwrap_or(Phase::Open);
        }
        let Some(session) = self.sessions.get(object) else { return Phase::Unseen };
        match (session.status.as_str(), by_intent) {
            (_, Some(settled @ (Phase::Paid | Phase::Processing | Phase::Authorized))) => settled,
            ("complete", Some(Phase::Open)) => {
                // Nobody can confirm a complete session's intent again once it is back at its beginning; in any
                // other status the buyer may still be authenticating.
                let back = self.intent_of(attempt).is_some_and(|i| i.status == "requires_payment_method");
                if back { Phase::Dead } else { Phase::Open }
            }
            ("expired", _) | (_, Some(Phase::Dead)) => Phase::Dead,
            ("complete", None) if session.payment_status == "no_payment_required" => Phase::Dead,
            ("complete", None) => Phase::Unseen,
            _ => Phase::Open,
        }
    }

    /// The newest attempt.
    pub fn last_attempt(&self) -> Option<&Attempt> {
        self.attempts.values().next_back()
    }

    /// The attempt that may still take money.
    pub fn live_attempt(&self) -> Option<(&Attempt, Phase)> {
        self.attempts.values().rev().map(|a| (a, self.phase(a))).find(|(_, phase)| phase.is_live())
    }

    /// The open session a buyer can be sent to: its id and URL.
    pub fn live_session(&self) -> Option<(&str, &str)> {
        let (attempt, phase) = self.live_attempt()?;
        let closing = attempt.closed_for.is_some();
        if attempt.off_session || phase != Phase::Open || closing {
            return None;
        }
        let session = self.sessions.get(attempt.object.as_deref()?)?;
        Some((&session.id, session.url.as_deref()?))
    }
}
