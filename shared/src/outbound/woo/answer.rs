//! Reading WooCommerce's answers: `{code, message, data}` is an error, whatever the status.
//!
//! Invariant: of an error only its code is repeated: its message is translated and may quote what was sent.

use http::StatusCode;
use serde_json::Value;

use crate::outbound::http::HttpResponse;
use crate::outbound::shop::ShopError;
use crate::outbound::shop::call::{json_in, json_of, refused};

/// A 500 that is a refusal: the refund is more than what is left, or the order's own gateway would not.
pub(super) const NO_REFUND: &str = "woocommerce_rest_cannot_create_order_refund";

/// What to do about a refusal, by its code.
const CURES: &[(&str, &str)] = &[
    (
        NO_REFUND,
        "the refund is more than what the order has left in WooCommerce; compare its refunds there with Stripe's",
    ),
    (
        "rest_no_route",
        "the REST API is not there: WordPress needs pretty permalinks, and base_url the shop's root",
    ),
    ("rest_invalid_param", "a value is not known there; if it is a status, look at [sources.NAME.statuses]"),
    ("woocommerce_rest_invalid_order_refund", "the refund's amount is refused"),
];

/// The JSON of a successful answer without an error inside; `id` is the order asked for.
pub(super) fn json(answer: &HttpResponse, id: &str) -> Result<Value, ShopError> {
    if answer.status().is_success() {
        let body = json_of(answer, id)?;
        if code(&body).is_some() && body.get("id").is_none() {
            return Err(ShopError::ErrorInside(answer.status().as_u16()));
        }
        return Ok(body);
    }
    let code = json_in(answer).ok().as_ref().and_then(code);
    Err(match (answer.status(), code) {
        (_, Some(code)) if code == NO_REFUND => rejected(&code),
        (StatusCode::NOT_FOUND, Some(code)) if code.starts_with("woocommerce_rest_") => other(answer, id),
        // The shop is there and WooCommerce is not: an update under way, a plug-in switched off. It may come back by itself.
        (StatusCode::NOT_FOUND, code) => ShopError::Unknown(match code {
            Some(code) => rejected(&code).to_string(),
            None => "404 for the whole API".to_owned(),
        }),
        (StatusCode::NOT_FOUND | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => other(answer, id),
        (StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT, _) => other(answer, id),
        (status, Some(code)) if status.is_client_error() => rejected(&code),
        _ => other(answer, id),
    })
}

fn other(answer: &HttpResponse, id: &str) -> ShopError {
    refused(answer, id).unwrap_or(ShopError::Refused(answer.status().as_u16()))
}

fn rejected(code: &str) -> ShopError {
    let cure = CURES.iter().find(|(known, _)| *known == code).map(|(_, cure)| *cure);
    ShopError::Rejected(match cure {
        Some(cure) => format!("{code}: {cure}"),
        None => code.to_owned(),
    })
}

/// The code of an error, if it looks like one.
pub(super) fn code(body: &Value) -> Option<String> {
    body.get("message").and_then(Value::as_str)?;
    let code = body.get("code").and_then(Value::as_str)?;
    let word = (1..=80).contains(&code.len())
        && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    Some(if word { code.to_owned() } else { "an error without a code".to_owned() })
}
