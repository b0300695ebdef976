//! Telling: read the booking and its notes, bring money and status up to the view, then note what was told.
//!
//! Invariant: the note with the version is written last, so a telling that broke off is told again; what it had done by then
//! is seen in the books and in the note before it, and is not done twice.

use super::decide::{Record, Step, decide};
use super::notes::{self, Intent, Marks};
use super::read::Booking;
use super::{CheckfrontClient, import};
use crate::domain::money::Money;
use crate::domain::order::{Order, PaymentEcho};
use crate::domain::time::Seconds;
use crate::outbound::shop::{ShopError, Telling, Told};
use crate::outbound::stripe::form::{Form, segment};

/// An import whose answer was lost may still be under way; two of them would both count.
const IMPORT_LANDS_WITHIN: Seconds = Seconds::minutes(5);

/// See [`super::OrderSystem::tell`].
pub(super) async fn tell(client: &CheckfrontClient, telling: &Telling<'_>) -> Result<Told, ShopError> {
    let Telling { id, version, view, recorded, total } = *telling;
    let booking = client.booking(id).await?;
    let marks = notes::read(client, &booking).await?;
    let ours = marks.ours(recorded, booking.paid());
    if marks.version >= version {
        let status = marks.status.unwrap_or_default();
        return Ok(told(booking.order, marks.version, &status, ours));
    }
    let Step { record, status } = decide(&client.settings, &booking, view, (ours, total), &marks);
    let money = bring_money(client, booking, &marks, telling, (record, ours)).await;
    let (booking, ours) = money.map_err(|error| error.knowing(ours))?;
    let rest = async {
        if let Some(status) = status {
            update(client, id, Form::new().set("status_id", status)).await?;
        }
        notes::write(client, id, &notes::telling(version, view, ours)).await
    };
    rest.await.map_err(|error| error.knowing(ours))?;
    Ok(told(booking.order, version, view.status.name(), ours))
}

/// Records what is to be recorded; the booking then, and how much of its books is ours.
async fn bring_money(
    client: &CheckfrontClient,
    booking: Booking,
    marks: &Marks,
    telling: &Telling<'_>,
    (record, ours): (Record, i64),
) -> Result<(Booking, i64), ShopError> {
    let Telling { id, version, view, .. } = *telling;
    if booking.order.currency != view.currency {
        return Err(ShopError::Rejected(format!(
            "the booking is in {} and the payment in {}; look at the account's currency",
            booking.order.currency, view.currency
        )));
    }
    Ok(match record {
        Record::Nothing => (booking, ours),
        Record::Later => {
            let why = "the booking's total is no longer the one that was paid; it is read first";
            return Err(ShopError::Wait { after: 60, why });
        }
        Record::Clash(about, words) => {
            notes::write(client, id, &notes::clashing(&about, &words)).await?;
            return Err(ShopError::Rejected(words));
        }
        Record::SetPaid(amount) => {
            let tried = intend(client, &booking, marks, telling, amount, ours).await?;
            let booking = set_paid(client, booking, tried).await?;
            (booking, ours + amount)
        }
        Record::Import(amount) => {
            let landing = marks.open_intent().and_then(|intent| intent.at).zip(booking.as_of);
            if landing.is_some_and(|(at, now)| now - at < IMPORT_LANDS_WITHIN) {
                let why = "an earlier import may still be under way";
                return Err(ShopError::Wait { after: 300, why });
            }
            import::unit(client, &booking).await?;
            intend(client, &booking, marks, telling, amount, ours).await?;
            let booking = import::import(client, booking, view, version, amount).await?;
            (booking, ours + amount)
        }
    })
}

fn told(order: Order, version: u64, status: &str, ours: i64) -> Told {
    let echo = PaymentEcho { version, status: status.to_owned() };
    Told { order: Order { payment: Some(echo), ..order }, recorded: Some(ours) }
}

/// Notes what is about to be recorded, unless that is what the last such note says. Whether the same money was noted before,
/// under this view or an older one: then it was tried.
async fn intend(
    client: &CheckfrontClient,
    booking: &Booking,
    marks: &Marks,
    telling: &Telling<'_>,
    amount: i64,
    ours: i64,
) -> Result<bool, ShopError> {
    let intent =
        Intent { version: telling.version, from: booking.paid(), by: amount, to: ours + amount, at: None };
    let known = marks.open_intent().filter(|known| (known.from, known.by) == (intent.from, intent.by));
    let noted = known.is_some_and(|known| (known.version, known.to) == (intent.version, intent.to));
    // An import counts its minutes from its own note.
    if !noted || client.settings.import_body.is_some() {
        let money = Money::new(amount, booking.order.currency);
        notes::write(client, telling.id, &notes::intended(&intent, money)).await?;
    }
    Ok(known.is_some())
}

/// Records the whole balance: `set_paid` goes with nothing else, and Checkfront refuses it on a booking that is paid.
async fn set_paid(client: &CheckfrontClient, before: Booking, tried: bool) -> Result<Booking, ShopError> {
    let id = before.order.id.as_str();
    let form = Form::new().set("status_id", client.settings.paid_status.as_str()).set("set_paid", 1);
    let refused = match update(client, id, form).await {
        Ok(()) => None,
        Err(error @ (ShopError::Rejected(_) | ShopError::Refused(_))) => Some(error),
        Err(error) => return Err(error),
    };
    let after = client.booking(id).await?;
    match refused {
        None if after.balance() == 0 => Ok(after),
        // Somebody paid or changed the booking between our read and our write: the next telling decides anew.
        _ if after.paid() != before.paid() || after.order.total != before.order.total => {
            Err(ShopError::Wait { after: 60, why: "the booking changed while it was told" })
        }
        // A booking has no version: what was read may lag behind. Sent again it is refused on a booking that is paid.
        None => Err(ShopError::Wait { after: 60, why: "Checkfront took set_paid and does not show it yet" }),
        // The one before may have been taken and not be shown yet. A person is asked if it stays so for a day.
        Some(_) if tried => Err(ShopError::Wait {
            after: 300,
            why: "Checkfront refuses to set paid again what it shows as unpaid",
        }),
        Some(error) => Err(error),
    }
}

/// One change of status. Whether the buyer is notified is always said: the documents differ on what happens else.
async fn update(client: &CheckfrontClient, id: &str, form: Form) -> Result<(), ShopError> {
    let path = format!("booking/{}/update", segment(id));
    client.post(&path, &form.set("notify", 0), id).await.map(|_| ())
}
