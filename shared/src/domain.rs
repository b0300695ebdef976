//! The pure heart: money, ids, facts, state and plan.
//!
//! Nothing here does I/O, reads a clock, the environment or randomness: time comes in as an argument.

pub mod archive;
pub mod explain;
pub mod fact;
pub mod ids;
#[cfg(test)]
pub(crate) mod laws;
pub mod money;
pub mod order;
pub mod plan;
pub mod policy;
pub mod reconcile;
pub mod snapshot;
pub mod state;
pub mod time;
pub mod view;
