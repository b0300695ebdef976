//! The keys of all three tables. Every key that belongs to a shop begins with its `{stack}#{system}#{shop}`.

use sha2::{Digest, Sha256};

use crate::domain::ids::{OrderKey, key_part};
use crate::planted::{Bug, planted};

/// Shards of the due index, for ever.
pub const DUE_SHARDS: u8 = 16;
/// Shards of one day in the day index.
pub const DAY_SHARDS: u8 = 4;

/// Sort key of the order item.
pub const HEAD: &str = "head";

fn spread(key: &str, shards: u8) -> u8 {
    Sha256::digest(key.as_bytes()).first().copied().unwrap_or(0) % shards
}

/// The due shard of an order.
pub fn due_shard(key: &str) -> String {
    spread(key, DUE_SHARDS).to_string()
}

/// All due shards.
pub fn due_shards() -> impl Iterator<Item = String> {
    (0..DUE_SHARDS).map(|s| s.to_string())
}

/// Partition of the day index for an order first seen on `date` (`YYYY-MM-DD`, UTC).
pub fn day(date: &str, key: &str) -> String {
    format!("day#{date}#{}", spread(key, DAY_SHARDS))
}

/// All partitions of a date.
pub fn day_partitions(date: &str) -> Vec<String> {
    (0..DAY_SHARDS).map(|s| format!("day#{date}#{s}")).collect()
}

/// Sort key of request bytes kept apart.
pub fn body(token: &str) -> String {
    format!("body#{token}")
}

/// Sort key of the `n`-th archive of settled facts.
pub fn archive(n: u32) -> String {
    format!("archive#{n:06}")
}

/// Link of a Stripe object to its order.
pub fn stripe_link(account: &str, mode: &str, object: &str) -> String {
    format!("stripe#{}#{mode}#{}", key_part(account), key_part(object))
}

/// Link of a buyer to the Stripe customer, within one Stripe account and mode.
pub fn customer_link(order: &OrderKey, account: &str, mode: &str, customer: &str) -> String {
    if planted(Bug::ShopMissingFromKey) {
        return format!("customer#{}#{}#{mode}", key_part(customer), key_part(account));
    }
    format!("{}#customer#{}#{}#{mode}", order.shop_prefix(), key_part(customer), key_part(account))
}

/// Link of a pay token to its order.
pub fn pay_link(token: &str) -> String {
    format!("pay#{}", key_part(token))
}

/// A Stripe object that names us and cannot be routed yet.
pub fn unowned(object: &str) -> String {
    format!("unowned#{}", key_part(object))
}

/// The budget of one card.
pub fn card(stack: &str, account: &str, fingerprint: &str) -> String {
    format!("card#{}#{}#{}", key_part(stack), key_part(account), key_part(fingerprint))
}

/// A poll's watermark.
pub fn cursor(stack: &str, what: &str) -> String {
    format!("cursor#{}#{}", key_part(stack), key_part(what))
}

/// Who may run alone.
pub fn lease(stack: &str, what: &str) -> String {
    format!("lease#{}#{}", key_part(stack), key_part(what))
}

/// The switch that stops every money call.
pub fn money_switch(stack: &str) -> String {
    format!("switch#money#{}", key_part(stack))
}
