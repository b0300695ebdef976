//! Interleavings: deliveries on one order, run side by side, every I/O of theirs released one at a time in every order.
//!
//! Invariant: a schedule is the list of choices made where more than one of them could go on; the same list gives the same
//! run. A preemption is a switch away from one that could have gone on.

mod books;
pub mod pairs;

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use aws_smithy_runtime_api::client::result::ConnectorError;
use futures::future::{BoxFuture, LocalBoxFuture};
use futures::stream::{FuturesUnordered, Stream as _};
use local::aws::io::{Effect, HttpEffect};
use local::aws::{Answer, Call, Faults};
use shared::domain::time::Seconds;
use shared::outbound::http::{HttpResponse, SendError};
use tokio::sync::oneshot;

use self::books::Books;
use crate::aside::on_own_clock;
use crate::check::violations;
use crate::world::{World, options};

tokio::task_local! {
    static ACTOR: usize;
}

/// One that acts: a delivery, a timer, a person.
pub type Actor<'a> = LocalBoxFuture<'a, ()>;

/// Deliveries that meet on one order.
#[derive(Clone, Copy)]
pub struct Meeting {
    /// Its name on the command line.
    pub name: &'static str,
    /// Brings the order to where they meet and says who meets.
    pub prepare: for<'a> fn(&'a World) -> LocalBoxFuture<'a, Vec<Actor<'a>>>,
}

#[derive(Default)]
struct Parked {
    waiting: BTreeMap<usize, Vec<oneshot::Sender<()>>>,
    steps: Vec<usize>,
    parks: u64,
}

/// Holds every call of an actor until it is released, and keeps the books on it.
#[derive(Default)]
pub struct Gate {
    parked: Mutex<Parked>,
    books: Mutex<Books>,
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, Parked> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes something about the actor that is running, if one is.
    fn note(&self, note: impl FnOnce(&mut Books, usize)) {
        if let Ok(actor) = ACTOR.try_with(|a| *a) {
            note(&mut self.books.lock().unwrap_or_else(PoisonError::into_inner), actor);
        }
    }

    async fn pass(&self) {
        let Ok(actor) = ACTOR.try_with(|a| *a) else { return };
        let (release, released) = oneshot::channel();
        {
            let mut parked = self.lock();
            parked.waiting.entry(actor).or_default().push(release);
            parked.parks += 1;
        }
        let _ = released.await;
    }

    /// Who waits to go on.
    fn ready(&self) -> BTreeSet<usize> {
        self.lock().waiting.iter().filter(|(_, w)| !w.is_empty()).map(|(a, _)| *a).collect()
    }

    fn release(&self, actor: usize) {
        let mut parked = self.lock();
        parked.steps.push(actor);
        if let Some(waiting) = parked.waiting.get_mut(&actor)
            && !waiting.is_empty()
        {
            let _ = waiting.remove(0).send(());
        }
    }
}

impl Faults for Gate {
    fn around<'a>(&'a self, call: Call<'a>, effect: Effect) -> BoxFuture<'a, Result<Answer, ConnectorError>> {
        Box::pin(async move {
            self.pass().await;
            let answer = effect.await;
            self.note(|books, actor| books.answered(actor, call, &answer));
            Ok(answer)
        })
    }

    fn around_http<'a>(
        &'a self,
        call: Call<'a>,
        _: Duration,
        effect: HttpEffect,
    ) -> BoxFuture<'a, Result<HttpResponse, SendError>> {
        Box::pin(async move {
            self.pass().await;
            self.note(|books, actor| books.sends(actor, call));
            let answer = effect.await?;
            self.note(|books, actor| books.shown(actor, call, &answer));
            Ok(answer)
        })
    }
}

/// A moment at which more than one could go on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Node {
    /// Who could; the one that costs no preemption first.
    options: Vec<usize>,
    taken: usize,
    /// Whether any but the first is a preemption.
    costs: bool,
    /// Preemptions before this moment.
    before: u32,
}

/// Walks through all schedules within a bound of preemptions.
#[derive(Clone, Debug)]
struct Walk {
    path: Vec<Node>,
    bound: u32,
}

impl Walk {
    /// The next schedule in order, if there is one.
    fn advance(&mut self) -> bool {
        while let Some(node) = self.path.last_mut() {
            let next = node.taken + 1;
            let spent = node.before + u32::from(node.costs);
            if next < node.options.len() && spent <= self.bound {
                node.taken = next;
                return true;
            }
            self.path.pop();
        }
        false
    }
}

/// One run's place in the walk.
struct Chooser<'a> {
    walk: &'a mut Walk,
    depth: usize,
    last: Option<usize>,
    preemptions: u32,
    /// Draws beyond the walk, when the run is random.
    random: Option<u64>,
}

impl Chooser<'_> {
    fn choose(&mut self, ready: &BTreeSet<usize>) -> Option<usize> {
        let first = ready.first().copied()?;
        if ready.len() == 1 {
            self.last = Some(first);
            return Some(first);
        }
        let continues = self.last.filter(|l| ready.contains(l));
        let mut options: Vec<usize> = ready.iter().copied().collect();
        if let Some(last) = continues {
            options.sort_by_key(|a| (*a != last, *a));
        }
        if let Some(state) = &mut self.random {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let pick = usize::try_from(*state >> 33).unwrap_or(0) % options.len();
            self.last = Some(options[pick]);
            return self.last;
        }
        if self.depth == self.walk.path.len() {
            let node = Node { options, taken: 0, costs: continues.is_some(), before: self.preemptions };
            self.walk.path.push(node);
        }
        let node = &self.walk.path[self.depth];
        let chosen = node.options[node.taken];
        self.preemptions += u32::from(node.costs && node.taken > 0);
        self.depth += 1;
        self.last = Some(chosen);
        Some(chosen)
    }
}

/// What came of one schedule.
#[derive(Clone, Debug, Default)]
struct Met {
    violations: Vec<String>,
    steps: Vec<usize>,
}

/// Between two looks while everybody sleeps on a timer.
const NAP: Duration = Duration::from_millis(20);

/// Runs the actors to their end, one call at a time.
async fn run_actors(gate: &Gate, actors: Vec<Actor<'_>>, chooser: &mut Chooser<'_>) {
    let mut running: FuturesUnordered<_> =
        actors.into_iter().enumerate().map(|(n, actor)| ACTOR.scope(n, actor)).collect();
    loop {
        // Let everybody come to a call, to a timer or to an end.
        let mut parks = u64::MAX;
        let over = loop {
            let polled = poll_fn(|cx| {
                Poll::Ready(match Pin::new(&mut running).poll_next(cx) {
                    Poll::Ready(None) => Some(true),
                    Poll::Ready(Some(())) => Some(false),
                    Poll::Pending => None,
                })
            })
            .await;
            let seen = gate.lock().parks;
            match polled {
                Some(true) => break true,
                Some(false) => {}
                None if seen == parks => break false,
                None => tokio::task::yield_now().await,
            }
            parks = seen;
        };
        if over {
            return;
        }
        match chooser.choose(&gate.ready()) {
            Some(actor) => gate.release(actor),
            None => tokio::time::sleep(NAP).await,
        }
    }
}

async fn meet(meeting: &Meeting, chooser: &mut Chooser<'_>) -> Met {
    let world = World::start(options(), None).await;
    let actors = (meeting.prepare)(&world).await;
    let gate = Arc::new(Gate::default());
    world.stack.aws.set_faults(gate.clone());
    run_actors(&gate, actors, chooser).await;
    world.stack.aws.set_faults(world.cutter.clone());
    world.settle().await;
    world.wait(Seconds::minutes(20)).await;
    let mut violations = violations(&world).await;
    if !violations.is_empty() {
        // What only time heals: a claim past its deadline, a schedule.
        world.wait(Seconds::hours(3)).await;
        violations = crate::check::violations(&world).await;
    }
    // What actors did on the way is no better for how it ended.
    violations.extend(gate.books.lock().unwrap_or_else(PoisonError::into_inner).found());
    let steps = gate.lock().steps.clone();
    Met { violations, steps }
}

/// What was tried of one meeting.
#[derive(Clone, Debug, Default)]
pub struct Explored {
    /// Its name.
    pub name: String,
    /// Most calls of each actor in any schedule.
    pub calls: Vec<usize>,
    /// Bound of preemptions; none: all schedules.
    pub bound: Option<u32>,
    /// Schedules with that bound that were run.
    pub run: usize,
    /// Whether all of them were run.
    pub all: bool,
    /// Random schedules run beyond.
    pub random: usize,
    /// Schedules that could be, by the multinomial of the calls; saturates.
    pub possible: u128,
    /// Schedule and violations of each bad run.
    pub bad: Vec<(String, Vec<String>)>,
}

impl Explored {
    fn count(&mut self, steps: &[usize]) {
        for actor in steps {
            if self.calls.len() <= *actor {
                self.calls.resize(actor + 1, 0);
            }
        }
        for (actor, most) in self.calls.iter_mut().enumerate() {
            *most = (*most).max(steps.iter().filter(|s| *s == &actor).count());
        }
        self.possible = multinomial(&self.calls);
    }
}

/// How far to go.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Most schedules of one meeting.
    pub most: usize,
    /// Random ones beyond.
    pub random: usize,
    /// Seed of these.
    pub seed: u64,
}

/// All schedules without a bound where there are at most so many.
const UNBOUNDED_MAX: u128 = 20_000;
/// Random runs that count the calls beforehand.
const PROBES: u64 = 4;
/// Preemptions otherwise.
const BOUND: u32 = 3;

/// Runs one schedule, given as the list of its choices (`3:0,7:1`: at the third moment the first option, ..).
pub fn replay(meeting: &Meeting, random: Option<u64>, choices: &[usize]) -> (Vec<String>, Vec<usize>) {
    let mut walk = Walk { path: Vec::new(), bound: u32::MAX };
    // A prefix of choices is walked by taking them one after the other.
    let met = on_own_clock(async {
        let mut met = Met::default();
        for depth in 0..=choices.len() {
            let mut chooser = Chooser { walk: &mut walk, depth: 0, last: None, preemptions: 0, random };
            met = meet(meeting, &mut chooser).await;
            let Some(choice) = choices.get(depth) else { break };
            walk.path.truncate(depth + 1);
            match walk.path.last_mut() {
                Some(node) if *choice < node.options.len() => node.taken = *choice,
                _ => break,
            }
        }
        met
    });
    met.map(|m| (m.violations, m.steps)).unwrap_or_default()
}

/// Runs the schedules of one meeting.
pub fn explore(meeting: &Meeting, effort: Effort) -> Explored {
    let mut explored = Explored { name: meeting.name.to_owned(), ..Explored::default() };
    // Whoever comes second finds the work done: how much each has to do shows only when each was first once.
    let mut probe = Walk { path: Vec::new(), bound: 0 };
    for seed in 1..=PROBES {
        let probed = on_own_clock(async {
            let random = Some(seed);
            let mut chooser = Chooser { walk: &mut probe, depth: 0, last: None, preemptions: 0, random };
            meet(meeting, &mut chooser).await
        });
        explored.count(&probed.unwrap_or_default().steps);
    }
    let few = explored.possible <= UNBOUNDED_MAX;
    let mut walk = Walk { path: Vec::new(), bound: if few { u32::MAX - 1 } else { BOUND } };
    explored.bound = (!few).then_some(BOUND);
    loop {
        let met = on_own_clock(async {
            let mut chooser = Chooser { walk: &mut walk, depth: 0, last: None, preemptions: 0, random: None };
            meet(meeting, &mut chooser).await
        })
        .unwrap_or_default();
        explored.count(&met.steps);
        explored.run += 1;
        note(&mut explored, meeting, &choices(&walk), met);
        if !walk.advance() {
            explored.all = true;
            break;
        }
        if explored.run >= effort.most {
            break;
        }
    }
    for n in 0..effort.random {
        let seed = effort.seed.wrapping_add(n as u64);
        let mut walk = Walk { path: Vec::new(), bound: 0 };
        let met = on_own_clock(async {
            let random = Some(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
            let mut chooser = Chooser { walk: &mut walk, depth: 0, last: None, preemptions: 0, random };
            meet(meeting, &mut chooser).await
        });
        explored.random += 1;
        note(&mut explored, meeting, &format!("random {seed}"), met.unwrap_or_default());
    }
    explored
}

fn choices(walk: &Walk) -> String {
    let taken: Vec<String> = walk.path.iter().map(|n| n.taken.to_string()).collect();
    taken.join(",")
}

fn note(explored: &mut Explored, meeting: &Meeting, schedule: &str, met: Met) {
    if !met.violations.is_empty() {
        let steps: String = met.steps.iter().map(usize::to_string).collect();
        explored
            .bad
            .push((format!("{} --schedule {schedule} (calls {steps})", meeting.name), met.violations));
    }
}

/// Schedules of actors with so many calls each.
fn multinomial(calls: &[usize]) -> u128 {
    let mut total: u128 = 1;
    let mut placed: u128 = 0;
    for n in calls {
        for k in 1..=*n as u128 {
            placed += 1;
            total = match total.checked_mul(placed) {
                Some(product) => product / k,
                None => return u128::MAX,
            };
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two actors of `n` steps each, no world: which schedules does the walk visit?
    fn schedules(n: usize, bound: u32) -> BTreeSet<Vec<usize>> {
        let mut walk = Walk { path: Vec::new(), bound };
        let mut all = BTreeSet::new();
        loop {
            let mut left = [n, n];
            let mut steps = Vec::new();
            let mut chooser = Chooser { walk: &mut walk, depth: 0, last: None, preemptions: 0, random: None };
            loop {
                let ready = (0..2).filter(|a| left[*a] > 0).collect();
                let Some(actor) = chooser.choose(&ready) else { break };
                left[actor] -= 1;
                steps.push(actor);
            }
            assert!(all.insert(steps), "a schedule was visited twice");
            if !walk.advance() {
                return all;
            }
        }
    }

    #[test]
    fn without_a_bound_every_schedule_is_visited_once() {
        assert_eq!(schedules(4, u32::MAX - 1).len() as u128, multinomial(&[4, 4]));
        assert_eq!(multinomial(&[4, 4]), 70);
        assert_eq!(multinomial(&[2, 2, 2]), 90);
    }

    #[test]
    fn a_bound_leaves_exactly_the_schedules_with_fewer_preemptions() {
        let preemptions = |steps: &Vec<usize>| {
            (1..steps.len())
                .filter(|i| steps[*i] != steps[i - 1] && steps[*i..].contains(&steps[i - 1]))
                .count()
        };
        for bound in 0..4 {
            let expected: BTreeSet<Vec<usize>> =
                schedules(4, u32::MAX - 1).into_iter().filter(|s| preemptions(s) <= bound).collect();
            assert_eq!(schedules(4, u32::try_from(bound).unwrap()), expected);
        }
    }
}
