//! The checkout protocol over HTTP.

use bytes::Bytes;
use http::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::domain::time::UnixTime;
use shared::domain::view::WriteBack;
use shared::outbound::http::{HttpRequest, HttpResponse};

use super::{NewOrder, Shop, ShopError};
use crate::aws::{percent_decode, query_value};

/// Orders on one page of a listing.
const PAGE: usize = 50;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RefundBody {
    #[serde(default)]
    amount: Option<i64>,
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    total: i64,
}

impl Shop {
    pub(super) fn api(&self, request: &HttpRequest) -> HttpResponse {
        if self.lock().knobs.down {
            return error(503, "the shop is down for maintenance");
        }
        let expected = format!("Bearer {}", self.0.config.api_token);
        let shown = request.headers().get(http::header::AUTHORIZATION).and_then(|v| v.to_str().ok());
        if shown != Some(expected.as_str()) {
            return error(401, "show the API token as a bearer token");
        }
        let path = request.uri().path().strip_prefix("/orders").unwrap_or_default().trim_matches('/');
        let mut parts = path.split('/');
        let id = percent_decode(parts.next().unwrap_or_default());
        let verb = parts.next().unwrap_or_default();
        let answer = match (request.method(), id.as_str(), verb) {
            (&Method::GET, "", "") => return self.list(request),
            (&Method::POST, "", "") => body::<NewOrder>(request).and_then(|new| self.place(new)),
            (&Method::GET, id, "") => self.read(id),
            (&Method::PATCH, id, "") => body::<WriteBack>(request).and_then(|b| self.write_back(id, &b)),
            (&Method::POST, id, "cancel") => self.cancel(id),
            (&Method::POST, id, "fulfil") => self.fulfil(id),
            (&Method::POST, id, "change") => {
                body::<ChangeBody>(request).and_then(|b| self.change_total(id, b.total))
            }
            (&Method::POST, id, "refund_requests") => body::<RefundBody>(request)
                .and_then(|b| self.request_refund(id, b.amount, &b.reason))
                .and_then(|_| self.read(id)),
            _ => return error(405, "the shop has no such call"),
        };
        match answer {
            Ok(order) => json_answer(200, &serde_json::to_value(order).unwrap_or_default()),
            Err(why @ ShopError::NoOrder(_)) => error(404, &why.to_string()),
            Err(why @ ShopError::Conflict(_)) => error(409, &why.to_string()),
            Err(why @ ShopError::Invalid(_)) => error(422, &why.to_string()),
        }
    }

    /// The order, or for a stale read the order before its last change.
    fn read(&self, id: &str) -> Result<shared::domain::order::Order, ShopError> {
        let mut state = self.lock();
        let kept = state.record.orders.get(id).ok_or_else(|| ShopError::NoOrder(id.to_owned()))?;
        let (now, before) = (kept.order.clone(), kept.before.as_deref().cloned());
        match before {
            Some(before) if state.knobs.stale_reads > 0 => {
                state.knobs.stale_reads -= 1;
                Ok(before)
            }
            _ => Ok(now),
        }
    }

    /// One page in the order of (`updated_at`, id); the cursor is the last line given.
    fn list(&self, request: &HttpRequest) -> HttpResponse {
        let since = query_value(request.uri(), "updated_since").unwrap_or_else(|| "0".to_owned());
        let Ok(since) = since.parse::<i64>().map(UnixTime) else {
            return error(422, "updated_since is Unix seconds");
        };
        let after = match query_value(request.uri(), "cursor") {
            None => None,
            Some(cursor) => match cursor.split_once(':').map(|(at, id)| (at.parse(), id.to_owned())) {
                Some((Ok(at), id)) => Some((UnixTime(at), id)),
                _ => return error(422, "the cursor is not one of this shop's"),
            },
        };
        let as_of = self.now();
        let state = self.lock();
        let mut lines: Vec<_> = state
            .record
            .orders
            .values()
            .map(|kept| ((kept.order.updated_at, kept.order.id.clone()), kept.order.version))
            .filter(|(place, _)| place.0 >= since && after.as_ref().is_none_or(|after| place > after))
            .collect();
        lines.sort();
        let more = lines.len() > PAGE;
        lines.truncate(PAGE);
        let next = lines.last().filter(|_| more).map(|((at, id), _)| format!("{}:{id}", at.0));
        let orders: Vec<Value> = lines
            .into_iter()
            .map(|((at, id), version)| json!({"id": id, "version": version, "updated_at": at.0}))
            .collect();
        json_answer(200, &json!({"orders": orders, "as_of": as_of.0, "next_cursor": next}))
    }
}

fn body<T: DeserializeOwned>(request: &HttpRequest) -> Result<T, ShopError> {
    serde_json::from_slice(request.body()).map_err(|why| {
        tracing::debug!(%why, "the shop cannot read a body");
        ShopError::Invalid("the body does not fit the protocol's JSON Schema")
    })
}

pub(super) fn json_answer(status: u16, body: &Value) -> HttpResponse {
    text_answer(status, "application/json", body.to_string())
}

/// An error as the API gives it.
pub(super) fn error(status: u16, message: &str) -> HttpResponse {
    json_answer(status, &json!({"error": {"message": message}}))
}

pub(super) fn text_answer(status: u16, content_type: &'static str, body: String) -> HttpResponse {
    let mut answer = HttpResponse::new(Bytes::from(body));
    *answer.status_mut() =
        http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    answer
}
