//! Keys, versions, parameters and errors.

use local::stripe::{Fault, FaultMode};
use shared::outbound::stripe::grants::{Access, Resource};

use super::{CARD, Sim, header, told};
use crate::check::{Seen, checks};

const ERRORS: &str = "Stripe API reference, Errors";
const CODES: &str = "Stripe docs, Error codes";
const AUTH: &str = "Stripe API reference, Authentication";
const LIMITS: &str = "Stripe docs, Rate limits";
const AMOUNTS: &str = "Stripe docs, Supported currencies";
const PATH: &str = "/v1/payment_intents";

checks! { over Sim;
    "unknown-parameter", "a parameter that does not exist", "400 parameter_unknown", CODES => unknown_parameter;
    "missing-parameter", "a required parameter left out", "400 parameter_missing, names currency", CODES => missing_parameter;
    "wrong-integer", "an amount that is no integer", "400 parameter_invalid_integer", CODES => wrong_integer;
    "missing-object", "an object that is not there", "404 resource_missing", ERRORS => missing_object;
    "missing-reference", "a parameter that names an object which is not there", "400 resource_missing", CODES => missing_reference;
    "unknown-url", "a path that is not part of the API", "404 invalid_request_error", ERRORS => unknown_url;
    "no-key", "no API key", "401 invalid_request_error", AUTH => no_key;
    "wrong-key", "an unknown API key", "401 invalid_request_error", AUTH => wrong_key;
    "basic-key", "the key as user name of HTTP Basic", "200", AUTH => basic_key;
    "restricted-key", "a restricted key: granted, writing with read, not granted", "200, 403, 403", "Stripe docs, Restricted API keys" => restricted_key;
    "unknown-version", "an API version that does not exist", "400 invalid_request_error", "Stripe API reference, Versioning" => unknown_version;
    "other-account", "another account in Stripe-Account", "403", "Stripe API reference, Connected accounts (unverified)" => other_account;
    "payment-method-types", "payment_method_types, gone since 2026-09-30", "400 payment_method_types_no_longer_supported", "Stripe changelog, 2026-09-30.endive" => payment_method_types;
    "request-id", "the id of a request, of an answer and of an error", "req_, req_", "Stripe API reference, Request IDs" => request_id;
    "rate-limited", "a 429 of the rate limiter", "429 rate_limit, reason endpoint-rate", LIMITS => rate_limited;
    "lock-timeout", "a 429 because the object is locked", "429 lock_timeout, no reason, no request id, Stripe-Should-Retry true", LIMITS => lock_timeout;
    "decline-error", "what a decline carries", "402 card_declined, insufficient_funds, charge, intent requires_payment_method", ERRORS => decline_error;
    "amount-too-small", "49 cents; 49 yen", "400 amount_too_small, 400 amount_too_small", AMOUNTS => amount_too_small;
    "amount-too-large", "a hundred million cents", "400 amount_too_large", AMOUNTS => amount_too_large;
    "three-decimals", "5001 fils: the last digit is not 0", "400 parameter_invalid_integer", "Stripe docs, Supported currencies (older copies; code unverified)" => three_decimals;
    "metadata-limits", "50 and 51 metadata keys; a value of 501 characters", "200, 400, 400", "Stripe docs, Metadata (limits unverified)" => metadata_limits;
    "metadata-unset", "a metadata key set to nothing", "gone, the other stays", "Stripe docs, Metadata" => metadata_unset;
    "test-mode", "livemode of an object made with a test key", "false", "Stripe API reference, PaymentIntent" => test_mode;
}

async fn create(sim: &Sim, form: &str) -> Seen {
    Ok(told(&sim.post(PATH, form).await))
}

async fn unknown_parameter(sim: &Sim) -> Seen {
    create(sim, "amount=1000&currency=eur&colour=red").await
}

async fn missing_parameter(sim: &Sim) -> Seen {
    let answer = sim.post(PATH, "amount=1000").await;
    Ok(format!("{}, names {}", told(&answer), answer.text("/error/param")))
}

async fn wrong_integer(sim: &Sim) -> Seen {
    create(sim, "amount=ten&currency=eur").await
}

async fn missing_object(sim: &Sim) -> Seen {
    Ok(told(&sim.get(&format!("{PATH}/pi_gone"), "").await))
}

async fn missing_reference(sim: &Sim) -> Seen {
    create(sim, "amount=1000&currency=eur&customer=cus_gone").await
}

async fn unknown_url(sim: &Sim) -> Seen {
    Ok(told(&sim.get("/v1/payment_intentions", "").await))
}

async fn with_header(sim: &Sim, name: &str, value: &str) -> Seen {
    Ok(told(&sim.send("GET", PATH, "", &[(name, value)]).await))
}

async fn no_key(sim: &Sim) -> Seen {
    with_header(sim, "Authorization", "").await
}

async fn wrong_key(sim: &Sim) -> Seen {
    with_header(sim, "Authorization", "Bearer sk_test_other").await
}

async fn basic_key(sim: &Sim) -> Seen {
    // `sk_test_local:` in Basic.
    with_header(sim, "Authorization", "Basic c2tfdGVzdF9sb2NhbDo=").await
}

async fn restricted_key(sim: &Sim) -> Seen {
    sim.sim.add_restricted_key("rk_test_reader", &[(Resource::PaymentIntents, Access::Read)]);
    let reader = [("Authorization", "Bearer rk_test_reader")];
    let read = sim.send("GET", PATH, "", &reader).await.status;
    let written = sim.send("POST", PATH, "amount=1000&currency=eur", &reader).await.status;
    let other = sim.send("GET", "/v1/refunds", "", &reader).await.status;
    Ok(format!("{read}, {written}, {other}"))
}

async fn unknown_version(sim: &Sim) -> Seen {
    with_header(sim, "Stripe-Version", "2031-01-01.zebra").await
}

async fn other_account(sim: &Sim) -> Seen {
    Ok(sim.send("GET", PATH, "", &[("Stripe-Account", "acct_other")]).await.status.to_string())
}

async fn payment_method_types(sim: &Sim) -> Seen {
    create(sim, "amount=1000&currency=eur&payment_method_types[]=card").await
}

async fn request_id(sim: &Sim) -> Seen {
    let good = header(&sim.get(PATH, "").await, "request-id");
    let bad = header(&sim.get(&format!("{PATH}/pi_gone"), "").await, "request-id");
    Ok(format!("{}, {}", &good[..good.len().min(4)], &bad[..bad.len().min(4)]))
}

async fn rate_limited(sim: &Sim) -> Seen {
    let limited = FaultMode::RateLimited("endpoint-rate".into());
    sim.sim.add_fault(Fault::once(http::Method::GET, PATH, limited));
    let answer = sim.get(PATH, "").await;
    Ok(format!("{}, reason {}", told(&answer), header(&answer, "stripe-rate-limited-reason")))
}

async fn lock_timeout(sim: &Sim) -> Seen {
    sim.sim.add_fault(Fault::once(http::Method::GET, PATH, FaultMode::LockTimeout));
    let answer = sim.get(PATH, "").await;
    let no = |name: &str| if header(&answer, name) == "absent" { "no" } else { "a" };
    Ok(format!(
        "{}, {} reason, {} request id, Stripe-Should-Retry {}",
        told(&answer),
        no("stripe-rate-limited-reason"),
        no("request-id"),
        header(&answer, "stripe-should-retry")
    ))
}

async fn decline_error(sim: &Sim) -> Seen {
    let form = format!("{CARD}&payment_method=pm_card_visa_chargeDeclinedInsufficientFunds");
    let answer = sim.post(PATH, &form).await;
    let charge = if answer.text("/error/charge").starts_with("ch_") { "charge" } else { "no charge" };
    let intent = answer.text("/error/payment_intent/status");
    Ok(format!("{}, {}, {charge}, intent {intent}", told(&answer), answer.text("/error/decline_code")))
}

async fn amount_too_small(sim: &Sim) -> Seen {
    let euros = create(sim, "amount=49&currency=eur").await?;
    Ok(format!("{euros}, {}", create(sim, "amount=49&currency=jpy").await?))
}

async fn amount_too_large(sim: &Sim) -> Seen {
    create(sim, "amount=100000000&currency=eur").await
}

async fn three_decimals(sim: &Sim) -> Seen {
    create(sim, "amount=5001&currency=kwd").await
}

async fn metadata_limits(sim: &Sim) -> Seen {
    let keys = |n: usize| {
        let keys: String = (0..n).map(|i| format!("&metadata[k{i}]=v")).collect();
        format!("amount=1000&currency=eur{keys}")
    };
    let long = format!("amount=1000&currency=eur&metadata[k]={}", "x".repeat(501));
    let mut statuses = Vec::new();
    for form in [keys(50), keys(51), long] {
        statuses.push(sim.post(PATH, &form).await.status.to_string());
    }
    Ok(statuses.join(", "))
}

async fn metadata_unset(sim: &Sim) -> Seen {
    let id = sim.post(PATH, "amount=1000&currency=eur&metadata[a]=1&metadata[b]=2").await.text("/id");
    let answer = sim.post(&format!("{PATH}/{id}"), "metadata[a]=").await;
    Ok(match (answer.text("/metadata/a").as_str(), answer.text("/metadata/b").as_str()) {
        ("absent", "2") => "gone, the other stays".to_owned(),
        (a, b) => format!("{a}, {b}"),
    })
}

async fn test_mode(sim: &Sim) -> Seen {
    Ok(sim.post(PATH, "amount=1000&currency=eur").await.text("/livemode"))
}
