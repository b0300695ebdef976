//! Brings a store up to our view: the payment into its books, refunds, the tag, the link, and last the view's marker.
//!
//! Invariant: each step is taken only if what was read says that it is missing. `orderMarkAsPaid` knows no amount: it is
//! called only when all that is outstanding was captured, and what it will record is written down before.

use serde_json::{Value, json};

use super::marks::{self, METHOD, NAMESPACE, PAYMENT_URL, RECORD, Record, RefundMark};
use super::read::{Held, decimal, gid};
use super::{ShopifyClient, document};
use crate::config::shopify::{OrderMoney, PartPayments, RefundRecords};
use crate::domain::money::Money;
use crate::domain::order::{OrderStatus, PaymentEcho};
use crate::domain::view::WriteBack;
use crate::outbound::shop::{ShopError, Telling, Told};

/// More markers than this are thinned out to half of it.
const MARKERS_MAX: usize = 20;

impl ShopifyClient {
    pub(super) async fn bring(&self, telling: &Telling<'_>) -> Result<Told, ShopError> {
        let held = self.held(telling.id).await?;
        let own = held.own(telling.recorded);
        if held.order.payment.as_ref().is_some_and(|p| p.version >= telling.version) {
            return Ok(Told { order: held.order, recorded: Some(own) });
        }
        self.bring_all(held, telling).await.map_err(|error| error.knowing(own))
    }

    async fn bring_all(&self, held: Held, telling: &Telling<'_>) -> Result<Told, ShopError> {
        if telling.view.currency != held.order.currency {
            return Err(ShopError::Rejected(format!(
                "the payment is in {}, the order in {}: see `money` of this source",
                telling.view.currency, held.order.currency
            )));
        }
        if held.twice > 0 {
            return Err(ShopError::Rejected(format!(
                "a payment of ours stands in the store twice ({} too much): take one back in Shopify",
                Money::new(held.twice, held.order.currency)
            )));
        }
        let (held, recorded) = self.bring_payment(held, telling).await?;
        self.bring_rest(&held, telling, recorded).await.map_err(|error| error.knowing(recorded))?;
        let mut order = held.order;
        let status = telling.view.status.name().to_owned();
        order.payment = Some(PaymentEcho { version: telling.version, status });
        Ok(Told { order, recorded: Some(recorded) })
    }

    async fn bring_rest(&self, held: &Held, telling: &Telling<'_>, recorded: i64) -> Result<(), ShopError> {
        self.bring_refunds(held, telling, recorded).await?;
        self.bring_tag(held, telling).await?;
        self.bring_fields(held, telling).await
    }

    /// Records what was captured; returns the order as it is then, and how much of its books is ours.
    async fn bring_payment(&self, held: Held, telling: &Telling<'_>) -> Result<(Held, i64), ShopError> {
        let own = held.own(telling.recorded);
        let missing = self.settings.books(telling.view) - own;
        // What is paid by other means already leaves no room for ours: the excess is decided elsewhere.
        if held.order.status == OrderStatus::Cancelled || missing <= 0 || held.outstanding <= 0 {
            return Ok((held, own));
        }
        if held.strange {
            return Err(ShopError::Rejected(
                "another gateway is named on the order: to mark it as paid could capture what that one authorised; void or \
                 refund it there, or record our payment by hand, then approve"
                    .to_owned(),
            ));
        }
        let amount = missing.min(held.outstanding);
        let whole = amount == held.outstanding && telling.view.amount_due == 0;
        let money = |minor| Money::new(minor, held.order.currency);
        if !whole && self.settings.part_payments == PartPayments::Note {
            return Err(ShopError::Rejected(format!(
                "{} is outstanding in Shopify, but {} was captured: if the order was changed this heals by itself; else \
                 record the payment there by hand, or write part_payments = \"orderCreateManualPayment\"",
                money(held.outstanding),
                money(missing)
            )));
        }
        if whole && !held.can_mark {
            return Err(ShopError::Rejected(format!(
                "Shopify does not let the order be marked as paid, though {} is outstanding: look at its payments there",
                money(held.outstanding)
            )));
        }
        let parts = held.parts + if whole { 0 } else { amount };
        let record = Record { before: own, after: own + amount, paid: held.paid() + amount, parts };
        // An earlier payment of ours may be under way as long as the books do not hold it.
        let under_way = held.record.is_some_and(|r| held.paid() < r.paid);
        let digest = self.write_record(&held, record).await?;
        let done = if whole {
            self.mark_paid(telling.id).await
        } else {
            self.pay_part(telling.id, &decimal(amount, held.order.currency), held.order.currency.code()).await
        };
        let Err(ShopError::Rejected(why)) = done else {
            done?;
            if !telling.view.refunds.is_empty() {
                // A refund is recorded against the payment: that one is read first.
                return Err(ShopError::Wait { after: 30, why: "the payment was just recorded there" });
            }
            let mut held = held;
            held.order.paid = Some(record.paid);
            return Ok((held, record.after));
        };
        let now = self.held(telling.id).await?;
        if under_way && now.paid() >= record.paid {
            return Ok((now, record.after));
        }
        if !under_way {
            let none = Record { before: own, after: own, paid: 0, parts: held.parts };
            self.set_fields(
                telling.id,
                vec![field(telling.id, RECORD, "json", &json!(none).to_string(), digest)?],
            )
            .await?;
        }
        Err(ShopError::Rejected(why))
    }

    /// Writes down what will be recorded; the digest that it has then.
    async fn write_record(&self, held: &Held, record: Record) -> Result<Option<String>, ShopError> {
        let known = held.field(RECORD).map(|f| f.digest.clone());
        if held.record == Some(record) {
            return Ok(known);
        }
        let id = &held.order.id;
        let set =
            self.set_fields(id, vec![field(id, RECORD, "json", &json!(record).to_string(), known)?]).await?;
        Ok(set["metafields"][0]["compareDigest"].as_str().map(str::to_owned))
    }

    async fn mark_paid(&self, id: &str) -> Result<(), ShopError> {
        let variables = json!({ "id": gid(id)? });
        self.change(document::MARK_PAID, variables, id, "orderMarkAsPaid").await.map(|_| ())
    }

    async fn pay_part(&self, id: &str, amount: &str, currency: &str) -> Result<(), ShopError> {
        let amount = json!({ "amount": amount, "currencyCode": currency });
        let variables = json!({ "id": gid(id)?, "amount": amount, "method": METHOD });
        self.change(document::MANUAL_PAYMENT, variables, id, "orderCreateManualPayment").await.map(|_| ())
    }

    /// Records every refund that stands at Stripe and not in the store. Where the store's books do not hold our payment
    /// they hold no refund of it either.
    async fn bring_refunds(
        &self,
        held: &Held,
        telling: &Telling<'_>,
        recorded: i64,
    ) -> Result<(), ShopError> {
        if recorded == 0 {
            return Ok(());
        }
        let mut sales = held.sales.clone();
        let by_hand = held.order.refunds.iter().filter(|r| r.request.is_none());
        let mut by_hand: Vec<i64> = by_hand.map(|r| r.amount).collect();
        let made = telling.view.refunds.iter().filter(|r| r.stands());
        for line in made.filter(|line| held.refunds.iter().all(|known| known.refund != line.id)) {
            if line.takes_record(&mut by_hand) {
                continue;
            }
            let mut transactions = Vec::new();
            if self.settings.refunds == RefundRecords::Manual && !held.exchanged {
                let mut left = line.amount;
                for sale in sales.iter_mut().filter(|sale| sale.left > 0) {
                    let part = left.min(sale.left);
                    if part > 0 {
                        (left, sale.left) = (left - part, sale.left - part);
                        transactions.push(json!({
                            "orderId": gid(telling.id)?,
                            "parentId": sale.id,
                            "gateway": sale.gateway,
                            "kind": "REFUND",
                            "amount": decimal(part, held.order.currency),
                        }));
                    }
                }
                if left > 0 {
                    return Err(ShopError::Rejected(format!(
                        "{} of the refund {} finds no payment in Shopify to stand against: somebody recorded refunds \
                         there already; compare them, or write refunds = \"note\"",
                        Money::new(left, held.order.currency),
                        line.id
                    )));
                }
            }
            let mut input = json!({
                "orderId": gid(telling.id)?,
                "note": RefundMark::of(line).note(),
                "notify": false,
                "transactions": transactions,
            });
            if self.settings.money == OrderMoney::Presentment {
                input["currency"] = json!(held.order.currency.code());
            }
            let key = marks::refund_key(&self.source.name, telling.id, &line.id);
            self.change(document::REFUND, json!({ "key": key, "input": input }), telling.id, "refundCreate")
                .await?;
        }
        Ok(())
    }

    /// One tag says the status; the shop's own tags stay as they are.
    async fn bring_tag(&self, held: &Held, telling: &Telling<'_>) -> Result<(), ShopError> {
        let wanted = marks::tag(telling.view.status);
        let is_wanted = |tag: &&String| tag.eq_ignore_ascii_case(&wanted);
        let remove: Vec<&String> =
            held.tags.iter().filter(|t| marks::is_status_tag(t) && !is_wanted(t)).collect();
        if remove.is_empty() && held.tags.iter().any(|tag| is_wanted(&tag)) {
            return Ok(());
        }
        let variables = json!({
            "id": gid(telling.id)?,
            "add": [wanted],
            "remove": remove,
            "removing": !remove.is_empty(),
        });
        let data = self.ask(document::RETAG, variables, telling.id).await?.data;
        super::call::accepted(&data["tagsAdd"], "tagsAdd")?;
        if remove.is_empty() { Ok(()) } else { super::call::accepted(&data["tagsRemove"], "tagsRemove") }
    }

    /// The link while there is something to pay, and the view under its own version.
    async fn bring_fields(&self, held: &Held, telling: &Telling<'_>) -> Result<(), ShopError> {
        let (id, view) = (telling.id, telling.view);
        let mut gone = Vec::new();
        if view.payment_url.is_none() && held.field(PAYMENT_URL).is_some() {
            gone.push(PAYMENT_URL);
        }
        let mut markers: Vec<_> = held
            .fields
            .iter()
            .filter_map(|f| Some((marks::marker_version(&f.key)?, f.key.as_str())))
            .collect();
        if markers.len() > MARKERS_MAX {
            markers.sort_unstable();
            gone.extend(markers.iter().take(markers.len() - MARKERS_MAX / 2).map(|(_, key)| *key));
        }
        if !gone.is_empty() {
            let owner = gid(id)?;
            let fields: Vec<Value> = gone
                .iter()
                .map(|key| json!({ "ownerId": owner, "namespace": NAMESPACE, "key": key }))
                .collect();
            self.change(document::FORGET, json!({ "metafields": fields }), id, "metafieldsDelete").await?;
        }
        let told = WriteBack { payment_version: telling.version, payment: view.clone() };
        let told = serde_json::to_string(&told).map_err(|e| ShopError::NotSent(e.to_string()))?;
        let key = format!("{}{}", marks::MARKER, telling.version);
        let mut fields = Vec::new();
        if let Some(url) = view.payment_url.as_deref()
            && held.field(PAYMENT_URL).is_none_or(|f| f.value != url)
        {
            fields.push(json!({ "ownerId": gid(id)?, "namespace": NAMESPACE, "key": PAYMENT_URL, "type": "url", "value": url }));
        }
        fields.push(field(id, &key, "json", &told, None)?);
        self.set_fields(id, fields).await.map(|_| ())
    }

    async fn set_fields(&self, id: &str, fields: Vec<Value>) -> Result<Value, ShopError> {
        self.change(document::METAFIELDS, json!({ "metafields": fields }), id, "metafieldsSet").await
    }
}

/// A metafield that is set only if it still is what was read: `None`, if there still is none.
fn field(id: &str, key: &str, kind: &str, value: &str, digest: Option<String>) -> Result<Value, ShopError> {
    Ok(json!({
        "ownerId": gid(id)?,
        "namespace": NAMESPACE,
        "key": key,
        "type": kind,
        "value": value,
        "compareDigest": digest,
    }))
}
