//! Idempotency keys.

use std::time::Duration;

use local::stripe::{Fault, FaultMode};

use super::{CARD, Sim, header, told};
use crate::check::{Seen, checks};

const KEYS: &str = "Stripe API reference, Idempotent requests";
const LOW: &str = "Stripe docs, Advanced error handling";
const PATH: &str = "/v1/payment_intents";
const CREATE: &str = "amount=1000&currency=eur";

checks! { over Sim;
    "key-replay", "the same key and parameters, in another order", "the same answer, acted once", KEYS => replay;
    "key-replay-headers", "what marks the second answer", "Idempotent-Replayed true, the first request named", "Stripe docs, Advanced error handling (unverified)" => replay_headers;
    "key-other-parameters", "the same key with another amount", "400 idempotency_error, acted once", KEYS => other_parameters;
    "key-other-endpoint", "the same key at another endpoint", "400 idempotency_error", KEYS => other_endpoint;
    "key-decline", "a decline asked for again under its key", "402 card_declined twice, one charge", LOW => decline;
    "key-new-attempt", "the declined payment under a new key", "402 card_declined twice, two charges", LOW => new_attempt;
    "key-validation", "a parameter missing, then corrected under the same key", "400 parameter_missing, 200", KEYS => validation;
    "key-500-after", "a 500 after the effect, asked for again", "500 api_error twice, acted once", KEYS => after_500;
    "key-500-stored", "a 500 with nothing done, stored, asked for again", "500 api_error twice, not acted", KEYS => stored_500;
    "key-500-before", "a 500 before anything was executed, asked for again", "500 api_error, 200, acted once", KEYS => before_500;
    "key-429", "a 429, asked for again under the same key", "429 rate_limit, 200", LOW => after_429;
    "key-pruned", "the same key a day later", "another object, acted twice", KEYS => pruned;
    "key-almost-pruned", "the same key after 23 hours", "the same object, acted once", KEYS => almost_pruned;
    "key-in-use", "the same key while the first request still runs", "409 idempotency_key_in_use, Stripe-Should-Retry true", "Stripe docs, Advanced error handling (status unverified)" => in_use;
    "key-of-a-get", "a key on a GET", "not replayed", KEYS => of_a_get;
    "key-too-long", "keys of 255 and of 256 characters", "200, 400 invalid_request_error", KEYS => too_long;
}

fn acted(sim: &Sim) -> &'static str {
    match sim.sim.ledger().intents.len() {
        0 => "not acted",
        1 => "acted once",
        _ => "acted twice",
    }
}

async fn replay(sim: &Sim) -> Seen {
    let first = sim.keyed(PATH, CREATE, "k").await;
    let again = sim.keyed(PATH, "currency=eur&amount=1000", "k").await;
    let same = if first.body == again.body { "the same answer" } else { "another answer" };
    Ok(format!("{same}, {}", acted(sim)))
}

async fn replay_headers(sim: &Sim) -> Seen {
    let first = sim.keyed(PATH, CREATE, "k").await;
    let again = sim.keyed(PATH, CREATE, "k").await;
    let named = header(&again, "original-request") == header(&first, "request-id");
    let named = if named { "the first request named" } else { "another request named" };
    Ok(format!("Idempotent-Replayed {}, {named}", header(&again, "idempotent-replayed")))
}

async fn other_parameters(sim: &Sim) -> Seen {
    sim.keyed(PATH, CREATE, "k").await;
    let other = sim.keyed(PATH, "amount=1001&currency=eur", "k").await;
    Ok(format!("{}, {}", told(&other), acted(sim)))
}

async fn other_endpoint(sim: &Sim) -> Seen {
    sim.keyed(PATH, CREATE, "k").await;
    Ok(told(&sim.keyed("/v1/customers", "", "k").await))
}

async fn declined(sim: &Sim, keys: [&str; 2]) -> Seen {
    let form = format!("{CARD}&payment_method=pm_card_chargeDeclined");
    let first = told(&sim.keyed(PATH, &form, keys[0]).await);
    let again = told(&sim.keyed(PATH, &form, keys[1]).await);
    let charges = if sim.sim.ledger().charges.len() == 1 { "one charge" } else { "two charges" };
    Ok(if first == again { format!("{first} twice, {charges}") } else { format!("{first}, then {again}") })
}

async fn decline(sim: &Sim) -> Seen {
    declined(sim, ["k", "k"]).await
}

async fn new_attempt(sim: &Sim) -> Seen {
    declined(sim, ["k1", "k2"]).await
}

async fn validation(sim: &Sim) -> Seen {
    let bad = told(&sim.keyed(PATH, "amount=1000", "k").await);
    Ok(format!("{bad}, {}", told(&sim.keyed(PATH, CREATE, "k").await)))
}

async fn under(sim: &Sim, mode: FaultMode) -> (String, String) {
    sim.sim.add_fault(Fault::once(http::Method::POST, PATH, mode));
    (told(&sim.keyed(PATH, CREATE, "k").await), told(&sim.keyed(PATH, CREATE, "k").await))
}

async fn kept_500(sim: &Sim, mode: FaultMode) -> Seen {
    let (first, again) = under(sim, mode).await;
    let both = if first == again { format!("{first} twice") } else { format!("{first}, {again}") };
    Ok(format!("{both}, {}", acted(sim)))
}

async fn after_500(sim: &Sim) -> Seen {
    kept_500(sim, FaultMode::ErrorAfter).await
}

async fn stored_500(sim: &Sim) -> Seen {
    kept_500(sim, FaultMode::ErrorStored).await
}

async fn before_500(sim: &Sim) -> Seen {
    let (first, again) = under(sim, FaultMode::ErrorBefore).await;
    Ok(format!("{first}, {again}, {}", acted(sim)))
}

async fn after_429(sim: &Sim) -> Seen {
    let (first, again) = under(sim, FaultMode::RateLimited("endpoint-rate".into())).await;
    Ok(format!("{first}, {again}"))
}

async fn hours_later(sim: &Sim, hours: u64) -> Seen {
    let first = sim.keyed(PATH, CREATE, "k").await;
    sim.wait(hours * 3600).await;
    let again = sim.keyed(PATH, CREATE, "k").await;
    let same = if first.text("/id") == again.text("/id") { "the same object" } else { "another object" };
    Ok(format!("{same}, {}", acted(sim)))
}

async fn pruned(sim: &Sim) -> Seen {
    hours_later(sim, 24).await
}

async fn almost_pruned(sim: &Sim) -> Seen {
    hours_later(sim, 23).await
}

async fn in_use(sim: &Sim) -> Seen {
    sim.sim.add_fault(Fault::once(http::Method::POST, PATH, FaultMode::Slow(1000)));
    let second = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        sim.keyed(PATH, CREATE, "k").await
    };
    let (_, second) = futures::future::join(sim.keyed(PATH, CREATE, "k"), second).await;
    Ok(format!("{}, Stripe-Should-Retry {}", told(&second), header(&second, "stripe-should-retry")))
}

async fn of_a_get(sim: &Sim) -> Seen {
    let path = format!("{PATH}/{}", sim.post(PATH, CREATE).await.text("/id"));
    let key = [("Idempotency-Key", "k")];
    sim.send("GET", &path, "", &key).await;
    let again = sim.send("GET", &path, "", &key).await;
    Ok(if header(&again, "idempotent-replayed") == "absent" { "not replayed" } else { "replayed" }.to_owned())
}

async fn too_long(sim: &Sim) -> Seen {
    let fits = told(&sim.keyed(PATH, CREATE, &"k".repeat(255)).await);
    Ok(format!("{fits}, {}", told(&sim.keyed(PATH, CREATE, &"k".repeat(256)).await)))
}
