//! Stories through the real handlers.

mod architecture;
mod template;
