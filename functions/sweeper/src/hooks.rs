//! The order systems' webhooks: asked about once an hour, switched on again where their API can.
//!
//! Invariant: a source that cannot be asked, or whose webhook is off, is polled all the same; a probe that fails fails
//! nothing else.

use shared::config::ShopSource;
use shared::domain::time::Seconds;
use shared::outbound::shop::{Hook, HookState, OrderSystem as _, ShopClient};
use shared::telemetry::{Id, Scrubbed, event};

use crate::Deps;

/// Between two looks.
pub(crate) const PROBE_EVERY: Seconds = Seconds::hours(1);

/// What a probe found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HookReport {
    /// Webhooks that deliver.
    pub active: u32,
    /// Switched off or missing when looked at.
    pub unhealthy: u32,
    /// Of these, switched on again.
    pub mended: u32,
}

/// Looks at the webhooks of one source and mends what can be mended. `None`: nobody can ask it.
pub(crate) async fn probe(deps: &Deps, client: &ShopClient) -> Option<HookReport> {
    let source = client.source();
    let Some(address) = deps.engine.config.webhook_address(&source.name) else {
        event!(error, "nobody says where webhooks go: TANDEM_PUBLIC_URL", source = Id(&source.name));
        deps.metrics().count("HookProbesFailed", &[("Source", &source.name)]);
        return None;
    };
    let hooks = match client.hooks(&address).await {
        Ok(hooks) => hooks?,
        Err(error) => {
            let text = shared::error::chain(&error);
            event!(
                warn,
                "webhooks could not be asked about",
                source = Id(&source.name),
                error = Scrubbed(&text)
            );
            deps.metrics().count("HookProbesFailed", &[("Source", &source.name)]);
            return None;
        }
    };
    let mut report = HookReport::default();
    for hook in &hooks {
        if hook.state == HookState::Active {
            report.active += 1;
            continue;
        }
        report.unhealthy += 1;
        event!(error, "a webhook does not deliver", source = Id(&source.name), topic = Id(&hook.topic));
        report.mended += u32::from(mended(client, source, &address, hook).await);
    }
    let count = |name, n: u32| deps.metrics().add(name, u64::from(n), &[("Source", &source.name)]);
    count("HooksUnhealthy", report.unhealthy);
    count("HooksMended", report.mended);
    Some(report)
}

async fn mended(client: &ShopClient, source: &ShopSource, address: &str, hook: &Hook) -> bool {
    match client.mend(address, hook).await {
        Ok(true) => {
            event!(
                warn,
                "a webhook was switched on again",
                source = Id(&source.name),
                topic = Id(&hook.topic)
            );
            true
        }
        Ok(false) => false,
        Err(error) => {
            let text = shared::error::chain(&error);
            event!(
                error,
                "a webhook could not be switched on again",
                source = Id(&source.name),
                topic = Id(&hook.topic),
                error = Scrubbed(&text)
            );
            false
        }
    }
}
