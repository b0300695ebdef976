//! `/v1/account`, `/v1/balance`, `/v1/balance_transactions` and `/v1/payouts`: read only.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Answer;
use crate::stripe::error::ApiError;
use crate::stripe::form::Form;
use crate::stripe::list;
use crate::stripe::objects::Object as _;
use crate::stripe::world::World;

#[expect(clippy::unnecessary_wraps, reason = "the shape of every endpoint")]
pub(super) fn balance(world: &World) -> Answer {
    let mut sums: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for t in world.transactions.rows() {
        let entry = sums.entry(&t.currency).or_default();
        if t.status == "available" {
            entry.0 += t.net;
        } else {
            entry.1 += t.net;
        }
    }
    let part = |pick: fn(&(i64, i64)) -> i64| -> Vec<Value> {
        let rows = sums.iter();
        rows.map(
            |(c, sum)| json!({ "amount": pick(sum), "currency": c, "source_types": { "card": pick(sum) } }),
        )
        .collect()
    };
    Ok(
        json!({ "object": "balance", "livemode": false, "available": part(|s| s.0), "pending": part(|s| s.1) }),
    )
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of every endpoint")]
pub(super) fn account(world: &World) -> Answer {
    Ok(json!({
        "id": world.options.account, "object": "account", "business_type": null, "charges_enabled": true,
        "country": "IE", "default_currency": "eur", "details_submitted": true, "email": null, "metadata": {},
        "payouts_enabled": true, "type": "standard",
    }))
}

pub(super) fn retrieve(world: &World, id: &str) -> Answer {
    world.transactions.get(id).map(|t| t.render()).ok_or_else(|| ApiError::missing("balance transaction", id))
}

pub(super) fn list(world: &World, form: &Form) -> Answer {
    if let Some(payout) = form.filled("payout")
        && world.payouts.get(payout).is_none()
    {
        return Err(ApiError::missing_param("payout", "payout", payout));
    }
    list::page(&world.transactions, form, "/v1/balance_transactions", |t| {
        list::same(form, "currency", Some(&t.currency))
            && list::same(form, "payout", t.payout.as_deref())
            && list::same(form, "source", t.source.as_deref())
            && list::same(form, "type", Some(&t.kind))
    })
}

pub(super) fn payout(world: &World, id: &str) -> Answer {
    world.payouts.get(id).map(|p| p.render()).ok_or_else(|| ApiError::missing("payout", id))
}

pub(super) fn payouts(world: &World, form: &Form) -> Answer {
    list::page(&world.payouts, form, "/v1/payouts", |p| {
        list::same(form, "status", Some(&p.status))
            && list::same(form, "destination", p.destination.as_deref())
    })
}
