//! How the local stack is put together: the shops, the configuration with its secrets, and the ports.
//!
//! Invariant: ports are bound before anything needs to know them; nothing listens in process.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use shared::clock::Clock;
use shared::config::{CALLS_STRIPE, Config, Resources};
use shared::outbound::stripe::grants;
use tokio::net::TcpListener;

use super::gateway::Gateway;
use super::{Bases, Error, Options, Stack, Wiring, local_secrets};
use crate::aws::EmbeddedAws;
use crate::http_server;
use crate::shop::{Shop, ShopConfig, Speaks};
use crate::stripe::StripeSim;

/// Where and how a shop is reached, and what opens it.
pub(super) fn shop_of(clock: &Clock, bases: &Bases, name: &str, speaks: Speaks) -> Shop {
    let (api_token, webhook_secret) = secrets_of(name, speaks);
    let path_secret = match speaks {
        Speaks::Checkout | Speaks::Woo | Speaks::Shopify => String::new(),
        Speaks::Checkfront => format!("/{webhook_secret}"),
    };
    Shop::new(
        clock.clone(),
        ShopConfig {
            name: name.to_owned(),
            speaks,
            public_url: bases.of(name).to_owned(),
            api_token,
            webhook_url: format!("{}/webhooks/{name}{path_secret}", bases.webhooks),
            webhook_secret,
            notice_secret: local_secrets::notice(),
        },
    )
}

/// The key of a shop's API and the secret of its webhook.
fn secrets_of(name: &str, speaks: Speaks) -> (String, String) {
    match (name, speaks) {
        ("shop", Speaks::Checkout) => (local_secrets::shop_token(), local_secrets::shop_webhook()),
        _ => (local_secrets::key_of(name, speaks), local_secrets::webhook_of(name, speaks)),
    }
}

/// A shop's section of the configuration.
fn section_of(bases: &Bases, name: &str, speaks: Speaks) -> String {
    let own = match speaks {
        Speaks::Checkout | Speaks::Woo | Speaks::Shopify => "",
        // The demo's stories need what Checkfront has no word for.
        Speaks::Checkfront => "custom_fields = true\n",
    };
    format!(
        "\n[sources.{name}]\nkind = \"{}\"\nbase_url = \"{}\"\nstripe = \"stripe\"\n\
         api_key = \"{name}-api-key\"\nwebhook_secrets = [\"{name}-webhook-secret\"]\n{own}",
        speaks.kind(),
        bases.of(name)
    )
}

/// The text without the section of the shipped shop.
fn without_shop(text: &str) -> String {
    let Some((before, rest)) = text.split_once("\n[sources.shop]\n") else { return text.to_owned() };
    let after = rest.find("\n[").map_or("", |at| &rest[at..]);
    format!("{before}\n{after}")
}

/// The configuration, and its text before what differs between stacks was replaced.
pub(super) async fn configure(
    aws: &EmbeddedAws,
    bases: &Bases,
    clock: &Clock,
    options: &Options,
) -> Result<(Config, String), Error> {
    if let Some(far) = &options.deployed {
        // What its bootstraps were built with.
        let text = shared::config::TANDEM_TOML.to_owned();
        return Ok((Config::parse(&text, &|name| far.names.get(name).cloned())?, text));
    }
    let resources: Resources = aws.provision("demo").await?;
    let mut text = shared::config::SHIPPED_TOML.to_owned();
    for (from, to) in &options.replace {
        if !text.contains(from.as_str()) {
            return Err(format!("the shipped tandem.toml has no text {from:?} to replace").into());
        }
        text = text.replace(from.as_str(), to);
    }
    if options.speaks != Speaks::Checkout {
        text = without_shop(&text) + &section_of(bases, "shop", options.speaks) + options.settings;
    }
    for (name, speaks) in &options.beside {
        text.push_str(&section_of(bases, name, *speaks));
    }
    let overrides: BTreeMap<&str, String> = BTreeMap::from([
        ("TANDEM_PUBLIC_URL", bases.webhooks.clone()),
        ("TANDEM_STRIPE_BASE_URL", bases.stripe.clone()),
        ("TANDEM_STRIPE_ACCOUNT", "acct_local".to_owned()),
        ("TANDEM_STRIPE_LIVEMODE", "false".to_owned()),
        ("TANDEM_SHOP_BASE_URL", bases.shop.clone()),
        ("TANDEM_NOTICES_URL", format!("{}/notices", bases.shop)),
        ("TANDEM_SINCE", clock.now().to_string()),
        ("TANDEM_SECRETS", "ssm:/tandem/demo/".to_owned()),
    ]);
    let mut config = Config::parse(&text, &|name| overrides.get(name).cloned())?;
    config.resources = resources;
    let shops: Vec<(&str, Speaks)> =
        std::iter::once(("shop", options.speaks)).chain(options.beside.iter().copied()).collect();
    for (name, value) in secrets(&config, &shops) {
        aws.ssm().put_secret(&format!("/tandem/demo/{name}"), &value, clock.now());
    }
    Ok((config, text))
}

/// The secrets that open the simulators, by the names of `config`; `shops` by name and what they speak.
pub fn secrets(config: &Config, shops: &[(&str, Speaks)]) -> BTreeMap<String, String> {
    let mut secrets = BTreeMap::from([
        ("stripe-webhook-secret".to_owned(), local_secrets::stripe_webhook()),
        ("notice-secret".to_owned(), local_secrets::notice()),
    ]);
    for source in config.sources.values() {
        if let shared::config::Source::Stripe(stripe) = source {
            let default = stripe.api_keys.get("default");
            secrets.extend(default.map(|name| (name.clone(), local_secrets::stripe_key())));
            for function in CALLS_STRIPE {
                let named = stripe.api_keys.get(function.name()).filter(|name| Some(*name) != default);
                secrets.extend(named.map(|name| (name.clone(), local_secrets::stripe_key_of(function))));
            }
        }
    }
    for (name, speaks) in shops {
        let (key, webhook) = secrets_of(name, *speaks);
        secrets.extend([(format!("{name}-api-key"), key), (format!("{name}-webhook-secret"), webhook)]);
    }
    secrets
}

/// The functions' restricted keys, as `tandem.toml`'s comments and README have people make them.
pub(super) fn restrict(sim: &StripeSim) {
    for function in CALLS_STRIPE {
        sim.add_restricted_key(&local_secrets::stripe_key_of(function), grants::grants(function));
    }
}

/// The ports, bound before anything needs to know them: Stripe, the API, then the shops by name.
pub(super) struct Listeners {
    names: Vec<&'static str>,
    ports: Option<Vec<TcpListener>>,
    /// The API's address where it is not here.
    api: Option<String>,
}

impl Listeners {
    pub(super) async fn bind(options: &Options) -> Result<Self, Error> {
        let names: Vec<_> =
            std::iter::once("shop").chain(options.beside.iter().map(|(name, _)| *name)).collect();
        if options.wiring == Wiring::InProcess {
            return Ok(Self { names, ports: None, api: None });
        }
        let mut ports = Vec::new();
        let far = options.deployed.as_deref();
        // A deployed stack was told where Stripe and its shop are; any other port is a free one.
        let told = far.map_or([0; 3], |far| [far.stripe_port, 0, far.shop_port]);
        for port in told.into_iter().chain(std::iter::repeat(0)).take(names.len() + 2) {
            ports.push(TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?);
        }
        let api = far.map(|far| far.api.clone());
        Ok(Self { names, ports: Some(ports), api })
    }

    pub(super) fn bases(&self) -> Bases {
        let at = |i: usize| match self.ports.as_ref().and_then(|ports| ports.get(i)) {
            Some(port) => format!("http://{}", port.local_addr().map(|a| a.to_string()).unwrap_or_default()),
            // In process nothing listens: the authorities only tell the parts apart.
            None => format!("http://127.0.0.1:{}", 9101 + i),
        };
        let shops = self.names.iter().enumerate().map(|(i, name)| ((*name).to_owned(), at(2 + i)));
        let mut beside: BTreeMap<String, String> = shops.collect();
        let shop = beside.remove("shop").unwrap_or_default();
        let webhooks = self.api.clone().unwrap_or_else(|| at(1));
        Bases { stripe: at(0), webhooks, shop, beside }
    }

    pub(super) fn serve(self, stack: &Stack, gateway: &Gateway) {
        let mut ports = self.ports.into_iter().flatten();
        let (Some(stripe), Some(api)) = (ports.next(), ports.next()) else { return };
        let (sim, gateway) = (stack.sim.clone(), gateway.clone());
        background(async move { crate::stripe::serve(sim, stripe).await });
        for (shop, port) in stack.shops().zip(ports) {
            serve_shop(port, shop.clone());
        }
        background(async move {
            let handle = move |request| {
                let gateway = gateway.clone();
                async move { gateway.handle(request).await }
            };
            http_server::serve(api, handle).await
        });
    }
}

fn serve_shop(listener: TcpListener, shop: Shop) {
    background(async move {
        let handle = move |request| {
            let shop = shop.clone();
            async move { shop.handle(request).await }
        };
        http_server::serve(listener, handle).await
    });
}

fn background(server: impl Future<Output = std::io::Result<()>> + Send + 'static) {
    #[expect(
        clippy::disallowed_methods,
        reason = "a server outlives the call; nothing freezes the local stack"
    )]
    tokio::spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "a local server ended");
        }
    });
}
