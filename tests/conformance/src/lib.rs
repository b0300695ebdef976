//! Is a double like the thing it stands for? One script of checks, run over the real SDK against each double of AWS and
//! against the Stripe simulator; what each did is written down beside what the documentation says.
//!
//! Invariant: a check reports what it saw, not whether that is right. Every difference is in `differences.toml` with
//! what it could hide; one that is not there, or no longer seen, fails the run.

pub mod bench;
pub mod check;
pub mod differences;
pub mod page;

mod dynamodb;
mod s3;
mod scheduler;
mod sqs;
mod ssm;
mod stripe;

#[cfg(test)]
mod tests;

pub use bench::{Bench, Double};
pub use check::{Row, Service};

/// Every check of AWS against one double, one row each.
pub async fn run(bench: &Bench) -> Vec<Row> {
    let of = async |service: Service, checks: Vec<check::Check>| {
        if bench.double.plays(service) { check::run(bench, service, &checks).await } else { Vec::new() }
    };
    let lists = [
        (Service::DynamoDb, dynamodb::all()),
        (Service::Sqs, sqs::all()),
        (Service::Scheduler, scheduler::all()),
        (Service::Ssm, ssm::all()),
        (Service::S3, s3::all()),
    ];
    if bench.double == Double::Embedded {
        let mut rows = Vec::new();
        for (service, checks) in lists {
            rows.extend(of(service, checks).await);
        }
        return rows;
    }
    // Foreign doubles need real time: their services wait side by side.
    futures::future::join_all(lists.map(|(service, checks)| of(service, checks))).await.concat()
}

/// Every check of Stripe against the simulator, each on a fresh one. Needs a paused runtime.
pub async fn run_stripe() -> Vec<Row> {
    let mut rows = Vec::new();
    for check in stripe::all() {
        let seen = (check.run)(&local::stripe::bench::Bench::new()).await;
        rows.push(check::row(Double::Simulator, Service::Stripe, &check, seen));
    }
    rows
}
