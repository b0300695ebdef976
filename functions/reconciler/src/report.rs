//! A report as files and as a notice. The key holds a hash of the findings, so the same findings are one report.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use shared::domain::money::{Currency, Money};
use shared::domain::reconcile::{Exception, Matched, Window};
use shared::domain::time::UnixTime;
use shared::inbound::short_hash;
use shared::queue::Body;

use crate::{ReconcileError, ReconcileReport, merged};

/// Hex digits of the hash.
const HASH_DIGITS: usize = 16;

pub(crate) fn of(
    window: Window,
    orders: u32,
    foreign: u32,
    partial: Vec<String>,
    matched: Matched,
) -> ReconcileReport {
    let hash = hash_of(orders, &partial, &matched);
    ReconcileReport {
        window,
        orders,
        agreed: matched.agreed,
        foreign: merged(&matched, foreign),
        at_risk: at_risk(&matched.exceptions),
        exceptions: matched.exceptions,
        partial,
        key: format!("reports/{}/{}_{}-{hash}", window.to(), window.from(), window.to()),
    }
}

/// Over what was found, not over when: ages are left out.
fn hash_of(orders: u32, partial: &[String], matched: &Matched) -> String {
    let lines: Vec<Value> = matched
        .exceptions
        .iter()
        .map(|e| {
            json!([e.kind, e.order, e.charge, e.refund, e.currency, e.ours, e.theirs, e.at_risk, e.since])
        })
        .collect();
    short_hash(json!([orders, matched.agreed, partial, lines]).to_string(), HASH_DIGITS)
}

/// Each object once, with what is worst about it: two exceptions about one charge are one risk.
fn at_risk(exceptions: &[Exception]) -> BTreeMap<String, i64> {
    let mut worst: BTreeMap<(&str, &str, &str), i64> = BTreeMap::new();
    for e in exceptions.iter().filter(|e| e.at_risk > 0) {
        let object = if e.refund.is_empty() { &e.charge } else { &e.refund };
        let entry = worst.entry((&e.currency, &e.order, object)).or_default();
        *entry = (*entry).max(e.at_risk);
    }
    let mut sums: BTreeMap<String, i64> = BTreeMap::new();
    for ((currency, ..), amount) in worst {
        let sum = sums.entry(currency.to_owned()).or_default();
        *sum = sum.saturating_add(amount);
    }
    sums
}

fn decimal(amount: Option<i64>, currency: &str) -> String {
    match (amount, Currency::parse(currency)) {
        (Some(minor), Ok(currency)) => Money::new(minor, currency).decimal(),
        _ => String::new(),
    }
}

/// A text that no spreadsheet takes for a formula.
fn plain(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

/// One line per exception, amounts as decimals of major units.
pub(crate) fn csv(report: &ReconcileReport) -> Result<Vec<u8>, ReconcileError> {
    let mut out = csv::Writer::from_writer(Vec::new());
    let failed = |_| ReconcileError::Write("CSV");
    let head = [
        "kind",
        "order",
        "charge",
        "payment_intent",
        "refund",
        "currency",
        "ours",
        "theirs",
        "at_risk",
        "since",
        "age_hours",
        "what",
        "action",
    ];
    out.write_record(head).map_err(failed)?;
    for e in &report.exceptions {
        let line = [
            e.kind.name().to_owned(),
            plain(&e.order),
            plain(&e.charge),
            plain(&e.intent),
            plain(&e.refund),
            e.currency.clone(),
            decimal(e.ours, &e.currency),
            decimal(e.theirs, &e.currency),
            decimal(Some(e.at_risk), &e.currency),
            e.since.to_string(),
            (e.age.0 / 3_600).to_string(),
            plain(&e.text),
            e.action.to_owned(),
        ];
        out.write_record(line).map_err(failed)?;
    }
    out.into_inner().map_err(|_| ReconcileError::Write("CSV"))
}

/// All of it, amounts in ISO minor units.
pub(crate) fn json(report: &ReconcileReport, now: UnixTime) -> Result<Vec<u8>, ReconcileError> {
    let value = json!({
        "from": report.window.from(),
        "to": report.window.to(),
        "made_at": now.to_string(),
        "orders": report.orders,
        "agreed": report.agreed,
        "foreign": report.foreign,
        "counts": counts(report),
        "at_risk": report.at_risk,
        "partial": report.partial,
        "exceptions": report.exceptions,
    });
    serde_json::to_vec_pretty(&value).map_err(|_| ReconcileError::Write("JSON"))
}

fn counts(report: &ReconcileReport) -> BTreeMap<&'static str, u32> {
    report.counts().into_iter().map(|(kind, count)| (kind.name(), count)).collect()
}

/// The summary for the notifier: counts and sums only, no order and no person.
pub(crate) fn notice(report: &ReconcileReport) -> Body {
    let hash = report.key.rsplit('-').next().unwrap_or_default();
    let orders: BTreeSet<&str> = report.exceptions.iter().map(|e| e.order.as_str()).collect();
    let data = [
        ("type", json!("reconciliation")),
        ("from", json!(report.window.from())),
        ("to", json!(report.window.to())),
        ("orders", json!(report.orders)),
        ("agreed", json!(report.agreed)),
        ("foreign", json!(report.foreign)),
        ("exceptions", json!(report.exceptions.len())),
        ("orders_with_exceptions", json!(orders.len())),
        ("counts", json!(counts(report))),
        ("at_risk", json!(report.at_risk)),
        ("partial", json!(report.partial)),
        ("report", json!(format!("{}.csv", report.key))),
    ];
    Body::Notice {
        key: format!("reconciliation:{}_{}:{hash}", report.window.from(), report.window.to()),
        data: data.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_in_an_order_s_id_stays_text() {
        assert_eq!(plain("=1+1"), "'=1+1");
        assert_eq!(plain("demo#checkout#shop#1"), "demo#checkout#shop#1");
    }

    #[test]
    fn a_run_without_exceptions_has_a_head_and_a_notice_all_the_same() {
        let window = Window::parse("2026-11-01", "2026-11-02").unwrap();
        let report = of(window, 3, 1, Vec::new(), Matched { agreed: 4, ..Matched::default() });
        let text = String::from_utf8(csv(&report).unwrap()).unwrap();
        assert_eq!(text.lines().count(), 1);
        let Body::Notice { key, data } = notice(&report) else { panic!() };
        assert!(key.starts_with("reconciliation:2026-11-01_2026-11-02:"), "{key}");
        assert_eq!(
            (&data["exceptions"], &data["orders"], &data["foreign"]),
            (&json!(0), &json!(3), &json!(1))
        );
    }
}
