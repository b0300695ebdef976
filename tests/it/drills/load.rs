//! Many orders heal after an outage within Stripe's rate limit: how many calls one costs, and how many a sweep begins.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use local::aws::io::HttpEffect;
use local::aws::{Call, Faults};
use local::stripe::{Fault, FaultMode, StripeSim};
use shared::clock::Clock;
use shared::domain::time::Seconds;
use shared::outbound::http::{HttpResponse, SendError};

use super::kit::*;
use crate::stories::euros;

/// Stripe's limit in test mode, the lowest: requests in a second.
const LIMIT: usize = 25;
/// The same in live mode.
const LIVE_LIMIT: usize = 100;
/// How long Stripe takes to answer.
const LATENCY: Duration = Duration::from_millis(250);
/// Hints of one run of the sweeper.
const HINTS_MAX: u32 = 50;
const ORDERS: usize = 200;

/// Stripe that takes its time and refuses what goes beyond its limit.
struct Limited {
    clock: Clock,
    sim: StripeSim,
    on: AtomicBool,
    /// When requests were let through.
    passed: Mutex<Vec<i64>>,
    /// When requests came in.
    asked: Mutex<Vec<i64>>,
    refused: AtomicU64,
}

impl Limited {
    /// Whether one more passes now.
    fn admits(&self) -> bool {
        let now = self.clock.now_ms();
        let mut passed = self.passed.lock().unwrap();
        let admits = passed.iter().rev().take_while(|at| now - **at < 1_000).count() < LIMIT;
        if admits {
            passed.push(now);
        }
        admits
    }

    fn passed(&self) -> usize {
        self.passed.lock().unwrap().len()
    }
}

impl Faults for Limited {
    fn around_http<'a>(
        &'a self,
        call: Call<'a>,
        _: Duration,
        effect: HttpEffect,
    ) -> BoxFuture<'a, Result<HttpResponse, SendError>> {
        Box::pin(async move {
            if call.label.service != "stripe" || !self.on.load(Ordering::Relaxed) {
                return effect.await;
            }
            self.asked.lock().unwrap().push(self.clock.now_ms());
            tokio::time::sleep(LATENCY).await;
            if !self.admits() {
                self.refused.fetch_add(1, Ordering::Relaxed);
                let path = call.path.split('?').next().unwrap().to_owned();
                let mode = FaultMode::RateLimited("global-rate".into());
                self.sim.add_fault(Fault { method: None, path, skip: 0, times: 1, mode });
            }
            effect.await
        })
    }
}

#[tokio::test(start_paused = true)]
async fn many_orders_heal_within_stripe_s_limit_and_a_sweep_begins_no_more_than_it_may() {
    let hints = format!("hints_max = {HINTS_MAX}");
    let stack = with(|options| options.replace = vec![("hints_max = 500".into(), hints)]).await;
    let limited = Arc::new(Limited {
        clock: stack.clock.clone(),
        sim: stack.sim.clone(),
        on: AtomicBool::new(false),
        passed: Mutex::default(),
        asked: Mutex::default(),
        refused: AtomicU64::new(0),
    });
    stack.aws.set_faults(limited.clone());
    stripe_is_down(&stack, FaultMode::ErrorBefore);
    let ids: Vec<String> = (0..ORDERS).map(|n| place(&stack, euros(1_000, Some(&format!("b{n}"))))).collect();
    pass(&stack, Seconds::minutes(45), None).await;
    stack.sim.calm();
    purge(&stack);
    limited.on.store(true, Ordering::Relaxed);

    let healed = || ids.iter().filter(|id| stack.pay_link(id).is_ok()).count();
    let open = || stack.sim.ledger().sessions.iter().filter(|s| s.status == "open").count();
    assert_eq!(open(), 0);
    let began = stack.clock.now();
    let mut sweeps = 0_usize;
    while open() < ORDERS || healed() < ORDERS {
        assert!(sweeps < 150, "{} of {ORDERS} pages after {sweeps} sweeps", open());
        let before = limited.passed();
        let report = sweep(&stack).await;
        let most = HINTS_MAX + 2;
        let parts = [report.due.woken, report.events["stripe"].hinted, report.polls["shop"].hinted];
        assert!(parts.iter().all(|n| *n <= most), "{report:?}");
        let hints = usize::try_from(report.hints()).unwrap();
        sweeps += 1;
        pass(&stack, SWEEP_EVERY, None).await;
        println!("sweep {sweeps}: {hints} hints, {} calls, {} pages", limited.passed() - before, open());
    }
    let calls = limited.passed();
    let refused = limited.refused.load(Ordering::Relaxed);
    let took = stack.clock.now() - began;
    println!("{ORDERS} orders: {calls} calls let through, {refused} refused, {sweeps} sweeps, {took:?}");
    // A customer and a page each; a look at what an earlier call may have made is the rest.
    assert!(calls <= 5 * ORDERS / 2, "{calls} calls for {ORDERS} orders");
    let asked = limited.asked.lock().unwrap().clone();
    let busiest =
        asked.iter().map(|from| asked.iter().filter(|at| (0..1_000).contains(&(*at - from))).count()).max();
    assert!(busiest.unwrap() <= LIVE_LIMIT, "{busiest:?} calls in a second");
    println!("at most {busiest:?} calls in a second");
    let ledger = stack.sim.ledger();
    assert_eq!((ledger.sessions.len(), ledger.customers.len()), (ORDERS, ORDERS), "one of each per order");
}
