//! DynamoDB or SQS of somebody else, on loopback, in the place of the embedded one: the same requests over a socket, signed
//! anew if who asks is checked there.
//!
//! Invariant: only loopback is spoken to, so that no demo can reach an account by a wrong address.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::config::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::Uri;
use http::request::Parts;
use shared::outbound::http::{Http as _, HttpRequest, ReqwestHttp};

use super::sqs::limits::without_group;
use super::{Answer, AwsError, REGION, error_answer};

/// Longest exchange with a foreign service: a function that is invoked there runs so long.
const TIMEOUT: Duration = Duration::from_secs(120);

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
    /// Whose requests they are; without them a request keeps the signature that it came with.
    signer: Option<Credentials>,
}

impl Foreign {
    /// Foreign services at these addresses (`http://127.0.0.1:8000`); a service without one stays embedded.
    pub fn at(dynamodb: Option<&str>, sqs: Option<&str>) -> Result<Self, AwsError> {
        let far = |base: Option<&str>| base.map(|base| Far::new(base, None)).transpose();
        Ok(Self { dynamodb: far(dynamodb)?, sqs: far(sqs)?, rest: None })
    }

    /// Everything at this address, in this name.
    pub fn all_at(base: &str, signer: Option<Credentials>) -> Result<Self, AwsError> {
        let far = Some(Far::new(base, signer)?);
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
    pub(crate) async fn call(
        &self,
        service: &str,
        now: SystemTime,
        parts: Parts,
        body: Bytes,
    ) -> Result<Answer, (Parts, Bytes)> {
        let far = match service {
            "dynamodb" => self.dynamodb.as_ref(),
            "sqs" => self.sqs.as_ref(),
            _ => self.rest.as_ref(),
        };
        match far {
            // ElasticMQ, which comes alone, knows no fair queues and refuses a group on a standard queue.
            Some(far) if service == "sqs" && self.rest.is_none() => {
                Ok(far.call(service, now, parts, without_group(body)).await)
            }
            Some(far) => Ok(far.call(service, now, parts, body).await),
            None => Err((parts, body)),
        }
    }
}

impl Far {
    fn new(base: &str, signer: Option<Credentials>) -> Result<Self, AwsError> {
        let wrong = |why: &str| AwsError::said(format!("{base:?} as the address of a foreign service"), why);
        let uri: Uri = base.parse().map_err(|_| wrong("it is no URL; write http://127.0.0.1:PORT"))?;
        let loopback = matches!(uri.host(), Some("127.0.0.1" | "localhost" | "[::1]"));
        if !matches!(uri.scheme_str(), Some("http" | "https"))
            || !loopback
            || uri.path() != "/"
            || uri.query().is_some()
        {
            return Err(wrong("only loopback is spoken to; write http://127.0.0.1:PORT"));
        }
        let http = ReqwestHttp::new().map_err(|e| AwsError::new("HTTP client", e))?;
        Ok(Self { base: base.trim_end_matches('/').to_owned(), http, signer })
    }

    async fn call(&self, service: &str, now: SystemTime, mut parts: Parts, body: Bytes) -> Answer {
        let path = parts.uri.path_and_query().map_or("/", |p| p.as_str());
        let Ok(uri) = format!("{}{path}", self.base).parse() else {
            return error_answer(400, "ValidationException", "the request's path is no path");
        };
        parts.uri = uri;
        // The client writes its own: those of the request name the service's public host.
        parts.headers.remove(http::header::HOST);
        parts.headers.remove(http::header::CONTENT_LENGTH);
        let mut request = HttpRequest::from_parts(parts, body);
        if let Some(signer) = &self.signer
            && let Err(why) = signed(&mut request, signer, service, now)
        {
            return error_answer(400, "IncompleteSignature", &format!("{service}: {why}"));
        }
        let sent = self.http.send(request, TIMEOUT).await;
        sent.unwrap_or_else(|error| {
            let what = format!("{service} at {} gave no answer: {error}", self.base);
            error_answer(503, "ServiceUnavailable", &what)
        })
    }
}

/// Signs for the address that the request goes to: the SDK signed for the service's public one.
fn signed(
    request: &mut HttpRequest,
    signer: &Credentials,
    service: &str,
    now: SystemTime,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    for old in ["authorization", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"] {
        request.headers_mut().remove(old);
    }
    let mut settings = SigningSettings::default();
    if service == "s3" {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    let identity = signer.clone().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(REGION)
        .name(service)
        .time(now)
        .settings(settings)
        .build()?;
    let headers: Vec<(&str, &str)> =
        request.headers().iter().filter_map(|(k, v)| Some((k.as_str(), v.to_str().ok()?))).collect();
    let signable = SignableRequest::new(
        request.method().as_str(),
        request.uri().to_string(),
        headers.into_iter(),
        SignableBody::Bytes(request.body()),
    )?;
    let (instructions, _) = sign(signable, &params.into())?.into_parts();
    instructions.apply_to_request_http1x(request);
    Ok(())
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
        assert_eq!(
            Foreign::at(Some("https://127.0.0.1:1"), None).unwrap().dynamodb(),
            Some("https://127.0.0.1:1")
        );
        assert_eq!(Foreign::at(None, None).unwrap().sqs(), None);
        for wrong in [
            "ftp://127.0.0.1:8000",
            "https://sqs.eu-central-1.amazonaws.com",
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
        let answer =
            foreign.call("dynamodb", SystemTime::UNIX_EPOCH, parts.clone(), Bytes::new()).await.unwrap();
        assert_eq!(answer.status(), 503);
        assert!(String::from_utf8_lossy(answer.body()).contains(&base));
        assert!(
            foreign.call("sqs", SystemTime::UNIX_EPOCH, parts, Bytes::new()).await.is_err(),
            "SQS stays embedded"
        );
    }

    #[test]
    fn a_signature_is_for_the_address_and_the_body_that_are_sent() {
        let signer = Credentials::new("id", "key", Some("token".into()), None, "test");
        let of = |uri: &str, body: &'static str| {
            let old =
                http::Request::post(uri).header("authorization", "another's").header("x-amz-date", "old");
            let mut request = old.body(Bytes::from(body)).unwrap();
            signed(&mut request, &signer, "lambda", SystemTime::UNIX_EPOCH).unwrap();
            assert_eq!(request.headers()["x-amz-security-token"], "token");
            assert_eq!(request.headers()["x-amz-date"], "19700101T000000Z");
            let authorization = request.headers()["authorization"].to_str().unwrap().to_owned();
            assert!(authorization.contains("Credential=id/19700101/eu-central-1/lambda/aws4_request"));
            authorization
        };
        let one = of("https://127.0.0.1:1/a", "{}");
        assert_eq!(one, of("https://127.0.0.1:1/a", "{}"));
        assert_ne!(one, of("https://127.0.0.1:2/a", "{}"));
        assert_ne!(one, of("https://127.0.0.1:1/a", "{ }"));
    }
}
