//! Entry point of `payment-page`: the buyer's stable link.

// The futures of the handler are nested deeper than the compiler's default.
#![recursion_limit = "256"]

use payment_page::{Deps, handle};
use shared::{aws, lambda, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda::Error> {
    telemetry::init();
    let deps = Deps::from_env(&aws::sdk_config()?).await?; // A bad setting must fail INIT, not a customer.
    lambda::serve_http(|event| handle(&deps, event)).await
}
