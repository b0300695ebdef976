//! An order's refunds: a row for each refund at Stripe that lowers what the order system holds as paid.
//!
//! Invariant: no row ever asks the order's gateway for money (`api_refund` is always false), and no refund has two rows
//! when this is done.

use http::Method;
use serde_json::json;

use super::marks;
use super::read::{Books, Row, Seen};
use super::{WooClient, answer, order_path};
use crate::domain::money::Money;
use crate::domain::order::Order;
use crate::domain::view::{PaymentView, RefundLine};
use crate::outbound::shop::ShopError;

/// What must become of the rows.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Work {
    /// Rows to take away: doubles, and refunds that failed.
    pub(super) remove: Vec<u64>,
    /// Refunds to record, by their place in the view.
    pub(super) add: Vec<usize>,
    /// Refunds of what the order system never held: told in a note.
    pub(super) aside: Vec<usize>,
    /// Refunds that failed: told in a note, whether they were recorded or not.
    pub(super) failed: Vec<usize>,
}

/// What the rows lack to say what the view says.
pub(super) fn work(order: &Order, books: &Books, view: &PaymentView) -> Work {
    let mut work = Work::default();
    let of = |id: &str| -> Vec<&Row> {
        let id = id.to_owned();
        books.rows.iter().filter(move |row| row.refund.as_deref() == Some(&id)).collect()
    };
    // What was taken beyond the total never entered these books; the refunds that give it back must not leave them.
    let beyond = (view.amount_captured - (order.total - books.elsewhere).max(0)).max(0);
    let counting = view.refunds.iter().filter(|r| r.stands()).map(|r| r.amount).sum::<i64>();
    let mut room = counting - beyond;
    for (i, line) in view.refunds.iter().enumerate() {
        let rows = of(&line.id);
        let keep = usize::from(line.stands());
        work.remove.extend(rows.iter().skip(keep).map(|row| row.id));
        if keep == 0 {
            work.failed.push(i);
        }
        if keep == 1 && !rows.is_empty() {
            room -= line.amount;
        }
    }
    let mut by_hand: Vec<i64> = books.rows.iter().filter(|r| r.refund.is_none()).map(|r| r.amount).collect();
    for (i, line) in view.refunds.iter().enumerate().filter(|(_, line)| line.stands()) {
        if of(&line.id).is_empty() {
            if line.takes_record(&mut by_hand) {
                room -= line.amount;
                continue;
            }
            if line.amount <= room {
                room -= line.amount;
                work.add.push(i);
            } else {
                work.aside.push(i);
            }
        }
    }
    work
}

impl WooClient {
    /// Takes away and adds what must be; whether anything changed.
    pub(super) async fn book_refunds(
        &self,
        seen: &Seen,
        view: &PaymentView,
        work: &Work,
    ) -> Result<bool, ShopError> {
        let order = &seen.order;
        for row in &work.remove {
            let path = format!("{}/refunds/{row}?force=true", order_path(&order.id)?);
            match self.call(Method::DELETE, &path, None, &order.id).await {
                // Somebody else was quicker.
                Ok(_) | Err(ShopError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        for line in work.add.iter().filter_map(|i| view.refunds.get(*i)) {
            self.book(order, line).await?;
        }
        Ok(!work.remove.is_empty() || !work.add.is_empty())
    }

    async fn book(&self, order: &Order, line: &RefundLine) -> Result<(), ShopError> {
        let asked = line.request.as_ref().and_then(|id| order.refund_requests.iter().find(|r| r.id == *id));
        let reason = asked.map(|r| r.reason.trim()).filter(|r| !r.is_empty()).unwrap_or("Refunded by Stripe");
        let mut meta = vec![json!({"key": marks::REFUND, "value": line.id})];
        meta.extend(line.request.iter().map(|id| json!({"key": marks::REQUEST, "value": id})));
        let body = json!({
            "amount": Money::new(line.amount, order.currency).decimal(),
            // The id here too: a row may be kept while its metadata is not.
            "reason": format!("{reason} ({})", line.id),
            "api_refund": false,
            "api_restock": false,
            "meta_data": meta,
        });
        let path = format!("{}/refunds", order_path(&order.id)?);
        match self.call(Method::POST, &path, Some(&body), &order.id).await {
            Ok(_) => Ok(()),
            // A call of ours that came late may have taken the room: then the row is there.
            Err(ShopError::Rejected(why)) if why.starts_with(answer::NO_REFUND) => {
                let now = self.seen(&order.id).await?;
                let left = now.order.total - now.books.rows.iter().map(|row| row.amount).sum::<i64>();
                match now.books.rows.iter().any(|row| row.refund.as_deref() == Some(&line.id)) {
                    true => Ok(()),
                    // By what is shown it fits: what is shown lags behind. A person is asked if it stays so for a day.
                    false if line.amount <= left => Err(ShopError::Wait {
                        after: 300,
                        why: "WooCommerce refuses a refund that fits by what it shows",
                    }),
                    false => Err(ShopError::Rejected(format!("refund {}: {why}", line.id))),
                }
            }
            Err(error) => Err(error),
        }
    }
}
