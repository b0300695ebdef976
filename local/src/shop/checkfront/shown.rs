//! How bookings look: amounts as decimal strings, times as Unix seconds in a string or as ISO 8601, empty elements as `{}`, a
//! single line without its list.

use serde_json::{Map, Value, json};
use shared::domain::money::Money;
use shared::domain::order::{CaptureMode, Collection, Order, OrderStatus};

use super::book::local;
use super::{Book, Note, Shape};

fn text_or_empty(text: Option<&str>) -> Value {
    text.filter(|t| !t.is_empty()).map_or_else(|| json!({}), Value::from)
}

fn money(order: &Order, minor: i64) -> Value {
    Money::new(minor, order.currency).decimal().into()
}

fn token(book: &Book) -> String {
    format!("{:064x}", u128::from(book.booking_id) * 0x9E37_79B9_7F4A_7C15)
}

/// A row of the listing.
pub(super) fn row(order: &Order, book: &Book) -> Value {
    let customer = order.customer.as_ref();
    let status = book.code_of(&order.status);
    json!({
        "booking_id": book.booking_id, "code": order.id, "status_id": status, "status_name": status,
        "created_date": book.created.0, "total": money(order, order.total), "tax_total": money(order, 0),
        "paid_total": money(order, book.paid()),
        "customer_name": customer.and_then(|c| c.name.as_deref()).unwrap_or_default(),
        "customer_email": customer.and_then(|c| c.email.as_deref()).unwrap_or_default(),
        "summary": order.items.first().map(|i| i.name.as_str()).unwrap_or_default(),
        "date_desc": local(book.starts, "%a %b %d, %Y"), "token": token(book),
    })
}

/// A booking as the webhook shows it. There the status is called `status`, elsewhere `status_id`.
pub(super) fn nested(order: &Order, book: &Book, hook: bool) -> Value {
    let status = book.code_of(&order.status);
    let customer = order.customer.as_ref();
    let shown = |text: Option<&str>| text_or_empty(text);
    let items: Vec<Value> = order
        .items
        .iter()
        .enumerate()
        .map(|(i, item)| {
            json!({
                "@attributes": {"line_id": (i + 1).to_string(), "item_id": "7"}, "sku": text_or_empty(Some(&item.sku)),
                "name": item.name, "qty": item.quantity.to_string(), "status": status,
                "total": money(order, item.unit_amount * i64::from(item.quantity)),
            })
        })
        .collect();
    let items = match items.as_slice() {
        [one] => one.clone(),
        _ => Value::Array(items),
    };
    let mut booking = json!({
        "@attributes": {"booking_id": book.booking_id.to_string()},
        "code": order.id, "tid": {}, "created_date": book.created.0.to_string(),
        "start_date": book.starts.0.to_string(), "end_date": (book.starts.0 + 7200).to_string(),
        "staff_id": {}, "source_ip": "203.0.113.9",
        "customer": {
            "code": shown(customer.and_then(|c| c.id.as_deref())), "name": shown(customer.and_then(|c| c.name.as_deref())),
            "email": shown(customer.and_then(|c| c.email.as_deref())), "region": {}, "address": {}, "city": {},
            "country": {}, "phone": shown(customer.and_then(|c| c.phone.as_deref())), "postal_zip": {},
        },
        "fields": fields(order), "meta": {"note": {}, "mobile_device": {}},
        "order": {
            "@attributes": {"currency_id": order.currency.code()},
            "sub_total": money(order, order.total), "tax_total": money(order, 0), "discount": money(order, 0),
            "paid_total": money(order, book.paid()), "total": money(order, order.total), "taxes": {},
            "items": {"item": items},
        },
    });
    booking[if hook { "status" } else { "status_id" }] = status.into();
    booking
}

/// `GET booking/{code}`, in one of the shapes it may have.
pub(super) fn booking(order: &Order, book: &Book, shape: Shape) -> Value {
    let listed = || {
        let mut row = row(order, book);
        row["customer_id"] = order.customer.as_ref().and_then(|c| c.id.clone()).unwrap_or_default().into();
        row["start_date"] = book.starts.0.into();
        row["fields"] = fields(order);
        row["currency_id"] = order.currency.code().into();
        row
    };
    match shape {
        Shape::Nested => nested(order, book, false),
        Shape::Flat => flat(order, book),
        Shape::Keyed => json!({ book.booking_id.to_string(): listed() }),
    }
}

/// As a developer of Checkfront shows it on the forum, and as people use it: the code is `id`, what is paid `amount_paid`, and
/// the lines are keyed by their number.
fn flat(order: &Order, book: &Book) -> Value {
    let customer = order.customer.as_ref();
    let lines = order.items.iter().enumerate().map(|(i, item)| {
        let total = money(order, item.unit_amount * i64::from(item.quantity));
        let line = json!({"id": 7, "line_id": i + 1, "name": item.name, "sku": item.sku, "qty": item.quantity, "total": total});
        ((i + 1).to_string(), line)
    });
    json!({
        "id": order.id, "booking_id": book.booking_id, "status_id": book.code_of(&order.status),
        "created_date": book.created.0, "start_date": book.starts.0, "end_date": book.starts.0 + 7200,
        "total": money(order, order.total), "amount_paid": money(order, book.paid()),
        "customer_id": customer.and_then(|c| c.id.as_deref()).unwrap_or_default(),
        "customer_name": customer.and_then(|c| c.name.as_deref()).unwrap_or_default(),
        "customer_email": customer.and_then(|c| c.email.as_deref()).unwrap_or_default(),
        "currency_id": order.currency.code(), "fields": fields(order), "items": lines.collect::<Map<_, _>>(),
    })
}

/// The booking form's fields. What Checkfront has no word for stands in fields of the account's own.
fn fields(order: &Order) -> Value {
    let mut fields = Map::new();
    if let Some(customer) = &order.customer {
        fields.insert("customer_name".into(), text_or_empty(customer.name.as_deref()));
        fields.insert("customer_email".into(), text_or_empty(customer.email.as_deref()));
    }
    let collection = match order.collection {
        Collection::Page => None,
        Collection::Automatic => Some("automatic"),
        Collection::None => Some("none"),
    };
    let mut set = |name: &str, value: Option<Value>| value.map(|v| fields.insert(name.to_owned(), v));
    set("tandem_collection", Some(text_or_empty(collection)));
    set("tandem_capture", (order.capture == CaptureMode::OnFulfilment).then(|| "on_fulfilment".into()));
    set("tandem_deposit", order.deposit.map(|d| money(order, d)));
    set("tandem_balance_due_at", order.balance_due_at.map(|at| at.0.to_string().into()));
    set("tandem_fulfilled", (order.status == OrderStatus::Fulfilled).then(|| "1".into()));
    let asked: Vec<Value> = order
        .refund_requests
        .iter()
        .map(|r| json!({"id": r.id, "amount": r.amount.map(|a| money(order, a)), "reason": r.reason}))
        .collect();
    set("tandem_refund_requests", (!asked.is_empty()).then(|| Value::Array(asked).to_string().into()));
    Value::Object(fields)
}

/// A note of the listing.
pub(super) fn note(order: &Order, note: &Note) -> Value {
    json!({
        "note_id": note.id, "account_id": note.account, "date": local(note.at, "%Y-%m-%dT%H:%M:%S%:z"), "body": note.body,
        "private": false, "booking_id": order.id,
    })
}
