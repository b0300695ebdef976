//! What else could take money for an attempt: a second object of it, and an older attempt that is there after all.
//!
//! Invariant: none of them is left payable, and none that may have taken money is left unread.

use super::{Do, Draft, Reason};
use crate::domain::fact::{IntentView, SessionView};
use crate::domain::ids::Function;
use crate::domain::state::Phase;

impl Draft<'_> {
    /// Two objects of one attempt: only the stored one may stay payable, and not even that once another took money.
    /// An object of an attempt that we do not know (a table restored to yesterday) is closed as well. Whether there
    /// is one.
    pub(super) fn second_objects(&mut self) -> bool {
        let mut second = false;
        let sessions: Vec<_> = self.state.sessions.values().cloned().collect();
        // A status that this build does not know may be one in which it can be paid.
        let over = |s: &SessionView| matches!(s.status.as_str(), "complete" | "expired");
        for session in sessions.into_iter().filter(|s| !over(s) && s.attempt > 0) {
            let attempt = self.state.attempts.get(&session.attempt);
            let stored = attempt.and_then(|a| a.object.as_deref()) == Some(session.id.as_str());
            let outdone = stored && session.intent.is_none() && self.another_took(&session);
            if !stored || outdone {
                second = true;
                self.look_if_not_closed(session.attempt, &session.id, &format!("expire:{}", session.id));
                self.close_session(
                    Function::PaymentCreator,
                    Reason::SecondObject,
                    session.attempt,
                    &session.id,
                );
            }
        }
        let intents: Vec<_> = self.state.intents.values().filter(|i| i.attempt > 0).cloned().collect();
        for intent in intents {
            let attempt = self.state.attempts.get(&intent.attempt);
            if attempt.and_then(|a| self.state.intent_of(a)).is_some_and(|own| own.id == intent.id) {
                continue;
            }
            let bare = attempt.is_some_and(|a| a.off_session);
            match intent.status.as_str() {
                "succeeded" | "canceled" => continue,
                "requires_capture" => self.close_second(&intent),
                status if bare && status.starts_with("requires_") => self.close_second(&intent),
                // An intent of a page is Stripe's to close; nobody pays it when its page is closed.
                status if status.starts_with("requires_") && !self.authenticating(&intent) => continue,
                _ => {
                    // Money may be on its way: its end is waited for.
                    let at = self.state.last_at + self.policy.limits.observe_open_attempt;
                    let look = Do::LookAtAttempt { attempt: intent.attempt };
                    self.push(Function::PaymentRecorder, at, Reason::NotSeenSince, look);
                }
            }
            second = true;
        }
        second
    }

    /// Attempts that are live although a newer one is: what was refused, or seen to be over, is there after all. Whether
    /// there is one.
    pub(super) fn older_attempts(&mut self) -> bool {
        let live = self.state.attempts.values().map(|a| (a.clone(), self.state.phase(a)));
        let mut live: Vec<_> = live.filter(|(_, phase)| phase.is_live()).collect();
        live.pop();
        // One whose key was rolled and that no search found cannot be paid.
        live.retain(|(attempt, phase)| !(attempt.rolled && *phase == Phase::Creating));
        let found = !live.is_empty();
        for (attempt, phase) in live {
            let intent = self.state.intent_of(&attempt).map(|i| i.id.clone());
            match (phase, intent) {
                (Phase::Open, _) => self.close(Function::PaymentCreator, Reason::SecondObject, &attempt),
                (Phase::Authorized, Some(intent)) => {
                    self.close_intent(Function::PaymentCreator, Reason::SecondObject, attempt.n, &intent);
                }
                (Phase::Processing, _) => self.look_later(&attempt),
                _ => {
                    self.look_now(attempt.n);
                }
            }
        }
        found
    }

    /// A second object that Stripe refused to close may have been paid: nobody else would look at it.
    fn look_if_not_closed(&mut self, attempt: u32, object: &str, effect: &str) {
        if self.state.stale.contains(object) && self.state.refusals.contains_key(effect) {
            self.look_now(attempt);
        }
    }

    fn close_second(&mut self, intent: &IntentView) {
        self.look_if_not_closed(intent.attempt, &intent.id, &format!("cancel:{}", intent.id));
        self.close_intent(Function::PaymentCreator, Reason::SecondObject, intent.attempt, &intent.id);
    }

    /// Whether the buyer may still be at the bank with a page that is complete.
    fn authenticating(&self, intent: &IntentView) -> bool {
        let complete = |s: &SessionView| s.status == "complete" && s.intent.as_ref() == Some(&intent.id);
        intent.status != "requires_payment_method" && self.state.sessions.values().any(complete)
    }

    /// Whether another session of the same attempt exists and the attempt counts as paid or nearly so.
    fn another_took(&self, session: &SessionView) -> bool {
        let Some(attempt) = self.state.attempts.get(&session.attempt) else { return false };
        let other = self.state.sessions.values().any(|s| s.attempt == session.attempt && s.id != session.id);
        let took = |s: &str| matches!(s, "succeeded" | "processing" | "requires_capture");
        let taken = self.state.intents.values().any(|i| i.attempt == attempt.n && took(&i.status));
        other && taken
    }
}
