//! Faults: what the client sees, and what was done all the same. Over a socket and in process.

use std::time::Duration;

use bytes::Bytes;
use local::stripe::{Fault, FaultMode, InProcessStripe};
use shared::outbound::http::{Http as _, HttpRequest, SendError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use local::stripe::bench::{BASE, Bench};

fn create(key: &str) -> HttpRequest {
    http::Request::post(format!("{BASE}/v1/payment_intents"))
        .header("Authorization", "Bearer sk_test_local")
        .header("Idempotency-Key", key)
        .body(Bytes::from_static(b"amount=1000&currency=eur"))
        .unwrap()
}

async fn under(mode: FaultMode) -> (Bench, Result<u16, SendError>) {
    let bench = Bench::new();
    bench.sim.add_fault(Fault::once(http::Method::POST, "/v1/payment_intents", mode));
    let seam = InProcessStripe(bench.sim.clone());
    let result = seam.send(create("k1"), Duration::from_secs(2)).await.map(|a| a.status().as_u16());
    (bench, result)
}

#[tokio::test(start_paused = true)]
async fn a_reset_is_unknown_whether_it_acted_or_not() {
    let (before, result) = under(FaultMode::ResetBefore).await;
    assert!(matches!(result, Err(SendError::Unknown(_))));
    assert_eq!(before.sim.ledger().intents.len(), 0);
    let (after, result) = under(FaultMode::ResetAfter).await;
    assert!(matches!(result, Err(SendError::Unknown(_))));
    assert_eq!(after.sim.ledger().intents.len(), 1);
    // The retry gets the answer that was lost, and nothing is made twice.
    let seam = InProcessStripe(after.sim.clone());
    let again = seam.send(create("k1"), Duration::from_secs(2)).await.unwrap();
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    assert_eq!(after.sim.ledger().intents.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_connection_is_surely_not_sent() {
    let (bench, result) = under(FaultMode::Unreachable).await;
    assert!(matches!(result, Err(SendError::NotSent(_))));
    assert_eq!(bench.sim.ledger().intents.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_past_the_timeout_is_unknown() {
    let (bench, result) = under(FaultMode::SlowAfter(10_000)).await;
    assert!(matches!(result, Err(SendError::Unknown(_))));
    assert_eq!(bench.sim.ledger().intents.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_can_land_after_its_sender_gave_up() {
    let (bench, result) = under(FaultMode::LandsLater(60_000)).await;
    assert!(matches!(result, Err(SendError::Unknown(_))));
    let early = bench.keyed("/v1/payment_intents", "amount=1000&currency=eur", "k1").await;
    assert_eq!(early.text("/error/code"), "idempotency_key_in_use");
    bench.wait(61).await;
    let late = bench.keyed("/v1/payment_intents", "amount=1000&currency=eur", "k1").await;
    assert_eq!(late.status, 200);
    assert_eq!(bench.sim.ledger().intents.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn limits_and_locks_are_told_apart_by_their_headers() {
    let bench = Bench::new();
    bench.sim.add_fault(Fault::once(
        http::Method::GET,
        "/v1/charges",
        FaultMode::RateLimited("endpoint-rate".into()),
    ));
    bench.sim.add_fault(Fault::once(http::Method::GET, "/v1/charges", FaultMode::LockTimeout));
    let limited = bench.get("/v1/charges", "").await;
    assert_eq!(
        (limited.status, limited.headers["stripe-rate-limited-reason"].to_str().unwrap()),
        (429, "endpoint-rate")
    );
    let locked = bench.get("/v1/charges", "").await;
    assert_eq!((locked.status, locked.text("/error/code").as_str()), (429, "lock_timeout"));
    assert!(locked.headers.get("request-id").is_none());
    assert_eq!(locked.headers["stripe-should-retry"], "true");
    assert_eq!(bench.get("/v1/charges", "").await.status, 200);
    assert_eq!(bench.sim.ledger().calls_to("GET", "/v1/charges"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_fault_can_strike_the_second_call_of_a_template() {
    let bench = Bench::new();
    let fault = Fault {
        skip: 1,
        ..Fault::once(http::Method::POST, "/v1/payment_intents/{id}/cancel", FaultMode::ErrorBefore)
    };
    bench.sim.add_fault(fault);
    for expected in [200, 500] {
        let id = bench.post("/v1/payment_intents", "amount=1000&currency=eur").await.id();
        assert_eq!(bench.post(&format!("/v1/payment_intents/{id}/cancel"), "").await.status, expected);
    }
}

#[tokio::test]
async fn behind_a_port_it_answers_and_breaks_connections_for_real() {
    let bench = Bench::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::task::spawn(local::stripe::serve(bench.sim.clone(), listener));
    let request = "GET /v1/customers HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer sk_test_local\r\nConnection: close\r\n\r\n";
    let talk = async || {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        answer
    };
    assert!(talk().await.starts_with("HTTP/1.1 200 OK"));
    bench.sim.add_fault(Fault::once(http::Method::GET, "/v1/customers", FaultMode::ResetAfter));
    assert_eq!(talk().await, "");
    server.abort();
}

#[tokio::test(start_paused = true)]
async fn a_path_that_cannot_be_expanded_is_refused_before_anything_is_done() {
    let bench = Bench::new();
    let answer = bench.post("/v1/payment_intents", "amount=1000&currency=eur&expand[]=amount").await;
    assert_eq!((answer.status, answer.text("/error/param").as_str()), (400, "expand"));
    assert!(bench.sim.ledger().intents.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_controls_exist_only_where_they_were_asked_for() {
    let bench = Bench::new();
    assert_eq!(bench.post("/_control/calm", "").await.status, 404);
    let open = Bench::with(|options| options.controls = true);
    assert_eq!(open.post("/_control/clock", r#"{"advance_seconds": 60}"#).await.status, 200);
    let made = open.post("/v1/customers", "").await;
    assert_eq!(made.number("/created"), local::stripe::bench::START + 60);
    let fault = r#"{"method": "GET", "path": "/v1/charges", "mode": {"rate_limited": "global-rate"}}"#;
    open.post("/_control/faults", fault).await;
    assert_eq!(open.get("/v1/charges", "").await.status, 429);
    assert_eq!(open.post("/_control/faults", r#"{"mode": "nonsense"}"#).await.status, 400);
    assert_eq!(open.get("/_control/ledger", "").await.number("/calls/GET ~1v1~1charges"), 1);
}

#[tokio::test]
async fn by_itself_it_says_how_to_reach_it_and_delivers() {
    let (tell, told) = std::sync::mpsc::channel();
    let receiver = local::stripe::bench::Receiver::default();
    let options = local::stripe::AloneOptions {
        forward_to: vec!["http://127.0.0.1:9/webhooks/stripe".into()],
        ..Default::default()
    };
    let running = local::stripe::run_alone(options, std::sync::Arc::new(receiver.clone()), move |started| {
        tell.send(started.clone()).unwrap();
    });
    let server = tokio::task::spawn(running);
    let started = loop {
        match told.try_recv() {
            Ok(started) => break started,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    let json: serde_json::Value = serde_json::from_str(&started.json()).unwrap();
    assert!(started.text().contains(json["base_url"].as_str().unwrap()));
    let address = started.base_url.trim_start_matches("http://").to_owned();
    let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
    let head = format!(
        "POST /v1/customers HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n",
        started.key
    );
    stream
        .write_all(format!("{head}Connection: close\r\nContent-Length: 0\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    while receiver.types().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(receiver.types(), ["customer.created"]);
    server.abort();
}
