//! Reading fields strictly: an error names the field and, where it cannot be contact data, the value. What is kept of an
//! order is bounded whatever system it comes from.

use serde_json::Value;

use super::ShopError;
use crate::domain::money::{Currency, Money};
use crate::domain::order::{Order, OrderStatus, RefundRequest};

/// Fields whose values may be shown in an error: they never hold contact data.
const SHOWN: &[&str] = &[
    "id",
    "status",
    "currency",
    "total",
    "updated_at",
    "version",
    "collection",
    "capture",
    "deposit",
    "balance_due_at",
    "date_modified_gmt",
    "date_paid_gmt",
    "payment_method",
    "tandem_collection",
    "tandem_capture",
    "tandem_balance_due_at",
    "cancelledAt",
    "currencyCode",
    "displayFulfillmentStatus",
    "updatedAt",
];

/// A field that says what it must not, or nothing.
pub(crate) fn refuse(field: &str, found: Option<&Value>, rule: &'static str) -> ShopError {
    let name = field.rsplit('.').next().unwrap_or(field);
    let found = match found {
        None => "missing".to_owned(),
        Some(value) if SHOWN.contains(&name) => value.to_string().chars().take(40).collect(),
        Some(Value::Null) => "null".to_owned(),
        Some(Value::Bool(_)) => "a boolean".to_owned(),
        Some(Value::Number(n)) if field.ends_with("amount") => n.to_string(),
        Some(Value::Number(_)) => "a number".to_owned(),
        Some(Value::String(_)) => "a string".to_owned(),
        Some(Value::Array(_)) => "a list".to_owned(),
        Some(Value::Object(_)) => "an object".to_owned(),
    };
    ShopError::Field { field: field.to_owned(), found, rule }
}

/// A decimal string as ISO minor units, exactly: digits beyond the currency's exponent must be zeros.
pub(crate) fn money(field: &str, value: Option<&Value>, currency: Currency) -> Result<i64, ShopError> {
    let text = value.and_then(Value::as_str);
    let parsed = text.and_then(|text| Money::parse_decimal(text, currency).ok());
    parsed.map(|m| m.minor).ok_or_else(|| {
        let found = match text {
            Some(text) => format!("{:?}", text.chars().take(40).collect::<String>()),
            None => value.map_or_else(|| "missing".to_owned(), |v| v.to_string().chars().take(40).collect()),
        };
        let rule = "a decimal string such as \"12.50\", with no more digits than its currency has";
        ShopError::Field { field: field.to_owned(), found, rule }
    })
}

/// What may be asked to give back, kept where the order system has no word for it: `[{"id", "amount", "reason"}]`, as JSON or
/// as its text. No amount means all that is left.
pub(crate) fn refund_requests(
    field: &str,
    value: &Value,
    currency: Currency,
) -> Result<Vec<RefundRequest>, ShopError> {
    let parsed = match value {
        Value::String(text) => serde_json::from_str(text).ok(),
        other => Some(other.clone()),
    };
    let Some(Value::Array(list)) = parsed else {
        return Err(refuse(field, Some(value), "a JSON list of {\"id\", \"amount\", \"reason\"}"));
    };
    let request = |(i, row): (usize, &Value)| {
        let path = |name: &str| format!("{field}[{i}].{name}");
        let id = row.get("id").and_then(Value::as_str).filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| refuse(&path("id"), row.get("id"), "a string that is never reused"))?;
        let amount = row.get("amount").filter(|amount| !amount.is_null());
        let reason = row.get("reason").and_then(Value::as_str).unwrap_or_default();
        Ok(RefundRequest {
            id: id.to_owned(),
            amount: amount.map(|a| money(&path("amount"), Some(a), currency)).transpose()?,
            reason: reason.chars().take(200).collect(),
        })
    };
    list.iter().enumerate().map(request).collect()
}

/// An order whose amounts make sense and which fits its item for as long as it lives.
pub(crate) fn checked(order: Order) -> Result<Order, ShopError> {
    amounts(&order)?;
    sizes(&order)?;
    Ok(order)
}

/// Most refund requests, and most refunds, of one order.
const REFUNDS_MAX: usize = 100;
/// Longest id, number and status that is kept, in characters.
const WORD_CHARS_MAX: usize = 100;

/// What is kept of an order must fit its item for as long as the order lives.
fn sizes(order: &Order) -> Result<(), ShopError> {
    for (field, n) in [("refund_requests", order.refund_requests.len()), ("refunds", order.refunds.len())] {
        if n > REFUNDS_MAX {
            return Err(refuse(field, Some(&n.into()), "at most 100 entries"));
        }
    }
    let status = match &order.status {
        OrderStatus::Other(word) => word.as_str(),
        _ => "",
    };
    let customer = order.customer.as_ref().and_then(|c| c.id.as_deref()).unwrap_or_default();
    let ids = order.refund_requests.iter().map(|r| &r.id).chain(order.refunds.iter().map(|r| &r.id));
    let words = [("number", order.number.as_str()), ("status", status), ("customer.id", customer)];
    for (field, word) in words.into_iter().chain(ids.map(|id| ("refund id", id.as_str()))) {
        if word.chars().count() > WORD_CHARS_MAX {
            return Err(refuse(field, Some(&word.len().into()), "at most 100 characters"));
        }
    }
    Ok(())
}

fn amounts(order: &Order) -> Result<(), ShopError> {
    if let Some(deposit) = order.deposit.filter(|d| !(0..=order.total).contains(d)) {
        return Err(refuse("deposit", Some(&deposit.into()), "between 0 and the total"));
    }
    for (i, request) in order.refund_requests.iter().enumerate() {
        let field = |name: &str| format!("refund_requests[{i}].{name}");
        if request.id.is_empty() || order.refund_requests[..i].iter().any(|r| r.id == request.id) {
            return Err(refuse(&field("id"), Some(&request.id.clone().into()), "not empty and never reused"));
        }
        if let Some(amount) = request.amount.filter(|a| *a <= 0) {
            return Err(refuse(&field("amount"), Some(&amount.into()), "an integer in minor units, above 0"));
        }
    }
    for (i, refund) in order.refunds.iter().enumerate() {
        if refund.amount <= 0 {
            let field = format!("refunds[{i}].amount");
            return Err(refuse(&field, Some(&refund.amount.into()), "an integer in minor units, above 0"));
        }
    }
    Ok(())
}
