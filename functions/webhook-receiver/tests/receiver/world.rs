//! A receiver with a fixed clock, secrets in memory, and an SQS that counts every call made to it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use base64::Engine as _;
use serde_json::{Value, json};
use shared::aws;
use shared::clock::Clock;
use shared::config::{Config, SHIPPED_TOML};
use shared::domain::time::UnixTime;
use shared::inbound::{WebhookSecret, standard_webhooks, stripe};
use shared::lambda::{HttpReply, http_event};
use shared::queue::QueueSender;
use shared::secrets::{MemoryStore, SecretString, Secrets};
use webhook_receiver::{Deps, handle};

pub(crate) const NOW: UnixTime = UnixTime(1_795_000_000);
pub(crate) const STRIPE_SECRET: &str = "whsec_a1b2c3d4e5f6g7h8i9j0k1l2";
pub(crate) const PREVIOUS_SECRET: &str = "whsec_p1p2p3p4p5p6p7p8p9p0p1p2";

#[derive(Clone, Debug, Default)]
struct CountedSqs {
    requests: Arc<Mutex<Vec<(String, Value)>>>,
    down: Arc<AtomicBool>,
}

impl HttpConnector for CountedSqs {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        assert_eq!(request.headers().get("x-amz-target"), Some("AmazonSQS.SendMessage"));
        let call: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        let queue = call["QueueUrl"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        let message = serde_json::from_str(call["MessageBody"].as_str().unwrap()).unwrap();
        self.requests.lock().unwrap().push((queue, message));
        let (status, body) =
            if self.down.load(Ordering::SeqCst) { (500, "{}") } else { (200, "{\"MessageId\":\"m\"}") };
        let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body));
        response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
        HttpConnectorFuture::ready(Ok(response))
    }
}

pub(crate) struct World {
    pub(crate) deps: Deps,
    pub(crate) secrets: MemoryStore,
    sqs: CountedSqs,
}

pub(crate) fn shop_secret() -> String {
    format!("whsec_{}", base64::engine::general_purpose::STANDARD.encode(b"0123456789abcdefghijklmnopqrstuv"))
}

impl World {
    pub(crate) async fn new() -> Self {
        let world = Self::unchecked();
        world.deps.check_secrets().await.unwrap();
        world
    }

    pub(crate) fn unchecked() -> Self {
        let two = "[\"stripe-webhook-secret\", \"stripe-webhook-secret-previous\"]";
        let text = SHIPPED_TOML.replace("[\"stripe-webhook-secret\"]", two);
        let url = |name: &str| {
            let queue = name.strip_prefix("TANDEM_QUEUE_")?.strip_suffix("_URL")?.to_ascii_lowercase();
            Some(format!("https://sqs.eu-central-1.amazonaws.com/123456789012/{queue}"))
        };
        let config = Config::parse(&text, &url).unwrap();
        let clock = Clock::tokio_from(NOW);
        let secrets = MemoryStore::new([
            ("stripe-webhook-secret", STRIPE_SECRET.to_owned()),
            ("stripe-webhook-secret-previous", PREVIOUS_SECRET.to_owned()),
            ("shop-webhook-secret", shop_secret()),
        ]);
        let sqs = CountedSqs::default();
        let connector = SharedHttpConnector::new(sqs.clone());
        let sdk = aws::in_process(http_client_fn(move |_, _| connector.clone()));
        let queue = QueueSender::new(aws::sqs(&sdk), &config.resources, config.has_several_shops());
        let kept = Secrets::in_memory(secrets.clone(), clock.clone());
        Self { deps: Deps::new(Arc::new(config), kept, queue, clock), secrets, sqs }
    }

    /// Through the same conversion as in Lambda.
    pub(crate) async fn send(&self, request: Value) -> HttpReply {
        match http_event(serde_json::from_value(request).unwrap()) {
            Ok(event) => handle(&self.deps, event).await,
            Err(refused) => refused,
        }
    }

    pub(crate) fn stripe(&self, body: &str) -> Value {
        self.stripe_signed(STRIPE_SECRET, body, NOW)
    }

    pub(crate) fn stripe_header(&self, body: &[u8]) -> Vec<(&'static str, String)> {
        let secret = WebhookSecret::stripe(&SecretString::from(STRIPE_SECRET)).unwrap();
        vec![("Stripe-Signature", stripe::sign(&secret, body, NOW))]
    }

    /// An unusable secret signs as a forger would: with an empty key.
    pub(crate) fn stripe_signed_header(&self, secret: &str, body: &str, at: UnixTime) -> String {
        match WebhookSecret::stripe(&SecretString::from(secret)) {
            Ok(secret) => stripe::sign(&secret, body.as_bytes(), at),
            Err(_) => {
                use hmac::{KeyInit as _, Mac as _};
                let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
                mac.update(format!("{}.{body}", at.0).as_bytes());
                let hex: String = mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect();
                format!("t={},v1={hex}", at.0)
            }
        }
    }

    pub(crate) fn stripe_signed(&self, secret: &str, body: &str, at: UnixTime) -> Value {
        let header = self.stripe_signed_header(secret, body, at);
        payload("stripe", &[("Stripe-Signature", header)], body.as_bytes(), false)
    }

    pub(crate) fn notice_headers(&self, id: &str, body: &str) -> [(&'static str, String); 3] {
        self.notice_headers_at(id, body, NOW)
    }

    pub(crate) fn notice_headers_at(
        &self,
        id: &str,
        body: &str,
        at: UnixTime,
    ) -> [(&'static str, String); 3] {
        let secret = WebhookSecret::standard(&SecretString::from(shop_secret())).unwrap();
        [
            (standard_webhooks::ID_HEADER, id.to_owned()),
            (standard_webhooks::TIMESTAMP_HEADER, at.0.to_string()),
            (standard_webhooks::SIGNATURE_HEADER, standard_webhooks::sign(&secret, id, at, body.as_bytes())),
        ]
    }

    pub(crate) fn notice(&self, body: &str) -> Value {
        payload("shop", &self.notice_headers("msg_1", body), body.as_bytes(), false)
    }

    pub(crate) fn calls(&self) -> usize {
        self.sqs.requests.lock().unwrap().len()
    }

    pub(crate) fn sent(&self) -> Vec<(String, Value)> {
        self.sqs.requests.lock().unwrap().clone()
    }

    pub(crate) fn break_queue(&self) {
        self.sqs.down.store(true, Ordering::SeqCst);
    }

    pub(crate) fn count(&self, metric: &str) -> u64 {
        self.deps.metrics().total(metric)
    }
}

/// A Stripe event about an intent, with contact data and secrets that must not travel on.
pub(crate) fn event(event_type: &str) -> String {
    json!({
        "id": "evt_1", "object": "event", "api_version": "2026-10-28.endive", "created": NOW.0,
        "type": event_type, "livemode": false, "note": "evt note",
        "data": { "object": {
            "id": "pi_1", "object": "payment_intent", "customer": "cus_1", "latest_charge": "ch_1",
            "client_secret": "pi_1_secret_2", "receipt_email": "buyer@example.com",
            "shipping": { "name": "Jane" }, "last4": "4242",
            "metadata": { "tandem_order": "demo#checkout#shop#1001", "tandem_attempt": "1" },
        } },
    })
    .to_string()
}

/// API Gateway's payload 2.0.
pub(crate) fn payload(source: &str, headers: &[(&'static str, String)], body: &[u8], base64: bool) -> Value {
    let headers: serde_json::Map<String, Value> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_str().into())).collect();
    let body = if base64 {
        base64::engine::general_purpose::STANDARD.encode(body)
    } else {
        String::from_utf8(body.to_vec()).unwrap()
    };
    json!({
        "version": "2.0", "rawPath": format!("/webhooks/{source}"), "rawQueryString": "",
        "headers": headers,
        "requestContext": { "stage": "$default", "http": { "method": "POST", "sourceIp": "192.0.2.1" } },
        "body": body, "isBase64Encoded": base64,
    })
}
