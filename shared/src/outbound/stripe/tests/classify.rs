//! Which failure leaves which doubt.

use super::super::scripted::{Line, Scripted, answer, not_sent, refusal, reset};
use super::super::*;

/// One POST with a key and no retries.
async fn fail(line: Line) -> StripeError {
    let (client, _) = Scripted::client_with([line], |s| s.max_retries = 0);
    client.post_stored("/v1/refunds", Bytes::from_static(b"amount=5"), "k").await.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn every_failure_says_whether_something_can_have_been_done() {
    use Effect::{SurelyNotDone, Unknown};
    let invalid = r#""type":"invalid_request_error""#;
    let table: Vec<(&str, Line, Effect, bool)> = vec![
        ("not sent", not_sent(), SurelyNotDone, true),
        ("reset", reset(), Unknown, true),
        ("silence", Line::Silence, Unknown, true),
        ("garbled yes", answer(200, "<html>", &[]), Unknown, true),
        ("cut-off yes", answer(200, r#"{"id":"#, &[]), Unknown, true),
        ("yes that is no object", answer(200, "[]", &[]), Unknown, true),
        ("redirect", answer(302, "", &[]), Unknown, false),
        ("invalid", refusal(400, invalid), SurelyNotDone, false),
        ("other bytes", refusal(400, r#""type":"idempotency_error""#), Unknown, false),
        ("wrong key", refusal(401, invalid), SurelyNotDone, false),
        ("declined", refusal(402, r#""type":"card_error","code":"card_declined""#), SurelyNotDone, false),
        ("forbidden", refusal(403, invalid), SurelyNotDone, false),
        ("missing", refusal(404, r#""code":"resource_missing""#), SurelyNotDone, false),
        ("key in use", refusal(409, r#""code":"idempotency_key_in_use""#), Unknown, true),
        ("dependency", refusal(424, invalid), Unknown, false),
        ("limited", refusal(429, r#""code":"rate_limit""#), SurelyNotDone, true),
        ("broken", refusal(500, r#""type":"api_error""#), Unknown, true),
        ("gateway", answer(502, "<html>", &[]), Unknown, true),
        // Something between us and Stripe may have answered.
        ("refusal of a stranger", answer(403, "<html>", &[]), Unknown, false),
        ("wrong mode", answer(200, r#"{"id":"re_1","livemode":true}"#, &[]), Unknown, false),
    ];
    for (name, line, effect, retryable) in table {
        let error = fail(line).await;
        assert_eq!((error.effect(), error.retryable()), (effect, retryable), "{name}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_decline_keeps_its_codes_and_its_intent_but_no_words() {
    let error = fail(refusal(
        402,
        r#""type":"card_error","code":"card_declined","decline_code":"insufficient_funds",
           "advice_code":"try_again_later","network_advice_code":"02","network_decline_code":"51",
           "message":"The card ending in 4242 was declined.","charge":"ch_1",
           "payment_intent":{"id":"pi_1","amount":5,"currency":"eur","status":"requires_payment_method",
             "payment_method":{"id":"pm_1","type":"card"},
             "last_payment_error":{"payment_method":{"id":"pm_1","card":{"fingerprint":"fp"}}}}"#,
    ))
    .await;
    assert!(error.is_decline() && error.is_stored_verdict() && !error.is_stored_replay());
    let api = error.api().unwrap();
    assert_eq!(api.decline_code.as_deref(), Some("insufficient_funds"));
    assert_eq!(api.advice_code.as_deref(), Some("try_again_later"));
    assert_eq!(api.network_advice_code.as_deref(), Some("02"));
    assert_eq!(api.network_decline_code.as_deref(), Some("51"));
    assert_eq!((api.charge.as_deref(), api.request_id.as_deref()), (Some("ch_1"), Some("req_1")));
    assert_eq!(api.payment_intent.as_ref().unwrap().status, objects::IntentStatus::RequiresPaymentMethod);
    assert_eq!(api.message, None);
    assert!(!format!("{error} {error:?}").contains("4242"));
}

#[tokio::test(start_paused = true)]
async fn an_intent_that_cannot_be_read_does_not_hide_the_decline() {
    let error =
        fail(refusal(402, r#""type":"card_error","payment_intent":{"strange":1},"decline_code":7"#)).await;
    assert!(error.is_decline());
    assert_eq!(error.api().unwrap().payment_intent, None);
}

#[tokio::test(start_paused = true)]
async fn messages_are_kept_only_where_they_name_nobody() {
    let cases = [
        (400, r#""type":"invalid_request_error","message":"Amount too small","param":"amount""#, true),
        (400, r#""type":"invalid_request_error","message":"Invalid: buyer@example.test""#, false),
        (400, r#""type":"invalid_request_error","message":"Invalid","param":"customer_email""#, false),
        (400, r#""type":"invalid_request_error","message":"Bad 4000 0000 0000 0002""#, false),
        (401, r#""type":"invalid_request_error","message":"Invalid API Key provided: ****cal""#, false),
    ];
    for (status, fields, kept) in cases {
        let error = fail(refusal(status, fields)).await;
        assert_eq!(error.api().unwrap().message.is_some(), kept, "{fields}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_lacks_a_permission_is_told_which() {
    let refused = r#""message":"The provided key 'rk_test_***1234' does not have the required permissions""#;
    let error = fail(refusal(403, refused)).await.to_string();
    assert!(error.contains("the key needs Charges and Refunds: Write"), "{error}");
    assert!(!error.contains("rk_"), "{error}");
    let elsewhere = fail(refusal(403, r#""code":"account_invalid""#)).await.to_string();
    assert!(!elsewhere.contains("the key needs"), "{elsewhere}");
}

#[tokio::test(start_paused = true)]
async fn predicates_tell_the_refusals_apart() {
    assert!(fail(refusal(404, r#""code":"resource_missing""#)).await.is_missing());
    assert!(fail(refusal(403, "")).await.is_auth());
    assert!(fail(refusal(401, "")).await.is_auth());
    let mismatch = fail(refusal(400, r#""type":"idempotency_error""#)).await;
    assert!(mismatch.is_idempotency_mismatch() && !mismatch.is_key_in_use());
    let in_use = fail(refusal(409, r#""type":"idempotency_error""#)).await;
    assert!(in_use.is_key_in_use() && !in_use.is_idempotency_mismatch());
    let lock = fail(refusal(429, r#""code":"lock_timeout""#)).await;
    assert!(lock.is_rate_limited() && lock.is_lock_timeout());
    let limit = answer(429, r#"{"error":{}}"#, &[("stripe-rate-limited-reason", "global-rate")]);
    assert!(!fail(limit).await.is_lock_timeout());
    let stored = fail(answer(500, r#"{"error":{}}"#, &[("idempotent-replayed", "true")])).await;
    assert!(stored.is_server_error() && stored.is_stored_replay() && !stored.is_stored_verdict());
}

#[tokio::test(start_paused = true)]
async fn a_yes_of_another_account_is_refused() {
    let line = answer(200, r#"{"id":"re_1"}"#, &[("stripe-account", "acct_2")]);
    let (client, _) = Scripted::client_with([line], |s| s.connect_account = Some("acct_1".to_owned()));
    let error = client.get("/v1/refunds/re_1").await.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::WrongAccount { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_list_with_one_item_of_the_other_mode_is_refused() {
    let line = answer(200, r#"{"data":[{"id":"a","livemode":false},{"id":"b","livemode":true}]}"#, &[]);
    let (client, _) = Scripted::client([line]);
    let error = client.get("/v1/charges").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::WrongMode { expected_livemode: false });
}

#[tokio::test(start_paused = true)]
async fn a_yes_without_the_fields_we_need_is_unknown() {
    let (client, _) = Scripted::client([answer(200, r#"{"id":"re_1","amount":"five"}"#, &[])]);
    let call = StripeCall::new("/v1/refunds", &form::Form::new());
    let error = client.post::<objects::Refund>(&call, "k").await.unwrap_err();
    assert_eq!(error.effect(), Effect::Unknown);
    assert!(!error.to_string().contains("five"), "{error}");
}
