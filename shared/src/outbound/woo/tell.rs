//! Telling an order our view: the money, the refunds, the status, the link, the notes, and last the view itself.
//!
//! Invariant: each step is made only where what was read says that it is missing, so that it may be cut off and begun
//! again anywhere. `set_paid` is never sent where it would only overwrite another payment's id.

use http::Method;
use serde_json::{Map, Value, json};

use super::marks;
use super::read::{Books, Seen};
use super::refunds::{self, Work};
use super::{WooClient, order_path};
use crate::config::woo::{Meanwhile, PaymentLink};
use crate::domain::money::Money;
use crate::domain::order::{Collection, Order};
use crate::domain::view::{PaymentStatus, PaymentView, WriteBack};
use crate::outbound::shop::{ShopError, Telling, Told};

/// Something that staff should read in the order, once.
struct Note {
    key: String,
    text: String,
}

impl WooClient {
    pub(super) async fn tell_order(&self, telling: &Telling<'_>) -> Result<Told, ShopError> {
        let Telling { id, version, view, .. } = *telling;
        let mut seen = self.seen(id).await?;
        if seen.books.told.as_ref().is_some_and(|told| told.version >= version) {
            return Ok(told(seen));
        }
        if view.currency != seen.order.currency {
            return Err(ShopError::Rejected(format!(
                "the order is in {}, its payment in {}; correct the order's currency",
                seen.order.currency, view.currency
            )));
        }
        // Judged before our own view is among what it was told.
        let elsewhere = seen.books.elsewhere;
        let mut notes = Vec::new();
        if let Some(change) = set_paid(&seen, view, &mut notes) {
            let waited = change.get("set_paid").is_some();
            seen = self.put(id, &change).await?;
            if waited && !seen.books.paid {
                // The status moved between the reading and the writing: what is right now is another thing.
                return Err(ShopError::Wait {
                    after: 5,
                    why: "the order's status moved while it was set paid",
                });
            }
        }
        let work = refunds::work(&seen.order, &seen.books, view);
        if self.book_refunds(&seen, view, &work).await? {
            seen = self.seen(id).await?;
        }
        if let Some(change) = self.status_change(&seen.books, view) {
            seen = self.put(id, &change).await?;
        }
        notes_on(view, &seen, &work, &mut notes);
        self.write_notes(&seen, view, &notes).await?;
        let last = self.last_change(&seen, telling, elsewhere)?;
        Ok(told(self.put(id, &last).await?))
    }

    /// Holds, lets go, gives up: at most one change of status.
    fn status_change(&self, books: &Books, view: &PaymentView) -> Option<Value> {
        use PaymentStatus as S;
        let settings = &self.settings;
        let stays = match view.status {
            S::Processing => settings.on_processing == Meanwhile::Hold,
            S::Disputed => settings.on_dispute == Meanwhile::Hold,
            // A person has to decide: nothing moves.
            S::Review => books.held.is_some(),
            _ => false,
        };
        let from: &[&str] = if view.status == S::Disputed {
            &["pending", "failed", "processing"]
        } else {
            &["pending", "failed"]
        };
        let status = books.status.as_str();
        let change = |to: &str, held: &str| {
            Some(json!({"status": to, "meta_data": [{"key": marks::HELD, "value": held}]}))
        };
        match &books.held {
            None if stays && from.contains(&status) => change("on-hold", status),
            Some(_) if !stays && view.status == S::Failed && !books.paid => change("failed", ""),
            Some(before) if !stays => change(before, ""),
            None if view.status == S::Failed && status == "pending" => change("failed", ""),
            _ => None,
        }
    }

    /// The buyer's link and what staff should read; written once each, whoever wrote it.
    async fn write_notes(&self, seen: &Seen, view: &PaymentView, notes: &[Note]) -> Result<(), ShopError> {
        let order = &seen.order;
        let link = link(order, view).filter(|url| seen.books.link.as_deref() != Some(url));
        let link = link.filter(|_| self.settings.payment_link == PaymentLink::CustomerNote);
        if link.is_none() && notes.is_empty() {
            return Ok(());
        }
        let path = format!("{}/notes", order_path(&order.id)?);
        let held = self.call(Method::GET, &path, None, &order.id).await?;
        let held: Vec<&str> = held
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|n| n.get("note").and_then(Value::as_str))
            .collect();
        if let Some(url) = link.filter(|url| !held.iter().any(|note| note.contains(url))) {
            let due = Money::new(view.amount_due, view.currency);
            let text = format!("You can pay {due} for your order {} here: {url}", order.number);
            self.call(Method::POST, &path, Some(&json!({"note": text, "customer_note": true})), &order.id)
                .await?;
        }
        for Note { key, text } in notes {
            let key = format!("[tandem:{key}]");
            if !held.iter().any(|note| note.contains(&key)) {
                let body = json!({"note": format!("{text} {key}"), "customer_note": false});
                self.call(Method::POST, &path, Some(&body), &order.id).await?;
            }
        }
        Ok(())
    }

    /// The view, under its own version; with it what only repeats what is done.
    fn last_change(&self, seen: &Seen, telling: &Telling<'_>, elsewhere: i64) -> Result<Value, ShopError> {
        let Telling { version, view, .. } = *telling;
        let whole = WriteBack { payment_version: version, payment: view.clone() };
        let text = serde_json::to_string(&whole).map_err(|e| ShopError::NotSent(e.to_string()))?;
        let mut rows = Map::new();
        match (link(&seen.order, view), seen.books.link.as_deref()) {
            (Some(url), held) if held != Some(url) => {
                rows.insert(marks::LINK.to_owned(), url.into());
            }
            // A template of the shop's must not show a link that leads nowhere.
            (None, Some(_)) if view.payment_url.is_none() => {
                rows.insert(marks::LINK.to_owned(), "".into());
            }
            _ => {}
        }
        // What was paid by other means is judged once: our own view, once told, would change the judgement.
        if seen.books.paid && !seen.books.ours && elsewhere > 0 {
            let amount = Money::new(elsewhere, seen.order.currency).decimal();
            rows.insert(marks::ELSEWHERE.to_owned(), amount.into());
        }
        rows.insert(format!("{}{version}", marks::VIEW), text.into());
        let rows: Vec<Value> =
            rows.into_iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
        Ok(json!({"meta_data": rows}))
    }
}

fn told(seen: Seen) -> Told {
    Told { recorded: Some(seen.books.recorded), order: seen.order }
}

/// The link, where the buyer has to pay: not while a saved card is going to be charged anyway.
fn link<'a>(order: &Order, view: &'a PaymentView) -> Option<&'a str> {
    let by_itself = order.collection == Collection::Automatic && view.reason == "nothing_paid_yet";
    view.payment_url.as_deref().filter(|_| !by_itself)
}

/// The change that records a payment in full, if there is one to record and a way to record it.
fn set_paid(seen: &Seen, view: &PaymentView, notes: &mut Vec<Note>) -> Option<Value> {
    let (order, books) = (&seen.order, &seen.books);
    let in_full = view.amount_captured > 0
        && view.amount_due == 0
        && view.amount_captured + books.elsewhere >= order.total;
    let payment = view.payment_id.as_deref().filter(|_| in_full && !books.ours)?;
    let mut change =
        json!({"transaction_id": payment, "meta_data": [{"key": marks::PAID, "value": payment}]});
    let taken = Money::new(view.amount_captured, view.currency);
    let mut note = |text: String| notes.push(Note { key: format!("paid {payment}"), text });
    match books.status.as_str() {
        // Paid by hand or by another gateway: its payment's id is not overwritten.
        _ if books.paid && books.elsewhere > 0 => {
            note(format!(
                "Tandem took {taken} ({payment}) although the order is paid by other means; see the case."
            ));
            return None;
        }
        // It counts as paid by what we had told before: our payment is the one.
        _ if books.paid => {}
        "pending" | "failed" => change["set_paid"] = true.into(),
        "on-hold" => {
            change["status"] = "processing".into();
            change["set_paid"] = true.into();
            if let Some(rows) = change["meta_data"].as_array_mut() {
                rows.push(json!({"key": marks::HELD, "value": ""}));
            }
        }
        status => {
            note(format!(
                "Stripe holds {taken} ({payment}) for this order; it is {status}, so it was not set paid."
            ));
            return None;
        }
    }
    Some(change)
}

/// What staff should read.
fn notes_on(view: &PaymentView, seen: &Seen, work: &Work, notes: &mut Vec<Note>) {
    use PaymentStatus as S;
    let money = |amount| Money::new(amount, view.currency);
    let mut note = |key: String, text: String| notes.push(Note { key, text });
    let reason: String =
        view.reason.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(60).collect();
    match view.status {
        S::Disputed => note(
            format!("disputed {reason}"),
            format!("The buyer's bank disputes the payment ({reason}); answer it in Stripe's dashboard."),
        ),
        S::Failed => {
            note(
                format!("failed {reason}"),
                format!("The payment failed for good ({reason}); nothing was taken."),
            );
        }
        S::PartiallyPaid => {
            let (taken, due) = (money(view.amount_captured), money(view.amount_due));
            let key = format!("part {}", view.amount_captured);
            note(key, format!("{taken} were paid through Stripe, {due} are still due."));
        }
        // An order of another method is nobody's surprise.
        S::Paid
            if seen.books.elsewhere > 0
                && view.amount_captured == 0
                && seen.order.collection != Collection::None =>
        {
            let amount = money(seen.books.elsewhere);
            note(
                "elsewhere".to_owned(),
                format!("{amount} were paid by other means; nothing is charged through Stripe."),
            );
        }
        S::Review => {
            note(format!("review {reason}"), format!("A person has to decide about the payment ({reason})."))
        }
        _ => {}
    }
    for line in work.aside.iter().filter_map(|i| view.refunds.get(*i)) {
        let text = "of money that this order never held as paid: it is no refund of the order";
        note(
            format!("aside {}", line.id),
            format!("Stripe refunded {} ({}) {text}.", money(line.amount), line.id),
        );
    }
    for line in work.failed.iter().filter_map(|i| view.refunds.get(*i)) {
        let text = "it is not recorded as made; look at the order's status and pay the buyer another way";
        note(
            format!("refund {}", line.id),
            format!("Refund {} of {} failed: {text}.", line.id, money(line.amount)),
        );
    }
}
