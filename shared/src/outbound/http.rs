//! The one HTTP seam: reqwest in production, the simulator and the demo shop in process in the simulation.
//!
//! Invariant: an error says whether the request can have reached the other side.

use std::error::Error as _;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

/// A request with its whole body. The URI is absolute.
pub type HttpRequest = http::Request<Bytes>;
/// A response with its whole body.
pub type HttpResponse = http::Response<Bytes>;
/// What [`Http::send`] returns.
pub type SendFuture<'a> = Pin<Box<dyn Future<Output = Result<HttpResponse, SendError>> + Send + 'a>>;

/// An answer's body longer than this is not read to its end.
pub const ANSWER_LIMIT: usize = 8 * 1024 * 1024;

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

/// The real thing: one pooled reqwest client over rustls.
#[derive(Clone, Debug)]
pub struct ReqwestHttp {
    client: reqwest::Client,
}

impl ReqwestHttp {
    /// Builds the client. Fails only if the platform's certificates cannot be loaded.
    pub fn new() -> Result<Self, reqwest::Error> {
        #[expect(clippy::disallowed_methods, reason = "the one place that builds an HTTP client")]
        let builder = reqwest::Client::builder();
        let client = builder
            .user_agent(concat!("tandem/", env!("CARGO_PKG_VERSION")))
            // A redirected POST would be a second request that nobody asked for.
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            // Proxies would come from the environment, which only the configuration may read.
            .no_proxy()
            .connect_timeout(Duration::from_secs(2))
            // A frozen sandbox lets pooled sockets rot: drop them before the far side does.
            .pool_idle_timeout(Duration::from_secs(45))
            .http1_only()
            .build()?;
        Ok(Self { client })
    }

    async fn exchange(&self, request: HttpRequest, timeout: Duration) -> Result<HttpResponse, SendError> {
        let (parts, body) = request.into_parts();
        let mut response = self
            .client
            .request(parts.method, parts.uri.to_string())
            .headers(parts.headers)
            .timeout(timeout)
            .body(body)
            .send()
            .await
            .map_err(classify)?;
        let mut answer = http::Response::new(Bytes::new());
        *answer.status_mut() = response.status();
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        let mut whole = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| SendError::Unknown(describe(e)))? {
            if whole.len() + chunk.len() > ANSWER_LIMIT {
                return Err(SendError::Unknown(format!("answer longer than {ANSWER_LIMIT} bytes")));
            }
            whole.extend_from_slice(&chunk);
        }
        *answer.body_mut() = whole.freeze();
        Ok(answer)
    }
}

impl Http for ReqwestHttp {
    fn send(&self, request: HttpRequest, timeout: Duration) -> SendFuture<'_> {
        Box::pin(self.exchange(request, timeout))
    }
}

/// Only an error from before the first byte left is `NotSent`; a doubt is `Unknown`.
fn classify(error: reqwest::Error) -> SendError {
    if error.is_connect() || error.is_builder() {
        SendError::NotSent(describe(error))
    } else {
        SendError::Unknown(describe(error))
    }
}

/// The error with its causes, without the address: a query may hold contact data.
fn describe(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// A server for one connection, on a thread of its own; returns its address.
    fn once(answer: impl FnOnce(TcpStream) + Send + 'static) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/x", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut seen = [0_u8; 4096];
            let _ = stream.read(&mut seen);
            answer(stream);
        });
        address
    }

    async fn get(uri: &str) -> Result<HttpResponse, SendError> {
        let request = http::Request::get(uri).body(Bytes::new()).unwrap();
        ReqwestHttp::new().unwrap().send(request, Duration::from_millis(800)).await
    }

    #[tokio::test]
    async fn an_answer_comes_back_whole() {
        let address = once(|mut s| {
            let _ = s.write_all(b"HTTP/1.1 402 Payment Required\r\nx-a: b\r\ncontent-length: 2\r\n\r\nhi");
        });
        let answer = get(&address).await.unwrap();
        assert_eq!((answer.status().as_u16(), &answer.body()[..]), (402, &b"hi"[..]));
        assert_eq!(answer.headers()["x-a"], "b");
    }

    #[tokio::test]
    async fn a_refused_connection_was_not_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/x?email=a", listener.local_addr().unwrap());
        drop(listener);
        match get(&address).await {
            Err(SendError::NotSent(why)) => assert!(!why.contains("email"), "{why}"),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_reset_after_the_request_is_unknown() {
        let address = once(drop);
        assert!(matches!(get(&address).await, Err(SendError::Unknown(_))));
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_unknown() {
        let address = once(|mut s| {
            let _ = s.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{\"id\":");
        });
        assert!(matches!(get(&address).await, Err(SendError::Unknown(_))));
    }

    #[tokio::test]
    async fn a_silent_server_is_unknown_after_the_timeout() {
        let (hold, held) = std::sync::mpsc::channel::<()>();
        let address = once(move |_stream| assert!(held.recv().is_err()));
        assert!(matches!(get(&address).await, Err(SendError::Unknown(_))));
        drop(hold);
    }

    #[tokio::test]
    async fn an_endless_answer_is_cut_off_as_unknown() {
        let address = once(|mut s| {
            let _ = s.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            let block = [b'a'; 65_536];
            while s.write_all(&block).is_ok() {}
        });
        let request = http::Request::get(address).body(Bytes::new()).unwrap();
        let answer = ReqwestHttp::new().unwrap().send(request, Duration::from_secs(20)).await;
        assert!(matches!(answer, Err(SendError::Unknown(why)) if why.contains("longer than")));
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer() {
        let address = once(|mut s| {
            let _ = s.write_all(
                b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n",
            );
        });
        assert_eq!(get(&address).await.unwrap().status().as_u16(), 302);
    }
}
