//! The status machine of an intent, permissions, amounts.

use local::stripe::{Access, CardOutcome, Reason};

use crate::bench::Bench;

#[tokio::test(start_paused = true)]
async fn an_unconfirmed_intent_with_a_method_waits_for_confirmation() {
    let bench = Bench::new();
    let bare = bench.post("/v1/payment_intents", "amount=1000&currency=eur").await;
    assert_eq!(bare.text("/status"), "requires_payment_method");
    let ready = bench
        .post(
            "/v1/payment_intents",
            "amount=1000&currency=eur&allowed_payment_method_types[]=card&payment_method=pm_card_visa",
        )
        .await;
    assert_eq!(ready.text("/status"), "requires_confirmation");
    let done = bench.post(&format!("/v1/payment_intents/{}/confirm", ready.id()), "").await;
    assert_eq!((done.text("/status").as_str(), done.number("/amount_received")), ("succeeded", 1000));
    let again = bench.post(&format!("/v1/payment_intents/{}/confirm", ready.id()), "").await;
    assert_eq!(again.text("/error/code"), "payment_intent_unexpected_state");
    assert_eq!(again.text("/error/payment_intent/status"), "succeeded");
}

#[tokio::test(start_paused = true)]
async fn a_manual_capture_takes_part_and_releases_the_rest() {
    let bench = Bench::new();
    let form = "amount=1000&currency=eur&allowed_payment_method_types[]=card&confirm=true&payment_method=pm_card_visa&capture_method=manual";
    let held = bench.post("/v1/payment_intents", form).await;
    assert_eq!(
        (held.text("/status").as_str(), held.number("/amount_capturable")),
        ("requires_capture", 1000)
    );
    let id = held.id();
    let charge = bench.get(&format!("/v1/payment_intents/{id}"), "expand[]=latest_charge").await;
    let until = charge.number("/latest_charge/payment_method_details/card/capture_before");
    assert_eq!(until - crate::bench::START, 7 * 86_400);
    let done = bench.post(&format!("/v1/payment_intents/{id}/capture"), "amount_to_capture=700").await;
    assert_eq!((done.text("/status").as_str(), done.number("/amount_received")), ("succeeded", 700));
    let charge = bench.get(&format!("/v1/charges/{}", done.text("/latest_charge")), "").await;
    assert_eq!((charge.number("/amount_captured"), charge.number("/amount_refunded")), (700, 300));
    assert_eq!(bench.sim.ledger().money["eur"].refunded, 0);
}

#[tokio::test(start_paused = true)]
async fn an_authorisation_nobody_captures_expires() {
    let bench = Bench::new();
    let form = "amount=1000&currency=eur&allowed_payment_method_types[]=card&confirm=true&payment_method=pm_card_visa&capture_method=manual";
    let id = bench.post("/v1/payment_intents", form).await.id();
    bench.wait(7 * 86_400 + 1).await;
    let gone = bench.get(&format!("/v1/payment_intents/{id}"), "").await;
    assert_eq!(
        (gone.text("/status").as_str(), gone.text("/cancellation_reason").as_str()),
        ("canceled", "expired")
    );
    assert!(bench.events().contains(&"charge.expired".to_owned()));
    let late = bench.post(&format!("/v1/payment_intents/{id}/capture"), "").await;
    assert_eq!(late.text("/error/code"), "payment_intent_unexpected_state");
}

#[tokio::test(start_paused = true)]
async fn cancelling_is_final() {
    let bench = Bench::new();
    let id = bench.post("/v1/payment_intents", "amount=1000&currency=eur").await.id();
    let path = format!("/v1/payment_intents/{id}/cancel");
    let gone = bench.post(&path, "cancellation_reason=abandoned").await;
    assert_eq!(
        (gone.text("/status").as_str(), gone.text("/cancellation_reason").as_str()),
        ("canceled", "abandoned")
    );
    assert_eq!(bench.post(&path, "").await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn a_capture_that_is_asynchronous_gets_its_balance_transaction_later() {
    let bench = Bench::new();
    let form = "amount=1000&currency=eur&allowed_payment_method_types[]=card&confirm=true&payment_method=pm_card_visa";
    let charge = bench.post("/v1/payment_intents", form).await.text("/latest_charge");
    let path = format!("/v1/charges/{charge}");
    assert_eq!(bench.get(&path, "").await.text("/balance_transaction"), "null");
    bench.wait(3).await;
    let settled = bench.get(&path, "expand[]=balance_transaction").await;
    assert_eq!(
        (settled.number("/balance_transaction/fee"), settled.number("/balance_transaction/net")),
        (59, 941)
    );
    assert_eq!(bench.events().last().map(String::as_str), Some("charge.updated"));
}

#[tokio::test(start_paused = true)]
async fn a_saved_card_does_what_the_script_says_and_then_what_it_is() {
    let bench = Bench::new();
    let customer = bench.post("/v1/customers", "email=a@b.test").await.id();
    let pm =
        bench.post("/v1/payment_methods/pm_card_visa/attach", &format!("customer={customer}")).await.id();
    bench.sim.set_card_behaviour(&pm, vec![CardOutcome::Decline(Reason::InsufficientFunds)]);
    let form = format!(
        "amount=1000&currency=eur&allowed_payment_method_types[]=card&customer={customer}&payment_method={pm}"
    );
    let intent = bench.post("/v1/payment_intents", &form).await.id();
    let path = format!("/v1/payment_intents/{intent}/confirm");
    let soft = bench.post(&path, "off_session=true").await;
    assert_eq!((soft.status, soft.text("/error/decline_code").as_str()), (402, "insufficient_funds"));
    let recovered = bench.post(&path, &format!("off_session=true&payment_method={pm}")).await;
    assert_eq!(recovered.text("/status"), "succeeded");
    assert_eq!(bench.sim.ledger().charges.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn amounts_are_bounded_by_currency() {
    let bench = Bench::new();
    for (form, code) in [
        ("amount=49&currency=eur", "amount_too_small"),
        ("amount=100000000&currency=eur", "amount_too_large"),
        ("amount=49&currency=jpy", "amount_too_small"),
        ("amount=5001&currency=kwd", "parameter_invalid_integer"),
        ("amount=x&currency=eur", "parameter_invalid_integer"),
    ] {
        let answer = bench.post("/v1/payment_intents", form).await;
        assert_eq!((answer.status, answer.text("/error/code").as_str()), (400, code), "{form}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_redirects_are_possible_a_return_url_is_needed() {
    let bench = Bench::new();
    let form = "amount=1000&currency=eur&confirm=true&payment_method=pm_card_visa";
    assert_eq!(bench.post("/v1/payment_intents", form).await.text("/error/param"), "return_url");
    assert!(bench.sim.ledger().intents.is_empty());
    for way in [
        "automatic_payment_methods[enabled]=true&automatic_payment_methods[allow_redirects]=never",
        "return_url=https://shop.test/back",
    ] {
        assert_eq!(
            bench.post("/v1/payment_intents", &format!("{form}&{way}")).await.text("/status"),
            "succeeded"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn payment_method_types_are_refused_by_name() {
    let bench = Bench::new();
    let answer =
        bench.post("/v1/payment_intents", "amount=1000&currency=eur&payment_method_types[]=card").await;
    assert_eq!(answer.text("/error/code"), "payment_method_types_no_longer_supported");
}

#[tokio::test(start_paused = true)]
async fn keys_decide_what_may_be_done() {
    let bench = Bench::new();
    bench.sim.add_restricted_key("rk_test_reader", &[("payment_intents", Access::Read)]);
    let reader = [("Authorization", "Bearer rk_test_reader")];
    assert_eq!(bench.send("GET", "/v1/payment_intents", "", &reader).await.status, 200);
    let form = "amount=1000&currency=eur";
    assert_eq!(bench.send("POST", "/v1/payment_intents", form, &reader).await.status, 403);
    assert_eq!(bench.send("GET", "/v1/refunds", "", &reader).await.status, 403);
    let wrong = [("Authorization", "Bearer sk_test_other")];
    assert_eq!(bench.send("GET", "/v1/refunds", "", &wrong).await.status, 401);
    // `sk_test_local:` in Basic.
    let basic = [("Authorization", "Basic c2tfdGVzdF9sb2NhbDo=")];
    assert_eq!(bench.send("GET", "/v1/refunds", "", &basic).await.status, 200);
    let version = [("Stripe-Version", "2031-01-01.zebra")];
    assert_eq!(bench.send("GET", "/v1/refunds", "", &version).await.status, 400);
    let account = [("Stripe-Account", "acct_other")];
    assert_eq!(bench.send("GET", "/v1/refunds", "", &account).await.status, 403);
}

#[tokio::test(start_paused = true)]
async fn a_method_of_one_customer_cannot_pay_for_another() {
    let bench = Bench::new();
    let one = bench.post("/v1/customers", "").await.id();
    let two = bench.post("/v1/customers", "").await.id();
    let pm = bench.post("/v1/payment_methods/pm_card_visa/attach", &format!("customer={one}")).await.id();
    let form = format!("amount=1000&currency=eur&customer={two}&payment_method={pm}");
    assert_eq!(bench.post("/v1/payment_intents", &form).await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_customer_is_still_answered_and_can_no_longer_be_used() {
    let bench = Bench::new();
    let id = bench.post("/v1/customers", "email=a@b.test&metadata[tandem_order]=o1").await.id();
    bench.send("DELETE", &format!("/v1/customers/{id}"), "", &[]).await;
    let gone = bench.get(&format!("/v1/customers/{id}"), "").await;
    assert_eq!((gone.status, gone.text("/deleted").as_str()), (200, "true"));
    let used = bench.post("/v1/payment_intents", &format!("amount=1000&currency=eur&customer={id}")).await;
    assert_eq!((used.status, used.text("/error/code").as_str()), (400, "resource_missing"));
}
