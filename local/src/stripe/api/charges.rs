//! `/v1/charges`: read, and described; intents make them.

use super::Answer;
use crate::stripe::error::ApiError;
use crate::stripe::form::Form;
use crate::stripe::list;
use crate::stripe::objects::Object as _;
use crate::stripe::world::World;

pub(super) fn retrieve(world: &World, id: &str) -> Answer {
    world.charges.get(id).map(|c| c.render()).ok_or_else(|| ApiError::missing("charge", id))
}

pub(super) fn list(world: &World, form: &Form) -> Answer {
    list::page(&world.charges, form, "/v1/charges", |c| {
        list::same(form, "customer", c.customer.as_deref())
            && list::same(form, "payment_intent", c.payment_intent.as_deref())
            && list::same(form, "transfer_group", c.transfer_group.as_deref())
    })
}

pub(super) fn update(world: &mut World, id: &str, form: &Form) -> Answer {
    let Some(charge) = world.charges.get(id) else { return Err(ApiError::missing("charge", id)) };
    let mut metadata = charge.metadata.clone();
    form.metadata("metadata", &mut metadata)?;
    if let Some(report) = form.one_of("fraud_details[user_report]", &["safe", "fraudulent"])?
        && let Some(row) = world.charges.get_mut(id)
    {
        row.fraud_details = serde_json::json!({ "user_report": report });
    }
    world.describe(id, metadata, form.owned("description"));
    retrieve(world, id)
}
