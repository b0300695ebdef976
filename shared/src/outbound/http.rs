//! The one HTTP seam: reqwest in production, the simulator and the demo shop in process in the simulation.
//!
//! Invariant: an error says whether the request can have reached the other side.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

/// A request with its whole body. The URI is absolute.
pub type HttpRequest = http::Request<Bytes>;
/// A response with its whole body.
pub type HttpResponse = http::Response<Bytes>;
/// What [`Http::send`] returns.
pub type SendFuture<'a> = Pin<Box<dyn Future<Output = Result<HttpResponse, SendError>> + Send + 'a>>;

/// Why no response came back.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The request surely never reached the other side (name resolution, connection refused).
    #[error("request not sent: {0}")]
    NotSent(String),
    /// It may have been carried out: timed out, reset, or answered with a body that broke off.
    #[error("no usable answer, the outcome is unknown: {0}")]
    Unknown(String),
}

/// Sends one request and waits for the whole answer.
pub trait Http: Send + Sync {
    /// `timeout` bounds the whole exchange. Redirects are never followed; answers past 8 MiB are [`SendError::Unknown`].
    fn send(&self, request: HttpRequest, timeout: Duration) -> SendFuture<'_>;
}

/// A seam shared by every client of a function.
pub type SharedHttp = Arc<dyn Http>;
