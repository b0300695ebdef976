//! Planning comes to rest: once everybody did what the plan asked of them, and whatever came of it, nothing is ready.

use proptest::prelude::*;

use super::kit::{Story, charge_view, declined, done, effect_of, intent, refund, refused, session};
use super::properties::{Step, apply, new_order, object_of, steps};
use crate::domain::fact::{EffectResult, Terms, What};
use crate::domain::laws::law;
use crate::domain::plan::{Action, Do};

/// Most rounds to rest. A round does one thing that is ready.
const ROUNDS_MAX: usize = 60;

/// What is seen is stored if it is news.
fn news(story: Story, what: What) -> Story {
    if story.state().is_news(&what) { story.see(what) } else { story }
}

/// Somebody looks: what is there shows itself as it was seen last.
fn read_again(mut story: Story) -> Story {
    let state = story.state();
    for id in &state.stale {
        let again = state
            .sessions
            .get(id)
            .cloned()
            .map(What::SessionSeen)
            .or_else(|| state.intents.get(id).cloned().map(What::IntentSeen))
            .or_else(|| state.refunds.get(id).cloned().map(What::RefundSeen));
        story = again.into_iter().fold(story, Story::see);
    }
    story
}

/// What Stripe, the shop or a reader of notices shows after an effect was carried out.
fn shows(story: Story, terms: &Terms) -> Story {
    let state = story.state();
    let after = |id: &String, status: &str| {
        let known = state.intents.get(id).map_or((0, 1000), |i| (i.attempt, i.amount));
        intent(id, known.0, status, known.1)
    };
    match terms {
        Terms::CreateSession { attempt, .. } => {
            story.see(session(&format!("cs_{attempt}"), *attempt, "open", None))
        }
        Terms::CreateIntent { attempt, amount, .. } => {
            story.see(intent(&format!("pi_{attempt}"), *attempt, "requires_confirmation", *amount))
        }
        Terms::Confirm { intent: id, .. } | Terms::Capture { intent: id, .. } => {
            let amount = state.intents.get(id).map_or(1000, |i| i.amount);
            let charge = What::ChargeSeen(charge_view(&format!("ch_{id}"), id, amount));
            story.see(after(id, "succeeded")).see(charge)
        }
        Terms::CancelIntent { intent: id, .. } => story.see(after(id, "canceled")),
        Terms::ExpireSession { session: id, attempt } => {
            let named = state.sessions.get(id).and_then(|s| s.intent.clone());
            story.see(session(id, *attempt, "expired", named.as_deref()))
        }
        Terms::Refund { request, charge, amount_stripe } => {
            story.see(refund(&format!("re_{request}"), charge, *amount_stripe, "succeeded", Some(request)))
        }
        Terms::Tell { version } => story.see(What::ViewTold { version: *version, recorded: None }),
        Terms::Notice { key } => story.see(What::Noticed { key: key.clone() }),
    }
}

/// The effect is claimed, called, and ends in one of the ways in which calls end.
fn carried_out(story: Story, effect: &str, how: u8) -> Story {
    let mut story = story.take(effect);
    let claim = story.claims[effect].clone();
    match (&claim.terms, how % 4) {
        (Terms::Tell { .. } | Terms::Notice { .. }, how) => {
            story.claims.remove(effect);
            match how {
                0 => story.see(What::TellFailed {
                    effect: effect.into(),
                    detail: "it answers 422".into(),
                    recorded: None,
                }),
                _ => shows(story, &claim.terms),
            }
        }
        (Terms::Confirm { .. }, 0) => story.outcome(effect, declined("insufficient_funds")),
        (_, 0) => story.outcome(effect, refused("odd")),
        (_, 1) => story.outcome(effect, EffectResult::Rolled),
        (terms, _) => shows(story.outcome(effect, done(&object_of(&claim.terms))), terms),
    }
}

/// An attempt's object is read, and the charges of what was taken with it.
fn look_at(story: Story, n: u32) -> Story {
    let state = story.state();
    let taken = state.intents.values().filter(|i| {
        let charged = state.charges.values().any(|c| c.took() && c.intent == i.id);
        i.attempt == n && i.amount_received > 0 && !charged
    });
    let charges = taken.map(|i| charge_view(&format!("ch_{}", i.id), &i.id, i.amount_received));
    let story = charges.fold(story.clone(), |story, charge| news(story, What::ChargeSeen(charge)));
    let Some(attempt) = state.attempts.get(&n) else { return story };
    let Some(id) = attempt.object.clone() else {
        // A search by our metadata finds nothing.
        return story.outcome(&attempt.creation(), EffectResult::Rolled);
    };
    if state.sessions.get(&id).is_some_and(|s| s.status == "complete") && state.intent_of(attempt).is_none() {
        // A complete page has its intent.
        let named = state.sessions[&id].intent.clone().unwrap_or_else(|| format!("pi_{n}"));
        let story = news(story, session(&id, n, "complete", Some(&named)));
        return news(story, intent(&named, n, "canceled", 0));
    }
    let known = state.sessions.get(&id).cloned().map(What::SessionSeen);
    let known = known.or_else(|| state.intents.get(&id).cloned().map(What::IntentSeen));
    let first = || match attempt.off_session {
        true => intent(&id, n, "requires_confirmation", attempt.amount),
        false => session(&id, n, "open", None),
    };
    news(story, known.unwrap_or_else(first))
}

/// Every refund that was made is there, under the request that asked for it.
fn look_at_refunds(story: Story) -> Story {
    let state = story.state();
    state.requests.values().fold(story, |story, request| match &request.result {
        Some(EffectResult::Done { object }) if state.stale.contains(object) => {
            let charge = request.refunded_charge.as_deref().unwrap_or("ch_1");
            story.see(refund(object, charge, request.amount, "succeeded", Some(&request.id)))
        }
        _ => story,
    })
}

/// The function that owns an action does it.
fn does(story: Story, action: &Action, how: u8) -> Story {
    if let Some(effect) = effect_of(&action.what) {
        return carried_out(story, &effect, how);
    }
    let state = story.state();
    match &action.what {
        Do::ReserveCard { attempt, try_no, .. } => {
            let (attempt, try_no, again_at) = (*attempt, *try_no, None);
            story.see(What::CardBudget { attempt, try_no, granted: true, again_at })
        }
        Do::LookAtAttempt { attempt } => look_at(story, *attempt),
        Do::LookAtRefunds => look_at_refunds(story),
        Do::LookAtOrder if state.customer.is_none() => {
            story.see(What::CustomerLinked { customer: "cus_1".into() })
        }
        _ => story,
    }
}

/// Does what is ready until nothing is but looks that show nothing new.
fn to_rest(mut story: Story, outcomes: &[u8]) -> Result<Story, TestCaseError> {
    // What is under way ends first.
    for (effect, claim) in story.claims.clone() {
        let own = matches!(claim.terms, Terms::Tell { .. } | Terms::Notice { .. });
        story.claims.remove(&effect);
        story = if own { story } else { story.outcome(&effect, refused("odd")) };
    }
    let mut looked: Vec<Do> = Vec::new();
    for round in 0..ROUNDS_MAX {
        story = read_again(story).settled();
        let wanted = |a: &Action| a.ready(story.now) && !a.is_record() && !looked.contains(&a.what);
        let Some(action) = story.plan().into_iter().find(wanted) else { return Ok(story) };
        let after = does(story.clone(), &action, outcomes[round % outcomes.len()]);
        if after.facts.len() > story.facts.len() || after.claims != story.claims {
            looked.clear();
        } else {
            // Nothing new was seen, so nothing was written: the sweeper asks again, ever more rarely.
            let look = matches!(action.what, Do::LookAtOrder | Do::LookAtAttempt { .. } | Do::LookAtRefunds);
            prop_assert!(look, "nobody can do {action:?}");
            looked.push(action.what);
        }
        story = after;
    }
    Err(TestCaseError::fail(format!("no rest: {:?}", story.wants())))
}

proptest! {
    #![proptest_config(law())]

    #[test]
    fn planning_comes_to_rest(
        first in any::<(u8, u8)>(),
        steps in steps(25),
        outcomes in prop::collection::vec(any::<u8>(), 1..12),
        notify in any::<bool>(),
    ) {
        let mut story = Story::empty().see(new_order(first.0, first.1 | 4));
        story.policy.notify = notify;
        for step in steps as Vec<Step> {
            story = apply(story, step).settled();
        }
        let rested = to_rest(story, &outcomes)?;
        // And it stays there.
        let facts = rested.facts.len();
        prop_assert_eq!(to_rest(rested, &outcomes)?.facts.len(), facts);
    }

    /// Whatever is refused, nothing is wanted for ever at one moment.
    #[test]
    fn refusals_end(first in any::<(u8, u8)>(), steps in steps(25)) {
        let mut story = Story::empty().see(new_order(first.0, first.1 | 4));
        for step in steps as Vec<Step> {
            story = apply(story, step).settled();
        }
        to_rest(story, &[0])?;
    }
}
