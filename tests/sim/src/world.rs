//! One run's world: a stack, the fault, and people who try again until they get what they came for.
//!
//! Invariant: people and the clock are the only movers here; whatever heals the order is the bundle itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use local::shop::{NewOrder, OrderRecord};
use local::stack::buyer::Paid;
use local::stack::{Options, Stack};
use shared::domain::ids::{Function, OrderKey};
use shared::domain::money::Currency;
use shared::domain::order::{CaptureMode, Collection};
use shared::domain::time::{Seconds, UnixTime};
use shared::domain::view::PaymentStatus;
use shared::queue::Queue;

use crate::cut::{Cut, Cutter};

/// The card that pays.
pub const GOOD: &str = "4242424242424242";
/// The card that is declined.
pub const DECLINED: &str = "4000000000000002";

/// Between two tries of a person who could not do what they came for.
const PATIENCE: Seconds = Seconds(600);
/// How often a person tries: past the longest fault by hours.
const TRIES: u32 = 200;
/// Between two sweeps.
pub const SWEEP_EVERY: Seconds = Seconds(300);
/// The same while nothing is expected for long: fewer sweeps heal no better than more. A wait of at least the first is
/// swept as seldom as the second says.
const SELDOM: [(Seconds, Seconds); 2] =
    [(Seconds(12 * 3600), Seconds(6 * 3600)), (Seconds(3600), Seconds(3600))];

/// How an order must end.
#[derive(Clone, Debug)]
pub struct Must {
    /// The source's name: `shop` or `outlet`.
    pub shop: &'static str,
    /// The shop's order.
    pub order: String,
    /// One of these: status, captured, refunded (ISO minor units).
    pub ends: Vec<(PaymentStatus, i64, i64)>,
}

#[derive(Default)]
struct State {
    musts: Vec<Must>,
    broken: Vec<String>,
    next_sweep: Option<UnixTime>,
    /// Calls made within each simulated hour of a long fault; the most is reported.
    moved: Vec<(i64, usize)>,
}

/// One run's world.
pub struct World {
    /// Everything that runs.
    pub stack: Stack,
    /// The fault and what passed it.
    pub cutter: Arc<Cutter>,
    /// When it began.
    pub began: UnixTime,
    state: Mutex<State>,
}

/// What a run starts with.
pub fn options() -> Options {
    Options { light_queues: true, ..Options::in_process() }
}

impl World {
    /// Starts a stack; the fault strikes where `cut` says.
    pub async fn start(options: Options, cut: Option<Cut>) -> Self {
        let stack = match Stack::start(options).await {
            Ok(stack) => stack,
            Err(error) => panic!("the stack does not start: {error}"),
        };
        let cutter = Cutter::new(stack.clock.clone(), stack.sim.clone(), stack.shop.clone(), cut);
        stack.aws.set_faults(cutter.clone());
        let began = stack.clock.now();
        let state = State { next_sweep: Some(began + SWEEP_EVERY), ..State::default() };
        Self { stack, cutter, began, state: Mutex::new(state) }
    }

    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Something is not as it must be.
    pub fn broken(&self, what: impl Into<String>) {
        self.with(|s| s.broken.push(what.into()));
    }

    /// What was not as it must be while the story was told.
    pub fn complaints(&self) -> Vec<String> {
        self.with(|s| s.broken.clone())
    }

    /// How the orders must end.
    pub fn musts(&self) -> Vec<Must> {
        self.with(|s| s.musts.clone())
    }

    /// Calls by function until now, with the time in milliseconds, at every move of the clock.
    pub fn pace(&self) -> Vec<(i64, usize)> {
        self.with(|s| s.moved.clone())
    }

    /// Lets everything work that needs no clock.
    pub async fn settle(&self) {
        if let Err(error) = self.stack.settle().await {
            self.broken(format!("L3: {error}"));
        }
        self.watch_pages();
    }

    /// M6: at no time can an order be paid on two pages.
    fn watch_pages(&self) {
        let mut open: BTreeMap<String, usize> = BTreeMap::new();
        for session in self.stack.sim.ledger().sessions.into_iter().filter(|s| s.status == "open") {
            if let Some(order) = session.metadata.get("tandem_order") {
                *open.entry(order.clone()).or_default() += 1;
            }
        }
        for (order, pages) in open.into_iter().filter(|(_, pages)| *pages > 1) {
            let what = format!("M6: {order} could be paid on {pages} pages at once");
            if !self.complaints().contains(&what) {
                self.broken(what);
            }
        }
    }

    /// Moves the clock, stopping wherever something is due; the sweeper runs on its schedule.
    pub async fn wait(&self, span: Seconds) {
        let end = self.stack.clock.now() + span;
        self.settle().await;
        while self.stack.clock.now() < end {
            let now = self.stack.clock.now();
            let sweep = self.with(|s| s.next_sweep);
            let mut to = end;
            for moment in [self.stack.next_due(), sweep].into_iter().flatten() {
                to = to.min(moment.max(now + Seconds(1)));
            }
            if let Err(error) = self.stack.jump(to - now).await {
                self.broken(format!("the clock: {error}"));
                return;
            }
            let calls = self.cutter.count();
            self.with(|s| s.moved.push((self.stack.clock.now_ms(), calls)));
            self.stack.sim.tick();
            if sweep.is_some_and(|at| self.stack.clock.now() >= at) {
                // A sweep that fails is tried again by its schedule.
                let _ = self.stack.sweep().await;
                let now = self.stack.clock.now();
                let lasts = self.cutter.lasts_until().map_or(0, |end| end / 1000 - now.0);
                let quiet = Seconds(span.0.max(lasts));
                let every =
                    SELDOM.iter().find(|(from, _)| quiet >= *from).map_or(SWEEP_EVERY, |(_, every)| *every);
                self.with(|s| s.next_sweep = Some(now + every));
            }
            self.settle().await;
        }
    }

    /// A person tries until it works.
    pub async fn patiently<T>(&self, what: &str, step: impl AsyncFn() -> Option<T>) -> Option<T> {
        for _ in 0..TRIES {
            if let Some(done) = step().await {
                self.settle().await;
                return Some(done);
            }
            self.wait(PATIENCE).await;
        }
        self.broken(format!("L1: {what} is not possible"));
        None
    }

    /// Waits until the shop shows one of these for an order.
    pub async fn shows(&self, id: &str, statuses: &[PaymentStatus]) {
        let shown = || self.stack.shop.order(id).and_then(|o| o.payment).map(|p| p.status);
        let what = format!("order {id} showing {statuses:?}");
        self.patiently(&what, async || shown().filter(|s| statuses.contains(s))).await;
    }

    /// Places an order.
    pub async fn place(&self, new: NewOrder) -> String {
        let id = match self.stack.shop.place(new) {
            Ok(order) => order.id,
            Err(error) => {
                self.broken(format!("an order cannot be placed: {error}"));
                return String::new();
            }
        };
        self.settle().await;
        id
    }

    /// The buyer pays by the order's link.
    pub async fn pay(&self, id: &str) {
        self.patiently(&format!("paying order {id}"), async || {
            matches!(self.stack.pay(id, GOOD).await, Ok(Paid::Returned(_))).then_some(())
        })
        .await;
    }

    /// The buyer tries a card that is declined.
    pub async fn decline(&self, id: &str) {
        self.patiently(&format!("trying to pay order {id}"), async || {
            let said = self.stack.pay(id, DECLINED).await;
            matches!(&said, Ok(Paid::Page(text)) if text.contains("declined")).then_some(())
        })
        .await;
    }

    /// The key of an order of the shop.
    pub fn key(&self, id: &str) -> OrderKey {
        self.key_in("shop", id)
    }

    /// The key of an order of any shop.
    pub fn key_in(&self, shop: &str, id: &str) -> OrderKey {
        match self.stack.key_in(shop, id) {
            Ok(key) => key,
            Err(error) => panic!("order id {id:?}: {error}"),
        }
    }

    /// The charge that took an order's money.
    pub fn charge(&self, id: &str) -> Option<String> {
        let ledger = self.stack.sim.ledger();
        ledger.captured_for(self.key(id).as_str()).next().map(|c| c.id.clone())
    }

    /// The order as the shop has it.
    pub fn record(&self, id: &str) -> Option<OrderRecord> {
        self.stack.shop.order(id)
    }

    /// The order as any shop has it.
    pub fn record_at(&self, shop: &str, id: &str) -> Option<OrderRecord> {
        self.stack.shop_named(shop)?.order(id)
    }

    /// An operator's engine.
    pub fn operator(&self) -> shared::engine::Engine {
        self.stack.engine(Function::Cli)
    }

    /// Puts a message back into its queue.
    pub async fn give_back(&self, queue: Queue, body: &str) {
        let sqs = shared::aws::sqs(&self.stack.aws.sdk_config());
        let url = self.stack.config.resources.queue_urls.get(queue.name()).cloned().unwrap_or_default();
        if let Err(error) = sqs.send_message().queue_url(url).message_body(body).send().await {
            self.broken(format!("a message cannot be put back: {error:?}"));
        }
    }

    /// How an order must end.
    pub fn ends(&self, id: &str, status: PaymentStatus, captured: i64, refunded: i64) {
        self.ends_in(id, &[(status, captured, refunded)]);
    }

    /// The same where people raced: any of these.
    pub fn ends_in(&self, id: &str, ends: &[(PaymentStatus, i64, i64)]) {
        self.ends_at("shop", id, ends);
    }

    /// The same at any shop.
    pub fn ends_at(&self, shop: &'static str, id: &str, ends: &[(PaymentStatus, i64, i64)]) {
        self.with(|s| s.musts.push(Must { shop, order: id.to_owned(), ends: ends.to_vec() }));
    }
}

/// One thing of so many cents.
pub fn euros(amount: i64, customer: Option<&str>) -> NewOrder {
    currency("EUR", amount, customer)
}

/// One thing in any currency.
pub fn currency(code: &str, amount: i64, customer: Option<&str>) -> NewOrder {
    match Currency::parse(code) {
        Ok(currency) => NewOrder::simple(currency, amount, customer),
        Err(error) => panic!("{error}"),
    }
}

/// To be charged on the saved card.
pub fn automatic(amount: i64, customer: &str) -> NewOrder {
    NewOrder { collection: Collection::Automatic, ..euros(amount, Some(customer)) }
}

/// Captured when the goods leave.
pub fn on_fulfilment(amount: i64, customer: &str) -> NewOrder {
    NewOrder { capture: CaptureMode::OnFulfilment, ..euros(amount, Some(customer)) }
}
