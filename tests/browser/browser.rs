//! A buyer's way through the pages, in headless Chromium: place an order, be declined, pay, see it paid; then once more
//! at the width of a phone.
//!
//! Needs `chromium` and `chromedriver`, and the command `tandem` built; `.ci/run browser` sees to both.

mod stack;

use std::time::Duration;

use browser::page::{Page, Wanted};
use stack::{Driver, Stack};

const DECLINED: &str = "4000000000000002";
const ACCEPTED: &str = "4242424242424242";

/// Webhooks, queues and the write-back happen behind the page.
const SETTLING: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_buyer_places_an_order_is_declined_and_pays() {
    let stack = Stack::start().unwrap();
    let driver = Driver::start().unwrap();
    let page = Page::open(driver.url(), driver.profile()).await.unwrap();
    let story = buy(&page, &stack.addresses.shop, true).await;
    let phone = match &story {
        Ok(_) => at_phone_width(&page, &stack.addresses.shop).await,
        Err(_) => Ok(()),
    };
    if story.is_err() || phone.is_err() {
        eprintln!("{}", page.describe().await);
    }
    page.close().await;
    story.unwrap();
    phone.unwrap();
}

/// Places an order on the shop's page and pays it; `decline` first tries a card that is refused.
async fn buy(page: &Page, shop: &str, decline: bool) -> Result<(), String> {
    page.goto(shop).await?;
    page.fill_empty_fields().await?;
    page.submit().await?;
    // The link is written back by the chain: webhook, queue, attempt, session, write-back.
    page.reload_until(SETTLING, Wanted::Element("a[href*='/pay/']")).await?;
    let order = page.url().await?;
    page.click("a[href*='/pay/']").await?;
    page.until(SETTLING, Wanted::Element("input[name=card_number]")).await?;
    if decline {
        page.fill("input[name=card_number]", DECLINED).await?;
        page.submit_form_of("input[name=card_number]").await?;
        page.until(SETTLING, Wanted::Text("declined")).await?;
    }
    page.fill("input[name=card_number]", ACCEPTED).await?;
    page.submit_form_of("input[name=card_number]").await?;
    page.until(SETTLING, Wanted::Gone("input[name=card_number]")).await?;
    page.goto(&order).await?;
    // The tag, not any word: the page also has a row called "Paid".
    page.reload_until(SETTLING, Wanted::Element("#payment .tag.paid")).await
}

/// On 390 x 844: nothing is cut off at the side, and the whole way works.
async fn at_phone_width(page: &Page, shop: &str) -> Result<(), String> {
    page.resize(390, 844).await?;
    page.goto(shop).await?;
    page.fits().await?;
    page.screenshot("shop-phone.png").await?;
    buy(page, shop, false).await?;
    page.fits().await?;
    page.screenshot("paid-phone.png").await
}
