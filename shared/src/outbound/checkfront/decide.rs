//! What telling a booking our view means, from what was just read: pure.
//!
//! Invariant: money is recorded only if the whole balance is what we hold; a status is written only over a status that
//! bookings have while they wait for money.

use super::notes::Marks;
use super::read::Booking;
use crate::config::CheckfrontSettings;
use crate::domain::money::Money;
use crate::domain::view::{PaymentStatus as S, PaymentView};

/// What happens to the money in the books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// Nothing.
    Nothing,
    /// The whole balance, by `set_paid`.
    SetPaid(i64),
    /// This much, by an import.
    Import(i64),
    /// The booking changed after our view was made: first it must be seen.
    Later,
    /// A person has to sort it out: what it is about, and the words.
    Clash(String, String),
}

/// All that is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// The money.
    pub(super) record: Record,
    /// The status, without money.
    pub(super) status: Option<String>,
}

/// What to do. `ours`: how much of what the books hold is our record; `total`: what the view takes the booking's to be.
pub(super) fn decide(
    settings: &CheckfrontSettings,
    booking: &Booking,
    view: &PaymentView,
    (ours, total): (i64, i64),
    marks: &Marks,
) -> Step {
    if !booking.order.status.stands() {
        // Cancelled, on hold, or in a status nobody explained: neither money nor status, or it would be undone.
        return Step { record: Record::Nothing, status: None };
    }
    let record = match record(settings, booking, view, (ours, total)) {
        // It was put before a person, who let it go on.
        Record::Clash(about, _) if marks.clashes.contains(&about) => Record::Nothing,
        record => record,
    };
    let status = match record {
        Record::Import(amount) if amount == booking.balance() => Some(settings.paid_status.clone()),
        Record::Import(_) => Some(settings.part_status.clone()),
        Record::Nothing => status(settings, booking, view, ours),
        Record::SetPaid(_) | Record::Later | Record::Clash(..) => None,
    };
    let status = status.filter(|status| *status != booking.status && waits(settings, booking));
    Step { record, status }
}

fn record(
    settings: &CheckfrontSettings,
    booking: &Booking,
    view: &PaymentView,
    (ours, total): (i64, i64),
) -> Record {
    let (captured, balance) = (view.amount_captured, booking.balance());
    let missing = captured - ours;
    // What went back whole is not recorded as paid: v3 could not record that it went back.
    if missing <= 0 || view.amount_refunded >= captured {
        return Record::Nothing;
    }
    // It changed since, or what is read lags behind: no ground to put anything before a person.
    if booking.order.total != total {
        return Record::Later;
    }
    let money = |minor| Money::new(minor, booking.order.currency);
    let clash = |words: String| {
        Record::Clash(
            format!("captured={captured} paid={} total={}", booking.paid(), booking.order.total),
            words,
        )
    };
    if balance == 0 && ours > 0 {
        // More than is owed: the plan puts it before a person as such.
        return Record::Nothing;
    }
    if balance == 0 {
        return clash(format!(
            "paid in Checkfront too: the booking shows {} paid without us, and Stripe took {}; refund one of them, then \
             approve",
            money(booking.paid()),
            money(captured)
        ));
    }
    if balance < missing {
        return clash(format!(
            "only {} is unpaid in Checkfront, and Stripe took {} that is not recorded there; refund what is too much, record \
             the rest by hand, then approve",
            money(balance),
            money(missing)
        ));
    }
    match () {
        () if settings.import_body.is_some() => Record::Import(missing),
        () if view.amount_due > 0 => Record::Nothing,
        () if balance == missing => Record::SetPaid(balance),
        () => Record::Later,
    }
}

/// The status that goes with the view where no money is recorded.
fn status(settings: &CheckfrontSettings, booking: &Booking, view: &PaymentView, ours: i64) -> Option<String> {
    match view.status {
        S::Processing if booking.paid() == 0 => Some(settings.processing_status.clone()),
        S::PartiallyPaid => Some(settings.part_status.clone()),
        S::Paid if ours > 0 && booking.balance() == 0 => Some(settings.paid_status.clone()),
        S::Refunded if settings.cancel_when_refunded => Some(settings.cancel_status.clone()),
        _ => None,
    }
}

/// Whether the booking's status is one that only says how it stands with the money. Any other was chosen by a person.
fn waits(settings: &CheckfrontSettings, booking: &Booking) -> bool {
    let codes = ["PEND", "HOLD", &settings.paid_status, &settings.part_status, &settings.processing_status];
    codes.contains(&booking.status.as_str())
}
