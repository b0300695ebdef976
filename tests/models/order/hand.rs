//! The loop of one invocation: look, commit, call, record. The same steps as the product's engine, at the same borders: a
//! draft is committed on the revision it was made on, a call is sent once its claim is in, and an outcome is recorded if
//! the claim is still there.
//!
//! Two things are joined because nothing can come between them that changes anything: load and look, and the commit of a
//! claim with the sending of its call.

use std::collections::BTreeMap;

use pure::domain::fact::{EffectResult, SessionView, Terms, What};
use pure::domain::ids::Function;
use pure::domain::plan::{Action, Do, Reason, due_at};
use pure::domain::state::{Claim, Phase as Stands, State};
use pure::domain::time::UnixTime;

use super::book::{Book, Item};
use super::stripe::{Intent, Obj, Session, Word};
use super::{Bug, CLAIM_FOR, GRACE, Machine, Request, World};

/// Most rounds of records in one commit.
const RECORD_ROUNDS_MAX: u32 = 8;

/// A function of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Who {
    Creator,
    Page,
    Recorder,
    Ladder,
}

impl Who {
    pub(crate) const fn function(self) -> Function {
        match self {
            Self::Creator => Function::PaymentCreator,
            Self::Page => Function::PaymentPage,
            Self::Recorder => Function::PaymentRecorder,
            Self::Ladder => Function::FailureHandler,
        }
    }
}

/// What came of a call, before it is recorded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Verdict {
    Done { object: Obj, seen: Vec<u16> },
    Refused { word: Option<Word>, seen: Vec<u16> },
    ServerError,
    Roll,
}

/// Where an invocation stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Phase {
    Looks,
    Drafted { facts: Vec<u16>, claims: Vec<u16>, calls: Vec<u16> },
    Waits { claim: u16, calls: Vec<u16> },
    Heard { claim: u16, verdict: Verdict, calls: Vec<u16> },
}

/// One invocation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Worker {
    pub(crate) who: Who,
    hint: Option<Obj>,
    /// What was read before does not count any more.
    pub(super) moved: bool,
    /// Order and intent were read under the current revision (the ladder's).
    checked: bool,
    /// Nobody else committed since its own last commit.
    pub(super) fresh: bool,
    pub(crate) phase: Phase,
}

impl Worker {
    pub(crate) const fn new(who: Who, hint: Option<Obj>) -> Self {
        Self { who, hint, moved: true, checked: false, fresh: true, phase: Phase::Looks }
    }
}

/// All that a look can see.
#[derive(Hash)]
struct Look<'a> {
    item: &'a Item,
    now: i64,
    shop: u8,
    sessions: &'a [Session],
    intents: &'a [Intent],
    who: (Who, Option<Obj>, bool, bool),
}

/// A commit in the making.
pub(super) struct Draft<'a> {
    book: &'a Book,
    now: UnixTime,
    pub(super) state: State,
    pub(super) facts: Vec<u16>,
    pub(super) claims: BTreeMap<String, Claim>,
    changed: bool,
}

impl<'a> Draft<'a> {
    pub(super) fn new(book: &'a Book, world: &World) -> Self {
        let (now, claims) = (UnixTime(world.now), book.claims(&world.item));
        Self {
            book,
            now,
            state: State::clone(&book.state(&world.item)),
            facts: Vec::new(),
            claims,
            changed: false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.facts.is_empty() && !self.changed
    }

    pub(super) fn add(&mut self, what: What, why: &str) {
        let fact = self.book.fact(self.now, why, what);
        self.state.apply(&self.book.fact_of(fact));
        self.facts.push(fact);
    }

    pub(super) fn see(&mut self, what: What, reason: Reason) {
        if self.state.is_news(&what) {
            self.add(what, reason.name());
        }
    }

    fn plan(&self) -> Vec<Action> {
        self.book.plan_of(&self.state, self.now)
    }

    pub(super) fn records(&mut self, me: Function) {
        for _ in 0..RECORD_ROUNDS_MAX {
            let ready = self.plan().into_iter().filter(|a| a.ready(self.now));
            let mine = ready.filter(|a| a.owner.is_none_or(|o| o == me));
            let records: Vec<_> = mine
                .filter_map(|a| match a.what {
                    Do::Record(what) | Do::Schedule(what) => Some((*what, a.reason)),
                    _ => None,
                })
                .collect();
            if records.is_empty() {
                return;
            }
            records.into_iter().for_each(|(what, reason)| self.add(what, reason.name()));
        }
    }

    /// A token that no claim of the item holds.
    fn owner(&self) -> String {
        let held = self.claims.values().filter_map(|c| c.owner.parse::<u32>().ok()).max();
        (held.unwrap_or(0) + 1).to_string()
    }

    fn claim(
        &mut self,
        effect: String,
        terms: Terms,
        by: Function,
        body: Option<String>,
        why: &str,
    ) -> Claim {
        let generation = self.state.generations.get(&effect).copied().unwrap_or(1);
        let claim = Claim {
            effect: effect.clone(),
            generation,
            generation_at: self.now,
            owner: self.owner(),
            by,
            deadline: self.now + CLAIM_FOR,
            terms: terms.clone(),
            path: String::new(),
            body,
            body_ref: None,
            unknown_since: None,
            waiting_since: None,
            calls: 0,
            server_errors: 0,
            listed_empty_at: None,
            more: BTreeMap::new(),
        };
        self.add(What::Claimed { effect, generation, terms }, why);
        self.put(claim.clone());
        claim
    }

    pub(super) fn put(&mut self, claim: Claim) {
        self.state.claims.insert(claim.effect.clone(), claim.clone());
        self.claims.insert(claim.effect.clone(), claim);
        self.changed = true;
    }

    pub(super) fn drop_claim(&mut self, effect: &str) {
        self.state.claims.remove(effect);
        self.claims.remove(effect);
        self.changed = true;
    }

    fn take_over(&mut self, effect: &str) -> Option<Claim> {
        let mut claim = self.claims.get(effect).filter(|c| c.deadline <= self.now)?.clone();
        claim.owner = self.owner();
        claim.deadline = self.now + CLAIM_FOR;
        claim.unknown_since = claim.unknown_since.or(Some(self.now));
        self.put(claim.clone());
        Some(claim)
    }

    pub(super) fn numbers(&self) -> Vec<u16> {
        self.claims.values().map(|claim| self.book.claim(claim.clone())).collect()
    }
}

impl Machine {
    /// Whether the page answers the buyer without a look: a live session, a bank that decides, nothing to pay.
    pub(crate) fn page_answers(&self, world: &World) -> bool {
        let (state, now) = (self.book.state(&world.item), UnixTime(world.now));
        let processing = matches!(state.live_attempt(), Some((_, Stands::Processing)));
        processing || !state.payable(now) || self.live_session(&state, now).is_some()
    }

    fn read_order(&self, world: &World) -> What {
        What::OrderSeen(Box::new(self.order(world)))
    }

    pub(super) fn read(&self, world: &World, object: Obj) -> Vec<What> {
        let mut seen = world.stripe.read(object);
        for what in &mut seen {
            if let What::SessionSeen(session) = what
                && self.has(Bug::TrustOurClock)
                && session.expires_at <= UnixTime(world.now)
                && session.status == "open"
            {
                (session.status, session.url) = ("expired".into(), None);
            }
        }
        seen
    }

    fn read_attempt(&self, world: &World, state: &State, n: u32) -> Vec<What> {
        let Some(attempt) = state.attempts.get(&n) else { return Vec::new() };
        if let Some(object) = attempt.object.as_deref().and_then(Obj::named) {
            return self.read(world, object);
        }
        let sessions = (0_u8..).zip(&world.stripe.sessions).filter(|(_, s)| s.attempt == n);
        let intents = (0_u8..).zip(&world.stripe.intents).filter(|(_, i)| i.attempt == n && i.off_session);
        let mut found: Vec<What> = match attempt.off_session {
            true => intents.flat_map(|(id, _)| self.read(world, Obj::Intent(id))).collect(),
            false => sessions.flat_map(|(id, _)| self.read(world, Obj::Session(id))).collect(),
        };
        if found.is_empty() {
            let effect = attempt.creation();
            let generation = state.generations.get(&effect).copied().unwrap_or(1);
            found.push(What::Outcome { effect, generation, result: EffectResult::Rolled });
        }
        found
    }

    /// What each function reads before it acts.
    fn observe(&self, world: &World, worker: &mut Worker, state: &State) -> Vec<(What, Reason)> {
        let mut out = Vec::new();
        let (now, me) = (UnixTime(world.now), worker.who.function());
        let plan = self.book.plan_of(state, now).into_iter();
        let ready = plan.filter(|a| a.ready(now) && a.owner == Some(me));
        match worker.who {
            Who::Creator if worker.moved => out.push(self.read_order(world)),
            Who::Creator => {}
            Who::Page if worker.moved => return self.page_observes(world, state),
            Who::Page => {}
            Who::Recorder => {
                if let (true, Some(object)) = (worker.moved, worker.hint) {
                    out.extend(self.read(world, object));
                }
                if out.is_empty() {
                    let wanted = ready.filter_map(|a| match a.what {
                        Do::LookAtAttempt { attempt } => Some(attempt),
                        _ => None,
                    });
                    out.extend(wanted.flat_map(|n| self.read_attempt(world, state, n)));
                }
            }
            Who::Ladder => {
                worker.checked &= !worker.moved;
                for action in ready {
                    if let Do::Effect { terms: Terms::Confirm { intent, .. }, .. } = action.what
                        && !worker.checked
                    {
                        out.extend(self.check(world, worker, &intent));
                    }
                }
            }
        }
        out.into_iter().map(|what| (what, Reason::Observed)).collect()
    }

    fn check(&self, world: &World, worker: &mut Worker, intent: &str) -> Vec<What> {
        worker.checked = true;
        let read = Obj::named(intent).map(|object| self.read(world, object));
        [self.read_order(world)].into_iter().chain(read.unwrap_or_default()).collect()
    }

    fn page_observes(&self, world: &World, state: &State) -> Vec<(What, Reason)> {
        let mut seen = vec![self.read_order(world)];
        let live = state.live_attempt().map(|(a, phase)| (a.n, phase));
        if let Some((n, Stands::Open | Stands::Unseen | Stands::Processing)) = live {
            seen.extend(self.read_attempt(world, state, n));
        }
        let mut next = state.clone();
        for what in &seen {
            next.apply(&self.book.fact_of(self.book.fact(UnixTime(world.now), "", what.clone())));
        }
        let mut out: Vec<_> = seen.into_iter().map(|what| (what, Reason::Observed)).collect();
        let waits = next.buyer_asked.is_some_and(|(number, _)| number > next.last_creation);
        if next.live_session().is_none() && !waits && next.payable(UnixTime(world.now)) {
            out.push((What::BuyerAsked, Reason::BuyerAsked));
        }
        out
    }

    /// One round: what it would commit. `None`: nothing is left to do.
    pub(crate) fn look(&self, world: &World, mut worker: Worker) -> Option<Worker> {
        let seen = Look {
            item: &world.item,
            now: world.now,
            shop: world.shop,
            sessions: &world.stripe.sessions,
            intents: &world.stripe.intents,
            who: (worker.who, worker.hint, worker.moved, worker.checked),
        };
        let looked = self.book.looked(&seen, || self.draft(world, worker.clone()))?;
        (worker.checked, worker.phase) = (looked.checked, looked.phase.clone());
        Some(worker)
    }

    fn draft(&self, world: &World, mut worker: Worker) -> Option<Worker> {
        let mut draft = Draft::new(&self.book, world);
        let me = worker.who.function();
        let before = draft.state.clone();
        for (what, reason) in self.observe(world, &mut worker, &before) {
            draft.see(what, reason);
        }
        draft.records(me);
        let calls = self.claims(world, &mut worker, &mut draft);
        if draft.is_empty() {
            return None;
        }
        let calls = calls.into_iter().map(|claim| self.book.claim(claim)).collect();
        let (claims, facts) = (draft.numbers(), draft.facts);
        worker.phase = Phase::Drafted { facts, claims, calls };
        Some(worker)
    }

    fn claims(&self, world: &World, worker: &mut Worker, draft: &mut Draft<'_>) -> Vec<Claim> {
        let me = worker.who.function();
        let now = draft.now;
        let mut claimed = Vec::new();
        let timer = worker.who == Who::Ladder && self.has(Bug::TimerConfirms);
        let mine = draft.plan().into_iter().filter(|a| a.owner == Some(me));
        for action in mine.filter(|a| a.ready(now) || timer) {
            let why = action.reason.name();
            match action.what {
                Do::Settle { effect } => claimed.extend(draft.take_over(&effect)),
                Do::Effect { terms: Terms::Confirm { intent, .. }, .. }
                    if worker.who == Who::Ladder && !worker.checked =>
                {
                    for what in self.check(world, worker, &intent) {
                        draft.see(what, Reason::Observed);
                    }
                }
                Do::Effect { effect, terms } => claimed.push(draft.claim(effect, terms, me, None, why)),
                Do::CreateSession { attempt, amount, currency, ttl, fingerprint, .. } => {
                    let terms = Terms::CreateSession { attempt, amount, currency, fingerprint };
                    let body = Some((now + ttl).0.to_string());
                    claimed.push(draft.claim(format!("session:{attempt}"), terms, me, body, why));
                }
                Do::CreateIntent { attempt, amount, currency, method, card, fingerprint, .. } => {
                    let terms = Terms::CreateIntent { attempt, amount, currency, fingerprint, method, card };
                    claimed.push(draft.claim(format!("intent:{attempt}"), terms, me, None, why));
                }
                _ => {}
            }
        }
        claimed
    }

    /// The one conditional update. Who drafted on the revision before has lost, looks again and has seen nothing.
    pub(crate) fn commit(&self, world: &mut World, id: u8) -> Option<()> {
        let mut worker = world.workers[usize::from(id)].take()?;
        let Phase::Drafted { facts, claims, calls } = worker.phase.clone() else { return None };
        self.put(world, facts, claims);
        (worker.moved, worker.fresh) = (false, true);
        self.carry_on(world, worker, calls, id);
        Some(())
    }

    pub(super) fn put(&self, world: &mut World, facts: Vec<u16>, claims: Vec<u16>) {
        world.item.fold = self.book.extend(world.item.fold, facts);
        world.item.claims = claims;
        self.redate(world);
        for worker in world.workers.iter_mut().flatten() {
            (worker.fresh, worker.moved) = (false, true);
            if matches!(worker.phase, Phase::Drafted { .. }) {
                worker.phase = Phase::Looks;
            }
        }
    }

    /// The due time, and the buyer who is sent to a session as soon as it is stored.
    pub(crate) fn redate(&self, world: &mut World) {
        let (state, now) = (self.book.state(&world.item), UnixTime(world.now));
        let due = due_at(&self.book.plan(&world.item, now), now, GRACE);
        world.item.due_at = due.map(|at| at.0).filter(|_| !self.has(Bug::DueDropped));
        if let Some(Obj::Session(id)) = self.live_session(&state, now) {
            world.stripe.sessions[usize::from(id)].shown = true;
        }
    }

    /// The session that a buyer can be sent to.
    fn live_session(&self, state: &State, now: UnixTime) -> Option<Obj> {
        let (id, _) = state.live_session().filter(|_| state.payable(now))?;
        let own = state.sessions.get(id)?;
        let usable = |s: &&SessionView| s.status == "open" && s.expires_at > now;
        let newest = || state.sessions.values().rfind(|s| s.attempt == own.attempt && usable(s));
        let shown = if self.has(Bug::NewestIsShown) { newest() } else { Some(own) };
        shown.filter(usable).and_then(|s| Obj::named(&s.id))
    }

    /// Takes up the next claim; without one it looks again, and goes home when nothing is left to do.
    pub(super) fn carry_on(&self, world: &mut World, mut worker: Worker, mut calls: Vec<u16>, id: u8) {
        if calls.is_empty() {
            world.workers[usize::from(id)] = self.look(world, worker);
            self.commit(world, id);
            return;
        }
        let number = calls.remove(0);
        let claim = self.book.claim_of(number);
        let settled = claim.unknown_since.and_then(|_| self.settle(world, &claim));
        match settled.or_else(|| self.by_our_word(world, &claim)) {
            Some(verdict) => {
                worker.phase = Phase::Heard { claim: number, verdict, calls };
                world.workers[usize::from(id)] = Some(worker);
                self.record(world, id);
            }
            None => {
                self.send(world, number, &claim, id);
                worker.phase = Phase::Waits { claim: number, calls };
                world.workers[usize::from(id)] = Some(worker);
            }
        }
    }

    /// A planted bug: closed because we said so.
    fn by_our_word(&self, world: &World, claim: &Claim) -> Option<Verdict> {
        let object = match &claim.terms {
            Terms::ExpireSession { session, .. } => Obj::named(session)?,
            Terms::CancelIntent { intent, .. } => Obj::named(intent)?,
            _ => return None,
        };
        self.has(Bug::ClosedByOurWord).then(|| Verdict::Done { object, seen: self.closed(world, object) })
    }

    fn send(&self, world: &mut World, number: u16, claim: &Claim, id: u8) {
        let mut key = format!("order:{}:{}", claim.effect, claim.generation);
        if self.has(Bug::KeyPerSend) {
            key = format!("{key}:{}", claim.owner);
        }
        if let Terms::Confirm { try_no, .. } = &claim.terms {
            let due = self.book.state(&world.item).retries.get(try_no).copied();
            world.notes.early |= due.is_some_and(|due| due > UnixTime(world.now));
        }
        let key = self.book.key(key);
        // When it was sent counts only where a request has a last moment to land in.
        let sent = if self.rules.flight.is_some() { world.now } else { 0 };
        world.wire.push(Request { claim: number, key, sent, worker: Some(id) });
    }
}
