//! What must be, order by order: the simulator's ledger against the shop's own record.

use std::collections::BTreeMap;

use shared::domain::money::{Currency, Money};
use shared::domain::view::PaymentStatus;
use shared::queue::Queue;

use crate::shop::{OrderRecord, Shop};
use crate::stack::{Error, Stack};
use crate::stripe::Ledger;

/// What the scenarios say must be at the end.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// Payment status, captured and refunded in ISO minor units, by shop and order id.
    pub orders: BTreeMap<(String, String), (PaymentStatus, i64, i64)>,
    /// The orders of the first shop, as they were placed.
    pub placed: Vec<String>,
}

/// Captured and refunded of one order at Stripe, in ISO minor units.
pub(super) fn at_stripe(ledger: &Ledger, key: &str, currency: Currency) -> (i64, i64, usize) {
    let iso = |amount| Money::from_stripe(amount, currency).map_or(i64::MIN, |m| m.minor);
    let charges: Vec<_> = ledger.captured_for(key).collect();
    let captured = charges.iter().map(|c| iso(c.amount_captured)).sum();
    let refunded = charges
        .iter()
        .flat_map(|c| ledger.refunds_of(&c.id))
        .filter(|r| matches!(r.status.as_str(), "succeeded" | "pending"))
        .filter(|r| r.reason.as_deref() != Some("expired_uncaptured_charge"))
        .map(|r| iso(r.amount))
        .sum();
    (captured, refunded, charges.len())
}

/// Every order of every shop, by shop and id.
pub(super) fn orders(stack: &Stack) -> BTreeMap<(String, String), OrderRecord> {
    let of = |shop: &Shop| {
        let name = shop.name().to_owned();
        shop.record().orders.into_iter().map(move |(id, record)| ((name.clone(), id), record))
    };
    stack.shops().flat_map(of).collect()
}

/// Everything that is not as it must be.
pub async fn audit(stack: &Stack, expected: &Expected) -> Result<Vec<String>, Error> {
    let mut problems = Vec::new();
    let ledger = stack.sim.ledger();
    let mut sums: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    for ((shop, id), order) in &orders(stack) {
        let key = stack.key_in(shop, id)?;
        let currency = order.order.currency;
        let (captured, refunded, charges) = at_stripe(&ledger, key.as_str(), currency);
        let sum = sums.entry(currency.stripe_code()).or_default();
        (sum.0, sum.1) = (sum.0 + captured, sum.1 + refunded);
        let Some((status, must_capture, must_refund)) = expected.orders.get(&(shop.clone(), id.clone()))
        else {
            problems.push(format!("order {id} of {shop}: no scenario says how it must end"));
            continue;
        };
        if (captured, refunded) != (*must_capture, *must_refund) {
            problems.push(format!(
                "order {id}: Stripe holds {captured} captured and {refunded} refunded, must be {must_capture} and {must_refund}"
            ));
        }
        if charges > 1 {
            problems.push(format!("order {id}: charged {charges} times"));
        }
        let Some(view) = &order.payment else {
            problems.push(format!("order {id}: the shop was told nothing"));
            continue;
        };
        if (view.status, view.amount_captured, view.amount_refunded) != (*status, captured, refunded) {
            problems.push(format!(
                "order {id}: the shop shows {} with {} captured and {} refunded, must be {status} with {captured} and {refunded}",
                view.status, view.amount_captured, view.amount_refunded
            ));
        }
        let versions: Vec<u64> = order.write_backs.iter().filter(|w| w.applied).map(|w| w.version).collect();
        if versions.windows(2).any(|w| w[0] >= w[1]) {
            problems.push(format!("order {id}: write-back versions did not grow: {versions:?}"));
        }
    }
    for (currency, money) in &ledger.money {
        let (captured, refunded) = sums.get(currency).copied().unwrap_or_default();
        let parsed = Currency::parse(currency)?;
        let iso = |amount| Money::from_stripe(amount, parsed).map_or(i64::MIN, |m| m.minor);
        if (captured, refunded) != (iso(money.captured), iso(money.refunded)) {
            problems.push(format!(
                "{currency}: Stripe's ledger holds {} captured and {} refunded, the orders sum to {captured} and {refunded}",
                iso(money.captured),
                iso(money.refunded)
            ));
        }
    }
    problems.extend(dead_letters(stack).await?);
    problems.extend(ledger.denied.iter().map(|call| format!("no restricted key allows the call: {call}")));
    let refused = stack.aws.scheduler().refused();
    problems.extend(refused.iter().map(|why| format!("the scheduler made no timer of {why}")));
    Ok(problems)
}

async fn dead_letters(stack: &Stack) -> Result<Vec<String>, Error> {
    let sqs = shared::aws::sqs(&stack.aws.sdk_config());
    let mut problems = Vec::new();
    for queue in Queue::ALL {
        let Some(url) = stack.config.resources.dead_queue_urls.get(queue.name()) else { continue };
        let held = sqs.receive_message().queue_url(url).max_number_of_messages(10).send().await?;
        for message in held.messages.unwrap_or_default() {
            problems.push(format!("dead letter of {}: {}", queue.name(), message.body.unwrap_or_default()));
        }
    }
    Ok(problems)
}
