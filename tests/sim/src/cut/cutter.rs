//! The seam of a run: counts its calls and makes one of them fail.
//!
//! Invariant: only calls that a function makes are counted and cut; people and the world around them are not.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::result::ConnectorError;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::Method;
use local::aws::io::{Effect, HttpEffect, internal_error, reset, throttled};
use local::aws::{Answer, Call, Faults, IoLabel};
use local::pump::INVOCATION;
use local::shop::Shop;
use local::stripe::{Fault, FaultMode, StripeSim};
use shared::clock::Clock;
use shared::outbound::http::{HttpResponse, SendError};

use super::{Cut, Length, Mode};
use crate::check::secrets::Watch;

/// A call as it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What kind of call.
    pub label: IoLabel,
    /// In which invocation.
    pub invocation: Option<u64>,
}

/// What struck, once something did.
#[derive(Clone, Debug)]
struct Struck {
    label: IoLabel,
    invocation: Option<u64>,
    until_ms: Option<i64>,
}

#[derive(Default)]
struct State {
    seen: Vec<Seen>,
    cut: Option<Cut>,
    struck: Option<Struck>,
    strikes: u32,
    /// Answers that an index or the shop gave, by request: what a lagging one may still say.
    old: std::collections::BTreeMap<(String, Bytes), Answer>,
}

/// Counts the calls of a run and strikes where the cut says.
pub struct Cutter {
    clock: Clock,
    sim: StripeSim,
    shop: Shop,
    watch: Watch,
    state: Mutex<State>,
}

impl Cutter {
    /// For one run.
    pub fn new(clock: Clock, sim: StripeSim, shop: Shop, cut: Option<Cut>) -> Arc<Self> {
        let state = State { cut, ..State::default() };
        Arc::new(Self { clock, sim, shop, watch: Watch::default(), state: Mutex::new(state) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The calls so far.
    pub fn calls(&self) -> Vec<Seen> {
        self.lock().seen.clone()
    }

    /// How many there were so far.
    pub fn count(&self) -> usize {
        self.lock().seen.len()
    }

    /// How often the fault struck.
    pub fn strikes(&self) -> u32 {
        self.lock().strikes
    }

    /// Until when a fault that lasts will last, in milliseconds of the clock.
    pub fn lasts_until(&self) -> Option<i64> {
        self.lock().struck.as_ref().and_then(|s| s.until_ms)
    }

    /// What was said where it must not be said.
    pub fn leaks(&self) -> Vec<String> {
        self.watch.found()
    }

    /// Counts the call; the mode if this one is to fail.
    fn decide(&self, call: Call<'_>) -> Option<Mode> {
        call.label.function?;
        self.watch.look(call);
        let invocation = INVOCATION.try_with(|i| i.id).ok();
        let now = self.clock.now_ms();
        let mut state = self.lock();
        let n = state.seen.len();
        state.seen.push(Seen { label: call.label.clone(), invocation });
        let cut = state.cut?;
        if state.struck.is_none() {
            if n != cut.at {
                return None;
            }
            let until_ms = cut.length.span_ms().map(|span| now + span);
            state.struck = Some(Struck { label: call.label.clone(), invocation, until_ms });
        }
        let struck = state.struck.as_ref()?;
        let hit = match cut.length {
            Length::Once => n == cut.at,
            Length::Delivery => struck.invocation == invocation && struck.label == *call.label,
            Length::UntilDead => struck.label == *call.label && struck.until_ms.is_some_and(|end| now < end),
            Length::Outage => {
                struck.label.service == call.label.service && struck.until_ms.is_some_and(|end| now < end)
            }
        };
        if !hit || !cut.mode.fits(call.label) {
            return None;
        }
        state.strikes += 1;
        Some(cut.mode)
    }

    /// What an index or the shop said to the same question before, if it was asked.
    fn old_answer(&self, call: Call<'_>) -> Option<Answer> {
        let key = (format!("{} {}", call.label, call.path), call.body.clone());
        self.lock().old.get(&key).cloned()
    }

    fn remember(&self, call: Call<'_>, answer: &Answer) {
        if Mode::Stale.fits(call.label) {
            let key = (format!("{} {}", call.label, call.path), call.body.clone());
            self.lock().old.insert(key, answer.clone());
        }
    }
}

/// The process dies here: nothing after this line runs.
async fn die() {
    let _ = INVOCATION.try_with(|i| i.kill());
    std::future::pending::<()>().await;
}

/// After the next delivery: the queues hide a message for three minutes.
const LATE: Duration = Duration::from_secs(200);

fn later(effect: impl Future<Output = ()> + Send + 'static) {
    #[expect(clippy::disallowed_methods, reason = "it must outlive the invocation that began it")]
    drop(tokio::spawn(async move {
        tokio::time::sleep(LATE).await;
        effect.await;
    }));
}

fn cut_short(mut answer: http::Response<Bytes>) -> http::Response<Bytes> {
    let body = answer.body();
    let half = body.slice(..body.len() / 2);
    *answer.body_mut() = if half.is_empty() { Bytes::from_static(b"{\"") } else { half };
    answer
}

/// An index that knows nothing yet.
fn empty_index() -> Answer {
    let mut answer = http::Response::new(Bytes::from_static(br#"{"Items":[],"Count":0,"ScannedCount":0}"#));
    let kind = http::HeaderValue::from_static("application/x-amz-json-1.0");
    answer.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    answer
}

fn status_only(status: http::StatusCode) -> HttpResponse {
    let mut answer = HttpResponse::new(Bytes::from_static(b"{\"error\":\"injected\"}"));
    *answer.status_mut() = status;
    answer
}

impl Faults for Cutter {
    fn around<'a>(&'a self, call: Call<'a>, effect: Effect) -> BoxFuture<'a, Result<Answer, ConnectorError>> {
        Box::pin(async move {
            let Some(mode) = self.decide(call) else {
                let answer = effect.await;
                self.remember(call, &answer);
                return Ok(answer);
            };
            match mode {
                Mode::Refused => Err(reset()),
                Mode::Throttled => Ok(throttled(call.label.service)),
                Mode::ErrorBefore => Ok(internal_error()),
                Mode::CrashBefore | Mode::HangBefore => {
                    drop(effect);
                    if mode == Mode::CrashBefore {
                        die().await;
                    }
                    std::future::pending().await
                }
                Mode::Late => {
                    later(async move { drop(effect.await) });
                    Err(reset())
                }
                Mode::Stale => Ok(self.old_answer(call).unwrap_or_else(empty_index)),
                Mode::Lost | Mode::ErrorAfter | Mode::Garbled | Mode::CrashAfter | Mode::HangAfter => {
                    let answer = effect.await;
                    match mode {
                        Mode::Lost => Err(reset()),
                        Mode::ErrorAfter => Ok(internal_error()),
                        Mode::Garbled => Ok(cut_short(answer)),
                        Mode::CrashAfter => {
                            die().await;
                            Ok(answer)
                        }
                        _ => std::future::pending().await,
                    }
                }
            }
        })
    }

    fn around_http<'a>(
        &'a self,
        call: Call<'a>,
        timeout: Duration,
        effect: HttpEffect,
    ) -> BoxFuture<'a, Result<HttpResponse, SendError>> {
        Box::pin(async move {
            let Some(mode) = self.decide(call) else {
                let answer = effect.await;
                if let Ok(answer) = &answer {
                    self.remember(call, answer);
                }
                return answer;
            };
            self.cut_http(call, mode, timeout, effect).await
        })
    }
}

impl Cutter {
    async fn cut_http(
        &self,
        call: Call<'_>,
        mode: Mode,
        timeout: Duration,
        effect: HttpEffect,
    ) -> Result<HttpResponse, SendError> {
        let timed_out = || SendError::Unknown("timed out (injected)".into());
        let stripe = call.label.service == "stripe";
        match mode {
            Mode::Refused => Err(SendError::Unknown("connection reset (injected)".into())),
            Mode::Throttled if stripe => {
                self.at_stripe(call, FaultMode::RateLimited("endpoint-rate".into()), effect).await
            }
            Mode::ErrorBefore if stripe => self.at_stripe(call, FaultMode::ErrorBefore, effect).await,
            Mode::ErrorAfter if stripe => self.at_stripe(call, FaultMode::ErrorAfter, effect).await,
            Mode::Late if stripe => {
                let ms = i64::try_from(LATE.as_millis()).unwrap_or(i64::MAX);
                self.at_stripe(call, FaultMode::LandsLater(ms), effect).await
            }
            Mode::Throttled => Ok(status_only(http::StatusCode::TOO_MANY_REQUESTS)),
            Mode::ErrorBefore => Ok(status_only(http::StatusCode::SERVICE_UNAVAILABLE)),
            Mode::Late => {
                later(async move { drop(effect.await) });
                Err(SendError::Unknown("connection reset (injected)".into()))
            }
            Mode::CrashBefore => {
                drop(effect);
                die().await;
                Err(timed_out())
            }
            Mode::HangBefore => {
                drop(effect);
                tokio::time::sleep(timeout).await;
                Err(timed_out())
            }
            Mode::Stale => match self.old_answer(call) {
                Some(old) => Ok(old),
                None => {
                    // An order that never changed has nothing older to show: what is not used now must not lag later.
                    self.shop.set(|knobs| knobs.stale_reads = 1);
                    let answer = effect.await;
                    self.shop.set(|knobs| knobs.stale_reads = 0);
                    answer
                }
            },
            Mode::Lost | Mode::ErrorAfter | Mode::Garbled | Mode::CrashAfter | Mode::HangAfter => {
                let answer = effect.await?;
                match mode {
                    Mode::ErrorAfter => Ok(status_only(http::StatusCode::INTERNAL_SERVER_ERROR)),
                    Mode::Garbled => Ok(cut_short(answer)),
                    Mode::CrashAfter => {
                        die().await;
                        Ok(answer)
                    }
                    Mode::HangAfter => {
                        tokio::time::sleep(timeout).await;
                        Err(timed_out())
                    }
                    _ => Err(SendError::Unknown("connection reset (injected)".into())),
                }
            }
        }
    }

    /// Lets the simulator itself fail this one request, as Stripe would: with its stored answers.
    async fn at_stripe(
        &self,
        call: Call<'_>,
        mode: FaultMode,
        effect: HttpEffect,
    ) -> Result<HttpResponse, SendError> {
        let path = call.path.split('?').next().unwrap_or_default().to_owned();
        let method = call.label.operation.split(' ').next().and_then(|m| m.parse::<Method>().ok());
        self.sim.add_fault(Fault { method, path, skip: 0, times: 1, mode });
        effect.await
    }
}
