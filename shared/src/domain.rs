//! The pure heart: money, ids, facts, state and plan.
//!
//! Nothing here does I/O, reads a clock, the environment or randomness: time comes in as an argument.

pub mod ids;
pub mod money;
pub mod order;
pub mod policy;
pub mod time;
pub mod view;
