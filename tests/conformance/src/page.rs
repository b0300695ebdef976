//! The page of the tables, as Markdown.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::bench::Double;
use crate::check::{Row, Service};
use crate::differences::Difference;

const HEAD: &str = "\
# The doubles

Tests, the demo and `cargo run -- serve` run over doubles: embedded emulators and small doubles of AWS, and a simulator of Stripe. This page says
where each is not like the thing it stands for, and what that could hide. `scripts/conformance` writes it: one script of checks
(`tests/conformance`) runs over the real SDK against the embedded doubles and against software that is not ours, Amazon's DynamoDB
Local, ElasticMQ and ministack, and notes what each did. A difference that is not in `tests/conformance/differences.toml`, or that is there
and no longer seen, fails the run. Do not edit this page.

`same` means: as the service documents it. The right column names the document; *unverified* in it means that no document at hand says so in
these words. None of it has been run against AWS or Stripe.
";

const NONE_SHOW: &str = "\
## What no double shows

Throttling, lag of indexes and weak reads, lost or repeated messages, slow answers, partial outages and permissions: the doubles are
faster and kinder than the services. Faults are put on their calls from outside (`local::aws::Faults`, the simulator's `/_control/faults`),
permissions are compared with the calls that the functions make (`tests/it/permissions.rs`).
";

/// The whole page.
pub fn page(rows: &[Row], known: &[Difference]) -> String {
    let mut text = HEAD.to_owned();
    for (service, title) in [
        (Service::DynamoDb, "DynamoDB"),
        (Service::Sqs, "SQS"),
        (Service::Scheduler, "EventBridge Scheduler"),
    ] {
        let doubles: Vec<Double> = Double::AWS.into_iter().filter(|d| d.plays(service)).collect();
        table(&mut text, title, service, &doubles, rows);
    }
    hides(&mut text, "### What the differences from AWS could hide", rows, known, |d| d != Double::Simulator);
    text.push('\n');
    text.push_str(NONE_SHOW);
    table(&mut text, "Stripe", Service::Stripe, &[Double::Simulator], rows);
    hides(&mut text, "### What the differences from Stripe could hide", rows, known, |d| {
        d == Double::Simulator
    });
    text
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn table(text: &mut String, title: &str, service: Service, doubles: &[Double], rows: &[Row]) {
    let mut by_check: Vec<(&Row, BTreeMap<Double, &Row>)> = Vec::new();
    for row in rows.iter().filter(|row| row.service == service) {
        match by_check.iter_mut().find(|(first, _)| first.check == row.check) {
            Some((_, all)) => all.insert(row.double, row),
            None => {
                by_check.push((row, BTreeMap::from([(row.double, row)])));
                None
            }
        };
    }
    let count = |double: &Double| {
        let of = |row: &&Row| row.service == service && row.double == *double;
        let same = rows.iter().filter(of).filter(|row| row.agrees()).count();
        format!("{} {same} of {}", double.name(), rows.iter().filter(of).count())
    };
    let summary: Vec<String> = doubles.iter().map(count).collect();
    let _ =
        write!(text, "\n## {title}\n\nAs documented: {}.\n\n| tried | {title} does |", summary.join(", "));
    for double in doubles {
        let _ = write!(text, " {} |", double.name());
    }
    text.push_str(" source |\n| --- | --- |");
    text.push_str(&" --- |".repeat(doubles.len() + 1));
    text.push('\n');
    for (first, all) in by_check {
        let _ = write!(text, "| {} | {} |", cell(first.what), cell(first.expected));
        for double in doubles {
            let seen = match all.get(double) {
                Some(row) if row.agrees() => "same".to_owned(),
                Some(row) => format!("**{}**", cell(&row.seen)),
                None => "not asked".to_owned(),
            };
            let _ = write!(text, " {seen} |");
        }
        let _ = writeln!(text, " {} |", cell(first.source));
    }
}

fn hides(text: &mut String, title: &str, rows: &[Row], known: &[Difference], whose: fn(Double) -> bool) {
    let _ = write!(text, "\n{title}\n\n| tried | double | does | could hide |\n| --- | --- | --- | --- |\n");
    for difference in known {
        let mut names: Vec<&str> =
            difference.doubles.iter().filter(|d| whose(**d)).map(|d| d.name()).collect();
        names.dedup();
        let Some(row) = rows.iter().find(|row| row.check == difference.check) else { continue };
        if !names.is_empty() {
            let (what, names) = (cell(row.what), names.join(", "));
            let _ = writeln!(
                text,
                "| {what} | {names} | {} | {} |",
                cell(&difference.seen),
                cell(&difference.hides)
            );
        }
    }
}
