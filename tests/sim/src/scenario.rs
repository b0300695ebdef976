//! The stories: what people, banks and networks do to an order, and how it must end whatever breaks meanwhile.
//!
//! Invariant: a story waits for what it needs and never looks into our tables; it is the same with and without a fault.

pub(crate) mod people;
mod races;

use futures::future::LocalBoxFuture;
use local::shop::Speaks;
use local::stack::Options;

use crate::world::{World, options};

/// One story.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// Tells it.
    pub play: for<'a> fn(&'a World) -> LocalBoxFuture<'a, ()>,
    /// What the stack starts with.
    pub options: fn() -> Options,
    /// What its shops speak.
    pub speaks: Speaks,
}

impl Scenario {
    /// The same with shops that speak something else.
    pub fn over(self, speaks: Speaks) -> Self {
        Self { speaks, ..self }
    }

    /// Its name on the command line, `NAME` or `NAME@KIND`.
    pub fn label(&self) -> String {
        match self.speaks {
            Speaks::Checkout => self.name.to_owned(),
            other => format!("{}@{}", self.name, other.kind()),
        }
    }

    /// What its stack starts with.
    pub fn start(&self) -> Options {
        let mut options = (self.options)();
        options.speaks = self.speaks;
        options.beside.iter_mut().for_each(|(_, speaks)| *speaks = self.speaks);
        options
    }
}

macro_rules! scenarios {
    ($($name:literal => $play:path, $options:path);* $(;)?) => {
        /// All of them.
        pub fn all() -> Vec<Scenario> {
            vec![$(Scenario {
                name: $name,
                play: |world| Box::pin($play(world)),
                options: $options,
                speaks: Speaks::Checkout,
            }),*]
        }
    };
}

/// Two shops on one Stripe account that number orders and buyers alike.
fn two_shops() -> Options {
    Options { beside: vec![("outlet", Speaks::Checkout)], ..options() }
}

scenarios! {
    "paid-at-once" => people::paid_at_once, options;
    "declined-then-paid" => people::declined_then_paid, options;
    "amount-changed" => people::amount_changed, options;
    "captured-on-fulfilment" => people::captured_on_fulfilment, options;
    "refunded" => people::refunded, options;
    "cancelled-after-payment" => people::cancelled_after_payment, options;
    "soft-decline" => people::soft_decline, options;
    "hard-decline" => people::hard_decline, options;
    "buyer-against-timer" => races::buyer_against_timer, options;
    "dashboard-refund" => people::dashboard_refund, options;
    "lost-webhooks" => people::lost_webhooks, options;
    "disorder" => people::disorder, options;
    "yen" => people::yen, options;
    "dinars" => people::dinars, options;
    "two-operators" => races::two_operators, options;
    "refund-against-dispute" => races::refund_against_dispute, options;
    "cancel-against-pay" => races::cancel_against_pay, options;
    "change-against-pay" => races::change_against_pay, options;
    "dashboard-against-requested" => races::dashboard_against_requested, options;
    "two-shops" => races::two_shops, two_shops;
    "money-switch" => people::money_switch, options;
}

/// The story of that label.
pub fn named(label: &str) -> Option<Scenario> {
    let (name, kind) = label.split_once('@').unwrap_or((label, Speaks::Checkout.kind()));
    let speaks = Speaks::of(kind)?;
    all().into_iter().find(|s| s.name == name).map(|s| s.over(speaks))
}
