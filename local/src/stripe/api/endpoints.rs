//! `/v1/webhook_endpoints`.

use serde_json::{Value, json};

use super::Answer;
use crate::stripe::error::ApiError;
use crate::stripe::form::Form;
use crate::stripe::list;
use crate::stripe::objects::{Endpoint, Metadata, Object as _};
use crate::stripe::world::World;

pub(super) fn create(world: &mut World, form: &Form) -> Answer {
    let url = form.required("url")?.to_owned();
    let events: Vec<String> = form.array("enabled_events").into_iter().map(str::to_owned).collect();
    if events.is_empty() {
        return Err(ApiError::param(
            "parameter_missing",
            "enabled_events",
            "Missing required param: enabled_events.",
        ));
    }
    let secret = format!("whsec_{}", world.token(32));
    let mut metadata = Metadata::new();
    form.metadata("metadata", &mut metadata)?;
    let id = add(world, url, vec![secret.clone()], events);
    if let Some(row) = world.endpoints.get_mut(&id) {
        row.description = form.owned("description");
        row.api_version = form.owned("api_version").or(row.api_version.take());
        row.metadata = metadata;
    }
    let mut answer = retrieve(world, &id)?;
    if let Some(map) = answer.as_object_mut() {
        map.insert("secret".into(), Value::from(secret));
    }
    Ok(answer)
}

/// Registers an endpoint.
pub(crate) fn add(
    world: &mut World,
    url: String,
    secrets: Vec<String>,
    enabled_events: Vec<String>,
) -> String {
    let id = world.id("we_1");
    let created = world.now();
    world.endpoints.insert(Endpoint {
        id: id.clone(),
        created,
        api_version: Some(crate::stripe::API_VERSION.into()),
        description: None,
        enabled_events,
        metadata: Metadata::new(),
        status: "enabled".into(),
        url,
        secrets,
    });
    id
}

pub(super) fn retrieve(world: &World, id: &str) -> Answer {
    world.endpoints.get(id).map(|e| e.render()).ok_or_else(|| ApiError::missing("webhook endpoint", id))
}

pub(super) fn update(world: &mut World, id: &str, form: &Form) -> Answer {
    let disabled = form.flag("disabled")?;
    let Some(row) = world.endpoints.get_mut(id) else {
        return Err(ApiError::missing("webhook endpoint", id));
    };
    if let Some(url) = form.owned("url") {
        row.url = url;
    }
    if form.has("enabled_events") {
        row.enabled_events = form.array("enabled_events").into_iter().map(str::to_owned).collect();
    }
    if let Some(disabled) = disabled {
        row.status = if disabled { "disabled" } else { "enabled" }.into();
    }
    form.metadata("metadata", &mut row.metadata)?;
    retrieve(world, id)
}

pub(super) fn delete(world: &mut World, id: &str) -> Answer {
    if !world.endpoints.remove(id) {
        return Err(ApiError::missing("webhook endpoint", id));
    }
    world.deliveries.retain(|d| d.endpoint != id);
    Ok(json!({ "id": id, "object": "webhook_endpoint", "deleted": true }))
}

pub(super) fn list(world: &World, form: &Form) -> Answer {
    list::page(&world.endpoints, form, "/v1/webhook_endpoints", |_| true)
}
