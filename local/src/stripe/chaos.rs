//! Trouble on demand: faulty answers of the API, and webhooks that come late, twice, in disorder or never.

use http::Method;

/// All trouble that is set. Replace it with [`super::StripeSim::chaos`].
#[derive(Clone, Debug, Default)]
pub struct Chaos {
    /// The first rule that matches an event decides.
    pub webhooks: Vec<WebhookRule>,
    /// The first fault that matches a request and is not used up strikes.
    pub faults: Vec<Fault>,
}

/// What happens to the deliveries of some events.
#[derive(Clone, Debug)]
pub struct WebhookRule {
    /// The event type, a prefix ending in `*`, or `*`.
    pub events: String,
    /// How many events it applies to; none: all.
    pub times: Option<u32>,
    /// Delivered so many times more.
    pub repeat: u32,
    /// Delivered later by this much.
    pub delay_ms: i64,
    /// Each delivery is put off by up to this much, so that their order changes.
    pub shuffle_ms: i64,
    /// Never delivered. The event still exists.
    pub lose: bool,
}

impl WebhookRule {
    /// A rule that changes nothing yet.
    pub fn on(events: &str) -> Self {
        Self { events: events.to_owned(), times: None, repeat: 0, delay_ms: 0, shuffle_ms: 0, lose: false }
    }

    /// Whether the rule is about events of this type.
    pub(crate) fn matches(&self, kind: &str) -> bool {
        match self.events.strip_suffix('*') {
            Some(prefix) => kind.starts_with(prefix),
            None => self.events == kind,
        }
    }
}

/// A fault of the API.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Any method if none.
    pub method: Option<Method>,
    /// Matches paths that begin so and, where it contains `{id}`, path templates equal to it.
    pub path: String,
    /// Lets this many matching requests pass first.
    pub skip: u32,
    /// Strikes this many times.
    pub times: u32,
    /// What it does.
    pub mode: FaultMode,
}

impl Fault {
    /// A fault that strikes the next matching request once.
    pub fn once(method: Method, path: &str, mode: FaultMode) -> Self {
        Self { method: Some(method), path: path.to_owned(), skip: 0, times: 1, mode }
    }
}

/// What a fault does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultMode {
    /// 500 before anything was executed.
    ErrorBefore,
    /// 500 with nothing done, stored and replayed under the key: it never succeeds again.
    ErrorStored,
    /// Executed; the answer is a 500, stored and replayed under the key.
    ErrorAfter,
    /// The connection is refused: surely not sent.
    Unreachable,
    /// The connection breaks before anything was executed.
    ResetBefore,
    /// Executed; the connection breaks before the answer.
    ResetAfter,
    /// Waits, then executes and answers. The key is in use meanwhile.
    Slow(u64),
    /// Executes, waits, then answers.
    SlowAfter(u64),
    /// The connection breaks at once; the request is executed after so many milliseconds of the clock.
    LandsLater(i64),
    /// 429 with `Stripe-Rate-Limited-Reason`.
    RateLimited(String),
    /// 429 `lock_timeout`: nothing was executed.
    LockTimeout,
    /// 401 `api_key_expired`.
    KeyExpired,
}

/// The fault that strikes a request, if one does. Counts it.
pub(crate) fn strike(
    faults: &mut Vec<Fault>,
    method: &Method,
    path: &str,
    template: &str,
) -> Option<FaultMode> {
    let hit = faults.iter_mut().find(|f| {
        let named = if f.path.contains('{') { template == f.path } else { path.starts_with(&f.path) };
        f.times > 0 && named && f.method.as_ref().is_none_or(|m| m == method)
    })?;
    if hit.skip > 0 {
        hit.skip -= 1;
        return None;
    }
    hit.times -= 1;
    let mode = hit.mode.clone();
    faults.retain(|f| f.times > 0);
    Some(mode)
}
