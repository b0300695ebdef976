//! Stories through the real handlers, and the rules of the house.

mod architecture;
mod demo;
mod far_side;
mod operator;
mod reconciler;
mod story;
mod sweeper;
mod template;
