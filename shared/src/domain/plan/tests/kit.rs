//! The test kit: a story of facts about one order, and what the plan wants after it, in short words.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::domain::fact::{
    CaseKind, ChargeView, Decision, DisputeView, EffectResult, Fact, IntentView, OrderView, Origin,
    RefundView, SessionView, Terms, What,
};
use crate::domain::ids::Function;
use crate::domain::money::Currency;
use crate::domain::order::{CaptureMode, Collection, OrderStatus};
use crate::domain::plan::{Action, Do, plan};
use crate::domain::policy::Policy;
use crate::domain::policy::decline::Decline;
use crate::domain::state::{Claim, State};
use crate::domain::time::{Seconds, UnixTime};

/// When every story begins.
pub(crate) const START: UnixTime = UnixTime(1_700_000_000);

pub(crate) fn eur() -> Currency {
    Currency::parse("EUR").unwrap()
}

pub(crate) fn order(total: i64) -> OrderView {
    OrderView {
        number: "A-1".into(),
        status: OrderStatus::Open,
        currency: eur(),
        total,
        customer: None,
        collection: Collection::Page,
        capture: CaptureMode::AtOnce,
        deposit: None,
        balance_due_at: None,
        refund_requests: Vec::new(),
        refunds: Vec::new(),
        paid: None,
        items_hash: "h".into(),
        echo: None,
        version: 1,
    }
}

pub(crate) fn session(id: &str, attempt: u32, status: &str, intent: Option<&str>) -> What {
    What::SessionSeen(SessionView {
        id: id.into(),
        attempt,
        status: status.into(),
        payment_status: "unpaid".into(),
        intent: intent.map(Into::into),
        url: (status == "open").then(|| "https://pay.test/c".into()),
        expires_at: START + Seconds::days(1),
    })
}

pub(crate) fn intent(id: &str, attempt: u32, status: &str, amount: i64) -> What {
    What::IntentSeen(IntentView {
        id: id.into(),
        attempt,
        status: status.into(),
        amount,
        amount_capturable: if status == "requires_capture" { amount } else { 0 },
        amount_received: if status == "succeeded" { amount } else { 0 },
        currency: eur(),
        latest_charge: None,
        cancellation_reason: None,
        decline: None,
        review: None,
    })
}

pub(crate) fn charge_view(id: &str, intent: &str, amount: i64) -> ChargeView {
    ChargeView {
        id: id.into(),
        intent: intent.into(),
        status: "succeeded".into(),
        amount,
        amount_captured: amount,
        amount_refunded: 0,
        currency: eur(),
        captured: true,
        disputed: false,
        capture_before: None,
        fingerprint: None,
        decline: None,
        created: START,
    }
}

pub(crate) fn charge(id: &str, intent: &str, amount: i64) -> What {
    What::ChargeSeen(charge_view(id, intent, amount))
}

pub(crate) fn refund(id: &str, charge: &str, amount: i64, status: &str, request: Option<&str>) -> What {
    What::RefundSeen(RefundView {
        id: id.into(),
        charge: charge.into(),
        amount,
        currency: eur(),
        status: status.into(),
        request: request.map(Into::into),
        reason: None,
        failure_reason: None,
    })
}

pub(crate) fn dispute(id: &str, charge: &str, amount: i64, status: &str) -> What {
    What::DisputeSeen(DisputeView {
        id: id.into(),
        charge: charge.into(),
        amount,
        currency: eur(),
        status: status.into(),
        reason: "fraudulent".into(),
        due_by: None,
    })
}

pub(crate) fn request(id: &str, amount: i64, origin: Origin) -> What {
    What::RefundRequested {
        request: id.into(),
        amount,
        charge: None,
        origin,
        by_name: None,
        text: "t".into(),
    }
}

pub(crate) fn decided(case: &str, decision: Decision) -> What {
    What::CaseDecided { case: case.into(), decision, by_name: "ann".into(), arn: None }
}

pub(crate) fn done(object: &str) -> EffectResult {
    EffectResult::Done { object: object.into() }
}

pub(crate) fn refused(code: &str) -> EffectResult {
    EffectResult::Refused { code: code.into(), decline: None }
}

pub(crate) fn declined(code: &str) -> EffectResult {
    let decline = Decline { code: code.into(), ..Decline::default() };
    EffectResult::Refused { code: "card_declined".into(), decline: Some(decline) }
}

/// Facts and claims so far.
#[derive(Clone)]
pub(crate) struct Story {
    pub facts: Vec<Fact>,
    pub claims: BTreeMap<String, Claim>,
    pub policy: Policy,
    pub now: UnixTime,
    /// The fold of the first facts, so that a long story is not folded again for every question.
    folded: RefCell<State>,
}

impl Story {
    pub(crate) fn empty() -> Self {
        let mut policy = Policy::default();
        policy.refund.auto_up_to.insert("EUR".into(), 10_000);
        let folded = RefCell::default();
        Self { facts: Vec::new(), claims: BTreeMap::new(), policy, now: START, folded }
    }

    pub(crate) fn of(order: OrderView) -> Self {
        Self::empty().order(order)
    }

    pub(crate) fn order(self, order: OrderView) -> Self {
        self.see(What::OrderSeen(Box::new(order)))
    }

    pub(crate) fn see(self, what: What) -> Self {
        self.because(what, "observed")
    }

    pub(crate) fn because(mut self, what: What, why: &str) -> Self {
        self.facts.push(Fact {
            id: format!("t.{}", self.facts.len()),
            at: self.now,
            by: "test/1".into(),
            corr: "c".into(),
            hint: None,
            why: why.into(),
            policy: "p".into(),
            prev: String::new(),
            what,
        });
        self
    }

    /// What made us look when the newest fact was recorded.
    pub(crate) fn hinted(mut self, hint: &str) -> Self {
        if let Some(fact) = self.facts.last_mut() {
            fact.hint = Some(hint.into());
        }
        self
    }

    pub(crate) fn later(mut self, by: Seconds) -> Self {
        self.now = self.now + by;
        self
    }

    pub(crate) fn claim(mut self, effect: &str, terms: Terms, by: Function, why: &str) -> Self {
        let generation = self.state().generations.get(effect).copied().unwrap_or(1);
        let claim = Claim {
            effect: effect.into(),
            generation,
            generation_at: self.now,
            owner: "o".into(),
            by,
            deadline: self.now + Seconds(120),
            terms: terms.clone(),
            path: String::new(),
            body: None,
            body_ref: None,
            unknown_since: None,
            waiting_since: None,
            calls: 0,
            server_errors: 0,
            listed_empty_at: None,
            more: BTreeMap::new(),
        };
        self.claims.insert(effect.into(), claim);
        self.because(What::Claimed { effect: effect.into(), generation, terms }, why)
    }

    pub(crate) fn outcome(mut self, effect: &str, result: EffectResult) -> Self {
        let generation = self.claims.remove(effect).map_or(1, |c| c.generation);
        self.see(What::Outcome { effect: effect.into(), generation, result })
    }

    /// Claims what the plan wants under `effect`, which must be ready.
    pub(crate) fn take(self, effect: &str) -> Self {
        let state = self.state();
        let wanted = plan(&state, &self.policy, self.now)
            .into_iter()
            .find(|a| a.ready(self.now) && effect_of(&a.what).as_deref() == Some(effect));
        let Some(action) = wanted else { panic!("{effect} is not wanted, but {:?}", self.wants()) };
        let terms = match action.what {
            Do::Effect { terms, .. } => terms,
            Do::CreateSession { attempt, amount, currency, fingerprint, .. } => {
                Terms::CreateSession { attempt, amount, currency, fingerprint }
            }
            Do::CreateIntent { attempt, amount, currency, fingerprint, method, card, .. } => {
                Terms::CreateIntent { attempt, amount, currency, fingerprint, method, card }
            }
            other => panic!("{other:?}"),
        };
        self.claim(effect, terms, action.owner.unwrap(), action.reason.name())
    }

    /// An open session made by the plan.
    pub(crate) fn with_session(self, n: u32) -> Self {
        let (effect, id) = (format!("session:{n}"), format!("cs_{n}"));
        self.take(&effect).outcome(&effect, done(&id)).see(session(&id, n, "open", None))
    }

    /// The session of attempt `n` was paid.
    pub(crate) fn paid(self, n: u32, amount: i64) -> Self {
        let (cs, pi, ch) = (format!("cs_{n}"), format!("pi_{n}"), format!("ch_{n}"));
        self.see(session(&cs, n, "complete", Some(&pi)))
            .see(intent(&pi, n, "succeeded", amount))
            .see(charge(&ch, &pi, amount))
    }

    /// An off-session intent made by the plan.
    pub(crate) fn with_intent(self, n: u32, amount: i64) -> Self {
        let (effect, id) = (format!("intent:{n}"), format!("pi_{n}"));
        self.take(&effect).outcome(&effect, done(&id)).see(intent(&id, n, "requires_confirmation", amount))
    }

    pub(crate) fn state(&self) -> State {
        let mut folded = self.folded.borrow_mut();
        let known = usize::try_from(folded.facts).unwrap();
        self.facts[known..].iter().for_each(|fact| folded.apply(fact));
        State { claims: self.claims.clone(), ..folded.clone() }
    }

    pub(crate) fn plan(&self) -> Vec<Action> {
        plan(&self.state(), &self.policy, self.now)
    }

    /// Adds what the plan only records until it comes to rest.
    pub(crate) fn settled(mut self) -> Self {
        for _ in 0..8 {
            let records: Vec<Action> =
                self.plan().into_iter().filter(|a| a.ready(self.now) && a.is_record()).collect();
            if records.is_empty() {
                return self;
            }
            for action in records {
                let (Do::Record(what) | Do::Schedule(what)) = action.what else { continue };
                self = self.because(*what, action.reason.name());
            }
        }
        panic!("records without end: {:?}", self.wants());
    }

    /// What the plan wants, in short words, write-backs left out.
    pub(crate) fn wants(&self) -> Vec<String> {
        let all = self.plan();
        let mut words: Vec<String> = all
            .iter()
            .filter(|a| effect_of(&a.what).as_deref() != Some("tell"))
            .map(|a| self.words(a))
            .collect();
        words.sort();
        words
    }

    fn words(&self, action: &Action) -> String {
        let what = match &action.what {
            Do::CreateSession { attempt, amount, .. } => format!("session:{attempt} {amount}"),
            Do::CreateIntent { attempt, amount, .. } => format!("intent:{attempt} {amount}"),
            Do::Effect { effect, terms: Terms::Refund { amount_stripe, charge, .. } } => {
                format!("{effect} {amount_stripe} of {charge}")
            }
            Do::Effect { effect, terms: Terms::Capture { amount_stripe, .. } } => {
                format!("{effect} {amount_stripe}")
            }
            Do::Effect { effect, .. } => effect.clone(),
            Do::ReserveCard { try_no, .. } => format!("reserve:{try_no}"),
            Do::Settle { effect } => format!("settle {effect}"),
            Do::LookAtOrder => "look at order".into(),
            Do::LookAtRefunds => "look at refunds".into(),
            Do::LookAtAttempt { attempt } => format!("look at attempt {attempt}"),
            Do::Record(what) | Do::Schedule(what) => match what.as_ref() {
                What::CaseOpened { case, .. } => format!("open case {case}"),
                What::CaseLapsed { case } => format!("lapse case {case}"),
                What::RefundRequested { request, amount, .. } => format!("request {request} {amount}"),
                What::RetryScheduled { try_no, .. } => format!("schedule {try_no}"),
                What::GaveUp { .. } => "give up".into(),
                other => format!("{other:?}"),
            },
        };
        let owner = action.owner.map_or("any", Function::name);
        let after =
            if action.ready(self.now) { String::new() } else { format!(" in {}", (action.at - self.now).0) };
        format!("{owner}: {what} ({}){after}", action.reason.name())
    }

    pub(crate) fn case(&self, id: &str) -> Option<CaseKind> {
        self.state().cases.get(id).filter(|c| c.is_open()).map(|c| c.kind)
    }
}

/// The key of the effect that an action claims.
pub(crate) fn effect_of(what: &Do) -> Option<String> {
    match what {
        Do::CreateSession { attempt, .. } => Some(format!("session:{attempt}")),
        Do::CreateIntent { attempt, .. } => Some(format!("intent:{attempt}")),
        Do::Effect { effect, .. } => Some(effect.clone()),
        _ => None,
    }
}

/// The plan wants exactly this; looks that lie in the future may be left out.
#[track_caller]
pub(crate) fn check(story: &Story, expected: &[&str]) {
    let wants: Vec<String> = story
        .wants()
        .into_iter()
        .filter(|w| !(w.contains("look at attempt") && w.contains(") in ")))
        .collect();
    let mut expected: Vec<String> = expected.iter().map(|e| (*e).to_owned()).collect();
    expected.sort();
    assert_eq!(wants, expected);
}
