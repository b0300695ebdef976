//! The command's AWS: the operator's own credentials, or the local stack's endpoint.

use aws_sdk_sts::config::{Credentials, Region, SharedCredentialsProvider};
use shared::aws::SdkConfig;

use crate::output::Failure;

/// Region and credentials as the AWS command line finds them.
pub(crate) async fn deployed() -> SdkConfig {
    let found = aws_config::defaults(aws_config::BehaviorVersion::v2026_01_12()).load().await;
    let mut config = found.to_builder();
    // Who and where is the operator's; how long a call may take is the same for everybody.
    let ours = shared::aws::base().build();
    config.set_retry_config(ours.retry_config().cloned());
    config.set_timeout_config(ours.timeout_config().cloned());
    config.build()
}

/// The embedded services of a local stack behind one address. The credentials are made up: nobody checks them.
pub(crate) fn local(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("LOCAL", "local", None, None, "tandem-local");
    shared::aws::base()
        .region(Region::new("eu-central-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
        .build()
}

/// Secrets Manager, which functions read through Parameter Store and only this command writes.
pub(crate) fn secretsmanager(sdk: &SdkConfig) -> aws_sdk_secretsmanager::Client {
    aws_sdk_secretsmanager::Client::new(sdk)
}

/// The caller's ARN, stored with a decision on a deployed stack.
pub(crate) async fn caller(sdk: &SdkConfig) -> Result<String, Failure> {
    let answer = aws_sdk_sts::Client::new(sdk).get_caller_identity().send().await.map_err(|error| {
        let why = shared::error::aws_reason(&error);
        format!("AWS does not say who you are ({why}); a decision is stored with the caller's ARN: check your credentials")
    })?;
    answer.arn.ok_or_else(|| "AWS gave no ARN for your credentials".into())
}
