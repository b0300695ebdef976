//! SQS: an embedded emulator on tokio's clock, so that visibility and delays follow a paused runtime.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use rustack_sqs_core::config::SqsConfig;
use rustack_sqs_core::handler::RustackSqsHandler;
use rustack_sqs_core::provider::RustackSqs;
use rustack_sqs_http::body::SqsResponseBody;
use rustack_sqs_http::dispatch::SqsHandler as _;
use rustack_sqs_http::response::error_to_response;
use rustack_sqs_http::router::resolve_operation;

use super::{ACCOUNT, Answer, REGION};

/// The embedded queues.
#[derive(Debug)]
pub struct Sqs {
    handler: RustackSqsHandler,
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
        Self { handler: RustackSqsHandler::new(Arc::new(RustackSqs::new(config))) }
    }

    pub(super) async fn call(&self, headers: &http::HeaderMap, body: Bytes) -> Answer {
        let outcome = match resolve_operation(headers) {
            Ok(operation) => self.handler.handle_operation(operation, body).await,
            Err(error) => Err(error),
        };
        whole(outcome.unwrap_or_else(|error| error_to_response(&error, "embedded"))).await
    }
}

/// The emulator's bodies are buffered: collecting one cannot fail or wait.
async fn whole(response: http::Response<SqsResponseBody>) -> Answer {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    http::Response::from_parts(parts, body)
}
