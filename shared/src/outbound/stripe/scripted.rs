//! A far side that answers from a script and remembers what it was sent.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use secrecy::SecretString;

use super::{StripeClient, StripeSettings};
use crate::clock::Clock;
use crate::domain::time::UnixTime;
use crate::outbound::http::{Http, HttpRequest, HttpResponse, SendError, SendFuture};

/// One line of the script.
pub(super) enum Line {
    /// This answer.
    Answer(HttpResponse),
    /// This error.
    Error(SendError),
    /// Nothing, ever.
    Silence,
}

/// An answer with a body and headers.
pub(super) fn answer(status: u16, body: &str, headers: &[(&str, &str)]) -> Line {
    let builder = headers.iter().fold(http::Response::builder().status(status), |b, (k, v)| b.header(*k, *v));
    Line::Answer(builder.body(Bytes::copy_from_slice(body.as_bytes())).unwrap())
}

/// Stripe's error envelope around these fields.
pub(super) fn refusal(status: u16, fields: &str) -> Line {
    answer(status, &format!("{{\"error\":{{{fields}}}}}"), &[("request-id", "req_1")])
}

pub(super) fn not_sent() -> Line {
    Line::Error(SendError::NotSent("refused".to_owned()))
}

pub(super) fn reset() -> Line {
    Line::Error(SendError::Unknown("reset".to_owned()))
}

#[derive(Default)]
pub(super) struct Scripted {
    lines: Mutex<VecDeque<Line>>,
    seen: Mutex<Vec<(HttpRequest, tokio::time::Instant)>>,
}

impl Scripted {
    /// A client over this script, and the script.
    pub(super) fn client(lines: impl IntoIterator<Item = Line>) -> (StripeClient, Arc<Self>) {
        Self::client_with(lines, |_| {})
    }

    pub(super) fn client_with(
        lines: impl IntoIterator<Item = Line>,
        change: impl FnOnce(&mut StripeSettings),
    ) -> (StripeClient, Arc<Self>) {
        let script = Arc::new(Self { lines: Mutex::new(lines.into_iter().collect()), ..Self::default() });
        let key = SecretString::from(["sk", "test", "local"].join("_"));
        let clock = Clock::tokio_from(UnixTime(1_800_000_000));
        let mut settings = StripeSettings::new(script.clone(), clock, "https://stripe.test/", key, false);
        settings.jitter = |_, _| 0;
        change(&mut settings);
        (StripeClient::new(settings).unwrap(), script)
    }

    pub(super) fn requests(&self) -> Vec<HttpRequest> {
        self.seen.lock().unwrap().iter().map(|(request, _)| request.clone()).collect()
    }

    pub(super) fn uris(&self) -> Vec<String> {
        self.requests().iter().map(|request| request.uri().to_string()).collect()
    }

    /// The waits between requests, in milliseconds.
    pub(super) fn gaps(&self) -> Vec<u128> {
        let seen = self.seen.lock().unwrap();
        seen.windows(2).map(|pair| (pair[1].1 - pair[0].1).as_millis()).collect()
    }
}

impl Http for Scripted {
    fn send(&self, request: HttpRequest, _timeout: Duration) -> SendFuture<'_> {
        self.seen.lock().unwrap().push((request, tokio::time::Instant::now()));
        let line = self.lines.lock().unwrap().pop_front().expect("the script has ended");
        Box::pin(async {
            match line {
                Line::Answer(response) => Ok(response),
                Line::Error(error) => Err(error),
                Line::Silence => std::future::pending().await,
            }
        })
    }
}
