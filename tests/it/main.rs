//! Stories through the real handlers, and the rules of the house.

mod architecture;
mod story;
mod template;
