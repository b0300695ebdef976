//! A day of hints is lost after they were handed over: the day is read again from Stripe and from the shop.

use shared::domain::time::Seconds;
use shared::domain::view::PaymentStatus as S;

use super::kit::*;
use crate::stories::{automatic, euros};

#[tokio::test(start_paused = true)]
async fn a_day_that_was_handed_over_and_lost_is_read_again_after_a_rewind() {
    let stack = stack().await;
    let mut ends = Ends::default();
    with_card(&stack, "emil", &mut ends).await;
    let bought = place(&stack, euros(2_000, None));
    let refunded = paid(&stack, euros(3_000, Some("anna"))).await;
    let fulfilled = paid(&stack, on_fulfilment(4_000, "carla")).await;
    let returned = paid(&stack, euros(5_000, None)).await;
    pass(&stack, Seconds::hours(1), Some(SWEEP_EVERY)).await;
    let before = stack.clock.now();

    pay(&stack, &bought).await;
    ends.must(&bought, S::Paid, 2_000, 0);
    stack.shop.request_refund(&refunded, Some(700), "a part came back").unwrap();
    ends.must(&refunded, S::PartiallyRefunded, 3_000, 700);
    stack.shop.fulfil(&fulfilled).unwrap();
    ends.must(&fulfilled, S::Paid, 4_000, 0);
    let charge = charge(&stack, &returned);
    stack.sim.refund(&charge, Some(1_500)).unwrap();
    ends.must(&returned, S::PartiallyRefunded, 5_000, 1_500);
    let new = place(&stack, automatic(6_000, "emil"));
    ends.must(&new, S::Paid, 6_000, 0);
    // The receiver and the sweeper go on for a day, the workers stand, and then the queues are lost.
    for _ in 0..96 {
        deliver(&stack).await;
        sweep(&stack).await;
        stack.jump(Seconds::minutes(15)).await.unwrap();
    }
    assert!(purge(&stack) >= 10);
    sweep(&stack).await;
    stack.settle().await.unwrap();
    assert_ne!(
        ends.wrong(&stack),
        Vec::<String>::new(),
        "it was handed over: by itself the sweeper does not hurry"
    );

    rewind(&stack, before - Seconds::minutes(15)).await;
    sweep(&stack).await;
    pass(&stack, Seconds::minutes(30), Some(SWEEP_EVERY)).await;
    ends.hold(&stack);
    // Once more, and further back: everything is known.
    let moved = stack.sim.ledger().money["eur"];
    rewind(&stack, before - Seconds::days(2)).await;
    assert!(sweep(&stack).await.hints() > 0);
    pass(&stack, Seconds::hours(2), Some(SWEEP_EVERY)).await;
    assert_eq!(stack.sim.ledger().money["eur"], moved);
    ends.hold(&stack);
}
