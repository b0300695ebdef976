//! What we leave on an order so that we know our own writing again: metafields in the namespace `tandem`, a tag, and a
//! mark in the note of a refund.
//!
//! Invariant: the marker of a view has a key of its own per version, so that a late older write undoes nothing; the
//! record of a payment is written before the payment, so that a payment whose answer was lost is known as ours.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::domain::ids::key_part;
use crate::domain::order::PaymentEcho;
use crate::domain::view::{PaymentStatus, RefundLine};

/// The namespace of all metafields.
pub(super) const NAMESPACE: &str = "tandem";
/// Before the version, in the key of a view's marker.
pub(super) const MARKER: &str = "payment_v";
/// Where the buyer pays.
pub(super) const PAYMENT_URL: &str = "payment_url";
/// What was about to be recorded as paid.
pub(super) const RECORD: &str = "record";
/// The payment method of a part that we record.
pub(super) const METHOD: &str = "Tandem";
/// Staff puts this tag on an order that shall not be charged for now.
pub(super) const HOLD_TAG: &str = "tandem-hold";

/// One metafield.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Metafield {
    pub(super) key: String,
    pub(super) value: String,
    /// What a compare-and-set of it must name.
    pub(super) digest: String,
}

/// Once the books hold `paid`, `after` of it is ours; until then `before`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) before: i64,
    pub(super) after: i64,
    pub(super) paid: i64,
    /// How much of it stands there under our own payment method, at most.
    #[serde(default)]
    pub(super) parts: i64,
}

impl Record {
    /// How much is ours of books that hold `paid`.
    pub(super) fn own(self, paid: i64) -> i64 {
        if paid >= self.paid { self.after } else { self.before }
    }
}

/// The version in the key of a marker.
pub(super) fn marker_version(key: &str) -> Option<u64> {
    key.strip_prefix(MARKER)?.parse().ok()
}

/// What the highest marker says.
pub(super) fn echo(fields: &[Metafield]) -> Option<PaymentEcho> {
    let marked = fields.iter().filter_map(|f| Some((marker_version(&f.key)?, f)));
    let (version, field) = marked.max_by_key(|(version, _)| *version)?;
    let told: serde_json::Value = serde_json::from_str(&field.value).unwrap_or_default();
    let status = told["payment"]["status"].as_str().unwrap_or("unreadable");
    Some(PaymentEcho { version, status: status.chars().take(60).collect() })
}

/// The tag that says a status.
pub(super) fn tag(status: PaymentStatus) -> String {
    format!("tandem-{}", status.name().replace('_', "-"))
}

/// Whether a tag is one of ours.
pub(super) fn is_status_tag(text: &str) -> bool {
    PaymentStatus::ALL.iter().any(|status| tag(*status).eq_ignore_ascii_case(text))
}

/// A refund that we recorded, as its note tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RefundMark {
    /// `re_...`.
    pub(super) refund: String,
    /// ISO minor units.
    pub(super) amount: i64,
    /// The shop's own request, if it answers one.
    pub(super) request: Option<String>,
}

impl RefundMark {
    pub(super) fn of(line: &RefundLine) -> Self {
        Self { refund: line.id.clone(), amount: line.amount, request: line.request.clone() }
    }

    /// A sentence for people, with the mark behind it.
    pub(super) fn note(&self) -> String {
        let request =
            self.request.as_deref().map_or_else(|| "-".to_owned(), |id| format!("for:{}", key_part(id)));
        format!("Refunded through Stripe [tandem {} {} {request}]", key_part(&self.refund), self.amount)
    }

    pub(super) fn read(note: &str) -> Option<Self> {
        let (_, rest) = note.split_once("[tandem ")?;
        let (inside, _) = rest.split_once(']')?;
        let words: Vec<&str> = inside.split(' ').collect();
        let [refund, amount, request] = words[..] else { return None };
        let amount = amount.parse().ok().filter(|n| *n > 0)?;
        let request = request.strip_prefix("for:").map(unescaped);
        Some(Self { refund: unescaped(refund), amount, request })
    }
}

/// The inverse of [`key_part`]. A broken escape stays as it is.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let pair = tail.get(..2).and_then(|p| std::str::from_utf8(p).ok());
        match pair.and_then(|p| u8::from_str_radix(p, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The idempotency key of a refund: a UUID that only depends on what the refund is.
pub(super) fn refund_key(source: &str, order: &str, refund: &str) -> String {
    let hash = Sha256::digest(format!("tandem/{source}/{order}/{refund}"));
    let mut bytes = [0_u8; 16];
    bytes.copy_from_slice(&hash[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_note_of_a_refund_reads_back_whatever_the_request_is_called() {
        for request in [None, Some("1001-r1"), Some("-"), Some("#7 ]/100%"), Some("größe")] {
            let mark =
                RefundMark { refund: "re_1".into(), amount: 1250, request: request.map(str::to_owned) };
            assert_eq!(RefundMark::read(&mark.note()), Some(mark));
        }
        for note in
            ["", "broken cup", "[tandem]", "[tandem re_1 x r1]", "[tandem re_1 0 r1]", "[tandem re_1 5]"]
        {
            assert_eq!(RefundMark::read(note), None, "{note}");
        }
    }

    #[test]
    fn the_highest_marker_counts_wherever_it_stands() {
        let field = |key: &str, status: &str| Metafield {
            key: key.into(),
            value: format!("{{\"payment_version\":1,\"payment\":{{\"status\":\"{status}\"}}}}"),
            digest: "d".into(),
        };
        let fields =
            [field("payment_v9", "paid"), field("payment_v10", "refunded"), field("payment_url", "x")];
        assert_eq!(echo(&fields), Some(PaymentEcho { version: 10, status: "refunded".into() }));
        assert_eq!(echo(&[field("payment_vx", "paid")]), None);
        let broken = Metafield { value: "edited by hand".into(), ..field("payment_v11", "") };
        assert_eq!(echo(&[broken]).unwrap().status, "unreadable");
    }

    #[test]
    fn one_refund_has_one_key_and_another_has_another() {
        let key = refund_key("tea", "1", "re_1");
        assert_eq!(key, refund_key("tea", "1", "re_1"));
        assert!(uuid::Uuid::parse_str(&key).is_ok());
        for other in [("tea", "1", "re_2"), ("tea", "2", "re_1"), ("coffee", "1", "re_1")] {
            assert_ne!(key, refund_key(other.0, other.1, other.2));
        }
    }

    #[test]
    fn a_payment_is_ours_once_the_books_hold_what_was_to_be_recorded() {
        let record = Record { before: 500, after: 1250, paid: 1500, parts: 0 };
        assert_eq!(
            [record.own(750), record.own(1499), record.own(1500), record.own(1600)],
            [500, 500, 1250, 1250]
        );
    }

    #[test]
    fn our_tags_are_told_from_the_shops() {
        assert_eq!(tag(PaymentStatus::PartiallyPaid), "tandem-partially-paid");
        assert!(is_status_tag("Tandem-Partially-Paid") && !is_status_tag(HOLD_TAG) && !is_status_tag("vip"));
    }
}
