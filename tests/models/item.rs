//! One order is one item: facts, claim and due time move in one update on the revision, and an SDK may repeat our own
//! success as a conflict. Stands for `shared/src/store/orders.rs` (`commit`, `lost`), `shared/src/engine.rs` (`run`) and
//! `shared/src/engine/draft.rs`.
//!
//! A look (load, then read the truth) is one step: if anybody commits between the two, the commit that follows is lost
//! anyway. A claim's owner is gone when it died or went home; that its deadline passes then is left to model `claim`.

use stateright::{Model, Property};

use crate::Size;
use crate::check::Protocol;

const ORDERED: &str = "what was seen later is never older";
const ONCE: &str = "no commit is in the item twice";
const DUE: &str = "open work has a due time";
const OWNED: &str = "only who is claimed in the item calls";
const CARRIED: &str = "who claims and lives carries it out";

/// What can be planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// The update has no condition.
    CommitWithoutRevision,
    /// The truth is read before the item is loaded.
    ReadBeforeLoad,
    /// Who lost sends the same facts again on the new revision.
    LoserKeepsItsSight,
    /// A conflict is taken for somebody else's commit.
    ConflictMeansLost,
    /// After a conflict only the item's last token is looked at.
    OnlyTheLastToken,
    /// The due time is written after the commit.
    DueBeside,
    /// A claim is thought to need no due time: its owner is at work.
    ClaimWithoutDue,
}

/// A fact, by the token of its commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fact {
    Seen(u8),
    Claimed,
    Done,
}

/// One update on its way to the table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Update {
    on: u8,
    token: u8,
    facts: Vec<Fact>,
    claim: Option<u8>,
    due: bool,
}

/// One invocation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Hand {
    Home,
    /// Only with [`Bug::ReadBeforeLoad`]: holds a sight and no revision.
    HasRead(u8),
    /// Waits for the answer to its update; `owner`: the claim whose outcome this is.
    Sent {
        update: Update,
        owner: Option<u8>,
    },
    /// Only with [`Bug::DueBeside`].
    WritesDue(bool, Option<u8>),
    /// Is claimed in the item and has to call.
    Calls(u8),
    /// Has called and has to record.
    Called(u8),
}

impl Hand {
    fn is(&self, owner: u8) -> bool {
        match self {
            Self::Home | Self::HasRead(_) => false,
            Self::Sent { update, owner: of } => update.token == owner || *of == Some(owner),
            Self::WritesDue(_, of) => *of == Some(owner),
            Self::Calls(own) | Self::Called(own) => *own == owner,
        }
    }
}

/// Item, hands and what happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    truth: u8,
    rev: u8,
    token: u8,
    facts: Vec<(u8, Fact)>,
    claim: Option<u8>,
    due: bool,
    hands: Vec<Hand>,
    /// Updates of hands that died: they may land yet.
    late: Vec<Update>,
    faults: u8,
    swept: bool,
    stranger_called: bool,
    left_behind: bool,
    own_conflict: bool,
    older_than_last: bool,
    orphan: bool,
}

/// A step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    TruthChanges,
    Reads(u8),
    Looks(u8),
    Commits(u8),
    CommitsUnheardAndSdkRepeats(u8),
    WritesDue(u8),
    Calls(u8),
    Dies(u8),
    LateUpdateLands,
    SweeperRedates,
}

/// The item.
pub(crate) struct Item {
    hands: u8,
    truths: u8,
    faults: u8,
    bug: Option<Bug>,
}

impl World {
    fn last_seen(&self) -> u8 {
        let seen =
            |(_, fact): &(u8, Fact)| if let Fact::Seen(version) = fact { Some(*version) } else { None };
        self.facts.iter().rev().find_map(seen).unwrap_or(0)
    }

    fn has(&self, fact: Fact) -> bool {
        self.facts.iter().any(|(_, f)| *f == fact)
    }

    fn is_open(&self) -> bool {
        self.claim.is_some() || (self.last_seen() > 0 && !self.has(Fact::Claimed))
    }

    /// A token that nothing holds.
    fn fresh(&self) -> u8 {
        self.tokens().max().unwrap_or(0) + 1
    }

    fn tokens(&self) -> impl Iterator<Item = u8> {
        let hands = self.hands.iter().flat_map(|hand| match hand {
            Hand::Home | Hand::HasRead(_) => [None, None],
            Hand::Sent { update, owner } => [Some(update.token), *owner],
            Hand::WritesDue(_, owner) => [*owner, None],
            Hand::Calls(owner) | Hand::Called(owner) => [Some(*owner), None],
        });
        let facts = self.facts.iter().map(|(token, _)| Some(*token));
        let late = self.late.iter().map(|update| Some(update.token));
        facts.chain([self.claim, Some(self.token)]).chain(hands).chain(late).flatten()
    }

    /// The same world with its tokens numbered as they are met: what a token is called changes nothing.
    fn renamed(mut self) -> Self {
        let mut names: Vec<u8> = vec![0];
        for token in self.tokens() {
            if !names.contains(&token) {
                names.push(token);
            }
        }
        let rename = |token: &mut u8| {
            let name = names.iter().position(|t| t == token);
            *token = name.and_then(|n| u8::try_from(n).ok()).unwrap_or(*token);
        };
        self.facts.iter_mut().for_each(|(token, _)| rename(token));
        self.claim.iter_mut().for_each(rename);
        rename(&mut self.token);
        let update = |update: &mut Update| {
            rename(&mut update.token);
            update.claim.iter_mut().for_each(rename);
        };
        self.late.iter_mut().for_each(update);
        for hand in &mut self.hands {
            match hand {
                Hand::Home | Hand::HasRead(_) => {}
                Hand::Sent { update: sent, owner } => {
                    update(sent);
                    owner.iter_mut().for_each(rename);
                }
                Hand::WritesDue(_, owner) => owner.iter_mut().for_each(rename),
                Hand::Calls(owner) | Hand::Called(owner) => rename(owner),
            }
        }
        self
    }
}

impl Item {
    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// Load, read, fold, plan: the update that follows, if there is anything to do.
    fn draft(&self, world: &World, hand: usize, seen: u8) -> Option<Update> {
        if let Hand::Called(owner) = world.hands[hand] {
            let mine = world.claim == Some(owner);
            return mine.then(|| Update {
                on: world.rev,
                token: world.fresh(),
                facts: vec![Fact::Done],
                claim: None,
                due: false,
            });
        }
        let mut facts = Vec::new();
        if world.last_seen() != seen {
            facts.push(Fact::Seen(seen));
        }
        let wanted = (seen > 0 || world.last_seen() > 0) && !world.has(Fact::Claimed);
        let gone = world.claim.filter(|owner| !world.hands.iter().any(|h| h.is(*owner)));
        if facts.is_empty() && !wanted && gone.is_none() {
            return None;
        }
        let token = world.fresh();
        let claim = if wanted || gone.is_some() { Some(token) } else { world.claim };
        if wanted {
            facts.push(Fact::Claimed);
        }
        let due = claim.is_some() && !self.has(Bug::ClaimWithoutDue);
        Some(Update { on: world.rev, token, facts, claim, due })
    }

    /// The table's part: whether the update was taken.
    fn land(&self, world: &mut World, update: &Update) -> bool {
        if update.on != world.rev && !self.has(Bug::CommitWithoutRevision) {
            return false;
        }
        world.rev = update.on + 1;
        world.token = update.token;
        world.facts.extend(update.facts.iter().map(|fact| (update.token, *fact)));
        world.claim = update.claim;
        if !self.has(Bug::DueBeside) {
            world.due = update.due;
        }
        true
    }

    /// The hand's part: what it makes of the answer.
    fn answered(&self, world: &mut World, hand: usize, taken: bool) {
        let Hand::Sent { update, owner } = world.hands[hand].clone() else { return };
        let by_token = world.token == update.token;
        let by_fact = world.facts.iter().any(|(token, _)| *token == update.token);
        if !taken {
            world.own_conflict |= by_token || by_fact;
            world.older_than_last |= by_fact && !by_token;
        }
        let ours = match self.bug {
            Some(Bug::ConflictMeansLost) => taken,
            Some(Bug::OnlyTheLastToken) => taken || by_token,
            _ => taken || by_token || by_fact,
        };
        let claims = (update.claim == Some(update.token)).then_some(update.token);
        world.hands[hand] = match (ours, owner) {
            (true, _) if self.has(Bug::DueBeside) => Hand::WritesDue(update.due, claims),
            (true, _) => claims.map_or(Hand::Home, Hand::Calls),
            (false, Some(owner)) => Hand::Called(owner),
            (false, None) if self.has(Bug::LoserKeepsItsSight) => {
                let update = Update { on: world.rev, ..update.clone() };
                Hand::Sent { update, owner }
            }
            (false, None) => Hand::Home,
        };
        let abandoned = !ours && world.claim == claims && claims.is_some();
        world.left_behind |= abandoned && by_fact;
        world.orphan |= abandoned && !by_fact;
    }
}

impl Model for Item {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            truth: 0,
            rev: 0,
            token: 0,
            facts: Vec::new(),
            claim: None,
            due: false,
            hands: vec![Hand::Home; usize::from(self.hands)],
            late: Vec::new(),
            faults: 0,
            swept: false,
            stranger_called: false,
            left_behind: false,
            own_conflict: false,
            older_than_last: false,
            orphan: false,
        }]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        let may_fail = world.faults < self.faults;
        if world.truth < self.truths {
            steps.push(Step::TruthChanges);
        }
        for (id, hand) in (0_u8..).zip(&world.hands) {
            match hand {
                Hand::Home if self.has(Bug::ReadBeforeLoad) => steps.push(Step::Reads(id)),
                Hand::Home | Hand::HasRead(_) | Hand::Called(_) => steps.push(Step::Looks(id)),
                Hand::Sent { .. } => {
                    steps.push(Step::Commits(id));
                    if may_fail {
                        steps.push(Step::CommitsUnheardAndSdkRepeats(id));
                    }
                }
                Hand::WritesDue(..) => steps.push(Step::WritesDue(id)),
                Hand::Calls(_) => steps.push(Step::Calls(id)),
            }
            if *hand != Hand::Home && may_fail {
                steps.push(Step::Dies(id));
            }
        }
        if !world.late.is_empty() {
            steps.push(Step::LateUpdateLands);
        }
        if world.due && !world.swept {
            steps.push(Step::SweeperRedates);
        }
    }

    fn next_state(&self, last: &World, step: Step) -> Option<World> {
        let mut world = last.clone();
        match step {
            Step::TruthChanges => world.truth += 1,
            Step::Reads(id) => world.hands[usize::from(id)] = Hand::HasRead(world.truth),
            Step::Looks(id) => {
                let hand = usize::from(id);
                let seen = if let Hand::HasRead(seen) = world.hands[hand] { seen } else { world.truth };
                let owner = if let Hand::Called(owner) = world.hands[hand] { Some(owner) } else { None };
                let update = self.draft(&world, hand, seen);
                world.hands[hand] = update.map_or(Hand::Home, |update| Hand::Sent { update, owner });
                return (world != *last).then(|| world.renamed());
            }
            Step::Commits(id) => {
                let Hand::Sent { update, .. } = last.hands[usize::from(id)].clone() else { return None };
                let taken = self.land(&mut world, &update);
                self.answered(&mut world, usize::from(id), taken);
            }
            Step::CommitsUnheardAndSdkRepeats(id) => {
                // The answer is lost; the SDK's own second request comes with the next step.
                let Hand::Sent { update, .. } = &last.hands[usize::from(id)] else { return None };
                self.land(&mut world, update);
                world.faults += 1;
            }
            Step::WritesDue(id) => {
                let Hand::WritesDue(due, claims) = last.hands[usize::from(id)] else { return None };
                world.due = due;
                world.hands[usize::from(id)] = claims.map_or(Hand::Home, Hand::Calls);
            }
            Step::Calls(id) => {
                let Hand::Calls(owner) = last.hands[usize::from(id)] else { return None };
                world.stranger_called |= world.claim != Some(owner);
                world.hands[usize::from(id)] = Hand::Called(owner);
            }
            Step::Dies(id) => {
                if let Hand::Sent { update, .. } = &last.hands[usize::from(id)] {
                    world.late.push(update.clone());
                }
                world.hands[usize::from(id)] = Hand::Home;
                world.faults += 1;
            }
            Step::LateUpdateLands => {
                let update = world.late.pop()?;
                self.land(&mut world, &update);
            }
            Step::SweeperRedates => {
                world.token = world.fresh();
                (world.rev, world.swept) = (world.rev + 1, true);
            }
        }
        Some(world.renamed())
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ORDERED, |_, world: &World| {
                let seen = world.facts.iter().filter_map(|(_, f)| match f {
                    Fact::Seen(version) => Some(*version),
                    Fact::Claimed | Fact::Done => None,
                });
                seen.is_sorted()
            }),
            Property::always(ONCE, |_, world: &World| {
                (1..world.facts.len()).all(|i| !world.facts[..i].contains(&world.facts[i]))
            }),
            Property::always(DUE, |_, world: &World| world.due || !world.is_open()),
            Property::always(OWNED, |_, world: &World| !world.stranger_called),
            Property::always(CARRIED, |_, world: &World| !world.left_behind),
            Property::sometimes("our own commit is told as a conflict", |_, world: &World| {
                world.own_conflict
            }),
            Property::sometimes(
                "our own commit is told as a conflict after another's",
                |_, world: &World| world.older_than_last,
            ),
            Property::sometimes(
                "a claim taken over without a fact waits for its deadline",
                |_, world: &World| world.orphan,
            ),
            Property::sometimes("an update lands after its sender died", |_, world: &World| {
                world.late.iter().any(|update| update.on == world.rev)
            }),
        ]
    }
}

impl Protocol for Item {
    type Bug = Bug;
    const NAME: &'static str = "commits on the revision of the order's item";
    const STANDS_FOR: &'static str =
        "shared/src/store/orders.rs, shared/src/engine.rs, shared/src/engine/draft.rs";
    const BUGS: &'static [(Bug, &'static str)] = &[
        (Bug::CommitWithoutRevision, ORDERED),
        (Bug::CommitWithoutRevision, OWNED),
        (Bug::CommitWithoutRevision, ONCE),
        (Bug::ReadBeforeLoad, ORDERED),
        (Bug::LoserKeepsItsSight, ORDERED),
        (Bug::ConflictMeansLost, CARRIED),
        (Bug::OnlyTheLastToken, CARRIED),
        (Bug::DueBeside, DUE),
        (Bug::ClaimWithoutDue, DUE),
    ];

    fn of(size: Size, bug: Option<Bug>) -> Self {
        match size {
            Size::Small => Self { hands: 2, truths: 2, faults: 2, bug },
            Size::Wide => Self { hands: 3, truths: 2, faults: 2, bug },
        }
    }

    fn settled(&self, world: &World) -> bool {
        let all_seen = world.last_seen() == world.truth;
        all_seen && world.claim.is_none() && (world.truth == 0 || world.has(Fact::Done)) && !world.due
    }

    fn calm(&self, _: &World, step: &Step) -> bool {
        !matches!(
            step,
            Step::TruthChanges
                | Step::Dies(_)
                | Step::CommitsUnheardAndSdkRepeats(_)
                | Step::LateUpdateLands
                | Step::SweeperRedates
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Item;
    use crate::check::tests::{has_teeth, holds};

    #[test]
    fn facts_claim_and_due_time_never_disagree() {
        holds::<Item>();
    }

    #[test]
    fn every_planted_bug_is_noticed() {
        has_teeth::<Item>();
    }
}
