//! Who may know what: the borders between the parts of the house, read from the tree itself.
//!
//! Invariant: each rule is shown to fire on a breach planted in a copy of the tree.

mod planted;
mod rules;
mod tree;

use std::collections::BTreeSet;

use rules::RULES;
use tree::Tree;

#[test]
fn the_tree_keeps_every_border() {
    let tree = Tree::of_the_repository().unwrap();
    let mut breaches = Vec::new();
    for (rule, check) in RULES {
        check(&tree, &mut |text| breaches.push(format!("{rule}: {text}")));
    }
    assert!(breaches.is_empty(), "{} breaches:\n{}", breaches.len(), breaches.join("\n"));
}

/// Rule, file, and the text whose addition must be noticed.
const PLANTED: &[(&str, &str, &str)] = &[
    ("functions stand alone", "functions/sweeper/src/lib.rs", "use notifier::Deps;\n"),
    (
        "functions stand alone",
        "functions/sweeper/Cargo.toml",
        "\n[dev-dependencies]\nnotifier.workspace = true\n",
    ),
    ("the domain is pure", "shared/src/domain/plan.rs", "pub async fn plan() {}\n"),
    ("the domain is pure", "shared/src/domain/plan.rs", "use std::time::SystemTime;\n"),
    ("the domain is pure", "shared/src/domain/plan.rs", "use crate::store::Orders;\n"),
    ("the domain is pure", "shared/src/domain/fold/money.rs", "fn share(a: f64) {}\n"),
    ("the domain is pure", "shared/src/domain/ids.rs", "fn new() { uuid::Uuid::now_v7(); }\n"),
    ("only the store knows items", "shared/src/engine.rs", "use aws_sdk_dynamodb::types::AttributeValue;\n"),
    ("only the store knows items", "functions/notifier/src/lib.rs", "const KEY: &str = \"pk\";\n"),
    (
        "only aws.rs builds clients",
        "functions/notifier/src/lib.rs",
        "let c = aws_sdk_sqs::Client::new(&config);\n",
    ),
    ("only aws.rs builds clients", "shared/src/timer.rs", "aws_config::load_defaults(v).await;\n"),
    ("only config.rs reads the environment", "shared/src/secrets.rs", "let key = std::env::var(\"KEY\");\n"),
    ("only config.rs reads the environment", "functions/sweeper/src/lib.rs", "use std::env;\n"),
    (
        "only http.rs opens connections",
        "shared/src/outbound/stripe.rs",
        "let http = reqwest::Client::new();\n",
    ),
    ("nothing panics", "shared/src/engine.rs", "fn f(x: Option<u8>) -> u8 { x.unwrap() }\n"),
    ("nothing panics", "functions/notifier/src/lib.rs", "let x = y.expect(\"there\");\n"),
    ("files say what they own", "shared/src/new.rs", "pub fn f() {}\n"),
    ("modules are named after themselves", "shared/src/new/mod.rs", "//! New.\n"),
    ("nothing is unsafe", "local/src/lib.rs", "unsafe fn f() {}\n"),
    ("every function has events", "events/broken.json", "{"),
    (
        "every metric is documented",
        "shared/src/engine.rs",
        "fn f(m: &Metrics) { m.count(\"Secret\", &[]); }\n",
    ),
];

#[test]
fn every_border_is_guarded() {
    let tree = Tree::of_the_repository().unwrap();
    let mut shown = BTreeSet::new();
    for (rule, file, text) in PLANTED {
        let check = RULES.iter().find(|(name, _)| name == rule).map(|(_, check)| check).unwrap();
        let count = |tree: &Tree| {
            let mut count = 0;
            check(tree, &mut |_| count += 1);
            count
        };
        let mut altered = tree.clone();
        altered.append(file, text);
        assert!(count(&altered) > count(&tree), "`{rule}` did not notice {text:?} in {file}");
        shown.insert(*rule);
    }
    for (rule, file) in [
        ("files are small", "shared/src/new.rs"),
        ("entry points are small", "functions/sweeper/src/main.rs"),
    ] {
        let mut altered = tree.clone();
        altered.append(file, &"//\n".repeat(500));
        let check = RULES.iter().find(|(name, _)| *name == rule).map(|(_, check)| check).unwrap();
        let mut noticed = false;
        check(&altered, &mut |text| noticed |= text.starts_with(file));
        assert!(noticed, "`{rule}` did not notice {file}");
        shown.insert(rule);
    }
    // A function without events and without a Lambda: a folder that the template does not know.
    let mut altered = tree.clone();
    altered.append("functions/stranger/Cargo.toml", "[package]\nname = \"stranger\"\n");
    let mut noticed = Vec::new();
    for (rule, check) in RULES {
        check(&altered, &mut |_| noticed.push(*rule));
    }
    assert!(
        noticed.contains(&"every function has events") && noticed.contains(&"every function is deployed")
    );
    shown.insert("every function is deployed");

    let all: BTreeSet<_> = RULES.iter().map(|(name, _)| *name).collect();
    assert_eq!(shown, all, "every rule needs a planted breach");
}

#[test]
fn comments_and_tests_are_not_code() {
    let text = "//! Reads `std::env::var`.\nfn f() {} // x.unwrap()\nlet url = \"https://x\";\n#[cfg(test)]\nmod tests {\n y.unwrap(); }\n";
    assert_eq!(tree::code(text), "\nfn f() {} \nlet url = \"https://x\";\n");
}
