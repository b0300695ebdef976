//! An HTTP request as API Gateway hands it over, in either payload format, and the reply it understands.
//!
//! Invariant: the body is the exact bytes that were sent; a header that was sent twice can be told from one sent once.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use serde::Deserialize;

use crate::clock::Deadline;

/// Largest body a function takes.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// All headers together; API Gateway itself allows 10 KiB.
const HEADER_BYTES_MAX: usize = 16 * 1024;

/// The parts of API Gateway's payloads 1.0 and 2.0 that are used.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RawHttp {
    #[serde(default)]
    raw_path: Option<String>,
    #[serde(default)]
    path: Option<String>,
    #[serde(default)]
    http_method: Option<String>,
    #[serde(default)]
    raw_query_string: Option<String>,
    #[serde(default)]
    query_string_parameters: Option<BTreeMap<String, String>>,
    #[serde(default)]
    headers: Option<BTreeMap<String, String>>,
    #[serde(default)]
    multi_value_headers: Option<BTreeMap<String, Vec<String>>>,
    #[serde(default)]
    request_context: RawContext,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawContext {
    #[serde(default)]
    stage: Option<String>,
    #[serde(default)]
    domain_name: Option<String>,
    #[serde(default)]
    http: Option<RawContextHttp>,
    #[serde(default)]
    identity: Option<RawIdentity>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawContextHttp {
    #[serde(default)]
    method: String,
    #[serde(default)]
    source_ip: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawIdentity {
    #[serde(default)]
    source_ip: Option<String>,
}

/// A request.
#[derive(Clone, Debug)]
pub struct HttpEvent {
    /// Upper case.
    pub method: String,
    /// The path without the stage and the query, not percent-decoded.
    pub path: String,
    /// The query, not decoded.
    pub query: String,
    /// Names in lower case; one entry per value where the gateway keeps them apart (payload 2.0 joins by comma).
    pub headers: Vec<(String, String)>,
    /// The exact bytes.
    pub body: Bytes,
    /// The host the client asked for.
    pub host: Option<String>,
    /// The client's address, as the gateway saw it.
    pub source_ip: Option<String>,
    /// When the invocation ends.
    pub deadline: Deadline,
}

impl HttpEvent {
    /// A request that did not come through API Gateway. `headers` as received, one entry per header line.
    pub fn new(method: &str, path_and_query: &str, headers: Vec<(String, String)>, body: Bytes) -> Self {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        let headers: Vec<_> =
            headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        let host = headers.iter().find(|(name, _)| name == "host").map(|(_, value)| value.clone());
        Self {
            method: method.to_ascii_uppercase(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers,
            body,
            host,
            source_ip: None,
            deadline: Deadline::after(Duration::from_secs(10)),
        }
    }

    /// The value of a header that must occur once: `None` if it is absent **or repeated**.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(n, _)| n == name);
        match (values.next(), values.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }

    /// Bytes of all headers.
    pub fn header_bytes(&self) -> usize {
        self.headers.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    /// The path's parts, e.g. `["webhooks", "stripe"]`.
    pub fn segments(&self) -> Vec<&str> {
        self.path.trim_start_matches('/').split('/').collect()
    }

    /// What breaks a limit, before any work is done on it.
    pub fn over_limit(&self) -> Option<HttpReply> {
        if self.body.len() > BODY_BYTES_MAX {
            return Some(HttpReply::status(413));
        }
        (self.header_bytes() > HEADER_BYTES_MAX).then(|| HttpReply::status(431))
    }
}

/// Reads a payload. A body past the limit is refused before it is decoded, one that is not base64 though it says so is
/// refused too.
pub fn http_event(raw: RawHttp) -> Result<HttpEvent, HttpReply> {
    let context = raw.request_context;
    let path = raw.raw_path.or(raw.path).unwrap_or_else(|| "/".to_owned());
    let headers = match raw.multi_value_headers {
        Some(many) if !many.is_empty() => {
            let each = |(name, values): (String, Vec<String>)| {
                values.into_iter().map(move |value| (name.to_ascii_lowercase(), value))
            };
            many.into_iter().flat_map(each).collect()
        }
        _ => {
            let lower = |(name, value): (String, String)| (name.to_ascii_lowercase(), value);
            raw.headers.unwrap_or_default().into_iter().map(lower).collect()
        }
    };
    let (method, source_ip) = match context.http {
        Some(http) => (http.method, http.source_ip),
        None => (raw.http_method.unwrap_or_default(), context.identity.and_then(|i| i.source_ip)),
    };
    let event = HttpEvent {
        method: method.to_ascii_uppercase(),
        path: without_stage(&path, context.stage.as_deref()).to_owned(),
        query: raw
            .raw_query_string
            .unwrap_or_else(|| join_query(&raw.query_string_parameters.unwrap_or_default())),
        headers,
        body: decode(raw.body.unwrap_or_default(), raw.is_base64_encoded)?,
        host: context.domain_name,
        source_ip,
        deadline: Deadline::after(Duration::from_secs(10)),
    };
    match event.over_limit() {
        Some(refused) => Err(refused),
        None => Ok(event),
    }
}

fn decode(body: String, is_base64: bool) -> Result<Bytes, HttpReply> {
    if body.len() > BODY_BYTES_MAX.div_ceil(3) * 4 {
        return Err(HttpReply::status(413));
    }
    if !is_base64 {
        return Ok(Bytes::from(body));
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(body);
    decoded.map(Bytes::from).map_err(|_| HttpReply::status(400))
}

fn without_stage<'a>(path: &'a str, stage: Option<&str>) -> &'a str {
    let rest = stage
        .filter(|s| *s != "$default")
        .and_then(|stage| path.strip_prefix('/')?.strip_prefix(stage))
        .filter(|rest| rest.starts_with('/'));
    rest.unwrap_or(path)
}

fn join_query(parameters: &BTreeMap<String, String>) -> String {
    parameters.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("&")
}

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpReply {
    /// The status code.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Text, usually HTML or JSON.
    pub body: String,
}

impl HttpReply {
    /// A reply without a body.
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: String::new() }
    }

    /// A page.
    pub fn html(status: u16, body: impl Into<String>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
            .with("content-type", "text/html; charset=utf-8")
    }

    /// JSON.
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self { status, headers: Vec::new(), body: body.to_string() }.with("content-type", "application/json")
    }

    /// 303 See Other.
    pub fn see_other(location: &str) -> Self {
        Self::status(303).with("location", location)
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }

    /// As API Gateway takes it, in both payload formats.
    pub fn to_payload(&self) -> serde_json::Value {
        let headers: serde_json::Map<String, serde_json::Value> =
            self.headers.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        serde_json::json!({
            "statusCode": self.status,
            "headers": headers,
            "body": self.body,
            "isBase64Encoded": false,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(payload: serde_json::Value) -> Result<HttpEvent, HttpReply> {
        http_event(serde_json::from_value(payload).unwrap())
    }

    fn v2(body: &str, base64: bool) -> serde_json::Value {
        json!({
            "version": "2.0", "rawPath": "/prod/webhooks/stripe", "rawQueryString": "a=1",
            "headers": { "Stripe-Signature": "t=1,v1=a" },
            "requestContext": {
                "stage": "prod", "domainName": "api.example.com",
                "http": { "method": "post", "sourceIp": "192.0.2.1" },
            },
            "body": body, "isBase64Encoded": base64,
        })
    }

    #[test]
    fn payload_2_is_read() {
        let event = event(v2("{ }\r\n", false)).unwrap();
        assert_eq!((event.method.as_str(), event.path.as_str()), ("POST", "/webhooks/stripe"));
        assert_eq!(event.segments(), ["webhooks", "stripe"]);
        assert_eq!(event.header("stripe-signature"), Some("t=1,v1=a"));
        assert_eq!(&event.body[..], b"{ }\r\n");
        assert_eq!(event.host.as_deref(), Some("api.example.com"));
        assert_eq!(event.source_ip.as_deref(), Some("192.0.2.1"));
    }

    #[test]
    fn payload_1_is_read_and_a_repeated_header_is_no_header() {
        let event = event(json!({
            "path": "/webhooks/shop", "httpMethod": "POST", "body": null,
            "headers": { "X": "b" },
            "multiValueHeaders": { "X": ["a", "b"], "Y": ["c"] },
            "requestContext": { "stage": "prod", "identity": { "sourceIp": "192.0.2.2" } },
        }))
        .unwrap();
        assert_eq!(event.path, "/webhooks/shop");
        assert_eq!(event.header("x"), None);
        assert_eq!(event.header("y"), Some("c"));
        assert!(event.body.is_empty());
    }

    #[test]
    fn base64_is_decoded_if_and_only_if_the_flag_says_so() {
        assert_eq!(&event(v2("//4=", true)).unwrap().body[..], [0xff, 0xfe]);
        assert_eq!(&event(v2("//4=", false)).unwrap().body[..], b"//4=");
        assert_eq!(event(v2("no base64!", true)).unwrap_err().status, 400);
    }

    #[test]
    fn limits_are_checked_before_anything_else() {
        assert!(event(v2(&"a".repeat(BODY_BYTES_MAX), false)).is_ok());
        assert_eq!(event(v2(&"a".repeat(BODY_BYTES_MAX + 1), false)).unwrap_err().status, 413);
        assert_eq!(event(v2(&"A".repeat(BODY_BYTES_MAX * 2), true)).unwrap_err().status, 413);
        let mut long = v2("", false);
        long["headers"]["x"] = "a".repeat(20_000).into();
        assert_eq!(event(long).unwrap_err().status, 431);
    }

    #[test]
    fn a_reply_is_what_the_gateway_takes() {
        let payload = HttpReply::see_other("https://checkout.example").to_payload();
        assert_eq!(payload["statusCode"], 303);
        assert_eq!(payload["headers"]["location"], "https://checkout.example");
    }
}
