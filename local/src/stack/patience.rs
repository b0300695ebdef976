//! Waiting for what a foreign SQS hides: its time cannot be moved.
//!
//! Invariant: bounded. A message that cannot be worked before the clock moves must not hold the stack up.

use std::time::Duration;

use shared::lambda::Deadline;

use super::{Error, Stack};
use crate::aws::FOREIGN_VISIBILITY_SECONDS;

/// The longest wait of one settling: two tries of each message.
pub(super) const SPAN: Duration = Duration::from_secs(2 * FOREIGN_VISIBILITY_SECONDS as u64 + 1);
/// Between two looks.
const PULSE: Duration = Duration::from_millis(250);

impl Stack {
    /// Waits a little if a foreign SQS still holds messages and patience is left; then there is more to look at.
    pub(super) async fn hides_more(&self, patience: Deadline) -> Result<bool, Error> {
        let hides = self.aws.foreign().sqs().is_some()
            && !patience.remaining().is_zero()
            && !self.pump.is_quiet().await?;
        if hides {
            tokio::time::sleep(PULSE).await;
        }
        Ok(hides)
    }
}
