//! How the shop looks from outside: the API it speaks, what it sends when an order changes, and what it does when nobody
//! answers. The order book behind it is the same for all.
//!
//! Invariant: a face changes orders only through the book, so that whoever reads the record need not know the face.

use std::time::Duration;

use shared::domain::order::Order;
use shared::domain::time::{Seconds, UnixTime};
use shared::domain::view::PaymentStatus;
use shared::outbound::http::{HttpRequest, HttpResponse};

use super::notices::Delivery;
use super::{OrderRecord, Shop, ShopConfig, State, checkfront, checkout, shopify, woo};

/// What a shop speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Speaks {
    /// The checkout protocol.
    #[default]
    Checkout,
    /// WooCommerce's REST API, version 3.
    Woo,
    /// Checkfront.
    Checkfront,
    /// Shopify's Admin API and webhooks.
    Shopify,
}

impl Speaks {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Checkout, Self::Woo, Self::Shopify, Self::Checkfront];

    /// As `kind` in the configuration.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Checkout => "checkout",
            Self::Woo => "woocommerce",
            Self::Checkfront => "checkfront",
            Self::Shopify => "shopify",
        }
    }

    /// The one of that kind.
    pub fn of(kind: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|s| s.kind() == kind)
    }

    pub(super) fn face(self) -> &'static dyn Face {
        match self {
            Self::Checkout => &checkout::Checkout,
            Self::Woo => &woo::Woo,
            Self::Checkfront => &checkfront::Checkfront,
            Self::Shopify => &shopify::Shopify,
        }
    }
}

/// What only this kind of shop keeps of an order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Native {
    /// Nothing besides the book.
    #[default]
    Nothing,
    /// WooCommerce's own status, metadata, refunds and notes.
    Woo(Box<woo::Book>),
    /// A booking.
    Checkfront(Box<checkfront::Book>),
    /// A Shopify store's own books.
    Shopify(shopify::Book),
}

/// What happened to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was placed.
    Created,
    /// It changed.
    Updated,
}

/// One kind of order system.
pub(super) trait Face: Send + Sync {
    /// The id of an order; `n` counts from 1001.
    fn order_id(&self, n: usize, _now: UnixTime) -> String {
        n.to_string()
    }

    /// What is kept of a new order besides the book.
    fn native(&self, _order: &Order) -> Native {
        Native::Nothing
    }

    /// Somebody edits by hand what an order was told, where this kind keeps it besides the book.
    fn tamper(&self, _kept: &mut OrderRecord, _status: PaymentStatus) {}

    /// Whether a path belongs to the API.
    fn is_api(&self, path: &str) -> bool;

    /// Answers a call of the API.
    fn api(&self, shop: &Shop, request: &HttpRequest) -> HttpResponse;

    /// What the shop sends about a change: into the outbox, without knobs.
    fn deliveries(&self, state: &mut State, change: Change, order: &Order, now: UnixTime) -> Vec<Delivery>;

    /// One attempt as it leaves. `None`: it is dropped.
    fn outgoing(
        &self,
        state: &State,
        config: &ShopConfig,
        delivery: &Delivery,
        now: UnixTime,
    ) -> Option<HttpRequest>;

    /// How long it waits for an answer.
    fn timeout(&self) -> Duration {
        Duration::from_secs(15)
    }

    /// After an attempt that was answered with this status, or with none: when it is tried again.
    fn after(
        &self,
        state: &mut State,
        config: &ShopConfig,
        delivery: &Delivery,
        status: Option<u16>,
    ) -> Option<Seconds>;
}
