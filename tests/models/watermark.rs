//! The poll of an order system: its watermark against orders that the shop commits late, runs that die, and a purged
//! queue. Stands for `functions/sweeper/src/{poll,cursor}.rs`.
//!
//! Time goes in ticks; only the order of the spans matters: a shop commits within [`LAG`], the next listing goes back
//! [`OVERLAP`], which is no shorter, and the day's long one goes back to the beginning. A page holds one order.

use stateright::{Model, Property};

use crate::Size;
use crate::check::{Protocol, SETTLES};

/// An order's time of update may be this much older than the moment in which it can be seen.
const LAG: i8 = 1;
/// How far behind the watermark a listing begins.
const OVERLAP: i8 = 1;
/// A long listing is due this often.
const LONG_EVERY: i8 = 3;
/// Orders change up to here.
const CHANGES_END: i8 = 2;
/// A hint is lost with its queue up to here: a long listing follows.
const PURGES_END: i8 = 3;
/// The last tick: a second long listing was due, the first one having been slow.
const END: i8 = 9;

const NOTHING_BELOW: &str = "no change lies below the next listing unless it was handed over";

/// What can be planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// The watermark is stored with the first page, before the hints are queued.
    MovedBeforeTheHints,
    /// The next listing begins at the watermark.
    NoOverlap,
    /// The last page's time becomes the watermark.
    LastPagesTime,
    /// A listing that goes on takes the time of the page it goes on with.
    ResumedPagesTime,
    /// What was handed over is remembered without its version.
    MarkWithoutVersion,
    /// There is no long listing.
    NoLongListing,
    /// Not ours but the shop's: it commits later than the overlap allows.
    ShopCommitsLater,
}

/// One order of the shop.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Order {
    /// As listed: time of update and version.
    seen: Option<(i8, u8)>,
    /// A change under way in the shop: its time of update.
    open: Option<i8>,
    /// Newest version handed over.
    handed: u8,
    /// Newest version that was read.
    read: u8,
}

impl Order {
    fn version(&self) -> u8 {
        self.seen.map_or(0, |(_, version)| version)
    }
}

/// A place in a listing: after this order.
type Place = (i8, u8);

/// A listing under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Listing {
    since: i8,
    as_of: i8,
    after: Option<Place>,
    long: bool,
}

/// What is stored of a poll.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Cursor {
    watermark: i8,
    next_long: i8,
    marks: Vec<(i8, u8, u8)>,
    listing: Option<Listing>,
}

/// One run of the poll: its copy of the cursor, and where it reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Run {
    cursor: Cursor,
    listing: Listing,
    started: i8,
    first: bool,
    done: bool,
}

/// Shop, queue, cursor and run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    now: i8,
    orders: Vec<Order>,
    cursor: Cursor,
    run: Option<Run>,
    polled: bool,
    changes: u8,
    faults: u8,
    behind: bool,
}

/// A step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Tick,
    ShopBegins(u8),
    ShopCommits(u8),
    PollStarts,
    ReadsAPage,
    ReadsAPageAndItsHintIsPurged,
    Pauses,
    Saves,
    Crashes,
}

/// The poll.
pub(crate) struct Poll {
    orders: u8,
    changes: u8,
    faults: u8,
    bug: Option<Bug>,
}

impl Poll {
    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    fn lag(&self) -> i8 {
        LAG + i8::from(self.has(Bug::ShopCommitsLater))
    }

    fn next_listing(&self, world: &World) -> Listing {
        if let Some(listing) = world.cursor.listing {
            return listing;
        }
        let long = !self.has(Bug::NoLongListing) && world.now >= world.cursor.next_long;
        let overlap = match () {
            () if long => END,
            () if self.has(Bug::NoOverlap) => 0,
            () => OVERLAP,
        };
        Listing { since: (world.cursor.watermark - overlap).max(0), as_of: 0, after: None, long }
    }

    fn page(&self, world: &mut World, purged: bool) {
        let now = world.now;
        let Some(run) = &mut world.run else { return };
        let first = run.listing.after.is_none();
        if first || self.has(Bug::LastPagesTime) || (run.first && self.has(Bug::ResumedPagesTime)) {
            run.listing.as_of = now;
        }
        if first && self.has(Bug::MovedBeforeTheHints) {
            world.cursor.watermark = now;
        }
        run.first = false;
        let places = (0_u8..).zip(&world.orders).filter_map(|(id, o)| o.seen.map(|(at, _)| (at, id)));
        let mut rest: Vec<Place> =
            places.filter(|p| p.0 >= run.listing.since && run.listing.after.is_none_or(|a| *p > a)).collect();
        rest.sort_unstable();
        let Some(place) = rest.first().copied() else { return Self::finish(run, now) };
        let order = &mut world.orders[usize::from(place.1)];
        let version = if self.has(Bug::MarkWithoutVersion) { 0 } else { order.version() };
        let mark = (if self.has(Bug::MarkWithoutVersion) { 0 } else { place.0 }, place.1, version);
        if !run.cursor.marks.contains(&mark) {
            run.cursor.marks.push(mark);
            run.cursor.marks.sort_unstable();
            order.handed = order.version();
            if !purged {
                order.read = order.version();
            }
        }
        run.listing.after = Some(place);
        if rest.len() == 1 {
            Self::finish(run, now);
        }
    }

    fn finish(run: &mut Run, now: i8) {
        run.done = true;
        run.cursor.listing = None;
        run.cursor.watermark = run.listing.as_of;
        if run.listing.long {
            run.cursor.next_long = now + LONG_EVERY;
        }
    }

    fn save(&self, world: &mut World) {
        let Some(run) = world.run.take() else { return };
        let floor = run.cursor.watermark - OVERLAP;
        world.cursor = run.cursor;
        if !self.has(Bug::MarkWithoutVersion) {
            world.cursor.marks.retain(|(at, ..)| *at >= floor);
        }
    }
}

impl Model for Poll {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let cursor = Cursor { watermark: 0, next_long: LONG_EVERY, marks: Vec::new(), listing: None };
        vec![World {
            now: 0,
            orders: vec![Order::default(); usize::from(self.orders)],
            cursor,
            run: None,
            polled: false,
            changes: 0,
            faults: 0,
            behind: false,
        }]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        let late = |o: &Order| o.open.is_some_and(|at| world.now - at >= self.lag());
        // A run that lasts into the next tick ends in it.
        let long_run = world.run.as_ref().is_some_and(|r| r.started < world.now);
        let skips = !world.polled && world.faults == self.faults;
        if world.now < END && !long_run && !skips && !world.orders.iter().any(late) {
            steps.push(Step::Tick);
        }
        for (id, order) in (0_u8..).zip(&world.orders) {
            // Orders are alike: the second changes after the first has.
            let turn = id == 0 || world.orders[usize::from(id) - 1] != Order::default();
            if turn && order.open.is_none() && world.changes < self.changes && world.now <= CHANGES_END {
                steps.push(Step::ShopBegins(id));
            }
            if order.open.is_some() {
                steps.push(Step::ShopCommits(id));
            }
        }
        match &world.run {
            None if !world.polled => steps.push(Step::PollStarts),
            None => {}
            Some(run) if run.done => steps.push(Step::Saves),
            Some(run) => {
                steps.push(Step::ReadsAPage);
                if world.faults < self.faults && world.now <= PURGES_END {
                    steps.push(Step::ReadsAPageAndItsHintIsPurged);
                }
                if !run.first && world.faults < self.faults {
                    steps.push(Step::Pauses);
                }
            }
        }
        if world.run.is_some() && world.faults < self.faults {
            steps.push(Step::Crashes);
        }
    }

    fn next_state(&self, last: &World, step: Step) -> Option<World> {
        let mut world = last.clone();
        match step {
            Step::Tick => {
                world.faults += u8::from(!world.polled);
                (world.now, world.polled) = (world.now + 1, world.run.is_some());
            }
            Step::ShopBegins(id) => {
                world.orders[usize::from(id)].open = Some(world.now);
                world.changes += 1;
            }
            Step::ShopCommits(id) => {
                let order = &mut world.orders[usize::from(id)];
                let at = order.open.take()?;
                order.seen = Some((at, order.version() + 1));
                world.behind |= world.run.as_ref().is_some_and(|r| r.listing.after > Some((at, id)));
            }
            Step::PollStarts => {
                let listing = self.next_listing(&world);
                let cursor = world.cursor.clone();
                world.run = Some(Run { cursor, listing, started: world.now, first: true, done: false });
                world.polled = true;
            }
            Step::ReadsAPage => self.page(&mut world, false),
            Step::ReadsAPageAndItsHintIsPurged => {
                self.page(&mut world, true);
                world.faults += 1;
            }
            Step::Pauses => {
                let run = world.run.as_mut()?;
                run.cursor.listing = Some(run.listing);
                run.done = true;
                world.faults += 1;
            }
            Step::Saves => self.save(&mut world),
            Step::Crashes => (world.run, world.faults) = (None, world.faults + 1),
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(NOTHING_BELOW, |_, world: &World| {
                let begins = world.cursor.watermark - OVERLAP;
                world.orders.iter().all(|o| {
                    let unseen = o.seen.filter(|(_, version)| *version > o.handed).map(|(at, _)| at);
                    unseen.into_iter().chain(o.open).all(|at| at >= begins)
                })
            }),
            Property::sometimes("an order appears behind the page that was read", |_, world: &World| {
                world.behind
            }),
            Property::sometimes(
                "a run dies after its hints and before its cursor is stored",
                |_, world: &World| {
                    let marked = |id| world.cursor.marks.iter().any(|(_, order, _)| *order == id);
                    world.run.is_none()
                        && (0_u8..)
                            .zip(&world.orders)
                            .any(|(id, o)| o.handed > 0 && !marked(id) && world.now < 2)
                },
            ),
            Property::sometimes("a purge loses an order until the long listing", |_, world: &World| {
                let below = |o: &Order| o.seen.is_some_and(|(at, _)| at < world.cursor.watermark - OVERLAP);
                world.orders.iter().any(|o| o.read < o.version() && o.handed == o.version() && below(o))
            }),
        ]
    }
}

impl Protocol for Poll {
    type Bug = Bug;
    const NAME: &'static str = "watermark of a poll";
    const STANDS_FOR: &'static str = "functions/sweeper/src/{poll,cursor}.rs";
    const BUGS: &'static [(Bug, &'static str)] = &[
        (Bug::MovedBeforeTheHints, NOTHING_BELOW),
        (Bug::NoOverlap, NOTHING_BELOW),
        (Bug::LastPagesTime, NOTHING_BELOW),
        (Bug::ResumedPagesTime, NOTHING_BELOW),
        (Bug::MarkWithoutVersion, NOTHING_BELOW),
        (Bug::NoLongListing, SETTLES),
        (Bug::ShopCommitsLater, NOTHING_BELOW),
    ];

    fn of(size: Size, bug: Option<Bug>) -> Self {
        match size {
            Size::Small => Self { orders: 3, changes: 3, faults: 1, bug },
            Size::Wide => Self { orders: 3, changes: 4, faults: 2, bug },
        }
    }

    fn settled(&self, world: &World) -> bool {
        world.orders.iter().all(|o| o.open.is_none() && o.read == o.version())
    }

    fn calm(&self, world: &World, step: &Step) -> bool {
        match step {
            // A run comes with every tick, and ends before the next.
            Step::Tick => world.polled && world.run.is_none(),
            Step::Pauses | Step::ShopBegins(_) | Step::Crashes => false,
            Step::ReadsAPageAndItsHintIsPurged => false,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Poll;
    use crate::check::tests::{has_teeth, holds};

    #[test]
    fn no_change_in_the_shop_is_missed() {
        holds::<Poll>();
    }

    #[test]
    fn every_planted_bug_is_noticed() {
        has_teeth::<Poll>();
    }
}
