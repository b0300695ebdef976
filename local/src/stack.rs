//! The whole bundle in one process: embedded AWS, the pump in Lambda's place, the Stripe simulator, the demo shop, and the
//! real handlers between them.
//!
//! Invariant: there is one clock. It is moved only when nothing is in flight.

pub mod buyer;
mod deployed;
pub mod gateway;
pub mod local_secrets;
mod patience;
pub mod seam;
#[cfg(test)]
mod tests;
mod wiring;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::future::BoxFuture;
use shared::clock::Clock;
use shared::config::Config;
use shared::domain::ids::{Function, OrderKey};
use shared::domain::reconcile::Window;
use shared::domain::time::{Seconds, UnixTime};
use shared::engine::{Engine, Tokens};
use shared::lambda::{Deadline, Record, batch_reply, records};
use shared::outbound::http::{ReqwestHttp, SharedHttp};
use shared::queue::{Queue, QueueSender};
use shared::secrets::Secrets;

pub use self::deployed::{Deployed, Found};
use self::gateway::Gateway;
use self::seam::{Counting, InProcess, Tally};
pub use self::wiring::secrets;
use self::wiring::{Listeners, configure, restrict, shop_of};
use crate::aws::{EmbeddedAws, Foreign};
use crate::pump::{ClockMode, Handler, Mapping, Pump, PumpStats, invocation, jump_clock};
use crate::shop::{Shop, Speaks, TimelineLine};
use crate::stripe::{SimOptions, StripeSim};

/// Any error of the local stack: it ends the command.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Most invocations of one settling: past this something goes in circles.
const INVOCATIONS_MAX: u64 = 5_000;
/// Most rounds of deliveries and work until the stack must be quiet.
const ROUNDS_MAX: u32 = 200;
/// The time that a deployed worker has.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How the parts reach each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wiring {
    /// Without sockets, on a paused clock: tests and the simulation.
    InProcess,
    /// Over loopback ports: the demo and `serve`.
    Sockets,
}

/// How to start.
#[derive(Clone, Debug)]
pub struct Options {
    /// How the parts reach each other.
    pub wiring: Wiring,
    /// The clock's start.
    pub start: UnixTime,
    /// Seed of ids and tokens.
    pub seed: u64,
    /// Changes to the shipped `tandem.toml`: each pair replaces a line's text.
    pub replace: Vec<(String, String)>,
    /// Follow the wall clock instead of starting at `start`.
    pub real_time: bool,
    /// What the shop called `shop` speaks.
    pub speaks: Speaks,
    /// Keys of the shop's section that only its kind has, as TOML; none for the shipped shop.
    pub settings: &'static str,
    /// Shops beside it, by name, that sell to the same buyers through the same Stripe account and number their orders alike.
    pub beside: Vec<(&'static str, Speaks)>,
    /// Queues that cost nothing when the clock jumps, instead of the emulator's.
    pub light_queues: bool,
    /// A bug on purpose, to see that the checks notice.
    pub sabotage: Option<Sabotage>,
    /// Which services are somebody else's.
    pub foreign: Foreign,
    /// A deployed stack whose functions do the work.
    pub deployed: Option<Arc<Deployed>>,
}

/// Bugs on purpose. They live in the local stack only: no function contains them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Messages to order-updater are swallowed.
    DropWriteBacks,
    /// Somebody charges each paid order a second time behind our back.
    ChargeTwice,
}

impl Options {
    /// In process, at a fixed time.
    pub fn in_process() -> Self {
        Self {
            wiring: Wiring::InProcess,
            start: UnixTime(1_790_000_000),
            seed: 7,
            replace: Vec::new(),
            real_time: false,
            speaks: Speaks::Checkout,
            settings: "",
            beside: Vec::new(),
            light_queues: false,
            sabotage: None,
            foreign: Foreign::default(),
            deployed: None,
        }
    }

    /// Over loopback ports.
    pub fn sockets() -> Self {
        Self { wiring: Wiring::Sockets, ..Self::in_process() }
    }
}

/// Addresses of the parts, without a trailing slash.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Bases {
    /// The Stripe simulator.
    pub stripe: String,
    /// The demo shop.
    pub shop: String,
    /// The shops beside it, by name.
    pub beside: BTreeMap<String, String>,
    /// Tandem's own HTTP API.
    pub webhooks: String,
}

impl Bases {
    /// A shop's, by its name; empty for a name that none has.
    pub fn of(&self, shop: &str) -> &str {
        match shop {
            "shop" => &self.shop,
            _ => self.beside.get(shop).map_or("", String::as_str),
        }
    }
}

/// The running stack.
pub struct Stack {
    /// The one clock.
    pub clock: Clock,
    /// AWS in process.
    pub aws: EmbeddedAws,
    /// Stripe.
    pub sim: StripeSim,
    /// The order system.
    pub shop: Shop,
    /// The shops beside it.
    pub beside: Vec<Shop>,
    /// Tandem's configuration.
    pub config: Arc<Config>,
    /// Its text, as in `tandem.toml`.
    pub config_text: String,
    /// Lambda's part.
    pub pump: Pump,
    /// Buyers, and the senders of webhooks.
    pub http: SharedHttp,
    /// Where everything is.
    pub bases: Bases,
    /// HTTP calls by function, and the recording for the judges.
    pub tally: Tally,
    seam: SharedHttp,
    tokens: Tokens,
    mode: ClockMode,
    /// Kept between runs, as a warm function is.
    sweeper: OnceLock<sweeper::Deps>,
    gateway: Gateway,
    deployed: Option<Arc<Deployed>>,
}

impl Drop for Stack {
    /// The parts know each other in circles: a function's HTTP leads to the gateway, which leads to functions. Cut, or a
    /// process that starts thousands of stacks keeps them all.
    fn drop(&mut self) {
        self.gateway.close();
        self.shops().for_each(Shop::forget_timeline);
        self.aws.set_faults(Arc::new(crate::aws::NoFaults));
    }
}

impl Stack {
    /// Starts everything. Must run on a current-thread runtime.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let clock = if options.real_time { Clock::System } else { Clock::tokio_from(options.start) };
        let aws = match &options.deployed {
            Some(far) => EmbeddedAws::beside(clock.clone(), Foreign::all_at(&far.aws, far.signer.clone())?)?,
            None if options.light_queues => EmbeddedAws::with_light_queues(clock.clone())?,
            None => EmbeddedAws::beside(clock.clone(), options.foreign.clone())?,
        };
        let listeners = Listeners::bind(&options).await?;
        let bases = listeners.bases();
        let sim = StripeSim::new(SimOptions {
            account: "acct_local".into(),
            seed: options.seed,
            secret_key: local_secrets::stripe_key(),
            // People move its clock and set its faults by hand.
            controls: options.real_time,
            ..SimOptions::new(clock.clone(), &bases.stripe)
        });
        restrict(&sim);
        let (config, config_text) = configure(&aws, &bases, &clock, &options).await?;
        let config = Arc::new(config);
        sim.add_webhook_endpoint(
            &format!("{}/webhooks/stripe", bases.webhooks),
            &[&local_secrets::stripe_webhook()],
            &[],
        );
        let shop = shop_of(&clock, &bases, "shop", options.speaks);
        let beside: Vec<Shop> =
            options.beside.iter().map(|(name, speaks)| shop_of(&clock, &bases, name, *speaks)).collect();
        let tally = Tally::default();
        let gateway = Gateway::default();
        let http: SharedHttp = match options.wiring {
            Wiring::Sockets => Arc::new(ReqwestHttp::new()?),
            Wiring::InProcess => Arc::new(InProcess {
                bases: bases.clone(),
                sim: sim.clone(),
                shop: shop.clone(),
                beside: beside.clone(),
                gateway: gateway.clone(),
            }),
        };
        let seam: SharedHttp = Arc::new(Counting {
            inner: http.clone(),
            aws: aws.clone(),
            tally: tally.clone(),
            bases: bases.clone(),
        });
        let mode = if options.wiring == Wiring::Sockets { ClockMode::Running } else { ClockMode::Paused };
        let tokens = if options.real_time { Tokens::Random } else { Tokens::seeded(options.seed) };
        let pump = Pump::new(shared::aws::sqs(&aws.sdk_config()), config.resources.clone(), clock.clone())
            .with_scheduler(aws.clone())
            .with_mapping(Mapping { timeout: TIMEOUT, ..Mapping::default() });
        let mut stack = Self {
            clock,
            aws,
            sim,
            shop,
            beside,
            config,
            config_text,
            pump,
            http,
            bases,
            tally,
            seam,
            tokens,
            mode,
            sweeper: OnceLock::new(),
            gateway,
            deployed: options.deployed.clone(),
        };
        stack.register();
        if options.sabotage == Some(Sabotage::DropWriteBacks) {
            stack.pump.register(Queue::OrderUpdates, handler(|_, _| Box::pin(async { Vec::new() })));
        }
        stack.gateway.open(stack.receiver(), payment_page::Deps::new(stack.engine(Function::PaymentPage)));
        stack.show_timelines();
        listeners.serve(&stack, &stack.gateway);
        Ok(stack)
    }

    /// The engine of one function, as the deployed one would be made.
    pub fn engine(&self, me: Function) -> Engine {
        let sdk = self.aws.sdk_config();
        let mut engine = Engine::over(
            me,
            self.config.clone(),
            &sdk,
            self.seam.clone(),
            self.clock.clone(),
            self.tokens.clone(),
        );
        engine.stripe_retries = 0;
        engine
    }

    fn receiver(&self) -> webhook_receiver::Deps {
        let sdk = self.aws.sdk_config();
        let secrets = Secrets::new(&self.config.secrets, &sdk, self.clock.clone());
        let queue =
            QueueSender::new(shared::aws::sqs(&sdk), &self.config.resources, self.config.has_several_shops());
        webhook_receiver::Deps::new(self.config.clone(), secrets, queue, self.clock.clone())
    }

    /// Joins every queue to its function's real handler.
    fn register(&mut self) {
        macro_rules! worker {
            ($queue:ident, $owner:ident, $krate:ident) => {{
                let deps = $krate::Deps::new(self.engine(Function::$owner));
                self.pump.register(
                    Queue::$queue,
                    handler(move |records, deadline| {
                        let deps = deps.clone();
                        Box::pin(async move { $krate::handle(&deps, records, deadline).await })
                    }),
                );
            }};
        }
        worker!(Orders, PaymentCreator, payment_creator);
        worker!(Payments, PaymentRecorder, payment_recorder);
        worker!(Refunds, RefundProcessor, refund_processor);
        worker!(Failures, FailureHandler, failure_handler);
        worker!(OrderUpdates, OrderUpdater, order_updater);
        worker!(Notifications, Notifier, notifier);
    }

    fn show_timelines(&self) {
        for shop in self.shops() {
            let (engine, name) = (self.engine(Function::Cli), shop.name().to_owned());
            shop.set_timeline(Arc::new(move |id| {
                let (engine, name) = (engine.clone(), name.clone());
                Box::pin(async move { timeline(&engine, &name, &id).await.unwrap_or_default() })
            }));
        }
    }

    /// All shops.
    pub fn shops(&self) -> impl Iterator<Item = &Shop> {
        std::iter::once(&self.shop).chain(&self.beside)
    }

    /// The shop of that name.
    pub fn shop_named(&self, name: &str) -> Option<&Shop> {
        self.shops().find(|shop| shop.name() == name)
    }

    /// The key of an order of `shop`.
    pub fn key(&self, order_id: &str) -> Result<OrderKey, Error> {
        self.key_in("shop", order_id)
    }

    /// The key of an order of any shop.
    pub fn key_in(&self, shop: &str, order_id: &str) -> Result<OrderKey, Error> {
        let source = self.config.shop(shop).ok_or("the configuration names no such shop")?;
        Ok(self.config.order_key(source, order_id)?)
    }

    /// Delivers and works until nothing moves any more without the clock.
    pub async fn settle(&self) -> Result<PumpStats, Error> {
        let mut total = PumpStats::default();
        if let Some(far) = &self.deployed {
            self.settle_deployed(far).await?;
            return Ok(total);
        }
        let patience = Deadline::after(patience::SPAN);
        for _ in 0..ROUNDS_MAX {
            let mut told = 0;
            for shop in self.shops() {
                told += shop.deliver_due(self.http.as_ref()).await;
            }
            let sent = self.sim.deliver_due(self.http.as_ref()).await;
            let stats = self.pump.run_until_idle(INVOCATIONS_MAX).await;
            if stats.gave_up {
                return Err("the queues do not come to rest: something goes in circles".into());
            }
            let moved = told + sent > 0 || stats.total_invocations() > 0;
            add(&mut total, &stats);
            if !moved && !self.hides_more(patience).await? {
                return Ok(total);
            }
        }
        Err("webhooks and queues do not come to rest".into())
    }

    /// The next moment at which something is due by itself.
    pub fn next_due(&self) -> Option<UnixTime> {
        let ms = |ms: i64| UnixTime(ms.div_euclid(1000) + i64::from(ms.rem_euclid(1000) > 0));
        [
            self.shops().filter_map(Shop::next_notice_at).min(),
            self.sim.next_delivery_at().map(ms),
            self.sim.next_tick_at().map(ms),
            self.pump.next_due_at(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Moves the clock by `span`, stopping at every moment at which something is due, and settles there. With
    /// `sweeps` the sweeper runs every so often, as its schedule would. A sweep that fails is an error.
    pub async fn advance(&self, span: Seconds, sweeps: Option<Seconds>) -> Result<(), Error> {
        self.advance_with(span, sweeps, |swept| swept).await
    }

    /// The same where something is down: a sweep that fails is tried again by its schedule.
    pub async fn advance_through(&self, span: Seconds, sweeps: Option<Seconds>) -> Result<(), Error> {
        self.advance_with(span, sweeps, |_| Ok(())).await
    }

    async fn advance_with(
        &self,
        span: Seconds,
        sweeps: Option<Seconds>,
        after: impl Fn(Result<(), Error>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let end = self.clock.now() + span;
        let mut next_sweep = sweeps.map(|every| self.clock.now() + every);
        self.settle().await?;
        while self.clock.now() < end {
            let now = self.clock.now();
            let mut to = end;
            for moment in [self.next_due(), next_sweep].into_iter().flatten() {
                to = to.min(moment.max(now + Seconds(1)));
            }
            self.jump(to - now).await?;
            self.sim.tick();
            if let (Some(at), Some(every)) = (next_sweep, sweeps)
                && self.clock.now() >= at
            {
                after(self.sweep().await)?;
                next_sweep = Some(self.clock.now() + every);
            }
            self.settle().await?;
        }
        Ok(())
    }

    /// Moves the clock without doing anything.
    pub async fn jump(&self, span: Seconds) -> Result<(), Error> {
        let by = Duration::from_secs(u64::try_from(span.0).unwrap_or(0));
        jump_clock(&self.aws, by, self.mode).await?;
        if let Some(far) = &self.deployed {
            far.jump(span)?;
        }
        Ok(())
    }

    /// One run of the sweeper.
    pub async fn sweep(&self) -> Result<(), Error> {
        if let Some(far) = &self.deployed {
            return self.sweep_deployed(far).await;
        }
        let deps = self.sweeper.get_or_init(|| sweeper::Deps::new(self.engine(Function::Sweeper)));
        let run = sweeper::handle(deps, Deadline::after(TIMEOUT));
        invocation(Function::Sweeper, TIMEOUT, run)
            .await
            .map_err(|e| format!("the sweeper ended: {e:?}"))??;
        Ok(())
    }

    /// One run of the reconciler over the days from `from` to today.
    pub async fn reconcile(&self, from: UnixTime) -> Result<reconciler::ReconcileReport, Error> {
        let deps = reconciler::Deps::new(self.engine(Function::Reconciler), &self.aws.sdk_config());
        let window = Window::parse(&from.date(), &self.clock.now().date())?;
        let run = reconciler::handle(&deps, window, Deadline::after(TIMEOUT * 10));
        let ended = invocation(Function::Reconciler, TIMEOUT * 10, run).await;
        Ok(ended.map_err(|e| format!("the reconciler ended: {e:?}"))??)
    }
}

fn add(total: &mut PumpStats, more: &PumpStats) {
    for (queue, n) in &more.invocations {
        *total.invocations.entry(queue).or_default() += n;
    }
    total.messages += more.messages;
    total.failed += more.failed;
    total.panics += more.panics;
    total.timeouts += more.timeouts;
    total.schedules += more.schedules;
}

/// A Lambda event source over a batch handler.
fn handler<F>(work: F) -> Handler
where
    F: Fn(Vec<Record>, Deadline) -> BoxFuture<'static, Vec<String>> + Send + Sync + 'static,
{
    Arc::new(move |event| {
        let failed = work(records(event), Deadline::after(TIMEOUT));
        Box::pin(async move { batch_reply(failed.await) })
    })
}

async fn timeline(engine: &Engine, shop: &str, order_id: &str) -> Result<Vec<TimelineLine>, Error> {
    let key = engine.config.order_key(engine.shop_source(shop)?, order_id)?;
    let item = engine.store.load(&key).await?;
    let lines = shared::domain::explain::timeline(&engine.store.history(&item).await?);
    Ok(lines.into_iter().map(|l| TimelineLine::new(l.at, l.what, l.why)).collect())
}
