//! A snapshot of everything, for assertions that must not come from Tandem's own tables.

use std::collections::BTreeMap;

use super::StripeSim;
use super::access::Used;
use super::objects::{
    BalanceTransaction, Charge, Customer, Dispute, Event, PaymentIntent, PaymentMethod, Payout, Refund,
    Session,
};

/// What one currency's money did, in minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Money {
    /// Captured from buyers.
    pub captured: i64,
    /// Given back, not counting refunds that failed or only released an authorisation.
    pub refunded: i64,
    /// Taken by disputes that were not won.
    pub disputed: i64,
    /// Kept by Stripe.
    pub fees: i64,
    /// Sent to the bank.
    pub paid_out: i64,
}

/// Everything the account holds, oldest first.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// Customers, deleted ones too.
    pub customers: Vec<Customer>,
    /// Payment methods.
    pub payment_methods: Vec<PaymentMethod>,
    /// Payment intents.
    pub intents: Vec<PaymentIntent>,
    /// Charges, failed ones too.
    pub charges: Vec<Charge>,
    /// Refunds, releases too.
    pub refunds: Vec<Refund>,
    /// Disputes.
    pub disputes: Vec<Dispute>,
    /// Checkout Sessions.
    pub sessions: Vec<Session>,
    /// Movements of the balance.
    pub transactions: Vec<BalanceTransaction>,
    /// Payouts.
    pub payouts: Vec<Payout>,
    /// Events.
    pub events: Vec<Event>,
    /// Money by currency.
    pub money: BTreeMap<String, Money>,
    /// API requests that arrived, by method and path template.
    pub calls: BTreeMap<(String, String), u64>,
    /// Requests refused because their restricted key lacks the permission.
    pub denied: Vec<String>,
    /// The most that each restricted key was used for, by key and resource.
    pub used: Used,
}

impl Ledger {
    /// Charges that took money for an order, by its key in the metadata.
    pub fn captured_for<'a>(&'a self, order: &'a str) -> impl Iterator<Item = &'a Charge> {
        let ours =
            move |c: &&Charge| c.captured && c.metadata.get("tandem_order").is_some_and(|o| o == order);
        self.charges.iter().filter(ours)
    }

    /// Refunds that gave money back from a charge.
    pub fn refunds_of<'a>(&'a self, charge: &'a str) -> impl Iterator<Item = &'a Refund> {
        self.refunds.iter().filter(move |r| r.charge == charge && counts(r))
    }

    /// How often an endpoint was called.
    pub fn calls_to(&self, method: &str, template: &str) -> u64 {
        self.calls.get(&(method.to_owned(), template.to_owned())).copied().unwrap_or(0)
    }
}

/// Whether a refund took money from us.
fn counts(refund: &Refund) -> bool {
    !refund.release && refund.status != "failed" && refund.status != "canceled"
}

impl StripeSim {
    /// A snapshot of everything at this moment.
    pub fn ledger(&self) -> Ledger {
        let mut world = self.world();
        world.catch_up();
        let mut money: BTreeMap<String, Money> = BTreeMap::new();
        for charge in world.charges.rows().iter().filter(|c| c.captured) {
            money.entry(charge.currency.clone()).or_default().captured += charge.amount_captured;
        }
        for refund in world.refunds.rows().iter().filter(|r| counts(r)) {
            money.entry(refund.currency.clone()).or_default().refunded += refund.amount;
        }
        for dispute in
            world.disputes.rows().iter().filter(|d| !d.status.starts_with("warning") && d.status != "won")
        {
            money.entry(dispute.currency.clone()).or_default().disputed += dispute.amount;
        }
        for row in world.transactions.rows() {
            money.entry(row.currency.clone()).or_default().fees += row.fee;
        }
        for payout in world.payouts.rows().iter().filter(|p| p.status != "failed") {
            money.entry(payout.currency.clone()).or_default().paid_out += payout.amount;
        }
        Ledger {
            customers: world.customers.rows().to_vec(),
            payment_methods: world.methods.rows().to_vec(),
            intents: world.intents.rows().to_vec(),
            charges: world.charges.rows().to_vec(),
            refunds: world.refunds.rows().to_vec(),
            disputes: world.disputes.rows().to_vec(),
            sessions: world.sessions.rows().to_vec(),
            transactions: world.transactions.rows().to_vec(),
            payouts: world.payouts.rows().to_vec(),
            events: world.events.rows().to_vec(),
            money,
            calls: world.calls.clone(),
            denied: world.keys.denied().to_vec(),
            used: world.keys.used().clone(),
        }
    }
}
