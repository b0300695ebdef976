//! Cases: what cannot settle by itself is opened for a person, with a reason, once; what went away lapses.

use super::{Draft, Reason};
use crate::domain::fact::{CaseKind, Decision, EffectResult, Origin, What};
use crate::domain::ids::Function;
use crate::domain::money::{Currency, Money};
use crate::domain::order::OrderStatus;
use crate::domain::state::Phase;

impl Draft<'_> {
    pub(super) fn cases(&mut self) {
        for (case, text) in self.state.contradictions.clone() {
            let text =
                format!("{text}; nothing is charged until you approve to go on with what Stripe shows now");
            self.case(case, CaseKind::Contradiction, text);
        }
        self.disputes();
        self.refused_creations();
        self.failed_refunds();
        self.reported_refunds();
        self.order_status();
        self.unknown_ended();
        if self.state.customer.is_some() {
            self.lapse(super::CUSTOMER_CASE, Reason::CauseGone);
        }
        self.causes_gone();
    }

    fn disputes(&mut self) {
        let disputes: Vec<_> = self.state.disputes.values().cloned().collect();
        for dispute in disputes {
            let case = format!("dispute:{}", dispute.id);
            if dispute.is_open() {
                let by = dispute.due_by.map(|t| format!(", evidence is due by {t}")).unwrap_or_default();
                let text = format!(
                    "{} over {} ({}){by}: answer it in Stripe's dashboard; refunds wait",
                    dispute.id,
                    stripe_money(dispute.amount, dispute.currency),
                    dispute.reason
                );
                self.case(case, CaseKind::Dispute, text);
            } else {
                self.lapse(&case, Reason::CauseGone);
            }
        }
    }

    fn refused_creations(&mut self) {
        let attempts: Vec<_> = self.state.attempts.values().cloned().collect();
        let newest = attempts.last().map_or(0, |a| a.n);
        for attempt in attempts {
            let Phase::Refused(code) = self.state.phase(&attempt) else { continue };
            let case = format!("refused:{}", attempt.n);
            if attempt.n < newest {
                self.lapse(&case, Reason::CauseGone);
            } else {
                let text = format!(
                    "a payment of {} was refused: {code}; change the order, or approve to try again",
                    self.money(attempt.amount)
                );
                self.case(case, CaseKind::CreationRefused, text);
            }
        }
    }

    fn failed_refunds(&mut self) {
        let failed: Vec<_> = self
            .state
            .refunds
            .values()
            .filter(|r| matches!(r.status.as_str(), "failed" | "canceled"))
            .cloned()
            .collect();
        for refund in failed {
            let why = refund.failure_reason.as_deref().unwrap_or("no reason given");
            let text = format!(
                "{} of {} is {}: {why}; the money is back with the shop, the buyer has nothing: pay it another way",
                refund.id,
                stripe_money(refund.amount, refund.currency),
                refund.status
            );
            self.case(format!("refund_failed:{}", refund.id), CaseKind::RefundFailed, text);
        }
        let refused: Vec<_> = self
            .state
            .requests
            .values()
            .filter_map(|r| match &r.result {
                Some(EffectResult::Refused { code, .. }) => Some((r.id.clone(), code.clone())),
                _ => None,
            })
            .collect();
        for (id, code) in refused {
            let text = format!("Stripe refused refund {id}: {code}; nothing was given back");
            self.case(format!("refund_refused:{id}"), CaseKind::RefundImpossible, text);
        }
    }

    /// A refund that the order system reports and no refund at Stripe explains is never a request by itself.
    fn reported_refunds(&mut self) {
        let Some(order) = self.state.order.clone() else { return };
        if self.state.captured() == 0 {
            // Money that we never took is given back by whoever took it.
            for reported in &order.refunds {
                self.lapse(&format!("reported:{}", reported.id), Reason::CauseGone);
            }
            return;
        }
        // What the shop did not ask for answers what it reports: one return of goods must not be paid back twice.
        let answers = |request: &str| ["excess:", "cancel:"].iter().any(|by| request.starts_with(by));
        let mut made: Vec<i64> = self
            .state
            .charges
            .keys()
            .flat_map(|c| self.state.refunds_of(c))
            .filter(|r| r.request.as_deref().is_none_or(answers))
            .filter_map(|r| Money::from_stripe(r.amount, r.currency).ok())
            .map(|m| m.minor)
            .collect();
        for reported in &order.refunds {
            let case = format!("reported:{}", reported.id);
            let request = format!("reported:{}", reported.id);
            if let Some(i) = made.iter().position(|m| *m == reported.amount) {
                made.swap_remove(i);
                self.lapse(&case, Reason::CauseGone);
                continue;
            }
            if self.state.requests.contains_key(&request) {
                continue;
            }
            let text = format!(
                "the order system reports refund {} of {}, Stripe knows none: approve to refund it at Stripe, deny if it was paid another way",
                reported.id,
                self.money(reported.amount)
            );
            self.case(case.clone(), CaseKind::ReportedRefund, text);
            if self.state.decision(&case) == Some(Decision::Approve) {
                let fact = What::RefundRequested {
                    request: request.clone(),
                    amount: reported.amount,
                    charge: None,
                    origin: Origin::Operator,
                    by_name: None,
                    text: "reported by the order system and approved".into(),
                };
                self.actions.push(super::Action {
                    owner: Some(Function::RefundProcessor),
                    at: self.now,
                    reason: Reason::PersonApproved,
                    what: super::Do::Record(Box::new(fact)),
                });
            }
        }
    }

    fn order_status(&mut self) {
        match self.state.order.as_ref().map(|o| o.status.clone()) {
            Some(OrderStatus::Other(word)) => {
                let word: String = word.chars().take(60).collect();
                let text =
                    format!("order status {word:?} is unknown here: nothing is charged until it changes");
                self.case("order_status".into(), CaseKind::OrderStatus, text);
            }
            _ => self.lapse("order_status", Reason::CauseGone),
        }
    }

    /// Cases about what has settled otherwise since.
    fn causes_gone(&mut self) {
        let reported = self.state.order.as_ref().map(|o| o.refunds.as_slice()).unwrap_or_default();
        let told = self.state.told_version;
        let gone = |id: &str, kind: CaseKind| match kind {
            CaseKind::ReportedRefund => {
                id.strip_prefix("reported:").is_some_and(|id| !reported.iter().any(|r| r.id == id))
            }
            CaseKind::WriteBack => {
                let number = |id: &str| id.split(':').next().and_then(|n| n.parse::<u64>().ok());
                match (id.strip_prefix("tell:").and_then(number), id.strip_prefix("echo:").and_then(number)) {
                    (Some(refused), _) => told >= refused,
                    (_, Some(echoed)) => told > echoed,
                    _ => false,
                }
            }
            CaseKind::RefundApproval | CaseKind::RefundImpossible | CaseKind::Excess => id
                .strip_prefix("refund:")
                .is_some_and(|r| self.state.requests.contains_key(r) && !self.state.request_open(r)),
            CaseKind::CreationRefused => id.starts_with("customer:") && self.state.customer.is_some(),
            CaseKind::Uncaptured | CaseKind::Contradiction => {
                let refused = ["refused:capture:", "refused:cancel:", "refused:expire:"];
                refused.iter().any(|r| id.starts_with(r)) && !self.refused.contains(id)
            }
            _ => false,
        };
        let open = self.state.cases.iter().filter(|(_, c)| c.is_open());
        let ended: Vec<String> = open.filter(|(id, c)| gone(id, c.kind)).map(|(id, _)| id.clone()).collect();
        for case in ended {
            self.lapse(&case, Reason::CauseGone);
        }
    }

    /// A case about an unknown outcome ends with the outcome.
    fn unknown_ended(&mut self) {
        let ended: Vec<String> = self
            .state
            .cases
            .iter()
            .filter(|(id, c)| c.kind == CaseKind::Unknown && c.is_open() && id.starts_with("unknown:"))
            .filter(|(id, _)| !self.state.claims.values().any(|c| super::unknown_case(c) == **id))
            .map(|(id, _)| id.clone())
            .collect();
        for case in ended {
            self.lapse(&case, Reason::CauseGone);
        }
    }
}

/// Stripe's integer in words, e.g. `49.00 EUR`.
fn stripe_money(amount: i64, currency: Currency) -> String {
    Money::from_stripe(amount, currency).map_or_else(|_| format!("{amount} {currency}"), |m| m.to_string())
}
