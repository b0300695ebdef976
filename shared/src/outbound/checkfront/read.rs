//! Reading bookings. What `GET booking/{code}` holds is not documented, so every field has the names that are used anywhere: by
//! that call where people have shown it (`id`, `amount_paid`, `items` by line), by the listing and by the webhook. One table
//! says which.
//!
//! Invariant: code, status, total and what is paid are said clearly, or it is no order.

use std::collections::BTreeMap;

use serde_json::Value;

use super::envelope::{Envelope, time};
use crate::config::{CheckfrontSettings, Deposit};
use crate::domain::money::Currency;
use crate::domain::order::{CaptureMode, Collection, Customer, Item, Order, OrderStatus, RefundRequest};
use crate::domain::time::{Seconds, UnixTime};
use crate::inbound::checkfront::{is_code, word};
use crate::inbound::short_hash;
use crate::outbound::shop::field::{checked, money, refuse};
use crate::outbound::shop::{OrderRef, Page, ShopError};

/// The names of a field, as JSON pointers into the booking; the first that says something counts.
type Names = &'static [&'static str];
const STATUS: Names = &["/status_id", "/status"];
const TOTAL: Names = &["/total", "/order/total"];
const TAX: Names = &["/tax_total", "/order/tax_total"];
const PAID: Names = &["/paid_total", "/order/paid_total", "/amount_paid"];
/// Names of the code, of which some may hold the internal number instead.
const CODES: Names = &["/code", "/id", "/booking_id"];
const CURRENCY: Names = &["/order/@attributes/currency_id", "/order/currency_id", "/currency_id"];
const CREATED: Names = &["/created_date", "/created"];
const START: Names = &["/start_date", "/start"];
const ITEMS: Names = &["/order/items/item", "/order/items", "/items/item", "/items"];
const CUSTOMER_ID: Names = &["/customer/code", "/customer_code", "/customer/customer_id", "/customer_id"];
/// Names within the customer, beside it, and in the booking's form.
const NAME: Names = &["/customer/name", "/customer/customer_name", "/customer_name", "/fields/customer_name"];
const EMAIL: Names =
    &["/customer/email", "/customer/customer_email", "/customer_email", "/fields/customer_email"];
const PHONE: Names =
    &["/customer/phone", "/customer/customer_phone", "/customer_phone", "/fields/customer_phone"];
/// Stripe's name of a part of an address, and Checkfront's.
const ADDRESS: &[(&str, Names)] = &[
    ("line1", &["/customer/address", "/customer/customer_address", "/customer_address"]),
    ("city", &["/customer/city", "/customer/customer_city", "/customer_city"]),
    ("state", &["/customer/region", "/customer/customer_region", "/customer_region"]),
    ("postal_code", &["/customer/postal_zip", "/customer/customer_postal_zip", "/customer_postal_zip"]),
    ("country", &["/customer/country", "/customer/customer_country", "/customer_country"]),
];
/// Hex digits of a row's hash.
const STATE_DIGITS: usize = 16;
/// A listing tells the same state again after so long: a state that came back is no longer one that is known.
const TOLD_AGAIN: Seconds = Seconds::minutes(15);

/// A booking as it was read.
#[derive(Debug)]
pub(super) struct Booking {
    /// The order that it is.
    pub(super) order: Order,
    /// The code of its status.
    pub(super) status: String,
    /// When it was made.
    pub(super) created: Option<UnixTime>,
    /// The account's time of the reading.
    pub(super) as_of: Option<UnixTime>,
}

impl Booking {
    /// What its books hold as paid.
    pub(super) fn paid(&self) -> i64 {
        self.order.paid.unwrap_or(0)
    }

    /// What its books say is due.
    pub(super) fn balance(&self) -> i64 {
        (self.order.total - self.paid()).max(0)
    }
}

/// Whether a value says something: XML's empty element arrives as `{}`.
fn says(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.trim().is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => true,
    }
}

fn at(booking: &Value, names: Names) -> Option<&Value> {
    names.iter().filter_map(|name| booking.pointer(name)).find(|value| says(value))
}

/// The code, wherever it stands: the internal number is none.
fn code_of(booking: &Value) -> Option<String> {
    let named = CODES.iter().map(|name| word(booking.pointer(name)));
    named.into_iter().find(|text| is_code(text))
}

/// A single child stands without its list; rows may be keyed by id.
fn many(value: Option<&Value>) -> Vec<&Value> {
    match value {
        Some(Value::Array(list)) => list.iter().collect(),
        Some(Value::Object(map)) if !map.is_empty() => {
            let keyed = map.iter().all(|(k, v)| k.bytes().all(|b| b.is_ascii_digit()) && v.is_object());
            if keyed { map.values().collect() } else { value.into_iter().collect() }
        }
        _ => Vec::new(),
    }
}

/// The booking inside an answer: under `booking`, there as it is or keyed by its id or code.
fn inside<'a>(answer: &'a Envelope, code: &str) -> Result<&'a Value, ShopError> {
    let named = format!("booking/{code}");
    let found = ["booking", &named].iter().find_map(|key| answer.body.get(*key)).filter(|b| says(b));
    let Some(found) = found else {
        // An answer that holds nothing, of a booking that is not there.
        return Err(ShopError::NotFound(code.to_owned()));
    };
    if code_of(found).is_some() {
        return Ok(found);
    }
    let rows: Vec<&Value> = match found {
        Value::Object(map) => map.values().collect(),
        Value::Array(list) => list.iter().collect(),
        _ => Vec::new(),
    };
    let coded: Vec<&Value> = rows.into_iter().filter(|row| code_of(row).is_some()).collect();
    match coded.as_slice() {
        [one] => Ok(one),
        _ => Err(refuse("booking", Some(found), "one booking with its code")),
    }
}

/// The currency that an answer names: the booking's own, else the account's.
pub(super) fn currency(answer: &Envelope, code: &str) -> Result<Option<Currency>, ShopError> {
    let booking = inside(answer, code)?;
    let account = answer.body.pointer("/locale/currency").filter(|v| says(v));
    at(booking, CURRENCY).or(account).map(parse_currency).transpose()
}

fn parse_currency(value: &Value) -> Result<Currency, ShopError> {
    Currency::parse(&word(Some(value)))
        .map_err(|_| refuse("currency", Some(value), "an ISO 4217 code such as \"CAD\""))
}

/// The account's currency.
pub(super) fn company(answer: &Envelope) -> Result<Currency, ShopError> {
    let named = answer.body.pointer("/company/currency_id").or(answer.body.pointer("/locale/currency"));
    match named.filter(|v| says(v)) {
        Some(value) => parse_currency(value),
        None => Err(refuse("currency", None, "the account's currency, in GET company")),
    }
}

/// Amounts are decimal strings; the documentation also speaks of numbers, which are taken by their digits.
fn amount(field: &str, value: Option<&Value>, currency: Currency) -> Result<i64, ShopError> {
    let text = value.filter(|v| v.is_number()).map(|n| Value::from(n.to_string()));
    money(field, text.as_ref().or(value), currency)
}

/// The booking `code`, or why the answer is none.
pub(super) fn booking(
    answer: &Envelope,
    code: &str,
    currency: Currency,
    settings: &CheckfrontSettings,
) -> Result<Booking, ShopError> {
    let booking = inside(answer, code)?;
    let got = code_of(booking).unwrap_or_default();
    if got != code {
        return Err(ShopError::OtherOrder { asked: code.to_owned(), got: got.chars().take(80).collect() });
    }
    if settings.currency.is_some_and(|wanted| wanted != currency) {
        let found = Value::from(currency.code());
        let rule = "the currency that [sources.NAME] names; mend the setting, or ask who changed the account";
        return Err(refuse("currency", Some(&found), rule));
    }
    let status = word(at(booking, STATUS));
    if status.is_empty() {
        return Err(refuse("status", at(booking, STATUS), "a status code such as \"PEND\""));
    }
    let total = amount("total", at(booking, TOTAL), currency)?;
    if total < 0 {
        return Err(refuse("total", at(booking, TOTAL), "at least 0"));
    }
    let paid = amount("paid_total", at(booking, PAID), currency)?;
    let start = at(booking, START).and_then(|v| time(Some(v)));
    let (deposit, balance_due_at) = deposit(settings, total, start);
    let mut order = Order {
        id: code.to_owned(),
        number: code.to_owned(),
        status: settings.status(&status),
        currency,
        total,
        items: items(booking, total, currency),
        customer: customer(booking),
        collection: Collection::Page,
        capture: CaptureMode::AtOnce,
        deposit,
        balance_due_at,
        refund_requests: Vec::new(),
        refunds: Vec::new(),
        return_url: None,
        metadata: BTreeMap::new(),
        updated_at: answer.as_of.unwrap_or_default(),
        version: 0,
        payment: None,
        paid: Some(paid),
    };
    if settings.custom_fields {
        custom(&mut order, booking.get("fields"))?;
    }
    let created = at(booking, CREATED).and_then(|v| time(Some(v)));
    Ok(Booking { order: checked(order)?, status, created, as_of: answer.as_of })
}

/// The first part and the day of the rest, where the account asks for a deposit and the booking says when it starts.
fn deposit(
    settings: &CheckfrontSettings,
    total: i64,
    start: Option<UnixTime>,
) -> (Option<i64>, Option<UnixTime>) {
    let (Some(deposit), Some(start)) = (settings.deposit, start) else { return (None, None) };
    let first = match deposit {
        Deposit::Amount(amount) => amount.min(total),
        Deposit::Percent(percent) => {
            let hundredths = i128::from(total) * i128::from(percent);
            i64::try_from((hundredths + 99) / 100).unwrap_or(total).min(total)
        }
    };
    (Some(first), Some(start - Seconds::days(i64::from(settings.balance_days_before_start))))
}

fn customer(booking: &Value) -> Option<Customer> {
    let text = |names: Names| Some(word(at(booking, names))).filter(|text| !text.is_empty());
    let parts = ADDRESS.iter().filter_map(|(part, names)| Some(((*part).to_owned(), text(names)?)));
    // Stripe takes countries by two letters only.
    let address = parts.filter(|(part, text)| part != "country" || text.len() == 2).collect();
    let customer = Customer {
        id: text(CUSTOMER_ID),
        email: text(EMAIL),
        name: text(NAME),
        phone: text(PHONE),
        address,
        locale: None,
    };
    (customer != Customer::default()).then_some(customer)
}

/// The lines, if all can be read; with a line for tax where that makes up the total.
fn items(booking: &Value, total: i64, currency: Currency) -> Vec<Item> {
    let lines = many(at(booking, ITEMS)).into_iter();
    let read: Option<Vec<Item>> = lines.map(|line| item(line, currency)).collect();
    let mut items = read.unwrap_or_default();
    let sum = |items: &[Item]| items.iter().map(|i| i.unit_amount * i64::from(i.quantity)).sum::<i64>();
    let tax = at(booking, TAX).and_then(|v| amount("tax_total", Some(v), currency).ok()).unwrap_or(0);
    if tax > 0 && !items.is_empty() && sum(&items).checked_add(tax) == Some(total) {
        items.push(line("Tax".to_owned(), 1, tax, "tax"));
    }
    items
}

fn line(name: String, quantity: u32, unit_amount: i64, kind: &str) -> Item {
    Item { sku: String::new(), name, quantity, unit_amount, kind: kind.to_owned() }
}

fn item(value: &Value, currency: Currency) -> Option<Item> {
    const BOUND: i64 = 1_000_000_000_000;
    let name = ["name", "summary", "title", "sku"].iter().map(|key| word(value.get(*key)));
    let name = name.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
    let total = amount("item.total", value.get("total"), currency).ok().filter(|t| t.abs() < BOUND)?;
    let quantity = word(value.get("qty")).parse::<u32>().ok().filter(|q| *q > 0).unwrap_or(1);
    let (quantity, unit) = match total % i64::from(quantity) {
        0 => (quantity, total / i64::from(quantity)),
        _ => (1, total),
    };
    Some(Item { sku: word(value.get("sku")), ..line(name, quantity, unit, "product") })
}

/// What booking fields say that Checkfront itself has no word for.
fn custom(order: &mut Order, fields: Option<&Value>) -> Result<(), ShopError> {
    let field = |name: &str| fields.and_then(|f| f.get(name)).filter(|v| says(v));
    match word(field("tandem_collection")).as_str() {
        "" | "page" => {}
        "automatic" => order.collection = Collection::Automatic,
        "none" => order.collection = Collection::None,
        _ => return Err(refuse("collection", field("tandem_collection"), "page, automatic or none")),
    }
    match word(field("tandem_capture")).as_str() {
        "" | "at_once" => {}
        "on_fulfilment" => order.capture = CaptureMode::OnFulfilment,
        _ => return Err(refuse("capture", field("tandem_capture"), "at_once or on_fulfilment")),
    }
    if let Some(value) = field("tandem_deposit") {
        order.deposit = Some(amount("deposit", Some(value), order.currency)?);
    }
    if let Some(value) = field("tandem_balance_due_at") {
        let due = time(Some(value));
        let rule = "Unix seconds, or ISO 8601 with an offset";
        order.balance_due_at = Some(due.ok_or_else(|| refuse("balance_due_at", Some(value), rule))?);
    }
    let done = matches!(word(field("tandem_fulfilled")).as_str(), "1" | "true" | "yes");
    if done && order.status == OrderStatus::Open {
        order.status = OrderStatus::Fulfilled;
    }
    if let Some(value) = field("tandem_refund_requests") {
        order.refund_requests = requests(value, order.currency)?;
    }
    Ok(())
}

/// `[{"id": "r1", "amount": "12.50", "reason": ".."}]`, as JSON or as its text.
fn requests(value: &Value, currency: Currency) -> Result<Vec<RefundRequest>, ShopError> {
    let rule = "a JSON list of {\"id\": .., \"amount\": \"12.50\", \"reason\": ..}";
    let parsed = match value {
        Value::String(text) => serde_json::from_str(text).ok(),
        other => Some(other.clone()),
    };
    let Some(Value::Array(list)) = parsed else {
        return Err(refuse("refund_requests", Some(value), rule));
    };
    let read = |(i, entry): (usize, &Value)| {
        let field = format!("refund_requests[{i}].amount");
        let asked = entry.get("amount").filter(|a| says(a));
        Ok(RefundRequest {
            id: word(entry.get("id")),
            amount: asked.map(|a| amount(&field, Some(a), currency)).transpose()?,
            reason: word(entry.get("reason")),
        })
    };
    list.iter().enumerate().map(read).collect()
}

/// One page of a listing.
pub(super) fn page(answer: &Envelope, since: UnixTime, asked: u32) -> Result<Page, ShopError> {
    let rule = "the time of the listing, in request.timestamp or in the Date header";
    let as_of = answer.as_of.ok_or_else(|| refuse("request.timestamp", None, rule))?;
    let rows = answer.rows(&["booking/index", "booking"])?;
    let full = rows.len() >= super::LIMIT as usize;
    let orders = rows.into_iter().map(|row| line_of(row, since, as_of)).collect::<Result<_, _>>()?;
    let more = answer.number("pages").map_or(full, |pages| asked < pages);
    let next = asked.checked_add(1).filter(|_| more).map(|page| page.to_string());
    Ok(Page { orders, as_of, next_cursor: next })
}

/// A row has no time of its last change: it is the listing's beginning, or the booking's own if that is later. So a row
/// that comes again is known by its state; and because a state may come back, every quarter of an hour it is new.
fn line_of(row: &Value, since: UnixTime, as_of: UnixTime) -> Result<OrderRef, ShopError> {
    // A row without a code that can be one is counted as unusable: it must not hold up the others.
    let id = code_of(row).unwrap_or_default();
    let told = as_of.0.div_euclid(TOLD_AGAIN.0);
    let state = short_hash(format!("{told}\n{row}"), STATE_DIGITS);
    let created = at(row, CREATED).and_then(|v| time(Some(v))).unwrap_or(since);
    Ok(OrderRef { id, version: 0, updated_at: created.max(since), state: Some(state) })
}
