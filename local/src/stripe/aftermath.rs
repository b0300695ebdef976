//! Refunds, disputes and payouts: what happens to money after it came in.
//!
//! Invariant: refunds that are not failed never exceed what was captured.

use serde_json::{Value, json};

use super::cards::Behaviour;
use super::error::ApiError;
use super::money;
use super::objects::{Dispute, EvidenceDetails, Metadata, Object, Payout, Refund};
use super::world::{Booking, Later, World};

/// How long a pending refund is pending, and how soon a failing one fails.
const REFUND_FATE: i64 = 60;
/// Days to answer a dispute.
const ANSWER: i64 = 9 * 86_400;
/// How long a payout travels.
const PAYOUT: i64 = 2 * 86_400;

/// A refund that is asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct RefundRequest {
    pub(crate) charge: String,
    pub(crate) amount: Option<i64>,
    pub(crate) reason: Option<String>,
    pub(crate) metadata: Metadata,
}

impl World {
    /// Refunds a charge and returns the refund's id.
    pub(crate) fn refund(&mut self, ask: &RefundRequest) -> Result<String, ApiError> {
        let Some(charge) = self.charges.get(&ask.charge).cloned() else {
            return Err(ApiError::missing_param("charge", "charge", &ask.charge));
        };
        if charge.status == "failed" || !charge.captured {
            let text = format!(
                "Charge {} is not refundable: it was not captured. Cancel the PaymentIntent instead.",
                charge.id
            );
            return Err(ApiError::state("charge_not_refundable", &text));
        }
        let locked = self.disputes.rows().iter().any(|d| {
            d.charge == charge.id
                && !d.is_charge_refundable
                && d.status != "won"
                && d.status != "warning_closed"
        });
        if locked {
            let text = format!("Charge {} has been charged back; cannot issue a refund.", charge.id);
            return Err(ApiError::state("charge_disputed", &text));
        }
        let left = charge.refundable();
        if left <= 0 {
            let text = format!("Charge {} has already been refunded.", charge.id);
            return Err(ApiError::state("charge_already_refunded", &text));
        }
        let amount = ask.amount.unwrap_or(left);
        if amount <= 0 {
            return Err(ApiError::param(
                "parameter_invalid_integer",
                "amount",
                "This value must be greater than or equal to 1.",
            ));
        }
        money::representable(amount, &charge.currency, "amount")?;
        if amount > left {
            let text = format!(
                "Refund amount ({}) is greater than unrefunded amount on charge ({})",
                money::print(amount, &charge.currency),
                money::print(left, &charge.currency)
            );
            return Err(ApiError::plain_param("amount", &text).executed());
        }
        let behaviour =
            charge.payment_method.as_deref().and_then(|m| self.methods.get(m)).map(|m| m.test.behaviour);
        let pending = behaviour == Some(Behaviour::PendingRefund);
        let id = self.new_refund(&charge.id, amount, ask, pending);
        if !pending {
            self.refund_transaction(&id);
        }
        if let Some(row) = self.charges.get_mut(&charge.id) {
            row.amount_refunded += amount;
            row.refunded = row.refundable() == 0;
        }
        self.emit_refund("refund.created", &id, None);
        self.emit_charge("charge.refunded", &charge.id);
        match behaviour {
            Some(Behaviour::PendingRefund) => self.plan(REFUND_FATE, Later::FinishRefund(id.clone(), true)),
            Some(Behaviour::FailingRefund) => self.plan(REFUND_FATE, Later::FinishRefund(id.clone(), false)),
            _ => {}
        }
        Ok(id)
    }

    fn new_refund(&mut self, charge: &str, amount: i64, ask: &RefundRequest, pending: bool) -> String {
        let id = self.id("re_3");
        let created = self.now();
        let Some(c) = self.charges.get(charge).cloned() else { return id };
        self.refunds.insert(Refund {
            id: id.clone(),
            created,
            amount,
            balance_transaction: None,
            charge: c.id,
            currency: c.currency,
            customer: c.customer,
            destination_details: json!({
                "type": "card",
                "card": { "type": "refund", "reference_status": "pending", "reference_type": "acquirer_reference_number" },
            }),
            failure_balance_transaction: None,
            failure_reason: None,
            instructions_email: None,
            metadata: ask.metadata.clone(),
            payment_intent: c.payment_intent,
            payment_method: c.payment_method,
            pending_reason: pending.then(|| "processing".into()),
            reason: ask.reason.clone(),
            status: if pending { "pending" } else { "succeeded" }.into(),
            release: false,
        });
        id
    }

    fn refund_transaction(&mut self, refund: &str) {
        let Some(r) = self.refunds.get(refund).cloned() else { return };
        let txn = self.book(Booking {
            amount: -r.amount,
            fee: 0,
            currency: &r.currency,
            kind: "refund",
            category: "refund",
            source: &r.id,
            description: Some("REFUND FOR CHARGE"),
            available_after: 0,
        });
        if let Some(row) = self.refunds.get_mut(refund) {
            row.balance_transaction = Some(txn);
        }
    }

    /// A pending refund succeeds, or one that had succeeded fails.
    pub(crate) fn finish_refund(&mut self, refund: &str, succeeded: bool) {
        let Some(r) = self.refunds.get(refund).cloned() else { return };
        if succeeded && r.status == "pending" {
            self.refund_transaction(refund);
            if let Some(row) = self.refunds.get_mut(refund) {
                row.status = "succeeded".into();
                row.pending_reason = None;
            }
            self.emit_refund("refund.updated", refund, Some(json!({ "status": "pending" })));
        } else if !succeeded && (r.status == "succeeded" || r.status == "pending") {
            self.fail_refund(&r);
        }
    }

    fn fail_refund(&mut self, r: &Refund) {
        let back = r.balance_transaction.is_some().then(|| {
            self.book(Booking {
                amount: r.amount,
                fee: 0,
                currency: &r.currency,
                kind: "refund_failure",
                category: "refund_failure",
                source: &r.id,
                description: Some("REFUND FAILURE"),
                available_after: 0,
            })
        });
        if let Some(row) = self.refunds.get_mut(&r.id) {
            row.status = "failed".into();
            row.pending_reason = None;
            row.failure_reason = Some("expired_or_canceled_card".into());
            row.failure_balance_transaction = back;
        }
        if let Some(row) = self.charges.get_mut(&r.charge) {
            row.amount_refunded -= r.amount;
            row.refunded = false;
        }
        self.emit_refund("refund.failed", &r.id, Some(json!({ "status": r.status })));
    }

    /// Lets go of authorised money: the charge shows it as refunded although none moved.
    pub(crate) fn release(&mut self, charge: &str, amount: i64) {
        let ask =
            RefundRequest { reason: Some("expired_uncaptured_charge".into()), ..RefundRequest::default() };
        let id = self.new_refund(charge, amount, &ask, false);
        if let Some(row) = self.refunds.get_mut(&id) {
            row.release = true;
        }
        if let Some(row) = self.charges.get_mut(charge) {
            row.amount_refunded += amount;
            row.released += amount;
            row.refunded = row.amount_refunded == row.amount;
        }
        self.emit_refund("refund.created", &id, None);
        self.emit_charge("charge.refunded", charge);
    }

    /// The card's holder disputes a charge (or only asks: an inquiry moves no money).
    pub(crate) fn open_dispute(
        &mut self,
        charge: &str,
        reason: &str,
        inquiry: bool,
        amount: Option<i64>,
    ) -> Option<String> {
        let c = self.charges.get(charge).filter(|c| c.captured).cloned()?;
        let id = self.id("du_1");
        let amount = amount.unwrap_or_else(|| c.refundable());
        let withdrawal = (!inquiry).then(|| self.dispute_transaction(&id, -amount, &c.currency, "dispute"));
        let created = self.now();
        self.disputes.insert(Dispute {
            id: id.clone(),
            created,
            amount,
            balance_transactions: withdrawal.into_iter().collect(),
            charge: c.id.clone(),
            currency: c.currency.clone(),
            evidence: json!({}),
            evidence_details: EvidenceDetails {
                due_by: Some(created + ANSWER),
                enhanced_eligibility: json!({}),
                has_evidence: false,
                past_due: false,
                submission_count: 0,
                submission_method: "not_submitted".into(),
            },
            is_charge_refundable: inquiry,
            metadata: Metadata::new(),
            payment_intent: c.payment_intent.clone(),
            payment_method_details: json!({ "type": "card", "card": {
                "brand": "visa", "network": "visa",
                "case_type": if inquiry { "inquiry" } else { "chargeback" },
                "network_reason_code": "10.4",
            } }),
            reason: reason.into(),
            status: if inquiry { "warning_needs_response" } else { "needs_response" }.into(),
        });
        if let Some(row) = self.charges.get_mut(charge) {
            row.disputed = true;
        }
        self.emit_dispute("charge.dispute.created", &id);
        if !inquiry {
            self.emit_dispute("charge.dispute.funds_withdrawn", &id);
        }
        Some(id)
    }

    /// Books a dispute's money and returns the transaction's shape.
    fn dispute_transaction(&mut self, dispute: &str, amount: i64, currency: &str, category: &str) -> Value {
        let txn = self.book(Booking {
            amount,
            fee: if amount < 0 { money::dispute_fee(currency) } else { 0 },
            currency,
            kind: "adjustment",
            category,
            source: dispute,
            description: Some("Chargeback"),
            available_after: 0,
        });
        self.transactions.get(&txn).map(Object::render).unwrap_or_default()
    }

    fn emit_dispute(&mut self, kind: &str, id: &str) {
        if let Some(object) = self.disputes.get(id).map(Object::render) {
            self.emit(kind, &object, None);
        }
    }

    /// The bank has decided.
    pub(crate) fn close_dispute(&mut self, dispute: &str, won: bool) {
        let Some(d) = self.disputes.get(dispute).cloned() else { return };
        if matches!(d.status.as_str(), "won" | "lost" | "warning_closed") {
            return;
        }
        let inquiry = d.status.starts_with("warning");
        let back = (won && !inquiry)
            .then(|| self.dispute_transaction(dispute, d.amount, &d.currency, "dispute_reversal"));
        if let Some(row) = self.disputes.get_mut(dispute) {
            row.status = match (inquiry, won) {
                (true, _) => "warning_closed",
                (false, true) => "won",
                (false, false) => "lost",
            }
            .into();
            row.balance_transactions.extend(back.clone());
        }
        if back.is_some() {
            self.emit_dispute("charge.dispute.funds_reinstated", dispute);
        }
        self.emit_dispute("charge.dispute.closed", dispute);
    }

    /// Evidence was handed in: the documented texts decide how it ends.
    pub(crate) fn submit_evidence(&mut self, dispute: &str) {
        let Some(row) = self.disputes.get_mut(dispute) else { return };
        row.evidence_details.submission_count += 1;
        row.evidence_details.submission_method = "manual".into();
        let text =
            row.evidence.get("uncategorized_text").and_then(Value::as_str).unwrap_or_default().to_owned();
        row.status =
            if row.status.starts_with("warning") { "warning_under_review" } else { "under_review" }.into();
        self.emit_dispute("charge.dispute.updated", dispute);
        match text.as_str() {
            "winning_evidence" => self.plan(REFUND_FATE, Later::CloseDispute(dispute.to_owned(), true)),
            "losing_evidence" => self.plan(REFUND_FATE, Later::CloseDispute(dispute.to_owned(), false)),
            _ => {}
        }
    }

    /// Something of a dispute changed that moves no money.
    pub(crate) fn dispute_updated(&mut self, dispute: &str) {
        self.emit_dispute("charge.dispute.updated", dispute);
    }

    /// Pays out what is available in a currency. None when there is nothing.
    pub(crate) fn pay_out(&mut self, currency: &str) -> Option<String> {
        let rows: Vec<(String, i64)> = self
            .transactions
            .rows()
            .iter()
            .filter(|t| {
                t.currency == currency && t.status == "available" && t.payout.is_none() && t.kind != "payout"
            })
            .map(|t| (t.id.clone(), t.net))
            .collect();
        let amount: i64 = rows.iter().map(|(_, net)| net).sum();
        if rows.is_empty() || amount == 0 {
            return None;
        }
        let id = self.id("po_1");
        let destination = self.id("ba_1");
        let txn = self.book(Booking {
            amount: -amount,
            fee: 0,
            currency,
            kind: "payout",
            category: "payout",
            source: &id,
            description: Some("STRIPE PAYOUT"),
            available_after: 0,
        });
        for (row, _) in &rows {
            if let Some(t) = self.transactions.get_mut(row) {
                t.payout = Some(id.clone());
            }
        }
        if let Some(t) = self.transactions.get_mut(&txn) {
            t.payout = Some(id.clone());
        }
        let created = self.now();
        self.payouts.insert(Payout {
            id: id.clone(),
            created,
            amount,
            arrival_date: created + PAYOUT,
            automatic: true,
            balance_transaction: Some(txn),
            currency: currency.into(),
            destination: Some(destination),
            failure_balance_transaction: None,
            failure_code: None,
            failure_message: None,
            metadata: Metadata::new(),
            reconciliation_status: "completed".into(),
            status: "in_transit".into(),
        });
        self.emit_payout("payout.created", &id);
        self.emit_payout("payout.reconciliation_completed", &id);
        self.plan(PAYOUT, Later::PayoutPaid(id.clone()));
        Some(id)
    }

    fn emit_payout(&mut self, kind: &str, id: &str) {
        if let Some(object) = self.payouts.get(id).map(Object::render) {
            self.emit(kind, &object, None);
        }
    }

    /// The money is at the bank.
    pub(crate) fn payout_paid(&mut self, payout: &str) {
        let travelling = self.payouts.get_mut(payout).filter(|p| p.status == "in_transit");
        if let Some(row) = travelling {
            row.status = "paid".into();
            self.emit_payout("payout.paid", payout);
        }
    }

    /// The bank sends a payout back, paid or not.
    pub(crate) fn fail_payout(&mut self, payout: &str) {
        let Some(p) = self.payouts.get(payout).filter(|p| p.status != "failed").cloned() else { return };
        let back = self.book(Booking {
            amount: p.amount,
            fee: 0,
            currency: &p.currency,
            kind: "payout_failure",
            category: "payout_reversal",
            source: payout,
            description: Some("STRIPE PAYOUT FAILURE"),
            available_after: 0,
        });
        if let Some(row) = self.payouts.get_mut(payout) {
            row.status = "failed".into();
            row.failure_code = Some("account_closed".into());
            row.failure_message = Some("The bank account has been closed.".into());
            row.failure_balance_transaction = Some(back);
        }
        self.emit_payout("payout.failed", payout);
    }
}
