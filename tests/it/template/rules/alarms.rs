//! Rules on alarms: what must never pass unseen has one, each tells somebody, and each says where the runbook helps.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use shared::queue::Queue;

use super::{Breach, FUNCTIONS, list, of_type, pascal};

const RUNBOOK: &str = include_str!("../../../../docs/RUNBOOK.md");
const LOGGING: &str = include_str!("../../../../docs/LOGGING.md");

/// Metrics that somebody must be told of.
const WATCHED: &[&str] = &[
    "ApproximateNumberOfMessagesVisible",
    "ApproximateAgeOfOldestMessage",
    "Errors",
    "Throttles",
    "RecursiveInvocationsDropped",
    "5xx",
    "Refused",
    "WrongWorld",
    "NoSecret",
    "HooksUnhealthy",
    "FoundByPoll",
    "Invocations",
    "SweepPartsFailed",
    "Reconciliations",
    "Exceptions",
    "Unowned",
    "CasesOpened",
    "TargetErrorCount",
    "InvocationDroppedCount",
];

/// A heading's address on the page.
fn anchor(heading: &str) -> String {
    let kept = |c: char| c.is_alphanumeric() || c == ' ' || c == '-' || c == '_';
    heading.to_lowercase().chars().filter(|c| kept(*c)).collect::<String>().replace(' ', "-")
}

/// The metrics of an alarm: name and dimensions.
fn metrics(alarm: &Value) -> Vec<(&str, &Value)> {
    let p = &alarm["Properties"];
    let own = p["MetricName"].as_str().map(|name| (name, &p["Dimensions"]));
    let of_sum = list(&p["Metrics"]).into_iter().filter_map(|m| {
        let metric = &m["MetricStat"]["Metric"];
        Some((metric["MetricName"].as_str()?, &metric["Dimensions"]))
    });
    own.into_iter().chain(of_sum).collect()
}

/// Whether a metric of ours is sent with dimensions of its own, as the page of metrics says: its sum then has the stack's alone.
fn has_parts(metric: &str) -> bool {
    let name = format!("`{metric}`");
    let cells = |row: &'static str| row.split('|').map(str::trim).skip(1).collect::<Vec<_>>();
    LOGGING
        .lines()
        .map(cells)
        .any(|c| c.len() == 5 && c[0].split(", ").any(|m| m == name) && !c[1].is_empty())
}

pub(super) fn alarms(t: &Value, breach: &mut Breach<'_>) {
    let headings: BTreeSet<String> = RUNBOOK
        .lines()
        .filter(|l| l.starts_with('#'))
        .map(|l| anchor(l.trim_start_matches(['#', ' '])))
        .collect();
    let all = of_type(t, "AWS::CloudWatch::Alarm");
    for (name, alarm) in &all {
        let p = &alarm["Properties"];
        let text = p["AlarmDescription"].as_str().unwrap_or_default();
        match text.split_once("docs/RUNBOOK.md#") {
            Some((_, section)) if headings.contains(section) => {}
            _ => breach(format!("{name} names no section of the runbook: {text:?}")),
        }
        if p["AlarmActions"] != json!([{"Ref": "AlarmTopic"}]) {
            breach(format!("{name} tells nobody"));
        }
        let silence = metrics(alarm).iter().any(|(m, _)| matches!(*m, "Invocations" | "Reconciliations"));
        if p["TreatMissingData"] != json!(if silence { "breaching" } else { "notBreaching" }) {
            breach(format!("{name} takes missing data for the wrong thing"));
        }
    }
    for (metric, dimensions) in
        all.values().flat_map(|a| metrics(a)).filter(|(m, _)| LOGGING.contains(&format!("`{m}`")))
    {
        let named: Vec<_> = list(dimensions).into_iter().filter_map(|d| d["Name"].as_str()).collect();
        let sent = if has_parts(metric) { &["Stack"][..] } else { &["Stack", "Function"] };
        if named != sent {
            breach(format!("the alarm on {metric} looks at {named:?}; it is sent with {sent:?}"));
        }
    }
    for watched in WATCHED {
        if !all.values().any(|a| metrics(a).iter().any(|(m, _)| m == watched)) {
            breach(format!("nobody is told of {watched}"));
        }
    }
    let watches = |metric: &str, resource: Value| {
        all.values().any(|a| {
            let on = |d: &Value| list(d).iter().any(|d| d["Value"] == resource);
            metrics(a).iter().any(|(m, d)| *m == metric && on(d))
        })
    };
    for queue in Queue::ALL.map(|q| pascal(q.name())) {
        for (metric, kind) in
            [("ApproximateNumberOfMessagesVisible", "DeadQueue"), ("ApproximateAgeOfOldestMessage", "Queue")]
        {
            let name = format!("{queue}{kind}");
            if !watches(metric, json!({"Fn::GetAtt": [&name, "QueueName"]})) {
                breach(format!("no alarm watches {metric} of {name}"));
            }
        }
    }
    for (function, _) in FUNCTIONS {
        if !watches("Errors", json!({"Ref": format!("{}Function", pascal(function))})) {
            breach(format!("no alarm watches the errors of {function}"));
        }
    }
}

pub(super) fn dashboard(t: &Value, breach: &mut Breach<'_>) {
    let dashboards = of_type(t, "AWS::CloudWatch::Dashboard");
    let Some(board) = dashboards.values().next() else { return breach("there is no dashboard".to_owned()) };
    let text = board["Properties"]["DashboardBody"]["Fn::Sub"].as_str().unwrap_or_default();
    let Ok(body) = serde_json::from_str::<Value>(text) else {
        return breach("the dashboard is no JSON".to_owned());
    };
    for wanted in ["Orders", "Calls", "RetriesScheduled", "ApproximateAgeOfOldestMessage"] {
        let shown = list(&body["widgets"])
            .iter()
            .any(|w| list(&w["properties"]["metrics"]).iter().any(|m| m[1] == wanted));
        if !shown {
            breach(format!("the dashboard does not show {wanted}"));
        }
    }
}
