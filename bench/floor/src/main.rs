//! The floor of `bench/run`: the runtime, an event that nobody reads, an answer that never changes.
//!
//! Invariant: built like the functions (release profile, current-thread), so that what they take above it is theirs.
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde::de::IgnoredAny;
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(|_: LambdaEvent<IgnoredAny>| async { Ok::<_, Error>(json!({ "statusCode": 200 })) })).await
}
