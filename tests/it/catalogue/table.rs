//! `docs/failures.md` against the sources: every case has a row, every row names tests that exist, every test of the
//! catalogue has its row.

use std::collections::BTreeSet;

use crate::architecture::tree::Tree;

const TABLE: &str = "docs/failures.md";
const CASES: usize = 34;

/// A row's cells, without the number.
struct Row {
    number: usize,
    case: String,
    does: String,
    tests: Vec<String>,
    owed: String,
}

fn rows(text: &str) -> Vec<Row> {
    let cells = |line: &str| -> Option<Row> {
        let mut cells = line.strip_prefix('|')?.strip_suffix('|')?.split('|').map(|c| c.trim().to_owned());
        let number = cells.next()?.parse().ok()?;
        let (case, does, proof, owed) = (cells.next()?, cells.next()?, cells.next()?, cells.next()?);
        let tests = proof.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        Some(Row { number, case, does, tests, owed })
    };
    text.lines().filter_map(cells).collect()
}

/// Names of the tests in a source: functions under an attribute that makes them one.
fn tests_in(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some(rest) = line.strip_prefix("async fn ").or_else(|| line.strip_prefix("fn ")) {
            if std::mem::take(&mut is_test) {
                found.extend(rest.split('(').next().map(str::to_owned));
            }
        } else if !line.starts_with("#[") && !line.starts_with("//") {
            is_test = false;
        }
    }
    found
}

fn breaches(tree: &Tree) -> Vec<String> {
    let rows = rows(tree.text(TABLE).unwrap_or_default());
    let mut out = Vec::new();
    let numbers: Vec<usize> = rows.iter().map(|r| r.number).collect();
    if numbers != (1..=CASES).collect::<Vec<_>>() {
        out.push(format!("rows are numbered {numbers:?}, not 1 to {CASES}"));
    }
    let all: BTreeSet<String> = tree.below("", ".rs").flat_map(|(_, text)| tests_in(text)).collect();
    let mut named = BTreeSet::new();
    for row in &rows {
        if row.case.is_empty() || row.does.is_empty() || row.owed.is_empty() || row.tests.is_empty() {
            out.push(format!("row {} has an empty cell or names no test", row.number));
        }
        for test in &row.tests {
            if !all.contains(test) {
                out.push(format!("row {}: there is no test {test}", row.number));
            }
            named.insert(test.clone());
        }
    }
    for (path, text) in
        tree.below("tests/it/catalogue/", ".rs").filter(|(path, _)| !path.ends_with("table.rs"))
    {
        out.extend(tests_in(text).difference(&named).map(|test| format!("{path}: no row names {test}")));
    }
    out
}

#[test]
fn every_case_has_its_row_and_every_row_its_tests() {
    assert_eq!(breaches(&Tree::of_the_repository().unwrap()), Vec::<String>::new());
}

#[test]
fn a_missing_row_a_wrong_name_and_a_forgotten_test_are_noticed() {
    let planted = "#[tokio::test(start_paused = true)]\nasync fn a_case_without_a_row() {}\n";
    let mut tree = Tree::of_the_repository().unwrap();
    tree.append("tests/it/catalogue/planted.rs", planted);
    assert_eq!(breaches(&tree), ["tests/it/catalogue/planted.rs: no row names a_case_without_a_row"]);
    let mut tree = Tree::of_the_repository().unwrap();
    tree.append(TABLE, "\n| 36 | a case | does | `no_such_test` | - |\n");
    let found = breaches(&tree).join("\n");
    assert!(found.contains("35") || found.contains("36"), "{found}");
    assert!(found.contains("row 36: there is no test no_such_test"), "{found}");
    assert!(tests_in("fn a_helper() {}\n#[test]\n#[should_panic]\nfn a_test() {}").iter().eq(["a_test"]));
}
