//! What comes of a call: it lands, an owner settles what nobody knows, and the outcome is recorded under the claim.
//!
//! Invariant: unknown is never treated as failed; what an answer shows counts only if nobody committed since.

use pure::domain::fact::{EffectResult, Terms, What};
use pure::domain::plan::Reason;
use pure::domain::state::Claim;
use pure::domain::time::{Seconds, UnixTime};

use super::hand::{Draft, Phase, Verdict};
use super::stripe::{Answer, Fate, Obj, Word, confirmed, decline};
use super::{Bug, KEY_TRUSTED, Machine, World};

/// Received 5xx answers after which the key's answer counts as stored.
const SERVER_ERRORS_MAX: u32 = 2;
/// How long a call without an outcome waits. The product's waits double; that they grow changes nothing here.
const FIRST_WAIT: Seconds = Seconds::minutes(1);

impl Machine {
    /// A request lands: it is carried out, unless its key is remembered. Returns who hears the answer.
    pub(super) fn land(&self, world: &mut World, index: u8, fate: Fate) -> Option<u8> {
        let request = world.wire.remove(usize::from(index));
        let claim = self.book.claim_of(request.claim);
        let stored = world.stripe.key(request.key).cloned();
        let replay = stored.is_some();
        let answer = stored.unwrap_or_else(|| self.execute(world, &claim, fate));
        if !replay && answer != Answer::Refused {
            self.remember(world, request.key, &answer);
        }
        if matches!(fate, Fate::ServerErrorBefore | Fate::ServerErrorAfter(_)) {
            world.faults -= 1;
        }
        let id = request.worker?;
        let verdict = match answer {
            // A replay shows what was: the object is read for what is.
            Answer::Done { object, .. } if replay => self.done(world, object),
            Answer::Done { object, seen } => Verdict::Done { object, seen },
            Answer::Declined { word, seen } => Verdict::Refused { word: Some(word), seen },
            Answer::ServerError => Verdict::ServerError,
            Answer::Refused => self.refused(world, &claim),
        };
        if let (Verdict::Done { object: Obj::Session(id), .. }, true) =
            (&verdict, self.has(Bug::ShowBeforeStored))
        {
            world.stripe.sessions[usize::from(*id)].shown = true;
        }
        let worker = world.workers[usize::from(id)].as_mut()?;
        if let Phase::Waits { claim, calls } = &worker.phase {
            worker.phase = Phase::Heard { claim: *claim, verdict, calls: calls.clone() };
        }
        Some(id)
    }

    /// The key's memory, without what changes nothing: an object is read again whatever was stored of it, and the age counts
    /// only where keys are kept for a time.
    fn remember(&self, world: &mut World, key: u16, answer: &Answer) {
        let stored = match answer {
            Answer::Done { object, .. } => Answer::Done { object: *object, seen: Vec::new() },
            other => other.clone(),
        };
        let since = if self.rules.keeps_keys > Seconds(0) { world.now } else { 0 };
        world.stripe.keys.push((key, stored, since));
        world.stripe.keys.sort_unstable_by_key(|(key, ..)| *key);
    }

    fn execute(&self, world: &mut World, claim: &Claim, fate: Fate) -> Answer {
        if fate == Fate::ServerErrorBefore {
            return Answer::ServerError;
        }
        let never = confirmed(&claim.terms).map(|id| world.stripe.intents[usize::from(id)].decline);
        world.notes.after_never |= never == Some(Some(Word::Never)) && world.stripe.confirms(&claim.terms);
        let expires_at = claim.body.as_deref().and_then(|b| b.parse().ok()).unwrap_or(0);
        let Some((object, word)) = world.stripe.execute(&claim.terms, expires_at, world.now, fate) else {
            return Answer::Refused;
        };
        if matches!(fate, Fate::ServerErrorAfter(_)) {
            return Answer::ServerError;
        }
        let seen = world.stripe.read(object).into_iter().map(|what| self.book.what(what)).collect();
        word.map_or(Answer::Done { object, seen }, |word| Answer::Declined {
            word,
            seen: world.stripe.read(object).into_iter().map(|what| self.book.what(what)).collect(),
        })
    }

    /// A refusal that Stripe does not store: the object tells, else it proves nothing about an earlier call.
    fn refused(&self, world: &World, claim: &Claim) -> Verdict {
        if let Some(told) = self.told(world, claim) {
            return told;
        }
        match claim.unknown_since {
            None => Verdict::Refused { word: None, seen: Vec::new() },
            Some(_) => Verdict::ServerError,
        }
    }

    /// An outcome nobody knows: the object tells, or the search. `None`: sent again under its own key.
    pub(super) fn settle(&self, world: &World, claim: &Claim) -> Option<Verdict> {
        let creates = matches!(claim.terms, Terms::CreateSession { .. } | Terms::CreateIntent { .. });
        if !creates && let Some(verdict) = self.told(world, claim) {
            return Some(verdict);
        }
        let young = UnixTime(world.now) - claim.generation_at < KEY_TRUSTED;
        if young && claim.server_errors < SERVER_ERRORS_MAX {
            return None;
        }
        let found = world.stripe.objects().filter(|object| match (&claim.terms, object) {
            (Terms::CreateSession { attempt, .. }, Obj::Session(id)) => {
                world.stripe.sessions[usize::from(*id)].attempt == *attempt
            }
            (Terms::CreateIntent { attempt, .. }, Obj::Intent(id)) => {
                let intent = &world.stripe.intents[usize::from(*id)];
                intent.attempt == *attempt && intent.off_session
            }
            _ => false,
        });
        let newest = found.last();
        Some(newest.map_or(Verdict::Roll, |object| self.done(world, object)))
    }

    fn done(&self, world: &World, object: Obj) -> Verdict {
        let seen = self.read(world, object).into_iter().map(|what| self.book.what(what)).collect();
        Verdict::Done { object, seen }
    }

    /// What an object says about the call on it. `None`: it was not done.
    fn told(&self, world: &World, claim: &Claim) -> Option<Verdict> {
        let object = match &claim.terms {
            Terms::Confirm { intent, .. } | Terms::CancelIntent { intent, .. } => Obj::named(intent)?,
            Terms::ExpireSession { session, .. } => Obj::named(session)?,
            _ => return None,
        };
        let seen: Vec<u16> = self.read(world, object).into_iter().map(|w| self.book.what(w)).collect();
        let (done, refused) = (
            Some(Verdict::Done { object, seen: seen.clone() }),
            Some(Verdict::Refused { word: None, seen: seen.clone() }),
        );
        match (&claim.terms, self.book.what_of(*seen.first()?).as_ref()) {
            (Terms::Confirm { .. }, What::IntentSeen(read)) => match read.status.as_str() {
                "succeeded" | "processing" => done,
                "canceled" => refused,
                "requires_payment_method" => {
                    let word = self.own_decline(world, claim, object)?;
                    Some(Verdict::Refused { word: Some(word), seen })
                }
                _ => None,
            },
            (Terms::CancelIntent { .. }, What::IntentSeen(read)) => match read.status.as_str() {
                "canceled" => done,
                "succeeded" | "processing" => refused,
                _ => None,
            },
            (Terms::ExpireSession { .. }, What::SessionSeen(read)) => match read.status.as_str() {
                "expired" => done,
                "complete" if self.has(Bug::RefusedMeansClosed) => {
                    Some(Verdict::Done { object, seen: self.closed(world, object) })
                }
                "complete" => refused,
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether the decline that an intent shows is this confirmation's own: the intent was unconfirmed when it was
    /// claimed, or its newest charge is another one.
    fn own_decline(&self, world: &World, claim: &Claim, object: Obj) -> Option<Word> {
        let (Terms::Confirm { attempt, try_no, .. }, Obj::Intent(id)) = (&claim.terms, object) else {
            return None;
        };
        let intent = &world.stripe.intents[usize::from(id)];
        let charge = (intent.charges > 0).then(|| format!("ch_{id}_{}", intent.charges));
        let state = self.book.state(&world.item);
        let own = if self.has(Bug::DeclineByTheLastSight) {
            let known = state.intents.get(&object.name());
            known.is_some_and(|k| k.latest_charge != charge || k.status == "requires_confirmation")
        } else {
            let tries = &state.attempts.get(attempt)?.confirms;
            tries
                .iter()
                .find(|t| t.try_no == *try_no)
                .is_some_and(|t| t.unconfirmed || t.charge_before != charge)
        };
        intent.decline.filter(|_| own)
    }

    /// What a closed object would show.
    pub(super) fn closed(&self, world: &World, object: Obj) -> Vec<u16> {
        let mut seen = world.stripe.read(object);
        seen.truncate(1);
        match seen.first_mut() {
            Some(What::SessionSeen(session)) => (session.status, session.url) = ("expired".into(), None),
            Some(What::IntentSeen(intent)) => intent.status = "canceled".into(),
            _ => {}
        }
        seen.into_iter().map(|what| self.book.what(what)).collect()
    }

    /// Records what came of a call, if the claim is still there.
    pub(super) fn record(&self, world: &mut World, id: u8) -> Option<()> {
        let mut worker = world.workers[usize::from(id)].take()?;
        let Phase::Heard { claim, verdict, calls } = worker.phase.clone() else { return None };
        let claim = self.book.claim_of(claim);
        let mut draft = Draft::new(&self.book, world);
        if draft.claims.get(&claim.effect).is_some_and(|held| held.owner == claim.owner) {
            let seen = self.outcome(world, &mut draft, &claim, verdict);
            for what in seen.into_iter().filter(|_| worker.fresh) {
                draft.see(what.as_ref().clone(), Reason::Observed);
            }
            draft.records(worker.who.function());
            let (claims, facts) = (draft.numbers(), draft.facts);
            self.put(world, facts, claims);
            worker.fresh = true;
        }
        self.carry_on(world, worker, calls, id);
        Some(())
    }

    /// Puts an outcome into the draft; returns what was seen with it.
    fn outcome(
        &self,
        world: &mut World,
        draft: &mut Draft<'_>,
        claim: &Claim,
        verdict: Verdict,
    ) -> Vec<std::sync::Arc<What>> {
        let (effect, generation) = (claim.effect.clone(), claim.generation);
        let (result, seen) = match verdict {
            Verdict::Done { object, seen } => (EffectResult::Done { object: object.name() }, seen),
            Verdict::Refused { word, seen } => {
                world.notes.paid_while_closing |= matches!(claim.terms, Terms::ExpireSession { .. });
                if let Some(Obj::Intent(id)) = confirmed(&claim.terms).map(Obj::Intent) {
                    let known = draft.state.intents.get(&Obj::Intent(id).name());
                    let charge = format!("ch_{id}_{}", world.stripe.intents[usize::from(id)].charges);
                    world.notes.decline_seen_first |= known.is_some_and(|k| k.latest_charge == Some(charge));
                }
                let code = if word.is_some() { "card_declined" } else { "refused" }.to_owned();
                (EffectResult::Refused { code, decline: word.map(decline) }, seen)
            }
            Verdict::Roll => {
                world.notes.rolled = confirmed(&claim.terms).is_some();
                (EffectResult::Rolled, Vec::new())
            }
            Verdict::ServerError => {
                let mut held = claim.clone();
                held.calls += 1;
                held.server_errors += 1;
                held.unknown_since = held.unknown_since.or(Some(UnixTime(world.now)));
                held.deadline = UnixTime(world.now) + FIRST_WAIT;
                draft.put(held);
                return Vec::new();
            }
        };
        draft.drop_claim(&claim.effect);
        draft.add(What::Outcome { effect, generation, result }, Reason::Carried.name());
        seen.into_iter().map(|what| self.book.what_of(what)).collect()
    }
}
