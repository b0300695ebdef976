//! Notices, both ways: the shop's own signed and retried, Tandem's caught and kept.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use serde_json::{Value, json};
use shared::domain::order::Order;
use shared::domain::time::{Seconds, UnixTime};
use shared::outbound::http::{Http, HttpRequest, HttpResponse};

use super::api::{error, json_answer};
use super::{Shop, State, signature};

/// Waits between attempts, as Standard Webhooks suggests; then the shop gives up.
const RETRY_AFTER: [Seconds; 9] = [
    Seconds(5),
    Seconds::minutes(5),
    Seconds::minutes(30),
    Seconds::hours(2),
    Seconds::hours(5),
    Seconds::hours(10),
    Seconds::hours(14),
    Seconds::hours(20),
    Seconds::hours(24),
];
const TIMEOUT: Duration = Duration::from_secs(15);

/// A notice on its way out.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    id: String,
    body: Bytes,
    due_at: UnixTime,
    attempt: usize,
}

/// A notice from Tandem, its signature checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// When it came.
    pub at: UnixTime,
    /// `webhook-id`: the same when it is sent again.
    pub id: String,
    /// Its `type`.
    pub kind: String,
    /// Its `data`.
    pub data: Value,
}

/// Puts a notice of `order` into the outbox, with what the knobs make of it.
pub(super) fn announce(state: &mut State, kind: &str, order: &Order, now: UnixTime) {
    if state.knobs.lose_notices > 0 {
        state.knobs.lose_notices -= 1;
        return;
    }
    state.sent += 1;
    let body = json!({"type": kind, "timestamp": now.to_string(), "data": {"id": order.id, "version": order.version}});
    let delivery = Delivery {
        id: format!("msg_{:05}_{}", state.sent, order.id),
        body: Bytes::from(body.to_string()),
        due_at: now + state.knobs.delay_notices,
        attempt: 0,
    };
    for _ in 0..=state.knobs.repeat_notices {
        state.outbox.push(delivery.clone());
    }
}

impl Shop {
    /// When the next notice leaves.
    pub fn next_notice_at(&self) -> Option<UnixTime> {
        self.lock().outbox.iter().map(|d| d.due_at).min()
    }

    /// Sends every notice that is due; returns how many were accepted. What is refused or gets no answer is due again
    /// by the schedule.
    pub async fn deliver_due(&self, http: &dyn Http) -> usize {
        let now = self.now();
        let due: Vec<Delivery> = {
            let mut state = self.lock();
            let (mut due, later): (Vec<_>, Vec<_>) = state.outbox.drain(..).partition(|d| d.due_at <= now);
            state.outbox = later;
            if state.knobs.reverse_notices {
                due.reverse();
            }
            due
        };
        let mut accepted = 0;
        for mut delivery in due {
            if self.send(http, &delivery, now).await {
                accepted += 1;
            } else if let Some(wait) = RETRY_AFTER.get(delivery.attempt) {
                delivery.attempt += 1;
                delivery.due_at = now + *wait;
                self.lock().outbox.push(delivery);
            } else {
                tracing::warn!(id = delivery.id, "the shop gave up on a notice");
            }
        }
        accepted
    }

    async fn send(&self, http: &dyn Http, delivery: &Delivery, now: UnixTime) -> bool {
        let config = &self.0.config;
        let request = Request::builder()
            .method(Method::POST)
            .uri(&config.webhook_url)
            .header("content-type", "application/json")
            .header("webhook-id", &delivery.id)
            .header("webhook-timestamp", now.0)
            .header(
                "webhook-signature",
                signature::sign(&config.webhook_secret, &delivery.id, now.0, &delivery.body),
            )
            .body(delivery.body.clone());
        match request {
            Ok(request) => http.send(request, TIMEOUT).await.is_ok_and(|a| a.status().is_success()),
            Err(why) => {
                tracing::warn!(%why, "the shop's webhook address is none");
                false
            }
        }
    }

    /// `POST /notices`: what Tandem tells the shop's people.
    pub(super) fn catch_notice(&self, request: &HttpRequest) -> HttpResponse {
        let header =
            |name: &str| request.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
        let now = self.now();
        let fresh = timestamp.parse::<i64>().is_ok_and(|t| (t - now.0).abs() <= 300);
        let secret = &self.0.config.notice_secret;
        if !fresh || !signature::verify(secret, id, timestamp, header("webhook-signature"), request.body()) {
            return error(401, "the signature does not fit");
        }
        let Ok(mut body) = serde_json::from_slice::<Value>(request.body()) else {
            return error(400, "the body is not JSON");
        };
        let kind = body["type"].as_str().unwrap_or_default().to_owned();
        let notice = Notice { at: now, id: id.to_owned(), kind, data: body["data"].take() };
        self.lock().record.notices.push(notice);
        json_answer(200, &json!({}))
    }
}
