//! Client of the checkout protocol: read one order, tell it our view, list what changed.
//!
//! Invariant: an order that does not say clearly what it is, is no order. Errors name the field and, where it cannot
//! be contact data, the value.

use http::Method;
use secrecy::SecretString;
use serde_json::Value;

use super::http::SharedHttp;
use super::shop::call::{Caller, Shown, json_of};
use super::shop::{Finding, Hook, OrderSystem, Page, ShopError, Telling, Told};
use crate::config::ShopSource;
use crate::domain::ids::key_part;
use crate::domain::order::Order;
use crate::domain::time::UnixTime;
use crate::domain::view::WriteBack;

mod read;

/// Talks to one order system.
#[derive(Clone)]
pub struct CheckoutClient {
    caller: Caller,
    source: ShopSource,
}

impl std::fmt::Debug for CheckoutClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CheckoutClient").field("source", &self.source.name).finish_non_exhaustive()
    }
}

impl CheckoutClient {
    /// A client of `source` that shows `token`.
    pub fn new(http: SharedHttp, source: ShopSource, token: SecretString) -> Self {
        Self { caller: Caller::new(http, &source.base_url, token, Shown::Bearer), source }
    }

    /// The source it talks to.
    pub fn source(&self) -> &ShopSource {
        &self.source
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        id: &str,
    ) -> Result<Value, ShopError> {
        let body = body.map(|bytes| ("application/json", bytes.into()));
        json_of(&self.caller.send(method, path, body).await?, id)
    }
}

impl OrderSystem for CheckoutClient {
    async fn get_order(&self, id: &str) -> Result<Order, ShopError> {
        let body = self.call(Method::GET, &order_path(id)?, None, id).await?;
        read::order(&body, id)
    }

    /// The order system itself ignores a version that it knows.
    async fn tell(&self, telling: &Telling<'_>) -> Result<Told, ShopError> {
        let Telling { id, version, view, .. } = *telling;
        let request = WriteBack { payment_version: version, payment: view.clone() };
        let bytes = serde_json::to_vec(&request).map_err(|e| ShopError::NotSent(e.to_string()))?;
        let body = self.call(Method::PATCH, &order_path(id)?, Some(bytes), id).await?;
        Ok(Told { order: read::order(&body, id)?, recorded: None })
    }

    async fn list(&self, since: UnixTime, cursor: Option<&str>) -> Result<Page, ShopError> {
        let mut path = format!("/orders?updated_since={}", since.0);
        if let Some(cursor) = cursor {
            path.push_str("&cursor=");
            path.push_str(&key_part(cursor));
        }
        let body = self.call(Method::GET, &path, None, "").await?;
        read::page(&body)
    }

    /// The protocol has no word for it.
    async fn hooks(&self, _address: &str) -> Result<Option<Vec<Hook>>, ShopError> {
        Ok(None)
    }

    async fn mend(&self, _address: &str, _hook: &Hook) -> Result<bool, ShopError> {
        Ok(false)
    }

    async fn check(&self, address: &str) -> Vec<Finding> {
        // No order was ever changed in the year 9999: an empty page proves the key, the path and the protocol.
        let key = match self.list(UnixTime(253_370_764_800), None).await {
            Ok(_) => Finding::good(
                "order API",
                "the key is accepted and a listing is answered as the protocol says",
            ),
            Err(error) => Finding::bad("order API", format!("{error}; see docs/checkout-protocol.md")),
        };
        let hook = format!("the shop cannot be asked; its notices must go to {address}");
        vec![key, Finding::warning("webhook", hook)]
    }
}

/// `/orders/{id}`, for an id that stays one part of the path.
fn order_path(id: &str) -> Result<String, ShopError> {
    if id.is_empty() || id == "." || id == ".." {
        return Err(ShopError::Field {
            field: "id".to_owned(),
            found: format!("{id:?}"),
            rule: "an order's id is neither empty nor a path",
        });
    }
    Ok(format!("/orders/{}", key_part(id)))
}

#[cfg(test)]
mod tests;
