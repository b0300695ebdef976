//! Test cards and what they say.

use crate::bench::Bench;

#[tokio::test(start_paused = true)]
async fn each_declining_token_has_its_documented_codes() {
    let bench = Bench::new();
    for (token, code, decline) in [
        ("visa_chargeDeclined", "card_declined", "generic_decline"),
        ("visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("visa_chargeDeclinedLostCard", "card_declined", "lost_card"),
        ("visa_chargeDeclinedStolenCard", "card_declined", "stolen_card"),
        ("chargeDeclinedExpiredCard", "expired_card", "absent"),
        ("chargeDeclinedIncorrectCvc", "incorrect_cvc", "absent"),
        ("chargeDeclinedProcessingError", "processing_error", "absent"),
        ("visa_chargeDeclinedVelocityLimitExceeded", "card_declined", "card_velocity_exceeded"),
    ] {
        let form = format!(
            "amount=1000&currency=eur&allowed_payment_method_types[]=card&confirm=true&payment_method=pm_card_{token}"
        );
        let answer = bench.post("/v1/payment_intents", &form).await;
        assert_eq!(answer.status, 402, "{token}");
        assert_eq!(answer.text("/error/type"), "card_error");
        assert_eq!(
            (answer.text("/error/code").as_str(), answer.text("/error/decline_code").as_str()),
            (code, decline)
        );
        assert_eq!(answer.text("/error/payment_intent/status"), "requires_payment_method");
        assert_eq!(answer.text("/error/payment_intent/last_payment_error/code"), code);
        let charge = bench.get(&format!("/v1/charges/{}", answer.text("/error/charge")), "").await;
        assert_eq!(
            (charge.text("/status").as_str(), charge.text("/failure_code").as_str()),
            ("failed", code)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_declining_card_cannot_be_saved_but_the_one_that_fails_later_can() {
    let bench = Bench::new();
    let customer = bench.post("/v1/customers", "").await.id();
    let form = format!("customer={customer}");
    let refused = bench.post("/v1/payment_methods/pm_card_visa_chargeDeclinedLostCard/attach", &form).await;
    assert_eq!((refused.status, refused.text("/error/decline_code").as_str()), (402, "lost_card"));
    let refused = bench.post("/v1/customers", "payment_method=pm_card_visa_chargeDeclinedLostCard").await;
    assert_eq!(
        (refused.status, bench.sim.ledger().customers.len()),
        (402, 1),
        "no customer without its card"
    );
    let pm = bench.post("/v1/payment_methods/pm_card_chargeCustomerFail/attach", &form).await.id();
    let form = format!(
        "amount=1000&currency=eur&allowed_payment_method_types[]=card&confirm=true&off_session=true&customer={customer}&payment_method={pm}"
    );
    assert_eq!(bench.post("/v1/payment_intents", &form).await.status, 402);
}

#[tokio::test(start_paused = true)]
async fn a_card_that_needs_the_buyer_is_declined_without_the_buyer() {
    let bench = Bench::new();
    let form = "amount=1000&currency=eur&allowed_payment_method_types[]=card&confirm=true&payment_method=pm_card_authenticationRequired";
    let off = bench.post("/v1/payment_intents", &format!("{form}&off_session=true")).await;
    assert_eq!((off.status, off.text("/error/code").as_str()), (402, "authentication_required"));
    let on = bench.post("/v1/payment_intents", &format!("{form}&return_url=https://shop.test/back")).await;
    assert_eq!((on.status, on.text("/status").as_str()), (200, "requires_action"));
    let strict = bench.post("/v1/payment_intents", &format!("{form}&error_on_requires_action=true")).await;
    assert_eq!(strict.status, 402);
}

#[tokio::test(start_paused = true)]
async fn a_disputing_card_is_disputed_and_can_no_longer_be_refunded() {
    let bench = Bench::new();
    let intent = bench.paid("pm_card_createDispute", 1000).await;
    bench.wait(2).await;
    let charge = intent.text("/latest_charge");
    let disputes = bench.get("/v1/disputes", &format!("charge={charge}")).await;
    assert_eq!(disputes.text("/data/0/status"), "needs_response");
    let refund = bench.post("/v1/refunds", &format!("charge={charge}")).await;
    assert_eq!(refund.text("/error/code"), "charge_disputed");
    bench.sim.close_dispute(&disputes.text("/data/0/id"), true);
    let types = bench.events();
    for kind in ["created", "funds_withdrawn", "funds_reinstated", "closed"] {
        assert!(types.contains(&format!("charge.dispute.{kind}")), "{kind}");
    }
    assert_eq!(bench.sim.ledger().money["eur"].disputed, 0);
}
