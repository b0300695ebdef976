//! The buyer's Stripe customer: an item of its own under the same effect protocol, so that two first orders of one buyer
//! meet there. One creates, the other waits for the link.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::carry::{idempotency_key, names_object, wait_after};
use super::settle::{KEY_TRUSTED, creation_window};
use super::{CLAIM_FOR, Engine, EngineError};
use crate::domain::fact::{CaseKind, Decision, EffectResult, OrderView, Terms, What};
use crate::domain::ids::OrderKey;
use crate::domain::order::{Customer, Order};
use crate::domain::plan::CUSTOMER_CASE;
use crate::domain::plan::Reason;
use crate::domain::state::{Claim, State};
use crate::domain::time::UnixTime;
use crate::engine::look::Seen;
use crate::outbound::stripe::calls::{CreateCustomer, PostalAddress, TANDEM_REQUEST, marks};
use crate::outbound::stripe::{Effect, StripeClient, StripeError};
use crate::store::keys;
use crate::store::links::CustomerItem;
use crate::telemetry::{Scrubbed, event};

/// The effect's name in the customer's item and in an order's facts.
const EFFECT: &str = "customer";
/// Most tries against others who commit the same item.
const TRIES: u32 = 8;
/// Most customers searched for ours.
const LIST_MAX: usize = 20_000;

fn creation(customer: &Customer, owner: &str) -> CreateCustomer {
    let line = |name: &str| customer.address.get(name).cloned();
    let address = (!customer.address.is_empty()).then(|| PostalAddress {
        line1: line("line1"),
        line2: line("line2"),
        city: line("city"),
        state: line("state"),
        postal_code: line("postal_code"),
        country: line("country"),
    });
    CreateCustomer {
        email: customer.email.clone(),
        name: customer.name.clone(),
        phone: customer.phone.clone(),
        address,
        locales: customer.locale.iter().cloned().collect(),
        metadata: marks(None, None, Some(owner)),
    }
}

impl Engine {
    /// The link of a registered buyer, made if it is not there. Empty for a guest, or while another makes it.
    pub async fn customer(
        &self,
        client: &StripeClient,
        key: &OrderKey,
        state: &State,
        order: &Order,
    ) -> Result<Seen, EngineError> {
        let Some(buyer) = order.customer.as_ref().filter(|c| c.id.is_some()) else { return Ok(Vec::new()) };
        if state.customer.is_some() || still_refused(state, order) {
            return Ok(Vec::new());
        }
        let source = self.stripe_of(key)?;
        let id = buyer.id.clone().unwrap_or_default();
        let pk = keys::customer_link(key, &source.account, source.mode(), &id);
        match self.ensure(client, &pk, buyer).await? {
            Ensured::Linked(customer) => Ok(vec![(What::CustomerLinked { customer }, Reason::CustomerFirst)]),
            Ensured::Waits(since)
                if since + self.config.policy.limits.unknown_case_after <= self.clock.now() =>
            {
                let text = format!(
                    "the buyer's Stripe customer could not be created since {since}: check the Stripe key, its permissions and the limits"
                );
                let (case, case_kind) = (CUSTOMER_CASE.to_owned(), CaseKind::Unknown);
                Ok(vec![(What::CaseOpened { case, case_kind, text }, Reason::PersonDecides)])
            }
            Ensured::Waits(_) => Ok(Vec::new()),
            Ensured::Refused(code) => {
                let result = EffectResult::Refused { code, decline: None };
                let refused = What::Outcome { effect: EFFECT.into(), generation: 1, result };
                Ok(vec![(refused, Reason::CustomerFirst)])
            }
        }
    }

    async fn ensure(
        &self,
        client: &StripeClient,
        pk: &str,
        buyer: &Customer,
    ) -> Result<Ensured, EngineError> {
        for _ in 0..TRIES {
            let item = self.store.customer(pk).await?;
            if let Some(customer) = item.customer {
                return Ok(Ensured::Linked(customer));
            }
            let now = self.clock.now();
            let claim = match &item.claim {
                Some(held) if held.deadline > now => return Ok(Ensured::Waits(held.generation_at)),
                Some(held) => {
                    let mut taken = held.clone();
                    taken.owner = self.tokens.fresh();
                    taken.deadline = now + CLAIM_FOR;
                    taken.unknown_since = taken.unknown_since.or(Some(now));
                    taken
                }
                None => self.new_customer_claim(pk, buyer, item.generation).await?,
            };
            let next =
                CustomerItem { claim: Some(claim.clone()), token: claim.owner.clone(), ..item.clone() };
            if !self.store.commit_customer(pk, item.rev, &next).await? {
                continue;
            }
            let held = CustomerItem { rev: item.rev + 1, ..next };
            return self.create(client, pk, held, claim).await;
        }
        Ok(Ensured::Waits(self.clock.now()))
    }

    async fn new_customer_claim(
        &self,
        pk: &str,
        buyer: &Customer,
        generation: u32,
    ) -> Result<Claim, EngineError> {
        let now = self.clock.now();
        let call = creation(buyer, pk).call();
        let owner = self.tokens.fresh();
        // Contact data: kept apart, forgotten with the outcome.
        self.store.put_body(pk, &owner, &call.body, now).await?;
        Ok(Claim {
            effect: EFFECT.into(),
            generation: generation.max(1),
            generation_at: now,
            owner: owner.clone(),
            by: self.me,
            deadline: now + CLAIM_FOR,
            terms: Terms::Notice { key: EFFECT.into() },
            path: call.path,
            body: None,
            body_ref: Some(owner),
            unknown_since: None,
            waiting_since: None,
            calls: 0,
            server_errors: 0,
            listed_empty_at: None,
            more: BTreeMap::new(),
        })
    }

    async fn create(
        &self,
        client: &StripeClient,
        pk: &str,
        item: CustomerItem,
        claim: Claim,
    ) -> Result<Ensured, EngineError> {
        let now = self.clock.now();
        let bytes = match &claim.body_ref {
            Some(token) => self.store.body(pk, token).await?,
            None => None,
        };
        let trusted = now - claim.generation_at < KEY_TRUSTED && claim.server_errors < 2;
        if let (Some(bytes), true) = (bytes, trusted) {
            let key = idempotency_key(pk, EFFECT, claim.generation);
            return match client.post_stored(&claim.path, Bytes::from(bytes), &key).await {
                Ok(answer) if !names_object(&answer.value) => {
                    self.no_outcome(pk, item, claim, true, true).await
                }
                Ok(answer) => {
                    let id = answer.value.get("id").and_then(|v| v.as_str()).unwrap_or_default().to_owned();
                    self.linked_customer(pk, item, &claim, id).await
                }
                Err(error) => self.customer_error(pk, item, claim, &error).await,
            };
        }
        let listed =
            client.list_customers(None, creation_window(claim.generation_at)).collect(LIST_MAX).await;
        let found = match listed {
            Ok(found) => found,
            // The order itself goes on; the search is made again later.
            Err(error) => return self.customer_error(pk, item, claim, &error).await,
        };
        let ours = found.into_iter().find(|c| c.metadata.get(TANDEM_REQUEST).map(String::as_str) == Some(pk));
        match ours {
            Some(customer) => self.linked_customer(pk, item, &claim, customer.id).await,
            None => {
                // Nothing of it exists: the next call begins a new generation.
                self.end_claim(pk, item, &claim, claim.generation + 1).await?;
                Ok(Ensured::Waits(self.clock.now()))
            }
        }
    }

    async fn linked_customer(
        &self,
        pk: &str,
        item: CustomerItem,
        claim: &Claim,
        id: String,
    ) -> Result<Ensured, EngineError> {
        let next = CustomerItem {
            customer: Some(id.clone()),
            claim: None,
            token: self.tokens.fresh(),
            ..item.clone()
        };
        if self.store.commit_customer(pk, item.rev, &next).await? {
            self.forget_body(pk, claim).await?;
            return Ok(Ensured::Linked(id));
        }
        // Somebody took over and may have linked: what is stored is the link.
        let stored = self.store.customer(pk).await?.customer;
        Ok(stored.map_or(Ensured::Waits(self.clock.now()), Ensured::Linked))
    }

    async fn customer_error(
        &self,
        pk: &str,
        item: CustomerItem,
        claim: Claim,
        error: &StripeError,
    ) -> Result<Ensured, EngineError> {
        let text = error.to_string();
        event!(info, "no customer was created", error = Scrubbed(&text));
        let waits = error.is_auth() || error.is_rate_limited() || error.status().is_none();
        let proves = claim.unknown_since.is_none() || error.is_stored_verdict();
        if error.effect() == Effect::SurelyNotDone && !waits && proves {
            self.end_claim(pk, item, &claim, claim.generation + 1).await?;
            return Ok(Ensured::Refused(error.code().unwrap_or("invalid_request").to_owned()));
        }
        self.no_outcome(pk, item, claim, error.effect() == Effect::Unknown, error.is_server_error()).await
    }

    /// Keeps the claim for later.
    async fn no_outcome(
        &self,
        pk: &str,
        item: CustomerItem,
        mut claim: Claim,
        unknown: bool,
        server_error: bool,
    ) -> Result<Ensured, EngineError> {
        let now = self.clock.now();
        let since = claim.generation_at;
        claim.calls += 1;
        claim.server_errors += u32::from(server_error);
        claim.deadline = now + wait_after(claim.calls);
        if unknown {
            claim.unknown_since = claim.unknown_since.or(Some(now));
        }
        let next = CustomerItem { claim: Some(claim), token: self.tokens.fresh(), ..item.clone() };
        self.store.commit_customer(pk, item.rev, &next).await?;
        Ok(Ensured::Waits(since))
    }

    async fn end_claim(
        &self,
        pk: &str,
        item: CustomerItem,
        claim: &Claim,
        generation: u32,
    ) -> Result<(), EngineError> {
        let next = CustomerItem { claim: None, generation, token: self.tokens.fresh(), ..item.clone() };
        if self.store.commit_customer(pk, item.rev, &next).await? {
            self.forget_body(pk, claim).await?;
        }
        Ok(())
    }

    async fn forget_body(&self, pk: &str, claim: &Claim) -> Result<(), EngineError> {
        match &claim.body_ref {
            Some(token) => Ok(self.store.delete_body(pk, token).await?),
            None => Ok(()),
        }
    }
}

/// Stripe refused this buyer's data and neither they nor anybody's mind changed since.
fn still_refused(state: &State, order: &Order) -> bool {
    let print = OrderView::of(order).fingerprint();
    let refused = state.customer_refused.as_ref().is_some_and(|(before, _)| *before == print);
    refused && state.decision(&state.customer_case(&print)) != Some(Decision::Approve)
}

enum Ensured {
    Linked(String),
    /// Since when.
    Waits(UnixTime),
    Refused(String),
}
