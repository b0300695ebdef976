//! `expand`: ids replaced by their objects, in any answer.
//!
//! Invariant: only what the API document lists as expandable can be expanded; null stays null.

use serde_json::{Value, json};

use super::error::ApiError;
use super::objects::Object as _;
use super::world::World;

/// Expandable fields by object. A nested hash on the way is walked through by its own name.
const EXPANDABLE: &[(&str, &[&str])] = &[
    (
        "charge",
        &[
            "balance_transaction",
            "customer",
            "failure_balance_transaction",
            "payment_intent",
            "refunds",
            "review",
            "application",
        ],
    ),
    ("payment_intent", &["customer", "latest_charge", "payment_method", "review", "application"]),
    (
        "refund",
        &[
            "balance_transaction",
            "charge",
            "customer",
            "failure_balance_transaction",
            "payment_intent",
            "payment_method",
        ],
    ),
    (
        "checkout.session",
        &["customer", "line_items", "payment_intent", "setup_intent", "subscription", "invoice"],
    ),
    ("dispute", &["charge", "payment_intent"]),
    ("balance_transaction", &["source"]),
    ("payout", &["balance_transaction", "failure_balance_transaction", "destination"]),
    ("payment_method", &["customer"]),
    ("customer", &["default_source"]),
    ("customer.invoice_settings", &["default_payment_method"]),
];

impl World {
    /// Applies every path of `expand`.
    pub(crate) fn expand(&self, answer: &mut Value, paths: &[&str]) -> Result<(), ApiError> {
        for path in paths {
            let parts: Vec<&str> = path.split('.').collect();
            if parts.len() > 5 || (parts.len() == 5 && parts.first() != Some(&"data")) {
                let text = format!("You cannot expand more than 4 levels of a property: {path}.");
                return Err(ApiError::plain_param("expand", &text));
            }
            let kind = answer.get("object").and_then(Value::as_str).unwrap_or_default().to_owned();
            self.walk(answer, &kind, &parts, path)?;
        }
        Ok(())
    }

    fn walk(&self, at: &mut Value, kind: &str, parts: &[&str], path: &str) -> Result<(), ApiError> {
        let Some((first, rest)) = parts.split_first() else { return Ok(()) };
        if kind == "list" {
            if *first != "data" {
                return Err(not_expandable(path));
            }
            for row in at.get_mut("data").and_then(Value::as_array_mut).into_iter().flatten() {
                let kind = row.get("object").and_then(Value::as_str).unwrap_or_default().to_owned();
                self.walk(row, &kind, rest, path)?;
            }
            return Ok(());
        }
        if kind == "customer" && *first == "invoice_settings" {
            return match at.get_mut("invoice_settings") {
                Some(settings) => self.walk(settings, "customer.invoice_settings", rest, path),
                None => Ok(()),
            };
        }
        let allowed =
            EXPANDABLE.iter().find(|(k, _)| *k == kind).is_some_and(|(_, fields)| fields.contains(first));
        if !allowed {
            return Err(not_expandable(path));
        }
        let owner = at.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        let Some(map) = at.as_object_mut() else { return Ok(()) };
        let found = match map.get(*first).and_then(Value::as_str) {
            Some(id) => self.lookup(id),
            None => self.hidden(&owner, first).filter(|_| !map.contains_key(*first)),
        };
        if let Some(found) = found {
            map.insert((*first).to_owned(), found);
        }
        match map.get_mut(*first) {
            Some(next) if next.is_object() => {
                let kind = next.get("object").and_then(Value::as_str).unwrap_or_default().to_owned();
                self.walk(next, &kind, rest, path)
            }
            _ => Ok(()),
        }
    }

    /// Lists that an object shows only when asked.
    fn hidden(&self, owner: &str, field: &str) -> Option<Value> {
        match field {
            "refunds" => {
                let mut data: Vec<Value> = self
                    .refunds
                    .rows()
                    .iter()
                    .rev()
                    .filter(|r| r.charge == owner)
                    .map(|r| r.render())
                    .collect();
                let more = data.len() > 10;
                data.truncate(10);
                let url = format!("/v1/charges/{owner}/refunds");
                Some(json!({ "object": "list", "data": data, "has_more": more, "url": url }))
            }
            "line_items" => {
                let session = self.sessions.get(owner)?;
                let data: Vec<Value> = session.lines.iter().map(|l| l.render(&session.currency)).collect();
                let url = format!("/v1/checkout/sessions/{owner}/line_items");
                Some(json!({ "object": "list", "data": data, "has_more": false, "url": url }))
            }
            _ => None,
        }
    }

    /// The object behind an id of any type.
    fn lookup(&self, id: &str) -> Option<Value> {
        match id.split('_').next().unwrap_or_default() {
            "cus" => self.customers.get(id).map(|o| o.render()),
            "pm" => self.methods.get(id).map(|o| o.render()),
            "pi" => self.intents.get(id).map(|o| o.render()),
            "ch" => self.charges.get(id).map(|o| o.render()),
            "re" => self.refunds.get(id).map(|o| o.render()),
            "du" => self.disputes.get(id).map(|o| o.render()),
            "txn" => self.transactions.get(id).map(|o| o.render()),
            "po" => self.payouts.get(id).map(|o| o.render()),
            _ => None,
        }
    }
}

/// Refuses, before anything is done, a path whose first step the answer cannot have.
pub(crate) fn foresee(url: &[&str], paths: &[&str]) -> Result<(), ApiError> {
    let kind = match *url {
        ["payment_intents", ..] => "payment_intent",
        ["charges", _] => "charge",
        ["refunds", ..] => "refund",
        ["checkout", "sessions"] | ["checkout", "sessions", _] | ["checkout", "sessions", _, "expire"] => {
            "checkout.session"
        }
        ["customers"] | ["customers", _] => "customer",
        ["payment_methods", ..] => "payment_method",
        ["disputes", ..] => "dispute",
        _ => return Ok(()),
    };
    let fields = EXPANDABLE.iter().find(|(k, _)| *k == kind).map_or(&[][..], |(_, fields)| *fields);
    for path in paths {
        let first = path.split('.').next().unwrap_or_default();
        let known =
            fields.contains(&first) || first == "data" || (kind == "customer" && first == "invoice_settings");
        if !known {
            return Err(not_expandable(path));
        }
    }
    Ok(())
}

fn not_expandable(path: &str) -> ApiError {
    ApiError::plain_param("expand", &format!("This property cannot be expanded ({path})."))
}
