//! The plan: the only place that decides anything about money. `plan(state, policy, now)` is a pure function.
//!
//! Invariants: never a charge beyond what is due, a refund beyond what a charge holds, or a second payable attempt;
//! an effect that is claimed is never planned again, only settled.

mod attempts;
mod cases;
mod ladder;
mod reason;
mod refunds;
mod second;
mod tell;

pub use self::reason::Reason;
use std::collections::BTreeSet;

use super::fact::{CaseKind, Decision, Terms, What};
use super::ids::Function;
use super::money::Currency;
use super::policy::Policy;
use super::state::{Claim, State, refused_case};
use super::time::{Seconds, UnixTime};

/// The case of a buyer's customer that cannot be created.
pub const CUSTOMER_CASE: &str = "customer_waits";

/// The case of an order that holds what only a newer build can read.
pub const NEWER_CASE: &str = "newer_build";

/// One thing to do, by one function, not before `at`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// Whose it is. `None`: a record that any function commits with what it saw.
    pub owner: Option<Function>,
    /// Not before.
    pub at: UnixTime,
    /// Why.
    pub reason: Reason,
    /// What.
    pub what: Do,
}

/// What an action does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Do {
    /// Make a Checkout Session for `amount` ISO minor units.
    CreateSession {
        /// The new attempt.
        attempt: u32,
        /// ISO minor units.
        amount: i64,
        /// Its currency.
        currency: Currency,
        /// Life of the session.
        ttl: Seconds,
        /// Authorise only.
        manual_capture: bool,
        /// Save the method for later.
        save_method: bool,
        /// The order's fingerprint.
        fingerprint: String,
    },
    /// Make an unconfirmed intent on a saved method.
    CreateIntent {
        /// The new attempt.
        attempt: u32,
        /// ISO minor units.
        amount: i64,
        /// Its currency.
        currency: Currency,
        /// The method.
        method: String,
        /// The card's fingerprint.
        card: Option<String>,
        /// Authorise only.
        manual_capture: bool,
        /// The order's fingerprint.
        fingerprint: String,
    },
    /// Carry out an effect whose terms say all.
    Effect {
        /// Its key.
        effect: String,
        /// Its terms.
        terms: Terms,
    },
    /// Ask for a place in the card's budget.
    ReserveCard {
        /// The attempt.
        attempt: u32,
        /// The try.
        try_no: u32,
        /// The card.
        card: String,
    },
    /// Commit a fact; nothing outside changes.
    Record(Box<What>),
    /// Commit the fact of a scheduled retry and set its timer.
    Schedule(Box<What>),
    /// Settle a claim past its deadline.
    Settle {
        /// The effect.
        effect: String,
    },
    /// Look at the order in its system.
    LookAtOrder,
    /// Look at the refunds of every charge at Stripe.
    LookAtRefunds,
    /// Look at an attempt at Stripe.
    LookAtAttempt {
        /// The attempt.
        attempt: u32,
    },
}

impl Action {
    /// Whether it may be done now.
    pub fn ready(&self, now: UnixTime) -> bool {
        self.at <= now
    }
    /// Whether it only adds facts.
    pub fn is_record(&self) -> bool {
        matches!(self.what, Do::Record(_) | Do::Schedule(_))
    }
}

/// The plan under construction.
struct Draft<'a> {
    state: &'a State,
    policy: &'a Policy,
    now: UnixTime,
    actions: Vec<Action>,
    /// Cases about refused effects that are still wanted.
    refused: BTreeSet<String>,
}

/// A buyer's page that nobody made in this time is made by the creator: the page's function may have died.
const PAGE_HAS: Seconds = Seconds::minutes(2);

impl Draft<'_> {
    fn push(&mut self, owner: Function, at: UnixTime, reason: Reason, what: Do) {
        self.actions.push(Action { owner: Some(owner), at, reason, what });
    }

    fn record(&mut self, reason: Reason, what: What) {
        self.actions.push(Action { owner: None, at: self.now, reason, what: Do::Record(Box::new(what)) });
    }

    /// Plans an effect unless it is claimed already. One that Stripe refused is a person's: the object did not change
    /// since, so asking again would be refused again.
    fn effect(&mut self, owner: Function, at: UnixTime, reason: Reason, effect: String, terms: Terms) {
        if self.state.claims.contains_key(&effect) {
            return;
        }
        if let Some(refusal) = self.state.refusals.get(&effect).filter(|_| at <= self.now) {
            let case = refused_case(&effect, refusal);
            let text = format!(
                "Stripe refused {effect}: {}; mend it in Stripe's dashboard, or approve to try again",
                refusal.code
            );
            let kind =
                if effect.starts_with("capture") { CaseKind::Uncaptured } else { CaseKind::Contradiction };
            self.refused.insert(case.clone());
            self.case(case.clone(), kind, text);
            if self.state.decision(&case) != Some(Decision::Approve) {
                return;
            }
        }
        let at = self.after_roll(&effect, at);
        self.push(owner, at, reason, Do::Effect { effect, terms });
    }

    /// Each rolled key in a row doubles the wait for the next, from a minute to six hours: an outage of days must not
    /// fill the order with facts.
    fn after_roll(&self, effect: &str, at: UnixTime) -> UnixTime {
        let Some((count, when)) = self.state.rolls.get(effect) else { return at };
        at.max(*when + Seconds((30_i64 << (*count).min(10)).min(21_600)))
    }

    /// What a waiting buyer asked for: the page's own, and after a while the creator's.
    fn for_buyer(&mut self, at: UnixTime, reason: Reason, what: Do) {
        let asked = self.state.buyer_asked.map_or(self.now, |(_, when)| when);
        self.push(Function::PaymentPage, at, reason, what.clone());
        self.push(Function::PaymentCreator, at.max(asked + PAGE_HAS), reason, what);
    }

    /// Opens a case once.
    fn case(&mut self, case: String, kind: CaseKind, text: String) {
        if !self.state.cases.contains_key(&case) {
            self.record(Reason::PersonDecides, What::CaseOpened { case, case_kind: kind, text });
        }
    }

    /// Withdraws an open case whose cause is gone.
    fn lapse(&mut self, case: &str, reason: Reason) {
        if self.state.case_open(case) {
            self.record(reason, What::CaseLapsed { case: case.to_owned() });
        }
    }
}

/// What is to be done about an order, and why.
pub fn plan(state: &State, policy: &Policy, now: UnixTime) -> Vec<Action> {
    let mut draft = Draft { state, policy, now, actions: Vec::new(), refused: BTreeSet::new() };
    draft.settle();
    if state.facts == 0 {
        return draft.actions;
    }
    if !state.unread.is_empty() {
        draft.waits_for_newer_build();
        return draft.actions;
    }
    draft.lapse(NEWER_CASE, Reason::CauseGone);
    // A person who looked may let it go on by as many again.
    if state.facts >= state.limits_lifted.1 + u64::from(policy.limits.facts_max) {
        let case = state.limit_case();
        let text = format!("{} facts: something goes in circles; look at the timeline", state.facts);
        draft.case(case.clone(), CaseKind::Limit, text);
        // The shop is still told what is known of its money.
        draft.tell();
        draft.notice_of(&case);
        return draft.actions;
    }
    draft.attempts();
    draft.refunds();
    draft.cases();
    draft.tell();
    draft.notices();
    draft.actions
}

impl Draft<'_> {
    /// Claims past their deadline go to their next owner; an outcome unknown for too long becomes a case.
    fn settle(&mut self) {
        for claim in self.state.claims.values() {
            self.actions.push(Action {
                owner: Some(claim.by),
                at: claim.deadline,
                reason: Reason::ClaimUnsettled,
                what: Do::Settle { effect: claim.effect.clone() },
            });
            if claim.by == Function::PaymentPage {
                // The buyer may never come back: the creator settles what the page left.
                let settle = Do::Settle { effect: claim.effect.clone() };
                self.push(Function::PaymentCreator, claim.deadline, Reason::ClaimUnsettled, settle);
            }
            let case = unknown_case(claim);
            let limit = match claim.terms {
                Terms::Tell { .. } => self.policy.limits.write_back_case_after,
                _ => self.policy.limits.unknown_case_after,
            };
            let too_old = unsettled_since(claim).is_some_and(|t| t + limit <= self.now);
            if too_old && !self.state.cases.contains_key(&case) {
                let text = match (claim.unknown_since, claim.waiting_since) {
                    (None, Some(since)) => format!(
                        "{} could not be sent since {since}: check the function's Stripe key, its permissions and the limits",
                        claim.effect
                    ),
                    (since, _) => format!(
                        "the outcome of {} is unknown since {}; it is looked up again and again, never repeated blindly",
                        claim.effect,
                        since.unwrap_or_default()
                    ),
                };
                self.actions.push(Action {
                    owner: None,
                    at: self.now,
                    reason: Reason::PersonDecides,
                    what: Do::Record(Box::new(What::CaseOpened { case, case_kind: CaseKind::Unknown, text })),
                });
            }
        }
    }
}

impl Draft<'_> {
    /// Half an order decides nothing: not what is due, not what the shop is told. What is claimed and can be read is
    /// settled, what is seen is stored, and somebody looks again.
    fn waits_for_newer_build(&mut self) {
        let unread: Vec<&str> = self.state.unread.iter().map(String::as_str).collect();
        let text = format!(
            "this build cannot read {}: deploy the one that wrote it, or a newer one; until then nothing is charged, refunded or told",
            unread.join(", ")
        );
        self.case(NEWER_CASE.into(), CaseKind::Unknown, text);
        self.notice_of(NEWER_CASE);
        let at = self.state.last_at + self.policy.limits.observe_open_attempt;
        self.push(Function::PaymentCreator, at, Reason::NotSeenSince, Do::LookAtOrder);
    }

    /// A person is told of an open case.
    fn notice_of(&mut self, case: &str) {
        if self.policy.notify && self.state.case_open(case) {
            self.notice(self.now, &format!("case:{case}"));
        }
    }
}

/// The case about a claim's unknown outcome: one per time that it became unknown.
fn unknown_case(claim: &Claim) -> String {
    format!("unknown:{}@{}", claim.effect, unsettled_since(claim).unwrap_or_default().0)
}

/// Since when a claim has no outcome: unknown, or never sent.
fn unsettled_since(claim: &Claim) -> Option<UnixTime> {
    claim.unknown_since.or(claim.waiting_since)
}

/// When somebody should look at the order again: the earliest action. `None`: nothing is open.
/// Work that is ready now and belongs to others is given `grace` before the sweeper hints at it again.
pub fn due_at(actions: &[Action], now: UnixTime, grace: Seconds) -> Option<UnixTime> {
    actions.iter().map(|a| if a.ready(now) { now + grace } else { a.at }).min()
}

#[cfg(test)]
pub(crate) mod tests;
