//! The command behind `scripts/conformance`: asks every double, writes the page or compares it, and fails on a
//! difference that nobody has explained.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use conformance::check::Trouble;
use conformance::{Bench, Double, Row, differences, page};

/// Asks the doubles the same questions.
#[derive(Parser)]
struct Args {
    /// Amazon's DynamoDB Local.
    #[arg(long, value_name = "URL")]
    dynamodb_local: String,
    /// ElasticMQ.
    #[arg(long, value_name = "URL")]
    elasticmq: String,
    /// ministack.
    #[arg(long, value_name = "URL")]
    ministack: String,
    /// The page to write.
    #[arg(long, value_name = "FILE")]
    page: PathBuf,
    /// Write nothing; fail if the page is not what it would be.
    #[arg(long)]
    check: bool,
}

fn say(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// The embedded doubles and the simulator, on a clock that jumps; then the foreign ones, which need real time.
fn ask(args: &Args) -> Result<Vec<Row>, Trouble> {
    let virtual_time = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let mut rows = virtual_time.map_err(Trouble::new)?.block_on(async {
        let mut rows = conformance::run(&Bench::embedded().await?).await;
        rows.extend(conformance::run_stripe().await);
        Ok::<_, Trouble>(rows)
    })?;
    let real_time =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Trouble::new)?;
    let ask = async |(double, base): (Double, &String)| {
        let bench = Bench::foreign(double, base).await;
        let bench = bench.map_err(|e| Trouble::new(format!("{} at {base}: {e}", double.name())))?;
        Ok::<_, Trouble>(conformance::run(&bench).await)
    };
    let foreign = [
        (Double::DynamodbLocal, &args.dynamodb_local),
        (Double::Elasticmq, &args.elasticmq),
        (Double::Ministack, &args.ministack),
    ];
    for answered in real_time.block_on(futures::future::join_all(foreign.map(ask))) {
        rows.extend(answered?);
    }
    Ok(rows)
}

fn run(args: &Args) -> Result<bool, Trouble> {
    let rows = ask(args)?;
    let known = differences::known()?;
    let mut problems = differences::problems(&known, &rows);
    let text = page::page(&rows, &known);
    if args.check {
        if std::fs::read_to_string(&args.page).unwrap_or_default() != text {
            problems.push(format!(
                "{} is not what the doubles do: run scripts/conformance and read the diff",
                args.page.display()
            ));
        }
    } else {
        std::fs::write(&args.page, text).map_err(Trouble::new)?;
    }
    let same = rows.iter().filter(|row| row.agrees()).count();
    say(&format!(
        "conformance: {} questions asked, {same} answered as documented, {} otherwise, {} problem(s)",
        rows.len(),
        rows.len() - same,
        problems.len()
    ));
    for problem in &problems {
        say(&format!("  - {problem}"));
    }
    Ok(problems.is_empty())
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(trouble) => {
            say(&format!("conformance broke off: {trouble}"));
            ExitCode::FAILURE
        }
    }
}
