//! What the Stripe simulator does, seen from outside: over requests, pages and webhooks.

mod bench;
mod declines;
mod idempotency;
mod intents;
mod lists;
mod refunds;
mod sessions;
mod trouble;
mod webhooks;
