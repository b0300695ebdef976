//! The deliveries of WooCommerce, Shopify and Checkfront in `events/`, at a stack whose shop speaks the same.
//!
//! Invariant: as it is in the repository each is refused; proven as its system proves it, it leads to a payment page.

use local::shop::Speaks;
use local::stack::Options;
use shared::inbound::{shop, woo};
use shared::secrets::SecretString;

use super::*;

const CASES: [(Speaks, &str, &str); 3] = [
    (Speaks::Woo, "webhook-receiver/woocommerce-order-updated", "727"),
    (Speaks::Shopify, "webhook-receiver/shopify-orders-updated", "450789469"),
    (Speaks::Checkfront, "webhook-receiver/checkfront-booking", "KMVQ-060314"),
];
/// The secret in the path of Checkfront's file.
const PATH: &str = "0123456789abcdef0123456789abcdef";

fn proven(event: &mut Value, speaks: Speaks, source: &shared::config::ShopSource) {
    let secret = local_secrets::webhook_of("shop", speaks);
    let body = event["body"].as_str().unwrap().to_owned();
    let key = shop::secret(&source.system, &SecretString::from(secret.clone())).unwrap();
    let headers = event["headers"].as_object_mut().unwrap();
    match speaks {
        Speaks::Woo => headers.insert(woo::SIGNATURE_HEADER.into(), woo::sign(&key, body.as_bytes()).into()),
        Speaks::Shopify => {
            headers.insert("x-shopify-hmac-sha256".into(), woo::sign(&key, body.as_bytes()).into())
        }
        _ => {
            let path = event["rawPath"].as_str().unwrap().replace(PATH, &secret);
            event["requestContext"]["http"]["path"] = path.clone().into();
            event["rawPath"] = path.into();
            None
        }
    };
}

#[tokio::test(start_paused = true)]
async fn webhook_receiver_takes_what_each_order_system_proves_and_refuses_it_unproven() {
    for (speaks, file, shown) in CASES {
        let stack = Stack::start(Options { speaks, ..Options::in_process() }).await.unwrap();
        let id = unheard(&stack, euros(4_200, Some("anna")));
        let host = stack.bases.shop.trim_start_matches("http://");
        let (now, base) = (stack.clock.now().to_string(), stack.bases.shop.as_str());
        // A time of the file that is yet to come would name a state that cannot be read yet.
        let alive = match speaks {
            Speaks::Shopify => [("tea.myshopify.com", host), ("2026-11-21T09:00:00+01:00", &now)],
            // A booking's webhook names the account without a port, and no time.
            Speaks::Checkfront => [("tours.checkfront.com", host.split(':').next().unwrap()), (PATH, PATH)],
            _ => [("https://shop.example.com/", base), ("2026-11-21T08:00:00", now.trim_end_matches('Z'))],
        };
        let mut event = payload(file, &[&[(shown, id.as_str())], &alive[..]].concat());
        let refused = handed(&stack, event.clone()).await;
        assert!((400..500).contains(&refused.status), "{file} unproven: {}", refused.status);
        assert_eq!(stack.settle().await.unwrap().messages, 0, "{file}: what is refused sends nothing");
        proven(&mut event, speaks, stack.config.shop("shop").unwrap());
        assert_eq!(handed(&stack, event).await.status, 200, "{file}");
        stack.settle().await.unwrap();
        assert!(state(&stack, &id).await.live_session().is_some(), "{file}");
    }
}
