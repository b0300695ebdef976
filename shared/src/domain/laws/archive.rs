//! The archive and the fold commute; the chain of hashes breaks on any edit.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::arbitrary::{Seed, fact, what};
use super::law;
use crate::domain::archive::{Kept, broken_at, bytes_of, seal, settled};
use crate::domain::fact::{StoredFact, hash_of};
use crate::domain::snapshot;
use crate::domain::state::{State, fold, resume};

fn seeds(most: usize) -> impl Strategy<Value = Vec<Seed>> {
    prop::collection::vec(any::<Seed>(), 1..most)
}

/// An order's facts as its items hold them.
#[derive(Clone, Debug)]
struct Book {
    archives: Vec<Vec<String>>,
    kept: Option<(String, Option<String>)>,
    head: Vec<String>,
    seal: String,
}

fn stored(seeds: &[Seed]) -> Vec<StoredFact> {
    let mut prev = String::new();
    let mut out = Vec::new();
    for (n, seed) in seeds.iter().enumerate() {
        let mut fact = fact(n, what(*seed));
        fact.prev = prev;
        let raw = serde_json::to_string(&fact).unwrap();
        prev = hash_of(&raw);
        out.push(StoredFact { raw, fact });
    }
    out
}

fn raws(facts: &[StoredFact]) -> Vec<String> {
    facts.iter().map(|f| f.raw.clone()).collect()
}

/// Archives at `cuts`; at least the newest fact stays in the head.
fn book(facts: &[StoredFact], cuts: &[usize]) -> (Book, Option<Kept>, State) {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % facts.len()).filter(|cut| *cut > 0).collect();
    cuts.sort_unstable();
    cuts.dedup();
    let (mut from, mut base, mut kept) = (0, State::default(), None);
    let mut archives = Vec::new();
    for cut in cuts {
        let part = &facts[from..cut];
        base = resume(base, part.iter().map(|f| &f.fact), &BTreeMap::new());
        kept = Some(Kept::after(kept.as_ref(), part, &base).unwrap());
        archives.push(raws(part));
        from = cut;
    }
    let newest = hash_of(&facts.last().unwrap().raw);
    let texts = kept.as_ref().map(|k| (k.raw.clone(), k.snapshot.clone()));
    let seal = seal(kept.as_ref(), &newest);
    (Book { archives, kept: texts, head: raws(&facts[from..]), seal }, kept, base)
}

/// What a reader finds wrong, as the store and `explain` read a book.
fn wrong(book: &Book) -> Option<String> {
    let parse = |raws: &[String]| -> Result<Vec<StoredFact>, String> {
        raws.iter().map(|raw| StoredFact::parse(raw.clone()).map_err(|e| e.to_string())).collect()
    };
    let read = || -> Result<Option<String>, String> {
        let kept = match &book.kept {
            Some((raw, snapshot)) => Some(Kept::parse(raw.clone(), snapshot.clone())?),
            None => None,
        };
        let head = parse(&book.head)?;
        let newest = head.last().map(|f| hash_of(&f.raw)).unwrap_or_default();
        if seal(kept.as_ref(), &newest) != book.seal {
            return Ok(Some("the seal".into()));
        }
        let mut archived = Vec::new();
        for archive in &book.archives {
            archived.extend(parse(archive)?);
        }
        Ok(broken_at(kept.as_ref(), &archived, &head).map(|n| format!("fact {n}")))
    };
    read().unwrap_or_else(Some)
}

/// One byte of a text becomes another; what is not text any more is another letter instead.
fn changed(text: &str, at: usize, by: u8) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    let at = at % chars.len();
    let new = char::from(b' ' + by % 95);
    chars[at] = if chars[at] == new { '\u{1}' } else { new };
    chars.into_iter().collect()
}

/// Edits one place of a book. `None`: nothing there to edit in that way.
fn edit(book: &Book, kind: u8, list: usize, at: usize, byte: usize, by: u8) -> Option<Book> {
    let mut out = book.clone();
    let n = list % (out.archives.len() + 1);
    let facts = out.archives.get_mut(n).unwrap_or(&mut out.head);
    let at = at % facts.len();
    match kind % 9 {
        0 => facts[at] = changed(&facts[at], byte, by),
        1 => {
            facts.remove(at);
        }
        2 => {
            let copy = facts[at].clone();
            facts.insert(at, copy);
        }
        3 => {
            let other = byte % facts.len();
            if other == at {
                return None;
            }
            facts.swap(at, other);
        }
        4 => {
            let last = facts.len() - 1;
            facts[last] = changed(&facts[last], byte, by);
        }
        5 => {
            let (raw, _) = out.kept.as_mut()?;
            *raw = changed(raw, byte, by);
        }
        6 => {
            let snapshot = out.kept.as_mut()?.1.as_mut()?;
            *snapshot = changed(snapshot, byte, by);
        }
        7 => {
            // The archives are forgotten.
            out.kept.take()?;
            out.archives.clear();
        }
        _ => {
            // A fact moves over a border between items, or an archive is lost.
            let lost = out.archives.pop()?;
            if by.is_multiple_of(2) {
                out.head.splice(0..0, lost);
            }
        }
    }
    Some(out)
}

proptest! {
    #![proptest_config(law())]

    #[test]
    fn the_archive_and_the_fold_commute(seeds in seeds(40), cut in any::<usize>()) {
        let facts: Vec<_> = seeds.iter().enumerate().map(|(n, seed)| fact(n, what(*seed))).collect();
        let (old, rest) = facts.split_at(cut % (facts.len() + 1));
        let claims = BTreeMap::new();
        let text = snapshot::write(&fold(old, &claims)).unwrap();
        let base = snapshot::read(&text).unwrap();
        prop_assert_eq!(&base, &fold(old, &claims));
        prop_assert_eq!(resume(base, rest, &claims), fold(&facts, &claims));
    }

    #[test]
    fn archives_in_any_number_keep_the_state_and_a_whole_chain(
        seeds in seeds(40), cuts in prop::collection::vec(any::<usize>(), 0..4)
    ) {
        let facts = stored(&seeds);
        let (book, kept, base) = book(&facts, &cuts);
        prop_assert_eq!(wrong(&book), None);
        let whole = fold(facts.iter().map(|f| &f.fact), &BTreeMap::new());
        let archived: usize = book.archives.iter().map(Vec::len).sum();
        let head = facts[archived..].iter().map(|f| &f.fact);
        prop_assert_eq!(resume(base, head, &BTreeMap::new()), whole);
        let kept = kept.unwrap_or_default().archived;
        prop_assert_eq!(kept.facts, u64::try_from(archived).unwrap());
        prop_assert!(kept.tokens.len() <= 16);
    }

    #[test]
    fn any_edit_breaks_the_chain(
        seeds in seeds(24),
        cuts in prop::collection::vec(any::<usize>(), 0..4),
        (kind, list, at, byte, by) in any::<(u8, usize, usize, usize, u8)>(),
    ) {
        let (book, ..) = book(&stored(&seeds), &cuts);
        if let Some(edited) = edit(&book, kind, list, at, byte, by) {
            prop_assert!(wrong(&edited).is_some(), "edit {kind} went unseen: {edited:?}");
        }
    }

    #[test]
    fn what_leaves_a_head_is_its_oldest_and_what_stays_is_small(
        sizes in prop::collection::vec(1_usize..9_000, 1..120), new in 1_usize..200_000, rest in 0_usize..80_000
    ) {
        let one = stored(&[[20; 8]]).remove(0);
        let facts: Vec<_> =
            sizes.iter().map(|n| StoredFact { raw: " ".repeat(*n), fact: one.fact.clone() }).collect();
        let moved = settled(&facts, new, rest);
        let (gone, stay) = facts.split_at(moved);
        prop_assert!(bytes_of(gone) <= 257 * 1024);
        if moved == 0 {
            prop_assert!(bytes_of(&facts) + new + rest <= 64 * 1024 || bytes_of(&facts) + new <= 32 * 1024);
        } else {
            let full = bytes_of(gone) > (256 - 10) * 1024;
            prop_assert!(stay.is_empty() || bytes_of(stay) + new <= 16 * 1024 || full);
            // One fact less would not have been enough.
            prop_assert!(bytes_of(&facts[moved - 1..]) + new > 16 * 1024);
        }
    }
}

#[test]
fn a_snapshot_of_another_fold_says_nothing() {
    let facts = stored(&[[5; 8], [7; 8]]);
    let state = fold(facts.iter().map(|f| &f.fact), &BTreeMap::new());
    let own = snapshot::write(&state).unwrap();
    assert_eq!(snapshot::read(&own).as_ref(), Some(&state));
    let mut other: serde_json::Value = serde_json::from_str(&own).unwrap();
    other["fold"] = "another".into();
    assert_eq!(snapshot::read(&other.to_string()), None);
    let mut newer: serde_json::Value = serde_json::from_str(&own).unwrap();
    newer["state"]["tomorrows_field"] = 1.into();
    assert_eq!(snapshot::read(&newer.to_string()), None);
    let mut older: serde_json::Value = serde_json::from_str(&own).unwrap();
    older["state"].as_object_mut().unwrap().remove("unread");
    assert_eq!(snapshot::read(&older.to_string()), None);
    assert_eq!(snapshot::read("{"), None);
}
