//! A claim whose deadline passes is taken over while the first owner's call still lands: the creation of what a buyer can
//! pay. Stands for `shared/src/engine/{carry,settle}.rs` and `take_over` in `shared/src/engine/draft.rs`.
//!
//! Harsher than life: a claim may be taken over while its owner still works, a request may land however late, and Stripe
//! may forget any key at any time. What protects the buyer then is that a creation takes no money, and that only the
//! object that is stored is ever shown.

use stateright::{Model, Property};

use crate::Size;
use crate::check::{Protocol, SETTLES};

const PAID_ONCE: &str = "at most one object is paid";
const SHOWN_ONCE: &str = "at most one object is ever shown";
const MADE_ONCE: &str = "one object is made, unless a key was forgotten or a call landed after the search";
const KEPT: &str = "what is stored stays stored";

/// What can be planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Whoever hears an answer records it.
    RecordWithoutOwner,
    /// The buyer is sent to what the answer names, before it is stored.
    ShowBeforeStored,
    /// The idempotency key holds the owner's token.
    KeyWithOwner,
    /// No answer is taken for a failure: the claim goes, the next generation is sent.
    DropClaimOnUnknown,
    /// The key's generation is rolled without a search.
    RollWithoutSearch,
    /// A claim has no deadline.
    NoTakeOver,
    /// What is created takes the money at once.
    TakesMoneyAtOnce,
}

/// The claim in the item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Claim {
    owner: u8,
    generation: u8,
    /// Younger than 20 hours, and fewer than two 5xx.
    trusted: bool,
}

/// One invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Hand {
    Home,
    Waits { owner: u8 },
    Heard { owner: u8, object: u8 },
    FoundNothing { owner: u8 },
}

impl Hand {
    fn is(self, by: u8) -> bool {
        match self {
            Self::Home => false,
            Self::Waits { owner } | Self::Heard { owner, .. } | Self::FoundNothing { owner } => owner == by,
        }
    }
}

/// A request on the wire: its key (a generation, and with one bug an owner) and who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Request {
    key: (u8, u8),
    owner: u8,
}

/// Item, hands, wire and Stripe.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    generation: u8,
    claim: Option<Claim>,
    stored: Option<u8>,
    replaced: bool,
    hands: Vec<Hand>,
    wire: Vec<Request>,
    /// Stripe's memory of keys, and the object each made.
    keys: Vec<((u8, u8), u8)>,
    made: u8,
    shown: u8,
    paid: u8,
    owners: u8,
    faults: u8,
    forgotten: bool,
    landed_after_search: bool,
}

/// A step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Claims(u8),
    TakesOver(u8),
    Lands(u8),
    TimesOut(u8),
    Records(u8),
    Dies(u8),
    KeyIsTrustedNoMore,
    KeyIsForgotten(u8),
    BuyerPays(u8),
}

/// Claims on one creation.
pub(crate) struct Claims {
    hands: u8,
    owners: u8,
    faults: u8,
    bug: Option<Bug>,
}

impl Claims {
    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    fn send(&self, world: &mut World, hand: usize, owner: u8, generation: u8) {
        let by = if self.has(Bug::KeyWithOwner) { owner } else { 0 };
        world.wire.push(Request { key: (generation, by), owner });
        world.hands[hand] = Hand::Waits { owner };
    }

    fn take_over(&self, world: &mut World, hand: usize) {
        let Some(mut claim) = world.claim else { return };
        world.owners += 1;
        claim.owner = world.owners;
        world.claim = Some(claim);
        if claim.trusted {
            return self.send(world, hand, claim.owner, claim.generation);
        }
        // The listing shows newest first; what carries our mark is adopted.
        let newest = world.made.checked_sub(1).filter(|_| !self.has(Bug::RollWithoutSearch));
        world.hands[hand] = match newest {
            Some(object) => Hand::Heard { owner: claim.owner, object },
            None => Hand::FoundNothing { owner: claim.owner },
        };
    }

    fn land(&self, world: &mut World, request: Request) {
        let known = world.keys.iter().find(|(key, _)| *key == request.key).map(|(_, object)| *object);
        let object = known.unwrap_or_else(|| {
            let searched = world.hands.iter().any(|h| matches!(h, Hand::FoundNothing { .. }));
            world.landed_after_search |= searched || request.key.0 < world.generation;
            world.made += 1;
            world.keys.push((request.key, world.made - 1));
            if self.has(Bug::TakesMoneyAtOnce) {
                world.paid |= 1 << (world.made - 1);
            }
            world.made - 1
        });
        let heard = Hand::Heard { owner: request.owner, object };
        for hand in world.hands.iter_mut().filter(|h| **h == Hand::Waits { owner: request.owner }) {
            *hand = heard;
            if self.has(Bug::ShowBeforeStored) {
                world.shown |= 1 << object;
            }
        }
    }

    fn record(&self, world: &mut World, hand: usize) {
        let said = std::mem::replace(&mut world.hands[hand], Hand::Home);
        let mine = |owner: u8| world.claim.is_some_and(|c| c.owner == owner);
        match said {
            Hand::Heard { owner, object } if mine(owner) || self.has(Bug::RecordWithoutOwner) => {
                world.replaced |= world.stored.is_some_and(|before| before != object);
                (world.stored, world.claim) = (Some(object), None);
                world.shown |= 1 << object;
            }
            Hand::FoundNothing { owner } if mine(owner) => {
                (world.generation, world.claim) = (world.generation + 1, None);
            }
            _ => {}
        }
    }
}

impl Model for Claims {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            generation: 1,
            claim: None,
            stored: None,
            replaced: false,
            hands: vec![Hand::Home; usize::from(self.hands)],
            wire: Vec::new(),
            keys: Vec::new(),
            made: 0,
            shown: 0,
            paid: 0,
            owners: 0,
            faults: 0,
            forgotten: false,
            landed_after_search: false,
        }]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        let may_fail = world.faults < self.faults;
        for (id, hand) in (0_u8..).zip(&world.hands) {
            match hand {
                Hand::Home if world.owners < self.owners => match world.claim {
                    None if world.stored.is_none() => steps.push(Step::Claims(id)),
                    Some(_) if !self.has(Bug::NoTakeOver) => steps.push(Step::TakesOver(id)),
                    _ => {}
                },
                Hand::Home => {}
                Hand::Waits { .. } if may_fail => steps.push(Step::TimesOut(id)),
                Hand::Waits { .. } => {}
                Hand::Heard { .. } | Hand::FoundNothing { .. } => steps.push(Step::Records(id)),
            }
            if *hand != Hand::Home && may_fail {
                steps.push(Step::Dies(id));
            }
        }
        steps.extend((0_u8..).zip(&world.wire).map(|(id, _)| Step::Lands(id)));
        steps.extend((0_u8..).zip(&world.keys).map(|(id, _)| Step::KeyIsForgotten(id)));
        if world.claim.is_some_and(|c| c.trusted) && may_fail {
            steps.push(Step::KeyIsTrustedNoMore);
        }
        let payable = (0..world.made).filter(|o| world.shown & !world.paid & (1 << o) != 0);
        steps.extend(payable.map(Step::BuyerPays));
    }

    fn next_state(&self, last: &World, step: Step) -> Option<World> {
        let mut world = last.clone();
        match step {
            Step::Claims(id) => {
                world.owners += 1;
                let (owner, generation) = (world.owners, world.generation);
                world.claim = Some(Claim { owner, generation, trusted: true });
                self.send(&mut world, usize::from(id), owner, generation);
            }
            Step::TakesOver(id) => self.take_over(&mut world, usize::from(id)),
            Step::Lands(id) => {
                let request = world.wire.remove(usize::from(id));
                self.land(&mut world, request);
            }
            Step::TimesOut(id) => {
                let hand = std::mem::replace(&mut world.hands[usize::from(id)], Hand::Home);
                if self.has(Bug::DropClaimOnUnknown) && world.claim.is_some_and(|c| hand.is(c.owner)) {
                    (world.generation, world.claim) = (world.generation + 1, None);
                }
                world.faults += 1;
            }
            Step::Records(id) => self.record(&mut world, usize::from(id)),
            Step::Dies(id) => {
                world.hands[usize::from(id)] = Hand::Home;
                world.faults += 1;
            }
            Step::KeyIsTrustedNoMore => {
                world.claim.iter_mut().for_each(|c| c.trusted = false);
                world.faults += 1;
            }
            Step::KeyIsForgotten(id) => {
                world.keys.remove(usize::from(id));
                world.forgotten = true;
            }
            Step::BuyerPays(object) => world.paid |= 1 << object,
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(PAID_ONCE, |_, world: &World| world.paid.count_ones() <= 1),
            Property::always(SHOWN_ONCE, |_, world: &World| world.shown.count_ones() <= 1),
            Property::always(MADE_ONCE, |_, world: &World| {
                world.made <= 1 || world.forgotten || world.landed_after_search
            }),
            Property::always(KEPT, |_, world: &World| !world.replaced),
            Property::sometimes(
                "a call lands after its owner died and another took over",
                |_, world: &World| {
                    let orphaned = |r: &&Request| !world.hands.iter().any(|h| h.is(r.owner));
                    let taken = world.claim.is_some_and(|c| world.hands.iter().any(|h| h.is(c.owner)));
                    taken && world.made == 1 && world.wire.iter().any(|r| orphaned(&r))
                },
            ),
            Property::sometimes("two objects are made and one is shown", |_, world: &World| {
                world.made == 2 && world.shown.count_ones() == 1
            }),
            Property::sometimes("an owner hears its answer after it lost its claim", |_, world: &World| {
                let late = |h: &Hand| match h {
                    Hand::Heard { owner, .. } => world.claim.is_none_or(|c| c.owner != *owner),
                    _ => false,
                };
                world.hands.iter().any(late)
            }),
            Property::sometimes("the key is rolled and the old call lands after all", |_, world: &World| {
                world.landed_after_search && world.stored.is_some()
            }),
        ]
    }
}

impl Protocol for Claims {
    type Bug = Bug;
    const NAME: &'static str = "a claim is taken over while its owner's call still lands";
    const STANDS_FOR: &'static str = "shared/src/engine/{carry,settle,draft}.rs";
    const BUGS: &'static [(Bug, &'static str)] = &[
        (Bug::RecordWithoutOwner, KEPT),
        (Bug::RecordWithoutOwner, PAID_ONCE),
        (Bug::ShowBeforeStored, SHOWN_ONCE),
        (Bug::KeyWithOwner, MADE_ONCE),
        (Bug::DropClaimOnUnknown, MADE_ONCE),
        (Bug::RollWithoutSearch, MADE_ONCE),
        (Bug::NoTakeOver, SETTLES),
        (Bug::TakesMoneyAtOnce, PAID_ONCE),
    ];

    fn of(size: Size, bug: Option<Bug>) -> Self {
        match size {
            Size::Small => Self { hands: 2, owners: 4, faults: 3, bug },
            Size::Wide => Self { hands: 3, owners: 5, faults: 4, bug },
        }
    }

    fn settled(&self, world: &World) -> bool {
        // Out of owners: the model ends here, the protocol would go on.
        (world.stored.is_some() && world.claim.is_none()) || world.owners == self.owners
    }

    fn calm(&self, world: &World, step: &Step) -> bool {
        match step {
            Step::TakesOver(_) => world.claim.is_some_and(|c| !world.hands.iter().any(|h| h.is(c.owner))),
            Step::Lands(id) => {
                let request = world.wire[usize::from(*id)];
                world.hands.contains(&Hand::Waits { owner: request.owner })
            }
            Step::Claims(_) | Step::Records(_) => true,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Claims;
    use crate::check::tests::{has_teeth, holds};

    #[test]
    fn the_buyer_meets_one_object_however_late_a_call_lands() {
        holds::<Claims>();
    }

    #[test]
    fn every_planted_bug_is_noticed() {
        has_teeth::<Claims>();
    }
}
