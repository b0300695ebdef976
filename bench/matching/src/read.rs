//! Feeds the files to the matching as the reconciler feeds what it lists: our orders, Stripe's charges and refunds, the
//! shop's orders, each row once and gone.

use std::path::Path;

use pure::domain::fact::{ChargeView, RefundView};
use pure::domain::ids::OrderKey;
use pure::domain::money::Currency;
use pure::domain::order::OrderStatus;
use pure::domain::reconcile::{Matching, OurOrder, ShopOrder, ShopRead, TheirCharge, TheirRefund};
use pure::domain::time::UnixTime;

use crate::Failed;
use crate::table::{Fields, Table};

pub(crate) fn all(folder: &Path, matching: &mut Matching) -> Result<(), Failed> {
    ours(folder, matching)?;
    let mut theirs = TheirCharge { charge: no_charge()?, order: None, customer: None };
    let mut table = Table::open(folder, "charges")?;
    while let Some(mut row) = table.row()? {
        row.set_some(&mut theirs.order)?;
        row.set_some(&mut theirs.customer)?;
        charge(&mut row, &mut theirs.charge)?;
        matching.charge(&theirs);
    }
    let created = UnixTime(0);
    let mut theirs = TheirRefund { refund: no_refund()?, order: None, intent: None, created };
    let mut table = Table::open(folder, "refunds")?;
    while let Some(mut row) = table.row()? {
        row.set_some(&mut theirs.order)?;
        row.set_some(&mut theirs.intent)?;
        theirs.created = row.time()?;
        refund(&mut row, &mut theirs.refund)?;
        matching.refund(&theirs);
    }
    let mut table = Table::open(folder, "shop")?;
    let mut currency = Currency::parse("EUR")?;
    while let Some(mut row) = table.row()? {
        matching.shop(&shop(&mut row, &mut currency)?);
    }
    Ok(())
}

/// Our orders with their charges and refunds, which stand in files of their own in the same order.
fn ours(folder: &Path, matching: &mut Matching) -> Result<(), Failed> {
    let mut orders = Table::open(folder, "orders")?;
    let mut charges = Beside::open(folder, "our_charges", charge, no_charge)?;
    let mut refunds = Beside::open(folder, "our_refunds", refund, no_refund)?;
    let mut currency = Currency::parse("EUR")?;
    while let Some(mut row) = orders.row()? {
        let mut order = order(&mut row, &mut currency)?;
        charges.take(order.key.as_str(), &mut order.charges)?;
        refunds.take(order.key.as_str(), &mut order.refunds)?;
        order.intents.extend(order.charges.iter().map(|c| c.intent.clone()));
        matching.order(&order);
        charges.spare.append(&mut order.charges);
        refunds.spare.append(&mut order.refunds);
    }
    if charges.ended && refunds.ended {
        return Ok(());
    }
    Err("a charge or refund of ours belongs to no order; generate the data anew".into())
}

/// A file that is read beside another: its next row waits for its order. Values are used again.
struct Beside<T> {
    table: Table,
    key: String,
    next: T,
    ended: bool,
    spare: Vec<T>,
    read: fn(&mut Fields<'_>, &mut T) -> Result<(), Failed>,
    empty: fn() -> Result<T, Failed>,
}

impl<T> Beside<T> {
    fn open(
        folder: &Path,
        name: &str,
        read: fn(&mut Fields<'_>, &mut T) -> Result<(), Failed>,
        empty: fn() -> Result<T, Failed>,
    ) -> Result<Self, Failed> {
        let (table, next) = (Table::open(folder, name)?, empty()?);
        let mut file = Self { table, key: String::new(), next, ended: false, spare: Vec::new(), read, empty };
        file.advance()?;
        Ok(file)
    }

    fn advance(&mut self) -> Result<(), Failed> {
        let Some(mut row) = self.table.row()? else {
            self.ended = true;
            return Ok(());
        };
        row.set_text(&mut self.key)?;
        (self.read)(&mut row, &mut self.next)
    }

    /// The rows of this order.
    fn take(&mut self, order: &str, into: &mut Vec<T>) -> Result<(), Failed> {
        while !self.ended && self.key == order {
            let fresh = self.spare.pop().map_or_else(self.empty, Ok)?;
            into.push(std::mem::replace(&mut self.next, fresh));
            self.advance()?;
        }
        Ok(())
    }
}

fn order(row: &mut Fields<'_>, currency: &mut Currency) -> Result<OurOrder, Failed> {
    let (key, complete) = (OrderKey::parse(row.text()?)?, row.flag()?);
    *currency = row.currency(*currency)?;
    Ok(OurOrder {
        key,
        complete,
        currency: Some(*currency),
        total: row.number()?,
        status: row.text()?.to_owned(),
        view_at: row.time()?,
        captured: row.number()?,
        returned: row.number()?,
        customer: row.some()?,
        charges: Vec::new(),
        refunds: Vec::new(),
        intents: Vec::new(),
    })
}

fn no_charge() -> Result<ChargeView, Failed> {
    Ok(ChargeView {
        id: String::new(),
        intent: String::new(),
        status: String::new(),
        amount: 0,
        amount_captured: 0,
        amount_refunded: 0,
        currency: Currency::parse("EUR")?,
        captured: false,
        disputed: false,
        capture_before: None,
        fingerprint: None,
        decline: None,
        created: UnixTime(0),
    })
}

fn charge(row: &mut Fields<'_>, charge: &mut ChargeView) -> Result<(), Failed> {
    row.set_text(&mut charge.id)?;
    row.set_text(&mut charge.intent)?;
    row.set_text(&mut charge.status)?;
    (charge.amount, charge.amount_captured) = (row.number()?, row.number()?);
    (charge.currency, charge.captured) = (row.currency(charge.currency)?, row.flag()?);
    charge.created = row.time()?;
    Ok(())
}

fn no_refund() -> Result<RefundView, Failed> {
    Ok(RefundView {
        id: String::new(),
        charge: String::new(),
        amount: 0,
        currency: Currency::parse("EUR")?,
        status: String::new(),
        request: None,
        reason: None,
        failure_reason: None,
    })
}

fn refund(row: &mut Fields<'_>, refund: &mut RefundView) -> Result<(), Failed> {
    row.set_text(&mut refund.id)?;
    row.set_text(&mut refund.charge)?;
    (refund.amount, refund.currency) = (row.number()?, row.currency(refund.currency)?);
    row.set_text(&mut refund.status)?;
    row.set_some(&mut refund.request)
}

fn shop(row: &mut Fields<'_>, before: &mut Currency) -> Result<ShopOrder, Failed> {
    let (key, updated_at) = (OrderKey::parse(row.text()?)?, row.time()?);
    let read = if row.flag()? {
        ShopRead::Gone
    } else {
        *before = row.currency(*before)?;
        let (currency, total, echo) = (*before, row.number()?, row.some()?);
        ShopRead::Order { status: OrderStatus::Open, currency, total, echo }
    };
    Ok(ShopOrder { key, updated_at, read: Some(read) })
}
