//! What is set up at Stripe before anything is charged: the webhook endpoint, and what each key may do.
//!
//! Invariant: nothing here moves money, and a key is tried only with reads and with updates of objects that cannot exist.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Method;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::error::ApiError;
use super::form::{Form, segment};
use super::grants::{Access, Resource, granted};
use super::objects::StripeObject;
use super::{Pages, STRIPE_VERSION, StripeClient, StripeError};
use crate::domain::ids::Function;
use crate::inbound::stripe::LISTED_TYPES;
use crate::outbound::shop::Finding;

const ENDPOINTS: &str = "/v1/webhook_endpoints";
/// In an endpoint's metadata: which secret we stored for it.
const MARK: &str = "tandem_secret";
const DELETE_TRIES: u32 = 3;
/// An account has at most 16 endpoints of a mode.
const ENDPOINTS_MAX: usize = 100;

/// `we_..`: where Stripe sends events. The secret is shown when it is made and never again.
// No Debug: it may hold the secret.
#[derive(Clone, Deserialize)]
pub struct Endpoint {
    /// `we_..`
    pub id: String,
    /// Where events go.
    pub url: String,
    /// Types, or `*`.
    #[serde(default)]
    pub enabled_events: Vec<String>,
    /// `enabled` or `disabled`.
    #[serde(default)]
    pub status: String,
    /// Fixed when it is made; none: the account's own version.
    pub api_version: Option<String>,
    /// Ours among others: the mark of the secret that we stored.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// `whsec_..`, only in the answer that made it.
    pub secret: Option<String>,
}

impl StripeObject for Endpoint {
    fn id(&self) -> &str {
        &self.id
    }
}

/// What is to be done about the endpoint of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is none.
    Create,
    /// There is none, although a secret is stored: to make one would spoil what may be right.
    Refuse,
    /// It is as it must be.
    Keep {
        /// Which.
        id: String,
    },
    /// Other events, or disabled: that can be changed.
    Update {
        /// Which.
        id: String,
        /// What is not as it must be.
        why: String,
    },
    /// Only another one can be right: a new one first, then the old one goes.
    Replace {
        /// Which.
        id: String,
        /// Why it cannot stay.
        why: String,
    },
}

/// What the endpoint for `url` needs. `secret_stored`: our secret store holds a signing secret. `anew`: another one is wanted in
/// any case.
pub fn step(existing: &[Endpoint], url: &str, secret_stored: bool, anew: bool) -> Step {
    let ours = || existing.iter().filter(|e| e.url == url);
    let versioned = |e: &&Endpoint| e.api_version.as_deref() == Some(STRIPE_VERSION);
    let Some(found) = ours().find(versioned).or_else(|| ours().next()) else {
        return if secret_stored && !anew { Step::Refuse } else { Step::Create };
    };
    let id = found.id.clone();
    let replace = |why: &str| Step::Replace { id: id.clone(), why: why.to_owned() };
    if !versioned(&found) {
        let has = found.api_version.as_deref().unwrap_or("the account's own");
        return replace(&format!(
            "it sends API version {has}, this build reads {STRIPE_VERSION}, and Stripe cannot change it"
        ));
    }
    if !secret_stored {
        return replace("its signing secret is not stored here, and Stripe shows it only once");
    }
    if anew {
        return replace("another one was asked for");
    }
    let all = found.enabled_events.iter().any(|e| e == "*");
    let missing: Vec<&str> =
        LISTED_TYPES.into_iter().filter(|t| !found.enabled_events.iter().any(|e| e == t)).collect();
    if found.status == "disabled" {
        return Step::Update { id, why: "it is disabled".to_owned() };
    }
    if all {
        return Step::Update { id, why: "it sends every type of event".to_owned() };
    }
    if !missing.is_empty() {
        return Step::Update { id, why: format!("it does not send {}", missing.join(", ")) };
    }
    Step::Keep { id }
}

/// The endpoints for `url` beside the one that is in use: whatever they send comes twice, or is refused.
pub fn others<'a>(existing: &'a [Endpoint], url: &str, in_use: &str) -> Vec<&'a str> {
    existing.iter().filter(|e| e.url == url && e.id != in_use).map(|e| e.id.as_str()).collect()
}

/// What tells one signing secret from another without giving it away: it is made of 32 random characters.
pub fn mark(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes())).chars().take(16).collect()
}

impl Endpoint {
    /// Whether `secret` is the one that was stored when the endpoint was made; `None`: that was not by us.
    pub fn made_with(&self, secret: &str) -> Option<bool> {
        self.metadata.get(MARK).map(|kept| *kept == mark(secret))
    }
}

impl StripeClient {
    /// Every endpoint of the account and mode.
    pub async fn list_endpoints(&self) -> Result<Vec<Endpoint>, StripeError> {
        Pages::new(self.clone(), ENDPOINTS, Form::new()).collect(ENDPOINTS_MAX).await
    }

    /// Makes the endpoint for `url`; of connected accounts if `connect`. The answer holds its secret.
    pub async fn create_endpoint(&self, url: &str, connect: bool) -> Result<Endpoint, StripeError> {
        let form = Form::new()
            .set("url", url)
            .set("api_version", STRIPE_VERSION)
            .list("enabled_events", LISTED_TYPES)
            .opt("connect", connect.then_some(true))
            .set("description", "Tandem");
        // Without a key: what was made without an answer shows in the list, and its secret is lost either way.
        self.exchange(Method::POST, ENDPOINTS, Some(Bytes::from(form.encode())), None).await?.parse()
    }

    /// Sets its events and switches it on.
    pub async fn correct_endpoint(&self, id: &str) -> Result<Endpoint, StripeError> {
        let form = Form::new().list("enabled_events", LISTED_TYPES).set("disabled", false);
        let path = format!("{ENDPOINTS}/{}", segment(id));
        self.exchange(Method::POST, &path, Some(Bytes::from(form.encode())), None).await?.parse()
    }

    /// Keeps the mark of its secret with it.
    pub async fn mark_endpoint(&self, id: &str, secret: &str) -> Result<(), StripeError> {
        let form = Form::new().set(format!("metadata[{MARK}]"), mark(secret));
        let path = format!("{ENDPOINTS}/{}", segment(id));
        self.exchange(Method::POST, &path, Some(Bytes::from(form.encode())), None).await.map(|_| ())
    }

    /// Takes it away; one that is gone is gone, so it may be tried again.
    pub async fn delete_endpoint(&self, id: &str) -> Result<(), StripeError> {
        let path = format!("{ENDPOINTS}/{}", segment(id));
        let mut tries = 0;
        loop {
            tries += 1;
            match self.exchange(Method::DELETE, &path, None, None).await {
                Err(error) if error.is_missing() => return Ok(()),
                Err(error) if error.retryable() && tries < DELETE_TRIES => {}
                Err(error) => return Err(error),
                Ok(_) => return Ok(()),
            }
        }
    }

    /// What this key may do with one kind of object: `None` for nothing. Writing is tried with an update of an object that
    /// cannot exist: one who may is told that it is missing.
    async fn may(&self, resource: Resource) -> Result<Option<Access>, StripeError> {
        let path = resource.path();
        if refused(self.get(&format!("{path}?limit=1")).await)? {
            return Ok(None);
        }
        // Nothing can be written there.
        if resource == Resource::Events {
            return Ok(Some(Access::Read));
        }
        let form = Form::new().set("metadata[tandem_check]", "1").encode();
        let path = format!("{path}/tandem_no_such_object");
        let tried = self.exchange(Method::POST, &path, Some(Bytes::from(form)), None).await;
        Ok(Some(if refused(tried)? { Access::Read } else { Access::Write }))
    }

    /// What the key of `function` may do, against what it must and what it need not.
    pub async fn check_grants(&self, function: Function) -> Result<Vec<Finding>, StripeError> {
        // The dashboard gives some of them together: what one of them needs, the others have as well.
        let mut rows: BTreeMap<&str, Vec<HasAndNeeds>> = BTreeMap::new();
        for resource in Resource::ALL {
            let pair = (self.may(resource).await?, granted(function, resource));
            rows.entry(resource.title()).or_default().push(pair);
        }
        let mut findings = Vec::new();
        for (title, pairs) in rows {
            let has = pairs.iter().map(|(has, _)| *has).max().flatten();
            let needs = pairs.iter().map(|(_, needs)| *needs).max().flatten();
            if pairs.iter().any(|(has, needs)| has < needs) {
                let text =
                    format!("{function} needs {title}: {}; edit the key in Stripe's dashboard", words(needs));
                findings.push(Finding::bad(KEY, text));
            } else if has > needs {
                let text = format!("{function} needs {title}: {} only, and has {}", words(needs), words(has));
                findings.push(Finding::warning(KEY, text));
            }
        }
        if findings.is_empty() {
            findings.push(Finding::good(KEY, format!("{function} may do its part and no more")));
        }
        Ok(findings)
    }
}

/// What a key may do with one kind of object, and what it must.
type HasAndNeeds = (Option<Access>, Option<Access>);

/// What findings on keys are about.
pub const KEY: &str = "restricted key";

fn words(access: Option<Access>) -> &'static str {
    match access {
        None => "None",
        Some(Access::Read) => "Read",
        Some(Access::Write) => "Write",
    }
}

/// Whether a call was refused for want of a permission. Any other refusal of Stripe means that the key may.
fn refused<T>(answer: Result<T, StripeError>) -> Result<bool, StripeError> {
    match answer {
        Ok(_) => Ok(false),
        Err(error) if error.api().is_some_and(ApiError::lacks_permission) => Ok(true),
        Err(error) if matches!(error.status(), Some(400 | 404)) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://x.example/webhooks/stripe";

    fn endpoint(version: Option<&str>, events: &[&str], status: &str) -> Endpoint {
        Endpoint {
            id: "we_1".into(),
            url: URL.into(),
            enabled_events: events.iter().map(|e| (*e).to_owned()).collect(),
            status: status.into(),
            api_version: version.map(str::to_owned),
            metadata: BTreeMap::new(),
            secret: None,
        }
    }

    fn alone(endpoint: &Endpoint, secret_stored: bool, anew: bool) -> Step {
        step(std::slice::from_ref(endpoint), URL, secret_stored, anew)
    }

    fn id() -> String {
        "we_1".to_owned()
    }

    #[test]
    fn an_address_without_an_endpoint_gets_one_and_others_are_left_alone() {
        let other = Endpoint { url: "https://other.example".into(), ..endpoint(None, &["*"], "enabled") };
        assert_eq!(alone(&other, false, false), Step::Create);
        // A stored secret is another endpoint's, perhaps of another account: it is not written over unasked.
        assert_eq!(alone(&other, true, false), Step::Refuse);
        assert_eq!(alone(&other, true, true), Step::Create);
    }

    #[test]
    fn what_is_right_is_kept_and_what_can_be_corrected_is() {
        let right = endpoint(Some(STRIPE_VERSION), &LISTED_TYPES, "enabled");
        assert_eq!(alone(&right, true, false), Step::Keep { id: id() });
        for wrong in [
            endpoint(Some(STRIPE_VERSION), &LISTED_TYPES[1..], "enabled"),
            endpoint(Some(STRIPE_VERSION), &["*"], "enabled"),
            endpoint(Some(STRIPE_VERSION), &LISTED_TYPES, "disabled"),
        ] {
            assert!(matches!(alone(&wrong, true, false), Step::Update { .. }));
        }
    }

    #[test]
    fn another_version_a_lost_secret_or_a_wish_needs_another_endpoint() {
        let right = endpoint(Some(STRIPE_VERSION), &LISTED_TYPES, "enabled");
        let old = Endpoint { id: "we_0".into(), ..endpoint(Some("2024-06-20"), &LISTED_TYPES, "enabled") };
        assert!(matches!(alone(&old, true, false), Step::Replace { .. }));
        assert!(matches!(
            alone(&endpoint(None, &LISTED_TYPES, "enabled"), true, false),
            Step::Replace { .. }
        ));
        assert!(matches!(alone(&right, false, false), Step::Replace { .. }));
        assert!(matches!(alone(&right, true, true), Step::Replace { .. }));
        // While one version takes over from another, the right one counts.
        let both = [old, right];
        assert_eq!(step(&both, URL, true, false), Step::Keep { id: id() });
        assert_eq!(others(&both, URL, "we_1"), ["we_0"]);
    }
}
