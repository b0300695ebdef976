//! The hosted pages: pay a session, authenticate a payment. Plain HTML that works without scripts.

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use shared::outbound::http::{HttpRequest, HttpResponse};

use super::StripeSim;
use super::checkout::Typed;
use super::form::Form;
use super::money::print;
use super::objects::{IntentStatus, Session};
use super::world::World;

const STYLE: &str = "
body{margin:0;background:#f2f4f7;color:#1f2733;font:16px/1.5 system-ui,sans-serif}
main{max-width:26rem;margin:3rem auto;padding:2rem;background:#fff;border-radius:12px;box-shadow:0 4px 24px #1f273322}
h1{margin:0 0 1rem;font-size:1.75rem}
table{width:100%;border-collapse:collapse;margin-bottom:1.25rem}
td{padding:.35rem 0;border-bottom:1px solid #e6e9ee}
td:last-child{text-align:right;white-space:nowrap}
label{display:block;margin:.75rem 0 .25rem;font-size:.9rem;color:#556070}
input{box-sizing:border-box;width:100%;padding:.6rem .7rem;border:1px solid #c9d0da;border-radius:8px;font:inherit}
.row{display:flex;gap:1rem}.row>div{flex:1}
button{width:100%;margin-top:1.25rem;padding:.75rem;border:0;border-radius:8px;background:#4b55d6;color:#fff;font:inherit;font-weight:600;cursor:pointer}
button.quiet{background:#e6e9ee;color:#1f2733;margin-top:.75rem}
.alert{padding:.7rem .9rem;border-radius:8px;background:#fdecec;color:#a12622}
.note{font-size:.85rem;color:#778294}
a{color:#4b55d6}
";

impl StripeSim {
    /// Answers everything that is not the API.
    pub(crate) fn page(&self, request: &HttpRequest) -> HttpResponse {
        let path = request.uri().path().to_owned();
        let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
        let form = Form::parse(&String::from_utf8_lossy(request.body()));
        let mut world = self.world();
        world.catch_up();
        match (request.method(), &parts[..]) {
            (&Method::GET, ["c", "pay", id]) => session_page(&world, id, None),
            (&Method::POST, ["c", "pay", id]) => pay(&mut world, id, &form),
            (&Method::GET, ["c", "authenticate", id]) => authentication_page(&world, id),
            (&Method::POST, ["c", "authenticate", id]) => authenticate(&mut world, id, &form),
            (&Method::GET, []) => answer(StatusCode::OK, "Stripe simulator", &home(&world)),
            _ => answer(StatusCode::NOT_FOUND, "Not found", &html! { p { "There is no such page." } }),
        }
    }
}

fn home(world: &World) -> Markup {
    html! {
        p { "The API is under " code { "/v1" } "." }
        h2 { "Open sessions" }
        ul {
            @for s in world.sessions.rows().iter().rev().filter(|s| s.status == "open").take(20) {
                li { a href=(format!("/c/pay/{}", s.id)) { (print(s.amount_total, &s.currency)) } }
            }
        }
    }
}

/// The page of a session as it stands. `failed` decides the status of the answer to a payment that failed.
fn session_page(world: &World, id: &str, failed: Option<&str>) -> HttpResponse {
    let Some(s) = world.sessions.get(id) else {
        return answer(StatusCode::NOT_FOUND, "Not found", &html! { p { "There is no such payment page." } });
    };
    match s.status.as_str() {
        "open" => {
            let waiting = s.payment_intent.as_deref().and_then(|i| world.intents.get(i));
            let waiting = waiting.is_some_and(|i| i.status == IntentStatus::RequiresAction);
            let notice = failed.or(s.notice.as_deref());
            let status = if failed.is_some() { StatusCode::PAYMENT_REQUIRED } else { StatusCode::OK };
            let body = if waiting { authentication_form() } else { card_form(s, notice) };
            answer(status, &print(s.amount_total, &s.currency), &html! { (lines(s)) (body) (cancel_link(s)) })
        }
        "complete" => {
            let next = success_url(s);
            answer(
                StatusCode::OK,
                "Thank you",
                &html! {
                    p #paid { "This payment is complete." }
                    @if let Some(next) = next { p { a href=(next) { "Continue" } } }
                },
            )
        }
        _ => answer(
            StatusCode::GONE,
            "This page has expired",
            &html! {
                p #expired { "Nothing was charged. Ask the seller for a new link." }
                (cancel_link(s))
            },
        ),
    }
}

fn lines(s: &Session) -> Markup {
    html! {
        table {
            @for line in &s.lines {
                tr {
                    td { (line.name) @if line.quantity > 1 { " × " (line.quantity) } }
                    td { (print(line.unit_amount * line.quantity, &s.currency)) }
                }
            }
            tr { td { strong { "Total" } } td { strong #total { (print(s.amount_total, &s.currency)) } } }
        }
    }
}

fn card_form(s: &Session, notice: Option<&str>) -> Markup {
    let email = s.customer_details.as_ref().and_then(|d| d.get("email")).and_then(serde_json::Value::as_str);
    html! {
        @if let Some(notice) = notice { p #decline .alert role="alert" { (notice) } }
        form method="post" {
            label for="email" { "E-mail" }
            input #email name="email" type="email" autocomplete="email" value=[email];
            label for="card_number" { "Card number" }
            input #card_number name="card_number" inputmode="numeric" autocomplete="cc-number" placeholder="4242 4242 4242 4242" required;
            div .row {
                div {
                    label for="exp" { "Expires" }
                    input #exp name="exp" autocomplete="cc-exp" placeholder="MM / YY";
                }
                div {
                    label for="cvc" { "Security code" }
                    input #cvc name="cvc" inputmode="numeric" autocomplete="cc-csc" placeholder="CVC";
                }
            }
            button #pay type="submit" name="action" value="pay" { "Pay " (print(s.amount_total, &s.currency)) }
        }
        p .note { "Test payments only: no card is charged." }
    }
}

fn authentication_form() -> Markup {
    html! {
        p { "Your bank wants to be sure that it is you." }
        form method="post" {
            button #authenticate type="submit" name="action" value="complete" { "Complete authentication" }
            button #refuse .quiet type="submit" name="action" value="fail" { "Fail authentication" }
        }
    }
}

fn cancel_link(s: &Session) -> Markup {
    html! { @if let Some(url) = &s.cancel_url { p { a #cancel href=(url) { "Back to the shop" } } } }
}

/// Where the buyer goes after paying.
fn success_url(s: &Session) -> Option<String> {
    s.success_url.as_deref().map(|u| u.replace("{CHECKOUT_SESSION_ID}", &s.id))
}

/// The buyer pressed a button on a session's page.
fn pay(world: &mut World, id: &str, form: &Form) -> HttpResponse {
    let Some(s) = world.sessions.get(id).cloned() else { return session_page(world, id, None) };
    if s.status != "open" {
        return session_page(world, id, None);
    }
    let action = form.text("action").unwrap_or("pay");
    let waiting = s
        .payment_intent
        .clone()
        .filter(|i| world.intents.get(i).is_some_and(|i| i.status == IntentStatus::RequiresAction));
    let result = match (waiting, action) {
        (Some(intent), "complete" | "fail") => {
            world.authenticate(&intent, action == "complete").map_err(|e| e.message().to_owned())
        }
        (None, "complete" | "fail") => return session_page(world, id, None),
        _ => {
            let typed = Typed {
                number: form.text("card_number").unwrap_or_default().to_owned(),
                exp: form.text("exp").unwrap_or_default().to_owned(),
                cvc: form.text("cvc").unwrap_or_default().to_owned(),
                email: form.owned("email"),
            };
            world.pay_session(id, &typed)
        }
    };
    let notice = result.err();
    if let Some(row) = world.sessions.get_mut(id) {
        row.notice.clone_from(&notice);
    }
    match world.sessions.get(id) {
        Some(s) if s.status == "complete" => {
            see_other(&success_url(s).unwrap_or_else(|| format!("/c/pay/{id}")))
        }
        _ => session_page(world, id, notice.as_deref()),
    }
}

fn authentication_page(world: &World, intent: &str) -> HttpResponse {
    match world.intents.get(intent).map(|i| i.status) {
        Some(IntentStatus::RequiresAction) => {
            answer(StatusCode::OK, "Authentication", &authentication_form())
        }
        Some(_) => answer(StatusCode::OK, "Authentication", &html! { p { "Nothing waits for you here." } }),
        None => answer(StatusCode::NOT_FOUND, "Not found", &html! { p { "There is no such payment." } }),
    }
}

/// The buyer answered the bank outside of a session.
fn authenticate(world: &mut World, intent: &str, form: &Form) -> HttpResponse {
    let action = world.intents.get(intent).and_then(|i| i.next_action.clone());
    let back = action
        .as_ref()
        .and_then(|a| a.pointer("/redirect_to_url/return_url"))
        .and_then(serde_json::Value::as_str);
    let back = back.map(str::to_owned);
    let result = world.authenticate(intent, form.text("action") == Some("complete"));
    match (back, result) {
        (Some(url), _) => see_other(&url),
        (None, Ok(())) => {
            answer(StatusCode::OK, "Thank you", &html! { p #paid { "This payment is complete." } })
        }
        (None, Err(e)) => answer(
            StatusCode::PAYMENT_REQUIRED,
            "Payment failed",
            &html! { p #decline .alert { (e.message()) } },
        ),
    }
}

fn answer(status: StatusCode, title: &str, body: &Markup) -> HttpResponse {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { main { h1 { (title) } (body) } }
        }
    };
    let mut response = HttpResponse::new(Bytes::from(page.into_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn see_other(url: &str) -> HttpResponse {
    let mut response = HttpResponse::new(Bytes::new());
    *response.status_mut() = StatusCode::SEE_OTHER;
    if let Ok(value) = HeaderValue::from_str(url) {
        response.headers_mut().insert(header::LOCATION, value);
    }
    response
}
