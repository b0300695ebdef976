//! Entry point of `payment-recorder`.
fn main() {}
