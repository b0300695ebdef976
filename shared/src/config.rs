//! The one configuration, compiled in from `tandem.toml`, and the only reader of the environment.
//!
//! Invariant: unknown keys are refused and all mistakes are listed at once; a bad setting fails at start, never at a customer.

use std::collections::BTreeMap;

use crate::domain::ids::Function;
use crate::domain::policy::Policy;
use crate::domain::time::{Seconds, UnixTime};

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
    /// An order system that speaks the checkout protocol.
    Checkout(CheckoutSource),
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

/// `[sources.NAME] kind = "checkout"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckoutSource {
    /// NAME, also the shop in keys.
    pub name: String,
    /// Base of the order API.
    pub base_url: String,
    /// Name of the Stripe source that charges this shop's orders.
    pub stripe: String,
    /// Name of the secret with the bearer token for the order API.
    pub api_key: String,
    /// Names of the webhook secrets, newest first.
    pub webhook_secrets: Vec<String>,
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
