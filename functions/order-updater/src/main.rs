//! Entry point of `order-updater`.
fn main() {}
