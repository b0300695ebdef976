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

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub struct Depth {
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

/// Every meeting, side by side, in their order.
pub fn explore_all(meetings: &[Meeting], effort: Effort, threads: usize) -> Vec<Explored> {
    all_side_by_side(meetings, threads, |meeting| explore(meeting, effort))
}

/// Runs it all. The text, and whether nothing bad was found and every planted bug killed.
pub fn report(depth: Depth) -> (String, bool) {
    let began = Instant::now();
    let swept = sweep(&scenario::all(), depth.plan, depth.threads);
    let others: Vec<(Speaks, Swept)> =
        Speaks::ALL.iter().filter(|s| **s != Speaks::Checkout).map(|s| (*s, over(*s, depth))).collect();
    let met = explore_all(&pairs::all(), depth.effort, depth.threads);
    let bitten = bite_all(Bug::ALL, depth.threads, depth.most, |_| ());
    let elsewhere: usize = others.iter().map(|(_, swept)| swept.bad.len()).sum();
    let violations = swept.bad.len() + elsewhere + met.iter().map(|m| m.bad.len()).sum::<usize>();
    let alive = bitten.iter().filter(|b| b.by.is_none()).count();
    let mut text = String::new();
    summary(&mut text, depth, &swept, &met, &bitten);
    let _ = writeln!(text, "| wall time | {} s on {} threads |\n", began.elapsed().as_secs(), depth.threads);
    grid(&mut text, &swept);
    systems(&mut text, depth, &others);
    meetings(&mut text, &met);
    teeth(&mut text, &bitten);
    rare(&mut text, &swept);
    let _ = writeln!(text, "## What it cannot see\n");
    text.extend(BLIND.iter().map(|line| format!("- {line}.\n")));
    (text, violations == 0 && alive == 0)
}

/// All stories over one order system.
fn over(speaks: Speaks, depth: Depth) -> Swept {
    let stories: Vec<_> = scenario::all().into_iter().map(|s| s.over(speaks)).collect();
    sweep(&stories, Plan { service: depth.others_service, ..depth.plan }, depth.threads)
}

fn systems(text: &mut String, depth: Depth, others: &[(Speaks, Swept)]) {
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

fn summary(text: &mut String, depth: Depth, swept: &Swept, met: &[Explored], bitten: &[Bitten]) {
    let share = |one_in: u64| if one_in == 1 { "all".to_owned() } else { format!("1 in {one_in}") };
    let killed = bitten.iter().filter(|b| b.by.is_some()).count();
    let schedules: usize = met.iter().map(|m| m.run + m.random).sum();
    let bad = swept.bad.len() + met.iter().map(|m| m.bad.len()).sum::<usize>();
    let rows = [
        ("stories", swept.scenarios.to_string()),
        ("calls of theirs that are cut", swept.ios.to_string()),
        ("ways a call fails", swept.by_mode.len().to_string()),
        ("runs with a fault", swept.runs.to_string()),
        ("of the faults of one delivery", share(depth.plan.one_in)),
        ("of the other lengths", share(depth.plan.others_one_in)),
        ("meetings, schedules run", format!("{}, {schedules}", met.len())),
        ("seeds: cuts, schedules", format!("{}, {}", depth.plan.seed, depth.effort.seed)),
        ("violations", bad.to_string()),
        ("planted bugs killed", format!("{killed} of {}", bitten.len())),
        ("slowest to settle, virtual", format!("{} s (`{}`)", swept.slowest.0, swept.slowest.1)),
        ("most calls within a simulated hour", format!("{} (`{}`)", swept.busiest.0, swept.busiest.1)),
    ];
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
