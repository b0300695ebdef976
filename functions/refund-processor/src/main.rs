//! Entry point of `refund-processor`.
fn main() {}
