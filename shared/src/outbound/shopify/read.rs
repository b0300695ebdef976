//! Strict reading of the store's answer about one order.
//!
//! Invariant: what is missing or of another type is refused by its path; an order that another gateway collects, or that
//! is held, is never one to charge.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::marks::{HOLD_TAG, METHOD, Metafield, RECORD, Record, RefundMark, echo};
use super::{ShopifyClient, document};
use crate::config::shopify::{OrderMoney, Shopify};
use crate::domain::money::{Currency, Money};
use crate::domain::order::{CaptureMode, Collection, Customer, Item, Order, OrderStatus, ReportedRefund};
use crate::domain::time::UnixTime;
use crate::outbound::shop::ShopError;
use crate::outbound::shop::field::{checked, money, refund_requests, refuse};

mod reader;

pub(super) use reader::{Reader, gid_number};

/// A manual payment that a refund can be recorded against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sale {
    pub(super) id: String,
    pub(super) gateway: String,
    /// ISO minor units that were not refunded.
    pub(super) left: i64,
}

/// One order, and what the store's own books hold of it.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) order: Order,
    /// The store itself says that it may be marked as paid.
    pub(super) can_mark: bool,
    /// What the store still waits for, ISO minor units; less than 0 when it holds too much.
    pub(super) outstanding: i64,
    /// Recorded under our own payment method.
    pub(super) parts: i64,
    /// Of these more than once: a request that landed late.
    pub(super) twice: i64,
    pub(super) sales: Vec<Sale>,
    pub(super) refunds: Vec<RefundMark>,
    pub(super) tags: Vec<String>,
    pub(super) fields: Vec<Metafield>,
    pub(super) record: Option<Record>,
    /// Whether a gateway has its hand on it that is not ours: marking it as paid could capture what that one authorised.
    pub(super) strange: bool,
    /// Whether the buyer saw another currency than the one that is charged.
    pub(super) exchanged: bool,
}

impl Held {
    pub(super) fn paid(&self) -> i64 {
        self.order.paid.unwrap_or(0)
    }

    pub(super) fn field(&self, key: &str) -> Option<&Metafield> {
        self.fields.iter().find(|f| f.key == key)
    }

    /// How much of what the books hold is ours. Without a record of ours: what is remembered.
    pub(super) fn own(&self, remembered: i64) -> i64 {
        self.record.map_or(remembered, |record| record.own(self.paid())).clamp(0, self.paid())
    }
}

impl ShopifyClient {
    /// Reads one order.
    pub(super) async fn held(&self, id: &str) -> Result<Held, ShopError> {
        let settings = &self.settings;
        let shop = settings.money == OrderMoney::Shop;
        let variables = json!({ "id": gid(id)?, "shop": shop, "contact": settings.contact });
        let data = self.ask(document::ORDER, variables, id).await?.data;
        if data.get("order").is_none_or(Value::is_null) {
            return Err(ShopError::NotFound(id.to_owned()));
        }
        held(&Reader::of(&data, "").at("order")?, id, settings)
    }
}

/// The global id of an order.
pub(super) fn gid(id: &str) -> Result<String, ShopError> {
    if crate::inbound::shopify::is_id(id) {
        return Ok(format!("gid://shopify/Order/{id}"));
    }
    Err(refuse("id", Some(&id.into()), "the number of a Shopify order, such as \"450789469\""))
}

fn held(root: &Reader<'_>, asked: &str, settings: &Shopify) -> Result<Held, ShopError> {
    let id = gid_number(root.text("id")?, "Order");
    let id = id.ok_or_else(|| root.refused("id", "a global id of an order"))?;
    if id != asked {
        return Err(ShopError::OtherOrder { asked: asked.to_owned(), got: id });
    }
    let bag = Bag::of(root, settings)?;
    let total = bag.amount(root, "currentTotalPriceSet")?;
    if total < 0 {
        return Err(refuse("currentTotalPriceSet", Some(&total.into()), "at least 0"));
    }
    let received = bag.amount(root, "totalReceivedSet")?.max(0);
    let fields = metafields(root)?;
    let value = |key: &str| fields.iter().find(|f| f.key == key).map(|f| f.value.as_str());
    let record: Option<Record> = value(RECORD).and_then(|text| serde_json::from_str(text).ok());
    let transactions = root.nodes("transactions")?;
    let (sales, parts) = sales(&transactions, &bag)?;
    let twice = record.map_or(0, |r| (parts - r.parts).clamp(0, received));
    let marked = refunds(root, &bag)?;
    let tags = root.texts("tags")?;
    let updated_at = root.time("updatedAt")?;
    let parse = |field: &str, text: &str| money(field, Some(&text.into()), bag.currency);
    let order = Order {
        number: root.optional_text("name")?.unwrap_or_default().to_owned(),
        status: status(root, &tags, settings)?,
        currency: bag.currency,
        total,
        items: items(root, &bag)?,
        customer: customer(root)?,
        collection: collection(root, value("collection"), settings)?,
        capture: word(
            value("capture"),
            "capture",
            &[("at_once", CaptureMode::AtOnce), ("on_fulfilment", CaptureMode::OnFulfilment)],
        )?
        .unwrap_or_default(),
        deposit: value("deposit").map(|text| parse("tandem.deposit", text)).transpose()?,
        balance_due_at: value("balance_due_at").map(time).transpose()?,
        refund_requests: value("refund_requests").map_or(Ok(Vec::new()), |text| {
            refund_requests("tandem.refund_requests", &text.into(), bag.currency)
        })?,
        refunds: reported(&marked),
        return_url: root.optional_text("statusPageUrl")?.map(str::to_owned),
        metadata: BTreeMap::new(),
        updated_at,
        version: u64::try_from(updated_at.0).unwrap_or(0),
        payment: echo(&fields),
        paid: Some(received - twice),
        id,
    };
    Ok(Held {
        order: checked(order)?,
        can_mark: root.boolean("canMarkAsPaid")?,
        outstanding: bag.amount(root, "totalOutstandingSet")?,
        parts,
        twice,
        sales,
        refunds: marked.into_iter().filter_map(|row| row.mark).collect(),
        tags,
        fields,
        record,
        strange: strange(root, settings)?,
        exchanged: root.text("currencyCode")? != root.text("presentmentCurrencyCode")?,
    })
}

/// Which of the two amounts of a bag counts, and in which currency.
struct Bag {
    side: &'static str,
    currency: Currency,
}

impl Bag {
    fn of(root: &Reader<'_>, settings: &Shopify) -> Result<Self, ShopError> {
        let side = match settings.money {
            OrderMoney::Shop => "shopMoney",
            OrderMoney::Presentment => "presentmentMoney",
        };
        let money = root.at("currentTotalPriceSet")?.at(side)?;
        let currency = Currency::parse(money.text("currencyCode")?);
        let currency =
            currency.map_err(|_| money.refused("currencyCode", "an ISO 4217 code such as \"EUR\""))?;
        Ok(Self { side, currency })
    }

    /// The amount under `set`, in the order's one currency.
    fn amount(&self, of: &Reader<'_>, set: &str) -> Result<i64, ShopError> {
        let side = of.at(set)?.at(self.side)?;
        if side.text("currencyCode")? != self.currency.code() {
            return Err(side.refused("currencyCode", "the currency of the order's total"));
        }
        money(&side.path("amount"), side.get("amount"), self.currency)
    }
}

fn metafields(root: &Reader<'_>) -> Result<Vec<Metafield>, ShopError> {
    let field = |node: &Reader<'_>| {
        Ok(Metafield {
            key: node.text("key")?.to_owned(),
            value: node.text("value")?.to_owned(),
            digest: node.text("compareDigest")?.to_owned(),
        })
    };
    root.at("metafields")?.nodes("nodes")?.iter().map(field).collect()
}

/// The manual payments that a refund can name, and the sum of those recorded under our own method.
fn sales(transactions: &[Reader<'_>], bag: &Bag) -> Result<(Vec<Sale>, i64), ShopError> {
    let (mut sales, mut given_back, mut ours) = (Vec::<Sale>::new(), BTreeMap::<String, i64>::new(), 0_i64);
    for row in transactions {
        let (kind, status) = (row.text("kind")?, row.text("status")?);
        let amount = bag.amount(row, "amountSet")?;
        let gateway = row.optional_text("gateway")?.unwrap_or_default();
        match kind {
            "SALE" | "CAPTURE" if status == "SUCCESS" => {
                if gateway.eq_ignore_ascii_case(METHOD) {
                    ours = ours.saturating_add(amount);
                }
                if row.boolean("manualPaymentGateway")? {
                    let sale =
                        Sale { id: row.text("id")?.to_owned(), gateway: gateway.to_owned(), left: amount };
                    sales.push(sale);
                }
            }
            "REFUND" if matches!(status, "SUCCESS" | "PENDING") => {
                if let Some(parent) = row.optional("parentTransaction")? {
                    *given_back.entry(parent.text("id")?.to_owned()).or_default() += amount;
                }
            }
            _ => {}
        }
    }
    for sale in &mut sales {
        sale.left = (sale.left - given_back.get(&sale.id).copied().unwrap_or(0)).max(0);
    }
    Ok((sales, ours))
}

/// A row of the order's refunds.
struct RefundRow {
    id: String,
    amount: i64,
    mark: Option<RefundMark>,
}

fn refunds(root: &Reader<'_>, bag: &Bag) -> Result<Vec<RefundRow>, ShopError> {
    let row = |node: &Reader<'_>| {
        let id = gid_number(node.text("id")?, "Refund");
        let mark = node.optional_text("note")?.and_then(RefundMark::read);
        let amount = bag.amount(node, "totalRefundedSet")?;
        Ok(RefundRow {
            id: id.ok_or_else(|| node.refused("id", "a global id of a refund"))?,
            // A record without a transaction moves nothing in the books: its mark says how much it is about.
            amount: mark.as_ref().map_or(amount.saturating_abs(), |mark| mark.amount),
            mark,
        })
    };
    root.nodes("refunds")?.iter().map(row).collect()
}

/// Rows with our mark answer a request, once; a second one with the same mark, and any without, is somebody's own.
fn reported(rows: &[RefundRow]) -> Vec<ReportedRefund> {
    let mut reported = Vec::new();
    for (i, row) in rows.iter().enumerate().filter(|(_, row)| row.amount > 0) {
        let again = rows[..i].iter().any(|r| r.mark.is_some() && r.mark == row.mark);
        let mark = row.mark.as_ref().filter(|_| !again);
        let request = mark.map(|m| m.request.clone().unwrap_or_else(|| m.refund.clone()));
        reported.push(ReportedRefund { id: row.id.clone(), amount: row.amount, request });
    }
    reported
}

fn status(root: &Reader<'_>, tags: &[String], settings: &Shopify) -> Result<OrderStatus, ShopError> {
    if root.optional_text("cancelledAt")?.is_some() {
        return Ok(OrderStatus::Cancelled);
    }
    let word = root.text("displayFulfillmentStatus")?;
    let status = match settings.statuses.get(word) {
        Some(status) => status.clone(),
        None => match word {
            "FULFILLED" | "FULFILLMENT_NOT_REQUIRED" => OrderStatus::Fulfilled,
            // ON_HOLD holds the goods, mostly until they are paid: that is no reason not to be paid.
            "UNFULFILLED"
            | "OPEN"
            | "IN_PROGRESS"
            | "PENDING_FULFILLMENT"
            | "PARTIALLY_FULFILLED"
            | "SCHEDULED"
            | "ON_HOLD"
            | "RESTOCKED"
            | "REQUEST_DECLINED" => OrderStatus::Open,
            other => return Ok(OrderStatus::Other(other.to_lowercase())),
        },
    };
    let held = tags.iter().any(|tag| tag.eq_ignore_ascii_case(HOLD_TAG));
    Ok(if held { OrderStatus::OnHold } else { status })
}

fn collection(root: &Reader<'_>, wish: Option<&str>, settings: &Shopify) -> Result<Collection, ShopError> {
    let words =
        [("page", Collection::Page), ("automatic", Collection::Automatic), ("none", Collection::None)];
    let wish = word(wish, "collection", &words)?.unwrap_or_default();
    let strange = strange(root, settings)?;
    let test = root.boolean("test")? && !settings.test_orders;
    Ok(if strange || test { Collection::None } else { wish })
}

/// Whether a gateway is named that Tandem does not collect for.
fn strange(root: &Reader<'_>, settings: &Shopify) -> Result<bool, ShopError> {
    let ours = |name: &String| {
        name.eq_ignore_ascii_case(METHOD) || settings.gateways.iter().any(|g| *g == name.to_lowercase())
    };
    Ok(!root.texts("paymentGatewayNames")?.iter().all(ours))
}

/// A metafield that is one word of a list.
fn word<T: Copy>(value: Option<&str>, key: &str, words: &[(&str, T)]) -> Result<Option<T>, ShopError> {
    let Some(value) = value else { return Ok(None) };
    match words.iter().find(|(word, _)| *word == value.trim()) {
        Some((_, meant)) => Ok(Some(*meant)),
        None => Err(refuse(key, Some(&value.into()), "one of the words in docs/order-systems/shopify.md")),
    }
}

/// Unix seconds, or a time as Shopify writes it.
fn time(text: &str) -> Result<UnixTime, ShopError> {
    UnixTime::parse(text.trim()).ok_or_else(|| {
        refuse("balance_due_at", Some(&text.into()), "Unix seconds or a time such as 2026-11-21T00:00:00Z")
    })
}

/// The lines, for the payment page alone: one that cannot be shown exactly leaves them all out.
fn items(root: &Reader<'_>, bag: &Bag) -> Result<Vec<Item>, ShopError> {
    let mut items = Vec::new();
    for row in root.at("lineItems")?.nodes("nodes")? {
        let quantity = row.get("currentQuantity").and_then(Value::as_i64);
        let quantity = quantity.ok_or_else(|| row.refused("currentQuantity", "an integer"))?;
        let Ok(unit_amount) = bag.amount(&row, "discountedUnitPriceSet") else { return Ok(Vec::new()) };
        let Ok(quantity @ 1..) = u32::try_from(quantity) else { continue };
        items.push(Item {
            sku: row.optional_text("sku")?.unwrap_or_default().to_owned(),
            name: row.text("name")?.to_owned(),
            quantity,
            unit_amount,
            kind: "product".to_owned(),
        });
    }
    Ok(items)
}

fn customer(root: &Reader<'_>) -> Result<Option<Customer>, ShopError> {
    let owned = |text: Option<&str>| text.filter(|t| !t.trim().is_empty()).map(str::to_owned);
    let id = match root.optional("customer")? {
        Some(customer) => Some(
            gid_number(customer.text("id")?, "Customer")
                .ok_or_else(|| customer.refused("id", "a global id of a customer"))?,
        ),
        None => None,
    };
    let mut buyer = Customer {
        id,
        email: owned(root.optional_text("email")?),
        phone: owned(root.optional_text("phone")?),
        ..Customer::default()
    };
    if let Some(address) = root.optional("billingAddress")? {
        buyer.name = owned(address.optional_text("name")?);
        for (ours, theirs) in [
            ("line1", "address1"),
            ("line2", "address2"),
            ("city", "city"),
            ("postal_code", "zip"),
            ("state", "provinceCode"),
            ("country", "countryCodeV2"),
        ] {
            if let Some(text) = owned(address.optional_text(theirs)?) {
                buyer.address.insert(ours.to_owned(), text);
            }
        }
    }
    let known = buyer != Customer::default();
    buyer.locale = owned(root.optional_text("customerLocale")?);
    Ok(known.then_some(buyer))
}

/// An amount as the API takes it.
pub(super) fn decimal(minor: i64, currency: Currency) -> String {
    Money::new(minor, currency).decimal()
}
