//! Stories in which people act at the same moment.

use std::time::Duration;

use futures::future::join;
use local::pump::invocation;
use local::stack::buyer::Paid;
use local::stripe::{CardOutcome, Reason};
use shared::domain::fact::Decision;
use shared::domain::ids::Function;
use shared::domain::time::Seconds;
use shared::domain::view::PaymentStatus as S;
use shared::operator::{self, By};

use super::people::{ask_refund, change_total, saved_card};
use crate::world::{GOOD, World, automatic, euros};

pub(super) async fn buyer_against_timer(world: &World) {
    let Some(card) = saved_card(world, "gerda").await else { return };
    let outcomes = vec![CardOutcome::Decline(Reason::InsufficientFunds), CardOutcome::Succeed];
    world.stack.sim.set_card_behaviour(&card, outcomes);
    let id = world.place(automatic(9000, "gerda")).await;
    world.shows(&id, &[S::AwaitingPayment, S::Processing, S::Paid]).await;
    let due = world.stack.pump.next_due_at();
    if let Some(due) = due {
        let left = due - world.stack.clock.now();
        world.wait(Seconds((left.0 - 1).max(0))).await;
        let _ = world.stack.jump(Seconds(1)).await;
    }
    if let Ok(link) = world.stack.pay_link(&id) {
        // The timer's message and the buyer's button, at the same moment.
        let (_, pressed) = join(world.stack.pump.run_until_idle(500), world.stack.press_button(&link)).await;
        if let Ok(Ok(session)) = pressed {
            let _ = world.stack.pay_session(&session, GOOD).await;
        }
    }
    world.settle().await;
    world.wait(Seconds::hours(26)).await;
    let paid = world.record(&id).and_then(|o| o.payment).is_some_and(|p| p.status == S::Paid);
    if !paid {
        // Whoever was too late finds the page again.
        world
            .patiently("the order being paid", async || {
                let now = world.record(&id).and_then(|o| o.payment).map(|p| p.status);
                if now == Some(S::Paid) {
                    return Some(());
                }
                world.stack.pay(&id, GOOD).await.ok().map(|_| ())
            })
            .await;
    }
    world.ends(&id, S::Paid, 9000, 0);
}

/// A case that waits for a decision, if there is one: the order's oldest.
async fn open_case(world: &World, id: &str) -> Option<String> {
    let item = world.operator().store.load(&world.key(id)).await.ok()?;
    item.state().cases.iter().find(|(_, case)| case.is_open()).map(|(name, _)| name.clone())
}

pub(super) async fn two_operators(world: &World) {
    let id = world.place(euros(2500, Some("mia"))).await;
    world.pay(&id).await;
    world.shows(&id, &[S::Paid]).await;
    // Paid a second time behind our back is what policy leaves to people: a lower total is the quiet way there.
    change_total(world, &id, 2000).await;
    let case = world.patiently("a case for the excess", async || open_case(world, &id).await).await;
    let Some(case) = case else { return };
    let (key, anna, bert) = (world.key(&id), By::new("anna", None), By::new("bert", None));
    let (Ok(anna), Ok(bert)) = (anna, bert) else { return world.broken("operators need names") };
    let engine = world.operator();
    let decide = async |by: &By| {
        let call = operator::decide(&engine, &key, &case, Decision::Approve, by);
        matches!(invocation(Function::Cli, Duration::from_secs(60), call).await, Ok(Ok(_)))
    };
    world
        .patiently("an operator's decision", async || {
            let (one, other) = join(decide(&anna), decide(&bert)).await;
            (one || other || open_case(world, &id).await.is_none()).then_some(())
        })
        .await;
    world.ends(&id, S::PartiallyRefunded, 2500, 500);
}

pub(super) async fn refund_against_dispute(world: &World) {
    let id = world.place(euros(3300, Some("nora"))).await;
    world.pay(&id).await;
    world.shows(&id, &[S::Paid]).await;
    let Some(charge) = world.charge(&id) else { return world.broken("nothing was captured") };
    if let Err(error) = world.stack.shop.request_refund(&id, Some(300), "a discount") {
        world.broken(error.to_string());
    }
    let dispute = world.stack.sim.create_dispute(&charge, "fraudulent", None);
    world.settle().await;
    world.wait(Seconds::minutes(30)).await;
    if let Some(dispute) = dispute {
        world.stack.sim.close_dispute(&dispute, true);
    }
    world.settle().await;
    world.ends(&id, S::PartiallyRefunded, 3300, 300);
}

pub(super) async fn cancel_against_pay(world: &World) {
    let id = world.place(euros(3400, Some("olga"))).await;
    let session = world
        .patiently("opening the payment page", async || {
            let link = world.stack.pay_link(&id).ok()?;
            match world.stack.open_link(&link).await {
                Ok(Ok(session)) => Some(session),
                _ => world.stack.press_button(&link).await.ok()?.ok(),
            }
        })
        .await;
    let Some(session) = session else { return };
    if let Err(error) = world.stack.shop.cancel(&id) {
        world.broken(error.to_string());
    }
    let (_, _) = join(world.stack.settle(), world.stack.pay_session(&session, GOOD)).await;
    world.settle().await;
    world.ends_in(&id, &[(S::Cancelled, 0, 0), (S::Refunded, 3400, 3400)]);
}

pub(super) async fn change_against_pay(world: &World) {
    let id = world.place(euros(3500, Some("paul"))).await;
    let session = world
        .patiently("opening the payment page", async || {
            let link = world.stack.pay_link(&id).ok()?;
            match world.stack.open_link(&link).await {
                Ok(Ok(session)) => Some(session),
                _ => world.stack.press_button(&link).await.ok()?.ok(),
            }
        })
        .await;
    let Some(session) = session else { return };
    if let Err(error) = world.stack.shop.change_total(&id, 3900) {
        world.broken(error.to_string());
    }
    let (_, _) = join(world.stack.settle(), world.stack.pay_session(&session, GOOD)).await;
    world.settle().await;
    world.wait(Seconds::hours(2)).await;
    let captured = world.charge(&id).is_some();
    if !captured {
        world.pay(&id).await;
    }
    world.ends_in(&id, &[(S::Paid, 3900, 0), (S::PartiallyPaid, 3500, 0)]);
}

pub(super) async fn dashboard_against_requested(world: &World) {
    let id = world.place(euros(4100, Some("rosa"))).await;
    world.pay(&id).await;
    world.shows(&id, &[S::Paid]).await;
    let Some(charge) = world.charge(&id) else { return world.broken("nothing was captured") };
    // Somebody at the shop and somebody at Stripe give different amounts back at the same moment.
    let at_stripe = world.stack.sim.refund(&charge, Some(700));
    if let Err(error) = at_stripe {
        world.broken(error);
    }
    ask_refund(world, &id, Some(400)).await;
    world.ends(&id, S::PartiallyRefunded, 4100, 1100);
}

pub(super) async fn two_shops(world: &World) {
    let here = world.place(euros(2100, Some("susi"))).await;
    let Some(outlet) = world.stack.shop_named("outlet") else {
        return world.broken("there is no second shop");
    };
    let there = match outlet.place(euros(2200, Some("susi"))) {
        Ok(order) => order.id,
        Err(error) => return world.broken(error.to_string()),
    };
    world.settle().await;
    if here != there {
        world.broken("the shops do not number their orders alike");
    }
    world.pay(&here).await;
    world
        .patiently("paying at the second shop", async || {
            let link = outlet.order(&there)?.payment?.payment_url?;
            let session = match world.stack.open_link(&link).await.ok()? {
                Ok(session) => session,
                Err(_) => world.stack.press_button(&link).await.ok()?.ok()?,
            };
            matches!(world.stack.pay_session(&session, GOOD).await, Ok(Paid::Returned(_))).then_some(())
        })
        .await;
    ask_refund(world, &here, Some(100)).await;
    let customers = world.stack.sim.ledger().customers.len();
    if customers != 2 {
        world.broken(format!("X3: two buyers of two shops are {customers} customers"));
    }
    world.ends(&here, S::PartiallyRefunded, 2100, 100);
    world.ends_at("outlet", &there, &[(S::Paid, 2200, 0)]);
}
