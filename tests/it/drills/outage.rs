//! Stripe is down for an hour, and for longer than it remembers idempotency keys: everybody waits, nobody pays twice.

use http::Method;
use local::stack::Stack;
use local::stripe::{Fault, FaultMode};
use shared::domain::time::Seconds;
use shared::domain::view::PaymentStatus as S;
use shared::queue::Queue;

use super::kit::*;
use crate::stories::{GOOD, automatic, euros, session};

/// Orders of each kind: as many as one card may be charged without the buyer in a week, and theirs is the same.
const OF_EACH: i64 = 4;

/// What waits through the outage.
#[derive(Default)]
struct Crowd {
    ends: Ends,
    /// Open pages that are paid while the API is down, with their orders.
    pages: Vec<(String, String)>,
    refunded: Vec<String>,
    cancelled: Vec<String>,
    fulfilled: Vec<String>,
    changed: Vec<String>,
    new: Vec<String>,
}

impl Crowd {
    async fn gather(stack: &Stack) -> Self {
        let mut crowd = Self::default();
        for n in 0..OF_EACH {
            with_card(stack, &format!("emil{n}"), &mut crowd.ends).await;
            let bought = place(stack, euros(2_000 + n, None));
            stack.settle().await.unwrap();
            let page = session(stack, &bought).await;
            crowd.pages.push((bought, page));
            crowd.refunded.push(paid(stack, euros(3_000 + n, Some(&format!("anna{n}")))).await);
            crowd.cancelled.push(paid(stack, euros(4_000 + n, None)).await);
            crowd.fulfilled.push(paid(stack, on_fulfilment(5_000 + n, &format!("carla{n}"))).await);
            crowd.changed.push(place(stack, euros(6_000 + n, None)));
        }
        stack.settle().await.unwrap();
        crowd
    }

    /// People go on as if nothing were.
    async fn act(&mut self, stack: &Stack) {
        for (id, page) in &self.pages {
            stack.pay_session(page, GOOD).await.unwrap();
            self.ends.must(id, S::Paid, stack.shop.order(id).unwrap().order.total, 0);
        }
        for n in 0..OF_EACH {
            let i = usize::try_from(n).unwrap();
            stack.shop.request_refund(&self.refunded[i], Some(700), "a part came back").unwrap();
            self.ends.must(&self.refunded[i], S::PartiallyRefunded, 3_000 + n, 700);
            stack.shop.cancel(&self.cancelled[i]).unwrap();
            self.ends.must(&self.cancelled[i], S::Refunded, 4_000 + n, 4_000 + n);
            stack.shop.fulfil(&self.fulfilled[i]).unwrap();
            self.ends.must(&self.fulfilled[i], S::Paid, 5_000 + n, 0);
            stack.shop.change_total(&self.changed[i], 6_500 + n).unwrap();
            self.ends.must(&self.changed[i], S::Paid, 6_500 + n, 0);
            let new = place(stack, euros(7_000 + n, Some(&format!("ben{n}"))));
            self.ends.must(&new, S::Paid, 7_000 + n, 0);
            self.new.push(new);
            let saved = place(stack, automatic(8_000 + n, &format!("emil{n}")));
            self.ends.must(&saved, S::Paid, 8_000 + n, 0);
        }
    }

    /// Those who have to pay by themselves do.
    async fn pay(&self, stack: &Stack) {
        for id in self.new.iter().chain(&self.changed) {
            pay(stack, id).await;
        }
        stack.settle().await.unwrap();
    }
}

/// The first calls of each kind are carried out and their answers lost, the rest is refused.
fn falls(stack: &Stack) {
    for path in ["/v1/refunds", "/v1/payment_intents/{id}/capture", "/v1/payment_intents", "/v1/customers"] {
        let lost = Fault { times: 2, ..Fault::once(Method::POST, path, FaultMode::ResetAfter) };
        stack.sim.add_fault(lost);
    }
    stripe_is_down(stack, FaultMode::ErrorBefore);
    lose_events(stack);
}

#[tokio::test(start_paused = true)]
async fn after_an_hour_without_stripe_dead_letters_are_given_back_and_every_order_ends_right() {
    let stack = stack().await;
    let mut crowd = Crowd::gather(&stack).await;
    falls(&stack);
    crowd.act(&stack).await;
    pass(&stack, Seconds::hours(1), Some(SWEEP_EVERY)).await;
    stack.sim.calm();
    for queue in Queue::ALL {
        redrive(&stack, queue).await;
    }
    pass(&stack, Seconds::hours(2), Some(SWEEP_EVERY)).await;
    crowd.pay(&stack).await;
    pass(&stack, Seconds::hours(2), Some(SWEEP_EVERY)).await;
    crowd.ends.hold(&stack);
}

#[tokio::test(start_paused = true)]
async fn after_26_hours_without_stripe_the_sweeper_alone_brings_every_order_to_its_end() {
    let stack = stack().await;
    let mut crowd = Crowd::gather(&stack).await;
    falls(&stack);
    crowd.act(&stack).await;
    // Fewer sweeps than the schedule makes: they heal no better, and none heals while Stripe is down.
    pass(&stack, Seconds::hours(26), Some(Seconds::hours(2))).await;
    stack.sim.calm();
    // The longest wait between two looks at an order is six hours.
    pass(&stack, Seconds::hours(7), Some(Seconds::minutes(30))).await;
    crowd.pay(&stack).await;
    pass(&stack, Seconds::hours(2), Some(SWEEP_EVERY)).await;
    crowd.ends.hold(&stack);
}
