//! Every kind of exception is found where it was planted, and nothing else.

use proptest::prelude::*;

use super::*;
use crate::domain::fact::{ChargeView, RefundView};
use crate::domain::money::Currency;
use crate::domain::order::OrderStatus;
use crate::domain::time::{Seconds, UnixTime};

const NOW: UnixTime = UnixTime(1_800_000_000);
const THEN: UnixTime = UnixTime(1_799_900_000);

fn scope() -> Scope {
    Scope { stack: "demo".into(), now: NOW, grace: Seconds::minutes(5) }
}

fn key(n: u32) -> OrderKey {
    OrderKey::new("demo", "checkout", "shop", &n.to_string()).unwrap()
}

fn eur() -> Currency {
    Currency::parse("EUR").unwrap()
}

fn charge_view(id: &str, amount: i64) -> ChargeView {
    ChargeView {
        id: id.into(),
        intent: format!("pi_{id}"),
        status: "succeeded".into(),
        amount,
        amount_captured: amount,
        amount_refunded: 0,
        currency: eur(),
        captured: true,
        disputed: false,
        capture_before: None,
        fingerprint: None,
        decline: None,
        created: THEN,
    }
}

fn refund_view(id: &str, charge: &str, amount: i64) -> RefundView {
    RefundView {
        id: id.into(),
        charge: charge.into(),
        amount,
        currency: eur(),
        status: "succeeded".into(),
        request: None,
        reason: None,
        failure_reason: None,
    }
}

/// The three records of some paid orders, all of one mind.
#[derive(Clone, Debug, Default)]
struct World {
    ours: Vec<OurOrder>,
    charges: Vec<TheirCharge>,
    refunds: Vec<TheirRefund>,
    shop: Vec<ShopOrder>,
}

impl World {
    fn paid(orders: u32) -> Self {
        let mut world = Self::default();
        for n in 0..orders {
            let amount = 1_000 + i64::from(n);
            let charge = charge_view(&format!("ch_{n}"), amount);
            world.charges.push(TheirCharge {
                charge: charge.clone(),
                order: Some(key(n).as_str().into()),
                customer: Some(format!("cus_{n}")),
            });
            world.ours.push(OurOrder {
                key: key(n),
                complete: true,
                currency: Some(eur()),
                total: amount,
                status: "paid".into(),
                view_at: THEN,
                captured: amount,
                returned: 0,
                customer: Some(format!("cus_{n}")),
                intents: vec![charge.intent.clone()],
                charges: vec![charge],
                refunds: Vec::new(),
            });
            world.shop.push(ShopOrder {
                key: key(n),
                updated_at: THEN,
                read: Some(ShopRead::Order {
                    status: OrderStatus::Open,
                    currency: eur(),
                    total: amount,
                    echo: Some("paid".into()),
                }),
            });
        }
        world
    }

    fn matched(self) -> Matched {
        let mut matching = Matching::new(scope());
        self.ours.iter().for_each(|order| matching.order(order));
        self.charges.iter().for_each(|charge| matching.charge(charge));
        self.refunds.iter().for_each(|refund| matching.refund(refund));
        self.shop.iter().for_each(|order| matching.shop(order));
        matching.matched()
    }

    fn only(self) -> Exception {
        let found = self.matched().exceptions;
        assert_eq!(found.len(), 1, "{found:#?}");
        found.into_iter().next().unwrap()
    }

    fn refunded(orders: u32, id: &str, amount: i64) -> Self {
        let mut world = Self::paid(orders);
        let refund = refund_view(id, "ch_0", amount);
        world.ours[0].refunds.push(refund.clone());
        world.ours[0].returned = amount;
        world.refunds.push(TheirRefund { refund, order: None, intent: None, created: THEN });
        world
    }

    fn read(&mut self, n: usize) -> (&mut Currency, &mut i64, &mut Option<String>) {
        match &mut self.shop[n].read {
            Some(ShopRead::Order { currency, total, echo, .. }) => (currency, total, echo),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn records_of_one_mind_have_no_exception() {
    let matched = World::refunded(3, "re_1", 400).matched();
    assert_eq!(matched.exceptions, []);
    assert_eq!((matched.agreed, matched.foreign), (4, 0));
}

#[test]
fn a_charge_with_our_mark_that_we_do_not_know_is_missing_here() {
    let mut world = World::paid(2);
    (world.ours[1].charges, world.ours[1].intents) = (Vec::new(), Vec::new());
    (world.ours[1].captured, world.ours[1].status) = (0, "awaiting_payment".into());
    *world.read(1).2 = Some("awaiting_payment".into());
    let found = world.clone().only();
    assert_eq!((found.kind, found.charge.as_str(), found.at_risk), (Kind::MissingHere, "ch_1", 1_001));
    // The same without any item of that order.
    world.ours.pop();
    world.shop.pop();
    assert_eq!(world.only().kind, Kind::MissingHere);
}

#[test]
fn a_second_charge_for_a_paid_order_is_a_duplicate_known_or_not() {
    let mut world = World::paid(2);
    let order = Some(key(0).as_str().to_owned());
    let charge = ChargeView { created: THEN + Seconds(60), ..charge_view("ch_second", 1_000) };
    world.charges.push(TheirCharge { charge: charge.clone(), order, customer: None });
    let found = world.clone().only();
    assert_eq!(
        (found.kind, found.charge.as_str(), found.at_risk),
        (Kind::DuplicateCharge, "ch_second", 1_000)
    );
    world.ours[0].charges.push(charge);
    world.ours[0].captured = 2_000;
    let found = world.clone().only();
    assert_eq!(
        (found.kind, found.charge.as_str(), found.at_risk),
        (Kind::DuplicateCharge, "ch_second", 1_000)
    );
    // Given back, it is settled.
    let refund = refund_view("re_1", "ch_second", 1_000);
    world.ours[0].refunds.push(refund.clone());
    world.ours[0].returned = 1_000;
    world.refunds.push(TheirRefund { refund, order: None, intent: None, created: THEN });
    assert_eq!(world.matched().exceptions, []);
}

#[test]
fn an_order_the_shop_still_waits_for_although_it_is_paid_is_a_status_exception() {
    let mut world = World::paid(2);
    *world.read(1).2 = Some("awaiting_payment".into());
    let found = world.clone().only();
    assert_eq!((found.kind, found.order.as_str(), found.at_risk), (Kind::Status, key(1).as_str(), 1_001));
    *world.read(1).2 = None;
    assert_eq!(world.clone().only().kind, Kind::Status);
    // What changed a moment ago is still on its way.
    world.ours[1].view_at = NOW - Seconds(10);
    assert_eq!(world.matched().exceptions, []);
}

#[test]
fn a_refund_nobody_linked_is_found_by_its_charge() {
    let mut world = World::paid(2);
    let refund = refund_view("re_1", "ch_1", 300);
    world.refunds.push(TheirRefund { refund, order: None, intent: None, created: THEN });
    let found = world.clone().only();
    assert_eq!(
        (found.kind, found.order.as_str(), found.at_risk),
        (Kind::UnlinkedRefund, key(1).as_str(), 300)
    );
    world.refunds[0].refund.status = "failed".into();
    assert_eq!(world.clone().matched().exceptions, []);
    (world.refunds[0].refund.status, world.refunds[0].created) = ("succeeded".into(), NOW - Seconds(10));
    assert_eq!(world.matched().exceptions, []);
}

#[test]
fn the_release_of_what_was_not_captured_is_no_refund() {
    let mut world = World::paid(1);
    world.ours[0].charges[0].amount = 1_500;
    world.charges[0].charge.amount = 1_500;
    let refund = refund_view("re_1", "ch_0", 500);
    world.refunds.push(TheirRefund { refund, order: None, intent: None, created: THEN });
    assert_eq!(world.matched().exceptions, []);
}

#[test]
fn amounts_currencies_customers_and_ends_that_differ_are_told_apart() {
    let usd = Currency::parse("USD").unwrap();
    type Plant = fn(&mut World, Currency);
    let table: [(Kind, Plant); 9] = [
        (Kind::Amount, |w, _| w.charges[0].charge.amount_captured = 999),
        (Kind::Currency, |w, usd| w.charges[0].charge.currency = usd),
        (Kind::Customer, |w, _| w.charges[0].customer = Some("cus_other".into())),
        (Kind::Status, |w, _| {
            (w.charges[0].charge.status, w.charges[0].charge.captured) = ("failed".into(), false)
        }),
        (Kind::Amount, |w, _| w.refunds[0].refund.amount = 401),
        (Kind::Status, |w, _| w.refunds[0].refund.status = "failed".into()),
        (Kind::Amount, |w, _| *w.read(0).1 = 1_200),
        (Kind::Currency, |w, usd| *w.read(0).0 = usd),
        (Kind::Amount, |w, _| w.ours[1].captured = 2_000),
    ];
    for (n, (kind, plant)) in table.into_iter().enumerate() {
        let mut world = World::refunded(2, "re_1", 400);
        plant(&mut world, usd);
        assert_eq!(world.only().kind, kind, "row {n}");
    }
}

#[test]
fn what_stripe_or_the_shop_does_not_have_is_missing_there() {
    let mut world = World::paid(2);
    world.charges.remove(0);
    assert_eq!(world.clone().only().kind, Kind::MissingThere);
    // An order that was not looked up whole proves nothing.
    world.ours[0].complete = false;
    assert_eq!(world.matched().exceptions, []);

    let mut world = World::refunded(1, "re_1", 400);
    world.refunds.clear();
    assert_eq!(world.only().refund, "re_1");

    let mut world = World::paid(1);
    world.shop[0].read = Some(ShopRead::Gone);
    let found = world.only();
    assert_eq!((found.kind, found.at_risk), (Kind::MissingThere, 1_000));
}

#[test]
fn an_order_only_its_shop_knows_is_missing_here_once_it_is_old_enough() {
    let mut world = World::paid(1);
    world.shop.push(ShopOrder { key: key(9), updated_at: THEN, read: None });
    world.shop.push(ShopOrder { key: key(10), updated_at: NOW - Seconds(10), read: None });
    let found = world.only();
    assert_eq!((found.kind, found.order.as_str()), (Kind::MissingHere, key(9).as_str()));
}

#[test]
fn what_is_not_ours_is_counted_and_never_an_exception() {
    let mut world = World::paid(1);
    for (id, order) in [("ch_a", None), ("ch_b", Some("other#checkout#shop#1")), ("ch_c", Some("not a key"))]
    {
        let order = order.map(str::to_owned);
        world.charges.push(TheirCharge { charge: charge_view(id, 500), order, customer: None });
    }
    let refund = refund_view("re_x", "ch_unknown", 500);
    world.refunds.push(TheirRefund { refund, order: None, intent: None, created: THEN });
    let matched = world.matched();
    assert_eq!((matched.exceptions, matched.foreign), (Vec::new(), 4));
}

/// Things that go wrong, each in an order of its own.
fn planted(world: &mut World, faults: &[u8]) -> usize {
    for (n, fault) in faults.iter().enumerate() {
        match fault {
            0 => {}
            1 => world.charges[n].charge.amount_captured += 1,
            2 => world.charges[n].customer = Some("cus_other".into()),
            3 => *world.read(n).2 = Some("awaiting_payment".into()),
            4 => world.refunds.push(TheirRefund {
                refund: refund_view(&format!("re_{n}"), &format!("ch_{n}"), 7),
                order: None,
                intent: None,
                created: THEN,
            }),
            _ => world.shop[n].read = Some(ShopRead::Gone),
        }
    }
    faults.iter().filter(|f| **f != 0).count()
}

proptest! {
    #[test]
    fn each_planted_fault_is_one_exception_and_none_else(faults in proptest::collection::vec(0_u8..6, 1..12)) {
        let mut world = World::paid(u32::try_from(faults.len()).unwrap());
        let count = planted(&mut world, &faults);
        let matched = world.matched();
        prop_assert_eq!(matched.exceptions.len(), count, "{:#?}", matched.exceptions);
        prop_assert!(matched.exceptions.iter().all(|e| e.at_risk >= 0 && !e.order.is_empty()));
    }

    #[test]
    fn the_order_and_repetition_of_records_change_nothing(
        faults in proptest::collection::vec(0_u8..6, 1..12),
        turn in 0_usize..12,
    ) {
        let mut world = World::paid(u32::try_from(faults.len()).unwrap());
        planted(&mut world, &faults);
        let mut turned = world.clone();
        let by = turn % faults.len();
        turned.ours.rotate_left(by);
        turned.charges.reverse();
        turned.charges.extend(world.charges.clone());
        turned.refunds.extend(world.refunds.clone());
        turned.shop.rotate_left(by);
        turned.shop.extend(world.shop.clone());
        prop_assert_eq!(world.clone().matched(), turned.matched());
        // The other sides first: nothing finds its place before the end.
        let mut matching = Matching::new(scope());
        world.shop.iter().for_each(|order| matching.shop(order));
        world.refunds.iter().for_each(|refund| matching.refund(refund));
        world.charges.iter().for_each(|charge| matching.charge(charge));
        let none = matching.matched();
        prop_assert_eq!(none.agreed, 0);
        world.ours.iter().for_each(|order| matching.order(order));
        prop_assert_eq!(world.matched(), matching.matched());
    }
}
