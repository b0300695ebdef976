//! `/v1/disputes`.

use serde_json::{Map, Value};

use super::Answer;
use crate::stripe::error::ApiError;
use crate::stripe::form::Form;
use crate::stripe::list;
use crate::stripe::objects::{Object as _, overlay};
use crate::stripe::world::World;

pub(super) fn retrieve(world: &World, id: &str) -> Answer {
    world.disputes.get(id).map(|d| d.render()).ok_or_else(|| ApiError::missing("dispute", id))
}

pub(super) fn list(world: &World, form: &Form) -> Answer {
    list::page(&world.disputes, form, "/v1/disputes", |d| {
        list::same(form, "charge", Some(&d.charge))
            && list::same(form, "payment_intent", d.payment_intent.as_deref())
    })
}

/// Stages evidence and, unless told otherwise, submits it.
pub(super) fn update(world: &mut World, id: &str, form: &Form) -> Answer {
    let submit = form.flag("submit")?.unwrap_or(true);
    let now = world.now();
    let Some(row) = world.disputes.get_mut(id) else { return Err(ApiError::missing("dispute", id)) };
    form.metadata("metadata", &mut row.metadata)?;
    let sent: Map<String, Value> = form.hash("evidence").into_iter().map(|(k, v)| (k, v.into())).collect();
    if sent.is_empty() {
        world.dispute_updated(id);
        return retrieve(world, id);
    }
    if !matches!(row.status.as_str(), "needs_response" | "warning_needs_response") {
        let text = format!("This dispute is {}: evidence can no longer be changed.", row.status);
        return Err(ApiError::bad_request(&text).executed());
    }
    overlay(&mut row.evidence, Value::Object(sent));
    row.evidence_details.has_evidence = true;
    row.evidence_details.past_due = row.evidence_details.due_by.is_some_and(|due| due < now);
    if submit {
        world.submit_evidence(id);
    } else {
        world.dispute_updated(id);
    }
    retrieve(world, id)
}

pub(super) fn close(world: &mut World, id: &str) -> Answer {
    let Some(row) = world.disputes.get(id) else { return Err(ApiError::missing("dispute", id)) };
    if matches!(row.status.as_str(), "won" | "lost" | "warning_closed") {
        return Err(ApiError::bad_request("This dispute is already closed.").executed());
    }
    world.close_dispute(id, false);
    retrieve(world, id)
}
