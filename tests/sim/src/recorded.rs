//! What a run left in the orders' records: timelines for people, and the rare states it came through.

use std::collections::BTreeSet;

use shared::domain::fact::{EffectResult, StoredFact, What};
use shared::domain::plan::Reason;
use shared::store::item::OrderItem;

use crate::world::World;

/// Named here because no reason tells them.
pub const OUTCOMES: [&str; 6] =
    ["key rolled", "second generation", "refused", "refused by the bank", "case opened", "dead letter"];

/// Every name that [`reached`] may give.
pub fn names() -> BTreeSet<String> {
    Reason::ALL.iter().map(|r| r.name()).chain(OUTCOMES).map(str::to_owned).collect()
}

/// Every order's item and all its facts, archived ones too. One that cannot be read has none.
async fn orders(world: &World) -> Vec<(OrderItem, Vec<StoredFact>)> {
    let store = world.operator().store;
    let mut all = Vec::new();
    for must in world.musts() {
        if let Ok(item) = store.load(&world.key_in(must.shop, &must.order)).await
            && let Ok(facts) = store.history(&item).await
        {
            all.push((item, facts));
        }
    }
    all
}

/// What was recorded of each order, line by line.
pub async fn timelines(world: &World) -> Vec<String> {
    let mut lines = Vec::new();
    for (item, facts) in orders(world).await {
        lines.push(item.key.to_string());
        let told = shared::domain::explain::timeline(&facts);
        lines.extend(told.iter().map(|l| format!("  {} {} {} ({})", l.at, l.function, l.what, l.why)));
    }
    lines
}

/// Which reasons led somewhere, and which rare ends a call had.
pub async fn reached(world: &World) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (_, facts) in orders(world).await {
        for StoredFact { fact, .. } in facts {
            found.insert(fact.why);
            let rare = match &fact.what {
                What::Outcome { result: EffectResult::Rolled, .. } => "key rolled",
                What::Outcome { result: EffectResult::Refused { decline: Some(_), .. }, .. } => {
                    "refused by the bank"
                }
                What::Outcome { result: EffectResult::Refused { .. }, .. } => "refused",
                What::Claimed { generation: 2.., .. } => "second generation",
                What::CaseOpened { .. } => "case opened",
                _ => continue,
            };
            found.insert(rare.to_owned());
        }
    }
    let queues = world.stack.aws.light_queues();
    if queues.is_some_and(|q| q.contents().iter().any(|(name, _)| name.ends_with("-dead"))) {
        found.insert("dead letter".to_owned());
    }
    found
}
