//! SQS: an embedded emulator on tokio's clock, so that visibility and delays follow a paused runtime.
//!
//! Each of its queues ticks every second of that clock and makes up for a jump tick by tick, which would cost seconds
//! per day jumped. So before a long jump the empty queues rest: they are deleted and made again afterwards.

pub(super) mod limits;

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use rustack_sqs_core::config::SqsConfig;
use rustack_sqs_core::handler::RustackSqsHandler;
use rustack_sqs_core::provider::RustackSqs;
use rustack_sqs_http::body::SqsResponseBody;
use rustack_sqs_http::dispatch::SqsHandler as _;
use rustack_sqs_http::response::error_to_response;
use rustack_sqs_http::router::resolve_operation;

use rustack_sqs_model::operations::SqsOperation;
use serde_json::{Value, json};

use super::{ACCOUNT, Answer, AwsError, REGION};

/// The embedded queues.
#[derive(Debug)]
pub struct Sqs {
    handler: RustackSqsHandler,
    queues: Mutex<Vec<Made>>,
}

/// A queue as it was made: enough to make it again.
#[derive(Clone, Debug)]
struct Made {
    request: Bytes,
    url: String,
    resting: bool,
}

impl Sqs {
    pub(super) fn new() -> Self {
        let config = SqsConfig {
            skip_signature_validation: true,
            default_region: REGION.to_owned(),
            account_id: ACCOUNT.to_owned(),
            host: "sqs.embedded".to_owned(),
            port: 80,
        };
        Self { handler: RustackSqsHandler::new(Arc::new(RustackSqs::new(config))), queues: Mutex::default() }
    }

    pub(super) async fn call(&self, headers: &http::HeaderMap, body: Bytes) -> Answer {
        let operation = match resolve_operation(headers) {
            Ok(operation) => operation,
            Err(error) => return whole(error_to_response(&error, "embedded")).await,
        };
        if let Some(error) = limits::refusal(operation, &body) {
            return whole(error_to_response(&error, "embedded")).await;
        }
        let body = if operation == SqsOperation::SendMessage { limits::without_group(body) } else { body };
        let answer = self.run(operation, body.clone()).await;
        if operation == SqsOperation::CreateQueue && answer.status().is_success() {
            self.remember(body, answer.body());
        }
        answer
    }

    async fn run(&self, operation: SqsOperation, body: Bytes) -> Answer {
        let outcome = self.handler.handle_operation(operation, body).await;
        whole(outcome.unwrap_or_else(|error| error_to_response(&error, "embedded"))).await
    }

    fn remember(&self, request: Bytes, answer: &Bytes) {
        let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
        let url = answer["QueueUrl"].as_str().unwrap_or_default().to_owned();
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if queues.iter().all(|made| made.url != url) {
            queues.push(Made { request, url, resting: false });
        }
    }

    fn made(&self) -> Vec<Made> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn mark(&self, url: &str, resting: bool) {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        for made in queues.iter_mut().filter(|made| made.url == url) {
            made.resting = resting;
        }
    }

    /// Puts every queue to rest that holds nothing: nothing visible, in flight or delayed. Nobody may use them until
    /// [`Sqs::wake`].
    pub async fn rest(&self) -> Result<(), AwsError> {
        for made in self.made() {
            let request = json!({"QueueUrl": made.url, "AttributeNames": ["All"]}).to_string();
            let answer = self.run(SqsOperation::GetQueueAttributes, request.into()).await;
            let answer: Value = serde_json::from_slice(answer.body()).map_err(|e| AwsError::new("SQS", e))?;
            let empty = ["", "NotVisible", "Delayed"].iter().all(|state| {
                answer["Attributes"][format!("ApproximateNumberOfMessages{state}")].as_str() == Some("0")
            });
            if empty {
                let request = json!({"QueueUrl": made.url}).to_string();
                self.run(SqsOperation::DeleteQueue, request.into()).await;
                self.mark(&made.url, true);
            }
        }
        Ok(())
    }

    /// Makes the resting queues again, as they were made first.
    pub async fn wake(&self) -> Result<(), AwsError> {
        for made in self.made().into_iter().filter(|made| made.resting) {
            let answer = self.run(SqsOperation::CreateQueue, made.request.clone()).await;
            if !answer.status().is_success() {
                return Err(AwsError::new(made.url, answer.status()));
            }
            self.mark(&made.url, false);
        }
        Ok(())
    }
}

/// The emulator's bodies are buffered: collecting one cannot fail or wait.
async fn whole(response: http::Response<SqsResponseBody>) -> Answer {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    http::Response::from_parts(parts, body)
}
