//! Where secrets are written: functions only read them.
//!
//! Invariant: no value is in an error; a failure names the call, what it was about, and what to do next.

use secrecy::ExposeSecret as _;
use shared::aws::SdkConfig;
use shared::config::SecretStore;
use shared::error::aws_reason;
use shared::secrets::{file, strong, variable};

use crate::output::Failure;

/// Stores `text` as the secret `name`, under the rules by which it will be read.
pub(crate) async fn put(sdk: &SdkConfig, store: &SecretStore, name: &str, text: &str) -> Result<(), Failure> {
    let value = strong(name, text)?;
    let value = value.expose_secret();
    match store {
        SecretStore::Ssm { prefix } => in_ssm(sdk, &format!("{prefix}{name}"), value).await,
        SecretStore::SecretsManager { prefix } => in_manager(sdk, &format!("{prefix}{name}"), value).await,
        SecretStore::Env => {
            Err(format!("the environment cannot be written; set {} instead", variable(name)).into())
        }
        SecretStore::File { dir } => {
            let path = file(dir, name);
            let written = std::fs::create_dir_all(dir).and_then(|()| private_write(&path, value));
            written.map_err(|error| format!("{} was not written: {}", path.display(), error.kind()).into())
        }
    }
}

async fn in_ssm(sdk: &SdkConfig, path: &str, value: &str) -> Result<(), Failure> {
    let put = shared::aws::ssm(sdk).put_parameter().name(path).value(value).overwrite(true);
    let sent = put.r#type(aws_sdk_ssm::types::ParameterType::SecureString).send().await;
    sent.map(|_| ()).map_err(|e| failure(sdk, "ssm:PutParameter", "parameter", path, &aws_reason(&e)))
}

/// A new version of the secret, or the secret itself when there is none.
async fn in_manager(sdk: &SdkConfig, id: &str, value: &str) -> Result<(), Failure> {
    let client = crate::aws::secretsmanager(sdk);
    let failed = |action, reason: String| failure(sdk, action, "secret", id, &reason);
    match client.put_secret_value().secret_id(id).secret_string(value).send().await {
        Ok(_) => Ok(()),
        Err(e) if e.as_service_error().is_some_and(|e| e.is_resource_not_found_exception()) => {
            let made = client.create_secret().name(id).secret_string(value).send().await;
            made.map(|_| ()).map_err(|e| failed("secretsmanager:CreateSecret", aws_reason(&e)))
        }
        Err(e) => Err(failed("secretsmanager:PutSecretValue", aws_reason(&e))),
    }
}

/// What was tried, how it ended, what to do.
fn failure(sdk: &SdkConfig, action: &str, kind: &str, path: &str, reason: &str) -> Failure {
    let region = sdk.region().map_or("no region", |r| r.as_ref());
    let instead = match reason {
        "request not built" | "connection failed" => {
            "check the region, the network and your credentials (`aws sts get-caller-identity`)"
        }
        "timed out" => "it may be stored all the same: run the command again",
        "ResourceNotFoundException" | "ParameterNotFound" => "check --stack and the region",
        _ if reason.contains("AccessDenied") => "your credentials need that right on it",
        _ if reason.contains("Token") || reason.contains("Credentials") => "renew your credentials",
        _ => "nothing was stored",
    };
    format!("{action} on {kind} {path} ({region}): {reason}; {instead}").into()
}

/// Readable by its owner only.
fn private_write(path: &std::path::Path, value: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(value.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use aws_smithy_runtime_api::client::http::{
        HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
    };
    use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
    use aws_smithy_types::body::SdkBody;
    use serde_json::Value;

    use super::*;

    const GOOD: &str = "0123456789abcdef-1";

    /// An AWS that refuses what it is told to and remembers what it was asked.
    #[derive(Clone, Debug)]
    struct Double {
        refuses: &'static [(&'static str, &'static str)],
        calls: Arc<Mutex<Vec<(String, Value)>>>,
    }

    impl Double {
        fn refusing(refuses: &'static [(&'static str, &'static str)]) -> Self {
            Self { refuses, calls: Arc::default() }
        }

        fn sdk(&self) -> SdkConfig {
            let connector = SharedHttpConnector::new(self.clone());
            shared::aws::in_process(http_client_fn(move |_, _| connector.clone()))
        }

        async fn put(&self, store: &SecretStore, text: &str) -> Result<(), String> {
            put(&self.sdk(), store, "key", text).await.map_err(|e| e.to_string())
        }

        fn calls(&self) -> Vec<(String, Value)> {
            self.calls.lock().unwrap().clone()
        }
    }

    impl HttpConnector for Double {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            let operation = request.headers().get("x-amz-target").unwrap().to_owned();
            let body = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
            let refusal = self.refuses.iter().find(|(on, _)| operation.ends_with(on));
            self.calls.lock().unwrap().push((operation, body));
            let status: u16 = if refusal.is_some() { 400 } else { 200 };
            let mut answer = HttpResponse::new(status.try_into().unwrap(), SdkBody::from("{}"));
            if let Some((_, code)) = refusal {
                answer.headers_mut().insert("x-amzn-errortype", *code);
            }
            HttpConnectorFuture::ready(Ok(answer))
        }
    }

    fn ssm() -> SecretStore {
        SecretStore::Ssm { prefix: "/tandem/prod/".into() }
    }

    fn manager() -> SecretStore {
        SecretStore::SecretsManager { prefix: "tandem/prod/".into() }
    }

    #[tokio::test]
    async fn a_parameter_is_written_as_a_secure_string_in_place_of_the_old_one() {
        let aws = Double::refusing(&[]);
        aws.put(&ssm(), &format!(" {GOOD}\n")).await.unwrap();
        let (operation, body) = aws.calls().remove(0);
        assert_eq!(operation, "AmazonSSM.PutParameter");
        assert_eq!((&body["Name"], &body["Value"]), (&"/tandem/prod/key".into(), &GOOD.into()));
        assert_eq!((&body["Type"], &body["Overwrite"]), (&"SecureString".into(), &true.into()));
    }

    #[tokio::test]
    async fn secrets_manager_makes_a_secret_that_is_not_there_yet() {
        let aws = Double::refusing(&[("PutSecretValue", "ResourceNotFoundException")]);
        aws.put(&manager(), GOOD).await.unwrap();
        let (operation, body) = aws.calls().remove(1);
        assert_eq!(
            (operation.as_str(), &body["Name"]),
            ("secretsmanager.CreateSecret", &"tandem/prod/key".into())
        );
        assert_eq!(body["SecretString"], GOOD);
    }

    #[tokio::test]
    async fn a_failure_says_what_was_tried_where_and_what_to_do_and_never_the_value() {
        let denied = Double::refusing(&[("PutParameter", "AccessDeniedException")]);
        assert_eq!(
            denied.put(&ssm(), GOOD).await.unwrap_err(),
            "ssm:PutParameter on parameter /tandem/prod/key (eu-central-1): AccessDeniedException; \
             your credentials need that right on it"
        );
        let expired = Double::refusing(&[("PutSecretValue", "ExpiredTokenException")]);
        let told = expired.put(&manager(), GOOD).await.unwrap_err();
        assert!(told.starts_with("secretsmanager:PutSecretValue on secret tandem/prod/key"), "{told}");
        assert!(told.ends_with("renew your credentials") && !told.contains(GOOD), "{told}");
    }

    #[tokio::test]
    async fn a_weak_value_is_refused_before_any_call() {
        let aws = Double::refusing(&[]);
        assert!(aws.put(&ssm(), "changeme-changeme-1").await.unwrap_err().contains("placeholder"));
        assert!(aws.calls().is_empty());
    }

    #[tokio::test]
    async fn a_file_is_its_owners_alone_and_the_environment_is_not_written() {
        let dir = std::env::temp_dir().join(format!("tandem-put-{}", std::process::id()));
        let aws = Double::refusing(&[]);
        let store = SecretStore::File { dir: dir.to_string_lossy().into_owned() };
        aws.put(&store, GOOD).await.unwrap();
        assert_eq!(std::fs::read_to_string(dir.join("key")).unwrap(), GOOD);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(dir.join("key")).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        std::fs::remove_dir_all(dir).unwrap();
        let told = aws.put(&SecretStore::Env, GOOD).await.unwrap_err();
        assert!(told.contains("TANDEM_SECRET_KEY"), "{told}");
    }
}
