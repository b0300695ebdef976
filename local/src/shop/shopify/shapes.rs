//! Orders as the Admin API and the webhooks show them: money as decimal strings with at least one digit behind the
//! point, times with an offset, ids that are global.
//!
//! Invariant: a shape holds every field that Shopify's schema requires of what the documents select, and nothing that
//! the schema does not have.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use shared::domain::money::{Currency, Money};
use shared::domain::order::{CaptureMode, Collection, Order, OrderStatus};
use shared::domain::time::UnixTime;
use shared::domain::view::{PaymentView, WriteBack};

use super::{Book, Kind};

/// `gid://shopify/Order/1001`.
pub(super) fn gid(kind: &str, id: &str) -> String {
    format!("gid://shopify/{kind}/{id}")
}

/// `12.5`, `700.0`, `1.23`.
pub(super) fn amount(minor: i64, currency: Currency) -> String {
    let text = Money::new(minor, currency).decimal();
    match text.split_once('.') {
        None => format!("{text}.0"),
        Some((whole, fraction)) => {
            let fraction = fraction.trim_end_matches('0');
            format!("{whole}.{}", if fraction.is_empty() { "0" } else { fraction })
        }
    }
}

fn money(minor: i64, currency: Currency) -> Value {
    json!({ "amount": amount(minor, currency), "currencyCode": currency.code() })
}

fn bag(minor: i64, currency: Currency) -> Value {
    json!({ "shopMoney": money(minor, currency), "presentmentMoney": money(minor, currency) })
}

/// The digest that a compare-and-set names.
pub(super) fn digest(value: &str) -> String {
    hex::encode(Sha256::digest(value))
}

/// A number made of a name: ids of Shopify are numbers.
pub(super) fn number_of(name: &str) -> u64 {
    let mut bytes = [0_u8; 8];
    bytes[2..].copy_from_slice(&Sha256::digest(name)[..6]);
    u64::from_be_bytes(bytes).max(1)
}

/// What the books hold of an order.
pub(super) struct Sums {
    pub(super) received: i64,
    pub(super) refunded: i64,
    pub(super) outstanding: i64,
}

pub(super) fn sums(order: &Order, book: &Book) -> Sums {
    let of = |kinds: &[Kind]| -> i64 {
        book.transactions.iter().filter(|t| kinds.contains(&t.kind)).map(|t| t.amount).sum()
    };
    let received = of(&[Kind::Sale, Kind::Capture]);
    Sums { received, refunded: of(&[Kind::Refund]), outstanding: order.total - received }
}

pub(super) fn financial(order: &Order, book: &Book) -> &'static str {
    let sums = sums(order, book);
    match () {
        () if sums.received == 0 && order.status == OrderStatus::Cancelled => "VOIDED",
        () if sums.received == 0 && order.total > 0 => "PENDING",
        () if sums.refunded > 0 && sums.refunded >= sums.received => "REFUNDED",
        () if sums.refunded > 0 => "PARTIALLY_REFUNDED",
        () if sums.outstanding > 0 => "PARTIALLY_PAID",
        () => "PAID",
    }
}

pub(super) fn can_mark(order: &Order, book: &Book) -> bool {
    order.status != OrderStatus::Cancelled
        && sums(order, book).outstanding > 0
        && financial(order, book) != "PAID"
}

fn fulfilment(status: &OrderStatus) -> String {
    match status {
        OrderStatus::Fulfilled => "FULFILLED".to_owned(),
        OrderStatus::Other(word) => word.to_uppercase(),
        _ => "UNFULFILLED".to_owned(),
    }
}

/// What shops set by plugin, flow or hand: metafields in the namespace `tandem`.
fn wishes(order: &Order) -> Vec<(&'static str, String)> {
    let mut fields = Vec::new();
    match order.collection {
        Collection::Page => {}
        Collection::Automatic => fields.push(("collection", "automatic".to_owned())),
        Collection::None => fields.push(("collection", "none".to_owned())),
    }
    if order.capture == CaptureMode::OnFulfilment {
        fields.push(("capture", "on_fulfilment".to_owned()));
    }
    if let Some(deposit) = order.deposit {
        fields.push(("deposit", Money::new(deposit, order.currency).decimal()));
    }
    if let Some(at) = order.balance_due_at {
        fields.push(("balance_due_at", at.to_string()));
    }
    if !order.refund_requests.is_empty() {
        let amount = |minor: i64| Money::new(minor, order.currency).decimal();
        let list: Vec<Value> = order
            .refund_requests
            .iter()
            .map(|r| json!({ "id": r.id, "amount": r.amount.map(amount), "reason": r.reason }))
            .collect();
        fields.push(("refund_requests", Value::from(list).to_string()));
    }
    fields
}

fn metafields(order: &Order, book: &Book, told: Option<(u64, &PaymentView)>) -> Value {
    let node = |key: &str, value: &str| json!({ "namespace": "tandem", "key": key, "value": value, "compareDigest": digest(value) });
    let wishes = wishes(order);
    let mut nodes: Vec<Value> = wishes.iter().map(|(key, value)| node(key, value)).collect();
    for field in &book.metafields {
        // What a person edits in the shop's tables shows here.
        let edited = told.filter(|(version, _)| field.key == format!("payment_v{version}")).and_then(
            |(version, view)| {
                let held: WriteBack = serde_json::from_str(&field.value).ok()?;
                let now = WriteBack { payment_version: version, payment: view.clone() };
                (held != now).then(|| serde_json::to_string(&now).ok()).flatten()
            },
        );
        nodes.push(node(&field.key, edited.as_deref().unwrap_or(&field.value)));
    }
    json!({ "nodes": nodes })
}

/// The order as a GraphQL object.
pub(super) fn order(order: &Order, book: &Book, told: Option<(u64, &PaymentView)>) -> Value {
    let (currency, sums) = (order.currency, sums(order, book));
    let customer = order.customer.as_ref();
    let mut tags = book.tags.clone();
    if order.status == OrderStatus::OnHold {
        tags.push("tandem-hold".to_owned());
    }
    let lines: Vec<Value> = order
        .items
        .iter()
        .map(|i| {
            json!({
                "name": i.name, "sku": i.sku, "currentQuantity": i.quantity,
                "discountedUnitPriceSet": bag(i.unit_amount, currency),
            })
        })
        .collect();
    let address = customer.filter(|c| !c.address.is_empty() || c.name.is_some()).map(|c| {
        let part = |key: &str| c.address.get(key).cloned();
        json!({
            "name": c.name, "address1": part("line1"), "address2": part("line2"), "city": part("city"),
            "zip": part("postal_code"), "provinceCode": part("state"), "countryCodeV2": part("country"),
        })
    });
    json!({
        "id": gid("Order", &order.id),
        "name": order.number,
        "updatedAt": order.updated_at.to_string(),
        "cancelledAt": (order.status == OrderStatus::Cancelled).then(|| order.updated_at.to_string()),
        "displayFulfillmentStatus": fulfilment(&order.status),
        "displayFinancialStatus": financial(order, book),
        "paymentGatewayNames": book.gateway_names(),
        "test": book.test,
        "tags": tags,
        "canMarkAsPaid": can_mark(order, book),
        "statusPageUrl": order.return_url,
        "currencyCode": currency.code(),
        "presentmentCurrencyCode": currency.code(),
        "currentTotalPriceSet": bag(order.total, currency),
        "totalReceivedSet": bag(sums.received, currency),
        "totalOutstandingSet": bag(sums.outstanding, currency),
        "lineItems": { "nodes": lines },
        "transactions": book.transactions.iter().map(|t| transaction(t, currency)).collect::<Vec<_>>(),
        "refunds": book.refunds.iter().map(|r| json!({
            "id": gid("Refund", &r.id.to_string()), "note": r.note, "totalRefundedSet": bag(r.amount, currency),
        })).collect::<Vec<_>>(),
        "metafields": metafields(order, book, told),
        "customerLocale": customer.and_then(|c| c.locale.clone()),
        "email": customer.and_then(|c| c.email.clone()),
        "phone": customer.and_then(|c| c.phone.clone()),
        "customer": customer.and_then(|c| c.id.as_deref()).map(|id| json!({ "id": gid("Customer", &number_of(id).to_string()) })),
        "billingAddress": address,
    })
}

fn transaction(row: &super::Transaction, currency: Currency) -> Value {
    json!({
        "id": gid("OrderTransaction", &row.id.to_string()),
        "kind": row.kind.name(),
        "status": "SUCCESS",
        "gateway": row.gateway,
        "manualPaymentGateway": row.manual,
        "amountSet": bag(row.amount, currency),
        "parentTransaction": row.parent.map(|id| json!({ "id": gid("OrderTransaction", &id.to_string()) })),
    })
}

/// A time as webhooks write it: in the store's zone.
pub(super) fn local_time(at: UnixTime) -> String {
    let shifted = UnixTime(at.0 - 5 * 3600).to_string();
    format!("{}-05:00", shifted.trim_end_matches('Z'))
}

/// The order as a webhook shows it: shaped as in REST, contact data and all.
pub(super) fn rest(order: &Order, book: &Book) -> Value {
    let (currency, sums) = (order.currency, sums(order, book));
    let decimal = |minor: i64| Money::new(minor, currency).decimal();
    let set = |minor: i64| {
        let money = json!({ "amount": decimal(minor), "currency_code": currency.code() });
        json!({ "shop_money": money.clone(), "presentment_money": money })
    };
    let at = local_time(order.updated_at);
    let cancelled = order.status == OrderStatus::Cancelled;
    let customer = order.customer.as_ref();
    json!({
        "id": order.id.parse::<u64>().unwrap_or_default(),
        "admin_graphql_api_id": gid("Order", &order.id),
        "name": order.number,
        "updated_at": at,
        "cancelled_at": cancelled.then_some(&at),
        "currency": currency.code(),
        "presentment_currency": currency.code(),
        "total_price": decimal(order.total),
        "current_total_price": decimal(order.total),
        "current_total_price_set": set(order.total),
        "total_outstanding": decimal(sums.outstanding),
        "financial_status": financial(order, book).to_lowercase(),
        "fulfillment_status": (order.status == OrderStatus::Fulfilled).then_some("fulfilled"),
        "payment_gateway_names": book.gateway_names(),
        "test": book.test,
        "tags": book.tags.join(", "),
        "email": customer.and_then(|c| c.email.clone()),
        "phone": customer.and_then(|c| c.phone.clone()),
        "customer": customer.map(|c| json!({ "id": c.id.as_deref().map(number_of), "email": c.email })),
        "order_status_url": order.return_url,
    })
}
