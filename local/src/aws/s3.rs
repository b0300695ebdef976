//! A double of S3: buckets of whole objects, put, read and listed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::Method;
use http::request::Parts;
use sha2::{Digest as _, Sha256};
use shared::domain::time::UnixTime;

use super::{Answer, answer, percent_decode, query_value, rfc3339};

#[derive(Clone, Debug)]
struct Object {
    body: Bytes,
    content_type: String,
    modified: UnixTime,
}

/// The embedded object store.
#[derive(Debug, Default)]
pub struct S3(Mutex<BTreeMap<String, BTreeMap<String, Object>>>);

/// The operation a request asks for.
pub(super) fn operation(parts: &Parts) -> &'static str {
    let (_, key) = address(parts);
    match (&parts.method, key.is_empty()) {
        (&Method::PUT, false) => "PutObject",
        (&Method::GET, false) => "GetObject",
        (&Method::HEAD, false) => "HeadObject",
        (&Method::GET, true) => "ListObjectsV2",
        _ => "Unknown",
    }
}

/// Bucket and key, of a virtual-host or a path-style request.
fn address(parts: &Parts) -> (String, String) {
    let host = parts.uri.host().unwrap_or_default();
    let path = percent_decode(parts.uri.path().trim_start_matches('/'));
    match host.split_once(".s3.") {
        Some((bucket, _)) => (bucket.to_owned(), path),
        None => match path.split_once('/') {
            Some((bucket, key)) => (bucket.to_owned(), key.to_owned()),
            None => (path, String::new()),
        },
    }
}

impl S3 {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, BTreeMap<String, Object>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes an empty bucket; an existing one is kept.
    pub fn create_bucket(&self, name: &str) {
        self.lock().entry(name.to_owned()).or_default();
    }

    /// Every key of a bucket that begins with `prefix`, with the object's bytes.
    pub fn objects(&self, bucket: &str, prefix: &str) -> Vec<(String, Bytes)> {
        let all = self.lock();
        let objects = all.get(bucket).into_iter().flatten();
        objects
            .filter(|(key, _)| key.starts_with(prefix))
            .map(|(key, o)| (key.clone(), o.body.clone()))
            .collect()
    }

    pub(super) fn call(&self, parts: &Parts, body: &Bytes, now: UnixTime) -> Answer {
        let (bucket, key) = address(parts);
        let mut all = self.lock();
        let Some(objects) = all.get_mut(&bucket) else {
            return xml_error(404, "NoSuchBucket", "The specified bucket does not exist");
        };
        match operation(parts) {
            "PutObject" => {
                let content_type =
                    header(parts, "content-type").unwrap_or("application/octet-stream").to_owned();
                let Some(body) = unchunk(parts, body) else {
                    return xml_error(400, "IncompleteBody", "the chunked body cannot be read");
                };
                let etag = etag(&body);
                objects.insert(key, Object { body, content_type, modified: now });
                with_header(answer(200, "application/xml", Bytes::new()), "etag", &etag)
            }
            "GetObject" | "HeadObject" => match objects.get(&key) {
                Some(object) => {
                    let body = if parts.method == Method::HEAD { Bytes::new() } else { object.body.clone() };
                    let found =
                        with_header(answer(200, "application/xml", body), "etag", &etag(&object.body));
                    with_header(found, "content-type", &object.content_type)
                }
                None => xml_error(404, "NoSuchKey", "The specified key does not exist."),
            },
            "ListObjectsV2" => list(&bucket, objects, parts),
            _ => xml_error(501, "NotImplemented", "this operation is not emulated"),
        }
    }
}

/// One page of keys in order; the continuation token is the last key given.
fn list(bucket: &str, objects: &BTreeMap<String, Object>, parts: &Parts) -> Answer {
    let prefix = query_value(&parts.uri, "prefix").unwrap_or_default();
    let after =
        query_value(&parts.uri, "continuation-token").or_else(|| query_value(&parts.uri, "start-after"));
    let most = query_value(&parts.uri, "max-keys").and_then(|n| n.parse().ok()).unwrap_or(1000_usize);
    let mut matching =
        objects.iter().filter(|(key, _)| key.starts_with(&prefix) && after.as_ref().is_none_or(|a| *key > a));
    let page: Vec<_> = matching.by_ref().take(most).collect();
    let truncated = matching.next().is_some();
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult><Name>{}</Name><Prefix>{}</Prefix>\
         <KeyCount>{}</KeyCount><MaxKeys>{most}</MaxKeys><IsTruncated>{truncated}</IsTruncated>",
        escape(bucket),
        escape(&prefix),
        page.len(),
    );
    for (key, object) in &page {
        let _ = write!(
            xml,
            "<Contents><Key>{}</Key><LastModified>{}</LastModified><ETag>{}</ETag><Size>{}</Size></Contents>",
            escape(key),
            rfc3339(object.modified),
            escape(&etag(&object.body)),
            object.body.len(),
        );
    }
    if let (true, Some((key, _))) = (truncated, page.last()) {
        let _ = write!(xml, "<NextContinuationToken>{}</NextContinuationToken>", escape(key));
    }
    xml.push_str("</ListBucketResult>");
    answer(200, "application/xml", Bytes::from(xml))
}

/// The object inside an `aws-chunked` body, which carries its checksum in a trailer.
fn unchunk(parts: &Parts, body: &Bytes) -> Option<Bytes> {
    if !header(parts, "content-encoding").is_some_and(|v| v.contains("aws-chunked")) {
        return Some(body.clone());
    }
    let mut out = Vec::with_capacity(body.len());
    let mut rest = &body[..];
    loop {
        let line_end = rest.windows(2).position(|w| w == b"\r\n")?;
        let line = std::str::from_utf8(&rest[..line_end]).ok()?;
        let size = usize::from_str_radix(line.split(';').next()?, 16).ok()?;
        rest = &rest[line_end + 2..];
        if size == 0 {
            return Some(Bytes::from(out));
        }
        out.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size + 2..)?;
    }
}

fn header<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    parts.headers.get(name).and_then(|v| v.to_str().ok())
}

fn with_header(mut answer: Answer, name: &'static str, value: &str) -> Answer {
    if let Ok(value) = http::HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
    answer
}

fn etag(body: &Bytes) -> String {
    format!("\"{}\"", &hex::encode(Sha256::digest(body))[..32])
}

fn xml_error(status: u16, code: &str, message: &str) -> Answer {
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    answer(status, "application/xml", Bytes::from(xml))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
