//! Stripe as far as one order meets it: sessions, intents, their charges, and the memory of keys.
//!
//! Invariants: an intent takes money once; a key that is remembered answers as it did the first time, whatever has happened
//! to the object since.

use pure::domain::fact::{ChargeView, IntentView, SessionView, Terms, What};
use pure::domain::policy::decline::Decline;
use pure::domain::time::{Seconds, UnixTime};

use super::{DECLINES, eur};

/// Stripe takes no session that ends sooner than this.
const SHORTEST_SESSION: Seconds = Seconds::minutes(30);

/// A class of decline, by one word of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Word {
    Soft,
    Never,
}

/// What a request meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Yes,
    Declines(Word),
    Processes,
    /// 5xx, stored with the key, nothing done.
    ServerErrorBefore,
    /// 5xx, stored with the key, after the effect (or after a decline).
    ServerErrorAfter(Option<Word>),
}

/// An object's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Obj {
    Session(u8),
    Intent(u8),
}

impl Obj {
    pub(crate) fn name(self) -> String {
        match self {
            Self::Session(id) => format!("cs_{id}"),
            Self::Intent(id) => format!("pi_{id}"),
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        let number = |prefix: &str| name.strip_prefix(prefix).and_then(|n| n.parse().ok());
        number("cs_").map(Self::Session).or_else(|| number("pi_").map(Self::Intent))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SessionStatus {
    Open,
    Complete,
    Expired,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum IntentStatus {
    Unconfirmed,
    NeedsMethod,
    Processing,
    Succeeded,
    Canceled,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Session {
    pub(crate) attempt: u32,
    pub(crate) amount: i64,
    pub(crate) expires_at: i64,
    pub(crate) status: SessionStatus,
    pub(crate) intent: Option<u8>,
    /// A buyer was sent to it: it can be paid while it is open.
    pub(crate) shown: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Intent {
    pub(crate) attempt: u32,
    pub(crate) amount: i64,
    pub(crate) status: IntentStatus,
    /// Confirmations that were carried out: each is a charge.
    pub(crate) charges: u8,
    pub(crate) decline: Option<Word>,
    pub(crate) off_session: bool,
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Answer {
    Done { object: Obj, seen: Vec<u16> },
    Declined { word: Word, seen: Vec<u16> },
    Refused,
    ServerError,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Stripe {
    pub(crate) sessions: Vec<Session>,
    pub(crate) intents: Vec<Intent>,
    /// What is stored with each key, and since when.
    pub(crate) keys: Vec<(u16, Answer, i64)>,
}

/// The decline as Stripe words it.
pub(crate) fn decline(word: Word) -> Decline {
    let said = DECLINES.iter().find(|(w, _)| *w == word).map(|(_, text)| (*text).to_owned());
    Decline { code: "card_declined".into(), decline_code: said, ..Decline::default() }
}

/// The intent that a confirmation is about.
pub(crate) fn confirmed(terms: &Terms) -> Option<u8> {
    let Terms::Confirm { intent, .. } = terms else { return None };
    match Obj::named(intent) {
        Some(Obj::Intent(id)) => Some(id),
        _ => None,
    }
}

fn number<T>(list: &[T]) -> u8 {
    u8::try_from(list.len()).unwrap_or(u8::MAX)
}

impl Stripe {
    pub(crate) fn objects(&self) -> impl Iterator<Item = Obj> {
        let sessions = (0..number(&self.sessions)).map(Obj::Session);
        sessions.chain((0..number(&self.intents)).map(Obj::Intent))
    }

    pub(crate) fn key(&self, key: u16) -> Option<&Answer> {
        self.keys.iter().find(|(k, ..)| *k == key).map(|(_, answer, _)| answer)
    }

    /// Money taken.
    pub(crate) fn taken(&self) -> i64 {
        self.intents.iter().filter(|i| i.status == IntentStatus::Succeeded).map(|i| i.amount).sum()
    }

    /// Money taken or on its way.
    pub(crate) fn taken_or_coming(&self) -> i64 {
        let taken = |i: &&Intent| matches!(i.status, IntentStatus::Succeeded | IntentStatus::Processing);
        self.intents.iter().filter(taken).map(|i| i.amount).sum()
    }

    /// Whether a request would confirm an intent that can be confirmed.
    pub(crate) fn confirms(&self, terms: &Terms) -> bool {
        let intent = confirmed(terms).and_then(|id| self.intents.get(usize::from(id)));
        intent.is_some_and(|i| matches!(i.status, IntentStatus::Unconfirmed | IntentStatus::NeedsMethod))
    }

    /// Carries a request out: the object, and whether it was declined. `None`: refused.
    pub(crate) fn execute(
        &mut self,
        terms: &Terms,
        expires_at: i64,
        now: i64,
        fate: Fate,
    ) -> Option<(Obj, Option<Word>)> {
        match terms {
            Terms::CreateSession { attempt, amount, .. } => {
                if UnixTime(expires_at) < UnixTime(now) + SHORTEST_SESSION {
                    return None;
                }
                let (attempt, amount, status) = (*attempt, *amount, SessionStatus::Open);
                self.sessions.push(Session {
                    attempt,
                    amount,
                    expires_at,
                    status,
                    intent: None,
                    shown: false,
                });
                Some((Obj::Session(number(&self.sessions) - 1), None))
            }
            Terms::CreateIntent { attempt, amount, .. } => {
                self.intents.push(Intent {
                    attempt: *attempt,
                    amount: *amount,
                    status: IntentStatus::Unconfirmed,
                    charges: 0,
                    decline: None,
                    off_session: true,
                });
                Some((Obj::Intent(number(&self.intents) - 1), None))
            }
            Terms::Confirm { .. } if self.confirms(terms) => {
                let id = confirmed(terms)?;
                let intent = &mut self.intents[usize::from(id)];
                intent.charges += 1;
                let word = match fate {
                    Fate::Declines(word) | Fate::ServerErrorAfter(Some(word)) => Some(word),
                    _ => None,
                };
                intent.decline = word;
                intent.status = match (word, fate) {
                    (Some(_), _) => IntentStatus::NeedsMethod,
                    (None, Fate::Processes) => IntentStatus::Processing,
                    (None, _) => IntentStatus::Succeeded,
                };
                Some((Obj::Intent(id), word))
            }
            Terms::CancelIntent { intent, .. } => {
                let Some(Obj::Intent(id)) = Obj::named(intent) else { return None };
                let intent = &mut self.intents[usize::from(id)];
                let open = matches!(intent.status, IntentStatus::Unconfirmed | IntentStatus::NeedsMethod);
                open.then(|| intent.status = IntentStatus::Canceled).map(|()| (Obj::Intent(id), None))
            }
            Terms::ExpireSession { session, .. } => {
                let Some(Obj::Session(id)) = Obj::named(session) else { return None };
                let session = &mut self.sessions[usize::from(id)];
                let open = session.status == SessionStatus::Open;
                open.then(|| session.status = SessionStatus::Expired).map(|()| (Obj::Session(id), None))
            }
            _ => None,
        }
    }

    pub(crate) fn pay(&mut self, id: u8, status: IntentStatus) {
        let session = &mut self.sessions[usize::from(id)];
        session.status = SessionStatus::Complete;
        session.intent = Some(number(&self.intents));
        let (attempt, amount) = (session.attempt, session.amount);
        self.intents.push(Intent { attempt, amount, status, charges: 1, decline: None, off_session: false });
    }

    pub(crate) fn bank_says(&mut self, id: u8, good: bool) {
        let intent = &mut self.intents[usize::from(id)];
        intent.status = if good { IntentStatus::Succeeded } else { IntentStatus::NeedsMethod };
        intent.decline = (!good).then_some(Word::Soft);
    }

    /// What a read of an object shows.
    pub(crate) fn read(&self, object: Obj) -> Vec<What> {
        match object {
            Obj::Session(id) => self.read_session(id),
            Obj::Intent(id) => self.read_intent(id),
        }
    }

    fn read_session(&self, id: u8) -> Vec<What> {
        let session = &self.sessions[usize::from(id)];
        let status = match session.status {
            SessionStatus::Open => "open",
            SessionStatus::Complete => "complete",
            SessionStatus::Expired => "expired",
        };
        let paid = session.intent.is_some_and(|i| self.is_paid(i));
        let mut seen = vec![What::SessionSeen(SessionView {
            id: Obj::Session(id).name(),
            attempt: session.attempt,
            status: status.into(),
            payment_status: if paid { "paid" } else { "unpaid" }.into(),
            intent: session.intent.map(|i| Obj::Intent(i).name()),
            url: (session.status == SessionStatus::Open).then(|| "https://pay.test".into()),
            expires_at: UnixTime(session.expires_at),
        })];
        seen.extend(session.intent.map(|i| self.read_intent(i)).unwrap_or_default());
        seen
    }

    fn is_paid(&self, id: u8) -> bool {
        self.intents[usize::from(id)].status == IntentStatus::Succeeded
    }

    fn read_intent(&self, id: u8) -> Vec<What> {
        let intent = &self.intents[usize::from(id)];
        let status = match intent.status {
            IntentStatus::Unconfirmed => "requires_confirmation",
            IntentStatus::NeedsMethod => "requires_payment_method",
            IntentStatus::Processing => "processing",
            IntentStatus::Succeeded => "succeeded",
            IntentStatus::Canceled => "canceled",
        };
        let name = Obj::Intent(id).name();
        let charge = (intent.charges > 0).then(|| format!("ch_{id}_{}", intent.charges));
        let taken = if self.is_paid(id) { intent.amount } else { 0 };
        let mut seen = vec![What::IntentSeen(IntentView {
            id: name.clone(),
            attempt: intent.attempt,
            status: status.into(),
            amount: intent.amount,
            amount_capturable: 0,
            amount_received: taken,
            currency: eur(),
            latest_charge: charge.clone(),
            cancellation_reason: None,
            decline: intent.decline.map(decline),
            review: None,
        })];
        seen.extend(charge.map(|id| {
            let failed = intent.decline.is_some();
            let pending = intent.status == IntentStatus::Processing;
            What::ChargeSeen(ChargeView {
                id,
                intent: name,
                status: if failed {
                    "failed"
                } else if pending {
                    "pending"
                } else {
                    "succeeded"
                }
                .into(),
                amount: intent.amount,
                amount_captured: taken,
                amount_refunded: 0,
                currency: eur(),
                captured: taken > 0,
                disputed: false,
                capture_before: None,
                fingerprint: None,
                decline: intent.decline.map(decline),
                created: UnixTime(0),
            })
        }));
        seen
    }
}
