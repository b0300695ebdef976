//! Strict reading of an order system's answers.

use serde_json::{Map, Value};

use crate::domain::money::Currency;
use crate::domain::order::Order;
use crate::outbound::shop::field::{checked, refuse};
use crate::outbound::shop::{Page, ShopError};

/// Fields that an order cannot do without.
const REQUIRED: &[(&str, &str)] = &[
    ("id", "a string"),
    ("status", "a string such as \"open\""),
    ("currency", "an ISO 4217 code such as \"EUR\""),
    ("total", "an integer in minor units, at least 0"),
    ("updated_at", "an integer: Unix seconds"),
    ("version", "an integer that grows with every change"),
];

/// The order `asked` for, or why the answer is none.
pub(super) fn order(body: &Value, asked: &str) -> Result<Order, ShopError> {
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
        return Err(ShopError::OtherOrder { asked: asked.to_owned(), got });
    }
    let order: Order = serde_json::from_value(body.clone()).map_err(|_| culprit(fields))?;
    checked(order)
}

/// Which optional field does not fit; serde's own message could quote contact data.
fn culprit(fields: &Map<String, Value>) -> ShopError {
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

/// A page, or why the answer is none.
pub(super) fn page(body: &Value) -> Result<Page, ShopError> {
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
