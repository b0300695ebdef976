//! Webhooks and settings of a live shop.
//!
//! Invariant: a check changes nothing. The right to write is tried on an order that no shop has.

use http::Method;
use serde_json::{Value, json};

use super::WooClient;
use crate::outbound::shop::field::refuse;
use crate::outbound::shop::{Finding, Hook, HookState, ShopError};

/// What must be delivered.
const TOPICS: [&str; 3] = ["order.created", "order.updated", "order.deleted"];
/// Pages of webhooks that are read.
const PAGES_MAX: u32 = 10;
/// An order that no shop has.
const NO_ORDER: &str = "9007199254740991";

impl WooClient {
    /// How the webhooks to `address` stand.
    pub(super) async fn find_hooks(&self, address: &str) -> Result<Vec<Hook>, ShopError> {
        let mut found: Vec<(String, Hook)> = Vec::new();
        for page in 1..=PAGES_MAX {
            let path = format!("/webhooks?per_page=100&page={page}");
            let body = self.call(Method::GET, &path, None, "").await?;
            let list = body.as_array().ok_or_else(|| refuse("(body)", Some(&body), "a list of webhooks"))?;
            found.extend(list.iter().filter_map(hook));
            if list.len() < 100 {
                break;
            }
        }
        let ours = |topic: &str| {
            let same = |(url, hook): &&(String, Hook)| {
                url.trim_end_matches('/') == address.trim_end_matches('/') && hook.topic == topic
            };
            // One that delivers is enough.
            let best = found.iter().filter(same).min_by_key(|(_, hook)| hook.state != HookState::Active);
            best.map(|(_, hook)| hook.clone())
        };
        let missing = |topic: &str| Hook { topic: topic.to_owned(), id: None, state: HookState::Missing };
        Ok(TOPICS.into_iter().map(|topic| ours(topic).unwrap_or_else(|| missing(topic))).collect())
    }

    /// Switches one on again. One that is not there only a person can make: it needs the secret.
    pub(super) async fn mend_hook(&self, hook: &Hook) -> Result<bool, ShopError> {
        let id = hook.id.as_ref().filter(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit()));
        let (Some(id), HookState::Disabled) = (id, hook.state) else { return Ok(false) };
        let change = json!({"status": "active"});
        let body = self.call(Method::PUT, &format!("/webhooks/{id}"), Some(&change), id).await?;
        Ok(body.get("status").and_then(Value::as_str) == Some("active"))
    }

    /// What is wrong with the keys and settings.
    pub(super) async fn findings(&self, address: &str) -> Vec<Finding> {
        let mut found = vec![self.can_read().await, self.can_write().await];
        found.extend(self.money().await);
        found.extend(self.methods().await);
        match self.find_hooks(address).await {
            Ok(hooks) => found.extend(hooks.iter().map(|hook| hook_finding(hook, address))),
            Err(error) => found.push(Finding::bad(
                "webhooks",
                format!(
                    "{error}; the key's user must manage the shop, or nobody can see whether webhooks are on"
                ),
            )),
        }
        found
    }

    async fn can_read(&self) -> Finding {
        let what = "orders, reading";
        match self.call(Method::GET, "/orders?per_page=1&_fields=id,status", None, "").await {
            Ok(Value::Array(_)) => Finding::good(what, "the key is accepted and orders can be read"),
            Ok(_) => Finding::bad(what, "no list of orders is answered; is base_url the shop's root?"),
            Err(error) => Finding::bad(
                what,
                format!("{error}; make the key under WooCommerce > Settings > Advanced > REST API"),
            ),
        }
    }

    async fn can_write(&self) -> Finding {
        let what = "orders, writing";
        let path = format!("/orders/{NO_ORDER}");
        match self.call(Method::PUT, &path, Some(&json!({})), NO_ORDER).await {
            // It looked for the order, so it would have written.
            Err(ShopError::NotFound(_)) => Finding::good(what, "the key may write"),
            Err(ShopError::Unauthorized(_)) => {
                Finding::bad(what, "the key may not write; give it the permission Read/Write")
            }
            Err(error) => Finding::bad(what, error.to_string()),
            Ok(_) => Finding::warning(what, "an order that cannot exist was answered; it was not changed"),
        }
    }

    async fn setting(&self, id: &str) -> Result<String, ShopError> {
        let body = self.call(Method::GET, &format!("/settings/general/{id}"), None, "").await?;
        match body.get("value") {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(Value::Number(number)) => Ok(number.to_string()),
            other => Err(refuse("value", other, "a setting's value")),
        }
    }

    /// Fewer decimals than the currency has are fine; more would make totals that nobody can pay.
    async fn money(&self) -> Vec<Finding> {
        let what = "currency and decimals";
        let read = (
            self.setting("woocommerce_currency").await,
            self.setting("woocommerce_price_num_decimals").await,
        );
        let (Ok(code), Ok(decimals)) = read else {
            return vec![Finding::warning(
                what,
                "cannot be read with this key; see that prices have no more decimals than the currency has",
            )];
        };
        let currency = crate::domain::money::Currency::parse(&code);
        vec![match (currency, decimals.parse::<u32>()) {
            (Ok(currency), Ok(n)) if n <= currency.iso_exponent() => {
                Finding::good(what, format!("{currency} with {n} decimals"))
            }
            (Ok(currency), Ok(n)) => Finding::bad(
                what,
                format!(
                    "prices have {n} decimals, {currency} has {}: totals that nobody can pay are refused; set the number of decimals to {}",
                    currency.iso_exponent(),
                    currency.iso_exponent()
                ),
            ),
            _ => Finding::bad(what, "the shop's currency is none of ISO 4217, or its decimals are no number"),
        }]
    }

    async fn methods(&self) -> Vec<Finding> {
        let what = "payment methods";
        let Ok(Value::Array(gateways)) = self.call(Method::GET, "/payment_gateways", None, "").await else {
            return vec![Finding::warning(
                what,
                "cannot be read with this key; compare payment_methods by hand",
            )];
        };
        let enabled = |id: &str| {
            let is = |g: &&Value| g.get("id").and_then(Value::as_str) == Some(id);
            gateways.iter().find(is).map(|g| g.get("enabled").and_then(Value::as_bool).unwrap_or(false))
        };
        let mut found = Vec::new();
        for method in self.settings.payment_methods.iter().filter(|m| !m.is_empty()) {
            found.push(match enabled(method) {
                Some(true) => Finding::good(what, format!("{method:?} is on; Tandem collects its orders")),
                Some(false) => Finding::warning(what, format!("{method:?} is off: no buyer can choose it")),
                None => {
                    Finding::bad(what, format!("the shop has no method {method:?}; correct payment_methods"))
                }
            });
        }
        if found.is_empty() {
            let text = "payment_methods names none: only orders made by staff or an API are collected; see docs/order-systems/woocommerce.md";
            found.push(Finding::warning(what, text));
        }
        if enabled("stripe") == Some(true) {
            let text = "the official Stripe plug-in is on: orders paid through it are left alone";
            found.push(Finding::warning(what, text));
        }
        found
    }
}

fn hook(value: &Value) -> Option<(String, Hook)> {
    let state = match value.get("status")?.as_str()? {
        "active" => HookState::Active,
        _ => HookState::Disabled,
    };
    let topic = value.get("topic")?.as_str()?.to_owned();
    let id = value.get("id")?.as_u64()?.to_string();
    Some((value.get("delivery_url")?.as_str()?.to_owned(), Hook { topic, id: Some(id), state }))
}

fn hook_finding(hook: &Hook, address: &str) -> Finding {
    let topic = &hook.topic;
    match hook.state {
        HookState::Active => Finding::good("webhooks", format!("{topic} is on")),
        HookState::Disabled => Finding::bad(
            "webhooks",
            format!(
                "{topic} is off, perhaps after seven failures in a row; the sweeper switches it on again"
            ),
        ),
        HookState::Missing => Finding::bad(
            "webhooks",
            format!(
                "{topic} is missing: make one under WooCommerce > Settings > Advanced > Webhooks, delivery URL {address}, the secret as stored here"
            ),
        ),
    }
}
