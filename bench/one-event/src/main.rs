//! One payment without its calls: the webhook is verified and read, Stripe's answer and the order's stored facts are parsed, folded, and
//! what follows is planned. `bench/instructions` counts what each of them executes; `one-event PART TIMES` is one part, so often.
//!
//! Invariant: each result is looked at, so that a mistake does not pass for a saving.
//!
//! The fixtures are of an order of the demo shop, paid on the simulator's page: its facts before the payment, the event, and the intent
//! as Stripe shows it.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::process::ExitCode;

use secrecy::SecretString;
use shared::config::StripeSource;
use shared::domain::fact::{Fact, StoredFact, What};
use shared::domain::ids::Function;
use shared::domain::plan::{Reason, plan};
use shared::domain::policy::Policy;
use shared::domain::state::{State, fold};
use shared::domain::time::UnixTime;
use shared::engine::seen;
use shared::inbound::stripe::{read, sign, verify};
use shared::inbound::{Reading, WebhookSecret};
use shared::outbound::stripe::objects::PaymentIntent;

const EVENT: &str = include_str!("../fixtures/event.json");
const INTENT: &str = include_str!("../fixtures/intent.json");
const FACTS: &str = include_str!("../fixtures/facts.jsonl");
/// Of the payment.
const NOW: UnixTime = UnixTime(1_795_325_374);

type Failure = Box<dyn std::error::Error>;

/// The facts of the order, and what Stripe's answer adds to them.
fn parse(intent: &str, facts: &str) -> Result<Vec<Fact>, Failure> {
    let mut out = Vec::new();
    for line in facts.lines() {
        out.push(StoredFact::parse(line.to_owned())?.fact);
    }
    let seen = seen::intent(&serde_json::from_str::<PaymentIntent>(intent)?)?;
    out.extend(seen.into_iter().map(new_fact));
    Ok(out)
}

fn new_fact(what: What) -> Fact {
    Fact {
        id: "new.0".into(),
        at: NOW,
        by: "payment-recorder/0".into(),
        corr: "c".into(),
        hint: None,
        why: Reason::Observed.name().to_owned(),
        policy: String::new(),
        prev: String::new(),
        what,
    }
}

fn state(facts: &[Fact]) -> State {
    fold(facts, &BTreeMap::new())
}

fn source() -> StripeSource {
    StripeSource {
        name: "stripe".into(),
        account: "acct_local".into(),
        connect: false,
        livemode: false,
        base_url: "https://api.stripe.com".into(),
        api_keys: BTreeMap::new(),
        webhook_secrets: Vec::new(),
    }
}

fn run(part: &str, times: u32) -> Result<(), Failure> {
    let secret = WebhookSecret::stripe(&SecretString::from("whsec_of_the_bench_and_of_nothing_else"))?;
    let (secrets, source, policy) = ([secret], source(), Policy::default());
    let header = sign(&secrets[0], EVENT.as_bytes(), NOW);
    let facts = parse(INTENT, FACTS)?;
    let folded = state(&facts);
    for _ in 0..times {
        let good = match part {
            "verify" => {
                let verified = verify(black_box(&header), black_box(EVENT.as_bytes()), &secrets, NOW);
                verified.is_ok() && matches!(read(&source, black_box(EVENT.as_bytes())), Reading::Hint { .. })
            }
            "parse" => parse(black_box(INTENT), black_box(FACTS))?.len() == 9,
            "fold" => state(black_box(&facts)).attempts.len() == 1,
            "plan" => {
                let actions = plan(black_box(&folded), &policy, NOW);
                actions.iter().any(|action| action.owner == Some(Function::OrderUpdater))
            }
            other => return Err(format!("no part {other:?}: verify, parse, fold or plan").into()),
        };
        if !good {
            return Err(format!("{part} came to another result").into());
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let (part, times) = (words.next().unwrap_or_default(), words.next().and_then(|n| n.parse().ok()));
    match run(&part, times.unwrap_or(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("one-event: {error}");
            ExitCode::FAILURE
        }
    }
}
