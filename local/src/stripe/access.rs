//! Keys and what they may do.
//!
//! Invariant: a secret key may do everything, a restricted key only what it was granted, anything else nothing.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use http::{HeaderMap, Method, header};

use shared::outbound::stripe::grants::Access;

use super::error::ApiError;

/// The keys of the account.
#[derive(Debug)]
pub(crate) struct Keys {
    secret: String,
    /// By resource; what is not there may not be used.
    restricted: HashMap<String, BTreeMap<String, Access>>,
    /// What was refused for want of a permission.
    denied: Vec<String>,
    /// The most that each restricted key was used for.
    used: Used,
}

/// By key and resource.
pub type Used = BTreeMap<(String, String), Access>;

impl Keys {
    pub(crate) fn new(secret: &str) -> Self {
        Self { secret: secret.to_owned(), restricted: HashMap::new(), denied: Vec::new(), used: Used::new() }
    }

    pub(crate) fn grant(&mut self, key: &str, grants: BTreeMap<String, Access>) {
        self.restricted.insert(key.to_owned(), grants);
    }

    /// Requests that were refused for want of a permission.
    pub(crate) fn denied(&self) -> &[String] {
        &self.denied
    }

    /// The most that each restricted key was used for.
    pub(crate) fn used(&self) -> &Used {
        &self.used
    }

    /// Refuses a request whose key may not do this to `resource`, and keeps in mind that it was made.
    pub(crate) fn check(
        &mut self,
        headers: &HeaderMap,
        method: &Method,
        resource: &str,
    ) -> Result<(), ApiError> {
        let Some(key) = presented(headers) else {
            return Err(ApiError::unauthorized("You did not provide an API key."));
        };
        if key == self.secret {
            return Ok(());
        }
        let Some(grants) = self.restricted.get(&key) else {
            return Err(ApiError::unauthorized(&format!("Invalid API Key provided: {}", redacted(&key))));
        };
        let need = if method == Method::GET { Access::Read } else { Access::Write };
        if grants.get(resource).is_some_and(|access| *access >= need) {
            let used = self.used.entry((key, resource.to_owned())).or_insert(need);
            *used = need.max(*used);
            return Ok(());
        }
        self.denied.push(format!("{method} of {resource} with {}", redacted(&key)));
        let text = format!(
            "The provided key '{}' does not have the required permissions for this endpoint. Having the '{resource}_{}' permission would allow this request to continue.",
            redacted(&key),
            if need == Access::Read { "read" } else { "write" }
        );
        Err(ApiError::forbidden(&text))
    }
}

/// The key in a Bearer or Basic header.
fn presented(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    if let Some(key) = value.strip_prefix("Bearer ") {
        return Some(key.trim().to_owned());
    }
    let basic = value.strip_prefix("Basic ")?;
    let decoded = base64::engine::general_purpose::STANDARD.decode(basic.trim()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    text.split_once(':').map(|(key, _)| key.to_owned())
}

/// A key as an error may show it.
fn redacted(key: &str) -> String {
    let tail: String = key.chars().rev().take(4).collect::<Vec<_>>().into_iter().rev().collect();
    let head: String = key.chars().take(8).collect();
    format!("{head}***{tail}")
}
