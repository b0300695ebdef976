//! Observations made under a moved revision are never stored: the law of the loop, over a real table.
//!
//! A hand reads what the world shows at that moment. Before it commits, others do, as often as a case says. What is stored
//! must have been read after the last commit of others.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::result::ConnectorError;
use futures::future::BoxFuture;
use local::aws::io::Effect;
use local::aws::{Answer, Call, Faults};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use shared::domain::fact::What;
use shared::domain::ids::{Function, OrderKey};
use shared::domain::plan::{Action, Reason};
use shared::domain::state::State;
use shared::engine::{Draft, Engine, EngineError, Hand, Prepared, Tokens, Trigger};
use shared::store::orders::Committed;

use crate::far_side::{Stack, deadline, refund_seen};

fn cases() -> u32 {
    let cases = std::env::var_os("TANDEM_LAW_CASES").and_then(|n| n.to_str()?.parse().ok());
    cases.unwrap_or(256)
}

fn trigger() -> Trigger {
    Trigger { corr: "c0ffee".into(), event: None, deadline: deadline() }
}

/// Others commit just before a hand's own commits: `plan` says how many, commit by commit.
struct Meddler {
    engine: Engine,
    key: Mutex<Option<OrderKey>>,
    plan: Mutex<VecDeque<u8>>,
    committed: AtomicUsize,
    at_it: AtomicBool,
}

impl Meddler {
    async fn meddle(&self) {
        let others = self.plan.lock().unwrap().pop_front().unwrap_or(0);
        let Some(key) = self.key.lock().unwrap().clone() else { return };
        self.at_it.store(true, Ordering::Relaxed);
        for _ in 0..others {
            let item = self.engine.store.load(&key).await.unwrap();
            let trigger = trigger();
            let mut draft = Draft::new(&self.engine, &item, item.state(), &trigger);
            draft.add(What::BuyerAsked, "observed");
            let done = self.engine.store.commit(&item, draft.change().unwrap()).await.unwrap();
            assert!(matches!(done, Committed::Yes(_)));
            self.committed.fetch_add(1, Ordering::Relaxed);
        }
        self.at_it.store(false, Ordering::Relaxed);
    }
}

impl Faults for Meddler {
    fn around<'a>(&'a self, call: Call<'a>, effect: Effect) -> BoxFuture<'a, Result<Answer, ConnectorError>> {
        Box::pin(async move {
            if call.label.operation == "UpdateItem" && !self.at_it.load(Ordering::Relaxed) {
                self.meddle().await;
            }
            Ok(effect.await)
        })
    }
}

/// Shows what the world holds at each reading: objects that are named after the reading.
struct Reader {
    meddler: Arc<Meddler>,
    objects: usize,
    /// Commits of others before each reading.
    readings: Vec<usize>,
}

/// `re_{reading}_{n}`; many of them do not fit one commit.
fn refund(reading: usize, n: usize, objects: usize) -> What {
    let padding = if objects > 1 { "x".repeat(30_000) } else { String::new() };
    refund_seen(&format!("re_{reading}_{n}"), &format!("ch_1{padding}"), 1)
}

impl Hand for Reader {
    async fn observe(
        &mut self,
        _: &Engine,
        _: &Trigger,
        _: &OrderKey,
        _: &State,
        moved: bool,
    ) -> Result<Vec<(What, Reason)>, EngineError> {
        if !moved {
            return Ok(Vec::new());
        }
        let reading = self.readings.len();
        self.readings.push(self.meddler.committed.load(Ordering::Relaxed));
        let seen = (0..self.objects).map(|n| refund(reading, n, self.objects));
        Ok(seen.map(|what| (what, Reason::Observed)).collect())
    }

    async fn prepare(
        &mut self,
        _: &Engine,
        _: &Trigger,
        _: &OrderKey,
        _: &State,
        _: &Action,
    ) -> Result<Prepared, EngineError> {
        Ok(Prepared::Nothing)
    }
}

/// One order, one hand, and others. Every fact as `Err(())` for a commit of others, or `Ok(reading)`.
async fn story(
    stack: &Stack,
    meddler: &Arc<Meddler>,
    n: u64,
    plan: &[u8],
    objects: usize,
) -> (Vec<Result<usize, ()>>, Reader) {
    let engine = Engine { tokens: Tokens::seeded(n + 1_000), ..stack.engine(Function::PaymentRecorder) };
    let key = OrderKey::new("demo", "checkout", "shop", &format!("law-{n}")).unwrap();
    *meddler.key.lock().unwrap() = Some(key.clone());
    *meddler.plan.lock().unwrap() = plan.iter().copied().collect();
    meddler.committed.store(0, Ordering::Relaxed);
    let mut reader = Reader { meddler: meddler.clone(), objects, readings: Vec::new() };
    engine.run(&key, &trigger(), &mut reader).await.unwrap();
    let item = engine.store.load(&key).await.unwrap();
    let all = engine.store.history(&item).await.unwrap();
    let told = all.iter().filter_map(|f| match &f.fact.what {
        What::RefundSeen(seen) => seen.id.split('_').nth(1).and_then(|n| n.parse().ok()).map(Ok),
        What::BuyerAsked => Some(Err(())),
        _ => None,
    });
    (told.collect(), reader)
}

#[test]
fn what_was_read_under_a_moved_revision_is_never_stored() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let stack = runtime.block_on(Stack::start(|_| {}));
    let meddler = Arc::new(Meddler {
        engine: stack.engine(Function::OrderUpdater),
        key: Mutex::default(),
        plan: Mutex::default(),
        committed: AtomicUsize::new(0),
        at_it: AtomicBool::new(false),
    });
    stack.aws.set_faults(meddler.clone());
    let config = Config { cases: cases(), failure_persistence: None, ..Config::default() };
    // Others commit before none, some or all of the first commits; now and then what is seen needs several of them.
    let others = prop_oneof![4 => Just(0_u8), 3 => Just(1), 1 => Just(2)];
    let strategy = (prop::collection::vec(others, 0..4), prop_oneof![19 => Just(1_usize), 1 => Just(3)]);
    let (n, parted) = (Cell::new(0), Cell::new(0));
    let holds = |plan: &[u8], objects: usize| {
        n.set(n.get() + 1);
        let (told, reader) = runtime.block_on(story(&stack, &meddler, n.get(), plan, objects));
        let mut others = 0;
        for fact in &told {
            match fact {
                Err(()) => others += 1,
                Ok(reading) => prop_assert_eq!(reader.readings[*reading], others, "{:?}", told),
            }
        }
        // And nothing that the last reading showed is lost.
        let last = reader.readings.len() - 1;
        prop_assert_eq!(told.iter().filter(|f| **f == Ok(last)).count(), objects);
        let in_parts = told.iter().any(|f| f.is_ok_and(|reading| reading != last));
        parted.set(parted.get() + usize::from(in_parts));
        Ok(())
    };
    // Whatever is drawn: others come between two commits of one reading in some of these.
    for plan in [[0, 1, 0], [0, 1, 1], [1, 1, 0], [0, 2, 0]] {
        holds(&plan, 3).unwrap();
    }
    TestRunner::new(config).run(&strategy, |(plan, objects)| holds(&plan, objects)).unwrap();
    assert!(parted.get() > 0, "others also came between two commits of one reading");
}
