//! Reading the truth: the order from its system, attempts, refunds and disputes from Stripe.

use super::{Engine, EngineError, seen};
use crate::clock::Deadline;
use crate::domain::fact::{EffectResult, OrderView, What};
use crate::domain::ids::{Function, OrderKey};
use crate::domain::money::MoneyError;
use crate::domain::order::{Collection, Order};
use crate::domain::plan::{Do, Reason, plan};
use crate::domain::state::State;
use crate::outbound::shop::OrderSystem as _;
use crate::outbound::stripe::calls::TANDEM_ORDER;
use crate::outbound::stripe::objects::{Expandable, Metadata};
use crate::outbound::stripe::{StripeClient, StripeError};
use crate::planted::{Bug, planted};
use crate::store::keys;
use crate::telemetry::{Id, Scrubbed, event};

/// Facts seen at their source.
pub type Seen = Vec<(What, Reason)>;

/// Most refunds of one charge, and disputes, that are read.
const LIST_MAX: usize = 500;

/// Marks observations as seen at their source.
pub fn observed(facts: impl IntoIterator<Item = What>) -> Seen {
    facts.into_iter().map(|what| (what, Reason::Observed)).collect()
}

/// A missing object is no observation: it belongs to another account or mode, or a hint named what never was.
pub fn unless_missing<T>(read: Result<T, StripeError>) -> Result<Option<T>, EngineError> {
    match read {
        Ok(object) => Ok(Some(object)),
        Err(error) if error.is_missing() => {
            let text = error.to_string();
            event!(warn, "an object that was named does not exist at Stripe", error = Scrubbed(&text));
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

impl Engine {
    /// Reads the order from its system. Below the stored or the hinted version it is a lagging replica: no observation.
    pub async fn read_order(
        &self,
        key: &OrderKey,
        state: &State,
        hinted: Option<u64>,
    ) -> Result<(Order, Seen), EngineError> {
        let order = self.shop(key).await?.get_order(&key.order_id()).await?;
        let stored = state.order.as_ref().map_or(0, |o| o.version);
        let known = stored.max(hinted.unwrap_or(0));
        if order.version < known && !planted(Bug::AcceptLaggingReplica) {
            return Err(EngineError::Stale { order: key.clone(), read: order.version, known });
        }
        let mut seen = observed([What::OrderSeen(Box::new(OrderView::of(&order)))]);
        if state.pay_token.is_none() {
            let token = self.tokens.fresh();
            self.store.link(&keys::pay_link(&token), key).await?;
            seen.push((What::PayToken { token }, Reason::Observed));
        }
        Ok((order, seen))
    }

    /// The saved method that an automatic collection would use: the customer's default, else the newest card.
    pub async fn read_method(&self, client: &StripeClient, customer: &str) -> Result<Seen, EngineError> {
        let methods = client.list_payment_methods(customer).collect(LIST_MAX).await?;
        let chosen = match methods.len() {
            0 | 1 => methods.first(),
            _ => {
                let read = client.retrieve_customer(customer).await?;
                let default = read.default_payment_method();
                methods.iter().find(|m| Some(m.id.as_str()) == default).or(methods.first())
            }
        };
        Ok(observed([What::MethodSeen {
            method: chosen.map(|m| m.id.clone()),
            fingerprint: chosen.and_then(|m| m.card.as_ref()).and_then(|c| c.fingerprint.clone()),
        }]))
    }

    /// Whether the saved method matters for this order now.
    pub fn wants_method(&self, state: &State, order: &Order) -> bool {
        order.collection == Collection::Automatic
            && state.live_attempt().is_none()
            // By the order just read: it may not be in the state yet.
            && order.total > state.captured()
    }

    /// An intent with its newest charge; a link for one seen first.
    pub async fn read_intent(
        &self,
        client: &StripeClient,
        key: &OrderKey,
        state: &State,
        id: &str,
    ) -> Result<Seen, EngineError> {
        let Some(read) = unless_missing(client.retrieve_intent(id).await)? else { return Ok(Vec::new()) };
        if of_another_order(&read.metadata, key, id) {
            return Ok(Vec::new());
        }
        let facts = readable(seen::intent(&read), id)?;
        self.link_intents(key, state, &facts).await?;
        Ok(observed(facts))
    }

    /// A session with its intent and charge.
    pub async fn read_session(
        &self,
        client: &StripeClient,
        key: &OrderKey,
        state: &State,
        id: &str,
    ) -> Result<Seen, EngineError> {
        if planted(Bug::TrustTheMessage) && state.sessions.contains_key(id) {
            return Ok(Vec::new());
        }
        let Some(read) = unless_missing(client.retrieve_session(id).await)? else { return Ok(Vec::new()) };
        if of_another_order(&read.metadata, key, id) {
            return Ok(Vec::new());
        }
        let facts = readable(seen::session(&read), id)?;
        self.link_intents(key, state, &facts).await?;
        Ok(observed(facts))
    }

    /// A charge, and its intent when the charge is new.
    pub async fn read_charge(
        &self,
        client: &StripeClient,
        key: &OrderKey,
        state: &State,
        id: &str,
    ) -> Result<Seen, EngineError> {
        let Some(read) = unless_missing(client.retrieve_charge(id).await)? else { return Ok(Vec::new()) };
        let mut out = Vec::new();
        if of_another_order(&read.metadata, key, id) {
            return Ok(out);
        }
        // A charge that is known has its intent known too.
        if let Some(intent) = read.payment_intent.as_ref().map(Expandable::id)
            && !state.charges.contains_key(id)
        {
            out = self.read_intent(client, key, state, intent).await?;
            if out.is_empty() {
                return Ok(out);
            }
        }
        if !out.iter().any(|(what, _)| matches!(what, What::ChargeSeen(c) if c.id == id)) {
            out.extend(observed(readable(seen::charge(&read).map(|c| vec![c]), id)?));
        }
        Ok(out)
    }

    /// All refunds of a charge.
    pub async fn read_refunds(&self, client: &StripeClient, charge: &str) -> Result<Seen, EngineError> {
        let refunds = client.list_refunds(charge).collect(LIST_MAX).await?;
        let mut facts = Vec::new();
        for refund in &refunds {
            facts.extend(readable(seen::refund(refund).map(|w| vec![w]), &refund.id)?);
        }
        Ok(observed(facts))
    }

    /// All disputes of a charge.
    pub async fn read_disputes(&self, client: &StripeClient, charge: &str) -> Result<Seen, EngineError> {
        let disputes = client.list_disputes(Some(charge), crate::outbound::stripe::read::Created::ANY);
        let disputes = disputes.collect(LIST_MAX).await?;
        let mut facts = Vec::new();
        for dispute in &disputes {
            facts.extend(readable(seen::dispute(dispute).map(|w| vec![w]), &dispute.id)?);
        }
        Ok(observed(facts))
    }

    async fn link_intents(&self, key: &OrderKey, state: &State, facts: &[What]) -> Result<(), EngineError> {
        let source = self.stripe_of(key)?;
        for what in facts {
            if let What::IntentSeen(intent) = what
                && !state.intents.contains_key(&intent.id)
            {
                let link = keys::stripe_link(&source.account, source.mode(), &intent.id);
                self.store.link(&link, key).await?;
            }
        }
        Ok(())
    }

    /// Reads every attempt that the plan wants `me` to look at.
    pub async fn read_attempts(
        &self,
        key: &OrderKey,
        state: &State,
        me: Function,
        deadline: Deadline,
    ) -> Result<Seen, EngineError> {
        let now = self.clock.now();
        let wanted: Vec<u32> = plan(state, &self.config.policy, now)
            .iter()
            .filter(|a| a.ready(now) && a.owner == Some(me))
            .filter_map(|a| match a.what {
                Do::LookAtAttempt { attempt } => Some(attempt),
                _ => None,
            })
            .collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let client = self.stripe(&self.stripe_of(key)?.clone(), deadline).await?;
        let mut out = Vec::new();
        for n in wanted {
            out.extend(self.read_attempt(&client, key, state, n).await?);
        }
        Ok(out)
    }

    /// Reads one attempt's object; one without a known object is searched for by our metadata.
    pub async fn read_attempt(
        &self,
        client: &StripeClient,
        key: &OrderKey,
        state: &State,
        n: u32,
    ) -> Result<Seen, EngineError> {
        let Some(attempt) = state.attempts.get(&n) else {
            // Intents of attempts this item does not know: their charges still count.
            let mut out = Vec::new();
            for intent in state.intents.values().filter(|i| i.attempt == n) {
                out.extend(self.read_intent(client, key, state, &intent.id).await?);
            }
            return Ok(out);
        };
        let own = match (&attempt.object, attempt.off_session) {
            (Some(id), true) => self.read_intent(client, key, state, id).await,
            (Some(id), false) => self.read_session(client, key, state, id).await,
            (None, _) => {
                let found = self.find_attempt(client, key, state, n, attempt.claimed_at).await?;
                if found.is_empty() {
                    let effect = attempt.creation();
                    let generation = state.generations.get(&effect).copied().unwrap_or(1);
                    let rolled = What::Outcome { effect, generation, result: EffectResult::Rolled };
                    return Ok(vec![(rolled, Reason::KeyRolled)]);
                }
                self.link_intents(key, state, &found).await?;
                Ok(observed(found))
            }
        };
        let mut out = own?;
        // Second objects that a call of ours touched, too: one that could not be closed may have been paid.
        let stale = |id: &String| state.stale.contains(id) && attempt.object.as_ref() != Some(id);
        for session in state.sessions.values().filter(|s| s.attempt == n && stale(&s.id)) {
            out.extend(self.read_session(client, key, state, &session.id).await?);
        }
        for intent in state.intents.values().filter(|i| i.attempt == n && stale(&i.id)) {
            // A session is read with its intent.
            let read = |(what, _): &(What, _)| matches!(what, What::IntentSeen(seen) if seen.id == intent.id);
            if !out.iter().any(read) {
                out.extend(self.read_intent(client, key, state, &intent.id).await?);
            }
        }
        Ok(out)
    }
}

/// An object that names another order is none of this one's, whatever the hint said.
fn of_another_order(metadata: &Metadata, key: &OrderKey, id: &str) -> bool {
    let other = metadata.get(TANDEM_ORDER).is_some_and(|named| named != key.as_str());
    if other {
        event!(
            error,
            "an object at Stripe names another order; it is left alone",
            order.key = key,
            object.id = Id(id)
        );
    }
    other
}

/// An object that cannot be read (a currency nobody knows) is never guessed at and never passed over: the message ends
/// in its dead letter queue, where a person sees it.
fn readable(facts: Result<Vec<What>, MoneyError>, id: &str) -> Result<Vec<What>, EngineError> {
    facts.map_err(|why| EngineError::Unreadable { object: id.to_owned(), why })
}
