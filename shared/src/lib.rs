//! The common crate of every Tandem function.
//!
//! | module | owns |
//! | --- | --- |
//! | [`domain`] | money, facts, state, plan, policies: pure, no I/O, no clock |
//! | [`inbound`] | bytes to verified hints, one file per source |
//! | [`outbound`] | HTTP clients of Stripe, order systems, messengers, over one seam |
//! | [`store`] | DynamoDB: the order item, links, control |
//! | [`engine`] | load, observe, fold, plan, commit, act: the loop all hands share |
//! | the rest | queue envelope, timers, batches, configuration, secrets, AWS clients, logs |

pub mod aws;
pub mod batch;
pub mod clock;
pub mod config;
pub mod domain;
pub mod engine;
pub mod error;
pub mod inbound;
pub mod lambda;
pub mod operator;
pub mod outbound;
pub mod planted;
pub mod queue;
pub mod secrets;
pub mod store;
pub mod telemetry;
pub mod timer;
