//! A refund that Stripe answers 5xx twice and carries out all the same, after it was looked for and not found.
//!
//! Invariant: it is made once, however often it was looked for by then. More than one fault at one call, which no cut of the
//! sweep is.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use local::aws::io::HttpEffect;
use local::aws::{Call, Faults};
use shared::domain::time::Seconds;
use shared::domain::view::PaymentStatus as S;
use shared::outbound::http::{HttpResponse, SendError};

use crate::aside::on_own_clock;
use crate::check::violations;
use crate::scenario::people::ask_refund;
use crate::world::{World, euros, options};

/// What was answered 5xx and is still to be carried out; how often it was looked for since.
#[derive(Default)]
struct Tardy(Mutex<(Vec<HttpEffect>, usize)>);

/// Answers of 5xx before the key is no longer sent again.
const ANSWERED: usize = 2;
/// It is looked for when the second answer is lost, and twice more before the key is replaced: it may land after each.
const LOOKS: usize = 2;

impl Tardy {
    fn lock(&self) -> std::sync::MutexGuard<'_, (Vec<HttpEffect>, usize)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the effect of a call that is answered 5xx; gives back one that is not.
    fn keep(&self, effect: HttpEffect) -> Option<HttpEffect> {
        let mut state = self.lock();
        if state.1 > 0 || state.0.len() == ANSWERED {
            return Some(effect);
        }
        state.0.push(effect);
        None
    }

    /// It was looked for once there was enough to find.
    fn listed(&self) {
        let mut state = self.lock();
        state.1 += usize::from(state.0.len() == ANSWERED);
    }

    /// What is carried out now.
    fn landing(&self) -> Vec<HttpEffect> {
        std::mem::take(&mut self.lock().0)
    }
}

impl Faults for Tardy {
    fn around_http<'a>(
        &'a self,
        call: Call<'a>,
        _: Duration,
        effect: HttpEffect,
    ) -> BoxFuture<'a, Result<HttpResponse, SendError>> {
        Box::pin(async move {
            match call.label.operation.as_str() {
                "POST /v1/refunds" => match self.keep(effect) {
                    Some(effect) => effect.await,
                    None => {
                        let mut answer = HttpResponse::new(Bytes::from_static(b"{}"));
                        *answer.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
                        Ok(answer)
                    }
                },
                "GET /v1/refunds" => {
                    let listed = effect.await;
                    self.listed();
                    listed
                }
                _ => effect.await,
            }
        })
    }
}

/// Tells it, on a clock of its own; what did not hold.
pub fn tardy_refund() -> Vec<String> {
    let told = |looks| on_own_clock(told(looks)).unwrap_or_else(|error| vec![format!("no runtime: {error}")]);
    (1..=LOOKS).flat_map(told).collect()
}

/// The story where it lands after so many looks.
async fn told(looks: usize) -> Vec<String> {
    let world = World::start(options(), None).await;
    let id = world.place(euros(5000, Some("dora"))).await;
    world.pay(&id).await;
    let tardy = std::sync::Arc::new(Tardy::default());
    world.stack.aws.set_faults(tardy.clone());
    ask_refund(&world, &id, Some(1500)).await;
    for _ in 0..12 {
        if tardy.lock().1 < looks {
            world.wait(Seconds::minutes(5)).await;
        }
    }
    let looked = tardy.lock().1;
    let late = tardy.landing();
    let mut found = Vec::new();
    if late.len() != ANSWERED || looked < looks {
        found.push(format!("the story did not come about: {} lost, looked for {looked} times", late.len()));
    }
    for effect in late {
        let _ = effect.await;
    }
    for _ in 0..6 {
        world.wait(Seconds::hours(1)).await;
    }
    world.ends(&id, S::PartiallyRefunded, 5000, 1500);
    found.extend(violations(&world).await);
    found
}
