//! What a person has to mend before an account works with Tandem. Changes nothing.

use super::{CheckfrontClient, read};
use crate::domain::time::UnixTime;
use crate::inbound::checkfront::{host_of, word};
use crate::outbound::shop::{Finding, Severity, ShopError};
use crate::outbound::stripe::form::Form;

/// No booking was ever changed in the year 9999: an empty page proves the right to list.
const NEVER: UnixTime = UnixTime(253_370_764_800);

/// See [`super::OrderSystem::check`].
pub(super) async fn check(client: &CheckfrontClient, address: &str) -> Vec<Finding> {
    let reached = ping(client).await;
    if reached.severity == Severity::Bad {
        return vec![reached];
    }
    let mut found = vec![reached];
    found.push(currency(client).await);
    found.push(listing(client).await);
    found.push(notes(client).await);
    found.push(Finding::warning(
        "permission to write",
        "cannot be tried without changing a booking; the API key's account must be allowed to change a booking's status and \
         to add notes (Manage > Accounts)",
    ));
    found.extend(webhook(client, address));
    if client.settings.custom_fields {
        found.push(Finding::warning(
            "custom_fields",
            "booking fields named tandem_.. decide how a booking is paid and refunded: they must be for staff only in \
             Manage > Layout > Booking form, never for customers",
        ));
    }
    if client.settings.import_body.is_some() {
        found.push(Finding::warning(
            "import_v4",
            "API v4 is hardly documented: try it on a booking of a test account first; amounts are compared before each import",
        ));
    }
    found
}

async fn ping(client: &CheckfrontClient) -> Finding {
    match client.get("ping", &Form::new(), "").await {
        Ok(answer) => {
            let zone = word(answer.body.pointer("/pong/timezone"));
            let zone = if zone.is_empty() { "not said".to_owned() } else { zone };
            Finding::good("API v3", format!("the key is accepted; the account's time zone is {zone}"))
        }
        Err(ShopError::NotJson { .. }) => Finding::bad(
            "API v3",
            "a page instead of JSON: base_url must be the account's own, https://NAME.checkfront.com",
        ),
        Err(error) => {
            let text = format!(
                "{error}; make a key in Manage > Developer > New Application with authentication by token, and store it as \
                 KEY:SECRET under {:?}",
                client.source.api_key
            );
            Finding::bad("API v3", text)
        }
    }
}

async fn currency(client: &CheckfrontClient) -> Finding {
    let read = match client.get("company", &Form::new(), "").await {
        Ok(answer) => read::company(&answer),
        Err(error) => Err(error),
    };
    match (read, client.settings.currency) {
        (Ok(is), Some(wanted)) if is != wanted => Finding::bad(
            "currency",
            format!(
                "the account is in {is} and the configuration says {wanted}: every booking would be refused"
            ),
        ),
        (Ok(is), _) => {
            Finding::good("currency", format!("{is}, with {} decimals in ISO 4217", is.iso_exponent()))
        }
        (Err(error), _) => Finding::bad("currency", format!("GET company: {error}")),
    }
}

async fn listing(client: &CheckfrontClient) -> Finding {
    match client.page(NEVER, 1).await {
        Ok(_) => Finding::good("listing", "changed bookings can be listed"),
        Err(error) => {
            Finding::bad("listing", format!("{error}; the API key's account must be allowed to see bookings"))
        }
    }
}

async fn notes(client: &CheckfrontClient) -> Finding {
    let read = client.get("booking/notes", &Form::new().set("limit", 1), "").await;
    match read.and_then(|answer| answer.rows(&["notes", "booking/notes"]).map(|_| ())) {
        Ok(()) => Finding::good("notes", "can be read: what was told is kept there"),
        Err(error) => {
            Finding::bad("notes", format!("{error}; the API key's account must be allowed to see notes"))
        }
    }
}

/// The address without its secret: that must not stand in a terminal or a log.
fn webhook(client: &CheckfrontClient, address: &str) -> Vec<Finding> {
    let names = client.source.webhook_secrets.first().map_or("webhook_secrets", String::as_str);
    let text = format!(
        "Checkfront cannot be asked. In Manage > Developer > Webhooks make one of the kind JSON to {address}/SECRET, where SECRET is \
         the value stored as {names:?} (`openssl rand -hex 32` makes one; 24 bytes is the least), for Booking Modified and New \
         Payment/Refund. Booking Status Change would only tell the same again. It is switched off after 5 failures in a row, \
         and nobody is told: look there when bookings come late. They must come from {}",
        host_of(&client.source.base_url)
    );
    let mut found = vec![Finding::warning("webhook", text)];
    if !address.starts_with("https://") {
        found.push(Finding::warning(
            "webhook address",
            "the secret is part of the address: without https:// everybody on the way reads it",
        ));
    }
    found
}
