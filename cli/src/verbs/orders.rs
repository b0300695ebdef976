//! Verbs over one order and its cases.

use serde_json::json;
use shared::domain::explain;
use shared::domain::fact::{CaseKind, Decision};
use shared::domain::state::{Case, State};
use shared::domain::time::UnixTime;
use shared::operator::{self, Stored};
use shared::store::orders::Parked;

use crate::output::{Failure, say};
use crate::world::{World, WorldArgs};

/// Columns of printed text.
const WIDTH: usize = 100;

/// Everything about an order, in words.
pub(crate) async fn explain(args: &WorldArgs, order: &str, json: bool) -> Result<(), Failure> {
    let world = args.open().await?;
    let key = world.order(order)?;
    let item = world.engine.store.load(&key).await?;
    if item.rev == 0 {
        return Err(operator::Refusal::NoOrder(key).into());
    }
    let config = &world.engine.config;
    let now = world.engine.clock.now();
    let facts = world.engine.store.history(&item).await?;
    let told = explain::explain(&key, &facts, &item.claims, &config.policy, &config.policy_hash, now);
    say(&if json { serde_json::to_string_pretty(&told)? } else { told.text(WIDTH) });
    Ok(())
}

async fn state(world: &World, order: &str) -> Result<(shared::domain::ids::OrderKey, State), Failure> {
    let key = world.order(order)?;
    let item = world.engine.store.load(&key).await?;
    if item.rev == 0 {
        return Err(operator::Refusal::NoOrder(key).into());
    }
    Ok((key, item.state()))
}

/// Open cases, oldest first, and what is parked.
pub(crate) async fn case_list(args: &WorldArgs, json: bool) -> Result<(), Failure> {
    let world = args.open().await?;
    let store = &world.engine.store;
    let mut orders = Vec::new();
    for kind in CaseKind::ALL.iter().copied() {
        orders.extend(store.cases(kind).await?.into_iter().map(|(key, _, _)| key));
    }
    let mut cases = Vec::new();
    for key in orders {
        let state = store.load(&key).await?.state();
        for (id, case) in state.cases.into_iter().filter(|(_, c)| c.is_open()) {
            cases.push((case.opened_at, key.clone(), id, case));
        }
    }
    cases.sort_by_key(|(at, ..)| *at);
    let parked = store.parked().await?;
    if json {
        let cases: Vec<_> = cases
            .iter()
            .map(|(at, key, id, case)| {
                json!({"order": key.as_str(), "case": id, "kind": case.kind, "opened_at": at.to_string(), "text": case.text})
            })
            .collect();
        let parked: Vec<_> =
            parked.iter().map(|(at, p)| json!({"at": at.to_string(), "parked": p})).collect();
        say(&serde_json::to_string_pretty(&json!({"cases": cases, "parked": parked}))?);
        return Ok(());
    }
    for (_, key, id, case) in &cases {
        say(&told(key.as_str(), id, case));
    }
    for (at, p) in &parked {
        say(&parked_line(*at, p));
    }
    say(&format!("{} open, {} parked", cases.len(), parked.len()));
    Ok(())
}

fn parked_line(at: UnixTime, p: &Parked) -> String {
    format!("{at}  parked  {} {}: {} ({} bytes, {})", p.source, p.id, p.reason, p.size, p.sha256)
}

/// What was signed and cannot be used, oldest first.
pub(crate) async fn parked_list(args: &WorldArgs, json: bool) -> Result<(), Failure> {
    let parked = args.open().await?.engine.store.parked().await?;
    if json {
        let rows: Vec<_> = parked.iter().map(|(at, p)| json!({"at": at.to_string(), "parked": p})).collect();
        say(&serde_json::to_string_pretty(&rows)?);
        return Ok(());
    }
    for (at, p) in &parked {
        say(&parked_line(*at, p));
    }
    say(&format!("{} parked", parked.len()));
    Ok(())
}

/// One of them was dealt with.
pub(crate) async fn parked_remove(args: &WorldArgs, source: &str, id: &str, by: &str) -> Result<(), Failure> {
    let world = args.open().await?;
    let by = world.by(by).await?;
    operator::unpark(&world.engine, source, id, &by).await?;
    say(&format!("{id} from {source} is put away; should it come again, it is shown again"));
    Ok(())
}

/// Has an order looked at now.
pub(crate) async fn wake(args: &WorldArgs, order: &str) -> Result<(), Failure> {
    let world = args.open().await?;
    let key = world.order(order)?;
    let woken = operator::wake(&world.engine, &key).await?;
    let functions: Vec<&str> = woken.functions.iter().map(|f| f.name()).collect();
    let object = woken.object.map_or_else(String::new, |id| format!(", {id} is read at Stripe"));
    say(&format!("{} look(s) at {key}{object}; in the logs: corr {}", functions.join(", "), woken.corr));
    Ok(())
}

fn told(order: &str, id: &str, case: &Case) -> String {
    let how = match (case.decision, case.lapsed) {
        (Some(Decision::Approve), _) => "approved",
        (Some(Decision::Deny), _) => "denied",
        (None, true) => "lapsed",
        (None, false) => "open",
    };
    let head = format!("{}  {how}  {order}  {id}", case.opened_at);
    format!("{head}\n{}", explain::wrap(&case.text, WIDTH, "    "))
}

/// One case, or all of an order.
pub(crate) async fn case_show(args: &WorldArgs, order: &str, case: Option<&str>) -> Result<(), Failure> {
    let world = args.open().await?;
    let (key, state) = state(&world, order).await?;
    let shown: Vec<_> = state.cases.iter().filter(|(id, _)| case.is_none_or(|c| c == id.as_str())).collect();
    if shown.is_empty() {
        return Err(case
            .map_or_else(|| format!("{key} has no case"), |c| format!("{key} has no case {c:?}"))
            .into());
    }
    for (id, case) in shown {
        say(&told(key.as_str(), id, case));
    }
    Ok(())
}

/// A person's decision.
pub(crate) async fn decide(
    args: &WorldArgs,
    order: &str,
    case: &str,
    approve: bool,
    by: &str,
) -> Result<(), Failure> {
    let world = args.open().await?;
    let key = world.order(order)?;
    let by = world.by(by).await?;
    let decision = if approve { Decision::Approve } else { Decision::Deny };
    let stored = operator::decide(&world.engine, &key, case, decision, &by).await?;
    done(&stored, if approve { "approved" } else { "denied" });
    Ok(())
}

/// An operator's refund.
pub(crate) async fn refund(
    args: &WorldArgs,
    order: &str,
    amount: &str,
    reason: &str,
    by: &str,
    again: bool,
) -> Result<(), Failure> {
    let world = args.open().await?;
    let key = world.order(order)?;
    let by = world.by(by).await?;
    let stored = operator::refund(&world.engine, &key, amount, reason, &by, again).await?;
    done(&stored, "asked for");
    Ok(())
}

fn done(stored: &Stored, what: &str) {
    say(&format!("{} is {what}; {} owner(s) woken", stored.id, stored.woken));
    if let Some(why) = &stored.wake_failed {
        say(&format!("nobody could be woken ({why}); the sweeper finds the order within minutes"));
    }
}
