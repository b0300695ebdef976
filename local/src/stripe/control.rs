//! The controls of a simulator that runs by itself: what a scenario does from outside the process, as JSON over HTTP.
//!
//! | POST to `/_control/...` | body | does |
//! | --- | --- | --- |
//! | `clock` | `advance_seconds` | moves the simulator's clock forward |
//! | `faults` | `method`, `path`, `mode`, `times`, `skip`, `ms`, `reason` | a fault of the API |
//! | `webhooks` | `events`, `times`, `repeat`, `delay_ms`, `shuffle_ms`, `lose` | what happens to deliveries |
//! | `calm` | | ends all trouble |
//! | `cards` | `card`, `outcomes` | what a saved card does next: `succeed`, `authenticate` or a decline code |
//! | `refunds`, `refunds/fail` | `charge`, `amount`; `refund` | a refund by the dashboard; a refund fails at the bank |
//! | `disputes`, `disputes/close` | `charge`, `reason`, `inquiry`; `dispute`, `won` | a dispute; its end |
//! | `payouts`, `payouts/fail` | `currency`; `payout` | a payout; its failure |
//! | `keys/forget` | | forgets idempotency keys |
//!
//! `GET /_control/ledger` answers what money moved and how often each endpoint was called.

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};

use shared::outbound::http::{HttpRequest, HttpResponse};

use super::{CardOutcome, Fault, FaultMode, Reason, StripeSim, WebhookRule};

/// Where the controls are.
pub(crate) const PREFIX: &str = "/_control/";

impl StripeSim {
    /// Answers a request to the controls.
    pub(crate) fn control(&self, request: &HttpRequest) -> HttpResponse {
        let name = request.uri().path().trim_start_matches(PREFIX).trim_end_matches('/').to_owned();
        let result = match *request.method() {
            Method::GET if name == "ledger" => Ok(self.ledger_summary()),
            Method::POST if request.body().is_empty() => self.command(&name, &Value::Null),
            Method::POST => match serde_json::from_slice(request.body()) {
                Ok(body) => self.command(&name, &body),
                Err(error) => Err(format!("the body is no JSON: {error}")),
            },
            _ => Err("there is no such control".into()),
        };
        let (status, body) = match result {
            Ok(body) => (StatusCode::OK, body),
            Err(text) => (StatusCode::BAD_REQUEST, json!({ "error": text })),
        };
        let mut response = HttpResponse::new(Bytes::from(body.to_string()));
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    fn ledger_summary(&self) -> Value {
        let ledger = self.ledger();
        let money: serde_json::Map<String, Value> = ledger
            .money
            .iter()
            .map(|(currency, m)| {
                let sums = json!({
                    "captured": m.captured, "refunded": m.refunded, "disputed": m.disputed, "fees": m.fees,
                    "paid_out": m.paid_out,
                });
                (currency.clone(), sums)
            })
            .collect();
        let calls: serde_json::Map<String, Value> = ledger
            .calls
            .iter()
            .map(|((method, path), n)| (format!("{method} {path}"), (*n).into()))
            .collect();
        json!({ "money": money, "calls": calls })
    }

    fn command(&self, name: &str, body: &Value) -> Result<Value, String> {
        let text = |field: &str| body.get(field).and_then(Value::as_str).map(str::to_owned);
        let need = |field: &str| text(field).ok_or_else(|| format!("`{field}` is missing"));
        let amount = body.get("amount").and_then(Value::as_i64);
        let flag = |field: &str| body.get(field).and_then(Value::as_bool).unwrap_or(false);
        match name {
            "clock" => {
                let seconds = body.get("advance_seconds").and_then(Value::as_i64).filter(|s| *s >= 0);
                self.advance(seconds.ok_or("`advance_seconds` must be a number, not negative")?);
            }
            "faults" => self.add_fault(fault(body)?),
            "webhooks" => self.add_webhook_rule(rule(body, &need("events")?)),
            "calm" => self.calm(),
            "cards" => self.set_card_behaviour(&need("card")?, outcomes(body)?),
            "refunds" => return self.refund(&need("charge")?, amount).map(|id| json!({ "id": id })),
            "refunds/fail" => self.fail_refund(&need("refund")?),
            "disputes" => {
                let (charge, reason) =
                    (need("charge")?, text("reason").unwrap_or_else(|| "fraudulent".into()));
                let made = match flag("inquiry") {
                    true => self.create_inquiry(&charge, &reason),
                    false => self.create_dispute(&charge, &reason, amount),
                };
                return made
                    .map(|id| json!({ "id": id }))
                    .ok_or_else(|| "there is no such captured charge".into());
            }
            "disputes/close" => self.close_dispute(&need("dispute")?, flag("won")),
            "payouts" => return Ok(json!({ "id": self.create_payout(&need("currency")?) })),
            "payouts/fail" => self.fail_payout(&need("payout")?),
            "keys/forget" => self.forget_idempotency_keys(),
            _ => return Err("there is no such control".into()),
        }
        Ok(json!({}))
    }
}

fn count(body: &Value, field: &str) -> Option<u32> {
    body.get(field).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok())
}

fn fault(body: &Value) -> Result<Fault, String> {
    let text = |field: &str| body.get(field).and_then(Value::as_str);
    let ms = body.get("ms").and_then(Value::as_u64).unwrap_or(1000);
    // A mode with a value may be written as `{"slow": 500}`.
    let (name, value) = match body.get("mode") {
        Some(Value::Object(map)) => {
            map.iter().next().map(|(k, v)| (k.as_str(), v.clone())).unwrap_or_default()
        }
        Some(Value::String(name)) => (name.as_str(), Value::Null),
        _ => return Err("`mode` is missing".into()),
    };
    let ms = value.as_u64().unwrap_or(ms);
    let mode = match name {
        "error_before" => FaultMode::ErrorBefore,
        "error_stored" => FaultMode::ErrorStored,
        "error_after" => FaultMode::ErrorAfter,
        "unreachable" => FaultMode::Unreachable,
        "reset_before" => FaultMode::ResetBefore,
        "reset_after" => FaultMode::ResetAfter,
        "slow" => FaultMode::Slow(ms),
        "slow_after" => FaultMode::SlowAfter(ms),
        "lands_later" => FaultMode::LandsLater(i64::try_from(ms).unwrap_or(i64::MAX)),
        "rate_limited" => {
            FaultMode::RateLimited(value.as_str().or(text("reason")).unwrap_or("global-rate").to_owned())
        }
        "lock_timeout" => FaultMode::LockTimeout,
        "key_expired" => FaultMode::KeyExpired,
        other => return Err(format!("`{other}` is no mode of a fault")),
    };
    let method = text("method").map(|m| m.parse::<Method>().map_err(|e| e.to_string())).transpose()?;
    Ok(Fault {
        method,
        path: text("path").unwrap_or("/v1/").to_owned(),
        skip: count(body, "skip").unwrap_or(0),
        times: count(body, "times").unwrap_or(1),
        mode,
    })
}

fn rule(body: &Value, events: &str) -> WebhookRule {
    let ms = |field: &str| body.get(field).and_then(Value::as_i64).unwrap_or(0).max(0);
    WebhookRule {
        times: count(body, "times"),
        repeat: count(body, "repeat").unwrap_or(0),
        delay_ms: ms("delay_ms"),
        shuffle_ms: ms("shuffle_ms"),
        lose: body.get("lose").and_then(Value::as_bool).unwrap_or(false),
        ..WebhookRule::on(events)
    }
}

fn outcomes(body: &Value) -> Result<Vec<CardOutcome>, String> {
    let list = body.get("outcomes").and_then(Value::as_array).ok_or("`outcomes` must be an array")?;
    list.iter()
        .map(|item| match item.as_str().unwrap_or_default() {
            "succeed" => Ok(CardOutcome::Succeed),
            "authenticate" => Ok(CardOutcome::RequireAuthentication),
            code => match Reason::from_code(code) {
                Some(reason) => Ok(CardOutcome::Decline(reason)),
                None => Err(format!("`{code}` is no outcome")),
            },
        })
        .collect()
}
