//! A plain HTTP/1.1 server over one handler, for everything the local stack serves on loopback.
//!
//! Invariant: the handler sees exactly what the in-process seam would give it: an absolute URI and a whole body.
//! A handler asks for a broken connection by putting [`Reset`] into the extensions of its answer.

use std::future::Future;
use std::io;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use shared::outbound::http::{HttpRequest, HttpResponse};

/// Bodies past this are refused with 413 before the handler sees them.
const BODY_LIMIT: usize = 8 * 1024 * 1024;

/// In the extensions of an answer: do not send it, break the connection instead.
#[derive(Clone, Copy, Debug)]
pub struct Reset;

/// Accepts connections for ever and answers each request with `handler`. Ends only when accepting fails for good.
pub async fn serve<F, Fut>(listener: TcpListener, handler: F) -> io::Result<()>
where
    F: Fn(HttpRequest) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = HttpResponse> + Send + 'static,
{
    let local = listener.local_addr()?;
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // One client that went away before it was accepted is not the listener's end.
            Err(e)
                if e.kind() == io::ErrorKind::ConnectionAborted
                    || e.kind() == io::ErrorKind::ConnectionReset =>
            {
                continue;
            }
            Err(e) => return Err(e),
        };
        let handler = handler.clone();
        let host = local.to_string();
        #[expect(
            clippy::disallowed_methods,
            reason = "a server outlives the call; nothing freezes the local stack"
        )]
        tokio::spawn(connection(stream, host, handler));
    }
}

async fn connection<F, Fut>(stream: TcpStream, host: String, handler: F)
where
    F: Fn(HttpRequest) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = HttpResponse> + Send + 'static,
{
    // Small answers must not wait for the peer's acknowledgement of the header.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: http::Request<Incoming>| {
        let handler = handler.clone();
        let host = host.clone();
        async move {
            let answer = match whole(request, &host).await {
                Ok(request) => handler(request).await,
                Err(status) => plain(status),
            };
            if answer.extensions().get::<Reset>().is_some() {
                // hyper closes the connection without an answer when the service fails.
                return Err(io::Error::new(io::ErrorKind::ConnectionReset, "reset on demand"));
            }
            Ok(answer.map(Full::new))
        }
    });
    let served =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    if let Err(error) = served {
        tracing::debug!(%error, "connection ended");
    }
}

/// Reads the whole body and makes the URI absolute by the Host header.
async fn whole(request: http::Request<Incoming>, local: &str) -> Result<HttpRequest, StatusCode> {
    let (mut parts, body) = request.into_parts();
    let body =
        Limited::new(body, BODY_LIMIT).collect().await.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?.to_bytes();
    if parts.uri.authority().is_none() {
        let host = parts.headers.get(http::header::HOST).and_then(|h| h.to_str().ok()).unwrap_or(local);
        let path = parts.uri.path_and_query().map_or("/", |p| p.as_str());
        parts.uri = Uri::builder()
            .scheme("http")
            .authority(host)
            .path_and_query(path)
            .build()
            .map_err(|_| StatusCode::BAD_REQUEST)?;
    }
    Ok(HttpRequest::from_parts(parts, body))
}

/// An empty answer with a status.
fn plain(status: StatusCode) -> HttpResponse {
    let mut answer = HttpResponse::new(Bytes::new());
    *answer.status_mut() = status;
    answer.headers_mut().insert(http::header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    answer
}
