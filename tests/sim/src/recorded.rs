//! What a run left in the orders' records: timelines for people, and the rare states it came through.

use std::collections::BTreeSet;

use shared::domain::fact::{EffectResult, StoredFact, What};
use shared::domain::ids::OrderKey;
use shared::domain::plan::Reason;

use crate::world::World;

/// Named here because no reason tells them.
pub const OUTCOMES: [&str; 6] =
    ["key rolled", "second generation", "refused", "refused by the bank", "case opened", "dead letter"];

/// Every name that [`Recorded::reached`] may give.
pub fn names() -> BTreeSet<String> {
    Reason::ALL.iter().map(|r| r.name()).chain(OUTCOMES).map(str::to_owned).collect()
}

/// Every order with all its facts, archived ones too, and whether a message was given up.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    orders: Vec<(OrderKey, Vec<StoredFact>)>,
    dead_letter: bool,
}

impl Recorded {
    /// As it stands now. An order that cannot be read has no place in it: [`crate::check`] says so.
    pub async fn of(world: &World) -> Self {
        let store = world.operator().store;
        let mut orders = Vec::new();
        for must in world.musts() {
            if let Ok(item) = store.load(&world.key_in(must.shop, &must.order)).await
                && let Ok(facts) = store.history(&item).await
            {
                orders.push((item.key, facts));
            }
        }
        let queues = world.stack.aws.light_queues();
        let dead_letter =
            queues.is_some_and(|q| q.contents().iter().any(|(name, _)| name.ends_with("-dead")));
        Self { orders, dead_letter }
    }

    /// What was recorded of each order, line by line.
    pub fn timelines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (key, facts) in &self.orders {
            lines.push(key.to_string());
            let told = shared::domain::explain::timeline(facts);
            lines.extend(told.iter().map(|l| format!("  {} {} {} ({})", l.at, l.function, l.what, l.why)));
        }
        lines
    }

    /// Which reasons led somewhere, and which rare ends a call had.
    pub fn reached(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for StoredFact { fact, .. } in self.orders.iter().flat_map(|(_, facts)| facts) {
            found.insert(fact.why.clone());
            found.extend(rare(&fact.what).map(str::to_owned));
        }
        if self.dead_letter {
            found.insert("dead letter".to_owned());
        }
        found
    }
}

fn rare(what: &What) -> Option<&'static str> {
    match what {
        What::Outcome { result: EffectResult::Rolled, .. } => Some("key rolled"),
        What::Outcome { result: EffectResult::Refused { decline: Some(_), .. }, .. } => {
            Some("refused by the bank")
        }
        What::Outcome { result: EffectResult::Refused { .. }, .. } => Some("refused"),
        What::Claimed { generation: 2.., .. } => Some("second generation"),
        What::CaseOpened { .. } => Some("case opened"),
        _ => None,
    }
}
