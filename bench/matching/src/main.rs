//! `matching generate FOLDER ORDERS` writes a window of orders as CSV, with every kind of exception in it;
//! `matching match FOLDER` reads it row by row into the matching that the reconciler uses and writes what does not agree.
//!
//! Invariant: the same number of orders makes the same bytes on every machine.

mod draw;
mod read;
mod story;
mod table;
mod write;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use pure::domain::reconcile::{Exception, Matched, Matching, Scope};
use pure::domain::time::{Seconds, UnixTime};

/// The time of the run: what is younger than five minutes is still on its way.
const NOW: UnixTime = UnixTime(1_800_000_000);
/// The stack whose orders these are.
const STACK: &str = "demo";

type Failed = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["generate", folder, orders] => generate(Path::new(folder), orders),
        ["match", folder] => matched(Path::new(folder)),
        _ => Err("usage: matching generate FOLDER ORDERS | matching match FOLDER".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "matching: {error}");
            ExitCode::FAILURE
        }
    }
}

fn generate(folder: &Path, orders: &str) -> Result<(), Failed> {
    let orders = orders.parse().map_err(|_| format!("{orders:?} is no number of orders"))?;
    write::all(folder, orders)
}

fn matched(folder: &Path) -> Result<(), Failed> {
    let scope = Scope { stack: STACK.to_owned(), now: NOW, grace: Seconds::minutes(5) };
    let mut matching = Matching::new(scope);
    read::all(folder, &mut matching)?;
    let Matched { exceptions, .. } = matching.matched();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    writeln!(out, "kind,order,charge,intent,refund,currency,ours,theirs,at_risk,since")?;
    for e in &exceptions {
        let Exception { kind, order, charge, intent, refund, currency, ours, theirs, at_risk, since, .. } = e;
        let amount = |a: &Option<i64>| a.map(|a| a.to_string()).unwrap_or_default();
        let (kind, ours, theirs, since) = (kind.name(), amount(ours), amount(theirs), since.0);
        writeln!(
            out,
            "{kind},{order},{charge},{intent},{refund},{currency},{ours},{theirs},{at_risk},{since}"
        )?;
    }
    out.flush()?;
    // Said here, because what the system says of a child begins with its parent's memory before the program was loaded.
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    Ok(writeln!(std::io::stderr(), "peak {}", peak.trim())?)
}
