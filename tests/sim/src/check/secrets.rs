//! X1: nothing secret or personal in a queue message, an order's record, a log line or a dead letter.
//!
//! Invariant: the words looked for are those the simulated people and keys really use, so a leak of any of them is seen.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use local::aws::Call;
use local::stack::local_secrets;
use shared::config::CALLS_STRIPE;
use shared::telemetry;
use tracing::subscriber::DefaultGuard;

/// What must not be written down: the buyer's address and name, card numbers, and how our secrets begin or read.
fn needles() -> Vec<String> {
    let mut all = vec![
        "@example.com".to_owned(),
        "%40example.com".to_owned(),
        "Sample Buyer".to_owned(),
        "Sample+Buyer".to_owned(),
        "4242424242424242".to_owned(),
        "4000000000000002".to_owned(),
        "_secret_".to_owned(),
    ];
    all.extend([
        local_secrets::stripe_key(),
        local_secrets::stripe_webhook(),
        local_secrets::shop_token(),
        local_secrets::shop_webhook(),
        local_secrets::notice(),
    ]);
    all.extend(CALLS_STRIPE.map(local_secrets::stripe_key_of));
    all
}

thread_local! {
    /// What the run of this thread logs.
    static LINES: Watch = Watch::default();
}

/// Where a log line goes here: it is looked at and gone.
struct Line;

impl std::io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LINES.with(|watch| watch.look_at("a log line", &String::from_utf8_lossy(bytes)));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Has every line that this thread logs looked at, at any level, until the guard is dropped.
pub fn watched_lines() -> DefaultGuard {
    LINES.with(Watch::forget);
    tracing::subscriber::set_default(telemetry::lines(telemetry::LevelFilter::TRACE, || Line))
}

/// What lines of this thread said.
pub fn said_in_lines() -> Vec<String> {
    LINES.with(Watch::found)
}

/// Looks at everything that is written, and keeps what should not be there.
#[derive(Debug)]
pub struct Watch {
    needles: Vec<String>,
    found: Mutex<BTreeSet<String>>,
}

impl Default for Watch {
    fn default() -> Self {
        Self { needles: needles(), found: Mutex::default() }
    }
}

impl Watch {
    /// Looks at a call to AWS. Request bytes of their own (`body#`) may hold contact data: they live as long as the call.
    pub(crate) fn look(&self, call: Call<'_>) {
        if !matches!(call.label.service, "sqs" | "dynamodb" | "scheduler") {
            return;
        }
        let text = String::from_utf8_lossy(call.body);
        if text.contains("body#") {
            return;
        }
        self.look_at(&call.label.to_string(), &text);
    }

    /// Looks at any text.
    pub fn look_at(&self, place: &str, text: &str) {
        for needle in self.needles.iter().filter(|n| text.contains(n.as_str())) {
            let line = format!("{place} says {:?}", needle.chars().take(12).collect::<String>());
            self.found.lock().unwrap_or_else(PoisonError::into_inner).insert(line);
        }
    }

    fn forget(&self) {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// What was found.
    pub fn found(&self) -> Vec<String> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buyers_address_in_a_message_is_seen() {
        let watch = Watch::default();
        watch.look_at("orders", r#"{"order":"1001"}"#);
        assert!(watch.found().is_empty());
        watch.look_at("orders", r#"{"order":"1001","email":"anna@example.com"}"#);
        assert_eq!(watch.found(), [r#"orders says "@example.com""#]);
    }

    #[test]
    fn a_buyers_address_in_a_log_line_is_seen_and_forgotten_by_the_next_run() {
        let guard = watched_lines();
        tracing::debug!(target: "tandem", "it went well");
        assert!(said_in_lines().is_empty());
        tracing::debug!(target: "tandem", who = "anna@example.com", "it went wrong");
        assert_eq!(said_in_lines(), [r#"a log line says "@example.com""#]);
        drop(guard);
        let _guard = watched_lines();
        assert!(said_in_lines().is_empty());
    }
}
