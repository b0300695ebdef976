//! Lambda's part.

tokio::task_local! {
    /// The function that runs now.
    pub static CURRENT_FUNCTION: shared::domain::ids::Function;
}
