//! DynamoDB or SQS of somebody else, on loopback, in the place of the embedded one: the same requests over a socket.
//!
//! Invariant: only loopback is spoken to, so that no demo can reach an account by a wrong address.

use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http::request::Parts;
use shared::outbound::http::{Http as _, HttpRequest, ReqwestHttp};

use super::{Answer, AwsError, error_answer};

/// Longest exchange with a foreign service.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Which services are somebody else's, and where they are.
#[derive(Clone, Debug, Default)]
pub struct Foreign {
    dynamodb: Option<Far>,
    sqs: Option<Far>,
    rest: Option<Far>,
}

#[derive(Clone, Debug)]
struct Far {
    base: String,
    http: ReqwestHttp,
}

impl Foreign {
    /// Foreign services at these addresses (`http://127.0.0.1:8000`); a service without one stays embedded.
    pub fn at(dynamodb: Option<&str>, sqs: Option<&str>) -> Result<Self, AwsError> {
        let far = |base: Option<&str>| base.map(Far::new).transpose();
        Ok(Self { dynamodb: far(dynamodb)?, sqs: far(sqs)?, rest: None })
    }

    /// Everything at this address.
    pub fn all_at(base: &str) -> Result<Self, AwsError> {
        let far = Some(Far::new(base)?);
        Ok(Self { dynamodb: far.clone(), sqs: far.clone(), rest: far })
    }

    /// Where DynamoDB is, if it is not embedded.
    pub fn dynamodb(&self) -> Option<&str> {
        self.dynamodb.as_ref().map(|far| far.base.as_str())
    }

    /// Where SQS is, if it is not embedded.
    pub fn sqs(&self) -> Option<&str> {
        self.sqs.as_ref().map(|far| far.base.as_str())
    }

    /// The foreign service's answer; `Err` gives the request back: this service is embedded.
    pub(super) async fn call(
        &self,
        service: &str,
        parts: Parts,
        body: Bytes,
    ) -> Result<Answer, (Parts, Bytes)> {
        let far = match service {
            "dynamodb" => self.dynamodb.as_ref(),
            "sqs" => self.sqs.as_ref(),
            _ => self.rest.as_ref(),
        };
        match far {
            Some(far) => Ok(far.call(service, parts, body).await),
            None => Err((parts, body)),
        }
    }
}

impl Far {
    fn new(base: &str) -> Result<Self, AwsError> {
        let wrong = |why: &str| AwsError::said(format!("{base:?} as the address of a foreign service"), why);
        let uri: Uri = base.parse().map_err(|_| wrong("it is no URL; write http://127.0.0.1:PORT"))?;
        let loopback = matches!(uri.host(), Some("127.0.0.1" | "localhost" | "[::1]"));
        if uri.scheme_str() != Some("http") || !loopback || uri.path() != "/" || uri.query().is_some() {
            return Err(wrong("only loopback is spoken to; write http://127.0.0.1:PORT"));
        }
        let http = ReqwestHttp::new().map_err(|e| AwsError::new("HTTP client", e))?;
        Ok(Self { base: base.trim_end_matches('/').to_owned(), http })
    }

    async fn call(&self, service: &str, mut parts: Parts, body: Bytes) -> Answer {
        let path = parts.uri.path_and_query().map_or("/", |p| p.as_str());
        let Ok(uri) = format!("{}{path}", self.base).parse() else {
            return error_answer(400, "ValidationException", "the request's path is no path");
        };
        parts.uri = uri;
        // The client writes its own: those of the request name the service's public host.
        parts.headers.remove(http::header::HOST);
        parts.headers.remove(http::header::CONTENT_LENGTH);
        let sent = self.http.send(HttpRequest::from_parts(parts, body), TIMEOUT).await;
        sent.unwrap_or_else(|error| {
            let what = format!("{service} at {} gave no answer: {error}", self.base);
            error_answer(503, "ServiceUnavailable", &what)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_loopback_addresses_are_taken() {
        let good = Foreign::at(Some("http://127.0.0.1:8000"), Some("http://localhost:9324/")).unwrap();
        assert_eq!(
            (good.dynamodb(), good.sqs()),
            (Some("http://127.0.0.1:8000"), Some("http://localhost:9324"))
        );
        assert_eq!(Foreign::at(None, None).unwrap().sqs(), None);
        for wrong in [
            "https://127.0.0.1:8000",
            "http://sqs.eu-central-1.amazonaws.com",
            "http://127.0.0.1.example.com:80",
            "http://127.0.0.1:8000/queue",
            "http://user@example.com:80",
            "127.0.0.1:8000",
            "",
        ] {
            let refused = Foreign::at(None, Some(wrong)).unwrap_err().to_string();
            assert!(refused.contains("write http://127.0.0.1:PORT"), "{refused}");
        }
    }

    #[tokio::test]
    async fn where_nobody_listens_the_answer_says_so() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let foreign = Foreign::at(Some(&base), None).unwrap();
        let (parts, ()) = http::Request::post("https://dynamodb.eu-central-1.amazonaws.com/")
            .body(())
            .unwrap()
            .into_parts();
        let answer = foreign.call("dynamodb", parts.clone(), Bytes::new()).await.unwrap();
        assert_eq!(answer.status(), 503);
        assert!(String::from_utf8_lossy(answer.body()).contains(&base));
        assert!(foreign.call("sqs", parts, Bytes::new()).await.is_err(), "SQS stays embedded");
    }
}
