//! The sweep: a story is told once without a fault, its calls are listed, and it is told again for every call and every way
//! in which that call can fail.
//!
//! Invariant: which runs are made is a function of the seed and the share; a run is told again by `scenario` and `cut`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::PoisonError;

use local::aws::IoLabel;
use shared::domain::ids::Function;
use shared::domain::time::Seconds;

use crate::aside::{all_side_by_side, on_own_clock, side_by_side};
use crate::check::violations;
use crate::cut::{Cut, Length, Mode, Seen};
use crate::recorded::Recorded;
use crate::scenario::Scenario;
use crate::world::World;

/// One run.
#[derive(Clone, Copy)]
pub struct Run {
    /// The story.
    pub scenario: Scenario,
    /// The fault, if there is one.
    pub cut: Option<Cut>,
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What did not hold.
    pub violations: Vec<String>,
    /// The calls that functions made.
    pub calls: Vec<Seen>,
    /// How many of them were made when the story was told: the rest is sweeps that find nothing.
    pub told: usize,
    /// How often the fault struck.
    pub strikes: u32,
    /// Virtual time from the end of the story until everything held, in seconds.
    pub settled_after: i64,
    /// The most calls within one simulated hour while a fault lasted.
    pub busiest_hour: usize,
    /// What was recorded of its orders.
    pub recorded: Recorded,
}

/// Rounds after the story in which everything must come to hold; the first are short.
const ROUNDS: [Seconds; 9] = [
    Seconds(0),
    Seconds(900),
    Seconds(1800),
    Seconds(3600),
    Seconds(2 * 3600),
    Seconds(4 * 3600),
    Seconds(8 * 3600),
    Seconds(12 * 3600),
    Seconds(24 * 3600),
];
/// Once everything holds, it must still hold after this.
const STILL: Seconds = Seconds(2 * 3600);
/// More calls than this within an hour of a lasting fault is a busy loop.
const CALLS_PER_HOUR_MAX: usize = 1500;

impl Run {
    /// Tells the story on a paused clock of its own. Blocks the thread.
    pub fn tell(&self) -> Outcome {
        on_own_clock(self.tell_here()).unwrap_or_else(|error| Outcome {
            violations: vec![format!("no runtime: {error}")],
            ..Outcome::default()
        })
    }

    async fn tell_here(&self) -> Outcome {
        let world = World::start(self.scenario.start(), self.cut).await;
        (self.scenario.play)(&world).await;
        let (ended, told) = (world.stack.clock.now(), world.cutter.count());
        if let Some(until) = world.cutter.lasts_until() {
            let left = until.div_euclid(1000) - world.stack.clock.now().0 + 1;
            world.wait(Seconds(left.max(0))).await;
        }
        let mut found = Vec::new();
        let mut settled_after = 0;
        for round in ROUNDS {
            world.wait(round).await;
            found = violations(&world).await;
            settled_after = (world.stack.clock.now() - ended).0;
            if found.is_empty() {
                world.wait(STILL).await;
                found = violations(&world).await;
                break;
            }
        }
        let busiest_hour = busiest(&world.pace());
        if busiest_hour > CALLS_PER_HOUR_MAX {
            found.push(format!("L3: {busiest_hour} calls within one hour"));
        }
        Outcome {
            violations: found,
            calls: world.cutter.calls(),
            told,
            strikes: world.cutter.strikes(),
            settled_after,
            busiest_hour,
            recorded: Recorded::of(&world).await,
        }
    }

    /// How it is told again.
    pub fn command(&self) -> String {
        let cut = self.cut.map(|c| format!(" --cut {c}")).unwrap_or_default();
        format!("cargo run -p sim --release -- replay {}{cut}", self.scenario.label())
    }
}

/// The most calls between two moments at most an hour apart.
fn busiest(pace: &[(i64, usize)]) -> usize {
    let mut from = 0;
    let mut most = 0;
    for (i, (at, calls)) in pace.iter().enumerate() {
        while pace[from].0 < at - 3_600_000 {
            from += 1;
        }
        if i > from {
            most = most.max(calls - pace[from].1);
        }
    }
    most
}

/// Which runs to make.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Seed of the sample.
    pub seed: u64,
    /// Of the runs whose fault lasts one delivery, one in so many.
    pub one_in: u64,
    /// Of the other lengths, one in so many.
    pub others_one_in: u64,
    /// Only calls to this service are cut.
    pub service: Option<&'static str>,
}

impl Plan {
    /// Everything.
    pub const FULL: Self = Self { seed: 0, one_in: 1, others_one_in: 1, service: None };

    fn cuts_at(&self, label: &IoLabel) -> bool {
        self.service.is_none_or(|service| service == label.service)
    }

    fn takes(&self, scenario: &str, cut: Cut, label: &IoLabel) -> bool {
        if !self.cuts_at(label) {
            return false;
        }
        let one_in = if cut.length == Length::Delivery { self.one_in } else { self.others_one_in };
        let text = format!("{}:{scenario}:{cut}", self.seed);
        // FNV-1a: the same on every machine and in every build.
        let hash = text
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        (hash >> 7) % one_in.max(1) == 0
    }
}

/// The calls of a clean run that are worth a cut: all of the story, and one sweep of each shape. A sweep that makes the
/// same calls as one before it found the same: nothing.
fn points(outcome: &Outcome) -> Vec<usize> {
    let mut sweeps: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    let mut points = Vec::new();
    for (n, call) in outcome.calls.iter().enumerate() {
        match (call.label.function, call.invocation) {
            (Some(Function::Sweeper), Some(id)) => sweeps.entry(id).or_default().push(n),
            _ if n < outcome.told => points.push(n),
            _ => {}
        }
    }
    let mut shapes = BTreeSet::new();
    for calls in sweeps.into_values() {
        let shape: Vec<&IoLabel> = calls.iter().map(|n| &outcome.calls[*n].label).collect();
        if shapes.insert(shape) {
            points.extend(calls);
        }
    }
    points.sort_unstable();
    points
}

/// The calls that are cut, in order: what the golden files hold.
pub fn listed(outcome: &Outcome) -> Vec<&IoLabel> {
    points(outcome).into_iter().map(|n| &outcome.calls[n].label).collect()
}

/// Every cut of a story whose clean run was this.
pub fn cuts(outcome: &Outcome) -> Vec<Cut> {
    let mut all = Vec::new();
    for at in points(outcome) {
        let label = &outcome.calls[at].label;
        for mode in Mode::ALL.iter().copied().filter(|m| m.fits(label)) {
            let lengths = Length::ALL.iter().copied().filter(|l| mode.lasts(*l));
            all.extend(lengths.map(|length| Cut { at, mode, length }));
        }
    }
    all
}

/// What a sweep found.
#[derive(Debug, Default)]
pub struct Swept {
    /// Stories told.
    pub scenarios: usize,
    /// Calls of the clean runs that were cut.
    pub ios: usize,
    /// Runs with a fault.
    pub runs: usize,
    /// Runs in which the fault struck.
    pub struck: usize,
    /// Runs by mode.
    pub by_mode: BTreeMap<Mode, usize>,
    /// Runs by length.
    pub by_length: BTreeMap<Length, usize>,
    /// The longest virtual time to settle, with the run.
    pub slowest: (i64, String),
    /// The busiest simulated hour, with the run.
    pub busiest: (usize, String),
    /// In how many runs each rare state was reached, those without a fault among them.
    pub reached: BTreeMap<String, usize>,
    /// Command and violations of each bad run.
    pub bad: Vec<(String, Vec<String>)>,
}

/// Sweeps over stories on `threads` threads.
pub fn sweep(scenarios: &[Scenario], plan: Plan, threads: usize) -> Swept {
    let mut swept = Swept { scenarios: scenarios.len(), ..Swept::default() };
    let clean: Vec<Run> = scenarios.iter().map(|s| Run { scenario: *s, cut: None }).collect();
    let mut todo = Vec::new();
    for (run, outcome) in tell_all(&clean, threads) {
        swept.ios +=
            points(&outcome).into_iter().filter(|at| plan.cuts_at(&outcome.calls[*at].label)).count();
        let chosen = cuts(&outcome)
            .into_iter()
            .filter(|c| plan.takes(&run.scenario.label(), *c, &outcome.calls[c.at].label));
        todo.extend(chosen.map(|cut| Run { cut: Some(cut), ..run }));
        swept.count_reached(&outcome);
        if !outcome.violations.is_empty() {
            swept.bad.push((run.command(), outcome.violations));
        }
    }
    // A wide sweep is tens of thousands of runs: what is not needed of one is gone before the next.
    let swept = Mutex::new(swept);
    side_by_side(&todo, threads, |_, run| {
        let outcome = run.tell();
        swept.lock().unwrap_or_else(PoisonError::into_inner).note(run, outcome);
        ControlFlow::<()>::Continue(())
    });
    let mut swept = swept.into_inner().unwrap_or_else(PoisonError::into_inner);
    swept.bad.sort();
    swept
}

impl Swept {
    fn count_reached(&mut self, outcome: &Outcome) {
        for name in outcome.recorded.reached() {
            *self.reached.entry(name).or_default() += 1;
        }
    }

    fn note(&mut self, run: &Run, outcome: Outcome) {
        let Some(cut) = run.cut else { return };
        self.count_reached(&outcome);
        self.runs += 1;
        self.struck += usize::from(outcome.strikes > 0);
        *self.by_mode.entry(cut.mode).or_default() += 1;
        *self.by_length.entry(cut.length).or_default() += 1;
        let name = format!("{} --cut {cut}", run.scenario.label());
        self.slowest = self.slowest.clone().max((outcome.settled_after, name.clone()));
        self.busiest = self.busiest.clone().max((outcome.busiest_hour, name));
        if outcome.strikes == 0 {
            self.bad.push((
                run.command(),
                vec!["the fault never struck: the run is not a function of its cut".into()],
            ));
        }
        if !outcome.violations.is_empty() {
            self.bad.push((run.command(), outcome.violations));
        }
    }
}

/// Tells every run, side by side; the outcomes in the order of the runs.
pub fn tell_all(runs: &[Run], threads: usize) -> Vec<(Run, Outcome)> {
    all_side_by_side(runs, threads, |run| (*run, run.tell()))
}
