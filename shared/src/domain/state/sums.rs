//! Sums of money over the state, and the view that the order system is told. All results are ISO minor units.

use super::{Phase, State};
use crate::domain::fact::{EffectResult, Origin, RefundView};
use crate::domain::money::{Currency, Money};
use crate::domain::order::{Collection, OrderStatus};
use crate::domain::time::UnixTime;
use crate::domain::view::{PaymentStatus, PaymentView, RefundLine};

/// A wish of the shop that no one charge holds is asked for in parts: their ids begin with this and the part's number.
pub(crate) const PART: &str = "part:";

/// The id of the wish that a request is part of, or its own.
pub(crate) fn whole_of(request: &str) -> &str {
    let number = request.strip_prefix(PART).and_then(|rest| rest.split_once(':'));
    number.map_or(request, |(_, whole)| whole)
}

/// No amount at Stripe is larger: what claims to be counts as this much, so that no sum overflows.
pub(super) const AMOUNT_MAX: i64 = 1_000_000_000_000_000;

/// Stripe's integer as ISO minor units, at least 0. What ISO cannot express is cut, never taken for nothing.
fn iso(amount: i64, currency: Currency) -> i64 {
    let minor = Money::from_stripe(amount, currency).map_or_else(
        |_| amount / 10_i64.pow(currency.stripe_exponent().saturating_sub(currency.iso_exponent())),
        |m| m.minor,
    );
    minor.clamp(0, AMOUNT_MAX)
}

impl State {
    /// Captured in all, refunds not subtracted. An intent that succeeded counts before its charge is seen.
    pub fn captured(&self) -> i64 {
        let charged: i64 =
            self.charges.values().filter(|c| c.took()).map(|c| iso(c.amount_captured, c.currency)).sum();
        let uncharged: i64 = self
            .intents
            .values()
            .filter(|i| !self.charges.values().any(|c| c.took() && c.intent == i.id))
            .map(|i| iso(i.amount_received, i.currency))
            .sum();
        charged + uncharged
    }

    /// Refunds that were made and whose objects nobody has read since, on one charge.
    fn unread_refunds_on(&self, charge: &str) -> i64 {
        self.requests
            .values()
            .filter(|r| matches!(&r.result, Some(EffectResult::Done { object }) if !self.refunds.contains_key(object)))
            .filter(|r| r.refunded_charge.as_deref() == Some(charge))
            .map(|r| r.amount)
            .sum()
    }

    /// Refunds of a charge that count, without the release of what was not captured.
    pub fn refunds_of<'a>(&'a self, charge: &'a str) -> impl Iterator<Item = &'a RefundView> {
        let (released, captured) = self
            .charges
            .get(charge)
            .map_or((0, true), |c| (c.amount.saturating_sub(c.amount_captured), c.took()));
        let mut release_left = captured && released > 0;
        self.refunds.values().filter(move |r| r.charge == charge && r.counts() && captured).filter(move |r| {
            let is_release = release_left && r.request.is_none() && r.amount == released;
            if is_release {
                release_left = false;
            }
            !is_release
        })
    }

    /// Given back on one charge, pending ones included.
    pub fn refunded_on(&self, charge: &str) -> i64 {
        self.refunds_of(charge).map(|r| iso(r.amount, r.currency)).sum()
    }

    /// Given back over all charges, pending ones included.
    pub fn refunded(&self) -> i64 {
        self.charges.keys().map(|c| self.refunded_on(c)).sum()
    }

    /// Taken on one charge.
    fn captured_on(&self, charge: &str) -> i64 {
        self.charges.get(charge).filter(|c| c.took()).map_or(0, |c| iso(c.amount_captured, c.currency))
    }

    /// Lost in disputes on one charge, at most what it still held. A dispute in another currency than its charge's
    /// cannot be set against it: the whole counts as lost.
    fn lost_on(&self, charge: &str) -> i64 {
        let held = (self.captured_on(charge) - self.refunded_on(charge)).max(0);
        let currency = self.charges.get(charge).map(|c| c.currency);
        let lost = self.disputes.values().filter(|d| d.charge == charge && d.is_lost());
        let amounts =
            lost.map(|d| if Some(d.currency) == currency { iso(d.amount, d.currency) } else { held });
        amounts.fold(0, |sum, amount| (sum + amount).min(held))
    }

    /// Lost in disputes, at most what the charges still held.
    pub fn lost(&self) -> i64 {
        self.charges.keys().map(|c| self.lost_on(c)).sum()
    }

    /// What one charge still holds that could be refunded.
    pub fn left_on(&self, charge: &str) -> i64 {
        let gone = self.refunded_on(charge) + self.unread_refunds_on(charge) + self.lost_on(charge);
        (self.captured_on(charge) - gone).max(0)
    }

    /// Refunds of a charge that are claimed, or were before their key was rolled, and have no outcome; without `but`.
    pub fn in_flight_on(&self, charge: &str, but: &str) -> i64 {
        self.requests
            .values()
            .filter(|r| {
                r.id != but && r.refunded_charge.as_deref() == Some(charge) && self.request_open(&r.id)
            })
            .map(|r| r.amount)
            .sum()
    }

    /// Asked for and neither made nor ended: shrinks what may be asked besides.
    pub fn asked(&self) -> i64 {
        self.requests.values().filter(|r| self.request_open(&r.id)).map(|r| r.amount).sum()
    }

    /// Whether a request still waits for its refund.
    pub fn request_open(&self, id: &str) -> bool {
        let Some(request) = self.requests.get(id) else { return false };
        let made = self.refund_exists(id);
        let denied = ["refund", "refund_impossible"]
            .iter()
            .any(|kind| self.decision(&format!("{kind}:{id}")) == Some(crate::domain::fact::Decision::Deny));
        let lapsed = self.cases.get(&format!("refund:{id}")).is_some_and(|c| c.lapsed);
        request.result.is_none() && !made && !denied && !lapsed
    }

    /// What is to be taken by `now` in all: the deposit first, the total from the balance date.
    pub fn target(&self, now: UnixTime) -> i64 {
        let Some(order) = &self.order else { return 0 };
        // What was taken counts up to the largest amount; what is to be taken must not lie beyond it.
        let total = order.total.min(AMOUNT_MAX);
        match (order.deposit, order.balance_due_at) {
            (Some(deposit), Some(due)) if now < due => deposit.clamp(0, total.max(0)),
            _ => total,
        }
    }

    /// Paid by other means, by the order system's own books: what they hold less our own record, at least 0.
    pub fn elsewhere(&self) -> i64 {
        self.elsewhere
    }

    /// What the books that were last seen hold beyond `ours`.
    pub(super) fn paid_beyond(&self, ours: i64) -> i64 {
        let paid = self.order.as_ref().and_then(|o| o.paid).unwrap_or(0);
        paid.saturating_sub(ours).clamp(0, AMOUNT_MAX)
    }

    /// The books were seen. While a record of ours is on its way they may hold it or not: what was paid by other means
    /// stays what it was, as far as either fits. It changes when the books are seen, not when the record is acknowledged:
    /// they were seen without it.
    pub(super) fn see_books(&mut self) {
        let absent = self.paid_beyond(self.recorded);
        let arrived = self.paid_beyond(self.recorded.max(self.telling));
        self.elsewhere = self.elsewhere.clamp(arrived, absent);
    }

    /// Due by `now`: target less gross captured and less what was paid by other means, at least 0. A refund or a lost
    /// dispute makes nothing due again.
    pub fn due(&self, now: UnixTime) -> i64 {
        (self.target(now) - self.captured() - self.elsewhere()).max(0)
    }

    /// What the order owes us in all: its total less what was paid by other means; a cancelled order owes nothing.
    pub fn owed(&self) -> i64 {
        match &self.order {
            Some(order) if order.status != OrderStatus::Cancelled => (order.total - self.elsewhere()).max(0),
            _ => 0,
        }
    }

    /// Captured beyond what is owed, after refunds made or asked and lost disputes.
    pub fn excess(&self) -> i64 {
        if self.order.is_none() {
            return 0;
        }
        let owed = self.owed();
        (self.captured() - self.refunded() - self.asked() - self.lost()).saturating_sub(owed).max(0)
    }

    /// A dispute that holds refunds back.
    pub fn dispute_open(&self) -> bool {
        self.disputes.values().any(super::DisputeView::is_open)
    }

    pub(super) fn compute_view(&self) -> Option<PaymentView> {
        let order = self.order.as_ref()?;
        let (status, reason) = self.status();
        let captured = self.captured();
        let refunds = self
            .charges
            .keys()
            .flat_map(|c| self.refunds.values().filter(move |r| &r.charge == c))
            .filter(|r| r.reason.as_deref() != Some("expired_uncaptured_charge"))
            .filter(|r| !r.counts() || self.refunds_of(&r.charge).any(|counted| counted.id == r.id))
            .map(|r| RefundLine {
                id: r.id.clone(),
                request: r
                    .request
                    .as_deref()
                    .map(whole_of)
                    .map(|id| id.strip_prefix("shop:").unwrap_or(id).to_owned()),
                amount: iso(r.amount, r.currency),
                status: r.status.clone(),
            })
            .collect();
        let payment_id = self
            .charges
            .values()
            .find(|c| c.took())
            .map(|c| c.intent.clone())
            .or_else(|| self.last_attempt().and_then(|a| self.intent_of(a)).map(|i| i.id.clone()));
        Some(PaymentView {
            status,
            payment_url: None,
            currency: order.currency,
            amount_due: if order.status == OrderStatus::Cancelled {
                0
            } else {
                (order.total - captured - self.elsewhere()).max(0)
            },
            amount_captured: captured,
            amount_refunded: self.refunded(),
            payment_id,
            reason,
            refunds,
        })
    }

    fn status(&self) -> (PaymentStatus, String) {
        use PaymentStatus as S;
        let Some(order) = &self.order else { return (S::Review, "order_not_seen".into()) };
        if let Some(dispute) = self.disputes.values().find(|d| d.is_open()) {
            return (S::Disputed, dispute.reason.clone());
        }
        if self.contradictions.keys().any(|case| self.decision(case).is_none()) {
            return (S::Review, "contradiction".into());
        }
        let (captured, refunded, lost) = (self.captured(), self.refunded(), self.lost());
        if captured > 0 {
            return match () {
                () if refunded + lost >= captured => (S::Refunded, "nothing_left".into()),
                () if refunded + lost > 0 => (S::PartiallyRefunded, "part_returned".into()),
                // Told again once it stands: while it is held or cancelled its books take no payment.
                () if captured >= order.total && order.paid.is_some() && !order.status.stands() => {
                    (S::Paid, "captured_while_it_does_not_stand".into())
                }
                () if captured >= order.total => (S::Paid, "captured_in_full".into()),
                () if captured + self.elsewhere() >= order.total => {
                    (S::Paid, "paid_in_part_elsewhere".into())
                }
                () => (S::PartiallyPaid, "part_captured".into()),
            };
        }
        match self.live_attempt() {
            Some((_, Phase::Authorized)) => return (S::Authorized, "waits_for_capture".into()),
            Some((_, Phase::Processing)) => return (S::Processing, "bank_confirms_later".into()),
            _ => {}
        }
        if order.status == OrderStatus::Cancelled {
            return (S::Cancelled, "order_cancelled".into());
        }
        if order.total == 0 {
            return (S::Paid, "nothing_to_pay".into());
        }
        if self.elsewhere() >= order.total {
            return (S::Paid, "paid_elsewhere".into());
        }
        if let Some(EffectResult::Refused { code, .. }) = self.last_attempt().and_then(|a| a.created.as_ref())
        {
            return (S::Review, code.clone());
        }
        match (self.gave_up, self.failures.last()) {
            (Some(_), last) => (S::Failed, last.map_or_else(|| "gave_up".into(), |f| f.code.clone())),
            (None, Some(failure)) => (S::AwaitingPayment, failure.code.clone()),
            // Told apart, so that an order is told anew, with its link, once it may be paid.
            (None, None) if matches!(order.status, OrderStatus::OnHold | OrderStatus::Other(_)) => {
                (S::AwaitingPayment, "order_on_hold".into())
            }
            (None, None) if order.collection == Collection::None => {
                (S::AwaitingPayment, "not_collected_here".into())
            }
            (None, None) => (S::AwaitingPayment, "nothing_paid_yet".into()),
        }
    }

    /// Whether the buyer's link should be shown: something is due and the order may be paid.
    pub fn payable(&self, now: UnixTime) -> bool {
        let Some(order) = &self.order else { return false };
        order.status.stands() && order.collection != Collection::None && self.due(now) > 0
    }

    /// Requests that the cancellation policy made and that did not lapse with a cancellation taken back.
    pub fn cancellation_asked(&self, charge: &str) -> bool {
        self.requests.values().any(|r| {
            r.origin == Origin::Cancellation
                && r.charge.as_deref() == Some(charge)
                && !self.request_lapsed(&r.id)
        })
    }

    /// Whether what asked for the refund went away before it was made.
    pub fn request_lapsed(&self, id: &str) -> bool {
        let lapsed = self.cases.get(&format!("refund:{id}")).is_some_and(|c| {
            c.lapsed && c.decision.is_none_or(|d| d == crate::domain::fact::Decision::Approve)
        });
        lapsed && self.requests.get(id).is_some_and(|r| r.result.is_none()) && !self.refund_exists(id)
    }

    /// Whether a refund at Stripe names this request, whatever became of it.
    pub fn refund_exists(&self, id: &str) -> bool {
        self.refunds.values().any(|r| r.request.as_deref() == Some(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(state: &mut State, paid: i64) {
        if let Some(order) = &mut state.order {
            order.paid = Some(paid);
        }
        state.see_books();
    }

    /// 3000 are owed, 1000 were paid by other means, 2000 by us: our record is on its way, then it is there.
    #[test]
    fn what_was_paid_elsewhere_neither_vanishes_nor_grows_while_our_record_is_on_its_way() {
        let order: crate::domain::order::Order = serde_json::from_value(serde_json::json!({
            "id": "1", "status": "open", "currency": "EUR", "total": 3000, "updated_at": 1, "version": 1
        }))
        .unwrap();
        let view = crate::domain::fact::OrderView::of(&order);
        let mut state = State { order: Some(view), ..State::default() };
        seen(&mut state, 1000);
        assert_eq!((state.elsewhere(), state.due(UnixTime(1))), (1000, 2000));
        state.telling = 2000;
        for paid in [1000, 3000, 1000] {
            seen(&mut state, paid);
            assert_eq!(state.elsewhere(), 1000, "the books show {paid}");
        }
        (state.recorded, state.telling) = (2000, 0);
        assert_eq!(state.elsewhere(), 1000, "the books were seen before the record was acknowledged");
        seen(&mut state, 3000);
        assert_eq!(state.elsewhere(), 1000);
        seen(&mut state, 3500);
        assert_eq!(state.elsewhere(), 1500, "a payment after that is one by other means");
    }

    #[test]
    fn an_amount_that_no_currency_has_counts_as_the_largest_and_never_overflows() {
        for currency in Currency::all() {
            assert_eq!(iso(i64::MAX, currency), AMOUNT_MAX, "{currency}");
            assert_eq!(iso(i64::MIN, currency), 0, "{currency}");
        }
    }
}
