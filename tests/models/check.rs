//! Running the checker over a protocol: its properties, and one run for each planted bug.
//!
//! Invariant: a bug counts as killed only by a counterexample to the one property it is planted against.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::hash::Hash;
use std::time::Instant;

use stateright::{Checker as _, Expectation, HasDiscoveries, Model};

use crate::progress;
use crate::{Checked, Held, Kind, Planted, Size};

/// The property of progress that every protocol has.
pub(crate) const SETTLES: &str = "once nothing fails any more, it settles";

/// A protocol as a model, with the bugs that can be planted in it.
pub(crate) trait Protocol:
    Model<
        State: Clone + Debug + Eq + Hash + Send + Sync + 'static,
        Action: Clone + Debug + PartialEq + Send + Sync + 'static,
    > + Send
    + Sync
    + 'static
{
    /// What can be planted.
    type Bug: Copy + Debug + 'static;
    /// Its name.
    const NAME: &'static str;
    /// The files it stands for.
    const STANDS_FOR: &'static str;
    /// Each bug and the property it must break.
    const BUGS: &'static [(Self::Bug, &'static str)];

    /// The protocol, sound or with a bug.
    fn of(size: Size, bug: Option<Self::Bug>) -> Self;
    /// Whether a state is where the protocol should come to rest.
    fn settled(&self, state: &Self::State) -> bool;
    /// Whether a step is one that surely comes when nothing fails: no crash, no loss, nobody's whim.
    fn calm(&self, state: &Self::State, action: &Self::Action) -> bool;
}

/// Checks a protocol and each of its bugs.
pub(crate) fn protocol<P: Protocol>(size: Size) -> Checked {
    let begin = Instant::now();
    let (states, properties) = sound::<P>(size);
    let bugs = P::BUGS.iter().map(|(bug, property)| planted::<P>(size, *bug, property)).collect();
    let took = begin.elapsed();
    Checked { name: P::NAME, stands_for: P::STANDS_FOR, states, properties, bugs, took }
}

/// The number of states of the protocol without bugs, and its properties. Two explorers that know nothing of each other
/// must agree: Stateright's decides, ours knows the shortest way and whether it comes to rest.
pub(crate) fn sound<P: Protocol>(size: Size) -> (usize, Vec<Held>) {
    let mut rest = progress::explore(&P::of(size, None), None);
    let checker = P::of(size, None).checker().spawn_bfs().join();
    let decided = checker.discoveries();
    let mut held: Vec<Held> = Vec::new();
    for property in checker.model().properties() {
        let (theirs, ours) = (decided.contains_key(property.name), rest.found.remove(property.name));
        let agreed = theirs == ours.is_some() && rest.states == checker.unique_state_count();
        let (kind, is) = match property.expectation {
            Expectation::Sometimes => (Kind::Sometimes, theirs),
            _ => (Kind::Always, !theirs),
        };
        held.push(Held { name: property.name, kind, held: is && agreed, path: ours.unwrap_or_default() });
    }
    let (is, path) = (rest.stuck.is_none(), rest.stuck.unwrap_or_default());
    held.push(Held { name: SETTLES, kind: Kind::Eventually, held: is, path });
    (rest.states, held)
}

/// One planted bug against the property it must break.
pub(crate) fn planted<P: Protocol>(size: Size, bug: P::Bug, property: &'static str) -> Planted {
    let path = if property == SETTLES {
        progress::explore(&P::of(size, Some(bug)), None).stuck
    } else {
        let until = HasDiscoveries::AnyOf(BTreeSet::from([property]));
        let checker = P::of(size, Some(bug)).checker().finish_when(until).spawn_bfs().join();
        let decided = checker.discoveries().contains_key(property);
        let shortest = progress::explore(&P::of(size, Some(bug)), Some(property)).found.remove(property);
        shortest.filter(|_| decided)
    };
    let killed = path.is_some();
    Planted { bug: format!("{bug:?}"), property, killed, path: path.unwrap_or_default() }
}

/// What each model's tests say of it.
#[cfg(test)]
pub(crate) mod tests {
    use super::{Kind, Protocol, planted, sound};
    use crate::Size;

    /// Every property holds, and what it must survive is reached.
    pub(crate) fn holds<P: Protocol>() {
        let (states, properties) = sound::<P>(Size::Small);
        println!("{}: {states} states", P::NAME);
        for property in &properties {
            let (kind, way) = (property.kind, property.path.join(", "));
            println!("  {kind:?} {}: {}{way}", property.name, if way.is_empty() { "" } else { "by " });
        }
        let failed: Vec<_> = properties.iter().filter(|p| !p.held).collect();
        assert!(failed.is_empty(), "{}: {failed:#?}", P::NAME);
        assert!(properties.iter().any(|p| p.kind == Kind::Sometimes), "{}: nothing bad is reached", P::NAME);
    }

    /// Every planted bug is found, by the property it is planted against.
    pub(crate) fn has_teeth<P: Protocol>() {
        assert!(!P::BUGS.is_empty());
        let all: Vec<_> =
            P::BUGS.iter().map(|(bug, property)| planted::<P>(Size::Small, *bug, property)).collect();
        for bug in &all {
            println!("{} {}: breaks \"{}\" by {}", P::NAME, bug.bug, bug.property, bug.path.join(", "));
        }
        let survived: Vec<_> = all.iter().filter(|b| !b.killed).map(|b| &b.bug).collect();
        assert!(survived.is_empty(), "{}: survived: {survived:?}", P::NAME);
    }
}
