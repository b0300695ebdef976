//! One payable attempt between buyer, timer, page and creator: an order that is paid on a page, changed, cancelled, paid in
//! the second of its expiry; and an order on the retry ladder whose buyer asks for a page. Stands for
//! `functions/payment-page`, `functions/payment-creator`, `shared/src/domain/plan/attempts.rs` and what [`crate::order`]
//! stands for.
//!
//! A late request may land at any time, and Stripe may forget a key at any time.

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

/// Which story a world tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Story {
    /// The buyer pays on a page; the shop changes or cancels.
    Page,
    /// The saved card was declined; the ladder waits; the buyer asks.
    Ladder,
}

/// One attempt at a time.
pub(crate) struct OneAttempt {
    page: Machine,
    ladder: Machine,
}

fn rules(size: Size, bug: Option<Bug>, story: Story) -> Rules {
    let wide = u8::from(size == Size::Wide);
    let (first, collection) = match story {
        Story::Page => (order(TOTAL, Collection::Page, 1), Collection::Page),
        Story::Ladder => (order(TOTAL, Collection::Automatic, 1), Collection::Automatic),
    };
    let mut orders = vec![first];
    if story == Story::Page {
        orders.push(order(TOTAL - 500, collection, 2));
    }
    Rules {
        orders,
        workers: 2,
        asks: 1 + wide,
        webhooks: 1 + wide,
        faults: 2 + wide,
        flight: None,
        keeps_keys: Seconds(0),
        fates: if story == Story::Ladder { &[Fate::Declines(Word::Soft)] } else { &[] },
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
    (Item { facts, ..Item::default() }, stripe)
}

impl OneAttempt {
    fn machine(&self, world: &World) -> &Machine {
        // The ladder's story begins with an intent that is no session's.
        let ladder = world.stripe.intents.first().is_some_and(|i| i.off_session);
        if ladder { &self.ladder } else { &self.page }
    }
}

impl Model for OneAttempt {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let (page, ladder) = (&self.page, &self.ladder);
        let placed = seen_once(&page.book, &page.rules.orders[0]);
        let placed = page.begin(START, Item { facts: placed, ..Item::default() }, Stripe::default());
        let (item, stripe) = declined_once(&ladder.book, &ladder.rules.orders[0]);
        vec![placed, ladder.begin(START, item, stripe)]
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
                |_, world: &World| world.notes.cancelled_for_buyer && world.stripe.taken() > 0,
            ),
            Property::sometimes(
                "a dead owner's call lands and an attempt has two sessions",
                |_, world: &World| {
                    let of_first = world.stripe.sessions.iter().filter(|s| s.attempt == 1).count();
                    world.notes.landed_late && of_first > 1
                },
            ),
            Property::sometimes("the retry pays although the buyer asked for a page", |_, world: &World| {
                let card = world.stripe.intents.first().filter(|i| i.off_session);
                world.asks == 0 && card.is_some_and(|i| i.status == IntentStatus::Succeeded)
            }),
        ]
    }
}

impl Protocol for OneAttempt {
    type Bug = Bug;
    const NAME: &'static str = "one payable attempt between buyer, timer, page and creator";
    const STANDS_FOR: &'static str = "functions/payment-page, functions/payment-creator, functions/failure-handler, \
        shared/src/engine.rs, shared/src/engine/{draft,carry,settle,look}.rs; fold and plan are the real ones";
    const BUGS: &'static [(Bug, &'static str)] = &[
        (Bug::CommitWithoutRevision, ONE_PAYABLE),
        (Bug::ClosedByOurWord, ONE_PAYABLE),
        (Bug::ClosedByOurWord, NEVER_MORE),
        (Bug::TrustOurClock, ONE_PAYABLE),
        (Bug::RefusedMeansClosed, NEVER_MORE),
        (Bug::ShowBeforeStored, ONE_PAYABLE),
    ];

    fn of(size: Size, bug: Option<Bug>) -> Self {
        let machine = |story| Machine {
            rules: rules(size, bug, story),
            book: Book::new(policy(vec![Seconds::days(1)])),
        };
        Self { page: machine(Story::Page), ladder: machine(Story::Ladder) }
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

#[cfg(test)]
mod probe {
    use super::*;
    use std::collections::{HashSet, VecDeque};

    fn run(name: &str, m: &Machine, init: World) {
        let begin = std::time::Instant::now();
        let mut known = HashSet::new();
        let mut open = VecDeque::new();
        let mut items = HashSet::new();
        let mut nows = HashSet::new();
        known.insert(init.clone());
        open.push_back((init, 0));
        let mut depth = 0;
        let mut steps = Vec::new();
        let mut shown = 0;
        while let Some((w, d)) = open.pop_front() {
            if items.len() > 1500 && shown < 40 && !items.contains(&w.item) && name.ends_with("f0") {
                shown += 1;
                let words: Vec<String> = w
                    .item
                    .facts
                    .iter()
                    .map(|f| {
                        let f = m.book.fact_of(*f);
                        let t = f.at.0;
                        let v = serde_json::to_value(&f.what).unwrap();
                        format!(
                            "{}@{}:{}{}{}{}",
                            v["kind"].as_str().unwrap(),
                            if t == 0 { 0 } else { (t - START.0) / 3600 },
                            v["effect"].as_str().unwrap_or(""),
                            v["status"].as_str().unwrap_or(""),
                            v["result"],
                            v["version"]
                        )
                    })
                    .collect();
                println!(
                    "ITEM {} now {} claims {:?} due {:?}",
                    words.join(" "),
                    (w.now - START.0) / 3600,
                    w.item
                        .claims
                        .iter()
                        .map(|c| {
                            let c = m.book.claim_of(*c);
                            (c.effect.clone(), c.deadline.0 - START.0)
                        })
                        .collect::<Vec<_>>(),
                    w.item.due_at.map(|d| d - START.0)
                );
            }
            if d > depth {
                depth = d;
                println!(
                    "{name} depth {d} known {} open {} items {} nows {} {:?}",
                    known.len(),
                    open.len(),
                    items.len(),
                    nows.len(),
                    begin.elapsed()
                );
            }
            if begin.elapsed().as_secs() > 40 {
                break;
            }
            items.insert(w.item.clone());
            nows.insert(w.now);
            m.steps(&w, &mut steps);
            for s in steps.drain(..) {
                if let Some(n) = m.next(&w, s) {
                    if known.insert(n.clone()) {
                        open.push_back((n, d + 1));
                    }
                }
            }
        }
    }

    #[test]
    fn probe() {
        for faults in [0] {
            for story in [Story::Page, Story::Ladder] {
                let mut r = rules(Size::Small, None, story);
                r.faults = faults;
                let m = Machine { rules: r, book: Book::new(policy(vec![Seconds::days(1)])) };
                let init = match story {
                    Story::Page => {
                        let f = seen_once(&m.book, &m.rules.orders[0]);
                        m.begin(START, Item { facts: f, ..Item::default() }, Stripe::default())
                    }
                    Story::Ladder => {
                        let (i, s) = declined_once(&m.book, &m.rules.orders[0]);
                        m.begin(START, i, s)
                    }
                };
                run(&format!("{story:?} f{faults}"), &m, init);
            }
        }
    }
}
