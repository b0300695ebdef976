//! The report: everything the simulation can do, in one table, with what it cannot see beside it.
//!
//! Invariant: no line is printed that was not counted in this very run.

use std::fmt::Write as _;
use std::time::Instant;

use local::shop::Speaks;
use shared::planted::Bug;

use crate::aside::all_side_by_side;
use crate::interleave::{Effort, Explored, Meeting, explore, pairs};
use crate::recorded::names;
use crate::scenario;
use crate::sweep::{Plan, Swept, sweep};
use crate::teeth::{Bitten, all as bite_all};

/// What the simulation cannot see.
const BLIND: &[&str] = &[
    "AWS itself: the emulators behind the SDK are judged by tests/conformance, whose differences are in docs/doubles.md",
    "Stripe itself: the simulator is judged by its API description and its official clients (tests/judges)",
    "two faults that have nothing to do with each other in one run",
    "time that passes within a function between two calls",
    "a fault at a call that only a run with a fault makes",
];

/// A part of the report, which can be run and kept by itself: all of them take hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Every story over the checkout protocol, cut.
    Stories,
    /// The stories over another order system, cut.
    Over(Speaks),
    /// Deliveries that meet.
    Meetings,
    /// Planted bugs.
    Bugs,
}

impl Part {
    /// All of them.
    pub fn all() -> Vec<Self> {
        let others = Speaks::ALL.iter().filter(|s| **s != Speaks::Checkout).map(|s| Self::Over(*s));
        [Self::Stories, Self::Meetings, Self::Bugs].into_iter().chain(others).collect()
    }

    /// As it is called on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stories => "stories",
            Self::Over(speaks) => speaks.kind(),
            Self::Meetings => "meetings",
            Self::Bugs => "bugs",
        }
    }
}

/// How much is done.
#[derive(Clone, Debug)]
pub struct Depth {
    /// Of what.
    pub parts: Vec<Part>,
    /// Which cuts.
    pub plan: Plan,
    /// Of the stories over the other order systems, only calls to this service are cut.
    pub others_service: Option<&'static str>,
    /// Of each meeting.
    pub effort: Effort,
    /// Runs of each length of fault until a planted bug counts as alive.
    pub most: usize,
    /// Threads.
    pub threads: usize,
}

/// What was run.
#[derive(Default)]
struct Ran {
    stories: Option<Swept>,
    others: Vec<(Speaks, Swept)>,
    met: Vec<Explored>,
    bitten: Vec<Bitten>,
}

impl Ran {
    fn of(depth: &Depth) -> Self {
        let mut ran = Self::default();
        for part in &depth.parts {
            match *part {
                Part::Stories => ran.stories = Some(sweep(&scenario::all(), depth.plan, depth.threads)),
                Part::Over(speaks) => ran.others.push((speaks, over(speaks, depth))),
                Part::Meetings => ran.met = explore_all(&pairs::all(), depth.effort, depth.threads),
                Part::Bugs => ran.bitten = bite_all(Bug::ALL, depth.threads, depth.most, |_| ()),
            }
        }
        ran
    }

    fn swept(&self) -> impl Iterator<Item = &Swept> {
        self.stories.iter().chain(self.others.iter().map(|(_, swept)| swept))
    }

    fn violations(&self) -> usize {
        self.swept().map(|s| s.bad.len()).sum::<usize>() + self.met.iter().map(|m| m.bad.len()).sum::<usize>()
    }

    fn killed(&self) -> usize {
        self.bitten.iter().filter(|b| b.by.is_some()).count()
    }
}

/// Every meeting, side by side, in their order.
pub fn explore_all(meetings: &[Meeting], effort: Effort, threads: usize) -> Vec<Explored> {
    all_side_by_side(meetings, threads, |meeting| explore(meeting, effort))
}

/// Runs its parts. The text, and whether nothing bad was found and every planted bug killed.
pub fn report(depth: &Depth) -> (String, bool) {
    let began = Instant::now();
    let ran = Ran::of(depth);
    let mut text = String::new();
    summary(&mut text, depth, &ran);
    let _ = writeln!(text, "| wall time | {} s on {} threads |\n", began.elapsed().as_secs(), depth.threads);
    if let Some(swept) = &ran.stories {
        grid(&mut text, swept);
    }
    if !ran.others.is_empty() {
        systems(&mut text, depth, &ran.others);
    }
    if !ran.met.is_empty() {
        meetings(&mut text, &ran.met);
    }
    if !ran.bitten.is_empty() {
        teeth(&mut text, &ran.bitten);
    }
    if let Some(swept) = &ran.stories {
        rare(&mut text, swept);
    }
    if depth.parts.len() > 1 {
        let _ = writeln!(text, "## What it cannot see\n");
        text.extend(BLIND.iter().map(|line| format!("- {line}.\n")));
    }
    (text, ran.violations() == 0 && ran.killed() == ran.bitten.len())
}

/// All stories over one order system.
fn over(speaks: Speaks, depth: &Depth) -> Swept {
    let stories: Vec<_> = scenario::all().into_iter().map(|s| s.over(speaks)).collect();
    sweep(&stories, Plan { service: depth.others_service, ..depth.plan }, depth.threads)
}

fn systems(text: &mut String, depth: &Depth, others: &[(Speaks, Swept)]) {
    let cut = depth.others_service.map_or("every call", |_| "every call to the order system");
    let _ = writeln!(
        text,
        "## The same stories over the other order systems: {cut} cut, by the same shares\n\n\
         | order system | stories | calls | runs | violations | slowest to settle, virtual |\n\
         | --- | --- | --- | --- | --- | --- |"
    );
    for (speaks, swept) in others {
        let (kind, bad, slowest) = (speaks.kind(), swept.bad.len(), &swept.slowest);
        let _ = writeln!(
            text,
            "| {kind} | {} | {} | {} | {bad} | {} s (`{}`) |",
            swept.scenarios, swept.ios, swept.runs, slowest.0, slowest.1
        );
    }
    for (command, violations) in others.iter().flat_map(|(_, swept)| &swept.bad) {
        let _ = writeln!(text, "\n`{command}`\n");
        text.extend(violations.iter().map(|v| format!("- {v}\n")));
    }
    text.push('\n');
}

fn summary(text: &mut String, depth: &Depth, ran: &Ran) {
    let share = |one_in: u64| if one_in == 1 { "all".to_owned() } else { format!("1 in {one_in}") };
    let mut rows = Vec::new();
    let swept: Vec<&Swept> = ran.swept().collect();
    let sum = |of: fn(&Swept) -> usize| swept.iter().map(|s| of(s)).sum::<usize>().to_string();
    if let Some(first) = swept.first() {
        let last = |of: fn(&Swept) -> &(i64, String)| swept.iter().map(|s| of(s)).max().unwrap_or(of(first));
        let (slowest, run) = last(|s| &s.slowest);
        rows.extend([
            ("stories", sum(|s| s.scenarios)),
            ("calls of theirs that are cut", sum(|s| s.ios)),
            ("ways a call fails", first.by_mode.len().to_string()),
            ("runs with a fault", sum(|s| s.runs)),
            ("of the faults of one delivery", share(depth.plan.one_in)),
            ("of the other lengths", share(depth.plan.others_one_in)),
            ("seed of the cuts", depth.plan.seed.to_string()),
            ("slowest to settle, virtual", format!("{slowest} s (`{run}`)")),
        ]);
        if let Some((calls, run)) = swept.iter().map(|s| &s.busiest).max() {
            rows.push(("most calls within a simulated hour", format!("{calls} (`{run}`)")));
        }
    }
    if !ran.met.is_empty() {
        let schedules: usize = ran.met.iter().map(|m| m.run + m.random).sum();
        let most = if depth.effort.most == usize::MAX {
            "all within the bound".to_owned()
        } else {
            format!("at most {} each", depth.effort.most)
        };
        rows.push(("meetings", ran.met.len().to_string()));
        rows.push(("schedules run", format!("{schedules}, {most}, seed {}", depth.effort.seed)));
    }
    if !ran.bitten.is_empty() {
        rows.push(("planted bugs killed", format!("{} of {}", ran.killed(), ran.bitten.len())));
    }
    rows.push(("violations", ran.violations().to_string()));
    let _ = writeln!(text, "| | |\n| --- | --- |");
    text.extend(rows.iter().map(|(what, value)| format!("| {what} | {value} |\n")));
}

fn grid(text: &mut String, swept: &Swept) {
    let _ = writeln!(text, "## Runs by the way a call failed, and for how long\n\n| | runs |\n| --- | --- |");
    text.extend(swept.by_mode.iter().map(|(mode, runs)| format!("| {mode} | {runs} |\n")));
    text.extend(swept.by_length.iter().map(|(length, runs)| format!("| for: {length} | {runs} |\n")));
    for (command, violations) in &swept.bad {
        let _ = writeln!(text, "\n`{command}`\n");
        text.extend(violations.iter().map(|v| format!("- {v}\n")));
    }
    text.push('\n');
}

fn meetings(text: &mut String, met: &[Explored]) {
    let head =
        "## Meetings\n\n| who meets | calls of each | schedules possible | bound | run | random | bad |";
    let _ = writeln!(text, "{head}\n| --- | --- | --- | --- | --- | --- | --- |");
    for m in met {
        let bound = m.bound.map_or("none".to_owned(), |b| format!("{b} preemptions"));
        let run = format!("{}{}", m.run, if m.all { " (all)" } else { "" });
        let bad = m.bad.len();
        let _ = writeln!(
            text,
            "| {} | {:?} | {} | {bound} | {run} | {} | {bad} |",
            m.name, m.calls, m.possible, m.random
        );
    }
    for (schedule, violations) in met.iter().flat_map(|m| &m.bad) {
        let _ = writeln!(text, "\n`{schedule}`\n");
        text.extend(violations.iter().map(|v| format!("- {v}\n")));
    }
    text.push('\n');
}

fn teeth(text: &mut String, bitten: &[Bitten]) {
    let _ = writeln!(text, "## Planted bugs\n\n| bug | noticed by | as |\n| --- | --- | --- |");
    for b in bitten {
        let (run, says) = b.by.clone().unwrap_or_else(|| ("nothing".into(), "it lives".into()));
        let says = says.replace('|', "/");
        let _ = writeln!(text, "| {:?} | `{run}` | {says} |", b.bug);
    }
    text.push('\n');
}

fn rare(text: &mut String, swept: &Swept) {
    let _ = writeln!(
        text,
        "## Rare states, and how many runs came through them\n\n| state | runs |\n| --- | --- |"
    );
    for name in names() {
        let _ = writeln!(text, "| {name} | {} |", swept.reached.get(&name).copied().unwrap_or(0));
    }
    text.push('\n');
}
