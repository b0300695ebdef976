//! What the Stripe simulator does, seen from outside: over requests, pages and webhooks.

#![expect(clippy::unwrap_used, reason = "a test stops where something is not as it must be")]
#![expect(clippy::disallowed_methods, reason = "two tests talk to a server of their own")]

mod client;
mod money;
mod sessions;
mod trouble;
mod webhooks;
