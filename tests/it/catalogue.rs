//! The failure catalogue: what went wrong in other integrations, case by case, through the real handlers.
//!
//! Invariant: each test is judged by Stripe's ledger, the shop's record, the notices caught or what was counted, never by our
//! tables alone. `docs/failures.md` names the test of every case; [`table`] holds it to that.

mod deliveries;
mod disputes;
mod kit;
mod money;
mod operations;
mod owed;
mod refunds;
mod strangers;
mod table;
