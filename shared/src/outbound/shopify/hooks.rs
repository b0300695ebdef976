//! The store's webhooks to us, and whether key, scopes and settings fit.

use serde_json::json;

use super::read::Reader;
use super::{API_VERSION, ShopifyClient, document};
use crate::config::shopify::Subscriptions;
use crate::domain::money::Currency;
use crate::outbound::shop::{Finding, Hook, HookState, ShopError};

/// What must be delivered. `ORDERS_UPDATED` alone would do; each of the others is a second chance that the first one of a
/// change is heard.
pub(super) const TOPICS: [&str; 5] =
    ["ORDERS_CREATE", "ORDERS_UPDATED", "ORDERS_CANCELLED", "ORDERS_EDITED", "REFUNDS_CREATE"];

impl ShopifyClient {
    pub(super) async fn subscriptions(&self, address: &str) -> Result<Option<Vec<Hook>>, ShopError> {
        if self.settings.webhooks == Subscriptions::App {
            return Ok(None);
        }
        let data = self.ask(document::SUBSCRIPTIONS, json!({ "uri": address }), "").await?.data;
        let mut there = Vec::new();
        for node in Reader::of(&data, "").at("webhookSubscriptions")?.nodes("nodes")? {
            // One in XML, or to another address, is not ours.
            if node.text("uri")? == address && node.text("format")? == "JSON" {
                there.push((node.text("topic")?, node.text("id")?));
            }
        }
        let hook = |topic: &str| {
            let id = there.iter().find(|(t, _)| *t == topic).map(|(_, id)| (*id).to_owned());
            let state = if id.is_some() { HookState::Active } else { HookState::Missing };
            Hook { topic: topic.to_owned(), id, state }
        };
        Ok(Some(TOPICS.into_iter().map(hook).collect()))
    }

    /// Shopify deletes a subscription after eight failures in a row: it is made anew.
    pub(super) async fn subscribe(&self, address: &str, hook: &Hook) -> Result<bool, ShopError> {
        if self.settings.webhooks == Subscriptions::App || hook.state == HookState::Active {
            return Ok(false);
        }
        let subscription = json!({ "uri": address, "format": "JSON" });
        let variables = json!({ "topic": hook.topic, "subscription": subscription });
        self.change(document::SUBSCRIBE, variables, "", "webhookSubscriptionCreate").await?;
        Ok(true)
    }

    pub(super) async fn findings(&self, address: &str) -> Vec<Finding> {
        let answer = match self.ask(document::CHECK, json!({}), "").await {
            Ok(answer) => answer,
            Err(error) => {
                let cure = "base_url must be https://NAME.myshopify.com, and the secret named by api_key the app's Admin API access token";
                return vec![Finding::bad("Admin API", format!("{error}; {cure}"))];
            }
        };
        let mut findings = vec![match answer.version.as_deref() {
            Some(API_VERSION) => Finding::good("API version", format!("{API_VERSION} answers")),
            Some(other) => Finding::warning(
                "API version",
                format!("{other} answers instead of {API_VERSION}: this build is due for an update"),
            ),
            None => Finding::warning("API version", "the answer names none: is this a Shopify store?"),
        }];
        match self.store(&Reader::of(&answer.data, "")) {
            Ok(more) => findings.extend(more),
            Err(error) => findings.push(Finding::bad("Admin API", error.to_string())),
        }
        findings.push(self.webhooks(address).await);
        findings
    }

    fn store(&self, root: &Reader<'_>) -> Result<Vec<Finding>, ShopError> {
        let shop = root.at("shop")?;
        let mut findings = Vec::new();
        let code = shop.text("currencyCode")?;
        findings.push(match Currency::parse(code) {
            Ok(_) => Finding::good(
                "currency",
                format!("the store's is {code}; times are in {}", shop.text("ianaTimezone")?),
            ),
            Err(_) => Finding::bad("currency", format!("{code} is no currency that Tandem knows")),
        });
        let domain = shop.text("myshopifyDomain")?;
        let ours = self.source.base_url.split_once("://").map_or("", |(_, rest)| rest);
        findings.push(if ours.eq_ignore_ascii_case(domain) {
            Finding::good("store", format!("{domain} answers"))
        } else {
            Finding::bad(
                "store",
                format!("{domain} answers: webhooks name it, so write base_url = \"https://{domain}\""),
            )
        });
        let mut scopes = Vec::new();
        for scope in root.at("currentAppInstallation")?.nodes("accessScopes")? {
            scopes.push(scope.text("handle")?);
        }
        let has = |scope: &str| scopes.contains(&scope);
        // To write includes to read.
        let needed = [
            ("read_orders", has("read_orders") || has("write_orders")),
            ("write_orders", has("write_orders")),
        ];
        for (scope, _) in needed.into_iter().filter(|(_, there)| !there) {
            findings.push(Finding::bad(
                "scopes",
                format!("the app lacks {scope}: add it and install the app again"),
            ));
        }
        if !has("read_all_orders") {
            findings.push(Finding::warning(
                "scopes",
                "without read_all_orders, orders older than 60 days are not seen",
            ));
        }
        if self.settings.contact && !has("read_customers") {
            let text = "the app lacks read_customers: add it with the approval for protected customer data, or write contact = false";
            findings.push(Finding::bad("scopes", text));
        }
        if findings.iter().all(|f| f.what != "scopes") {
            findings.push(Finding::good("scopes", "orders can be read and written"));
        }
        Ok(findings)
    }

    async fn webhooks(&self, address: &str) -> Finding {
        match self.subscriptions(address).await {
            Err(error) => Finding::bad("webhooks", error.to_string()),
            Ok(None) => Finding::warning(
                "webhooks",
                format!("kept by shopify.app.toml, which the API does not show: they must go to {address}"),
            ),
            Ok(Some(hooks)) => {
                let missing: Vec<&str> =
                    hooks.iter().filter(|h| h.state != HookState::Active).map(|h| h.topic.as_str()).collect();
                if missing.is_empty() {
                    Finding::good("webhooks", format!("all topics go to {address}"))
                } else {
                    let list = missing.join(", ");
                    let text =
                        format!("{list} not delivered to {address}: the sweeper subscribes within the hour");
                    Finding::warning("webhooks", text)
                }
            }
        }
    }
}
