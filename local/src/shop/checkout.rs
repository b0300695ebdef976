//! The checkout protocol: its API, and its notices as Standard Webhooks.

use bytes::Bytes;
use http::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::domain::order::Order;
use shared::domain::time::{Seconds, UnixTime};
use shared::domain::view::WriteBack;
use shared::outbound::http::{HttpRequest, HttpResponse};

use super::answer::{error, json_answer};
use super::face::{Change, Face};
use super::notices::Delivery;
use super::{NewOrder, Shop, ShopConfig, ShopError, State, signature};
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

/// The face of the checkout protocol.
pub(super) struct Checkout;

impl Face for Checkout {
    fn is_api(&self, path: &str) -> bool {
        path == "/orders" || path.starts_with("/orders/")
    }

    fn api(&self, shop: &Shop, request: &HttpRequest) -> HttpResponse {
        shop.checkout_api(request)
    }

    fn deliveries(&self, state: &mut State, change: Change, order: &Order, now: UnixTime) -> Vec<Delivery> {
        state.sent += 1;
        let kind = match change {
            Change::Created => "order.created",
            Change::Updated => "order.updated",
        };
        let body = json!({"type": kind, "timestamp": now.to_string(), "data": {"id": order.id, "version": order.version}});
        vec![Delivery {
            id: format!("msg_{:05}_{}", state.sent, order.id),
            order: order.id.clone(),
            topic: kind,
            body: Bytes::from(body.to_string()),
            due_at: now,
            attempt: 0,
        }]
    }

    fn outgoing(
        &self,
        _state: &State,
        config: &ShopConfig,
        delivery: &Delivery,
        now: UnixTime,
    ) -> Option<HttpRequest> {
        let signature = signature::sign(&config.webhook_secret, &delivery.id, now.0, &delivery.body);
        let request = http::Request::builder()
            .method(Method::POST)
            .uri(&config.webhook_url)
            .header("content-type", "application/json")
            .header("webhook-id", &delivery.id)
            .header("webhook-timestamp", now.0)
            .header("webhook-signature", signature);
        request.body(delivery.body.clone()).ok()
    }

    fn after(
        &self,
        _state: &mut State,
        _config: &ShopConfig,
        delivery: &Delivery,
        status: Option<u16>,
    ) -> Option<Seconds> {
        let accepted = status.is_some_and(|s| (200..300).contains(&s));
        RETRY_AFTER.get(delivery.attempt).copied().filter(|_| !accepted)
    }
}

impl Shop {
    fn checkout_api(&self, request: &HttpRequest) -> HttpResponse {
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

    fn read(&self, id: &str) -> Result<Order, ShopError> {
        Ok(self.shown(id)?.0)
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
