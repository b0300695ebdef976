//! The rest of the REST API: notes, refunds, webhooks, settings.

use bytes::Bytes;
use serde_json::{Value, json};
use shared::outbound::http::HttpRequest;

use super::api::{BAD_VALUE, NO_ORDER, Outcome, Refused, page_of, paging};
use super::book::{MetaRow, RefundRow};
use super::orders::{money, parts};
use super::{PING, WooHook, render};
use crate::shop::face::Change;
use crate::shop::notices::Delivery;
use crate::shop::{Shop, State, notices};

/// More than what is left, or the gateway would not: no outage, though it is a 500.
const NO_REFUND: Refused = Refused(500, "woocommerce_rest_cannot_create_order_refund");

impl Shop {
    /// Newest first.
    pub(super) fn woo_notes(&self, id: &str) -> Outcome {
        let mut state = self.lock();
        let (_, book) = parts(&mut state, id).ok_or(NO_ORDER)?;
        Ok((200, book.notes.iter().rev().map(render::note).collect()))
    }

    /// Tells nobody but the buyer, and moves no date.
    pub(super) fn woo_add_note(&self, id: &str, body: &Value) -> Outcome {
        let now = self.now();
        let mut state = self.lock();
        let (_, book) = parts(&mut state, id).ok_or(NO_ORDER)?;
        let text = body["note"].as_str().ok_or(Refused(400, "rest_missing_callback_param"))?;
        book.note(text, body["customer_note"] == true, now);
        Ok((201, book.notes.last().map_or(Value::Null, render::note)))
    }

    /// Newest first, with metadata.
    pub(super) fn woo_refunds(&self, id: &str) -> Outcome {
        let mut state = self.lock();
        let decimals = state.woo.decimals;
        let (order, book) = parts(&mut state, id).ok_or(NO_ORDER)?;
        let shown = book.refunds.iter().rev().map(|row| render::refund(row, order.currency, decimals));
        Ok((200, shown.collect()))
    }

    pub(super) fn woo_add_refund(&self, id: &str, body: &Value) -> Outcome {
        let now = self.now();
        let mut state = self.lock();
        let decimals = state.woo.decimals;
        let (order, book) = parts(&mut state, id).ok_or(NO_ORDER)?;
        let amount = money(&body["amount"], order.currency)?;
        if amount < 0 {
            return Err(Refused(400, "woocommerce_rest_invalid_order_refund"));
        }
        if amount == 0 || amount > order.total - book.refunded() {
            return Err(NO_REFUND);
        }
        // Without a word the order's own gateway is asked for the money, and these cannot.
        if body.get("api_refund") != Some(&Value::Bool(false)) {
            return Err(NO_REFUND);
        }
        let row = book.next_id();
        let mut meta = Vec::new();
        for entry in body["meta_data"].as_array().into_iter().flatten() {
            let (key, value) = (entry["key"].as_str().unwrap_or_default().to_owned(), entry["value"].clone());
            meta.push(MetaRow { id: book.next_id(), key, value });
        }
        let reason = body["reason"].as_str().unwrap_or_default().to_owned();
        book.refunds.push(RefundRow { id: row, amount, reason, meta, at: now });
        if book.refunded() == order.total {
            book.set_status("refunded", now);
            order.status = super::book::meaning("refunded");
        }
        let shown = book.refunds.last().map(|row| render::refund(row, order.currency, decimals));
        self.woo_touched(&mut state, id);
        Ok((201, shown.unwrap_or_default()))
    }

    /// Moves the order's date and tells of it.
    fn woo_touched(&self, state: &mut State, id: &str) {
        let now = self.now();
        let Some(kept) = state.record.orders.get_mut(id) else { return };
        kept.remember();
        kept.order.version += 1;
        kept.order.updated_at = now;
        let order = kept.order.clone();
        notices::announce(state, self.0.face, Change::Updated, &order, now);
    }

    /// This version tells nobody, and the order stays what it was.
    pub(super) fn woo_delete_refund(&self, id: &str, row: &str, force: bool) -> Outcome {
        let mut state = self.lock();
        let decimals = state.woo.decimals;
        let (order, book) = parts(&mut state, id).ok_or(NO_ORDER)?;
        if !force {
            return Err(Refused(501, "woocommerce_rest_trash_not_supported"));
        }
        let place = book.refunds.iter().position(|r| r.id.to_string() == row);
        let place = place.ok_or(Refused(404, "woocommerce_rest_shop_order_refund_invalid_id"))?;
        let gone = book.refunds.remove(place);
        Ok((200, render::refund(&gone, order.currency, decimals)))
    }

    fn woo_hook(&self, hook: &WooHook) -> Value {
        let url = if hook.url.is_empty() { &self.0.config.webhook_url } else { &hook.url };
        json!({"id": hook.id, "name": hook.topic, "status": hook.status, "topic": hook.topic, "resource": "order",
            "delivery_url": url})
    }

    pub(super) fn woo_webhooks(&self, request: &HttpRequest) -> Outcome {
        let place = paging(request)?;
        let hooks = self.lock().woo.hooks.clone();
        Ok((200, page_of(hooks.iter().map(|hook| self.woo_hook(hook)).collect(), place)))
    }

    /// A new one is tried out at once; what its target says to that changes nothing.
    pub(super) fn woo_add_webhook(&self, body: &Value) -> Outcome {
        let mut state = self.lock();
        let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        if !["order.created", "order.updated", "order.deleted", "order.restored"]
            .contains(&text("topic").as_str())
        {
            return Err(BAD_VALUE);
        }
        let id = state.woo.hooks.iter().map(|h| h.id).max().unwrap_or(0) + 1;
        let hook = WooHook {
            id,
            topic: text("topic"),
            status: "active".to_owned(),
            failures: 0,
            url: text("delivery_url"),
        };
        let shown = self.woo_hook(&hook);
        state.woo.hooks.push(hook);
        let ping = Delivery {
            id: id.to_string(),
            order: String::new(),
            topic: PING,
            body: Bytes::new(),
            due_at: self.now(),
            attempt: 0,
        };
        state.outbox.push(ping);
        Ok((201, shown))
    }

    pub(super) fn woo_change_webhook(&self, id: &str, body: &Value) -> Outcome {
        let mut state = self.lock();
        let hook = state.woo.hooks.iter_mut().find(|h| h.id.to_string() == id);
        let hook = hook.ok_or(Refused(404, "woocommerce_rest_shop_webhook_invalid_id"))?;
        match body["status"].as_str() {
            Some(status @ ("active" | "paused" | "disabled")) => {
                status.clone_into(&mut hook.status);
                hook.failures = 0;
            }
            Some(_) => return Err(BAD_VALUE),
            None => {}
        }
        let hook = hook.clone();
        Ok((200, self.woo_hook(&hook)))
    }

    pub(super) fn woo_setting(&self, id: &str) -> Outcome {
        let value = match id {
            "woocommerce_currency" => "EUR".to_owned(),
            "woocommerce_price_num_decimals" => self.lock().woo.decimals.unwrap_or(2).to_string(),
            _ => return Err(Refused(404, "rest_setting_setting_invalid")),
        };
        Ok((200, json!({"id": id, "value": value})))
    }

    pub(super) fn woo_gateways(&self) -> Value {
        let gateways = self.lock().woo.gateways.clone();
        gateways.into_iter().map(|(id, enabled)| json!({"id": id, "enabled": enabled})).collect()
    }
}
