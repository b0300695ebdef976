//! A Checkout Session from open to complete or expired, as the buyer sees it.

use local::stripe::bench::Bench;

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
async fn typing_errors_are_shown_and_charge_nothing() {
    let bench = Bench::new();
    let id = bench.session("").await.id();
    for form in ["card_number=4242424242424241", "card_number=", "card_number=4242424242424242&exp=01/20"] {
        assert_eq!(bench.pay(&id, form).await.status(), 402, "{form}");
    }
    assert!(bench.sim.ledger().charges.is_empty());
}
