//! The local stack kept up: the demo's parts on the wall clock, for people and browsers.
//!
//! Invariant: it ends when the process ends; nothing is kept.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use shared::clock::Clock;
use shared::queue::Queue;
use tokio::net::TcpListener;
use tokio::time::{MissedTickBehavior, interval};

use crate::demo::say;
use crate::http_server;
use crate::shop::Speaks;
use crate::stack::{Error, Options, Stack};

/// How often webhooks that are due are sent.
const PULSE: Duration = Duration::from_millis(150);
/// How often the sweeper runs here: sooner than deployed, where it is every 5 minutes.
const SWEEP_EVERY: Duration = Duration::from_secs(30);
/// Where the command finds the running stack.
const ADDRESS_FILE: &str = "target/tandem-local.json";

/// Runs the stack until it is interrupted.
pub async fn run(json: bool) -> Result<(), Error> {
    // One shop of each kind, so that every order system can be looked at and asked.
    let others = Speaks::ALL.iter().filter(|speaks| **speaks != Speaks::Checkout);
    let beside = others.map(|speaks| (speaks.kind(), *speaks)).collect();
    let options = Options { start: Clock::System.now(), real_time: true, beside, ..Options::sockets() };
    let stack = Stack::start(options).await?;
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    let aws_base = format!("http://{}", listener.local_addr()?);
    let addresses = addresses(&stack, &aws_base);
    if let Err(error) =
        std::fs::create_dir_all("target").and_then(|()| std::fs::write(ADDRESS_FILE, addresses.to_string()))
    {
        tracing::warn!(%error, "{ADDRESS_FILE} could not be written: the operator's verbs will not find this stack");
    }
    if json {
        say(&addresses.to_string());
    } else {
        let others: String =
            stack.bases.beside.iter().map(|(name, base)| format!("\n  {name:<15} {base}")).collect();
        say(&format!(
            "Tandem's local stack is up.\n  shop            {}{others}\n  Stripe          {} (key {})\n  webhooks, links {}\n  AWS             {aws_base}\n\
  shop's webhook secret {}\n\
             Open the shop, place an order and pay it with 4242 4242 4242 4242. Ctrl-C ends everything.",
            stack.bases.shop,
            stack.bases.stripe,
            crate::stack::local_secrets::stripe_key(),
            stack.bases.webhooks,
            crate::stack::local_secrets::shop_webhook()
        ));
    }
    let aws = stack.aws.clone();
    let endpoint = http_server::serve(listener, move |request| {
        let aws = aws.clone();
        async move {
            if request.method() == http::Method::GET && request.uri().path() == "/" {
                return http::Response::new(Bytes::from(json!({ "now": aws.clock().now().0 }).to_string()));
            }
            aws.handle(request).await
        }
    });
    let webhooks = async {
        let mut pulse = interval(PULSE);
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            pulse.tick().await;
            stack.sim.tick();
            for shop in stack.shops() {
                shop.deliver_due(stack.http.as_ref()).await;
            }
            stack.sim.deliver_due(stack.http.as_ref()).await;
        }
    };
    let sweeps = async {
        let mut pulse = interval(SWEEP_EVERY);
        loop {
            pulse.tick().await;
            if let Err(error) = stack.sweep().await {
                tracing::warn!(%error, "the sweeper failed");
            }
        }
    };
    tokio::select! {
        ended = endpoint => ended.map_err(Error::from),
        () = webhooks => Ok(()),
        () = sweeps => Ok(()),
        () = stack.pump.run_forever() => Err("the pump ended".into()),
    }
}

/// Addresses, and the names that the operator's verbs need.
fn addresses(stack: &Stack, aws: &str) -> Value {
    let resources = &stack.config.resources;
    let mut names = Map::new();
    let mut put = |name: String, value: &str| {
        names.insert(name, Value::from(value));
    };
    put("TANDEM_STACK".into(), &stack.config.stack);
    put("TANDEM_PUBLIC_URL".into(), &stack.bases.webhooks);
    put("TANDEM_STRIPE_BASE_URL".into(), &stack.bases.stripe);
    put("TANDEM_STRIPE_ACCOUNT".into(), "acct_local");
    put("TANDEM_STRIPE_LIVEMODE".into(), "false");
    put("TANDEM_SHOP_BASE_URL".into(), &stack.bases.shop);
    put("TANDEM_NOTICES_URL".into(), &format!("{}/notices", stack.bases.shop));
    put("TANDEM_SECRETS".into(), "ssm:/tandem/demo/");
    put("TANDEM_ORDERS_TABLE".into(), &resources.orders_table);
    put("TANDEM_LINKS_TABLE".into(), &resources.links_table);
    put("TANDEM_CONTROL_TABLE".into(), &resources.control_table);
    put("TANDEM_REPORTS_BUCKET".into(), &resources.reports_bucket);
    for queue in Queue::ALL {
        let upper = queue.name().to_uppercase().replace('-', "_");
        let of = |map: &std::collections::BTreeMap<String, String>| {
            map.get(queue.name()).cloned().unwrap_or_default()
        };
        put(format!("TANDEM_QUEUE_{upper}_URL"), &of(&resources.queue_urls));
        put(format!("TANDEM_QUEUE_{upper}_ARN"), &of(&resources.queue_arns));
        put(format!("TANDEM_DEAD_QUEUE_{upper}_URL"), &of(&resources.dead_queue_urls));
    }
    json!({
        "aws": aws,
        "shop": stack.bases.shop,
        "beside": stack.bases.beside,
        "config": stack.config_text,
        "stripe": stack.bases.stripe,
        "webhooks": stack.bases.webhooks,
        "shop_webhook_secret": crate::stack::local_secrets::shop_webhook(),
        "resources": names,
    })
}
