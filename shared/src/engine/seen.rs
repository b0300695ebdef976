//! Stripe's objects as observations: what is kept of each.

use serde_json::Value;

use crate::domain::fact::{
    ChargeView, DisputeView, EffectResult, IntentView, RefundView, SessionView, Terms, What,
};
use crate::domain::money::{Currency, MoneyError};
use crate::domain::policy::decline::Decline;
use crate::domain::time::UnixTime;
use crate::outbound::stripe::calls::{TANDEM_ATTEMPT, TANDEM_REQUEST};
use crate::outbound::stripe::error::ApiError;
use crate::outbound::stripe::objects::{
    Charge, Dispute, Expandable, Metadata, PaymentError, PaymentIntent, Refund, Session,
};

fn attempt_of(metadata: &Metadata) -> u32 {
    metadata.get(TANDEM_ATTEMPT).and_then(|n| n.parse().ok()).unwrap_or(0)
}

fn decline_of(error: &PaymentError, blocked: bool) -> Decline {
    Decline {
        code: error.code.clone().unwrap_or_default(),
        decline_code: error.decline_code.clone(),
        advice_code: error.advice_code.clone(),
        network_advice_code: error.network_advice_code.clone(),
        blocked,
    }
}

/// The decline that a 402 carries.
pub fn decline_of_api(error: &ApiError) -> Decline {
    let blocked = error
        .payment_intent
        .as_ref()
        .and_then(|i| i.latest_charge.as_ref())
        .and_then(Expandable::object)
        .is_some_and(is_blocked);
    Decline {
        code: error.code.clone().unwrap_or_default(),
        decline_code: error.decline_code.clone(),
        advice_code: error.advice_code.clone(),
        network_advice_code: error.network_advice_code.clone(),
        blocked,
    }
}

fn is_blocked(charge: &Charge) -> bool {
    charge.outcome.as_ref().and_then(|o| o.kind.as_deref()) == Some("blocked")
}

/// A charge.
pub fn charge(charge: &Charge) -> Result<What, MoneyError> {
    let outcome = charge.outcome.as_ref();
    let decline = charge.failure_code.as_ref().map(|code| Decline {
        code: code.clone(),
        decline_code: outcome.and_then(|o| o.reason.clone()),
        advice_code: outcome.and_then(|o| o.advice_code.clone()),
        network_advice_code: outcome.and_then(|o| o.network_advice_code.clone()),
        blocked: is_blocked(charge),
    });
    Ok(What::ChargeSeen(ChargeView {
        id: charge.id.clone(),
        intent: charge.payment_intent.as_ref().map(|i| i.id().to_owned()).unwrap_or_default(),
        status: charge.status.as_str().to_owned(),
        amount: charge.amount,
        amount_captured: charge.amount_captured,
        amount_refunded: charge.amount_refunded,
        currency: Currency::parse(&charge.currency)?,
        captured: charge.captured,
        disputed: charge.disputed,
        capture_before: charge.card().and_then(|c| c.capture_before),
        fingerprint: charge.card().and_then(|c| c.fingerprint.clone()),
        decline,
        created: charge.created,
    }))
}

/// An intent, and its newest charge when that was expanded.
pub fn intent(intent: &PaymentIntent) -> Result<Vec<What>, MoneyError> {
    let expanded = intent.latest_charge.as_ref().and_then(Expandable::object);
    let blocked = expanded.is_some_and(is_blocked);
    let mut out = vec![What::IntentSeen(IntentView {
        id: intent.id.clone(),
        attempt: attempt_of(&intent.metadata),
        status: intent.status.as_str().to_owned(),
        amount: intent.amount,
        amount_capturable: intent.amount_capturable,
        amount_received: intent.amount_received,
        currency: Currency::parse(&intent.currency)?,
        latest_charge: intent.latest_charge.as_ref().map(|c| c.id().to_owned()),
        cancellation_reason: intent.cancellation_reason.clone(),
        decline: intent.last_payment_error.as_ref().map(|e| decline_of(e, blocked)),
        review: None,
    })];
    if let Some(newest) = expanded {
        out.push(charge(newest)?);
    }
    Ok(out)
}

/// A session, and its intent and charge when those were expanded.
pub fn session(session: &Session) -> Result<Vec<What>, MoneyError> {
    let mut out = vec![What::SessionSeen(SessionView {
        id: session.id.clone(),
        attempt: attempt_of(&session.metadata),
        status: session.status.as_ref().map_or("open", |s| s.as_str()).to_owned(),
        payment_status: session.payment_status.as_ref().map_or("unpaid", |s| s.as_str()).to_owned(),
        intent: session.payment_intent.as_ref().map(|i| i.id().to_owned()),
        url: session.url.clone(),
        expires_at: session.expires_at.unwrap_or_default(),
    })];
    if let Some(expanded) = session.payment_intent.as_ref().and_then(Expandable::object) {
        out.extend(intent(expanded)?);
    }
    Ok(out)
}

/// A refund.
pub fn refund(refund: &Refund) -> Result<What, MoneyError> {
    Ok(What::RefundSeen(RefundView {
        id: refund.id.clone(),
        charge: refund.charge.as_ref().map(|c| c.id().to_owned()).unwrap_or_default(),
        amount: refund.amount,
        currency: Currency::parse(&refund.currency)?,
        status: refund.status.as_ref().map_or("pending", |s| s.as_str()).to_owned(),
        request: refund.metadata.get(TANDEM_REQUEST).cloned(),
        reason: refund.reason.clone(),
        failure_reason: refund.failure_reason.clone(),
    }))
}

/// A dispute.
pub fn dispute(dispute: &Dispute) -> Result<What, MoneyError> {
    let due_by = dispute.evidence_details.as_ref().and_then(|e| e.due_by).filter(|t| *t > UnixTime(0));
    Ok(What::DisputeSeen(DisputeView {
        id: dispute.id.clone(),
        charge: dispute.charge.as_ref().map(|c| c.id().to_owned()).unwrap_or_default(),
        amount: dispute.amount,
        currency: Currency::parse(&dispute.currency)?,
        status: dispute.status.as_str().to_owned(),
        reason: dispute.reason.clone().unwrap_or_default(),
        due_by,
    }))
}

/// What a good answer to a call of ours shows. An answer that cannot be read as its object shows nothing: it is read
/// again.
pub fn of_answer(terms: &Terms, value: &Value) -> Vec<What> {
    fn read<T: serde::de::DeserializeOwned>(value: &Value) -> Option<T> {
        serde_json::from_value(value.clone()).ok()
    }
    let seen = match terms {
        Terms::CreateSession { .. } | Terms::ExpireSession { .. } => {
            read::<Session>(value).map(|s| session(&s))
        }
        Terms::CreateIntent { .. }
        | Terms::Confirm { .. }
        | Terms::CancelIntent { .. }
        | Terms::Capture { .. } => read::<PaymentIntent>(value).map(|i| intent(&i)),
        Terms::Refund { .. } => read::<Refund>(value).map(|r| refund(&r).map(|w| vec![w])),
        Terms::Tell { .. } | Terms::Notice { .. } => None,
    };
    seen.and_then(Result::ok).unwrap_or_default()
}

/// The object that a creation made, by its id.
pub fn done(value: &Value) -> EffectResult {
    let object = value.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    EffectResult::Done { object }
}
