//! Entry point of `notifier`.
fn main() {}
