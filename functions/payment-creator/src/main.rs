//! Entry point of `payment-creator`: look at the order, make its customer and its payment attempt.
use payment_creator::{Deps, handle};
use shared::{aws, lambda, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda::Error> {
    telemetry::init();
    let deps = Deps::from_env(&aws::sdk_config()?).await?; // A bad setting must fail INIT, not a customer.
    lambda::serve_batch(|records, deadline| handle(&deps, records, deadline)).await
}
