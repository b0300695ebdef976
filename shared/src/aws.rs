//! The only builder of AWS clients. One function per client, so that a bootstrap links only what it calls.
//!
//! Invariant: every call has an end. The SDK's defaults have no total timeout.

#[cfg(test)]
pub(crate) mod double;

use std::time::Duration;

use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::http::HttpClient;
pub use aws_types::SdkConfig;

/// Lambda did not say who the function is, or where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not set; Lambda sets it, elsewhere export it with the function's credentials")]
pub struct Unset(&'static str);

/// Pinned: an upgrade of the SDK must not change timeouts or retries by itself.
fn behavior() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(3)
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_millis(1_500))
        .operation_attempt_timeout(Duration::from_secs(3))
        .operation_timeout(Duration::from_secs(8))
        .build()
}

/// Behaviour, retries and timeouts: the same for functions, tests and the command line.
pub fn base() -> aws_types::sdk_config::Builder {
    SdkConfig::builder().behavior_version(behavior()).retry_config(retries()).timeout_config(timeouts())
}

/// Region and credentials as Lambda gives them to a function: environment variables and nothing else. The SDK's own chain
/// also knows profiles, containers, machines and identity tokens, and would link all of them into every bootstrap.
pub fn sdk_config() -> Result<SdkConfig, Unset> {
    from_environment(&crate::config::env)
}

fn from_environment(env: &dyn Fn(&str) -> Option<String>) -> Result<SdkConfig, Unset> {
    let must = |name: &'static str| env(name).ok_or(Unset(name));
    // They outlive the sandbox, which Lambda replaces before they end.
    let credentials = Credentials::new(
        must("AWS_ACCESS_KEY_ID")?,
        must("AWS_SECRET_ACCESS_KEY")?,
        env("AWS_SESSION_TOKEN"),
        None,
        "Lambda",
    );
    let mut config = base()
        .region(Region::new(must("AWS_REGION")?))
        .credentials_provider(SharedCredentialsProvider::new(credentials));
    // The SDK's own variable, for a bootstrap that is tried against embedded services.
    config.set_endpoint_url(env("AWS_ENDPOINT_URL"));
    Ok(config.build())
}

/// The same clients over an HTTP client of your own and made-up credentials: the local stack's emulators, and tests.
pub fn in_process(http: impl HttpClient + 'static) -> SdkConfig {
    let credentials = Credentials::new("LOCAL", "local", None, None, "local");
    base()
        .region(Region::new("eu-central-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .sleep_impl(aws_smithy_async::rt::sleep::SharedAsyncSleep::new(
            aws_smithy_async::rt::sleep::TokioSleep::new(),
        ))
        .http_client(http)
        .build()
}

/// DynamoDB.
pub fn dynamodb(config: &SdkConfig) -> aws_sdk_dynamodb::Client {
    aws_sdk_dynamodb::Client::new(config)
}

/// SQS.
pub fn sqs(config: &SdkConfig) -> aws_sdk_sqs::Client {
    aws_sdk_sqs::Client::new(config)
}

/// EventBridge Scheduler.
pub fn scheduler(config: &SdkConfig) -> aws_sdk_scheduler::Client {
    aws_sdk_scheduler::Client::new(config)
}

/// SSM: secrets of its own, and those of Secrets Manager by reference.
pub fn ssm(config: &SdkConfig) -> aws_sdk_ssm::Client {
    aws_sdk_ssm::Client::new(config)
}

/// S3, for reports.
pub fn s3(config: &SdkConfig) -> aws_sdk_s3::Client {
    aws_sdk_s3::Client::new(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str) -> Option<String> {
        let known = [
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "key"),
            ("AWS_SESSION_TOKEN", "token"),
        ];
        known.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    }

    #[tokio::test]
    async fn a_function_is_who_its_environment_says() {
        use aws_sdk_sqs::config::ProvideCredentials as _;
        let config = from_environment(&variable).unwrap();
        assert_eq!(config.region().unwrap().as_ref(), "eu-central-1");
        assert_eq!(config.endpoint_url(), None);
        let who = config.credentials_provider().unwrap().provide_credentials().await.unwrap();
        assert_eq!(
            (who.access_key_id(), who.secret_access_key(), who.session_token()),
            ("id", "key", Some("token"))
        );
    }

    #[test]
    fn what_lambda_did_not_set_is_named() {
        for missing in ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            let error = from_environment(&|name| variable(name).filter(|_| name != missing)).unwrap_err();
            assert!(error.to_string().starts_with(missing), "{error}");
        }
    }

    #[test]
    fn every_call_has_an_end() {
        let config = from_environment(&variable).unwrap();
        let timeouts = config.timeout_config().unwrap();
        assert!(timeouts.operation_timeout().is_some() && timeouts.operation_attempt_timeout().is_some());
        assert!(timeouts.connect_timeout().is_some());
    }
}
