//! The suite's teeth: every planted bug must be noticed by it, alone.
//!
//! Invariant: a bug counts as killed only by a violation: a run that ends wrongly. Where its killer was last time is only a
//! hint, so that it is found quickly; without the hint everything is searched.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

use shared::planted::{Bug, plant};

use crate::aside::side_by_side;
use crate::cut::{Cut, Length, Mode};
use crate::interleave::{Effort, Meeting, explore, pairs};
use crate::owner::stopped_worker;
use crate::replayed::replayed_refusal;
use crate::scenario;
use crate::sweep::{Outcome, Run, cuts, tell_all};
use crate::tardy::tardy_refund;

/// What came of one bug.
#[derive(Clone, Debug)]
pub struct Bitten {
    /// The bug.
    pub bug: Bug,
    /// The run that noticed it, and what it said; none: it lives.
    pub by: Option<Killer>,
    /// Runs until then.
    pub runs: usize,
}

/// So many calls before and after a hint's cut are struck as well: a call more or less in a story moves those behind it.
const NEAR: usize = 12;

/// Where each was killed last: a story, a story with a cut, a meeting with a seed, or a story told apart.
const HINTS: &[(Bug, &str)] = &[
    (Bug::RandomKey, "two-operators 70:late:delivery"),
    (Bug::KeyWithToken, "two-operators 70:late:delivery"),
    (Bug::MarkBeforeSend, "paid-at-once"),
    (Bug::ClaimWithoutOwner, "stopped-worker"),
    (Bug::CommitWithoutRevision, "same-event-twice"),
    (Bug::EveryConflictIsOurs, "same-order-twice 12"),
    (Bug::DeleteClaimOnUnknown, "two-operators 70:late:delivery"),
    (Bug::UnknownIsFailed, "hard-decline 16:refused:delivery"),
    (Bug::TrustTheMessage, "buyer-against-timer 51:refused:until-dead"),
    (Bug::StoreUnderMovedRevision, "same-event-twice 7"),
    (Bug::SwallowParseError, "paid-at-once 16:garbled:delivery"),
    (Bug::RefundWithoutList, "refund-against-dispute 53:hang-before:delivery"),
    (Bug::RollWithoutSearch, "dashboard-against-requested 17:lost:outage"),
    (Bug::RollAtOnce, "tardy-refund"),
    (Bug::SecondAttemptBeforeClosed, "change-against-pay"),
    (Bug::SendToSelf, "paid-at-once"),
    (Bug::DueTimeDropped, "money-switch"),
    (Bug::ShopMissingFromKey, "two-shops"),
    (Bug::AcceptLaggingReplica, "captured-on-fulfilment 52:stale:delivery"),
    (Bug::IgnoreMoneySwitch, "money-switch"),
    (Bug::UnconditionalPush, "paid-at-once"),
    (Bug::WatermarkBeforeHints, "lost-webhooks 20:refused:outage"),
    (Bug::GenerationNotInKey, "replayed-refusal"),
];

/// Tells something by itself; what did not hold.
pub type Told = fn() -> Vec<String>;

/// Stories with more than one fault, told beside the sweep.
pub const APART: &[(&str, Told)] = &[
    ("stopped-worker", stopped_worker),
    ("tardy-refund", tardy_refund),
    ("replayed-refusal", replayed_refusal),
];

/// Does something with one bug planted.
fn with_bug<T>(bug: Bug, work: impl FnOnce() -> T) -> T {
    plant(Some(bug));
    let done = work();
    plant(None);
    done
}

/// What noticed a bug, and what it said.
pub type Killer = (String, String);

fn apart(bug: Bug, (name, tell): &(&str, Told)) -> Option<Killer> {
    with_bug(bug, tell).into_iter().next().map(|violation| ((*name).to_owned(), violation))
}

fn told(bug: Bug, run: &Run) -> Option<Killer> {
    let first = with_bug(bug, || run.tell()).violations.into_iter().next();
    first.map(|violation| (run.command(), violation))
}

fn met(bug: Bug, meeting: &Meeting, effort: Effort) -> (usize, Option<Killer>) {
    let met = with_bug(bug, || explore(meeting, effort));
    // Random schedules come last: one of these is told again by its seed alone, which makes a hint.
    let last =
        met.bad.into_iter().next_back().map(|(schedule, violations)| (schedule, violations.join("; ")));
    (met.run + met.random, last)
}

fn hinted(bug: Bug) -> Option<Killer> {
    let (_, hint) = HINTS.iter().find(|(b, _)| *b == bug)?;
    let mut words = hint.split(' ');
    let (name, rest) = (words.next()?, words.next());
    if let Some(story) = APART.iter().find(|(n, _)| *n == name) {
        return apart(bug, story);
    }
    if let Some(meeting) = pairs::named(name) {
        let seed = rest.and_then(|s| s.parse().ok()).unwrap_or(1);
        return met(bug, &meeting, Effort { most: 1, random: 1, seed }).1;
    }
    let plain = Run { scenario: scenario::named(name)?, cut: None };
    match rest.and_then(|c| c.parse().ok()) {
        None => told(bug, &plain),
        Some(cut) => near(&plain, cut).iter().find_map(|run| told(bug, run)),
    }
}

/// The runs with this cut or one like it at a call nearby, the nearest first.
fn near(plain: &Run, cut: Cut) -> Vec<Run> {
    let distance = |other: &Cut| other.at.abs_diff(cut.at);
    let alike = |other: &Cut| (other.mode, other.length) == (cut.mode, cut.length) && distance(other) <= NEAR;
    let mut cuts: Vec<Cut> = cuts(&plain.tell()).into_iter().filter(alike).collect();
    cuts.sort_by_key(distance);
    cuts.into_iter().map(|cut| Run { cut: Some(cut), ..*plain }).collect()
}

fn broken(killer: Option<Killer>) -> ControlFlow<Killer> {
    killer.map_or(ControlFlow::Continue(()), ControlFlow::Break)
}

/// Runs until one is bad, on all threads.
fn first_bad(bug: Bug, runs: &[Run], threads: usize, tried: &AtomicUsize) -> Option<Killer> {
    side_by_side(runs, threads, |_, run| {
        tried.fetch_add(1, Ordering::Relaxed);
        broken(told(bug, run))
    })
}

fn meetings(bug: Bug, threads: usize, each: usize, tried: &AtomicUsize) -> Option<Killer> {
    side_by_side(&pairs::all(), threads, |_, meeting| {
        let (runs, killer) = met(bug, meeting, Effort { most: each, random: each, seed: 1 });
        tried.fetch_add(runs, Ordering::Relaxed);
        broken(killer)
    })
}

/// Looks for a run that notices the bug, among at most `most` of each length of fault; 0: only where it was killed before.
pub fn bite(bug: Bug, clean: &[(Run, Outcome)], threads: usize, most: usize) -> Bitten {
    let hinted = hinted(bug);
    if hinted.is_some() || most == 0 {
        return Bitten { bug, by: hinted, runs: 1 };
    }
    let tried = AtomicUsize::new(0);
    let plain: Vec<Run> = clean.iter().map(|(run, _)| *run).collect();
    let mut by = first_bad(bug, &plain, threads, &tried);
    by = by.or_else(|| APART.iter().find_map(|story| apart(bug, story)));
    if by.is_none() {
        by = meetings(bug, threads, 12, &tried);
    }
    for length in [Length::Delivery, Length::UntilDead, Length::Once, Length::Outage] {
        if by.is_some() {
            break;
        }
        let mut runs: Vec<Run> = Vec::new();
        for (run, outcome) in clean {
            let of_length = cuts(outcome).into_iter().filter(|c| c.length == length);
            runs.extend(of_length.map(|cut| Run { cut: Some(cut), ..*run }));
        }
        scatter(&mut runs);
        take_turns(&mut runs);
        runs.truncate(most);
        by = first_bad(bug, &runs, threads, &tried);
    }
    if by.is_none() {
        by = meetings(bug, threads, most.min(400), &tried);
    }
    Bitten { bug, by, runs: tried.into_inner() }
}

/// A fixed disorder: a bug is met sooner when neighbouring calls are not tried one after the other.
fn scatter(runs: &mut [Run]) {
    let len = runs.len();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for i in (1..len).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let j = usize::try_from(state % (i as u64 + 1)).unwrap_or(0);
        runs.swap(i, j);
    }
}

/// Every mode in turn: one that strikes few calls is tried as soon as one that strikes many.
fn take_turns(runs: &mut [Run]) {
    let mut met: BTreeMap<Option<Mode>, usize> = BTreeMap::new();
    runs.sort_by_cached_key(|run| {
        let turn = met.entry(run.cut.map(|cut| cut.mode)).or_default();
        *turn += 1;
        *turn
    });
}

/// The clean runs from which the cuts are made.
pub fn clean_runs(threads: usize) -> Vec<(Run, Outcome)> {
    let runs: Vec<Run> = scenario::all().into_iter().map(|scenario| Run { scenario, cut: None }).collect();
    tell_all(&runs, threads)
}

/// Tries these bugs.
pub fn all(bugs: &[Bug], threads: usize, most: usize, mut done: impl FnMut(&Bitten)) -> Vec<Bitten> {
    // Where hints are all that is asked for, nothing is cut.
    let clean = if most == 0 { Vec::new() } else { clean_runs(threads) };
    let mut out = Vec::new();
    for bug in bugs {
        let bitten = bite(*bug, &clean, threads, most);
        done(&bitten);
        out.push(bitten);
    }
    out
}
