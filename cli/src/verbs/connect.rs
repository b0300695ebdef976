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
use shared::domain::ids::Function;
use shared::inbound::{WebhookSecret, stripe::sign};
use shared::outbound::shop::Finding;
use shared::outbound::stripe::setup::{Endpoint, KEY, Step, others, step};
use shared::outbound::stripe::{STRIPE_VERSION, StripeClient, StripeError};
use shared::secrets::SecretError;

use super::stack::{from_stdin, tell, verdict};
use crate::output::{Failure, say};
use crate::world::{World, WorldArgs};

/// A cold receiver answers within this.
const ANSWERS: Duration = Duration::from_secs(15);
const RECEIVER: &str = "webhook";

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
    let client = platform(&world, source)?;
    if account_of(&client, source).await?.is_none() {
        say("this key may not see which account it belongs to: that is not checked");
    }
    let stored = match world.engine.secrets.get(secret).await {
        Ok(value) => Some(value),
        Err(SecretError::Missing { .. } | SecretError::Weak { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let existing = client.list_endpoints().await.map_err(may_not_write)?;
    let setup = Setup { args, client: &client, source, url: &url, secret };
    match step(&existing, &url, stored.is_some(), replace) {
        Step::Keep { id } => {
            say(&format!("{id} sends what it must to {url}"));
            doubts(&existing, &url, &id, stored.as_ref());
        }
        Step::Update { id, why } => {
            client.correct_endpoint(&id).await.map_err(may_not_write)?;
            say(&format!("{id} is corrected: {why}"));
            doubts(&existing, &url, &id, stored.as_ref());
        }
        Step::Create => {
            let id = setup.create(&world).await?;
            say(&format!("{id} sends events to {url}; its signing secret is stored as {secret}"));
        }
        Step::Replace { why, .. } if replace => {
            let new = setup.create(&world).await?;
            say(&format!("{new} sends events to {url} ({why}); its signing secret is stored as {secret}"));
            setup.take_away(&new, &others(&existing, &url, &new)).await?;
        }
        Step::Replace { id, why } => {
            return Err(format!(
                "{id} cannot stay: {why}; `tandem connect --replace < FILE` makes another one and takes this away"
            )
            .into());
        }
        Step::Refuse => return Err(setup.refusal()),
    }
    // Opened again: what was just stored is read from the store.
    let world = args.open_unnamed().await?;
    Ok(verdict(tell(name, "stripe", check_stripe(&world, source).await)))
}

/// A client of the key from standard input. Endpoints are the platform's own, also those that hear of connected accounts.
fn platform(world: &World, source: &StripeSource) -> Result<StripeClient, Failure> {
    let key = from_stdin("connect")?;
    let mode = if source.livemode { "live" } else { "test" };
    if ![format!("sk_{mode}_"), format!("rk_{mode}_")].iter().any(|kind| key.trim().starts_with(kind)) {
        return Err(format!(
            "what came from standard input is no {mode} key of Stripe (sk_{mode}_... or rk_{mode}_...), and \
             [sources.{}] is in {mode} mode",
            source.name
        )
        .into());
    }
    let own = StripeSource { connect: false, ..source.clone() };
    Ok(world.engine.stripe_with(&own, SecretString::from(key.trim().to_owned()))?)
}

/// The account of a key, if it may see it. One of another account would make an endpoint, or a charge, that nobody asked for.
async fn account_of(client: &StripeClient, source: &StripeSource) -> Result<Option<String>, Failure> {
    let account = match client.get("/v1/account").await {
        Ok(answer) => answer.value["id"].as_str().unwrap_or_default().to_owned(),
        Err(error) if error.status() == Some(403) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if source.connect || account == source.account {
        return Ok(Some(account));
    }
    Err(format!(
        "the key belongs to {account}; [sources.{}] or the stack's parameter StripeAccount names {}",
        source.name, source.account
    )
    .into())
}

fn may_not_write(error: StripeError) -> Failure {
    match error.status() {
        Some(403) => "the key needs Webhook Endpoints: Write".into(),
        _ => error.into(),
    }
}

/// Says what cannot be seen, or is one too many.
fn doubts(existing: &[Endpoint], url: &str, id: &str, stored: Option<&SecretString>) {
    let made_with = |e: &Endpoint| stored.and_then(|secret| e.made_with(secret.expose_secret()));
    match existing.iter().find(|e| e.id == id).and_then(made_with) {
        Some(true) => {}
        Some(false) => say(
            "the stored signing secret is not the one it was made with: right if it was rolled since; if not, --replace",
        ),
        None => say("whether the stored signing secret is its own cannot be seen; --replace makes sure"),
    }
    for other in others(existing, url, id) {
        say(&format!("{other} sends to the same address: delete it in the dashboard, or --replace"));
    }
}

/// What a new endpoint needs.
struct Setup<'a> {
    args: &'a WorldArgs,
    client: &'a StripeClient,
    source: &'a StripeSource,
    url: &'a str,
    secret: &'a str,
}

impl Setup<'_> {
    /// Makes an endpoint and stores its secret; its id.
    async fn create(&self, world: &World) -> Result<String, Failure> {
        let made = self.client.create_endpoint(self.url, self.source.connect).await.map_err(may_not_write)?;
        let Endpoint { id, secret: Some(value), .. } = made else {
            return Err(self.undo(&made.id, "Stripe gave no signing secret").await);
        };
        let put = crate::secrets::put(&world.sdk, &world.engine.config.secrets, self.secret, &value).await;
        if let Err(error) = put {
            // It may be stored all the same.
            let now = self.args.open_unnamed().await?.engine.secrets.get(self.secret).await;
            match now {
                Ok(now) if now.expose_secret() == value => {}
                Ok(_) | Err(SecretError::Missing { .. } | SecretError::Weak { .. }) => {
                    return Err(self.undo(&id, &error.to_string()).await);
                }
                Err(_) => {
                    return Err(format!(
                        "{error}; whether the secret of the new endpoint {id} is stored cannot be seen: when the \
                         secret store answers again, `tandem connect --replace < FILE`"
                    )
                    .into());
                }
            }
        }
        if let Err(error) = self.client.mark_endpoint(&id, &value).await {
            say(&format!("{id} could not be marked with its secret's mark ({error}); it works without"));
        }
        Ok(id)
    }

    /// The key's account has no endpoint for our address, and yet a secret is stored.
    fn refusal(&self) -> Failure {
        format!(
            "{} is stored, but the key's account has no endpoint for {}: is it the key of another account, or has the \
             address changed? `tandem connect --replace < FILE` makes one and replaces the stored secret",
            self.secret, self.url
        )
        .into()
    }

    /// Takes away the endpoints that `new` replaces.
    async fn take_away(&self, new: &str, olds: &[&str]) -> Result<(), Failure> {
        for old in olds {
            self.client.delete_endpoint(old).await.map_err(|error| {
                format!("{new} is in use, but {old} stayed: delete it in the dashboard ({error})")
            })?;
            say(&format!("{old} is taken away; what it had not delivered yet is found by the sweeper"));
        }
        Ok(())
    }

    /// Takes a new endpoint away whose secret nobody has.
    async fn undo(&self, id: &str, why: &str) -> Failure {
        match self.client.delete_endpoint(id).await {
            Ok(()) => format!("{why}; the new endpoint {id} was taken away again").into(),
            Err(left) => {
                format!("{why}; the new endpoint {id} stayed: delete it in the dashboard ({left})").into()
            }
        }
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
        let checked = check_key(world, source, function, key).await;
        findings.extend(checked.unwrap_or_else(|why| vec![Finding::bad(KEY, format!("{name}: {why}"))]));
    }
    findings.push(receiver(world, source).await);
    findings
}

async fn check_key(
    world: &World,
    source: &StripeSource,
    function: Function,
    key: SecretString,
) -> Result<Vec<Finding>, Failure> {
    let client = world.engine.stripe_with(source, key)?;
    account_of(&client, source).await?;
    Ok(client.check_grants(function).await?)
}

/// A secret that cannot be read by this operator is no proof that the functions cannot.
pub(super) fn unread(what: &'static str, error: &SecretError) -> Finding {
    match error {
        SecretError::Store { reason, .. } if reason.contains("AccessDenied") => {
            Finding::warning(what, format!("{error}: this is not looked at"))
        }
        _ => Finding::bad(what, error.to_string()),
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
            // Events of another mode or account are acknowledged too, counted as WrongWorld: an alarm watches that.
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
