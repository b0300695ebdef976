//! The signed notice webhook (Standard Webhooks), for the shop's own systems.

use std::time::Duration;

use bytes::Bytes;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::http::{HttpRequest, SharedHttp};
use crate::clock::Clock;
use crate::domain::time::UnixTime;
use crate::inbound::{WebhookSecret, standard_webhooks};

/// How long the receiver may take.
const TIMEOUT: Duration = Duration::from_secs(15);

/// How a post ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posted {
    /// 2xx.
    Yes,
    /// Repeating will not mend it.
    Refused(u16),
    /// Not taken, or nobody knows: the same id may be sent again.
    Later,
}

/// Posts notices.
pub struct NoticeClient {
    http: SharedHttp,
    clock: Clock,
    url: String,
    secret: SecretString,
}

impl NoticeClient {
    /// A client for one receiver.
    pub fn new(http: SharedHttp, clock: Clock, url: String, secret: SecretString) -> Self {
        Self { http, clock, url, secret }
    }

    /// Posts one notice. `id` is the same for every repetition.
    pub async fn post(&self, id: &str, kind: &str, data: &Value) -> Posted {
        let now = self.clock.now();
        let body = json!({ "type": kind, "timestamp": now.to_string(), "data": data }).to_string();
        let Some(request) = self.request(id, now, body) else { return Posted::Refused(0) };
        match self.http.send(request, TIMEOUT).await {
            Ok(answer) if answer.status().is_success() => Posted::Yes,
            Ok(answer) => match answer.status().as_u16() {
                status @ (400 | 410 | 413 | 422) => Posted::Refused(status),
                _ => Posted::Later,
            },
            Err(_) => Posted::Later,
        }
    }

    fn request(&self, id: &str, at: UnixTime, body: String) -> Option<HttpRequest> {
        let secret = WebhookSecret::standard(&self.secret).ok()?;
        let signature = standard_webhooks::sign(&secret, id, at, body.as_bytes());
        http::Request::post(&self.url)
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", at.0.to_string())
            .header("webhook-signature", signature)
            .body(Bytes::from(body))
            .ok()
    }
}
