//! The demo: orders of every kind, each followed to its end over real HTTP, then the books compared.
//!
//! Invariant: what must be comes from the simulator's ledger and the shop's own record, never from our tables.

mod audit;
mod chaos;
mod report;
mod scenarios;

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use shared::clock::Clock;
use shared::domain::ids::Function;
use shared::domain::time::{Seconds, UnixTime};
use shared::outbound::shop::{Hook, HookState, OrderSystem as _};

pub use self::audit::{Expected, audit};
use crate::aws::{FOREIGN_VISIBILITY_SECONDS, Foreign, VISIBILITY_SECONDS};
use crate::shop::Speaks;
use crate::stack::{Deployed, Error, Options as StackOptions, Sabotage, Stack};

/// How to run the demo.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Write what was said to Stripe, and its events, as JSON lines.
    pub record: Option<PathBuf>,
    /// A bug on purpose.
    pub sabotage: Option<Sabotage>,
    /// Without sockets: for tests.
    pub in_process: bool,
    /// Which services are somebody else's.
    pub foreign: Foreign,
    /// What the shop speaks.
    pub speaks: Speaks,
    /// A deployed stack whose functions do the work.
    pub deployed: Option<Arc<Deployed>>,
    /// Break what is beneath the deployed functions instead of telling the stories: where the striker listens.
    pub trouble: Option<String>,
    /// Write what was said over GraphQL as JSON lines.
    pub graphql: Option<PathBuf>,
}

/// Prints to the terminal: this is what the command is for.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

/// Runs everything; `true` if all is as it must be.
pub async fn run(options: Options) -> bool {
    match play(&options).await {
        Ok(problems) if problems.is_empty() => {
            say("\nEverything is as it must be.");
            true
        }
        Ok(problems) => {
            say(&format!("\n{} thing(s) are not as they must be:", problems.len()));
            for problem in problems {
                say(&format!("  - {problem}"));
            }
            false
        }
        Err(error) => {
            say(&format!("\nThe demo broke off: {}", shared::error::chain(error.as_ref())));
            false
        }
    }
}

async fn play(options: &Options) -> Result<Vec<String>, Error> {
    let base = if options.in_process { StackOptions::in_process() } else { StackOptions::sockets() };
    let (foreign, deployed) = (options.foreign.clone(), options.deployed.clone());
    // The simulators' clock begins with the emulator's.
    let start = if deployed.is_some() { Clock::System.now() } else { base.start };
    // One shop beside it for every other order system.
    let others = Speaks::ALL.iter().copied().filter(|speaks| *speaks != options.speaks);
    let beside = others.map(|speaks| (speaks.kind(), speaks));
    // What is deployed was built with the shipped configuration, which has one shop.
    let beside = beside.filter(|_| deployed.is_none()).collect();
    let (sabotage, speaks) = (options.sabotage, options.speaks);
    let stack =
        Stack::start(StackOptions { sabotage, speaks, beside, foreign, deployed, start, ..base }).await?;
    if options.record.is_some() || options.graphql.is_some() {
        stack.tally.record();
    }
    let start = stack.clock.now();
    let others: String = stack.bases.beside.iter().map(|(name, base)| format!(", {name} {base}")).collect();
    say(&format!(
        "Tandem's local stack: shop {}{others}, Stripe {}, webhooks {}\nThe clock starts at {start}.",
        stack.bases.shop, stack.bases.stripe, stack.bases.webhooks
    ));
    if let Some(striker) = &options.trouble {
        return chaos::play(&stack, striker).await;
    }
    differences(&options.foreign);
    let mut expected = Expected::default();
    let mut problems = Vec::new();
    let all = scenarios::all();
    for (i, scenario) in all.iter().enumerate() {
        say(&format!("\n[{}/{}] {}", i + 1, all.len(), scenario.title));
        let mut told = scenarios::Story::new(&stack, &mut expected);
        if let Err(error) = (scenario.play)(&mut told).await {
            problems.push(format!("{}: {error}", scenario.title));
        }
        problems.extend(told.problems.iter().map(|p| format!("{}: {p}", scenario.title)));
        for (shop, order) in told.orders.clone() {
            timeline(&stack, &shop, &order).await?;
        }
    }
    if options.sabotage == Some(Sabotage::ChargeTwice) {
        scenarios::charge_behind_our_back(&stack, &expected).await?;
    }
    problems.extend(audit(&stack, &expected).await?);
    report::print(&stack, &expected);
    problems.extend(books(&stack, &expected, start).await?);
    if let Some(path) = &options.record {
        record(&stack, path).await?;
    }
    if let Some(path) = &options.graphql {
        ask_about(&stack).await?;
        let lines: String = stack.tally.graphql().iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(path, lines)?;
    }
    Ok(problems)
}

/// Asks the order systems what `tandem check --live` and the hourly probe ask, for the recording.
async fn ask_about(stack: &Stack) -> Result<(), Error> {
    let engine = stack.engine(Function::Sweeper);
    for shop in stack.config.shops() {
        let client = engine.shop_named(&shop.name).await?;
        let address = stack.config.webhook_address(&shop.name).unwrap_or_default();
        client.check(&address).await;
        for hook in client.hooks(&address).await?.unwrap_or_default() {
            // Nothing is missing: each is refused, in the system's own words.
            let _ = client.mend(&address, &Hook { state: HookState::Missing, ..hook }).await;
        }
    }
    Ok(())
}

/// What is not as in the demo over embedded services.
fn differences(foreign: &Foreign) {
    if let Some(base) = foreign.dynamodb() {
        say(&format!(
            "DynamoDB is at {base}, not embedded: it follows the wall clock and deletes nothing by age here."
        ));
    }
    if let Some(base) = foreign.sqs() {
        say(&format!(
            "SQS is at {base}, not embedded: its time cannot be moved, so a message that failed hides for \
             {FOREIGN_VISIBILITY_SECONDS} s instead of {VISIBILITY_SECONDS} and the demo waits for it. Schedules fire on the \
             demo's clock."
        ));
    }
}

/// The reconciler on clean books finds nothing; with planted discrepancies it finds those and none else.
async fn books(stack: &Stack, expected: &Expected, start: UnixTime) -> Result<Vec<String>, Error> {
    say("\nReconciliation: clean books, then three planted discrepancies");
    let mut problems = Vec::new();
    let clean = stack.reconciled(start).await?;
    problems.extend(clean.texts.iter().map(|text| format!("reconciliation of clean books: {text}")));
    let planted = scenarios::plant(stack, expected).await?;
    // What is younger than the reconciler's grace counts as still on its way.
    stack.jump(Seconds::minutes(10)).await?;
    let found = stack.reconciled(start).await?;
    let mut kinds: Vec<&str> = found.kinds.iter().map(String::as_str).collect();
    kinds.sort_unstable();
    say(&format!("  {} orders compared, planted {planted:?}, found {kinds:?}", found.orders));
    if kinds != planted {
        problems.push(format!("reconciliation found {kinds:?}, planted were {planted:?}: {:?}", found.texts));
    }
    stack.settle().await?;
    let told = stack.shop.record().notices.iter().filter(|n| n.kind.contains("reconciliation")).count();
    if told == 0 {
        problems.push("no summary of the reconciliation reached the shop".into());
    }
    Ok(problems)
}

async fn timeline(stack: &Stack, shop: &str, order_id: &str) -> Result<(), Error> {
    let key = stack.key_in(shop, order_id)?;
    let item = stack.engine(Function::Cli).store.load(&key).await?;
    let facts = stack.engine(Function::Cli).store.history(&item).await?;
    if let Some(broken) = shared::domain::fact::chain_break(&facts, "") {
        return Err(format!("order {order_id}: the chain of facts breaks at {broken}").into());
    }
    say(&format!("  order {order_id} of {shop}"));
    for line in shared::domain::explain::timeline(&facts) {
        let by = line.function.split('/').next().unwrap_or_default().to_owned();
        say(&format!("    {}  {by:<17} {}  ({})", line.at, short_ids(&line.what), line.why));
    }
    Ok(())
}

/// Stripe's longest ids, cut for the eye.
fn short_ids(text: &str) -> String {
    let cut = |word: &str| match word.char_indices().nth(20) {
        Some((at, _)) if word.contains("cs_test_") => {
            let tail: String = word.chars().rev().take_while(|c| "):,".contains(*c)).collect();
            format!("{}...{}", &word[..at], tail.chars().rev().collect::<String>())
        }
        _ => word.to_owned(),
    };
    text.split(' ').map(cut).collect::<Vec<_>>().join(" ")
}

async fn record(stack: &Stack, path: &PathBuf) -> Result<(), Error> {
    let mut out = std::io::BufWriter::new(std::fs::File::create(path)?);
    for line in stack.tally.recording() {
        writeln!(out, "{line}")?;
    }
    for event in events(stack).await? {
        writeln!(out, "{}", serde_json::json!({ "event": event }))?;
    }
    out.flush()?;
    Ok(())
}

/// Every event as Stripe's API shows it.
async fn events(stack: &Stack) -> Result<Vec<serde_json::Value>, Error> {
    let mut all: Vec<serde_json::Value> = Vec::new();
    loop {
        let after = all.last().and_then(|e| e["id"].as_str()).map(|id| format!("&starting_after={id}"));
        let url = format!("{}/v1/events?limit=100{}", stack.bases.stripe, after.unwrap_or_default());
        let request = http::Request::get(url)
            .header("authorization", format!("Bearer {}", crate::stack::local_secrets::stripe_key()))
            .body(bytes::Bytes::new())?;
        let answer = stack.http.send(request, std::time::Duration::from_secs(20)).await?;
        let page: serde_json::Value = serde_json::from_slice(answer.body())?;
        all.extend(page["data"].as_array().cloned().unwrap_or_default());
        if page["has_more"] != true {
            return Ok(all);
        }
    }
}
