//! Entry point of `sweeper`.
fn main() {}
