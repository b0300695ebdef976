//! Pages in a real browser: what the test asks of them.

pub mod page;
