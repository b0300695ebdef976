//! The borders, one function each.

use super::tree::{Tree, code, mentions};

/// What a rule says about a breach.
type Breach<'a> = dyn FnMut(String) + 'a;
/// A rule: its name, and what it checks.
pub(super) type Rule = (&'static str, fn(&Tree, &mut Breach<'_>));

/// Every rule by name.
pub(super) const RULES: &[Rule] = &[
    ("functions stand alone", functions_stand_alone),
    ("the domain is pure", the_domain_is_pure),
    ("only the store knows items", only_the_store_knows_items),
    ("only aws.rs builds clients", only_aws_builds_clients),
    ("only config.rs reads the environment", only_config_reads_the_environment),
    ("only http.rs opens connections", only_http_opens_connections),
    ("entry points are small", entry_points_are_small),
    ("nothing panics", nothing_panics),
    ("files say what they own", files_say_what_they_own),
    ("files are small", files_are_small),
    ("modules are named after themselves", modules_are_named_after_themselves),
    ("nothing is unsafe", nothing_is_unsafe),
    ("every function has events", every_function_has_events),
    ("every function is deployed", every_function_is_deployed),
    ("every metric is documented", every_metric_is_documented),
];

/// What is deployed.
const DEPLOYED: &[&str] = &["functions/", "shared/src/"];
/// What is deployed, and what operators run.
const OURS: &[&str] = &["functions/", "shared/src/", "cli/src/"];
const ALL: &[&str] = &["functions/", "shared/src/", "cli/src/", "local/src/", "tests/"];

/// Reports each file among `packages` that mentions one of `words`, unless its path satisfies `allowed`.
fn forbid(
    tree: &Tree,
    packages: &[&str],
    words: &[&str],
    allowed: fn(&str) -> bool,
    breach: &mut Breach<'_>,
) {
    for (path, text) in tree.sources(packages).filter(|(path, _)| !allowed(path)) {
        let code = code(text);
        for word in words.iter().filter(|word| mentions(&code, word)) {
            breach(format!("{path} mentions `{word}`"));
        }
    }
}

fn functions_stand_alone(tree: &Tree, breach: &mut Breach<'_>) {
    let functions = tree.functions();
    for own in &functions {
        let folder = format!("functions/{own}/");
        for other in functions.iter().filter(|other| *other != own) {
            let module = format!("{}::", other.replace('-', "_"));
            for (path, _) in tree.below(&folder, ".rs").filter(|(_, text)| mentions(&code(text), &module)) {
                breach(format!("{path} uses {other}"));
            }
            let manifest = tree.text(&format!("{folder}Cargo.toml")).unwrap_or_default();
            if manifest
                .lines()
                .any(|line| line.starts_with(&format!("{other}.")) || line.starts_with(&format!("{other} ")))
            {
                breach(format!("{own} depends on {other}"));
            }
        }
    }
}

fn the_domain_is_pure(tree: &Tree, breach: &mut Breach<'_>) {
    let worldly = [
        "async",
        ".await",
        "tokio",
        "futures",
        "reqwest",
        "hyper",
        "http::",
        "lambda_runtime",
        "aws_lambda_events",
        "aws_config",
        "aws_sdk_dynamodb",
        "aws_sdk_sqs",
        "std::env",
        "std::fs",
        "std::net",
        "std::process",
        "std::thread",
        "SystemTime",
        "Instant",
        "Timestamp::now",
        "Zoned::now",
        "uuid",
        "rand",
        "fastrand",
        "f32",
        "f64",
        "tracing",
        "println!",
        "static mut",
    ];
    forbid(tree, &["shared/src/domain"], &worldly, |_| false, breach);
    for (path, text) in tree.sources(&["shared/src/domain"]) {
        for part in code(text).split("crate::").skip(1).filter(|part| !part.starts_with("domain")) {
            let name: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            breach(format!("{path} uses crate::{name}"));
        }
    }
}

fn only_the_store_knows_items(tree: &Tree, breach: &mut Breach<'_>) {
    let store = |path: &str| path.starts_with("shared/src/store");
    forbid(
        tree,
        OURS,
        &["AttributeValue", "\"pk\"", "\"sk\"", "KeyType", "aws_sdk_dynamodb::types"],
        store,
        breach,
    );
}

fn only_aws_builds_clients(tree: &Tree, breach: &mut Breach<'_>) {
    let aws = |path: &str| path.ends_with("/src/aws.rs") || path.contains("/src/aws/");
    forbid(tree, OURS, &["aws_config", "SdkConfig::builder"], aws, breach);
    for (path, text) in tree.sources(OURS).filter(|(path, _)| !aws(path)) {
        let code = code(text);
        for service in ["dynamodb", "sqs", "scheduler", "ssm", "secretsmanager", "s3", "sts"] {
            for call in ["Client::new", "Client::from_conf", "config::Builder"] {
                if mentions(&code, &format!("aws_sdk_{service}::{call}")) {
                    breach(format!("{path} builds a client of {service}"));
                }
            }
        }
    }
}

fn only_config_reads_the_environment(tree: &Tree, breach: &mut Breach<'_>) {
    let config = |path: &str| path == "shared/src/config.rs" || path.starts_with("shared/src/config/");
    forbid(
        tree,
        DEPLOYED,
        &["std::env", "env::var", "env::vars", "env::var_os", "option_env!"],
        config,
        breach,
    );
    forbid(tree, &["cli/src/", "local/src/"], &["env::var", "env::vars", "env::var_os"], |_| false, breach);
}

fn only_http_opens_connections(tree: &Tree, breach: &mut Breach<'_>) {
    let http = |path: &str| path.starts_with("shared/src/outbound/http");
    forbid(tree, OURS, &["reqwest", "hyper_util", "TcpStream"], http, breach);
}

fn entry_points_are_small(tree: &Tree, breach: &mut Breach<'_>) {
    for (path, text) in tree.below("functions/", "/src/main.rs") {
        let lines = text.lines().count();
        if lines > 25 {
            breach(format!("{path} has {lines} lines, more than 25"));
        }
    }
}

fn nothing_panics(tree: &Tree, breach: &mut Breach<'_>) {
    forbid(
        tree,
        DEPLOYED,
        &[".unwrap()", ".expect(", "panic!(", "todo!(", "unreachable!(", "unimplemented!("],
        |_| false,
        breach,
    );
}

fn files_say_what_they_own(tree: &Tree, breach: &mut Breach<'_>) {
    for (path, text) in ALL.iter().flat_map(|part| tree.below(part, ".rs")) {
        if !text.starts_with("//!") {
            breach(format!("{path} does not open with `//!`"));
        }
    }
}

fn files_are_small(tree: &Tree, breach: &mut Breach<'_>) {
    for (path, text) in ALL.iter().flat_map(|part| tree.below(part, ".rs")) {
        let lines = text.lines().count();
        if lines >= 500 {
            breach(format!("{path} has {lines} lines: split it by idea"));
        }
    }
}

fn modules_are_named_after_themselves(tree: &Tree, breach: &mut Breach<'_>) {
    for (path, _) in ALL.iter().flat_map(|part| tree.below(part, "/mod.rs")) {
        breach(format!("{path} belongs beside its folder, under the folder's name"));
    }
}

fn nothing_is_unsafe(tree: &Tree, breach: &mut Breach<'_>) {
    forbid(
        tree,
        &["functions/", "shared/", "cli/", "local/"],
        &["unsafe fn", "unsafe {", "unsafe impl", "unsafe extern"],
        |_| false,
        breach,
    );
}

fn every_function_has_events(tree: &Tree, breach: &mut Breach<'_>) {
    for name in tree.functions() {
        if tree.below(&format!("events/{name}/"), ".json").next().is_none() {
            breach(format!("events/{name}/ holds no event"));
        }
    }
    for (path, text) in tree.below("events/", ".json") {
        if let Err(e) = serde_json::from_str::<serde_json::Value>(text) {
            breach(format!("{path}: {e}"));
        }
    }
}

fn every_function_is_deployed(tree: &Tree, breach: &mut Breach<'_>) {
    let template = tree.text("template.yaml").unwrap_or_default();
    for name in tree.functions() {
        if !template.contains(&format!("CodeUri: functions/{name}\n")) {
            breach(format!("{name} is not in template.yaml"));
        }
    }
}

/// A metric is made by `count`, `add` or `took` with its name first, or by the receiver's own `count`.
fn every_metric_is_documented(tree: &Tree, breach: &mut Breach<'_>) {
    let documented = tree.text("docs/LOGGING.md").unwrap_or_default();
    for (path, text) in tree.sources(DEPLOYED) {
        let code = code(text);
        for call in ["count(\"", ".add(\"", ".took(\""] {
            for rest in code.split(call).skip(1) {
                let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric()).collect();
                // Anything in lower case is no metric, e.g. a setting.
                if name.starts_with(|c: char| c.is_ascii_uppercase())
                    && !documented.contains(&format!("`{name}`"))
                {
                    breach(format!("{path} measures {name}, which docs/LOGGING.md does not explain"));
                }
            }
        }
    }
}
