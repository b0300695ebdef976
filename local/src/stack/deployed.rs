//! A stack that was deployed to an emulator of AWS, in the place of the functions of this process: queues, timers and functions
//! are there; buyers, Stripe and the shop are here.
//!
//! Invariant: only loopback is spoken to. One clock: the emulator and its functions read theirs from a file that is written
//! whenever ours is moved.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use aws_sdk_sqs::config::Credentials;
use aws_sdk_sqs::types::QueueAttributeName;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use shared::domain::ids::Function;
use shared::domain::time::{Seconds, UnixTime};
use shared::lambda::Deadline;
use shared::queue::Queue;

use super::{Error, Stack};
use crate::aws::Answer;

/// Between two looks at the queues.
const PULSE: Duration = Duration::from_millis(300);
/// The stack rests when so many looks in a row saw nothing: a function that was invoked may be about to send.
const LOOKS: u32 = 3;
/// What is hidden longer comes back when the clock is moved.
const PATIENCE: Duration = Duration::from_secs(30);
/// The emulator looks for due schedules every 10 seconds; a busy machine makes it more.
const SCHEDULES_FIRE: Duration = Duration::from_secs(120);
/// A recurring schedule that a moved clock made due has fired after this: it is not deleted, so nothing shows it.
const RECURRING_FIRE: Duration = Duration::from_secs(25);

/// Where the deployed stack is.
#[derive(Debug, Deserialize)]
pub struct Deployed {
    /// The emulator's address, `https://127.0.0.1:PORT`.
    pub aws: String,
    /// Base of the deployed API, without a trailing slash.
    pub api: String,
    /// Where the stack was told that Stripe is.
    pub stripe_port: u16,
    /// Where the stack was told that the shop is.
    pub shop_port: u16,
    /// Holds the emulator's time as `+SECONDS` past the machine's (libfaketime's file).
    pub clock: PathBuf,
    /// The stack's description: `TANDEM_*` variables and values.
    #[serde(skip)]
    pub names: BTreeMap<String, String>,
    /// Whose the calls of this process are: an operator's, not a function's.
    #[serde(skip)]
    pub signer: Option<Credentials>,
    #[serde(skip)]
    moved: AtomicI64,
    /// The clock was moved, and what became due by that may not have fired yet.
    #[serde(skip)]
    unfired: AtomicBool,
}

/// What a reconciliation said.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Orders compared.
    pub orders: u64,
    /// The exceptions' kinds.
    pub kinds: Vec<String>,
    /// The exceptions in full.
    pub texts: Vec<String>,
}

impl Deployed {
    /// Moves the emulator's clock with ours.
    pub(super) fn jump(&self, span: Seconds) -> Result<(), Error> {
        let moved = self.moved.fetch_add(span.0, Ordering::Relaxed) + span.0;
        // Written beside and renamed: it is read at every look at the clock.
        let beside = self.clock.with_extension("new");
        std::fs::write(&beside, format!("+{moved}\n"))?;
        std::fs::rename(&beside, &self.clock)?;
        self.unfired.store(true, Ordering::Relaxed);
        Ok(())
    }
}

impl Stack {
    /// One run of the reconciler, deployed or here, over the days from `from` to today.
    pub async fn reconciled(&self, from: UnixTime) -> Result<Found, Error> {
        if let Some(far) = &self.deployed {
            return self.reconcile_deployed(far, from).await;
        }
        let report = self.reconcile(from).await?;
        let kinds = report.exceptions.iter().map(|e| e.kind.name().to_owned()).collect();
        let texts = report.exceptions.iter().map(|e| format!("{e:?}")).collect();
        Ok(Found { orders: report.orders.into(), kinds, texts })
    }

    /// Waits until the deployed sweeper has run for the last time that was skipped: it would mend what is about to be planted. Its
    /// next run is five minutes away.
    pub(crate) async fn recurring_fired(&self) -> Result<(), Error> {
        if let Some(far) = &self.deployed {
            tokio::time::sleep(RECURRING_FIRE).await;
            self.settle_deployed(far).await?;
        }
        Ok(())
    }

    /// Waits until webhooks are delivered and the deployed queues are empty.
    pub(super) async fn settle_deployed(&self, far: &Deployed) -> Result<(), Error> {
        if far.unfired.swap(false, Ordering::Relaxed) {
            self.schedules_fire().await?;
        }
        let patience = Deadline::after(PATIENCE);
        let mut looks = 0;
        while looks < LOOKS {
            let mut moved = self.sim.deliver_due(self.http.as_ref()).await;
            for shop in self.shops() {
                moved += shop.deliver_due(self.http.as_ref()).await;
            }
            let (waiting, hidden) = self.held().await?;
            looks = if moved + waiting + hidden == 0 { looks + 1 } else { 0 };
            if patience.remaining().is_zero() && looks == 0 {
                if waiting > 0 {
                    return Err("the deployed queues do not come to rest".into());
                }
                return Ok(());
            }
            tokio::time::sleep(PULSE).await;
        }
        Ok(())
    }

    /// Waits until no one-time schedule is overdue: each is deleted once it has fired.
    async fn schedules_fire(&self) -> Result<(), Error> {
        let patience = Deadline::after(SCHEDULES_FIRE);
        loop {
            let Some(overdue) = self.overdue().await? else { return Ok(()) };
            if patience.remaining().is_zero() {
                return Err(format!("the deployed schedule {overdue} is due and does not fire").into());
            }
            tokio::time::sleep(PULSE).await;
        }
    }

    /// A one-time schedule whose moment has passed.
    async fn overdue(&self) -> Result<Option<String>, Error> {
        let scheduler = shared::aws::scheduler(&self.aws.sdk_config());
        let group = self.config.resources.schedule_group.as_str();
        let mut pages = scheduler.list_schedules().group_name(group).into_paginator().items().send();
        let now = self.clock.now();
        while let Some(listed) = pages.next().await {
            let name = listed?.name.unwrap_or_default();
            let read = scheduler.get_schedule().group_name(group).name(&name).send().await;
            // Listed a moment ago, it may have fired since.
            if read
                .as_ref()
                .is_err_and(|e| e.as_service_error().is_some_and(|e| e.is_resource_not_found_exception()))
            {
                continue;
            }
            // The template's own schedules return; only ours have one moment.
            let expression = read?.schedule_expression.unwrap_or_default();
            let Some(at) = expression.strip_prefix("at(").and_then(|e| e.strip_suffix(')')) else { continue };
            let at = UnixTime::parse(&format!("{at}Z"));
            if at.ok_or_else(|| format!("{name} has no moment: {expression:?}"))? <= now {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// Messages of all work queues: visible, and being worked on or hidden after a failure.
    async fn held(&self) -> Result<(usize, usize), Error> {
        let sqs = shared::aws::sqs(&self.aws.sdk_config());
        let (mut waiting, mut hidden) = (0, 0);
        for queue in Queue::ALL {
            let url = self.config.resources.queue_urls.get(queue.name());
            let url =
                url.ok_or_else(|| format!("the stack's description names no queue {}", queue.name()))?;
            let call = sqs.get_queue_attributes().queue_url(url);
            let answer = call.attribute_names(QueueAttributeName::All).send().await?;
            let attributes = answer.attributes.unwrap_or_default();
            let count = |name| attributes.get(&name).and_then(|n: &String| n.parse::<usize>().ok());
            waiting += count(QueueAttributeName::ApproximateNumberOfMessages).unwrap_or(0);
            hidden += count(QueueAttributeName::ApproximateNumberOfMessagesNotVisible).unwrap_or(0);
        }
        Ok((waiting, hidden))
    }

    /// Invokes a deployed function and waits for its end.
    pub(super) async fn invoke(&self, far: &Deployed, me: Function, event: &Value) -> Result<(), Error> {
        let name = format!("{}-{}", self.config.stack, me.name());
        let request = http::Request::post(format!("{}/2015-03-31/functions/{name}/invocations", far.aws))
            .body(Bytes::from(event.to_string()))?;
        let answer = self.emulator("lambda", request).await?;
        let failed = answer.headers().contains_key("x-amz-function-error");
        if failed || !answer.status().is_success() {
            let said = String::from_utf8_lossy(answer.body());
            return Err(format!("{name} ended with {}: {said}", answer.status()).into());
        }
        Ok(())
    }

    /// One run of the deployed sweeper.
    pub(super) async fn sweep_deployed(&self, far: &Deployed) -> Result<(), Error> {
        let now = self.clock.now().to_string();
        self.invoke(far, Function::Sweeper, &json!({ "time": now, "detail": {} })).await
    }

    /// One run of the deployed reconciler, and the report that it wrote last.
    pub(super) async fn reconcile_deployed(&self, far: &Deployed, from: UnixTime) -> Result<Found, Error> {
        let (from, to) = (from.date(), self.clock.now().date());
        let event = json!({ "time": self.clock.now().to_string(), "detail": { "from": from, "to": to } });
        self.invoke(far, Function::Reconciler, &event).await?;
        let bucket = format!("{}/{}", far.aws, self.config.resources.reports_bucket);
        let listing = self.read(&format!("{bucket}?list-type=2&prefix=reports/{to}/")).await?;
        let listing = String::from_utf8_lossy(&listing).into_owned();
        let part = |text: &str, tag: &str| {
            let (_, rest) = text.split_once(&format!("<{tag}>"))?;
            rest.split_once(&format!("</{tag}>")).map(|(part, _)| part.to_owned())
        };
        let newest = listing
            .split("<Contents>")
            .filter_map(|entry| Some((part(entry, "LastModified")?, part(entry, "Key")?)))
            .filter(|(_, key)| key.ends_with(".json"))
            .max()
            .ok_or("the deployed reconciler wrote no report")?;
        let report: Value = serde_json::from_slice(&self.read(&format!("{bucket}/{}", newest.1)).await?)?;
        let exceptions = report["exceptions"].as_array().cloned().unwrap_or_default();
        let kinds = exceptions.iter().map(|e| e["kind"].as_str().unwrap_or_default().to_owned()).collect();
        let orders = report["orders"].as_u64().ok_or("the report counts no orders")?;
        Ok(Found { orders, kinds, texts: exceptions.iter().map(Value::to_string).collect() })
    }

    async fn read(&self, url: &str) -> Result<Bytes, Error> {
        let answer = self.emulator("s3", http::Request::get(url).body(Bytes::new())?).await?;
        if !answer.status().is_success() {
            return Err(format!("{url}: {}", answer.status()).into());
        }
        Ok(answer.into_body())
    }

    /// What no SDK of ours asks for.
    async fn emulator(&self, service: &str, request: http::Request<Bytes>) -> Result<Answer, Error> {
        let (parts, body) = request.into_parts();
        let asked = self.aws.foreign().call(service, self.aws.system_time(), parts, body).await;
        asked.map_err(|_| format!("{service} is not on the emulator").into())
    }
}
