//! Facts and actions in words.

mod objects;

use crate::domain::fact::{Decision, EffectResult, Origin, Terms, What};
use crate::domain::money::{Currency, Money};
use crate::domain::plan::{Action, Do};
use crate::domain::policy::decline::DeclineClass;
use crate::domain::state::State;
use crate::domain::time::{Seconds, UnixTime};

/// What a fact says, on top of `before`.
pub(super) fn of_fact(what: &What, before: &State) -> String {
    match what {
        What::OrderSeen(order) => objects::order(order, before.order.as_ref()),
        What::PayToken { .. } => "the buyer's stable payment link was made".to_owned(),
        What::CustomerLinked { customer } => format!("the buyer is Stripe customer {customer}"),
        What::MethodSeen { method: Some(method), .. } => format!("the buyer's saved method is {method}"),
        What::MethodSeen { method: None, .. } => "the buyer has no saved method".to_owned(),
        What::SessionSeen(seen) => objects::session(seen, before.sessions.get(&seen.id)),
        What::IntentSeen(seen) => objects::intent(seen, before.intents.get(&seen.id)),
        What::ChargeSeen(seen) => objects::charge(seen),
        What::RefundSeen(seen) => objects::refund(seen, before.refunds.get(&seen.id)),
        What::DisputeSeen(seen) => objects::dispute(seen),
        What::Claimed { effect, generation, terms } => {
            let again =
                if *generation > 1 { format!(", under its key no. {generation}") } else { String::new() };
            format!("decided to {} ({effect}{again})", of_terms(terms, before))
        }
        What::Outcome { effect, result, .. } => format!("{effect}: {}", result_words(result)),
        What::RefundRequested { request, amount, charge, origin, by_name, text } => {
            let of = charge.as_ref().map(|c| format!(" of {c}")).unwrap_or_default();
            let by = by_name.as_ref().map(|b| format!(", {b}")).unwrap_or_default();
            let sum = of_order(*amount, before);
            format!(
                "a refund of {sum}{of} was asked for by {}{by}: {text} ({request})",
                origin_words(*origin)
            )
        }
        What::CaseOpened { case, text, .. } => format!("case {case} was opened: {text}"),
        What::CaseDecided { case, decision, by_name, arn } => {
            let how = match decision {
                Decision::Approve => "approved",
                Decision::Deny => "denied",
            };
            let arn = arn.as_ref().map(|a| format!(" ({a})")).unwrap_or_default();
            format!("{by_name}{arn} {how} case {case}")
        }
        What::CaseLapsed { case } => format!("case {case} lapsed: what it was about is gone"),
        What::CardBudget { attempt, try_no, granted: true, .. } => {
            format!("the card's budget allows try {try_no} of attempt {attempt}")
        }
        What::CardBudget { attempt, try_no, again_at, .. } => {
            let again = again_at.map(|t| format!("; it has room again at {t}")).unwrap_or_default();
            format!("the card's budget refuses try {try_no} of attempt {attempt}{again}")
        }
        What::RetryScheduled { attempt, try_no, due, class } => {
            let class = class_words(*class);
            format!("try {try_no} of attempt {attempt} is set for {due}, after {class}")
        }
        What::GaveUp { class } => format!("gave up after {}: no more tries by itself", class_words(*class)),
        What::BuyerAsked => "the buyer pressed the button of the payment link".to_owned(),
        What::Telling { records } => {
            format!(
                "the order system's books are told that {} is paid through us",
                of_order(*records, before)
            )
        }
        What::ViewTold { version, .. } => {
            format!("the order system acknowledged our view, version {version}")
        }
        What::TellFailed { effect, detail, .. } => format!("{effect} was refused for good: {detail}"),
        What::Noticed { key } => format!("notice {key} went out"),
        What::Unknown { was } => format!("a fact of kind {was:?}, which only another build can read"),
        What::Unread { was } => {
            format!("{was:?} in a form that only a newer build can read: the order waits for that build")
        }
    }
}

/// What happens next, when and by whom.
pub(super) fn of_action(action: &Action, state: &State, now: UnixTime) -> String {
    let when = if action.ready(now) {
        "now".to_owned()
    } else {
        format!("{} (in {})", action.at, span(action.at - now))
    };
    let who = action.owner.map_or("whoever looks next", crate::domain::ids::Function::name);
    format!("{when}, {who}: {} ({})", of_do(&action.what, state), action.reason.words())
}

/// An action in words, as "would ...".
pub(super) fn of_do(what: &Do, state: &State) -> String {
    match what {
        Do::CreateSession { attempt, amount, currency, .. } => {
            format!("make a payment page for {} as attempt {attempt}", Money::new(*amount, *currency))
        }
        Do::CreateIntent { attempt, amount, currency, method, .. } => {
            let sum = Money::new(*amount, *currency);
            format!("prepare a charge of {sum} on {method} as attempt {attempt}")
        }
        Do::Effect { terms, .. } => of_terms(terms, state),
        Do::ReserveCard { try_no, .. } => format!("ask the card's budget for try {try_no}"),
        Do::Record(fact) | Do::Schedule(fact) => format!("record: {}", of_fact(fact, state)),
        Do::Settle { effect } => format!("settle {effect}, if it has no outcome by then"),
        Do::LookAtOrder => "read the order from its system".to_owned(),
        Do::LookAtRefunds => "read the refunds at Stripe".to_owned(),
        Do::LookAtAttempt { attempt } => format!("read attempt {attempt} at Stripe"),
    }
}

fn of_terms(terms: &Terms, state: &State) -> String {
    match terms {
        Terms::CreateSession { attempt, amount, currency, .. } => {
            format!("make a payment page for {} as attempt {attempt}", Money::new(*amount, *currency))
        }
        Terms::CreateIntent { attempt, amount, currency, method, .. } => {
            let sum = Money::new(*amount, *currency);
            format!("prepare a charge of {sum} on {method} as attempt {attempt}")
        }
        Terms::Confirm { attempt, try_no, intent, method } => {
            format!("charge {method} through {intent}, try {try_no} of attempt {attempt}")
        }
        Terms::CancelIntent { attempt, intent } => format!("cancel {intent} of attempt {attempt}"),
        Terms::ExpireSession { attempt, session } => format!("close page {session} of attempt {attempt}"),
        Terms::Capture { intent, amount_stripe, .. } => {
            let currency = state.intents.get(intent).map(|i| i.currency);
            format!("capture {} of {intent}", stripe_sum(*amount_stripe, currency.or(of_currency(state))))
        }
        Terms::Refund { request, charge, amount_stripe } => {
            let currency = state.charges.get(charge).map(|c| c.currency).or(of_currency(state));
            format!("give back {} of {charge} for {request}", stripe_sum(*amount_stripe, currency))
        }
        Terms::Tell { version } => format!("tell the order system our view, version {version}"),
        Terms::Notice { key } => format!("send notice {key}"),
    }
}

fn result_words(result: &EffectResult) -> String {
    match result {
        EffectResult::Done { object } if object.is_empty() => "done".to_owned(),
        EffectResult::Done { object } => format!("done, {object}"),
        EffectResult::Refused { code, decline } => {
            let words = decline.as_ref().map(objects::decline).unwrap_or_default();
            format!("refused, {code}{words}")
        }
        EffectResult::Rolled => {
            "nothing came of it; a new key may be used, so that nothing can happen twice".to_owned()
        }
    }
}

fn of_currency(state: &State) -> Option<Currency> {
    state.order.as_ref().map(|o| o.currency)
}

/// ISO minor units of the order's currency.
fn of_order(minor: i64, state: &State) -> String {
    of_currency(state).map_or_else(|| minor.to_string(), |c| Money::new(minor, c).to_string())
}

/// Stripe's integer as decimal money.
fn stripe_sum(amount: i64, currency: Option<Currency>) -> String {
    match currency.map(|c| (c, Money::from_stripe(amount, c))) {
        Some((_, Ok(money))) => money.to_string(),
        Some((currency, Err(_))) => format!("{amount} of Stripe's units of {currency}"),
        None => format!("{amount} of Stripe's units"),
    }
}

fn origin_words(origin: Origin) -> &'static str {
    match origin {
        Origin::Shop => "the shop",
        Origin::Reported => "a person, for a refund that the order system reported",
        Origin::Operator => "an operator",
        Origin::Cancellation => "the cancellation policy",
        Origin::Excess => "what was taken beyond the order's total",
    }
}

fn class_words(class: DeclineClass) -> &'static str {
    match class {
        DeclineClass::Technical => "a technical decline",
        DeclineClass::Soft => "a soft decline",
        DeclineClass::NeedsCustomer => "a decline that only the buyer can mend",
        DeclineClass::Never => "a decline that rules this method out",
    }
}

/// `2d 3h`, `5m`, `40s`: the two largest units.
fn span(seconds: Seconds) -> String {
    let s = seconds.0.max(0);
    let parts = [(s / 86_400, 'd'), (s / 3_600 % 24, 'h'), (s / 60 % 60, 'm'), (s % 60, 's')];
    let first = parts.iter().position(|(n, _)| *n > 0).unwrap_or(3);
    let shown: Vec<String> = parts
        .iter()
        .skip(first)
        .take(2)
        .filter(|(n, _)| *n > 0)
        .map(|(n, unit)| format!("{n}{unit}"))
        .collect();
    if shown.is_empty() { "0s".to_owned() } else { shown.join(" ") }
}

/// The word that a value has on the wire.
fn word(value: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or("?").replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_by_their_two_largest_units() {
        let told = |s: i64| span(Seconds(s));
        assert_eq!([told(0), told(40), told(3_600), told(90_061)], ["0s", "40s", "1h", "1d 1h"]);
    }
}
