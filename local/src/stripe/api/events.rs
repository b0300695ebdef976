//! `/v1/events`: thirty days of them.

use super::Answer;
use crate::stripe::error::ApiError;
use crate::stripe::form::Form;
use crate::stripe::list;
use crate::stripe::objects::{Event, Object as _};
use crate::stripe::world::World;

/// How far back events can be read.
const HISTORY: i64 = 30 * 86_400;

pub(super) fn retrieve(world: &World, id: &str) -> Answer {
    let since = world.now() - HISTORY;
    world
        .events
        .get(id)
        .filter(|e| e.created >= since)
        .map(|e| e.render())
        .ok_or_else(|| ApiError::missing("event", id))
}

pub(super) fn list(world: &World, form: &Form) -> Answer {
    let one = form.filled("type");
    let many = form.array("types");
    if one.is_some() && !many.is_empty() {
        return Err(ApiError::bad_request("You may only specify one of these parameters: type, types."));
    }
    if many.len() > 20 {
        return Err(ApiError::plain_param("types", "You may list at most 20 event types."));
    }
    let delivered = form.flag("delivery_success")?;
    let since = world.now() - HISTORY;
    let wanted = |e: &Event| {
        let by_type = match one.map(|t| (t, t.strip_suffix('*'))) {
            Some((_, Some(prefix))) => e.kind.starts_with(prefix),
            Some((exact, None)) => e.kind == exact,
            None => many.is_empty() || many.contains(&e.kind.as_str()),
        };
        by_type && e.created >= since && delivered.is_none_or(|d| d == (e.pending_webhooks == 0))
    };
    list::page(&world.events, form, "/v1/events", wanted)
}
