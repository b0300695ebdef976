//! What the simulator knows of each Stripe object.
//!
//! A struct holds the fields that live; the fields that never change here (nulls, fixed hashes) are in `shapes.json`.
//! Invariant: [`Object::render`] gives the whole shape of Stripe's OpenAPI document, never expanded.

mod aftermath;
mod payment;
mod people;
mod session;

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use serde::Serialize;
use serde_json::{Map, Value};

pub use aftermath::{
    BalanceTransaction, Dispute, Endpoint, Event, EvidenceDetails, FeeDetail, Payout, Refund,
};
pub use payment::{Charge, IntentStatus, PaymentIntent};
pub use people::{BillingDetails, CardFace, Customer, InvoiceSettings, PaymentMethod};
pub use session::{IntentData, Line, Session};

/// Metadata: a map of strings, sorted by key.
pub type Metadata = BTreeMap<String, String>;

/// The parts of each object that are the same for all, by object name.
static SHAPES: LazyLock<Map<String, Value>> =
    LazyLock::new(|| serde_json::from_str(include_str!("shapes.json")).unwrap_or_default());

/// Something with an id that the API serves.
pub(crate) trait Object: Serialize {
    /// Stripe's name of the type, as in the `object` field.
    const NAME: &'static str;
    fn id(&self) -> &str;
    fn created(&self) -> i64;

    /// The shape on the wire.
    fn render(&self) -> Value {
        self.shaped()
    }

    /// The live fields over the fixed ones.
    fn shaped(&self) -> Value {
        let mut shape = SHAPES.get(Self::NAME).cloned().unwrap_or_else(|| Value::Object(Map::new()));
        if let Ok(live) = serde_json::to_value(self) {
            overlay(&mut shape, live);
        }
        if let Value::Object(map) = &mut shape {
            map.insert("object".into(), Self::NAME.into());
        }
        shape
    }
}

/// Lays `live` over `base`, hash by hash.
pub(crate) fn overlay(base: &mut Value, live: Value) {
    match (base, live) {
        (Value::Object(base), Value::Object(live)) => {
            for (key, value) in live {
                match base.get_mut(&key) {
                    Some(slot @ Value::Object(_)) if value.is_object() => overlay(slot, value),
                    _ => {
                        base.insert(key, value);
                    }
                }
            }
        }
        (base, live) => *base = live,
    }
}

/// Objects of one type in the order of their creation.
#[derive(Clone, Debug)]
pub(crate) struct Table<T> {
    rows: Vec<T>,
    index: HashMap<String, usize>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), index: HashMap::new() }
    }
}

impl<T: Object> Table<T> {
    pub(crate) fn insert(&mut self, row: T) {
        self.index.insert(row.id().to_owned(), self.rows.len());
        self.rows.push(row);
    }

    pub(crate) fn get(&self, id: &str) -> Option<&T> {
        self.index.get(id).and_then(|i| self.rows.get(*i))
    }

    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut T> {
        self.index.get(id).and_then(|i| self.rows.get_mut(*i))
    }

    pub(crate) fn remove(&mut self, id: &str) -> bool {
        let Some(at) = self.index.remove(id) else { return false };
        self.rows.remove(at);
        self.index = self.rows.iter().enumerate().map(|(i, r)| (r.id().to_owned(), i)).collect();
        true
    }

    /// Oldest first.
    pub(crate) fn rows(&self) -> &[T] {
        &self.rows
    }

    pub(crate) fn rows_mut(&mut self) -> &mut [T] {
        &mut self.rows
    }
}
