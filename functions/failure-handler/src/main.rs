//! Entry point of `failure-handler`.
fn main() {}
