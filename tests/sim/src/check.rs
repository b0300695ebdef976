//! What must hold after every run, whatever was cut: money, events, state, liveness, secrets.
//!
//! Invariant: money is judged by the simulator's ledger and the shop's own record. Our tables are looked at only for what is
//! said about them: facts that grow, claims that end, reasons that exist.

pub mod secrets;

use std::collections::{BTreeMap, BTreeSet};

use local::stripe::Ledger;
use shared::domain::fact::{EffectResult, Fact, Terms, What, chain_break};
use shared::domain::money::Money;
use shared::domain::plan::plan;
use shared::store::item::OrderItem;

use crate::world::{Must, World};

/// More facts than this in one order of a story means that something went in circles.
const FACTS_MAX: usize = 120;
/// More bytes than this likewise; an item may hold 400 KB.
const BYTES_MAX: usize = 100_000;

/// Everything that does not hold now. Empty: the run is good.
pub async fn violations(world: &World) -> Vec<String> {
    let mut found = world.complaints();
    found.extend(world.cutter.leaks().into_iter().map(|l| format!("X1: {l}")));
    found.extend(secrets::said_in_lines().into_iter().map(|l| format!("X1: {l}")));
    let ledger = world.stack.sim.ledger();
    for must in world.musts() {
        money(world, &ledger, &must, &mut found);
        state(world, &ledger, &must, &mut found).await;
    }
    currencies(world, &ledger, &mut found);
    found.extend(ledger.denied.iter().map(|call| format!("X5: no restricted key allows the call: {call}")));
    if let Some(queues) = world.stack.aws.light_queues() {
        for (queue, body) in queues.contents() {
            let watch = secrets::Watch::default();
            watch.look_at(&queue, &body);
            found.extend(watch.found().into_iter().map(|l| format!("X1: {l}")));
        }
    }
    found
}

/// M1 to M4, E3, S2: what Stripe did and what the shop shows.
fn money(world: &World, ledger: &Ledger, must: &Must, found: &mut Vec<String>) {
    let id = &must.order;
    let key = world.key_in(must.shop, id);
    let Some(record) = world.record_at(must.shop, id) else {
        return found.push(format!("order {id} is gone"));
    };
    let currency = record.order.currency;
    let iso = |amount| Money::from_stripe(amount, currency).map_or(i64::MIN, |m| m.minor);
    let charges: Vec<_> = ledger.captured_for(key.as_str()).collect();
    if charges.len() > 1 {
        found.push(format!("M1: order {id} was charged {} times", charges.len()));
    }
    for charge in &charges {
        if charge.currency != currency.stripe_code() {
            found.push(format!("M5: order {id} in {currency} was charged in {}", charge.currency));
        }
    }
    let captured: i64 = charges.iter().map(|c| iso(c.amount_captured)).sum();
    let refunds: Vec<_> = charges.iter().flat_map(|c| ledger.refunds_of(&c.id)).collect();
    let refunded: i64 = refunds.iter().map(|r| iso(r.amount)).sum();
    if refunded > captured {
        found.push(format!("M2: order {id}: {refunded} refunded of {captured}"));
    }
    let mut by_request: BTreeMap<&String, usize> = BTreeMap::new();
    for request in refunds.iter().filter_map(|r| r.metadata.get("tandem_request")) {
        *by_request.entry(request).or_default() += 1;
    }
    for (request, n) in by_request.into_iter().filter(|(_, n)| *n > 1) {
        found.push(format!("M2: request {request} of order {id} was refunded {n} times"));
    }
    let Some(view) = &record.payment else {
        return found.push(format!("M3: order {id}: the shop was told nothing; Stripe holds {captured}"));
    };
    let shown = (view.status, view.amount_captured, view.amount_refunded);
    if (shown.1, shown.2) != (captured, refunded) {
        found.push(format!(
            "M3: order {id}: Stripe holds {captured} captured and {refunded} refunded, the shop shows {} and {}",
            shown.1, shown.2
        ));
    }
    if !must.ends.contains(&shown) {
        found.push(format!("E3: order {id} ends as {shown:?}, must be one of {:?}", must.ends));
    }
    let applied: Vec<u64> = record.write_backs.iter().filter(|w| w.applied).map(|w| w.version).collect();
    if applied.windows(2).any(|w| w[0] >= w[1]) {
        found.push(format!("S2: order {id}: versions written back did not grow: {applied:?}"));
    }
}

/// E4, S1, S3 to S6, M4, M7, X4: what our own record of the order says.
async fn state(world: &World, ledger: &Ledger, must: &Must, found: &mut Vec<String>) {
    let id = &must.order;
    let key = world.key_in(must.shop, id);
    let item = match world.operator().store.load(&key).await {
        Ok(item) => item,
        Err(error) => return found.push(format!("S1: order {id} cannot be loaded: {error}")),
    };
    let facts = match world.operator().store.history(&item).await {
        Ok(facts) => facts,
        Err(error) => {
            return found.push(format!("S1: order {id} has an archive that cannot be read: {error}"));
        }
    };
    let loaded = item.state();
    // With all its facts in the head, as if none had ever been archived.
    let item = OrderItem { facts, kept: None, base: Default::default(), ..item };
    if item.state() != loaded {
        found.push(format!("S1: order {id}: what its head keeps of its archives is not what they say"));
    }
    if let Some(at) = chain_break(&item.facts, "") {
        found.push(format!("S1: order {id}: the chain of facts breaks at {at}"));
    }
    let bytes: usize = item.facts.iter().map(|f| f.raw.len()).sum();
    if item.facts.len() > FACTS_MAX || bytes > BYTES_MAX {
        found.push(format!(
            "S6: order {id} has {} facts of {bytes} bytes: it went in circles",
            item.facts.len()
        ));
    }
    if !item.claims.is_empty() {
        let open: Vec<&String> = item.claims.keys().collect();
        found.push(format!("S4: order {id}: claims are left: {open:?}"));
    }
    effects(id, &item, found);
    truthful(id, key.as_str(), ledger, &item, found);
    known(id, key.as_str(), ledger, &item, found);
    let now = world.stack.clock.now();
    let state = item.state();
    let actions = plan(&state, &world.stack.config.policy, now);
    let ready: Vec<_> = actions.iter().filter(|a| a.ready(now) && !a.is_record()).map(|a| &a.what).collect();
    if !ready.is_empty() {
        found.push(format!("L1: order {id}: still to do: {ready:?}"));
    }
    let later = actions.iter().any(|a| !a.ready(now) && !a.is_record());
    if later && item.due_at.is_none() {
        found.push(format!("S5: order {id} has work for later and no due time"));
    }
}

/// S3: an effect is claimed before it ends, ends once per generation, and an intent is stored before it is confirmed; the order
/// is never seen as it was before.
fn effects(id: &str, item: &OrderItem, found: &mut Vec<String>) {
    let mut claimed = BTreeSet::new();
    let mut ended = BTreeSet::new();
    let mut intents = BTreeSet::new();
    let mut version = 0;
    for Fact { what, why, .. } in item.facts.iter().map(|f| &f.fact) {
        if why.is_empty() {
            found.push(format!("X4: order {id} has a fact without a reason: {what:?}"));
        }
        match what {
            What::OrderSeen(view) => {
                if view.version < version {
                    let old = view.version;
                    found.push(format!(
                        "S3: order {id} was seen in version {old}, but version {version} was known"
                    ));
                }
                version = view.version;
            }
            What::IntentSeen(view) => {
                intents.insert(view.id.clone());
            }
            What::Claimed { effect, generation, terms } => {
                if !claimed.insert((effect.clone(), *generation)) {
                    found.push(format!("S3: order {id}: {effect} generation {generation} was claimed twice"));
                }
                if let Terms::Confirm { intent, .. } = terms
                    && !intents.contains(intent)
                {
                    found.push(format!("M7: order {id}: {intent} was confirmed before it was stored"));
                }
            }
            What::Outcome { effect, generation, .. } => {
                let at = (effect.clone(), *generation);
                if !claimed.contains(&at) {
                    found.push(format!(
                        "S3: order {id}: {effect} generation {generation} ended without a claim"
                    ));
                }
                if !ended.insert(at) {
                    found.push(format!("S3: order {id}: {effect} generation {generation} ended twice"));
                }
            }
            _ => {}
        }
    }
}

/// E2: what Stripe made is recorded as made. An outcome that says otherwise is a lie about money.
fn truthful(id: &str, key: &str, ledger: &Ledger, item: &OrderItem, found: &mut Vec<String>) {
    let mut done: BTreeMap<&str, usize> = BTreeMap::new();
    for fact in &item.facts {
        if let What::Outcome { effect, result: EffectResult::Done { .. }, .. } = &fact.fact.what {
            *done.entry(effect).or_default() += 1;
        }
    }
    let mut made: BTreeMap<String, usize> = BTreeMap::new();
    for session in ledger.sessions.iter().filter(|s| s.metadata.get("tandem_order").is_some_and(|o| o == key))
    {
        if let Some(attempt) = session.metadata.get("tandem_attempt") {
            *made.entry(format!("session:{attempt}")).or_default() += 1;
        }
    }
    for refund in &ledger.refunds {
        let ours = ledger.captured_for(key).any(|c| c.id == refund.charge);
        if let (true, Some(request)) = (ours, refund.metadata.get("tandem_request")) {
            *made.entry(format!("refund:{request}")).or_default() += 1;
        }
    }
    for (effect, made) in made {
        let told = done.get(effect.as_str()).copied().unwrap_or(0);
        if made > told {
            found.push(format!("E2: order {id}: Stripe made {made} of {effect}, the record says {told}"));
        }
    }
}

/// E4 and M4: every object at Stripe is in the record, and every refund of ours has the request that asked for it.
fn known(id: &str, key: &str, ledger: &Ledger, item: &OrderItem, found: &mut Vec<String>) {
    let state = item.state();
    for charge in ledger.captured_for(key) {
        if !state.charges.contains_key(&charge.id) {
            found.push(format!("E4: order {id} does not know its charge {}", charge.id));
        }
        for refund in ledger.refunds_of(&charge.id) {
            if !state.refunds.contains_key(&refund.id) {
                found.push(format!("E4: order {id} does not know its refund {}", refund.id));
            }
            if let Some(request) = refund.metadata.get("tandem_request") {
                match state.requests.get(request) {
                    Some(asked)
                        if Money::from_stripe(refund.amount, item_currency(&state))
                            .is_ok_and(|m| m.minor == asked.amount) => {}
                    Some(asked) => found.push(format!(
                        "M4: request {request} asked for {}, {} was refunded",
                        asked.amount, refund.amount
                    )),
                    None => found.push(format!("M4: nobody asked for refund {} of order {id}", refund.id)),
                }
            }
        }
    }
    for dispute in ledger.disputes.iter().filter(|d| ledger.captured_for(key).any(|c| c.id == d.charge)) {
        if !state.disputes.contains_key(&dispute.id) {
            found.push(format!("E4: order {id} does not know its dispute {}", dispute.id));
        }
    }
}

fn item_currency(state: &shared::domain::state::State) -> shared::domain::money::Currency {
    match &state.order {
        Some(order) => order.currency,
        None => panic!("an order with a refund was never seen"),
    }
}

/// M1 over the whole account: what Stripe holds is what the orders of the story hold.
fn currencies(world: &World, ledger: &Ledger, found: &mut Vec<String>) {
    let keys: Vec<String> =
        world.musts().iter().map(|m| world.key_in(m.shop, &m.order).as_str().to_owned()).collect();
    for charge in ledger.charges.iter().filter(|c| c.captured) {
        if !charge.metadata.get("tandem_order").is_some_and(|o| keys.contains(o)) {
            found.push(format!("M1: charge {} belongs to no order of the story", charge.id));
        }
    }
}
