//! Stories through the real handlers.
