//! Moving the one clock. Only when nothing is in flight: time-outs of running calls would fire.

use std::time::Duration;

use crate::aws::{AwsError, EmbeddedAws};

/// How tokio's clock stands on this current-thread runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockMode {
    /// It runs, with real sockets: pause, advance, resume.
    Running,
    /// It is paused for good, as in a simulation.
    Paused,
}

/// Jumps shorter than this let the queues tick; longer ones put the empty queues to rest meanwhile.
const REST_FROM: Duration = Duration::from_secs(3600);

/// Moves the clock by `by`. The caller has seen the stack idle.
pub async fn jump_clock(aws: &EmbeddedAws, by: Duration, mode: ClockMode) -> Result<(), AwsError> {
    let rest = by >= REST_FROM && aws.light_queues().is_none();
    if rest {
        aws.sqs().rest().await?;
    }
    if mode == ClockMode::Running {
        tokio::time::pause();
    }
    tokio::time::advance(by).await;
    if mode == ClockMode::Running {
        tokio::time::resume();
    }
    if rest {
        aws.sqs().wake().await?;
    }
    Ok(())
}
