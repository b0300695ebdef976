//! What holds after any sequence of facts: observations in any order, repeated, declined, refused, unknown.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::kit::{
    Story, charge_view, declined, dispute, done, effect_of, intent, order, refund, refused, request, session,
};
use crate::domain::fact::{Decision, EffectResult, Origin, RefundView, Terms, What};
use crate::domain::laws::arbitrary::{Seed, fact, what};
use crate::domain::laws::law;
use crate::domain::money::{Currency, Money};
use crate::domain::order::{CaptureMode, Collection, OrderStatus, RefundRequest, ReportedRefund};
use crate::domain::plan::{Action, Do};
use crate::domain::state::{Phase, State};
use crate::domain::time::Seconds;

pub(super) type Step = (u8, u8, u8);

fn pick<T: Clone>(from: &[T], n: u8) -> Option<T> {
    (!from.is_empty()).then(|| from[usize::from(n) % from.len()].clone())
}

fn ready(story: &Story) -> Vec<Action> {
    let wanted = |a: &Action| {
        a.ready(story.now) && effect_of(&a.what).is_some_and(|e| e != "tell" && !e.starts_with("notice:"))
    };
    story.plan().into_iter().filter(wanted).collect()
}

pub(super) fn object_of(terms: &Terms) -> String {
    match terms {
        Terms::CreateSession { attempt, .. } => format!("cs_{attempt}"),
        Terms::CreateIntent { attempt, .. } => format!("pi_{attempt}"),
        Terms::Confirm { intent, .. }
        | Terms::CancelIntent { intent, .. }
        | Terms::Capture { intent, .. } => intent.clone(),
        Terms::ExpireSession { session, .. } => session.clone(),
        Terms::Refund { request, .. } => format!("re_{request}"),
        Terms::Tell { .. } | Terms::Notice { .. } => String::new(),
    }
}

pub(super) fn new_order(a: u8, b: u8) -> What {
    let mut new = order([0, 500, 1000, 1000, 1500, 2000][usize::from(a) % 6]);
    new.status = match b % 8 {
        0 => OrderStatus::Cancelled,
        1 => OrderStatus::OnHold,
        2 => OrderStatus::Fulfilled,
        3 => OrderStatus::Other("odd".into()),
        _ => OrderStatus::Open,
    };
    new.collection = [Collection::Page, Collection::Automatic, Collection::Automatic, Collection::None]
        [usize::from(a / 8) % 4];
    new.capture = if b & 64 == 0 { CaptureMode::AtOnce } else { CaptureMode::OnFulfilment };
    if b & 128 != 0 {
        new.deposit = Some(new.total / 2);
        new.balance_due_at = Some(super::kit::START + Seconds::days(2));
    }
    if a & 64 != 0 {
        let amount = (a & 32 == 0).then_some(300);
        new.refund_requests.push(RefundRequest { id: "r1".into(), amount, reason: String::new() });
    }
    if a & 128 != 0 {
        new.refunds.push(ReportedRefund { id: "x1".into(), amount: 200, request: None });
    }
    What::OrderSeen(Box::new(new))
}

fn refund_seen(story: &Story, a: u8, b: u8) -> Option<What> {
    let state = story.state();
    let charge = pick(&state.charges.keys().cloned().collect::<Vec<_>>(), a)?;
    let status = ["pending", "succeeded", "failed", "canceled"][usize::from(b) % 4];
    let asked: Vec<_> = state.requests.values().filter(|r| r.refunded_charge.is_some()).cloned().collect();
    if let (Some(asked), true) = (pick(&asked, a), b & 16 == 0) {
        let charge = asked.refunded_charge.clone().unwrap_or_default();
        return Some(refund(&format!("re_{}", asked.id), &charge, asked.amount, status, Some(&asked.id)));
    }
    // By hand, in Stripe's dashboard: Stripe never gives back more than is left.
    let amount = state.left_on(&charge).min(i64::from(b) * 4);
    (amount > 0).then(|| refund(&format!("re_hand_{a}_{b}"), &charge, amount, status, None))
}

pub(super) fn apply(story: Story, (kind, a, b): Step) -> Story {
    let n = u32::from(a % 3) + 1;
    let (cs, pi) = (format!("cs_{n}"), format!("pi_{n}"));
    let amount = story.state().attempts.get(&n).map_or(1000, |t| t.amount);
    match kind % 17 {
        0 => story.see(new_order(a, b)),
        1..=3 => match pick(&ready(&story), a) {
            Some(action) => story.take(&effect_of(&action.what).unwrap()),
            None => story,
        },
        4..=6 => {
            let Some(claim) = pick(&story.claims.values().cloned().collect::<Vec<_>>(), a) else {
                return story;
            };
            let result = match b % 6 {
                0 => refused("odd"),
                1 => EffectResult::Rolled,
                2 if matches!(claim.terms, Terms::Confirm { .. }) => declined("insufficient_funds"),
                _ => done(&object_of(&claim.terms)),
            };
            story.outcome(&claim.effect, result)
        }
        7 => {
            let status = ["open", "complete", "expired"][usize::from(b) % 3];
            story.see(session(&cs, n, status, (b & 8 != 0).then_some(pi.as_str())))
        }
        8 => {
            let all = [
                "succeeded",
                "processing",
                "requires_capture",
                "canceled",
                "requires_payment_method",
                "requires_action",
                "requires_confirmation",
            ];
            story.see(intent(&pi, n, all[usize::from(b) % all.len()], amount))
        }
        9 => {
            let mut seen = charge_view(&format!("ch_{n}"), &pi, amount);
            match b % 4 {
                0 => (seen.status, seen.captured, seen.amount_captured) = ("failed".into(), false, 0),
                1 => seen.status = "pending".into(),
                _ => {}
            }
            story.see(What::ChargeSeen(seen))
        }
        10 => match refund_seen(&story, a, b) {
            Some(what) => story.see(what),
            None => story,
        },
        11 => {
            let status = ["needs_response", "won", "lost", "warning_needs_response"][usize::from(b) % 4];
            story.see(dispute(&format!("dp_{n}"), &format!("ch_{n}"), i64::from(a) * 8, status))
        }
        12 => story.see(What::BuyerAsked),
        13 => {
            let state = story.state();
            let open: Vec<String> =
                state.cases.iter().filter(|(_, c)| c.is_open()).map(|(id, _)| id.clone()).collect();
            let decision = if b % 2 == 0 { Decision::Approve } else { Decision::Deny };
            match pick(&open, a) {
                Some(case) => story.see(super::kit::decided(&case, decision)),
                None => story,
            }
        }
        14 => story.later(Seconds::hours(i64::from(b))),
        15 => match a % 4 {
            0 => {
                story.see(What::MethodSeen { method: (b % 2 == 0).then(|| "pm_1".into()), fingerprint: None })
            }
            1 => story.see(What::CustomerLinked { customer: "cus_1".into() }),
            2 => story.see(request(&format!("op:{b}"), i64::from(b) * 5 - 100, Origin::Operator)),
            _ => story.see(What::Unknown { was: "tomorrow".into() }),
        },
        _ => {
            // A delivery of long ago, once more.
            let seen = |w: &What| {
                matches!(
                    w,
                    What::SessionSeen(_)
                        | What::IntentSeen(_)
                        | What::ChargeSeen(_)
                        | What::RefundSeen(RefundView { .. })
                )
            };
            let old: Vec<What> = story.facts.iter().map(|f| f.what.clone()).filter(seen).collect();
            match pick(&old, a) {
                Some(what) => story.see(what),
                None => story,
            }
        }
    }
}

/// Objects of other attempts that can still take money, as Stripe showed them last, whether we know their attempt or not.
fn payable(state: &State, but: u32) -> Vec<String> {
    // The page of a payment that was seen to succeed or to be canceled is over, although nobody has read it since.
    let settled = |id: &String| {
        let own = state.attempts.values().find(|a| a.object.as_ref() == Some(id));
        own.is_some_and(|a| matches!(state.phase(a), Phase::Paid | Phase::Dead))
    };
    let open = state.sessions.values().filter(|s| s.attempt > 0 && s.attempt != but && s.status == "open");
    let sessions = open.filter(|s| !settled(&s.id));
    let intents = state.intents.values().filter(|i| {
        let settled = matches!(i.status.as_str(), "succeeded" | "canceled");
        let page = state.sessions.values().find(|s| s.attempt > 0 && s.intent.as_ref() == Some(&i.id));
        // Nobody can confirm the intent of a session that is over, and nobody but us a bare one.
        let over = |s: &str| s == "expired" || (s == "complete" && i.status == "requires_payment_method");
        let ended = page.is_some_and(|s| over(&s.status));
        let waits = i.status.starts_with("requires_") && i.status != "requires_capture";
        i.attempt > 0 && i.attempt != but && !settled && !(waits && (ended || page.is_none()))
    });
    sessions.map(|s| s.id.clone()).chain(intents.map(|i| format!("{} {}", i.id, i.status))).collect()
}

/// What Stripe showed as taken, and as returned on a charge nothing of which was released, in the order's currency. Counted
/// here from the objects, not by the state's own sums.
fn counted(state: &State, charge: Option<&str>) -> (i128, i128) {
    let Some(order) = &state.order else { return (0, 0) };
    // What ISO cannot express is cut: hundredths of a króna are Stripe's own, and no order is owed them.
    let minor = |amount: i64, currency: Currency| {
        let (stripe, iso) = (currency.stripe_exponent(), currency.iso_exponent());
        let amount = if currency == order.currency { i128::from(amount.max(0)) } else { 0 };
        if stripe >= iso { amount / 10_i128.pow(stripe - iso) } else { amount * 10_i128.pow(iso - stripe) }
    };
    let of = |id: &str| charge.is_none_or(|c| c == id);
    let charges = state.charges.values().filter(|c| of(&c.id) && c.captured && c.status == "succeeded");
    let taken = charges.clone().map(|c| minor(c.amount_captured, c.currency)).sum();
    let unreleased = charges.filter(|c| c.amount <= c.amount_captured);
    let back = |r: &&RefundView| {
        let over = ["failed", "canceled"].contains(&r.status.as_str());
        !over && r.reason.as_deref() != Some("expired_uncaptured_charge")
    };
    let returned = unreleased
        .flat_map(|c| state.refunds.values().filter(|r| r.charge == c.id).filter(back))
        .map(|r| minor(r.amount, r.currency))
        .sum();
    (taken, returned)
}

fn holds(story: &Story) -> Result<(), TestCaseError> {
    let state = story.state();
    let actions = story.plan();
    for sum in [
        state.captured(),
        state.refunded(),
        state.lost(),
        state.asked(),
        state.excess(),
        state.due(story.now),
    ] {
        prop_assert!(sum >= 0, "a sum below nothing");
    }
    if let Some(view) = &state.view {
        prop_assert!(view.amount_due >= 0 && view.amount_captured >= 0 && view.amount_refunded >= 0);
    }
    let mut creations = BTreeSet::new();
    let mut refunds: BTreeMap<&str, i64> = BTreeMap::new();
    for action in &actions {
        let when = action.at.max(story.now);
        if let Some(effect) = effect_of(&action.what) {
            prop_assert!(!state.claims.contains_key(&effect), "{effect} is claimed and planned");
        }
        match &action.what {
            Do::CreateSession { attempt, amount, .. } | Do::CreateIntent { attempt, amount, .. } => {
                let live = state.live_attempt().map(|(a, phase)| (a.n, a.rolled, phase));
                let free = live.as_ref().is_none_or(|l| *l == (*attempt, true, Phase::Creating));
                prop_assert!(free, "attempt {attempt} beside {live:?}");
                let payable = payable(&state, *attempt);
                prop_assert!(payable.is_empty(), "attempt {attempt} beside {payable:?}");
                prop_assert!(*amount > 0 && *amount <= state.due(when), "{amount} of {}", state.due(when));
                let (taken, _) = counted(&state, None);
                let total = i128::from(state.order.as_ref().unwrap().total);
                prop_assert!(i128::from(*amount) + taken <= total, "{amount} and {taken} of {total}");
                creations.insert(*attempt);
            }
            Do::Effect { terms: Terms::Capture { amount_stripe, intent, .. }, .. } => {
                let intent = &state.intents[intent];
                let taken = Money::from_stripe(*amount_stripe, intent.currency).unwrap().minor;
                prop_assert!(taken > 0 && taken <= state.due(when), "{taken} of {}", state.due(when));
                prop_assert!(*amount_stripe <= intent.amount_capturable);
            }
            Do::Effect { terms: Terms::Refund { amount_stripe, charge, .. }, .. } => {
                let currency = state.charges[charge].currency;
                let back = Money::from_stripe(*amount_stripe, currency).unwrap().minor;
                prop_assert_eq!(Some(currency), state.order.as_ref().map(|o| o.currency));
                *refunds.entry(charge).or_default() += back;
            }
            _ => {}
        }
    }
    prop_assert!(creations.len() <= 1);
    for (charge, planned) in refunds {
        let claimed: i64 = state
            .claims
            .values()
            .filter_map(|c| match &c.terms {
                Terms::Refund { charge: on, amount_stripe, request }
                    if on == charge && state.request_open(request) =>
                {
                    Some(*amount_stripe)
                }
                _ => None,
            })
            .sum();
        let left = state.left_on(charge);
        let (taken, returned) = counted(&state, Some(charge));
        prop_assert!(
            i128::from(planned) + returned <= taken,
            "{planned} and {returned} of {taken} on {charge}"
        );
        prop_assert!(
            planned > 0 && planned + claimed <= left,
            "{planned} and {claimed} of {left} on {charge}"
        );
    }
    let live = state.live_attempt();
    let waits = |a: &Action| !a.is_record() && effect_of(&a.what).is_none_or(|e| e != "tell");
    if let Some((attempt, phase)) = live.filter(|(a, p)| !(*p == Phase::Creating && a.rolled)) {
        prop_assert!(actions.iter().any(waits), "{attempt:?} is {phase:?} and nobody will look");
    }
    Ok(())
}

pub(super) fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(any::<Step>(), 0..most)
}

proptest! {
    #![proptest_config(law())]

    #[test]
    fn money_is_safe_after_any_story(first in any::<(u8, u8)>(), steps in steps(40)) {
        let mut story = Story::empty().see(new_order(first.0, first.1 | 4));
        let mut version = 0;
        for step in steps {
            story = apply(story, step);
            holds(&story)?;
            let before = story.facts.len();
            story = story.settled();
            if story.facts.len() > before {
                holds(&story)?;
            }
            let seen = story.state().view_version;
            prop_assert!(seen >= version, "the view's version fell from {version} to {seen}");
            version = seen;
        }
        prop_assert_eq!(story.plan(), story.plan(), "the same question has one answer");
    }

    /// Facts of no story: each alone possible, together contradictory.
    #[test]
    fn money_is_safe_after_arbitrary_facts(seeds in prop::collection::vec(any::<Seed>(), 1..30)) {
        let mut story = Story::empty();
        for (n, seed) in seeds.into_iter().enumerate() {
            let fact = fact(n, what(seed));
            (story.now, story.facts) = (fact.at, [story.facts, vec![fact]].concat());
            holds(&story)?;
        }
        story = story.settled();
        holds(&story)?;
    }
}
