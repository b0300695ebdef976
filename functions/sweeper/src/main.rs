//! Entry point of `sweeper`: one run per schedule, one run at a time.
use shared::{aws, lambda, telemetry};
use sweeper::{Deps, scheduled};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda::Error> {
    telemetry::init();
    let deps = Deps::from_env(&aws::sdk_config()?).await?; // A bad setting must fail INIT, not a run.
    lambda::serve_schedule(|event, deadline| scheduled(&deps, event, deadline)).await
}
