//! The passes: exact on our marks, then on the ids we stored. What neither finds is foreign.

use std::collections::{BTreeMap, BTreeSet};

use super::{Exception, Kind, OurOrder, Scope, ShopOrder, ShopRead, TheirCharge, TheirRefund};
use crate::domain::fact::ChargeView;
use crate::domain::ids::OrderKey;
use crate::domain::money::{Currency, Money};
use crate::domain::time::UnixTime;

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

/// Lays the records side by side.
pub fn match_orders(
    scope: &Scope,
    ours: Vec<OurOrder>,
    charges: &[TheirCharge],
    refunds: &[TheirRefund],
    shop: &[ShopOrder],
) -> Matched {
    let ours: BTreeMap<OrderKey, OurOrder> = ours.into_iter().map(|o| (o.key.clone(), o)).collect();
    let mut book = Book { scope, ids: Ids::of(&ours, charges), out: Matched::default() };
    book.charges(&ours, charges);
    book.refunds(&ours, refunds);
    book.missing_there(&ours, charges, refunds);
    book.sums(&ours);
    book.shop(&ours, shop);
    book.out.exceptions.sort();
    book.out.exceptions.dedup();
    book.out
}

/// An amount of Stripe's in ISO minor units; one that cannot be expressed stays as it is and will not agree.
fn iso(amount: i64, currency: Currency) -> i64 {
    Money::from_stripe(amount, currency).map_or(amount, |money| money.minor)
}

fn is_money(charge: &ChargeView) -> bool {
    charge.status == "succeeded" && charge.captured && charge.amount_captured > 0
}

/// Which order a Stripe id belongs to.
struct Ids<'a>(BTreeMap<&'a str, &'a OrderKey>);

impl<'a> Ids<'a> {
    fn of(ours: &'a BTreeMap<OrderKey, OurOrder>, charges: &'a [TheirCharge]) -> Self {
        let mut ids = BTreeMap::new();
        for (key, order) in ours {
            let known = order.charges.iter().map(|c| &c.id).chain(order.refunds.iter().map(|r| &r.id));
            for id in known.chain(&order.intents).filter(|id| !id.is_empty()) {
                ids.insert(id.as_str(), key);
            }
        }
        // A charge that only its mark tells leads its refunds home as well.
        for charge in charges {
            let named = charge.order.as_deref().and_then(|o| OrderKey::parse(o).ok());
            if let Some((key, _)) = named.and_then(|key| ours.get_key_value(&key)) {
                ids.entry(charge.charge.id.as_str()).or_insert(key);
            }
        }
        Self(ids)
    }

    fn get(&self, id: &str) -> Option<&'a OrderKey> {
        self.0.get(id).copied()
    }
}

/// Whose an object is.
enum Whose {
    /// This order's; known here or not.
    Order(OrderKey),
    /// Not ours.
    Foreign,
}

struct Book<'a> {
    scope: &'a Scope,
    ids: Ids<'a>,
    out: Matched,
}

impl Book<'_> {
    /// Pass 1: our mark. Pass 2: ids we stored.
    fn whose(&self, mark: Option<&str>, ids: &[Option<&str>]) -> Whose {
        if let Some(key) = mark.and_then(|text| OrderKey::parse(text).ok()) {
            return if key.stack() == self.scope.stack { Whose::Order(key) } else { Whose::Foreign };
        }
        ids.iter()
            .flatten()
            .find_map(|id| self.ids.get(id))
            .map_or(Whose::Foreign, |k| Whose::Order(k.clone()))
    }

    fn fresh(&self, at: UnixTime) -> bool {
        at + self.scope.grace > self.scope.now
    }

    fn report(
        &mut self,
        kind: Kind,
        order: &str,
        since: UnixTime,
        text: String,
        more: impl FnOnce(&mut Exception),
    ) {
        let mut exception = Exception {
            kind,
            order: order.to_owned(),
            charge: String::new(),
            intent: String::new(),
            refund: String::new(),
            currency: String::new(),
            ours: None,
            theirs: None,
            at_risk: 0,
            since,
            age: self.scope.now - since,
            text,
            action: kind.action(),
        };
        more(&mut exception);
        exception.at_risk = exception.at_risk.max(0);
        self.out.exceptions.push(exception);
    }

    fn charges(&mut self, ours: &BTreeMap<OrderKey, OurOrder>, charges: &[TheirCharge]) {
        let mut taken: BTreeMap<&OrderKey, i64> = BTreeMap::new();
        for (key, order) in ours {
            let known = order.charges.iter().filter(|c| is_money(c));
            taken.insert(key, known.map(|c| iso(c.amount_captured, c.currency)).sum());
        }
        let mut sorted: Vec<&TheirCharge> = charges.iter().collect();
        sorted.sort_by(|a, b| (a.charge.created, &a.charge.id).cmp(&(b.charge.created, &b.charge.id)));
        sorted.dedup_by(|a, b| a.charge.id == b.charge.id);
        for theirs in sorted {
            let charge = &theirs.charge;
            let Whose::Order(key) =
                self.whose(theirs.order.as_deref(), &[Some(&charge.id), Some(&charge.intent)])
            else {
                self.out.foreign += u32::from(is_money(charge));
                continue;
            };
            let order = ours.get_key_value(&key);
            let known = order.and_then(|(_, o)| o.charges.iter().find(|c| c.id == charge.id));
            match (order, known) {
                (Some((_, order)), Some(known)) => self.charge(order, known, theirs),
                _ if !is_money(charge) || self.fresh(charge.created) => {}
                (Some((key, order)), None) => {
                    let before = taken.get(key).copied().unwrap_or(0);
                    let amount = iso(charge.amount_captured, charge.currency);
                    let kind = if before > 0 && before + amount > order.total {
                        Kind::DuplicateCharge
                    } else {
                        Kind::MissingHere
                    };
                    taken.entry(key).and_modify(|sum| *sum += amount);
                    self.unknown_charge(kind, key, charge);
                }
                (None, _) => self.unknown_charge(Kind::MissingHere, &key, charge),
            }
        }
    }

    fn unknown_charge(&mut self, kind: Kind, key: &OrderKey, charge: &ChargeView) {
        let amount = iso(charge.amount_captured, charge.currency);
        let money = Money::new(amount, charge.currency);
        let text = match kind {
            Kind::DuplicateCharge => format!("{} took {money} for an order that was paid already", charge.id),
            _ => format!("Stripe took {money} for this order; our facts do not know {}", charge.id),
        };
        self.report(kind, key.as_str(), charge.created, text, |e| {
            e.charge.clone_from(&charge.id);
            e.intent.clone_from(&charge.intent);
            e.currency = charge.currency.to_string();
            e.theirs = Some(amount);
            e.at_risk = amount;
        });
    }

    /// A charge that both sides know.
    fn charge(&mut self, order: &OurOrder, known: &ChargeView, theirs: &TheirCharge) {
        let (now, key) = (&theirs.charge, order.key.as_str());
        let before = self.out.exceptions.len();
        let fill = |e: &mut Exception| {
            e.charge.clone_from(&now.id);
            e.intent.clone_from(&now.intent);
            e.currency = now.currency.to_string();
        };
        let (here, there) =
            (iso(known.amount_captured, known.currency), iso(now.amount_captured, now.currency));
        if now.currency != known.currency
            || order.currency.is_some_and(|c| is_money(now) && c != now.currency)
        {
            let expected = order.currency.unwrap_or(known.currency);
            let text = format!("{} is in {}, the order in {expected}", now.id, now.currency);
            self.report(Kind::Currency, key, now.created, text, |e| {
                fill(e);
                e.at_risk = there;
            });
        } else if is_money(known) != is_money(now) && !self.fresh(order.view_at) {
            let word = |c: &ChargeView| if is_money(c) { "took money" } else { "took no money" };
            let text = format!("{}: our facts say it {}, Stripe says it {}", now.id, word(known), word(now));
            self.report(Kind::Status, key, now.created, text, |e| {
                fill(e);
                (e.ours, e.theirs) = (Some(here), Some(there));
                e.at_risk = (here - there).abs();
            });
        } else if is_money(known) && is_money(now) && here != there && !self.fresh(order.view_at) {
            let text = format!("{}: our facts say {here}, Stripe took {there}", now.id);
            self.report(Kind::Amount, key, now.created, text, |e| {
                fill(e);
                (e.ours, e.theirs) = (Some(here), Some(there));
                e.at_risk = (here - there).abs();
            });
        }
        if let (Some(expected), Some(found)) = (&order.customer, &theirs.customer)
            && expected != found
            && is_money(now)
        {
            let text = format!("{} was paid by {found}, the order's customer is {expected}", now.id);
            self.report(Kind::Customer, key, now.created, text, fill);
        }
        self.out.agreed += u32::from(self.out.exceptions.len() == before);
    }

    fn refunds(&mut self, ours: &BTreeMap<OrderKey, OurOrder>, refunds: &[TheirRefund]) {
        let unique: BTreeMap<&str, &TheirRefund> =
            refunds.iter().map(|r| (r.refund.id.as_str(), r)).collect();
        for theirs in unique.into_values() {
            let now = &theirs.refund;
            let ids = [Some(now.id.as_str()), Some(&now.charge), theirs.intent.as_deref()];
            let Whose::Order(key) = self.whose(theirs.order.as_deref(), &ids) else {
                self.out.foreign += 1;
                continue;
            };
            let order = ours.get(&key);
            let amount = iso(now.amount, now.currency);
            let known = order.and_then(|o| o.refunds.iter().find(|r| r.id == now.id));
            let Some((order, known)) = order.zip(known) else {
                let release = order.is_some_and(|o| is_release(o, theirs));
                if now.counts() && !release && !self.fresh(theirs.created) {
                    let text = format!(
                        "Stripe gave back {}; our facts do not know {}",
                        Money::new(amount, now.currency),
                        now.id
                    );
                    self.report(Kind::UnlinkedRefund, key.as_str(), theirs.created, text, |e| {
                        refund_ids(e, theirs);
                        e.theirs = Some(amount);
                        e.at_risk = amount;
                    });
                }
                continue;
            };
            self.refund(order, known, theirs);
        }
    }

    /// A refund that both sides know.
    fn refund(&mut self, order: &OurOrder, known: &crate::domain::fact::RefundView, theirs: &TheirRefund) {
        let now = &theirs.refund;
        let (here, there) = (iso(known.amount, known.currency), iso(now.amount, now.currency));
        let kind = if known.currency != now.currency {
            Kind::Currency
        } else if here != there {
            Kind::Amount
        } else if known.counts() != now.counts() && !self.fresh(order.view_at) {
            Kind::Status
        } else {
            self.out.agreed += 1;
            return;
        };
        let text = format!(
            "{}: our facts say {here} {} {}, Stripe says {there} {} {}",
            now.id, known.currency, known.status, now.currency, now.status
        );
        self.report(kind, order.key.as_str(), theirs.created, text, |e| {
            refund_ids(e, theirs);
            (e.ours, e.theirs) = (Some(here), Some(there));
            e.at_risk = if kind == Kind::Amount { (here - there).abs() } else { there };
        });
    }

    /// Money of ours that Stripe does not show, for orders whose objects were all looked for.
    fn missing_there(
        &mut self,
        ours: &BTreeMap<OrderKey, OurOrder>,
        charges: &[TheirCharge],
        refunds: &[TheirRefund],
    ) {
        let there: BTreeSet<&str> = charges
            .iter()
            .map(|c| c.charge.id.as_str())
            .chain(refunds.iter().map(|r| r.refund.id.as_str()))
            .collect();
        for order in ours.values().filter(|o| o.complete) {
            for charge in order.charges.iter().filter(|c| is_money(c) && !there.contains(c.id.as_str())) {
                let amount = iso(charge.amount_captured, charge.currency);
                let text = format!("our facts know {}, Stripe does not", charge.id);
                self.report(Kind::MissingThere, order.key.as_str(), charge.created, text, |e| {
                    e.charge.clone_from(&charge.id);
                    e.intent.clone_from(&charge.intent);
                    e.currency = charge.currency.to_string();
                    e.ours = Some(amount);
                    e.at_risk = amount;
                });
            }
            for refund in order.refunds.iter().filter(|r| r.counts() && !there.contains(r.id.as_str())) {
                let amount = iso(refund.amount, refund.currency);
                let text = format!("our facts know {}, Stripe does not", refund.id);
                self.report(Kind::MissingThere, order.key.as_str(), order.view_at, text, |e| {
                    e.refund.clone_from(&refund.id);
                    e.charge.clone_from(&refund.charge);
                    e.currency = refund.currency.to_string();
                    e.ours = Some(amount);
                    e.at_risk = amount;
                });
            }
        }
    }

    /// What our own facts say was taken beyond what is owed and not given back.
    fn sums(&mut self, ours: &BTreeMap<OrderKey, OurOrder>) {
        for order in ours.values() {
            let kept = order.captured - order.returned;
            let Some(currency) = order.currency.filter(|_| kept > order.total && !self.fresh(order.view_at))
            else {
                continue;
            };
            let mut money: Vec<&ChargeView> = order.charges.iter().filter(|c| is_money(c)).collect();
            money.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
            let kind = if money.len() > 1 { Kind::DuplicateCharge } else { Kind::Amount };
            let text = format!(
                "{} charges hold {}, the order's total is {}",
                money.len(),
                Money::new(kept, currency),
                Money::new(order.total, currency)
            );
            self.report(kind, order.key.as_str(), order.view_at, text, |e| {
                if let Some(last) = money.last() {
                    e.charge.clone_from(&last.id);
                    e.intent.clone_from(&last.intent);
                }
                e.currency = currency.to_string();
                (e.ours, e.theirs) = (Some(order.total), Some(kept));
                e.at_risk = kept - order.total;
            });
        }
    }

    fn shop(&mut self, ours: &BTreeMap<OrderKey, OurOrder>, shop: &[ShopOrder]) {
        for theirs in shop {
            let key = theirs.key.as_str();
            match (ours.get(&theirs.key), &theirs.read) {
                (None, Some(ShopRead::Gone)) | (Some(_), None) => {}
                (None, read) => {
                    if self.fresh(theirs.updated_at) {
                        continue;
                    }
                    let text = "the order system lists this order; our facts do not know it".to_owned();
                    self.report(Kind::MissingHere, key, theirs.updated_at, text, |e| {
                        if let Some(ShopRead::Order { currency, total, .. }) = read {
                            e.currency = currency.to_string();
                            e.theirs = Some(*total);
                        }
                    });
                }
                (Some(order), Some(read)) => self.shop_order(order, theirs, read),
            }
        }
    }

    /// An order that both sides know.
    fn shop_order(&mut self, order: &OurOrder, theirs: &ShopOrder, read: &ShopRead) {
        let (key, held) = (order.key.as_str(), order.captured - order.returned);
        let ShopRead::Order { currency, total, echo, .. } = read else {
            let text = "the order system does not know this order any more".to_owned();
            self.report(Kind::MissingThere, key, order.view_at, text, |e| {
                e.currency = order.currency.map(|c| c.to_string()).unwrap_or_default();
                e.ours = Some(held);
                e.at_risk = held;
            });
            return;
        };
        if !self.fresh(theirs.updated_at) {
            if order.currency.is_some_and(|c| c != *currency) {
                let text = format!("the order is now in {currency}; our facts differ");
                self.report(Kind::Currency, key, theirs.updated_at, text, |e| {
                    e.currency = currency.to_string();
                    e.at_risk = held;
                });
            } else if order.total != *total {
                let text = format!("the order's total is now {total}; our facts say {}", order.total);
                self.report(Kind::Amount, key, theirs.updated_at, text, |e| {
                    e.currency = currency.to_string();
                    (e.ours, e.theirs) = (Some(order.total), Some(*total));
                    e.at_risk = (order.total - total).abs();
                });
            }
        }
        let told = echo.as_deref().unwrap_or("nothing");
        if told != order.status && !order.status.is_empty() && !self.fresh(order.view_at) {
            let text = format!("the order system says {told}, our facts say {}", order.status);
            self.report(Kind::Status, key, order.view_at, text, |e| {
                e.currency = currency.to_string();
                e.ours = Some(held);
                e.at_risk = held;
            });
        }
    }
}

fn refund_ids(exception: &mut Exception, theirs: &TheirRefund) {
    exception.refund.clone_from(&theirs.refund.id);
    exception.charge.clone_from(&theirs.refund.charge);
    exception.intent = theirs.intent.clone().unwrap_or_default();
    exception.currency = theirs.refund.currency.to_string();
}

/// What Stripe lists as a refund when the part of an authorisation that was not captured is let go.
fn is_release(order: &OurOrder, theirs: &TheirRefund) -> bool {
    let charge = order.charges.iter().find(|c| c.id == theirs.refund.charge);
    charge.is_some_and(|c| {
        !c.captured || (c.amount > c.amount_captured && theirs.refund.amount == c.amount - c.amount_captured)
    }) && theirs.refund.request.is_none()
}

#[cfg(test)]
mod tests;
