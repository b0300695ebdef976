//! A payment page that Stripe refused with a 500 before it made anything: the answer is stored and comes again under that key.
//!
//! Invariant: within hours the next generation of the key is sent, the page is made once, and the buyer pays. No cut of the
//! sweep is this: there, what was answered 5xx was either carried out or may be asked for again.

use local::stack::buyer::Paid;
use local::stripe::{Fault, FaultMode};
use shared::domain::time::Seconds;
use shared::domain::view::PaymentStatus as S;

use crate::aside::on_own_clock;
use crate::check::violations;
use crate::world::{GOOD, World, euros, options};

/// Where pages are made.
const PAGES: &str = "/v1/checkout/sessions";
/// Looked at twice under the first key, once in the listing: long before Stripe forgets the key by itself.
const PATIENCE: Seconds = Seconds::hours(3);

/// Tells it, on a clock of its own; what did not hold.
pub fn replayed_refusal() -> Vec<String> {
    on_own_clock(told()).unwrap_or_else(|error| vec![format!("no runtime: {error}")])
}

async fn told() -> Vec<String> {
    let world = World::start(options(), None).await;
    world.stack.sim.add_fault(Fault::once(http::Method::POST, PAGES, FaultMode::ErrorStored));
    let id = world.place(euros(3000, None)).await;
    let mut found = Vec::new();
    if !world.stack.sim.ledger().sessions.is_empty() {
        found.push("the story did not come about: the first call made a page".to_owned());
    }
    world.wait(PATIENCE).await;
    if !matches!(world.stack.pay(&id, GOOD).await, Ok(Paid::Returned(_))) {
        found.push(format!(
            "L1: order {id} cannot be paid: the refusal stored under its first key is what counts"
        ));
    }
    world.settle().await;
    let pages = world.stack.sim.ledger().sessions.len();
    if pages != 1 {
        found.push(format!("M6: {pages} pages were made for one order"));
    }
    world.ends(&id, S::Paid, 3000, 0);
    found.extend(violations(&world).await);
    found
}
