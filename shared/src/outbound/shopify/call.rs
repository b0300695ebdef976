//! One GraphQL call: a 200 may be a refusal, a throttling or a fault, and says so only inside.
//!
//! Invariant: data that came with an error is not used; of a message from the store only a short, harmless part is kept.

use http::Method;
use serde_json::{Value, json};

use super::{API_VERSION, ShopifyClient};
use crate::domain::time::UnixTime;
use crate::outbound::shop::ShopError;
use crate::outbound::shop::call::{date, json_in, refused};
use crate::outbound::shop::field::refuse;
use crate::telemetry::{Id, event};

/// The data of a good answer.
pub(super) struct Answer {
    pub(super) data: Value,
    /// The store's own time when it answered.
    pub(super) date: Option<UnixTime>,
    /// The version of the API that answered.
    pub(super) version: Option<String>,
}

impl ShopifyClient {
    /// Sends one document. `id` is the order it is about, for errors.
    pub(super) async fn ask(&self, document: &str, variables: Value, id: &str) -> Result<Answer, ShopError> {
        let body = serde_json::to_vec(&json!({ "query": document, "variables": variables }));
        let body = body.map_err(|e| ShopError::NotSent(e.to_string()))?;
        let path = format!("/admin/api/{API_VERSION}/graphql.json");
        let answer = self.caller.send(Method::POST, &path, Some(("application/json", body.into()))).await?;
        if let Some(error) = refused(&answer, id) {
            // The address is one for all orders: it is the store, or the version, that is not there, perhaps for a while.
            return Err(match error {
                ShopError::NotFound(_) => ShopError::ServerFault(404),
                error => error,
            });
        }
        let mut body = json_in(&answer)?;
        if let Some(error) = error_in(&body, answer.status().as_u16()) {
            return Err(error);
        }
        let version = answer.headers().get("x-shopify-api-version");
        let version = version.and_then(|v| v.to_str().ok()).map(str::to_owned);
        if let Some(version) = version.as_deref().filter(|v| *v != API_VERSION) {
            event!(
                warn,
                "the store answers with another version of its API than is asked for",
                source = Id(&self.source.name),
                answered = Id(version),
                asked = Id(API_VERSION)
            );
        }
        let date = date(&answer);
        match body.get_mut("data").map(Value::take) {
            Some(data @ Value::Object(_)) => Ok(Answer { data, date, version }),
            other => Err(refuse("data", other.as_ref(), "the answer's data")),
        }
    }

    /// A mutation whose one field is `field`: its payload, if nothing was refused.
    pub(super) async fn change(
        &self,
        document: &str,
        variables: Value,
        id: &str,
        field: &str,
    ) -> Result<Value, ShopError> {
        let mut data = self.ask(document, variables, id).await?.data;
        let payload = data.get_mut(field).map(Value::take).unwrap_or_default();
        accepted(&payload, field)?;
        Ok(payload)
    }
}

/// What `userErrors` say; a payload without them is none.
pub(super) fn accepted(payload: &Value, field: &str) -> Result<(), ShopError> {
    let path = || format!("{field}.userErrors");
    let Some(errors) = payload.get("userErrors").and_then(Value::as_array) else {
        return Err(refuse(&path(), payload.get("userErrors"), "a list"));
    };
    let Some(error) = errors.first() else { return Ok(()) };
    let code = error.get("code").and_then(Value::as_str).unwrap_or_default();
    Err(match code {
        "STALE_OBJECT" | "INVALID_COMPARE_DIGEST" => {
            ShopError::Wait { after: 60, why: "the order's metafields changed while they were written" }
        }
        "ORDER_IS_TEMPORARILY_UNAVAILABLE" => {
            ShopError::Wait { after: 60, why: "the order is temporarily unavailable" }
        }
        _ => {
            let message = error.get("message").and_then(Value::as_str).unwrap_or_default();
            ShopError::Rejected(format!("{field}: {}{}", code_of(code), harmless(message)))
        }
    })
}

fn code_of(code: &str) -> String {
    if code.is_empty() { String::new() } else { format!("{} ", harmless(code)) }
}

/// At most 120 plain characters; a message that could hold an address is left out.
fn harmless(message: &str) -> String {
    if message.contains('@') {
        return "(a message with an address in it)".to_owned();
    }
    message.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(120).collect()
}

/// What top-level `errors` mean.
fn error_in(body: &Value, status: u16) -> Option<ShopError> {
    let errors = body.get("errors").filter(|e| !e.is_null())?;
    let list = errors.as_array().map(Vec::as_slice).unwrap_or_default();
    if errors.is_array() && list.is_empty() {
        return None;
    }
    let code = list.iter().find_map(|e| e["extensions"]["code"].as_str()).unwrap_or_default();
    Some(match code {
        "THROTTLED" => ShopError::Throttled { retry_after: Some(wait(&body["extensions"]["cost"])) },
        "ACCESS_DENIED" => ShopError::Rejected(
            "ACCESS_DENIED: the app lacks a scope or the approval for protected customer data; \
             run `tandem check --live`"
                .to_owned(),
        ),
        "MAX_COST_EXCEEDED" => {
            ShopError::Rejected("MAX_COST_EXCEEDED: the query is too large for this store".to_owned())
        }
        "INTERNAL_SERVER_ERROR" | "TIMEOUT" => ShopError::ServerFault(500),
        code if code.starts_with("IDEMPOTENCY_CONCURRENT") => {
            ShopError::Wait { after: 60, why: "the same request is under way" }
        }
        code if code.starts_with("IDEMPOTENCY") => ShopError::Rejected(harmless(code)),
        _ => ShopError::ErrorInside(status),
    })
}

/// Seconds until the bucket holds what the query costs.
fn wait(cost: &Value) -> u32 {
    let throttle = &cost["throttleStatus"];
    let missing = points(&cost["requestedQueryCost"]).saturating_sub(points(&throttle["currentlyAvailable"]));
    let rate = points(&throttle["restoreRate"]).max(1);
    u32::try_from(missing.div_ceil(rate)).unwrap_or(u32::MAX).clamp(1, 60)
}

/// Points are written as integers and as decimals such as `100.0`; what is behind the point is of no use here.
fn points(value: &Value) -> u64 {
    value.to_string().split('.').next().and_then(|n| n.parse().ok()).unwrap_or(0)
}
