//! Stripe: what its documentation says, asked of the simulator.

mod beyond;
mod cards;
mod idempotency;
mod intents;
mod lists;
mod refunds;
mod requests;
mod sessions;
mod webhooks;

use local::stripe::bench::{Answer, Bench as Sim};

use crate::check::Check;

/// All of them.
pub(crate) fn all() -> Vec<Check<Sim>> {
    [
        idempotency::all(),
        requests::all(),
        lists::all(),
        intents::all(),
        sessions::all(),
        refunds::all(),
        cards::all(),
        webhooks::all(),
        beyond::all(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Status and, of an error, its code or else its type.
fn told(answer: &Answer) -> String {
    let error = &answer.body["error"];
    match error["code"].as_str().or_else(|| error["type"].as_str()) {
        Some(code) => format!("{} {code}", answer.status),
        None => answer.status.to_string(),
    }
}

fn header(answer: &Answer, name: &str) -> String {
    answer.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("absent").to_owned()
}

/// A confirmed card payment's parameters; without redirects.
const CARD: &str = "amount=1000&currency=eur&allowed_payment_method_types[]=card&confirm=true";
