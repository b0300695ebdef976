//! Webhooks: signed, repeated, late, in disorder, lost, retried.

use hmac::{Hmac, KeyInit as _, Mac as _};
use local::stripe::WebhookRule;
use sha2::Sha256;

use local::stripe::bench::{Bench, Receiver, START};

const URL: &str = "http://127.0.0.1:9/webhooks/stripe";

fn bench_with_endpoint() -> (Bench, Receiver) {
    let bench = Bench::new();
    bench.sim.add_webhook_endpoint(URL, &["whsec_one", "whsec_two"], &[]);
    (bench, Receiver::default())
}

#[tokio::test(start_paused = true)]
async fn every_attempt_is_signed_anew_with_every_active_secret() {
    let (bench, receiver) = bench_with_endpoint();
    bench.post("/v1/customers", "").await;
    receiver.set_down(true);
    assert_eq!(bench.sim.deliver_due(&receiver).await, 1);
    receiver.set_down(false);
    assert_eq!(bench.sim.deliver_due(&receiver).await, 0, "not before its time");
    assert_eq!(bench.sim.next_delivery_at(), Some((START + 60) * 1000));
    bench.wait(60).await;
    assert_eq!(bench.sim.deliver_due(&receiver).await, 1);
    let (headers, body) = receiver.got().remove(0);
    let header = headers["stripe-signature"].to_str().unwrap().to_owned();
    assert!(header.starts_with(&format!("t={},v1=", START + 60)), "{header}");
    for secret in ["whsec_one", "whsec_two"] {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(format!("{}.", START + 60).as_bytes());
        mac.update(&body);
        assert!(header.contains(&hex::encode(mac.finalize().into_bytes())));
    }
    assert_eq!(bench.sim.next_delivery_at(), None);
    assert!(bench.sim.idle());
}

#[tokio::test(start_paused = true)]
async fn events_are_repeated_late_and_lost_on_demand() {
    let (bench, receiver) = bench_with_endpoint();
    bench.sim.add_webhook_rule(WebhookRule { repeat: 2, ..WebhookRule::on("payment_intent.succeeded") });
    bench.sim.add_webhook_rule(WebhookRule { delay_ms: 5000, ..WebhookRule::on("payment_intent.created") });
    bench.sim.add_webhook_rule(WebhookRule { lose: true, times: Some(1), ..WebhookRule::on("charge.*") });
    bench.paid("pm_card_visa", 1000).await;
    bench.sim.deliver_due(&receiver).await;
    assert_eq!(receiver.types(), ["payment_intent.succeeded"; 3]);
    bench.wait(5).await;
    bench.sim.deliver_due(&receiver).await;
    assert_eq!(receiver.types().last().map(String::as_str), Some("payment_intent.created"));
    assert_eq!(bench.get("/v1/events", "type=charge.succeeded").await.ids().len(), 1, "lost, not unmade");
    bench.paid("pm_card_visa", 1000).await;
    bench.sim.deliver_due(&receiver).await;
    assert!(receiver.types().contains(&"charge.succeeded".to_owned()), "only once");
}

#[tokio::test(start_paused = true)]
async fn shuffled_events_all_arrive_but_not_in_order() {
    let (bench, receiver) = bench_with_endpoint();
    bench.sim.add_webhook_rule(WebhookRule { shuffle_ms: 60_000, ..WebhookRule::on("*") });
    for _ in 0..5 {
        bench.paid("pm_card_visa", 1000).await;
    }
    bench.wait(61).await;
    bench.sim.deliver_due(&receiver).await;
    let mut sorted = bench.events();
    let mut got = receiver.types();
    assert_ne!(got, sorted);
    got.sort();
    sorted.sort();
    assert_eq!(got, sorted);
}
