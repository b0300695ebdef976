//! The command's AWS: the operator's own credentials, or the local stack's endpoint.

use aws_sdk_sts::config::Credentials;
use shared::aws::SdkConfig;

use crate::output::Failure;

/// Region and credentials as the AWS command line finds them.
pub(crate) async fn deployed() -> SdkConfig {
    shared::aws::sdk_config().await
}

/// The embedded services of a local stack behind one address. The credentials are made up: nobody checks them.
pub(crate) fn local(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("LOCAL", "local", None, None, "tandem-local");
    SdkConfig::builder()
        .behavior_version(aws_config::BehaviorVersion::v2026_01_12())
        .region(aws_config::Region::new("eu-central-1"))
        .credentials_provider(aws_sdk_sts::config::SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
        .build()
}

/// The caller's ARN, stored with a decision on a deployed stack.
pub(crate) async fn caller(sdk: &SdkConfig) -> Result<String, Failure> {
    let answer = aws_sdk_sts::Client::new(sdk).get_caller_identity().send().await.map_err(|error| {
        let why = shared::error::aws_reason(&error);
        format!("AWS does not say who you are ({why}); a decision is stored with the caller's ARN: check your credentials")
    })?;
    answer.arn.ok_or_else(|| "AWS gave no ARN for your credentials".into())
}
