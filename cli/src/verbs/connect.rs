//! `tandem connect`: the webhook endpoint at Stripe, its signing secret in the secret store, and whether keys and receiver are
//! as they must be.
//!
//! Invariant: no money is moved. A new endpoint's secret is stored before the old endpoint goes, and an endpoint whose secret
//! could not be stored does not stay.

use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use shared::config::{CALLS_STRIPE, StripeSource};
use shared::inbound::{WebhookSecret, stripe::sign};
use shared::outbound::shop::Finding;
use shared::outbound::stripe::setup::{Endpoint, Step, step};
use shared::outbound::stripe::{STRIPE_VERSION, StripeClient};
use shared::secrets::SecretError;

use super::stack::{from_stdin, tell, verdict};
use crate::output::{Failure, say};
use crate::world::{World, WorldArgs};

/// A cold receiver answers within this.
const ANSWERS: Duration = Duration::from_secs(15);
const RECEIVER: &str = "webhook";
const KEY: &str = "restricted key";

/// Makes, corrects or replaces the endpoint of a Stripe source, then checks what `check --live` checks.
pub(crate) async fn connect(args: &WorldArgs, name: &str, replace: bool) -> Result<ExitCode, Failure> {
    let world = args.open_unnamed().await?;
    let config = world.engine.config.clone();
    let source =
        config.stripe(name).ok_or_else(|| format!("tandem.toml names no Stripe account [sources.{name}]"))?;
    let url = config.webhook_address(name).ok_or(
        "nobody says where the functions are reached: give --resources FILE (aws cloudformation describe-stacks \
         --stack-name STACK --query 'Stacks[0]' > FILE), or set [stack] public_url",
    )?;
    let secret = source.webhook_secrets.first().ok_or("[sources] names no webhook secret")?;
    let key = SecretString::from(from_stdin("connect")?.trim().to_owned());
    // Endpoints are the platform's own, also those that hear of connected accounts.
    let platform = StripeSource { connect: false, ..source.clone() };
    let client = world.engine.stripe_with(&platform, key)?;
    own_account(&client, source).await?;
    let stored = match world.engine.secrets.get(secret).await {
        Ok(_) => true,
        Err(SecretError::Missing { .. }) => false,
        Err(error) => return Err(error.into()),
    };
    let existing = client.list_endpoints().await?;
    match step(&existing, &url, stored, replace) {
        Step::Keep { id } => say(&format!("{id} sends what it must to {url}")),
        Step::Update { id, why } => {
            client.correct_endpoint(&id).await?;
            say(&format!("{id} is corrected: {why}"));
        }
        Step::Create => {
            let id = create(&world, &client, source, &url, secret).await?;
            say(&format!("{id} sends events to {url}; its signing secret is stored as {secret}"));
        }
        Step::Replace { id, why } if replace => {
            let new = create(&world, &client, source, &url, secret).await?;
            client.delete_endpoint(&id).await?;
            say(&format!("{new} takes the place of {id} ({why}); its signing secret is stored as {secret}"));
            say("what the old one had not delivered yet is found by the sweeper");
        }
        Step::Replace { id, why } => {
            return Err(format!(
                "{id} cannot stay: {why}; `tandem connect --replace < FILE` makes another one and takes this away"
            )
            .into());
        }
    }
    // Opened again: what was just stored is read from the store.
    let world = args.open_unnamed().await?;
    Ok(verdict(tell(name, "stripe", check_stripe(&world, source).await)))
}

/// A key of another account would make an endpoint that nobody asked for.
async fn own_account(client: &StripeClient, source: &StripeSource) -> Result<(), Failure> {
    let account = match client.get("/v1/account").await {
        Ok(answer) => answer.value["id"].as_str().unwrap_or_default().to_owned(),
        // A restricted key that may not see it may still write endpoints.
        Err(error) if error.status() == Some(403) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if source.connect || account == source.account {
        return Ok(());
    }
    Err(format!(
        "the key belongs to {account}, [sources.{}] and the stack's parameter StripeAccount name {}",
        source.name, source.account
    )
    .into())
}

async fn create(
    world: &World,
    client: &StripeClient,
    source: &StripeSource,
    url: &str,
    secret: &str,
) -> Result<String, Failure> {
    let Endpoint { id, secret: value, .. } = client.create_endpoint(url, source.connect).await?;
    let stored = match &value {
        Some(value) => crate::secrets::put(&world.sdk, &world.engine.config.secrets, secret, value).await,
        None => Err("Stripe gave no signing secret".into()),
    };
    match stored {
        Ok(()) => Ok(id),
        Err(error) => match client.delete_endpoint(&id).await {
            Ok(()) => Err(format!("{error}; the new endpoint {id} was taken away again").into()),
            Err(left) => {
                Err(format!("{error}; the new endpoint {id} stayed: delete it in the dashboard ({left})")
                    .into())
            }
        },
    }
}

/// Whether every function's key may do its part, and whether the receiver takes what Stripe would sign.
pub(super) async fn check_stripe(world: &World, source: &StripeSource) -> Vec<Finding> {
    let mut findings = Vec::new();
    for function in CALLS_STRIPE {
        let name = source.api_key_name(function).unwrap_or_default();
        let key = match world.engine.secrets.get(name).await {
            Ok(key) => key,
            Err(error) => {
                findings.push(unread(KEY, &error));
                continue;
            }
        };
        if key.expose_secret().starts_with("sk_") {
            let text =
                format!("{name} may do everything at Stripe; store a restricted key for {function} alone");
            findings.push(Finding::warning(KEY, text));
        }
        let checked = match world.engine.stripe_with(source, key) {
            Ok(client) => client.check_grants(function).await.map_err(|e| e.to_string()),
            Err(error) => Err(error.to_string()),
        };
        findings.extend(checked.unwrap_or_else(|why| vec![Finding::bad(KEY, format!("{name}: {why}"))]));
    }
    findings.push(receiver(world, source).await);
    findings
}

/// A secret that cannot be read by this operator is no proof that the functions cannot.
fn unread(what: &'static str, error: &SecretError) -> Finding {
    match error {
        SecretError::Store { .. } => Finding::warning(what, error.to_string()),
        SecretError::Missing { .. } | SecretError::Weak { .. } => Finding::bad(what, error.to_string()),
    }
}

/// Sends the receiver a signed event of a type that nothing uses: acknowledged, counted, and that is all.
async fn receiver(world: &World, source: &StripeSource) -> Finding {
    let Some(url) = world.engine.config.webhook_address(&source.name) else {
        return Finding::bad(
            RECEIVER,
            "set [stack] public_url, or give --resources: nobody says where events go",
        );
    };
    let Some(name) = source.webhook_secrets.first() else {
        return Finding::bad(RECEIVER, "[sources] names no webhook secret");
    };
    let secret = match world.engine.secrets.get(name).await {
        Ok(secret) => secret,
        Err(error) => return unread(RECEIVER, &error),
    };
    let Ok(secret) = WebhookSecret::stripe(&secret) else {
        return Finding::bad(RECEIVER, format!("{name} is no signing secret of Stripe (whsec_...)"));
    };
    let now = world.engine.clock.now();
    let event = json!({
        "id": format!("evt_tandem_check_{}", now.0),
        "object": "event",
        "type": "account.updated",
        "api_version": STRIPE_VERSION,
        "created": now.0,
        "livemode": source.livemode,
        "account": source.connect.then_some(&source.account),
        "data": { "object": { "id": source.account, "object": "account" } },
    });
    let body = event.to_string();
    let request = http::Request::post(&url)
        .header("content-type", "application/json")
        .header("stripe-signature", sign(&secret, body.as_bytes(), now))
        .body(Bytes::from(body));
    let Ok(request) = request else { return Finding::bad(RECEIVER, format!("{url} is no address")) };
    match world.engine.http.send(request, ANSWERS).await {
        Ok(answer) if answer.status().is_success() => {
            Finding::good(RECEIVER, format!("{url} takes a signed event"))
        }
        Ok(answer) => Finding::bad(
            RECEIVER,
            format!(
                "{url} answered {} to a signed event; a receiver that runs already holds an older secret for up to \
                 five minutes: `tandem check --live --source {}` asks again, its log says why",
                answer.status(),
                source.name
            ),
        ),
        Err(error) => Finding::bad(RECEIVER, format!("{url} gave no answer: {error}")),
    }
}
