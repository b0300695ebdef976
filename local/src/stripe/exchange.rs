//! One exchange with the API: key, version, fault, idempotency, execution, answer.
//!
//! Invariant: what an executed request answered is stored under its key before the answer can get lost.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde_json::Value;

use shared::outbound::http::{HttpRequest, HttpResponse};

use super::chaos::{FaultMode, strike};
use super::error::ApiError;
use super::form::Form;
use super::idempotency::Stored;
use super::seam::Broken;
use super::world::{Cause, World};
use super::{API_VERSION, StripeSim, api, contract, expand};

/// Versions the API knows, oldest first.
const VERSIONS: &[&str] = &[
    "2024-09-30.acacia",
    "2024-10-28.acacia",
    "2024-11-20.acacia",
    "2024-12-18.acacia",
    "2025-01-27.acacia",
    "2025-02-24.acacia",
    "2025-03-01.dashboard",
    "2025-03-31.basil",
    "2025-04-30.basil",
    "2025-05-28.basil",
    "2025-06-30.basil",
    "2025-07-30.basil",
    "2025-08-27.basil",
    "2025-09-30.clover",
    "2025-10-29.clover",
    "2025-11-17.clover",
    "2025-12-15.clover",
    "2026-01-28.clover",
    "2026-02-25.clover",
    "2026-03-25.dahlia",
    "2026-04-22.dahlia",
    "2026-05-27.dahlia",
    "2026-06-24.dahlia",
    "2026-07-29.dahlia",
    "2026-08-26.dahlia",
    "2026-09-30.endive",
    API_VERSION,
];

/// A request that was read, with all that its execution needs.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    method: Method,
    path: String,
    form: Form,
    key: Option<String>,
    version: String,
    account: Option<String>,
    id: String,
}

impl Received {
    fn read(request: &HttpRequest, id: String) -> Self {
        let header =
            |name: &str| request.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let mut form = Form::parse(request.uri().query().unwrap_or_default());
        form.extend(Form::parse(&String::from_utf8_lossy(request.body())));
        let post = request.method() == Method::POST;
        Self {
            method: request.method().clone(),
            path: request.uri().path().trim_end_matches('/').to_owned(),
            form,
            key: header("Idempotency-Key").filter(|_| post),
            version: header("Stripe-Version").unwrap_or_else(|| API_VERSION.to_owned()),
            account: header("Stripe-Account"),
            id,
        }
    }

    fn parts(&self) -> Vec<&str> {
        self.path.trim_start_matches("/v1").split('/').filter(|p| !p.is_empty()).collect()
    }

    /// What makes two requests the same: method, path and parameters in any order.
    fn fingerprint(&self) -> String {
        let mut pairs: Vec<&(String, String)> = self.form.pairs().iter().collect();
        pairs.sort();
        format!("{} {} {:?} {pairs:?}", self.method, self.path, self.account)
    }
}

/// An answer on its way out.
struct Reply {
    status: StatusCode,
    body: Value,
    headers: Vec<(&'static str, String)>,
}

impl Reply {
    fn new(status: StatusCode, body: Value) -> Self {
        Self { status, body, headers: Vec::new() }
    }

    fn refusal(error: &ApiError) -> Self {
        Self::new(error.status, error.body())
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

/// Counts a request as inside, and frees its key if its sender goes away before it was executed.
struct Inside<'a> {
    sim: &'a StripeSim,
    key: Option<String>,
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        let mut world = self.sim.world();
        world.running = world.running.saturating_sub(1);
        if let Some(key) = &self.key {
            world.answers.release(key);
        }
    }
}

impl StripeSim {
    /// Answers one request: the API under `/v1`, the hosted pages under `/c`.
    pub async fn handle(&self, request: HttpRequest) -> HttpResponse {
        let path = request.uri().path();
        if path.starts_with(super::control::PREFIX) && self.world().options.controls {
            return self.control(&request);
        }
        if path.starts_with("/v1/") {
            return self.exchange(&request).await;
        }
        self.page(&request)
    }

    async fn exchange(&self, request: &HttpRequest) -> HttpResponse {
        let (received, gate) = {
            let mut world = self.world();
            world.catch_up();
            let id = world.id("req_");
            let received = Received::read(request, id);
            let gate = world.admit(&received, request.headers());
            world.running += 1;
            (received, gate)
        };
        let mut inside = Inside { sim: self, key: None };
        let fault = match gate {
            Gate::Answer(reply) => return finish(&received, &reply),
            Gate::Break(broken) => return broken.response(),
            Gate::Execute(fault) => {
                inside.key.clone_from(&received.key);
                fault
            }
        };
        if let Some(FaultMode::Slow(ms)) = fault {
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
        if let Some(FaultMode::LandsLater(ms)) = fault {
            // The key stays in use until the request lands: it is no longer ours to free.
            inside.key = None;
            let mut world = self.world();
            let at = world.now_ms() + ms;
            world.plan_at(at, super::world::Later::Request(Box::new(received)));
            return Broken::Reset.response();
        }
        // Carrying out settles the key itself.
        inside.key = None;
        let reply = {
            let mut world = self.world();
            world.catch_up();
            world.carry_out(&received, fault.as_ref())
        };
        match fault {
            Some(FaultMode::SlowAfter(ms)) => tokio::time::sleep(Duration::from_millis(ms)).await,
            Some(FaultMode::ResetAfter) => return Broken::Reset.response(),
            _ => {}
        }
        finish(&received, &reply)
    }
}

/// What the first look at a request decides.
enum Gate {
    /// Answered without executing.
    Answer(Box<Reply>),
    /// The connection breaks, nothing executed.
    Break(Broken),
    /// To be executed; the fault strikes on the way.
    Execute(Option<FaultMode>),
}

impl World {
    /// Checks key, version, account, trouble and idempotency.
    fn admit(&mut self, received: &Received, headers: &HeaderMap) -> Gate {
        let parts = received.parts();
        let template = api::template(&parts);
        let count = self.calls.entry((received.method.to_string(), template.clone())).or_default();
        *count += 1;
        let fault = strike(&mut self.faults, &received.method, &received.path, &template);
        match &fault {
            Some(FaultMode::Unreachable) => return Gate::Break(Broken::Refused),
            Some(FaultMode::ResetBefore) => return Gate::Break(Broken::Reset),
            Some(FaultMode::ErrorBefore) => {
                return Gate::Answer(Box::new(Reply::refusal(&ApiError::server())));
            }
            Some(FaultMode::RateLimited(reason)) => {
                let error = ApiError::too_many("rate_limit", "Request rate limit exceeded.");
                return Gate::Answer(Box::new(
                    Reply::refusal(&error).with("Stripe-Rate-Limited-Reason", reason),
                ));
            }
            Some(FaultMode::LockTimeout) => {
                let text = "This object cannot be accessed right now because another API request or Stripe process is currently accessing it.";
                let reply = Reply::refusal(&ApiError::too_many("lock_timeout", text));
                return Gate::Answer(Box::new(reply.with("Stripe-Should-Retry", "true")));
            }
            Some(FaultMode::KeyExpired) => {
                let error = ApiError::unauthorized("Expired API Key provided.").coded("api_key_expired");
                return Gate::Answer(Box::new(Reply::refusal(&error)));
            }
            _ => {}
        }
        if let Err(error) = self.may(received, headers, &parts) {
            return Gate::Answer(Box::new(Reply::refusal(&error)));
        }
        let Some(key) = &received.key else { return Gate::Execute(fault) };
        match self.answers.begin(key, &received.fingerprint(), self.now_ms()) {
            Ok(None) => Gate::Execute(fault),
            Ok(Some(stored)) => {
                let reply = Reply::new(stored.status, stored.body);
                Gate::Answer(Box::new(
                    reply.with("Idempotent-Replayed", "true").with("Original-Request", &stored.request),
                ))
            }
            Err(error) if error.status == StatusCode::CONFLICT => {
                Gate::Answer(Box::new(Reply::refusal(&error).with("Stripe-Should-Retry", "true")))
            }
            Err(error) => Gate::Answer(Box::new(Reply::refusal(&error))),
        }
    }

    fn may(&mut self, received: &Received, headers: &HeaderMap, parts: &[&str]) -> Result<(), ApiError> {
        self.keys.check(headers, &received.method, api::resource(parts))?;
        if !VERSIONS.contains(&received.version.as_str()) {
            let text = format!("Invalid Stripe API version: {}", received.version);
            return Err(ApiError::bad_request(&text));
        }
        if let Some(account) = received.account.as_deref().filter(|a| *a != self.options.account) {
            let text = format!(
                "The provided key does not have access to account '{account}' (or that account does not exist)."
            );
            return Err(ApiError::forbidden(&text).coded("account_invalid"));
        }
        Ok(())
    }

    /// Executes a request and keeps the answer under its key. A fault makes the answer a 500, with or without the effect.
    fn carry_out(&mut self, received: &Received, fault: Option<&FaultMode>) -> Reply {
        let done = match fault {
            Some(FaultMode::ErrorStored) => Err(ApiError::server()),
            _ => self.execute(received),
        };
        let (mut status, mut body, mut executed) = match done {
            Ok(body) => (StatusCode::OK, body, true),
            Err(error) => (error.status, error.body(), error.executed),
        };
        if fault == Some(&FaultMode::ErrorAfter) {
            let error = ApiError::server();
            (status, body, executed) = (error.status, error.body(), true);
        }
        if let Some(key) = &received.key {
            if executed {
                let stored = Stored { status, body: body.clone(), request: received.id.clone() };
                self.answers.keep(key, stored);
            } else {
                self.answers.release(key);
            }
        }
        Reply::new(status, body)
    }

    /// A request whose sender gave up long ago lands.
    pub(crate) fn land(&mut self, received: &Received) {
        let _ = self.carry_out(received, None);
    }

    fn execute(&mut self, received: &Received) -> api::Answer {
        let parts = received.parts();
        self.validate(received)?;
        let paths = received.form.array("expand");
        expand::foresee(&parts, &paths)?;
        self.cause = Some(Cause { request: received.id.clone(), key: received.key.clone() });
        let answer = api::route(self, &received.method, &parts, &received.form);
        self.cause = None;
        let mut answer = answer?;
        // Past this point something was done: a refusal is stored like any answer.
        self.expand(&mut answer, &paths).map_err(ApiError::executed)?;
        Ok(answer)
    }

    /// What is refused by its parameters alone.
    fn validate(&self, received: &Received) -> Result<(), ApiError> {
        let form = &received.form;
        if !self.options.contract {
            return Ok(());
        }
        contract::check(received.method.as_str(), &received.path, form.pairs()).map_err(|refusal| {
            let error = ApiError::plain_param(&refusal.param, &refusal.message);
            // Stripe names no code for a wrong enum value, boolean or array.
            if refusal.code.is_empty() { error } else { error.coded(refusal.code) }
        })
    }
}

/// The answer as it leaves.
fn finish(received: &Received, reply: &Reply) -> HttpResponse {
    let bytes = serde_json::to_vec_pretty(&reply.body).unwrap_or_default();
    let mut response = HttpResponse::new(Bytes::from(bytes));
    *response.status_mut() = reply.status;
    let lock_timeout = reply.headers.iter().any(|(n, _)| *n == "Stripe-Should-Retry")
        && reply.status == StatusCode::TOO_MANY_REQUESTS;
    let mut put = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            response
                .headers_mut()
                .insert(HeaderName::from_bytes(name.as_bytes()).unwrap_or(header::WARNING), value);
        }
    };
    put("content-type", "application/json");
    // A request that met a lock was never processed: it has no id.
    if !lock_timeout {
        put("request-id", &received.id);
    }
    put("stripe-version", &received.version);
    if let Some(key) = &received.key {
        put("idempotency-key", key);
    }
    if let Some(account) = &received.account {
        put("stripe-account", account);
    }
    for (name, value) in &reply.headers {
        put(name, value);
    }
    response
}
