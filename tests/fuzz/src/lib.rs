//! What must hold for any bytes that reach a reader. Each target takes raw bytes and panics where something does not hold.
//!
//! Invariant: where a plain reference can be written it is, from the rule itself and without the product's helpers, and the
//! two must agree; a target that only looks for panics says so.

mod orders;
mod readers;
mod signatures;
mod values;

pub use orders::{order_answer, order_delivery};
pub use readers::{gateway_event, order_notice, sqs_batch, stripe_event};
pub use signatures::{standard_signature, stripe_signature};
pub use values::{configuration, form, money};

/// A target by name, for the corpus.
pub type Target = fn(&[u8]);

/// All of them.
pub const TARGETS: [(&str, Target); 11] = [
    ("stripe_signature", stripe_signature),
    ("standard_signature", standard_signature),
    ("stripe_event", stripe_event),
    ("order_notice", order_notice),
    ("order_delivery", order_delivery),
    ("order_answer", order_answer),
    ("form", form),
    ("gateway_event", gateway_event),
    ("sqs_batch", sqs_batch),
    ("configuration", configuration),
    ("money", money),
];

/// The text before and the bytes after the first line break; no text that is not UTF-8.
fn line(data: &[u8]) -> Option<(&str, &[u8])> {
    let at = data.iter().position(|b| *b == b'\n').unwrap_or(data.len());
    let (head, rest) = data.split_at(at);
    Some((std::str::from_utf8(head).ok()?, rest.get(1..).unwrap_or_default()))
}
