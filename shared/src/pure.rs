//! The domain as a crate of its own, package `pure` in `tests/models/pure`: the protocol models fold and plan with it a
//! million times, so it is optimised for them, and they need not wait for everything else that `shared` is made of.

pub mod domain;
