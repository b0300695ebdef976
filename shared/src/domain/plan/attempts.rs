//! Attempts: when one is made, closed, captured or looked at again.

use super::{Do, Draft, Reason};
use crate::domain::fact::{CaseKind, Decision, OrderView, Terms};
use crate::domain::ids::Function;
use crate::domain::money::{Currency, Money};
use crate::domain::order::{CaptureMode, Collection, OrderStatus};
use crate::domain::policy::Uncaptured;
use crate::domain::policy::decline::DeclineClass;
use crate::domain::state::{Attempt, Phase, State};
use crate::domain::time::{Seconds, UnixTime};

/// What can be captured of `due` as Stripe's integer: where Stripe cannot express it, a little less, never more.
fn capturable(due: i64, currency: Currency) -> i64 {
    (0..100).find_map(|less| Money::new((due - less).max(0), currency).to_stripe().ok()).unwrap_or(0)
}

/// What a new attempt depends on: the order's own terms and the customer link.
fn fingerprint(state: &State, order: &OrderView) -> String {
    let link = state.customer.as_deref().unwrap_or("-");
    crate::domain::fact::hash_of(&format!("{}|{link}", order.fingerprint()))
}

/// An attempt closed for one of these is not followed by another of ours: the next is the buyer's.
const ENDS_OUR_PART: [Reason; 4] =
    [Reason::BuyerPaysOnPage, Reason::GaveUp, Reason::PersonDenied, Reason::AuthorisationEnds];

impl Draft<'_> {
    pub(super) fn attempts(&mut self) {
        let Some(order) = self.state.order.clone() else {
            self.push(Function::PaymentCreator, self.now, Reason::OrderNotSeen, Do::LookAtOrder);
            return;
        };
        let second = self.second_objects() | self.older_attempts();
        match self.state.live_attempt() {
            Some((attempt, phase)) => {
                let attempt = attempt.clone();
                let before = self.actions.len();
                self.live(&order, &attempt, &phase, second);
                let waits = self.actions.iter().skip(before).all(super::Action::is_record);
                if waits && self.state.claims.is_empty() && matches!(phase, Phase::Open | Phase::Authorized) {
                    // Nothing that can still take money is ever left without a time to look at it.
                    self.look_later(&attempt);
                }
            }
            // A second object may still be paid: first it is closed.
            None if second => {}
            None => self.new_attempt(&order),
        }
        let unseen_charge = self
            .state
            .intents
            .values()
            .filter(|i| i.amount_received > 0 && i.attempt > 0)
            .find(|i| !self.state.charges.values().any(|c| c.took() && c.intent == i.id));
        if let Some(attempt) = unseen_charge.map(|i| i.attempt) {
            self.look_now(attempt);
        }
    }

    pub(super) fn look_now(&mut self, attempt: u32) {
        let look = Do::LookAtAttempt { attempt };
        self.push(Function::PaymentRecorder, self.now, Reason::NotSeenSince, look);
    }

    pub(super) fn close_session(&mut self, owner: Function, reason: Reason, attempt: u32, session: &str) {
        let terms = Terms::ExpireSession { attempt, session: session.to_owned() };
        self.effect(owner, self.now, reason, format!("expire:{session}"), terms);
    }

    pub(super) fn close_intent(&mut self, owner: Function, reason: Reason, attempt: u32, intent: &str) {
        let terms = Terms::CancelIntent { attempt, intent: intent.to_owned() };
        self.effect(owner, self.now, reason, format!("cancel:{intent}"), terms);
    }

    pub(super) fn close(&mut self, owner: Function, reason: Reason, attempt: &Attempt) {
        let Some(object) = attempt.object.clone() else { return };
        if attempt.off_session {
            self.close_intent(owner, reason, attempt.n, &object);
        } else {
            self.close_session(owner, reason, attempt.n, &object);
        }
    }

    fn live(&mut self, order: &OrderView, attempt: &Attempt, phase: &Phase, second: bool) {
        match phase {
            Phase::Creating => {
                // A claim is settled by its owner; without one (a table restored to yesterday) the same attempt is
                // looked for before anything is made.
                if self.state.claims.contains_key(&attempt.creation()) {
                    return;
                }
                if attempt.rolled {
                    // A second object may still be paid: first it is closed.
                    if !second {
                        self.make_anew(order, attempt);
                    }
                    return;
                }
                self.look_now(attempt.n);
            }
            Phase::Unseen => {
                self.look_now(attempt.n);
            }
            Phase::Processing => self.look_later(attempt),
            Phase::Authorized => self.authorised(order, attempt),
            Phase::Open => self.open(order, attempt, second),
            Phase::Refused(_) | Phase::Paid | Phase::Dead => {}
        }
    }

    pub(super) fn look_later(&mut self, attempt: &Attempt) {
        let mut at = self.state.last_at + self.policy.limits.observe_open_attempt;
        if let Some(session) = attempt.object.as_ref().and_then(|id| self.state.sessions.get(id)) {
            // Stripe closes it at `expires_at`; a minute later it should have told us.
            let mut closes = session.expires_at + Seconds::minutes(1);
            if self.state.last_at >= closes {
                // It still showed itself open, or other news came since.
                closes = self.state.last_at + Seconds::minutes(5);
            }
            at = if session.status == "open" { at.min(closes) } else { at };
        }
        let look = Do::LookAtAttempt { attempt: attempt.n };
        self.push(Function::PaymentRecorder, at, Reason::NotSeenSince, look);
    }

    /// Why an open attempt must be closed, if it must.
    fn misfit(&self, order: &OrderView, attempt: &Attempt) -> Option<Reason> {
        if order.status == OrderStatus::Cancelled {
            return Some(Reason::OrderCancelled);
        }
        if order.collection == Collection::None {
            return Some(Reason::NotCollected);
        }
        let due = self.state.due(self.now);
        if due == 0 {
            return Some(Reason::NothingDue);
        }
        if attempt.off_session
            && (order.collection != Collection::Automatic || attempt.buyer != order.customer)
        {
            return Some(Reason::TermsChanged);
        }
        (attempt.amount != due || attempt.currency != order.currency).then_some(Reason::AmountChanged)
    }

    fn open(&mut self, order: &OrderView, attempt: &Attempt, second: bool) {
        let confirming = self.state.claims.keys().any(|k| k.starts_with(&format!("confirm:{}:", attempt.n)));
        if confirming {
            return;
        }
        if let Some(reason) = self.misfit(order, attempt) {
            self.close(Function::PaymentCreator, reason, attempt);
        } else if attempt.off_session && self.buyer_waits() {
            self.close_for_buyer(attempt);
        } else if attempt.off_session {
            // Held by a person, in a status nobody knows, or in doubt: nothing is charged.
            if order.status.stands() && !second && !self.state.contradicted() {
                self.climb(attempt);
            }
            self.look_later(attempt);
        } else {
            self.look_later(attempt);
        }
    }

    /// A waiting off-session intent gives way to the buyer's page.
    fn close_for_buyer(&mut self, attempt: &Attempt) {
        let Some(intent) = attempt.object.clone() else { return };
        let effect = format!("cancel:{intent}");
        let wanted = self.actions.len();
        let terms = Terms::CancelIntent { attempt: attempt.n, intent };
        self.effect(Function::PaymentPage, self.now, Reason::BuyerPaysOnPage, effect, terms);
        let planned = self.actions.get(wanted).filter(|a| matches!(a.what, Do::Effect { .. })).cloned();
        if let Some(action) = planned {
            self.actions.truncate(wanted);
            self.for_buyer(action.at, action.reason, action.what);
        }
    }

    /// The buyer asked for a page after the last attempt was made.
    pub(super) fn buyer_waits(&self) -> bool {
        self.state.buyer_asked.is_some_and(|(number, _)| number > self.state.last_creation)
    }

    /// The same attempt under the next generation of its key: nothing of it exists.
    fn make_anew(&mut self, order: &OrderView, attempt: &Attempt) {
        let due = self.state.due(self.now);
        if due == 0
            || !order.status.stands()
            || order.collection == Collection::None
            || self.state.contradicted()
        {
            return;
        }
        let at = self.after_roll(&attempt.creation(), self.now);
        let print = fingerprint(self.state, order);
        let make = match (&attempt.method, attempt.off_session) {
            (Some(method), true) => Do::CreateIntent {
                attempt: attempt.n,
                amount: due,
                currency: order.currency,
                method: method.clone(),
                card: attempt.card.clone(),
                manual_capture: order.capture == CaptureMode::OnFulfilment,
                fingerprint: print,
            },
            _ => self.session(order, attempt.n, due, print),
        };
        self.push(Function::PaymentCreator, at, Reason::KeyRolled, make);
    }

    fn new_attempt(&mut self, order: &OrderView) {
        if !order.status.stands() || order.collection == Collection::None {
            return;
        }
        let (due, at) = match (self.state.due(self.now), order.balance_due_at) {
            (0, Some(later)) if later > self.now => (self.state.due(later), later),
            (due, _) => (due, self.now),
        };
        if due == 0 || self.state.contradicted() || self.waits_for_customer(order) {
            return;
        }
        let last = self.state.last_attempt();
        let print = fingerprint(self.state, order);
        if let Some(refused) = last.filter(|a| matches!(self.state.phase(a), Phase::Refused(_))) {
            let again = self.state.decision(&format!("refused:{}", refused.n)) == Some(Decision::Approve);
            if refused.fingerprint == print && !again {
                return;
            }
        }
        let n = last.map_or(0, |a| a.n) + 1;
        let paid_before = last.is_some_and(|a| self.state.phase(a) == Phase::Paid);
        let closed_by_us = last
            .and_then(|a| a.closed_for.as_deref())
            .is_some_and(|why| !ENDS_OUR_PART.iter().any(|r| r.name() == why));
        let refused = last.is_some_and(|a| matches!(self.state.phase(a), Phase::Refused(_)));
        let fresh = last.is_none() || paid_before || closed_by_us || refused;
        if let Some(when) = self.off_session_at(order, fresh, at) {
            let Some((Some(method), card)) = self.state.method.clone() else { return };
            let make = Do::CreateIntent {
                attempt: n,
                amount: due,
                currency: order.currency,
                method,
                card,
                manual_capture: order.capture == CaptureMode::OnFulfilment,
                fingerprint: print,
            };
            let reason = if paid_before { Reason::BalanceDue } else { Reason::SavedMethod };
            self.push(Function::PaymentCreator, when, reason, make);
            return;
        }
        let (owner, reason) = match (self.buyer_waits(), fresh) {
            (true, _) => (Function::PaymentPage, Reason::BuyerAsked),
            (false, true) if paid_before => (Function::PaymentCreator, Reason::BalanceDue),
            (false, true) if closed_by_us => (Function::PaymentCreator, Reason::AmountChanged),
            (false, true) => (Function::PaymentCreator, Reason::FirstSession),
            (false, false) => return self.notices_while_waiting(),
        };
        let make = self.session(order, n, due, print);
        if owner == Function::PaymentPage {
            let room = self.room_for_session(at);
            return self.for_buyer(room, reason, make);
        }
        self.push(owner, at, reason, make);
    }

    /// A registered buyer's order waits for the customer link. A refused customer is a case until the order changes.
    fn waits_for_customer(&mut self, order: &OrderView) -> bool {
        if order.customer.is_none() || self.state.customer.is_some() {
            return false;
        }
        if let Some((print, code)) = self.state.customer_refused.clone()
            && print == order.fingerprint()
        {
            let case = self.state.customer_case(&print);
            let text = format!(
                "Stripe refused to create the buyer's customer: {code}; mend the buyer's data, or approve to try again"
            );
            self.case(case.clone(), CaseKind::CreationRefused, text);
            if self.state.decision(&case) != Some(Decision::Approve) {
                return true;
            }
        }
        self.push(Function::PaymentCreator, self.now, Reason::CustomerFirst, Do::LookAtOrder);
        true
    }

    fn session(&self, order: &OrderView, attempt: u32, amount: i64, fingerprint: String) -> Do {
        let in_ladder = !self.state.failures.is_empty();
        let page = &self.policy.page;
        Do::CreateSession {
            attempt,
            amount,
            currency: order.currency,
            ttl: if in_ladder { page.session_ttl_in_ladder } else { page.session_ttl },
            manual_capture: order.capture == CaptureMode::OnFulfilment,
            save_method: page.save_method && self.state.customer.is_some(),
            fingerprint,
        }
    }

    /// When the day's limit leaves room for one more session, not before `at`.
    fn room_for_session(&self, at: UnixTime) -> UnixTime {
        let since = self.now - Seconds::days(1);
        let recent: Vec<UnixTime> = self.state.session_times.iter().copied().filter(|t| *t > since).collect();
        let most = usize::try_from(self.policy.page.sessions_per_day_max).unwrap_or(usize::MAX).max(1);
        let blocks = recent.len().checked_sub(most).and_then(|i| recent.get(i));
        blocks.map_or(at, |t| at.max(*t + Seconds::days(1)))
    }

    /// When an off-session attempt may be made instead of a page: at once for a fresh one, at the retry's time
    /// while the ladder runs, never while the buyer waits or can alone help.
    fn off_session_at(&self, order: &OrderView, fresh: bool, at: UnixTime) -> Option<UnixTime> {
        let has_method = matches!(self.state.method, Some((Some(_), _)));
        if order.collection != Collection::Automatic || !has_method || self.buyer_waits() || self.gave_up() {
            return None;
        }
        match self.current_failures().last() {
            None => fresh.then_some(at),
            Some(failure) if matches!(failure.class, DeclineClass::Soft | DeclineClass::Technical) => {
                let known = self.state.retries.get(&(self.state.tries + 1)).copied();
                known.or_else(|| self.next_try_at().map(|(due, _)| due.max(self.now)))
            }
            Some(_) => None,
        }
    }

    /// The session expired and only the buyer makes the next: the ladder's end is still watched.
    fn notices_while_waiting(&mut self) {
        self.watch_give_up();
    }

    /// Capture on fulfilment or at once; before the authorisation ends the policy decides.
    fn authorised(&mut self, order: &OrderView, attempt: &Attempt) {
        let Some(intent) = self.state.intent_of(attempt).cloned() else { return };
        let case = format!("uncaptured:{}", intent.id);
        if order.status == OrderStatus::Cancelled {
            let owner = Function::PaymentRecorder;
            self.lapse(&case, Reason::CauseGone);
            return self.close_intent(owner, Reason::OrderCancelled, attempt.n, &intent.id);
        }
        if self.state.contradicted() {
            return;
        }
        let amount_stripe =
            capturable(self.state.due(self.now), order.currency).min(intent.amount_capturable);
        let misfit = match () {
            () if order.collection == Collection::None => Some(Reason::NotCollected),
            () if amount_stripe <= 0 => Some(Reason::NothingDue),
            () if intent.currency != order.currency => Some(Reason::AmountChanged),
            () => None,
        };
        if let Some(reason) = misfit {
            return self.close_intent(Function::PaymentRecorder, reason, attempt.n, &intent.id);
        }
        let capture = |draft: &mut Self, at, reason| {
            let terms = Terms::Capture { attempt: attempt.n, intent: intent.id.clone(), amount_stripe };
            draft.effect(Function::PaymentRecorder, at, reason, format!("capture:{}", intent.id), terms);
        };
        // Held by a person, or in a status nobody knows: only a person takes or releases the money.
        let held = !order.status.stands();
        if order.capture == CaptureMode::AtOnce && !held {
            return capture(self, self.now, Reason::CaptureAtOnce);
        }
        if order.status == OrderStatus::Fulfilled {
            self.lapse(&case, Reason::CauseGone);
            return capture(self, self.now, Reason::Fulfilled);
        }
        match self.state.decision(&case) {
            Some(Decision::Approve) => return capture(self, self.now, Reason::PersonApproved),
            Some(Decision::Deny) => {
                let (owner, reason) = (Function::PaymentRecorder, Reason::PersonDenied);
                return self.close_intent(owner, reason, attempt.n, &intent.id);
            }
            None => {}
        }
        let ends = intent
            .latest_charge
            .as_ref()
            .and_then(|c| self.state.charges.get(c))
            .and_then(|c| c.capture_before)
            // Stripe's default for an uncaptured intent: 7 days.
            .unwrap_or(attempt.claimed_at + Seconds::days(7));
        let decide_at = ends - self.policy.capture.lead;
        match if held { Uncaptured::Case } else { self.policy.capture.uncaptured } {
            Uncaptured::Capture => capture(self, decide_at, Reason::AuthorisationEnds),
            Uncaptured::Release => {
                let terms = Terms::CancelIntent { attempt: attempt.n, intent: intent.id.clone() };
                let effect = format!("cancel:{}", intent.id);
                self.effect(Function::PaymentRecorder, decide_at, Reason::AuthorisationEnds, effect, terms);
            }
            Uncaptured::Case if decide_at <= self.now => {
                let text = format!(
                    "{} is authorised until {ends} and the order is not fulfilled: approve to capture, deny to release",
                    intent.id
                );
                self.case(case, CaseKind::Uncaptured, text);
            }
            Uncaptured::Case => {
                let look = Do::LookAtAttempt { attempt: attempt.n };
                self.push(Function::PaymentRecorder, decide_at, Reason::AuthorisationEnds, look);
            }
        }
    }
}
