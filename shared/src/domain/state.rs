//! The state of one order: the fold of its facts, and nothing else.
//!
//! Invariant: the observations of one order are totally ordered by its revision, so the last one of an object is the
//! newest truth. No time stamp of a message and no order of arrival decides anything.

mod attempt;
mod declines;
mod effects;
mod news;
mod parts;
mod recent;
pub(crate) mod sums;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use self::attempt::{Attempt, ConfirmTry, Phase};
pub use self::declines::Declines;
pub use self::parts::{Budget, Case, Claim, Failure, Refusal, Request};
pub use self::recent::Recent;
use self::sums::AMOUNT_MAX;
use super::fact::{
    ChargeView, Decision, DisputeView, Fact, IntentView, OrderView, RefundView, SessionView, What,
};
use super::time::UnixTime;
use super::view::PaymentView;

/// Events and deliveries that an order remembers: an older one is read once more, and shows nothing new.
const HINTS_MAX: usize = 200;

/// All there is to know about an order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The order as last seen.
    pub order: Option<OrderView>,
    /// The stable link's token.
    pub pay_token: Option<String>,
    /// The Stripe customer.
    pub customer: Option<String>,
    /// Stripe refused to create the customer: the order's fingerprint then, and its code.
    pub customer_refused: Option<(String, String)>,
    /// The saved method: `Some((None, _))` means looked and found none.
    pub method: Option<(Option<String>, Option<String>)>,
    /// Payment attempts by number, from 1.
    pub attempts: BTreeMap<u32, Attempt>,
    /// Sessions by id.
    pub sessions: BTreeMap<String, SessionView>,
    /// Intents by id.
    pub intents: BTreeMap<String, IntentView>,
    /// Charges by id; of the declined ones the newest.
    pub charges: BTreeMap<String, ChargeView>,
    /// Declined charges, counted.
    pub declines: Declines,
    /// Refunds by id.
    pub refunds: BTreeMap<String, RefundView>,
    /// Disputes by id.
    pub disputes: BTreeMap<String, DisputeView>,
    /// Refund requests by id.
    pub requests: BTreeMap<String, Request>,
    /// Cases by id.
    pub cases: BTreeMap<String, Case>,
    /// Failed off-session confirmations, oldest first.
    pub failures: Vec<Failure>,
    /// Retry facts: try -> due.
    pub retries: BTreeMap<u32, UnixTime>,
    /// Card budget by try.
    pub budgets: BTreeMap<u32, Budget>,
    /// The attempt after which the ladder ended.
    pub gave_up: Option<u32>,
    /// Number of the fact with the buyer's last request, and its time.
    pub buyer_asked: Option<(u64, UnixTime)>,
    /// Number of the fact that claimed the last creation.
    pub last_creation: u64,
    /// Times of session creations, for the page's limit.
    pub session_times: Vec<UnixTime>,
    /// Next generation of effects whose key was rolled or that were refused before.
    pub generations: BTreeMap<String, u32>,
    /// Effects on an object that were refused, until the object changes.
    pub refusals: BTreeMap<String, Refusal>,
    /// Effects whose key was rolled: how often in a row, and when last.
    pub rolls: BTreeMap<String, (u32, UnixTime)>,
    /// How often Stripe refused the customer anew after a person approved another try.
    pub customer_refusals: u32,
    /// How often the order system refused the view that `tell_failed` names.
    pub tell_failures: u32,
    /// Confirmations claimed so far.
    pub tries: u32,
    /// What cannot both be true: case id -> words.
    pub contradictions: BTreeMap<String, String>,
    /// Objects that a call of ours changed and that nobody has read since.
    pub stale: BTreeSet<String>,
    /// Our view.
    pub view: Option<PaymentView>,
    /// Its version: the number of the fact that last changed it, or more where the order system holds more.
    pub view_version: u64,
    /// The version given to it when the order system held one of a history that we do not have.
    pub version_jumped: u64,
    /// When it last changed.
    pub view_at: UnixTime,
    /// Version acknowledged by the order system.
    pub told_version: u64,
    /// Of what the order system's own books hold as paid: our own record.
    #[serde(default)]
    pub recorded: i64,
    /// The same once a write that is on its way has arrived; 0 when none is.
    #[serde(default)]
    pub telling: i64,
    /// Of what the order system's own books hold as paid: what is not our record.
    #[serde(default)]
    pub elsewhere: i64,
    /// The order system refused this version for good.
    pub tell_failed: Option<(u64, String)>,
    /// Notices sent.
    pub notices: BTreeSet<String>,
    /// The newest events and deliveries that facts name.
    pub hints: Recent,
    /// The one of these by which the order was last seen to have changed.
    #[serde(default)]
    pub order_hint: Option<String>,
    /// Facts and claims that this build cannot read: the order waits for one that can.
    pub unread: BTreeSet<String>,
    /// How often a person let it go on past the limit of facts, and how many there were then.
    pub limits_lifted: (u32, u64),
    /// Facts folded.
    pub facts: u64,
    /// Time of the newest fact.
    pub last_at: UnixTime,
    /// Claims held now. Not facts: they live beside them in the item.
    #[serde(skip)]
    pub claims: BTreeMap<String, Claim>,
}

/// The case about an effect that Stripe refused.
pub fn refused_case(effect: &str, refusal: &Refusal) -> String {
    format!("refused:{effect}:{}", refusal.generation)
}

/// The state after `facts`, with the claims of the same revision.
pub fn fold<'a>(facts: impl IntoIterator<Item = &'a Fact>, claims: &BTreeMap<String, Claim>) -> State {
    resume(State::default(), facts, claims)
}

/// The same from the fold of the facts before them.
pub fn resume<'a>(
    base: State,
    facts: impl IntoIterator<Item = &'a Fact>,
    claims: &BTreeMap<String, Claim>,
) -> State {
    let mut state = State { claims: claims.clone(), ..base };
    for fact in facts {
        state.apply(fact);
    }
    state
}

impl State {
    /// Adds one fact.
    pub fn apply(&mut self, fact: &Fact) {
        self.facts += 1;
        self.last_at = fact.at;
        if let Some(hint) = &fact.hint {
            self.hints.note(hint, HINTS_MAX);
        }
        if let What::OrderSeen(seen) = &fact.what {
            self.doubt_the_last_look(seen, fact.hint.as_deref());
        }
        self.apply_what(fact);
        let view = self.compute_view();
        let changed = view != self.view;
        if changed {
            self.view = view;
            self.view_version = self.facts.max(self.view_version + 1);
            self.view_at = fact.at;
        }
        if let What::OrderSeen(order) = &fact.what
            && let Some(held) = self.forgotten_version(order)
        {
            (self.view_version, self.version_jumped) = (held + 1, held + 1);
            self.view_at = fact.at;
        }
    }

    fn apply_what(&mut self, fact: &Fact) {
        match &fact.what {
            What::OrderSeen(order) => self.see_order(order),
            What::PayToken { token } => self.pay_token = Some(token.clone()),
            What::CustomerLinked { customer } => {
                if self.customer.as_ref() != Some(customer) {
                    self.method = None;
                }
                self.customer = Some(customer.clone());
                self.customer_refused = None;
            }
            What::MethodSeen { method, fingerprint } => {
                self.method = Some((method.clone(), fingerprint.clone()))
            }
            What::SessionSeen(seen) => self.see_session(seen),
            What::IntentSeen(seen) => self.see_intent(seen),
            What::ChargeSeen(seen) => self.see_charge(seen),
            What::RefundSeen(seen) => self.see_refund(seen),
            What::DisputeSeen(seen) => {
                self.stale.remove(&seen.id);
                self.disputes.insert(seen.id.clone(), seen.clone());
            }
            What::Claimed { effect, generation, terms } => self.claimed(effect, *generation, terms, fact),
            What::Outcome { effect, generation, result } => self.ended(effect, *generation, result, fact.at),
            What::RefundRequested { request, amount, charge, origin, .. } => {
                self.requests.entry(request.clone()).or_insert_with(|| Request {
                    id: request.clone(),
                    // A negative request would make room for others.
                    amount: (*amount).clamp(0, AMOUNT_MAX),
                    charge: charge.clone(),
                    origin: *origin,
                    at: fact.at,
                    refunded_charge: None,
                    result: None,
                });
            }
            What::CaseOpened { case, case_kind, text } => {
                let opened = Case {
                    kind: *case_kind,
                    opened_at: fact.at,
                    text: text.clone(),
                    decision: None,
                    lapsed: false,
                };
                self.cases.insert(case.clone(), opened);
            }
            What::CaseDecided { case, decision, .. } => {
                if let Some(decided) = self.cases.get_mut(case)
                    && decided.is_open()
                {
                    decided.decision = Some(*decision);
                    if *decision == Decision::Approve && *case == self.limit_case() {
                        self.limits_lifted = (self.limits_lifted.0 + 1, self.facts);
                    }
                }
            }
            What::CaseLapsed { case } => {
                if let Some(case) = self.cases.get_mut(case) {
                    case.lapsed = true;
                }
                // Not wanted any more: should it be wanted again, it is tried again.
                self.refusals.retain(|effect, r| *case != refused_case(effect, r));
            }
            What::CardBudget { try_no, granted, again_at, .. } => {
                self.budgets.insert(*try_no, Budget { granted: *granted, again_at: *again_at });
            }
            What::RetryScheduled { try_no, due, .. } => {
                self.retries.insert(*try_no, *due);
            }
            What::GaveUp { .. } => self.gave_up = self.attempts.keys().next_back().copied().or(Some(0)),
            What::BuyerAsked => self.buyer_asked = Some((self.facts, fact.at)),
            What::Telling { records } => self.telling = (*records).clamp(0, AMOUNT_MAX),
            What::ViewTold { version, recorded } => {
                self.told_version = self.told_version.max(*version);
                self.recorded = recorded.map_or(self.recorded, |amount| amount.clamp(0, AMOUNT_MAX));
                if self.recorded < self.telling {
                    // Our record never came: what the books were seen to hold is another payment, and seeing the same once
                    // more would be no news.
                    self.elsewhere = self.paid_beyond(self.recorded);
                }
                self.telling = 0;
            }
            What::TellFailed { effect, detail, recorded } if effect == "tell" => {
                self.telling = 0;
                self.recorded = recorded.map_or(self.recorded, |amount| amount.clamp(0, AMOUNT_MAX));
                self.elsewhere = self.paid_beyond(self.recorded);
                let again =
                    self.tell_failed.as_ref().is_some_and(|(version, _)| *version == self.view_version);
                self.tell_failures = if again { self.tell_failures + 1 } else { 1 };
                self.tell_failed = Some((self.view_version, detail.clone()));
            }
            What::Noticed { key } => {
                self.notices.insert(key.clone());
            }
            What::TellFailed { effect, .. } => {
                // A refused notice is not sent again and again.
                self.notices.extend(effect.strip_prefix("notice:").map(str::to_owned));
            }
            What::Unknown { .. } => {}
            What::Unread { was } => {
                self.unread.insert(was.clone());
            }
        }
    }

    /// Of two states under one version (a second, in some order systems) nobody can tell which is the newer: whoever hints at
    /// the one before once more makes us look again.
    fn doubt_the_last_look(&mut self, seen: &OrderView, hint: Option<&str>) {
        let same_version = self.order.as_ref().is_some_and(|known| known.version >= seen.version);
        if let Some(last) = self.order_hint.take().filter(|last| same_version && hint != Some(last.as_str()))
        {
            self.hints.forget(&last);
        }
        self.order_hint = hint.map(str::to_owned);
    }

    fn see_order(&mut self, seen: &OrderView) {
        if self.order.as_ref().is_some_and(|known| known.customer != seen.customer) {
            // Another buyer: neither the customer nor the saved method is theirs.
            self.customer = None;
            self.method = None;
        }
        self.order = Some(seen.clone());
        self.see_books();
        let charges: Vec<ChargeView> = self.charges.values().cloned().collect();
        for charge in charges {
            self.compare_currency(&charge);
        }
    }

    fn compare_currency(&mut self, charge: &ChargeView) {
        let Some(order) = &self.order else { return };
        let key = format!("contradiction:{}:currency", charge.id);
        if charge.amount_captured > 0 && order.currency != charge.currency {
            let text = format!("{} is in {}, the order in {}", charge.id, charge.currency, order.currency);
            self.contradictions.insert(key, text);
        } else {
            self.contradictions.remove(&key);
        }
    }

    /// The object is not what it was when an effect on it was refused: the effect may be tried again.
    fn forget_refusals(&mut self, object: &str) {
        for verb in ["expire", "cancel", "capture"] {
            self.refusals.remove(&format!("{verb}:{object}"));
        }
    }

    fn see_session(&mut self, seen: &SessionView) {
        if self.sessions.get(&seen.id) != Some(seen) {
            self.forget_refusals(&seen.id);
        }
        if let Some(attempt) = self.attempts.get_mut(&seen.attempt)
            && !attempt.off_session
            && attempt.object.is_none()
        {
            attempt.object = Some(seen.id.clone());
        }
        self.stale.remove(&seen.id);
        self.sessions.insert(seen.id.clone(), seen.clone());
    }

    fn see_intent(&mut self, seen: &IntentView) {
        if self.intents.get(&seen.id) != Some(seen) {
            self.forget_refusals(&seen.id);
        }
        if let Some(before) = self.intents.get(&seen.id) {
            let ended = |s: &str| matches!(s, "succeeded" | "canceled");
            if ended(&before.status) && before.status != seen.status {
                self.contradictions.insert(
                    format!("contradiction:{}", seen.id),
                    format!("{} was {} and is now {}", seen.id, before.status, seen.status),
                );
            }
        }
        if let Some(attempt) = self.attempts.get_mut(&seen.attempt)
            && attempt.off_session
            && attempt.object.is_none()
        {
            attempt.object = Some(seen.id.clone());
        }
        self.stale.remove(&seen.id);
        self.intents.insert(seen.id.clone(), seen.clone());
    }

    fn see_charge(&mut self, seen: &ChargeView) {
        if let Some(before) = self.charges.get(&seen.id)
            && before.took()
            && before.amount_captured > seen.amount_captured
        {
            self.contradictions.insert(
                format!("contradiction:{}", seen.id),
                format!(
                    "{} had {} captured and now shows {}",
                    seen.id, before.amount_captured, seen.amount_captured
                ),
            );
        }
        self.compare_currency(seen);
        self.stale.remove(&seen.id);
        self.charges.insert(seen.id.clone(), seen.clone());
        if let Some(old) = self.declines.note(seen) {
            self.charges.remove(&old);
        }
    }

    fn see_refund(&mut self, seen: &RefundView) {
        if let Some(before) = self.refunds.get(&seen.id)
            && matches!(before.status.as_str(), "failed" | "canceled")
            && seen.status == "succeeded"
        {
            self.contradictions.insert(
                format!("contradiction:{}", seen.id),
                format!("{} was {} and is now succeeded", seen.id, before.status),
            );
        }
        self.stale.remove(&seen.id);
        self.refunds.insert(seen.id.clone(), seen.clone());
    }

    /// The case about a customer that Stripe refuses to create.
    pub fn customer_case(&self, fingerprint: &str) -> String {
        match self.customer_refusals {
            0 => format!("customer:{fingerprint}"),
            n => format!("customer:{fingerprint}:{}", n + 1),
        }
    }

    /// The case about too many facts: another one each time a person let it go on.
    pub fn limit_case(&self) -> String {
        match self.limits_lifted.0 {
            0 => "limit".to_owned(),
            n => format!("limit:{}", n + 1),
        }
    }

    /// Contradictions that no person has approved to go on with: nothing is charged.
    pub fn contradicted(&self) -> bool {
        self.contradictions.keys().any(|case| self.decision(case) != Some(Decision::Approve))
    }

    /// Whether a fact names this event or delivery.
    pub fn knows(&self, hint: &str) -> bool {
        self.hints.contains(hint)
    }

    /// Whether nobody decided or withdrew this case.
    pub fn case_open(&self, case: &str) -> bool {
        self.cases.get(case).is_some_and(Case::is_open)
    }

    /// A person's decision on a case.
    pub fn decision(&self, case: &str) -> Option<Decision> {
        self.cases.get(case).and_then(|c| c.decision)
    }
}
