//! The files, each in the order in which its side lists: our orders by index partition, Stripe newest first, the shop by
//! time.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use pure::domain::fact::{ChargeView, RefundView};
use pure::domain::reconcile::ShopRead;

use crate::Failed;
use crate::story::tell;

/// Partitions of the day index.
const PARTITIONS: u64 = 8;

const CHARGE: &str = "charge,intent,status,amount,amount_captured,currency,captured,created";
const REFUND: &str = "refund,charge,amount,currency,status,request";

fn create(folder: &Path, name: &str, head: &str) -> Result<BufWriter<File>, Failed> {
    let mut file = BufWriter::new(File::create(folder.join(name).with_extension("csv"))?);
    writeln!(file, "{head}")?;
    Ok(file)
}

fn charge(out: &mut impl Write, c: &ChargeView) -> std::io::Result<()> {
    let ChargeView { id, intent, status, amount, amount_captured, currency, captured, created, .. } = c;
    writeln!(out, "{id},{intent},{status},{amount},{amount_captured},{currency},{captured},{}", created.0)
}

fn refund(out: &mut impl Write, r: &RefundView) -> std::io::Result<()> {
    let RefundView { id, charge, amount, currency, status, request, .. } = r;
    writeln!(out, "{id},{charge},{amount},{currency},{status},{}", request.as_deref().unwrap_or_default())
}

pub(crate) fn all(folder: &Path, orders: u64) -> Result<(), Failed> {
    fs::create_dir_all(folder)?;
    let head = "order,complete,currency,total,status,view_at,captured,returned,customer";
    let mut ours = create(folder, "orders", head)?;
    let mut our_charges = create(folder, "our_charges", &format!("order,{CHARGE}"))?;
    let mut our_refunds = create(folder, "our_refunds", &format!("order,{REFUND}"))?;
    for n in (0..PARTITIONS).flat_map(|part| (part..orders).step_by(8)) {
        let Some(o) = tell(n)?.ours else { continue };
        let currency = o.currency.map(|c| c.to_string()).unwrap_or_default();
        let customer = o.customer.as_deref().unwrap_or_default();
        write!(ours, "{},{},{currency},{},{},", o.key, o.complete, o.total, o.status)?;
        writeln!(ours, "{},{},{},{customer}", o.view_at.0, o.captured, o.returned)?;
        for c in &o.charges {
            write!(our_charges, "{},", o.key)?;
            charge(&mut our_charges, c)?;
        }
        for r in &o.refunds {
            write!(our_refunds, "{},", o.key)?;
            refund(&mut our_refunds, r)?;
        }
    }
    let mut charges = create(folder, "charges", &format!("mark,customer,{CHARGE}"))?;
    let mut refunds = create(folder, "refunds", &format!("mark,intent,created,{REFUND}"))?;
    for n in (0..orders).rev() {
        let story = tell(n)?;
        for c in &story.charges {
            let (mark, customer) = (c.order.as_deref(), c.customer.as_deref());
            write!(charges, "{},{},", mark.unwrap_or_default(), customer.unwrap_or_default())?;
            charge(&mut charges, &c.charge)?;
        }
        for r in &story.refunds {
            let (mark, intent) = (r.order.as_deref(), r.intent.as_deref());
            write!(refunds, "{},{},{},", mark.unwrap_or_default(), intent.unwrap_or_default(), r.created.0)?;
            refund(&mut refunds, &r.refund)?;
        }
    }
    let mut shop = create(folder, "shop", "order,updated_at,gone,currency,total,echo")?;
    for n in 0..orders {
        let Some(s) = tell(n)?.shop else { continue };
        match &s.read {
            Some(ShopRead::Order { currency, total, echo, .. }) => {
                let echo = echo.as_deref().unwrap_or_default();
                writeln!(shop, "{},{},false,{currency},{total},{echo}", s.key, s.updated_at.0)?;
            }
            _ => writeln!(shop, "{},{},true,,,", s.key, s.updated_at.0)?,
        }
    }
    for mut file in [ours, our_charges, our_refunds, charges, refunds, shop] {
        file.flush()?;
    }
    Ok(())
}
