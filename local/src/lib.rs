//! The local stack.

pub mod aws;
pub mod http_server;
pub mod pump;
pub mod stripe;
