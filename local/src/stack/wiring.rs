//! How the local stack is put together: the shops, the configuration with its secrets, and the ports.
//!
//! Invariant: ports are bound before anything needs to know them; nothing listens in process.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use shared::clock::Clock;
use shared::config::{Config, Resources};
use tokio::net::TcpListener;

use super::gateway::Gateway;
use super::{Bases, Error, Options, Stack, Wiring, local_secrets};
use crate::aws::EmbeddedAws;
use crate::http_server;
use crate::shop::{Shop, ShopConfig};

pub(super) fn shop_of(
    clock: &Clock,
    bases: &Bases,
    public_url: &str,
    source: &str,
    webhook_secret: String,
) -> Shop {
    Shop::new(
        clock.clone(),
        ShopConfig {
            public_url: public_url.to_owned(),
            api_token: local_secrets::shop_token(),
            webhook_url: format!("{}/webhooks/{source}", bases.webhooks),
            webhook_secret,
            notice_secret: local_secrets::notice(),
        },
    )
}

/// The second shop's section of the configuration.
fn outlet_section(bases: &Bases) -> String {
    format!(
        "\n[sources.outlet]\nkind = \"checkout\"\nbase_url = \"{}\"\nstripe = \"stripe\"\n\
         api_key = \"shop-api-key\"\nwebhook_secrets = [\"outlet-webhook-secret\"]\n",
        bases.outlet
    )
}

pub(super) async fn configure(
    aws: &EmbeddedAws,
    bases: &Bases,
    clock: &Clock,
    options: &Options,
) -> Result<Config, Error> {
    let resources: Resources = aws.provision("demo").await?;
    let mut text = shared::config::TANDEM_TOML.to_owned();
    for (from, to) in &options.replace {
        if !text.contains(from.as_str()) {
            return Err(format!("tandem.toml has no text {from:?} to replace").into());
        }
        text = text.replace(from.as_str(), to);
    }
    if options.outlet {
        text.push_str(&outlet_section(bases));
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
    // The template's roles keep the functions' keys apart; here one value stands for all of them.
    for source in config.sources.values() {
        if let shared::config::Source::Stripe(stripe) = source {
            for name in stripe.api_keys.values() {
                let value = local_secrets::stripe_key();
                aws.ssm().put_secret(&format!("/tandem/demo/{name}"), &value, clock.now());
            }
        }
    }
    for (name, value) in [
        ("stripe-webhook-secret", local_secrets::stripe_webhook()),
        ("shop-api-key", local_secrets::shop_token()),
        ("shop-webhook-secret", local_secrets::shop_webhook()),
        ("outlet-webhook-secret", local_secrets::outlet_webhook()),
        ("notice-secret", local_secrets::notice()),
    ] {
        aws.ssm().put_secret(&format!("/tandem/demo/{name}"), &value, clock.now());
    }
    Ok(config)
}

/// The ports, bound before anything needs to know them.
pub(super) struct Listeners(Option<[TcpListener; 4]>);

impl Listeners {
    pub(super) async fn bind(wiring: Wiring) -> Result<Self, Error> {
        if wiring == Wiring::InProcess {
            return Ok(Self(None));
        }
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Ok(Self(Some([
            TcpListener::bind(free).await?,
            TcpListener::bind(free).await?,
            TcpListener::bind(free).await?,
            TcpListener::bind(free).await?,
        ])))
    }

    pub(super) fn bases(&self) -> Bases {
        let at = |i: usize| match &self.0 {
            Some(ports) => ports[i].local_addr().map(|a| a.to_string()).unwrap_or_default(),
            // In process nothing listens: the authorities only tell the parts apart.
            None => format!("127.0.0.1:{}", 9101 + i),
        };
        Bases {
            stripe: format!("http://{}", at(0)),
            shop: format!("http://{}", at(1)),
            webhooks: format!("http://{}", at(2)),
            outlet: format!("http://{}", at(3)),
        }
    }

    pub(super) fn serve(self, stack: &Stack, gateway: &Gateway) {
        let Some([stripe, shop, api, outlet]) = self.0 else { return };
        let (sim, the_shop, gateway) = (stack.sim.clone(), stack.shop.clone(), gateway.clone());
        background(async move { crate::stripe::serve(sim, stripe).await });
        serve_shop(shop, the_shop);
        if let Some(the_outlet) = stack.outlet.clone() {
            serve_shop(outlet, the_outlet);
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
