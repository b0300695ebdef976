//! Answers of a shop over HTTP.

use bytes::Bytes;
use serde_json::{Value, json};
use shared::outbound::http::HttpResponse;

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
