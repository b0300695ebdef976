//! The demo over the local stack.

use std::path::PathBuf;

/// How it is run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where every request to Stripe is written, one JSON object per line.
    pub record: Option<PathBuf>,
}

/// Runs the demo. True: everything is as it must be.
pub async fn run(_options: Options) -> bool {
    false
}
