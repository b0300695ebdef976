//! From an order or a name to its source in the configuration, and to a client with this function's own key.
//!
//! Invariant: an order belongs to the source of its name only if that is of the order's kind.

use secrecy::{ExposeSecret as _, SecretString};

use super::{Engine, EngineError};
use crate::clock::Deadline;
use crate::config::{ShopSource, Source, StripeSource};
use crate::domain::ids::OrderKey;
use crate::outbound::shop::ShopClient;
use crate::outbound::stripe::{StripeClient, StripeSettings};

impl Engine {
    /// The configured Stripe source called `name`.
    pub fn stripe_source(&self, name: &str) -> Result<&StripeSource, EngineError> {
        match self.config.sources.get(name) {
            Some(Source::Stripe(source)) => Ok(source),
            _ => Err(EngineError::Config(format!("no [sources.{name}] of kind \"stripe\" in tandem.toml"))),
        }
    }

    /// The configured order source called `name`.
    pub fn shop_source(&self, name: &str) -> Result<&ShopSource, EngineError> {
        match self.config.sources.get(name) {
            Some(Source::Shop(source)) => Ok(source),
            _ => Err(EngineError::Config(format!("tandem.toml names no order system [sources.{name}]"))),
        }
    }

    /// The order source of an order; one of another kind that bears the same name is none.
    pub fn shop_of(&self, order: &OrderKey) -> Result<&ShopSource, EngineError> {
        let source = self.shop_source(&order.shop())?;
        let (named, kind) = (order.system(), source.system.name());
        if named != kind {
            let name = &source.name;
            let text = format!("{order} is of a {named}, [sources.{name}] is a {kind}: give it another name");
            return Err(EngineError::Config(text));
        }
        Ok(source)
    }

    /// The Stripe source that charges an order's shop.
    pub fn stripe_of(&self, order: &OrderKey) -> Result<&StripeSource, EngineError> {
        let shop = self.shop_of(order)?;
        self.stripe_source(&shop.stripe)
    }

    /// A client for a Stripe source with this function's own key.
    pub async fn stripe(
        &self,
        source: &StripeSource,
        deadline: Deadline,
    ) -> Result<StripeClient, EngineError> {
        let name = source.api_key_name(self.me).ok_or_else(|| {
            EngineError::Config(format!("[sources.{}] names no api key for {}", source.name, self.me))
        })?;
        let key = self.secrets.get(name).await?;
        Ok(self.stripe_with(source, key)?.until(deadline))
    }

    /// A client for a Stripe source with any key, if its mode is the source's.
    pub fn stripe_with(&self, source: &StripeSource, key: SecretString) -> Result<StripeClient, EngineError> {
        crate::config::check_key(source, key.expose_secret())
            .map_err(|e| EngineError::Config(e.to_string()))?;
        let mut settings = StripeSettings::new(
            self.http.clone(),
            self.clock.clone(),
            &source.base_url,
            key,
            source.livemode,
        );
        settings.account = Some(source.account.clone());
        settings.connect_account = source.connect.then(|| source.account.clone());
        settings.max_retries = self.stripe_retries;
        Ok(StripeClient::new(settings)?)
    }

    /// A client for an order's shop.
    pub async fn shop(&self, order: &OrderKey) -> Result<ShopClient, EngineError> {
        self.shop_named(&self.shop_of(order)?.name).await
    }

    /// A client for an order source.
    pub async fn shop_named(&self, name: &str) -> Result<ShopClient, EngineError> {
        let source = self.shop_source(name)?;
        let token = self.secrets.get(&source.api_key).await?;
        Ok(ShopClient::new(self.http.clone(), source.clone(), token))
    }
}
