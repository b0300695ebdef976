//! Our orders of a window, packed: a row of bytes for each, and one index over their keys and Stripe's ids.
//!
//! Invariant: a row reads back as it was written, apart from two kinds of marks: whether the order was looked for whole, and
//! which of its objects the other side showed. About 160 bytes for an order of one charge: a million of them fit where an
//! eighth did as values of their own, so that a window is bounded by its time and not by the function's memory.

use std::collections::BTreeSet;

use super::OurOrder;
use super::index::Index;
use super::row::{COMPLETE, Known, Reader, SEEN, Words, Writer};
use crate::domain::ids::OrderKey;

/// What an order has that no listing of Stripe's showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lacking {
    /// The order.
    pub key: OrderKey,
    /// Charges that took money.
    pub charges: Vec<String>,
    /// Charges of refunds.
    pub refunded: BTreeSet<String>,
}

/// A row begins at a multiple of this, so that 32 bits name every row of 32 GiB.
const ROW_ALIGN: usize = 8;

/// The packed orders.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    rows: Vec<u8>,
    orders: usize,
    words: Words,
    keys: Index,
    ids: Index,
}

/// A key as rows hold it: what all orders of a shop share, and the order's own part.
fn halves(key: &str) -> (&str, &str) {
    key.rsplit_once('#').unwrap_or(("", key))
}

fn start_of(row: u32) -> usize {
    usize::try_from(row).map_or(usize::MAX, |row| row.saturating_mul(ROW_ALIGN))
}

impl Ledger {
    pub(super) fn len(&self) -> usize {
        self.orders
    }

    /// Adds an order. One that is there stays as it is, but counts as whole once it was whole.
    pub(super) fn put(&mut self, order: &OurOrder) {
        if let Some(row) = self.find(order.key.as_str()) {
            if order.complete {
                self.set_complete(row, true);
            }
            return;
        }
        let Ok(row) = u32::try_from(self.rows.len() / ROW_ALIGN) else { return };
        self.write(order);
        self.rows.resize(self.rows.len().next_multiple_of(ROW_ALIGN), 0);
        self.orders += 1;
        self.keys.put(order.key.as_str(), row);
        let ids = order.charges.iter().flat_map(|c| [&c.id, &c.intent]);
        let ids = ids.chain(order.refunds.iter().map(|r| &r.id)).chain(more_intents(order));
        for id in ids.filter(|id| !id.is_empty()) {
            self.ids.put(id, row);
        }
    }

    fn write(&mut self, order: &OurOrder) {
        let (shop, id) = halves(order.key.as_str());
        let words = &mut self.words;
        let mut row = Writer(&mut self.rows);
        row.byte(if order.complete { COMPLETE } else { 0 });
        row.count(words.number(shop));
        row.text(id);
        row.count(order.currency.map_or(0, |c| 1 + words.number_of(c)));
        row.number(order.total);
        row.count(words.number(&order.status));
        row.number(order.view_at.0);
        row.number(order.captured);
        row.number(order.returned);
        row.text(order.customer.as_deref().unwrap_or_default());
        row.count(order.charges.len());
        row.count(order.refunds.len());
        for charge in &order.charges {
            let currency = words.number_of(charge.currency);
            row.charge(charge, currency);
        }
        for refund in &order.refunds {
            let numbers = (words.number_of(refund.currency), words.number(&refund.status));
            row.refund(refund, numbers);
        }
        row.count(more_intents(order).count());
        for id in more_intents(order) {
            row.text(id);
        }
    }

    /// The row of this key.
    pub(super) fn find(&self, key: &str) -> Option<u32> {
        let (shop, id) = halves(key);
        self.keys.all(key).find(|row| {
            let mut at = self.reader(*row);
            at.byte();
            let held = at.count();
            at.bytes() == id.as_bytes() && self.words.word(held) == shop
        })
    }

    /// The row that has this id of Stripe's. If more than one claims it: that of the last key.
    pub(super) fn with_id(&self, id: &str) -> Option<u32> {
        let rows = self.ids.all(id).filter(|row| self.row(*row).has(id));
        rows.max_by_key(|row| self.row(*row).key())
    }

    /// What a row says.
    pub(super) fn row(&self, row: u32) -> Known<'_> {
        Known::read(self.reader(row), &self.words)
    }

    /// All of them, by order of arrival.
    pub(super) fn rows(&self) -> impl Iterator<Item = Known<'_>> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let begun = (at < self.rows.len()).then_some(Reader { bytes: &self.rows, at })?;
            let known = Known::read(begun, &self.words);
            at = known.end().next_multiple_of(ROW_ALIGN);
            Some(known)
        })
    }

    fn reader(&self, row: u32) -> Reader<'_> {
        Reader { bytes: &self.rows, at: start_of(row) }
    }

    /// Whether all of the order's objects were looked for.
    pub(super) fn set_complete(&mut self, row: u32, complete: bool) {
        if let Some(flags) = self.rows.get_mut(start_of(row)) {
            *flags = if complete { *flags | COMPLETE } else { *flags & !COMPLETE };
        }
    }

    /// The other side showed the object whose flags are there.
    pub(super) fn mark(&mut self, at: usize) {
        if let Some(flags) = self.rows.get_mut(at) {
            *flags |= SEEN;
        }
    }
}

/// Intents that no charge of the order names.
fn more_intents(order: &OurOrder) -> impl Iterator<Item = &String> {
    order.intents.iter().filter(|id| order.charges.iter().all(|c| c.intent != **id))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::row::text;
    use super::*;
    use crate::domain::fact::{ChargeView, RefundView};
    use crate::domain::money::Currency;
    use crate::domain::state::State;
    use crate::domain::time::UnixTime;

    fn currency() -> impl Strategy<Value = Currency> {
        prop::sample::select(vec!["EUR", "JPY", "KWD"]).prop_map(|c| Currency::parse(c).unwrap())
    }

    fn charge() -> impl Strategy<Value = ChargeView> {
        let words = ("ch_\\PC{0,200}", "\\PC{0,30}", "succeeded|pending|", currency());
        (words, any::<[i64; 2]>(), any::<bool>(), any::<i64>()).prop_map(
            |((id, intent, status, currency), [amount, amount_captured], captured, created)| ChargeView {
                id,
                intent,
                status,
                amount,
                amount_captured,
                amount_refunded: 0,
                currency,
                captured,
                disputed: false,
                capture_before: None,
                fingerprint: None,
                decline: None,
                created: UnixTime(created),
            },
        )
    }

    fn refund() -> impl Strategy<Value = RefundView> {
        ("re_\\PC{0,30}", "ch_\\PC{0,30}", any::<i64>(), currency(), "succeeded|failed|\\PC{0,9}").prop_map(
            |(id, charge, amount, currency, status)| RefundView {
                id,
                charge,
                amount,
                currency,
                status,
                request: None,
                reason: None,
                failure_reason: None,
            },
        )
    }

    fn order(n: usize) -> impl Strategy<Value = OurOrder> {
        let lists = (
            prop::collection::vec(charge(), 0..4),
            prop::collection::vec(refund(), 0..3),
            prop::collection::vec("pi_\\PC{0,30}", 0..3),
        );
        let own = (prop::option::of(currency()), "paid|\\PC{0,9}", prop::option::of("cus_\\PC{0,300}"));
        (lists, own, any::<[i64; 4]>(), any::<bool>()).prop_map(
            move |(
                (charges, refunds, intents),
                (currency, status, customer),
                [total, at, captured, returned],
                complete,
            )| {
                OurOrder {
                    key: OrderKey::new("demo", "checkout", "shop", &n.to_string()).unwrap(),
                    complete,
                    currency,
                    total,
                    status,
                    view_at: UnixTime(at),
                    captured,
                    returned,
                    customer,
                    charges,
                    refunds,
                    intents,
                }
            },
        )
    }

    fn orders() -> impl Strategy<Value = Vec<OurOrder>> {
        (1_usize..9).prop_flat_map(|n| (0..n).map(order).collect::<Vec<_>>())
    }

    proptest! {
        #[test]
        fn a_row_reads_back_as_it_was_written(orders in orders()) {
            let mut ledger = Ledger::default();
            for order in orders.iter().chain(&orders) {
                ledger.put(order);
            }
            prop_assert_eq!(ledger.len(), orders.len());
            for order in &orders {
                let known = ledger.row(ledger.find(order.key.as_str()).unwrap());
                prop_assert_eq!(known.key(), order.key.as_str());
                prop_assert_eq!((known.complete, known.currency), (order.complete, order.currency));
                prop_assert_eq!((known.total, known.view_at), (order.total, order.view_at));
                prop_assert_eq!((known.captured, known.returned), (order.captured, order.returned));
                prop_assert_eq!((known.status, known.customer.map(text)), (order.status.as_str(), order.customer.as_deref()));
                let charges: Vec<_> = known.charges().map(|c| {
                    (text(c.id), text(c.intent), c.amount, c.taken, c.currency, c.captured, c.money, c.created, c.seen)
                }).collect();
                let wrote: Vec<_> = order.charges.iter().map(|c| {
                    (c.id.as_str(), c.intent.as_str(), c.amount, c.amount_captured, c.currency, c.captured,
                     super::super::is_money(c), c.created, false)
                }).collect();
                prop_assert_eq!(charges, wrote);
                let refunds: Vec<_> = known.refunds().map(|r| {
                    (text(r.id), text(r.charge), r.amount, r.currency, r.status, r.counts, r.seen)
                }).collect();
                let wrote: Vec<_> = order.refunds.iter().map(|r| {
                    (r.id.as_str(), r.charge.as_str(), r.amount, r.currency, r.status.as_str(), r.counts(), false)
                }).collect();
                prop_assert_eq!(refunds, wrote);
                for id in order.intents.iter().chain(order.charges.iter().map(|c| &c.id)) {
                    prop_assert!(known.has(id) && ledger.with_id(id).is_some());
                }
            }
        }

        #[test]
        fn a_mark_changes_that_object_and_nothing_else(orders in orders(), pick in any::<prop::sample::Index>()) {
            let mut ledger = Ledger::default();
            for order in &orders {
                ledger.put(order);
            }
            let row = ledger.find(orders[pick.index(orders.len())].key.as_str()).unwrap();
            let places: Vec<usize> = ledger.row(row).charges().map(|c| c.flags_at)
                .chain(ledger.row(row).refunds().map(|r| r.flags_at)).collect();
            prop_assume!(!places.is_empty());
            let place = places[pick.index(places.len())];
            ledger.mark(place);
            let seen: Vec<usize> = ledger.rows().flat_map(|known| {
                known.charges().filter(|c| c.seen).map(|c| c.flags_at)
                    .chain(known.refunds().filter(|r| r.seen).map(|r| r.flags_at)).collect::<Vec<_>>()
            }).collect();
            prop_assert_eq!(seen, [place]);
        }
    }

    #[test]
    fn an_order_that_is_whole_once_stays_whole_until_it_is_said_not_to_be() {
        let mut ledger = Ledger::default();
        let key = OrderKey::new("demo", "checkout", "shop", "1").unwrap();
        for (complete, want) in [(false, false), (true, true), (false, true)] {
            ledger.put(&OurOrder::of(key.clone(), &State::default(), complete));
            assert_eq!(ledger.row(ledger.find(key.as_str()).unwrap()).complete, want);
        }
        ledger.set_complete(ledger.find(key.as_str()).unwrap(), false);
        assert!(!ledger.row(0).complete);
    }
}
