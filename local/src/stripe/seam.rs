//! The two ways in: a port, and the HTTP seam in process. Both break connections alike.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tokio::net::TcpListener;

use shared::outbound::http::{Http, HttpRequest, HttpResponse, SendError, SendFuture};

use super::StripeSim;
use crate::http_server::{self, Reset};

/// A connection that breaks instead of an answer; travels in the extensions of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Never connected.
    Refused,
    /// Connected, sent, and then broken.
    Reset,
}

impl Broken {
    pub(crate) fn response(self) -> HttpResponse {
        let mut response = HttpResponse::new(Bytes::new());
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        response.extensions_mut().insert(self);
        response.extensions_mut().insert(Reset);
        response
    }
}

/// The simulator as the seam of a client, without a socket.
#[derive(Clone, Debug)]
pub struct InProcessStripe(pub StripeSim);

impl Http for InProcessStripe {
    fn send(&self, request: HttpRequest, timeout: Duration) -> SendFuture<'_> {
        Box::pin(async move {
            let answer = tokio::time::timeout(timeout, self.0.handle(request))
                .await
                .map_err(|_| SendError::Unknown("timed out".into()))?;
            match answer.extensions().get::<Broken>() {
                None => Ok(answer),
                Some(Broken::Refused) => Err(SendError::NotSent("connection refused".into())),
                Some(Broken::Reset) => Err(SendError::Unknown("connection reset".into())),
            }
        })
    }
}

/// Serves the simulator on a listener for ever.
pub async fn serve(sim: StripeSim, listener: TcpListener) -> io::Result<()> {
    http_server::serve(listener, move |request| {
        let sim = sim.clone();
        async move { sim.handle(request).await }
    })
    .await
}
