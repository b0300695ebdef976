//! Facts of an older or a newer build survive: nothing is dropped, nothing is guessed at, and an order that holds what this
//! build cannot read waits.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::Value;

use super::arbitrary::{Seed, fact, what};
use super::law;
use crate::domain::fact::{Fact, StoredFact, What};
use crate::domain::plan::tests::kit::{START, Story, effect_of};
use crate::domain::plan::{Do, NEWER_CASE, plan};
use crate::domain::policy::Policy;
use crate::domain::state::{State, fold};
use crate::domain::time::Seconds;

/// One fact of each kind as the first build wrote it. Orders live for years: lines are added here, never changed.
const FACTS_0_1_0: &str = include_str!("facts-0.1.0.jsonl");

fn text(n: usize, seed: Seed) -> Value {
    serde_json::to_value(fact(n, what(seed))).unwrap()
}

fn read(value: &Value) -> StoredFact {
    let raw = value.to_string();
    let stored = StoredFact::parse(raw.clone()).unwrap();
    assert_eq!(stored.raw, raw, "the text is kept as it is");
    stored
}

/// Adds a field to every object within.
fn with_more_fields(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(with_more_fields);
            fields.insert("tomorrows_field".into(), serde_json::json!({ "of": ["any", 1, null] }));
        }
        Value::Array(list) => list.iter_mut().for_each(with_more_fields),
        _ => {}
    }
}

/// Puts a word of tomorrow in one place where this build knows a few. `None`: the fact has no such place.
fn with_newer_word(mut value: Value, at: usize) -> Option<Value> {
    let places = [
        "/terms/do",
        "/result/is",
        "/origin",
        "/case_kind",
        "/decision",
        "/class",
        "/collection",
        "/capture",
    ];
    let there: Vec<&str> = places.into_iter().filter(|place| value.pointer(place).is_some()).collect();
    let place = there.get(at % there.len().max(1))?;
    *value.pointer_mut(place)? = "tomorrows_word".into();
    Some(value)
}

fn facts(seeds: &[Seed]) -> Vec<Fact> {
    seeds.iter().enumerate().map(|(n, seed)| fact(n, what(*seed))).collect()
}

/// What decides about money.
fn money(state: &State) -> impl PartialEq + std::fmt::Debug + use<> {
    let sums = [state.captured(), state.refunded(), state.lost(), state.asked(), state.excess()];
    let phases: Vec<_> = state.attempts.values().map(|a| (a.n, a.object.clone(), state.phase(a))).collect();
    let decided: Vec<_> = state.cases.iter().map(|(id, case)| (id.clone(), case.decision)).collect();
    (sums, phases, decided, state.view.clone())
}

fn seeds() -> impl Strategy<Value = Vec<Seed>> {
    prop::collection::vec(any::<Seed>(), 1..25)
}

proptest! {
    #![proptest_config(law())]

    #[test]
    fn fields_of_a_newer_build_change_nothing(seed in any::<Seed>()) {
        let mut value = text(0, seed);
        with_more_fields(&mut value);
        prop_assert_eq!(read(&value).fact, fact(0, what(seed)));
    }

    #[test]
    fn a_fact_reads_back_as_it_was_written(seed in any::<Seed>()) {
        let value = text(0, seed);
        prop_assert_eq!(read(&value).fact, fact(0, what(seed)));
        let fields = value.as_object().unwrap();
        for (name, _) in fields.iter().filter(|(_, field)| field.is_null()) {
            let mut less = fields.clone();
            less.remove(name);
            prop_assert_eq!(read(&Value::Object(less)).fact, fact(0, what(seed)), "without {}", name);
        }
    }

    #[test]
    fn kinds_of_a_newer_build_change_no_money(seeds in seeds(), at in any::<usize>(), word in "[a-z_]{1,12}") {
        let known = facts(&seeds);
        let mut value = text(0, seeds[0]);
        value["kind"] = format!("tomorrows_{word}").into();
        let newer = read(&value).fact;
        let unknown = matches!(newer.what, What::Unknown { .. });
        prop_assert!(unknown, "{newer:?}");
        let mut mixed = known.clone();
        mixed.insert(at % (known.len() + 1), newer);
        let none = BTreeMap::new();
        prop_assert_eq!(money(&fold(&mixed, &none)), money(&fold(&known, &none)));
    }

    #[test]
    fn an_order_with_what_cannot_be_read_waits(seeds in seeds(), at in any::<usize>(), place in any::<usize>()) {
        let mut known = facts(&seeds);
        let at = at % known.len();
        let Some(newer) = with_newer_word(text(at, seeds[at]), place) else { return Ok(()) };
        known[at] = read(&newer).fact;
        let unread = matches!(known[at].what, What::Unread { .. });
        prop_assert!(unread, "{:?}", known[at]);
        let state = fold(&known, &BTreeMap::new());
        for action in plan(&state, &Policy { notify: true, ..Policy::default() }, START + Seconds::days(30)) {
            let harmless = match &action.what {
                Do::Record(what) => matches!(&**what, What::CaseOpened { case, .. } if case == NEWER_CASE),
                Do::LookAtOrder | Do::Settle { .. } => true,
                other => effect_of(other).is_some_and(|e| e == format!("notice:case:{NEWER_CASE}")),
            };
            prop_assert!(harmless, "{action:?}");
        }
    }
}

#[test]
fn facts_of_the_first_build_read_as_they_were_meant() {
    let mut kinds = BTreeSet::new();
    for line in FACTS_0_1_0.lines() {
        let stored = StoredFact::parse(line.to_owned()).unwrap();
        let again: Value = serde_json::to_value(&stored.fact).unwrap();
        let was: Value = serde_json::from_str(line).unwrap();
        assert_eq!(again, was);
        kinds.insert(was["kind"].as_str().unwrap().to_owned());
    }
    let error = serde_json::from_str::<What>(r#"{"kind":"?"}"#).unwrap_err().to_string();
    let known = error.split('`').skip(3).step_by(2).map(str::to_owned);
    let known: BTreeSet<String> =
        known.filter(|kind| !["unknown", "unread"].contains(&kind.as_str())).collect();
    assert!(known.len() > 20, "{error}");
    let missing: Vec<_> = known.difference(&kinds).collect();
    assert!(missing.is_empty(), "add a line of each: {missing:?}");
}

#[test]
fn an_order_goes_on_with_the_build_that_can_read_it() {
    let story = Story::of(crate::domain::plan::tests::kit::order(1000));
    let mut newer = serde_json::to_value(&story.facts[0]).unwrap();
    newer["collection"] = "tomorrows_word".into();
    let mut half = story.clone().see(What::BuyerAsked);
    half.facts.push(read(&newer).fact);
    let waits = half.settled();
    assert!(waits.case(NEWER_CASE).is_some());
    assert_eq!(waits.wants(), ["payment-creator: look at order (not_seen_since) in 21600"]);
    // The build that wrote it knows the word, and the case that the other one opened.
    let mut whole = story.see(What::BuyerAsked);
    whole.facts.extend(waits.facts.iter().filter(|f| matches!(f.what, What::CaseOpened { .. })).cloned());
    assert!(whole.case(NEWER_CASE).is_some());
    let whole = whole.settled();
    assert_eq!(whole.case(NEWER_CASE), None);
    assert!(whole.wants()[0].contains("session:1"), "{:?}", whole.wants());
}
