//! `POST /webhooks/{source}`: a webhook's signature is checked over its raw bytes, one hint is queued, then it is answered.
//!
//! Invariant: a 2xx means the hint is queued or not needed. A refused request makes no call to AWS, save that a signature
//! which no secret matches lets the secrets be read again, at most once a minute, so that a rolled secret is found. A source
//! without a secret answers 5xx, so that its sender repeats; the others are not held up by it.

use std::sync::Arc;

use shared::aws::{self, SdkConfig};
use shared::clock::Clock;
use shared::config::{Config, Source};
use shared::domain::ids::Function;
use shared::inbound::shop::{Delivery, Proven};
use shared::inbound::{self, BadWebhookSecret, Reading, Refusal, WebhookSecret};
use shared::lambda::{Error, HttpEvent, HttpReply};
use shared::queue::{Body, Message, Queue, QueueError, QueueSender};
use shared::secrets::{SecretError, Secrets};
use shared::telemetry::{Id, Metrics, Scrubbed, correlation_id, event};

/// What the receiver works with.
#[derive(Clone, Debug)]
pub struct Deps {
    config: Arc<Config>,
    secrets: Secrets,
    queue: QueueSender,
    clock: Clock,
    metrics: Metrics,
}

/// Why a source's secrets cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Not readable, missing or weak.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Readable, but no webhook secret.
    #[error("webhook secret {name} is refused: {reason}")]
    Webhook {
        /// Its name.
        name: String,
        /// What is wrong.
        reason: BadWebhookSecret,
    },
}

impl LoadError {
    /// Whether it is not there, or not readable now: it may be, later.
    fn is_absent(&self) -> bool {
        matches!(self, Self::Secret(SecretError::Missing { .. } | SecretError::Store { .. }))
    }
}

impl Deps {
    /// From the function's environment. Refuses to start on a bad setting, a missing queue, a weak secret, or when no source
    /// has one.
    pub async fn from_env(sdk: &SdkConfig) -> Result<Self, Error> {
        let config = Config::from_env()?;
        for queue in [Queue::Orders, Queue::Payments, Queue::Refunds] {
            config.resources.queue_url(queue)?;
        }
        let secrets = Secrets::new(&config.secrets, sdk, Clock::System);
        let queue = QueueSender::new(aws::sqs(sdk), &config.resources, config.has_several_shops());
        let metrics = Metrics::stdout(Function::WebhookReceiver, &config.stack, Clock::System);
        let deps = Self { metrics, ..Self::new(Arc::new(config), secrets, queue, Clock::System) };
        let checked = deps.check_secrets().await;
        deps.metrics.flush();
        checked?;
        Ok(deps)
    }

    /// From parts: the local stack and tests. Metrics stay in memory.
    pub fn new(config: Arc<Config>, secrets: Secrets, queue: QueueSender, clock: Clock) -> Self {
        Self { config, secrets, queue, clock, metrics: Metrics::held(Function::WebhookReceiver) }
    }

    /// What was counted.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Loads every source's secrets once, so that a weak or missing one is found at start. A weak one refuses; a missing one
    /// is said and counted, and refuses only if no source has any.
    pub async fn check_secrets(&self) -> Result<(), LoadError> {
        let (mut usable, mut absent) = (0, None);
        for (source_name, source) in &self.config.sources {
            for name in source.webhook_secrets() {
                match self.secret(source, name).await {
                    Ok(_) => usable += 1,
                    Err(error) if error.is_absent() => {
                        self.without_secret(source_name, &error);
                        absent = Some(error);
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        match absent {
            Some(error) if usable == 0 => Err(error),
            _ => Ok(()),
        }
    }

    /// A person must look: the source, or one of its secrets, is out of use.
    fn without_secret(&self, source: &str, error: &LoadError) {
        let text = error.to_string();
        event!(error, "a source is without a secret", source = Id(source), error = Scrubbed(&text));
        self.metrics.count("NoSecret", &[("Source", source)]);
    }

    async fn secret(&self, source: &Source, name: &str) -> Result<WebhookSecret, LoadError> {
        let text = self.secrets.get(name).await?;
        inbound::secret(source, &text).map_err(|reason| LoadError::Webhook { name: name.to_owned(), reason })
    }

    /// The secrets that may sign for `source`. An old one that was deleted while the function ran is left out, as long as
    /// one is there.
    async fn secrets_of(&self, source: &Source) -> Result<Vec<WebhookSecret>, LoadError> {
        let (mut loaded, mut missing) = (Vec::new(), None);
        for name in source.webhook_secrets() {
            match self.secret(source, name).await {
                Ok(secret) => loaded.push(secret),
                Err(error @ LoadError::Secret(SecretError::Missing { .. })) => missing = Some(error),
                Err(error) => return Err(error),
            }
        }
        match missing {
            Some(error) if loaded.is_empty() => Err(error),
            _ => Ok(loaded),
        }
    }

    /// Reads the secrets again after a signature that none matched. True if one has changed.
    async fn refresh(&self, source: &Source) -> bool {
        let mut changed = false;
        for name in source.webhook_secrets() {
            changed |= self.secrets.refresh(name).await.unwrap_or(false);
        }
        changed
    }
}

/// Answers one webhook.
pub async fn handle(deps: &Deps, request: HttpEvent) -> HttpReply {
    let reply = answer(deps, &request).await;
    deps.metrics.flush();
    reply
}

async fn answer(deps: &Deps, request: &HttpEvent) -> HttpReply {
    if let Some(over) = request.over_limit() {
        deps.metrics.count("Refused", &[("Reason", "size")]);
        return over;
    }
    let (name, path_secret) = match request.segments()[..] {
        ["webhooks", name] => (name, None),
        ["webhooks", name, secret] => (name, Some(secret)),
        _ => return HttpReply::status(404),
    };
    let Some((name, source)) = deps.config.sources.get_key_value(name) else {
        return HttpReply::status(404);
    };
    let in_path = matches!(source, Source::Shop(shop) if inbound::shop::secret_in_path(&shop.system));
    if path_secret.is_some() != in_path {
        return HttpReply::status(404);
    }
    let incoming = Incoming { request, path_secret };
    if request.method != "POST" {
        return HttpReply::status(405).with("allow", "POST");
    }
    match verify(deps, source, incoming).await {
        Ok(Verdict::Good(Proven::Sender)) => {}
        Ok(Verdict::Good(Proven::Ping)) => {
            deps.metrics.count("Pings", &[("Source", name)]);
            return accepted();
        }
        Ok(Verdict::Refused(refusal)) => {
            deps.metrics.count("Refused", &[("Reason", refusal.word())]);
            event!(warn, "webhook refused", source = Id(name), reason = refusal.word());
            return HttpReply::status(400);
        }
        Err(error) => {
            deps.without_secret(name, &error);
            deps.metrics.count("Unavailable", &[("Source", name)]);
            return HttpReply::status(503).with("retry-after", "30");
        }
    }
    deliver(deps, name, read(source, incoming)).await
}

/// A request to a source that exists.
#[derive(Clone, Copy)]
struct Incoming<'a> {
    request: &'a HttpEvent,
    path_secret: Option<&'a str>,
}

impl<'a> Incoming<'a> {
    /// Hands the delivery of an order system to `f`.
    fn delivery<T>(self, f: impl FnOnce(&Delivery<'_>) -> T) -> T {
        let header = |name: &str| self.request.header(name);
        f(&Delivery { header: &header, path_secret: self.path_secret, body: &self.request.body })
    }
}

enum Verdict {
    Good(Proven),
    Refused(Refusal),
}

async fn verify(deps: &Deps, source: &Source, incoming: Incoming<'_>) -> Result<Verdict, LoadError> {
    let first = check(source, incoming, &deps.secrets_of(source).await?, deps);
    let refusal = match first {
        Ok(proven) => return Ok(Verdict::Good(proven)),
        Err(refusal) => refusal,
    };
    if refusal == Refusal::Mismatch && deps.refresh(source).await {
        let again = check(source, incoming, &deps.secrets_of(source).await?, deps);
        return Ok(again.map_or_else(Verdict::Refused, Verdict::Good));
    }
    Ok(Verdict::Refused(refusal))
}

fn check(
    source: &Source,
    incoming: Incoming<'_>,
    secrets: &[WebhookSecret],
    deps: &Deps,
) -> Result<Proven, Refusal> {
    let (request, now) = (incoming.request, deps.clock.now());
    match source {
        Source::Stripe(_) => {
            let signature = request.header("stripe-signature").ok_or(Refusal::Header)?;
            inbound::stripe::verify(signature, &request.body, secrets, now).map(|()| Proven::Sender)
        }
        Source::Shop(shop) => incoming.delivery(|d| inbound::shop::verify(shop, d, secrets, now)),
    }
}

fn read(source: &Source, incoming: Incoming<'_>) -> Reading {
    match source {
        Source::Stripe(source) => inbound::stripe::read(source, &incoming.request.body),
        Source::Shop(shop) => incoming.delivery(|d| inbound::shop::read(shop, d)),
    }
}

/// One send at most, then the answer.
async fn deliver(deps: &Deps, source: &str, reading: Reading) -> HttpReply {
    let count = |metric| deps.metrics.count(metric, &[("Source", source)]);
    let (queue, body, event, metric) = match reading {
        Reading::Hint { queue, body, event } => (queue, body, event, "Accepted"),
        Reading::Parked { queue, body } => {
            let event = match &body {
                Body::Parked { event: Some(event), .. } => event.clone(),
                Body::Parked { sha256, .. } => sha256.clone(),
                _ => String::new(),
            };
            (queue, body, event, "Parked")
        }
        Reading::Unused => {
            count("Unused");
            return accepted();
        }
        // An error would make the sender repeat it for days.
        Reading::WrongWorld => {
            count("WrongWorld");
            event!(warn, "webhook of another account or mode", source = Id(source));
            return accepted();
        }
    };
    let corr = correlation_id(&format!("{source}/{event}"));
    match deps.queue.send(queue, &Message::new(&corr, body), None).await {
        Ok(()) => {
            count(metric);
            event!(
                info,
                "webhook queued",
                source = Id(source),
                event.id = Id(&event),
                corr = Id(&corr),
                queue = queue,
                outcome = metric
            );
            accepted()
        }
        Err(error) => {
            count("Unavailable");
            log_failure(source, &event, &corr, &error);
            HttpReply::status(503).with("retry-after", "30")
        }
    }
}

fn accepted() -> HttpReply {
    HttpReply::status(200)
}

fn log_failure(source: &str, event: &str, corr: &str, error: &QueueError) {
    let text = error.to_string();
    event!(
        error,
        "webhook not queued",
        source = Id(source),
        event.id = Id(event),
        corr = Id(corr),
        error = Scrubbed(&text)
    );
}
