//! An order system that answers nonsense: nothing is charged or given back on it, nothing is lost, and the reason is
//! said. When it answers sense again, the order goes its way.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use local::stack::Stack;
use serde_json::{Value, json};
use shared::domain::fact::CaseKind;
use shared::domain::ids::Function;
use shared::domain::time::Seconds;
use shared::domain::view::PaymentStatus;
use shared::engine::Engine;
use shared::lambda::{Deadline, batch_reply, records};
use shared::outbound::http::{Http, HttpRequest, HttpResponse, SendFuture, SharedHttp};
use shared::outbound::shop::OrderSystem as _;
use shared::queue::Queue;

use super::stories::*;

/// What becomes of the order that the shop shows.
type Twist = fn(&mut Value) -> Option<&'static str>;

/// The shop as its order API shows it through a twist; everything else passes.
struct Odd {
    inner: SharedHttp,
    orders: String,
    twist: Mutex<Option<Twist>>,
}

impl Http for Odd {
    fn send(&self, request: HttpRequest, timeout: Duration) -> SendFuture<'_> {
        Box::pin(async move {
            let shows =
                request.method() == http::Method::GET && request.uri().to_string().starts_with(&self.orders);
            let mut answer: HttpResponse = self.inner.send(request, timeout).await?;
            let twist = *self.twist.lock().unwrap();
            if let (true, Some(twist)) = (shows, twist) {
                let mut order: Value = serde_json::from_slice(answer.body()).unwrap();
                let text = twist(&mut order).map_or_else(|| order.to_string(), str::to_owned);
                *answer.body_mut() = Bytes::from(text);
            }
            Ok(answer)
        })
    }
}

struct World {
    stack: Stack,
    odd: Arc<Odd>,
}

impl World {
    /// payment-creator reads its orders through the twist.
    async fn start() -> Self {
        let mut stack = start().await;
        let inner = stack.engine(Function::PaymentCreator).http;
        let orders = format!("{}/orders/", stack.bases.shop);
        let odd = Arc::new(Odd { inner, orders, twist: Mutex::new(None) });
        let mut engine = stack.engine(Function::PaymentCreator);
        engine.http = odd.clone();
        let deps = payment_creator::Deps::new(engine);
        let handler = move |event| -> std::pin::Pin<Box<dyn Future<Output = _> + Send>> {
            let (deps, until) = (deps.clone(), Deadline::after(Duration::from_secs(60)));
            Box::pin(async move { batch_reply(payment_creator::handle(&deps, records(event), until).await) })
        };
        stack.pump.register(Queue::Orders, Arc::new(handler));
        Self { stack, odd }
    }

    fn twist(&self, twist: Option<Twist>) {
        *self.odd.twist.lock().unwrap() = twist;
    }

    fn engine(&self) -> Engine {
        let mut engine = self.stack.engine(Function::Cli);
        engine.http = self.odd.clone();
        engine
    }

    /// Why the order cannot be read, in words.
    async fn reason(&self, id: &str) -> String {
        let shop = self.engine().shop(&self.stack.key(id).unwrap()).await.unwrap();
        shop.get_order(id).await.unwrap_err().to_string()
    }

    fn nothing_was_made_at_stripe(&self, what: &str) {
        let ledger = self.stack.sim.ledger();
        assert!(
            ledger.sessions.is_empty() && ledger.intents.is_empty() && ledger.customers.is_empty(),
            "{what}"
        );
    }

    async fn dead_letters(&self) -> usize {
        let url = &self.stack.config.resources.dead_queue_urls["orders"];
        let sqs = shared::aws::sqs(&self.stack.aws.sdk_config());
        let received = sqs.receive_message().queue_url(url).visibility_timeout(0).send().await.unwrap();
        received.messages.unwrap_or_default().len()
    }

    /// Until the message is visible again, and a little more.
    async fn wait(&self) {
        self.stack.advance(Seconds(185), None).await.unwrap();
    }
}

/// Nonsense that no order can be read from, and what the reason must name.
const NONSENSE: &[(Twist, &str)] = &[
    (|o| set(o, "currency", json!("EURO")), "currency"),
    (|o| set(o, "currency", json!("QQQ")), "currency"),
    (|o| set(o, "total", Value::Null), "total"),
    (|o| set(o, "total", json!(12.5)), "total"),
    (|o| set(o, "total", json!("4200")), "total"),
    (|o| set(o, "status", json!(7)), "status"),
    (|o| set(o, "id", json!("4711")), "4711"),
    (|o| set(o, "errors", json!([{"message": "no such thing"}])), "error"),
    (|_| Some("<!doctype html><title>Maintenance</title>"), "JSON"),
    (|_| Some(""), "JSON"),
    (|_| Some("[]"), "JSON object"),
];

fn set(order: &mut Value, field: &str, value: Value) -> Option<&'static str> {
    order[field] = value;
    None
}

#[tokio::test(start_paused = true)]
async fn nonsense_charges_nothing_and_the_message_waits_until_the_shop_answers_sense() {
    for (i, (twist, names)) in NONSENSE.iter().enumerate() {
        let world = World::start().await;
        world.twist(Some(*twist));
        let order = world.stack.shop.place(euros(4_200, Some("anna"))).unwrap().id;
        let stats = world.stack.settle().await.unwrap();
        assert_eq!((stats.messages, stats.failed), (1, 1), "case {i}: the message goes back to its queue");
        let reason = world.reason(&order).await;
        assert!(reason.contains(names), "case {i}: {reason}");
        assert!(!reason.contains('@'), "case {i}: contact data in {reason}");
        world.wait().await;
        world.nothing_was_made_at_stripe(&reason);
        world.twist(None);
        world.wait().await;
        assert!(world.stack.pay_link(&order).is_ok(), "case {i}: {reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_stays_nonsense_ends_as_a_dead_letter_and_the_listing_finds_the_order_again() {
    let world = World::start().await;
    world.twist(Some(|o| set(o, "currency", json!("EURO"))));
    let order = world.stack.shop.place(euros(4_200, Some("anna"))).unwrap().id;
    world.stack.settle().await.unwrap();
    assert_eq!(world.dead_letters().await, 0);
    for _ in 0..9 {
        world.wait().await;
    }
    assert_eq!(world.dead_letters().await, 1, "tried eight times, then kept for a person");
    world.nothing_was_made_at_stripe("dead letter");
    world.twist(None);
    // The shop repaired, the listing finds the order without anybody's help.
    world.stack.sweep().await.unwrap();
    world.stack.settle().await.unwrap();
    assert!(world.stack.pay_link(&order).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_status_nobody_knows_opens_a_case_and_charges_nothing() {
    let world = World::start().await;
    world.twist(Some(|o| set(o, "status", json!("on_the_moon"))));
    let order = world.stack.shop.place(euros(4_200, None)).unwrap().id;
    let stats = world.stack.settle().await.unwrap();
    assert_eq!(stats.failed, 0, "it can be read: the message is done");
    let key = world.stack.key(&order).unwrap();
    let state = world.engine().store.load(&key).await.unwrap().state();
    let cases: Vec<&str> = state.cases.values().filter(|c| c.is_open()).map(|c| c.text.as_str()).collect();
    assert!(cases.len() == 1 && cases[0].contains("on_the_moon"), "{cases:?}");
    world.nothing_was_made_at_stripe("unknown status");
    let told = world.stack.shop.record().notices.iter().any(|n| n.kind == "case.opened");
    assert!(told, "people are told");
}

#[tokio::test(start_paused = true)]
async fn a_currency_that_stripe_does_not_take_opens_a_case_and_charges_nothing() {
    let world = World::start().await;
    world.twist(Some(|o| set(o, "currency", json!("KPW"))));
    let order = world.stack.shop.place(euros(4_200, None)).unwrap().id;
    world.stack.settle().await.unwrap();
    let key = world.stack.key(&order).unwrap();
    let state = world.engine().store.load(&key).await.unwrap().state();
    assert!(state.cases.values().any(|c| c.is_open() && c.kind == CaseKind::CreationRefused));
    world.nothing_was_made_at_stripe("unknown currency");
    let asked = world.stack.sim.ledger().calls_to("POST", "/v1/checkout/sessions");
    world.stack.advance(Seconds::hours(12), Some(Seconds::hours(1))).await.unwrap();
    let again = world.stack.sim.ledger().calls_to("POST", "/v1/checkout/sessions");
    assert_eq!((asked, again), (1, 1), "not tried again before its cause changes");
}

#[tokio::test(start_paused = true)]
async fn nonsense_about_a_paid_order_gives_nothing_back() {
    let world = World::start().await;
    let order = paid(&world.stack, euros(4_200, Some("anna"))).await;
    for (i, (twist, _)) in NONSENSE.iter().enumerate() {
        world.twist(Some(*twist));
        world.stack.shop.request_refund(&order, Some(100), "a piece came back").unwrap();
        world.stack.settle().await.unwrap();
        assert_eq!(world.stack.sim.ledger().money["eur"].refunded, 0, "case {i}");
    }
    assert_eq!(world.stack.shop.order(&order).unwrap().payment.unwrap().status, PaymentStatus::Paid);
    world.twist(None);
    world.wait().await;
    let asked = 100 * i64::try_from(NONSENSE.len()).unwrap();
    assert_eq!(world.stack.sim.ledger().money["eur"].refunded, asked, "each request once, none lost");
}
