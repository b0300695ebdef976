//! The functions' HTTP seam on the local stack: routed in process where there are no sockets, counted by function, and
//! recorded for those who judge the simulator and the bundle.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use shared::domain::ids::Function;
use shared::outbound::http::{Http, HttpRequest, SendError, SendFuture, SharedHttp};

use super::Bases;
use super::gateway::Gateway;
use crate::aws::{Call, EmbeddedAws, IoLabel};
use crate::pump::CURRENT_FUNCTION;
use crate::shop::Shop;
use crate::stripe::{InProcessStripe, StripeSim};

/// Routes requests to the parts by authority, without sockets.
pub struct InProcess {
    pub(super) bases: Bases,
    pub(super) sim: StripeSim,
    pub(super) shop: Shop,
    pub(super) beside: Vec<Shop>,
    pub(super) gateway: Gateway,
}

impl Http for InProcess {
    fn send(&self, request: HttpRequest, timeout: Duration) -> SendFuture<'_> {
        Box::pin(async move {
            let base = base_of(&request);
            if base == self.bases.stripe {
                let sim = InProcessStripe(self.sim.clone());
                return sim.send(request, timeout).await;
            }
            let answer = async {
                if base == self.bases.shop {
                    Ok(self.shop.handle(request).await)
                } else if let Some(shop) = self.beside.iter().find(|s| s.base() == base) {
                    Ok(shop.handle(request).await)
                } else if base == self.bases.webhooks {
                    Ok(self.gateway.handle(request).await)
                } else {
                    Err(SendError::NotSent(format!("nobody listens at {base}")))
                }
            };
            match tokio::time::timeout(timeout, answer).await {
                Ok(answered) => {
                    answered.and_then(|a| match a.extensions().get::<crate::http_server::Reset>() {
                        Some(_) => Err(SendError::Unknown("connection reset".into())),
                        None => Ok(a),
                    })
                }
                Err(_) => Err(SendError::Unknown("timed out".into())),
            }
        })
    }
}

fn base_of(request: &HttpRequest) -> String {
    let uri = request.uri();
    format!("{}://{}", uri.scheme_str().unwrap_or("http"), uri.authority().map_or("", |a| a.as_str()))
}

/// HTTP calls by function and place, and what was said to Stripe.
#[derive(Clone, Default)]
pub struct Tally(Arc<Mutex<TallyState>>);

#[derive(Default)]
struct TallyState {
    calls: BTreeMap<(Option<Function>, &'static str, String), u64>,
    recording: Option<Vec<Value>>,
    graphql: Option<Vec<Value>>,
}

impl Tally {
    fn lock(&self) -> std::sync::MutexGuard<'_, TallyState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to record what is said to Stripe, and over GraphQL to order systems.
    pub fn record(&self) {
        let mut state = self.lock();
        (state.recording, state.graphql) = (Some(Vec::new()), Some(Vec::new()));
    }

    /// What was said over GraphQL: lines of `query`, `variables` and `response`.
    pub fn graphql(&self) -> Vec<Value> {
        self.lock().graphql.clone().unwrap_or_default()
    }

    fn record_graphql(&self, request: &[u8], answer: &[u8]) {
        let mut state = self.lock();
        let Some(lines) = &mut state.graphql else { return };
        let Ok(mut line) = serde_json::from_slice::<Value>(request) else { return };
        line["response"] = serde_json::from_slice(answer).unwrap_or(Value::Null);
        lines.push(line);
    }

    /// What was recorded.
    pub fn recording(&self) -> Vec<Value> {
        self.lock().recording.clone().unwrap_or_default()
    }

    /// Calls by function, place (`stripe`, `shop`, `other`) and method with path template.
    pub fn calls(&self) -> BTreeMap<(Option<Function>, &'static str, String), u64> {
        self.lock().calls.clone()
    }
}

/// Counts and records, then sends on through the seam for faults.
pub struct Counting {
    pub(super) inner: SharedHttp,
    pub(super) aws: EmbeddedAws,
    pub(super) tally: Tally,
    pub(super) bases: Bases,
}

/// `/v1/refunds/re_1` as `/v1/refunds/{id}`.
fn template(path: &str) -> String {
    let ids = ["_", "-"];
    let part = |p: &str| {
        let is_id =
            p.chars().any(|c| c.is_ascii_digit()) && (ids.iter().any(|i| p.contains(i)) || p.len() > 8);
        if is_id && p != "v1" { "{id}".to_owned() } else { p.to_owned() }
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// `GET /v1/refunds/{id}`; over GraphQL, where every call is a POST to one place, `query NAME` or `mutation NAME`.
fn operation(request: &HttpRequest) -> String {
    let path = request.uri().path();
    if path.ends_with("/graphql.json") {
        let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let document = body["query"].as_str().unwrap_or_default();
        let words: Vec<&str> =
            document.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).take(2).collect();
        return words.join(" ");
    }
    format!("{} {}", request.method(), template(path))
}

impl Http for Counting {
    fn send(&self, request: HttpRequest, timeout: Duration) -> SendFuture<'_> {
        Box::pin(async move {
            let base = base_of(&request);
            let place = match &base {
                b if *b == self.bases.stripe => "stripe",
                b if *b == self.bases.shop || self.bases.beside.values().any(|s| s == b) => "shop",
                _ => "other",
            };
            let function = CURRENT_FUNCTION.try_with(|f| *f).ok();
            let what = operation(&request);
            *self.tally.lock().calls.entry((function, place, what.clone())).or_default() += 1;
            let recorded = (place == "stripe" && self.tally.lock().recording.is_some()).then(|| {
                let path = request.uri().path_and_query().map_or("/", |p| p.as_str()).to_owned();
                let headers: BTreeMap<String, String> = request
                    .headers()
                    .iter()
                    .filter(|(name, _)| name.as_str() != "authorization")
                    .map(|(n, v)| (n.to_string(), String::from_utf8_lossy(v.as_bytes()).into_owned()))
                    .collect();
                let body = String::from_utf8_lossy(request.body()).into_owned();
                json!({ "method": request.method().as_str(), "path": path, "body": body, "headers": headers })
            });
            let label = IoLabel { function, service: place, operation: what, resource: None };
            let mut path = request.uri().path_and_query().map_or("/", |p| p.as_str()).to_owned();
            if place == "shop" {
                // Two shops of one kind are asked the same at the same path.
                path.insert_str(0, &base);
            }
            let (inner, body) = (self.inner.clone(), request.body().clone());
            let effect = Box::pin(async move { inner.send(request, timeout).await });
            let call = Call { label: &label, path: &path, body: &body };
            let answer = self.aws.faults().around_http(call, timeout, effect).await;
            if place == "shop"
                && call.path.ends_with("/graphql.json")
                && let Ok(answer) = &answer
            {
                self.tally.record_graphql(&body, answer.body());
            }
            if let (Some(mut line), Ok(answer)) = (recorded, &answer) {
                line["status"] = json!(answer.status().as_u16());
                line["response"] = serde_json::from_slice(answer.body()).unwrap_or(Value::Null);
                if let Some(lines) = &mut self.tally.lock().recording {
                    lines.push(line);
                }
            }
            answer
        })
    }
}
