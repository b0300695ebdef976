//! The signed example of the checkout protocol, `docs/examples/notice.sh`, against the real receiver over a socket.

use std::process::Command;

use local::stack::{Options, Stack, local_secrets};
use shared::domain::ids::Function;

use super::stories::*;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/examples/notice.sh");
/// What the example needs; part of every system that has a shell for people.
const TOOLS: [&str; 4] = ["sh", "curl", "openssl", "od"];

/// The first tool that cannot be started.
fn missing() -> Option<&'static str> {
    TOOLS.into_iter().find(|tool| {
        let started = Command::new(tool).arg("--version").output();
        started.is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound)
    })
}

/// Runs the example; the status that it prints.
async fn example(stack: &Stack, secret: String, body: String) -> u16 {
    let url = format!("{}/webhooks/shop", stack.bases.webhooks);
    let run = move || Command::new("sh").args([SCRIPT, &url, &secret, &body]).output().unwrap();
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{wrong}");
    said.trim().parse().unwrap_or_else(|_| panic!("no status: {said}{wrong}"))
}

/// One message on the orders queue, and the order is taken up.
async fn arrived(stack: &Stack, meter: &Meter, id: &str) {
    let one = (Function::WebhookReceiver, "sqs".to_owned(), "SendMessage orders".to_owned());
    let mut calls = meter.since(stack);
    calls.retain(|(_, place, _), _| place != "ssm");
    assert_eq!(calls, Calls::from([(one, 1)]));
    stack.settle().await.unwrap();
    assert!(stack.pay_link(id).is_ok(), "the order shows a payment link");
}

fn body(id: &str) -> String {
    format!(r#"{{"type":"order.created","data":{{"id":"{id}","version":1}}}}"#)
}

#[tokio::test]
async fn the_example_of_the_protocol_is_accepted_and_a_wrong_secret_is_not() {
    // The example takes the time from the system, so the stack does too.
    let stack = Stack::start(Options { real_time: true, ..Options::sockets() }).await.unwrap();
    stack.shop.set(|knobs| knobs.lose_notices = 2);
    let (by_hand, by_script) =
        (stack.shop.place(euros(1_000, None)).unwrap().id, stack.shop.place(euros(2_000, None)).unwrap().id);

    let meter = Meter::begin(&stack);
    assert_eq!(notice(&stack, local_secrets::notice(), "msg_wrong", &body(&by_hand)).await / 100, 4);
    assert_eq!(notice(&stack, local_secrets::shop_webhook(), "msg_right", &body(&by_hand)).await / 100, 2);
    arrived(&stack, &meter, &by_hand).await;

    if let Some(tool) = missing() {
        eprintln!(
            "docs/examples/notice.sh was not run: `{tool}` is not installed; its signature was checked in Rust alone"
        );
        return;
    }
    let meter = Meter::begin(&stack);
    assert_eq!(example(&stack, local_secrets::notice(), body(&by_script)).await / 100, 4);
    assert_eq!(example(&stack, local_secrets::shop_webhook(), body(&by_script)).await / 100, 2);
    arrived(&stack, &meter, &by_script).await;
}
