//! `/v1/refunds`.

use super::Answer;
use crate::stripe::aftermath::RefundRequest;
use crate::stripe::error::ApiError;
use crate::stripe::form::Form;
use crate::stripe::list;
use crate::stripe::objects::{IntentStatus, Metadata, Object as _};
use crate::stripe::world::World;

pub(super) fn create(world: &mut World, form: &Form) -> Answer {
    let reason = form.one_of("reason", &["duplicate", "fraudulent", "requested_by_customer"])?;
    let amount = form.int("amount")?;
    let mut metadata = Metadata::new();
    form.metadata("metadata", &mut metadata)?;
    let charge = match (form.filled("payment_intent"), form.filled("charge")) {
        (Some(_), Some(_)) => {
            return Err(ApiError::bad_request(
                "You may only specify one of these parameters: charge, payment_intent.",
            ));
        }
        (None, None) => {
            return Err(ApiError::param(
                "parameter_missing",
                "charge",
                "One of the following params should be provided for this request: payment_intent or charge.",
            ));
        }
        (None, Some(charge)) => charge.to_owned(),
        (Some(intent), None) => {
            let Some(found) = world.intents.get(intent) else {
                return Err(ApiError::missing_param("payment_intent", "payment_intent", intent));
            };
            if found.status == IntentStatus::RequiresCapture {
                let text = "This PaymentIntent does not have a successful charge to refund: it was not captured. Cancel it instead.";
                return Err(ApiError::state("charge_not_refundable", text));
            }
            let Some(charge) =
                found.latest_charge.clone().filter(|_| found.status == IntentStatus::Succeeded)
            else {
                let text =
                    format!("This PaymentIntent ({intent}) does not have a successful charge to refund.");
                return Err(ApiError::state("payment_intent_unexpected_state", &text));
            };
            charge
        }
    };
    let id = world.refund(&RefundRequest { charge, amount, reason, metadata })?;
    retrieve(world, &id)
}

pub(super) fn retrieve(world: &World, id: &str) -> Answer {
    world.refunds.get(id).map(|r| r.render()).ok_or_else(|| ApiError::missing("refund", id))
}

pub(super) fn update(world: &mut World, id: &str, form: &Form) -> Answer {
    let Some(row) = world.refunds.get_mut(id) else { return Err(ApiError::missing("refund", id)) };
    let before = row.metadata.clone();
    form.metadata("metadata", &mut row.metadata)?;
    world.emit_refund("refund.updated", id, Some(serde_json::json!({ "metadata": before })));
    retrieve(world, id)
}

pub(super) fn cancel(world: &World, id: &str) -> Answer {
    let refund = world.refunds.get(id).ok_or_else(|| ApiError::missing("refund", id))?;
    let text =
        format!("A refund can only be canceled while it requires action; this one is {}.", refund.status);
    Err(ApiError::bad_request(&text).executed())
}

pub(super) fn list(world: &World, form: &Form, charge: Option<&str>) -> Answer {
    if let Some(id) = charge {
        super::charges::retrieve(world, id)?;
    }
    if let Some(id) = form.filled("charge")
        && world.charges.get(id).is_none()
    {
        return Err(ApiError::missing_param("charge", "charge", id));
    }
    let url = charge.map_or_else(|| "/v1/refunds".to_owned(), |c| format!("/v1/charges/{c}/refunds"));
    list::page(&world.refunds, form, &url, |r| {
        charge.is_none_or(|c| r.charge == c)
            && list::same(form, "charge", Some(&r.charge))
            && list::same(form, "payment_intent", r.payment_intent.as_deref())
    })
}
