//! Secrets of the local stack, made at run time so that no scanner takes them for real ones.

use base64::Engine as _;
use shared::domain::ids::Function;

use crate::shop::Speaks;

/// The simulator's secret key, which may do everything: people and the world around the functions use it.
pub fn stripe_key() -> String {
    ["sk", "test", "local", "0123456789"].join("_")
}
/// The restricted key of a function.
pub fn stripe_key_of(function: Function) -> String {
    ["rk", "test", "local", &function.name().replace('-', "_"), "0123456789"].join("_")
}
/// Signs the simulator's webhooks.
pub fn stripe_webhook() -> String {
    ["whsec", "local_simulator_secret_of_the_demo"].join("_")
}
/// Signs the shop's webhooks.
pub fn shop_webhook() -> String {
    standard("the demo shop signs its notices with this")
}
/// Signs Tandem's notices to the shop.
pub fn notice() -> String {
    standard("tandem signs its notices to the demo shop")
}
/// Opens the shop's API.
pub fn shop_token() -> String {
    ["local", "demo", "shop", "token"].join("-")
}
fn standard(words: &str) -> String {
    let bytes = words.as_bytes().get(..32).unwrap_or(words.as_bytes());
    format!("whsec_{}", base64::engine::general_purpose::STANDARD.encode(bytes))
}
/// Signs the webhooks of any other shop, as its kind does.
pub fn webhook_of(name: &str, speaks: Speaks) -> String {
    match speaks {
        // Stands in the webhook's path.
        Speaks::Checkfront => ["path", name, "of", "the", "local", "stack", "0123456789"].join("-"),
        Speaks::Checkout => standard(&format!("{name} signs its own notices with this one")),
        Speaks::Woo => format!("{name}-signs-its-webhooks-with-'this'&\"nothing-else\""),
        Speaks::Shopify => ["client", "secret", "of", "the", "app", "in", name].join("-"),
    }
}
/// Opens the API of any other shop, as its kind asks for it.
pub fn key_of(name: &str, speaks: Speaks) -> String {
    match speaks {
        Speaks::Woo => [["ck", name].join("_"), ["cs", "local", name].join("_")].join(":"),
        Speaks::Checkfront => format!("local-{name}-key:local-{name}-secret"),
        Speaks::Checkout | Speaks::Shopify => ["local", name, "token"].join("-"),
    }
}
