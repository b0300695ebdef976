//! Drills of the queues and schedules: dead letters after two days, a purge, schedules that are gone.

use local::stripe::{CardOutcome, FaultMode, Reason};
use shared::domain::time::Seconds;
use shared::domain::view::PaymentStatus as S;
use shared::queue::Queue;

use super::kit::*;
use crate::stories::{automatic, euros, newest_card};

/// Eight receives, three minutes apart, and a little.
const UNTIL_DEAD: Seconds = Seconds::minutes(27);

#[tokio::test(start_paused = true)]
async fn dead_letters_are_given_back_after_two_days_and_every_order_ends_right() {
    let stack = stack().await;
    let mut ends = Ends::default();
    let refunded = paid(&stack, euros(3_000, Some("anna"))).await;
    ends.must(&refunded, S::PartiallyRefunded, 3_000, 700);
    let bought = place(&stack, euros(2_000, None));
    stack.settle().await.unwrap();
    ends.must(&bought, S::Paid, 2_000, 0);
    // Both other sides are down until the messages have died, and the sweeper does not run.
    stripe_is_down(&stack, FaultMode::ErrorBefore);
    stack.shop.set(|knobs| knobs.down = true);
    pay(&stack, &bought).await;
    stack.shop.request_refund(&refunded, Some(700), "a part came back").unwrap();
    let new = place(&stack, euros(1_000, Some("ben")));
    ends.must(&new, S::Paid, 1_000, 0);
    pass(&stack, UNTIL_DEAD, None).await;
    assert!(dead(&stack, Queue::Orders) >= 2, "the notices of a new order and of a wish for a refund");
    assert!(dead(&stack, Queue::Payments) >= 1, "a payment");
    stack.sim.calm();
    stack.shop.set(|knobs| knobs.down = false);
    pass(&stack, Seconds::days(2), None).await;
    assert_eq!(shown(&stack, &new), None, "nobody looked");

    for queue in Queue::ALL {
        let held = dead(&stack, queue);
        assert_eq!(redrive(&stack, queue).await.moved as usize, held, "{}", queue.name());
    }
    stack.settle().await.unwrap();
    pay(&stack, &new).await;
    pass(&stack, Seconds::minutes(10), None).await;
    ends.hold(&stack);
    // Nothing is left, and asking again is harmless.
    for queue in Queue::ALL {
        assert_eq!(redrive(&stack, queue).await.moved, 0);
    }
    pass(&stack, Seconds::days(1), Some(Seconds::hours(1))).await;
    ends.hold(&stack);
}

#[tokio::test(start_paused = true)]
async fn what_was_only_in_a_purged_queue_is_found_within_one_sweep() {
    let stack = stack().await;
    let mut ends = Ends::default();
    let refunded = paid(&stack, euros(3_000, Some("anna"))).await;
    let cancelled = paid(&stack, euros(4_000, None)).await;
    let disputed = paid(&stack, euros(5_000, None)).await;
    let bought = place(&stack, euros(2_000, None));
    let changed = place(&stack, euros(6_000, None));
    stack.settle().await.unwrap();
    pass(&stack, Seconds::minutes(30), Some(SWEEP_EVERY)).await;
    ends.must(&refunded, S::PartiallyRefunded, 3_000, 700);
    ends.must(&cancelled, S::Refunded, 4_000, 4_000);
    ends.must(&bought, S::Paid, 2_000, 0);

    // All of it arrives, is acknowledged, and is nowhere but in the queues.
    let new = place(&stack, euros(1_000, Some("ben")));
    ends.must(&new, S::Paid, 1_000, 0);
    pay(&stack, &bought).await;
    stack.shop.request_refund(&refunded, Some(700), "a part came back").unwrap();
    stack.shop.cancel(&cancelled).unwrap();
    stack.shop.change_total(&changed, 6_500).unwrap();
    stack.sim.create_dispute(&charge(&stack, &disputed), "fraudulent", None).unwrap();
    deliver(&stack).await;
    assert_eq!(stack.sim.next_delivery_at(), None, "Stripe thinks that all of it is known");
    assert_eq!(stack.shop.next_notice_at(), None, "and so does the shop");
    assert!(purge(&stack) >= 6);
    stack.settle().await.unwrap();
    assert_eq!(shown(&stack, &bought), Some(S::AwaitingPayment), "nobody knows");

    // Before the next one is due, the sweep that the schedule would have made anyway.
    stack.jump(SWEEP_EVERY).await.unwrap();
    sweep(&stack).await;
    stack.settle().await.unwrap();
    assert_eq!(shown(&stack, &disputed), Some(S::Disputed));
    assert_eq!(stack.shop.order(&changed).unwrap().payment.unwrap().amount_due, 6_500);
    pay(&stack, &new).await;
    pay(&stack, &changed).await;
    ends.must(&changed, S::Paid, 6_500, 0);
    stack.settle().await.unwrap();
    ends.hold(&stack);
}

#[tokio::test(start_paused = true)]
async fn with_all_schedules_gone_the_sweeper_does_their_work() {
    let stack = stack().await;
    let mut ends = Ends::default();
    with_card(&stack, "emil", &mut ends).await;
    let outcomes = vec![CardOutcome::Decline(Reason::InsufficientFunds), CardOutcome::Succeed];
    stack.sim.set_card_behaviour(&newest_card(&stack), outcomes);
    let id = place(&stack, automatic(7_000, "emil"));
    stack.settle().await.unwrap();
    ends.must(&id, S::Paid, 7_000, 0);
    let group = stack.config.resources.schedule_group.clone();
    let scheduler = shared::aws::scheduler(&stack.aws.sdk_config());
    let names = async || {
        let listed = scheduler.list_schedules().group_name(&group).send().await.unwrap();
        listed.schedules.into_iter().filter_map(|s| s.name).collect::<Vec<_>>()
    };
    let set = names().await;
    assert_eq!(set.len(), 1, "the retry of tomorrow: {set:?}");
    for name in set {
        scheduler.delete_schedule().group_name(&group).name(name).send().await.unwrap();
    }
    assert_eq!(stack.aws.scheduler().next_due_at(), None);
    pass(&stack, Seconds::hours(26), Some(SWEEP_EVERY)).await;
    ends.hold(&stack);
    assert_eq!(names().await, Vec::<String>::new());
}
