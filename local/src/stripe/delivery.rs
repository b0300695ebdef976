//! Webhooks: which endpoint hears of which event, when, how often, and the signature of each attempt.
//!
//! Invariant: the body's event never changes between attempts but for `pending_webhooks`; every attempt is signed anew.

use std::time::Duration;

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{Method, header};
use sha2::Sha256;

use shared::outbound::http::{Http, HttpRequest};

use super::StripeSim;
use super::objects::Object as _;
use super::world::World;

/// Minutes between attempts; the last one repeats until three days have passed.
const BACK_OFF_MINUTES: &[i64] = &[1, 5, 30, 120, 300, 600, 720];
const GIVE_UP_MS: i64 = 3 * 86_400 * 1000;
/// How long an endpoint may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// One delivery that has not been acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) event: String,
    pub(crate) endpoint: String,
    pub(crate) due_ms: i64,
    pub(crate) since_ms: i64,
    pub(crate) attempts: usize,
    /// Unique, so that an attempt finds its own row again.
    pub(crate) number: u64,
    /// Until then it is with an attempt that is under way.
    pub(crate) leased_until: i64,
}

impl World {
    /// Queues an event for every endpoint that wants it, by the rules of chaos.
    pub(crate) fn queue_deliveries(&mut self, event: &str, kind: &str) {
        let wanting: Vec<String> = self
            .endpoints
            .rows()
            .iter()
            .filter(|e| e.status == "enabled" && e.enabled_events.iter().any(|w| w == "*" || w == kind))
            .map(|e| e.id.clone())
            .collect();
        if wanting.is_empty() {
            return;
        }
        let rule = self.chaos.webhooks.iter_mut().find(|r| r.matches(kind) && r.times != Some(0)).map(|r| {
            r.times = r.times.map(|n| n - 1);
            r.clone()
        });
        let (mut copies, mut delay, mut shuffle) = (1, 0, 0);
        if let Some(rule) = rule {
            if rule.lose {
                return;
            }
            (copies, delay, shuffle) = (1 + rule.repeat, rule.delay_ms, rule.shuffle_ms);
        }
        let now = self.now_ms();
        for endpoint in wanting {
            for _ in 0..copies {
                let off = if shuffle > 0 {
                    i64::try_from(self.dice(shuffle.unsigned_abs())).unwrap_or(0)
                } else {
                    0
                };
                let number = self.dice(u64::MAX);
                self.deliveries.push(Delivery {
                    event: event.to_owned(),
                    endpoint: endpoint.clone(),
                    due_ms: now + delay + off,
                    since_ms: now,
                    attempts: 0,
                    number,
                    leased_until: 0,
                });
            }
        }
        self.count_pending(event);
    }

    /// Writes into the event how many deliveries are open.
    fn count_pending(&mut self, event: &str) {
        let open = self.deliveries.iter().filter(|d| d.event == event).count();
        if let Some(row) = self.events.get_mut(event) {
            row.pending_webhooks = i64::try_from(open).unwrap_or(i64::MAX);
        }
    }

    /// Takes the delivery that is due first and builds its request.
    fn take_due(&mut self) -> Option<(Delivery, HttpRequest)> {
        let now = self.now_ms();
        let next = self
            .deliveries
            .iter_mut()
            .filter(|d| d.due_ms <= now && d.leased_until <= now)
            .min_by_key(|d| (d.due_ms, d.since_ms))?;
        next.leased_until = now + i64::try_from(TIMEOUT.as_millis()).unwrap_or(0) + 1000;
        let delivery = next.clone();
        match self.request(&delivery) {
            Some(request) => Some((delivery, request)),
            None => {
                // The endpoint is gone: so are its deliveries.
                self.deliveries.retain(|d| d.endpoint != delivery.endpoint);
                self.take_due()
            }
        }
    }

    fn request(&self, delivery: &Delivery) -> Option<HttpRequest> {
        let endpoint = self.endpoints.get(&delivery.endpoint)?;
        let event = self.events.get(&delivery.event)?;
        let body = serde_json::to_vec_pretty(&event.render()).ok()?;
        let secrets: Vec<&str> = endpoint.secrets.iter().map(String::as_str).collect();
        http::Request::builder()
            .method(Method::POST)
            .uri(&endpoint.url)
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
            .header(header::USER_AGENT, "Stripe/1.0 (+https://stripe.com/docs/webhooks)")
            .header("Stripe-Signature", signature(&secrets, self.options.clock.now().0, &body))
            .body(Bytes::from(body))
            .ok()
    }

    /// Settles an attempt: done, tried again later, or given up.
    fn settle_delivery(&mut self, number: u64, acknowledged: bool) {
        let now = self.now_ms();
        let Some(at) = self.deliveries.iter().position(|d| d.number == number) else { return };
        let Some(row) = self.deliveries.get_mut(at) else { return };
        row.attempts += 1;
        row.leased_until = 0;
        let step = BACK_OFF_MINUTES.get(row.attempts - 1).or(BACK_OFF_MINUTES.last()).copied().unwrap_or(1);
        row.due_ms = now + step * 60_000;
        let over = row.due_ms - row.since_ms > GIVE_UP_MS;
        let event = row.event.clone();
        if acknowledged {
            self.deliveries.remove(at);
            self.count_pending(&event);
        } else if over {
            // Given up: the event keeps its count, as one that was never acknowledged.
            self.deliveries.remove(at);
        }
    }
}

/// The header `Stripe-Signature`: one `v1` per active secret.
pub(crate) fn signature(secrets: &[&str], at: i64, body: &[u8]) -> String {
    let mut header = format!("t={at}");
    for secret in secrets {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { continue };
        mac.update(format!("{at}.").as_bytes());
        mac.update(body);
        header.push_str(",v1=");
        header.push_str(&hex::encode(mac.finalize().into_bytes()));
    }
    header
}

impl StripeSim {
    /// Sends every webhook that is due by the clock, one after the other, and returns how many attempts it made.
    pub async fn deliver_due(&self, http: &dyn Http) -> usize {
        let mut sent = 0;
        loop {
            let next = {
                let mut world = self.world();
                world.catch_up();
                world.take_due()
            };
            let Some((delivery, request)) = next else { return sent };
            sent += 1;
            let acknowledged = match http.send(request, TIMEOUT).await {
                Ok(answer) => answer.status().is_success(),
                Err(error) => {
                    tracing::debug!(%error, event = delivery.event, "webhook not delivered");
                    false
                }
            };
            self.world().settle_delivery(delivery.number, acknowledged);
        }
    }

    /// When the next delivery is due, in Unix milliseconds; none when nothing waits.
    pub fn next_delivery_at(&self) -> Option<i64> {
        self.world().deliveries.iter().map(|d| d.due_ms.max(d.leased_until)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_documented_hmac_over_time_and_body() {
        // The digest is openssl's: printf '1.{}' | openssl dgst -sha256 -hmac whsec_test
        let expected = "t=1,v1=7500d5d4be4b3ef07af1fe56f7d522d135cdaa7530de557e67cc1049c52de094";
        assert_eq!(signature(&["whsec_test"], 1, b"{}"), expected);
        assert_eq!(signature(&["a", "b"], 1, b"").matches("v1=").count(), 2);
    }
}
