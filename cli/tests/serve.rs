//! `tandem serve` from outside: its addresses, and the simulator's controls over real HTTP.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use shared::domain::ids::Function;
use shared::outbound::http::{Http as _, HttpRequest, ReqwestHttp};

/// A running stack; it ends with the test.
struct Served {
    child: Child,
    folder: PathBuf,
    addresses: Value,
    http: ReqwestHttp,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Served {
    fn start(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("tandem-serve-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_tandem"))
            .args(["serve", "--json"])
            .current_dir(&folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let addresses = serde_json::from_str(&line).unwrap();
        Self { child, folder, addresses, http: ReqwestHttp::new().unwrap() }
    }

    async fn send(&self, request: HttpRequest) -> (u16, Value) {
        let answer = self.http.send(request, Duration::from_secs(10)).await.unwrap();
        (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap_or(Value::Null))
    }

    fn stripe(&self, path: &str) -> String {
        format!("{}{path}", self.addresses["stripe"].as_str().unwrap())
    }

    /// A command to the simulator.
    async fn control(&self, name: &str, body: &str) -> (u16, Value) {
        let request = http::Request::post(self.stripe(&format!("/_control/{name}")));
        self.send(request.body(Bytes::from(body.to_owned())).unwrap()).await
    }

    async fn ledger(&self) -> Value {
        let (status, ledger) =
            self.send(http::Request::get(self.stripe("/_control/ledger")).body(Bytes::new()).unwrap()).await;
        assert_eq!(status, 200);
        ledger
    }

    /// A call of Stripe's API, as anybody's program would make it.
    async fn api(&self, path: &str, form: &str) -> (u16, Value) {
        let request = http::Request::post(self.stripe(path))
            .header("authorization", format!("Bearer {}", local::stack::local_secrets::stripe_key()))
            .header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(Bytes::from(form.to_owned())).unwrap()).await
    }
}

#[tokio::test]
async fn the_simulators_controls_work_over_http() {
    let served = Served::start("works");
    assert_eq!(served.ledger().await["money"], json!({}));

    let (status, customer) = served.api("/v1/customers", "email=jo%40example.com").await;
    assert_eq!(status, 200, "{customer}");
    let fault = r#"{"path":"/v1/customers","method":"POST","mode":"error_before","times":1}"#;
    assert_eq!(served.control("faults", fault).await, (200, json!({})));
    assert_eq!(served.api("/v1/customers", "").await.0, 500);
    assert_eq!(served.api("/v1/customers", "").await.0, 200, "once only");
    served.control("faults", r#"{"mode":{"rate_limited":"global-rate"},"times":9}"#).await;
    assert_eq!(served.api("/v1/customers", "").await.0, 429);
    assert_eq!(served.control("calm", "").await.0, 200);
    assert_eq!(served.api("/v1/customers", "").await.0, 200);

    let born = customer["created"].as_i64().unwrap();
    assert_eq!(served.control("clock", r#"{"advance_seconds":86400}"#).await.0, 200);
    let (_, later) = served.api("/v1/customers", "").await;
    assert!(later["created"].as_i64().unwrap() >= born + 86_400, "{later}");

    let paid = "amount=700&currency=eur&confirm=true&payment_method=pm_card_visa\
        &automatic_payment_methods[enabled]=true&automatic_payment_methods[allow_redirects]=never";
    let (status, intent) = served.api("/v1/payment_intents", paid).await;
    assert_eq!(status, 200, "{intent}");
    let charge = intent["latest_charge"].as_str().unwrap();
    let (status, refund) =
        served.control("refunds", &json!({ "charge": charge, "amount": 250 }).to_string()).await;
    assert!(status == 200 && refund["id"].as_str().unwrap().starts_with("re_"), "{refund}");
    let money = served.ledger().await["money"]["eur"].clone();
    assert_eq!((&money["captured"], &money["refunded"]), (&json!(700), &json!(250)));
    let (status, dispute) =
        served.control("disputes", &json!({ "charge": charge, "amount": 100 }).to_string()).await;
    assert_eq!(status, 200, "{dispute}");
    let won = json!({ "dispute": dispute["id"], "won": true }).to_string();
    assert_eq!(served.control("disputes/close", &won).await.0, 200);
    assert_eq!(served.ledger().await["calls"]["POST /v1/payment_intents"], 1);
}

#[tokio::test]
async fn a_control_that_makes_no_sense_is_refused_with_a_reason() {
    let served = Served::start("refused");
    for (name, body, reason) in [
        ("nonsense", "{}", "no such control"),
        ("clock", "{}", "advance_seconds"),
        ("clock", r#"{"advance_seconds":-1}"#, "advance_seconds"),
        ("clock", "later", "no JSON"),
        ("faults", r#"{"mode":"sulk"}"#, "no mode"),
        ("cards", r#"{"card":"pm_1","outcomes":["sulk"]}"#, "no outcome"),
        ("refunds", "{}", "`charge` is missing"),
        ("disputes", r#"{"charge":"ch_none"}"#, "no such captured charge"),
    ] {
        let (status, answer) = served.control(name, body).await;
        assert_eq!(status, 400, "{name} {body}");
        assert!(answer["error"].as_str().unwrap().contains(reason), "{name} {body}: {answer}");
    }
    let other = http::Request::get(served.stripe("/_control/clock")).body(Bytes::new()).unwrap();
    assert_eq!(served.send(other).await.0, 400);
}

#[tokio::test]
async fn every_order_system_of_the_running_stack_can_be_asked_how_it_is_set_up() {
    let served = Served::start("checked");
    let mut check = Command::new(env!("CARGO_BIN_EXE_tandem"));
    let check = check.args(["check", "--live"]).current_dir(&served.folder).output().unwrap();
    assert!(check.status.success(), "{check:?}");
    let said = String::from_utf8(check.stdout).unwrap();
    for (name, kind) in [
        ("shop", "checkout"),
        ("woocommerce", "woocommerce"),
        ("shopify", "shopify"),
        ("checkfront", "checkfront"),
    ] {
        assert!(said.lines().any(|l| l.starts_with(&format!("ok    {name} ({kind})"))), "{kind}: {said}");
    }
    assert!(!said.contains("BAD"), "{said}");
}

/// `tandem ARGS < input` in the stack's folder: whether it ended well, and all it said.
fn tandem(served: &Served, args: &[&str], input: &str) -> (bool, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tandem"))
        .args(args)
        .current_dir(&served.folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (output.status.success(), said)
}

#[tokio::test]
async fn connect_makes_the_endpoint_right_and_replaces_it_only_when_told() {
    let served = Served::start("connect");
    let key = local::stack::local_secrets::stripe_key();
    let endpoints = async || {
        let request = http::Request::get(served.stripe("/v1/webhook_endpoints"))
            .header("authorization", format!("Bearer {}", local::stack::local_secrets::stripe_key()));
        served.send(request.body(Bytes::new()).unwrap()).await.1["data"].clone()
    };
    assert_eq!(endpoints().await[0]["enabled_events"], json!(["*"]));

    let (good, said) = tandem(&served, &["--local", "connect"], &key);
    assert!(good && said.contains("is corrected: it sends every type of event"), "{said}");
    assert!(
        said.contains("takes a signed event") && !said.contains("BAD") && !said.contains("look"),
        "{said}"
    );
    assert_eq!(said.matches("may do its part and no more").count(), 7, "{said}");
    let first = endpoints().await;
    assert_eq!(first[0]["enabled_events"].as_array().unwrap().len(), 18);

    let (good, said) = tandem(&served, &["--local", "connect"], &key);
    assert!(good && said.contains("sends what it must"), "{said}");
    assert_eq!(endpoints().await, first);

    let (_, said) = tandem(&served, &["--local", "connect", "--replace"], &key);
    assert!(said.contains("is taken away") && !said.contains("cannot be seen"), "{said}");
    let second = endpoints().await;
    assert_eq!(second.as_array().unwrap().len(), 1);
    assert_ne!(second[0]["id"], first[0]["id"]);
    assert_eq!(second[0]["api_version"], "2026-10-28.endive");
    assert_eq!(second[0]["enabled_events"], first[0]["enabled_events"]);

    // The secret that was stored is the new one's: seen by its mark.
    let (_, said) = tandem(&served, &["--local", "connect"], &key);
    assert!(said.contains("sends what it must") && !said.contains("rolled"), "{said}");
    let other = ["whsec", "of_another_endpoint_altogether_0123"].join("_");
    assert!(tandem(&served, &["--local", "secrets", "put", "stripe-webhook-secret"], &other).0);
    let (_, said) = tandem(&served, &["--local", "connect"], &key);
    assert!(said.contains("not the one it was made with"), "{said}");

    // No endpoint at the address, but a secret: nothing is written over unasked.
    let id = second[0]["id"].as_str().unwrap();
    let gone = http::Request::delete(served.stripe(&format!("/v1/webhook_endpoints/{id}")))
        .header("authorization", format!("Bearer {key}"));
    assert_eq!(served.send(gone.body(Bytes::new()).unwrap()).await.0, 200);
    let (good, said) = tandem(&served, &["--local", "connect"], &key);
    assert!(!good && said.contains("has no endpoint for"), "{said}");
    assert_eq!(endpoints().await, json!([]));
}

#[tokio::test]
async fn connect_refuses_keys_of_another_mode_and_check_names_what_a_key_lacks_or_has_too_much() {
    let served = Served::start("keys");
    let live = ["rk", "live", "0123456789abcdef"].join("_");
    let (good, said) = tandem(&served, &["--local", "connect"], &live);
    assert!(!good && said.contains("is no test key of Stripe") && !said.contains(&live), "{said}");

    // A secret that the receiver would refuse to start with is not stored.
    let (good, said) =
        tandem(&served, &["--local", "secrets", "put", "shop-webhook-secret"], "no standard webhooks secret");
    assert!(!good && said.contains("shop-webhook-secret does not fit [sources.shop]"), "{said}");
    let (good, said) = tandem(&served, &["--local", "check", "--live", "--source", "shop"], "");
    assert!(good && said.contains("webhook secret: shop-webhook-secret is stored"), "{said}");

    // Two keys were mixed up, and one is the key for everything.
    let of = local::stack::local_secrets::stripe_key_of;
    let swapped = [
        ("stripe-key-sweeper", of(Function::RefundProcessor)),
        ("stripe-key-reconciler", local::stack::local_secrets::stripe_key()),
    ];
    for (name, key) in swapped {
        assert!(tandem(&served, &["--local", "secrets", "put", name], &key).0);
    }
    let (good, said) = tandem(&served, &["--local", "check", "--live", "--source", "stripe"], "");
    assert!(!good, "{said}");
    assert!(
        said.contains("BAD   stripe (stripe)  restricted key: sweeper needs Events: Read; edit"),
        "{said}"
    );
    assert!(said.contains("sweeper needs Charges and Refunds: None only, and has Write"), "{said}");
    assert!(
        said.contains("look  stripe (stripe)  restricted key: stripe-key-reconciler may do everything"),
        "{said}"
    );
    assert_eq!(said.matches("may do its part and no more").count(), 5, "{said}");
}
