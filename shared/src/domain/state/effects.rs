//! What claims and outcomes of effects change in the state. Invariant: an object that a call of ours touched is stale until
//! somebody reads it, and a refused effect is remembered until its object changes.

use super::{Attempt, ConfirmTry, Failure, Refusal, State};
use crate::domain::fact::{Decision, EffectResult, Fact, Terms};
use crate::domain::policy::decline::{DeclineClass, class_of};
use crate::domain::time::UnixTime;

impl State {
    pub(super) fn claimed(&mut self, effect: &str, generation: u32, terms: &Terms, fact: &Fact) {
        self.generations.insert(effect.to_owned(), generation);
        if let Terms::CreateSession { attempt, .. } | Terms::CreateIntent { attempt, .. } = terms
            && self.attempts.get(attempt).is_some_and(|a| a.rolled && a.object.is_none())
        {
            self.attempts.remove(attempt);
        }
        match terms {
            Terms::CreateSession { attempt, amount, currency, fingerprint } => {
                self.last_creation = self.facts;
                self.session_times.push(fact.at);
                let buyer = self.order.as_ref().and_then(|o| o.customer.clone());
                self.attempts.entry(*attempt).or_insert_with(|| {
                    let made = Attempt::session(*attempt, *amount, *currency, fingerprint, fact.at);
                    Attempt { buyer, ..made }
                });
            }
            Terms::CreateIntent { attempt, amount, currency, fingerprint, method, card } => {
                self.last_creation = self.facts;
                let buyer = self.order.as_ref().and_then(|o| o.customer.clone());
                self.attempts.entry(*attempt).or_insert_with(|| {
                    let mut made = Attempt::session(*attempt, *amount, *currency, fingerprint, fact.at);
                    made.off_session = true;
                    made.buyer = buyer;
                    made.method = Some(method.clone());
                    made.card = card.clone();
                    made
                });
            }
            Terms::Confirm { attempt, try_no, intent, .. } => {
                self.tries = self.tries.max(*try_no);
                let known = self.intents.get(intent);
                let unconfirmed = known.is_none_or(|i| i.status == "requires_confirmation");
                let charge_before = known.and_then(|i| i.latest_charge.clone());
                if let Some(attempt) = self.attempts.get_mut(attempt)
                    && !attempt.confirms.iter().any(|c| c.try_no == *try_no)
                {
                    let (try_no, at, result) = (*try_no, fact.at, None);
                    attempt.confirms.push(ConfirmTry { try_no, at, unconfirmed, charge_before, result });
                }
            }
            Terms::CancelIntent { attempt, .. } | Terms::ExpireSession { attempt, .. } => {
                let own = self.attempts.get(attempt).is_some_and(|a| self.is_own(a, terms));
                if let Some(attempt) = self.attempts.get_mut(attempt).filter(|_| own) {
                    attempt.closed_for = Some(fact.why.clone());
                }
            }
            Terms::Refund { request, charge, .. } => {
                if let Some(request) = self.requests.get_mut(request) {
                    request.refunded_charge = Some(charge.clone());
                }
            }
            Terms::Capture { .. } | Terms::Tell { .. } | Terms::Notice { .. } => {}
        }
    }

    pub(super) fn ended(&mut self, effect: &str, generation: u32, result: &EffectResult, at: UnixTime) {
        self.generations.insert(effect.to_owned(), generation.saturating_add(1));
        if let EffectResult::Done { object } = result {
            self.stale.insert(object.clone());
        }
        match result {
            EffectResult::Rolled => {
                let count = self.rolls.get(effect).map_or(0, |(count, _)| *count);
                self.rolls.insert(effect.to_owned(), (count + 1, at));
            }
            EffectResult::Done { .. } | EffectResult::Refused { .. } => {
                self.rolls.remove(effect);
            }
        }
        let mut parts = effect.splitn(2, ':');
        let (verb, rest) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        match verb {
            "session" | "intent" => {
                if let Some(attempt) = rest.parse().ok().and_then(|n: u32| self.attempts.get_mut(&n)) {
                    match result {
                        // One that was seen before stays the attempt's own, a buyer may be there: this one is a second.
                        EffectResult::Done { object } => {
                            attempt.object.get_or_insert_with(|| object.clone());
                        }
                        EffectResult::Rolled => attempt.rolled = true,
                        EffectResult::Refused { .. } => {}
                    }
                    if *result != EffectResult::Rolled {
                        attempt.created = Some(result.clone());
                    }
                }
            }
            "confirm" => self.confirm_ended(rest, result, at),
            "customer" => {
                if let (EffectResult::Refused { code, .. }, Some(order)) = (result, &self.order) {
                    let print = order.fingerprint();
                    if self.decision(&self.customer_case(&print)) == Some(Decision::Approve) {
                        // The approval is used up.
                        self.customer_refusals += 1;
                    }
                    self.customer_refused = Some((print, code.clone()));
                }
            }
            "expire" | "cancel" | "capture" => self.object_effect_ended(effect, generation, rest, result),
            "refund" => {
                if let Some(request) = self.requests.get_mut(rest)
                    && *result != EffectResult::Rolled
                {
                    request.result = Some(result.clone());
                }
            }
            _ => {}
        }
    }

    /// Whether closing `terms` closes the attempt's own object, and not a second one beside it.
    fn is_own(&self, attempt: &Attempt, terms: &Terms) -> bool {
        match terms {
            Terms::ExpireSession { session, .. } => attempt.object.as_ref() == Some(session),
            Terms::CancelIntent { intent, .. } => {
                attempt.object.as_ref() == Some(intent)
                    || self.intent_of(attempt).is_some_and(|i| i.id == *intent)
            }
            _ => false,
        }
    }

    /// A refusal says that the object is not what we think: it is read before anything else. What Stripe closed is
    /// closed; the attempt's own object is read again nevertheless, for a payment of the last second.
    fn object_effect_ended(&mut self, effect: &str, generation: u32, object: &str, result: &EffectResult) {
        match result {
            EffectResult::Refused { code, .. } => {
                self.stale.insert(object.to_owned());
                self.refusals.insert(effect.to_owned(), Refusal { code: code.clone(), generation });
            }
            EffectResult::Done { .. } => {
                self.refusals.remove(effect);
                let read_again = self.attempts.values().any(|a| {
                    a.object.as_deref() == Some(object) || self.intent_of(a).is_some_and(|i| i.id == object)
                });
                if read_again {
                    return;
                }
                self.stale.remove(object);
                if let Some(session) = self.sessions.get_mut(object) {
                    "expired".clone_into(&mut session.status);
                }
                if let Some(intent) = self.intents.get_mut(object).filter(|_| effect.starts_with("cancel")) {
                    "canceled".clone_into(&mut intent.status);
                }
            }
            EffectResult::Rolled => {}
        }
    }

    fn confirm_ended(&mut self, rest: &str, result: &EffectResult, at: UnixTime) {
        let mut numbers = rest.split(':').filter_map(|n| n.parse::<u32>().ok());
        let (Some(n), Some(try_no)) = (numbers.next(), numbers.next()) else { return };
        let Some(attempt) = self.attempts.get_mut(&n) else { return };
        if *result == EffectResult::Rolled {
            return;
        }
        if let Some(tried) = attempt.confirms.iter_mut().find(|c| c.try_no == try_no) {
            tried.result = Some(result.clone());
        }
        if let EffectResult::Refused { code, decline } = result {
            let class = decline.as_ref().map_or(DeclineClass::Soft, class_of);
            let code = decline.as_ref().and_then(|d| d.decline_code.clone()).unwrap_or_else(|| code.clone());
            self.failures.push(Failure { attempt: n, try_no, at, class, code });
        }
    }
}
