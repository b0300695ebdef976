//! Client of WooCommerce's REST API, version 3.
//!
//! Invariant: the API has no idempotency keys, so every write is made only where what was just read says that it is
//! missing, and the version of the view is written last.

use http::Method;
use secrecy::SecretString;
use serde_json::Value;

use self::read::Seen;
use super::http::{HttpResponse, SharedHttp};
use super::shop::call::{Caller, Shown};
use super::shop::{Finding, Hook, OrderSystem, Page, ShopError, Telling, Told};
use crate::config::ShopSource;
use crate::config::woo::Woo;
use crate::domain::order::Order;
use crate::domain::time::UnixTime;

mod answer;
mod check;
mod lines;
mod list;
mod marks;
mod read;
mod refunds;
mod tell;

/// Where the API begins.
const API: &str = "/wp-json/wc/v3";

/// Talks to one WooCommerce shop.
#[derive(Clone)]
pub struct WooClient {
    caller: Caller,
    source: ShopSource,
    settings: Woo,
}

impl std::fmt::Debug for WooClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WooClient").field("source", &self.source.name).finish_non_exhaustive()
    }
}

impl WooClient {
    /// A client of `source`, whose settings these are, that shows `key`: `ck_...:cs_...`.
    pub(super) fn new(http: SharedHttp, source: ShopSource, key: SecretString, settings: Woo) -> Self {
        Self { caller: Caller::new(http, &source.base_url, key, Shown::Basic), source, settings }
    }

    /// The source it talks to.
    pub fn source(&self) -> &ShopSource {
        &self.source
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<HttpResponse, ShopError> {
        let body = body.map(|value| ("application/json", value.to_string().into()));
        self.caller.send(method, &format!("{API}{path}"), body).await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        id: &str,
    ) -> Result<Value, ShopError> {
        answer::json(&self.send(method, path, body).await?, id)
    }

    /// The order with its books.
    async fn seen(&self, id: &str) -> Result<Seen, ShopError> {
        let body = self.call(Method::GET, &order_path(id)?, None, id).await?;
        self.seen_in(&body, id).await
    }

    /// The same from an order that was answered. Its own list of refunds lacks their metadata: where there are any, they
    /// are read.
    async fn seen_in(&self, body: &Value, id: &str) -> Result<Seen, ShopError> {
        let rows = match body.get("refunds").and_then(Value::as_array) {
            Some(refunds) if !refunds.is_empty() => {
                let path = format!("{}/refunds?per_page=100", order_path(id)?);
                Some(self.call(Method::GET, &path, None, id).await?)
            }
            _ => None,
        };
        read::order(body, rows.as_ref(), id, &self.settings)
    }

    /// Changes the order and reads what it answers.
    async fn put(&self, id: &str, change: &Value) -> Result<Seen, ShopError> {
        let body = self.call(Method::PUT, &order_path(id)?, Some(change), id).await?;
        self.seen_in(&body, id).await
    }
}

impl OrderSystem for WooClient {
    async fn get_order(&self, id: &str) -> Result<Order, ShopError> {
        Ok(self.seen(id).await?.order)
    }

    async fn list(&self, since: UnixTime, cursor: Option<&str>) -> Result<Page, ShopError> {
        self.page(since, cursor).await
    }

    async fn tell(&self, telling: &Telling<'_>) -> Result<Told, ShopError> {
        self.tell_order(telling).await
    }

    async fn hooks(&self, address: &str) -> Result<Option<Vec<Hook>>, ShopError> {
        self.find_hooks(address).await.map(Some)
    }

    async fn mend(&self, _address: &str, hook: &Hook) -> Result<bool, ShopError> {
        self.mend_hook(hook).await
    }

    async fn check(&self, address: &str) -> Vec<Finding> {
        self.findings(address).await
    }
}

/// `/orders/{id}`, for an id as WooCommerce gives them.
fn order_path(id: &str) -> Result<String, ShopError> {
    if !(1..=20).contains(&id.len()) || !id.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ShopError::Field {
            field: "id".to_owned(),
            found: format!("{:?}", id.chars().take(40).collect::<String>()),
            rule: "an order's id is a whole number",
        });
    }
    Ok(format!("/orders/{id}"))
}

#[cfg(test)]
mod tests;
