//! What is news. Invariant: nothing new seen, nothing written; what a call of ours touched is news once it is read again.

use super::State;
use crate::domain::fact::{OrderView, What};

/// A version at or above this is none of ours: not every order system can count further.
const VERSION_MAX: u64 = 1 << 53;

impl State {
    /// Whether an observation says something that the state does not.
    pub fn is_news(&self, what: &What) -> bool {
        match what {
            What::OrderSeen(seen) => self.order_is_news(seen),
            What::PayToken { .. } => self.pay_token.is_none(),
            What::CustomerLinked { customer } => self.customer.as_ref() != Some(customer),
            What::MethodSeen { method, fingerprint } => {
                self.method.as_ref() != Some(&(method.clone(), fingerprint.clone()))
            }
            What::SessionSeen(seen) => self.differs(self.sessions.get(&seen.id), seen, &seen.id),
            What::IntentSeen(seen) => self.differs(self.intents.get(&seen.id), seen, &seen.id),
            What::ChargeSeen(seen) => {
                !self.declined_before(seen) && self.differs(self.charges.get(&seen.id), seen, &seen.id)
            }
            What::RefundSeen(seen) => self.differs(self.refunds.get(&seen.id), seen, &seen.id),
            What::DisputeSeen(seen) => self.differs(self.disputes.get(&seen.id), seen, &seen.id),
            What::RefundRequested { request, .. } => !self.requests.contains_key(request),
            What::CaseOpened { case, .. } => !self.cases.contains_key(case),
            What::CaseDecided { case, .. } | What::CaseLapsed { case } => self.case_open(case),
            What::Outcome { .. }
            | What::Claimed { .. }
            | What::CardBudget { .. }
            | What::RetryScheduled { .. }
            | What::GaveUp { .. }
            | What::BuyerAsked
            | What::Telling { .. }
            | What::ViewTold { .. }
            | What::TellFailed { .. }
            | What::Noticed { .. }
            | What::Unknown { .. }
            | What::Unread { .. } => true,
        }
    }

    fn differs<V: PartialEq>(&self, known: Option<&V>, seen: &V, id: &str) -> bool {
        known != Some(seen) || self.stale.contains(id)
    }

    /// The version that the order system holds of our view, if this history never gave it: a table that was restored to an
    /// earlier time forgot it. Ours must lie above, or it is never taken. An order system that takes nothing after such a
    /// jump does not make us jump again.
    pub fn forgotten_version(&self, seen: &OrderView) -> Option<u64> {
        let (echo, view) = (seen.echo.as_ref()?, self.view.as_ref()?);
        let untold = echo.version > self.told_version && self.version_jumped <= self.told_version;
        let other = echo.version == self.view_version && echo.status != view.status.name();
        let forgotten = untold && (echo.version > self.view_version || other);
        (forgotten && echo.version < VERSION_MAX).then_some(echo.version)
    }

    /// A shop that shows another status than we told it is news; our own echo is none.
    fn order_is_news(&self, seen: &OrderView) -> bool {
        if self.forgotten_version(seen).is_some() {
            return true;
        }
        let Some(known) = self.order.as_ref().filter(|known| known.same_as(seen)) else { return true };
        seen.echo.as_ref().is_some_and(|echo| {
            let settled = echo.version == self.told_version && self.view_version == self.told_version;
            let expected = self.view.as_ref().is_some_and(|v| v.status.name() == echo.status);
            settled && !expected && known.echo.as_ref() != Some(echo)
        })
    }
}
