//! The bytes of a packed order: small numbers in few bytes, words by number, texts with their length.
//!
//! Invariant: reading never panics; past the end there are zeros and empty texts.

use super::is_money;
use crate::domain::fact::{ChargeView, RefundView};
use crate::domain::money::Currency;
use crate::domain::time::UnixTime;

/// Flag of an order, its row's first byte: all its objects at Stripe were looked for.
pub(super) const COMPLETE: u8 = 1;
/// Flags of an object: the other side showed it; it is money (a refund: it counts); it was captured.
pub(super) const SEEN: u8 = 1;
const MONEY: u8 = 2;
const CAPTURED: u8 = 4;

/// 64 bits, seven a byte.
const BITS_BYTES_MAX: usize = 10;

/// What many rows share: where a key begins, statuses, currencies. There are few of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Words {
    words: Vec<String>,
    currencies: Vec<Currency>,
}

impl Words {
    pub(super) fn number(&mut self, word: &str) -> usize {
        self.words.iter().position(|w| w == word).unwrap_or_else(|| {
            self.words.push(word.to_owned());
            self.words.len() - 1
        })
    }

    pub(super) fn number_of(&mut self, currency: Currency) -> usize {
        self.currencies.iter().position(|c| *c == currency).unwrap_or_else(|| {
            self.currencies.push(currency);
            self.currencies.len() - 1
        })
    }

    pub(super) fn word(&self, number: usize) -> &str {
        self.words.get(number).map_or("", String::as_str)
    }

    fn currency(&self, number: usize) -> Option<Currency> {
        self.currencies.get(number).copied()
    }
}

/// Appends to a row.
pub(super) struct Writer<'a>(pub(super) &'a mut Vec<u8>);

impl Writer<'_> {
    pub(super) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    /// Seven bits a byte, the low ones first.
    fn bits(&mut self, mut bits: u64) {
        while bits > 0x7f {
            self.0.push(u8::try_from(bits & 0x7f).unwrap_or(0) | 0x80);
            bits >>= 7;
        }
        self.0.push(u8::try_from(bits).unwrap_or(0));
    }

    pub(super) fn count(&mut self, count: usize) {
        self.bits(count as u64);
    }

    /// The sign goes to the lowest bit: small negative numbers are short as well.
    pub(super) fn number(&mut self, number: i64) {
        self.bits(number.unsigned_abs().wrapping_shl(1).wrapping_sub(u64::from(number < 0)));
    }

    pub(super) fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(super) fn charge(&mut self, charge: &ChargeView, currency: usize) {
        let money = if is_money(charge) { MONEY } else { 0 };
        self.byte(money | if charge.captured { CAPTURED } else { 0 });
        self.text(&charge.id);
        self.text(&charge.intent);
        self.number(charge.amount);
        self.number(charge.amount_captured);
        self.count(currency);
        self.number(charge.created.0);
    }

    pub(super) fn refund(&mut self, refund: &RefundView, (currency, status): (usize, usize)) {
        self.byte(if refund.counts() { MONEY } else { 0 });
        self.text(&refund.id);
        self.text(&refund.charge);
        self.number(refund.amount);
        self.count(currency);
        self.count(status);
    }
}

/// What was written as a text.
pub(super) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// Reads from a row on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn byte(&mut self) -> u8 {
        let byte = self.bytes.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        byte
    }

    fn bits(&mut self) -> u64 {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let (mut bits, mut shift) = (0, 0);
        for byte in rest.iter().take(BITS_BYTES_MAX) {
            self.at += 1;
            bits |= u64::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                break;
            }
            shift += 7;
        }
        bits
    }

    pub(super) fn count(&mut self) -> usize {
        usize::try_from(self.bits()).unwrap_or(0)
    }

    fn number(&mut self) -> i64 {
        let bits = self.bits();
        let half = i64::try_from(bits >> 1).unwrap_or(i64::MAX);
        if bits & 1 == 0 { half } else { -half - 1 }
    }

    pub(super) fn bytes(&mut self) -> &'a [u8] {
        let end = self.count().saturating_add(self.at);
        let bytes = self.bytes.get(self.at..end).unwrap_or_default();
        self.at = end;
        bytes
    }
}

/// An order as its row has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a> {
    shop: &'a str,
    id: &'a [u8],
    pub(super) complete: bool,
    pub(super) currency: Option<Currency>,
    pub(super) total: i64,
    pub(super) status: &'a str,
    pub(super) view_at: UnixTime,
    pub(super) captured: i64,
    pub(super) returned: i64,
    pub(super) customer: Option<&'a [u8]>,
    charges: usize,
    refunds: usize,
    rest: Reader<'a>,
    words: &'a Words,
}

/// A charge of ours.
#[derive(Clone, Copy, Debug)]
pub(super) struct KnownCharge<'a> {
    pub(super) flags_at: usize,
    pub(super) seen: bool,
    pub(super) money: bool,
    pub(super) captured: bool,
    pub(super) id: &'a [u8],
    pub(super) intent: &'a [u8],
    pub(super) amount: i64,
    pub(super) taken: i64,
    pub(super) currency: Currency,
    pub(super) created: UnixTime,
}

/// A refund of ours.
#[derive(Clone, Copy, Debug)]
pub(super) struct KnownRefund<'a> {
    pub(super) flags_at: usize,
    pub(super) seen: bool,
    pub(super) counts: bool,
    pub(super) id: &'a [u8],
    pub(super) charge: &'a [u8],
    pub(super) amount: i64,
    pub(super) currency: Currency,
    pub(super) status: &'a str,
}

impl<'a> Known<'a> {
    pub(super) fn read(mut row: Reader<'a>, words: &'a Words) -> Self {
        let flags = row.byte();
        Self {
            shop: words.word(row.count()),
            id: row.bytes(),
            complete: flags & COMPLETE != 0,
            currency: row.count().checked_sub(1).and_then(|n| words.currency(n)),
            total: row.number(),
            status: words.word(row.count()),
            view_at: UnixTime(row.number()),
            captured: row.number(),
            returned: row.number(),
            customer: Some(row.bytes()).filter(|text| !text.is_empty()),
            charges: row.count(),
            refunds: row.count(),
            rest: row,
            words,
        }
    }

    pub(super) fn key(&self) -> String {
        format!("{}#{}", self.shop, text(self.id))
    }

    pub(super) fn charges(&self) -> impl Iterator<Item = KnownCharge<'a>> + use<'a> {
        let (mut row, words) = (self.rest, self.words);
        (0..self.charges).map_while(move |_| row.charge(words))
    }

    pub(super) fn charge(&self, id: &str) -> Option<KnownCharge<'a>> {
        self.charges().find(|c| c.id == id.as_bytes())
    }

    pub(super) fn refund(&self, id: &str) -> Option<KnownRefund<'a>> {
        self.refunds().find(|r| r.id == id.as_bytes())
    }

    /// What stands behind the charges.
    fn behind(&self) -> Reader<'a> {
        let mut row = self.rest;
        for _ in 0..self.charges {
            row.charge(self.words);
        }
        row
    }

    pub(super) fn refunds(&self) -> impl Iterator<Item = KnownRefund<'a>> + use<'a> {
        // Most orders have none, and their charges need not be passed.
        let (mut row, words) = (if self.refunds == 0 { self.rest } else { self.behind() }, self.words);
        (0..self.refunds).map_while(move |_| row.refund(words))
    }

    /// Intents that none of its charges names, read one by one: `each` says when to stop. And where the row ends.
    fn intents(&self, mut each: impl FnMut(&[u8]) -> bool) -> usize {
        let mut row = self.behind();
        for _ in 0..self.refunds {
            row.refund(self.words);
        }
        for _ in 0..row.count() {
            if each(row.bytes()) {
                break;
            }
        }
        row.at
    }

    /// Where the row ends.
    pub(super) fn end(&self) -> usize {
        self.intents(|_| false)
    }

    /// Whether this is an id of one of its charges, intents or refunds.
    pub(super) fn has(&self, id: &str) -> bool {
        let mut found = false;
        self.intents(|intent| {
            found = intent == id.as_bytes();
            found
        });
        let id = id.as_bytes();
        found || self.charges().any(|c| c.id == id || c.intent == id) || self.refunds().any(|r| r.id == id)
    }
}

impl<'a> Reader<'a> {
    fn charge(&mut self, words: &Words) -> Option<KnownCharge<'a>> {
        let flags_at = self.at;
        let flags = self.byte();
        let (id, intent) = (self.bytes(), self.bytes());
        let (amount, taken) = (self.number(), self.number());
        let currency = words.currency(self.count());
        let created = UnixTime(self.number());
        Some(KnownCharge {
            flags_at,
            seen: flags & SEEN != 0,
            money: flags & MONEY != 0,
            captured: flags & CAPTURED != 0,
            id,
            intent,
            amount,
            taken,
            currency: currency?,
            created,
        })
    }

    fn refund(&mut self, words: &'a Words) -> Option<KnownRefund<'a>> {
        let flags_at = self.at;
        let flags = self.byte();
        let (id, charge, amount) = (self.bytes(), self.bytes(), self.number());
        let (currency, status) = (words.currency(self.count()), words.word(self.count()));
        Some(KnownRefund {
            flags_at,
            seen: flags & SEEN != 0,
            counts: flags & MONEY != 0,
            id,
            charge,
            amount,
            currency: currency?,
            status,
        })
    }
}
