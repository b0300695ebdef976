//! Which URL does what.
//!
//! Invariant: everything that changes state goes through [`route`], under the lock, one request at a time.

mod balance;
mod charges;
mod customers;
mod disputes;
mod endpoints;
mod events;
mod intents;
mod methods;
mod refunds;
mod sessions;

use http::Method;
use serde_json::Value;

pub(crate) use endpoints::add as add_endpoint;

use super::error::ApiError;
use super::form::Form;
use super::world::World;

/// What an endpoint answers.
pub(crate) type Answer = Result<Value, ApiError>;

/// Carries out one request. `path` is what follows `/v1/`.
pub(crate) fn route(world: &mut World, method: &Method, path: &[&str], form: &Form) -> Answer {
    let get = method == Method::GET;
    let post = method == Method::POST;
    let delete = method == Method::DELETE;
    match *path {
        ["customers"] if post => customers::create(world, form),
        ["customers"] if get => customers::list(world, form),
        ["customers", id] if get => customers::retrieve(world, id),
        ["customers", id] if post => customers::update(world, id, form),
        ["customers", id] if delete => customers::delete(world, id),
        ["customers", id, "payment_methods"] if get => methods::list(world, form, Some(id)),
        ["customers", id, "payment_methods", pm] if get => methods::of_customer(world, id, pm),
        ["payment_methods"] if post => methods::create(world, form),
        ["payment_methods"] if get => methods::list(world, form, None),
        ["payment_methods", id] if get => methods::retrieve(world, id),
        ["payment_methods", id] if post => methods::update(world, id, form),
        ["payment_methods", id, "attach"] if post => methods::attach(world, id, form),
        ["payment_methods", id, "detach"] if post => methods::detach(world, id),
        ["payment_intents"] if post => intents::create(world, form),
        ["payment_intents"] if get => intents::list(world, form),
        ["payment_intents", id] if get => intents::retrieve(world, id),
        ["payment_intents", id] if post => intents::update(world, id, form),
        ["payment_intents", id, "confirm"] if post => intents::confirm(world, id, form),
        ["payment_intents", id, "capture"] if post => intents::capture(world, id, form),
        ["payment_intents", id, "cancel"] if post => intents::cancel(world, id, form),
        ["charges"] if get => charges::list(world, form),
        ["charges", id] if get => charges::retrieve(world, id),
        ["charges", id] if post => charges::update(world, id, form),
        ["charges", id, "refunds"] if get => refunds::list(world, form, Some(id)),
        ["refunds"] if post => refunds::create(world, form),
        ["refunds"] if get => refunds::list(world, form, None),
        ["refunds", id] if get => refunds::retrieve(world, id),
        ["refunds", id] if post => refunds::update(world, id, form),
        ["refunds", id, "cancel"] if post => refunds::cancel(world, id),
        ["disputes"] if get => disputes::list(world, form),
        ["disputes", id] if get => disputes::retrieve(world, id),
        ["disputes", id] if post => disputes::update(world, id, form),
        ["disputes", id, "close"] if post => disputes::close(world, id),
        ["account"] if get => balance::account(world),
        ["balance"] if get => balance::balance(world),
        ["balance_transactions"] if get => balance::list(world, form),
        ["balance_transactions", id] if get => balance::retrieve(world, id),
        ["payouts"] if get => balance::payouts(world, form),
        ["payouts", id] if get => balance::payout(world, id),
        ["events"] if get => events::list(world, form),
        ["events", id] if get => events::retrieve(world, id),
        ["checkout", "sessions"] if post => sessions::create(world, form),
        ["checkout", "sessions"] if get => sessions::list(world, form),
        ["checkout", "sessions", id] if get => sessions::retrieve(world, id),
        ["checkout", "sessions", id] if post => sessions::update(world, id, form),
        ["checkout", "sessions", id, "expire"] if post => sessions::expire(world, id),
        ["checkout", "sessions", id, "line_items"] if get => sessions::line_items(world, id, form),
        ["webhook_endpoints"] if post => endpoints::create(world, form),
        ["webhook_endpoints"] if get => endpoints::list(world, form),
        ["webhook_endpoints", id] if get => endpoints::retrieve(world, id),
        ["webhook_endpoints", id] if post => endpoints::update(world, id, form),
        ["webhook_endpoints", id] if delete => endpoints::delete(world, id),
        _ => Err(ApiError::unknown_url(method.as_str(), &format!("/v1/{}", path.join("/")))),
    }
}

/// The permission a path needs.
pub(crate) fn resource<'a>(path: &[&'a str]) -> &'a str {
    match *path {
        ["checkout", ..] => "checkout_sessions",
        ["customers", _, "payment_methods", ..] => "payment_methods",
        [first, ..] => first,
        [] => "",
    }
}

/// The path with its ids taken out: `/v1/payment_intents/{id}/confirm`.
pub(crate) fn template(path: &[&str]) -> String {
    let id_at = if path.first() == Some(&"checkout") { 2 } else { 1 };
    let mut out = String::from("/v1");
    for (i, part) in path.iter().enumerate() {
        out.push('/');
        out.push_str(if i == id_at || i == id_at + 2 { "{id}" } else { part });
    }
    out
}
