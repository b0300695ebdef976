//! Telling: our view to the order system while it is newer than the acknowledged one, notices once per key.

use super::{Draft, Reason};
use crate::domain::fact::{CaseKind, Decision, Terms};
use crate::domain::ids::Function;
use crate::domain::order::Collection;
use crate::domain::time::UnixTime;

impl Draft<'_> {
    pub(super) fn tell(&mut self) {
        let (version, told) = (self.state.view_version, self.state.told_version);
        if let Some((failed, detail)) = self.state.tell_failed.clone()
            && failed == version
        {
            let case = match self.state.tell_failures {
                0 | 1 => format!("tell:{failed}"),
                n => format!("tell:{failed}:{n}"),
            };
            let text =
                format!("the order system refuses our view {failed}: {detail}; approve to send it again");
            self.case(case.clone(), CaseKind::WriteBack, text);
            if self.state.decision(&case) != Some(Decision::Approve) {
                return;
            }
        }
        if self.state.view.is_some() && version > told {
            let terms = Terms::Tell { version };
            self.effect(Function::OrderUpdater, self.now, Reason::ViewChanged, "tell".into(), terms);
        }
        self.echo();
    }

    /// What differs after an acknowledgement is a case, not a loop.
    fn echo(&mut self) {
        let Some(echo) = self.state.order.as_ref().and_then(|o| o.echo.clone()) else { return };
        let Some(view) = &self.state.view else { return };
        let settled =
            echo.version == self.state.told_version && self.state.view_version == self.state.told_version;
        if settled && echo.status != view.status.name() {
            let text = format!(
                "the order system acknowledged {} and now shows {:?} for the same version",
                view.status,
                echo.status.chars().take(60).collect::<String>()
            );
            self.case(format!("echo:{}", echo.version), CaseKind::WriteBack, text);
        }
    }

    pub(super) fn notice(&mut self, at: UnixTime, key: &str) {
        if !self.state.notices.contains(key) {
            let terms = Terms::Notice { key: key.to_owned() };
            self.effect(Function::Notifier, at, Reason::MustBeTold, format!("notice:{key}"), terms);
        }
    }

    pub(super) fn notices(&mut self) {
        if !self.policy.notify {
            return;
        }
        if (self.needs_buyer() || self.card_is_full()) && self.state.payable(self.now) {
            self.ask_buyer();
        }
        self.balance();
        if let Some(attempt) = self.state.gave_up
            && self.gave_up()
        {
            self.notice(self.now, &format!("gave_up:{attempt}"));
        }
        let open: Vec<String> =
            self.state.cases.iter().filter(|(_, c)| c.is_open()).map(|(id, _)| id.clone()).collect();
        for case in open {
            self.notice(self.now, &format!("case:{case}"));
        }
    }

    /// From the day the balance is due the buyer is told the link once more, if it is the buyer who pays it.
    fn balance(&mut self) {
        let Some(order) = self.state.order.clone() else { return };
        let Some(at) = order.balance_due_at.filter(|_| order.deposit.is_some()) else { return };
        let at = at.max(self.now);
        let ours =
            order.collection == Collection::Automatic && matches!(self.state.method, Some((Some(_), _)));
        // More becomes due then than is due before.
        if !ours && self.state.payable(at) && self.state.due(at) > 0 {
            let key = format!("balance:{}", order.balance_due_at.unwrap_or(at).0);
            self.notice(at, &key);
        }
    }

    /// Asked at once, reminded by the policy, until paid or given up.
    fn ask_buyer(&mut self) {
        let failure = self.current_failures().last().map(|f| (f.try_no, f.at));
        let Some((try_no, at)) = failure else {
            return self.notice(self.now, &format!("ask:{}", self.state.tries));
        };
        if self.gave_up() {
            return;
        }
        self.notice(self.now, &format!("ask:{try_no}"));
        let reminders = self.policy.retry.reminders.clone();
        for (i, wait) in reminders.iter().enumerate() {
            let key = format!("ask:{try_no}:reminder:{}", i + 1);
            if !self.state.notices.contains(&key) {
                // One after the other: the next is planned when this one is out.
                return self.notice(at + *wait, &key);
            }
        }
    }
}
