//! A Stripe on the laptop: stateful, with idempotency, declines, a payment page and signed webhooks.
//!
//! [`StripeSim::handle`] is the whole thing as a function from request to response. [`serve`] puts it behind a port,
//! [`InProcessStripe`] behind the HTTP seam of the simulation; both turn a fault into the same broken connection.
//! Invariant: all state is under one lock and follows the clock; the same requests and seed give the same ids.

mod access;
mod aftermath;
mod alone;
mod api;
pub mod bench;
mod cards;
mod chaos;
mod charging;
mod checkout;
pub mod contract;
mod control;
mod dashboard;
mod delivery;
mod error;
mod exchange;
mod expand;
mod form;
mod idempotency;
mod ledger;
mod list;
mod money;
mod objects;
mod page;
mod seam;
mod world;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shared::clock::Clock;
use shared::outbound::stripe::grants::{Access, Resource};

pub use access::Used;
pub use alone::{AloneOptions, Started, run_alone};
pub use cards::{Behaviour, Reason, TEST_CARDS, TestCard};
pub use chaos::{Chaos, Fault, FaultMode, WebhookRule};
pub(crate) use exchange::Received;
pub use ledger::{Ledger, Money};
pub use objects::{
    BalanceTransaction, BillingDetails, CardFace, Charge, Customer, Dispute, Endpoint, Event,
    EvidenceDetails, FeeDetail, IntentData, IntentStatus, InvoiceSettings, Line, Metadata, PaymentIntent,
    PaymentMethod, Payout, Refund, Session,
};
pub use seam::{InProcessStripe, serve};

use world::World;

/// The version every answer and event is rendered in.
pub const API_VERSION: &str = "2026-10-28.endive";
/// Seconds in seven days.
const SEVEN_DAYS: i64 = 7 * 86_400;

/// How a simulator is set up.
#[derive(Clone, Debug)]
pub struct SimOptions {
    /// Where the time comes from.
    pub clock: Clock,
    /// Public base of the hosted pages, without a slash at the end.
    pub base_url: String,
    /// The account it stands for.
    pub account: String,
    /// Decides every id.
    pub seed: u64,
    /// The key that may do everything.
    pub secret_key: String,
    /// Events name the account, as for a connected one.
    pub connect: bool,
    /// Answers the controls under `/_control/`: for a simulator that runs by itself.
    pub controls: bool,
    /// Refuses unknown, missing and mistyped parameters by the official parameter types.
    pub contract: bool,
}

impl SimOptions {
    /// Options for a page base and a clock, the rest as usual.
    pub fn new(clock: Clock, base_url: &str) -> Self {
        Self {
            clock,
            base_url: base_url.trim_end_matches('/').to_owned(),
            account: "acct_local".into(),
            seed: 1,
            secret_key: ["sk", "test", "local"].join("_"),
            connect: false,
            controls: false,
            contract: true,
        }
    }
}

/// What a card does at its next charge, whatever its number says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardOutcome {
    /// The charge succeeds.
    Succeed,
    /// The issuer declines.
    Decline(Reason),
    /// The buyer has to authenticate.
    RequireAuthentication,
}

/// The simulator. Clones share their state.
#[derive(Clone)]
pub struct StripeSim {
    inner: Arc<Mutex<World>>,
}

impl std::fmt::Debug for StripeSim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StripeSim")
    }
}

impl StripeSim {
    /// An empty account.
    pub fn new(options: SimOptions) -> Self {
        Self { inner: Arc::new(Mutex::new(World::new(options))) }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what the clock has reached: expires sessions and authorisations, settles refunds, debits and payouts.
    pub fn tick(&self) {
        self.world().catch_up();
    }

    /// When [`Self::tick`] will next have something to do, in Unix milliseconds.
    pub fn next_tick_at(&self) -> Option<i64> {
        self.world().next_planned()
    }

    /// Moves the simulator's own clock forward by so many seconds and does what falls due. Signatures keep the real time.
    pub fn advance(&self, seconds: i64) {
        let mut world = self.world();
        world.offset_ms += seconds.max(0) * 1000;
        world.catch_up();
    }

    /// Whether nothing is under way or due now: no request inside, no delivery due, nothing planned for now.
    pub fn idle(&self) -> bool {
        let mut world = self.world();
        world.catch_up();
        let now = world.now_ms();
        world.running == 0 && !world.deliveries.iter().any(|d| d.due_ms <= now || d.leased_until > now)
    }

    /// Registers an endpoint for these event types; none means all. Several secrets: one is being rolled.
    pub fn add_webhook_endpoint(&self, url: &str, secrets: &[&str], types: &[&str]) -> String {
        let types = if types.is_empty() { &["*"] } else { types };
        let types = types.iter().map(|t| (*t).to_owned()).collect();
        let secrets = secrets.iter().map(|s| (*s).to_owned()).collect();
        api::add_endpoint(&mut self.world(), url.to_owned(), secrets, types)
    }

    /// Registers a restricted key.
    pub fn add_restricted_key(&self, key: &str, grants: &[(Resource, Access)]) {
        let grants = grants.iter().map(|(resource, access)| (resource.name(), *access)).collect();
        self.world().keys.grant(key, grants);
    }

    /// Replaces all trouble.
    pub fn chaos(&self, chaos: Chaos) {
        let mut world = self.world();
        world.faults.clone_from(&chaos.faults);
        world.chaos = chaos;
    }

    /// Adds one fault behind those that are set.
    pub fn add_fault(&self, fault: Fault) {
        self.world().faults.push(fault);
    }

    /// Adds one webhook rule behind those that are set.
    pub fn add_webhook_rule(&self, rule: WebhookRule) {
        self.world().chaos.webhooks.push(rule);
    }

    /// Ends all trouble.
    pub fn calm(&self) {
        self.chaos(Chaos::default());
    }

    /// Decides what a saved card does at its next charges; afterwards its number decides again. `card` is a payment
    /// method's id or a card's fingerprint.
    pub fn set_card_behaviour(&self, card: &str, outcomes: Vec<CardOutcome>) {
        self.world().scripts.insert(card.to_owned(), outcomes.into());
    }

    /// Forgets every stored answer, as Stripe may after 24 hours.
    pub fn forget_idempotency_keys(&self) {
        self.world().answers.forget();
    }
}

/// The calendar year of a moment.
fn year_of(seconds: i64) -> i64 {
    let date = shared::domain::time::UnixTime(seconds).date();
    date.get(..4).and_then(|y| y.parse().ok()).unwrap_or(2026)
}
