//! Stories through the real handlers, and the rules of the house.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

mod architecture;
mod demo;
mod far_side;
mod operator;
mod reconciler;
mod story;
mod sweeper;
mod template;
