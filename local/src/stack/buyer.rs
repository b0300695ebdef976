//! A buyer with a browser: follows the stable link, fills in the payment page, reads what it says.

use std::time::Duration;

use bytes::Bytes;
use shared::outbound::http::{HttpRequest, HttpResponse};

use super::{Error, Stack};
use crate::shop::Shop;

const TIMEOUT: Duration = Duration::from_secs(30);

/// What the payment page said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Paid {
    /// The buyer was sent back to this address.
    Returned(String),
    /// The page shows again, with its text.
    Page(String),
}

impl Stack {
    async fn get(&self, url: &str) -> Result<HttpResponse, Error> {
        let request: HttpRequest = http::Request::get(url).body(Bytes::new())?;
        Ok(self.http.send(request, TIMEOUT).await?)
    }

    async fn post(&self, url: &str, body: String) -> Result<HttpResponse, Error> {
        let request: HttpRequest = http::Request::post(url)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Bytes::from(body))?;
        Ok(self.http.send(request, TIMEOUT).await?)
    }

    /// The stable link that the order system shows for an order.
    pub fn pay_link(&self, order_id: &str) -> Result<String, Error> {
        link_at(&self.shop, order_id)
    }

    /// Opens the stable link; the address it leads to, or the page's text when it leads nowhere.
    pub async fn open_link(&self, link: &str) -> Result<Result<String, String>, Error> {
        Ok(led(&self.get(link).await?))
    }

    /// Presses the button behind the stable link.
    pub async fn press_button(&self, link: &str) -> Result<Result<String, String>, Error> {
        Ok(led(&self.post(link, String::new()).await?))
    }

    /// Pays an open session with a card number.
    pub async fn pay_session(&self, session_url: &str, card: &str) -> Result<Paid, Error> {
        let form = format!("card_number={card}&exp=12%2F34&cvc=123");
        let answer = self.post(session_url, form).await?;
        Ok(match led(&answer) {
            Ok(url) => Paid::Returned(url),
            Err(text) => Paid::Page(text),
        })
    }

    /// Opens the order's link, presses the button if there is no session, and pays with `card`.
    pub async fn pay(&self, order_id: &str, card: &str) -> Result<Paid, Error> {
        self.pay_at(&self.shop, order_id, card).await
    }

    /// The same for an order of any shop.
    pub async fn pay_at(&self, shop: &Shop, order_id: &str, card: &str) -> Result<Paid, Error> {
        let link = link_at(shop, order_id)?;
        let session = match self.open_link(&link).await? {
            Ok(url) => url,
            Err(_) => self.press_button(&link).await?.map_err(|page| format!("no session: {page}"))?,
        };
        self.pay_session(&session, card).await
    }
}

fn link_at(shop: &Shop, order_id: &str) -> Result<String, Error> {
    let order = shop.order(order_id).ok_or("no such order")?;
    let view = order.payment.ok_or("the order was told nothing yet")?;
    Ok(view.payment_url.ok_or("the order shows no payment link")?)
}

fn led(answer: &HttpResponse) -> Result<String, String> {
    let to = answer.headers().get(http::header::LOCATION).and_then(|l| l.to_str().ok());
    match to {
        Some(url) if answer.status().is_redirection() => Ok(url.to_owned()),
        _ => Err(String::from_utf8_lossy(answer.body()).into_owned()),
    }
}
