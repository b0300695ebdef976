//! The simulation: the real handlers over the real AWS SDK, embedded emulators, the Stripe simulator and the demo shop, in
//! one thread on virtual time, with every I/O cut in every way.
//!
//! Invariant: a run is a function of its scenario and its cut. The same two give the same calls, so that what is found can
//! be seen again by its name alone. What is right is judged by the simulator's ledger and the shop's own record.

pub mod aside;
pub mod backlog;
pub mod check;
pub mod cut;
pub mod interleave;
pub mod owner;
pub mod recorded;
pub mod replayed;
pub mod report;
pub mod scenario;
pub mod sweep;
pub mod tardy;
pub mod teeth;
pub mod world;
