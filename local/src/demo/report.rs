//! The table at the end: orders, money in and out, and what it took.

use std::collections::BTreeMap;

use shared::domain::money::Money;

use super::{Expected, audit, say};
use crate::stack::Stack;

/// Prints everything.
pub(super) fn print(stack: &Stack, expected: &Expected) {
    say(
        "\nshop         order        status               total         captured      refunded      write-backs",
    );
    for ((shop, id), order) in audit::orders(stack) {
        let currency = order.order.currency;
        let show = |minor| Money::new(minor, currency).to_string();
        let (captured, refunded) = expected
            .orders
            .get(&(shop.clone(), id.clone()))
            .map_or((0, 0), |(_, taken, back)| (*taken, *back));
        let status = order.payment.as_ref().map_or("-", |p| p.status.name());
        let told = order.write_backs.iter().filter(|w| w.applied).count();
        say(&format!(
            "{shop:<12} {id:<12} {status:<20} {:<13} {:<13} {:<13} {told}",
            show(order.order.total),
            show(captured),
            show(refunded)
        ));
    }
    say("\nmoney at Stripe   in            out           fees");
    for (code, money) in &stack.sim.ledger().money {
        let Ok(currency) = shared::domain::money::Currency::parse(code) else { continue };
        let show = |amount| {
            Money::from_stripe(amount, currency).map_or_else(|_| amount.to_string(), |m| m.to_string())
        };
        say(&format!(
            "{code:<17} {:<13} {:<13} {}",
            show(money.captured),
            show(money.refunded),
            show(money.fees)
        ));
    }
    calls(stack);
}

fn calls(stack: &Stack) {
    let mut rows: BTreeMap<String, BTreeMap<&str, u64>> = BTreeMap::new();
    for (label, n) in stack.aws.io_counts() {
        let function = label.function.map_or("-", |f| f.name()).to_owned();
        let column = match (label.service, label.operation.as_str()) {
            ("dynamodb", "GetItem" | "Query") => "reads",
            ("dynamodb", _) => "writes",
            ("sqs", "SendMessage") => "sends",
            _ => continue,
        };
        *rows.entry(function).or_default().entry(column).or_default() += n;
    }
    for ((function, place, _), n) in stack.tally.calls() {
        let function = function.map_or("-", |f| f.name()).to_owned();
        *rows.entry(function).or_default().entry(place).or_default() += n;
    }
    say("\ncalls by function   reads  writes   sends  stripe    shop");
    for (function, row) in rows {
        let of = |column| row.get(column).copied().unwrap_or(0);
        say(&format!(
            "{function:<18} {:>6}  {:>6}  {:>6}  {:>6}  {:>6}",
            of("reads"),
            of("writes"),
            of("sends"),
            of("stripe"),
            of("shop")
        ));
    }
}
