//! Entry point of `refund-processor`: refunds: policy, approval, refund, its later fate.
use refund_processor::{Deps, handle};
use shared::{aws, lambda, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda::Error> {
    telemetry::init();
    let deps = Deps::from_env(&aws::sdk_config()?).await?; // A bad setting must fail INIT, not a customer.
    lambda::serve_batch(|records, deadline| handle(&deps, records, deadline)).await
}
