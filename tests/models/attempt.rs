//! One payable attempt between buyer, timer, page and creator: an order that is paid on a page, changed, cancelled, paid in
//! the second of its expiry; and an order on the retry ladder whose buyer asks for a page. Stands for
//! `functions/payment-page`, `functions/payment-creator`, `shared/src/domain/plan/attempts.rs` and what [`crate::order`]
//! stands for.
//!
//! A late request may land at any time, and Stripe may forget a key at any time: one payable attempt rests on neither. What
//! a commit without its revision breaks is the model's of the item ([`crate::item`]).
//!
//! All of it at once is too much to visit. So it is told in stories: each begins elsewhere and may use up its own number of
//! faults, webhooks, presses of the button and changes by the shop ([`STORIES`]), and within that everything is visited.

use pure::domain::fact::{EffectResult, OrderView, Terms, What};
use pure::domain::order::{CaptureMode, Collection, OrderStatus};
use pure::domain::policy::Policy;
use pure::domain::policy::decline::DeclineClass;
use pure::domain::time::Seconds;
use stateright::{Model, Property};

use crate::Size;
use crate::check::Protocol;
use crate::order::book::{Book, Item};
use crate::order::stripe::{Fate, Intent, IntentStatus, Stripe, Word, decline};
use crate::order::{Bug, Machine, Rules, START, Step, World, eur};

/// What the order comes to at first.
const TOTAL: i64 = 3_000;

const ONE_PAYABLE: &str = "at most one attempt can take money at a time";
const NEVER_MORE: &str = "never more is taken than was asked for";

/// An order.
pub(crate) fn order(total: i64, collection: Collection, version: u64) -> OrderView {
    OrderView {
        number: "A-1".into(),
        status: OrderStatus::Open,
        currency: eur(),
        total,
        customer: (collection == Collection::Automatic).then(|| "7".into()),
        collection,
        capture: CaptureMode::AtOnce,
        deposit: None,
        balance_due_at: None,
        refund_requests: Vec::new(),
        refunds: Vec::new(),
        paid: None,
        items_hash: "h".into(),
        echo: None,
        version,
    }
}

/// A policy with a short ladder, and few looks for their own sake.
pub(crate) fn policy(soft: Vec<Seconds>) -> Policy {
    let mut policy = Policy::default();
    policy.retry.soft = soft;
    policy.retry.give_up_after = Seconds::days(9);
    policy.limits.observe_open_attempt = Seconds::days(40_000);
    policy.limits.unknown_case_after = Seconds::days(40_000);
    policy
}

/// Where a story begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begin {
    /// The buyer is to pay on a page.
    Page,
    /// The saved card is to be asked for the first time.
    Card,
    /// The saved card was declined once; the ladder waits.
    Ladder,
}

/// What the shop may do to the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shop {
    Keeps,
    Lowers,
    Cancels,
}

/// What may happen in one story, and how often.
#[derive(Clone, Copy, Debug)]
struct Story {
    begin: Begin,
    shop: Shop,
    asks: u8,
    webhooks: u8,
    faults: u8,
    /// Only at the wide size.
    wide: bool,
}

const STORIES: &[Story] = &[
    story(Begin::Page, Shop::Lowers, 1, 0, 1),
    story(Begin::Page, Shop::Cancels, 1, 0, 1),
    story(Begin::Page, Shop::Lowers, 1, 1, 0),
    story(Begin::Page, Shop::Keeps, 1, 1, 1),
    story(Begin::Page, Shop::Keeps, 1, 0, 2),
    story(Begin::Page, Shop::Keeps, 0, 1, 2),
    story(Begin::Card, Shop::Keeps, 0, 1, 1),
    story(Begin::Card, Shop::Keeps, 1, 0, 1),
    story(Begin::Card, Shop::Keeps, 0, 0, 2),
    story(Begin::Ladder, Shop::Keeps, 1, 1, 0),
    story(Begin::Ladder, Shop::Keeps, 1, 0, 1),
    Story { wide: true, ..story(Begin::Page, Shop::Lowers, 1, 0, 2) },
    Story { wide: true, ..story(Begin::Page, Shop::Lowers, 1, 1, 1) },
    Story { wide: true, ..story(Begin::Page, Shop::Keeps, 2, 1, 2) },
    Story { wide: true, ..story(Begin::Card, Shop::Keeps, 0, 1, 2) },
    Story { wide: true, ..story(Begin::Ladder, Shop::Keeps, 1, 1, 1) },
    Story { wide: true, ..story(Begin::Ladder, Shop::Keeps, 1, 0, 2) },
    Story { wide: true, ..story(Begin::Ladder, Shop::Lowers, 1, 0, 1) },
];

const fn story(begin: Begin, shop: Shop, asks: u8, webhooks: u8, faults: u8) -> Story {
    Story { begin, shop, asks, webhooks, faults, wide: false }
}

/// One attempt at a time.
pub(crate) struct OneAttempt {
    machines: Vec<(Story, Machine)>,
}

fn rules(number: u8, story: Story, bug: Option<Bug>) -> Rules {
    let collection = match story.begin {
        Begin::Page => Collection::Page,
        Begin::Card | Begin::Ladder => Collection::Automatic,
    };
    let mut orders = vec![order(TOTAL, collection, 1)];
    match story.shop {
        Shop::Keeps => {}
        Shop::Lowers => orders.push(order(TOTAL - 500, collection, 2)),
        Shop::Cancels => {
            orders.push(OrderView { status: OrderStatus::Cancelled, ..order(TOTAL, collection, 2) });
        }
    }
    Rules {
        story: number,
        orders,
        workers: 2,
        asks: story.asks,
        webhooks: story.webhooks,
        faults: story.faults,
        flight: None,
        keeps_keys: Seconds(0),
        fates: if story.begin != Begin::Page { &[Fate::Declines(Word::Soft)] } else { &[] },
        bug,
    }
}

/// The facts of an order that was seen once.
pub(crate) fn seen_once(book: &Book, order: &OrderView) -> Vec<u16> {
    let mut whats = vec![What::OrderSeen(Box::new(order.clone())), What::PayToken { token: "t".into() }];
    if order.collection == Collection::Automatic {
        whats.push(What::CustomerLinked { customer: "cus_1".into() });
        whats.push(What::MethodSeen { method: Some("pm_1".into()), fingerprint: None });
    }
    whats.into_iter().map(|what| book.fact(START, "observed", what)).collect()
}

/// An order whose first try on the saved card was declined.
fn declined_once(book: &Book, order: &OrderView) -> (Item, Stripe) {
    let stripe = Stripe {
        intents: vec![Intent {
            attempt: 1,
            amount: TOTAL,
            status: IntentStatus::NeedsMethod,
            charges: 1,
            decline: Some(Word::Soft),
            off_session: true,
        }],
        ..Stripe::default()
    };
    let before = Stripe {
        intents: vec![Intent {
            status: IntentStatus::Unconfirmed,
            charges: 0,
            decline: None,
            ..stripe.intents[0].clone()
        }],
        ..Stripe::default()
    };
    let (created, tried) = ("intent:1".to_owned(), "confirm:1:1".to_owned());
    let make = Terms::CreateIntent {
        attempt: 1,
        amount: TOTAL,
        currency: eur(),
        fingerprint: order.fingerprint(),
        method: "pm_1".into(),
        card: None,
    };
    let confirm = Terms::Confirm { attempt: 1, try_no: 1, intent: "pi_0".into(), method: "pm_1".into() };
    let refused = EffectResult::Refused { code: "card_declined".into(), decline: Some(decline(Word::Soft)) };
    let object = EffectResult::Done { object: "pi_0".into() };
    let intent = crate::order::stripe::Obj::Intent(0);
    let mut whats = vec![
        What::Claimed { effect: created.clone(), generation: 1, terms: make },
        What::Outcome { effect: created, generation: 1, result: object },
    ];
    whats.extend(before.read(intent));
    whats.push(What::Claimed { effect: tried.clone(), generation: 1, terms: confirm });
    whats.push(What::Outcome { effect: tried, generation: 1, result: refused });
    whats.extend(stripe.read(intent));
    let due = START + Seconds::days(1);
    whats.push(What::RetryScheduled { attempt: 1, try_no: 2, due, class: DeclineClass::Soft });
    let mut facts = seen_once(book, order);
    facts.extend(whats.into_iter().map(|what| book.fact(START, "observed", what)));
    (Item { fold: book.extend(0, facts), ..Item::default() }, stripe)
}

impl OneAttempt {
    fn machine(&self, world: &World) -> &Machine {
        &self.machines[usize::from(world.story)].1
    }
}

impl Model for OneAttempt {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let begin = |(story, machine): &(Story, Machine)| {
            let (book, first) = (&machine.book, &machine.rules.orders[0]);
            let (item, stripe) = match story.begin {
                Begin::Page | Begin::Card => {
                    let fold = book.extend(0, seen_once(book, first));
                    (Item { fold, ..Item::default() }, Stripe::default())
                }
                Begin::Ladder => declined_once(book, first),
            };
            machine.begin(START, item, stripe)
        };
        self.machines.iter().map(begin).collect()
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        self.machine(world).steps(world, steps);
    }

    fn next_state(&self, last: &World, step: Step) -> Option<World> {
        self.machine(last).next(last, step)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ONE_PAYABLE, |model: &Self, world: &World| {
                model.machine(world).payable(world) <= 1
            }),
            Property::always(NEVER_MORE, |model: &Self, world: &World| {
                world.stripe.taken_or_coming() <= model.machine(world).most_asked(world)
            }),
            Property::sometimes("the buyer pays while the page is being closed", |_, world: &World| {
                world.notes.paid_while_closing
            }),
            Property::sometimes(
                "the waiting intent is cancelled and the buyer pays on a page",
                |_, world: &World| {
                    let card = world.stripe.intents.first().filter(|i| i.off_session);
                    card.is_some_and(|i| i.status == IntentStatus::Canceled) && world.stripe.taken() > 0
                },
            ),
            Property::sometimes(
                "a call is carried out twice and an attempt has two sessions",
                |_, world: &World| {
                    let of_first = world.stripe.sessions.iter().filter(|s| s.attempt == 1).count();
                    of_first > 1
                },
            ),
            Property::sometimes(
                "the retry pays although the buyer asked for a page",
                |model: &Self, world: &World| {
                    let asked = model.machine(world).rules.asks > world.asks;
                    let card = world.stripe.intents.first().filter(|i| i.off_session);
                    asked && card.is_some_and(|i| i.status == IntentStatus::Succeeded)
                },
            ),
        ]
    }
}

impl Protocol for OneAttempt {
    type Bug = Bug;
    const NAME: &'static str = "one payable attempt between buyer, timer, page and creator";
    const STANDS_FOR: &'static str = "functions/payment-page, functions/payment-creator, functions/failure-handler, \
        shared/src/engine.rs, shared/src/engine/{draft,carry,settle,look}.rs; fold and plan are the real ones";
    const BUGS: &'static [(Bug, &'static str)] = &[
        (Bug::ClosedByOurWord, ONE_PAYABLE),
        (Bug::ClosedByOurWord, NEVER_MORE),
        (Bug::TrustOurClock, ONE_PAYABLE),
        (Bug::RefusedMeansClosed, NEVER_MORE),
        (Bug::ShowBeforeStored, ONE_PAYABLE),
        (Bug::NewestIsShown, ONE_PAYABLE),
        (Bug::NewestIsShown, NEVER_MORE),
    ];

    fn of(size: Size, bug: Option<Bug>) -> Self {
        let told = STORIES.iter().filter(|story| size == Size::Wide || !story.wide);
        let machine = |(number, story): (u8, &Story)| {
            let book = Book::new(policy(vec![Seconds::days(1)]));
            (*story, Machine { rules: rules(number, *story, bug), book })
        };
        Self { machines: (0_u8..).zip(told).map(machine).collect() }
    }

    fn settled(&self, world: &World) -> bool {
        self.machine(world).settled(world)
    }

    fn calm(&self, world: &World, step: &Step) -> bool {
        self.machine(world).calm(world, *step)
    }
}

#[cfg(test)]
mod tests {
    use super::OneAttempt;
    use crate::check::tests::{has_teeth, holds};

    #[test]
    fn one_attempt_at_a_time_can_take_money() {
        holds::<OneAttempt>();
    }

    #[test]
    fn every_planted_bug_is_noticed() {
        has_teeth::<OneAttempt>();
    }
}
