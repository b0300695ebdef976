//! Entry point of `reconciler`.
fn main() {}
