//! The demo itself, without sockets: clean, and with a bug on purpose.

use local::demo::{Options, run};
use local::shop::Speaks;
use local::stack::Sabotage;

#[tokio::test(start_paused = true)]
async fn every_story_of_the_demo_ends_as_it_must() {
    assert!(run(Options { in_process: true, ..Options::default() }).await);
}

#[tokio::test(start_paused = true)]
async fn every_story_ends_as_it_must_over_every_other_order_system() {
    for speaks in Speaks::ALL.iter().copied().filter(|s| *s != Speaks::Checkout) {
        assert!(run(Options { in_process: true, speaks, ..Options::default() }).await, "{speaks:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_bug_on_purpose_is_noticed() {
    for bug in [Sabotage::DropWriteBacks, Sabotage::ChargeTwice] {
        let sabotage = Some(bug);
        assert!(!run(Options { in_process: true, sabotage, ..Options::default() }).await, "{bug:?}");
    }
}
