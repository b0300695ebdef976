//! Facts as text: what is stored, what hashes run over, and how a build reads what another one wrote.
//!
//! Invariant: the text of a fact is kept as it is, whoever wrote it. What a build does not know is never dropped, and
//! what it cannot read is never guessed at.

use sha2::{Digest, Sha256};

use super::{Fact, What};

/// A fact with the exact text that is stored, over which hashes run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFact {
    /// The JSON text as stored.
    pub raw: String,
    /// The parsed fact.
    pub fact: Fact,
}

/// Hash of a stored fact: 32 hex digits of SHA-256.
pub fn hash_of(raw: &str) -> String {
    let mut digest = hex::encode(Sha256::digest(raw.as_bytes()));
    digest.truncate(32);
    digest
}

impl StoredFact {
    /// Parses stored text. A kind that a newer build wrote becomes [`What::Unknown`]. A known kind in a form that this
    /// build cannot read (a word or a variant of a newer one) becomes [`What::Unread`]: nobody may act on half an order.
    /// What is no fact at all is an error.
    pub fn parse(raw: String) -> Result<Self, serde_json::Error> {
        let error = match serde_json::from_str::<Fact>(&raw) {
            Ok(fact) => return Ok(Self { raw, fact }),
            Err(error) => error,
        };
        let mut value: serde_json::Value = serde_json::from_str(&raw)?;
        let Some(object) = value.as_object_mut() else { return Err(error) };
        let word = |name: &str| object.get(name).and_then(|v| v.as_str()).map(str::to_owned);
        let Some(kind) = word("kind") else { return Err(error) };
        let (read_as, was) = match (is_known(&kind), word("effect")) {
            (false, _) => ("unknown", kind),
            (true, Some(effect)) => ("unread", format!("{kind} {effect}")),
            (true, None) => ("unread", kind),
        };
        object.insert("kind".to_owned(), read_as.into());
        object.insert("was".to_owned(), was.into());
        Ok(Self { raw, fact: serde_json::from_value(value)? })
    }
}

/// Whether this build knows the kind: a known one without its fields fails on them, not on its name.
fn is_known(kind: &str) -> bool {
    match serde_json::from_value::<What>(serde_json::json!({ "kind": kind })) {
        Ok(_) => true,
        Err(error) => !error.to_string().starts_with("unknown variant"),
    }
}

/// The first break of the chain, as the index of the fact that does not fit, if there is one.
pub fn chain_break<'a>(facts: impl IntoIterator<Item = &'a StoredFact>, before: &str) -> Option<usize> {
    let mut prev = before.to_owned();
    for (i, stored) in facts.into_iter().enumerate() {
        if stored.fact.prev != prev {
            return Some(i);
        }
        prev = hash_of(&stored.raw);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fact::SessionView;
    use crate::domain::time::UnixTime;

    fn fact(what: What) -> Fact {
        Fact {
            id: "t.0".into(),
            at: UnixTime(1),
            by: "x/1".into(),
            corr: "c".into(),
            hint: None,
            why: "observed".into(),
            policy: "p".into(),
            prev: String::new(),
            what,
        }
    }

    #[test]
    fn a_fact_about_an_object_with_an_id_reads_back_the_same() {
        let seen = SessionView {
            id: "cs_1".into(),
            attempt: 1,
            status: "open".into(),
            payment_status: "unpaid".into(),
            intent: None,
            url: None,
            expires_at: UnixTime(9),
        };
        let written = fact(What::SessionSeen(seen));
        let stored = StoredFact::parse(serde_json::to_string(&written).unwrap()).unwrap();
        assert_eq!(stored.fact, written);
    }

    #[test]
    fn a_kind_of_a_newer_build_is_kept_and_a_known_one_that_cannot_be_read_is_told_apart() {
        let raw = serde_json::to_string(&fact(What::BuyerAsked)).unwrap();
        let newer = raw.replace("buyer_asked", "buyer_sang");
        let stored = StoredFact::parse(newer.clone()).unwrap();
        assert_eq!((stored.raw, stored.fact.what), (newer, What::Unknown { was: "buyer_sang".into() }));
        let half = raw.replace("buyer_asked", "session_seen");
        let stored = StoredFact::parse(half.clone()).unwrap();
        assert_eq!((stored.raw, stored.fact.what), (half, What::Unread { was: "session_seen".into() }));
    }

    #[test]
    fn what_is_no_fact_is_refused() {
        let raw = serde_json::to_string(&fact(What::BuyerAsked)).unwrap();
        for broken in ["", "[]", "7", "{}", raw.trim_end_matches('}'), &raw.replace("\"kind\"", "\"kin\"")] {
            assert!(StoredFact::parse(broken.to_owned()).is_err(), "{broken}");
        }
        let nameless = raw.replace("\"fact\"", "\"fict\"");
        assert!(StoredFact::parse(nameless).is_err());
    }
}
