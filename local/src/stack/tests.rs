//! What a stack leaves behind.

use std::sync::Arc;

use shared::domain::money::Currency;

use super::{Options, Stack};
use crate::shop::NewOrder;

#[tokio::test(start_paused = true)]
async fn a_stack_that_is_dropped_keeps_nothing() {
    let stack = Stack::start(Options { light_queues: true, ..Options::in_process() }).await.unwrap();
    stack.shop.place(NewOrder::simple(Currency::parse("EUR").unwrap(), 1250, None)).unwrap();
    stack.settle().await.unwrap();
    // Every function's engine holds it.
    let config = Arc::downgrade(&stack.config);
    drop(stack);
    assert!(config.upgrade().is_none(), "functions are kept by what they call");
}
