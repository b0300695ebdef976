//! Which stack a command speaks to: a deployed one, by the names of its resources, or the local one that is running.
//!
//! Invariant: the local stack is chosen only when asked for, or when no deployed one is named.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sts::config::ProvideCredentials as _;
use bytes::Bytes;
use clap::Args;
use serde_json::Value;
use shared::aws::SdkConfig;
use shared::clock::Clock;
use shared::config::{Config, SecretStore, TANDEM_TOML};
use shared::domain::ids::{Function, OrderKey};
use shared::domain::time::UnixTime;
use shared::engine::{Engine, Tokens};
use shared::operator::By;
use shared::outbound::http::{Http as _, HttpRequest, ReqwestHttp};

use crate::aws;
use crate::output::{Failure, note};

/// Where `tandem serve` writes how it is reached, from the root of the repository.
pub(crate) const LOCAL_FILE: &str = "target/tandem-local.json";
const STACK: &str = "TANDEM_STACK";
const SECRETS: &str = "TANDEM_SECRETS";
/// A running local stack answers within this.
const PROBE: Duration = Duration::from_millis(800);

/// What replaces a key of tandem.toml, by variable name.
pub(crate) type Overrides = Box<dyn Fn(&str) -> Option<String>>;

/// Which stack.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct WorldArgs {
    /// The local stack that `tandem serve` keeps up.
    #[arg(long, global = true, conflicts_with_all = ["stack", "resources"])]
    local: bool,
    /// The deployed stack's name; else TANDEM_STACK, else the name in tandem.toml.
    #[arg(long, global = true, value_name = "NAME")]
    stack: Option<String>,
    /// What the stack is: CloudFormation's description of it, or TANDEM_* names, as JSON.
    #[arg(long, global = true, value_name = "FILE")]
    resources: Option<PathBuf>,
}

/// A stack, ready to be spoken to.
pub(crate) struct World {
    /// The engine of the command.
    pub(crate) engine: Engine,
    /// For clients of its own.
    pub(crate) sdk: SdkConfig,
    local: bool,
}

impl WorldArgs {
    /// Finds the stack and opens it.
    pub(crate) async fn open(&self) -> Result<World, Failure> {
        let world = self.open_unnamed().await?;
        named(&world.engine.config)?;
        Ok(world)
    }

    /// The same for what needs neither table nor queue.
    pub(crate) async fn open_unnamed(&self) -> Result<World, Failure> {
        if let Some(file) = self.local_file()? {
            match file.probe().await {
                Some(clock) => {
                    if !self.local {
                        note("speaking to the local stack; name a deployed one with --stack and --resources");
                    }
                    return file.open(clock);
                }
                None if self.local => {
                    return Err(format!(
                        "the local stack in {LOCAL_FILE} does not answer; start it with `tandem serve`"
                    )
                    .into());
                }
                None => {}
            }
        }
        let config = Config::parse(TANDEM_TOML, &*self.overrides()?)?;
        World::over(config, aws::deployed().await, Clock::System, false)
    }

    /// The local stack's file, when it may be meant.
    fn local_file(&self) -> Result<Option<LocalFile>, Failure> {
        let deployed = self.stack.is_some()
            || self.resources.is_some()
            || [STACK, "TANDEM_ORDERS_TABLE"].iter().any(|v| shared::config::env(v).is_some());
        if deployed && !self.local {
            return Ok(None);
        }
        match std::fs::read_to_string(LOCAL_FILE) {
            Ok(text) => Ok(Some(LocalFile::parse(&text)?)),
            Err(_) if self.local => Err(format!(
                "{LOCAL_FILE} is not here; run `tandem serve` in this folder and keep it running"
            )
            .into()),
            Err(_) => Ok(None),
        }
    }

    /// What replaces keys of tandem.toml: `--stack`, then the file, then the environment.
    pub(crate) fn overrides(&self) -> Result<Overrides, Failure> {
        let mut names = match &self.resources {
            Some(path) => resource_names(path)?,
            None => BTreeMap::new(),
        };
        if let Some(stack) = &self.stack {
            if let Some(named) = names.get(STACK).filter(|named| *named != stack) {
                return Err(
                    format!("--resources describes the stack {named:?}, --stack names {stack:?}").into()
                );
            }
            names.insert(STACK.to_owned(), stack.clone());
            // Where the template tells the stack's functions to look.
            if shared::config::env(SECRETS).is_none() {
                names.entry(SECRETS.to_owned()).or_insert_with(|| format!("ssm:/tandem/{stack}/"));
            }
        }
        Ok(Box::new(move |name| names.get(name).cloned().or_else(|| shared::config::env(name))))
    }
}

impl World {
    fn over(config: Config, sdk: SdkConfig, clock: Clock, local: bool) -> Result<Self, Failure> {
        let http = Arc::new(ReqwestHttp::new()?);
        let engine = Engine::over(Function::Cli, Arc::new(config), &sdk, http, clock, Tokens::Random);
        Ok(Self { engine, sdk, local })
    }

    /// Where secrets are written, for people.
    pub(crate) fn secrets_place(&self) -> String {
        match &self.engine.config.secrets {
            SecretStore::Ssm { prefix } => format!("SSM under {prefix}"),
            SecretStore::SecretsManager { prefix } => format!("Secrets Manager under {prefix}"),
            SecretStore::Env => "the environment".to_owned(),
            SecretStore::File { dir } => format!("folder {dir}"),
        }
    }

    /// The order that an operator means: a full key, or SHOP/ORDERID.
    pub(crate) fn order(&self, text: &str) -> Result<OrderKey, Failure> {
        order_key(&self.engine.config, text)
    }

    /// Who decides. On a deployed stack the caller's ARN is stored too.
    pub(crate) async fn by(&self, name: &str) -> Result<By, Failure> {
        let arn = if self.local { None } else { Some(aws::caller(&self.sdk).await?) };
        Ok(By::new(name, arn)?)
    }
}

fn order_key(config: &Config, text: &str) -> Result<OrderKey, Failure> {
    if text.contains('#') {
        let key = OrderKey::parse(text)?;
        if key.stack() != config.stack {
            let (theirs, ours) = (key.stack(), &config.stack);
            return Err(format!("{key} belongs to stack {theirs:?}, this is {ours:?}").into());
        }
        return Ok(key);
    }
    let Some((shop, id)) = text.split_once('/') else {
        return Err(format!("{text:?} is no order: write SHOP/ORDERID, or the full key in quotes").into());
    };
    let Some(source) = config.shop(shop) else {
        return Err(format!("tandem.toml names no order system [sources.{shop}]").into());
    };
    Ok(config.order_key(source, id)?)
}

/// Tables and queues have names, or the operator is told how to give them.
fn named(config: &Config) -> Result<(), Failure> {
    let r = &config.resources;
    let missing: Vec<&str> = [
        ("TANDEM_ORDERS_TABLE", &r.orders_table),
        ("TANDEM_LINKS_TABLE", &r.links_table),
        ("TANDEM_CONTROL_TABLE", &r.control_table),
    ]
    .iter()
    .filter(|(_, value)| value.is_empty())
    .map(|(name, _)| *name)
    .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let stack = &config.stack;
    Err(format!(
        "no local stack answers, and these names of the deployed one are missing: {}\n  \
         aws cloudformation describe-stacks --stack-name {stack} --query 'Stacks[0]' > stack.json\n  \
         tandem --stack {stack} --resources stack.json ...",
        missing.join(", ")
    )
    .into())
}

/// TANDEM_* names and values from a file: an object (its `resources`, if it has them), or what CloudFormation says of a
/// stack: all of it with its parameters, or its outputs only.
fn resource_names(path: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let value: Value = serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(names_of(&value))
}

fn names_of(value: &Value) -> BTreeMap<String, String> {
    let pairs: Vec<(String, String)> = match value {
        Value::Array(list) => list
            .iter()
            .filter_map(|entry| {
                let text = |name: &str| entry[name].as_str().map(str::to_owned);
                let named = |kind: &str| text(&format!("{kind}Key")).zip(text(&format!("{kind}Value")));
                named("Output").or_else(|| named("Parameter"))
            })
            .collect(),
        Value::Object(all) => {
            if let Some(inner) = all.get("resources").or_else(|| all.get("Stacks").and_then(|s| s.get(0))) {
                return names_of(inner);
            }
            if let Some(outputs) = all.get("Outputs") {
                let mut names = names_of(outputs);
                names.extend(names_of(all.get("Parameters").unwrap_or(&Value::Null)));
                names.extend(value["StackName"].as_str().map(|name| (STACK.to_owned(), name.to_owned())));
                return names;
            }
            all.iter().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
        }
        _ => Vec::new(),
    };
    pairs.into_iter().filter_map(|(name, value)| variable_of(&name, value)).collect()
}

/// A stack on an emulator, by the file of tests/deployed/run: where it is and what CloudFormation says of it. Its secrets become
/// those of the simulators.
pub(crate) async fn deployed(path: &Path) -> Result<Arc<local::stack::Deployed>, Failure> {
    let wrong = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let text = std::fs::read_to_string(path).map_err(|e| wrong(&e))?;
    let mut far: local::stack::Deployed = serde_json::from_str(&text).map_err(|e| wrong(&e))?;
    far.names = resource_names(path)?;
    let config = Config::parse(TANDEM_TOML, &|name| far.names.get(name).cloned())?;
    named(&config)?;
    let sdk = aws::deployed().await.to_builder().endpoint_url(&far.aws).build();
    let own = sdk
        .credentials_provider()
        .ok_or("export the emulator's AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")?;
    far.signer = Some(own.provide_credentials().await.map_err(|e| wrong(&e))?);
    for (name, value) in local::stack::secrets(&config, &[("shop", local::shop::Speaks::Checkout)]) {
        crate::secrets::put(&sdk, &config.secrets, &name, &value).await?;
    }
    Ok(Arc::new(far))
}

/// The variable that an output or a parameter of the template stands for. An empty parameter is as in tandem.toml.
fn variable_of(name: &str, value: String) -> Option<(String, String)> {
    if name.starts_with("TANDEM_") {
        return Some((name.to_owned(), value));
    }
    let variable = match name {
        "SecretsPlace" => SECRETS.to_owned(),
        // Where the functions are reached, if no domain of its own says it.
        "StripeWebhookUrl" => {
            let base = value.strip_suffix("/webhooks/stripe")?.to_owned();
            return Some(("TANDEM_PUBLIC_URL".to_owned(), base));
        }
        "PublicUrl" | "Since" | "StripeBaseUrl" | "StripeAccount" | "StripeLivemode" | "ShopBaseUrl"
        | "NoticesUrl" => {
            return Some((format!("TANDEM_{}", upper_snake(name)), value))
                .filter(|(_, value)| !value.is_empty());
        }
        "OrdersTableName" => "TANDEM_ORDERS_TABLE".to_owned(),
        "LinksTableName" => "TANDEM_LINKS_TABLE".to_owned(),
        "ControlTableName" => "TANDEM_CONTROL_TABLE".to_owned(),
        "ReportsBucketName" => "TANDEM_REPORTS_BUCKET".to_owned(),
        "ScheduleGroupName" => "TANDEM_SCHEDULE_GROUP".to_owned(),
        "ScheduleRoleArn" => "TANDEM_SCHEDULE_ROLE_ARN".to_owned(),
        _ => match (name.strip_suffix("DeadQueueUrl"), name.strip_suffix("QueueUrl")) {
            (Some(queue), _) => format!("TANDEM_DEAD_QUEUE_{}_URL", upper_snake(queue)),
            (None, Some(queue)) => format!("TANDEM_QUEUE_{}_URL", upper_snake(queue)),
            (None, None) => return None,
        },
    };
    Some((variable, value))
}

/// `OrderUpdates` -> `ORDER_UPDATES`.
fn upper_snake(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(c.to_ascii_uppercase());
    }
    out
}

/// How a running local stack is reached.
struct LocalFile {
    aws: String,
    names: BTreeMap<String, String>,
    config: Option<String>,
}

impl LocalFile {
    fn parse(text: &str) -> Result<Self, Failure> {
        let value: Value = serde_json::from_str(text).map_err(|e| format!("{LOCAL_FILE}: {e}"))?;
        let aws = value["aws"].as_str().ok_or_else(|| format!("{LOCAL_FILE} names no \"aws\""))?.to_owned();
        let config = value["config"].as_str().map(str::to_owned);
        Ok(Self { aws, names: names_of(&value), config })
    }

    /// The stack's clock, if it answers at all. One that tells no time runs on the system's.
    async fn probe(&self) -> Option<Clock> {
        let request: HttpRequest = http::Request::get(&self.aws).body(Bytes::new()).ok()?;
        let answer = ReqwestHttp::new().ok()?.send(request, PROBE).await.ok()?;
        let now = serde_json::from_slice::<Value>(answer.body()).ok().and_then(|v| v["now"].as_i64());
        Some(now.map_or(Clock::System, |now| Clock::tokio_from(UnixTime(now))))
    }

    fn open(self, clock: Clock) -> Result<World, Failure> {
        let text = self.config.as_deref().unwrap_or(TANDEM_TOML);
        let names = self.names;
        let config = Config::parse(text, &|name: &str| names.get(name).cloned())?;
        World::over(config, aws::local(&self.aws), clock, true)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cloudformation_outputs_and_variable_names_mean_the_same() {
        let outputs = json!([
            {"OutputKey": "OrdersTableName", "OutputValue": "t"},
            {"OutputKey": "OrderUpdatesDeadQueueUrl", "OutputValue": "d"},
            {"OutputKey": "OrderUpdatesQueueUrl", "OutputValue": "q"},
            {"OutputKey": "SecretsPlace", "OutputValue": "ssm:/tandem/x/"},
            {"OutputKey": "PayBaseUrl", "OutputValue": "https://x/pay/"},
        ]);
        let names = json!({"aws": "http://127.0.0.1:1", "resources": {
            "TANDEM_ORDERS_TABLE": "t", "TANDEM_DEAD_QUEUE_ORDER_UPDATES_URL": "d",
            "TANDEM_QUEUE_ORDER_UPDATES_URL": "q", "TANDEM_SECRETS": "ssm:/tandem/x/",
        }});
        assert_eq!(names_of(&outputs), names_of(&names));
        assert_eq!(names_of(&names).len(), 4);
    }

    #[test]
    fn a_stack_s_description_brings_its_parameters_under_the_functions_own_variables() {
        let stack = json!({
            "StackName": "tandem-test",
            "Parameters": [
                {"ParameterKey": "ShopBaseUrl", "ParameterValue": "https://api.shop.example"},
                {"ParameterKey": "StripeLivemode", "ParameterValue": "true"},
                {"ParameterKey": "PublicUrl", "ParameterValue": ""},
                {"ParameterKey": "Architecture", "ParameterValue": "arm64"},
            ],
            "Outputs": [{"OutputKey": "OrdersTableName", "OutputValue": "t"}],
        });
        let names = names_of(&json!({ "Stacks": [stack.clone()] }));
        assert_eq!(names, names_of(&stack));
        let told = [
            (STACK, "tandem-test"),
            ("TANDEM_SHOP_BASE_URL", "https://api.shop.example"),
            ("TANDEM_STRIPE_LIVEMODE", "true"),
            ("TANDEM_ORDERS_TABLE", "t"),
        ];
        assert_eq!(names, told.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
        let config = Config::parse(shared::config::SHIPPED_TOML, &|name| names.get(name).cloned()).unwrap();
        assert_eq!(config.shop("shop").unwrap().base_url, "https://api.shop.example");
        // Every parameter of the template that the functions are told is one that the command reads.
        let template = include_str!("../../template.yaml");
        for line in template.lines().filter(|l| l.starts_with("        TANDEM_") && l.contains("!If [Has")) {
            let (variable, rest) = line.trim().split_once(": !If [Has").unwrap();
            let parameter = rest.split(',').next().unwrap();
            let found = variable_of(parameter, "x".to_owned());
            assert_eq!(found.unwrap().0, variable, "{parameter}");
        }
    }

    #[test]
    fn two_different_stacks_are_not_one() {
        let dir = std::env::temp_dir().join(format!("tandem-world-{}", std::process::id()));
        std::fs::write(&dir, r#"{"StackName":"one","Outputs":[]}"#).unwrap();
        let args =
            |stack: &str| WorldArgs { stack: Some(stack.into()), resources: Some(dir.clone()), local: false };
        let wrong = args("two").overrides().err().map(|e| e.to_string()).unwrap();
        assert!(wrong.contains("\"one\"") && wrong.contains("\"two\""), "{wrong}");
        assert_eq!(args("one").overrides().unwrap()(STACK).as_deref(), Some("one"));
        std::fs::remove_file(dir).unwrap();
    }

    #[test]
    fn an_order_is_named_by_its_key_or_by_shop_and_id() {
        let config = Config::parse(shared::config::SHIPPED_TOML, &|_| None).unwrap();
        let long = order_key(&config, "demo#checkout#shop#10%2F01").unwrap();
        assert_eq!(order_key(&config, "shop/10/01").unwrap(), long);
        for wrong in ["1001", "other/1", "prod#checkout#shop#1", "a#b"] {
            assert!(order_key(&config, wrong).is_err(), "{wrong}");
        }
    }
}
