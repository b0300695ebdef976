//! Strict reading of an order system's answers.

use serde_json::{Map, Value};

use super::{CheckoutError, Page};
use crate::domain::money::Currency;
use crate::domain::order::Order;

/// Fields whose values may be shown in an error: they never hold contact data.
const SHOWN: &[&str] = &[
    "id",
    "status",
    "currency",
    "total",
    "updated_at",
    "version",
    "collection",
    "capture",
    "deposit",
    "balance_due_at",
];
/// Fields that an order cannot do without.
const REQUIRED: &[(&str, &str)] = &[
    ("id", "a string"),
    ("status", "a string such as \"open\""),
    ("currency", "an ISO 4217 code such as \"EUR\""),
    ("total", "an integer in minor units, at least 0"),
    ("updated_at", "an integer: Unix seconds"),
    ("version", "an integer that grows with every change"),
];

fn refuse(field: &str, found: Option<&Value>, rule: &'static str) -> CheckoutError {
    let name = field.rsplit('.').next().unwrap_or(field);
    let found = match found {
        None => "missing".to_owned(),
        Some(value) if SHOWN.contains(&name) => value.to_string().chars().take(40).collect(),
        Some(Value::Null) => "null".to_owned(),
        Some(Value::Bool(_)) => "a boolean".to_owned(),
        Some(Value::Number(n)) if field.ends_with("amount") => n.to_string(),
        Some(Value::Number(_)) => "a number".to_owned(),
        Some(Value::String(_)) => "a string".to_owned(),
        Some(Value::Array(_)) => "a list".to_owned(),
        Some(Value::Object(_)) => "an object".to_owned(),
    };
    CheckoutError::Field { field: field.to_owned(), found, rule }
}

/// The order `asked` for, or why the answer is none.
pub(super) fn order(body: &Value, asked: &str) -> Result<Order, CheckoutError> {
    let Some(fields) = body.as_object() else {
        return Err(refuse("(body)", Some(body), "one order as a JSON object"));
    };
    for (name, rule) in REQUIRED {
        let value = fields.get(*name);
        let good = match *name {
            "id" | "status" => value.and_then(Value::as_str).is_some_and(|s| !s.is_empty()),
            "currency" => value.and_then(Value::as_str).is_some_and(|c| Currency::parse(c).is_ok()),
            "total" => value.and_then(Value::as_i64).is_some_and(|n| n >= 0),
            "version" => value.and_then(Value::as_u64).is_some(),
            _ => value.and_then(Value::as_i64).is_some(),
        };
        if !good {
            return Err(refuse(name, value, rule));
        }
    }
    let got = fields.get("id").and_then(Value::as_str).unwrap_or_default();
    if got != asked {
        let got = got.chars().take(80).collect();
        return Err(CheckoutError::OtherOrder { asked: asked.to_owned(), got });
    }
    let order: Order = serde_json::from_value(body.clone()).map_err(|_| culprit(fields))?;
    amounts(&order)?;
    sizes(&order)?;
    Ok(order)
}

/// Most refund requests, and most refunds, of one order.
const REFUNDS_MAX: usize = 100;
/// Longest id, number and status that is kept, in characters.
const WORD_CHARS_MAX: usize = 100;

/// What is kept of an order must fit its item for as long as the order lives.
fn sizes(order: &Order) -> Result<(), CheckoutError> {
    for (field, n) in [("refund_requests", order.refund_requests.len()), ("refunds", order.refunds.len())] {
        if n > REFUNDS_MAX {
            return Err(refuse(field, Some(&n.into()), "at most 100 entries"));
        }
    }
    let status = match &order.status {
        crate::domain::order::OrderStatus::Other(word) => word.as_str(),
        _ => "",
    };
    let customer = order.customer.as_ref().and_then(|c| c.id.as_deref()).unwrap_or_default();
    let ids = order.refund_requests.iter().map(|r| &r.id).chain(order.refunds.iter().map(|r| &r.id));
    let words = [("number", order.number.as_str()), ("status", status), ("customer.id", customer)];
    for (field, word) in words.into_iter().chain(ids.map(|id| ("refund id", id.as_str()))) {
        if word.chars().count() > WORD_CHARS_MAX {
            return Err(refuse(field, Some(&word.len().into()), "at most 100 characters"));
        }
    }
    Ok(())
}

/// Which optional field does not fit; serde's own message could quote contact data.
fn culprit(fields: &Map<String, Value>) -> CheckoutError {
    let required: Map<String, Value> = REQUIRED
        .iter()
        .filter_map(|(name, _)| Some(((*name).to_owned(), fields.get(*name)?.clone())))
        .collect();
    for (name, value) in fields {
        let mut alone = required.clone();
        alone.insert(name.clone(), value.clone());
        if serde_json::from_value::<Order>(Value::Object(alone)).is_err() {
            return refuse(name, Some(value), "see the protocol's JSON Schema");
        }
    }
    refuse("(body)", None, "see the protocol's JSON Schema")
}

fn amounts(order: &Order) -> Result<(), CheckoutError> {
    if let Some(deposit) = order.deposit.filter(|d| !(0..=order.total).contains(d)) {
        return Err(refuse("deposit", Some(&deposit.into()), "between 0 and the total"));
    }
    for (i, request) in order.refund_requests.iter().enumerate() {
        let field = |name: &str| format!("refund_requests[{i}].{name}");
        if request.id.is_empty() || order.refund_requests[..i].iter().any(|r| r.id == request.id) {
            return Err(refuse(&field("id"), Some(&request.id.clone().into()), "not empty and never reused"));
        }
        if let Some(amount) = request.amount.filter(|a| *a <= 0) {
            return Err(refuse(&field("amount"), Some(&amount.into()), "an integer in minor units, above 0"));
        }
    }
    for (i, refund) in order.refunds.iter().enumerate() {
        if refund.amount <= 0 {
            let field = format!("refunds[{i}].amount");
            return Err(refuse(&field, Some(&refund.amount.into()), "an integer in minor units, above 0"));
        }
    }
    Ok(())
}

/// A page, or why the answer is none.
pub(super) fn page(body: &Value) -> Result<Page, CheckoutError> {
    if !body.get("orders").is_some_and(Value::is_array) {
        return Err(refuse("orders", body.get("orders"), "a list"));
    }
    if body.get("as_of").and_then(Value::as_i64).is_none() {
        return Err(refuse("as_of", body.get("as_of"), "an integer: Unix seconds"));
    }
    for (i, line) in body["orders"].as_array().into_iter().flatten().enumerate() {
        let good = |name: &str| match name {
            "id" => line[name].as_str().is_some_and(|s| !s.is_empty()),
            "version" => line[name].as_u64().is_some(),
            _ => line[name].as_i64().is_some(),
        };
        for name in ["id", "version", "updated_at"] {
            if !good(name) {
                return Err(refuse(&format!("orders[{i}].{name}"), line.get(name), "as in the order itself"));
            }
        }
    }
    serde_json::from_value(body.clone())
        .map_err(|_| refuse("next_cursor", body.get("next_cursor"), "a string, or null on the last page"))
}
