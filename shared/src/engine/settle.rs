//! Settling what is unknown: retrieve the object and it tells; a creation is sent again under its own key while the key
//! is young, else searched for by our metadata; only after a search that found nothing is the key rolled.

use serde_json::Value;

use super::carry::Verdict;
use super::{Engine, EngineError, seen};
use crate::domain::fact::{Terms, What};
use crate::domain::policy::decline::Decline;
use crate::domain::state::{Claim, State};
use crate::domain::time::{Seconds, UnixTime};
use crate::outbound::stripe::calls::{TANDEM_ATTEMPT, TANDEM_ORDER, TANDEM_REQUEST};
use crate::outbound::stripe::objects::{Expandable, Metadata, PaymentIntent, Session};
use crate::outbound::stripe::read::Created;
use crate::outbound::stripe::{StripeClient, StripeError};
use crate::planted::{Bug, planted};
use crate::store::OrderItem;
use crate::telemetry::{Id, Scrubbed, event};

/// Stripe may forget a key 24 h after its first use; ours is not trusted past this.
pub const KEY_TRUSTED: Seconds = Seconds::hours(20);
/// Received 5xx answers after which the key's answer counts as stored.
const SERVER_ERRORS_MAX: u32 = 2;
/// A refund's key is rolled only after this and a second empty list.
pub const SECOND_LIST_AFTER: Seconds = Seconds::hours(1);
/// Listings begin this long before the claim: clocks differ.
const LIST_MARGIN: Seconds = Seconds::minutes(10);
/// Most objects searched for one of ours.
const LIST_MAX: usize = 20_000;

/// When a creation under a key first claimed at `at` can have been carried out: the key is not sent past its trust.
pub(super) fn creation_window(at: UnixTime) -> Created {
    Created::between(at - LIST_MARGIN, at + KEY_TRUSTED + Seconds::hours(1))
}

/// What an object says about a call.
enum Told {
    Done,
    Refused(&'static str, Option<Decline>),
    NotYet,
}

impl Engine {
    /// Settles a claim whose outcome nobody knows.
    pub(super) async fn settle(
        &self,
        client: &StripeClient,
        item: &OrderItem,
        claim: &Claim,
    ) -> Result<Verdict, EngineError> {
        if let Some(verdict) = self.look(client, item, claim).await? {
            return Ok(verdict);
        }
        let now = self.clock.now();
        let trusted = now - claim.generation_at < KEY_TRUSTED && claim.server_errors < SERVER_ERRORS_MAX;
        let creates = matches!(
            claim.terms,
            Terms::CreateSession { .. } | Terms::CreateIntent { .. } | Terms::Refund { .. }
        );
        if !creates {
            // The object shows that it was not done. A young key brings a late call of the last owner and ours
            // together; a stored 5xx or an old key needs the next generation, planned anew.
            return if trusted { self.send(client, item, claim).await } else { Ok(Verdict::Roll) };
        }
        if !trusted && planted(Bug::RollWithoutSearch) {
            return Ok(Verdict::Roll);
        }
        if trusted && self.bytes_of(item.key.as_str(), claim).await?.is_some() {
            return self.send(client, item, claim).await;
        }
        let found = match self.find(client, item, claim).await {
            Ok(found) => found,
            Err(error) => {
                let text = error.to_string();
                event!(
                    warn,
                    "search failed",
                    order.key = item.key,
                    effect = Id(&claim.effect),
                    error = Scrubbed(&text)
                );
                return Ok(Verdict::Later { after: None, unknown: true, server_error: false });
            }
        };
        match (found, claim.listed_empty_at) {
            (Some(value), _) => Ok(Verdict::Done(value)),
            (None, Some(before)) if now - before >= SECOND_LIST_AFTER => Ok(Verdict::Roll),
            (None, None) if !matches!(claim.terms, Terms::Refund { .. }) || planted(Bug::RollAtOnce) => {
                Ok(Verdict::Roll)
            }
            (None, Some(_)) => {
                Ok(Verdict::Later { after: Some(SECOND_LIST_AFTER), unknown: true, server_error: false })
            }
            (None, None) => Ok(Verdict::ListedEmpty),
        }
    }

    /// Retrieves the object of a confirmation, capture, cancellation or expiry: it tells. `None`: not done, or nothing
    /// to retrieve.
    pub(super) async fn look(
        &self,
        client: &StripeClient,
        item: &OrderItem,
        claim: &Claim,
    ) -> Result<Option<Verdict>, EngineError> {
        let (told, facts, object) = match &claim.terms {
            Terms::Confirm { intent, .. }
            | Terms::Capture { intent, .. }
            | Terms::CancelIntent { intent, .. } => {
                let read = client.retrieve_intent(intent).await?;
                let facts = seen::intent(&read).unwrap_or_default();
                (told_by_intent(&item.state(), &claim.terms, &read), facts, intent.clone())
            }
            Terms::ExpireSession { session, .. } => {
                let read = client.retrieve_session(session).await?;
                let facts = seen::session(&read).unwrap_or_default();
                (told_by_session(&read), facts, session.clone())
            }
            _ => return Ok(None),
        };
        Ok(match told {
            Told::NotYet => None,
            Told::Done => Some(Verdict::Seen { object, facts }),
            Told::Refused(code, decline) => {
                Some(Verdict::Refused { code: code.into(), decline, seen: facts })
            }
        })
    }

    /// Searches for the object that a creation of ours may have made.
    pub(super) async fn find(
        &self,
        client: &StripeClient,
        item: &OrderItem,
        claim: &Claim,
    ) -> Result<Option<Value>, StripeError> {
        let state = item.state();
        let window = creation_window(claim.generation_at);
        let customer = state.customer.as_deref();
        let ours = |metadata: &Metadata, name: &str, value: &str| {
            metadata.get(TANDEM_ORDER).map(String::as_str) == Some(item.key.as_str())
                && metadata.get(name).map(String::as_str) == Some(value)
        };
        let path = match &claim.terms {
            Terms::CreateSession { attempt, .. } => {
                let all = client.list_sessions(customer, window).collect(LIST_MAX).await?;
                let n = attempt.to_string();
                all.into_iter()
                    .find(|s: &Session| ours(&s.metadata, TANDEM_ATTEMPT, &n))
                    .map(|s| format!("/v1/checkout/sessions/{}", s.id))
            }
            Terms::CreateIntent { attempt, .. } => {
                let all = client.list_intents(customer, window).collect(LIST_MAX).await?;
                let n = attempt.to_string();
                all.into_iter()
                    .find(|i: &PaymentIntent| ours(&i.metadata, TANDEM_ATTEMPT, &n))
                    .map(|i| format!("/v1/payment_intents/{}", i.id))
            }
            Terms::Refund { request, charge, .. } => {
                let all = client.list_refunds(charge).collect(LIST_MAX).await?;
                all.into_iter()
                    .find(|r| ours(&r.metadata, TANDEM_REQUEST, request))
                    .map(|r| format!("/v1/refunds/{}", r.id))
            }
            _ => None,
        };
        match path {
            Some(path) => Ok(Some(client.get(&path).await?.value)),
            None => Ok(None),
        }
    }

    /// Sessions and intents of an attempt whose object nobody stored: a table restored to yesterday.
    pub async fn find_attempt(
        &self,
        client: &StripeClient,
        item_key: &crate::domain::ids::OrderKey,
        state: &State,
        attempt: u32,
        since: UnixTime,
    ) -> Result<Vec<What>, StripeError> {
        let window = creation_window(since);
        let n = attempt.to_string();
        let ours = |metadata: &Metadata| {
            metadata.get(TANDEM_ORDER).map(String::as_str) == Some(item_key.as_str())
                && metadata.get(TANDEM_ATTEMPT) == Some(&n)
        };
        let off_session = state.attempts.get(&attempt).is_some_and(|a| a.off_session);
        let customer = state.customer.as_deref();
        if off_session {
            let all = client.list_intents(customer, window).collect(LIST_MAX).await?;
            let found = all.into_iter().filter(|i| ours(&i.metadata));
            return Ok(found.flat_map(|i| seen::intent(&i).unwrap_or_default()).collect());
        }
        let all = client.list_sessions(customer, window).collect(LIST_MAX).await?;
        let found = all.into_iter().filter(|s| ours(&s.metadata));
        Ok(found.flat_map(|s| seen::session(&s).unwrap_or_default()).collect())
    }
}

fn told_by_intent(state: &State, terms: &Terms, read: &PaymentIntent) -> Told {
    let status = read.status.as_str();
    match terms {
        Terms::Confirm { attempt, try_no, .. } => match status {
            "succeeded" | "processing" | "requires_capture" | "requires_action" => Told::Done,
            "canceled" => Told::Refused("intent_canceled", None),
            "requires_payment_method" => {
                // Against what was known when the try was claimed: a webhook may have told of its decline since.
                let charge = read.latest_charge.as_ref().map(Expandable::id);
                let tries = state.attempts.get(attempt).map(|a| a.confirms.as_slice()).unwrap_or_default();
                let tried = tries.iter().find(|t| t.try_no == *try_no);
                let own = tried.is_some_and(|t| t.unconfirmed || t.charge_before.as_deref() != charge);
                match (&read.last_payment_error, own) {
                    (Some(error), true) => {
                        let decline = Decline {
                            code: error.code.clone().unwrap_or_default(),
                            decline_code: error.decline_code.clone(),
                            advice_code: error.advice_code.clone(),
                            network_advice_code: error.network_advice_code.clone(),
                            blocked: false,
                        };
                        Told::Refused("card_declined", Some(decline))
                    }
                    _ => Told::NotYet,
                }
            }
            _ => Told::NotYet,
        },
        Terms::Capture { .. } => match status {
            "succeeded" => Told::Done,
            "canceled" => Told::Refused("intent_canceled", None),
            _ => Told::NotYet,
        },
        Terms::CancelIntent { .. } => match status {
            "canceled" => Told::Done,
            "succeeded" => Told::Refused("already_succeeded", None),
            "processing" => Told::Refused("processing", None),
            _ => Told::NotYet,
        },
        _ => Told::NotYet,
    }
}

fn told_by_session(read: &Session) -> Told {
    match read.status.as_ref().map(|s| s.as_str()) {
        Some("expired") => Told::Done,
        Some("complete") => Told::Refused("session_complete", None),
        _ => Told::NotYet,
    }
}
