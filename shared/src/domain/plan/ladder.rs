//! The retry ladder of off-session payments: class of the decline, next try, giving up.

use super::{Action, Do, Draft, Reason};
use crate::domain::fact::{Terms, What};
use crate::domain::ids::Function;
use crate::domain::policy::decline::DeclineClass;
use crate::domain::state::{Attempt, Failure, Phase};
use crate::domain::time::{Seconds, UnixTime};

impl Draft<'_> {
    /// Failures since the last payment that succeeded.
    pub(super) fn current_failures(&self) -> Vec<&Failure> {
        let paid =
            self.state.attempts.values().filter(|a| self.state.phase(a) == Phase::Paid).map(|a| a.n).max();
        self.state.failures.iter().filter(|f| Some(f.attempt) > paid).collect()
    }

    pub(super) fn gave_up(&self) -> bool {
        let last = self.state.last_attempt().map_or(0, |a| a.n);
        self.state.gave_up.is_some_and(|n| n >= last)
    }

    /// When the next try may be made, by the class of the last decline; `None`: never by itself.
    pub(super) fn next_try_at(&self) -> Option<(UnixTime, Reason)> {
        let failures = self.current_failures();
        let last = *failures.last()?;
        let (waits, reason) = match last.class {
            DeclineClass::Technical => (&self.policy.retry.technical, Reason::TechnicalDecline),
            DeclineClass::Soft => (&self.policy.retry.soft, Reason::SoftDecline),
            DeclineClass::NeedsCustomer | DeclineClass::Never => return None,
        };
        let so_far = failures.iter().filter(|f| f.class == last.class).count();
        waits.get(so_far - 1).map(|wait| (last.at + *wait, reason))
    }

    /// Only the buyer can help now.
    pub(super) fn needs_buyer(&self) -> bool {
        let waits_for_action = self
            .state
            .live_attempt()
            .filter(|(a, p)| a.off_session && *p == Phase::Open)
            .and_then(|(a, _)| self.state.intent_of(a))
            .is_some_and(|i| i.status == "requires_action");
        waits_for_action || (!self.current_failures().is_empty() && self.next_try_at().is_none())
    }

    /// The next try waits only for room in the card's budget: the buyer need not wait for it.
    pub(super) fn card_is_full(&self) -> bool {
        let Some((attempt, Phase::Open)) = self.state.live_attempt() else { return false };
        let next = self.state.tries + 1;
        let full = self.state.budgets.get(&next).is_some_and(|budget| !budget.granted);
        attempt.off_session && attempt.card.is_some() && full && !self.gave_up()
    }

    /// The next step of an open off-session attempt.
    pub(super) fn climb(&mut self, attempt: &Attempt) {
        let (Some(intent), Some(method)) = (attempt.object.clone(), attempt.method.clone()) else { return };
        if self.gave_up() {
            let (owner, reason) = (Function::PaymentCreator, Reason::GaveUp);
            let terms = Terms::CancelIntent { attempt: attempt.n, intent: intent.clone() };
            return self.effect(owner, self.now, reason, format!("cancel:{intent}"), terms);
        }
        if self.needs_buyer() {
            return self.watch_give_up();
        }
        // A try whose key was rolled is made again as the same try: it took its place in the card's budget.
        let rolled = attempt.confirms.last().filter(|c| c.result.is_none()).map(|c| c.try_no);
        let try_no = rolled.unwrap_or(self.state.tries + 1);
        let (owner, at, reason) = match self.next_try_at() {
            None => (Function::PaymentCreator, self.now, Reason::FirstTry),
            Some((due, why)) => {
                if !self.state.retries.contains_key(&try_no) {
                    return self.schedule(attempt, try_no, due, why);
                }
                (Function::FailureHandler, due, Reason::RetryDue)
            }
        };
        match (self.state.budgets.get(&try_no), attempt.card.clone()) {
            (None, Some(card)) => {
                let reserve = Do::ReserveCard { attempt: attempt.n, try_no, card };
                self.push(owner, at, Reason::CardBudget, reserve);
            }
            (Some(budget), Some(card)) if !budget.granted => {
                let reserve = Do::ReserveCard { attempt: attempt.n, try_no, card };
                let again = budget.again_at.unwrap_or(self.state.last_at + Seconds::hours(1)).max(at);
                self.push(Function::FailureHandler, again, Reason::CardBudget, reserve);
            }
            // Without a card (a bank debit) there is no card budget.
            _ => {
                let effect = format!("confirm:{}:{try_no}", attempt.n);
                let terms = Terms::Confirm { attempt: attempt.n, try_no, intent, method };
                self.effect(owner, at, reason, effect, terms);
            }
        }
    }

    fn schedule(&mut self, attempt: &Attempt, try_no: u32, due: UnixTime, reason: Reason) {
        let class = self.current_failures().last().map_or(DeclineClass::Soft, |f| f.class);
        let fact = What::RetryScheduled { attempt: attempt.n, try_no, due, class };
        self.actions.push(Action {
            owner: Some(Function::FailureHandler),
            at: self.now,
            reason,
            what: Do::Schedule(Box::new(fact)),
        });
    }

    /// From the first failure the buyer has as long as the policy gives.
    pub(super) fn watch_give_up(&mut self) {
        let failures = self.current_failures();
        // A bank that asked the buyer to authenticate declined nothing: the wait begins with the try.
        let asked = self.state.last_attempt().and_then(|a| a.confirms.last()).map(|c| c.at);
        let (first, class) = match (failures.first(), failures.last(), asked) {
            (Some(first), Some(last), _) => (first.at, last.class),
            (_, _, Some(at)) if self.needs_buyer() => (at, DeclineClass::NeedsCustomer),
            _ => return,
        };
        let end = first + self.policy.retry.give_up_after;
        if !self.gave_up() && self.state.payable(self.now) {
            self.actions.push(Action {
                owner: Some(Function::FailureHandler),
                at: end,
                reason: Reason::GaveUp,
                what: Do::Record(Box::new(What::GaveUp { class })),
            });
        }
    }
}
