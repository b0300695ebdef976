//! From a Stripe hint to its order: its metadata, else a strong read of the links, else the intent itself (found through
//! the refund or charge, if need be). Only an intent without our metadata is foreign.

use super::look::unless_missing;
use super::{Engine, EngineError};
use crate::config::StripeSource;
use crate::domain::ids::OrderKey;
use crate::outbound::stripe::StripeClient;
use crate::outbound::stripe::calls::TANDEM_ORDER;
use crate::queue::StripeHint;
use crate::store::keys;

/// Where a hint belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Routed {
    /// To this order.
    Order(OrderKey),
    /// Not ours: acknowledged and counted.
    Foreign,
    /// It names us in a way that no order of this stack answers to.
    Unowned,
}

impl Engine {
    /// Finds the order of a hint.
    pub async fn route(
        &self,
        hint: &StripeHint,
        source: &StripeSource,
        client: &StripeClient,
    ) -> Result<Routed, EngineError> {
        if let Some(named) = hint.metadata.get(TANDEM_ORDER) {
            return Ok(self.named(named));
        }
        let intent = match hint.object_type.as_str() {
            "payment_intent" => Some(hint.object_id.clone()),
            _ => hint.refs.get("payment_intent").cloned(),
        };
        let own =
            matches!(hint.object_type.as_str(), "checkout.session" | "refund").then_some(&hint.object_id);
        for id in intent.iter().chain(own) {
            if let Some(order) =
                self.store.linked(&keys::stripe_link(&source.account, source.mode(), id)).await?
            {
                return Ok(Routed::Order(order));
            }
        }
        let mut charge = hint.refs.get("charge").cloned();
        let mut intent = intent;
        if intent.is_none() && charge.is_none() && hint.object_type == "refund" {
            // The event says neither: the refund itself does.
            let Some(refund) = unless_missing(client.retrieve_refund(&hint.object_id).await)? else {
                return Ok(Routed::Foreign);
            };
            if let Some(named) = refund.metadata.get(TANDEM_ORDER) {
                return Ok(self.named(named));
            }
            intent = refund.payment_intent.as_ref().map(|i| i.id().to_owned());
            charge = refund.charge.as_ref().map(|c| c.id().to_owned());
        }
        let intent = match (intent, charge) {
            (Some(id), _) => Some(id),
            (None, Some(charge)) => match client.retrieve_charge(&charge).await {
                Ok(charge) => charge.payment_intent.as_ref().map(|i| i.id().to_owned()),
                Err(error) if error.is_missing() => None,
                Err(error) => return Err(error.into()),
            },
            (None, None) => None,
        };
        let Some(intent) = intent else { return Ok(Routed::Foreign) };
        match client.retrieve_intent(&intent).await {
            Ok(read) => {
                Ok(read.metadata.get(TANDEM_ORDER).map_or(Routed::Foreign, |named| self.named(named)))
            }
            Err(error) if error.is_missing() => Ok(Routed::Foreign),
            Err(error) => Err(error.into()),
        }
    }

    /// An order that metadata names: ours only if stack and shop are.
    fn named(&self, key: &str) -> Routed {
        match OrderKey::parse(key) {
            Ok(order) if order.stack() != self.config.stack => Routed::Foreign,
            Ok(order) if self.shop_of(&order).is_ok() => Routed::Order(order),
            _ => Routed::Unowned,
        }
    }
}
