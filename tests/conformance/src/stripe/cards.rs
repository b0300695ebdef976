//! Test cards and what they say.

use super::{CARD, Sim, told};
use crate::check::{Seen, checks};

const TESTING: &str = "Stripe docs, Testing: declined payments";
const PATH: &str = "/v1/payment_intents";

checks! { over Sim;
    "card-generic", "pm_card_visa_chargeDeclined", "402 card_declined generic_decline", TESTING => generic;
    "card-insufficient", "pm_card_visa_chargeDeclinedInsufficientFunds", "402 card_declined insufficient_funds", TESTING => insufficient;
    "card-lost", "pm_card_visa_chargeDeclinedLostCard", "402 card_declined lost_card", TESTING => lost;
    "card-stolen", "pm_card_visa_chargeDeclinedStolenCard", "402 card_declined stolen_card", TESTING => stolen;
    "card-velocity", "pm_card_visa_chargeDeclinedVelocityLimitExceeded", "402 card_declined card_velocity_exceeded", TESTING => velocity;
    "card-expired", "pm_card_chargeDeclinedExpiredCard", "402 expired_card", TESTING => expired;
    "card-cvc", "pm_card_chargeDeclinedIncorrectCvc", "402 incorrect_cvc", TESTING => cvc;
    "card-processing", "pm_card_chargeDeclinedProcessingError", "402 processing_error", TESTING => processing;
    "card-failed-charge", "the charge of a decline", "failed, card_declined", "Stripe API reference, Charges" => failed_charge;
    "card-attach-declined", "a declining card saved for a customer", "402 card_declined", TESTING => attach_declined;
    "card-fails-later", "pm_card_chargeCustomerFail: saved, charged", "200, 402", TESTING => fails_later;
    "card-wrong-number", "a wrong number on the payment page", "not charged", TESTING => wrong_number;
}

async fn charged(sim: &Sim, token: &str) -> Seen {
    let answer = sim.post(PATH, &format!("{CARD}&payment_method=pm_card_{token}")).await;
    Ok(match answer.text("/error/decline_code").as_str() {
        "absent" | "null" => told(&answer),
        decline => format!("{} {decline}", told(&answer)),
    })
}

async fn generic(sim: &Sim) -> Seen {
    charged(sim, "visa_chargeDeclined").await
}

async fn insufficient(sim: &Sim) -> Seen {
    charged(sim, "visa_chargeDeclinedInsufficientFunds").await
}

async fn lost(sim: &Sim) -> Seen {
    charged(sim, "visa_chargeDeclinedLostCard").await
}

async fn stolen(sim: &Sim) -> Seen {
    charged(sim, "visa_chargeDeclinedStolenCard").await
}

async fn velocity(sim: &Sim) -> Seen {
    charged(sim, "visa_chargeDeclinedVelocityLimitExceeded").await
}

async fn expired(sim: &Sim) -> Seen {
    charged(sim, "chargeDeclinedExpiredCard").await
}

async fn cvc(sim: &Sim) -> Seen {
    charged(sim, "chargeDeclinedIncorrectCvc").await
}

async fn processing(sim: &Sim) -> Seen {
    charged(sim, "chargeDeclinedProcessingError").await
}

async fn failed_charge(sim: &Sim) -> Seen {
    let answer = sim.post(PATH, &format!("{CARD}&payment_method=pm_card_visa_chargeDeclined")).await;
    let charge = sim.get(&format!("/v1/charges/{}", answer.text("/error/charge")), "").await;
    Ok(format!("{}, {}", charge.text("/status"), charge.text("/failure_code")))
}

async fn attach_declined(sim: &Sim) -> Seen {
    let customer = sim.post("/v1/customers", "").await.text("/id");
    let form = format!("customer={customer}");
    Ok(told(&sim.post("/v1/payment_methods/pm_card_visa_chargeDeclinedLostCard/attach", &form).await))
}

async fn fails_later(sim: &Sim) -> Seen {
    let customer = sim.post("/v1/customers", "").await.text("/id");
    let form = format!("customer={customer}");
    let saved = sim.post("/v1/payment_methods/pm_card_chargeCustomerFail/attach", &form).await;
    let card = saved.text("/id");
    let form = format!("{CARD}&off_session=true&customer={customer}&payment_method={card}");
    Ok(format!("{}, {}", saved.status, sim.post(PATH, &form).await.status))
}

async fn wrong_number(sim: &Sim) -> Seen {
    let id = sim.session("").await.text("/id");
    sim.pay(&id, "card_number=4242424242424241").await;
    Ok(if sim.sim.ledger().charges.is_empty() { "not charged" } else { "charged" }.to_owned())
}
