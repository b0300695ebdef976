//! The REST API's front: who asks, what for, and how errors look.

use base64::Engine as _;
use http::{HeaderValue, Method, header};
use serde_json::{Value, json};
use shared::outbound::http::{HttpRequest, HttpResponse};

use super::render::trimmed;
use crate::aws::query_value;
use crate::shop::Shop;
use crate::shop::answer::{json_answer, text_answer};

/// An error as WordPress gives it: status, code. Its message is translated; nobody may read it.
pub(super) struct Refused(pub(super) u16, pub(super) &'static str);

/// What a call comes to: status and body.
pub(super) type Outcome = Result<(u16, Value), Refused>;

pub(super) const NO_ORDER: Refused = Refused(404, "woocommerce_rest_shop_order_invalid_id");
pub(super) const BAD_VALUE: Refused = Refused(400, "rest_invalid_param");

impl Shop {
    pub(super) fn woo_api(&self, request: &HttpRequest) -> HttpResponse {
        let path = request.uri().path().to_owned();
        if let Some(id) = path.strip_prefix("/checkout/order-received/") {
            return self.thanks(id.trim_end_matches('/'));
        }
        let mut answer = match self.woo_call(request, &path) {
            Ok((status, body)) => {
                let fields = query_value(request.uri(), "_fields");
                json_answer(status, &trimmed(body, fields.as_deref()))
            }
            Err(Refused(status, code)) => {
                let message = "Es ist ein Fehler aufgetreten.";
                json_answer(status, &json!({"code": code, "message": message, "data": {"status": status}}))
            }
        };
        let now = jiff::Timestamp::from_second(self.now().0).unwrap_or_default();
        let date = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        if let Ok(date) = HeaderValue::try_from(date) {
            answer.headers_mut().insert(header::DATE, date);
        }
        answer
    }

    /// The page of thanks; the demo's is the order's own page.
    fn thanks(&self, id: &str) -> HttpResponse {
        let mut answer = text_answer(303, "text/plain", String::new());
        if let Ok(to) = HeaderValue::try_from(format!("/o/{id}")) {
            answer.headers_mut().insert(header::LOCATION, to);
        }
        answer
    }

    fn woo_call(&self, request: &HttpRequest, path: &str) -> Outcome {
        let Some(path) = path.strip_prefix("/wp-json/wc/v3/") else {
            return Err(Refused(404, "rest_no_route"));
        };
        let key = base64::engine::general_purpose::STANDARD.encode(&self.0.config.api_token);
        let shown = request.headers().get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
        if shown != Some(format!("Basic {key}").as_str()) {
            return Err(Refused(401, "woocommerce_rest_cannot_view"));
        }
        let reads = request.method() == Method::GET;
        if !reads && !self.lock().woo.may_write {
            return Err(Refused(401, "woocommerce_rest_authentication_error"));
        }
        let body = if reads || request.body().is_empty() {
            json!({})
        } else {
            serde_json::from_slice(request.body()).map_err(|_| Refused(400, "rest_invalid_json"))?
        };
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let changes = *request.method() == Method::PUT || *request.method() == Method::POST;
        match (request.method(), parts.as_slice()) {
            (&Method::GET, ["orders"]) => self.woo_list(request),
            (&Method::POST, ["orders"]) => self.woo_create(&body),
            (&Method::GET, ["orders", id]) => self.woo_read(id),
            // A POST to an order is taken as an update too.
            (_, ["orders", id]) if changes => self.woo_update(id, &body),
            (&Method::DELETE, ["orders", id]) => self.woo_delete(id, forced(request)),
            (&Method::GET, ["orders", id, "notes"]) => self.woo_notes(id),
            (&Method::POST, ["orders", id, "notes"]) => self.woo_add_note(id, &body),
            (&Method::GET, ["orders", id, "refunds"]) => self.woo_refunds(id),
            (&Method::POST, ["orders", id, "refunds"]) => self.woo_add_refund(id, &body),
            (&Method::DELETE, ["orders", id, "refunds", row]) => {
                self.woo_delete_refund(id, row, forced(request))
            }
            (&Method::GET, ["webhooks"]) => self.woo_webhooks(request),
            (&Method::POST, ["webhooks"]) => self.woo_add_webhook(&body),
            (&Method::PUT, ["webhooks", id]) => self.woo_change_webhook(id, &body),
            (&Method::GET, ["settings", "general", id]) => self.woo_setting(id),
            (&Method::GET, ["payment_gateways"]) => Ok((200, self.woo_gateways())),
            _ => Err(Refused(404, "rest_no_route")),
        }
    }
}

fn forced(request: &HttpRequest) -> bool {
    query_value(request.uri(), "force").as_deref() == Some("true")
}

/// `page` and `per_page` of a listing.
pub(super) fn paging(request: &HttpRequest) -> Result<(usize, usize), Refused> {
    let number = |name: &str, default: usize| match query_value(request.uri(), name) {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| BAD_VALUE),
    };
    let (page, per_page) = (number("page", 1)?, number("per_page", 10)?);
    if page == 0 || !(1..=100).contains(&per_page) {
        return Err(BAD_VALUE);
    }
    Ok((page, per_page))
}

/// One page of `rows`.
pub(super) fn page_of(rows: Vec<Value>, (page, per_page): (usize, usize)) -> Value {
    rows.into_iter().skip((page - 1) * per_page).take(per_page).collect()
}
