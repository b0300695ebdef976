//! The client against a scripted far side, on a paused clock.

mod classify;
mod lists;
mod retries;
