//! Carrying out a claim: call with the stored key and the stored bytes, then record what came of it.
//!
//! Invariant: unknown is never treated as failed, and never compensated.

use bytes::Bytes;
use serde_json::Value;

use super::hand::{Hand, Own, Trigger};
use super::{Draft, Engine, EngineError, moves_money, seen};
use crate::domain::fact::{EffectResult, Terms, What};
use crate::domain::ids::OrderKey;
use crate::domain::plan::Reason;
use crate::domain::policy::decline::Decline;
use crate::domain::state::{Claim, State};
use crate::domain::time::Seconds;
use crate::outbound::stripe::{Effect, StripeClient, StripeError};
use crate::planted::{Bug, planted};
use crate::store::OrderItem;
use crate::store::keys;
use crate::store::orders::Committed;
use crate::telemetry::{Id, Scrubbed, event};

/// Larger request bytes are kept in an item of their own.
pub const INLINE_BYTES_MAX: usize = 4_096;
/// Most commits tried to record one outcome.
const RECORD_TRIES: u32 = 10;
/// Stripe's limit for an idempotency key.
const KEY_CHARS_MAX: usize = 255;
/// While the money switch is off, held claims are looked at again after this.
const SWITCH_WAIT: Seconds = Seconds::minutes(5);

/// What came of a call.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Carried out; Stripe's object.
    Done(Value),
    /// Carried out, as its object showed when it was looked at.
    Seen {
        /// The object.
        object: String,
        /// What it showed.
        facts: Vec<What>,
    },
    /// Surely not carried out.
    Refused {
        /// Why.
        code: String,
        /// For a payment.
        decline: Option<Decline>,
        /// What the refusal showed.
        seen: Vec<What>,
    },
    /// Same key and bytes again, later.
    Later {
        /// After this, or by the number of calls.
        after: Option<Seconds>,
        /// The outcome is unknown.
        unknown: bool,
        /// A 5xx was received, or something as conclusive: the key may answer the same for ever.
        server_error: bool,
    },
    /// A listing found nothing; the key is rolled after another.
    ListedEmpty,
    /// Nothing was made and the key is no longer trusted.
    Roll,
}

/// The key of one generation of an effect.
pub fn idempotency_key(owner: &str, effect: &str, generation: u32) -> String {
    let key = format!("{owner}:{effect}:{generation}");
    if key.len() <= KEY_CHARS_MAX {
        return key;
    }
    format!("{owner}:{}:{generation}", crate::domain::fact::hash_of(effect))
}

/// Whether an answer names the object it is about.
pub(super) fn names_object(value: &Value) -> bool {
    value.get("id").and_then(Value::as_str).is_some_and(|id| !id.is_empty())
}

/// How long to wait after the `calls`-th call without an outcome: doubling from half a minute to an hour.
pub fn wait_after(calls: u32) -> Seconds {
    Seconds((30_i64 << calls.min(7)).min(3_600))
}

/// The mistake of a session that counts as closed before Stripe showed it closed.
fn closed_untold(state: &State, terms: &Terms) -> Option<Verdict> {
    let Terms::ExpireSession { session, .. } = terms else { return None };
    let mut view = state.sessions.get(session)?.clone();
    view.status = "expired".to_owned();
    Some(Verdict::Seen { object: String::new(), facts: vec![What::SessionSeen(view)] })
}

impl Engine {
    /// Carries out one claim and records what came of it. Returns the item as it then is.
    pub(super) async fn carry_out<H: Hand>(
        &self,
        item: OrderItem,
        claim: &Claim,
        trigger: &Trigger,
        hand: &mut H,
    ) -> Result<OrderItem, EngineError> {
        if matches!(claim.terms, Terms::Tell { .. } | Terms::Notice { .. }) {
            let state = item.state();
            let own = hand.perform(self, trigger, &item.key.clone(), &state, &claim.terms).await?;
            return self.record_own(item, claim, own, trigger).await;
        }
        let asks = moves_money(&claim.terms) && !planted(Bug::IgnoreMoneySwitch);
        if asks && !self.store.money_allowed(&self.config.stack).await? {
            event!(
                warn,
                "the money switch is off: the call waits",
                order.key = item.key,
                effect = Id(&claim.effect)
            );
            // Never sent by us: what an earlier owner may have done stays unknown.
            let later = Verdict::Later { after: Some(SWITCH_WAIT), unknown: false, server_error: false };
            return self.record(item, claim, later, trigger).await;
        }
        let source = self.stripe_of(&item.key)?.clone();
        let client = self.stripe(&source, trigger.deadline).await?;
        if planted(Bug::MarkBeforeSend) {
            let seen = Verdict::Seen { object: String::new(), facts: Vec::new() };
            let item = self.record(item, claim, seen, trigger).await?;
            self.send(&client, &item, claim).await?;
            return Ok(item);
        }
        let verdict = if claim.unknown_since.is_some() {
            self.settle(&client, &item, claim).await?
        } else {
            self.send(&client, &item, claim).await?
        };
        if let Verdict::Done(value) = &verdict {
            self.link_made(&item.key, claim, value, &source).await?;
        }
        self.record(item, claim, verdict, trigger).await
    }

    /// Links first: they are true anyway, and put if absent.
    async fn link_made(
        &self,
        key: &OrderKey,
        claim: &Claim,
        value: &Value,
        source: &crate::config::StripeSource,
    ) -> Result<(), EngineError> {
        let makes = matches!(
            claim.terms,
            Terms::CreateSession { .. } | Terms::CreateIntent { .. } | Terms::Refund { .. }
        );
        if let (true, Some(id)) = (makes, value.get("id").and_then(Value::as_str)) {
            self.store.link(&keys::stripe_link(&source.account, source.mode(), id), key).await?;
        }
        Ok(())
    }

    /// The stored bytes, wherever they are.
    pub(super) async fn bytes_of(&self, owner: &str, claim: &Claim) -> Result<Option<Bytes>, EngineError> {
        if let Some(body) = &claim.body {
            return Ok(Some(Bytes::copy_from_slice(body.as_bytes())));
        }
        match &claim.body_ref {
            Some(token) => Ok(self.store.body(owner, token).await?.map(Bytes::from)),
            None => Ok(None),
        }
    }

    /// Sends the stored bytes under the stored key.
    pub(super) async fn send(
        &self,
        client: &StripeClient,
        item: &OrderItem,
        claim: &Claim,
    ) -> Result<Verdict, EngineError> {
        let owner = item.key.as_str();
        let Some(bytes) = self.bytes_of(owner, claim).await? else { return Ok(Verdict::Roll) };
        if planted(Bug::SecondAttemptBeforeClosed)
            && let Some(verdict) = closed_untold(&item.state(), &claim.terms)
        {
            return Ok(verdict);
        }
        let key = match &claim.terms {
            _ if planted(Bug::RandomKey) => self.tokens.fresh(),
            _ if planted(Bug::KeyWithToken) => format!("{}:{}", claim.effect, claim.owner),
            _ if planted(Bug::GenerationNotInKey) => idempotency_key(owner, &claim.effect, 1),
            _ => idempotency_key(owner, &claim.effect, claim.generation),
        };
        match client.post_stored(&claim.path, bytes, &key).await {
            Ok(answer) if answer.stored_replay && names_object(&answer.value) => {
                Ok(Verdict::Done(self.read_anew(client, &claim.terms, &answer.value).await))
            }
            Ok(answer) if names_object(&answer.value) => Ok(Verdict::Done(answer.value)),
            // Stripe said yes in a body that names nothing: done or not, the object is searched for.
            Ok(_) => Ok(self.unknown(client, item, claim, true).await),
            Err(error) => self.judge_error(client, item, claim, &error).await,
        }
    }

    /// A replayed answer shows its object as it was when the key was first used: what it is now is read. If it cannot
    /// be read, only its id is kept, and whoever looks next reads it.
    async fn read_anew(&self, client: &StripeClient, terms: &Terms, stored: &Value) -> Value {
        let id = stored.get("id").and_then(Value::as_str).unwrap_or_default();
        let path = match terms {
            Terms::CreateSession { .. } | Terms::ExpireSession { .. } => "checkout/sessions",
            Terms::Refund { .. } => "refunds",
            _ => "payment_intents",
        };
        match client.get(&format!("/v1/{path}/{id}")).await {
            Ok(answer) => answer.value,
            Err(error) => {
                let text = error.to_string();
                event!(info, "a replayed answer's object could not be read", error = Scrubbed(&text));
                serde_json::json!({ "id": id })
            }
        }
    }

    async fn judge_error(
        &self,
        client: &StripeClient,
        item: &OrderItem,
        claim: &Claim,
        error: &StripeError,
    ) -> Result<Verdict, EngineError> {
        let text = error.to_string();
        event!(
            info,
            "stripe call without success",
            order.key = item.key,
            effect = Id(&claim.effect),
            error = Scrubbed(&text)
        );
        let later = |unknown, server_error| Ok(Verdict::Later { after: None, unknown, server_error });
        let failed = planted(Bug::UnknownIsFailed) && error.effect() == Effect::Unknown;
        if failed || (planted(Bug::SwallowParseError) && text.contains("unreadable")) {
            return Ok(Verdict::Refused { code: "api_error".into(), decline: None, seen: Vec::new() });
        }
        if let Some(api) = error.api().filter(|api| error.is_decline() && api.readable) {
            let seen = api.payment_intent.as_deref().map(|i| seen::intent(i).unwrap_or_default());
            let decline = seen::decline_of_api(api);
            let code = api.code.clone().unwrap_or_else(|| "card_declined".into());
            return Ok(Verdict::Refused { code, decline: Some(decline), seen: seen.unwrap_or_default() });
        }
        if error.is_auth() {
            self.forget_key(item).await;
        }
        let waits = error.is_auth() || error.is_rate_limited() || error.status().is_none();
        match error.effect() {
            Effect::Unknown => {
                let stored = error.is_server_error() || error.is_idempotency_mismatch();
                Ok(self.unknown(client, item, claim, stored).await)
            }
            Effect::SurelyNotDone if waits => later(claim.unknown_since.is_some(), false),
            Effect::SurelyNotDone => {
                // The refusal says nothing about an earlier call whose outcome is unknown, unless Stripe stored it.
                let proves = claim.unknown_since.is_none() || error.is_stored_verdict();
                let code = error.code().unwrap_or("invalid_request").to_owned();
                match self.look(client, item, claim).await? {
                    Some(verdict) => Ok(verdict),
                    None if proves => Ok(Verdict::Refused { code, decline: None, seen: Vec::new() }),
                    None => later(true, true),
                }
            }
        }
    }

    /// A call whose outcome nobody knows. Sent twice like that, what it made is searched for at once: the buyer waits, and
    /// a payment page found an hour later has expired.
    async fn unknown(
        &self,
        client: &StripeClient,
        item: &OrderItem,
        claim: &Claim,
        server_error: bool,
    ) -> Verdict {
        if claim.unknown_since.is_some()
            && let Ok(Some(value)) = self.find(client, item, claim).await
        {
            return Verdict::Done(value);
        }
        Verdict::Later { after: None, unknown: true, server_error }
    }

    /// A refused key may have been replaced: ask the secret store again.
    async fn forget_key(&self, item: &OrderItem) {
        let Ok(source) = self.stripe_of(&item.key) else { return };
        if let Some(name) = source.api_key_name(self.me)
            && let Err(error) = self.secrets.refresh(name).await
        {
            let text = crate::error::chain(&error);
            event!(warn, "the Stripe key was refused and could not be read anew", error = Scrubbed(&text));
        }
    }

    /// Records an outcome if the claim is still ours. Observations count only under the claim's own revision.
    pub(super) async fn record(
        &self,
        item: OrderItem,
        claim: &Claim,
        verdict: Verdict,
        trigger: &Trigger,
    ) -> Result<OrderItem, EngineError> {
        self.record_with(item, claim, trigger, verdict.word(), |draft, held, fresh| {
            let (effect, generation) = (claim.effect.clone(), claim.generation);
            let end = |draft: &mut Draft<'_>, result| {
                draft.drop_claim(&claim.effect);
                let ended = What::Outcome { effect: effect.clone(), generation, result };
                draft.add(ended, Reason::Carried.name());
            };
            match &verdict {
                Verdict::Done(value) => {
                    end(draft, seen::done(value));
                    if fresh {
                        for what in seen::of_answer(&claim.terms, value) {
                            draft.see(what, Reason::Observed);
                        }
                    }
                }
                Verdict::Seen { object, facts } => {
                    end(draft, EffectResult::Done { object: object.clone() });
                    if fresh {
                        for what in facts {
                            draft.see(what.clone(), Reason::Observed);
                        }
                    }
                }
                Verdict::Refused { code, decline, seen } => {
                    end(draft, EffectResult::Refused { code: code.clone(), decline: decline.clone() });
                    if fresh {
                        for what in seen {
                            draft.see(what.clone(), Reason::Observed);
                        }
                    }
                }
                Verdict::Roll => end(draft, EffectResult::Rolled),
                Verdict::Later { .. } | Verdict::ListedEmpty => {
                    let now = self.clock.now();
                    let mut held = held.clone();
                    held.calls += 1;
                    let mut wait = wait_after(held.calls);
                    match &verdict {
                        Verdict::Later { after, unknown, server_error } => {
                            wait = after.unwrap_or(wait);
                            held.server_errors += u32::from(*server_error);
                            if planted(Bug::DeleteClaimOnUnknown) && *unknown {
                                return draft.drop_claim(&claim.effect);
                            }
                            if *unknown {
                                held.unknown_since = held.unknown_since.or(Some(now));
                            } else if after.is_none() {
                                held.waiting_since = held.waiting_since.or(Some(now));
                            }
                        }
                        _ => {
                            held.listed_empty_at = Some(now);
                            wait = super::settle::SECOND_LIST_AFTER;
                        }
                    }
                    held.deadline = now + wait;
                    draft.put_claim(held);
                }
            }
        })
        .await
    }

    async fn record_own(
        &self,
        item: OrderItem,
        claim: &Claim,
        own: Own,
        trigger: &Trigger,
    ) -> Result<OrderItem, EngineError> {
        self.record_with(item, claim, trigger, own.word(), |draft, held, fresh| match &own {
            Own::Done(facts) | Own::Refused(facts) => {
                draft.drop_claim(&claim.effect);
                // What an answer shows of the order counts under the claim's own revision only.
                for what in facts.iter().filter(|what| fresh || !matches!(what, What::OrderSeen(_))) {
                    draft.add(what.clone(), Reason::Carried.name());
                }
            }
            Own::Later(wait) => {
                let now = self.clock.now();
                let mut held = held.clone();
                held.calls += 1;
                held.unknown_since = held.unknown_since.or(Some(now));
                held.deadline = now + Seconds(wait.0.max(wait_after(held.calls).0));
                draft.put_claim(held);
            }
        })
        .await
    }

    async fn record_with(
        &self,
        mut item: OrderItem,
        claim: &Claim,
        trigger: &Trigger,
        outcome: &'static str,
        fill: impl Fn(&mut Draft<'_>, &Claim, bool),
    ) -> Result<OrderItem, EngineError> {
        let mut fresh = true;
        for _ in 0..RECORD_TRIES {
            let held = item
                .claims
                .get(&claim.effect)
                .filter(|c| c.owner == claim.owner || planted(Bug::ClaimWithoutOwner))
                .cloned();
            // Somebody else took it over after our deadline: the outcome is theirs to find.
            let Some(held) = held else { return Ok(item) };
            let mut draft = Draft::new(self, &item, item.state(), trigger);
            fill(&mut draft, &held, fresh);
            draft.records(false);
            let ended = !draft.state.claims.contains_key(&claim.effect);
            let timers = draft.timers.clone();
            match self.commit(&item, draft.change()?).await? {
                Committed::Yes(now) => {
                    self.count_outcome(outcome);
                    self.set_timers(&item.key, &timers, trigger).await;
                    if let (true, Some(token)) = (ended, &claim.body_ref) {
                        self.store.delete_body(item.key.as_str(), token).await?;
                    }
                    return Ok(*now);
                }
                Committed::Lost(now) => {
                    item = *now;
                    fresh = false;
                }
            }
        }
        Err(EngineError::Contended(item.key))
    }
}
