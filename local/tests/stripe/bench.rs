//! A simulator, a clock that the test moves, and a client that speaks forms.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use local::stripe::{SimOptions, StripeSim};
use serde_json::Value;
use shared::clock::Clock;
use shared::domain::time::UnixTime;
use shared::outbound::http::{Http, HttpRequest, HttpResponse, SendError, SendFuture};

pub(crate) const START: i64 = 1_790_000_000;
pub(crate) const BASE: &str = "http://127.0.0.1:4242";

/// One answer.
pub(crate) struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    pub(crate) fn text(&self, pointer: &str) -> String {
        match self.body.pointer(pointer) {
            Some(Value::String(s)) => s.clone(),
            Some(other) => other.to_string(),
            None => "absent".to_owned(),
        }
    }

    pub(crate) fn id(&self) -> String {
        assert_eq!(self.status, 200, "{}", self.body);
        self.text("/id")
    }

    pub(crate) fn number(&self, pointer: &str) -> i64 {
        self.body.pointer(pointer).and_then(Value::as_i64).unwrap_or(i64::MIN)
    }

    pub(crate) fn ids(&self) -> Vec<String> {
        let data = self.body["data"].as_array().unwrap_or_else(|| panic!("no list: {}", self.body));
        data.iter().map(|o| o["id"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

/// The simulator under test.
pub(crate) struct Bench {
    pub sim: StripeSim,
    pub since: tokio::time::Instant,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut SimOptions)) -> Self {
        let mut options = SimOptions::new(Clock::tokio_from(UnixTime(START)), BASE);
        change(&mut options);
        Self { sim: StripeSim::new(options), since: tokio::time::Instant::now() }
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        form: &str,
        headers: &[(&str, &str)],
    ) -> Answer {
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
        let answer = self.sim.handle(request.body(Bytes::from(body)).unwrap()).await;
        let body = serde_json::from_slice(answer.body()).unwrap_or(Value::Null);
        Answer { status: answer.status().as_u16(), headers: answer.headers().clone(), body }
    }

    pub(crate) async fn get(&self, path: &str, query: &str) -> Answer {
        self.send("GET", path, query, &[]).await
    }

    pub(crate) async fn post(&self, path: &str, form: &str) -> Answer {
        self.send("POST", path, form, &[]).await
    }

    pub(crate) async fn keyed(&self, path: &str, form: &str, key: &str) -> Answer {
        self.send("POST", path, form, &[("Idempotency-Key", key)]).await
    }

    /// A succeeded payment: its intent.
    pub(crate) async fn paid(&self, card: &str, amount: i64) -> Answer {
        let form = format!(
            "amount={amount}&currency=eur&allowed_payment_method_types[]=card&confirm=true&payment_method={card}&capture_method=automatic"
        );
        let intent = self.post("/v1/payment_intents", &form).await;
        assert_eq!(intent.text("/status"), "succeeded", "{}", intent.body);
        intent
    }

    /// An open session over 20.00 EUR.
    pub(crate) async fn session(&self, more: &str) -> Answer {
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
    pub(crate) async fn pay(&self, session: &str, form: &str) -> HttpResponse {
        let request = http::Request::post(format!("{BASE}/c/pay/{session}"))
            .body(Bytes::from(form.to_owned()))
            .unwrap();
        self.sim.handle(request).await
    }

    /// The types of all events, oldest first.
    pub(crate) fn events(&self) -> Vec<String> {
        self.sim.ledger().events.into_iter().map(|e| e.kind).collect()
    }

    pub(crate) async fn wait(&self, seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        self.sim.tick();
    }
}

/// An endpoint that remembers what it got and answers with a status that the test sets.
#[derive(Clone, Default)]
pub(crate) struct Receiver {
    pub got: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
    pub down: Arc<Mutex<bool>>,
}

impl Receiver {
    pub(crate) fn types(&self) -> Vec<String> {
        let got = self.got.lock().unwrap();
        got.iter()
            .map(|(_, b)| serde_json::from_slice::<Value>(b).unwrap()["type"].as_str().unwrap().to_owned())
            .collect()
    }
}

impl Http for Receiver {
    fn send(&self, request: HttpRequest, _timeout: Duration) -> SendFuture<'_> {
        Box::pin(async move {
            if *self.down.lock().unwrap() {
                return Err(SendError::NotSent("down".into()));
            }
            self.got.lock().unwrap().push((request.headers().clone(), request.body().clone()));
            let mut answer = HttpResponse::new(Bytes::new());
            *answer.status_mut() = StatusCode::NO_CONTENT;
            Ok(answer)
        })
    }
}
