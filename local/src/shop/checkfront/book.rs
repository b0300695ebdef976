//! What a booking holds besides the order, what the account holds besides its bookings, and what a person does inside
//! Checkfront.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use shared::domain::order::{Order, OrderStatus};
use shared::domain::time::{Seconds, UnixTime};

use super::super::face::{Change, Native};
use super::super::{OrderRecord, Shop, ShopError, State, notices};
use super::{ZONE, hooks};

/// Bookings of the demo start so long after they were made, unless somebody says otherwise.
const STARTS_AFTER: Seconds = Seconds::days(30);

/// How `GET booking/{code}` shows a booking: nobody documents it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// As the webhook does: amounts under `order`, the buyer under `customer`.
    #[default]
    Nested,
    /// As people have shown it: all side by side, under names of its own.
    Flat,
    /// The listing's way, keyed by the booking's internal id.
    Keyed,
}

/// What the account holds, and what can be made to go wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Failed deliveries in a row.
    pub hook_failures: u32,
    /// Switched off.
    pub hook_disabled: bool,
    /// So many of the next calls are answered 429.
    pub throttle: u32,
    /// How one booking is shown.
    pub shape: Shape,
    /// A status code of the account's own, and whether it cancels.
    pub custom: Vec<(String, OrderStatus)>,
    /// API v4 shows amounts in major units, as nobody expects.
    pub v4_in_major_units: bool,
    /// Notes and transactions given out.
    pub(super) numbers: u64,
}

/// One payment or refund in Checkfront's own books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Its id.
    pub id: u64,
    /// When.
    pub at: UnixTime,
    /// ISO minor units, negative for a refund.
    pub amount: i64,
    /// `POS` for `set_paid`, the card's last digits for Checkfront's own provider, our reference for an import.
    pub mask: String,
}

/// One note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Its id.
    pub id: u64,
    /// Who wrote it; 0 is a customer.
    pub account: u64,
    /// When.
    pub at: UnixTime,
    /// The text.
    pub body: String,
}

/// What a booking holds besides the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Book {
    /// The internal id: never the key of anything.
    pub booking_id: u64,
    /// When it was made.
    pub created: UnixTime,
    /// When it starts.
    pub starts: UnixTime,
    /// The status code.
    pub status: String,
    /// Money in and out, as Checkfront's books have it.
    pub transactions: Vec<Transaction>,
    /// What people and keys wrote.
    pub notes: Vec<Note>,
    /// The forms of every update that was taken.
    pub updates: Vec<String>,
    /// Updates on which the buyer was notified.
    pub notified: u32,
}

impl Book {
    pub(super) fn of(order: &Order) -> Self {
        let letters = order.id.bytes().take_while(u8::is_ascii_uppercase);
        let number = letters.fold(0_u64, |n, letter| n * 26 + u64::from(letter - b'A'));
        Self {
            booking_id: 40_000 + number,
            created: order.updated_at,
            starts: order.updated_at + STARTS_AFTER,
            status: "PEND".to_owned(),
            transactions: Vec::new(),
            notes: Vec::new(),
            updates: Vec::new(),
            notified: 0,
        }
    }

    /// `paid_total`.
    pub fn paid(&self) -> i64 {
        self.transactions.iter().map(|t| t.amount).sum()
    }

    /// The code as it is shown: the book of orders says whether a person cancelled it.
    pub(super) fn code_of(&self, status: &OrderStatus) -> String {
        let cancels = matches!(self.status.as_str(), "STOP" | "VOID");
        match status {
            OrderStatus::Cancelled if cancels => self.status.clone(),
            OrderStatus::Cancelled => "STOP".to_owned(),
            OrderStatus::OnHold => "WAIT".to_owned(),
            OrderStatus::Other(word) => word.clone(),
            OrderStatus::Open | OrderStatus::Fulfilled if cancels || self.status == "WAIT" => {
                "PEND".to_owned()
            }
            OrderStatus::Open | OrderStatus::Fulfilled => self.status.clone(),
        }
    }
}

impl OrderRecord {
    /// What a booking holds besides the order; none for the orders of other shops.
    pub fn booking(&self) -> Option<&Book> {
        match &self.native {
            Native::Checkfront(book) => Some(book),
            _ => None,
        }
    }

    pub(super) fn booking_mut(&mut self) -> Option<&mut Book> {
        match &mut self.native {
            Native::Checkfront(book) => Some(book),
            _ => None,
        }
    }
}

/// A time in the account's zone.
pub(super) fn local(at: UnixTime, format: &str) -> String {
    let zone = TimeZone::get(ZONE).unwrap_or(TimeZone::UTC);
    Timestamp::from_second(at.0).unwrap_or_default().to_zoned(zone).strftime(format).to_string()
}

impl Account {
    /// What a code means to the account; none for a code it does not have.
    pub(super) fn meaning(&self, code: &str) -> Option<OrderStatus> {
        match code {
            "PEND" | "HOLD" | "PART" | "PAID" => Some(OrderStatus::Open),
            "WAIT" => Some(OrderStatus::OnHold),
            "STOP" | "VOID" => Some(OrderStatus::Cancelled),
            _ => self.custom.iter().find(|(own, _)| own == code).map(|(_, status)| status.clone()),
        }
    }

    pub(super) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }
}

/// A change of what a booking holds, with the webhooks that it fires.
pub(super) fn change(
    state: &mut State,
    id: &str,
    now: UnixTime,
    edit: impl FnOnce(&mut Order, &mut Book, &mut Account) -> Option<Transaction>,
) -> Result<Order, ShopError> {
    let State { record, checkfront, .. } = state;
    let kept = record.orders.get_mut(id).ok_or_else(|| ShopError::NoOrder(id.to_owned()))?;
    kept.remember();
    let mut order = kept.order.clone();
    let book = kept.booking_mut().ok_or(ShopError::Invalid("not a booking"))?;
    let made = edit(&mut order, book, checkfront);
    order.version += 1;
    order.updated_at = now;
    kept.order = order.clone();
    notices::announce(state, &super::Checkfront, Change::Updated, &order, now);
    if let Some(transaction) = made {
        hooks::of_a_transaction(state, id, &transaction, now);
    }
    Ok(order)
}

impl Shop {
    /// Looks at the account, or changes what goes wrong with it.
    pub fn checkfront<T>(&self, look: impl FnOnce(&mut Account) -> T) -> T {
        look(&mut self.lock().checkfront)
    }

    /// A buyer pays by Checkfront's own card provider; a negative amount is a refund there.
    pub fn pay_inside(&self, id: &str, amount: i64) -> Result<Order, ShopError> {
        let now = self.now();
        change(&mut self.lock(), id, now, |order, book, account| {
            let made = Transaction { id: account.number(), at: now, amount, mask: "1111".to_owned() };
            book.transactions.push(made.clone());
            book.status = if book.paid() >= order.total { "PAID" } else { "PART" }.to_owned();
            Some(made)
        })
    }

    /// Somebody sets a status in Checkfront's pages.
    pub fn set_status(&self, id: &str, code: &str) -> Result<Order, ShopError> {
        let now = self.now();
        change(&mut self.lock(), id, now, |order, book, account| {
            order.status = account.meaning(code).unwrap_or_else(|| OrderStatus::Other(code.to_owned()));
            book.status = code.to_owned();
            None
        })
    }

    /// Somebody writes a note; account 0 is the customer.
    pub fn write_note(&self, id: &str, account: u64, body: &str) -> Result<Order, ShopError> {
        let now = self.now();
        change(&mut self.lock(), id, now, |_, book, numbers| {
            book.notes.push(Note { id: numbers.number(), account, at: now, body: body.to_owned() });
            None
        })
    }
}
