//! A double of SSM's parameter store: enough for secrets by name.
//!
//! Invariant: a SecureString leaves it only for a caller that asks for decryption. What stands under [`REFERENCE`] is a
//! secret of Secrets Manager: read through here, written elsewhere.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use serde_json::{Value, json};
use shared::domain::time::UnixTime;

use super::{ACCOUNT, Answer, REGION, error_answer, json_answer};

/// Where Parameter Store shows the secrets of Secrets Manager.
pub const REFERENCE: &str = "/aws/reference/secretsmanager/";
/// Longest value of a standard parameter, in characters.
const VALUE_MAX: usize = 4096;

#[derive(Clone)]
struct Parameter {
    kind: String,
    value: String,
    version: u64,
    modified: UnixTime,
}

/// The embedded parameter store.
#[derive(Default)]
pub struct Ssm(Mutex<BTreeMap<String, Parameter>>);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    #[serde(default)]
    name: String,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    with_decryption: bool,
    #[serde(default)]
    value: String,
    #[serde(default, rename = "Type")]
    kind: String,
    #[serde(default)]
    overwrite: bool,
}

impl Ssm {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Parameter>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores a SecureString, or what a reference shows, replacing an older one.
    pub fn put_secret(&self, name: &str, value: &str, now: UnixTime) {
        let version = self.lock().get(name).map_or(1, |p| p.version + 1);
        let kind = "SecureString".to_owned();
        self.lock()
            .insert(name.to_owned(), Parameter { kind, value: value.to_owned(), version, modified: now });
    }

    pub(super) fn call(&self, operation: &str, body: &[u8], now: UnixTime) -> Answer {
        let request: Request = match serde_json::from_slice(body) {
            Ok(request) => request,
            Err(error) => return error_answer(400, "SerializationException", &error.to_string()),
        };
        let refers = request.names.iter().chain([&request.name]).any(|n| n.starts_with(REFERENCE));
        if refers && !request.with_decryption && operation.starts_with("Get") {
            let message = "WithDecryption flag must be True for retrieving a Secret Manager secret.";
            return error_answer(400, "ValidationException", message);
        }
        match operation {
            "GetParameter" => match self.lock().get(&request.name) {
                Some(found) => json_answer(
                    200,
                    &json!({"Parameter": show(&request.name, found, request.with_decryption)}),
                ),
                None => error_answer(400, "ParameterNotFound", &request.name),
            },
            "GetParameters" => {
                let all = self.lock();
                let (found, missing): (Vec<&String>, Vec<&String>) =
                    request.names.iter().partition(|name| all.contains_key(*name));
                let found: Vec<Value> = found
                    .into_iter()
                    .filter_map(|name| all.get(name).map(|p| show(name, p, request.with_decryption)))
                    .collect();
                json_answer(200, &json!({"Parameters": found, "InvalidParameters": missing}))
            }
            "PutParameter" => self.put(request, now),
            other => error_answer(400, "InvalidAction", &format!("operation {other} is not emulated")),
        }
    }

    fn put(&self, request: Request, now: UnixTime) -> Answer {
        if request.name.starts_with("/aws") {
            return error_answer(400, "AccessDeniedException", "No access to reserved parameter name.");
        }
        let mut all = self.lock();
        let old = all.get(&request.name).map(|p| (p.version, p.kind.clone()));
        if old.is_some() && !request.overwrite {
            return error_answer(400, "ParameterAlreadyExists", "set Overwrite to replace the parameter");
        }
        if !(1..=VALUE_MAX).contains(&request.value.chars().count()) {
            let why = format!("a standard parameter holds 1 to {VALUE_MAX} characters");
            return error_answer(400, "ValidationException", &why);
        }
        let (version, old_kind) = old.map_or((1, "String".to_owned()), |(v, kind)| (v + 1, kind));
        let kind = if request.kind.is_empty() { old_kind } else { request.kind };
        all.insert(request.name, Parameter { kind, value: request.value, version, modified: now });
        json_answer(200, &json!({"Version": version, "Tier": "Standard"}))
    }
}

fn show(name: &str, parameter: &Parameter, decrypt: bool) -> Value {
    let sealed = parameter.kind == "SecureString" && !decrypt;
    let value = if sealed { "sealed" } else { parameter.value.as_str() };
    json!({
        "Name": name, "Type": parameter.kind, "Value": value, "Version": parameter.version,
        "LastModifiedDate": parameter.modified.0, "DataType": "text",
        "ARN": format!("arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/{}", name.trim_start_matches('/')),
    })
}
