//! The matching: each object is laid beside our order as it comes and is dropped. What does not find its place waits for the
//! end, when all is known: it is decided by our marks, then by the ids we stored. What neither finds is foreign.
//!
//! Invariant: what is held grows with our orders (packed) and with what does not agree, not with what agrees.

use std::collections::{BTreeMap, BTreeSet};

use super::compare::{self, Findings, unknown_charge, unknown_refund};
use super::ledger::{Lacking, Ledger};
use super::row::{Known, text};
use super::{Exception, Kind, OurOrder, Scope, ShopOrder, ShopRead, TheirCharge, TheirRefund, is_money, iso};
use crate::domain::ids::OrderKey;

/// What the matching found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matched {
    /// What does not agree, in order.
    pub exceptions: Vec<Exception>,
    /// Charges and refunds that are ours and agree.
    pub agreed: u32,
    /// Charges and refunds that are not ours.
    pub foreign: u32,
}

/// The records side by side. An order may come before or after what belongs to it; before, it costs less.
#[derive(Clone, Debug)]
pub struct Matching {
    ledger: Ledger,
    found: Findings,
    charges: Vec<TheirCharge>,
    refunds: Vec<TheirRefund>,
    shop: Vec<ShopOrder>,
}

/// Whose an object is.
enum Whose {
    /// The order of this row.
    Row(u32),
    /// An order of ours by its mark, which is not here.
    Absent(OrderKey),
    /// Not ours.
    Foreign,
}

impl Matching {
    /// With nothing in it.
    pub fn new(scope: Scope) -> Self {
        Self {
            ledger: Ledger::default(),
            found: Findings { scope, out: Matched::default() },
            charges: Vec::new(),
            refunds: Vec::new(),
            shop: Vec::new(),
        }
    }

    /// One of our orders. If it is there already, it stays as it is, but is complete once it came complete.
    pub fn order(&mut self, order: &OurOrder) {
        self.ledger.put(order);
    }

    /// A charge of Stripe's. Repeated ones count once.
    pub fn charge(&mut self, theirs: &TheirCharge) {
        let charge = &theirs.charge;
        if let Whose::Row(row) = self.whose(theirs.order.as_deref(), &[&charge.id, &charge.intent]) {
            let order = self.ledger.row(row);
            if let Some(known) = order.charge(&charge.id) {
                if !known.seen {
                    compare::charge(&mut self.found, &order, &known, theirs);
                    self.ledger.mark(known.flags_at);
                }
                return;
            }
        }
        self.charges.push(theirs.clone());
    }

    /// A refund of Stripe's. Repeated ones count once.
    pub fn refund(&mut self, theirs: &TheirRefund) {
        if let Whose::Row(row) = self.whose_refund(theirs) {
            let order = self.ledger.row(row);
            if let Some(known) = order.refund(&theirs.refund.id) {
                if !known.seen {
                    compare::refund(&mut self.found, &order, &known, theirs);
                    self.ledger.mark(known.flags_at);
                }
                return;
            }
        }
        self.refunds.push(theirs.clone());
    }

    /// An order as its own system has it.
    pub fn shop(&mut self, theirs: &ShopOrder) {
        match (self.ledger.find(theirs.key.as_str()), &theirs.read) {
            (Some(_), None) => {}
            (Some(row), Some(read)) => {
                compare::shop_order(&mut self.found, &self.ledger.row(row), theirs, read);
            }
            (None, _) => self.shop.push(theirs.clone()),
        }
    }

    /// How many orders of ours there are.
    pub fn orders(&self) -> usize {
        self.ledger.len()
    }

    /// Whether this order is here; `complete`: from now on it counts as looked for whole.
    pub fn has(&mut self, key: &OrderKey, complete: bool) -> bool {
        let row = self.ledger.find(key.as_str());
        if let Some(row) = row.filter(|_| complete) {
            self.ledger.set_complete(row, true);
        }
        row.is_some()
    }

    /// Not everything of this order could be looked for: nothing of it can be missing at Stripe.
    pub fn not_whole(&mut self, key: &OrderKey) {
        if let Some(row) = self.ledger.find(key.as_str()) {
            self.ledger.set_complete(row, false);
        }
    }

    /// The order that has this id of Stripe's.
    pub fn owner(&self, id: &str) -> Option<OrderKey> {
        OrderKey::parse(&self.ledger.row(self.ledger.with_id(id)?).key()).ok()
    }

    /// What the complete orders of which `of` is true have and no listing showed.
    pub fn lacking(&self, of: impl Fn(&OrderKey) -> bool) -> Vec<Lacking> {
        let there = self.waiting();
        let mut all = Vec::new();
        for order in self.ledger.rows().filter(|o| o.complete) {
            let charges = order.charges().filter(|c| c.captured && !c.seen && !there.contains(c.id));
            let refunds = order.refunds().filter(|r| !r.seen && !there.contains(r.id));
            let charges: Vec<String> = charges.map(|c| text(c.id).to_owned()).collect();
            let refunded: BTreeSet<String> = refunds.map(|r| text(r.charge).to_owned()).collect();
            if charges.is_empty() && refunded.is_empty() {
                continue;
            }
            let key = OrderKey::parse(&order.key()).ok();
            all.extend(key.filter(&of).map(|key| Lacking { key, charges, refunded }));
        }
        all
    }

    /// Orders that hold money, and those that `so_far` says something about.
    pub fn worth_a_read<'a>(&'a self, so_far: &Matched) -> impl Iterator<Item = OrderKey> + use<'a> {
        let doubtful: BTreeSet<String> = so_far.exceptions.iter().map(|e| e.order.clone()).collect();
        let rows = self.ledger.rows().filter(move |o| o.captured > 0 || doubtful.contains(&o.key()));
        rows.filter_map(|o| OrderKey::parse(&o.key()).ok())
    }

    /// What does not agree, by what has come until now.
    pub fn matched(&self) -> Matched {
        let mut found = self.found.clone();
        self.strange_charges(&mut found);
        self.strange_refunds(&mut found);
        let there = self.waiting();
        for order in self.ledger.rows() {
            compare::missing_there(&mut found, &order, &there);
            compare::sums(&mut found, &order);
        }
        self.strange_orders(&mut found);
        found.out.exceptions.sort_unstable();
        found.out.exceptions.dedup();
        found.out
    }

    /// Pass 1: our mark. Pass 2: ids we stored. What is in the ledger is ours.
    fn whose(&self, mark: Option<&str>, ids: &[&str]) -> Whose {
        if let Some(row) = mark.and_then(|text| self.ledger.find(text)) {
            return Whose::Row(row);
        }
        if let Some(key) = mark.and_then(|text| OrderKey::parse(text).ok()) {
            return if key.stack() == self.found.scope.stack { Whose::Absent(key) } else { Whose::Foreign };
        }
        let ids = ids.iter().filter(|id| !id.is_empty());
        ids.copied().find_map(|id| self.ledger.with_id(id)).map_or(Whose::Foreign, Whose::Row)
    }

    fn whose_refund(&self, theirs: &TheirRefund) -> Whose {
        let refund = &theirs.refund;
        let intent = theirs.intent.as_deref().unwrap_or_default();
        self.whose(theirs.order.as_deref(), &[&refund.id, &refund.charge, intent])
    }

    /// Ids of what waits for the end: it is there, whosever it is.
    fn waiting(&self) -> BTreeSet<&[u8]> {
        let charges = self.charges.iter().map(|c| c.charge.id.as_bytes());
        charges.chain(self.refunds.iter().map(|r| r.refund.id.as_bytes())).collect()
    }

    /// Charges that our facts did not know when they came.
    fn strange_charges(&self, found: &mut Findings) {
        let mut taken: BTreeMap<u32, i64> = BTreeMap::new();
        let mut sorted: Vec<&TheirCharge> = self.charges.iter().collect();
        sorted
            .sort_unstable_by(|a, b| (a.charge.created, &a.charge.id).cmp(&(b.charge.created, &b.charge.id)));
        sorted.dedup_by(|a, b| a.charge.id == b.charge.id);
        for theirs in sorted {
            let charge = &theirs.charge;
            let whose = self.whose(theirs.order.as_deref(), &[&charge.id, &charge.intent]);
            let row = match &whose {
                Whose::Row(row) => Some((*row, self.ledger.row(*row))),
                Whose::Absent(_) => None,
                Whose::Foreign => {
                    found.out.foreign += u32::from(is_money(charge));
                    continue;
                }
            };
            let known = row.and_then(|(_, order)| order.charge(&charge.id));
            if let (Some((_, order)), Some(known)) = (row, known) {
                if !known.seen {
                    compare::charge(found, &order, &known, theirs);
                }
                continue;
            }
            if !is_money(charge) || found.fresh(charge.created) {
                continue;
            }
            let amount = iso(charge.amount_captured, charge.currency);
            match (row, whose) {
                (Some((row, order)), _) => {
                    let before = taken.entry(row).or_insert_with(|| taken_by(&order));
                    let twice = *before > 0 && *before + amount > order.total;
                    *before += amount;
                    let kind = if twice { Kind::DuplicateCharge } else { Kind::MissingHere };
                    unknown_charge(found, kind, &order.key(), charge);
                }
                (None, Whose::Absent(key)) => unknown_charge(found, Kind::MissingHere, key.as_str(), charge),
                (None, _) => {}
            }
        }
    }

    /// Refunds that our facts did not know when they came.
    fn strange_refunds(&self, found: &mut Findings) {
        // A charge that only its mark tells leads its refunds home as well.
        let named = self
            .charges
            .iter()
            .filter_map(|c| Some((c.charge.id.as_str(), self.ledger.find(c.order.as_deref()?)?)));
        let led: BTreeMap<&str, u32> = named.collect();
        let unique: BTreeMap<&str, &TheirRefund> =
            self.refunds.iter().map(|r| (r.refund.id.as_str(), r)).collect();
        for theirs in unique.into_values() {
            let now = &theirs.refund;
            let whose = match self.whose_refund(theirs) {
                Whose::Foreign if theirs.order.as_deref().is_none_or(|o| OrderKey::parse(o).is_err()) => {
                    led.get(now.charge.as_str()).map_or(Whose::Foreign, |row| Whose::Row(*row))
                }
                whose => whose,
            };
            match whose {
                Whose::Foreign => found.out.foreign += 1,
                Whose::Absent(key) => unknown_refund(found, key.as_str(), None, theirs),
                Whose::Row(row) => {
                    let order = self.ledger.row(row);
                    match order.refund(&now.id) {
                        Some(known) if known.seen => {}
                        Some(known) => compare::refund(found, &order, &known, theirs),
                        None => unknown_refund(found, &order.key(), Some(&order), theirs),
                    }
                }
            }
        }
    }

    /// Orders that only their own system had when they came.
    fn strange_orders(&self, found: &mut Findings) {
        for theirs in &self.shop {
            match (self.ledger.find(theirs.key.as_str()), &theirs.read) {
                (None, Some(ShopRead::Gone)) | (Some(_), None) => {}
                (None, read) => compare::unknown_order(found, theirs, read.as_ref()),
                (Some(row), Some(read)) => compare::shop_order(found, &self.ledger.row(row), theirs, read),
            }
        }
    }
}

/// What our facts say was taken for an order, ISO minor units.
fn taken_by(order: &Known<'_>) -> i64 {
    order.charges().filter(|c| c.money).map(|c| iso(c.taken, c.currency)).sum()
}

#[cfg(test)]
mod tests;
