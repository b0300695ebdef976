//! The simulator by itself, for anybody's tests: one port, one key, webhooks to wherever one likes.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::json;
use tokio::net::TcpListener;

use shared::clock::Clock;
use shared::outbound::http::SharedHttp;
use shared::outbound::stripe::grants::{Access, Resource};

use super::{SimOptions, StripeSim, serve};

/// How often due webhooks are looked for.
const PULSE: Duration = Duration::from_millis(100);

/// How it is started.
#[derive(Clone, Debug, Default)]
pub struct AloneOptions {
    /// The port; 0 takes a free one.
    pub port: u16,
    /// Where webhooks go, besides endpoints made over the API.
    pub forward_to: Vec<String>,
    /// Decides every id.
    pub seed: u64,
}

/// What a client of a running simulator has to know.
#[derive(Clone, Debug)]
pub struct Started {
    /// Base of the API: `/v1/...` follows.
    pub base_url: String,
    /// The key that may do everything.
    pub key: String,
    /// A key that may read charges and nothing else.
    pub restricted_key: String,
    /// Signs the webhooks to the places that were given at the start.
    pub webhook_secret: String,
    /// Base of the controls.
    pub control: String,
    /// Where webhooks go.
    pub forward_to: Vec<String>,
}

impl Started {
    /// For programs: one line of JSON.
    pub fn json(&self) -> String {
        json!({
            "base_url": self.base_url, "key": self.key, "restricted_key": self.restricted_key,
            "webhook_secret": self.webhook_secret, "control": self.control,
        })
        .to_string()
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = format!(
            "Stripe simulator\n  API base        {}\n  secret key      {}\n  webhook secret  {}\n  controls        {}\n",
            self.base_url, self.key, self.webhook_secret, self.control
        );
        for url in &self.forward_to {
            text.push_str(&format!("  webhooks to     {url}\n"));
        }
        text
    }
}

/// Runs a simulator on loopback until the task is dropped. `tell` hears, once, how to reach it.
pub async fn run_alone(
    options: AloneOptions,
    http: SharedHttp,
    tell: impl FnOnce(&Started),
) -> io::Result<()> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, options.port))).await?;
    let base = format!("http://{}", listener.local_addr()?);
    let sim_options =
        SimOptions { seed: options.seed, controls: true, ..SimOptions::new(Clock::System, &base) };
    let started = Started {
        key: sim_options.secret_key.clone(),
        restricted_key: ["rk", "test", "local", "charges"].join("_"),
        webhook_secret: format!("whsec_{}", "local_simulator_secret_0000"),
        control: format!("{base}/_control"),
        base_url: base,
        forward_to: options.forward_to,
    };
    let sim = StripeSim::new(sim_options);
    sim.add_restricted_key(&started.restricted_key, &[(Resource::Charges, Access::Read)]);
    for url in &started.forward_to {
        sim.add_webhook_endpoint(url, &[&started.webhook_secret], &[]);
    }
    tell(&started);
    let deliveries = async {
        let mut pulse = tokio::time::interval(PULSE);
        loop {
            pulse.tick().await;
            sim.deliver_due(http.as_ref()).await;
        }
    };
    tokio::select! {
        served = serve(sim.clone(), listener) => served,
        () = deliveries => Ok(()),
    }
}
