//! Verbs over the stack as a whole, and the simulator by itself.

use std::io::{IsTerminal as _, Read as _};
use std::process::ExitCode;
use std::sync::Arc;

use local::stripe::{AloneOptions, Started, run_alone};
use secrecy::SecretString;
use shared::config::{Config, ShopSource, TANDEM_TOML};
use shared::domain::time::UnixTime;
use shared::inbound;
use shared::outbound::http::ReqwestHttp;
use shared::outbound::shop::{Finding, OrderSystem as _, Severity};
use shared::queue::Queue;

use super::connect::{check_stripe, unread};
use crate::output::{Failure, complain, say};
use crate::world::{World, WorldArgs};

/// Longest secret read from standard input.
const SECRET_BYTES_MAX: u64 = 8_192;
/// The simulator's ids are made from this: the same calls give the same ids.
const SEED: u64 = 1;
const SECRET: &str = "webhook secret";

/// The simulator alone, until it is interrupted.
pub(crate) async fn stripe(port: u16, forward_to: Vec<String>, json: bool) -> Result<(), Failure> {
    let http = Arc::new(ReqwestHttp::new()?);
    let options = AloneOptions { port, forward_to, seed: SEED };
    let tell = |started: &Started| {
        say(&if json { started.json() } else { started.text() });
    };
    tokio::select! {
        served = run_alone(options, http, tell) => Ok(served?),
        stopped = tokio::signal::ctrl_c() => Ok(stopped?),
    }
}

/// Every mistake of tandem.toml and the environment.
pub(crate) fn check(world: &WorldArgs) -> Result<ExitCode, Failure> {
    match Config::parse(TANDEM_TOML, &*world.overrides()?) {
        Ok(config) => {
            let sources: Vec<&str> = config.sources.keys().map(String::as_str).collect();
            let mode = if config.test_only() { "test mode" } else { "LIVE MODE" };
            say(&format!(
                "tandem.toml is right: stack {}, sources {}, {mode}, policy {}",
                config.stack,
                sources.join(", "),
                config.policy_hash
            ));
            Ok(ExitCode::SUCCESS)
        }
        Err(errors) => {
            complain(&errors.to_string());
            Ok(ExitCode::FAILURE)
        }
    }
}

/// What Stripe and the order systems themselves say about keys, permissions, currency and webhooks.
pub(crate) async fn check_live(args: &WorldArgs, only: Option<&str>) -> Result<ExitCode, Failure> {
    if check(args)? == ExitCode::FAILURE {
        return Ok(ExitCode::FAILURE);
    }
    let world = args.open_unnamed().await?;
    let config = world.engine.config.clone();
    if let Some(name) = only.filter(|name| !config.sources.contains_key(*name)) {
        let names: Vec<&str> = config.sources.keys().map(String::as_str).collect();
        return Err(format!("{name:?} is no source of tandem.toml; there are {}", names.join(", ")).into());
    }
    let mut worst = Severity::Good;
    for source in config.sources.keys().filter(|name| only.is_none_or(|only| only == *name)) {
        if let Some(stripe) = config.stripe(source) {
            worst = worst.max(tell(source, "stripe", check_stripe(&world, stripe).await));
        }
    }
    for shop in config.shops().filter(|shop| only.is_none_or(|name| name == shop.name)) {
        let address = config.webhook_address(&shop.name);
        let findings = match (address, world.engine.shop_named(&shop.name).await) {
            (None, _) => vec![Finding::bad(
                "public address",
                "set [stack] public_url or TANDEM_PUBLIC_URL: webhooks and payment links need it",
            )],
            (_, Err(error)) => vec![Finding::bad("API key", shared::error::chain(&error))],
            (Some(address), Ok(client)) => client.check(&address).await,
        };
        worst = worst.max(tell(&shop.name, shop.system.name(), findings));
        worst = worst.max(tell(&shop.name, shop.system.name(), webhook_secrets(&world, shop).await));
    }
    Ok(verdict(worst))
}

/// Prints what was found about a source; how bad it is.
pub(super) fn tell(source: &str, kind: &str, findings: Vec<Finding>) -> Severity {
    let mut worst = Severity::Good;
    for Finding { what, severity, text } in findings {
        let word = match severity {
            Severity::Good => "ok  ",
            Severity::Warning => "look",
            Severity::Bad => "BAD ",
        };
        say(&format!("{word}  {source} ({kind})  {what}: {text}"));
        worst = worst.max(severity);
    }
    worst
}

/// How a check ends.
pub(super) fn verdict(worst: Severity) -> ExitCode {
    if worst == Severity::Bad { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Dead letters back to work.
pub(crate) async fn redrive(args: &WorldArgs, queue: &str, most: u32) -> Result<(), Failure> {
    let names = || Queue::ALL.map(Queue::name).join(", ");
    let wanted = queue.strip_suffix("-dead").unwrap_or(queue);
    let queue = Queue::ALL.into_iter().find(|q| q.name() == wanted);
    let queue = queue.ok_or_else(|| format!("no queue {wanted:?}; the queues are {}", names()))?;
    let world = args.open().await?;
    let sqs = shared::aws::sqs(&world.sdk);
    let done = shared::operator::redrive(&sqs, &world.engine.config.resources, queue, most).await?;
    say(&format!("{}: {} sent back to work", queue.name(), done.moved));
    if done.kept > 0 {
        say(&format!("{} of them could not be deleted and may be sent once more: harmless", done.kept));
    }
    match done.stopped {
        Some(why) => Err(why.into()),
        None if !done.emptied => {
            say("more may be left: run it again");
            Ok(())
        }
        None => Ok(()),
    }
}

/// Older orders: listed at every order system; with `apply` each becomes a hint.
pub(crate) async fn import(args: &WorldArgs, since: &str, apply: bool) -> Result<(), Failure> {
    let since = moment(since)?;
    let world = args.open().await?;
    let deps = sweeper::Deps::new(world.engine);
    let report = sweeper::import_since(&deps, since, apply).await;
    for (source, listed) in &report.listed {
        say(&format!("{source}: {listed} order(s) changed since {since}"));
    }
    say(&match apply {
        true => format!("{} hint(s) queued; the functions read each order and decide", report.hinted),
        false => "nothing was changed; add --apply to bring them in".to_owned(),
    });
    if report.unusable > 0 {
        complain(&format!(
            "{} order(s) are left out: an id is 1 to 100 letters, digits and _ - . : # /",
            report.unusable
        ));
    }
    for (source, why) in &report.failed {
        complain(&format!("{source}: {why}; what is listed of it is incomplete, run it again"));
    }
    if report.failed.is_empty() { Ok(()) } else { Err("not every order system could be listed".into()) }
}

/// The sweeper reads every source again from a time on.
pub(crate) async fn rewind(args: &WorldArgs, since: &str) -> Result<(), Failure> {
    let since = moment(since)?;
    let world = args.open().await?;
    let report = sweeper::rewind(&sweeper::Deps::new(world.engine), since).await;
    for (source, from) in &report.reads_from {
        say(&format!("{source}: the next sweep reads from {from} on"));
    }
    for (source, why) in &report.failed {
        complain(&format!("{source}: {why}; it was not set back, run it again"));
    }
    if report.failed.is_empty() { Ok(()) } else { Err("not every source was set back".into()) }
}

/// `2026-11-01` (midnight UTC), or RFC 3339.
fn moment(text: &str) -> Result<UnixTime, Failure> {
    let full = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    let at: jiff::Timestamp =
        full.parse().map_err(|_| format!("{text:?} is no date; write 2026-11-01 or 2026-11-01T12:00:00Z"))?;
    Ok(UnixTime(at.as_second()))
}

/// What `tandem COMMAND < FILE` is given.
pub(super) fn from_stdin(command: &str) -> Result<String, Failure> {
    let input = std::io::stdin();
    if input.is_terminal() {
        return Err(format!(
            "the value comes from standard input, so that it is neither shown nor kept by the shell: \
             tandem {command} < FILE"
        )
        .into());
    }
    let mut text = String::new();
    input.lock().take(SECRET_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// Why a webhook's secret does not fit the source that names it. The receiver refuses to start with such a one.
fn misfit(config: &Config, name: &str, text: &str) -> Option<String> {
    let text = SecretString::from(text.to_owned());
    config.sources.iter().find_map(|(source, of)| {
        let error =
            inbound::secret(of, &text).err().filter(|_| of.webhook_secrets().iter().any(|n| n == name))?;
        Some(format!("{name} does not fit [sources.{source}]: {error}"))
    })
}

/// Whether the webhook secrets of an order system are there and fit it.
async fn webhook_secrets(world: &World, shop: &ShopSource) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in &shop.webhook_secrets {
        findings.push(match world.engine.secrets.get(name).await {
            Ok(text) => match inbound::shop::secret(&shop.system, &text) {
                Ok(_) => Finding::good(
                    SECRET,
                    format!("{name} is stored; that both sides have the same shows only in a delivery"),
                ),
                Err(error) => Finding::bad(SECRET, format!("{name} does not fit: {error}")),
            },
            Err(error) => unread(SECRET, &error),
        });
    }
    findings
}

/// One secret, from standard input.
pub(crate) async fn secrets_put(args: &WorldArgs, name: &str) -> Result<(), Failure> {
    let world = args.open_unnamed().await?;
    let text = from_stdin(&format!("secrets put {name}"))?;
    if let Some(why) = misfit(&world.engine.config, name, text.trim()) {
        return Err(why.into());
    }
    crate::secrets::put(&world.sdk, &world.engine.config.secrets, name, &text).await?;
    say(&format!("{name} is stored in {}", world.secrets_place()));
    Ok(())
}

/// The money switch.
pub(crate) async fn money(args: &WorldArgs, on: bool, name: &str) -> Result<(), Failure> {
    let world = args.open().await?;
    let by = world.by(name).await?;
    shared::operator::set_money(&world.engine, on, &by).await?;
    say(if on {
        "money calls go through again"
    } else {
        "every money call waits from now on; `tandem money on --by NAME` lets them through"
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_midnight_utc_and_a_moment_is_itself() {
        assert_eq!(moment("2027-01-15").unwrap(), UnixTime(1_799_971_200));
        assert_eq!(moment("2027-01-15T08:00:00Z").unwrap(), UnixTime(1_800_000_000));
        for wrong in ["", "yesterday", "2027-13-01", "15.01.2027"] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }
}
