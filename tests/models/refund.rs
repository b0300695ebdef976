//! A partial refund, made once: listed before each claim, sent again under its own key while the key is young, then searched
//! for, and the key rolled only after an hour and a second empty list. Stands for `shared/src/engine/{settle,carry}.rs`,
//! `functions/refund-processor/src/lib.rs` and `shared/src/domain/plan/refunds.rs`.
//!
//! Time goes in ticks; only the order of the spans matters: a key is trusted for [`TRUSTED`] and forgotten no sooner than
//! [`FORGOTTEN`], a request lands within [`FLIGHT`], and the second list comes after more than that. Both sides of what is
//! assumed of others are shown to matter: see the last two of [`Bug`].

use stateright::{Model, Property};

use crate::Size;
use crate::check::{Protocol, SETTLES};

/// A key younger than this is sent again (20 hours).
const TRUSTED: u8 = 2;
/// Stripe keeps a key at least this long (24 hours).
const FORGOTTEN: u8 = 4;
/// A request that was sent lands within this or never (well under an hour).
const FLIGHT: u8 = 1;
/// From the first empty list to the second (1 hour).
const SECOND_LIST: u8 = 2;
/// Received 5xx answers after which the key's answer counts as stored.
const SERVER_ERRORS_MAX: u8 = 2;

const ONCE: &str = "one request makes at most one refund";
const TOLD: &str = "what is recorded as refused was not made";
const FORWARD: &str = "what is known of a refund never goes back to what it was before";

/// What can be planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// The charge's refunds are not listed before a claim.
    ClaimWithoutList,
    /// Nothing is ever listed.
    NoListAtAll,
    /// The key is rolled after the first empty list.
    RollAtOnce,
    /// The key is sent however old it is.
    TrustForever,
    /// The idempotency key holds the owner's token.
    KeyWithOwner,
    /// A 5xx is taken for a failure.
    ServerErrorIsFailure,
    /// A refusal is taken for the end although an earlier owner's call has no outcome.
    RefusalProves,
    /// A stored answer that Stripe replays is taken for what it shows now.
    ReplayIsNews,
    /// A claim has no deadline.
    NoTakeOver,
    /// Not ours but the network's: a request lands after the second list.
    LandsAfterTheSecondList,
    /// Not ours but Stripe's: a key is forgotten while we trust it.
    KeyForgottenYoung,
}

/// The claim in the item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Claim {
    owner: u8,
    since: u8,
    /// An earlier owner may have called.
    unknown: bool,
    errors: u8,
    listed: Option<u8>,
    not_before: u8,
}

/// One invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Hand {
    Home,
    /// Has listed under this revision and found nothing of ours.
    Looked(u8),
    Waits,
    /// Has heard of a refund and its status; `rev`: of its own last commit.
    Heard {
        refund: u8,
        status: u8,
        replay: bool,
    },
    ServerError,
    Refusal,
    ListedNothing,
}

/// A request on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Request {
    key: (u8, u8),
    sent: u8,
    hand: Option<u8>,
}

/// What Stripe remembers of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    key: (u8, u8),
    first: u8,
    refund: u8,
    server_error: bool,
}

/// Item, hands, wire and Stripe.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    now: u8,
    rev: u8,
    generation: u8,
    rolled: bool,
    claim: Option<Claim>,
    /// The request has an outcome, or a refund that names it was seen.
    closed: bool,
    refused: bool,
    /// What the item knows of each refund's status.
    known: Vec<Option<u8>>,
    went_back: bool,
    hands: Vec<(Hand, u8)>,
    wire: Vec<Request>,
    keys: Vec<Key>,
    /// Stripe's refunds: 0 pending, 1 succeeded, 2 failed.
    refunds: Vec<u8>,
    owners: u8,
    faults: u8,
    late: bool,
    adopted: bool,
    outdated_replay: bool,
}

/// A step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Lists(u8),
    Claims(u8),
    TakesOver(u8),
    Lands(u8),
    LandsAndAnswers5xx(u8),
    IsRefused(u8),
    Records(u8),
    Dies(u8),
    WebhookIsRead,
    BankDecides(u8),
    KeyIsForgotten(u8),
    TableIsRestored,
    Tick,
}

/// One refund request.
pub(crate) struct Refund {
    hands: u8,
    end: u8,
    faults: u8,
    bug: Option<Bug>,
}

impl Refund {
    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    fn flight(&self) -> u8 {
        if self.has(Bug::LandsAfterTheSecondList) { SECOND_LIST + 1 } else { FLIGHT }
    }

    fn send(&self, world: &mut World, hand: u8) {
        let by = if self.has(Bug::KeyWithOwner) { world.owners } else { 0 };
        world.wire.push(Request { key: (world.generation, by), sent: world.now, hand: Some(hand) });
        world.rev += 1;
        world.hands[usize::from(hand)] = (Hand::Waits, world.rev);
    }

    fn take_over(&self, world: &mut World, hand: u8) {
        world.owners += 1;
        let (owner, now) = (world.owners, world.now);
        let Some(claim) = &mut world.claim else { return };
        (claim.owner, claim.not_before, claim.unknown) = (owner, now, true);
        let young = now - claim.since < TRUSTED || self.has(Bug::TrustForever);
        if young && claim.errors < SERVER_ERRORS_MAX {
            return self.send(world, hand);
        }
        let newest = if self.has(Bug::NoListAtAll) { None } else { world.refunds.len().checked_sub(1) };
        let said = newest.and_then(|n| u8::try_from(n).ok()).map_or(Hand::ListedNothing, |refund| {
            Hand::Heard { refund, status: world.refunds[usize::from(refund)], replay: false }
        });
        world.adopted |= said != Hand::ListedNothing;
        world.rev += 1;
        world.hands[usize::from(hand)] = (said, world.rev);
    }

    fn land(world: &mut World, index: u8, server_error: bool) {
        let request = world.wire.remove(usize::from(index));
        let stored = world.keys.iter().find(|k| k.key == request.key).copied();
        let key = stored.unwrap_or_else(|| {
            world.late |= world.claim.is_some_and(|c| c.listed.is_some());
            world.refunds.push(0);
            world.known.push(None);
            let refund = u8::try_from(world.refunds.len() - 1).unwrap_or(u8::MAX);
            let key = Key { key: request.key, first: world.now, refund, server_error };
            world.keys.push(key);
            key
        });
        let Some(hand) = request.hand else { return };
        let said = match (key.server_error, stored.is_some()) {
            (true, _) => Hand::ServerError,
            // Stripe stores what it answered first: the refund was pending then.
            (false, replay) => Hand::Heard { refund: key.refund, status: 0, replay },
        };
        world.hands[usize::from(hand)].0 = said;
    }

    fn see(world: &mut World, refund: u8, status: u8) {
        let known = &mut world.known[usize::from(refund)];
        world.went_back |= known.is_some_and(|before| before > status);
        *known = Some(status);
        world.closed = true;
    }

    fn record(&self, world: &mut World, hand: u8) {
        let (said, rev) = std::mem::replace(&mut world.hands[usize::from(hand)], (Hand::Home, 0));
        let (fresh, now) = (rev == world.rev, world.now);
        world.rev += 1;
        match said {
            Hand::Heard { refund, status, replay } => {
                (world.closed, world.claim) = (true, None);
                world.outdated_replay |= replay && world.refunds[usize::from(refund)] != status;
                if fresh && (!replay || self.has(Bug::ReplayIsNews)) {
                    Self::see(world, refund, status);
                }
            }
            Hand::ServerError | Hand::Refusal => {
                let Some(claim) = &mut world.claim else { return };
                let proves = match said {
                    Hand::Refusal => !claim.unknown || self.has(Bug::RefusalProves),
                    _ => self.has(Bug::ServerErrorIsFailure),
                };
                claim.errors += 1;
                if proves {
                    (world.closed, world.refused, world.claim) = (true, true, None);
                }
            }
            Hand::ListedNothing => {
                let Some(claim) = &mut world.claim else { return };
                match claim.listed {
                    Some(before) if now - before >= SECOND_LIST => Self::roll(world),
                    _ if self.has(Bug::RollAtOnce) => Self::roll(world),
                    Some(_) => {}
                    None => (claim.listed, claim.not_before) = (Some(now), now + SECOND_LIST),
                }
            }
            Hand::Home | Hand::Looked(_) | Hand::Waits => {}
        }
    }

    fn roll(world: &mut World) {
        (world.generation, world.claim, world.rolled) = (world.generation + 1, None, true);
    }

    /// The item as it was before the claim; hands and wire are empty by then.
    fn restore(world: &mut World) {
        (world.claim, world.closed, world.refused, world.generation) = (None, false, false, 1);
        world.known.iter_mut().for_each(|k| *k = None);
        world.rev += 1;
        world.faults += 1;
    }
}

impl Model for Refund {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            now: 0,
            rev: 0,
            generation: 1,
            rolled: false,
            claim: None,
            closed: false,
            refused: false,
            known: Vec::new(),
            went_back: false,
            hands: vec![(Hand::Home, 0); usize::from(self.hands)],
            wire: Vec::new(),
            keys: Vec::new(),
            refunds: Vec::new(),
            owners: 0,
            faults: 0,
            late: false,
            adopted: false,
            outdated_replay: false,
        }]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        let may_fail = world.faults < self.faults;
        let quiet = world.hands.iter().all(|(hand, _)| *hand == Hand::Home);
        for (id, (hand, _)) in (0_u8..).zip(&world.hands) {
            match hand {
                Hand::Home => match world.claim {
                    None if !world.closed => steps.push(Step::Lists(id)),
                    // An owner that lives ends before its claim's deadline.
                    Some(c) if quiet && c.not_before <= world.now && !self.has(Bug::NoTakeOver) => {
                        steps.push(Step::TakesOver(id));
                    }
                    _ => {}
                },
                Hand::Looked(_) => steps.push(Step::Claims(id)),
                Hand::Waits => {}
                _ => steps.push(Step::Records(id)),
            }
            if *hand != Hand::Home && may_fail {
                steps.push(Step::Dies(id));
            }
        }
        for (id, request) in (0_u8..).zip(&world.wire) {
            steps.push(Step::Lands(id));
            if may_fail {
                steps.push(Step::LandsAndAnswers5xx(id));
                if !world.keys.iter().any(|k| k.key == request.key) {
                    steps.push(Step::IsRefused(id));
                }
            }
        }
        if (0..world.refunds.len()).any(|r| world.known[r] != Some(world.refunds[r])) {
            steps.push(Step::WebhookIsRead);
        }
        steps.extend(
            (0_u8..).zip(&world.refunds).filter(|(_, s)| **s < 2).map(|(id, _)| Step::BankDecides(id)),
        );
        for (id, key) in (0_u8..).zip(&world.keys) {
            if world.now - key.first >= FORGOTTEN || self.has(Bug::KeyForgottenYoung) {
                steps.push(Step::KeyIsForgotten(id));
            }
        }
        if quiet && world.wire.is_empty() && !world.refunds.is_empty() && may_fail {
            steps.push(Step::TableIsRestored);
        }
        // Invocations are shorter than a tick.
        if quiet && world.now < self.end {
            steps.push(Step::Tick);
        }
    }

    fn next_state(&self, last: &World, step: Step) -> Option<World> {
        let mut world = last.clone();
        match step {
            Step::Lists(id) => {
                if world.refunds.is_empty() || self.has(Bug::ClaimWithoutList) || self.has(Bug::NoListAtAll) {
                    world.hands[usize::from(id)] = (Hand::Looked(world.rev), world.rev);
                } else {
                    (0_u8..).zip(last.refunds.iter().copied()).for_each(|(r, status)| {
                        Self::see(&mut world, r, status);
                    });
                    world.rev += 1;
                }
            }
            Step::Claims(id) => {
                let Hand::Looked(rev) = last.hands[usize::from(id)].0 else { return None };
                if rev != world.rev {
                    world.hands[usize::from(id)] = (Hand::Home, 0);
                    return Some(world);
                }
                world.owners += 1;
                let (owner, now) = (world.owners, world.now);
                world.claim = Some(Claim {
                    owner,
                    since: now,
                    unknown: false,
                    errors: 0,
                    listed: None,
                    not_before: now,
                });
                self.send(&mut world, id);
            }
            Step::TakesOver(id) => self.take_over(&mut world, id),
            Step::Lands(index) => Self::land(&mut world, index, false),
            Step::LandsAndAnswers5xx(index) => {
                Self::land(&mut world, index, true);
                world.faults += 1;
            }
            Step::IsRefused(index) => {
                let request = world.wire.remove(usize::from(index));
                if let Some(hand) = request.hand {
                    world.hands[usize::from(hand)].0 = Hand::Refusal;
                }
                world.faults += 1;
            }
            Step::Records(id) => self.record(&mut world, id),
            Step::Dies(id) => {
                world.hands[usize::from(id)] = (Hand::Home, 0);
                world.wire.iter_mut().filter(|r| r.hand == Some(id)).for_each(|r| r.hand = None);
                world.faults += 1;
            }
            Step::WebhookIsRead => {
                (0_u8..).zip(last.refunds.iter().copied()).for_each(|(r, status)| {
                    Self::see(&mut world, r, status);
                });
                world.rev += 1;
            }
            Step::BankDecides(refund) => world.refunds[usize::from(refund)] += 1,
            Step::KeyIsForgotten(id) => {
                world.keys.remove(usize::from(id));
            }
            Step::TableIsRestored => Self::restore(&mut world),
            Step::Tick => {
                world.now += 1;
                let flight = self.flight();
                world.wire.retain(|r| last.now + 1 - r.sent <= flight);
            }
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ONCE, |_, world: &World| world.refunds.len() <= 1),
            Property::always(TOLD, |_, world: &World| !world.refused || world.refunds.is_empty()),
            Property::always(FORWARD, |_, world: &World| !world.went_back),
            Property::sometimes(
                "the key is rolled and the refund made by its next generation",
                |_, world: &World| world.rolled && world.closed,
            ),
            Property::sometimes("a call lands after the first empty list", |_, world: &World| world.late),
            Property::sometimes("the refund is found by its mark", |_, world: &World| {
                world.adopted && world.closed && world.claim.is_none()
            }),
            Property::sometimes("the key is forgotten before the outcome is known", |_, world: &World| {
                !world.closed && !world.refunds.is_empty() && world.keys.is_empty()
            }),
            Property::sometimes("a replayed answer is older than what is known", |_, world: &World| {
                world.outdated_replay && world.known.iter().any(|k| k.is_some_and(|status| status > 0))
            }),
        ]
    }
}

impl Protocol for Refund {
    type Bug = Bug;
    const NAME: &'static str = "refund by list, claim and rolled key";
    const STANDS_FOR: &'static str =
        "shared/src/engine/{settle,carry}.rs, functions/refund-processor, shared/src/domain/plan/refunds.rs";
    const BUGS: &'static [(Bug, &'static str)] = &[
        (Bug::ClaimWithoutList, ONCE),
        (Bug::NoListAtAll, ONCE),
        (Bug::RollAtOnce, ONCE),
        (Bug::TrustForever, ONCE),
        (Bug::KeyWithOwner, ONCE),
        (Bug::ServerErrorIsFailure, TOLD),
        (Bug::RefusalProves, TOLD),
        (Bug::ReplayIsNews, FORWARD),
        (Bug::NoTakeOver, SETTLES),
        (Bug::LandsAfterTheSecondList, ONCE),
        (Bug::KeyForgottenYoung, ONCE),
    ];

    fn of(size: Size, bug: Option<Bug>) -> Self {
        match size {
            Size::Small => Self { hands: 2, end: 6, faults: 2, bug },
            Size::Wide => Self { hands: 2, end: 9, faults: 3, bug },
        }
    }

    fn settled(&self, world: &World) -> bool {
        let seen = (0..world.refunds.len()).all(|r| world.known[r] == Some(world.refunds[r]));
        // At the end of the model's time a claim may still wait for its next look.
        let over = world.now == self.end && world.claim.is_some_and(|c| c.not_before > world.now);
        over || (world.closed && world.claim.is_none() && seen)
    }

    fn calm(&self, world: &World, step: &Step) -> bool {
        match step {
            Step::Lands(id) => world.wire[usize::from(*id)].hand.is_some(),
            // Time passes when there is nothing to do.
            Step::Tick => world.claim.is_some_and(|c| c.not_before > world.now),
            // A lost webhook is found by the sweeper.
            Step::Lists(_)
            | Step::Claims(_)
            | Step::TakesOver(_)
            | Step::Records(_)
            | Step::WebhookIsRead => true,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Refund;
    use crate::check::tests::{has_teeth, holds};

    #[test]
    fn a_request_is_refunded_once_whatever_is_late_lost_or_forgotten() {
        holds::<Refund>();
    }

    #[test]
    fn every_planted_bug_is_noticed() {
        has_teeth::<Refund>();
    }
}
