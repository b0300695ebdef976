//! Orders of every kind on a deployed stack while something breaks beneath its functions, one trouble after the other. After each,
//! every order must have ended as the stories say, at Stripe and in the shop.
//!
//! Invariant: a trouble that did not strike is a failure, because then nothing was shown. Who strikes stands between the functions
//! and AWS (tests/deployed/faults.py) and is told to begin and to end over HTTP.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde_json::Value;
use shared::domain::ids::Function;
use shared::domain::money::Currency;
use shared::domain::order::CaptureMode;
use shared::domain::time::Seconds;
use shared::domain::view::PaymentStatus as S;
use shared::inbound::WebhookSecret;
use shared::lambda::Deadline;
use shared::secrets::SecretString;

use super::{Expected, audit, report, say};
use crate::shop::NewOrder;
use crate::stack::{Error, Stack, local_secrets};
use crate::stripe::Charge;

/// By the name that the striker knows, and in words. `rotated` is struck from here.
const TROUBLES: [(&str, &str); 6] = [
    ("duplicated", "every message sent twice"),
    ("throttled", "the table of orders refuses for load"),
    ("killed", "bootstraps killed in mid call, before and after its effect"),
    (
        "stopped",
        "bootstraps stopped in mid call past the visibility of their messages, and woken after others did the work",
    ),
    ("rotated", "Stripe's signing secret rotated while buyers pay"),
    ("updated", "a new version deployed with messages in flight"),
];
const CARD: &str = "4242424242424242";
/// Nothing is waited for longer before the clock is moved.
const PATIENCE: Duration = Duration::from_secs(5);
const PULSE: Duration = Duration::from_millis(200);
/// Past the queues' visibility, so that what was cut comes back.
const JUMP: Seconds = Seconds(370);
/// A message is received eight times before it is a dead letter.
const JUMPS: usize = 12;
/// Longest wait for the striker: it may be deploying.
const STRIKER: Duration = Duration::from_secs(180);

/// Plays every trouble; what is not as it must be.
pub(super) async fn play(stack: &Stack, striker: &str) -> Result<Vec<String>, Error> {
    let mut expected = Expected::default();
    let mut problems = Vec::new();
    for (i, (name, words)) in TROUBLES.iter().enumerate() {
        say(&format!("\n[{}/{}] {words}", i + 1, TROUBLES.len()));
        let from = expected.orders.len();
        let struck = trouble(stack, striker, name, &mut expected).await;
        let found = audit(stack, &expected).await?;
        say(&format!(
            "  {} orders, {} things not as they must be",
            expected.orders.len() - from,
            found.len()
        ));
        problems.extend(
            found.into_iter().chain(struck.err().map(|e| e.to_string())).map(|p| format!("{name}: {p}")),
        );
    }
    report::print(stack, &expected);
    Ok(problems)
}

async fn trouble(stack: &Stack, striker: &str, name: &str, expected: &mut Expected) -> Result<(), Error> {
    tell(stack, striker, Method::POST, name).await?;
    let mut ids = Vec::new();
    let played = loop {
        match orders(stack, name == "rotated", expected).await {
            Ok(more) => ids.extend(more),
            Err(error) => break Err(error),
        }
        // A deploy takes longer than an order.
        if tell(stack, striker, Method::GET, name).await?["busy"] != true {
            break Ok(());
        }
    };
    let said = tell(stack, striker, Method::DELETE, name).await?;
    say(&format!("  {said}"));
    played?;
    // What was held back lands now, and what a jump made due.
    stack.settle().await?;
    for id in &ids {
        let key = stack.key(id)?;
        let engine = stack.engine(Function::Cli);
        let facts = engine.store.history(&engine.store.load(&key).await?).await?;
        if let Some(broken) = shared::domain::fact::chain_break(&facts, "") {
            return Err(format!("order {id}: the chain of facts breaks at {broken}").into());
        }
    }
    if name != "rotated" && said["strikes"].as_u64().unwrap_or(0) == 0 {
        return Err("it never struck, so nothing was shown".into());
    }
    Ok(())
}

/// Speaks to the striker; its answer.
async fn tell(stack: &Stack, striker: &str, method: Method, name: &str) -> Result<Value, Error> {
    let request =
        http::Request::builder().method(method).uri(format!("{striker}/{name}")).body(Bytes::new())?;
    let answer = stack.http.send(request, STRIKER).await?;
    let text = String::from_utf8_lossy(answer.body());
    if !answer.status().is_success() {
        return Err(format!("the striker: {text}").into());
    }
    Ok(serde_json::from_str(&text)?)
}

/// Orders placed, paid, given back and fulfilled side by side; their ids.
async fn orders(stack: &Stack, rotate: bool, expected: &mut Expected) -> Result<Vec<String>, Error> {
    let euros = |amount| Ok::<_, Error>(NewOrder::simple(Currency::parse("EUR")?, amount, None));
    let on_fulfilment = NewOrder { capture: CaptureMode::OnFulfilment, ..euros(4000)? };
    let kinds = [
        (euros(1000)?, S::Paid, 0),
        (euros(2000)?, S::PartiallyRefunded, 500),
        (euros(3000)?, S::Refunded, 3000),
        (on_fulfilment, S::Paid, 0),
        (euros(5000)?, S::PartiallyRefunded, 700),
    ];
    let mut ids = Vec::new();
    for (new, status, refunded) in kinds {
        let order = stack.shop.place(new)?;
        let ends = (status, order.total, refunded);
        expected.orders.insert(("shop".to_owned(), order.id.clone()), ends);
        ids.push(order.id);
    }
    let shows = |id: &str| stack.shop.order(id).and_then(|order| order.payment);
    until(stack, "every buyer has a link", || {
        ids.iter().all(|id| shows(id).is_some_and(|p| p.payment_url.is_some()))
    })
    .await?;
    if rotate {
        rotate_to(stack, &[&rolled(), &local_secrets::stripe_webhook()]).await?;
    }
    for id in &ids {
        pay(stack, id).await?;
    }
    let paid = |id: &str| shows(id).is_some_and(|p| matches!(p.status, S::Paid | S::Authorized));
    until(stack, "every order shows as paid", || ids.iter().all(|id| paid(id))).await?;
    if rotate {
        rotated(stack).await?;
    }
    let [_, part, cancelled, fulfilled, dashboard] = ids.as_slice() else {
        return Err("five kinds of orders were placed".into());
    };
    stack.shop.request_refund(part, Some(500), "a part came back")?;
    stack.shop.cancel(cancelled)?;
    stack.shop.fulfil(fulfilled)?;
    let key = stack.key(dashboard)?;
    let ledger = stack.sim.ledger();
    let charge = ledger.captured_for(key.as_str()).next().ok_or("no charge to refund")?;
    stack.sim.refund(&charge.id, Some(700))?;
    let ended = |id: &str| {
        let must = expected.orders.get(&("shop".to_owned(), id.to_owned()));
        shows(id).map(|p| (p.status, p.amount_captured, p.amount_refunded)).as_ref() == must
    };
    until(stack, "every order has ended", || ids.iter().all(|id| ended(id))).await?;
    Ok(ids)
}

/// Webhooks are delivered and functions work until it holds; the clock is moved when they are stuck.
async fn until(stack: &Stack, what: &str, holds: impl Fn() -> bool) -> Result<(), Error> {
    for _ in 0..JUMPS {
        let patience = Deadline::after(PATIENCE);
        while !patience.remaining().is_zero() {
            stack.sim.deliver_due(stack.http.as_ref()).await;
            stack.shop.deliver_due(stack.http.as_ref()).await;
            if holds() {
                return Ok(());
            }
            tokio::time::sleep(PULSE).await;
        }
        stack.jump(JUMP).await?;
        stack.sim.tick();
        // It may be struck, too; its schedule tries again.
        let _ = stack.sweep().await;
    }
    Err(format!("it does not come about: {what}").into())
}

/// A buyer who tries again when a page does not come.
async fn pay(stack: &Stack, id: &str) -> Result<(), Error> {
    let key = stack.key(id)?;
    let mut said = None;
    for _ in 0..20 {
        let of_order = |c: &Charge| c.metadata.get("tandem_order").is_some_and(|order| order == key.as_str());
        if stack.sim.ledger().charges.iter().any(|charge| charge.paid && of_order(charge)) {
            return Ok(());
        }
        said = stack.pay(id, CARD).await.err().or(said);
        tokio::time::sleep(PULSE).await;
    }
    Err(format!("order {id} cannot be paid: {said:?}").into())
}

fn rolled() -> String {
    ["whsec", "rolled_secret_of_the_local_simulator"].join("_")
}

/// Stripe signs with these from now on.
async fn rotate_to(stack: &Stack, secrets: &[&str]) -> Result<(), Error> {
    let ask = async |method: Method, path: &str| {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{}/v1/webhook_endpoints{path}", stack.bases.stripe))
            .header("authorization", format!("Bearer {}", local_secrets::stripe_key()))
            .body(Bytes::new())?;
        let answer = stack.http.send(request, STRIKER).await?;
        Ok::<Value, Error>(serde_json::from_slice(answer.body())?)
    };
    for endpoint in ask(Method::GET, "").await?["data"].as_array().into_iter().flatten() {
        ask(Method::DELETE, &format!("/{}", endpoint["id"].as_str().unwrap_or_default())).await?;
    }
    stack.sim.add_webhook_endpoint(&format!("{}/webhooks/stripe", stack.bases.webhooks), secrets, &[]);
    Ok(())
}

/// The new secret is stored, the old one ends; what is signed with it is refused.
async fn rotated(stack: &Stack) -> Result<(), Error> {
    let put = shared::aws::ssm(&stack.aws.sdk_config()).put_parameter();
    let name = format!("/tandem/{}/stripe-webhook-secret", stack.config.stack);
    put.name(name).value(rolled()).overwrite(true).send().await?;
    // A receiver keeps what it read for five minutes.
    stack.jump(JUMP).await?;
    rotate_to(stack, &[&rolled()]).await?;
    let old = WebhookSecret::stripe(&SecretString::from(local_secrets::stripe_webhook()))?;
    let mut answers = Vec::new();
    for secret in [&old, &WebhookSecret::stripe(&SecretString::from(rolled()))?] {
        let body = r#"{"id":"evt_of_another_time","object":"event","type":"customer.created","livemode":false,"data":{"object":{}}}"#;
        let request = http::Request::post(format!("{}/webhooks/stripe", stack.bases.webhooks))
            .header(
                "stripe-signature",
                shared::inbound::stripe::sign(secret, body.as_bytes(), stack.clock.now()),
            )
            .body(Bytes::from(body))?;
        answers.push(stack.http.send(request, STRIKER).await?.status().as_u16());
    }
    say(&format!("  signed with the old secret: {}, with the new one: {}", answers[0], answers[1]));
    if answers[0] != 400 || answers[1] == 400 {
        return Err("the old secret must be refused, and the new one taken".into());
    }
    Ok(())
}
