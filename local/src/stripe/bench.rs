//! For tests: a simulator, a clock that the test moves, and a client that speaks forms.
//!
//! Invariant: it asks only what a program of anybody's could ask over HTTP, and shows the answer as it came.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use shared::clock::Clock;
use shared::domain::time::UnixTime;
use shared::outbound::http::{Http, HttpRequest, HttpResponse, SendError, SendFuture};

use super::{SimOptions, StripeSim};

/// Where its clock starts, in Unix seconds.
pub const START: i64 = 1_790_000_000;
/// Base of its pages.
pub const BASE: &str = "http://127.0.0.1:4242";

/// A request with its body; a wrong header or path of a test's own stops it.
fn whole(request: http::request::Builder, body: String) -> HttpRequest {
    request.body(Bytes::from(body)).unwrap_or_else(|error| panic!("no request: {error}"))
}

/// One answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// The body; null if it is no JSON.
    pub body: Value,
}

impl Answer {
    /// What is at a JSON pointer, as text; `absent` if nothing is.
    pub fn text(&self, pointer: &str) -> String {
        match self.body.pointer(pointer) {
            Some(Value::String(s)) => s.clone(),
            Some(other) => other.to_string(),
            None => "absent".to_owned(),
        }
    }

    /// The id of the object; the answer must be 200.
    pub fn id(&self) -> String {
        assert_eq!(self.status, 200, "{}", self.body);
        self.text("/id")
    }

    /// The number at a JSON pointer.
    pub fn number(&self, pointer: &str) -> i64 {
        self.body.pointer(pointer).and_then(Value::as_i64).unwrap_or(i64::MIN)
    }

    /// The ids of a list's rows.
    pub fn ids(&self) -> Vec<String> {
        self.body["data"]
            .as_array()
            .unwrap_or_else(|| panic!("no list: {}", self.body))
            .iter()
            .map(|o| o["id"].as_str().unwrap_or_default().to_owned())
            .collect()
    }
}

/// The simulator under test.
#[derive(Debug)]
pub struct Bench {
    /// The simulator.
    pub sim: StripeSim,
    clock: Clock,
}

impl Default for Bench {
    fn default() -> Self {
        Self::new()
    }
}

impl Bench {
    /// A fresh simulator. Needs a paused runtime.
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// With other options.
    pub fn with(change: impl FnOnce(&mut SimOptions)) -> Self {
        let clock = Clock::tokio_from(UnixTime(START));
        let mut options = SimOptions::new(clock.clone(), BASE);
        change(&mut options);
        Self { sim: StripeSim::new(options), clock }
    }

    /// The time, in Unix seconds.
    pub fn now(&self) -> i64 {
        self.clock.now().0
    }

    /// Any request; parameters are the body of a POST and the query of the others.
    pub async fn send(&self, method: &str, path: &str, form: &str, headers: &[(&str, &str)]) -> Answer {
        let (uri, body) = match method {
            "POST" => (format!("{BASE}{path}"), form.to_owned()),
            _ if form.is_empty() => (format!("{BASE}{path}"), String::new()),
            _ => (format!("{BASE}{path}?{form}"), String::new()),
        };
        let mut request = http::Request::builder().method(method).uri(uri);
        if !headers.iter().any(|(n, _)| *n == "Authorization") {
            request = request.header("Authorization", "Bearer sk_test_local");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = self.sim.handle(whole(request, body)).await;
        let body = serde_json::from_slice(answer.body()).unwrap_or(Value::Null);
        Answer { status: answer.status().as_u16(), headers: answer.headers().clone(), body }
    }

    /// A GET.
    pub async fn get(&self, path: &str, query: &str) -> Answer {
        self.send("GET", path, query, &[]).await
    }

    /// A POST without an idempotency key.
    pub async fn post(&self, path: &str, form: &str) -> Answer {
        self.send("POST", path, form, &[]).await
    }

    /// A POST under an idempotency key.
    pub async fn keyed(&self, path: &str, form: &str, key: &str) -> Answer {
        self.send("POST", path, form, &[("Idempotency-Key", key)]).await
    }

    /// A succeeded payment: its intent.
    pub async fn paid(&self, card: &str, amount: i64) -> Answer {
        let form = format!(
            "amount={amount}&currency=eur&allowed_payment_method_types[]=card&confirm=true&payment_method={card}&capture_method=automatic"
        );
        let intent = self.post("/v1/payment_intents", &form).await;
        assert_eq!(intent.text("/status"), "succeeded", "{}", intent.body);
        intent
    }

    /// An open session over 20.00 EUR.
    pub async fn session(&self, more: &str) -> Answer {
        let form = format!(
            "mode=payment&success_url=https://shop.test/ok?s={{CHECKOUT_SESSION_ID}}&cancel_url=https://shop.test/no\
             &line_items[0][price_data][currency]=eur&line_items[0][price_data][unit_amount]=1000\
             &line_items[0][price_data][product_data][name]=Tea&line_items[0][quantity]=2{more}"
        );
        let session = self.post("/v1/checkout/sessions", &form).await;
        session.id();
        session
    }

    /// The buyer pays on the page.
    pub async fn pay(&self, session: &str, form: &str) -> HttpResponse {
        let request = http::Request::post(format!("{BASE}/c/pay/{session}"));
        self.sim.handle(whole(request, form.to_owned())).await
    }

    /// The types of all events, oldest first.
    pub fn events(&self) -> Vec<String> {
        self.sim.ledger().events.into_iter().map(|e| e.kind).collect()
    }

    /// Moves the clock, and what is due by it.
    pub async fn wait(&self, seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        self.sim.tick();
    }
}

/// An endpoint that remembers what it got and answers with a status that the test sets.
#[derive(Clone, Debug, Default)]
pub struct Receiver {
    got: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
    down: Arc<Mutex<bool>>,
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Receiver {
    /// From now on it cannot be reached, or can again.
    pub fn set_down(&self, down: bool) {
        *lock(&self.down) = down;
    }

    /// What it got: headers and body, oldest first.
    pub fn got(&self) -> Vec<(HeaderMap, Bytes)> {
        lock(&self.got).clone()
    }

    /// The types of the events it got.
    pub fn types(&self) -> Vec<String> {
        let kind = |body: &Bytes| serde_json::from_slice::<Value>(body).unwrap_or_default()["type"].clone();
        self.got().iter().map(|(_, body)| kind(body).as_str().unwrap_or_default().to_owned()).collect()
    }
}

impl Http for Receiver {
    fn send(&self, request: HttpRequest, _timeout: Duration) -> SendFuture<'_> {
        Box::pin(async move {
            if *lock(&self.down) {
                return Err(SendError::NotSent("down".into()));
            }
            lock(&self.got).push((request.headers().clone(), request.body().clone()));
            let mut answer = HttpResponse::new(Bytes::new());
            *answer.status_mut() = StatusCode::NO_CONTENT;
            Ok(answer)
        })
    }
}
