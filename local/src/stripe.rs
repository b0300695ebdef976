//! The Stripe simulator.

pub mod contract;
