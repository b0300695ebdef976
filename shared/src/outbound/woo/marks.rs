//! What Tandem writes into an order's metadata, and what a shop may write there for Tandem.
//!
//! Invariant: the view is kept under a key per version, so that a write that comes late cannot undo a newer one: reading
//! takes the highest.

use serde_json::Value;

/// The view as it was told: `_tandem_payment_v7`.
pub(super) const VIEW: &str = "_tandem_payment_v";
/// The payment by which Tandem set the order paid.
pub(super) const PAID: &str = "_tandem_paid";
/// What was found paid by other means, as a decimal.
pub(super) const ELSEWHERE: &str = "_tandem_paid_elsewhere";
/// The status before Tandem held the order.
pub(super) const HELD: &str = "_tandem_held";
/// The buyer's link.
pub(super) const LINK: &str = "_tandem_payment_url";
/// On a refund: its id at Stripe.
pub(super) const REFUND: &str = "_tandem_refund";
/// On a refund: the shop's own id of what asked for it.
pub(super) const REQUEST: &str = "_tandem_request";
/// An order of the official Stripe plug-in: that one collects it.
pub(super) const STRIPE_PLUGIN: &str = "_stripe_intent_id";

/// How it is paid: `page`, `automatic`, `none`.
pub(super) const COLLECTION: &str = "tandem_collection";
/// When money is taken: `at_once`, `on_fulfilment`.
pub(super) const CAPTURE: &str = "tandem_capture";
/// What is due first, as a decimal.
pub(super) const DEPOSIT: &str = "tandem_deposit";
/// When the rest is due: Unix seconds, or a time in RFC 3339.
pub(super) const BALANCE: &str = "tandem_balance_due_at";
/// Refunds asked for: a JSON list of `{id, amount, reason}`.
pub(super) const REQUESTS: &str = "tandem_refund_requests";

/// The rows of a `meta_data`.
#[derive(Clone, Copy)]
pub(super) struct Meta<'a>(&'a [Value]);

impl<'a> Meta<'a> {
    /// Of an order or a refund; `None` if there is no list.
    pub(super) fn of(object: &'a Value) -> Option<Self> {
        object.get("meta_data").and_then(Value::as_array).map(|rows| Self(rows))
    }

    fn rows(self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.0.iter().filter_map(|row| Some((row.get("key")?.as_str()?, row.get("value")?)))
    }

    /// The last value under a key that is not empty.
    pub(super) fn value(self, key: &str) -> Option<&'a Value> {
        let empty = |value: &Value| value.is_null() || value.as_str().is_some_and(str::is_empty);
        self.rows().filter(|(k, v)| *k == key && !empty(v)).last().map(|(_, v)| v)
    }

    /// The same as text; a number counts as its digits.
    pub(super) fn text(self, key: &str) -> Option<String> {
        match self.value(key)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// Every view that was told, with its version.
    pub(super) fn views(self) -> impl Iterator<Item = (u64, Option<Value>)> {
        self.rows().filter_map(|(key, value)| {
            let version = key.strip_prefix(VIEW)?.parse().ok()?;
            let view = match value {
                Value::String(text) => serde_json::from_str(text).ok(),
                other => Some(other.clone()),
            };
            Some((version, view))
        })
    }
}
