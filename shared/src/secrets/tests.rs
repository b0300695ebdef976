//! What is kept, for how long, and what is refused.

use std::time::Duration;

use super::*;
use crate::domain::time::UnixTime;

const GOOD: &str = "0123456789abcdef-1";
const BETTER: &str = "0123456789abcdef-2";

fn secrets() -> (Secrets, MemoryStore) {
    let store = MemoryStore::new([("key", GOOD)]);
    (Secrets::in_memory(store.clone(), Clock::tokio_from(UnixTime(1_795_000_000))), store)
}

async fn read(secrets: &Secrets) -> Result<String, SecretError> {
    secrets.get("key").await.map(|s| s.expose_secret().to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_value_is_kept_five_minutes() {
    let (secrets, store) = secrets();
    for _ in 0..3 {
        assert_eq!(read(&secrets).await.unwrap(), GOOD);
    }
    assert_eq!(store.reads(), 1);
    store.set("key", BETTER);
    tokio::time::advance(Duration::from_secs(299)).await;
    assert_eq!(read(&secrets).await.unwrap(), GOOD);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(read(&secrets).await.unwrap(), BETTER);
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_down_a_known_value_serves_one_hour() {
    let (secrets, store) = secrets();
    read(&secrets).await.unwrap();
    store.set_down(true);
    tokio::time::advance(Duration::from_secs(3_500)).await;
    assert_eq!(read(&secrets).await.unwrap(), GOOD);
    let asked = store.reads();
    assert_eq!(read(&secrets).await.unwrap(), GOOD);
    assert_eq!(store.reads(), asked, "the store is not asked for every request while it is down");
    tokio::time::advance(Duration::from_secs(200)).await;
    assert!(matches!(read(&secrets).await, Err(SecretError::Store { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_refresh_asks_at_most_once_a_minute() {
    let (secrets, store) = secrets();
    read(&secrets).await.unwrap();
    store.set("key", BETTER);
    assert!(!secrets.refresh("key").await.unwrap());
    assert_eq!(store.reads(), 1);
    tokio::time::advance(Duration::from_secs(61)).await;
    assert!(secrets.refresh("key").await.unwrap());
    assert!(!secrets.refresh("key").await.unwrap());
    assert_eq!(store.reads(), 2);
    assert_eq!(read(&secrets).await.unwrap(), BETTER);
}

#[tokio::test(start_paused = true)]
async fn many_callers_make_one_call() {
    let (secrets, store) = secrets();
    let all = futures::future::join_all((0..50).map(|_| read(&secrets))).await;
    assert!(all.into_iter().all(|r| r.is_ok()));
    assert_eq!(store.reads(), 1);
}

#[tokio::test]
async fn weak_values_and_placeholders_are_refused_and_never_shown() {
    let short = format!("whsec_{}", "a1b2c3d4e5f6g7h8i9j0k1l");
    let weak = [
        "",
        "   ",
        "short",
        &short,
        "whsec_...",
        "changeme-changeme-1",
        "aaaaaaaaaaaaaaaaaaaaaaaa",
        "a b c d e f g h i j",
    ];
    for value in weak {
        let store = MemoryStore::new([("key", value)]);
        let secrets = Secrets::in_memory(store, Clock::System);
        let error = secrets.get("key").await.unwrap_err();
        assert!(matches!(error, SecretError::Weak { .. }), "{value}");
        assert!(value.trim().is_empty() || !error.to_string().contains(value));
        assert!(strong("key", value).is_err());
    }
    assert_eq!(weakness(&format!("whsec_{}", "a1b2c3d4e5f6g7h8i9j0k1l2")), None);
    assert_eq!(weakness(GOOD), None);
}

#[tokio::test]
async fn blanks_around_a_value_are_dropped() {
    let store = MemoryStore::new([("key", format!("  {GOOD}\n"))]);
    let secrets = Secrets::in_memory(store, Clock::System);
    assert_eq!(read(&secrets).await.unwrap(), GOOD);
}

#[tokio::test]
async fn a_file_store_has_one_file_per_secret() {
    let dir = std::env::temp_dir().join(format!("tandem-secrets-{}", std::process::id()));
    let place = SecretStore::File { dir: dir.to_string_lossy().into_owned() };
    let secrets = Secrets::over(Store::of(&place, &SdkConfig::builder().build()), Clock::System, strong);
    assert!(matches!(secrets.get("a/b").await, Err(SecretError::Missing { .. })));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("a_b"), GOOD).unwrap();
    let secrets = Secrets::over(Store::of(&place, &SdkConfig::builder().build()), Clock::System, strong);
    assert_eq!(secrets.get("a/b").await.unwrap().expose_secret(), GOOD);
    std::fs::remove_dir_all(dir).unwrap();
}

/// A parameter store that holds one parameter.
fn parameters(held: &'static str) -> crate::aws::double::Double {
    crate::aws::double::Double::new(move |(operation, body)| match operation.as_str() {
        "AmazonSSM.GetParameter" if body["Name"] == held => {
            (200, "", format!("{{\"Parameter\":{{\"Value\":\"{GOOD}\"}}}}"))
        }
        "AmazonSSM.GetParameter" if body["Name"] == "/tandem/prod/forbidden" => {
            (400, "AccessDeniedException", "{}".to_owned())
        }
        "AmazonSSM.GetParameter" => (400, "ParameterNotFound", "{}".to_owned()),
        other => panic!("{other}: functions only read"),
    })
}

#[tokio::test]
async fn parameters_are_read_decrypted() {
    let double = parameters("/tandem/prod/key");
    let secrets =
        Secrets::new(&SecretStore::Ssm { prefix: "/tandem/prod/".into() }, &double.sdk(), Clock::System);
    assert_eq!(read(&secrets).await.unwrap(), GOOD);
    let missing = secrets.get("other").await.unwrap_err();
    assert!(missing.to_string().contains("tandem secrets put other"));
    let denied = secrets.get("forbidden").await.unwrap_err();
    assert!(matches!(denied, SecretError::Store { .. }) && denied.to_string().contains("AccessDenied"));
    assert!(double.calls().iter().all(|(_, body)| body["WithDecryption"] == true));
}

#[tokio::test]
async fn secrets_manager_is_read_by_parameter_stores_reference() {
    let double = parameters("/aws/reference/secretsmanager/tandem/prod/key");
    let place = SecretStore::SecretsManager { prefix: "tandem/prod/".into() };
    let secrets = Secrets::new(&place, &double.sdk(), Clock::System);
    assert_eq!(read(&secrets).await.unwrap(), GOOD);
    assert!(matches!(secrets.get("other").await, Err(SecretError::Missing { .. })));
    // Without it Parameter Store refuses a reference.
    assert!(double.calls().iter().all(|(_, body)| body["WithDecryption"] == true));
}
