//! A GraphQL document as the store understands it: variables put in, fragments unfolded, `@include` and `@skip` obeyed;
//! and of an object exactly what was selected.
//!
//! Invariant: a field that the store does not have is an error, never silently left out.

use std::collections::BTreeMap;

use async_graphql_parser::types::{Directive, ExecutableDocument, OperationType, Selection, SelectionSet};
use async_graphql_parser::{Positioned, parse_query};
use async_graphql_value::{ConstValue, Name, Value as Written};
use serde_json::{Map, Value};

/// What a single query may cost at most.
pub(super) const COST_MAX: u64 = 1000;

/// One operation.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) mutation: bool,
    pub(super) fields: Vec<Field>,
}

/// A selected field.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) shown: String,
    pub(super) arguments: Map<String, Value>,
    /// The key of `@idempotent`.
    pub(super) idempotent: Option<String>,
    pub(super) fields: Vec<Field>,
}

type Arguments = [(Positioned<Name>, Positioned<Written>)];

struct Unfolding<'a> {
    document: &'a ExecutableDocument,
    variables: &'a Map<String, Value>,
}

/// The one operation of a document.
pub(super) fn operation(text: &str, variables: &Map<String, Value>) -> Result<Operation, String> {
    let document = parse_query(text).map_err(|e| e.to_string())?;
    let mut operations = document.operations.iter();
    let (Some((_, operation)), None) = (operations.next(), operations.next()) else {
        return Err("An operation name is required".to_owned());
    };
    let declared: BTreeMap<&str, bool> = operation
        .node
        .variable_definitions
        .iter()
        .map(|v| (v.node.name.node.as_str(), v.node.var_type.node.nullable))
        .collect();
    for (name, nullable) in &declared {
        if !nullable && variables.get(*name).is_none_or(Value::is_null) {
            return Err(format!("Variable ${name} of a required type was provided invalid value"));
        }
    }
    if let Some(name) = variables.keys().find(|name| !declared.contains_key(name.as_str())) {
        return Err(format!("Variable ${name} is not declared"));
    }
    let unfolding = Unfolding { document: &document, variables };
    Ok(Operation {
        mutation: operation.node.ty == OperationType::Mutation,
        fields: unfolding.fields(&operation.node.selection_set.node)?,
    })
}

impl Unfolding<'_> {
    fn fields(&self, set: &SelectionSet) -> Result<Vec<Field>, String> {
        let mut fields = Vec::new();
        for item in &set.items {
            match &item.node {
                Selection::Field(field) => {
                    let field = &field.node;
                    if !self.wanted(&field.directives)? {
                        continue;
                    }
                    fields.push(Field {
                        name: field.name.node.to_string(),
                        shown: field.response_key().node.to_string(),
                        arguments: self.arguments(&field.arguments)?,
                        idempotent: self.idempotent(&field.directives)?,
                        fields: self.fields(&field.selection_set.node)?,
                    });
                }
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    let fragment = self.document.fragments.get(name);
                    let fragment =
                        fragment.ok_or_else(|| format!("Fragment {name} was used, but not defined"))?;
                    if self.wanted(&spread.node.directives)? {
                        fields.extend(self.fields(&fragment.node.selection_set.node)?);
                    }
                }
                Selection::InlineFragment(_) => return Err("this store takes no inline fragments".to_owned()),
            }
        }
        Ok(fields)
    }

    fn arguments(&self, arguments: &Arguments) -> Result<Map<String, Value>, String> {
        let mut map = Map::new();
        for (name, value) in arguments {
            if let Written::Variable(variable) = &value.node
                && !self.variables.contains_key(variable.as_str())
            {
                continue;
            }
            map.insert(name.node.to_string(), self.value(&value.node)?);
        }
        Ok(map)
    }

    fn value(&self, written: &Written) -> Result<Value, String> {
        let variable = |name: Name| {
            let value = self.variables.get(name.as_str()).cloned().unwrap_or_default();
            ConstValue::from_json(value).map_err(|e| e.to_string())
        };
        let value = written.clone().into_const_with(variable)?;
        value.into_json().map_err(|e| e.to_string())
    }

    fn wanted(&self, directives: &[Positioned<Directive>]) -> Result<bool, String> {
        for directive in directives {
            let arguments = self.arguments(&directive.node.arguments)?;
            let holds = arguments.get("if").and_then(Value::as_bool);
            match (directive.node.name.node.as_str(), holds) {
                ("include", Some(false)) | ("skip", Some(true)) => return Ok(false),
                ("include" | "skip", Some(_)) | ("idempotent", _) => {}
                (name, _) => return Err(format!("Directive @{name} is not defined or lacks an argument")),
            }
        }
        Ok(true)
    }

    fn idempotent(&self, directives: &[Positioned<Directive>]) -> Result<Option<String>, String> {
        let Some(directive) = directives.iter().find(|d| d.node.name.node.as_str() == "idempotent") else {
            return Ok(None);
        };
        let arguments = self.arguments(&directive.node.arguments)?;
        match arguments.get("key").and_then(Value::as_str).filter(|key| !key.trim().is_empty()) {
            Some(key) => Ok(Some(key.to_owned())),
            None => Err("Idempotency keys must not be blank".to_owned()),
        }
    }
}

/// Points: one for each object, as many as asked for in a list, ten for a change.
pub(super) fn cost(operation: &Operation) -> u64 {
    let base = if operation.mutation { 10 } else { 0 };
    base + operation.fields.iter().map(cost_of).sum::<u64>()
}

fn cost_of(field: &Field) -> u64 {
    if field.fields.is_empty() {
        return 0;
    }
    let inner: u64 = field.fields.iter().map(cost_of).sum();
    match field.arguments.get("first").and_then(Value::as_u64) {
        // The list itself counts once, its elements count with what is inside them.
        Some(first) => 2 + first * inner.max(1),
        None => 1 + inner,
    }
}

/// Of `whole`, what was selected.
pub(super) fn select(whole: &Value, fields: &[Field]) -> Result<Value, String> {
    match whole {
        Value::Array(list) => {
            list.iter().map(|value| select(value, fields)).collect::<Result<_, _>>().map(Value::Array)
        }
        Value::Object(map) => {
            if fields.is_empty() {
                return Err("a field of an object type must have a selection of subfields".to_owned());
            }
            let mut shown = Map::new();
            for field in fields {
                let Some(value) = map.get(&field.name) else {
                    return Err(format!("Field '{}' doesn't exist", field.name));
                };
                shown.insert(field.shown.clone(), select(&cut(value, &field.arguments), &field.fields)?);
            }
            Ok(Value::Object(shown))
        }
        scalar => Ok(scalar.clone()),
    }
}

/// A list, or a connection, as its arguments cut it.
fn cut(value: &Value, arguments: &Map<String, Value>) -> Value {
    let mut value = value.clone();
    let list = match &mut value {
        Value::Array(list) => list,
        Value::Object(map) => match map.get_mut("nodes").and_then(Value::as_array_mut) {
            Some(list) => list,
            None => return value,
        },
        _ => return value,
    };
    if let Some(namespace) = arguments.get("namespace") {
        list.retain(|node| node.get("namespace") == Some(namespace));
    }
    if arguments.get("reverse").and_then(Value::as_bool) == Some(true) {
        list.reverse();
    }
    if let Some(first) = arguments.get("first").and_then(Value::as_u64) {
        list.truncate(usize::try_from(first).unwrap_or(usize::MAX));
    }
    value
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn variables(value: &Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn exactly_what_was_selected_is_answered_under_its_alias() {
        let text = "query Q($yes: Boolean!, $n: Int) { thing { a b @skip(if: $yes) other: c { ...Part } \
            list(first: $n, reverse: true) { x } } } fragment Part on C { d e @include(if: $yes) }";
        let operation = operation(text, &variables(&json!({ "yes": true, "n": 2 }))).unwrap();
        let whole = json!({ "a": 1, "b": 2, "c": { "d": 3, "e": 4, "f": 5 }, "list": [{ "x": 1 }, { "x": 2 }, { "x": 3 }] });
        let shown = select(&whole, &operation.fields[0].fields).unwrap();
        assert_eq!(shown, json!({ "a": 1, "other": { "d": 3, "e": 4 }, "list": [{ "x": 3 }, { "x": 2 }] }));
    }

    #[test]
    fn what_the_store_does_not_have_is_an_error() {
        let whole = json!({ "a": 1, "b": { "c": 1 } });
        for (text, why) in
            [("{ t { z } }", "Field 'z' doesn't exist"), ("{ t { b } }", "must have a selection")]
        {
            let operation = operation(text, &Map::new()).unwrap();
            let error = select(&whole, &operation.fields[0].fields).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        for text in ["{", "query Q($a: ID!) { t(id: $a) { a } }", "{ t @odd(if: true) { a } }"] {
            assert!(operation(text, &Map::new()).is_err(), "{text}");
        }
        assert!(operation("{ t { a } }", &variables(&json!({ "a": 1 }))).is_err(), "an undeclared variable");
    }

    #[test]
    fn a_variable_that_was_not_given_is_no_argument_and_null_is_one() {
        let text = "query Q($a: String, $b: String) { t(a: $a, b: $b) { x } }";
        let operation = operation(text, &variables(&json!({ "a": null }))).unwrap();
        assert_eq!(operation.fields[0].arguments, variables(&json!({ "a": null })));
    }

    #[test]
    fn lists_cost_what_they_may_hold() {
        let text = "{ orders(first: 50) { nodes { id total { amount } } } shop { name } }";
        assert_eq!(cost(&operation(text, &Map::new()).unwrap()), 2 + 50 * 2 + 1);
        assert_eq!(cost(&operation("mutation M { mark { order { id } } }", &Map::new()).unwrap()), 12);
    }
}
