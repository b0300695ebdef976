//! The simulator's whole state, behind one lock.
//!
//! Invariant: nothing here depends on anything but the requests, the clock and the seed: the same run gives the same ids.

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::access::Keys;
use super::chaos::{Chaos, Fault};
use super::delivery::Delivery;
use super::idempotency::Answers;
use super::objects::{
    BalanceTransaction, Charge, Customer, Dispute, Endpoint, Event, Object, PaymentIntent, PaymentMethod,
    Payout, Refund, Session, Table,
};
use super::{CardOutcome, SimOptions};

/// Everything.
pub(crate) struct World {
    pub(crate) options: SimOptions,
    pub(crate) customers: Table<Customer>,
    pub(crate) methods: Table<PaymentMethod>,
    pub(crate) intents: Table<PaymentIntent>,
    pub(crate) charges: Table<Charge>,
    pub(crate) refunds: Table<Refund>,
    pub(crate) disputes: Table<Dispute>,
    pub(crate) transactions: Table<BalanceTransaction>,
    pub(crate) payouts: Table<Payout>,
    pub(crate) sessions: Table<Session>,
    pub(crate) events: Table<Event>,
    pub(crate) endpoints: Table<Endpoint>,
    pub(crate) keys: Keys,
    pub(crate) answers: Answers,
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) chaos: Chaos,
    pub(crate) faults: Vec<Fault>,
    /// What happens later by itself, by (time in ms, order of planning).
    pub(crate) agenda: BTreeMap<(i64, u64), Later>,
    /// What saved cards do next, by payment method id or fingerprint.
    pub(crate) scripts: HashMap<String, VecDeque<CardOutcome>>,
    pub(crate) calls: BTreeMap<(String, String), u64>,
    /// The API request being carried out; events name it.
    pub(crate) cause: Option<Cause>,
    /// Requests inside `handle` at this moment.
    pub(crate) running: usize,
    /// How far the simulator's clock was moved ahead of the one it was given.
    pub(crate) offset_ms: i64,
    counter: u64,
    /// While the agenda runs, the time of the entry; otherwise the clock decides.
    moment: Option<i64>,
}

/// The request that causes events.
#[derive(Clone, Debug)]
pub(crate) struct Cause {
    pub(crate) request: String,
    pub(crate) key: Option<String>,
}

/// Something that will happen by the clock.
#[derive(Clone, Debug)]
pub(crate) enum Later {
    /// The session's time is over.
    ExpireSession(String),
    /// The authorisation's time is over.
    ExpireHold(String),
    /// An asynchronous capture gets its balance transaction.
    Settle(String),
    /// A pending refund succeeds, or one that succeeded fails.
    FinishRefund(String, bool),
    /// The card's holder disputes.
    OpenDispute { charge: String, reason: String, inquiry: bool },
    /// The bank decides.
    CloseDispute(String, bool),
    /// A bank debit comes through or is returned.
    FinishDebit(String, bool),
    /// Money reaches the bank account.
    PayoutPaid(String),
    /// A request whose sender has long given up.
    Request(Box<super::Received>),
}

impl World {
    pub(crate) fn new(options: SimOptions) -> Self {
        let keys = Keys::new(&options.secret_key);
        Self {
            options,
            customers: Table::default(),
            methods: Table::default(),
            intents: Table::default(),
            charges: Table::default(),
            refunds: Table::default(),
            disputes: Table::default(),
            transactions: Table::default(),
            payouts: Table::default(),
            sessions: Table::default(),
            events: Table::default(),
            endpoints: Table::default(),
            keys,
            answers: Answers::default(),
            deliveries: Vec::new(),
            chaos: Chaos::default(),
            faults: Vec::new(),
            agenda: BTreeMap::new(),
            scripts: HashMap::new(),
            calls: BTreeMap::new(),
            cause: None,
            running: 0,
            offset_ms: 0,
            counter: 0,
            moment: None,
        }
    }

    /// Milliseconds, as this moment of the simulation sees them.
    pub(crate) fn now_ms(&self) -> i64 {
        self.moment.unwrap_or_else(|| self.options.clock.now_ms() + self.offset_ms)
    }

    /// Whole seconds.
    pub(crate) fn now(&self) -> i64 {
        self.now_ms().div_euclid(1000)
    }

    /// A number that looks random and is not.
    pub(crate) fn dice(&mut self, below: u64) -> u64 {
        self.counter += 1;
        let digest = Sha256::digest(format!("{}:{}", self.options.seed, self.counter));
        let n = digest.iter().take(8).fold(0_u64, |n, b| (n << 8) | u64::from(*b));
        n % below.max(1)
    }

    /// A fresh id: `prefix` and 24 letters and digits.
    pub(crate) fn id(&mut self, prefix: &str) -> String {
        format!("{prefix}{}", self.token(24))
    }

    /// Letters and digits that look random.
    pub(crate) fn token(&mut self, length: usize) -> String {
        const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        self.counter += 1;
        let mut out = String::with_capacity(length);
        let mut block = 0_u32;
        while out.len() < length {
            let digest = Sha256::digest(format!("{}:{}:{block}", self.options.seed, self.counter));
            for byte in digest.iter().take(length - out.len()) {
                out.push(char::from(ALPHABET.get(usize::from(*byte) % 62).copied().unwrap_or(b'0')));
            }
            block += 1;
        }
        out
    }

    /// Plans something for `seconds` from now.
    pub(crate) fn plan(&mut self, seconds: i64, what: Later) {
        let at = self.now_ms() + seconds * 1000;
        self.plan_at(at, what);
    }

    /// Plans something for a moment in milliseconds.
    pub(crate) fn plan_at(&mut self, at: i64, what: Later) {
        self.counter += 1;
        self.agenda.insert((at, self.counter), what);
    }

    /// The first planned moment.
    pub(crate) fn next_planned(&self) -> Option<i64> {
        self.agenda.keys().next().map(|(at, _)| *at)
    }

    /// Does what the clock has reached, each thing at its own moment.
    pub(crate) fn catch_up(&mut self) {
        let until = self.now_ms();
        let cause = self.cause.take();
        while let Some((&(at, n), _)) = self.agenda.first_key_value() {
            if at > until {
                break;
            }
            if let Some(what) = self.agenda.remove(&(at, n)) {
                self.moment = Some(at);
                self.happen(what);
            }
        }
        self.moment = None;
        self.cause = cause;
        let now = self.now();
        for row in self.transactions.rows_mut() {
            if row.status == "pending" && row.available_on <= now {
                row.status = "available".into();
            }
        }
    }

    fn happen(&mut self, what: Later) {
        match what {
            Later::ExpireSession(id) => {
                let _ = self.expire_session(&id);
            }
            Later::ExpireHold(charge) => self.expire_hold(&charge),
            Later::Settle(charge) => self.settle(&charge),
            Later::FinishRefund(refund, succeeded) => self.finish_refund(&refund, succeeded),
            Later::OpenDispute { charge, reason, inquiry } => {
                let _ = self.open_dispute(&charge, &reason, inquiry, None);
            }
            Later::CloseDispute(dispute, won) => self.close_dispute(&dispute, won),
            Later::FinishDebit(intent, ok) => self.finish_debit(&intent, ok),
            Later::PayoutPaid(payout) => self.payout_paid(&payout),
            Later::Request(received) => {
                self.land(&received);
            }
        }
    }

    /// Records an event and queues its deliveries.
    pub(crate) fn emit(&mut self, kind: &str, object: &Value, previous: Option<Value>) {
        let (request, key) = match &self.cause {
            Some(c) => (Value::from(c.request.as_str()), Value::from(c.key.clone())),
            None => (Value::Null, Value::Null),
        };
        let mut data = json!({ "object": object });
        if let (Some(previous), Some(map)) = (previous, data.as_object_mut()) {
            map.insert("previous_attributes".into(), previous);
        }
        let id = self.id("evt_1");
        let event = Event {
            id: id.clone(),
            account: self.options.connect.then(|| self.options.account.clone()),
            api_version: super::API_VERSION.into(),
            created: self.now(),
            data,
            livemode: false,
            pending_webhooks: 0,
            request: json!({ "id": request, "idempotency_key": key }),
            kind: kind.into(),
        };
        self.events.insert(event);
        self.queue_deliveries(&id, kind);
    }

    /// Emits with the object of a table row as it is now.
    pub(crate) fn emit_intent(&mut self, kind: &str, id: &str) {
        if let Some(object) = self.intents.get(id).map(Object::render) {
            self.emit(kind, &object, None);
        }
    }

    /// See [`Self::emit_intent`].
    pub(crate) fn emit_charge(&mut self, kind: &str, id: &str) {
        if let Some(object) = self.charges.get(id).map(Object::render) {
            self.emit(kind, &object, None);
        }
    }

    /// See [`Self::emit_intent`].
    pub(crate) fn emit_refund(&mut self, kind: &str, id: &str, previous: Option<Value>) {
        if let Some(object) = self.refunds.get(id).map(Object::render) {
            self.emit(kind, &object, previous);
        }
    }

    /// See [`Self::emit_intent`].
    pub(crate) fn emit_session(&mut self, kind: &str, id: &str) {
        if let Some(object) = self.sessions.get(id).map(Object::render) {
            self.emit(kind, &object, None);
        }
    }

    /// Books a movement of the balance and returns its id.
    pub(crate) fn book(&mut self, entry: Booking<'_>) -> String {
        let id = self.id("txn_1");
        let now = self.now();
        let fee_details = if entry.fee == 0 {
            Vec::new()
        } else {
            vec![super::objects::FeeDetail {
                amount: entry.fee,
                application: None,
                currency: entry.currency.into(),
                description: Some("Stripe processing fees".into()),
                kind: "stripe_fee".into(),
            }]
        };
        self.transactions.insert(BalanceTransaction {
            id: id.clone(),
            created: now,
            amount: entry.amount,
            available_on: now + entry.available_after,
            currency: entry.currency.into(),
            description: entry.description.map(str::to_owned),
            fee: entry.fee,
            fee_details,
            net: entry.amount - entry.fee,
            reporting_category: entry.category.into(),
            source: Some(entry.source.into()),
            status: if entry.available_after == 0 { "available" } else { "pending" }.into(),
            kind: entry.kind.into(),
            payout: None,
        });
        id
    }
}

/// A movement of the balance to be booked.
#[derive(Clone, Copy)]
pub(crate) struct Booking<'a> {
    pub(crate) amount: i64,
    pub(crate) fee: i64,
    pub(crate) currency: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) category: &'a str,
    pub(crate) source: &'a str,
    pub(crate) description: Option<&'a str>,
    /// Seconds until the money is available.
    pub(crate) available_after: i64,
}
