//! Drills: what docs/RUNBOOK.md tells an operator to do, done by code through the real handlers on the paused clock.
//!
//! Invariant: the end is judged by the simulator's ledger and the shop's own record, never by our tables; whatever was
//! lost, restored or repeated, no order is charged or refunded twice and every shop is told rightly.

mod kit;
mod load;
mod outage;
mod queues;
mod replay;
mod restore;
mod rollback;
mod secrets;
