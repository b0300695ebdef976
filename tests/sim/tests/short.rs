//! What every `cargo test` asks of the simulation: each story ends as it must, its calls are those of the golden files, and
//! a sample of cuts and interleavings does no harm. The wide sweeps have their own commands (`sim sweep`, `sim report`).

use std::fmt::Write as _;
use std::path::PathBuf;

use sim::interleave::{Effort, explore, pairs};
use sim::scenario;
use sim::sweep::{Plan, Run, listed, sweep, tell_all};

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(format!("{name}.txt"))
}

#[test]
fn every_story_ends_as_it_must_and_makes_the_calls_that_are_written_down() {
    let runs: Vec<Run> = scenario::all().into_iter().map(|scenario| Run { scenario, cut: None }).collect();
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut changed = Vec::new();
    for (run, outcome) in tell_all(&runs, threads()) {
        let name = run.scenario.name;
        assert_eq!(outcome.violations, Vec::<String>::new(), "{name}: {}", run.command());
        let mut text = String::new();
        for label in listed(&outcome) {
            let _ = writeln!(text, "{label}");
        }
        if update {
            std::fs::write(golden(name), text).unwrap();
        } else if std::fs::read_to_string(golden(name)).unwrap_or_default() != text {
            changed.push(name);
        }
    }
    assert!(
        changed.is_empty(),
        "the calls of {changed:?} changed: if that is meant, run with UPDATE_GOLDEN=1 and look at the difference"
    );
}

#[test]
fn a_sample_of_cuts_does_no_harm() {
    let swept = sweep(
        &scenario::all(),
        Plan { seed: 11, one_in: 700, others_one_in: 3000, service: None },
        threads(),
    );
    assert!(swept.bad.is_empty(), "{:#?}", swept.bad);
    assert!(swept.runs > 20 && swept.struck == swept.runs, "{swept:?}");
}

#[test]
fn a_sample_of_interleavings_does_no_harm() {
    for meeting in pairs::all() {
        let explored = explore(&meeting, Effort { most: 1, random: 2, seed: 5 });
        assert!(explored.bad.is_empty(), "{:#?}", explored.bad);
        assert!(explored.calls.iter().filter(|n| **n > 0).count() > 1, "{}: nobody meets", meeting.name);
    }
}

#[test]
fn stories_with_more_than_one_fault_do_no_harm() {
    for (name, tell) in sim::teeth::APART {
        assert_eq!(tell(), Vec::<String>::new(), "{name}");
    }
}

/// Each was told again with this fault in the full grid, and did harm there.
#[test]
fn what_the_full_grid_found_stays_mended() {
    let found = [
        ("hard-decline", "90:error-after:outage"),
        ("captured-on-fulfilment@woocommerce", "64:stale:until-dead"),
        ("refunded@woocommerce", "78:stale:until-dead"),
        ("amount-changed@checkfront", "44:stale:until-dead"),
        ("dashboard-refund@checkfront", "46:stale:until-dead"),
        ("yen@checkfront", "50:stale:until-dead"),
    ];
    for (story, cut) in found {
        let run = Run { scenario: scenario::named(story).unwrap(), cut: Some(cut.parse().unwrap()) };
        let outcome = run.tell();
        assert_eq!(outcome.violations, Vec::<String>::new(), "{}", run.command());
        assert!(outcome.strikes > 0, "{}: the fault struck nothing", run.command());
    }
}
