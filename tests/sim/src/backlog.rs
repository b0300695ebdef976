//! A backlog of one shop's messages ahead of another's few, on virtual time: how long it takes to drain, and how long the
//! quiet shop waits.
//!
//! Real: the sender, the queue's double with SQS's rule of fairness, the pump with the mapping's concurrency, the batch
//! runner, the Stripe client with its retries. Made up: what a message is worked by, which is a read of the shop and some calls to a
//! Stripe that takes its time and refuses what goes beyond its limit.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use http::Method;
use local::aws::EmbeddedAws;
use local::pump::{Mapping, Pump};
use shared::batch::{CONCURRENCY, Deadline, Delivery, Record, run_batch};
use shared::clock::Clock;
use shared::domain::time::UnixTime;
use shared::error::Disposition;
use shared::lambda::{batch_reply, records};
use shared::outbound::http::{Http, HttpRequest, SendFuture};
use shared::outbound::stripe::error::StripeError;
use shared::outbound::stripe::{StripeClient, StripeSettings};
use shared::queue::{Body, Message, Queue, QueueError, QueueSender};
use tokio::time::Instant;

/// Messages of one invocation, as the template's mappings have it.
const BATCH: u32 = 10;
/// How long an invocation may take, as the template has it.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How long an order system takes to answer.
const SHOP_TAKES: Duration = Duration::from_millis(100);
/// How long Stripe takes to answer.
const STRIPE_TAKES: Duration = Duration::from_millis(250);
const NOISY: &str = "noisy";
const QUIET: &str = "quiet";

/// What is tried.
#[derive(Clone, Copy, Debug)]
pub struct Backlog {
    /// Messages of the noisy shop, which are there first.
    pub noisy: u32,
    /// Messages of the quiet one, sent when the work has begun.
    pub quiet: u32,
    /// The mapping's `MaximumConcurrency`.
    pub concurrency: u32,
    /// Calls to Stripe for one message, one after the other.
    pub calls: u32,
    /// Requests in a second that Stripe lets through.
    pub limit: u32,
    /// Whether messages say whose they are.
    pub fair: bool,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Drained {
    /// Until nothing was left.
    pub took: Duration,
    /// Messages that were worked to their end.
    pub done: u32,
    /// The longest that a message of the quiet shop waited until it was begun.
    pub quiet_waited: Duration,
    /// Most requests to Stripe that began within a second.
    pub busiest: usize,
    /// Requests that Stripe refused.
    pub refused: u64,
    /// Messages that came again.
    pub repeated: u64,
    /// Messages that ended as dead letters.
    pub dead: usize,
}

impl Backlog {
    /// How long one message takes if nobody refuses anything.
    fn message_takes(&self) -> Duration {
        SHOP_TAKES + STRIPE_TAKES * self.calls
    }

    /// One invocation: its messages run four at once.
    fn invocation_takes(&self) -> Duration {
        self.message_takes() * BATCH.div_ceil(u32::try_from(CONCURRENCY).unwrap_or(1))
    }

    /// The formula: messages over the slower of what the workers and what Stripe let through in a second.
    ///
    /// workers = concurrency x batch / (rounds x time of a message), rounds = batch / at once, rounded up
    /// Stripe  = limit / calls of a message
    pub fn formula(&self) -> Duration {
        let workers = f64::from(self.concurrency * BATCH) / self.invocation_takes().as_secs_f64();
        let stripe = f64::from(self.limit) / f64::from(self.calls.max(1));
        Duration::from_secs_f64(f64::from(self.noisy + self.quiet) / workers.min(stripe))
    }

    /// Works it off.
    pub async fn drain(self) -> Result<Drained, Box<dyn std::error::Error>> {
        let clock = Clock::tokio_from(UnixTime(1_800_000_000));
        let aws = EmbeddedAws::with_light_queues(clock.clone())?;
        let resources = aws.provision("demo").await?;
        let sqs = shared::aws::sqs(&aws.sdk_config());
        let sender = QueueSender::new(sqs.clone(), &resources, true);
        let far = Arc::new(Limited::new(clock.clone(), self.limit));
        let url = "https://stripe.test";
        let settings = StripeSettings::new(far.clone(), clock.clone(), url, "rk_test_1".into(), false);
        let work = Arc::new(Work::new(self, StripeClient::new(settings)?));
        let mapping = Mapping {
            batch_size: i32::try_from(BATCH)?,
            concurrency: usize::try_from(self.concurrency)?,
            timeout: TIMEOUT,
            ..Mapping::default()
        };
        let mut pump =
            Pump::new(sqs, resources, clock.clone()).with_scheduler(aws.clone()).with_mapping(mapping);
        let handler = Arc::clone(&work);
        pump.register(
            Queue::Orders,
            Arc::new(move |event| {
                let (work, records) = (Arc::clone(&handler), records(event));
                async move { batch_reply(work.invocation(records).await) }.boxed()
            }),
        );
        self.send(&sender, NOISY, self.noisy).await?;
        let begun = Instant::now();
        let later = async {
            // When the workers are all busy with the noisy shop's messages.
            tokio::time::sleep(self.invocation_takes() * 2).await;
            work.log().quiet_sent = Some(Instant::now());
            self.send(&sender, QUIET, self.quiet).await
        };
        let all = async {
            loop {
                pump.run_until_idle(u64::MAX).await;
                // What failed is hidden for its visibility time.
                let Some(due) = pump.next_due_at() else { break };
                let seconds = u64::try_from((due - clock.now()).0).unwrap_or(0);
                tokio::time::sleep(Duration::from_secs(seconds.max(1))).await;
            }
        };
        let (sent, ()) = futures::future::join(later, all).await;
        sent?;
        let dead = aws.light_queues().map_or_else(Vec::new, local::aws::queues::Queues::contents);
        let (log, far) = (work.log(), far.state());
        Ok(Drained {
            took: log.last.map_or(Duration::ZERO, |last| last - begun),
            done: log.done,
            quiet_waited: log.quiet_waited,
            busiest: far.busiest,
            refused: far.refused,
            repeated: log.repeated,
            dead: dead.iter().filter(|(name, _)| name.ends_with("-dead")).count(),
        })
    }

    async fn send(&self, sender: &QueueSender, shop: &str, messages: u32) -> Result<(), QueueError> {
        for n in 0..messages {
            let source = if self.fair { shop } else { "one" }.to_owned();
            let order_id = format!("{shop}-{n}");
            let event = format!("msg_{shop}_{n}");
            let body = Body::Order { source, order_id, version: None, event, sha256: None };
            sender.send(Queue::Orders, &Message::new("backlog", body), None).await?;
        }
        Ok(())
    }
}

/// What was seen while it was worked off.
#[derive(Default)]
struct Log {
    quiet_sent: Option<Instant>,
    quiet_waited: Duration,
    last: Option<Instant>,
    done: u32,
    repeated: u64,
}

/// One function's part.
struct Work {
    backlog: Backlog,
    stripe: StripeClient,
    log: Mutex<Log>,
}

impl Work {
    fn new(backlog: Backlog, stripe: StripeClient) -> Self {
        Self { backlog, stripe, log: Mutex::default() }
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn invocation(&self, records: Vec<Record>) -> Vec<String> {
        let deadline = Deadline::after(TIMEOUT);
        run_batch(records, CONCURRENCY, deadline, |delivery| self.message(delivery)).await
    }

    async fn message(&self, delivery: Delivery) -> Result<Disposition, StripeError> {
        let Body::Order { order_id, .. } = &delivery.message.body else {
            return Ok(Disposition::Reject("no message of this backlog"));
        };
        {
            let mut log = self.log();
            log.repeated += u64::from(delivery.receives > 1);
            if let Some(sent) = log.quiet_sent.filter(|_| order_id.starts_with(QUIET)) {
                log.quiet_waited = log.quiet_waited.max(sent.elapsed());
            }
        }
        tokio::time::sleep(SHOP_TAKES).await;
        let stripe = self.stripe.until(delivery.deadline);
        for call in 0..self.backlog.calls {
            let key = format!("{order_id}:{call}");
            stripe.exchange(Method::POST, "/v1/checkout/sessions", None, Some(&key)).await?;
        }
        let mut log = self.log();
        log.done += 1;
        log.last = Some(Instant::now());
        Ok(Disposition::Done)
    }
}

#[derive(Default)]
struct Requests {
    /// When those of the last second began, in milliseconds.
    asked: VecDeque<i64>,
    busiest: usize,
    /// When those of the last second were let through.
    passed: VecDeque<i64>,
    refused: u64,
}

/// Stripe that takes its time and refuses what goes beyond its limit.
struct Limited {
    clock: Clock,
    limit: usize,
    requests: Mutex<Requests>,
}

impl Limited {
    fn new(clock: Clock, limit: u32) -> Self {
        Self { clock, limit: usize::try_from(limit).unwrap_or(usize::MAX), requests: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one more passes now.
    fn asked(&self) -> bool {
        let now = self.clock.now_ms();
        let mut requests = self.state();
        requests.asked.push_back(now);
        requests.asked.retain(|at| now - at < 1_000);
        requests.busiest = requests.busiest.max(requests.asked.len());
        requests.passed.retain(|at| now - at < 1_000);
        let admits = requests.passed.len() < self.limit;
        if admits {
            requests.passed.push_back(now);
        } else {
            requests.refused += 1;
        }
        admits
    }
}

impl Http for Limited {
    fn send(&self, _: HttpRequest, _: Duration) -> SendFuture<'_> {
        Box::pin(async move {
            let admits = self.asked();
            tokio::time::sleep(STRIPE_TAKES).await;
            let mut answer = http::Response::new(Bytes::from_static(b"{\"id\":\"cs_test_1\"}"));
            if !admits {
                *answer.body_mut() = Bytes::from_static(b"{\"error\":{\"type\":\"invalid_request_error\"}}");
                *answer.status_mut() = http::StatusCode::TOO_MANY_REQUESTS;
                let reason = http::HeaderValue::from_static("global-rate");
                answer.headers_mut().insert("stripe-rate-limited-reason", reason);
            }
            Ok(answer)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Backlog =
        Backlog { noisy: 2_000, quiet: 10, concurrency: 5, calls: 2, limit: 100, fair: true };

    /// Within a twentieth, and two invocations for the begin and the end.
    fn fits(drained: Drained, backlog: Backlog) -> bool {
        let formula = backlog.formula();
        let slack = formula / 20 + backlog.invocation_takes() * 2;
        drained.took >= formula.saturating_sub(slack) && drained.took <= formula + slack
    }

    #[tokio::test(start_paused = true)]
    async fn a_backlog_drains_in_the_time_of_the_formula_and_a_quiet_shop_does_not_wait_for_it() {
        let drained = SMALL.drain().await.unwrap();
        assert!(fits(drained, SMALL), "{drained:?}, formula {:?}", SMALL.formula());
        assert_eq!((drained.done, drained.dead, drained.refused), (2_010, 0, 0), "{drained:?}");
        assert!(drained.busiest <= 100, "{drained:?}");
        // Every invocation that is under way ends once, and its place goes to the quiet shop.
        assert!(drained.quiet_waited <= SMALL.invocation_takes() * 2, "{drained:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_groups_the_quiet_shop_waits_for_the_whole_backlog() {
        let drained = Backlog { fair: false, ..SMALL }.drain().await.unwrap();
        assert!(drained.quiet_waited > SMALL.formula() / 2, "{drained:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn past_stripe_s_limit_messages_wait_and_none_is_lost() {
        let slow = Backlog { noisy: 600, limit: 25, ..SMALL };
        let drained = slow.drain().await.unwrap();
        assert_eq!((drained.done, drained.dead), (610, 0), "{drained:?}");
        assert!(drained.refused > 0 && drained.took >= slow.formula(), "{drained:?}");
    }
}
