//! What the actors of a meeting may have relied on, kept call by call and compared with what they do next.
//!
//! Invariants: what an actor stores as seen was shown to it after the last commit of anybody else on that order; what it
//! sends to Stripe is claimed, by itself, in the item as it is at that moment. Neither shows in how the order ends: what is
//! lost that way is read again by the sweeper, and what is sent twice is sent under one key.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use local::aws::{Answer, Call};
use serde_json::Value;
use shared::domain::fact::{StoredFact, What};
use shared::domain::state::Claim;
use shared::outbound::http::HttpResponse;
use shared::store::packed::unpack;

/// One order's item, as far as actors changed it.
#[derive(Default)]
struct Item {
    /// When each actor committed last.
    moved: BTreeMap<usize, u64>,
    /// Owner tokens of claims, and who put them there.
    owners: BTreeMap<String, usize>,
    /// The claims as they are.
    claims: Vec<Claim>,
}

/// The books of one meeting.
#[derive(Default)]
pub(super) struct Books {
    calls: u64,
    items: BTreeMap<String, Item>,
    /// What each actor was shown over HTTP: when, by whom, what.
    shown: BTreeMap<usize, Vec<(u64, &'static str, String)>>,
    found: Vec<String>,
}

impl Books {
    /// What did not hold so far.
    pub(super) fn found(&self) -> Vec<String> {
        self.found.clone()
    }

    /// An actor is about to make a call over HTTP.
    pub(super) fn sends(&mut self, actor: usize, call: Call<'_>) {
        self.calls += 1;
        // A buyer's customer has an item of its own, under its own claim.
        let claimed = call.label.service == "stripe"
            && call.label.function.is_some()
            && call.label.operation.starts_with("POST ")
            && call.path != "/v1/customers";
        let own = |item: &Item| {
            let mut owners = item.claims.iter().filter(|c| c.path == call.path).map(|c| &c.owner);
            owners.any(|owner| item.owners.get(owner) == Some(&actor))
        };
        if claimed && !self.items.values().any(own) {
            self.found.push(format!("S3: {} {} was sent without a claim of its own", call.label, call.path));
        }
    }

    /// An actor was answered over HTTP.
    pub(super) fn shown(&mut self, actor: usize, call: Call<'_>, answer: &HttpResponse) {
        self.calls += 1;
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        self.shown.entry(actor).or_default().push((self.calls, call.label.service, text));
    }

    /// An actor was answered by AWS: if that was a commit on an order, it is looked at.
    pub(super) fn answered(&mut self, actor: usize, call: Call<'_>, answer: &Answer) {
        self.calls += 1;
        if call.label.operation == "UpdateItem" && answer.status().is_success() {
            let request: Value = serde_json::from_slice(call.body).unwrap_or_default();
            self.committed(actor, &request);
        }
    }

    fn committed(&mut self, actor: usize, request: &Value) {
        let value = |name: &str| request.pointer(&format!("/ExpressionAttributeValues/:{name}"));
        let text = |name: &str| value(name).and_then(|v| v["S"].as_str());
        let (Some(key), Some(token), Some(claims)) =
            (request["Key"]["pk"]["S"].as_str(), text("token"), text("claims"))
        else {
            return;
        };
        let facts = match value("facts").map(unpacked) {
            Some(None) => {
                self.found.push(format!("S3: what {key} was given as facts cannot be unpacked"));
                return;
            }
            facts => facts.flatten().unwrap_or_default(),
        };
        let item = self.items.entry(key.to_owned()).or_default();
        let others = item.moved.iter().filter(|(by, _)| **by != actor).map(|(_, at)| *at).max().unwrap_or(0);
        let shown = self.shown.get(&actor).map(Vec::as_slice).unwrap_or_default();
        for fact in facts.into_iter().filter_map(|raw| StoredFact::parse(raw).ok()) {
            // A commit writes the facts of others again.
            let new = fact.fact.id.split('.').next() == Some(token);
            let Some((at_whom, object)) = seen(&fact.fact.what).filter(|_| new) else { continue };
            let read = |(at, by, text): &(u64, &str, String)| {
                *at > others && *by == at_whom && text.contains(object)
            };
            if !shown.iter().any(read) {
                self.found
                    .push(format!("S3: {object} was stored as seen, but was read under a moved revision"));
            }
        }
        let claims: BTreeMap<String, Claim> = serde_json::from_str(claims).unwrap_or_default();
        item.claims = claims.into_values().collect();
        for claim in &item.claims {
            item.owners.entry(claim.owner.clone()).or_insert(actor);
        }
        item.moved.insert(actor, self.calls);
    }
}

/// The object that a fact says was seen, and where such are seen.
fn seen(what: &What) -> Option<(&'static str, &str)> {
    match what {
        What::OrderSeen(view) => Some(("shop", &view.number)),
        What::SessionSeen(view) => Some(("stripe", &view.id)),
        What::IntentSeen(view) => Some(("stripe", &view.id)),
        What::ChargeSeen(view) => Some(("stripe", &view.id)),
        What::RefundSeen(view) => Some(("stripe", &view.id)),
        What::DisputeSeen(view) => Some(("stripe", &view.id)),
        _ => None,
    }
}

/// The texts in an attribute as it is sent.
fn unpacked(attribute: &Value) -> Option<Vec<String>> {
    unpack(&BASE64_STANDARD.decode(attribute["B"].as_str()?).ok()?).ok()
}
