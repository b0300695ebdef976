//! The pages a buyer reads. Plain HTML, no scripts; they show an amount and a standing, never a person.

use maud::{DOCTYPE, Markup, html};
use shared::domain::money::Money;
use shared::domain::state::State;
use shared::domain::view::PaymentStatus;
use shared::engine::Engine;
use shared::lambda::HttpReply;

const STYLE: &str = "body{font:17px/1.5 system-ui,sans-serif;margin:0;background:#f4f5f7;color:#1c2430}\
main{max-width:26rem;margin:12vh auto 0;padding:2rem;background:#fff;border-radius:12px;\
box-shadow:0 1px 4px #0002}h1{font-size:1.3rem;margin:0 0 .5rem}p{margin:.5rem 0}\
.amount{font-size:1.7rem;font-weight:600}button{font:inherit;font-weight:600;width:100%;padding:.8rem;border:0;\
border-radius:8px;background:#1f5eff;color:#fff;cursor:pointer;margin-top:1rem}a{color:#1f5eff}";

fn page(status: u16, title: &str, body: &Markup) -> HttpReply {
    let text = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                title { (title) }
                style { (maud::PreEscaped(STYLE)) }
            }
            body { main { h1 { (title) } (body) } }
        }
    };
    HttpReply::html(status, text.into_string())
        .with("cache-control", "no-store")
        .with("referrer-policy", "no-referrer")
        .with("x-content-type-options", "nosniff")
        // form-action governs the redirect after the button too, which leads to Stripe's host.
        .with(
            "content-security-policy",
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        )
}

/// No order answers to this link.
pub(crate) fn unknown() -> HttpReply {
    let body = html! { p { "This payment link is not known. Please check the address, or ask the shop for a new one." } };
    page(404, "Unknown payment link", &body)
}

/// Something failed on our side.
pub(crate) fn try_again() -> HttpReply {
    let body = html! { p { "The payment page cannot be opened right now. Nothing was charged. Please try again in a minute." } };
    page(503, "Please try again", &body).with("retry-after", "30")
}

/// How the order stands, when there is no live session.
pub(crate) fn standing(engine: &Engine, state: &State, token: &str) -> HttpReply {
    let Some(view) = &state.view else { return unknown() };
    let number = state.order.as_ref().map(|o| o.number.clone()).unwrap_or_default();
    let now = engine.clock.now();
    let due = Money::new(state.due(now), view.currency);
    let (title, words): (&str, &str) = match view.status {
        PaymentStatus::Paid => ("Paid", "Thank you, this order is paid."),
        PaymentStatus::Authorized => {
            ("Payment reserved", "The amount is reserved. It is taken when your order is fulfilled.")
        }
        PaymentStatus::Processing => {
            ("Payment on its way", "Your bank is confirming the payment. You need not do anything.")
        }
        PaymentStatus::Refunded => ("Refunded", "What you paid was refunded."),
        PaymentStatus::PartiallyRefunded => {
            ("Paid, partly refunded", "This order is paid and a part was refunded.")
        }
        PaymentStatus::Disputed => {
            ("Payment disputed", "The payment of this order is disputed with the bank. Please ask the shop.")
        }
        PaymentStatus::Cancelled => ("Order cancelled", "This order was cancelled. There is nothing to pay."),
        PaymentStatus::Review => {
            ("Payment under review", "The shop is looking at this payment. Please ask the shop.")
        }
        _ if state.payable(now) => ("Pay your order", ""),
        _ => ("Nothing to pay now", "There is nothing to pay for this order right now."),
    };
    let open = state.payable(now) && !matches!(view.status, PaymentStatus::Disputed | PaymentStatus::Review);
    let waiting = state.live_attempt().is_some_and(|(a, _)| !a.off_session)
        && state.claims.keys().any(|k| k.starts_with("session:"));
    let body = html! {
        @if !number.is_empty() { p { "Order " (number) } }
        @if !words.is_empty() { p { (words) } }
        @if open {
            p class="amount" { (due) }
            @if waiting {
                p { "The payment page is being prepared. Please reload in a moment." }
            }
            form method="post" action={ "/pay/" (token) } { button type="submit" { "Pay " (due) } }
        }
    };
    page(200, title, &body)
}
