//! The published schema against what the shop and Tandem really say. The validator knows the keywords the schema uses
//! and refuses a schema that uses others, so nothing passes unread.

use serde_json::{Value, json};
use shared::domain::view::PaymentStatus;

const SCHEMA: &str = include_str!("../../../docs/checkout-protocol.schema.json");

/// Why `value` does not fit, or nothing.
fn misfit(root: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
    for (keyword, rule) in schema.as_object().unwrap() {
        let fits = match keyword.as_str() {
            "description" | "default" | "pattern" | "not" | "title" => true,
            "$ref" => {
                let target = root.pointer(rule.as_str().unwrap().trim_start_matches('#')).unwrap();
                return misfit(root, target, value, at);
            }
            "type" => match rule {
                Value::Array(kinds) => kinds.iter().any(|kind| is_of(kind, value)),
                kind => is_of(kind, value),
            },
            "enum" => rule.as_array().unwrap().contains(value),
            "oneOf" => {
                rule.as_array().unwrap().iter().filter(|s| misfit(root, s, value, at).is_none()).count() == 1
            }
            "minimum" => value.as_i64().is_none_or(|n| n >= rule.as_i64().unwrap()),
            "maximum" => value.as_i64().is_none_or(|n| n <= rule.as_i64().unwrap()),
            "minLength" => value.as_str().is_none_or(|s| s.len() as u64 >= rule.as_u64().unwrap()),
            "maxLength" => value.as_str().is_none_or(|s| s.len() as u64 <= rule.as_u64().unwrap()),
            "required" => {
                rule.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some())
            }
            "items" => {
                let each = value.as_array().into_iter().flatten().enumerate();
                return each.filter_map(|(i, v)| misfit(root, rule, v, &format!("{at}[{i}]"))).next();
            }
            "properties" => {
                let known = rule.as_object().unwrap();
                let fields = value.as_object().into_iter().flatten();
                let bad =
                    fields.filter_map(|(k, v)| misfit(root, known.get(k)?, v, &format!("{at}.{k}"))).next();
                if bad.is_some() {
                    return bad;
                }
                true
            }
            "additionalProperties" => match (rule, schema.get("properties")) {
                (Value::Bool(false), Some(known)) => {
                    value.as_object().unwrap().keys().all(|k| known.get(k).is_some())
                }
                (rule, _) => value.as_object().unwrap().values().all(|v| misfit(root, rule, v, at).is_none()),
            },
            other => panic!("the schema uses {other}, which this test cannot check"),
        };
        if !fits {
            return Some(format!("{at}: {value} breaks {keyword} {rule}"));
        }
    }
    None
}

fn is_of(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap() {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the schema names the type {other}"),
    }
}

/// Checks `value` against one definition.
pub(super) fn assert_fits(definition: &str, value: &Value) {
    let root: Value = serde_json::from_str(SCHEMA).unwrap();
    let found = misfit(&root, &root["$defs"][definition], value, definition);
    assert_eq!(found, None);
}

/// Checks that every field of `value` is in the definition: what we say is published.
pub(super) fn assert_published(definition: &str, value: &Value) {
    let root: Value = serde_json::from_str(SCHEMA).unwrap();
    let known = &root["$defs"][definition]["properties"];
    for field in value.as_object().unwrap().keys() {
        assert!(known.get(field).is_some(), "{definition}.{field} is not in the schema");
    }
}

#[test]
fn the_schema_names_every_payment_status_and_no_other() {
    let root: Value = serde_json::from_str(SCHEMA).unwrap();
    let names: Vec<&str> = PaymentStatus::ALL.iter().map(|s| s.name()).collect();
    assert_eq!(root["$defs"]["payment"]["properties"]["status"]["enum"], json!(names));
}

#[test]
fn the_documents_samples_fit_and_bad_ones_do_not() {
    let page = include_str!("../../../docs/checkout-protocol.md");
    let samples: Vec<Value> = page
        .split("```json\n")
        .skip(1)
        .map(|rest| serde_json::from_str(rest.split("```").next().unwrap()).unwrap())
        .collect();
    let definitions = ["order", "writeBack", "page", "notice"];
    assert_eq!(samples.len(), definitions.len());
    for (definition, sample) in definitions.into_iter().zip(&samples) {
        assert_fits(definition, sample);
    }
    let root: Value = serde_json::from_str(SCHEMA).unwrap();
    let mut bad = samples[0].clone();
    bad["total"] = json!(-1);
    assert!(misfit(&root, &root["$defs"]["order"], &bad, "order").is_some());
    bad["total"] = json!("12.50");
    assert!(misfit(&root, &root["$defs"]["order"], &bad, "order").is_some());
}
