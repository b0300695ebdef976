//! Stories without a race: one person after the other.

use std::time::Duration;

use local::pump::invocation;
use local::stripe::{CardOutcome, Reason, WebhookRule};
use shared::domain::ids::Function;
use shared::domain::time::Seconds;
use shared::domain::view::PaymentStatus as S;
use shared::operator::{self, By};

use crate::world::{World, automatic, currency, euros, on_fulfilment};

pub(super) async fn paid_at_once(world: &World) {
    let id = world.place(euros(1250, Some("anna"))).await;
    world.pay(&id).await;
    world.ends(&id, S::Paid, 1250, 0);
}

pub(super) async fn declined_then_paid(world: &World) {
    let id = world.place(euros(2000, None)).await;
    world.decline(&id).await;
    world.pay(&id).await;
    world.ends(&id, S::Paid, 2000, 0);
}

pub(super) async fn amount_changed(world: &World) {
    let id = world.place(euros(3000, Some("ben"))).await;
    world.shows(&id, &[S::AwaitingPayment]).await;
    change_total(world, &id, 3500).await;
    // The buyer waits for the new price: who pays the old one races with the shop, which is a story of its own.
    let old =
        || world.stack.sim.ledger().sessions.iter().any(|s| s.status == "open" && s.amount_total == 3000);
    world.patiently("closing the page of the old price", async || (!old()).then_some(())).await;
    world.pay(&id).await;
    world.ends(&id, S::Paid, 3500, 0);
}

pub(super) async fn change_total(world: &World, id: &str, total: i64) {
    if let Err(error) = world.stack.shop.change_total(id, total) {
        world.broken(format!("order {id} cannot be changed: {error}"));
    }
    world.settle().await;
}

pub(super) async fn captured_on_fulfilment(world: &World) {
    let id = world.place(on_fulfilment(4000, "carla")).await;
    world.pay(&id).await;
    world.shows(&id, &[S::Authorized]).await;
    if let Err(error) = world.stack.shop.fulfil(&id) {
        world.broken(error.to_string());
    }
    world.settle().await;
    world.ends(&id, S::Paid, 4000, 0);
}

pub(crate) async fn ask_refund(world: &World, id: &str, amount: Option<i64>) {
    if let Err(error) = world.stack.shop.request_refund(id, amount, "it came back") {
        world.broken(format!("order {id}: no refund can be asked for: {error}"));
    }
    world.settle().await;
}

pub(super) async fn refunded(world: &World) {
    let id = world.place(euros(5000, Some("dora"))).await;
    world.pay(&id).await;
    ask_refund(world, &id, Some(1500)).await;
    world.shows(&id, &[S::PartiallyRefunded]).await;
    ask_refund(world, &id, None).await;
    world.ends(&id, S::Refunded, 5000, 5000);
}

pub(super) async fn cancelled_after_payment(world: &World) {
    let id = world.place(euros(6000, None)).await;
    world.pay(&id).await;
    world.shows(&id, &[S::Paid]).await;
    if let Err(error) = world.stack.shop.cancel(&id) {
        world.broken(error.to_string());
    }
    world.settle().await;
    world.ends(&id, S::Refunded, 6000, 6000);
}

/// A buyer whose card was saved by a first order; the card.
pub(crate) async fn saved_card(world: &World, customer: &str) -> Option<String> {
    let id = world.place(euros(1000, Some(customer))).await;
    world.pay(&id).await;
    world.shows(&id, &[S::Paid]).await;
    world.ends(&id, S::Paid, 1000, 0);
    let saved = world.stack.sim.ledger().payment_methods;
    let card = saved.into_iter().rev().find(|m| m.customer.is_some()).map(|m| m.id);
    if card.is_none() {
        world.broken("no card was saved");
    }
    card
}

pub(super) async fn soft_decline(world: &World) {
    let Some(card) = saved_card(world, "emil").await else { return };
    let outcomes = vec![CardOutcome::Decline(Reason::InsufficientFunds), CardOutcome::Succeed];
    world.stack.sim.set_card_behaviour(&card, outcomes);
    let id = world.place(automatic(7000, "emil")).await;
    world.wait(Seconds::hours(26)).await;
    world.shows(&id, &[S::Paid]).await;
    world.ends(&id, S::Paid, 7000, 0);
}

pub(super) async fn hard_decline(world: &World) {
    let Some(card) = saved_card(world, "fritz").await else { return };
    world.stack.sim.set_card_behaviour(&card, vec![CardOutcome::Decline(Reason::LostCard)]);
    let id = world.place(automatic(8000, "fritz")).await;
    let asked = || world.stack.shop.record().notices.iter().any(|n| n.kind == "payment.action_required");
    world.patiently("telling the shop to ask the buyer", async || asked().then_some(())).await;
    world.pay(&id).await;
    world.ends(&id, S::Paid, 8000, 0);
}

pub(super) async fn dashboard_refund(world: &World) {
    let id = world.place(euros(10_000, Some("hugo"))).await;
    world.pay(&id).await;
    if let Some(charge) = world.charge(&id)
        && let Err(error) = world.stack.sim.refund(&charge, Some(2500))
    {
        world.broken(error);
    }
    world.settle().await;
    world.ends(&id, S::PartiallyRefunded, 10_000, 2500);
}

pub(super) async fn lost_webhooks(world: &World) {
    world.stack.shop.set(|knobs| knobs.lose_notices = 1);
    world.stack.sim.add_webhook_rule(WebhookRule { lose: true, ..WebhookRule::on("*") });
    let id = world.place(euros(11_000, Some("ida"))).await;
    world.pay(&id).await;
    world.stack.sim.calm();
    world.ends(&id, S::Paid, 11_000, 0);
}

pub(super) async fn disorder(world: &World) {
    world.stack.shop.set(|knobs| {
        knobs.repeat_notices = 1;
        knobs.reverse_notices = true;
    });
    let shuffled = WebhookRule { repeat: 2, shuffle_ms: 90_000, delay_ms: 5_000, ..WebhookRule::on("*") };
    world.stack.sim.add_webhook_rule(shuffled);
    let id = world.place(euros(12_000, Some("jan"))).await;
    world.decline(&id).await;
    world.pay(&id).await;
    world.wait(Seconds::minutes(3)).await;
    ask_refund(world, &id, Some(2000)).await;
    world.wait(Seconds::minutes(4)).await;
    world.ends(&id, S::PartiallyRefunded, 12_000, 2000);
}

pub(super) async fn yen(world: &World) {
    let id = world.place(currency("JPY", 1500, Some("kim"))).await;
    world.pay(&id).await;
    ask_refund(world, &id, Some(500)).await;
    world.ends(&id, S::PartiallyRefunded, 1500, 500);
}

pub(super) async fn dinars(world: &World) {
    let id = world.place(currency("KWD", 12_340, Some("lea"))).await;
    world.pay(&id).await;
    ask_refund(world, &id, Some(2340)).await;
    world.ends(&id, S::PartiallyRefunded, 12_340, 2340);
}

/// Somebody stops all money calls while a refund is asked for, and lets them run again.
pub(super) async fn money_switch(world: &World) {
    let id = world.place(euros(5200, Some("tina"))).await;
    world.pay(&id).await;
    world.shows(&id, &[S::Paid]).await;
    turn_money(world, false).await;
    ask_refund(world, &id, Some(600)).await;
    world.wait(Seconds::minutes(20)).await;
    let refunded = world.stack.sim.ledger().refunds.len();
    if refunded > 0 {
        world.broken("X4: money went back although the switch was off");
    }
    turn_money(world, true).await;
    world.ends(&id, S::PartiallyRefunded, 5200, 600);
}

async fn turn_money(world: &World, on: bool) {
    let engine = world.operator();
    let Ok(by) = By::new("olga", None) else { return world.broken("operators need names") };
    world
        .patiently("turning the switch", async || {
            let call = operator::set_money(&engine, on, &by);
            let done = invocation(Function::Cli, Duration::from_secs(60), call).await;
            matches!(done, Ok(Ok(()))).then_some(())
        })
        .await;
}
