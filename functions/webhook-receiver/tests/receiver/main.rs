//! The receiver as its senders and its forgers meet it, over a counted double of SQS.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

mod world;

use serde_json::json;
use shared::domain::time::UnixTime;
use world::{NOW, World, payload};

const INTENT: &str = "payment_intent.succeeded";

#[tokio::test(start_paused = true)]
async fn an_accepted_stripe_event_is_exactly_one_send_and_then_2xx() {
    let world = World::new().await;
    let reply = world.send(world.stripe(&world::event(INTENT))).await;
    assert_eq!((reply.status, reply.body.as_str()), (200, ""));
    assert_eq!(world.calls(), 1);
    let (queue, message) = world.sent().remove(0);
    assert_eq!(queue, "payments");
    assert_eq!(message["kind"], "stripe");
    assert_eq!(message["event"], "evt_1");
    assert_eq!(message["object_id"], "pi_1");
    assert_eq!(message["refs"]["customer"], "cus_1");
    assert_eq!(message["metadata"]["tandem_order"], "demo#checkout#shop#1001");
    assert_eq!(message["sha256"].as_str().map(str::len), Some(64));
    assert_eq!(world.count("Accepted"), 1);
}

#[tokio::test(start_paused = true)]
async fn the_message_holds_nothing_personal_or_secret() {
    let world = World::new().await;
    world.send(world.stripe(&world::event(INTENT))).await;
    let text = world.sent()[0].1.to_string();
    for canary in ["buyer@example.com", "Jane", "secret", "4242"] {
        assert!(!text.contains(canary), "{canary} in {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_accepted_notice_is_exactly_one_send_and_then_2xx() {
    let world = World::new().await;
    let body = json!({ "type": "order.updated", "data": { "id": "1001", "version": 7 } }).to_string();
    assert_eq!(world.send(world.notice(&body)).await.status, 200);
    let (queue, message) = world.sent().remove(0);
    assert_eq!((queue.as_str(), world.calls()), ("orders", 1));
    assert_eq!((&message["order_id"], &message["version"]), (&json!("1001"), &json!(7)));
    assert_eq!(message["event"], "msg_1");
}

#[tokio::test(start_paused = true)]
async fn a_repeated_delivery_keeps_its_correlation_id() {
    let world = World::new().await;
    for _ in 0..2 {
        world.send(world.stripe(&world::event(INTENT))).await;
    }
    let sent = world.sent();
    assert_eq!(sent[0].1["corr"], sent[1].1["corr"]);
}

#[tokio::test(start_paused = true)]
async fn w1_a_weak_secret_refuses_to_start_and_answers_503() {
    for bad in ["", "whsec_", "whsec_tooshort", "whsec_...", "a1b2c3d4e5f6g7h8i9j0k1l2m3n4"] {
        let world = World::unchecked();
        world.secrets.set("stripe-webhook-secret", bad);
        assert!(world.deps.check_secrets().await.is_err(), "{bad}");
        let reply = world.send(world.stripe(&world::event(INTENT))).await;
        assert_eq!((reply.status, world.calls()), (503, 0), "{bad}");
    }
    let world = World::new().await;
    let body = world::event(INTENT);
    let forged = world.stripe_signed("", &body, NOW);
    assert_eq!(world.send(forged).await.status, 400);
    assert_eq!(world.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn w2_the_exact_bytes_are_signed_in_both_encodings() {
    let value: serde_json::Value = serde_json::from_str(&world::event(INTENT)).unwrap();
    let pretty = serde_json::to_string_pretty(&value).unwrap();
    let bodies = [
        pretty.clone().into_bytes(),
        pretty.replace('\n', "\r\n").into_bytes(),
        world::event(INTENT).replace("evt note", "é ü 支付").into_bytes(),
    ];
    for body in bodies {
        for base64 in [false, true] {
            let world = World::new().await;
            let request = payload("stripe", &world.stripe_header(&body), &body, base64);
            assert_eq!(world.send(request).await.status, 200);
            assert_eq!(world.count("Accepted"), 1);
            // One byte more, the same signature.
            let longer = [&body[..], b" "].concat();
            let request = payload("stripe", &world.stripe_header(&body), &longer, base64);
            assert_eq!(world.send(request).await.status, 400);
            assert_eq!(world.calls(), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn w2_signed_bytes_that_are_no_text_are_parked_not_lost() {
    for body in [&b"\xff\xfe\x00"[..], b"\xef\xbb\xbf{}"] {
        let world = World::new().await;
        let request = payload("stripe", &world.stripe_header(body), body, true);
        assert_eq!(world.send(request).await.status, 200);
        let (queue, message) = world.sent().remove(0);
        assert_eq!((queue.as_str(), &message["kind"]), ("payments", &json!("parked")));
        assert_eq!(message["size"], body.len());
    }
}

#[tokio::test(start_paused = true)]
async fn w3_w4_wrong_keys_and_other_schemes_are_refused_without_a_word() {
    let world = World::new().await;
    let body = world::event(INTENT);
    let good = world.stripe_header(body.as_bytes())[0].1.clone();
    let v1 = good.split_once("v1=").unwrap().1;
    let headers = [
        world.stripe_signed_header("whsec_another0secret1another2", &body, NOW),
        good.replace("v1=", "v0="),
        good.replace("v1=", "v2="),
        good.replace(v1, &"0".repeat(64)),
        good.replace(v1, "not-hex"),
        String::new(),
        "garbage".to_owned(),
    ];
    for header in headers {
        let request = payload("stripe", &[("Stripe-Signature", header.clone())], body.as_bytes(), false);
        let reply = world.send(request).await;
        assert_eq!((reply.status, reply.body.as_str()), (400, ""), "{header}");
        assert!(reply.headers.is_empty());
    }
    assert_eq!(world.send(payload("stripe", &[], body.as_bytes(), false)).await.status, 400);
    assert_eq!((world.calls(), world.count("Refused")), (0, 8));
}

#[tokio::test(start_paused = true)]
async fn w5_a_time_more_than_five_minutes_away_is_refused() {
    let world = World::new().await;
    let body = world::event(INTENT);
    for (shift, status) in [(-301, 400), (301, 400), (-299, 200), (299, 200)] {
        let request = world.stripe_signed(world::STRIPE_SECRET, &body, UnixTime(NOW.0 + shift));
        assert_eq!(world.send(request).await.status, status, "{shift}");
    }
    assert_eq!(world.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn w6_a_replay_is_a_hint_again_and_the_same_hint() {
    let world = World::new().await;
    for _ in 0..20 {
        assert_eq!(world.send(world.stripe(&world::event(INTENT))).await.status, 200);
    }
    let sent = world.sent();
    assert!(sent.iter().all(|message| message == &sent[0]));
}

#[tokio::test(start_paused = true)]
async fn w7_a_rolled_secret_is_found_and_forgers_cannot_make_us_ask_often() {
    let world = World::new().await;
    let body = world::event(INTENT);
    tokio::time::advance(std::time::Duration::from_secs(61)).await;
    let now = UnixTime(NOW.0 + 61);
    let rolled = "whsec_n1n2n3n4n5n6n7n8n9n0n1n2";
    world.secrets.set("stripe-webhook-secret", rolled);
    let reads = world.secrets.reads();
    assert_eq!(world.send(world.stripe_signed(rolled, &body, now)).await.status, 200);
    assert_eq!(world.send(world.stripe_signed(world::STRIPE_SECRET, &body, now)).await.status, 400);
    for _ in 0..100 {
        world.send(world.stripe_signed("whsec_forged0forged1forged2f", &body, now)).await;
    }
    // Two names, each asked once.
    assert_eq!(world.secrets.reads() - reads, 2);
    assert_eq!(world.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn w7_the_previous_secret_still_counts_while_it_is_listed() {
    let world = World::new().await;
    let request = world.stripe_signed(world::PREVIOUS_SECRET, &world::event(INTENT), NOW);
    assert_eq!(world.send(request).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn w7_a_previous_secret_that_is_deleted_at_last_stops_nothing() {
    let world = World::new().await;
    world.secrets.remove("stripe-webhook-secret-previous");
    assert!(world.deps.check_secrets().await.is_ok(), "still kept");
    tokio::time::advance(std::time::Duration::from_secs(301)).await;
    let reads = world.secrets.reads();
    for _ in 0..5 {
        let now = UnixTime(NOW.0 + 301);
        let request = world.stripe_signed(world::STRIPE_SECRET, &world::event(INTENT), now);
        assert_eq!(world.send(request).await.status, 200);
    }
    assert_eq!(world.secrets.reads() - reads, 2, "that one is missing is remembered too");
    // A function that starts says so and serves.
    assert!(world.deps.check_secrets().await.is_ok());
    assert_eq!(world.count("NoSecret"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_source_without_a_secret_answers_503_and_the_others_are_served() {
    let world = World::unchecked();
    world.secrets.remove("shop-webhook-secret");
    assert!(world.deps.check_secrets().await.is_ok());
    let notice = r#"{"type":"order.updated","data":{"id":"1001","version":3}}"#;
    let reply = world.send(world.notice(notice)).await;
    assert_eq!((reply.status, world.calls()), (503, 0));
    assert_eq!(world.deps.metrics().total_of("NoSecret", "Source", "shop"), 2, "at start, and refused");
    assert_eq!(world.deps.metrics().total_of("NoSecret", "Source", "stripe"), 0);
    assert_eq!(world.send(world.stripe(&world::event(INTENT))).await.status, 200);
    assert_eq!(world.calls(), 1);
    // Stored at last, it is found without a new start.
    world.secrets.set("shop-webhook-secret", &world::shop_secret());
    tokio::time::advance(std::time::Duration::from_secs(301)).await;
    let mut later = world.notice(notice);
    for (name, value) in world.notice_headers_at("msg_1", notice, UnixTime(NOW.0 + 301)) {
        later["headers"][name] = value.into();
    }
    assert_eq!(world.send(later).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn without_any_secret_it_refuses_to_start() {
    let all = ["stripe-webhook-secret", "stripe-webhook-secret-previous", "shop-webhook-secret"];
    let world = World::unchecked();
    all.iter().for_each(|name| world.secrets.remove(name));
    assert!(world.deps.check_secrets().await.is_err());
    let down = World::unchecked();
    down.secrets.set_down(true);
    assert!(down.deps.check_secrets().await.is_err(), "nor with the store down");
}

#[tokio::test(start_paused = true)]
async fn w8_limits_hold_before_any_hashing() {
    let world = World::new().await;
    let big = vec![b' '; 1024 * 1024 + 1];
    let header = world.stripe_header(&big);
    for base64 in [false, true] {
        assert_eq!(world.send(payload("stripe", &header, &big, base64)).await.status, 413);
    }
    let body = world::event(INTENT);
    let good = world.stripe_header(body.as_bytes())[0].1.clone();
    for header in [format!("{good}{}", ",v1=00".repeat(8)), format!("{good},x={}", "y".repeat(4096))] {
        let request = payload("stripe", &[("Stripe-Signature", header)], body.as_bytes(), false);
        assert_eq!(world.send(request).await.status, 400);
    }
    let mut long = world.stripe_header(body.as_bytes());
    long.push(("X-Long", "y".repeat(20_000)));
    assert_eq!(world.send(payload("stripe", &long, body.as_bytes(), false)).await.status, 431);
    assert_eq!(world.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn w9_a_signature_header_sent_twice_is_refused() {
    let world = World::new().await;
    let body = world::event(INTENT);
    let good = world.stripe_header(body.as_bytes())[0].1.clone();
    for joined in [format!("{good},{good}"), format!("{good}, {good}")] {
        let request = payload("stripe", &[("Stripe-Signature", joined)], body.as_bytes(), false);
        assert_eq!(world.send(request).await.status, 400);
    }
    // A REST API keeps the two apart.
    let mut request = payload("stripe", &[], body.as_bytes(), false);
    request["multiValueHeaders"] = json!({ "Stripe-Signature": [good, good] });
    assert_eq!(world.send(request).await.status, 400);
    assert_eq!(world.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn w10_another_mode_or_account_is_answered_2xx_counted_and_not_queued() {
    let world = World::new().await;
    let live = world::event(INTENT).replace("\"livemode\":false", "\"livemode\":true");
    assert_eq!(world.send(world.stripe(&live)).await.status, 200);
    let mut other: serde_json::Value = serde_json::from_str(&world::event(INTENT)).unwrap();
    other["account"] = "acct_other".into();
    assert_eq!(world.send(world.stripe(&other.to_string())).await.status, 200);
    assert_eq!((world.count("WrongWorld"), world.count("Unused"), world.calls()), (2, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn w13_signed_but_unreadable_is_parked_with_id_size_and_hash_and_unused_types_are_counted() {
    let world = World::new().await;
    let body = json!({ "id": "evt_9", "object": "event", "type": INTENT, "livemode": false }).to_string();
    assert_eq!(world.send(world.stripe(&body)).await.status, 200);
    assert_eq!(world.send(world.notice("no json")).await.status, 200);
    let sent = world.sent();
    assert_eq!(sent[0].1["event"], "evt_9");
    assert_eq!(sent[0].1["size"], body.len());
    assert_eq!(sent[0].1["sha256"], shared::inbound::sha256_hex(body.as_bytes()));
    assert_eq!((sent[1].0.as_str(), &sent[1].1["event"]), ("orders", &json!("msg_1")));
    assert_eq!((world.count("Parked"), world.calls()), (2, 2));

    assert_eq!(world.send(world.stripe(&world::event("customer.created"))).await.status, 200);
    assert_eq!(world.send(world.stripe(&world::event("a.type.of.next.year"))).await.status, 200);
    assert_eq!((world.count("Unused"), world.calls()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn with_the_queue_down_the_sender_is_asked_to_come_again() {
    let world = World::new().await;
    world.break_queue();
    let reply = world.send(world.stripe(&world::event(INTENT))).await;
    assert_eq!(reply.status, 503);
    assert_eq!((world.count("Accepted"), world.count("Unavailable")), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn with_the_secret_store_down_a_known_secret_still_serves() {
    let world = World::new().await;
    world.secrets.set_down(true);
    tokio::time::advance(std::time::Duration::from_secs(600)).await;
    let request = world.stripe_signed(world::STRIPE_SECRET, &world::event(INTENT), UnixTime(NOW.0 + 600));
    assert_eq!(world.send(request).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn other_paths_and_methods_are_refused() {
    let world = World::new().await;
    let body = world::event(INTENT);
    for (path, method, status) in [
        ("/webhooks/unknown", "POST", 404),
        ("/webhooks", "POST", 404),
        ("/webhooks/stripe/x", "POST", 404),
        ("/", "POST", 404),
        ("/webhooks/stripe", "GET", 405),
    ] {
        let mut request = world.stripe(&body);
        request["rawPath"] = path.into();
        request["requestContext"]["http"]["method"] = method.into();
        assert_eq!(world.send(request).await.status, status, "{method} {path}");
    }
    assert_eq!(world.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_example_events_are_answered_as_their_names_say() {
    let world = World::new().await;
    let succeeded = include_str!("../../../../events/webhook-receiver/stripe-payment-succeeded.json");
    let mut request: serde_json::Value = serde_json::from_str(succeeded).unwrap();
    assert_eq!(world.send(request.clone()).await.status, 400, "as shipped, the signature is a placeholder");
    let body = request["body"].as_str().unwrap().to_owned();
    request["headers"]["stripe-signature"] =
        world.stripe_signed_header(world::STRIPE_SECRET, &body, NOW).into();
    assert_eq!(world.send(request).await.status, 200);
    assert_eq!(world.sent()[0].1["metadata"]["tandem_order"], "demo#checkout#shop#1001");

    let created = include_str!("../../../../events/webhook-receiver/checkout-order-created.json");
    let mut request: serde_json::Value = serde_json::from_str(created).unwrap();
    let body = request["body"].as_str().unwrap().to_owned();
    for (name, value) in world.notice_headers("msg_demo_0001", &body) {
        request["headers"][name] = value.into();
    }
    assert_eq!(world.send(request).await.status, 200);
    assert_eq!(world.sent()[1].1["order_id"], "1001");

    let forged = include_str!("../../../../events/webhook-receiver/stripe-forged.json");
    assert_eq!(world.send(serde_json::from_str(forged).unwrap()).await.status, 400);
    assert_eq!(world.calls(), 2);
}
