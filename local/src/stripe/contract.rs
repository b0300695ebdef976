//! Owns the question "would Stripe accept these parameters?": every request is held against the parameter types of Stripe's official SDK.
//!
//! `contract.json` is derived by `scripts/derive-contract` and never edited by hand. The invariant: what this module refuses, Stripe refuses with
//! the same kind of answer; what depends on state (does the customer exist, is the amount too small) is not decided here.

use std::collections::HashMap;
use std::sync::OnceLock;

use serde_json::Value as Json;

use form::Form;

mod form;

/// Why Stripe would answer 400 (`invalid_request_error`) to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContractError {
    /// The offending parameter as it stands in the request, e.g. `line_items[0][price]`.
    pub param: String,
    /// Stripe's code; empty where Stripe sends none (unknown enum value, not a boolean, not an array): then the answer has no `code` at all.
    pub code: &'static str,
    /// The sentence for people.
    pub message: String,
}

/// Checks the decoded parameters, in the order they were sent, of a body or a query.
///
/// A method and path outside the contract pass: whether such a call exists is the simulator's own answer.
///
/// # Errors
/// The first thing Stripe would refuse.
pub fn check(method: &str, path: &str, params: &[(String, String)]) -> Result<(), ContractError> {
    let Some(contract) = contract() else {
        return Err(refuse("", "", "The embedded parameter contract cannot be read.".to_owned()));
    };
    let Some(kind) = contract.find(method, path) else {
        return Ok(());
    };
    no_longer_supported(method, path, params)?;
    contract.check(kind, &Form::parse(params), "")
}

/// Whether the contract knows this call.
#[must_use]
pub fn covers(method: &str, path: &str) -> bool {
    contract().is_some_and(|c| c.find(method, path).is_some())
}

/// The API version whose parameters the contract holds.
#[must_use]
pub fn api_version() -> &'static str {
    contract().map_or("", |c| c.api_version.as_str())
}

/// Since 2026-09-30 the list of payment method types is refused by name rather than as unknown.
fn no_longer_supported(method: &str, path: &str, params: &[(String, String)]) -> Result<(), ContractError> {
    let intents = ["/v1/payment_intents", "/v1/setup_intents", "/v1/checkout/sessions"];
    let concerned = method == "POST" && intents.iter().any(|p| path.starts_with(p));
    let sent = |(key, _): &(String, String)| key.split('[').next() == Some("payment_method_types");
    if concerned && params.iter().any(sent) {
        return Err(refuse(
            "payment_method_types",
            "payment_method_types_no_longer_supported",
            "The parameter `payment_method_types` is no longer supported. Use `automatic_payment_methods` or `allowed_payment_method_types`."
                .to_owned(),
        ));
    }
    Ok(())
}

/// A parameter's type. Numbers are positions in [`Contract::types`].
#[derive(Debug)]
enum Kind {
    Text,
    Integer,
    Boolean,
    Decimal,
    Any,
    Empty,
    Enum(Vec<String>),
    Array(usize),
    Map(usize),
    AnyOf(Vec<usize>),
    Object(Vec<Field>),
}

#[derive(Debug)]
struct Field {
    name: String,
    required: bool,
    kind: usize,
}

#[derive(Debug)]
struct Call {
    method: String,
    /// `None` stands for an id.
    segments: Vec<Option<String>>,
    kind: usize,
}

#[derive(Debug)]
struct Contract {
    api_version: String,
    calls: HashMap<usize, Vec<Call>>,
    types: Vec<Kind>,
}

fn contract() -> Option<&'static Contract> {
    static CONTRACT: OnceLock<Option<Contract>> = OnceLock::new();
    CONTRACT.get_or_init(|| read(include_str!("contract.json"))).as_ref()
}

fn read(text: &str) -> Option<Contract> {
    let json: Json = serde_json::from_str(text).ok()?;
    let types = json.get("types")?.as_array()?.iter().map(read_kind).collect::<Option<Vec<_>>>()?;
    let mut calls: HashMap<usize, Vec<Call>> = HashMap::new();
    for (call, kind) in json.get("calls")?.as_object()? {
        let (method, path) = call.split_once(' ')?;
        let segments: Vec<_> =
            segments_of(path).map(|s| (!s.starts_with('{')).then(|| s.to_owned())).collect();
        let call = Call { method: method.to_owned(), kind: position(kind)?, segments };
        calls.entry(call.segments.len()).or_default().push(call);
    }
    // A written segment is nearer than an id: `/v1/charges/search` is not the charge named "search".
    for group in calls.values_mut() {
        group.sort_by_key(|c| c.segments.iter().filter(|s| s.is_none()).count());
    }
    Some(Contract { api_version: json.get("api_version")?.as_str()?.to_owned(), calls, types })
}

fn read_kind(json: &Json) -> Option<Kind> {
    if let Some(name) = json.as_str() {
        return match name {
            "string" => Some(Kind::Text),
            "integer" => Some(Kind::Integer),
            "boolean" => Some(Kind::Boolean),
            "decimal" => Some(Kind::Decimal),
            "any" => Some(Kind::Any),
            "empty" => Some(Kind::Empty),
            _ => None,
        };
    }
    let (name, inner) = json.as_object()?.iter().next()?;
    match name.as_str() {
        "array" => position(inner).map(Kind::Array),
        "map" => position(inner).map(Kind::Map),
        "any_of" => inner.as_array()?.iter().map(position).collect::<Option<_>>().map(Kind::AnyOf),
        "enum" => inner
            .as_array()?
            .iter()
            .map(|v| v.as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .map(Kind::Enum),
        "object" => {
            inner.as_object()?.iter().map(|(k, v)| read_field(k, v)).collect::<Option<_>>().map(Kind::Object)
        }
        _ => None,
    }
}

fn read_field(key: &str, kind: &Json) -> Option<Field> {
    let name = key.trim_end_matches('!');
    Some(Field { name: name.to_owned(), required: name.len() < key.len(), kind: position(kind)? })
}

fn position(json: &Json) -> Option<usize> {
    json.as_u64().and_then(|n| usize::try_from(n).ok())
}

fn segments_of(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|s| !s.is_empty())
}

impl Contract {
    fn find(&self, method: &str, path: &str) -> Option<usize> {
        let asked: Vec<&str> = segments_of(path).collect();
        let fits = |call: &&Call| {
            call.method == method
                && call
                    .segments
                    .iter()
                    .zip(&asked)
                    .all(|(want, got)| want.as_deref().is_none_or(|w| w == *got))
        };
        self.calls.get(&asked.len())?.iter().find(fits).map(|call| call.kind)
    }

    fn check(&self, kind: usize, value: &Form<'_>, param: &str) -> Result<(), ContractError> {
        match (self.types.get(kind).unwrap_or(&Kind::Any), value) {
            (Kind::Any, _) => Ok(()),
            (Kind::AnyOf(kinds), _) => self.check_any(kinds, value, param),
            (Kind::Object(fields), Form::Group(given)) => self.check_object(fields, given, param),
            (Kind::Array(item), Form::Group(given)) => self.check_array(*item, given, param),
            (Kind::Map(item), Form::Group(given)) => self.check_map(*item, given, param),
            (scalar, Form::Group(_)) => Err(wrong_shape(scalar, param)),
            (Kind::Empty, Form::Text("")) => Ok(()),
            (_, Form::Text("")) => Err(refuse(param, "parameter_invalid_empty", empty_message(param))),
            (scalar, Form::Text(text)) => check_scalar(scalar, text, param),
        }
    }

    /// The alternative that fits wins; if none does, the complaint is that of an alternative with the value's own shape.
    fn check_any(&self, kinds: &[usize], value: &Form<'_>, param: &str) -> Result<(), ContractError> {
        let mut complaint = None;
        for kind in kinds {
            let Err(error) = self.check(*kind, value, param) else { return Ok(()) };
            let structured =
                matches!(self.types.get(*kind), Some(Kind::Object(_) | Kind::Array(_) | Kind::Map(_)));
            let own_shape = structured == matches!(value, Form::Group(_))
                && !matches!(self.types.get(*kind), Some(Kind::Empty));
            if own_shape || complaint.is_none() {
                complaint = Some(error);
            }
        }
        complaint.map_or(Ok(()), Err)
    }

    fn check_object(
        &self,
        fields: &[Field],
        given: &[(&str, Form<'_>)],
        param: &str,
    ) -> Result<(), ContractError> {
        let field = |name: &str| fields.iter().find(|f| f.name == name);
        let unknown: Vec<String> =
            given.iter().filter(|(k, _)| field(k).is_none()).map(|(k, _)| inside(param, k)).collect();
        if let Some(first) = unknown.first() {
            let plural = if unknown.len() > 1 { "s" } else { "" };
            let message = format!("Received unknown parameter{plural}: {}", unknown.join(", "));
            return Err(refuse(first, "parameter_unknown", message));
        }
        for (name, value) in given {
            if let Some(field) = field(name) {
                self.check(field.kind, value, &inside(param, name))?;
            }
        }
        let missing = |f: &&Field| f.required && !given.iter().any(|(k, _)| *k == f.name);
        match fields.iter().find(missing) {
            Some(f) => {
                let name = inside(param, &f.name);
                Err(refuse(&name, "parameter_missing", format!("Missing required param: {name}.")))
            }
            None => Ok(()),
        }
    }

    fn check_array(&self, item: usize, given: &[(&str, Form<'_>)], param: &str) -> Result<(), ContractError> {
        for (position, (key, value)) in given.iter().enumerate() {
            if !key.is_empty() && key.parse::<u32>().is_err() {
                return Err(refuse(param, "", "Invalid array".to_owned()));
            }
            self.check(item, value, &inside(param, &position.to_string()))?;
        }
        Ok(())
    }

    fn check_map(&self, item: usize, given: &[(&str, Form<'_>)], param: &str) -> Result<(), ContractError> {
        for (key, value) in given {
            // An empty value removes the key.
            if !matches!(value, Form::Text("")) {
                self.check(item, value, &inside(param, key))?;
            }
        }
        Ok(())
    }
}

fn check_scalar(kind: &Kind, text: &str, param: &str) -> Result<(), ContractError> {
    match kind {
        Kind::Text | Kind::Any => Ok(()),
        Kind::Integer if text.parse::<i64>().is_ok() && !text.starts_with('+') => Ok(()),
        Kind::Integer => Err(refuse(param, "parameter_invalid_integer", format!("Invalid integer: {text}"))),
        Kind::Boolean if matches!(text, "true" | "false") => Ok(()),
        Kind::Boolean => Err(refuse(param, "", format!("Invalid boolean: {text}"))),
        Kind::Decimal if is_decimal(text) => Ok(()),
        Kind::Decimal => Err(refuse(
            param,
            "",
            format!("Invalid decimal: {text}; must contain at maximum twelve decimal places."),
        )),
        Kind::Enum(values) if values.iter().any(|v| v == text) => Ok(()),
        Kind::Enum(values) => Err(refuse(param, "", format!("Invalid {param}: must be {}", one_of(values)))),
        Kind::Empty => Err(refuse(param, "", format!("Invalid {param}: must be an empty string"))),
        Kind::Array(_) | Kind::Map(_) | Kind::AnyOf(_) | Kind::Object(_) => Err(wrong_shape(kind, param)),
    }
}

/// At most twelve decimal places, no exponent.
fn is_decimal(text: &str) -> bool {
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let (whole, places) = text.split_once('.').unwrap_or((text, "0"));
    digits(whole.strip_prefix('-').unwrap_or(whole)) && digits(places) && places.len() <= 12
}

fn wrong_shape(wanted: &Kind, param: &str) -> ContractError {
    let noun = match wanted {
        Kind::Array(_) => "array",
        Kind::Object(_) | Kind::Map(_) => "object",
        Kind::Integer => {
            return refuse(
                param,
                "parameter_invalid_integer",
                format!("Invalid integer: {param} holds other parameters"),
            );
        }
        _ => return refuse(param, "", format!("Invalid string: {param} holds other parameters")),
    };
    refuse(param, "", format!("Invalid {noun}"))
}

fn empty_message(param: &str) -> String {
    format!(
        "You passed an empty string for '{param}'. An empty value asks to unset a parameter, but '{param}' cannot be unset: remove it from the request or give it a value."
    )
}

fn one_of(values: &[String]) -> String {
    match values {
        [] => "absent".to_owned(),
        [only] => only.clone(),
        [first, second] => format!("one of {first} or {second}"),
        [rest @ .., last] => format!("one of {}, or {last}", rest.join(", ")),
    }
}

fn inside(param: &str, name: &str) -> String {
    if param.is_empty() { name.to_owned() } else { format!("{param}[{name}]") }
}

fn refuse(param: &str, code: &'static str, message: String) -> ContractError {
    ContractError { param: param.to_owned(), code, message }
}

#[cfg(test)]
mod tests;
