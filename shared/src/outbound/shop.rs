//! What every order system must be able to do, in the domain's words, whatever it speaks: read one order, list what
//! changed, take our view of a payment, say how its webhook is, and let its configuration be checked.
//!
//! Invariant: an order that does not say clearly what it is, is no order. A system without idempotency keys of its own
//! is read before it is written, so that telling it twice changes nothing the second time.

pub(crate) mod call;
mod error;
pub(crate) mod field;

use std::future::Future;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::call::{BODY_BYTES_MAX, TIMEOUT};
pub use self::error::ShopError;
use super::checkfront::CheckfrontClient;
use super::checkout::CheckoutClient;
use super::http::SharedHttp;
use super::shopify::ShopifyClient;
use super::woo::WooClient;
use crate::config::{ShopSource, System};
use crate::domain::order::Order;
use crate::domain::time::{Seconds, UnixTime};
use crate::domain::view::PaymentView;
use crate::inbound::short_hash;

/// One line of a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderRef {
    /// The order system's id.
    pub id: String,
    /// Its version.
    pub version: u64,
    /// When it last changed.
    pub updated_at: UnixTime,
    /// Hash of what the line shows of the order, where its version alone does not tell two states apart (a version
    /// that counts seconds, or none).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

/// A line's [`OrderRef::state`]. Until the second of its last change is over at `now`, the order may change in a way that
/// neither the time nor the row tells: then the next listing names it once more.
pub(crate) fn state_of(row: &Value, updated_at: UnixTime, now: Option<UnixTime>) -> String {
    let fresh = now.filter(|now| updated_at >= *now - Seconds(1));
    short_hash(format!("{row}{}", fresh.map_or_else(String::new, |now| now.0.to_string())), 16)
}

/// One page of a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The orders.
    pub orders: Vec<OrderRef>,
    /// The order system's time when the listing began.
    pub as_of: UnixTime,
    /// Where the next page begins; none on the last.
    #[serde(default)]
    pub next_cursor: Option<String>,
}

/// What an order system is told.
#[derive(Clone, Copy, Debug)]
pub struct Telling<'a> {
    /// The order system's id of the order.
    pub id: &'a str,
    /// Version of the view: strictly grows.
    pub version: u64,
    /// The view.
    pub view: &'a PaymentView,
    /// Of what the order system's books hold as paid: how much is known to be our own record.
    pub recorded: i64,
    /// The order's total that the view was made of, ISO minor units.
    pub total: i64,
}

/// What it holds after it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The order as it is now; its `payment` is the version that is held.
    pub order: Order,
    /// Of what its books hold as paid: how much is our own record now, ISO minor units. `None`: it keeps no such books.
    pub recorded: Option<i64>,
}

/// How a webhook of the order system stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookState {
    /// It delivers.
    Active,
    /// Switched off, by a person or after failures.
    Disabled,
    /// There is none to our address.
    Missing,
}

/// One webhook that Tandem needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// The topic it delivers, in the order system's words.
    pub topic: String,
    /// Its id there, if there is one.
    pub id: Option<String>,
    /// How it stands.
    pub state: HookState,
}

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// As it must be.
    Good,
    /// It works, but somebody should know.
    Warning,
    /// It does not work like this.
    Bad,
}

/// One result of a configuration check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub what: &'static str,
    /// How it is.
    pub severity: Severity,
    /// What was found, and what to do about it. Never a secret, never contact data.
    pub text: String,
}

impl Finding {
    /// As it must be.
    pub fn good(what: &'static str, text: impl Into<String>) -> Self {
        Self { what, severity: Severity::Good, text: text.into() }
    }

    /// Somebody should know.
    pub fn warning(what: &'static str, text: impl Into<String>) -> Self {
        Self { what, severity: Severity::Warning, text: text.into() }
    }

    /// It does not work like this; the text says what to do.
    pub fn bad(what: &'static str, text: impl Into<String>) -> Self {
        Self { what, severity: Severity::Bad, text: text.into() }
    }
}

/// An order system, as Tandem sees it.
pub trait OrderSystem {
    /// The order as it is now.
    fn get_order(&self, id: &str) -> impl Future<Output = Result<Order, ShopError>> + Send;

    /// The order with what it was last told, for those who compare the two sides. The same as [`Self::get_order`] where a
    /// plain read shows it.
    fn get_told(&self, id: &str) -> impl Future<Output = Result<Order, ShopError>> + Send
    where
        Self: Sync,
    {
        self.get_order(id)
    }

    /// One page of the orders changed at or after `since`.
    fn list(
        &self,
        since: UnixTime,
        cursor: Option<&str>,
    ) -> impl Future<Output = Result<Page, ShopError>> + Send;

    /// Tells the order our view of its payment. Safe to repeat and safe to be late: a version that is not above the held
    /// one changes nothing.
    fn tell(&self, telling: &Telling<'_>) -> impl Future<Output = Result<Told, ShopError>> + Send;

    /// How the webhooks to `address` stand. `None`: nobody can ask it.
    fn hooks(&self, address: &str) -> impl Future<Output = Result<Option<Vec<Hook>>, ShopError>> + Send;

    /// Switches a webhook on again, or makes it anew. False where only a person can.
    fn mend(&self, address: &str, hook: &Hook) -> impl Future<Output = Result<bool, ShopError>> + Send;

    /// Looks at keys, permissions, currency and settings, and says what to mend. Changes nothing.
    fn check(&self, address: &str) -> impl Future<Output = Vec<Finding>> + Send;
}

macro_rules! systems {
    ($($kind:ident $(($settings:ident))? => $client:ident),* $(,)?) => {
        /// The client of one order system.
        #[derive(Clone, Debug)]
        pub enum ShopClient {
            $(#[doc = concat!("See [`", stringify!($client), "`].")] $kind($client),)*
        }

        impl ShopClient {
            /// A client of `source` that shows `key`.
            pub fn new(http: SharedHttp, source: ShopSource, key: SecretString) -> Self {
                match source.system.clone() {
                    $(System::$kind $(($settings))? => {
                        Self::$kind($client::new(http, source, key $(, $settings)?))
                    })*
                }
            }

            /// The source it talks to.
            pub fn source(&self) -> &ShopSource {
                match self { $(Self::$kind(client) => client.source(),)* }
            }
        }

        impl OrderSystem for ShopClient {
            async fn get_order(&self, id: &str) -> Result<Order, ShopError> {
                match self { $(Self::$kind(client) => client.get_order(id).await,)* }
            }
            async fn get_told(&self, id: &str) -> Result<Order, ShopError> {
                match self { $(Self::$kind(client) => client.get_told(id).await,)* }
            }
            async fn list(&self, since: UnixTime, cursor: Option<&str>) -> Result<Page, ShopError> {
                match self { $(Self::$kind(client) => client.list(since, cursor).await,)* }
            }
            async fn tell(&self, telling: &Telling<'_>) -> Result<Told, ShopError> {
                match self { $(Self::$kind(client) => client.tell(telling).await,)* }
            }
            async fn hooks(&self, address: &str) -> Result<Option<Vec<Hook>>, ShopError> {
                match self { $(Self::$kind(client) => client.hooks(address).await,)* }
            }
            async fn mend(&self, address: &str, hook: &Hook) -> Result<bool, ShopError> {
                match self { $(Self::$kind(client) => client.mend(address, hook).await,)* }
            }
            async fn check(&self, address: &str) -> Vec<Finding> {
                match self { $(Self::$kind(client) => client.check(address).await,)* }
            }
        }
    };
}

systems! {
    Checkout => CheckoutClient,
    Woo(settings) => WooClient,
    Checkfront(settings) => CheckfrontClient,
    Shopify(settings) => ShopifyClient,
}
