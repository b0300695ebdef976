//! The list of differences that are known, each with what it could hide, against what was seen.
//!
//! Invariant: a difference passes only if check, double and outcome are in the list, and an entry only if it was seen.

use std::collections::BTreeSet;

use crate::bench::Double;
use crate::check::{Row, Trouble};

/// One entry of `differences.toml`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// `service/id`.
    pub check: String,
    /// Whose difference it is.
    pub doubles: Vec<Double>,
    /// What they do instead.
    pub seen: String,
    /// Which mistake of ours it could hide, and what shows that mistake all the same.
    pub hides: String,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    difference: Vec<Difference>,
}

/// The list as it is in the tree.
pub fn known() -> Result<Vec<Difference>, Trouble> {
    parse(include_str!("../differences.toml"))
}

fn parse(text: &str) -> Result<Vec<Difference>, Trouble> {
    Ok(toml::from_str::<File>(text).map_err(Trouble::new)?.difference)
}

/// Whose entry a row is.
fn lists(difference: &Difference, row: &Row) -> bool {
    difference.check == row.check && difference.doubles.contains(&row.double) && difference.seen == row.seen
}

/// What is in the rows and not in the list, and what the list says of these doubles and no row shows.
pub fn problems(known: &[Difference], rows: &[Row]) -> Vec<String> {
    let mut problems = Vec::new();
    for row in rows.iter().filter(|row| !row.agrees()) {
        if !known.iter().any(|difference| lists(difference, row)) {
            problems.push(format!(
                "{} at {}: {:?} instead of {:?}: not in the list of differences",
                row.check,
                row.double.name(),
                row.seen,
                row.expected
            ));
        }
    }
    let asked: BTreeSet<Double> = rows.iter().map(|row| row.double).collect();
    for difference in known {
        for double in difference.doubles.iter().filter(|double| asked.contains(double)) {
            let shows = |row: &&Row| row.double == *double && lists(difference, row) && !row.agrees();
            if rows.iter().find(shows).is_none() {
                problems.push(format!(
                    "{} at {}: listed as {:?}, no longer seen: take it off the list",
                    difference.check,
                    double.name(),
                    difference.seen
                ));
            }
        }
        if difference.hides.len() < 20 {
            problems.push(format!("{}: the list does not say what it could hide", difference.check));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Service;

    fn row(seen: &str) -> Row {
        Row {
            check: "sqs/purge".into(),
            service: Service::Sqs,
            what: "a purged queue",
            expected: "empty",
            source: "SQS API",
            double: Double::Elasticmq,
            seen: seen.into(),
        }
    }

    fn entry(seen: &str) -> Difference {
        let text = format!(
            "[[difference]]\ncheck = \"sqs/purge\"\ndoubles = [\"elasticmq\"]\nseen = \"{seen}\"\nhides = \"a purge that leaves something behind\""
        );
        parse(&text).unwrap().remove(0)
    }

    #[test]
    fn only_a_listed_difference_passes() {
        assert_eq!(problems(&[], &[row("empty")]), Vec::<String>::new());
        assert_eq!(problems(&[entry("full")], &[row("full")]), Vec::<String>::new());
        assert!(problems(&[], &[row("full")])[0].contains("not in the list"));
        let other = problems(&[entry("half")], &[row("full")]);
        assert_eq!(other.len(), 2, "{other:?}");
    }

    #[test]
    fn a_listed_difference_that_vanished_is_told() {
        assert!(problems(&[entry("full")], &[row("empty")])[0].contains("no longer seen"));
        // A double that was not asked says nothing about the list.
        let embedded = Row { double: Double::Embedded, ..row("empty") };
        assert_eq!(problems(&[entry("full")], &[embedded]), Vec::<String>::new());
    }

    #[test]
    fn every_entry_must_say_what_it_hides() {
        let mute = Difference { hides: "-".into(), ..entry("full") };
        assert!(problems(&[mute], &[row("full")])[0].contains("does not say"));
        assert!(parse("[[difference]]\ncheck = \"a\"").is_err());
    }
}
