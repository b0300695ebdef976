//! Entry point of `webhook-receiver`: verify, queue once, answer.
use shared::{aws, lambda, telemetry};
use webhook_receiver::{Deps, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda::Error> {
    telemetry::init();
    let deps = Deps::from_env(&aws::sdk_config()?).await?; // A bad setting must fail INIT, not a customer.
    lambda::serve_http(|event| handle(&deps, event)).await
}
