//! Webhooks: signatures, repetition, what an event says.

use local::stripe::bench::Receiver;

use super::{Sim, header, told};
use crate::check::{Seen, checks};

const SIGNATURES: &str = "Stripe docs, Verify webhook signatures";
const DELIVERY: &str = "Stripe docs, Receive events: retries";
const EVENTS: &str = "Stripe API reference, Events";
const ENDPOINTS: &str = "Stripe API reference, Webhook endpoints";
const URL: &str = "http://127.0.0.1:9/webhooks/stripe";

checks! { over Sim;
    "signature", "the signature of a delivery with two secrets", "t and two v1, the time of the delivery", SIGNATURES => signature;
    "signature-repeated", "the signature of the second try", "signed anew", SIGNATURES => signature_repeated;
    "retried", "an endpoint that is down for two hours", "comes when it is up", DELIVERY => retried;
    "given-up", "an endpoint that stays down", "tried for 3 days at most", DELIVERY => given_up;
    "undelivered", "events whose delivery failed, listed", "1", "Stripe API reference, List all events" => undelivered;
    "only-enabled", "an endpoint for payment_intent.succeeded only", "payment_intent.succeeded", ENDPOINTS => only_enabled;
    "secret-once", "the secret of an endpoint: when made, when read", "shown, absent", ENDPOINTS => secret_once;
    "event-request", "which request an event names", "its id and its key", EVENTS => event_request;
    "event-version", "version and mode of an event", "2026-10-28.endive, false", EVENTS => event_version;
    "event-frozen", "an event read after its object changed", "as it was", EVENTS => event_frozen;
    "event-not-expanded", "the charge in an event of an intent", "an id", EVENTS => event_not_expanded;
    "event-missing", "an event that is not there", "404 resource_missing", EVENTS => event_missing;
}

async fn signature(sim: &Sim) -> Seen {
    let receiver = Receiver::default();
    sim.sim.add_webhook_endpoint(URL, &["whsec_one", "whsec_two"], &[]);
    sim.post("/v1/customers", "").await;
    sim.sim.deliver_due(&receiver).await;
    let (headers, _) = receiver.got().pop().unwrap_or_default();
    let text = headers.get("stripe-signature").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let v1 = text.split(',').filter(|part| part.starts_with("v1=") && part.len() == 67).count();
    let now = text.starts_with(&format!("t={},", sim.now()));
    let now = if now { "the time of the delivery" } else { "another time" };
    Ok(if v1 == 2 { format!("t and two v1, {now}") } else { text })
}

async fn signature_repeated(sim: &Sim) -> Seen {
    let receiver = Receiver::default();
    sim.sim.add_webhook_endpoint(URL, &["whsec_one"], &[]);
    sim.post("/v1/customers", "").await;
    receiver.set_down(true);
    sim.sim.deliver_due(&receiver).await;
    receiver.set_down(false);
    sim.wait(3600).await;
    sim.sim.deliver_due(&receiver).await;
    let (headers, _) = receiver.got().pop().unwrap_or_default();
    let text = headers.get("stripe-signature").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let anew = text.starts_with(&format!("t={},", sim.now()));
    Ok(if anew { "signed anew" } else { "signed as before" }.to_owned())
}

async fn retried(sim: &Sim) -> Seen {
    let receiver = Receiver::default();
    sim.sim.add_webhook_endpoint(URL, &["whsec_one"], &[]);
    sim.post("/v1/customers", "").await;
    receiver.set_down(true);
    let mut waited = 0;
    while waited < 86_400 {
        receiver.set_down(waited < 7_200);
        sim.sim.deliver_due(&receiver).await;
        sim.wait(600).await;
        waited += 600;
    }
    Ok(if receiver.types() == ["customer.created"] {
        "comes when it is up".to_owned()
    } else {
        format!("{:?}", receiver.types())
    })
}

async fn down(sim: &Sim) -> (u32, i64) {
    let receiver = Receiver::default();
    sim.sim.add_webhook_endpoint(URL, &["whsec_one"], &[]);
    sim.post("/v1/customers", "").await;
    receiver.set_down(true);
    let (began, mut tries) = (sim.now(), 0);
    while let Some(at) = sim.sim.next_delivery_at() {
        let wait = u64::try_from(at / 1000 - sim.now()).unwrap_or(0).max(1);
        sim.wait(wait).await;
        tries += u32::from(sim.sim.deliver_due(&receiver).await > 0);
    }
    (tries, sim.now() - began)
}

async fn given_up(sim: &Sim) -> Seen {
    let (tries, span) = down(sim).await;
    let long = (2 * 86_400..=3 * 86_400 + 1).contains(&span) && tries > 5;
    Ok(if long { "tried for 3 days at most".to_owned() } else { format!("{tries} tries in {span} s") })
}

async fn undelivered(sim: &Sim) -> Seen {
    down(sim).await;
    Ok(sim.get("/v1/events", "delivery_success=false").await.ids().len().to_string())
}

async fn made(sim: &Sim) -> local::stripe::bench::Answer {
    let form = format!("url={URL}&enabled_events[]=payment_intent.succeeded");
    sim.post("/v1/webhook_endpoints", &form).await
}

async fn only_enabled(sim: &Sim) -> Seen {
    let receiver = Receiver::default();
    made(sim).await;
    sim.paid("pm_card_visa", 1000).await;
    sim.sim.deliver_due(&receiver).await;
    Ok(receiver.types().join(" "))
}

async fn secret_once(sim: &Sim) -> Seen {
    let endpoint = made(sim).await;
    let first = if endpoint.text("/secret").starts_with("whsec_") { "shown" } else { "not shown" };
    let path = format!("/v1/webhook_endpoints/{}", endpoint.text("/id"));
    Ok(format!("{first}, {}", sim.get(&path, "").await.text("/secret")))
}

async fn event_request(sim: &Sim) -> Seen {
    let answer = sim.keyed("/v1/customers", "", "k1").await;
    let event = sim.get("/v1/events", "").await;
    let id = event.text("/data/0/request/id") == header(&answer, "request-id");
    let key = event.text("/data/0/request/idempotency_key") == "k1";
    let its = |own: bool| if own { "its" } else { "another" };
    Ok(format!("{} id and {} key", its(id), its(key)))
}

async fn event_version(sim: &Sim) -> Seen {
    sim.post("/v1/customers", "").await;
    let event = sim.get("/v1/events", "").await;
    Ok(format!("{}, {}", event.text("/data/0/api_version"), event.text("/data/0/livemode")))
}

async fn event_frozen(sim: &Sim) -> Seen {
    let id = sim.post("/v1/customers", "name=Ada").await.text("/id");
    sim.post(&format!("/v1/customers/{id}"), "name=Grace").await;
    let event = sim.get("/v1/events", "type=customer.created").await;
    let was = event.text("/data/0/data/object/name");
    Ok(if was == "Ada" { "as it was".to_owned() } else { was })
}

async fn event_not_expanded(sim: &Sim) -> Seen {
    sim.paid("pm_card_visa", 1000).await;
    let event = sim.get("/v1/events", "type=payment_intent.succeeded").await;
    let id = event.text("/data/0/data/object/latest_charge").starts_with("ch_");
    Ok(if id { "an id" } else { "an object" }.to_owned())
}

async fn event_missing(sim: &Sim) -> Seen {
    Ok(told(&sim.get("/v1/events/evt_gone", "").await))
}
