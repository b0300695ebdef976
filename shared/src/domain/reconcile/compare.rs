//! Two sides of one object, and what is said when they differ. No tolerance on amounts.

use std::collections::BTreeSet;

use super::row::{Known, KnownCharge, KnownRefund, text};
use super::{Exception, Kind, Matched, Scope, ShopOrder, ShopRead, TheirCharge, TheirRefund, is_money, iso};
use crate::domain::fact::ChargeView;
use crate::domain::money::Money;
use crate::domain::time::UnixTime;

/// What was found so far.
#[derive(Clone, Debug)]
pub(super) struct Findings {
    pub(super) scope: Scope,
    pub(super) out: Matched,
}

impl Findings {
    pub(super) fn fresh(&self, at: UnixTime) -> bool {
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
}

/// A charge that our facts do not know, of an order that is ours.
pub(super) fn unknown_charge(found: &mut Findings, kind: Kind, key: &str, charge: &ChargeView) {
    let amount = iso(charge.amount_captured, charge.currency);
    let money = Money::new(amount, charge.currency);
    let text = match kind {
        Kind::DuplicateCharge => format!("{} took {money} for an order that was paid already", charge.id),
        _ => format!("Stripe took {money} for this order; our facts do not know {}", charge.id),
    };
    found.report(kind, key, charge.created, text, |e| {
        e.charge.clone_from(&charge.id);
        e.intent.clone_from(&charge.intent);
        e.currency = charge.currency.to_string();
        e.theirs = Some(amount);
        e.at_risk = amount;
    });
}

/// A charge that both sides know.
pub(super) fn charge(found: &mut Findings, order: &Known<'_>, known: &KnownCharge<'_>, theirs: &TheirCharge) {
    let now = &theirs.charge;
    let money = is_money(now);
    let before = found.out.exceptions.len();
    let fill = |e: &mut Exception| {
        e.charge.clone_from(&now.id);
        e.intent.clone_from(&now.intent);
        e.currency = now.currency.to_string();
    };
    // Equal at Stripe is equal in ISO's units: most are, and need no conversion.
    let amounts = || (iso(known.taken, known.currency), iso(now.amount_captured, now.currency));
    if now.currency != known.currency || order.currency.is_some_and(|c| money && c != now.currency) {
        let expected = order.currency.unwrap_or(known.currency);
        let text = format!("{} is in {}, the order in {expected}", now.id, now.currency);
        found.report(Kind::Currency, &order.key(), now.created, text, |e| {
            fill(e);
            e.at_risk = amounts().1;
        });
    } else if known.money != money && !found.fresh(order.view_at) {
        let word = |money: bool| if money { "took money" } else { "took no money" };
        let (id, here, there) = (&now.id, word(known.money), word(money));
        let text = format!("{id}: our facts say it {here}, Stripe says it {there}");
        found.report(Kind::Status, &order.key(), now.created, text, |e| {
            fill(e);
            let (here, there) = amounts();
            (e.ours, e.theirs, e.at_risk) = (Some(here), Some(there), (here - there).abs());
        });
    } else if known.money && money && known.taken != now.amount_captured && !found.fresh(order.view_at) {
        let (here, there) = amounts();
        let text = format!("{}: our facts say {here}, Stripe took {there}", now.id);
        found.report(Kind::Amount, &order.key(), now.created, text, |e| {
            fill(e);
            (e.ours, e.theirs, e.at_risk) = (Some(here), Some(there), (here - there).abs());
        });
    }
    if let (Some(expected), Some(customer)) = (order.customer, theirs.customer.as_deref())
        && expected != customer.as_bytes()
        && money
    {
        let expected = text(expected);
        let text = format!("{} was paid by {customer}, the order's customer is {expected}", now.id);
        found.report(Kind::Customer, &order.key(), now.created, text, fill);
    }
    found.out.agreed += u32::from(found.out.exceptions.len() == before);
}

/// A refund that our facts do not know, of an order that is ours, which may be known or not.
pub(super) fn unknown_refund(
    found: &mut Findings,
    key: &str,
    order: Option<&Known<'_>>,
    theirs: &TheirRefund,
) {
    let now = &theirs.refund;
    let release = order.is_some_and(|o| is_release(o, theirs));
    if !now.counts() || release || found.fresh(theirs.created) {
        return;
    }
    let amount = iso(now.amount, now.currency);
    let money = Money::new(amount, now.currency);
    let text = format!("Stripe gave back {money}; our facts do not know {}", now.id);
    found.report(Kind::UnlinkedRefund, key, theirs.created, text, |e| {
        refund_ids(e, theirs);
        e.theirs = Some(amount);
        e.at_risk = amount;
    });
}

/// A refund that both sides know.
pub(super) fn refund(found: &mut Findings, order: &Known<'_>, known: &KnownRefund<'_>, theirs: &TheirRefund) {
    let now = &theirs.refund;
    let (here, there) = (iso(known.amount, known.currency), iso(now.amount, now.currency));
    let kind = if known.currency != now.currency {
        Kind::Currency
    } else if here != there {
        Kind::Amount
    } else if known.counts != now.counts() && !found.fresh(order.view_at) {
        Kind::Status
    } else {
        found.out.agreed += 1;
        return;
    };
    let text = format!(
        "{}: our facts say {here} {} {}, Stripe says {there} {} {}",
        now.id, known.currency, known.status, now.currency, now.status
    );
    found.report(kind, &order.key(), theirs.created, text, |e| {
        refund_ids(e, theirs);
        (e.ours, e.theirs) = (Some(here), Some(there));
        e.at_risk = if kind == Kind::Amount { (here - there).abs() } else { there };
    });
}

/// Money of ours that Stripe does not show, if all of the order's objects were looked for. `there`: ids that it showed
/// without our knowing them.
pub(super) fn missing_there(found: &mut Findings, order: &Known<'_>, there: &BTreeSet<&[u8]>) {
    if !order.complete {
        return;
    }
    for charge in order.charges().filter(|c| c.money && !c.seen && !there.contains(c.id)) {
        let amount = iso(charge.taken, charge.currency);
        let said = format!("our facts know {}, Stripe does not", text(charge.id));
        found.report(Kind::MissingThere, &order.key(), charge.created, said, |e| {
            (e.charge, e.intent) = (text(charge.id).to_owned(), text(charge.intent).to_owned());
            e.currency = charge.currency.to_string();
            e.ours = Some(amount);
            e.at_risk = amount;
        });
    }
    for refund in order.refunds().filter(|r| r.counts && !r.seen && !there.contains(r.id)) {
        let amount = iso(refund.amount, refund.currency);
        let said = format!("our facts know {}, Stripe does not", text(refund.id));
        found.report(Kind::MissingThere, &order.key(), order.view_at, said, |e| {
            (e.refund, e.charge) = (text(refund.id).to_owned(), text(refund.charge).to_owned());
            e.currency = refund.currency.to_string();
            e.ours = Some(amount);
            e.at_risk = amount;
        });
    }
}

/// What our own facts say was taken beyond what is owed and not given back.
pub(super) fn sums(found: &mut Findings, order: &Known<'_>) {
    let kept = order.captured - order.returned;
    let Some(currency) = order.currency.filter(|_| kept > order.total && !found.fresh(order.view_at)) else {
        return;
    };
    let mut money: Vec<KnownCharge<'_>> = order.charges().filter(|c| c.money).collect();
    money.sort_unstable_by(|a, b| (a.created, a.id).cmp(&(b.created, b.id)));
    let kind = if money.len() > 1 { Kind::DuplicateCharge } else { Kind::Amount };
    let said = format!(
        "{} charges hold {}, the order's total is {}",
        money.len(),
        Money::new(kept, currency),
        Money::new(order.total, currency)
    );
    found.report(kind, &order.key(), order.view_at, said, |e| {
        if let Some(last) = money.last() {
            (e.charge, e.intent) = (text(last.id).to_owned(), text(last.intent).to_owned());
        }
        e.currency = currency.to_string();
        (e.ours, e.theirs) = (Some(order.total), Some(kept));
        e.at_risk = kept - order.total;
    });
}

/// An order that only its own system has.
pub(super) fn unknown_order(found: &mut Findings, theirs: &ShopOrder, read: Option<&ShopRead>) {
    if found.fresh(theirs.updated_at) {
        return;
    }
    let text = "the order system lists this order; our facts do not know it".to_owned();
    found.report(Kind::MissingHere, theirs.key.as_str(), theirs.updated_at, text, |e| {
        if let Some(ShopRead::Order { currency, total, .. }) = read {
            e.currency = currency.to_string();
            e.theirs = Some(*total);
        }
    });
}

/// An order that both sides know.
pub(super) fn shop_order(found: &mut Findings, order: &Known<'_>, theirs: &ShopOrder, read: &ShopRead) {
    let held = order.captured - order.returned;
    let ShopRead::Order { currency, total, echo, .. } = read else {
        let text = "the order system does not know this order any more".to_owned();
        found.report(Kind::MissingThere, &order.key(), order.view_at, text, |e| {
            e.currency = order.currency.map(|c| c.to_string()).unwrap_or_default();
            e.ours = Some(held);
            e.at_risk = held;
        });
        return;
    };
    if !found.fresh(theirs.updated_at) {
        if order.currency.is_some_and(|c| c != *currency) {
            let text = format!("the order is now in {currency}; our facts differ");
            found.report(Kind::Currency, &order.key(), theirs.updated_at, text, |e| {
                e.currency = currency.to_string();
                e.at_risk = held;
            });
        } else if order.total != *total {
            let text = format!("the order's total is now {total}; our facts say {}", order.total);
            found.report(Kind::Amount, &order.key(), theirs.updated_at, text, |e| {
                e.currency = currency.to_string();
                (e.ours, e.theirs) = (Some(order.total), Some(*total));
                e.at_risk = (order.total - total).abs();
            });
        }
    }
    let told = echo.as_deref().unwrap_or("nothing");
    if told != order.status && !order.status.is_empty() && !found.fresh(order.view_at) {
        let text = format!("the order system says {told}, our facts say {}", order.status);
        found.report(Kind::Status, &order.key(), order.view_at, text, |e| {
            e.currency = currency.to_string();
            e.ours = Some(held);
            e.at_risk = held;
        });
    }
}

fn refund_ids(exception: &mut Exception, theirs: &TheirRefund) {
    exception.refund.clone_from(&theirs.refund.id);
    exception.charge.clone_from(&theirs.refund.charge);
    exception.intent = theirs.intent.clone().unwrap_or_default();
    exception.currency = theirs.refund.currency.to_string();
}

/// What Stripe lists as a refund when the part of an authorisation that was not captured is let go.
fn is_release(order: &Known<'_>, theirs: &TheirRefund) -> bool {
    order
        .charge(&theirs.refund.charge)
        .is_some_and(|c| !c.captured || (c.amount > c.taken && theirs.refund.amount == c.amount - c.taken))
        && theirs.refund.request.is_none()
}
