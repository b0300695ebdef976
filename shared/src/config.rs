//! The one configuration, compiled in from `tandem.toml`, and the only reader of the environment.
//!
//! Invariant: unknown keys are refused and all mistakes are listed at once; a bad setting fails at start, never at a customer.

mod checkfront;
mod parse;
mod reader;
mod resources;
pub mod shopify;
mod urls;
pub mod woo;

use std::collections::BTreeMap;

pub use checkfront::{CheckfrontSettings, Deposit};
pub use parse::CALLS_STRIPE;
pub use reader::{ConfigError, ConfigErrors, Place};
pub use urls::check_key;

use sha2::{Digest, Sha256};

use crate::domain::ids::{BadOrderKey, Function, OrderKey};
use crate::domain::policy::Policy;
use crate::domain::time::{Seconds, UnixTime};
use crate::domain::view::PaymentView;

/// The configuration this build was made with.
pub const TANDEM_TOML: &str = include_str!("../../tandem.toml");
/// `tandem.toml` as it is shipped: what the local stack and the tests start from, whatever a user wrote into the other.
pub const SHIPPED_TOML: &str = include_str!("config/shipped.toml");

/// One environment variable. The only reader of the environment; an empty value counts as not set, because that is
/// how a template passes an optional parameter.
pub fn env(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "the configuration is the one place that may read it")]
    let value = std::env::var(name).ok();
    value.filter(|v| !v.trim().is_empty())
}

/// Everything a stack is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `[stack] name`: the first part of every key.
    pub stack: String,
    /// Public base of the HTTP API, without a trailing slash; without it the request's own host is used.
    pub public_url: Option<String>,
    /// When this stack was first deployed; polls look no further back.
    pub since: Option<UnixTime>,
    /// `[sources.NAME]`, by name.
    pub sources: BTreeMap<String, Source>,
    /// The policies.
    pub policy: Policy,
    /// Hash of the policy as written, 16 hex digits; stored with every decision.
    pub policy_hash: String,
    /// Where secrets are read.
    pub secrets: SecretStore,
    /// `[notices]`: the signed webhook to the shop's own systems.
    pub notices: Option<NoticeTarget>,
    /// `[sweeper]`.
    pub sweeper: SweeperLimits,
    /// AWS resource names, set by the template.
    pub resources: Resources,
}

impl Config {
    /// Reads `text`, then lets `overrides` (by variable name) replace what differs between stacks, under the same
    /// rules. All mistakes are returned at once.
    pub fn parse(text: &str, overrides: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        parse::parse(text, overrides)
    }

    /// The compiled-in configuration under this function's environment.
    pub fn from_env() -> Result<Self, ConfigErrors> {
        Self::parse(TANDEM_TOML, &env)
    }

    /// The Stripe source of this name.
    pub fn stripe(&self, name: &str) -> Option<&StripeSource> {
        match self.sources.get(name) {
            Some(Source::Stripe(source)) => Some(source),
            _ => None,
        }
    }

    /// The order system of this name.
    pub fn shop(&self, name: &str) -> Option<&ShopSource> {
        match self.sources.get(name) {
            Some(Source::Shop(source)) => Some(source),
            _ => None,
        }
    }

    /// All order systems.
    pub fn shops(&self) -> impl Iterator<Item = &ShopSource> {
        self.sources.values().filter_map(|s| if let Source::Shop(shop) = s { Some(shop) } else { None })
    }

    /// Whether one shop's messages could hold up another's: queues are then fair between them, at a quarter more than SQS
    /// costs otherwise.
    pub fn has_several_shops(&self) -> bool {
        self.shops().nth(1).is_some()
    }

    /// The key of an order of `shop`.
    pub fn order_key(&self, shop: &ShopSource, id: &str) -> Result<OrderKey, BadOrderKey> {
        OrderKey::new(&self.stack, shop.system.name(), &shop.name, id)
    }

    /// Where the webhooks of a source go, for a kind that signs them. `None` without a public address.
    pub fn webhook_address(&self, source: &str) -> Option<String> {
        let base = self.public_url.as_deref()?;
        Some(format!("{}/webhooks/{source}", base.trim_end_matches('/')))
    }

    /// Whether every Stripe source is in test mode; only then may URLs leave https.
    pub fn test_only(&self) -> bool {
        self.sources.values().all(|s| !matches!(s, Source::Stripe(s) if s.livemode))
    }
}

/// First 16 hex digits of the SHA-256 of the policy as canonical JSON (keys sorted, no blanks), so that the order of
/// fields in the code does not matter.
pub fn policy_hash(policy: &Policy) -> String {
    let mut canonical = String::new();
    if let Ok(value) = serde_json::to_value(policy) {
        write_canonical(&value, &mut canonical);
    }
    let mut hash = hex::encode(Sha256::digest(canonical.as_bytes()));
    hash.truncate(16);
    hash
}

fn write_canonical(value: &serde_json::Value, out: &mut String) {
    match value {
        serde_json::Value::Object(map) => {
            let sorted: BTreeMap<_, _> = map.iter().collect();
            out.push('{');
            for (i, (key, value)) in sorted.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                out.push_str(&serde_json::Value::from(key.as_str()).to_string());
                out.push(':');
                write_canonical(value, out);
            }
            out.push('}');
        }
        serde_json::Value::Array(list) => {
            out.push('[');
            for (i, value) in list.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_canonical(value, out);
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

/// Where secrets live. Names are relative: `prefix` + name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretStore {
    /// SSM SecureString parameters (default): costs nothing idle.
    Ssm {
        /// Begins with `/`, ends with `/`.
        prefix: String,
    },
    /// Secrets Manager.
    SecretsManager {
        /// Prefix of each secret's name.
        prefix: String,
    },
    /// Environment variables `TANDEM_SECRET_<NAME>`; local use only.
    Env,
    /// One file per secret; local use only.
    File {
        /// The folder.
        dir: String,
    },
}

/// A named source of webhooks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A Stripe account.
    Stripe(StripeSource),
    /// An order system.
    Shop(ShopSource),
}

impl Source {
    /// Names of its webhook secrets, newest first.
    pub fn webhook_secrets(&self) -> &[String] {
        match self {
            Self::Stripe(source) => &source.webhook_secrets,
            Self::Shop(source) => &source.webhook_secrets,
        }
    }
}

/// `[sources.NAME] kind = "stripe"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StripeSource {
    /// NAME.
    pub name: String,
    /// `acct_...`: expected on events and answers, first part of links.
    pub account: String,
    /// Act as this connected account (`Stripe-Account`).
    pub connect: bool,
    /// Live or test.
    pub livemode: bool,
    /// `https://api.stripe.com`, or a simulator on loopback with a test key.
    pub base_url: String,
    /// Name of the restricted key per function; `default` for the rest.
    pub api_keys: BTreeMap<String, String>,
    /// Names of the webhook secrets, newest first.
    pub webhook_secrets: Vec<String>,
}

impl StripeSource {
    /// The name of the secret that holds `function`'s key.
    pub fn api_key_name(&self, function: Function) -> Option<&str> {
        self.api_keys.get(function.name()).or_else(|| self.api_keys.get("default")).map(String::as_str)
    }
    /// `test` or `live`, as in links.
    pub fn mode(&self) -> &'static str {
        if self.livemode { "live" } else { "test" }
    }
}

/// `[sources.NAME]` of any other kind: an order system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShopSource {
    /// NAME, also the shop in keys.
    pub name: String,
    /// Base of the order API.
    pub base_url: String,
    /// Name of the Stripe source that charges this shop's orders.
    pub stripe: String,
    /// Name of the secret that the order API asks for.
    pub api_key: String,
    /// Names of the webhook secrets, newest first.
    pub webhook_secrets: Vec<String>,
    /// What it speaks, and what only this kind is told.
    pub system: System,
}

/// The kind of an order system with the settings that only this kind has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum System {
    /// The checkout protocol.
    Checkout,
    /// WooCommerce's REST API, version 3.
    Woo(woo::Woo),
    /// Checkfront, by API v3.
    Checkfront(Box<CheckfrontSettings>),
    /// A Shopify store.
    Shopify(shopify::Shopify),
}

impl System {
    /// The word in keys and in `kind`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Checkout => "checkout",
            Self::Woo(_) => "woocommerce",
            Self::Checkfront(_) => "checkfront",
            Self::Shopify(_) => "shopify",
        }
    }

    /// How much of what the order system's books hold as paid is our own record once it was told `view`, ISO minor
    /// units. `None`: what is paid by other means never reaches Tandem, so there is nothing to tell apart.
    pub fn books(&self, view: &PaymentView) -> Option<i64> {
        match self {
            Self::Checkout => None,
            // WooCommerce's books know paid and not paid: what is due no more was taken in full.
            Self::Woo(_) => Some(if view.amount_due == 0 { view.amount_captured } else { 0 }),
            Self::Checkfront(settings) => Some(settings.books(view)),
            Self::Shopify(settings) => Some(settings.books(view)),
        }
    }
}

/// `[notices]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeTarget {
    /// Where notices are posted.
    pub url: String,
    /// Name of the signing secret.
    pub secret: String,
}

/// `[sweeper]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweeperLimits {
    /// Most hints sent in one run.
    pub hints_max: u32,
    /// Polls begin this long before the last watermark.
    pub overlap: Seconds,
    /// Once a day this long again.
    pub long_overlap: Seconds,
}

impl Default for SweeperLimits {
    fn default() -> Self {
        Self { hints_max: 500, overlap: Seconds::minutes(15), long_overlap: Seconds::days(3) }
    }
}

/// Names of the AWS resources, from the environment that the template sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Table of order items.
    pub orders_table: String,
    /// Table of links.
    pub links_table: String,
    /// Table of counters, watermarks, switches.
    pub control_table: String,
    /// Queue URL by [`crate::queue::Queue::name`].
    pub queue_urls: BTreeMap<String, String>,
    /// Dead letter queue URL by the same name.
    pub dead_queue_urls: BTreeMap<String, String>,
    /// Queue ARN by the same name, for schedules.
    pub queue_arns: BTreeMap<String, String>,
    /// EventBridge Scheduler group.
    pub schedule_group: String,
    /// Role that Scheduler assumes to send to the queues.
    pub schedule_role_arn: String,
    /// Bucket for reports.
    pub reports_bucket: String,
}

#[cfg(test)]
mod tests;
