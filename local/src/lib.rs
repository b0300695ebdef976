//! The local stack.

pub mod aws;
pub mod pump;
pub mod stripe;
