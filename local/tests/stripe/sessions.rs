//! A Checkout Session from open to complete or expired, as the buyer sees it.

use crate::bench::Bench;

#[tokio::test(start_paused = true)]
async fn the_intent_is_made_when_the_buyer_first_pays() {
    let bench = Bench::new();
    let session =
        bench.session("&payment_intent_data[metadata][tandem_order]=o1&metadata[tandem_order]=o1").await;
    assert_eq!(
        (session.text("/payment_intent").as_str(), session.text("/status").as_str()),
        ("null", "open")
    );
    assert_eq!(session.number("/amount_total"), 2000);
    let id = session.id();
    let declined = bench.pay(&id, "card_number=4000000000000002&exp=12/34&cvc=123").await;
    assert_eq!(declined.status(), 402);
    assert!(String::from_utf8_lossy(declined.body()).contains("Your card was declined."));
    let open = bench
        .get(&format!("/v1/checkout/sessions/{id}"), "expand[]=payment_intent&expand[]=line_items")
        .await;
    assert_eq!(
        (open.text("/status").as_str(), open.text("/payment_intent/status").as_str()),
        ("open", "requires_payment_method")
    );
    assert_eq!(open.text("/line_items/data/0/description"), "Tea");
    let paid = bench.pay(&id, "card_number=4242+4242+4242+4242&exp=12/34&cvc=123&email=a@b.test").await;
    assert_eq!(paid.status(), 303);
    assert_eq!(paid.headers()["location"], format!("https://shop.test/ok?s={id}"));
    let done = bench.get(&format!("/v1/checkout/sessions/{id}"), "").await;
    assert_eq!((done.text("/status").as_str(), done.text("/payment_status").as_str()), ("complete", "paid"));
    assert_eq!(done.text("/customer_details/email"), "a@b.test");
    let ledger = bench.sim.ledger();
    assert_eq!((ledger.intents.len(), ledger.charges.len(), ledger.captured_for("o1").count()), (1, 2, 1));
    assert_eq!(
        bench.events(),
        [
            "payment_intent.created",
            "charge.failed",
            "payment_intent.payment_failed",
            "charge.succeeded",
            "payment_intent.succeeded",
            "checkout.session.completed"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_session_expires_by_the_clock_and_cancels_its_intent() {
    let bench = Bench::new();
    let at = crate::bench::START + 1800;
    let id = bench.session(&format!("&expires_at={at}")).await.id();
    bench.pay(&id, "card_number=4000000000000002").await;
    bench.wait(1801).await;
    let gone = bench.get(&format!("/v1/checkout/sessions/{id}"), "expand[]=payment_intent").await;
    assert_eq!(
        (gone.text("/status").as_str(), gone.text("/payment_intent/status").as_str()),
        ("expired", "canceled")
    );
    assert_eq!(gone.text("/url"), "null");
    let events = bench.sim.ledger().events;
    let expired = events.iter().find(|e| e.kind == "checkout.session.expired").unwrap();
    assert_eq!(expired.created, at);
    assert_eq!(bench.pay(&id, "card_number=4242424242424242").await.status(), 410);
    assert!(bench.sim.ledger().charges.iter().all(|c| c.status == "failed"));
}

#[tokio::test(start_paused = true)]
async fn only_an_open_session_can_be_expired() {
    let bench = Bench::new();
    let id = bench.session("").await.id();
    let path = format!("/v1/checkout/sessions/{id}/expire");
    assert_eq!(bench.post(&path, "").await.text("/status"), "expired");
    assert_eq!(bench.post(&path, "").await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn an_intent_of_a_session_is_confirmed_by_nobody_else() {
    let bench = Bench::new();
    let id = bench.session("").await.id();
    bench.pay(&id, "card_number=4000000000000002").await;
    let intent = bench.get(&format!("/v1/checkout/sessions/{id}"), "").await.text("/payment_intent");
    let confirm =
        bench.post(&format!("/v1/payment_intents/{intent}/confirm"), "payment_method=pm_card_visa").await;
    assert_eq!(confirm.text("/error/code"), "payment_intent_unexpected_state");
    let cancel = bench.post(&format!("/v1/payment_intents/{intent}/cancel"), "").await;
    assert_eq!(cancel.status, 400);
}

#[tokio::test(start_paused = true)]
async fn a_card_is_saved_for_later_and_works_off_session() {
    let bench = Bench::new();
    let customer = bench.post("/v1/customers", "email=a@b.test").await.id();
    let more = format!("&customer={customer}&payment_intent_data[setup_future_usage]=off_session");
    let id = bench.session(&more).await.id();
    bench.pay(&id, "card_number=4000002500003155").await;
    let waiting = bench.get(&format!("/v1/checkout/sessions/{id}"), "expand[]=payment_intent").await;
    assert_eq!(waiting.text("/payment_intent/status"), "requires_action");
    let page = bench.pay(&id, "action=complete").await;
    assert_eq!(page.status(), 303);
    let pm = bench.get(&format!("/v1/customers/{customer}/payment_methods"), "").await.text("/data/0/id");
    let form = format!(
        "amount=500&currency=eur&allowed_payment_method_types[]=card&customer={customer}&payment_method={pm}&confirm=true&off_session=true"
    );
    assert_eq!(bench.post("/v1/payment_intents", &form).await.text("/status"), "succeeded");
}

#[tokio::test(start_paused = true)]
async fn failed_authentication_lets_the_buyer_try_another_card() {
    let bench = Bench::new();
    let id = bench.session("").await.id();
    bench.pay(&id, "card_number=4000002760003184").await;
    assert_eq!(bench.pay(&id, "action=fail").await.status(), 402);
    assert_eq!(bench.pay(&id, "card_number=4242424242424242").await.status(), 303);
}

#[tokio::test(start_paused = true)]
async fn a_manual_session_is_complete_but_not_paid() {
    let bench = Bench::new();
    let id = bench.session("&payment_intent_data[capture_method]=manual").await.id();
    bench.pay(&id, "card_number=4242424242424242").await;
    let done = bench.get(&format!("/v1/checkout/sessions/{id}"), "expand[]=payment_intent").await;
    assert_eq!(
        (done.text("/status").as_str(), done.text("/payment_status").as_str()),
        ("complete", "unpaid")
    );
    assert_eq!(done.text("/payment_intent/status"), "requires_capture");
    let intent = done.text("/payment_intent/id");
    assert_eq!(
        bench.post(&format!("/v1/payment_intents/{intent}/cancel"), "").await.text("/status"),
        "canceled"
    );
    assert_eq!(bench.sim.ledger().money.get("eur"), None);
}

#[tokio::test(start_paused = true)]
async fn a_bank_debit_completes_the_session_and_settles_later() {
    let bench = Bench::new();
    for (iban, kind, paid) in [
        ("AT611904300234573201", "checkout.session.async_payment_succeeded", "paid"),
        ("AT861904300235473202", "checkout.session.async_payment_failed", "unpaid"),
    ] {
        let id = bench.session("").await.id();
        assert_eq!(bench.pay(&id, &format!("card_number={iban}")).await.status(), 303);
        let path = format!("/v1/checkout/sessions/{id}");
        assert_eq!(bench.get(&path, "").await.text("/payment_status"), "unpaid");
        bench.wait(181).await;
        assert_eq!(bench.events().last().map(String::as_str), Some(kind));
        assert_eq!(bench.get(&path, "").await.text("/payment_status"), paid);
    }
}

#[tokio::test(start_paused = true)]
async fn typing_errors_are_shown_and_charge_nothing() {
    let bench = Bench::new();
    let id = bench.session("").await.id();
    for form in ["card_number=4242424242424241", "card_number=", "card_number=4242424242424242&exp=01/20"] {
        assert_eq!(bench.pay(&id, form).await.status(), 402, "{form}");
    }
    assert!(bench.sim.ledger().charges.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_session_is_bounded() {
    let bench = Bench::new();
    for at in [crate::bench::START + 1799, crate::bench::START + 86_401] {
        let form = format!(
            "mode=payment&success_url=https://s.test&expires_at={at}&line_items[0][price_data][currency]=eur\
             &line_items[0][price_data][unit_amount]=1000&line_items[0][price_data][product_data][name]=Tea"
        );
        assert_eq!(bench.post("/v1/checkout/sessions", &form).await.text("/error/param"), "expires_at");
    }
}
