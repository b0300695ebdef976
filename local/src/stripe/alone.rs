//! The simulator by itself, for anybody's tests: one port, one key, webhooks to one place.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpListener;

use shared::clock::Clock;
use shared::outbound::http::SharedHttp;

use super::{SimOptions, StripeSim, serve};

/// How often due webhooks are looked for.
const PULSE: Duration = Duration::from_millis(200);

/// How it is started.
#[derive(Clone, Debug, Default)]
pub struct AloneOptions {
    /// The port; 0 takes a free one.
    pub port: u16,
    /// Where webhooks go.
    pub forward_to: Vec<String>,
    /// Decides every id.
    pub seed: u64,
}

/// Runs a simulator on loopback until the task is dropped. `say` gets the lines a person needs.
pub async fn run_alone(options: AloneOptions, http: SharedHttp, say: impl Fn(&str)) -> io::Result<()> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, options.port))).await?;
    let base = format!("http://{}", listener.local_addr()?);
    let mut sim_options = SimOptions::new(Clock::System, &base);
    sim_options.seed = options.seed;
    let key = sim_options.secret_key.clone();
    let sim = StripeSim::new(sim_options);
    say(&format!("Stripe simulator   {base}"));
    say(&format!("API key            {key}"));
    for url in &options.forward_to {
        let secret = ["whsec", "localsimulatorsecret000000000000"].join("_");
        sim.add_webhook_endpoint(url, &[&secret], &[]);
        say(&format!("webhooks to        {url}"));
        say(&format!("webhook secret     {secret}"));
    }
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
