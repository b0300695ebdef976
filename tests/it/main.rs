//! Stories through the real handlers, and the rules of the house.

mod architecture;
mod demo;
mod story;
mod template;
