//! What the tests of the archive share: a hand that shows what a test says, the table as it is, faults, and a head that is
//! nearly full.

use std::collections::HashMap;
use std::sync::Mutex;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_runtime_api::client::result::ConnectorError;
use futures::future::BoxFuture;
use local::aws::io::{Effect, internal_error};
use local::aws::{Answer, Call, Faults};
use shared::domain::fact::{ChargeView, IntentView, What, chain_break};
use shared::domain::ids::{Function, OrderKey};
use shared::domain::money::Currency;
use shared::domain::plan::{Action, Reason};
use shared::domain::policy::decline::Decline;
use shared::domain::state::{State, fold};
use shared::engine::{Draft, Engine, EngineError, Hand, Prepared, Ran, Tokens, Trigger};
use shared::store::{Change, OrderItem};

use crate::far_side::{START, Stack, deadline, seen};

/// Shows what a test says, once per revision.
pub(super) struct Shows(Vec<What>);

impl Hand for Shows {
    async fn observe(
        &mut self,
        _: &Engine,
        _: &Trigger,
        _: &OrderKey,
        _: &State,
        moved: bool,
    ) -> Result<Vec<(What, Reason)>, EngineError> {
        let seen = if moved { self.0.clone() } else { Vec::new() };
        Ok(seen.into_iter().map(|what| (what, Reason::Observed)).collect())
    }

    async fn prepare(
        &mut self,
        _: &Engine,
        _: &Trigger,
        _: &OrderKey,
        _: &State,
        _: &Action,
    ) -> Result<Prepared, EngineError> {
        Ok(Prepared::Nothing)
    }
}

pub(super) fn trigger(event: Option<&str>) -> Trigger {
    Trigger { corr: "c0ffee".into(), event: event.map(str::to_owned), deadline: deadline() }
}

/// An engine with tokens of its own.
pub(super) fn engine(stack: &Stack, seed: u64) -> Engine {
    Engine { tokens: Tokens::seeded(seed), ..stack.engine(Function::PaymentRecorder) }
}

pub(super) async fn run(
    engine: &Engine,
    key: &OrderKey,
    event: &str,
    what: Vec<What>,
) -> Result<Ran, EngineError> {
    engine.run(key, &trigger(Some(event)), &mut Shows(what)).await
}

pub(super) fn eur() -> Currency {
    Currency::parse("EUR").unwrap()
}

/// A decline inside the open session of attempt 1: the intent is back at its beginning, its newest charge failed.
pub(super) fn decline(n: usize) -> Vec<What> {
    let charge = format!("ch_3SMp2EAbcdEfGh{n:08}");
    let intent = IntentView {
        id: "pi_1".into(),
        attempt: 1,
        status: "requires_payment_method".into(),
        amount: 3_000,
        amount_capturable: 0,
        amount_received: 0,
        currency: eur(),
        latest_charge: Some(charge.clone()),
        cancellation_reason: None,
        decline: None,
        review: None,
    };
    let failed = ChargeView {
        id: charge,
        intent: "pi_1".into(),
        status: "failed".into(),
        amount: 3_000,
        amount_captured: 0,
        amount_refunded: 0,
        currency: eur(),
        captured: false,
        disputed: false,
        capture_before: None,
        fingerprint: Some(format!("fp_{n:08}")),
        decline: Some(Decline {
            code: "card_declined".into(),
            decline_code: Some("insufficient_funds".into()),
            ..Default::default()
        }),
        created: START,
    };
    vec![What::IntentSeen(intent), What::ChargeSeen(failed)]
}

pub(super) struct Table {
    client: Client,
    name: String,
    key: OrderKey,
}

pub(super) type Item = HashMap<String, AttributeValue>;

impl Table {
    pub(super) fn of(stack: &Stack, key: &OrderKey) -> Self {
        let name = stack.config.resources.orders_table.clone();
        Self { client: Client::new(&stack.sdk), name, key: key.clone() }
    }

    pub(super) async fn items(&self) -> Vec<Item> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let query = self.client.query().table_name(&self.name).key_condition_expression("pk = :pk");
            let key = AttributeValue::S(self.key.to_string());
            let query = query.expression_attribute_values(":pk", key).set_exclusive_start_key(after);
            let answer = query.send().await.unwrap();
            all.extend(answer.items.unwrap());
            after = answer.last_evaluated_key;
            if after.is_none() {
                return all;
            }
        }
    }

    pub(super) async fn item(&self, sk: &str) -> Option<Item> {
        self.items().await.into_iter().find(|i| i["sk"].as_s().unwrap() == sk)
    }

    pub(super) async fn archives(&self) -> usize {
        self.items().await.iter().filter(|i| i["sk"].as_s().unwrap().starts_with("archive#")).count()
    }

    /// Bytes of the largest item, as DynamoDB counts them.
    pub(super) async fn largest(&self) -> usize {
        self.items().await.iter().map(bytes_of).max().unwrap()
    }

    pub(super) async fn put(&self, item: Item) {
        let put = self.client.put_item().table_name(&self.name).set_item(Some(item));
        put.send().await.unwrap();
    }
}

pub(super) fn bytes_of(item: &Item) -> usize {
    fn value(v: &AttributeValue) -> usize {
        match v {
            AttributeValue::S(text) => text.len(),
            AttributeValue::N(digits) => digits.len() / 2 + 1,
            AttributeValue::B(bytes) => bytes.as_ref().len(),
            other => panic!("{other:?}"),
        }
    }
    item.iter().map(|(name, v)| name.len() + value(v)).sum()
}

pub(super) fn text(item: &Item, name: &str) -> String {
    item[name].as_s().unwrap().clone()
}

#[derive(Clone, Copy)]
pub(super) enum Fault {
    Works,
    /// It is done, and its answer is lost.
    Lost,
    /// It is not done.
    Fails,
}

/// What becomes of the next calls of an operation.
#[derive(Default)]
pub(super) struct Broken(pub(super) Mutex<Vec<(&'static str, Fault)>>);

impl Broken {
    fn next(&self, operation: &str) -> Fault {
        let mut planned = self.0.lock().unwrap();
        let at = planned.iter().position(|(name, _)| *name == operation);
        at.map_or(Fault::Works, |at| planned.remove(at).1)
    }
}

/// The SDK's attempts of one call.
pub(super) const ATTEMPTS: usize = 3;

impl Faults for Broken {
    fn around<'a>(&'a self, call: Call<'a>, effect: Effect) -> BoxFuture<'a, Result<Answer, ConnectorError>> {
        let fault = self.next(&call.label.operation);
        Box::pin(async move {
            match fault {
                Fault::Works => Ok(effect.await),
                Fault::Lost => {
                    effect.await;
                    Ok(internal_error())
                }
                Fault::Fails => Ok(internal_error()),
            }
        })
    }
}

/// An order whose head is just below the size at which facts leave it, and the number of the next decline.
pub(super) async fn nearly_full(stack: &Stack) -> (OrderKey, usize) {
    let order = stack.order("1", 3_000, "awaiting_payment");
    let key = stack.commit("1", vec![seen(&order)]).await;
    let engine = engine(stack, 1);
    for n in 0..1_000 {
        let item = engine.store.load(&key).await.unwrap();
        if item.facts.iter().map(|f| f.raw.len()).sum::<usize>() > 55 * 1024 {
            return (key, n);
        }
        let four: Vec<What> = (4 * n..4 * n + 4).flat_map(decline).collect();
        run(&engine, &key, &format!("stripe/evt_{n}"), four).await.unwrap();
    }
    panic!("it never fills");
}

/// What a commit of this engine would be, on this item.
pub(super) fn change(engine: &Engine, item: &OrderItem, what: Vec<What>) -> Change {
    let trigger = trigger(None);
    let mut draft = Draft::new(engine, item, item.state(), &trigger);
    what.into_iter().for_each(|what| draft.add(what, "observed"));
    draft.change().unwrap()
}

/// Large enough to make the head give its facts away.
pub(super) fn many() -> Vec<What> {
    (90_000..90_020).flat_map(decline).collect()
}

/// The head and its archives together are one unbroken history, and say what the item says.
pub(super) async fn whole(stack: &Stack, key: &OrderKey) -> OrderItem {
    let store = stack.engine(Function::Cli).store;
    let item = store.load(key).await.unwrap();
    let all = store.history(&item).await.unwrap();
    assert_eq!(chain_break(&all, ""), None);
    assert_eq!(fold(all.iter().map(|f| &f.fact), &item.claims), item.state());
    item
}
