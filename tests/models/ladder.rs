//! The retry ladder of a saved card, from the first try to the last or to giving up: timers that fire early, twice, late or
//! never, purged queues, and a sweeper that finds what is due. Stands for `functions/failure-handler`,
//! `shared/src/domain/plan/ladder.rs`, `shared/src/timer.rs`, `functions/sweeper/src/due.rs` and what [`crate::order`]
//! stands for.
//!
//! Assumed of others: a request lands within an hour of being sent or never, and Stripe keeps a key for a day. Without either
//! a card may be asked once too often, even one that must not be tried again. That nobody is charged twice rests on neither:
//! see [`crate::attempt`].
//!
//! Two invocations and two faults; one wait in the small size and two in the wide. A third fault is too much to visit.

use pure::domain::order::Collection;
use pure::domain::time::Seconds;
use stateright::{Model, Property};

use crate::Size;
use crate::attempt::{order, policy, seen_once};
use crate::check::{Protocol, SETTLES};
use crate::order::book::{Book, Item};
use crate::order::stripe::{Fate, IntentStatus, Stripe, Word};
use crate::order::{Bug, Machine, Rules, START, Step, World};

/// The waits of the ladder: so many tries follow the first.
const WAITS: [Seconds; 2] = [Seconds::days(1), Seconds::days(2)];
/// The ladder of the small model.
const WAITS_SMALL: usize = 1;

const ENOUGH: &str = "the card is asked no more often than the ladder allows";
const NEVER_AGAIN: &str = "a card that must not be tried again is not";
const IN_TIME: &str = "no retry is sent before its time";
const NEVER_MORE: &str = "never more is taken than was asked for";

/// The ladder of one order.
pub(crate) struct Ladder {
    machine: Machine,
    waits: usize,
}

impl Model for Ladder {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let machine = &self.machine;
        let facts = seen_once(&machine.book, &machine.rules.orders[0]);
        vec![machine.begin(
            START,
            Item { fold: machine.book.extend(0, facts), ..Item::default() },
            Stripe::default(),
        )]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        self.machine.steps(world, steps);
    }

    fn next_state(&self, last: &World, step: Step) -> Option<World> {
        self.machine.next(last, step)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ENOUGH, |model: &Self, world: &World| {
                let asked: usize = world.stripe.intents.iter().map(|i| usize::from(i.charges)).sum();
                asked <= 1 + model.waits
            }),
            Property::always(NEVER_AGAIN, |_, world: &World| !world.notes.after_never),
            Property::always(IN_TIME, |_, world: &World| !world.notes.early),
            Property::always(NEVER_MORE, |model: &Self, world: &World| {
                world.stripe.taken_or_coming() <= model.machine.most_asked(world)
            }),
            Property::sometimes("a retry pays", |_, world: &World| {
                let paid =
                    |i: &crate::order::stripe::Intent| i.status == IntentStatus::Succeeded && i.charges > 1;
                world.stripe.intents.iter().any(paid)
            }),
            Property::sometimes(
                "a webhook tells of the decline before its confirmation has an outcome",
                |_, world| {
                    let world: &World = world;
                    world.notes.decline_seen_first
                },
            ),
            Property::sometimes("the key of a confirmation is rolled", |_, world: &World| world.notes.rolled),
            Property::sometimes("nobody pays and the intent is cancelled", |_, world: &World| {
                world.stripe.intents.iter().any(|i| i.status == IntentStatus::Canceled)
            }),
        ]
    }
}

impl Protocol for Ladder {
    type Bug = Bug;
    const NAME: &'static str = "retry ladder with schedule and sweeper";
    const STANDS_FOR: &'static str = "functions/failure-handler, shared/src/timer.rs, functions/sweeper/src/due.rs, \
        shared/src/engine.rs, shared/src/engine/{draft,carry,settle,look}.rs; fold and plan are the real ones";
    const BUGS: &'static [(Bug, &'static str)] = &[
        (Bug::KeyPerSend, ENOUGH),
        (Bug::DeclineByTheLastSight, NEVER_AGAIN),
        (Bug::DeclineByTheLastSight, ENOUGH),
        (Bug::TimerConfirms, IN_TIME),
        (Bug::DueDropped, SETTLES),
        (Bug::LandsAtAnyTime, NEVER_AGAIN),
        (Bug::KeysForgotten, NEVER_AGAIN),
    ];

    fn of(size: Size, bug: Option<Bug>) -> Self {
        let (waits, webhooks) = match size {
            Size::Small => (WAITS_SMALL, 1),
            Size::Wide => (WAITS.len(), 2),
        };
        let rules = Rules {
            story: 0,
            orders: vec![order(3_000, Collection::Automatic, 1)],
            workers: 2,
            asks: 0,
            webhooks,
            faults: 2,
            flight: (bug != Some(Bug::LandsAtAnyTime)).then_some(Seconds::hours(1)),
            keeps_keys: if bug == Some(Bug::KeysForgotten) { Seconds(0) } else { Seconds::days(1) },
            fates: &[Fate::Declines(Word::Soft), Fate::Declines(Word::Never)],
            bug,
        };
        Self { machine: Machine { rules, book: Book::new(policy(WAITS[..waits].to_vec())) }, waits }
    }

    fn settled(&self, world: &World) -> bool {
        self.machine.settled(world)
    }

    fn calm(&self, world: &World, step: &Step) -> bool {
        self.machine.calm(world, *step)
    }
}

#[cfg(test)]
mod tests {
    use super::Ladder;
    use crate::check::tests::{has_teeth, holds};

    #[test]
    fn no_card_is_asked_more_often_than_the_ladder_allows() {
        holds::<Ladder>();
    }

    #[test]
    fn every_planted_bug_is_noticed() {
        has_teeth::<Ladder>();
    }
}
