//! The loop that all hands share: load, observe, fold, plan, commit on the revision, carry out, record, wake.
//!
//! Invariants: nothing is called that is not claimed in the item; no observation made under a moved revision is stored;
//! an outcome is recorded only by the owner of its claim.

pub mod calls;
pub mod carry;
mod count;
pub mod customer;
pub mod draft;
pub mod hand;
pub mod look;
pub mod route;
pub mod seen;
pub mod settle;
mod sources;
mod tokens;
pub mod worker;

use std::sync::Arc;
use std::time::Duration;

pub use self::draft::Draft;
pub use self::hand::{Hand, Own, Prepared, Trigger};
use self::look::Seen;
pub use self::tokens::{SeededTokens, Tokens};
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::fact::{Terms, What};
use crate::domain::ids::{Function, OrderKey};
use crate::domain::money::MoneyError;
use crate::domain::plan::{Action, Do, Reason, plan};
use crate::domain::state::{Claim, State};
use crate::domain::time::Seconds;
use crate::outbound::http::SharedHttp;
use crate::outbound::stripe::StripeError;
use crate::planted::{Bug, planted};
use crate::queue::{Message, Queue, QueueSender};
use crate::secrets::Secrets;
use crate::store::orders::Committed;
use crate::store::{Store, StoreError};
use crate::telemetry::{Id, Metrics, Scrubbed, event};
use crate::timer::Timer;

/// Most rounds of one invocation over one order. A round that changes nothing ends the loop, so this is a net.
const ROUNDS_MAX: u32 = 16;
/// A call is not begun with less time than this.
const CALL_MARGIN: Duration = Duration::from_secs(3);
/// How long a claim is its owner's: longer than any invocation lives.
pub const CLAIM_FOR: Seconds = Seconds(120);
/// Work that was handed to others is hinted at by the sweeper after this.
pub const GRACE: Seconds = Seconds(120);

/// What every hand works with.
#[derive(Clone)]
pub struct Engine {
    /// Which function this is.
    pub me: Function,
    /// The configuration.
    pub config: Arc<Config>,
    /// The clock.
    pub clock: Clock,
    /// Secrets.
    pub secrets: Secrets,
    /// The tables.
    pub store: Store,
    /// The queues.
    pub queue: QueueSender,
    /// One-time schedules; `None` where the function sets none.
    pub timer: Option<Timer>,
    /// The HTTP seam.
    pub http: SharedHttp,
    /// Tokens.
    pub tokens: Tokens,
    /// What is counted: printed when deployed, held in memory elsewhere.
    pub metrics: Metrics,
    /// Retries inside one Stripe call: 2 in production, 0 in the simulation.
    pub stripe_retries: u32,
}

/// Why a hand could not do its work. The message goes back to the queue.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The tables.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The queues.
    #[error(transparent)]
    Queue(#[from] crate::queue::QueueError),
    /// Reading at Stripe.
    #[error("reading at Stripe: {0}")]
    Stripe(#[from] StripeError),
    /// The order system.
    #[error("the order system: {0}")]
    Shop(#[from] crate::outbound::shop::ShopError),
    /// A secret.
    #[error(transparent)]
    Secret(#[from] crate::secrets::SecretError),
    /// An object at Stripe that this build cannot read.
    #[error("{object} at Stripe cannot be read: {why}; deploy a build that can, then redrive the message")]
    Unreadable {
        /// Its id.
        object: String,
        /// What does not fit.
        why: MoneyError,
    },
    /// The configuration does not name what the order or message names.
    #[error("{0}")]
    Config(String),
    /// A replica that lags behind what is stored or hinted.
    #[error(
        "the order system shows version {read} of {order}, known is {known}: it lags behind, read again later"
    )]
    Stale {
        /// The order.
        order: OrderKey,
        /// As read.
        read: u64,
        /// As known.
        known: u64,
    },
    /// Others kept committing first.
    #[error("{0} changed under us again and again; the message returns to the queue")]
    Contended(OrderKey),
    /// The invocation ends.
    #[error("no time left in this invocation; the message returns to the queue")]
    OutOfTime,
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ran {
    /// Commits made.
    pub commits: u32,
    /// Owners woken.
    pub woken: u32,
}

impl Engine {
    /// The engine of a deployed function, from the environment.
    pub async fn from_env(me: Function, sdk: &crate::aws::SdkConfig) -> Result<Self, crate::lambda::Error> {
        let config = Config::from_env()?;
        let http = Arc::new(crate::outbound::http::ReqwestHttp::new()?);
        let metrics = Metrics::stdout(me, &config.stack, Clock::System);
        Ok(Self { metrics, ..Self::over(me, Arc::new(config), sdk, http, Clock::System, Tokens::Random) })
    }

    /// The engine over any AWS endpoint and seam.
    pub fn over(
        me: Function,
        config: Arc<Config>,
        sdk: &crate::aws::SdkConfig,
        http: SharedHttp,
        clock: Clock,
        tokens: Tokens,
    ) -> Self {
        let timer = matches!(me, Function::FailureHandler)
            .then(|| Timer::new(crate::aws::scheduler(sdk), &config.resources, clock.clone()));
        Self {
            me,
            secrets: Secrets::new(&config.secrets, sdk, clock.clone()),
            store: Store::new(crate::aws::dynamodb(sdk), &config.resources),
            queue: QueueSender::new(crate::aws::sqs(sdk), &config.resources, config.has_several_shops()),
            timer,
            http,
            clock,
            tokens,
            metrics: Metrics::held(me),
            config,
            stripe_retries: 2,
        }
    }

    /// Brings one order as far as this function can.
    pub async fn run<H: Hand>(
        &self,
        key: &OrderKey,
        trigger: &Trigger,
        hand: &mut H,
    ) -> Result<Ran, EngineError> {
        // On the heap, as are its largest parts: a caller's future would hold a copy of each and overflow small stacks.
        Box::pin(self.rounds(key, trigger, hand)).await
    }

    /// The loop.
    async fn rounds<H: Hand>(
        &self,
        key: &OrderKey,
        trigger: &Trigger,
        hand: &mut H,
    ) -> Result<Ran, EngineError> {
        let (mut ran, mut lost) = (Ran::default(), 0);
        self.metrics.count("Orders", &[]);
        let mut item = self.store.load(key).await?;
        // What was read counts for the revision it was read under: after somebody else's commit it is read again.
        let mut moved = true;
        // What was seen and did not fit one commit: the rest goes into the next, on the same terms.
        let mut waiting: Seen = Vec::new();
        for round in 0..ROUNDS_MAX {
            if !trigger.deadline.allows(CALL_MARGIN) {
                return Err(EngineError::OutOfTime);
            }
            let state = item.state();
            if round == 0 && self.known_and_quiet(trigger, &state) {
                return Ok(ran);
            }
            let (observed, failed) = if !moved && !waiting.is_empty() {
                (std::mem::take(&mut waiting), None)
            } else {
                match Box::pin(hand.observe(self, trigger, key, &state, moved)).await {
                    Ok(observed) => (observed, None),
                    Err(error) => (Vec::new(), Some(error)),
                }
            };
            let mut draft = Draft::new(self, &item, state, trigger);
            let kept = planted(Bug::StoreUnderMovedRevision).then(|| observed.clone());
            draft.see_all(observed);
            let claimed = if !draft.left.is_empty() {
                Vec::new()
            } else if failed.is_none() {
                draft.records(false);
                Box::pin(self.claim(&mut draft, trigger, hand)).await?
            } else {
                // The other side cannot be read: what is under way is settled all the same, and cases are opened.
                draft.records(true);
                self.take_overs(&mut draft)
            };
            if draft.is_empty() {
                if let Some(error) = failed {
                    return Err(error);
                }
                if planted(Bug::SendToSelf)
                    && let (Some(queue), true) = (Queue::of(self.me), item.due_at.is_some())
                {
                    self.queue.send(queue, &Message::wake(key.clone(), &trigger.corr), None).await?;
                }
                ran.woken = self.wake(&ran, &draft.state, key, trigger).await?;
                return Ok(ran);
            }
            let timers = draft.timers.clone();
            waiting = std::mem::take(&mut draft.left);
            match self.commit(&item, draft.change()?).await? {
                Committed::Yes(now) => {
                    // Our own commit may be told late: others may have committed since.
                    moved = now.rev != item.rev + 1;
                    item = *now;
                }
                Committed::Lost(now) => {
                    (item, moved, waiting) = (*now, kept.is_none(), kept.unwrap_or_default());
                    lost += 1;
                    continue;
                }
            }
            ran.commits += 1;
            event!(info, "committed", corr = Id(&trigger.corr), order.key = key, order.rev = item.rev);
            self.set_timers(key, &timers, trigger).await;
            for claim in claimed {
                let before = item.rev;
                item = Box::pin(self.carry_out(item, &claim, trigger, hand)).await?;
                moved |= item.rev != before + 1;
            }
            if let Some(error) = failed {
                return Err(error);
            }
        }
        if lost == 0 {
            // Every round changed something and none was lost: the plan does not come to rest.
            event!(error, "the plan did not come to rest", order.key = key);
        }
        Err(EngineError::Contended(key.clone()))
    }

    /// A known event that left nothing due is acknowledged without a read.
    fn known_and_quiet(&self, trigger: &Trigger, state: &State) -> bool {
        let known = trigger.event.as_deref().is_some_and(|event| state.knows(event));
        let now = self.clock.now();
        known
            && !plan(state, &self.config.policy, now).iter().any(|a| a.ready(now) && a.owner == Some(self.me))
    }

    /// Takes over our own claims past their deadline: settling needs nobody but Stripe.
    fn take_overs(&self, draft: &mut Draft<'_>) -> Vec<Claim> {
        let now = self.clock.now();
        plan(&draft.state, &self.config.policy, now)
            .into_iter()
            .filter(|a| a.ready(now) && a.owner == Some(self.me))
            .filter_map(|a| match a.what {
                Do::Settle { effect } => draft.take_over(&effect),
                _ => None,
            })
            .collect()
    }

    /// Claims what is ready and ours. What needs no call becomes facts at once.
    async fn claim<H: Hand>(
        &self,
        draft: &mut Draft<'_>,
        trigger: &Trigger,
        hand: &mut H,
    ) -> Result<Vec<Claim>, EngineError> {
        let now = self.clock.now();
        let mine: Vec<Action> = plan(&draft.state, &self.config.policy, now)
            .into_iter()
            .filter(|a| a.ready(now) && a.owner == Some(self.me) && !a.is_record())
            .collect();
        let mut claimed = Vec::new();
        for action in mine {
            if draft.is_full() {
                break;
            }
            match &action.what {
                Do::Settle { effect } => claimed.extend(draft.take_over(effect)),
                Do::LookAtOrder | Do::LookAtAttempt { .. } | Do::LookAtRefunds => {}
                Do::Record(_) | Do::Schedule(_) => {}
                Do::CreateSession { .. }
                | Do::CreateIntent { .. }
                | Do::Effect { .. }
                | Do::ReserveCard { .. } => {
                    let prepared =
                        hand.prepare(self, trigger, &draft.item.key.clone(), &draft.state, &action).await?;
                    claimed.extend(self.admit(draft, prepared, action.reason).await?);
                }
            }
        }
        Ok(claimed)
    }

    async fn admit(
        &self,
        draft: &mut Draft<'_>,
        prepared: Prepared,
        reason: Reason,
    ) -> Result<Option<Claim>, EngineError> {
        match prepared {
            Prepared::Call { terms, .. } | Prepared::Own { terms, .. }
                if !draft.has_room_for(&terms, carry::INLINE_BYTES_MAX) =>
            {
                Ok(None)
            }
            Prepared::Call { effect, terms, call, private } => {
                let mut claim = draft.new_claim(effect, terms, self.me);
                claim.path = call.path;
                if private || call.body.len() > carry::INLINE_BYTES_MAX {
                    let (owner, now) = (draft.item.key.as_str().to_owned(), self.clock.now());
                    self.store.put_body(&owner, &claim.owner, &call.body, now).await?;
                    claim.body_ref = Some(claim.owner.clone());
                } else {
                    claim.body = Some(call.body);
                }
                draft.claim(claim.clone(), reason, true);
                Ok(Some(claim))
            }
            Prepared::Own { effect, terms, facts } => {
                let claim = draft.new_claim(effect, terms, self.me);
                facts.into_iter().for_each(|(what, why)| draft.see(what, why));
                draft.claim(claim.clone(), reason, false);
                Ok(Some(claim))
            }
            Prepared::Facts(facts) => {
                for (what, why) in facts {
                    if draft.is_full() {
                        draft.left.push((what, why));
                    } else {
                        draft.add(what, why.name());
                    }
                }
                Ok(None)
            }
            Prepared::Nothing => Ok(None),
        }
    }

    /// Schedules are hints: the due time is in the item, so a lost one costs time, not money.
    async fn set_timers(&self, key: &OrderKey, timers: &[What], trigger: &Trigger) {
        let Some(timer) = &self.timer else { return };
        for what in timers {
            let What::RetryScheduled { try_no, due, .. } = what else { continue };
            let name = format!("{key}:retry:{try_no}");
            let message = Message::wake(key.clone(), &trigger.corr);
            if let Err(error) = timer.at(&name, *due, Queue::Failures, &message).await {
                let text = crate::error::chain(&error);
                event!(
                    warn,
                    "no timer was set; the sweeper will find it",
                    order.key = key,
                    error = Scrubbed(&text)
                );
            }
        }
    }

    /// Wakes the owners of what is ready and not ours. A run without a commit wakes nobody.
    async fn wake(
        &self,
        ran: &Ran,
        state: &State,
        key: &OrderKey,
        trigger: &Trigger,
    ) -> Result<u32, EngineError> {
        if ran.commits == 0 {
            return Ok(0);
        }
        let mut woken = 0;
        for owner in owners(state, &self.config, self.clock.now()) {
            if owner != self.me
                && let Some(queue) = Queue::of(owner)
            {
                self.queue.send(queue, &Message::wake(key.clone(), &trigger.corr), None).await?;
                woken += 1;
            }
        }
        Ok(woken)
    }
}

/// The owners of what is ready, each once.
pub fn owners(state: &State, config: &Config, now: crate::domain::time::UnixTime) -> Vec<Function> {
    let mut owners: Vec<Function> =
        plan(state, &config.policy, now).iter().filter(|a| a.ready(now)).filter_map(|a| a.owner).collect();
    owners.sort_unstable();
    owners.dedup();
    owners
}

/// Whether carrying out `terms` moves money or lets it move: these stop when the switch is off.
pub fn moves_money(terms: &Terms) -> bool {
    match terms {
        Terms::CreateSession { .. }
        | Terms::CreateIntent { .. }
        | Terms::Confirm { .. }
        | Terms::Capture { .. }
        | Terms::Refund { .. } => true,
        Terms::CancelIntent { .. }
        | Terms::ExpireSession { .. }
        | Terms::Tell { .. }
        | Terms::Notice { .. } => false,
    }
}
