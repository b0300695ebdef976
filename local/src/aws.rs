//! AWS in this process, beneath the real SDK: its HTTP requests are answered by embedded emulators and small doubles.
//!
//! Invariant: nothing here opens a socket but `foreign`, and that only if it is asked for. Every call is counted under the
//! function that made it and passes the fault seam, so that a test can break any single one.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider, StalledStreamProtectionConfig};
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_async::time::{SharedTimeSource, TimeSource};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest as SdkRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use shared::clock::Clock;
use shared::domain::time::UnixTime;

pub mod dynamodb;
pub mod foreign;
pub mod io;
mod provision;
pub mod queues;
pub mod s3;
pub mod scheduler;
pub mod sqs;
pub mod ssm;
pub mod units;

pub use foreign::Foreign;
pub use io::{Call, Faults, IoCounts, IoLabel, NoFaults};
pub use provision::{
    CASES_INDEX, DAY_INDEX, DUE_INDEX, FOREIGN_VISIBILITY_SECONDS, MAX_RECEIVES, VISIBILITY_SECONDS,
    create_queue, create_tables,
};

/// The region all embedded services say they are in.
pub const REGION: &str = "eu-central-1";
/// The account they say they belong to.
pub const ACCOUNT: &str = "000000000000";

/// An answer with its whole body, as the emulators give it.
pub type Answer = http::Response<Bytes>;

/// The embedded AWS. Cheap to clone; clones share all state.
#[derive(Clone)]
pub struct EmbeddedAws(Arc<Inner>);

struct Inner {
    clock: Clock,
    dynamodb: dynamodb::DynamoDb,
    sqs: sqs::Sqs,
    queues: Option<queues::Queues>,
    scheduler: scheduler::Scheduler,
    s3: s3::S3,
    ssm: ssm::Ssm,
    foreign: Foreign,
    counts: io::Counter,
    units: units::Meter,
    faults: std::sync::RwLock<Arc<dyn Faults>>,
}

impl fmt::Debug for EmbeddedAws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EmbeddedAws")
    }
}

/// The embedded AWS could not start or be set up.
#[derive(Debug, thiserror::Error)]
#[error("embedded AWS: {what}: {why}")]
pub struct AwsError {
    what: String,
    why: String,
}

impl AwsError {
    pub(crate) fn new(what: impl Into<String>, why: impl fmt::Debug) -> Self {
        Self { what: what.into(), why: format!("{why:?}") }
    }

    /// The same, with the reason in words.
    pub(crate) fn said(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { what: what.into(), why: why.into() }
    }
}

/// The SDK's view of the one clock (it signs with it and measures skew by it).
#[derive(Clone, Debug)]
struct SdkTime(Clock);

impl TimeSource for SdkTime {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(u64::try_from(self.0.now_ms()).unwrap_or(0))
    }
}

impl EmbeddedAws {
    /// Empty services whose time is `clock`. Must be called inside a tokio runtime.
    pub fn new(clock: Clock) -> Result<Self, AwsError> {
        Self::build(clock, None, Foreign::default())
    }

    /// The same with the queues of [`queues`], for runs that move the clock by days.
    pub fn with_light_queues(clock: Clock) -> Result<Self, AwsError> {
        let queues = queues::Queues::new(clock.clone());
        Self::build(clock, Some(queues), Foreign::default())
    }

    /// The same, but for what `foreign` takes the place of.
    pub fn beside(clock: Clock, foreign: Foreign) -> Result<Self, AwsError> {
        Self::build(clock, None, foreign)
    }

    fn build(clock: Clock, queues: Option<queues::Queues>, foreign: Foreign) -> Result<Self, AwsError> {
        Ok(Self(Arc::new(Inner {
            dynamodb: dynamodb::DynamoDb::new(clock.clone())?,
            sqs: sqs::Sqs::new(),
            queues,
            scheduler: scheduler::Scheduler::default(),
            s3: s3::S3::default(),
            ssm: ssm::Ssm::default(),
            foreign,
            counts: io::Counter::default(),
            units: units::Meter::default(),
            faults: std::sync::RwLock::new(Arc::new(NoFaults)),
            clock,
        })))
    }

    /// What every SDK client is built from.
    pub fn sdk_config(&self) -> SdkConfig {
        let credentials = Credentials::new("local", "local-is-not-a-secret", None, None, "tandem-local");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::from_static(REGION))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .retry_config(RetryConfig::standard())
            .timeout_config(TimeoutConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .http_client(self.clone())
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .time_source(SharedTimeSource::new(SdkTime(self.0.clock.clone())))
            .build()
    }

    /// Which services are not embedded.
    pub fn foreign(&self) -> &Foreign {
        &self.0.foreign
    }

    /// The time of the one clock, as signatures carry it.
    pub(crate) fn system_time(&self) -> SystemTime {
        SdkTime(self.0.clock.clone()).now()
    }

    /// The clock all services follow.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// From now on every call passes `faults`.
    pub fn set_faults(&self, faults: Arc<dyn Faults>) {
        *self.0.faults.write().unwrap_or_else(std::sync::PoisonError::into_inner) = faults;
    }

    /// What calls pass now.
    pub(crate) fn faults(&self) -> Arc<dyn Faults> {
        Arc::clone(&self.0.faults.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Calls so far by function, service and operation.
    pub fn io_counts(&self) -> IoCounts {
        self.0.counts.snapshot()
    }

    /// Counts capacity units from now on.
    pub fn count_units(&self) {
        self.0.units.start();
    }

    /// Half capacity units so far, by label, since they are counted.
    pub fn half_units(&self) -> units::HalfUnits {
        self.0.units.snapshot()
    }

    /// The scheduler double: what is due, and what comes next.
    pub fn scheduler(&self) -> &scheduler::Scheduler {
        &self.0.scheduler
    }

    /// The embedded tables.
    pub fn dynamodb(&self) -> &dynamodb::DynamoDb {
        &self.0.dynamodb
    }

    /// The embedded queues: they can rest while the clock jumps.
    pub fn sqs(&self) -> &sqs::Sqs {
        &self.0.sqs
    }

    /// The light queues, if these serve.
    pub fn light_queues(&self) -> Option<&queues::Queues> {
        self.0.queues.as_ref()
    }

    /// The object store: reports are read from here by the demo.
    pub fn s3(&self) -> &s3::S3 {
        &self.0.s3
    }

    /// The parameter store: the stack puts its secrets here.
    pub fn ssm(&self) -> &ssm::Ssm {
        &self.0.ssm
    }

    /// Answers a request that came over a port. DynamoDB, SQS and SSM only: their requests name the operation.
    pub async fn handle(&self, request: http::Request<Bytes>) -> Answer {
        let (parts, body) = request.into_parts();
        let label = label_of(&parts, &body);
        self.0.counts.count(&label);
        self.route(&label, parts, body).await
    }

    async fn dispatch(&self, request: SdkRequest) -> Result<Answer, ConnectorError> {
        let request = request.try_into_http1x().map_err(|e| ConnectorError::user(e.into()))?;
        let (parts, body) = request.into_parts();
        let body = collect(body).await?;
        let label = label_of(&parts, &body);
        self.0.counts.count(&label);
        let (this, kept, sent) = (self.clone(), label.clone(), body.clone());
        let effect = Box::pin(async move { this.route(&kept, parts, body).await });
        self.faults().around(io::Call { label: &label, path: "", body: &sent }, effect).await
    }

    async fn route(&self, label: &IoLabel, parts: http::request::Parts, body: Bytes) -> Answer {
        let inner = &self.0;
        let (parts, body) = match inner.foreign.call(label.service, self.system_time(), parts, body).await {
            Ok(answer) => return answer,
            Err(embedded) => embedded,
        };
        match label.service {
            "dynamodb" => {
                let answer = inner.dynamodb.call(&label.operation, &inner.units.asking(body));
                inner.units.note(label, &answer);
                answer
            }
            "sqs" => match &inner.queues {
                Some(queues) => queues.call(&label.operation, &body).await,
                None => inner.sqs.call(&parts.headers, body).await,
            },
            "ssm" => inner.ssm.call(&label.operation, &body, inner.clock.now()),
            "scheduler" => inner.scheduler.call(&parts, &body, inner.clock.now()),
            _ => inner.s3.call(&parts, &body, inner.clock.now()),
        }
    }
}

async fn collect(body: SdkBody) -> Result<Bytes, ConnectorError> {
    if let Some(bytes) = body.bytes() {
        return Ok(Bytes::copy_from_slice(bytes));
    }
    body.collect().await.map(http_body_util::Collected::to_bytes).map_err(|e| ConnectorError::other(e, None))
}

/// Which operation of which service a request is: the protocols with `x-amz-target` say so, the REST ones by host.
fn label_of(parts: &http::request::Parts, body: &[u8]) -> IoLabel {
    let target = parts.headers.get("x-amz-target").and_then(|v| v.to_str().ok()).unwrap_or_default();
    if let Some((service, operation)) = target.split_once('.') {
        let service = match service {
            "AmazonSQS" => "sqs",
            "AmazonSSM" => "ssm",
            _ => "dynamodb",
        };
        return IoLabel::new(service, operation).named_by(body);
    }
    let host = parts.uri.host().unwrap_or_default();
    if host.starts_with("scheduler.") {
        return IoLabel::new("scheduler", scheduler::operation(&parts.method, parts.uri.path()));
    }
    IoLabel::new("s3", s3::operation(parts))
}

impl HttpConnector for EmbeddedAws {
    fn call(&self, request: SdkRequest) -> HttpConnectorFuture {
        let this = self.clone();
        HttpConnectorFuture::new(async move {
            let answer = this.dispatch(request).await?;
            answer
                .map(SdkBody::from)
                .try_into()
                .map_err(|e: aws_smithy_runtime_api::http::HttpError| ConnectorError::user(e.into()))
        })
    }
}

impl HttpClient for EmbeddedAws {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

/// A JSON answer in the shape of AWS's JSON protocols.
pub(crate) fn json_answer(status: u16, body: &serde_json::Value) -> Answer {
    answer(status, "application/x-amz-json-1.1", Bytes::from(body.to_string()))
}

/// An error in the shape of AWS's JSON protocols, both the header and the body naming its type.
pub(crate) fn error_answer(status: u16, kind: &str, message: &str) -> Answer {
    let mut answer =
        json_answer(status, &serde_json::json!({"__type": kind, "message": message, "Message": message}));
    if let Ok(value) = http::HeaderValue::from_str(kind) {
        answer.headers_mut().insert("x-amzn-errortype", value);
    }
    answer
}

pub(crate) fn answer(status: u16, content_type: &'static str, body: Bytes) -> Answer {
    let mut answer = http::Response::new(body);
    *answer.status_mut() =
        http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    answer
}

/// The value of `name` in a request's query, percent-decoded.
pub(crate) fn query_value(uri: &http::Uri, name: &str) -> Option<String> {
    uri.query()?.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then(|| percent_decode(value))
    })
}

/// Percent-decodes a part of a URI.
pub(crate) fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let hex = (bytes[i] == b'%')
            .then(|| text.get(i + 1..i + 3).and_then(|h| u8::from_str_radix(h, 16).ok()))
            .flatten();
        out.push(hex.unwrap_or(if bytes[i] == b'+' { b' ' } else { bytes[i] }));
        i += if hex.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// RFC 3339 in UTC of a time, for answers that carry one.
pub(crate) fn rfc3339(time: UnixTime) -> String {
    time.to_string()
}

#[cfg(test)]
mod tests;
