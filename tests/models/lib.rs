//! Models of the protocols that keep money safe, each small enough that a checker visits every state of it.
//!
//! Invariant: a model says what the code does (it names the files it stands for), and each is shown to have teeth: for
//! every planted bug the checker must find a way to break the property that the bug is meant to break.

mod attempt;
mod check;
mod claim;
mod item;
mod ladder;
mod order;
mod progress;
mod refund;
mod watermark;

use std::time::Duration;

/// How far a model is explored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// For `cargo test`: seconds in a debug build.
    Small,
    /// For the report: one more of what costs most (a crash, a worker, a try), minutes in a release build.
    Wide,
}

/// What a property claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// True in every state.
    Always,
    /// True in at least one state: the bad situation that the protocol must survive is reached.
    Sometimes,
    /// From every state, once nothing fails any more, every run comes to rest where it should.
    Eventually,
}

/// A property and what the checker found.
#[derive(Clone, Debug)]
pub struct Held {
    /// In words.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// Whether it holds; for [`Kind::Sometimes`] whether such a state was found.
    pub held: bool,
    /// The shortest way to the counterexample, or to the example: the names of its steps.
    pub path: Vec<String>,
}

/// A planted bug and whether the checker noticed.
#[derive(Clone, Debug)]
pub struct Planted {
    /// The bug.
    pub bug: String,
    /// The property that it must break.
    pub property: &'static str,
    /// Whether it did.
    pub killed: bool,
    /// The shortest way to the counterexample.
    pub path: Vec<String>,
}

/// One model, checked.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Its name.
    pub name: &'static str,
    /// The files it stands for.
    pub stands_for: &'static str,
    /// Different states visited by the model without bugs.
    pub states: usize,
    /// Its properties.
    pub properties: Vec<Held>,
    /// Its planted bugs.
    pub bugs: Vec<Planted>,
    /// How long all of it took.
    pub took: Duration,
}

impl Checked {
    /// Whether every property holds and every planted bug was noticed.
    pub fn is_clean(&self) -> bool {
        self.properties.iter().all(|p| p.held) && self.bugs.iter().all(|b| b.killed)
    }

    /// How many of the planted bugs were noticed.
    pub fn killed(&self) -> usize {
        self.bugs.iter().filter(|b| b.killed).count()
    }
}

/// Checks every model, its properties and its planted bugs.
pub fn all(size: Size) -> Vec<Checked> {
    vec![
        check::protocol::<item::Item>(size),
        check::protocol::<claim::Claims>(size),
        check::protocol::<refund::Refund>(size),
        check::protocol::<attempt::OneAttempt>(size),
        check::protocol::<ladder::Ladder>(size),
        check::protocol::<watermark::Poll>(size),
    ]
}
