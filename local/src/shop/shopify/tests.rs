//! The store as the adapter, the receiver's rules and a forger see it.

use std::sync::{Arc, Mutex as StdMutex};
use std::time::Duration;

use http::HeaderMap;
use secrecy::SecretString;
use shared::clock::Clock;
use shared::config::shopify::{PartPayments, RefundRecords, Shopify as Settings};
use shared::config::{ShopSource, System};
use shared::domain::money::Currency;
use shared::domain::order::{Collection, ReportedRefund};
use shared::domain::view::{PaymentStatus, PaymentView, RefundLine};
use shared::outbound::http::{Http, SendError, SendFuture};
use shared::outbound::shop::{Finding, HookState, OrderSystem as _, Severity, ShopError, Telling, Told};
use shared::outbound::shopify::ShopifyClient;

use super::*;
use crate::shop::{NewOrder, Speaks};

const START: UnixTime = UnixTime(1_800_000_000);
const ADDRESS: &str = "http://tandem.test/webhooks/shop";

fn store() -> Shop {
    let config = ShopConfig {
        name: "shop".into(),
        speaks: Speaks::Shopify,
        public_url: "http://tea.test".into(),
        api_token: "token-for-tests".into(),
        webhook_url: ADDRESS.into(),
        webhook_secret: "the client secret of an app".into(),
        notice_secret: format!("whsec_{}", "b".repeat(32)),
    };
    Shop::new(Clock::tokio_from(START), config)
}

fn eur() -> Currency {
    Currency::parse("EUR").unwrap()
}

fn placed(shop: &Shop) -> String {
    shop.place(NewOrder::simple(eur(), 1250, Some("c1"))).unwrap().id
}

/// The seam with the store beneath it.
struct Beneath(Shop);

impl Http for Beneath {
    fn send(&self, request: HttpRequest, _: Duration) -> SendFuture<'_> {
        Box::pin(async move { Ok(self.0.handle(request).await) })
    }
}

fn client(shop: &Shop) -> ShopifyClient {
    client_with(shop, Settings::defaults(false), "token-for-tests")
}

fn client_with(shop: &Shop, settings: Settings, token: &str) -> ShopifyClient {
    let source = ShopSource {
        name: "shop".into(),
        base_url: shop.base().to_owned(),
        stripe: "stripe".into(),
        api_key: "shop-token".into(),
        webhook_secrets: vec![],
        system: System::Shopify(settings),
    };
    ShopifyClient::new(Arc::new(Beneath(shop.clone())), source, SecretString::from(token.to_owned()))
}

#[tokio::test(start_paused = true)]
async fn a_new_order_is_read_as_it_was_placed() {
    let shop = store();
    let id = placed(&shop);
    let order = client(&shop).get_order(&id).await.unwrap();
    assert_eq!((order.total, order.version, order.paid), (1250, 1_800_000_000, Some(0)));
    let page = client(&shop).list(START, None).await.unwrap();
    assert_eq!((page.orders.len(), page.as_of, page.next_cursor), (1, START, None));
}
