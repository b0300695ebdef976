//! The state of one order: the fold of its facts, and nothing else.
//!
//! Invariant: the observations of one order are totally ordered by its revision, so the last one of an object is the
//! newest truth. No time stamp of a message and no order of arrival decides anything.

mod attempt;
mod effects;
mod news;
mod sums;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use self::attempt::{Attempt, ConfirmTry, Phase};
use super::fact::{
    CaseKind, ChargeView, Decision, DisputeView, EffectResult, Fact, IntentView, OrderView, Origin,
    RefundView, SessionView, Terms, What,
};
use super::ids::Function;
use super::policy::decline::DeclineClass;
use super::time::UnixTime;
use super::view::PaymentView;

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
}

/// A refund request and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// May confirm.
    pub granted: bool,
    /// Ask again at.
    pub again_at: Option<UnixTime>,
}

/// How often Stripe refused an effect on an object that has not changed since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Stripe's word.
    pub code: String,
    /// Generation that was refused: names the case.
    pub generation: u32,
}

/// All there is to know about an order.
#[derive(Clone, Debug, Default)]
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
    /// Charges by id.
    pub charges: BTreeMap<String, ChargeView>,
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
    /// Number of the fact that last changed it.
    pub view_version: u64,
    /// When it last changed.
    pub view_at: UnixTime,
    /// Version acknowledged by the order system.
    pub told_version: u64,
    /// The order system refused this version for good.
    pub tell_failed: Option<(u64, String)>,
    /// Notices sent.
    pub notices: BTreeSet<String>,
    /// Events and deliveries that facts name.
    pub hints: BTreeSet<String>,
    /// Facts folded.
    pub facts: u64,
    /// Time of the newest fact.
    pub last_at: UnixTime,
    /// Claims held now. Not facts: they live beside them in the item.
    pub claims: BTreeMap<String, Claim>,
}

/// The case about an effect that Stripe refused.
pub fn refused_case(effect: &str, refusal: &Refusal) -> String {
    format!("refused:{effect}:{}", refusal.generation)
}

/// The state after `facts`, with the claims of the same revision.
pub fn fold<'a>(facts: impl IntoIterator<Item = &'a Fact>, claims: &BTreeMap<String, Claim>) -> State {
    let mut state = State { claims: claims.clone(), ..State::default() };
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
            self.hints.insert(hint.clone());
        }
        self.apply_what(fact);
        let view = self.compute_view();
        if view != self.view {
            self.view = view;
            self.view_version = self.facts;
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
                    amount: (*amount).max(0),
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
                if let Some(case) = self.cases.get_mut(case)
                    && case.is_open()
                {
                    case.decision = Some(*decision);
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
            What::ViewTold { version } => self.told_version = self.told_version.max(*version),
            What::TellFailed { effect, detail } if effect == "tell" => {
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
        }
    }

    fn see_order(&mut self, seen: &OrderView) {
        if self.order.as_ref().is_some_and(|known| known.customer != seen.customer) {
            // Another buyer: neither the customer nor the saved method is theirs.
            self.customer = None;
            self.method = None;
        }
        self.order = Some(seen.clone());
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
