//! Declined charges. They hold no money, and a page under attack collects thousands: the newest are kept in full, ids of
//! more so that a repeated delivery is known, and the rest as a count.
//!
//! Invariant: a charge that took, holds or returned anything is never forgotten.

use serde::{Deserialize, Serialize};

use super::{Recent, State};
use crate::domain::fact::ChargeView;

/// Declined charges whose last sight is kept.
const IN_FULL: usize = 20;
/// Declined charges whose ids are known.
const KNOWN: usize = 300;

/// What is remembered of declined charges.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declines {
    /// How many were seen.
    pub count: u64,
    recent: Recent,
}

fn is_decline(seen: &ChargeView) -> bool {
    seen.status == "failed" && !seen.captured && seen.amount_captured == 0 && seen.amount_refunded == 0
}

impl Declines {
    /// Notes a charge just seen; gives the id of the one whose last sight is not kept any longer.
    pub(super) fn note(&mut self, seen: &ChargeView) -> Option<String> {
        if !is_decline(seen) {
            self.recent.forget(&seen.id);
            return None;
        }
        if self.recent.note(&seen.id, KNOWN) {
            self.count += 1;
            return self.recent.behind(IN_FULL).map(str::to_owned);
        }
        (!self.recent.among_newest(&seen.id, IN_FULL)).then(|| seen.id.clone())
    }
}

impl State {
    /// Whether this declined charge was seen before and only its id is kept.
    pub fn declined_before(&self, seen: &ChargeView) -> bool {
        is_decline(seen) && !self.charges.contains_key(&seen.id) && self.declines.recent.contains(&seen.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fact::What;
    use crate::domain::plan::tests::kit::{Story, charge_view, order};

    fn declined(n: usize) -> ChargeView {
        let charge = charge_view(&format!("ch_{n:04}"), "pi_1", 1000);
        ChargeView { status: "failed".into(), captured: false, amount_captured: 0, ..charge }
    }

    #[test]
    fn thousands_of_declines_are_a_count_and_what_took_money_stays() {
        let took = |n: usize| charge_view(&format!("ch_took_{n:02}"), &format!("pi_{n}"), 10);
        let mut story = Story::of(order(1000));
        for n in 0..1_000 {
            story = story.see(What::ChargeSeen(declined(n)));
            if n < 60 {
                story = story.see(What::ChargeSeen(took(n)));
            }
        }
        let state = story.state();
        assert_eq!((state.declines.count, state.charges.len(), state.captured()), (1_000, 60 + IN_FULL, 600));
        // The newest are known in full, more by their ids, the rest is news again.
        assert!(state.charges.contains_key("ch_0999") && !state.declined_before(&declined(999)));
        assert!(!state.is_news(&What::ChargeSeen(declined(999))));
        assert!(state.declined_before(&declined(800)) && !state.is_news(&What::ChargeSeen(declined(800))));
        assert!(state.is_news(&What::ChargeSeen(declined(1))));
        // What claims to be declined and then takes money is never passed over.
        let paid = ChargeView { id: "ch_0800".into(), ..took(1) };
        assert!(state.is_news(&What::ChargeSeen(paid.clone())));
        let state = story.see(What::ChargeSeen(paid)).see(What::ChargeSeen(declined(2_000))).state();
        assert_eq!((state.captured(), state.charges.len()), (610, 61 + IN_FULL));
    }

    #[test]
    fn a_decline_seen_again_and_again_counts_once() {
        let mut story = Story::of(order(1000));
        for n in 0..40 {
            story = story.see(What::ChargeSeen(declined(n)));
        }
        for _ in 0..3 {
            story = story.see(What::ChargeSeen(declined(3)));
        }
        assert_eq!((story.state().declines.count, story.state().charges.len()), (40, IN_FULL));
    }
}
