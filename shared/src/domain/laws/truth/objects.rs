//! What the order system and Stripe hold, and how they let it change.

use std::collections::BTreeMap;

use crate::domain::fact::{ChargeView, DisputeView, IntentView, OrderView, RefundView, SessionView, What};
use crate::domain::money::Currency;
use crate::domain::order::{OrderStatus, RefundRequest, ReportedRefund};
use crate::domain::plan::tests::kit::{START, charge_view, eur, order};
use crate::domain::policy::decline::Decline;
use crate::domain::state::State;
use crate::domain::time::Seconds;

/// Where somebody is told to look.
#[derive(Clone, Debug)]
pub(super) enum Hint {
    Order,
    Session(String),
    Intent(String),
    Charge(String),
    Refunds(String),
    Dispute(String),
}

/// What the order system and Stripe hold.
#[derive(Clone)]
pub(super) struct Truth {
    pub(super) order: OrderView,
    pub(super) sessions: BTreeMap<String, SessionView>,
    pub(super) intents: BTreeMap<String, IntentView>,
    pub(super) charges: BTreeMap<String, ChargeView>,
    pub(super) refunds: BTreeMap<String, RefundView>,
    pub(super) disputes: BTreeMap<String, DisputeView>,
}

pub(super) fn nth<K: Clone, V: Clone>(map: &BTreeMap<K, V>, n: u8) -> Option<(K, V)> {
    map.iter().nth(usize::from(n) % map.len().max(1)).map(|(k, v)| (k.clone(), v.clone()))
}

impl Truth {
    pub(super) fn new() -> Self {
        Self {
            order: order(1000),
            sessions: BTreeMap::new(),
            intents: BTreeMap::new(),
            charges: BTreeMap::new(),
            refunds: BTreeMap::new(),
            disputes: BTreeMap::new(),
        }
    }

    pub(super) fn see_intent(&self, id: &str) -> Vec<What> {
        let Some(intent) = self.intents.get(id) else { return Vec::new() };
        let newest = intent.latest_charge.as_ref().and_then(|c| self.charges.get(c));
        let intent = What::IntentSeen(intent.clone());
        [intent].into_iter().chain(newest.cloned().map(What::ChargeSeen)).collect()
    }

    /// What a hand reads on a hint, as the hands do.
    pub(super) fn read(&self, hint: &Hint, state: &State) -> Vec<What> {
        match hint {
            Hint::Order => vec![What::OrderSeen(Box::new(self.order.clone()))],
            Hint::Session(id) => {
                let session = &self.sessions[id];
                let mut out = vec![What::SessionSeen(session.clone())];
                out.extend(session.intent.iter().flat_map(|i| self.see_intent(i)));
                out
            }
            Hint::Intent(id) => self.see_intent(id),
            Hint::Charge(id) => {
                let charge = &self.charges[id];
                let mut out = Vec::new();
                if !state.charges.contains_key(id) {
                    out = self.see_intent(&charge.intent);
                }
                out.push(What::ChargeSeen(charge.clone()));
                out
            }
            Hint::Refunds(charge) => {
                let mut out = self.read(&Hint::Charge(charge.clone()), state);
                out.extend(
                    self.refunds.values().filter(|r| r.charge == *charge).cloned().map(What::RefundSeen),
                );
                out.extend(
                    self.disputes.values().filter(|d| d.charge == *charge).cloned().map(What::DisputeSeen),
                );
                out
            }
            Hint::Dispute(id) => {
                let dispute = &self.disputes[id];
                let mut out = self.read(&Hint::Charge(dispute.charge.clone()), state);
                out.push(What::DisputeSeen(dispute.clone()));
                out
            }
        }
    }

    /// Taken, returned, lost, and what each charge still holds, counted from the objects.
    pub(super) fn sums(&self) -> ([i64; 3], Vec<i64>) {
        let taken: Vec<_> = self.charges.values().filter(|c| c.captured && c.status == "succeeded").collect();
        let back = |id: &str| -> i64 {
            let made = self.refunds.values().filter(|r| r.charge == id && !r.id.contains("release"));
            made.filter(|r| ["pending", "succeeded"].contains(&r.status.as_str())).map(|r| r.amount).sum()
        };
        let lost = |c: &ChargeView| {
            let gone = self.disputes.values().any(|d| d.charge == c.id && d.status == "lost");
            if gone { c.amount_captured - back(&c.id) } else { 0 }
        };
        let left = taken.iter().map(|c| c.amount_captured - back(&c.id) - lost(c)).collect();
        let sum = |of: &dyn Fn(&ChargeView) -> i64| taken.iter().map(|c| of(c)).sum();
        ([sum(&|c| c.amount_captured), sum(&|c| back(&c.id)), sum(&lost)], left)
    }

    /// Everything there is.
    pub(super) fn all(&self) -> Vec<What> {
        let mut out = vec![What::OrderSeen(Box::new(self.order.clone()))];
        out.extend(self.sessions.values().cloned().map(What::SessionSeen));
        out.extend(self.intents.values().cloned().map(What::IntentSeen));
        out.extend(self.charges.values().cloned().map(What::ChargeSeen));
        out.extend(self.refunds.values().cloned().map(What::RefundSeen));
        out.extend(self.disputes.values().cloned().map(What::DisputeSeen));
        out
    }

    pub(super) fn change_order(&mut self, a: u8, b: u8) {
        self.order.version += 1;
        match a % 6 {
            0 | 1 => self.order.total = i64::from(b) * 10,
            2 => {
                self.order.status = [
                    OrderStatus::Cancelled,
                    OrderStatus::Open,
                    OrderStatus::Fulfilled,
                    OrderStatus::OnHold,
                    OrderStatus::Other("odd".into()),
                ][usize::from(b) % 5]
                    .clone();
            }
            3 => {
                let id = format!("r{}", self.order.refund_requests.len());
                let amount = Some(i64::from(b) + 1);
                self.order.refund_requests.push(RefundRequest { id, amount, reason: String::new() });
            }
            4 => {
                let id = format!("x{}", self.order.refunds.len());
                self.order.refunds.push(ReportedRefund { id, amount: i64::from(b) + 1, request: None });
                if b.is_multiple_of(4) {
                    self.order.currency = Currency::parse(["USD", "EUR"][usize::from(b / 4) % 2]).unwrap();
                }
            }
            _ => {
                self.order.deposit = b.is_multiple_of(2).then_some(i64::from(b));
                self.order.balance_due_at = Some(START + Seconds::days(i64::from(b % 3)));
            }
        }
    }

    /// A charge of an intent with the next id. Amounts as Stripe has them.
    pub(super) fn charge(&mut self, intent: &str, amount: i64, status: &str, captured: bool) -> String {
        let id = format!("ch_{:02}", self.charges.len());
        let seen = ChargeView {
            status: status.into(),
            captured,
            amount_captured: if captured { amount } else { 0 },
            decline: (status == "failed")
                .then(|| Decline { code: "card_declined".into(), ..Decline::default() }),
            ..charge_view(&id, intent, amount)
        };
        self.charges.insert(id.clone(), seen);
        id
    }

    /// The buyer or a bank acts on an intent; where it stands says what can happen.
    pub(super) fn confirm(&mut self, id: &str, how: u8) -> Option<Vec<Hint>> {
        let mut intent = self.intents[id].clone();
        let amount = intent.amount;
        let (status, charge) = match (intent.status.as_str(), how % 5) {
            ("succeeded" | "canceled", _) => return None,
            ("processing", 0..=2) => ("succeeded", None),
            ("processing", _) => ("requires_payment_method", None),
            ("requires_capture", 0..=2) => ("succeeded", None),
            ("requires_capture", _) => ("canceled", None),
            (_, 0) => ("succeeded", Some(self.charge(id, amount, "succeeded", true))),
            (_, 1) => ("processing", Some(self.charge(id, amount, "pending", true))),
            (_, 2) => ("requires_capture", Some(self.charge(id, amount, "succeeded", false))),
            (_, 3) => ("requires_action", None),
            (_, _) => ("requires_payment_method", Some(self.charge(id, amount, "failed", false))),
        };
        let mut released = None;
        if let Some(charge) = charge {
            intent.latest_charge = Some(charge);
        } else if let Some(charge) = intent.latest_charge.as_ref().and_then(|c| self.charges.get_mut(c)) {
            match (intent.status.as_str(), status) {
                ("processing", "succeeded") => charge.status = "succeeded".into(),
                ("processing", _) => {
                    (charge.status, charge.captured, charge.amount_captured) = ("failed".into(), false, 0)
                }
                ("requires_capture", "succeeded") => {
                    charge.captured = true;
                    // A part; the rest is released as a refund that nobody asked for.
                    charge.amount_captured = if how.is_multiple_of(2) { amount } else { amount / 2 };
                    charge.amount_refunded = amount - charge.amount_captured;
                    released = Some((charge.id.clone(), charge.amount_refunded));
                }
                ("requires_capture", _) => charge.amount_refunded = amount,
                _ => {}
            }
        }
        let taken =
            intent.latest_charge.as_ref().and_then(|c| self.charges.get(c)).map_or(0, |c| c.amount_captured);
        intent.amount_received = if status == "succeeded" { taken } else { 0 };
        intent.amount_capturable = if status == "requires_capture" { amount } else { 0 };
        status.clone_into(&mut intent.status);
        if let Some((charge, rest)) = released.filter(|(_, rest)| *rest > 0) {
            let refund = made(format!("re_release_{charge}"), &charge, rest, "succeeded");
            self.refunds.insert(refund.id.clone(), refund);
        }
        let complete = !matches!(status, "requires_payment_method" | "requires_action" | "canceled");
        let mut hints = vec![Hint::Intent(id.to_owned())];
        hints.extend(intent.latest_charge.clone().map(Hint::Charge));
        for session in self.sessions.values_mut().filter(|s| s.intent.as_deref() == Some(id)) {
            if complete && session.status == "open" {
                (session.status, session.url) = ("complete".into(), None);
                hints.push(Hint::Session(session.id.clone()));
            }
            if status == "succeeded" {
                session.payment_status = "paid".into();
            }
        }
        self.intents.insert(id.to_owned(), intent);
        Some(hints)
    }

    /// The buyer opens the page: its intent appears.
    pub(super) fn enter(&mut self, id: &str) -> Option<Vec<Hint>> {
        let session = self.sessions.get_mut(id).filter(|s| s.status == "open" && s.intent.is_none())?;
        let intent = format!("pi_{}", session.attempt);
        session.intent = Some(intent.clone());
        let amount = 1000;
        self.intents.insert(intent.clone(), fresh_intent(&intent, session.attempt, amount));
        Some(vec![Hint::Intent(intent)])
    }

    pub(super) fn expire(&mut self, id: &str) -> Option<Vec<Hint>> {
        let session = self.sessions.get_mut(id).filter(|s| s.status == "open")?;
        (session.status, session.url) = ("expired".into(), None);
        let mut hints = vec![Hint::Session(id.to_owned())];
        if let Some(intent) = session.intent.as_ref().and_then(|i| self.intents.get_mut(i)) {
            "canceled".clone_into(&mut intent.status);
            hints.push(Hint::Intent(intent.id.clone()));
        }
        Some(hints)
    }

    pub(super) fn give_back(&mut self, a: u8, b: u8) -> Option<Vec<Hint>> {
        let (id, charge) = nth(&self.charges, a).filter(|(_, c)| c.took())?;
        let back =
            self.refunds.values().filter(|r| r.charge == id && r.counts() && !r.id.contains("release"));
        let amount = (charge.amount_captured - back.map(|r| r.amount).sum::<i64>()).min(i64::from(b) * 3);
        if amount <= 0 {
            return None;
        }
        let status = if b.is_multiple_of(2) { "pending" } else { "succeeded" };
        let mut refund = made(format!("re_{:02}", self.refunds.len()), &id, amount, status);
        refund.request = b.is_multiple_of(4).then(|| format!("shop:r{}", b % 3));
        self.charges.get_mut(&id)?.amount_refunded += amount;
        self.refunds.insert(refund.id.clone(), refund);
        Some(vec![Hint::Refunds(id)])
    }

    /// Refunds move on: a pending one ends either way, a made one may fail later.
    pub(super) fn move_refund(&mut self, a: u8, b: u8) -> Option<Vec<Hint>> {
        let (id, mut refund) = nth(&self.refunds, a).filter(|(id, _)| !id.contains("release"))?;
        let next = match (refund.status.as_str(), b % 3) {
            ("pending", 0) => "succeeded",
            ("pending", 1) => "canceled",
            ("pending" | "succeeded", 2) => "failed",
            _ => return None,
        };
        next.clone_into(&mut refund.status);
        if next != "succeeded" {
            self.charges.get_mut(&refund.charge)?.amount_refunded -= refund.amount;
        }
        let charge = refund.charge.clone();
        self.refunds.insert(id, refund);
        Some(vec![Hint::Refunds(charge)])
    }

    pub(super) fn dispute(&mut self, a: u8, b: u8) -> Option<Vec<Hint>> {
        if b.is_multiple_of(2) {
            let (id, charge) = nth(&self.charges, a).filter(|(_, c)| c.took())?;
            let dispute = DisputeView {
                id: format!("dp_{id}"),
                charge: id.clone(),
                amount: charge.amount_captured,
                currency: eur(),
                status: if b.is_multiple_of(8) {
                    "warning_needs_response".into()
                } else {
                    "needs_response".into()
                },
                reason: "fraudulent".into(),
                due_by: None,
            };
            self.charges.get_mut(&id)?.disputed = true;
            let hint = Hint::Dispute(dispute.id.clone());
            self.disputes.entry(dispute.id.clone()).or_insert(dispute);
            return Some(vec![hint]);
        }
        let (id, dispute) = nth(&self.disputes, a)?;
        let next = match (dispute.status.as_str(), b % 3) {
            ("warning_needs_response", 0) => "warning_closed",
            ("warning_needs_response", _) => "needs_response",
            ("needs_response", 0) => "under_review",
            ("needs_response" | "under_review", 1) => "won",
            ("needs_response" | "under_review", 2) => "lost",
            ("lost", 1) => "won",
            _ => return None,
        };
        next.clone_into(&mut self.disputes.get_mut(&id)?.status);
        Some(vec![Hint::Dispute(id)])
    }
}

fn made(id: String, charge: &str, amount: i64, status: &str) -> RefundView {
    RefundView {
        id,
        charge: charge.into(),
        amount,
        currency: eur(),
        status: status.into(),
        request: None,
        reason: None,
        failure_reason: None,
    }
}

pub(super) fn fresh_intent(id: &str, attempt: u32, amount: i64) -> IntentView {
    IntentView {
        id: id.into(),
        attempt,
        status: "requires_payment_method".into(),
        amount,
        amount_capturable: 0,
        amount_received: 0,
        currency: eur(),
        latest_charge: None,
        cancellation_reason: None,
        decline: None,
        review: None,
    }
}
