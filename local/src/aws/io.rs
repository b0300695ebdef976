//! What passes between the SDK and the embedded services: a label per call, counts, and the seam for faults.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::result::ConnectorError;
use bytes::Bytes;
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;
use shared::domain::ids::Function;
use shared::outbound::http::{HttpResponse, SendError};

use super::{Answer, error_answer};
use crate::pump::CURRENT_FUNCTION;

/// One kind of call: who makes which operation of which service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IoLabel {
    /// The function that is running, if the call belongs to one.
    pub function: Option<Function>,
    /// `dynamodb`, `sqs`, `scheduler`, `s3`, `ssm`; over HTTP `stripe`, `shop`, `other`.
    pub service: &'static str,
    /// The operation, e.g. `UpdateItem` or `POST /v1/refunds`.
    pub operation: String,
    /// On what, as far as the request says: a table, `table/index/name`, a queue, a secret.
    pub resource: Option<String>,
}

impl IoLabel {
    /// A call made now, by whatever function is running now.
    pub fn new(service: &'static str, operation: &str) -> Self {
        let function = CURRENT_FUNCTION.try_with(|f| *f).ok();
        Self { function, service, operation: operation.to_owned(), resource: None }
    }

    /// The same call, with the resource that its JSON body names.
    #[must_use]
    pub(crate) fn named_by(mut self, body: &[u8]) -> Self {
        let named: Named<'_> = serde_json::from_slice(body).unwrap_or_default();
        self.resource = match (named.table, named.index, named.queue, named.name) {
            (Some(table), Some(index), ..) => Some(format!("{table}/index/{index}")),
            (Some(table), ..) => Some(table.into_owned()),
            (_, _, Some(url), _) => url.rsplit('/').next().map(str::to_owned),
            (.., name) => name.map(Cow::into_owned),
        };
        self
    }
}

impl fmt::Display for IoLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let function = self.function.map_or("-", Function::name);
        write!(f, "{function} {} {}", self.service, self.operation)?;
        self.resource.as_ref().map_or(Ok(()), |resource| write!(f, " {resource}"))
    }
}

/// The fields by which the JSON protocols name what a call is about.
#[derive(Default, Deserialize)]
struct Named<'a> {
    #[serde(rename = "TableName", borrow, default)]
    table: Option<Cow<'a, str>>,
    #[serde(rename = "IndexName", borrow, default)]
    index: Option<Cow<'a, str>>,
    #[serde(rename = "QueueUrl", borrow, default)]
    queue: Option<Cow<'a, str>>,
    #[serde(rename = "Name", borrow, default)]
    name: Option<Cow<'a, str>>,
}

/// Calls by label.
pub type IoCounts = BTreeMap<IoLabel, u64>;

#[derive(Debug, Default)]
pub(crate) struct Counter(Mutex<IoCounts>);

impl Counter {
    pub(crate) fn count(&self, label: &IoLabel) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(label.clone()).or_default() += 1;
    }

    pub(crate) fn snapshot(&self) -> IoCounts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What was counted since `before` was taken.
pub fn since(before: &IoCounts, after: &IoCounts) -> IoCounts {
    after
        .iter()
        .map(|(label, n)| (label.clone(), n - before.get(label).copied().unwrap_or_default()))
        .filter(|(_, n)| *n > 0)
        .collect()
}

/// The call itself, not yet begun. It owns all it needs: dropped unpolled it never happens, kept and polled later it
/// happens late.
pub type Effect = BoxFuture<'static, Answer>;
/// The same of a call over the HTTP seam, which may fail by itself.
pub type HttpEffect = BoxFuture<'static, Result<HttpResponse, SendError>>;

/// A call that is about to be made.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// What kind of call.
    pub label: &'a IoLabel,
    /// Its path and query; empty for AWS.
    pub path: &'a str,
    /// The request's body.
    pub body: &'a Bytes,
}

/// Where calls can be made to fail: before the effect, after it, slowly, or late. Both seams pass here: AWS and HTTP.
pub trait Faults: Send + Sync {
    /// Decides what becomes of one call to AWS.
    fn around<'a>(&'a self, _: Call<'a>, effect: Effect) -> BoxFuture<'a, Result<Answer, ConnectorError>> {
        Box::pin(async move { Ok(effect.await) })
    }

    /// Decides what becomes of one call over the HTTP seam. `timeout` is the caller's.
    fn around_http<'a>(
        &'a self,
        _: Call<'a>,
        _timeout: Duration,
        effect: HttpEffect,
    ) -> BoxFuture<'a, Result<HttpResponse, SendError>> {
        effect
    }
}

/// Everything works.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFaults;

impl Faults for NoFaults {}

/// The connection broke: the caller cannot know whether the effect happened.
pub fn reset() -> ConnectorError {
    ConnectorError::io("connection reset by an injected fault".into())
}

/// The service refused for load; the effect did not happen.
pub fn throttled(service: &str) -> Answer {
    let kind =
        if service == "dynamodb" { "ProvisionedThroughputExceededException" } else { "ThrottlingException" };
    error_answer(400, kind, "rate exceeded (injected)")
}

/// The service failed inside.
pub fn internal_error() -> Answer {
    let mut answer = error_answer(500, "InternalServerError", "internal error (injected)");
    *answer.body_mut() = json!({"__type": "InternalServerError"}).to_string().into();
    answer
}
