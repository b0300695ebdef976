//! API Gateway's part: a request becomes the event that the functions get, their reply becomes the answer.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use shared::domain::ids::Function;
use shared::lambda::{HttpEvent, HttpReply};
use shared::outbound::http::{HttpRequest, HttpResponse};

use crate::pump::{Ended, invocation};

/// API Gateway waits no longer.
const TIMEOUT: Duration = Duration::from_secs(29);

/// Routes as in the template.
#[derive(Clone, Default)]
pub struct Gateway(Arc<OnceLock<(webhook_receiver::Deps, payment_page::Deps)>>);

impl Gateway {
    /// Joins the functions, once.
    pub(super) fn open(&self, receiver: webhook_receiver::Deps, page: payment_page::Deps) {
        let _ = self.0.set((receiver, page));
    }

    /// Answers one request.
    pub async fn handle(&self, request: HttpRequest) -> HttpResponse {
        let Some((receiver, page)) = self.0.get() else { return answer(&HttpReply::status(503)) };
        let (parts, body) = request.into_parts();
        let mut headers: Vec<(String, String)> = parts
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        if let (Some(host), None) = (parts.uri.authority(), parts.headers.get(http::header::HOST)) {
            headers.push(("host".into(), host.to_string()));
        }
        let path = parts.uri.path_and_query().map_or("/", |p| p.as_str());
        let event = HttpEvent::new(parts.method.as_str(), path, headers, body);
        let reply = if path.starts_with("/webhooks/") {
            invocation(Function::WebhookReceiver, TIMEOUT, webhook_receiver::handle(receiver, event)).await
        } else if path.starts_with("/pay/") {
            invocation(Function::PaymentPage, TIMEOUT, payment_page::handle(page, event)).await
        } else {
            Ok(HttpReply::status(404))
        };
        // What API Gateway says when its function gave no answer, or none in time.
        let reply = reply.unwrap_or_else(|ended| {
            HttpReply::status(match ended {
                Ended::TimedOut => 504,
                Ended::Panicked | Ended::Killed => 502,
            })
        });
        answer(&reply)
    }
}

fn answer(reply: &HttpReply) -> HttpResponse {
    let mut builder = http::Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        builder = builder.header(name, value);
    }
    builder.body(Bytes::from(reply.body.clone())).unwrap_or_else(|_| {
        let mut broken = HttpResponse::new(Bytes::new());
        *broken.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
        broken
    })
}
