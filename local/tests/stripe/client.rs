//! Tandem's own Stripe client drives the simulator: what one sends the other takes, and both mean the same.

use std::sync::Arc;

use local::stripe::{Fault, FaultMode, InProcessStripe};
use secrecy::SecretString;
use shared::clock::Clock;
use shared::domain::time::UnixTime;
use shared::outbound::stripe::calls::{
    Buyer, CreateCustomer, CreateIntent, CreateRefund, CreateSession, RefundOf, SessionLine, capture,
    confirm, expire_session, marks,
};
use shared::outbound::stripe::objects::{CaptureMethod, Charge, Customer, PaymentIntent, Refund, Session};
use shared::outbound::stripe::read::Created;
use shared::outbound::stripe::{Effect, StripeClient, StripeSettings};

use local::stripe::bench::{BASE, Bench, START};

fn client(bench: &Bench, retries: u32) -> StripeClient {
    let clock = Clock::tokio_from(UnixTime(START));
    let key = SecretString::from("sk_test_local");
    let http = Arc::new(InProcessStripe(bench.sim.clone()));
    let mut settings = StripeSettings::new(http, clock, BASE, key, false);
    settings.max_retries = retries;
    StripeClient::new(settings).unwrap()
}

fn session(more: Option<CaptureMethod>, customer: &str) -> CreateSession {
    CreateSession {
        currency: "eur".into(),
        lines: vec![SessionLine { name: "Tea & co".into(), unit_amount: 750, quantity: 2 }],
        buyer: Buyer::Customer(customer.into()),
        success_url: "https://shop.test/ok".into(),
        cancel_url: None,
        expires_at: Some(UnixTime(START + 3600)),
        locale: Some("de".into()),
        client_reference_id: Some("A-1".into()),
        capture_method: more,
        save_for_off_session: true,
        metadata: marks(Some("t#checkout#shop#A-1"), Some(1), None),
    }
}

async fn customer(client: &StripeClient) -> String {
    let call = CreateCustomer { email: Some("a+b@shop.test".into()), ..CreateCustomer::default() }.call();
    client.post::<Customer>(&call, "cust").await.unwrap().id
}

#[tokio::test(start_paused = true)]
async fn a_session_is_paid_the_card_saved_and_charged_again_and_refunded() {
    let bench = Bench::new();
    let client = client(&bench, 0);
    let buyer = customer(&client).await;
    let made: Session = client.post(&session(None, &buyer).call(), "s1").await.unwrap();
    bench.pay(&made.id, "card_number=4242424242424242").await;
    let paid = client.retrieve_session(&made.id).await.unwrap();
    let intents = client.list_intents(Some(&buyer), Created::default()).collect(10).await.unwrap();
    assert_eq!(intents.len(), 1);
    assert_eq!(intents[0].metadata["tandem_order"], "t#checkout#shop#A-1");
    assert!(paid.payment_intent.is_some());
    let saved = client.list_payment_methods(&buyer).collect(10).await.unwrap();
    let again = CreateIntent {
        amount: 900,
        currency: "eur".into(),
        customer: Some(buyer),
        payment_method: Some(saved[0].id.clone()),
        capture_method: None,
        description: None,
        metadata: marks(Some("t#checkout#shop#A-2"), Some(1), None),
    };
    let second: PaymentIntent = client.post(&again.call(), "i1").await.unwrap();
    let done: PaymentIntent = client.post(&confirm(&second.id, &saved[0].id), "c1").await.unwrap();
    assert_eq!(done.amount_received, 900);
    let refund = CreateRefund {
        of: RefundOf::Intent(done.id),
        amount: 400,
        reason: Some("requested_by_customer".into()),
        metadata: marks(None, None, Some("r1")),
    };
    let made: Refund = client.post(&refund.call(), "r1").await.unwrap();
    assert_eq!(client.retrieve_refund(&made.id).await.unwrap().metadata["tandem_request"], "r1");
    bench.wait(5).await;
    let charges = client.list_charges(None, Created::since(UnixTime(START))).collect(10).await.unwrap();
    assert_eq!(charges.len(), 2);
    assert_eq!(client.list_refunds(&charges[0].id).collect(10).await.unwrap().len(), 1);
    let moved = client.list_balance_transactions(None, Created::default()).collect(10).await.unwrap();
    assert_eq!(moved.len(), 3);
    let types = ["payment_intent.succeeded", "checkout.session.completed"];
    assert_eq!(client.list_events(UnixTime(START), &types).collect(10).await.unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_hold_is_captured_in_part_and_a_session_expired() {
    let bench = Bench::new();
    let client = client(&bench, 0);
    let buyer = customer(&client).await;
    let made: Session =
        client.post(&session(Some(CaptureMethod::Manual), &buyer).call(), "s1").await.unwrap();
    bench.pay(&made.id, "card_number=4242424242424242").await;
    let held = client.list_intents(Some(&buyer), Created::default()).collect(1).await.unwrap().remove(0);
    let done: PaymentIntent = client.post(&capture(&held.id, Some(1000)), "cap").await.unwrap();
    assert_eq!(done.amount_received, 1000);
    let charges = client.list_charges(Some(&held.id), Created::default()).collect(5).await.unwrap();
    let charge: Charge = client.retrieve_charge(&charges[0].id).await.unwrap();
    assert_eq!(charge.amount_captured, 1000);
    let open: Session = client.post(&session(None, &buyer).call(), "s2").await.unwrap();
    client.post::<Session>(&expire_session(&open.id), "e2").await.unwrap();
    let late = client.post::<Session>(&expire_session(&open.id), "e3").await.unwrap_err();
    assert_eq!(late.effect(), Effect::SurelyNotDone);
}

#[tokio::test(start_paused = true)]
async fn a_decline_is_surely_not_done_and_a_stored_500_is_unknown() {
    let bench = Bench::new();
    let client = client(&bench, 2);
    let buyer = customer(&client).await;
    let pm = bench
        .post("/v1/payment_methods/pm_card_chargeCustomerFail/attach", &format!("customer={buyer}"))
        .await
        .id();
    let intent = CreateIntent {
        amount: 900,
        currency: "eur".into(),
        customer: Some(buyer),
        payment_method: Some(pm.clone()),
        capture_method: None,
        description: None,
        metadata: marks(Some("o"), Some(1), None),
    };
    let made: PaymentIntent = client.post(&intent.call(), "i1").await.unwrap();
    let declined = client.post::<PaymentIntent>(&confirm(&made.id, &pm), "c1").await.unwrap_err();
    assert!(declined.is_decline());
    assert_eq!(declined.effect(), Effect::SurelyNotDone);
    bench.sim.add_fault(Fault::once(http::Method::POST, "/v1/payment_intents", FaultMode::ErrorAfter));
    let spoiled = client.post::<PaymentIntent>(&intent.call(), "i2").await.unwrap_err();
    assert!(spoiled.is_server_error());
    assert_eq!(spoiled.effect(), Effect::Unknown);
    assert_eq!(bench.sim.ledger().intents.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_found_again_by_the_key() {
    let bench = Bench::new();
    let client = client(&bench, 2);
    bench.sim.add_fault(Fault::once(http::Method::POST, "/v1/customers", FaultMode::ResetAfter));
    bench.sim.add_fault(Fault::once(http::Method::POST, "/v1/customers", FaultMode::LockTimeout));
    customer(&client).await;
    assert_eq!(bench.sim.ledger().customers.len(), 1);
}
