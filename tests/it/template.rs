//! Rules that `template.yaml` keeps: numbers that belong together, least privilege, and what must never be in it.
//!
//! Invariant: each rule is shown to fire on a breach planted in a copy of the template.

mod planted;
pub(crate) mod rules;
pub(crate) mod source;
mod transformed;

use std::collections::BTreeSet;

use rules::{RULES, Rule};
use serde_json::Value;

fn breaches(template: &Value, rules: impl Iterator<Item = &'static Rule>) -> Vec<String> {
    let mut found = Vec::new();
    for (rule, check) in rules {
        check(template, &mut |text| found.push(format!("{rule}: {text}")));
    }
    found
}

#[test]
fn the_template_keeps_every_rule() {
    let found = breaches(&source::template().unwrap(), RULES.iter());
    assert!(found.is_empty(), "template.yaml:\n{}", found.join("\n"));
}

/// `.ci/run template` runs it: SAM is needed to transform.
#[test]
#[ignore = "TANDEM_TRANSFORMED names what scripts/transform-template wrote"]
fn what_is_deployed_keeps_every_rule_and_every_rule_fires_there() {
    let deployed = transformed::template().unwrap();
    let written = transformed::as_written(&deployed);
    let rules = || RULES.iter().filter(|(rule, _)| *rule != rules::BUILT);
    let mut found = breaches(&written, rules());
    found.extend(transformed::callers(&deployed));
    assert!(found.is_empty(), "the transformed template:\n{}", found.join("\n"));

    for (rule, _) in rules() {
        let fires = planted::BREACHES.iter().filter(|(planted, _)| planted == rule).any(|(_, plant)| {
            let mut altered = written.clone();
            plant(&mut altered);
            !breaches(&altered, rules().filter(|(name, _)| name == rule)).is_empty()
        });
        assert!(fires, "`{rule}` noticed no breach planted in the transformed template");
    }
    let mut open = deployed;
    open["Resources"]["PaymentPageFunctionPayPermission"]["Properties"]["SourceArn"] = Value::Null;
    assert_eq!(transformed::callers(&open).len(), 1, "a permission for any API");
}

#[test]
fn every_rule_fires_on_a_planted_breach() {
    let template = source::template().unwrap();
    let mut shown = BTreeSet::new();
    for (rule, plant) in planted::BREACHES {
        let mut altered = template.clone();
        plant(&mut altered);
        assert!(
            altered != template,
            "the breach planted for `{rule}` changed nothing: has the template moved on?"
        );
        let check = RULES.iter().find(|(name, _)| name == rule).map(|(_, check)| check).unwrap();
        let mut fired = false;
        check(&altered, &mut |_| fired = true);
        assert!(fired, "`{rule}` did not notice the breach planted for it");
        shown.insert(*rule);
    }
    let all: BTreeSet<_> = RULES.iter().map(|(name, _)| *name).collect();
    assert_eq!(shown, all, "every rule needs a planted breach");
}

#[test]
fn roles_name_the_secrets_of_the_configuration() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../tandem.toml")).unwrap();
    let configuration: toml::Table = toml::from_str(&text).unwrap();
    let mut wanted = BTreeSet::new();
    for source in configuration["sources"].as_table().unwrap().values() {
        wanted.extend(source.get("api_key").into_iter().filter_map(|name| name.as_str().map(str::to_owned)));
        wanted.extend(
            source["webhook_secrets"]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(|name| name.as_str().map(str::to_owned)),
        );
        let keys = source.get("api_keys").and_then(toml::Value::as_table).into_iter().flatten();
        // The default is for the operator's command, which runs with the operator's own rights.
        wanted.extend(
            keys.filter(|(function, _)| *function != "default")
                .filter_map(|(_, name)| name.as_str().map(str::to_owned)),
        );
    }
    wanted.extend(configuration["notices"]["secret"].as_str().map(str::to_owned));
    let wanted: BTreeSet<String> = wanted.iter().map(|s| rules::permissions::as_roles_name_it(s)).collect();
    assert_eq!(
        rules::secrets(&source::template().unwrap()),
        wanted,
        "roles name other secrets than tandem.toml"
    );
}

#[test]
fn the_template_reads_cloudformations_short_forms() {
    let read =
        source::read("a: !GetAtt B.Arn\nb: !If [C, !Ref D, !Sub \"${E}\"]\nc: [1, true, \"01\"]\n").unwrap();
    assert_eq!(
        read,
        serde_json::json!({
            "a": {"Fn::GetAtt": ["B", "Arn"]},
            "b": {"Fn::If": ["C", {"Ref": "D"}, {"Fn::Sub": "${E}"}]},
            "c": [1, true, "01"],
        })
    );
}
