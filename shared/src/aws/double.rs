//! An AWS that answers what a test says and remembers what it was asked.

use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use serde_json::Value;

/// One call as it arrived: operation (`x-amz-target`, else method and path) and body.
pub(crate) type Call = (String, Value);
type Answer = dyn Fn(&Call) -> (u16, &'static str, String) + Send + Sync;

#[derive(Clone)]
pub(crate) struct Double {
    answer: Arc<Answer>,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl std::fmt::Debug for Double {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Double")
    }
}

impl Double {
    /// `answer` gives status, error type (or "") and body.
    pub(crate) fn new(answer: impl Fn(&Call) -> (u16, &'static str, String) + Send + Sync + 'static) -> Self {
        Self { answer: Arc::new(answer), calls: Arc::default() }
    }

    pub(crate) fn sdk(&self) -> super::SdkConfig {
        let connector = SharedHttpConnector::new(self.clone());
        super::in_process(http_client_fn(move |_, _| connector.clone()))
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }
}

impl HttpConnector for Double {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let path = || {
            let uri: http::Uri = request.uri().parse().unwrap();
            format!("{} {}", request.method(), uri.path())
        };
        let operation = request.headers().get("x-amz-target").map_or_else(path, str::to_owned);
        let body = serde_json::from_slice(request.body().bytes().unwrap_or_default()).unwrap_or(Value::Null);
        let call = (operation, body);
        let (status, error, body) = (self.answer)(&call);
        self.calls.lock().unwrap().push(call);
        let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body));
        if !error.is_empty() {
            response.headers_mut().insert("x-amzn-errortype", error);
        }
        HttpConnectorFuture::ready(Ok(response))
    }
}
