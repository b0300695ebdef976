//! Entry point of `webhook-receiver`.
fn main() {}
