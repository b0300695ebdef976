//! An order as WooCommerce's REST API shows it: decimal strings with the shop's decimals, times in UTC without a zone.

use serde_json::{Map, Value, json};
use shared::domain::money::{Currency, Money};
use shared::domain::order::{CaptureMode, Collection, Customer, Item, Order};
use shared::domain::time::UnixTime;

use super::book::{Book, MetaRow, RefundRow};

/// How the shop shows money, and where it is.
pub(super) struct Style<'a> {
    /// The shop's decimals; without a setting those of the order's currency.
    pub(super) decimals: Option<u32>,
    pub(super) base: &'a str,
    /// Number of a registered buyer.
    pub(super) customer: u64,
}

/// `minor` with so many decimals; what does not fit is rounded, as the shop does.
pub(super) fn decimal(minor: i64, currency: Currency, decimals: Option<u32>) -> String {
    let exponent = currency.iso_exponent();
    let decimals = decimals.unwrap_or(exponent);
    if decimals >= exponent {
        let text = Money::new(minor, currency).decimal();
        let point = if exponent == 0 && decimals > 0 { "." } else { "" };
        return format!("{text}{point}{}", "0".repeat((decimals - exponent) as usize));
    }
    let unit = 10_i64.pow(exponent - decimals);
    let rounded = rounded(minor, unit) / unit;
    let (sign, digits) = (if rounded < 0 { "-" } else { "" }, rounded.unsigned_abs().to_string());
    if decimals == 0 {
        return format!("{sign}{digits}");
    }
    let width = decimals as usize + 1;
    let digits = format!("{digits:0>width$}");
    let (whole, fraction) = digits.split_at(digits.len() - decimals as usize);
    format!("{sign}{whole}.{fraction}")
}

/// The nearest multiple of `unit`, halves away from zero.
pub(super) fn rounded(minor: i64, unit: i64) -> i64 {
    let half = unit / 2;
    let shifted = if minor < 0 { minor - half } else { minor + half };
    shifted / unit * unit
}

fn gmt(time: UnixTime) -> String {
    time.to_string().trim_end_matches('Z').to_owned()
}

fn maybe(time: Option<UnixTime>) -> Value {
    time.map_or(Value::Null, |t| gmt(t).into())
}

/// The order.
pub(super) fn order(order: &Order, book: &Book, style: &Style<'_>) -> Value {
    let money = |minor| Value::from(decimal(minor, order.currency, style.decimals));
    let key = format!("wc_order_{}", order.id);
    let pay = format!("{}/checkout/order-pay/{}/?pay_for_order=true&key={key}", style.base, order.id);
    let id: u64 = order.id.parse().unwrap_or(0);
    let refunds: Vec<Value> = book
        .refunds
        .iter()
        .rev()
        .map(|r| json!({"id": r.id, "reason": r.reason, "total": money(-r.amount)}))
        .collect();
    let tax: i64 = of_kind(order, "tax").map(|(_, item)| item.unit_amount).sum();
    let mut shown = json!({
        "id": id, "parent_id": 0, "status": book.status, "currency": order.currency.code(), "version": "10.0.2",
        "prices_include_tax": false, "number": order.id, "order_key": key, "created_via": "rest-api",
        "total": money(order.total), "total_tax": money(tax), "customer_id": style.customer,
        "payment_method": book.payment_method, "payment_method_title": "", "transaction_id": book.transaction_id,
        "customer_note": "", "cart_hash": "", "meta_data": meta(order, book), "refunds": refunds,
        "payment_url": pay, "needs_payment": book.needs_payment(order.total),
        "needs_processing": book.needs_processing,
        "is_editable": matches!(book.status.as_str(), "pending" | "on-hold" | "checkout-draft" | "auto-draft"),
        "date_created": gmt(book.created_at), "date_created_gmt": gmt(book.created_at),
        "date_modified": gmt(order.updated_at), "date_modified_gmt": gmt(order.updated_at),
        "date_paid": maybe(book.paid_at), "date_paid_gmt": maybe(book.paid_at),
        "date_completed": maybe(book.completed_at), "date_completed_gmt": maybe(book.completed_at),
    });
    if let Some(fields) = shown.as_object_mut() {
        lines(order, style, fields);
        let billing = address(order.customer.as_ref());
        fields.insert("billing".to_owned(), billing.clone());
        fields.insert("shipping".to_owned(), billing);
    }
    shown
}

fn of_kind<'a>(order: &'a Order, kind: &'a str) -> impl Iterator<Item = (usize, &'a Item)> {
    order.items.iter().enumerate().filter(move |(_, item)| item.kind == kind)
}

fn lines(order: &Order, style: &Style<'_>, fields: &mut Map<String, Value>) {
    let money = |minor| Value::from(decimal(minor, order.currency, style.decimals));
    let whole = |item: &Item| item.unit_amount.saturating_mul(i64::from(item.quantity));
    let id = |i: usize| i + 1;
    let escaped = |name: &str| name.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let product = |(i, item): (usize, &Item)| {
        // A number, not a string, and finer than money: nobody should compute from it.
        let price = Money::new(item.unit_amount, order.currency).decimal().parse::<serde_json::Number>();
        json!({"id": id(i), "name": escaped(&item.name), "product_id": 10, "variation_id": 0,
            "quantity": item.quantity, "subtotal": money(whole(item)), "subtotal_tax": money(0),
            "total": money(whole(item)), "total_tax": money(0), "sku": item.sku,
            "price": price.map_or(Value::Null, Value::Number), "meta_data": []})
    };
    let fee = |(i, item): (usize, &Item)| json!({"id": id(i), "name": escaped(&item.name), "total": money(whole(item)), "total_tax": money(0), "meta_data": []});
    let shipping = |(i, item): (usize, &Item)| {
        json!({"id": id(i), "method_title": escaped(&item.name), "method_id": "flat_rate", "total": money(whole(item)),
            "total_tax": money(0), "meta_data": []})
    };
    let other = |item: &Item| !matches!(item.kind.as_str(), "fee" | "discount" | "shipping" | "tax");
    let products: Vec<Value> =
        order.items.iter().enumerate().filter(|(_, item)| other(item)).map(product).collect();
    let fees: Vec<Value> = of_kind(order, "fee").chain(of_kind(order, "discount")).map(fee).collect();
    fields.insert("line_items".to_owned(), products.into());
    fields.insert("fee_lines".to_owned(), fees.into());
    let shipping: Vec<Value> = of_kind(order, "shipping").map(shipping).collect();
    fields.insert("shipping_lines".to_owned(), shipping.into());
    fields.insert("coupon_lines".to_owned(), json!([]));
    fields.insert("tax_lines".to_owned(), json!([]));
}

fn address(customer: Option<&Customer>) -> Value {
    let name = customer.and_then(|c| c.name.as_deref()).unwrap_or_default();
    let (first, last) = name.split_once(' ').unwrap_or((name, ""));
    let line = |key: &str| customer.and_then(|c| c.address.get(key)).cloned().unwrap_or_default();
    let text = |value: Option<&String>| value.cloned().unwrap_or_default();
    json!({"first_name": first, "last_name": last, "company": "", "address_1": line("line1"),
        "address_2": line("line2"), "city": line("city"), "state": line("state"), "postcode": line("postal_code"),
        "country": line("country"), "email": text(customer.and_then(|c| c.email.as_ref())),
        "phone": text(customer.and_then(|c| c.phone.as_ref()))})
}

/// The rows of metadata, with what a plug-in of the shop adds from its own fields.
fn meta(order: &Order, book: &Book) -> Vec<Value> {
    let mut rows: Vec<Value> = book.meta.iter().map(|row| row_of(row, order)).collect();
    let mut add = |key: &str, value: Value| rows.push(json!({"id": rows.len(), "key": key, "value": value}));
    let money = |minor| Value::from(Money::new(minor, order.currency).decimal());
    match order.collection {
        Collection::Page => {}
        Collection::Automatic => add("tandem_collection", "automatic".into()),
        Collection::None => add("tandem_collection", "none".into()),
    }
    if order.capture == CaptureMode::OnFulfilment {
        add("tandem_capture", "on_fulfilment".into());
    }
    if let Some(deposit) = order.deposit {
        add("tandem_deposit", money(deposit));
    }
    if let Some(at) = order.balance_due_at {
        add("tandem_balance_due_at", at.0.to_string().into());
    }
    if !order.refund_requests.is_empty() {
        let list: Vec<Value> = order
            .refund_requests
            .iter()
            .map(|r| json!({"id": r.id, "amount": r.amount.map(money), "reason": r.reason}))
            .collect();
        add("tandem_refund_requests", Value::Array(list).to_string().into());
    }
    rows
}

/// A row; the newest view as somebody with access to the tables left it.
fn row_of(row: &MetaRow, order: &Order) -> Value {
    let mut value = row.value.clone();
    if let (Some(echo), Some(text)) = (&order.payment, row.value.as_str())
        && row.key == format!("_tandem_payment_v{}", echo.version)
        && let Ok(mut view) = serde_json::from_str::<Value>(text)
        && view["payment"]["status"] != echo.status.as_str()
    {
        view["payment"]["status"] = echo.status.as_str().into();
        value = view.to_string().into();
    }
    json!({"id": row.id, "key": row.key, "value": value})
}

/// A refund.
pub(super) fn refund(row: &RefundRow, currency: Currency, decimals: Option<u32>) -> Value {
    let meta: Vec<Value> =
        row.meta.iter().map(|m| json!({"id": m.id, "key": m.key, "value": m.value})).collect();
    json!({"id": row.id, "amount": decimal(row.amount, currency, decimals), "reason": row.reason, "refunded_by": 1,
        "refunded_payment": false, "date_created_gmt": gmt(row.at), "meta_data": meta, "line_items": []})
}

/// A note.
pub(super) fn note(row: &super::book::NoteRow) -> Value {
    json!({"id": row.id, "author": "system", "date_created_gmt": gmt(row.at), "note": row.text,
        "customer_note": row.customer})
}

/// Only these fields of an answer.
pub(super) fn trimmed(value: Value, fields: Option<&str>) -> Value {
    let Some(fields) = fields else { return value };
    let fields: Vec<&str> = fields.split(',').map(str::trim).collect();
    let trim = |value: Value| match value {
        Value::Object(map) => {
            Value::Object(map.into_iter().filter(|(k, _)| fields.contains(&k.as_str())).collect())
        }
        other => other,
    };
    match value {
        Value::Array(list) => Value::Array(list.into_iter().map(trim).collect()),
        other => trim(other),
    }
}
