//! The command `tandem`: the demo, the local stack, the simulator by itself, and the operator's verbs.
//!
//! Invariant: an operator's verb adds facts or messages and nothing else; no verb moves money, and only `connect` and
//! `check --live` speak to Stripe.

mod aws;
mod output;
mod secrets;
mod verbs;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::output::Failure;
use crate::world::WorldArgs;

/// Keeps an order system and Stripe in step. Without a command: the demo.
#[derive(Parser)]
#[command(name = "tandem", version)]
struct Cli {
    #[command(flatten)]
    world: WorldArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the whole chain on a local stack and check it against the simulator's ledger.
    Demo {
        /// Write every request sent to Stripe into this file, one JSON object per line.
        #[arg(long, value_name = "FILE")]
        record: Option<PathBuf>,
        /// Over this DynamoDB on loopback instead of the embedded one; it must be empty.
        #[arg(long, value_name = "URL")]
        dynamodb: Option<String>,
        /// Over this SQS on loopback instead of the embedded one; it must be empty.
        #[arg(long, value_name = "URL")]
        sqs: Option<String>,
        /// What the shop speaks: the kind of a source in tandem.toml.
        #[arg(long, value_name = "KIND", default_value = "checkout")]
        speaks: String,
        /// Write what was said to order systems over GraphQL into this file, one JSON object per line.
        #[arg(long, value_name = "FILE")]
        graphql: Option<PathBuf>,
        /// Through the functions of a stack that was deployed to an emulator on loopback, described by this file
        /// (tests/deployed/run writes it).
        #[arg(long, value_name = "FILE", conflicts_with_all = ["dynamodb", "sqs", "speaks"])]
        deployed: Option<PathBuf>,
        /// With --deployed: instead of the stories, orders while the striker at this address breaks what is beneath the
        /// functions (tests/deployed/chaos).
        #[arg(long, value_name = "URL", requires = "deployed", hide = true)]
        trouble: Option<String>,
    },
    /// Keep the local stack up and print its addresses.
    Serve {
        /// Print the addresses as one line of JSON.
        #[arg(long)]
        json: bool,
    },
    /// Run the Stripe simulator by itself, for anybody's tests.
    Stripe {
        /// Port on loopback; 0 takes a free one.
        #[arg(long, default_value_t = 0)]
        port: u16,
        /// Where webhooks go; may be given more than once.
        #[arg(long, value_name = "URL")]
        forward_to: Vec<String>,
        /// Print how to reach it as one line of JSON.
        #[arg(long)]
        json: bool,
    },
    /// Every fact, decision and reason of an order, in words.
    Explain {
        /// The order's full key, or SHOP/ORDERID.
        order: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Cases that are left to people.
    #[command(subcommand)]
    Case(CaseCommand),
    /// Have an order looked at now: a hint to its owners, nothing is decided.
    Wake {
        /// The order's full key, or SHOP/ORDERID. One that nothing is known of is read and brought in.
        order: String,
    },
    /// What was signed and could not be used.
    #[command(subcommand)]
    Parked(ParkedCommand),
    /// Ask for a refund of part or all of an order.
    Refund {
        /// The order's full key, or SHOP/ORDERID.
        order: String,
        /// In the order's currency, for example 12.50.
        amount: String,
        /// Why, for the record.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        by: By,
        /// Ask although the same amount was asked for just before.
        #[arg(long)]
        again: bool,
    },
    /// Move messages from a dead letter queue back to its work queue.
    Redrive {
        /// orders, payments, refunds, failures, order-updates or notifications.
        queue: String,
        /// At most this many.
        #[arg(long, default_value_t = 1_000, value_name = "N")]
        max: u32,
    },
    /// Bring in orders from before the stack was deployed. Changes nothing without --apply.
    Import {
        /// Orders changed since then: 2026-11-01 or 2026-11-01T12:00:00Z.
        #[arg(long, value_name = "DATE")]
        since: String,
        /// Queue a hint for every order found.
        #[arg(long)]
        apply: bool,
    },
    /// Have the sweeper read Stripe and the order systems again from a time on: after a restore, or when hints were lost.
    Rewind {
        /// From then on: 2026-11-01 or 2026-11-01T12:00:00Z. Stripe lists the last 30 days.
        #[arg(long, value_name = "DATE")]
        since: String,
    },
    /// The stack's secrets.
    #[command(subcommand)]
    Secrets(SecretsCommand),
    /// The switch that stops every money call.
    #[command(subcommand)]
    Money(MoneyCommand),
    /// Make or correct the stack's webhook endpoint at Stripe, store its signing secret, and try the restricted keys. A key that
    /// may write webhook endpoints comes from standard input; it is used now and not kept.
    Connect {
        /// Which Stripe source of tandem.toml.
        #[arg(long, value_name = "NAME", default_value = "stripe")]
        source: String,
        /// Another endpoint in place of the one that is there: after a lost or leaked secret, or for another API version.
        #[arg(long)]
        replace: bool,
    },
    /// Check tandem.toml and the environment; lists every mistake.
    Check {
        /// Ask Stripe and the order systems as well: keys, permissions, currency, webhooks. Changes nothing there.
        #[arg(long)]
        live: bool,
        /// With --live: only the source of this name.
        #[arg(long, value_name = "NAME", requires = "live")]
        source: Option<String>,
    },
}

#[derive(Subcommand)]
enum CaseCommand {
    /// Open cases, oldest first.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// One case, or every case of an order.
    Show {
        /// The order's full key, or SHOP/ORDERID.
        order: String,
        /// The case's id.
        case: Option<String>,
    },
    /// Do what the case proposes.
    Approve(Decide),
    /// Leave it, and close the case.
    Deny(Decide),
}

#[derive(Subcommand)]
enum ParkedCommand {
    /// What is parked, oldest first.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Put one away that was dealt with.
    Remove {
        /// The source, as the list shows it.
        source: String,
        /// The id, as the list shows it.
        id: String,
        #[command(flatten)]
        by: By,
    },
}

#[derive(Args)]
struct Decide {
    /// The order's full key, or SHOP/ORDERID.
    order: String,
    /// The case's id.
    case: String,
    #[command(flatten)]
    by: By,
}

#[derive(Args)]
struct By {
    /// Who decides: stored with the decision.
    #[arg(long, value_name = "NAME")]
    by: String,
}

#[derive(Subcommand)]
enum SecretsCommand {
    /// Store a secret. The value is read from standard input, never from the command line.
    Put {
        /// The name that tandem.toml uses.
        name: String,
    },
}

#[derive(Subcommand)]
enum MoneyCommand {
    /// Let money calls through again.
    On(By),
    /// Stop every money call at once.
    Off(By),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli).await {
        Ok(code) => code,
        Err(failure) => {
            output::complain(&failure.to_string());
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let world = &cli.world;
    let demo = Command::Demo {
        record: None,
        dynamodb: None,
        sqs: None,
        speaks: "checkout".to_owned(),
        graphql: None,
        deployed: None,
        trouble: None,
    };
    match cli.command.unwrap_or(demo) {
        Command::Demo { record, dynamodb, sqs, speaks, graphql, deployed, trouble } => {
            let foreign = local::aws::Foreign::at(dynamodb.as_deref(), sqs.as_deref())?;
            let speaks = local::shop::Speaks::of(&speaks)
                .ok_or_else(|| format!("{speaks:?} is no kind of order system"))?;
            let deployed = match deployed {
                Some(file) => Some(world::deployed(&file).await?),
                None => None,
            };
            let options = local::demo::Options {
                record,
                foreign,
                speaks,
                graphql,
                deployed,
                trouble,
                ..Default::default()
            };
            let good = local::demo::run(options).await;
            return Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Serve { json } => local::serve::run(json).await?,
        Command::Stripe { port, forward_to, json } => verbs::stripe(port, forward_to, json).await?,
        Command::Check { live: false, .. } => return verbs::check(world),
        Command::Check { live: true, source } => return verbs::check_live(world, source.as_deref()).await,
        Command::Connect { source, replace } => return verbs::connect(world, &source, replace).await,
        Command::Explain { order, json } => verbs::explain(world, &order, json).await?,
        Command::Case(CaseCommand::List { json }) => verbs::case_list(world, json).await?,
        Command::Case(CaseCommand::Show { order, case }) => {
            verbs::case_show(world, &order, case.as_deref()).await?;
        }
        Command::Case(CaseCommand::Approve(d)) => {
            verbs::decide(world, &d.order, &d.case, true, &d.by.by).await?;
        }
        Command::Case(CaseCommand::Deny(d)) => {
            verbs::decide(world, &d.order, &d.case, false, &d.by.by).await?;
        }
        Command::Refund { order, amount, reason, by, again } => {
            verbs::refund(world, &order, &amount, &reason, &by.by, again).await?;
        }
        Command::Wake { order } => verbs::wake(world, &order).await?,
        Command::Parked(ParkedCommand::List { json }) => verbs::parked_list(world, json).await?,
        Command::Parked(ParkedCommand::Remove { source, id, by }) => {
            verbs::parked_remove(world, &source, &id, &by.by).await?;
        }
        Command::Redrive { queue, max } => verbs::redrive(world, &queue, max).await?,
        Command::Import { since, apply } => verbs::import(world, &since, apply).await?,
        Command::Rewind { since } => verbs::rewind(world, &since).await?,
        Command::Secrets(SecretsCommand::Put { name }) => verbs::secrets_put(world, &name).await?,
        Command::Money(MoneyCommand::On(by)) => verbs::money(world, true, &by.by).await?,
        Command::Money(MoneyCommand::Off(by)) => verbs::money(world, false, &by.by).await?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn without_a_command_it_is_the_demo_and_every_verb_parses() {
        Cli::command().debug_assert();
        assert!(Cli::try_parse_from(["tandem"]).unwrap().command.is_none());
        for line in [
            "tandem demo --record x.jsonl",
            "tandem demo --dynamodb http://127.0.0.1:8000 --sqs http://127.0.0.1:9324",
            "tandem serve --json",
            "tandem stripe --port 12111 --forward-to http://127.0.0.1:1/a --forward-to http://127.0.0.1:1/b --json",
            "tandem --local explain shop/1 --json",
            "tandem case list --stack prod --resources stack.json",
            "tandem case show shop/1",
            "tandem case approve shop/1 refund:shop:r1 --by Ada",
            "tandem refund shop/1 12.50 --reason gift --by Ada --again",
            "tandem redrive payments --max 5",
            "tandem wake shop/1",
            "tandem parked list --json",
            "tandem parked remove stripe evt_1 --by Ada",
            "tandem import --since 2026-11-01 --apply",
            "tandem rewind --since 2026-11-01T12:00:00Z",
            "tandem secrets put stripe-key",
            "tandem money off --by Ada",
            "tandem check",
            "tandem check --live --source stripe",
            "tandem connect --source stripe --replace --stack prod",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
    }

    #[test]
    fn nobody_decides_without_a_name_and_no_secret_is_taken_from_the_command_line() {
        for line in [
            "tandem case approve shop/1 c",
            "tandem refund shop/1 1.00 --reason x",
            "tandem refund shop/1 1.00 --by Ada",
            "tandem money off",
            "tandem parked remove stripe evt_1",
            "tandem secrets put stripe-key value",
            "tandem connect sk_test_1",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
