//! From WooCommerce's order to ours, with the books that only WooCommerce keeps.
//!
//! Invariant: only `_gmt` times and decimal strings are read, and what is missing or of a wrong type is named, never
//! guessed. WooCommerce's books know paid and not paid, not how much: what is ours of it is known by our own marks.

use std::collections::BTreeMap;

use serde_json::Value;

use super::lines;
use super::marks::{self, Meta};
use crate::config::woo::Woo;
use crate::domain::money::Currency;
use crate::domain::order::{
    CaptureMode, Collection, Customer, Order, OrderStatus, PaymentEcho, ReportedRefund,
};
use crate::domain::time::UnixTime;
use crate::inbound::woo::seconds;
use crate::outbound::shop::ShopError;
use crate::outbound::shop::field::{checked, money, refund_requests, refuse};

/// An order, and what WooCommerce keeps of its payment.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) order: Order,
    pub(super) books: Books,
}

/// What WooCommerce keeps of an order's payment.
#[derive(Clone, Debug)]
pub(super) struct Books {
    /// The status in the shop's words.
    pub(super) status: String,
    /// Whether it counts as paid.
    pub(super) paid: bool,
    /// Whether it was Tandem that set it paid.
    pub(super) ours: bool,
    /// Paid by other means.
    pub(super) elsewhere: i64,
    /// Of what counts as paid: our own record.
    pub(super) recorded: i64,
    /// The status before Tandem held it.
    pub(super) held: Option<String>,
    /// The link it holds.
    pub(super) link: Option<String>,
    /// The newest view it was told.
    pub(super) told: Option<ToldView>,
    /// Its refunds, oldest first.
    pub(super) rows: Vec<Row>,
}

/// A view as an order holds it.
#[derive(Clone, Debug)]
pub(super) struct ToldView {
    pub(super) version: u64,
    status: String,
    captured: i64,
    due: i64,
}

/// One refund of an order.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) id: u64,
    pub(super) amount: i64,
    /// `re_...`, if it is our record.
    pub(super) refund: Option<String>,
}

/// Reads the order `asked` for. `rows` are its refunds, where it has any.
pub(super) fn order(body: &Value, rows: Option<&Value>, asked: &str, woo: &Woo) -> Result<Seen, ShopError> {
    if !body.is_object() {
        return Err(refuse("(body)", Some(body), "one order as a JSON object"));
    }
    let id = body.get("id").and_then(Value::as_u64);
    let id = id.ok_or_else(|| refuse("id", body.get("id"), "a whole number"))?.to_string();
    if id != asked {
        return Err(ShopError::OtherOrder { asked: asked.to_owned(), got: id });
    }
    let status = string(body, "status", "a status such as \"pending\"")?;
    let currency = string(body, "currency", "an ISO 4217 code such as \"EUR\"")?;
    let currency = Currency::parse(&currency)
        .map_err(|_| refuse("currency", body.get("currency"), "an ISO 4217 code such as \"EUR\""))?;
    let total = money("total", body.get("total"), currency)?;
    if total < 0 {
        return Err(refuse("total", body.get("total"), "at least 0"));
    }
    let modified = time(body, "date_modified_gmt")?;
    let modified =
        modified.ok_or_else(|| refuse("date_modified_gmt", body.get("date_modified_gmt"), TIME))?;
    let meta = Meta::of(body).ok_or_else(|| refuse("meta_data", body.get("meta_data"), "a list"))?;
    if !body.get("refunds").is_some_and(Value::is_array) {
        return Err(refuse("refunds", body.get("refunds"), "a list"));
    }
    let rows = refund_rows(rows, currency)?;
    let books = books(body, meta, (total, currency), &status, rows)?;
    let order = Order {
        id,
        number: body.get("number").and_then(Value::as_str).unwrap_or(asked).to_owned(),
        status: meaning(&books, woo),
        currency,
        total,
        items: lines::items(body, currency),
        customer: Some(customer(body)),
        collection: collection(body, meta, woo)?,
        capture: capture(meta)?,
        deposit: meta.value(marks::DEPOSIT).map(|v| money(marks::DEPOSIT, Some(v), currency)).transpose()?,
        balance_due_at: balance(meta)?,
        refund_requests: match meta.value(marks::REQUESTS) {
            Some(value) => refund_requests(marks::REQUESTS, value, currency)?,
            None => Vec::new(),
        },
        refunds: reported(&books.rows),
        return_url: return_url(body),
        metadata: BTreeMap::new(),
        updated_at: UnixTime(i64::try_from(modified).unwrap_or(i64::MAX)),
        version: modified,
        payment: books.told.as_ref().map(|told| echo(told, &books)),
        paid: Some(books.elsewhere + books.recorded),
    };
    Ok(Seen { order: checked(order)?, books })
}

const TIME: &str = "a time such as \"2026-11-21T03:38:14\"";

fn string(body: &Value, field: &str, rule: &'static str) -> Result<String, ShopError> {
    let text = body.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
    text.map(str::to_owned).ok_or_else(|| refuse(field, body.get(field), rule))
}

/// A time in UTC. `None`: it did not happen yet. A field that is not there says nothing, so it is refused.
fn time(body: &Value, field: &str) -> Result<Option<u64>, ShopError> {
    match body.get(field) {
        Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => {
            seconds(text).map(Some).ok_or_else(|| refuse(field, body.get(field), TIME))
        }
        other => Err(refuse(field, other, TIME)),
    }
}

fn books(
    body: &Value,
    meta: Meta<'_>,
    (total, currency): (i64, Currency),
    status: &str,
    rows: Vec<Row>,
) -> Result<Books, ShopError> {
    let paid = time(body, "date_paid_gmt")?.is_some();
    let transaction = body.get("transaction_id").and_then(Value::as_str).unwrap_or_default();
    let found =
        meta.value(marks::ELSEWHERE).map(|v| money(marks::ELSEWHERE, Some(v), currency)).transpose()?;
    let views: Vec<ToldView> =
        meta.views().map(|(version, view)| told_view(version, view.as_ref())).collect();
    let told = views.iter().max_by_key(|v| v.version).cloned();
    let ours = paid && meta.value(marks::PAID).is_some();
    // Until the view that it was paid with is told as well, our record is not yet anybody's.
    let in_full = views.iter().filter(|v| v.due == 0 && v.captured > 0).max_by_key(|v| v.version);
    let recorded = if ours { in_full.map_or(0, |v| v.captured) } else { 0 };
    let elsewhere = match (paid, found) {
        (false, _) => 0,
        (true, Some(amount)) => amount,
        (true, None) if ours => 0,
        (true, None) if !transaction.is_empty() => total,
        // Set by hand. What is paid when the goods leave is not paid by their leaving, and what we took before is part of
        // what the shop calls paid.
        (true, None) if capture(meta)? == CaptureMode::OnFulfilment => 0,
        (true, None) => match &told {
            Some(told) if told.status == "authorized" => 0,
            Some(told) => (total - told.captured).max(0),
            None => total,
        },
    };
    let held = meta.text(marks::HELD).filter(|_| status == "on-hold");
    let link = meta.text(marks::LINK);
    Ok(Books { status: status.to_owned(), paid, ours, elsewhere, recorded, held, link, told, rows })
}

/// A view that cannot be read any more holds its version all the same.
fn told_view(version: u64, view: Option<&Value>) -> ToldView {
    let payment = view.and_then(|view| view.get("payment"));
    let amount = |key: &str| payment.and_then(|p| p.get(key)).and_then(Value::as_i64);
    let status = payment.and_then(|p| p.get("status")).and_then(Value::as_str).unwrap_or("unreadable");
    let status = status.chars().take(60).collect();
    ToldView {
        version,
        status,
        captured: amount("amount_captured").unwrap_or(0).max(0),
        due: amount("amount_due").unwrap_or(1),
    }
}

/// Statuses of an order that waits for its money.
const UNPAID: [&str; 2] = ["pending", "failed"];

/// Statuses of a view under which an order may stay held.
const HOLDS: [&str; 3] = ["processing", "disputed", "review"];

fn echo(told: &ToldView, books: &Books) -> PaymentEcho {
    // A status that came too late, after the view that let go of it: a person has to see it. WooCommerce takes a write
    // that was under way for a minute as it takes any other.
    let held = books.held.is_some() && !HOLDS.contains(&told.status.as_str());
    let unpaid = books.ours && told.captured > 0 && told.due == 0 && UNPAID.contains(&books.status.as_str());
    let status =
        if held || unpaid { format!("{} after {}", books.status, told.status) } else { told.status.clone() };
    PaymentEcho { version: told.version, status }
}

/// What the status means; one that we set ourselves means what it was before.
fn meaning(books: &Books, woo: &Woo) -> OrderStatus {
    let word = books.held.as_ref().unwrap_or(&books.status);
    woo.statuses.get(word).cloned().unwrap_or_else(|| OrderStatus::Other(word.clone()))
}

fn collection(body: &Value, meta: Meta<'_>, woo: &Woo) -> Result<Collection, ShopError> {
    let method = body.get("payment_method").and_then(Value::as_str);
    let method = method.ok_or_else(|| refuse("payment_method", body.get("payment_method"), "a string"))?;
    let wish = match meta.text(marks::COLLECTION).as_deref() {
        None | Some("page") => Collection::Page,
        Some("automatic") => Collection::Automatic,
        Some("none") => Collection::None,
        Some(_) => {
            let rule = "\"page\", \"automatic\" or \"none\"";
            return Err(refuse(marks::COLLECTION, meta.value(marks::COLLECTION), rule));
        }
    };
    // Somebody else's to collect: another method, or the official Stripe plug-in's own intent.
    let others =
        !woo.payment_methods.iter().any(|m| m == method) || meta.value(marks::STRIPE_PLUGIN).is_some();
    Ok(if others { Collection::None } else { wish })
}

fn capture(meta: Meta<'_>) -> Result<CaptureMode, ShopError> {
    match meta.text(marks::CAPTURE).as_deref() {
        None | Some("at_once") => Ok(CaptureMode::AtOnce),
        Some("on_fulfilment") => Ok(CaptureMode::OnFulfilment),
        Some(_) => {
            Err(refuse(marks::CAPTURE, meta.value(marks::CAPTURE), "\"at_once\" or \"on_fulfilment\""))
        }
    }
}

fn balance(meta: Meta<'_>) -> Result<Option<UnixTime>, ShopError> {
    let Some(text) = meta.text(marks::BALANCE) else { return Ok(None) };
    let rule = "Unix seconds, or a time such as \"2026-11-21T00:00:00Z\"";
    let time = UnixTime::parse(&text);
    time.map(Some).ok_or_else(|| refuse(marks::BALANCE, meta.value(marks::BALANCE), rule))
}

fn refund_rows(rows: Option<&Value>, currency: Currency) -> Result<Vec<Row>, ShopError> {
    let Some(rows) = rows else { return Ok(Vec::new()) };
    let list = rows.as_array().ok_or_else(|| refuse("refunds", Some(rows), "a list"))?;
    let mut read = Vec::new();
    for (i, row) in list.iter().enumerate() {
        let id = row.get("id").and_then(Value::as_u64);
        let id = id.ok_or_else(|| refuse(&format!("refunds[{i}].id"), row.get("id"), "a whole number"))?;
        let amount = money(&format!("refunds[{i}].amount"), row.get("amount"), currency)?;
        read.push(Row { id, amount: amount.abs(), refund: marker(row) });
    }
    read.sort_by_key(|row| row.id);
    Ok(read)
}

/// The refund at Stripe that a row records: by its metadata, or by its reason where a write broke off between the two.
fn marker(row: &Value) -> Option<String> {
    let by_meta = Meta::of(row).and_then(|meta| meta.text(marks::REFUND));
    by_meta.or_else(|| {
        let reason = row.get("reason").and_then(Value::as_str)?.strip_suffix(')')?;
        let (_, id) = reason.rsplit_once('(')?;
        (id.starts_with("re_") || id.starts_with("pyr_")).then(|| id.to_owned())
    })
}

/// The older of two records of one refund is ours; the younger one is anybody's, until it is taken away.
fn reported(rows: &[Row]) -> Vec<ReportedRefund> {
    let first = |i: usize, row: &Row| !rows[..i].iter().any(|r| r.refund == row.refund);
    let report = |(i, row): (usize, &Row)| ReportedRefund {
        id: row.id.to_string(),
        amount: row.amount,
        request: row.refund.clone().filter(|_| first(i, row)),
    };
    // A row of nothing gives nothing back.
    rows.iter().enumerate().filter(|(_, row)| row.amount > 0).map(report).collect()
}

fn customer(body: &Value) -> Customer {
    let billing = body.get("billing");
    let field = |name: &str| {
        let text = billing.and_then(|b| b.get(name)).and_then(Value::as_str).unwrap_or_default().trim();
        (!text.is_empty()).then(|| text.to_owned())
    };
    let names: Vec<String> = ["first_name", "last_name"].into_iter().filter_map(field).collect();
    let address = [
        ("line1", "address_1"),
        ("line2", "address_2"),
        ("city", "city"),
        ("postal_code", "postcode"),
        ("state", "state"),
        ("country", "country"),
    ];
    Customer {
        id: body.get("customer_id").and_then(Value::as_u64).filter(|id| *id > 0).map(|id| id.to_string()),
        email: field("email"),
        name: (!names.is_empty()).then(|| names.join(" ")),
        phone: field("phone"),
        address: address.into_iter().filter_map(|(at, name)| Some((at.to_owned(), field(name)?))).collect(),
        locale: None,
    }
}

/// The shop's page of thanks, which is beside its page to pay: `/checkout/order-pay/34/?pay_for_order=true&key=wc_order_..`.
fn return_url(body: &Value) -> Option<String> {
    let pay = body.get("payment_url")?.as_str()?;
    let (path, query) = pay.split_once('?')?;
    let key = query.split('&').find(|part| part.starts_with("key="))?;
    path.contains("/order-pay/").then(|| format!("{}?{key}", path.replace("/order-pay/", "/order-received/")))
}
