//! The places secrets are read from: SSM SecureString, Secrets Manager, the environment, files, memory. The command line
//! writes them; a function cannot.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::SecretError;
use crate::aws::{self, SdkConfig};
use crate::config::{self, SecretStore};
use crate::error::aws_reason;

/// Parameter Store hands out the secrets of Secrets Manager under this path, so that a function needs one client for both.
const REFERENCE: &str = "/aws/reference/secretsmanager/";

pub(super) enum Store {
    Ssm { client: aws_sdk_ssm::Client, prefix: String },
    Env,
    File { dir: String },
    Memory(MemoryStore),
}

/// Secrets in memory, for the local stack and tests. Clones share their content.
#[derive(Clone, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<MemoryState>>,
}

#[derive(Default)]
struct MemoryState {
    values: BTreeMap<String, String>,
    down: bool,
    reads: u32,
}

impl MemoryStore {
    /// With these secrets, by name.
    pub fn new<N: Into<String>, V: Into<String>>(values: impl IntoIterator<Item = (N, V)>) -> Self {
        let values = values.into_iter().map(|(n, v)| (n.into(), v.into())).collect();
        Self { state: Arc::new(Mutex::new(MemoryState { values, down: false, reads: 0 })) }
    }

    /// Sets one secret.
    pub fn set(&self, name: &str, value: &str) {
        self.lock().values.insert(name.to_owned(), value.to_owned());
    }

    /// Deletes one secret.
    pub fn remove(&self, name: &str) {
        self.lock().values.remove(name);
    }

    /// Makes every call fail, or work again.
    pub fn set_down(&self, down: bool) {
        self.lock().down = down;
    }

    /// How often it was asked.
    pub fn reads(&self) -> u32 {
        self.lock().reads
    }

    fn read(&self, name: &str) -> Result<String, SecretError> {
        let mut state = self.lock();
        state.reads += 1;
        if state.down {
            return Err(SecretError::Store { name: name.to_owned(), reason: "down".to_owned() });
        }
        state.values.get(name).cloned().ok_or_else(|| SecretError::Missing { name: name.to_owned() })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, MemoryState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

/// The environment variable of a secret.
pub fn variable(name: &str) -> String {
    let upper = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("TANDEM_SECRET_{}", name.chars().map(upper).collect::<String>())
}

impl Store {
    pub(super) fn of(store: &SecretStore, sdk: &SdkConfig) -> Self {
        match store {
            SecretStore::Ssm { prefix } => Self::Ssm { client: aws::ssm(sdk), prefix: prefix.clone() },
            SecretStore::SecretsManager { prefix } => {
                Self::Ssm { client: aws::ssm(sdk), prefix: format!("{REFERENCE}{prefix}") }
            }
            SecretStore::Env => Self::Env,
            SecretStore::File { dir } => Self::File { dir: dir.clone() },
        }
    }

    pub(super) async fn read(&self, name: &str) -> Result<String, SecretError> {
        let missing = || SecretError::Missing { name: name.to_owned() };
        let failed = |reason: String| SecretError::Store { name: name.to_owned(), reason };
        match self {
            Self::Ssm { client, prefix } => {
                let call = client.get_parameter().name(format!("{prefix}{name}")).with_decryption(true);
                match call.send().await {
                    Ok(answer) => answer.parameter.and_then(|p| p.value).ok_or_else(missing),
                    Err(error) if error.as_service_error().is_some_and(|e| e.is_parameter_not_found()) => {
                        Err(missing())
                    }
                    Err(error) => Err(failed(aws_reason(&error))),
                }
            }
            Self::Env => config::env(&variable(name)).ok_or_else(missing),
            Self::File { dir } => match std::fs::read_to_string(file(dir, name)) {
                Ok(text) => Ok(text),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(missing()),
                Err(error) => Err(failed(error.kind().to_string())),
            },
            Self::Memory(store) => store.read(name),
        }
    }
}

/// One file per secret; a slash in a name does not make a folder.
pub fn file(dir: &str, name: &str) -> std::path::PathBuf {
    std::path::Path::new(dir).join(name.replace('/', "_"))
}
