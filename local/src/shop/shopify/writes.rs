//! What can be changed in the store: payments, refunds, tags, metafields, subscriptions.
//!
//! Invariant: what is refused changes nothing and says so in `userErrors`; what is changed is announced, also to whoever
//! changed it.

use serde_json::{Map, Value, json};
use shared::domain::money::Money;
use shared::domain::order::Order;
use shared::domain::view::WriteBack;

use super::graphql::Field;
use super::queries::{Failure, number_in};
use super::{Book, Kind, Metafield, Refund, Shop, Subscription, Transaction, book_of, caused, shapes};
use crate::shop::face::Native;
use crate::shop::notices::enqueue;
use crate::shop::{OrderRecord, State};

/// What a person reads of a change that was not made.
struct No {
    code: Option<&'static str>,
    field: &'static str,
    message: String,
}

impl No {
    fn new(field: &'static str, message: impl Into<String>) -> Self {
        Self { code: None, field, message: message.into() }
    }

    fn coded(code: &'static str, field: &'static str, message: impl Into<String>) -> Self {
        Self { code: Some(code), ..Self::new(field, message) }
    }

    fn shown(self) -> Value {
        json!([{ "code": self.code, "field": [self.field], "message": self.message }])
    }
}

/// What was changed: part of the answer, and whether anything is to be announced.
struct Yes {
    part: Value,
    topics: &'static [&'static str],
}

const UPDATED: &[&str] = &["orders/updated"];
const REFUNDED: &[&str] = &["refunds/create", "orders/updated"];

impl Shop {
    pub(super) fn shopify_write(&self, field: &Field) -> Result<Value, Failure> {
        let arguments = &field.arguments;
        let id = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        match field.name.as_str() {
            "orderMarkAsPaid" => {
                let order = arguments.get("input").and_then(|i| i.get("id"));
                Ok(self.changed(&id(order), "order", mark_paid))
            }
            "orderCreateManualPayment" => {
                Ok(self.changed(&id(arguments.get("id")), "order", |kept, state| {
                    manual_payment(kept, state, arguments)
                }))
            }
            "refundCreate" => self.refund(field),
            "tagsAdd" | "tagsRemove" => {
                let add = field.name == "tagsAdd";
                Ok(self.changed(&id(arguments.get("id")), "node", |kept, _| retag(kept, arguments, add)))
            }
            "metafieldsSet" => {
                let list = arguments.get("metafields").and_then(Value::as_array).cloned().unwrap_or_default();
                let owner = id(list.first().and_then(|f| f.get("ownerId")));
                let now = self.now();
                Ok(self.changed(&owner, "metafields", |kept, _| set_metafields(kept, &list, now)))
            }
            "metafieldsDelete" => {
                let list = arguments.get("metafields").and_then(Value::as_array).cloned().unwrap_or_default();
                let owner = id(list.first().and_then(|f| f.get("ownerId")));
                Ok(self.changed(&owner, "deletedMetafields", |kept, _| delete_metafields(kept, &list)))
            }
            "webhookSubscriptionCreate" => Ok(self.subscribe(arguments)),
            other => Err(("undefinedField", format!("Field '{other}' doesn't exist on type 'Mutation'"))),
        }
    }

    /// Changes one order under the lock and announces it.
    fn changed(
        &self,
        gid: &str,
        part: &'static str,
        edit: impl FnOnce(&mut OrderRecord, &mut super::Store) -> Result<Yes, No>,
    ) -> Value {
        let now = self.now();
        let mut state = self.lock();
        let state: &mut State = &mut state;
        let Some(kept) = number_in(gid, "Order").and_then(|id| state.record.orders.get_mut(id)) else {
            return json!({ part: null, "userErrors": No::new("id", "Order does not exist").shown() });
        };
        let mut trial = kept.clone();
        match edit(&mut trial, &mut state.shopify) {
            Err(no) => json!({ part: null, "userErrors": no.shown() }),
            Ok(yes) => {
                if !yes.topics.is_empty() {
                    kept.remember();
                    trial.before = kept.before.clone();
                    trial.order.version += 1;
                    trial.order.updated_at = now;
                    *kept = trial;
                    let (order, book) = (kept.order.clone(), book_of(&kept.native));
                    let body = shapes::rest(&order, &book);
                    let (refunds, others): (Vec<_>, Vec<_>) = caused(state, yes.topics, &order, &body, now)
                        .into_iter()
                        .partition(|d| d.topic.starts_with("refunds/"));
                    let refunds = refunds.into_iter().map(|mut delivery| {
                        delivery.body = refund_body(&order, &book).into();
                        delivery
                    });
                    let deliveries = refunds.chain(others).collect();
                    enqueue(state, deliveries);
                }
                json!({ part: yes.part, "userErrors": [] })
            }
        }
    }

    /// The same key answers with the same refund; without one there is none since 2026-04.
    fn refund(&self, field: &Field) -> Result<Value, Failure> {
        let Some(key) = field.idempotent.clone() else {
            return Err((
                "BAD_REQUEST",
                "The @idempotent directive is required for this mutation".to_owned(),
            ));
        };
        let input = field.arguments.get("input").cloned().unwrap_or_default();
        let gid = input["orderId"].as_str().unwrap_or_default().to_owned();
        let known = {
            let state = self.lock();
            let mut refunds = state.record.orders.values().flat_map(|kept| book_of(&kept.native).refunds);
            refunds.find(|r| r.key == key)
        };
        match known {
            Some(refund) if refund.input == input => {
                let id = shapes::gid("Refund", &refund.id.to_string());
                Ok(json!({ "refund": { "id": id }, "userErrors": [] }))
            }
            Some(_) => Err((
                "IDEMPOTENCY_KEY_PARAMETER_MISMATCH",
                "the key was used for other parameters".to_owned(),
            )),
            None => Ok(self.changed(&gid, "refund", |kept, store| refunded(kept, store, &input, key))),
        }
    }

    fn subscribe(&self, arguments: &Map<String, Value>) -> Value {
        let topic = arguments.get("topic").and_then(Value::as_str).unwrap_or_default().to_owned();
        let uri = arguments
            .get("webhookSubscription")
            .and_then(|s| s["uri"].as_str())
            .unwrap_or_default()
            .to_owned();
        let mut state = self.lock();
        let id = state.shopify.number();
        let list = state.shopify.subscriptions(&self.0.config);
        if list.iter().any(|s| s.topic == topic && s.uri == uri) {
            let no = No::new("webhookSubscription", "Address for this topic has already been taken");
            return json!({ "webhookSubscription": null, "userErrors": no.shown() });
        }
        list.push(Subscription { id, topic, uri, failures: 0 });
        let id = shapes::gid("WebhookSubscription", &id.to_string());
        json!({ "webhookSubscription": { "id": id }, "userErrors": [] })
    }
}

fn book(kept: &mut OrderRecord) -> Result<&mut Book, No> {
    match &mut kept.native {
        Native::Shopify(book) => Ok(book),
        _ => Err(No::new("id", "Order does not exist")),
    }
}

fn named(order: &Order) -> Value {
    json!({ "id": shapes::gid("Order", &order.id) })
}

/// A sale of all that is outstanding, whoever paid it.
fn mark_paid(kept: &mut OrderRecord, store: &mut super::Store) -> Result<Yes, No> {
    let order = kept.order.clone();
    let book = book(kept)?;
    if !shapes::can_mark(&order, book) {
        return Err(No::new("id", "Order cannot be marked as paid."));
    }
    let amount = shapes::sums(&order, book).outstanding;
    let gateway = book.gateways.first().cloned().unwrap_or_else(|| "manual".to_owned());
    book.transactions.push(Transaction::manual_sale(store.number(), gateway, amount));
    Ok(Yes { part: named(&order), topics: UPDATED })
}

fn manual_payment(
    kept: &mut OrderRecord,
    store: &mut super::Store,
    arguments: &Map<String, Value>,
) -> Result<Yes, No> {
    let order = kept.order.clone();
    let book = book(kept)?;
    let given = arguments.get("amount").cloned().unwrap_or_default();
    if given["currencyCode"] != json!(order.currency.code()) {
        return Err(No::coded("CURRENCY_MISMATCH", "amount", "The currency is not the order's"));
    }
    let amount = Money::parse_decimal(given["amount"].as_str().unwrap_or_default(), order.currency)
        .map_or(0, |m| m.minor);
    if amount <= 0 {
        return Err(No::coded("AMOUNT_NOT_POSITIVE", "amount", "Amount must be positive"));
    }
    if amount > shapes::sums(&order, book).outstanding {
        return Err(No::coded("AMOUNT_EXCEEDS_BALANCE", "amount", "Amount exceeds the outstanding balance"));
    }
    let gateway = arguments.get("paymentMethodName").and_then(Value::as_str).unwrap_or("Other").to_owned();
    book.transactions.push(Transaction::manual_sale(store.number(), gateway, amount));
    Ok(Yes { part: named(&order), topics: UPDATED })
}

fn refunded(kept: &mut OrderRecord, store: &mut super::Store, input: &Value, key: String) -> Result<Yes, No> {
    let order = kept.order.clone();
    let book = book(kept)?;
    let mut sum = 0;
    for row in input["transactions"].as_array().into_iter().flatten() {
        let parent = number_in(row["parentId"].as_str().unwrap_or_default(), "OrderTransaction");
        let parent = parent.and_then(|id| id.parse::<u64>().ok());
        let sale = book.transactions.iter().find(|t| Some(t.id) == parent && t.kind != Kind::Refund).cloned();
        let sale = sale.ok_or_else(|| No::new("transactions", "Parent transaction does not exist"))?;
        let amount = Money::parse_decimal(row["amount"].as_str().unwrap_or_default(), order.currency);
        let amount = amount.map_or(0, |m| m.minor);
        let back: i64 =
            book.transactions.iter().filter(|t| t.parent == Some(sale.id)).map(|t| t.amount).sum();
        if row["kind"] != "REFUND"
            || row["gateway"] != json!(sale.gateway)
            || row["orderId"] != json!(shapes::gid("Order", &order.id))
        {
            return Err(No::new("transactions", "Transaction does not fit its parent"));
        }
        if amount <= 0 || amount > sale.amount - back {
            return Err(No::new("transactions", "Refund amount exceeds what the transaction holds"));
        }
        sum += amount;
        let (gateway, manual) = (sale.gateway, sale.manual);
        let refund = Transaction { id: store.number(), kind: Kind::Refund, gateway, manual, amount, parent };
        book.transactions.push(refund);
    }
    let note = input["note"].as_str().unwrap_or_default().to_owned();
    let id = store.number();
    book.refunds.push(Refund { id, note, amount: sum, key, input: input.clone() });
    Ok(Yes { part: json!({ "id": shapes::gid("Refund", &id.to_string()) }), topics: REFUNDED })
}

fn refund_body(order: &Order, book: &Book) -> String {
    let refund = book.refunds.last();
    let body = json!({
        "id": refund.map(|r| r.id),
        "order_id": order.id.parse::<u64>().unwrap_or_default(),
        "created_at": shapes::local_time(order.updated_at),
        "updated_at": shapes::local_time(order.updated_at),
        "note": refund.map(|r| r.note.clone()),
        "refund_line_items": [],
        "transactions": [],
    });
    body.to_string()
}

fn retag(kept: &mut OrderRecord, arguments: &Map<String, Value>, add: bool) -> Result<Yes, No> {
    let part = named(&kept.order);
    let book = book(kept)?;
    let before = book.tags.clone();
    for tag in arguments.get("tags").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    {
        let known = book.tags.iter().position(|t| t.eq_ignore_ascii_case(tag));
        match known {
            None if add => book.tags.push(tag.to_owned()),
            Some(at) if !add => {
                book.tags.remove(at);
            }
            _ => {}
        }
    }
    let topics = if book.tags == before { &[] } else { UPDATED };
    Ok(Yes { part, topics })
}

/// All or nothing. A digest must be that of what is there; null, that nothing is.
fn set_metafields(
    kept: &mut OrderRecord,
    list: &[Value],
    now: shared::domain::time::UnixTime,
) -> Result<Yes, No> {
    if list.len() > 25 {
        return Err(No::coded(
            "LESS_THAN_OR_EQUAL_TO",
            "metafields",
            "Exceeded the maximum metafields input limit of 25",
        ));
    }
    let mut shown = Vec::new();
    for input in list {
        let text = |name: &str| input[name].as_str().unwrap_or_default().to_owned();
        let (key, value, kind) = (text("key"), text("value"), text("type"));
        if input["ownerId"] != json!(shapes::gid("Order", &kept.order.id)) || text("namespace") != "tandem" {
            return Err(No::coded(
                "INVALID",
                "metafields",
                "this store takes fields of one order in one namespace",
            ));
        }
        if value.is_empty() {
            return Err(No::coded("BLANK", "metafields", "Value can't be blank"));
        }
        if kind == "json" && serde_json::from_str::<Value>(&value).is_err() {
            return Err(No::coded("INVALID_VALUE", "metafields", "Value is invalid JSON"));
        }
        let known = book(kept)?.metafields.iter().position(|f| f.key == key);
        if known.is_none() && kind.is_empty() {
            return Err(No::coded("INVALID_TYPE", "metafields", "Type can't be blank"));
        }
        if let Some(expected) = input.get("compareDigest") {
            let held = known.map(|at| {
                shapes::digest(&book(kept).map_or(String::new(), |b| b.metafields[at].value.clone()))
            });
            if held.as_deref() != expected.as_str() {
                let text = "The resource has been updated since it was loaded. Try again with an updated `compareDigest` value.";
                return Err(No::coded("STALE_OBJECT", "metafields", text));
            }
        }
        if key.starts_with("payment_v") {
            let Ok(told) = serde_json::from_str::<WriteBack>(&value) else {
                return Err(No::coded("INVALID_VALUE", "metafields", "no view of a payment"));
            };
            kept.take(&told, now);
        }
        shown.push(json!({ "key": key, "compareDigest": shapes::digest(&value) }));
        let fields = &mut book(kept)?.metafields;
        match known {
            Some(at) => fields[at].value = value,
            None => fields.push(Metafield { key, kind, value }),
        }
    }
    Ok(Yes { part: Value::from(shown), topics: UPDATED })
}

fn delete_metafields(kept: &mut OrderRecord, list: &[Value]) -> Result<Yes, No> {
    let fields = &mut book(kept)?.metafields;
    let mut gone = Vec::new();
    for input in list {
        let before = fields.len();
        fields.retain(|f| json!(f.key) != input["key"]);
        gone.push(if fields.len() < before { json!({ "key": input["key"] }) } else { Value::Null });
    }
    Ok(Yes { part: Value::from(gone), topics: UPDATED })
}
