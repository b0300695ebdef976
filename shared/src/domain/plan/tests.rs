//! The plan's rules as facts, one test each.

mod attempts;
mod elsewhere;
pub(crate) mod kit;
mod ladder;
mod properties;
mod refunds;
mod rest;
mod trouble;
