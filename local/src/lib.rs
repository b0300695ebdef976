//! The local stack: embedded AWS, the message pump, the Stripe simulator, the demo shop, and the demo over them.

pub mod aws;
pub mod demo;
pub mod http_server;
pub mod pump;
pub mod serve;
pub mod shop;
pub mod stack;
pub mod stripe;
