//! Refunds: requests become facts first, the policy or a person approves, and nothing is given back twice.

use super::{Do, Draft, Reason};
use std::collections::BTreeMap;

use crate::domain::fact::{CaseKind, Decision, EffectResult, Origin, Terms, What};
use crate::domain::ids::Function;
use crate::domain::money::Money;
use crate::domain::order::OrderStatus;
use crate::domain::policy::Approval;
use crate::domain::state::Request;
use crate::domain::state::sums::{PART, whole_of};
use crate::domain::time::UnixTime;

impl Draft<'_> {
    pub(super) fn refunds(&mut self) {
        let Some(order) = self.state.order.clone() else { return };
        // Until what we refunded is read again, sums would be too large for anything new.
        let unread = self.state.requests.values().any(
            |r| matches!(&r.result, Some(EffectResult::Done { object }) if self.state.stale.contains(object)),
        );
        if unread {
            return self.push(Function::RefundProcessor, self.now, Reason::NotSeenSince, Do::LookAtRefunds);
        }
        if self.state.captured() > 0 {
            let before = self.actions.len();
            for wanted in &order.refund_requests {
                let id = format!("shop:{}", wanted.id);
                if !self.state.requests.contains_key(&id) {
                    let asked = self.state.asked();
                    let left = self.state.captured() - self.state.refunded() - asked - self.state.lost();
                    // All that is left is nothing only until it is decided what becomes of what was asked for before.
                    if wanted.amount.is_none() && left <= 0 && asked > 0 {
                        continue;
                    }
                    if self.ask_for_shop(&id, wanted.amount.unwrap_or(left.max(0))) {
                        // Parts of the next are taken from what these leave.
                        break;
                    }
                }
            }
            // What was asked for just now is stored first; what is left is seen after it.
            match order.status {
                _ if self.actions.len() > before => {}
                OrderStatus::Cancelled => self.cancelled(),
                _ => self.excess(),
            }
        }
        let requests: Vec<Request> = self.state.requests.values().cloned().collect();
        let mut planned = BTreeMap::new();
        for request in requests {
            self.request(&request, &mut planned);
        }
    }

    /// A wish of the shop. One that no single charge holds, but all of them together, is asked for in parts, one a charge:
    /// Stripe refunds charges. Whether it is in parts.
    fn ask_for_shop(&mut self, id: &str, amount: i64) -> bool {
        let text = "asked for by the shop";
        let parts = self.parts(amount);
        if parts.len() < 2 {
            self.ask(id.to_owned(), amount, None, Origin::Shop, text, Reason::RefundAsked);
            return false;
        }
        for (i, (charge, part)) in parts.iter().enumerate() {
            let text = format!("part {} of {} of {}, {text}", i + 1, parts.len(), self.money(amount));
            let charge = Some(charge.clone());
            self.ask(part_id(id, i), *part, charge, Origin::Shop, &text, Reason::RefundAsked);
        }
        true
    }

    /// What each charge gives to a refund that none holds alone: the fullest first. Empty if one is enough, or all are not.
    fn parts(&self, amount: i64) -> Vec<(String, i64)> {
        let charges = self.state.charges.keys();
        let mut free: Vec<(i64, String)> =
            charges.map(|c| (self.refundable_on(c) - self.asked_on(c), c.clone())).collect();
        free.sort_unstable_by(|a, b| b.cmp(a));
        let together: i64 = free.iter().map(|(left, _)| (*left).max(0)).sum();
        if free.first().is_none_or(|(most, _)| *most >= amount) || together < amount {
            return Vec::new();
        }
        let mut rest = amount;
        let taken = free.into_iter().map_while(|(left, charge)| {
            let part = left.min(rest);
            rest -= part.max(0);
            (part > 0).then_some((charge, part))
        });
        taken.collect()
    }

    fn ask(
        &mut self,
        id: String,
        amount: i64,
        charge: Option<String>,
        origin: Origin,
        text: &str,
        why: Reason,
    ) {
        let text = text.to_owned();
        let fact = What::RefundRequested { request: id, amount, charge, origin, by_name: None, text };
        self.actions.push(super::Action {
            owner: Some(Function::RefundProcessor),
            at: self.now,
            reason: why,
            what: Do::Record(Box::new(fact)),
        });
    }

    /// A cancelled order gives back what each charge still holds, one request a charge.
    fn cancelled(&mut self) {
        if self.state.asked() > 0 {
            return;
        }
        let charges: Vec<String> = self.state.charges.keys().cloned().collect();
        for charge in charges {
            let left = self.state.left_on(&charge);
            if left > 0 && !self.state.cancellation_asked(&charge) {
                let text = "the order was cancelled";
                let id = self.unused(&format!("cancel:{charge}"));
                if self.state.requests.contains_key(&id) {
                    continue;
                }
                self.ask(id, left, Some(charge), Origin::Cancellation, text, Reason::RefundOnCancel);
            }
        }
    }

    /// More captured than owed: proposed once per amount, always to a person.
    fn excess(&mut self) {
        let excess = self.state.excess();
        if excess == 0 {
            return;
        }
        // Of the newest charge that holds it all, else as much as one holds; the rest is proposed after it.
        let mut free: Vec<(i64, UnixTime, &String)> = self
            .state
            .charges
            .values()
            .map(|c| ((self.state.left_on(&c.id) - self.asked_on(&c.id)).min(excess), c.created, &c.id))
            .collect();
        free.sort_unstable();
        let Some((amount, _, charge)) = free.last().copied().filter(|(amount, ..)| *amount > 0) else {
            return;
        };
        let charge = charge.clone();
        let id = self.unused(&format!("excess:{charge}:{amount}"));
        if !self.state.requests.contains_key(&id) {
            let text = "more was captured than the order owes";
            self.ask(id, amount, Some(charge), Origin::Excess, text, Reason::PersonDecides);
        }
    }

    /// Open requests that name a charge.
    fn asked_on(&self, charge: &str) -> i64 {
        let open = self.state.requests.values().filter(|r| self.state.request_open(&r.id));
        open.filter(|r| r.charge.as_deref() == Some(charge)).map(|r| r.amount).sum()
    }

    /// The id for a proposal that comes again: one that lapsed, or whose money went back, is history; one that was
    /// denied, or whose refund failed, stands and is not proposed again.
    fn unused(&self, id: &str) -> String {
        let history = |id: &String| {
            let returned = self.state.refunds.values().any(|r| r.request.as_ref() == Some(id) && r.counts());
            self.state.request_lapsed(id) || returned
        };
        let mut next = id.to_owned();
        let mut n = 1;
        while self.state.requests.contains_key(&next) && history(&next) {
            n += 1;
            next = format!("{id}:{n}");
        }
        next
    }

    fn request(&mut self, request: &Request, planned: &mut BTreeMap<String, i64>) {
        let held = self.state.claims.contains_key(&format!("refund:{}", request.id));
        if held || !self.state.request_open(&request.id) {
            return;
        }
        let case = format!("refund:{}", request.id);
        let approved = self.state.decision(&case) == Some(Decision::Approve);
        if self.lapsed(request, approved) {
            return self.withdraw(request, &case);
        }
        let impossible = format!("refund_impossible:{}", request.id);
        let Some(charge) = self.charge_for(request, planned) else {
            let text = self.why_impossible(request);
            return self.case(impossible, CaseKind::RefundImpossible, text);
        };
        self.lapse(&impossible, Reason::CauseGone);
        if self.state.dispute_open() {
            // It waits for the dispute's end; its case tells.
            return;
        }
        if self.twin_blocks(request, &charge) {
            return;
        }
        let reason = match (approved, self.automatic(request, &charge)) {
            (true, _) => Reason::PersonApproved,
            (false, true) if request.origin == Origin::Operator => Reason::Decided,
            (false, true) => Reason::RefundAuto,
            (false, false) => {
                let text = format!(
                    "refund {} of {} ({}): approve or deny",
                    request.id,
                    self.money(request.amount),
                    origin_words(request.origin)
                );
                let kind = if request.origin == Origin::Excess {
                    CaseKind::Excess
                } else {
                    CaseKind::RefundApproval
                };
                return self.case(case, kind, text);
            }
        };
        let Some(order) = &self.state.order else { return };
        let Ok(amount_stripe) = Money::new(request.amount, order.currency).to_stripe() else {
            let text = format!("refund {} of {} cannot be expressed at Stripe", request.id, request.amount);
            return self.case(case, CaseKind::RefundImpossible, text);
        };
        let terms = Terms::Refund { request: request.id.clone(), charge, amount_stripe };
        if let Terms::Refund { charge, .. } = &terms {
            *planned.entry(charge.clone()).or_default() += request.amount;
        }
        self.effect(Function::RefundProcessor, self.now, reason, format!("refund:{}", request.id), terms);
    }

    /// What a charge still holds that a request could take. Money in another currency than the order's cannot be set
    /// against an amount of the order: a person refunds it.
    fn refundable_on(&self, charge: &str) -> i64 {
        let currency = self.state.order.as_ref().map(|o| o.currency);
        let same = self.state.charges.get(charge).map(|c| c.currency) == currency;
        if same { self.state.left_on(charge) } else { 0 }
    }

    /// Why no charge can give a refund, and what to do.
    fn why_impossible(&self, request: &Request) -> String {
        let what = format!("refund {} of {}", request.id, self.money(request.amount));
        let left: Vec<i64> = self.state.charges.keys().map(|c| self.refundable_on(c)).collect();
        let (most, together) = (left.iter().copied().max().unwrap_or(0), left.iter().sum::<i64>());
        match &request.charge {
            Some(charge) => {
                let holds = self.money(self.refundable_on(charge));
                format!(
                    "{what} is more than {charge} still holds in the order's currency ({holds}): deny it, or deny and ask for less"
                )
            }
            None if request.amount > together => {
                format!("{what} is more than the order still holds ({}): deny it", self.money(together))
            }
            None => format!(
                "{what} is more than any one charge still holds ({} at most), and Stripe refunds charges: deny it and ask once per charge",
                self.money(most)
            ),
        }
    }

    /// Whether what asked for the refund is gone: checked again at approval and at the claim.
    fn lapsed(&self, request: &Request, approved: bool) -> bool {
        match request.origin {
            // Its own amount is counted as asked: without it the excess must still be there.
            Origin::Excess => self.excess_gone(request),
            Origin::Cancellation => {
                let reopened = self.state.order.as_ref().is_some_and(|o| o.status != OrderStatus::Cancelled);
                reopened && !approved
            }
            Origin::Shop | Origin::Reported | Origin::Operator => false,
        }
    }

    fn excess_gone(&self, request: &Request) -> bool {
        let Some(order) = &self.state.order else { return false };
        if order.status == OrderStatus::Cancelled {
            return true;
        }
        let others = self.state.asked() - request.amount;
        let left = self.state.captured() - self.state.refunded() - others - self.state.lost();
        left.saturating_sub(self.state.owed()) < request.amount
    }

    fn withdraw(&mut self, request: &Request, case: &str) {
        self.end(case, CaseKind::RefundApproval, Reason::CauseGone, || {
            format!("refund {} is no longer called for", request.id)
        });
    }

    /// Ends a request through its case, decided or not: opened first if there is none, then lapsed.
    fn end(&mut self, case: &str, kind: CaseKind, reason: Reason, text: impl FnOnce() -> String) {
        match self.state.cases.get(case) {
            None => self.case(case.to_owned(), kind, text()),
            Some(known) if !known.lapsed => self.record(reason, What::CaseLapsed { case: case.to_owned() }),
            Some(_) => {}
        }
    }

    /// The charge to refund: the named one; the one of an earlier claim, whose call may yet land; else one that fits.
    fn charge_for(&self, request: &Request, planned: &BTreeMap<String, i64>) -> Option<String> {
        let fits = |c: &String| {
            let besides = planned.get(c).copied().unwrap_or(0) + self.state.in_flight_on(c, &request.id);
            request.amount > 0 && self.refundable_on(c) - besides >= request.amount
        };
        match request.charge.as_ref().or(request.refunded_charge.as_ref()) {
            Some(charge) => Some(charge.clone()).filter(|c| fits(c)),
            None => self.state.charges.keys().find(|c| fits(c)).cloned(),
        }
    }

    /// A refund of the same amount that nobody asked us for may be this one, made by hand: a person decides.
    fn twin_blocks(&mut self, request: &Request, charge: &str) -> bool {
        let Some(order) = &self.state.order else { return false };
        let stripe = Money::new(request.amount, order.currency).to_stripe().ok();
        let twin = self
            .state
            .refunds_of(charge)
            .find(|r| r.request.is_none() && Some(r.amount) == stripe)
            .map(|r| r.id.clone());
        let Some(twin) = twin else { return false };
        let case = format!("twin:{}:{twin}", request.id);
        if self.state.decision(&case) == Some(Decision::Approve) {
            return false;
        }
        let text = format!(
            "{twin} gave back the same amount and names no request: approve to refund {} besides, deny if it was that one",
            request.id
        );
        if self.state.decision(&case) == Some(Decision::Deny) {
            // The person said that it was this one: the request ends.
            let own = format!("refund:{}", request.id);
            self.end(&own, CaseKind::RefundTwin, Reason::PersonDenied, || text);
            return true;
        }
        self.case(case, CaseKind::RefundTwin, text);
        true
    }

    /// Whether the policy lets it pass without a person.
    fn automatic(&self, request: &Request, charge: &str) -> bool {
        let policy = &self.policy.refund;
        let mode = match request.origin {
            // Who asks with `tandem refund --by` has decided; who approves a report or an excess as well.
            Origin::Operator => return true,
            Origin::Shop => policy.requested,
            Origin::Cancellation => policy.on_cancel,
            Origin::Reported | Origin::Excess => Approval::Ask,
        };
        let Some(order) = &self.state.order else { return false };
        let limit = policy.auto_up_to.get(order.currency.code()).copied();
        let paid_at = self.state.charges.get(charge).map(|c| c.created);
        let in_window = paid_at.is_some_and(|t| self.now - t <= policy.window);
        // A wish in parts is judged as a whole.
        let whole = whole_of(&request.id);
        let parts = self.state.requests.values().filter(|r| whole_of(&r.id) == whole);
        let amount: i64 = parts.map(|r| r.amount).sum();
        mode == Approval::Auto && limit.is_some_and(|l| amount <= l) && in_window
    }

    pub(super) fn money(&self, minor: i64) -> String {
        self.state
            .order
            .as_ref()
            .map_or_else(|| minor.to_string(), |o| Money::new(minor, o.currency).to_string())
    }
}

/// The id of a part: the first has the wish's own.
fn part_id(id: &str, i: usize) -> String {
    if i == 0 { id.to_owned() } else { format!("{PART}{}:{id}", i + 1) }
}

fn origin_words(origin: Origin) -> &'static str {
    match origin {
        Origin::Shop => "asked for by the shop",
        Origin::Reported => "reported by the order system, unknown at Stripe",
        Origin::Operator => "asked for by an operator",
        Origin::Cancellation => "the order was cancelled",
        Origin::Excess => "more was captured than the order owes",
    }
}
