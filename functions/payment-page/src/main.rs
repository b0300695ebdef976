//! Entry point of `payment-page`.
fn main() {}
