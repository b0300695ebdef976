//! What is sent again, how often, and when it stops.

use super::super::scripted::{Line, Scripted, answer, not_sent, refusal, reset};
use super::super::*;

fn good() -> Line {
    answer(200, r#"{"id":"re_1","livemode":false}"#, &[("request-id", "req_9")])
}

async fn post(client: &StripeClient, key: Option<&str>) -> Result<Answer, StripeError> {
    client.exchange(Method::POST, "/v1/refunds", Some(Bytes::from_static(b"amount=5")), key).await
}

#[tokio::test(start_paused = true)]
async fn a_retry_sends_the_same_bytes_under_the_same_key() {
    let (client, script) = Scripted::client([reset(), refusal(503, ""), good()]);
    let answer = post(&client, Some("k1")).await.unwrap();
    assert_eq!((answer.tries, answer.request_id.as_deref()), (3, Some("req_9")));
    assert_eq!(script.gaps(), [500, 500]);
    let sent = script.requests();
    for request in &sent {
        assert_eq!(request.uri(), "https://stripe.test/v1/refunds");
        assert_eq!(request.body(), "amount=5");
        assert_eq!(request.headers(), sent[0].headers());
        assert_eq!(request.headers()["idempotency-key"], "k1");
        assert_eq!(request.headers()["stripe-version"], "2026-10-28.endive");
        assert_eq!(request.headers()["authorization"], "Bearer sk_test_local");
        assert_eq!(request.headers()["content-type"], "application/x-www-form-urlencoded");
        assert!(!request.headers().contains_key("stripe-account"));
        assert!(!format!("{request:?}").contains("sk_test"));
    }
}

#[tokio::test(start_paused = true)]
async fn there_are_no_more_tries_than_allowed() {
    let (client, script) = Scripted::client([reset(), reset(), reset()]);
    assert_eq!(post(&client, Some("k")).await.unwrap_err().tries, 3);
    assert_eq!(script.requests().len(), 3);
    let (client, script) = Scripted::client_with([reset()], |s| s.max_retries = 0);
    assert_eq!(post(&client, Some("k")).await.unwrap_err().tries, 1);
    assert_eq!(script.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_post_without_key_is_sent_again_only_if_it_never_left() {
    let (client, script) = Scripted::client([not_sent(), good()]);
    assert!(post(&client, None).await.is_ok());
    assert_eq!(script.requests().len(), 2);
    let (client, script) = Scripted::client([reset()]);
    assert!(post(&client, None).await.is_err());
    assert_eq!(script.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_not_sent_again() {
    for status in [400, 401, 402, 403, 404] {
        let (client, script) = Scripted::client([refusal(status, "")]);
        assert!(post(&client, Some("k")).await.is_err());
        assert_eq!(script.requests().len(), 1, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_after_an_unknown_try_stays_unknown_unless_stripe_stored_it() {
    for (status, effect) in
        [(401, Effect::Unknown), (403, Effect::Unknown), (400, Effect::Unknown), (402, Effect::SurelyNotDone)]
    {
        let (client, _) = Scripted::client([reset(), refusal(status, "")]);
        let error = post(&client, Some("k")).await.unwrap_err();
        assert_eq!((error.effect(), error.earlier_unknown), (effect, true), "{status}");
    }
    let (client, _) = Scripted::client([reset(), not_sent(), not_sent()]);
    assert_eq!(post(&client, Some("k")).await.unwrap_err().effect(), Effect::Unknown);
    let (client, _) = Scripted::client([not_sent(), refusal(401, "")]);
    assert_eq!(post(&client, Some("k")).await.unwrap_err().effect(), Effect::SurelyNotDone);
}

#[tokio::test(start_paused = true)]
async fn stripe_can_forbid_a_retry() {
    let line = answer(500, r#"{"error":{}}"#, &[("stripe-should-retry", "false")]);
    let (client, script) = Scripted::client([line]);
    assert!(post(&client, Some("k")).await.unwrap_err().is_server_error());
    assert_eq!(script.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_waits_longer() {
    let limited = || answer(429, r#"{"error":{}}"#, &[("stripe-rate-limited-reason", "endpoint-rate")]);
    let (client, script) = Scripted::client([limited(), limited(), good()]);
    assert!(post(&client, Some("k")).await.is_ok());
    assert_eq!(script.gaps(), [1000, 2000]);
}

#[tokio::test(start_paused = true)]
async fn nothing_goes_on_past_the_deadline() {
    let (client, script) = Scripted::client([Line::Silence, Line::Silence]);
    let start = tokio::time::Instant::now();
    let error = post(&client.until(Deadline::after(Duration::from_secs(3))), Some("k")).await.unwrap_err();
    assert_eq!(error.effect(), Effect::Unknown);
    assert_eq!(start.elapsed(), Duration::from_secs(3));
    assert_eq!(script.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_time_nothing_is_sent() {
    let (client, script) = Scripted::client([]);
    let error =
        post(&client.until(Deadline::after(Duration::from_millis(100))), Some("k")).await.unwrap_err();
    assert_eq!(error.effect(), Effect::SurelyNotDone);
    assert!(script.requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_does_not_fit_the_deadline_is_not_begun() {
    let (client, script) = Scripted::client([reset()]);
    let start = tokio::time::Instant::now();
    assert!(post(&client.until(Deadline::after(Duration::from_millis(700))), Some("k")).await.is_err());
    assert_eq!((start.elapsed(), script.requests().len()), (Duration::ZERO, 1));
}

#[tokio::test(start_paused = true)]
async fn a_connected_account_is_named() {
    let (client, script) = Scripted::client_with([good()], |s| s.connect_account = Some("acct_1".to_owned()));
    client.get("/v1/refunds/re_1").await.unwrap();
    assert_eq!(client.account(), Some("acct_1"));
    assert_eq!(script.requests()[0].headers()["stripe-account"], "acct_1");
    assert!(!script.requests()[0].headers().contains_key("content-type"));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_cannot_be_a_header_is_refused_before_any_call() {
    let bad = secrecy::SecretString::from("sk\n");
    let (client, _) = Scripted::client([]);
    let settings = StripeSettings { key: bad, ..(*client.settings).clone() };
    assert_eq!(StripeClient::new(settings).unwrap_err().effect(), Effect::SurelyNotDone);
}

#[tokio::test(start_paused = true)]
async fn an_idempotency_key_stripe_would_refuse_is_never_sent() {
    for key in ["k".repeat(256), "line\nbreak".to_owned()] {
        let (client, script) = Scripted::client([]);
        let error = post(&client, Some(&key)).await.unwrap_err();
        assert_eq!((error.effect(), error.retryable(), error.tries), (Effect::SurelyNotDone, false, 1));
        assert!(script.requests().is_empty());
    }
}
