//! Deliveries, both ways: the shop's own put into its outbox and sent, Tandem's notices caught and kept.

use bytes::Bytes;
use serde_json::{Value, json};
use shared::domain::order::Order;
use shared::domain::time::UnixTime;
use shared::outbound::http::{Http, HttpRequest, HttpResponse};

use super::answer::{error, json_answer};
use super::face::{Change, Face};
use super::{Shop, State, signature};

/// A delivery on its way out.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    /// Its id, the same on every attempt.
    pub(super) id: String,
    /// The order it is about.
    pub(super) order: String,
    /// The topic, in the face's words.
    pub(super) topic: &'static str,
    /// Its body, unless the face builds it when it leaves.
    pub(super) body: Bytes,
    /// When it leaves.
    pub(super) due_at: UnixTime,
    /// Attempts made.
    pub(super) attempt: usize,
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

/// Puts what the face sends about a change into the outbox, with what the knobs make of it.
pub(super) fn announce(state: &mut State, face: &dyn Face, change: Change, order: &Order, now: UnixTime) {
    let deliveries = face.deliveries(state, change, order, now);
    enqueue(state, deliveries);
}

/// The deliveries of one change. All of them are lost together.
pub(super) fn enqueue(state: &mut State, deliveries: Vec<Delivery>) {
    if state.knobs.lose_notices > 0 && !deliveries.is_empty() {
        state.knobs.lose_notices -= 1;
        return;
    }
    for mut delivery in deliveries {
        delivery.due_at = delivery.due_at + state.knobs.delay_notices;
        for _ in 0..=state.knobs.repeat_notices {
            state.outbox.push(delivery.clone());
        }
    }
}

impl Shop {
    /// When the next notice leaves.
    pub fn next_notice_at(&self) -> Option<UnixTime> {
        self.lock().outbox.iter().map(|d| d.due_at).min()
    }

    /// Sends every delivery that is due; returns how many were accepted. What becomes of one that is refused or gets no
    /// answer is the face's.
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
            let outgoing = self.0.face.outgoing(&self.lock(), &self.0.config, &delivery, now);
            let Some(request) = outgoing else { continue };
            let status = http.send(request, self.0.face.timeout()).await.ok().map(|a| a.status().as_u16());
            accepted += usize::from(status.is_some_and(|s| (200..300).contains(&s)));
            let mut state = self.lock();
            if let Some(wait) = self.0.face.after(&mut state, &self.0.config, &delivery, status) {
                delivery.attempt += 1;
                delivery.due_at = now + wait;
                state.outbox.push(delivery);
            }
        }
        accepted
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
