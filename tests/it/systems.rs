//! Each order system's own habits, told through the real handlers: one file per system.

mod checkfront;
mod kit;
mod shopify;
mod woo;
