//! The embedded doubles alone, as part of `cargo test`.

use crate::{Bench, differences};

#[tokio::test(start_paused = true)]
async fn the_embedded_doubles_differ_only_as_listed() {
    let rows = crate::run(&Bench::embedded().await.unwrap()).await;
    let problems = differences::problems(&differences::known().unwrap(), &rows);
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn the_simulator_differs_only_as_listed() {
    let rows = crate::run_stripe().await;
    let problems = differences::problems(&differences::known().unwrap(), &rows);
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
