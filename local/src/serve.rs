//! The local stack kept up.

/// Runs the stack until it is interrupted.
pub async fn run(_json: bool) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    Err("the local stack is not part of this build".into())
}
