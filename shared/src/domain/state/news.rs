//! Whether an observation is news: what is known already is not stored again.

use super::State;
use crate::domain::fact::What;

impl State {
    /// Whether an observation says something that the state does not.
    pub fn is_news(&self, what: &What) -> bool {
        fn differs<V: PartialEq>(known: Option<&V>, seen: &V, id: &str, state: &State) -> bool {
            known != Some(seen) || state.stale.contains(id)
        }
        match what {
            What::OrderSeen(seen) => match &self.order {
                None => true,
                Some(known) if !known.same_as(seen) => true,
                Some(known) => seen.echo.as_ref().is_some_and(|echo| {
                    let settled = echo.version == self.told_version && self.view_version == self.told_version;
                    let expected = self.view.as_ref().is_some_and(|v| v.status.name() == echo.status);
                    settled && !expected && known.echo.as_ref() != Some(echo)
                }),
            },
            What::PayToken { .. } => self.pay_token.is_none(),
            What::CustomerLinked { customer } => self.customer.as_ref() != Some(customer),
            What::MethodSeen { method, fingerprint } => {
                self.method.as_ref() != Some(&(method.clone(), fingerprint.clone()))
            }
            What::SessionSeen(seen) => differs(self.sessions.get(&seen.id), seen, &seen.id, self),
            What::IntentSeen(seen) => differs(self.intents.get(&seen.id), seen, &seen.id, self),
            What::ChargeSeen(seen) => differs(self.charges.get(&seen.id), seen, &seen.id, self),
            What::RefundSeen(seen) => differs(self.refunds.get(&seen.id), seen, &seen.id, self),
            What::DisputeSeen(seen) => differs(self.disputes.get(&seen.id), seen, &seen.id, self),
            What::RefundRequested { request, .. } => !self.requests.contains_key(request),
            What::CaseOpened { case, .. } => !self.cases.contains_key(case),
            What::CaseDecided { case, .. } | What::CaseLapsed { case } => self.case_open(case),
            What::Outcome { .. }
            | What::Claimed { .. }
            | What::CardBudget { .. }
            | What::RetryScheduled { .. }
            | What::GaveUp { .. }
            | What::BuyerAsked
            | What::ViewTold { .. }
            | What::TellFailed { .. }
            | What::Noticed { .. }
            | What::Unknown { .. } => true,
        }
    }
}
