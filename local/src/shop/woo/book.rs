//! What WooCommerce keeps of an order besides the book: its own status, when it counts as paid, metadata, refunds, notes.
//!
//! Invariant: `date_paid` is set once and never taken away; a status that pays sets it, whoever sets the status.

use serde_json::Value;
use shared::domain::order::{Order, OrderStatus};
use shared::domain::time::UnixTime;

/// One row of metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaRow {
    /// Its id.
    pub id: u64,
    /// Its key.
    pub key: String,
    /// Any JSON.
    pub value: Value,
}

/// One refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundRow {
    /// Its id.
    pub id: u64,
    /// ISO minor units, positive.
    pub amount: i64,
    /// Why.
    pub reason: String,
    /// Its metadata.
    pub meta: Vec<MetaRow>,
    /// When.
    pub at: UnixTime,
}

/// One note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteRow {
    /// Its id.
    pub id: u64,
    /// What it says.
    pub text: String,
    /// Whether it went to the buyer by e-mail.
    pub customer: bool,
    /// When.
    pub at: UnixTime,
}

/// What WooCommerce keeps of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Book {
    /// Its status, in WooCommerce's words.
    pub status: String,
    /// When it was placed.
    pub created_at: UnixTime,
    /// Since when it counts as paid.
    pub paid_at: Option<UnixTime>,
    /// Since when it is completed.
    pub completed_at: Option<UnixTime>,
    /// The payment's id.
    pub transaction_id: String,
    /// The method that the buyer chose.
    pub payment_method: String,
    /// Whether its goods need work; those that do not are completed when they are paid.
    pub needs_processing: bool,
    /// Metadata.
    pub meta: Vec<MetaRow>,
    /// Refunds, oldest first.
    pub refunds: Vec<RefundRow>,
    /// Notes, oldest first.
    pub notes: Vec<NoteRow>,
    /// Deleted for good.
    pub gone: bool,
    base: u64,
    made: u64,
}

/// What a status means to the book.
pub(super) fn meaning(status: &str) -> OrderStatus {
    match status {
        "pending" | "failed" | "processing" => OrderStatus::Open,
        "completed" => OrderStatus::Fulfilled,
        "cancelled" => OrderStatus::Cancelled,
        "on-hold" | "refunded" | "checkout-draft" | "auto-draft" | "trash" => OrderStatus::OnHold,
        other => OrderStatus::Other(other.to_owned()),
    }
}

impl Book {
    /// Of a new order.
    pub(super) fn new(order: &Order) -> Self {
        Self {
            status: "pending".to_owned(),
            created_at: order.updated_at,
            paid_at: None,
            completed_at: None,
            transaction_id: String::new(),
            payment_method: String::new(),
            needs_processing: true,
            meta: Vec::new(),
            refunds: Vec::new(),
            notes: Vec::new(),
            gone: false,
            base: order.id.parse().unwrap_or(1),
            made: 0,
        }
    }

    /// An id for a row; no two rows of a shop have the same.
    pub(super) fn next_id(&mut self) -> u64 {
        self.made += 1;
        self.base * 1000 + self.made
    }

    /// Moves to `status`. One that pays sets the day of payment if there is none yet.
    pub(super) fn set_status(&mut self, status: &str, now: UnixTime) {
        if self.status == status {
            return;
        }
        let text = format!("Order status changed from {} to {status}.", self.status);
        self.note(&text, false, now);
        status.clone_into(&mut self.status);
        if matches!(status, "processing" | "completed") && self.paid_at.is_none() {
            self.paid_at = Some(now);
        }
        if status == "completed" && self.completed_at.is_none() {
            self.completed_at = Some(now);
        }
    }

    /// Whether somebody has to pay.
    pub(super) fn needs_payment(&self, total: i64) -> bool {
        matches!(self.status.as_str(), "pending" | "failed") && total > 0
    }

    /// Paid: only an order that needs it.
    pub(super) fn payment_complete(&mut self, transaction: &str, now: UnixTime) {
        if !transaction.is_empty() {
            transaction.clone_into(&mut self.transaction_id);
        }
        self.set_status(if self.needs_processing { "processing" } else { "completed" }, now);
    }

    /// Writes a row by its id, or by its key, or adds one; whether anything is another than before.
    pub(super) fn put_meta(&mut self, id: Option<u64>, key: &str, value: &Value) -> bool {
        let known = self.meta.iter_mut().find(|row| match id {
            Some(id) => row.id == id,
            None => row.key == key,
        });
        match known {
            Some(row) if row.value == *value => false,
            Some(row) => {
                row.value = value.clone();
                true
            }
            None => {
                let id = self.next_id();
                self.meta.push(MetaRow { id, key: key.to_owned(), value: value.clone() });
                true
            }
        }
    }

    /// Adds a note; its id.
    pub(super) fn note(&mut self, text: &str, customer: bool, at: UnixTime) -> u64 {
        let id = self.next_id();
        self.notes.push(NoteRow { id, text: text.to_owned(), customer, at });
        id
    }

    /// Given back so far.
    pub fn refunded(&self) -> i64 {
        self.refunds.iter().map(|row| row.amount).sum()
    }

    /// A row's value as text.
    pub fn meta_text(&self, key: &str) -> Option<&str> {
        self.meta.iter().find(|row| row.key == key).and_then(|row| row.value.as_str())
    }

    /// Notes that went to the buyer.
    pub fn mails(&self) -> Vec<&str> {
        self.notes.iter().filter(|n| n.customer).map(|n| n.text.as_str()).collect()
    }

    /// What staff did to the order in the book is done here too.
    pub(super) fn follow(&mut self, order: &Order, now: UnixTime) {
        if meaning(&self.status) == order.status {
            return;
        }
        let status = match &order.status {
            OrderStatus::Open if self.paid_at.is_some() => "processing",
            OrderStatus::Open => "pending",
            OrderStatus::OnHold => "on-hold",
            OrderStatus::Cancelled => "cancelled",
            OrderStatus::Fulfilled => "completed",
            OrderStatus::Other(word) => word.as_str(),
        };
        self.set_status(status, now);
    }
}
