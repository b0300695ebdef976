//! The command of the simulation: tells one run again, or sweeps.

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use local::shop::Speaks;
use shared::planted::{Bug, plant};
use sim::backlog::Backlog;
use sim::cut::Cut;
use sim::interleave::{Effort, pairs};
use sim::report::{Depth, Part, explore_all, report};
use sim::scenario;
use sim::sweep::{Plan, Run, sweep};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(about = "Tells orders' stories with every I/O cut in every way")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Tells one story, with a fault or without, and prints its calls and what did not hold.
    Replay {
        /// The story's name.
        scenario: String,
        /// `call:mode:length`.
        #[arg(long)]
        cut: Option<Cut>,
        /// Prints every call.
        #[arg(long)]
        calls: bool,
        /// With this bug planted.
        #[arg(long)]
        bug: Option<String>,
    },
    /// Cuts every call of every story, or a share of them.
    Sweep {
        /// What the shops speak, as `kind` in the configuration.
        #[arg(long, default_value = "checkout")]
        system: String,
        /// Only calls to the order system.
        #[arg(long)]
        shop_only: bool,
        /// Only stories whose name contains this.
        #[arg(long, default_value = "")]
        only: String,
        /// Of the faults of one delivery, one in so many.
        #[arg(long, default_value_t = 1)]
        one_in: u64,
        /// Of the other lengths, one in so many.
        #[arg(long, default_value_t = 1)]
        others_one_in: u64,
        /// Seed of the sample.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Threads; none: one for each core.
        #[arg(long)]
        threads: Option<usize>,
    },
    /// Plants each bug and looks for a run that notices it.
    Teeth {
        /// Only bugs whose name contains this.
        #[arg(long, default_value = "")]
        only: String,
        /// Most runs of each length of fault.
        #[arg(long, default_value_t = usize::MAX)]
        most: usize,
        /// Looks for each only where it was killed before: a minute. One that lives there is a failure.
        #[arg(long)]
        hinted: bool,
    },
    /// Sweeps, interleaves and plants bugs, and prints one report in Markdown.
    Report {
        /// Only these parts: stories, meetings, bugs, or an order system's `kind`.
        parts: Vec<String>,
        /// Over the other order systems cut every call, not only those to the order system.
        #[arg(long)]
        every_call: bool,
        /// Of the faults of one delivery, one in so many.
        #[arg(long, default_value_t = 1)]
        one_in: u64,
        /// Of the other lengths, one in so many.
        #[arg(long, default_value_t = 1)]
        others_one_in: u64,
        /// Most schedules of one meeting.
        #[arg(long, default_value_t = usize::MAX)]
        schedules: usize,
        /// Random schedules of each, beyond.
        #[arg(long, default_value_t = 100)]
        random: usize,
        /// Runs of each length of fault until a planted bug counts as alive.
        #[arg(long, default_value_t = 400)]
        most: usize,
        /// Seed of all samples.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Drains a backlog of one shop beside a few messages of another, on virtual time.
    Backlog {
        /// Messages of the noisy shop.
        #[arg(long, default_value_t = 100_000)]
        noisy: u32,
        /// Messages of the quiet one.
        #[arg(long, default_value_t = 10)]
        quiet: u32,
        /// The mapping's `MaximumConcurrency`.
        #[arg(long, default_value_t = 5)]
        concurrency: u32,
    },
    /// Runs the deliveries of each meeting in every order.
    Interleave {
        /// Only meetings whose name contains this.
        #[arg(long, default_value = "")]
        only: String,
        /// Most schedules of one meeting.
        #[arg(long, default_value_t = usize::MAX)]
        most: usize,
        /// Random schedules of each, beyond.
        #[arg(long, default_value_t = 100)]
        random: usize,
        /// Seed of these.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn main() -> ExitCode {
    match Args::parse().command {
        Command::Replay { scenario, cut, calls, bug } => {
            if let Some(name) = bug {
                let Some(bug) = Bug::ALL.iter().find(|b| format!("{b:?}") == name) else {
                    say(&format!("no bug is called {name:?}; there are {:?}", Bug::ALL));
                    return ExitCode::from(2);
                };
                plant(Some(*bug));
            }
            replay(&scenario, cut, calls)
        }
        Command::Sweep { system, shop_only, only, one_in, others_one_in, seed, threads } => {
            let Some(speaks) = Speaks::of(&system) else {
                let kinds: Vec<&str> = Speaks::ALL.iter().map(|s| s.kind()).collect();
                say(&format!("{system:?} is no order system; there are {}", kinds.join(", ")));
                return ExitCode::from(2);
            };
            let plan = Plan { seed, one_in, others_one_in, service: shop_only.then_some("shop") };
            sweep_some(&only, speaks, plan, threads.unwrap_or_else(cores))
        }
        Command::Teeth { only, most, hinted } => teeth(&only, if hinted { 0 } else { most }),
        Command::Report { parts, every_call, one_in, others_one_in, schedules, random, most, seed } => {
            let all = Part::all();
            if let Some(unknown) = parts.iter().find(|name| all.iter().all(|part| part.name() != **name)) {
                let names: Vec<&str> = all.iter().map(|part| part.name()).collect();
                say(&format!("{unknown:?} is no part of the report; there are {}", names.join(", ")));
                return ExitCode::from(2);
            }
            let wanted = |part: &Part| parts.is_empty() || parts.iter().any(|name| part.name() == name);
            let parts = all.into_iter().filter(wanted).collect();
            let effort = Effort { most: schedules, random, seed };
            let others_service = (!every_call).then_some("shop");
            let plan = Plan { seed, one_in, others_one_in, service: None };
            let (text, good) = report(&Depth { parts, plan, others_service, effort, most, threads: cores() });
            say(&text);
            if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Command::Interleave { only, most, random, seed } => interleave(&only, Effort { most, random, seed }),
        Command::Backlog { noisy, quiet, concurrency } => backlog(noisy, quiet, concurrency),
    }
}

/// A new order: two calls to Stripe. Live and in test mode, and live as it was before messages said whose they are.
fn backlog(noisy: u32, quiet: u32, concurrency: u32) -> ExitCode {
    let live = Backlog { noisy, quiet, concurrency, calls: 2, limit: 100, fair: true };
    let rows = [
        ("Stripe lets 100 a second through", live),
        ("the same, messages without groups", Backlog { fair: false, ..live }),
        ("Stripe lets 25 a second through", Backlog { limit: 25, ..live }),
    ];
    say(
        "| case | drained in s | formula s | the quiet shop waited at most s | most calls a second | refused | came again | dead |",
    );
    say("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for (name, backlog) in rows {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let drained = match runtime.map(|runtime| runtime.block_on(backlog.drain())) {
            Ok(Ok(drained)) => drained,
            Ok(Err(error)) => {
                say(&format!("{name}: {error}"));
                return ExitCode::FAILURE;
            }
            Err(error) => {
                say(&format!("no runtime: {error}"));
                return ExitCode::FAILURE;
            }
        };
        let (took, formula) = (drained.took.as_secs(), backlog.formula().as_secs());
        let waited = drained.quiet_waited.as_secs_f64();
        let rest = format!("{} | {} | {}", drained.refused, drained.repeated, drained.dead);
        say(&format!("| {name} | {took} | {formula} | {waited:.1} | {} | {rest} |", drained.busiest));
        // Within the limit no message may end as a dead letter; past it those that do are the sweeper's to find.
        let ended = usize::try_from(drained.done).unwrap_or(0)
            + if backlog.limit < live.limit { drained.dead } else { 0 };
        if ended < usize::try_from(noisy + quiet).unwrap_or(usize::MAX) {
            say(&format!("{ended} of {} messages came to their end", noisy + quiet));
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn teeth(only: &str, most: usize) -> ExitCode {
    let bugs: Vec<Bug> = Bug::ALL.iter().copied().filter(|b| format!("{b:?}").contains(only)).collect();
    let bitten = sim::teeth::all(&bugs, cores(), most, |b| match &b.by {
        Some((run, violation)) => {
            say(&format!("{:?} killed after {} runs by {run}\n    {violation}", b.bug, b.runs))
        }
        None => say(&format!("{:?} LIVES after {} runs", b.bug, b.runs)),
    });
    let alive = bitten.iter().filter(|b| b.by.is_none()).count();
    say(&format!(
        "{} of {} planted bugs killed, of {} in all",
        bitten.len() - alive,
        bitten.len(),
        Bug::ALL.len()
    ));
    if alive == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn interleave(only: &str, effort: Effort) -> ExitCode {
    let meetings: Vec<_> = pairs::all().into_iter().filter(|m| m.name.contains(only)).collect();
    let mut good = true;
    for found in explore_all(&meetings, effort, cores()) {
        good &= found.bad.is_empty();
        let bound = found.bound.map_or("none".to_owned(), |b| b.to_string());
        let all = if found.all { "all" } else { "some" };
        say(&format!(
            "{:<20} calls {:?}, possible {}, bound {bound}, run {} ({all}), random {}, bad {}",
            found.name,
            found.calls,
            found.possible,
            found.run,
            found.random,
            found.bad.len(),
        ));
        for (schedule, violations) in found.bad.iter().take(5) {
            say(&format!("    {schedule}"));
            for violation in violations {
                say(&format!("        {violation}"));
            }
        }
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn replay(name: &str, cut: Option<Cut>, calls: bool) -> ExitCode {
    let Some(scenario) = scenario::named(name) else {
        let names: Vec<&str> = scenario::all().iter().map(|s| s.name).collect();
        say(&format!("no story is called {name:?}; there are {}", names.join(", ")));
        return ExitCode::from(2);
    };
    let outcome = Run { scenario, cut }.tell();
    if calls {
        for (n, label) in outcome.calls.iter().enumerate() {
            say(&format!("{n:>5} {}", label.label));
        }
    }
    say(&format!(
        "{} calls, {} strikes, settled after {} s",
        outcome.calls.len(),
        outcome.strikes,
        outcome.settled_after
    ));
    for line in &outcome.recorded.timelines() {
        say(line);
    }
    for violation in &outcome.violations {
        say(&format!("  {violation}"));
    }
    if outcome.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn sweep_some(only: &str, speaks: Speaks, plan: Plan, threads: usize) -> ExitCode {
    let stories = scenario::all().into_iter().filter(|s| s.name.contains(only));
    let stories: Vec<_> = stories.map(|s| s.over(speaks)).collect();
    let began = std::time::Instant::now();
    let swept = sweep(&stories, plan, threads);
    for (command, violations) in &swept.bad {
        say(command);
        for violation in violations {
            say(&format!("    {violation}"));
        }
    }
    say(&format!(
        "{} stories, {} calls, {} runs ({} struck), {} bad, slowest to settle {} s ({}), busiest hour {} calls ({}), {:?}",
        swept.scenarios,
        swept.ios,
        swept.runs,
        swept.struck,
        swept.bad.len(),
        swept.slowest.0,
        swept.slowest.1,
        swept.busiest.0,
        swept.busiest.1,
        began.elapsed()
    ));
    if swept.bad.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
