//! Where an order stands, in sums: what a fact changed, and the closing paragraph.

use crate::domain::money::{Currency, Money};
use crate::domain::state::State;
use crate::domain::time::UnixTime;

/// The sums people ask about, at one moment.
pub(super) struct Standing {
    currency: Option<Currency>,
    status: String,
    sums: [(&'static str, i64); 4],
}

impl Standing {
    pub(super) fn of(state: &State) -> Self {
        let view = state.view.as_ref();
        Self {
            currency: state.order.as_ref().map(|o| o.currency),
            status: view.map_or_else(|| "nothing known".to_owned(), |v| v.status.name().to_owned()),
            sums: [
                ("still to be taken", view.map_or(0, |v| v.amount_due)),
                ("taken", state.captured()),
                ("given back", state.refunded()),
                ("lost in disputes", state.lost()),
            ],
        }
    }

    /// What became different.
    pub(super) fn changes(&self, after: &Self) -> Vec<String> {
        let mut out = Vec::new();
        if self.status != after.status {
            out.push(format!("payment {} -> {}", self.status, after.status));
        }
        let Some(currency) = after.currency else { return out };
        for ((name, before), (_, now)) in self.sums.iter().zip(&after.sums) {
            if before != now {
                let (before, now) = (Money::new(*before, currency), Money::new(*now, currency));
                out.push(format!("{name} {} -> {now}", before.decimal()));
            }
        }
        out
    }
}

/// What is owed, taken, given back and open, in one paragraph.
pub(super) fn paragraph(state: &State, now: UnixTime) -> String {
    let Some(order) = &state.order else {
        return "The order has not been read from its system yet.".to_owned();
    };
    let money = |minor: i64| Money::new(minor, order.currency).to_string();
    let standing = Standing::of(state);
    let mut out = format!(
        "The payment is {}. The order comes to {}; {} was taken and {} given back",
        standing.status.replace('_', " "),
        money(order.total),
        money(state.captured()),
        money(state.refunded()),
    );
    if state.lost() > 0 {
        out.push_str(&format!(", {} was lost in disputes", money(state.lost())));
    }
    out.push_str(&format!("; {} is owed now", money(if state.payable(now) { state.due(now) } else { 0 })));
    let later = order.total - state.captured() - state.due(now);
    if let (Some(at), true) = (order.balance_due_at, later > 0 && state.payable(now)) {
        out.push_str(&format!(" and {} from {at}", money(later)));
    }
    if state.asked() > 0 {
        out.push_str(&format!(", {} is asked back and not yet made", money(state.asked())));
    }
    out.push('.');
    let open: Vec<&str> =
        state.cases.iter().filter(|(_, c)| c.is_open()).map(|(id, _)| id.as_str()).collect();
    match open.as_slice() {
        [] => out.push_str(" No case is open."),
        [one] => out.push_str(&format!(" Case {one} waits for a person.")),
        many => out.push_str(&format!(" Cases wait for a person: {}.", many.join(", "))),
    }
    for claim in state.claims.values() {
        let since = claim.unknown_since;
        let how = since.map_or_else(|| "has no outcome yet".to_owned(), |t| format!("is unknown since {t}"));
        out.push_str(&format!(" {} (by {}, {} call(s)) {how}.", claim.effect, claim.by, claim.calls));
    }
    out
}
