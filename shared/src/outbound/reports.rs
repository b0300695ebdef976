//! Reports as whole objects in the reports bucket. The same report has the same key, so writing it again changes nothing.

use bytes::Bytes;

use crate::config::Resources;
use crate::error::aws_reason;

/// Writes reports.
#[derive(Clone, Debug)]
pub struct Reports {
    client: aws_sdk_s3::Client,
    bucket: String,
}

/// Why a report was not written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The template named no bucket.
    #[error("no bucket for reports is configured; the template sets TANDEM_REPORTS_BUCKET")]
    NotConfigured,
    /// The call failed.
    #[error("writing report {key} failed: {reason}")]
    Put {
        /// Its key.
        key: String,
        /// The service's code, or what happened to the request.
        reason: String,
    },
}

impl Reports {
    /// Reports in the bucket that the template names.
    pub fn new(client: aws_sdk_s3::Client, resources: &Resources) -> Self {
        Self { client, bucket: resources.reports_bucket.clone() }
    }

    /// The bucket, or why there is none.
    pub fn bucket(&self) -> Result<&str, ReportError> {
        Some(self.bucket.as_str()).filter(|b| !b.is_empty()).ok_or(ReportError::NotConfigured)
    }

    /// Writes one report.
    pub async fn put(&self, key: &str, content_type: &str, body: Vec<u8>) -> Result<(), ReportError> {
        let sent = self
            .client
            .put_object()
            .bucket(self.bucket()?)
            .key(key)
            .content_type(content_type)
            .body(Bytes::from(body).into())
            .send()
            .await;
        sent.map(|_| ()).map_err(|error| ReportError::Put { key: key.to_owned(), reason: aws_reason(&error) })
    }
}
