//! Our words in a booking's notes: what was told, what was about to be recorded, and what a person has to sort out.
//!
//! Invariant: notes are only ever added, so of several the highest version counts and a note written twice changes nothing. A
//! note by a customer (account 0) is never ours, whatever it says.

use std::collections::BTreeSet;

use serde_json::Value;

use super::envelope::time;
use super::read::Booking;
use super::{CheckfrontClient, LIMIT};
use crate::domain::money::Money;
use crate::domain::time::{Seconds, UnixTime};
use crate::domain::view::{PaymentStatus as S, PaymentView, WriteBack};
use crate::inbound::checkfront::word;
use crate::outbound::shop::ShopError;
use crate::outbound::stripe::form::{Form, segment};

/// Longest note that Checkfront takes.
const NOTE_CHARS_MAX: usize = 3000;
/// Most pages of one listing that are read: a marker beyond them counts as not there, and is written again.
const PAGES_MAX: u32 = 20;
/// Most months of notes that are read, likewise.
const MONTHS_MAX: i64 = 24;
/// Without a date the notes of the last 30 days are listed; a day less, for the account's zone.
const LISTED_BY_ITSELF: Seconds = Seconds::days(29);

/// A record that was about to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Intent {
    /// The view that asked for it.
    pub(super) version: u64,
    /// What the books held as paid.
    pub(super) from: i64,
    /// What they were to hold more.
    pub(super) by: i64,
    /// Our own record in them, once made.
    pub(super) to: i64,
    /// When it was noted.
    pub(super) at: Option<UnixTime>,
}

/// What our notes say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// The highest version told.
    pub(super) version: u64,
    /// What was told under it.
    pub(super) status: Option<String>,
    /// Our own record in the books after it.
    pub(super) books: i64,
    /// The newest record that was about to be made.
    pub(super) intent: Option<Intent>,
    /// What was put before a person.
    pub(super) clashes: BTreeSet<String>,
}

impl Marks {
    fn take(&mut self, line: &str, at: Option<UnixTime>) {
        let Some(rest) = line.trim().strip_prefix("tandem ") else { return };
        if let Some(clash) = rest.strip_prefix("clash ") {
            self.clashes.insert(clash.to_owned());
        } else if let Some(rest) = rest.strip_prefix("records ") {
            // Listings have no order: of two of one view the later one began where more was paid.
            let newest = self.intent.as_ref().map_or((0, i64::MIN), |i| (i.version, i.from));
            let intent = intent(rest, at).filter(|i| (i.version, i.from) >= newest);
            self.intent = intent.or(self.intent.take());
        } else if let Some((version, books, told)) = told(rest)
            && version > self.version
        {
            (self.version, self.books) = (version, books);
            self.status = Some(told.payment.status.name().to_owned());
        }
    }

    /// How much of what the books hold is our own record: as acknowledged, as noted, and as intended if it arrived.
    pub(super) fn ours(&self, recorded: i64, paid: i64) -> i64 {
        let known = recorded.max(self.books);
        match self.open_intent() {
            Some(intent) if paid >= intent.from.saturating_add(intent.by) => known.max(intent.to),
            _ => known,
        }
    }

    /// The record that nobody has acknowledged.
    pub(super) fn open_intent(&self) -> Option<&Intent> {
        self.intent.as_ref().filter(|intent| intent.version > self.version)
    }
}

/// `v7 from=0 by=2900 to=2900`
fn intent(rest: &str, at: Option<UnixTime>) -> Option<Intent> {
    let mut words = rest.split(' ');
    let version = words.next()?.strip_prefix('v')?.parse().ok()?;
    let mut amount = |name: &str| words.next()?.strip_prefix(name)?.strip_prefix('=')?.parse::<i64>().ok();
    Some(Intent { version, from: amount("from")?, by: amount("by")?, to: amount("to")?, at })
}

/// `v7 books=2900 {"payment_version":7,..}`
fn told(rest: &str) -> Option<(u64, i64, WriteBack)> {
    let (version, rest) = rest.strip_prefix('v')?.split_once(" books=")?;
    let (books, json) = rest.split_once(' ')?;
    let told: WriteBack = serde_json::from_str(json).ok()?;
    let version: u64 = version.parse().ok()?;
    (told.payment_version == version).then_some((version, books.parse().ok()?, told))
}

/// Reads the booking's notes out of the account's: by themselves the last 30 days are listed, older ones month by month.
pub(super) async fn read(client: &CheckfrontClient, booking: &Booking) -> Result<Marks, ShopError> {
    let mut marks = Marks::default();
    for month in months(booking.created, booking.as_of) {
        for page in 1..=PAGES_MAX {
            // The code is no documented filter; where it is none, the notes of others are passed over below.
            let query = Form::new()
                .opt("date", month.as_deref())
                .set("booking_id", &booking.order.id)
                .set("limit", LIMIT)
                .set("page", page);
            let answer = client.get("booking/notes", &query, &booking.order.id).await?;
            let rows = answer.rows(&["notes", "booking/notes"])?;
            rows.iter().for_each(|note| take(&mut marks, note, &booking.order.id));
            let more = answer.number("pages").map_or(rows.len() >= LIMIT as usize, |pages| page < pages);
            if !more {
                break;
            }
        }
    }
    Ok(marks)
}

/// Which listings hold all notes since the booking was made: the one without a date, or its months and the one before and
/// after, because the account's zone is not ours. `None` is no date.
fn months(created: Option<UnixTime>, now: Option<UnixTime>) -> Vec<Option<String>> {
    let Some((created, now)) = created.zip(now).filter(|(created, now)| *now - *created >= LISTED_BY_ITSELF)
    else {
        return vec![None];
    };
    let (first, last) = ((created - Seconds::days(1)).date(), (now + Seconds::days(1)).date());
    let month = |date: &str| {
        let mut parts = date.split('-').map(|part| part.parse::<i64>().unwrap_or(0));
        parts.next().unwrap_or(0) * 12 + parts.next().unwrap_or(1) - 1
    };
    let (first, last) = (month(&first), month(&last));
    (first.max(last - MONTHS_MAX)..=last)
        .rev()
        .map(|n| Some(format!("{:04}-{:02}", n.div_euclid(12), n.rem_euclid(12) + 1)))
        .collect()
}

fn take(marks: &mut Marks, note: &Value, code: &str) {
    let author = word(note.get("account_id"));
    if word(note.get("booking_id")) != code || author.is_empty() || author == "0" {
        return;
    }
    let (body, at) = (word(note.get("body")), time(note.get("date")));
    body.lines().for_each(|line| marks.take(line, at));
}

/// Adds a note.
pub(super) async fn write(client: &CheckfrontClient, code: &str, body: &str) -> Result<(), ShopError> {
    let form = Form::new().set("body", body);
    client.post(&format!("booking/{}/note", segment(code)), &form, code).await.map(|_| ())
}

/// The note before a record: should its answer be lost, this tells it from somebody else's payment.
pub(super) fn intended(intent: &Intent, amount: Money) -> String {
    let Intent { version, from, by, to, .. } = intent;
    format!("Tandem records {amount} paid by Stripe.\ntandem records v{version} from={from} by={by} to={to}")
}

/// The note about what a person has to sort out.
pub(super) fn clashing(clash: &str, words: &str) -> String {
    format!("Tandem recorded nothing: {words}\ntandem clash {clash}")
}

/// The note that says what was told, for people and for us. What does not fit is left out, the oldest refunds first.
pub(super) fn telling(version: u64, view: &PaymentView, books: i64) -> String {
    let words = words(view);
    let mut told = WriteBack { payment_version: version, payment: view.clone() };
    loop {
        let json = serde_json::to_string(&told).unwrap_or_default();
        let body = format!("{words}\ntandem v{version} books={books} {json}");
        if body.chars().count() <= NOTE_CHARS_MAX {
            return body;
        }
        if told.payment.refunds.is_empty() {
            // Only ids and words of ours are left: the reason alone can be long.
            told.payment.payment_url = None;
            told.payment.reason = String::new();
            let json = serde_json::to_string(&told).unwrap_or_default();
            return format!("tandem v{version} books={books} {json}");
        }
        told.payment.refunds.remove(0);
    }
}

fn words(view: &PaymentView) -> String {
    let money = |minor| Money::new(minor, view.currency);
    let (due, taken) = (money(view.amount_due), money(view.amount_captured));
    let back = money(view.amount_refunded);
    let said = match view.status {
        S::AwaitingPayment => format!("Payment of {due} is awaited."),
        S::Processing => "The bank confirms the payment later.".to_owned(),
        S::Authorized => "The payment is reserved and not yet taken.".to_owned(),
        S::Paid if view.amount_captured == 0 => "Nothing is due.".to_owned(),
        S::Paid => format!("{taken} was paid by Stripe; nothing is due."),
        S::PartiallyPaid => format!("{taken} was paid by Stripe; {due} is due."),
        S::Failed => format!("The payment of {due} failed; no further attempt is made by itself."),
        S::PartiallyRefunded => format!("{back} of {taken} was refunded by Stripe."),
        S::Refunded => format!("{taken} was paid by Stripe and all of it went back."),
        S::Disputed => format!("The buyer's bank asks for the payment of {taken} back."),
        S::Review => "A person has to look at this payment.".to_owned(),
        S::Cancelled => "The booking is cancelled and nothing is held.".to_owned(),
    };
    match (&view.payment_url, &view.payment_id) {
        (Some(url), _) => format!("{said} Pay here: {url}"),
        (None, Some(id)) => format!("{said} Stripe: {id}"),
        (None, None) => said,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::money::Currency;
    use crate::domain::view::RefundLine;

    fn view(status: S, captured: i64) -> PaymentView {
        PaymentView {
            status,
            payment_url: Some("https://pay.example.com/pay/abc".into()),
            currency: Currency::parse("CAD").unwrap(),
            amount_due: 2900 - captured,
            amount_captured: captured,
            amount_refunded: 0,
            payment_id: Some("pi_1".into()),
            reason: "captured_in_full".into(),
            refunds: vec![],
        }
    }

    fn note(account: i64, body: &str) -> Value {
        json!({"note_id": 1, "account_id": account, "date": "2026-11-21T10:00:00-08:00", "body": body, "booking_id": "ABCD-211126"})
    }

    fn marks(notes: &[Value]) -> Marks {
        let mut marks = Marks::default();
        notes.iter().for_each(|n| take(&mut marks, n, "ABCD-211126"));
        marks
    }

    #[test]
    fn what_is_written_is_read_back_and_the_highest_version_counts() {
        let seven = telling(7, &view(S::Paid, 2900), 2900);
        let three = telling(3, &view(S::AwaitingPayment, 0), 0);
        assert!(
            three.starts_with("Payment of 29.00 CAD is awaited. Pay here: https://pay.example.com/pay/abc\n")
        );
        for notes in
            [vec![note(5, &seven), note(5, &three)], vec![note(5, &three), note(5, &seven), note(5, &seven)]]
        {
            let read = marks(&notes);
            assert_eq!((read.version, read.books, read.status.as_deref()), (7, 2900, Some("paid")));
        }
    }

    #[test]
    fn a_customers_note_and_one_of_another_booking_are_never_ours() {
        let forged = telling(900, &view(S::Paid, 2900), 2900);
        let mut foreign = note(5, &forged);
        foreign["booking_id"] = json!("WXYZ-211126");
        let mut nobody = note(5, &forged);
        nobody["account_id"] = json!({});
        assert_eq!(marks(&[note(0, &forged), foreign, nobody]), Marks::default());
    }

    #[test]
    fn an_intent_that_arrived_is_our_record_and_one_that_did_not_is_none() {
        let intent = Intent { version: 7, from: 1000, by: 1900, to: 1900, at: None };
        let body = intended(&intent, Money::new(1900, Currency::parse("CAD").unwrap()));
        let read = marks(&[note(5, &body)]);
        assert_eq!(read.intent.as_ref().map(|i| i.by), Some(1900));
        assert_eq!(read.ours(0, 2900), 1900);
        assert_eq!((read.ours(0, 1000), read.ours(0, 2899)), (0, 0));
        let acknowledged = marks(&[note(5, &body), note(5, &telling(7, &view(S::Paid, 2900), 1900))]);
        assert_eq!(acknowledged.open_intent(), None);
    }

    #[test]
    fn notes_of_an_old_booking_are_asked_for_by_month_and_of_a_young_one_as_they_are_listed() {
        // 2027-01-15T08:00:00Z
        let now = UnixTime(1_800_000_000);
        assert_eq!(months(None, Some(now)), [None]);
        assert_eq!(months(Some(now - Seconds::days(20)), Some(now)), [None]);
        let old = months(Some(now - Seconds::days(76)), Some(now));
        let old: Vec<&str> = old.iter().flatten().map(String::as_str).collect();
        assert_eq!(old, ["2027-01", "2026-12", "2026-11", "2026-10"], "made on the 31st of October, UTC");
        let ancient = months(Some(now - Seconds::days(4000)), Some(now));
        assert_eq!(ancient.len(), 25);
    }

    #[test]
    fn a_note_never_exceeds_what_checkfront_takes() {
        let mut long = view(S::PartiallyRefunded, 2900);
        long.refunds = (0..100)
            .map(|i| RefundLine {
                id: format!("re_{i:024}"),
                request: Some(format!("r{i}")),
                amount: 1,
                status: "succeeded".into(),
            })
            .collect();
        let body = telling(9, &long, 2900);
        assert!(body.chars().count() <= NOTE_CHARS_MAX);
        assert_eq!(marks(&[note(5, &body)]).version, 9);
        assert!(body.contains("re_000000000000000000000099"), "the newest refund stays");
        long.reason = "x".repeat(5000);
        assert_eq!(marks(&[note(5, &telling(9, &long, 0))]).version, 9);
    }
}
