//! Client of a Shopify store over its Admin GraphQL API.
//!
//! Invariant: every document that is sent stands in this module's folder and validates against Shopify's own schema of
//! [`API_VERSION`] (`scripts/shopify-schema`). A store is read before it is written; what is written last is the marker
//! that says which view it holds.

use secrecy::SecretString;

use super::http::SharedHttp;
use super::shop::call::{Caller, Shown};
use super::shop::{Finding, Hook, OrderSystem, Page, ShopError, Telling, Told};
use crate::config::ShopSource;
use crate::config::shopify::Shopify;
use crate::domain::order::Order;
use crate::domain::time::UnixTime;

mod call;
mod hooks;
mod list;
mod marks;
mod read;
mod tell;

/// The version of the API that is asked for.
pub const API_VERSION: &str = "2026-10";

/// The documents, by what they do.
mod document {
    pub(super) const CHECK: &str = include_str!("shopify/check.graphql");
    pub(super) const FORGET: &str = include_str!("shopify/forget.graphql");
    pub(super) const MANUAL_PAYMENT: &str = include_str!("shopify/manual_payment.graphql");
    pub(super) const MARK_PAID: &str = include_str!("shopify/mark_paid.graphql");
    pub(super) const METAFIELDS: &str = include_str!("shopify/metafields.graphql");
    pub(super) const ORDER: &str = include_str!("shopify/order.graphql");
    pub(super) const ORDERS: &str = include_str!("shopify/orders.graphql");
    pub(super) const REFUND: &str = include_str!("shopify/refund.graphql");
    pub(super) const RETAG: &str = include_str!("shopify/retag.graphql");
    pub(super) const SUBSCRIBE: &str = include_str!("shopify/subscribe.graphql");
    pub(super) const SUBSCRIPTIONS: &str = include_str!("shopify/subscriptions.graphql");
}

/// Talks to one store.
#[derive(Clone)]
pub struct ShopifyClient {
    caller: Caller,
    source: ShopSource,
    settings: Shopify,
}

impl std::fmt::Debug for ShopifyClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShopifyClient").field("source", &self.source.name).finish_non_exhaustive()
    }
}

impl ShopifyClient {
    /// A client of `source`, whose settings these are, that shows `token`.
    pub(super) fn new(http: SharedHttp, source: ShopSource, token: SecretString, settings: Shopify) -> Self {
        let shown = Shown::Header("x-shopify-access-token");
        Self { caller: Caller::new(http, &source.base_url, token, shown), source, settings }
    }

    /// The source it talks to.
    pub fn source(&self) -> &ShopSource {
        &self.source
    }
}

impl OrderSystem for ShopifyClient {
    async fn get_order(&self, id: &str) -> Result<Order, ShopError> {
        Ok(self.held(id).await?.order)
    }

    async fn list(&self, since: UnixTime, cursor: Option<&str>) -> Result<Page, ShopError> {
        self.page(since, cursor).await
    }

    async fn tell(&self, telling: &Telling<'_>) -> Result<Told, ShopError> {
        self.bring(telling).await
    }

    async fn hooks(&self, address: &str) -> Result<Option<Vec<Hook>>, ShopError> {
        self.subscriptions(address).await
    }

    async fn mend(&self, address: &str, hook: &Hook) -> Result<bool, ShopError> {
        self.subscribe(address, hook).await
    }

    async fn check(&self, address: &str) -> Vec<Finding> {
        self.findings(address).await
    }
}

#[cfg(test)]
mod tests;
