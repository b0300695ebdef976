//! One invocation of a function: Lambda's part around its handler.
//!
//! Invariant: an invocation that panicked, overstayed or was killed is dropped where it stands; what it had begun outside
//! may still happen.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{Either, select};
use shared::domain::ids::Function;
use tokio::sync::Notify;

tokio::task_local! {
    /// The function that runs now; counts of calls are kept by it.
    pub static CURRENT_FUNCTION: Function;
    /// The invocation that runs now.
    pub static INVOCATION: Arc<Invocation>;
}

/// A running invocation.
#[derive(Debug)]
pub struct Invocation {
    /// Which one: grows within the process.
    pub id: u64,
    killed: Notify,
}

impl Invocation {
    /// Ends it where it stands, as when its process dies.
    pub fn kill(&self) {
        self.killed.notify_one();
    }
}

/// Why an invocation gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The handler panicked.
    Panicked,
    /// It took longer than it may.
    TimedOut,
    /// It was killed from outside.
    Killed,
}

static NEXT: AtomicU64 = AtomicU64::new(1);

/// Runs `work` as an invocation of `function`.
pub async fn invocation<T>(
    function: Function,
    limit: Duration,
    work: impl Future<Output = T>,
) -> Result<T, Ended> {
    let this = Arc::new(Invocation { id: NEXT.fetch_add(1, Ordering::Relaxed), killed: Notify::new() });
    // The call itself is inside the guard: a handler may panic before it returns its future.
    let guarded = AssertUnwindSafe(work).catch_unwind();
    let scoped = CURRENT_FUNCTION.scope(function, INVOCATION.scope(this.clone(), guarded));
    let timed = std::pin::pin!(tokio::time::timeout(limit, scoped));
    let killed = std::pin::pin!(this.killed.notified());
    match select(timed, killed).await {
        Either::Left((Ok(Ok(done)), _)) => Ok(done),
        Either::Left((Ok(Err(_)), _)) => Err(Ended::Panicked),
        Either::Left((Err(_), _)) => Err(Ended::TimedOut),
        Either::Right(_) => Err(Ended::Killed),
    }
}
