//! What the stories of every order system share: paying, what Tandem knows and told, what Stripe took, and calls that get lost.
//!
//! Invariant: nothing here knows what any order system keeps; each story reads its own books.

use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use local::aws::io::HttpEffect;
use local::aws::{Call, Faults};
use local::stack::Stack;
use shared::domain::fact::CaseKind;
use shared::domain::ids::Function;
use shared::domain::state::State;
use shared::domain::view::PaymentStatus;
use shared::outbound::http::{HttpResponse, SendError};

use crate::stories::GOOD;

pub(super) async fn pay(stack: &Stack, id: &str) {
    stack.pay(id, GOOD).await.unwrap();
    stack.settle().await.unwrap();
}

pub(super) async fn state(stack: &Stack, id: &str) -> State {
    stack.engine(Function::Cli).store.load(&stack.key(id).unwrap()).await.unwrap().state()
}

/// Kinds of the cases that wait for a person.
pub(super) async fn cases(stack: &Stack, id: &str) -> Vec<CaseKind> {
    state(stack, id).await.cases.values().filter(|c| c.is_open()).map(|c| c.kind).collect()
}

/// The status the order system was last told.
pub(super) fn told(stack: &Stack, id: &str) -> Option<PaymentStatus> {
    stack.shop.order(id).unwrap().payment.map(|view| view.status)
}

/// Charged for an order at Stripe: how often, and how much.
pub(super) fn charged(stack: &Stack, id: &str) -> (usize, i64) {
    let ledger = stack.sim.ledger();
    let all: Vec<i64> =
        ledger.captured_for(stack.key(id).unwrap().as_str()).map(|c| c.amount_captured).collect();
    (all.len(), all.iter().sum())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// It arrives, its answer does not.
    AnswerLost,
    /// It never arrives.
    NeverSent,
    /// It arrives when everybody has forgotten it.
    Late,
    /// It never arrives; this is answered with 200.
    Refused(&'static str),
}

/// Strikes the n-th call of order-updater to the shop.
pub(super) struct Strike {
    at: u32,
    how: How,
    seen: AtomicU32,
    late: Mutex<Option<HttpEffect>>,
}

impl Strike {
    pub(super) fn on(stack: &Stack, at: u32, how: How) -> Arc<Self> {
        let strike = Arc::new(Self { at, how, seen: AtomicU32::new(0), late: Mutex::default() });
        stack.aws.set_faults(strike.clone());
        strike
    }

    /// Whether there was such a call.
    pub(super) fn struck(&self) -> bool {
        self.seen.load(Ordering::Relaxed) > self.at
    }

    /// Lets the call that was held arrive now.
    pub(super) async fn land(&self) {
        let late = self.late.lock().unwrap().take();
        if let Some(effect) = late {
            effect.await.unwrap();
        }
    }
}

impl Faults for Strike {
    fn around_http<'a>(
        &'a self,
        call: Call<'a>,
        _timeout: Duration,
        effect: HttpEffect,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, SendError>> + Send + 'a>> {
        let ours = call.label.function == Some(Function::OrderUpdater) && call.label.service == "shop";
        let hit = ours && self.seen.fetch_add(1, Ordering::Relaxed) == self.at;
        Box::pin(async move {
            if !hit {
                return effect.await;
            }
            match self.how {
                How::AnswerLost => drop(effect.await),
                How::NeverSent => {}
                How::Refused(body) => return Ok(HttpResponse::new(body.into())),
                How::Late => *self.late.lock().unwrap() = Some(effect),
            }
            Err(SendError::Unknown("the connection was reset".into()))
        })
    }
}
