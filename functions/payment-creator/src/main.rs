//! Entry point of `payment-creator`.
fn main() {}
