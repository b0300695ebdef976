//! Capacity units of the embedded tables, by call: what DynamoDB would bill.
//!
//! Off until asked for: every request is then read and written once more. Units are counted in halves, so that they add
//! without fractions; an index's own writes are among them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use serde_json::Value;

use super::{Answer, IoLabel};

/// Half units by label.
pub type HalfUnits = BTreeMap<IoLabel, u64>;

/// Counts, once it was asked to.
#[derive(Debug, Default)]
pub(super) struct Meter(Mutex<Option<HalfUnits>>);

impl Meter {
    /// Counts from now on.
    pub(super) fn start(&self) {
        self.lock().get_or_insert_default();
    }

    pub(super) fn snapshot(&self) -> HalfUnits {
        self.lock().clone().unwrap_or_default()
    }

    /// The request as it must be asked for its units to be told; unchanged when nobody counts.
    pub(super) fn asking(&self, body: Bytes) -> Bytes {
        if self.lock().is_none() {
            return body;
        }
        let Ok(mut request) = serde_json::from_slice::<Value>(&body) else { return body };
        if let Some(fields) = request.as_object_mut() {
            fields.entry("ReturnConsumedCapacity").or_insert_with(|| "TOTAL".into());
        }
        Bytes::from(request.to_string())
    }

    /// Notes what an answer says it took. A write whose condition failed says nothing and takes one unit at least.
    pub(super) fn note(&self, label: &IoLabel, answer: &Answer) {
        if let Some(counted) = self.lock().as_mut() {
            let told: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
            let units = told["ConsumedCapacity"]["CapacityUnits"].as_f64();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "units come in halves and are few"
            )]
            let halves = units.map_or(2, |units| (units * 2.0).round() as u64);
            *counted.entry(label.clone()).or_default() += halves;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<HalfUnits>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
