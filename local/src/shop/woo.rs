//! A WooCommerce shop: its REST API and its webhooks, with the habits of the real one (10.0.2 was watched).
//!
//! Invariant: written from what WooCommerce does, never from what Tandem expects of it. A delivery's body is built when it
//! leaves, one delivery waits per webhook and order, and none is ever repeated.

use base64::Engine as _;
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::Method;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use shared::domain::order::Order;
use shared::domain::time::{Seconds, UnixTime};
use shared::outbound::http::{HttpRequest, HttpResponse};

use super::face::{Change, Face};
use super::notices::Delivery;
use super::{Native, Shop, ShopConfig, State};

mod api;
mod book;
mod orders;
mod render;
mod rest;

pub use book::{Book, MetaRow, NoteRow, RefundRow};

/// Failures in a row after which one more switches a webhook off.
const FAILURES_MAX: u32 = 5;

/// One webhook of the shop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WooHook {
    /// Its id.
    pub id: u64,
    /// `order.updated` ..
    pub topic: String,
    /// `active`, `paused`, `disabled`.
    pub status: String,
    /// Failures in a row.
    pub failures: u32,
    /// Where it goes; empty for the configured address.
    pub url: String,
}

/// What belongs to the shop and not to an order.
#[derive(Clone, Debug)]
pub struct WooShop {
    /// The decimals of its prices; without a setting those of each order's currency.
    pub decimals: Option<u32>,
    /// The tax on orders made by REST, in percent.
    pub tax_percent: u32,
    /// Whether the key may write.
    pub may_write: bool,
    /// Statuses that plug-ins add.
    pub statuses: Vec<String>,
    /// Methods of payment, and whether they are on.
    pub gateways: Vec<(String, bool)>,
    /// The webhooks.
    pub hooks: Vec<WooHook>,
    customers: Vec<String>,
}

impl Default for WooShop {
    fn default() -> Self {
        let hook = |(id, topic): (u64, &str)| WooHook {
            id,
            topic: topic.to_owned(),
            status: "active".to_owned(),
            failures: 0,
            url: String::new(),
        };
        Self {
            decimals: None,
            tax_percent: 0,
            may_write: true,
            statuses: Vec::new(),
            gateways: vec![("bacs".to_owned(), true), ("cheque".to_owned(), false)],
            hooks: [(4, "order.created"), (5, "order.updated"), (6, "order.deleted")].map(hook).into(),
            customers: Vec::new(),
        }
    }
}

impl WooShop {
    /// The number of a registered buyer.
    fn customer(&mut self, id: &str) -> u64 {
        let known = self.customers.iter().position(|c| c == id);
        let place = known.unwrap_or_else(|| {
            self.customers.push(id.to_owned());
            self.customers.len() - 1
        });
        place as u64 + 1
    }

    fn customer_of(&mut self, order: &Order) -> u64 {
        order.customer.as_ref().and_then(|c| c.id.clone()).map_or(0, |id| self.customer(&id))
    }
}

impl Shop {
    /// Changes what belongs to a WooCommerce shop.
    pub fn woo(&self, change: impl FnOnce(&mut WooShop)) {
        change(&mut self.lock().woo);
    }

    /// Status by topic of its webhooks.
    pub fn woo_hooks(&self) -> Vec<(String, String)> {
        self.lock().woo.hooks.iter().map(|h| (h.topic.clone(), h.status.clone())).collect()
    }

    /// What WooCommerce keeps of an order.
    pub fn woo_book(&self, id: &str) -> Option<Book> {
        match self.order(id)?.native {
            Native::Woo(book) => Some(*book),
            _ => None,
        }
    }
}

/// The face of WooCommerce.
pub(super) struct Woo;

/// A topic that lives as long as the program.
fn topic(name: &str) -> &'static str {
    match name {
        "order.created" => "order.created",
        "order.updated" => "order.updated",
        "order.deleted" => "order.deleted",
        _ => "order.restored",
    }
}

/// Puts one delivery per active webhook of these topics into the outbox, unless one waits there already.
fn waiting(state: &State, topics: &[&str], order: &str, now: UnixTime) -> Vec<Delivery> {
    let wanted = |hook: &&WooHook| hook.status == "active" && topics.contains(&hook.topic.as_str());
    let hooks = state.woo.hooks.iter().filter(wanted);
    hooks
        .map(|hook| Delivery {
            id: hook.id.to_string(),
            order: order.to_owned(),
            topic: topic(&hook.topic),
            body: Bytes::new(),
            due_at: now,
            attempt: 0,
        })
        .filter(|new| !state.outbox.iter().any(|d| (&d.id, &d.order) == (&new.id, &new.order)))
        .collect()
}

impl Face for Woo {
    fn native(&self, order: &Order) -> Native {
        Native::Woo(Box::new(Book::new(order)))
    }

    fn is_api(&self, path: &str) -> bool {
        path.starts_with("/wp-json/") || path.starts_with("/checkout/order-received/")
    }

    fn api(&self, shop: &Shop, request: &HttpRequest) -> HttpResponse {
        shop.woo_api(request)
    }

    fn deliveries(&self, state: &mut State, change: Change, order: &Order, now: UnixTime) -> Vec<Delivery> {
        if let Some(kept) = state.record.orders.get_mut(&order.id)
            && let Native::Woo(book) = &mut kept.native
        {
            book.follow(order, now);
        }
        // A new order is saved more than once, so both are told.
        let topics: &[&str] = match change {
            Change::Created => &["order.created", "order.updated"],
            Change::Updated => &["order.updated"],
        };
        waiting(state, topics, &order.id, now)
    }

    fn outgoing(
        &self,
        state: &State,
        config: &ShopConfig,
        delivery: &Delivery,
        now: UnixTime,
    ) -> Option<HttpRequest> {
        let hook = state.woo.hooks.iter().find(|h| h.id.to_string() == delivery.id)?;
        let url = if hook.url.is_empty() { &config.webhook_url } else { &hook.url };
        let request = http::Request::builder()
            .method(Method::POST)
            .uri(url)
            .header("user-agent", "WooCommerce/10.0.2 Hookshot (WordPress/6.8.8)");
        if delivery.topic == PING {
            let request = request.header("content-type", "application/x-www-form-urlencoded");
            return request.body(Bytes::from(format!("webhook_id={}", hook.id))).ok();
        }
        // Switched off meanwhile: what waits is dropped.
        if hook.status != "active" {
            return None;
        }
        let body = body(state, config, delivery);
        // One second of one webhook has one id.
        let id = hex::encode(Sha256::digest(format!("{}{}", hook.id, now.0)));
        let request = request
            .header("content-type", "application/json")
            .header("x-wc-webhook-source", format!("{}/", config.public_url))
            .header("x-wc-webhook-topic", delivery.topic)
            .header("x-wc-webhook-resource", "order")
            .header("x-wc-webhook-event", delivery.topic.trim_start_matches("order."))
            .header("x-wc-webhook-signature", signed(&config.webhook_secret, body.as_bytes()))
            .header("x-wc-webhook-id", hook.id)
            .header("x-wc-webhook-delivery-id", &id[..32]);
        request.body(Bytes::from(body)).ok()
    }

    fn after(
        &self,
        state: &mut State,
        _config: &ShopConfig,
        delivery: &Delivery,
        status: Option<u16>,
    ) -> Option<Seconds> {
        let hook = state.woo.hooks.iter_mut().find(|h| h.id.to_string() == delivery.id)?;
        if delivery.topic == PING {
            return None;
        }
        if status.is_some_and(|s| (200..=302).contains(&s)) {
            hook.failures = 0;
        } else if hook.failures > FAILURES_MAX {
            hook.status = "disabled".to_owned();
        } else {
            hook.failures += 1;
        }
        // Never again: what failed is lost.
        None
    }
}

/// The call that tries out a new webhook.
const PING: &str = "ping";

/// The order as it is now; of one that is gone only its id.
fn body(state: &State, config: &ShopConfig, delivery: &Delivery) -> String {
    let id: u64 = delivery.order.parse().unwrap_or(0);
    let gone = json!({ "id": id }).to_string();
    let Some(kept) = state.record.orders.get(&delivery.order) else { return gone };
    let Native::Woo(book) = &kept.native else { return gone };
    if delivery.topic == "order.deleted" || book.gone {
        return gone;
    }
    let customer = state.woo.clone().customer_of(&kept.order);
    let style = render::Style { decimals: state.woo.decimals, base: &config.public_url, customer };
    render::order(&kept.order, book, &style).to_string()
}

/// `base64(HMAC-SHA256(body, secret))`.
fn signed(secret: &str, body: &[u8]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(body);
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests;
