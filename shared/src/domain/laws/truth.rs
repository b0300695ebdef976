//! Whatever the order, repetition, delay or loss of deliveries, an order settles where the final truth says, and equals the
//! fold of that truth alone.
//!
//! The truth evolves as order systems and Stripe let it. Hints about what changed arrive in any order, any number of times,
//! or never. Each makes somebody read the truth of its moment; what was read is stored unless somebody else stored
//! something meanwhile, then it is read again. In the end one sweep reads all.

mod objects;

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use self::objects::{Hint, Truth, fresh_intent, nth};
use super::law;
use crate::domain::fact::{ChargeView, DisputeView, RefundView, SessionView, Terms, What};
use crate::domain::ids::Function;
use crate::domain::plan::tests::kit::{START, Story, done, eur, refused};
use crate::domain::state::State;
use crate::domain::time::Seconds;

type Step = (u8, u8, u8);

struct World {
    truth: Truth,
    /// Facts of our own making and what was seen.
    story: Story,
    /// Facts of our own making alone.
    own: Story,
    hints: Vec<Hint>,
    /// Deliveries that have read and not yet stored: facts then, what they read.
    reading: Vec<(usize, Vec<What>, Hint)>,
}

impl World {
    fn new() -> Self {
        let (story, own) = (Story::empty(), Story::empty());
        Self { truth: Truth::new(), story, own, hints: vec![Hint::Order], reading: Vec::new() }
    }

    /// An effect of ours that ended: its facts are in both stories.
    fn effect(&mut self, effect: &str, terms: &Terms, object: &str) {
        for story in [&mut self.story, &mut self.own] {
            let told = story.clone().claim(effect, terms.clone(), Function::PaymentCreator, "first_session");
            *story = told.outcome(effect, done(object));
        }
    }

    /// A close of ours that Stripe refused: somebody must look at the session again, although it did not change.
    fn refused(&mut self, a: u8) {
        let Some((id, session)) = nth(&self.truth.sessions, a) else { return };
        for story in [&mut self.story, &mut self.own] {
            let (effect, attempt) = (format!("expire:{id}"), session.attempt);
            let terms = Terms::ExpireSession { attempt, session: id.clone() };
            let told = story.clone().claim(&effect, terms, Function::PaymentCreator, "amount_changed");
            *story = told.outcome(&effect, refused("odd"));
        }
    }

    /// Another attempt of ours: a session or an off-session intent.
    fn attempt(&mut self, off_session: bool) -> Option<Vec<Hint>> {
        let n = u32::try_from(self.own.state().attempts.len()).unwrap() + 1;
        if n > 3 {
            return None;
        }
        let (amount, currency, fingerprint) = (1000, eur(), "f".to_owned());
        if off_session {
            let (id, method) = (format!("pi_{n}"), "pm_1".to_owned());
            let terms = Terms::CreateIntent { attempt: n, amount, currency, fingerprint, method, card: None };
            self.effect(&format!("intent:{n}"), &terms, &id);
            self.truth.intents.insert(id.clone(), fresh_intent(&id, n, amount));
            return Some(vec![Hint::Intent(id)]);
        }
        let id = format!("cs_{n}");
        let terms = Terms::CreateSession { attempt: n, amount, currency, fingerprint };
        self.effect(&format!("session:{n}"), &terms, &id);
        let session = SessionView {
            id: id.clone(),
            attempt: n,
            status: "open".into(),
            payment_status: "unpaid".into(),
            intent: None,
            url: Some("https://pay.test/c".into()),
            expires_at: START + Seconds::days(1),
        };
        self.truth.sessions.insert(id.clone(), session);
        Some(vec![Hint::Session(id)])
    }

    fn evolve(&mut self, kind: u8, a: u8, b: u8) {
        let session = nth(&self.truth.sessions, a).map(|(id, _)| id);
        let intent = nth(&self.truth.intents, a).map(|(id, _)| id);
        let hints = match kind {
            0 => {
                self.truth.change_order(a, b);
                Some(vec![Hint::Order])
            }
            1 => self.attempt(b.is_multiple_of(3)),
            2 | 3 => session.and_then(|id| self.truth.enter(&id)),
            4..=6 => intent.and_then(|id| self.truth.confirm(&id, b)),
            7 if b.is_multiple_of(3) => session.and_then(|id| self.truth.expire(&id)),
            7 | 8 => self.truth.give_back(a, b),
            9 => self.truth.move_refund(a, b),
            _ => self.truth.dispute(a, b),
        };
        self.hints.extend(hints.unwrap_or_default());
    }

    fn store(&mut self, seen: Vec<What>) {
        for what in seen {
            if self.story.state().is_news(&what) {
                self.story = self.story.clone().see(what);
            }
        }
    }

    fn step(&mut self, (kind, a, b): Step) {
        match kind % 20 {
            kind @ 0..=10 => self.evolve(kind, a, b),
            11 => self.refused(a),
            12..=14 => {
                let hint = self.hints[usize::from(a) % self.hints.len()].clone();
                let seen = self.truth.read(&hint, &self.story.state());
                self.store(seen);
            }
            15 | 16 => {
                let hint = self.hints[usize::from(a) % self.hints.len()].clone();
                let seen = self.truth.read(&hint, &self.story.state());
                self.reading.push((self.story.facts.len(), seen, hint));
            }
            17 | 18 if !self.reading.is_empty() => {
                let (then, mut seen, hint) = self.reading.swap_remove(usize::from(a) % self.reading.len());
                if then != self.story.facts.len() {
                    seen = self.truth.read(&hint, &self.story.state());
                }
                self.store(seen);
            }
            // Whoever commits also records what the plan only records.
            _ => self.story = self.story.clone().settled(),
        }
    }
}

/// What is true of the money.
fn money(state: &State) -> impl PartialEq + std::fmt::Debug + use<> {
    let now = START + Seconds::days(1);
    let sums = [
        state.captured(),
        state.refunded(),
        state.lost(),
        state.due(START),
        state.due(now),
        state.due(now + Seconds::days(9)),
    ];
    let phases: Vec<_> = state.attempts.values().map(|a| (a.n, a.object.clone(), state.phase(a))).collect();
    let left: Vec<_> =
        state.charges.values().filter(|c| c.took()).map(|c| (c.id.clone(), state.left_on(&c.id))).collect();
    let objects =
        (state.refunds.clone(), state.disputes.clone(), state.intents.clone(), state.sessions.clone());
    (sums, phases, left, objects, state.view.clone(), state.contradictions.clone(), state.stale.clone())
}

fn sums(state: &State) -> ([i64; 3], Vec<i64>) {
    let taken = state.charges.values().filter(|c| c.took());
    ([state.captured(), state.refunded(), state.lost()], taken.map(|c| state.left_on(&c.id)).collect())
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(any::<Step>(), 0..80)
}

/// What the law is about happens in its worlds, each of these in one of a hundred at least.
#[test]
fn the_worlds_reach_what_matters() {
    const WORLDS: usize = 2_000;
    let mut reached: BTreeMap<&str, usize> = BTreeMap::new();
    let mut runner = TestRunner::deterministic();
    for _ in 0..WORLDS {
        let mut world = World::new();
        let mut stale = 0;
        for step in steps().new_tree(&mut runner).unwrap().current() {
            let before = (world.reading.len(), world.story.facts.len());
            world.step(step);
            stale += usize::from(world.reading.len() < before.0 && world.story.facts.len() > before.1);
        }
        let (truth, state) = (&world.truth, world.story.state());
        let has = |status: &str| truth.intents.values().any(|i| i.status == status);
        let behind = truth.all().iter().any(|what| state.is_news(what));
        let released = truth.charges.values().any(|c| c.took() && c.amount_captured < c.amount);
        for (what, so) in [
            ("money was taken", truth.charges.values().any(ChargeView::took)),
            ("a part was captured", released),
            ("a payment waits for its bank", has("processing")),
            ("a payment waits for its capture", has("requires_capture")),
            ("a card was declined", truth.charges.values().any(|c| c.status == "failed")),
            ("a second attempt exists", state.attempts.len() > 1),
            ("a refund was made", truth.refunds.values().any(RefundView::counts)),
            ("a refund failed", truth.refunds.values().any(|r| !r.counts())),
            ("a dispute was lost", truth.disputes.values().any(DisputeView::is_lost)),
            ("a dispute was won", truth.disputes.values().any(|d| d.status == "won")),
            ("the last news were lost", behind),
            ("a delivery stored late", stale > 0),
            ("a session expired", truth.sessions.values().any(|s| s.status == "expired")),
        ] {
            *reached.entry(what).or_default() += usize::from(so);
        }
    }
    println!("{reached:#?}");
    let rare: Vec<_> = reached.iter().filter(|(_, n)| **n < WORLDS / 100).collect();
    assert!(rare.is_empty(), "{rare:?}");
}

proptest! {
    #![proptest_config(law())]

    #[test]
    fn an_order_settles_where_the_final_truth_says(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        let all = world.truth.all();
        world.store(all.clone());
        let settled = world.story.state();
        let alone = all.iter().cloned().fold(world.own.clone(), Story::see);
        prop_assert_eq!(money(&settled), money(&alone.state()));
        prop_assert_eq!(sums(&settled), world.truth.sums());
        // And no hint, however late, changes anything any more.
        let facts = world.story.facts.len();
        for hint in world.hints.clone() {
            let seen = world.truth.read(&hint, &settled);
            world.store(seen);
        }
        prop_assert_eq!(world.story.facts.len(), facts);
    }
}
