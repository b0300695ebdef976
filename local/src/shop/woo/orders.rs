//! Orders over REST: read, listed, made, changed, thrown away.
//!
//! Invariant: `set_paid` pays only what needs payment; the rest of the same request is saved all the same.

use std::collections::BTreeMap;

use serde_json::Value;
use shared::domain::money::{Currency, Money};
use shared::domain::order::{CaptureMode, Collection, Customer, Item, PaymentEcho};
use shared::domain::time::UnixTime;
use shared::domain::view::WriteBack;
use shared::outbound::http::HttpRequest;

use super::api::{BAD_VALUE, NO_ORDER, Outcome, Refused, page_of, paging};
use super::book::{Book, meaning};
use super::render::{self, Style, rounded};
use super::waiting;
use crate::aws::query_value;
use crate::shop::face::Change;
use crate::shop::{Native, NewOrder, OrderRecord, Shop, State, WriteBackSeen, notices};

/// Statuses that WooCommerce knows by itself.
const STATUSES: [&str; 10] = [
    "pending",
    "processing",
    "on-hold",
    "completed",
    "cancelled",
    "refunded",
    "failed",
    "trash",
    "checkout-draft",
    "auto-draft",
];

/// What a change came to.
#[derive(Default)]
struct Touched {
    /// `order.updated` is sent.
    fires: bool,
    /// `date_modified_gmt` moves.
    moves: bool,
}

impl Shop {
    pub(super) fn woo_read(&self, id: &str) -> Outcome {
        let (order, native) = self.shown(id).map_err(|_| NO_ORDER)?;
        let Native::Woo(book) = native else { return Err(NO_ORDER) };
        if book.gone {
            return Err(NO_ORDER);
        }
        let mut state = self.lock();
        let style = style(&mut state, &self.0.config.public_url, &order);
        Ok((200, render::order(&order, &book, &style)))
    }

    /// The order as it is, without the lag that a read may have.
    fn woo_now(&self, state: &mut State, id: &str) -> Outcome {
        let kept = state.record.orders.get(id).ok_or(NO_ORDER)?;
        let (order, native) = (kept.order.clone(), kept.native.clone());
        let Native::Woo(book) = native else { return Err(NO_ORDER) };
        let style = style(state, &self.0.config.public_url, &order);
        Ok((200, render::order(&order, &book, &style)))
    }

    pub(super) fn woo_list(&self, request: &HttpRequest) -> Outcome {
        let place = paging(request)?;
        let query = |name: &str| query_value(request.uri(), name);
        let time = |name: &str| match query(name) {
            None => Ok(None),
            Some(text) => format!("{}Z", text.trim_end_matches('Z'))
                .parse::<jiff::Timestamp>()
                .map(|t| Some(t.as_second()))
                .map_err(|_| BAD_VALUE),
        };
        let (after, before) = (time("modified_after")?, time("modified_before")?);
        let order = query("order").unwrap_or_else(|| "desc".to_owned());
        let by = query("orderby").unwrap_or_else(|| "date".to_owned());
        let known = ["date", "modified", "id", "include", "title", "slug"];
        if !known.contains(&by.as_str()) || !["asc", "desc"].contains(&order.as_str()) {
            return Err(BAD_VALUE);
        }
        let status = query("status").unwrap_or_else(|| "any".to_owned());
        let mut state = self.lock();
        let shown = |kept: &&OrderRecord| {
            let Native::Woo(book) = &kept.native else { return false };
            let at = kept.order.updated_at.0;
            // "any" leaves out what is thrown away.
            let listed = if status == "any" { book.status != "trash" } else { book.status == status };
            !book.gone && listed && after.is_none_or(|t| at > t) && before.is_none_or(|t| at < t)
        };
        let mut kept: Vec<OrderRecord> = state.record.orders.values().filter(shown).cloned().collect();
        kept.sort_by_key(|k| match by.as_str() {
            "modified" => (k.order.updated_at, number(&k.order.id)),
            "date" => (created(k), number(&k.order.id)),
            _ => (UnixTime(0), number(&k.order.id)),
        });
        if order == "desc" {
            kept.reverse();
        }
        let mut rows = Vec::new();
        for kept in &kept {
            let style = style(&mut state, &self.0.config.public_url, &kept.order);
            if let Native::Woo(book) = &kept.native {
                rows.push(render::order(&kept.order, book, &style));
            }
        }
        Ok((200, page_of(rows, place)))
    }

    /// An order by staff or another system.
    pub(super) fn woo_create(&self, body: &Value) -> Outcome {
        let text = |key: &str| body[key].as_str().unwrap_or_default();
        let currency = Currency::parse(body["currency"].as_str().unwrap_or("EUR")).map_err(|_| BAD_VALUE)?;
        let (decimals, tax) = {
            let state = self.lock();
            (state.woo.decimals.unwrap_or(currency.iso_exponent()), i64::from(state.woo.tax_percent))
        };
        let mut items = Vec::new();
        for line in body["line_items"].as_array().into_iter().flatten() {
            let total = money(&line["total"], currency)?;
            let quantity = u32::try_from(line["quantity"].as_u64().unwrap_or(1)).map_err(|_| BAD_VALUE)?;
            items.push(item(line["name"].as_str().unwrap_or("Thing"), quantity.max(1), total, "product"));
        }
        let net: i64 = items.iter().map(|i| i.unit_amount * i64::from(i.quantity)).sum();
        let unit = 10_i64.pow(currency.iso_exponent().saturating_sub(decimals));
        // A hundredth of the smallest unit at most is lost here, as in the shop's own floats.
        let gross = rounded(net * (100 + tax), unit * 100) / 100;
        if gross != net {
            items.push(item("Tax", 1, gross - net, "tax"));
        }
        let billing = &body["billing"];
        let field = |key: &str| billing[key].as_str().filter(|t| !t.is_empty()).map(str::to_owned);
        let customer = Customer {
            id: body["customer_id"].as_u64().filter(|n| *n > 0).map(|n| format!("c{n}")),
            email: field("email"),
            name: field("first_name"),
            phone: None,
            address: BTreeMap::new(),
            locale: None,
        };
        if items.is_empty() {
            items.push(item("Nothing", 1, 0, "product"));
        }
        let new = NewOrder {
            currency,
            items,
            total: Some(gross),
            customer: Some(customer),
            collection: Collection::Page,
            capture: CaptureMode::AtOnce,
            deposit: None,
            balance_due_at: None,
        };
        let order = self.place(new).map_err(|_| BAD_VALUE)?;
        let mut state = self.lock();
        if let Some((kept, book)) = parts(&mut state, &order.id) {
            let status = if text("status").is_empty() { "pending" } else { text("status") };
            book.status = status.to_owned();
            kept.status = meaning(status);
            book.payment_method = text("payment_method").to_owned();
        }
        drop(state);
        let set: Value = ["meta_data", "set_paid", "transaction_id"]
            .into_iter()
            .filter_map(|key| Some((key.to_owned(), body.get(key)?.clone())))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let (_, shown) = self.woo_update(&order.id, &set)?;
        Ok((201, shown))
    }

    pub(super) fn woo_update(&self, id: &str, body: &Value) -> Outcome {
        let now = self.now();
        let mut state = self.lock();
        let known = state.woo.statuses.clone();
        let kept = state.record.orders.get_mut(id).ok_or(NO_ORDER)?;
        if let Some(status) = body.get("status") {
            let status = status.as_str().ok_or(BAD_VALUE)?;
            if !STATUSES.contains(&status) && !known.iter().any(|s| s == status) {
                return Err(BAD_VALUE);
            }
        }
        if matches!(&kept.native, Native::Woo(book) if book.gone) {
            return Err(NO_ORDER);
        }
        let before = (kept.order.clone(), kept.native.clone());
        let touched = change(kept, body, now)?;
        if touched.moves {
            kept.before = Some(Box::new(before));
            kept.order.version += 1;
            kept.order.updated_at = now;
        }
        let order = kept.order.clone();
        if touched.fires {
            notices::announce(&mut state, self.0.face, Change::Updated, &order, now);
        }
        self.woo_now(&mut state, id)
    }

    /// Into the trash, or away for good.
    pub(super) fn woo_delete(&self, id: &str, force: bool) -> Outcome {
        let now = self.now();
        let mut state = self.lock();
        let (_, shown) = self.woo_now(&mut state, id)?;
        let Some((order, book)) = parts(&mut state, id) else { return Err(NO_ORDER) };
        if force {
            book.gone = true;
        } else {
            book.status = "trash".to_owned();
        }
        order.status = meaning("trash");
        let deliveries = waiting(&state, &["order.deleted"], id, now);
        notices::enqueue(&mut state, deliveries);
        Ok((200, shown))
    }
}

fn number(id: &str) -> u64 {
    id.parse().unwrap_or(0)
}

fn created(kept: &OrderRecord) -> UnixTime {
    match &kept.native {
        Native::Woo(book) => book.created_at,
        _ => kept.order.updated_at,
    }
}

fn item(name: &str, quantity: u32, total: i64, kind: &str) -> Item {
    let each = i64::from(quantity);
    let (quantity, unit_amount) = if total % each == 0 { (quantity, total / each) } else { (1, total) };
    Item { sku: String::new(), name: name.to_owned(), quantity, unit_amount, kind: kind.to_owned() }
}

pub(super) fn money(value: &Value, currency: Currency) -> Result<i64, Refused> {
    let text = value.as_str().ok_or(BAD_VALUE)?;
    Money::parse_decimal(text, currency).map(|m| m.minor).map_err(|_| BAD_VALUE)
}

pub(super) fn style<'a>(state: &mut State, base: &'a str, order: &shared::domain::order::Order) -> Style<'a> {
    Style { decimals: state.woo.decimals, base, customer: state.woo.customer_of(order) }
}

/// An order with its book.
pub(super) fn parts<'a>(
    state: &'a mut State,
    id: &str,
) -> Option<(&'a mut shared::domain::order::Order, &'a mut Book)> {
    let kept = state.record.orders.get_mut(id)?;
    match &mut kept.native {
        Native::Woo(book) if !book.gone => Some((&mut kept.order, book)),
        _ => None,
    }
}

/// One update, in the order in which WooCommerce makes it: fields and status are saved, then the payment.
fn change(kept: &mut OrderRecord, body: &Value, now: UnixTime) -> Result<Touched, Refused> {
    let mut touched = Touched::default();
    let mut views = Vec::new();
    let Native::Woo(book) = &mut kept.native else { return Err(NO_ORDER) };
    let was = (book.status.clone(), book.transaction_id.clone(), book.payment_method.clone(), book.paid_at);
    if let Some(text) = body["transaction_id"].as_str() {
        text.clone_into(&mut book.transaction_id);
    }
    if let Some(text) = body["payment_method"].as_str() {
        text.clone_into(&mut book.payment_method);
    }
    for row in body["meta_data"].as_array().into_iter().flatten() {
        let key = row["key"].as_str().unwrap_or_default();
        touched.fires = true;
        touched.moves |= book.put_meta(row["id"].as_u64(), key, &row["value"]);
        views.extend(key.starts_with("_tandem_payment_v").then(|| row["value"].clone()));
    }
    let lines = lines(&mut kept.order, body)?;
    if let Some(status) = body["status"].as_str() {
        book.set_status(status, now);
    }
    if body["set_paid"] == true && book.needs_payment(kept.order.total) {
        book.payment_complete(body["transaction_id"].as_str().unwrap_or_default(), now);
    }
    let is = (book.status.clone(), book.transaction_id.clone(), book.payment_method.clone(), book.paid_at);
    touched.moves |= lines || is != was;
    touched.fires |= touched.moves;
    kept.order.status = meaning(&book.status);
    for view in views {
        keep_view(kept, &view, now);
    }
    Ok(touched)
}

/// A changed line changes the total.
fn lines(order: &mut shared::domain::order::Order, body: &Value) -> Result<bool, Refused> {
    let mut changed = false;
    for line in body["line_items"].as_array().into_iter().flatten() {
        let place =
            line["id"].as_u64().and_then(|id| usize::try_from(id).ok()).and_then(|id| id.checked_sub(1));
        let Some(item) = place.and_then(|i| order.items.get_mut(i)) else { return Err(BAD_VALUE) };
        if let Some(quantity) = line["quantity"].as_u64().and_then(|n| u32::try_from(n).ok()) {
            changed |= item.quantity != quantity;
            item.quantity = quantity;
        }
        if line["total"].is_string() {
            let total = money(&line["total"], order.currency)?;
            changed |= item.unit_amount * i64::from(item.quantity) != total;
            (item.quantity, item.unit_amount) = (1, total);
        }
    }
    if changed {
        order.items.retain(|item| item.quantity > 0);
        order.total = order.items.iter().map(|i| i.unit_amount * i64::from(i.quantity)).sum();
    }
    Ok(changed)
}

/// What the record keeps of a view, whatever the shop speaks.
fn keep_view(kept: &mut OrderRecord, view: &Value, now: UnixTime) {
    let text = view.as_str().unwrap_or_default();
    let Ok(WriteBack { payment_version: version, payment: view }) = serde_json::from_str(text) else {
        return;
    };
    let applied = version > kept.payment_version;
    if applied {
        kept.payment_version = version;
        kept.order.payment = Some(PaymentEcho { version, status: view.status.name().to_owned() });
        kept.payment = Some(view.clone());
    }
    kept.write_backs.push(WriteBackSeen { at: now, version, applied, view });
}
