//! The shop's pages: plain HTML that works without scripts. Every change is a form and ends in a redirect.

use std::collections::BTreeMap;

use http::{HeaderValue, Method, header};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use shared::domain::money::{Currency, Money};
use shared::domain::order::{CaptureMode, Collection, Customer, OrderStatus};
use shared::outbound::http::{HttpRequest, HttpResponse};

use super::answer::text_answer;
use super::{NewOrder, Notice, OrderRecord, Shop, ShopError, TimelineLine};
use crate::aws::percent_decode;

/// Article number, name, price in hundredths of a major unit.
const PRODUCTS: [(&str, &str, i64); 3] =
    [("TEA-100", "Tea, 100 g", 1250), ("POT-1", "Teapot", 4900), ("SUB-12", "Tea for a year", 18_000)];
const CURRENCIES: [&str; 4] = ["EUR", "USD", "JPY", "KWD"];

const CSS: &str = "
:root{--ink:#1d2433;--soft:#5b6577;--line:#dfe3ea;--paper:#fff;--ground:#f4f6f9;--accent:#0a5c4a}
*{box-sizing:border-box}body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
header{background:var(--accent);color:#fff;padding:.9rem 1.5rem}header a{color:inherit;text-decoration:none;font-weight:600}
main{max-width:60rem;margin:1.5rem auto;padding:0 1rem}h1{font-size:1.5rem;margin:.2rem 0 1rem}h2{font-size:1.1rem;margin:0 0 .7rem}
section{background:var(--paper);border:1px solid var(--line);border-radius:.5rem;padding:1.1rem 1.3rem;margin-bottom:1.2rem}
table{width:100%;border-collapse:collapse}th,td{text-align:left;padding:.45rem .6rem .45rem 0;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--soft);font-weight:500;font-size:.88rem}tr:last-child td{border-bottom:0}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
form.row{display:flex;flex-wrap:wrap;gap:.8rem;align-items:end}label{display:block;font-size:.88rem;color:var(--soft)}
select,input{display:block;font:inherit;padding:.4rem .5rem;border:1px solid #b9c1cf;border-radius:.3rem;background:#fff;color:var(--ink)}
button,a.button{display:inline-block;font:inherit;padding:.45rem .9rem;border:1px solid var(--accent);border-radius:.3rem;background:var(--accent);color:#fff;text-decoration:none;cursor:pointer}
button.quiet{background:#fff;color:var(--accent)}.tag{display:inline-block;padding:.05rem .55rem;border-radius:1rem;background:#e6ecf5;font-size:.88rem}
.tag.paid,.tag.authorized{background:#d6f0e2}.tag.failed,.tag.disputed,.tag.review{background:#fbdcd7}.tag.refunded,.tag.partially_refunded,.tag.cancelled{background:#ece6f5}
.soft{color:var(--soft)}.actions{display:flex;flex-wrap:wrap;gap:1.2rem;align-items:end}.problem{border-color:#c0392b;color:#8e2b20}
td,li,p,h1{overflow-wrap:anywhere}select,input{max-width:100%}
@media (max-width:36rem){td,th{font-size:.9rem;padding-right:.35rem}section{padding:.8rem}main{padding:0 .6rem}}
";

/// A buyer the shop knows by `id`, with contact data that is plainly made up.
pub(super) fn sample_customer(id: &str) -> Customer {
    Customer {
        id: Some(id.to_owned()),
        email: Some(format!("{id}@example.com")),
        name: Some("Sample Buyer".to_owned()),
        phone: None,
        address: BTreeMap::new(),
        locale: Some("en".to_owned()),
    }
}

impl Shop {
    /// Answers a request for a page or from a form.
    pub(super) async fn page(&self, request: &HttpRequest) -> HttpResponse {
        let path = request.uri().path();
        let parts: Vec<String> = path.trim_matches('/').split('/').map(percent_decode).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match (request.method(), parts.as_slice()) {
            (&Method::GET, [""]) => self.list_page(),
            (&Method::GET, ["o", id]) => self.order_page(id).await,
            (&Method::POST, _) if !same_origin(request) => problem(403, "The form came from another page."),
            (&Method::POST, ["place"]) => {
                let placed = new_order(&form(request.body())).and_then(|new| self.place(new));
                after(placed.map(|order| order.id))
            }
            (&Method::POST, ["o", id, verb]) => {
                let fields = form(request.body());
                after(self.act(id, verb, &fields).map(|()| (*id).to_owned()))
            }
            _ => problem(404, "There is no such page."),
        }
    }

    fn act(&self, id: &str, verb: &str, fields: &BTreeMap<String, String>) -> Result<(), ShopError> {
        let order = self.order(id).ok_or_else(|| ShopError::NoOrder(id.to_owned()))?.order;
        let amount = || match fields.get("amount").map(|a| a.trim()).filter(|a| !a.is_empty()) {
            None => Ok(None),
            Some(text) => Money::parse_decimal(text, order.currency)
                .map(|money| Some(money.minor))
                .map_err(|_| ShopError::Invalid("Write the amount like 12.50, in the order's currency.")),
        };
        match verb {
            "cancel" => self.cancel(id).map(drop),
            "fulfil" => self.fulfil(id).map(drop),
            "refund" => self.request_refund(id, amount()?, "asked for on the page").map(drop),
            "change" => match amount()? {
                Some(total) => self.change_total(id, total).map(drop),
                None => Err(ShopError::Invalid("Write the new total like 12.50.")),
            },
            _ => Err(ShopError::Invalid("There is no such action.")),
        }
    }

    fn list_page(&self) -> HttpResponse {
        let mut orders: Vec<OrderRecord> = self.record().orders.into_values().collect();
        orders.reverse();
        let body = html! {
            h1 { "Orders" }
            section { h2 { "Place an order" } (order_form()) }
            section {
                @if orders.is_empty() { p.soft { "No orders yet." } } @else {
                    table {
                        thead { tr { th { "Order" } th { "Status" } th { "Payment" } th.n { "Total" } } }
                        tbody { @for kept in &orders {
                            tr {
                                td { a href={ "/o/" (kept.order.id) } { (kept.order.number) } }
                                td { (status(&kept.order.status)) }
                                td { (payment_tag(kept)) }
                                td.n { (kept.order.total()) }
                            }
                        } }
                    }
                }
            }
        };
        page(200, "Orders", &body)
    }

    async fn order_page(&self, id: &str) -> HttpResponse {
        let Some(kept) = self.order(id) else { return problem(404, "There is no such order.") };
        let timeline = self.0.timeline.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let lines = match timeline {
            Some(timeline) => timeline(id.to_owned()).await,
            None => Vec::new(),
        };
        let caught: Vec<Notice> = self
            .record()
            .notices
            .into_iter()
            .filter(|n| n.data["order"]["id"].as_str() == Some(id))
            .collect();
        let body = html! {
            h1 { "Order " (kept.order.number) }
            section { (summary(&kept)) }
            section { h2 { "Change" } (actions(&kept)) }
            section { h2 { "Items" } (items(&kept)) }
            section { h2 { "What the shop was told" } (told(&kept)) }
            section { h2 { "Notices" } (notices(&caught)) }
            section { h2 { "Timeline" } (timeline_table(&lines)) }
        };
        page(200, &format!("Order {}", kept.order.number), &body)
    }
}

fn order_form() -> Markup {
    let option = |value: &str, text: &str| html! { option value=(value) { (text) } };
    html! {
        form.row method="post" action="/place" {
            label { "Product" select name="product" { @for (sku, name, _) in PRODUCTS { (option(sku, name)) } } }
            label { "Currency" select name="currency" { @for code in CURRENCIES { (option(code, code)) } } }
            label { "Paid" select name="collection" {
                (option("page", "on a page")) (option("automatic", "on a saved card"))
            } }
            label { "Taken" select name="capture" {
                (option("at_once", "at once")) (option("on_fulfilment", "when fulfilled"))
            } }
            label { "Customer" input name="customer" value="buyer1" size="10"; }
            button type="submit" id="place" { "Place order" }
        }
    }
}

fn summary(kept: &OrderRecord) -> Markup {
    let order = &kept.order;
    let money = |minor: i64| Money::new(minor, order.currency).to_string();
    let pay_link = kept.payment.as_ref().and_then(|p| p.payment_url.as_deref());
    html! {
        table { tbody {
            tr { th { "Status" } td id="status" { (status(&order.status)) } }
            tr { th { "Payment" } td id="payment" { (payment_tag(kept)) } }
            tr { th { "Total" } td id="total" { (order.total()) } }
            @if let Some(payment) = &kept.payment {
                tr { th { "Paid" } td id="captured" { (money(payment.amount_captured)) } }
                @if payment.amount_refunded > 0 { tr { th { "Refunded" } td id="refunded" { (money(payment.amount_refunded)) } } }
                @if payment.amount_due > 0 { tr { th { "Due" } td { (money(payment.amount_due)) } } }
            }
        } }
        @if let Some(link) = pay_link { p { a.button id="pay" href=(link) { "Pay" } } }
        @else if kept.payment.is_none() { p.soft { "The pay link appears here in a moment; reload the page." } }
    }
}

fn actions(kept: &OrderRecord) -> Markup {
    let path = |verb: &str| format!("/o/{}/{verb}", kept.order.id);
    let amount = |label: &str| {
        html! { label { (label) input name="amount" size="8" inputmode="decimal" placeholder="12.50"; } }
    };
    html! {
        div.actions {
            form method="post" action=(path("fulfil")) { button.quiet id="fulfil" { "Fulfil" } }
            form method="post" action=(path("cancel")) { button.quiet id="cancel" { "Cancel" } }
            form.row method="post" action=(path("refund")) {
                (amount("Amount (empty: all)")) button.quiet id="refund" { "Ask for a refund" }
            }
            form.row method="post" action=(path("change")) {
                (amount("New total")) button.quiet id="change" { "Change amount" }
            }
        }
    }
}

fn items(kept: &OrderRecord) -> Markup {
    html! {
        table {
            thead { tr { th { "Item" } th.n { "Quantity" } th.n { "Each" } } }
            tbody { @for item in &kept.order.items {
                tr {
                    td { (item.name) }
                    td.n { (item.quantity) }
                    td.n { (Money::new(item.unit_amount, kept.order.currency)) }
                }
            } }
        }
    }
}

fn told(kept: &OrderRecord) -> Markup {
    html! {
        @if kept.write_backs.is_empty() { p.soft { "Nothing yet." } } @else {
            table {
                thead { tr { th { "Time" } th { "Version" } th { "Payment" } th { "Why" } } }
                tbody { @for seen in &kept.write_backs {
                    tr {
                        td { (seen.at) }
                        td { (seen.version) @if !seen.applied { " (known already)" } }
                        td { (seen.view.status) }
                        td { (seen.view.reason) }
                    }
                } }
            }
        }
    }
}

/// What Tandem asked the shop's people to do or know.
fn notices(caught: &[Notice]) -> Markup {
    html! {
        @if caught.is_empty() { p { "None." } }
        ul {
            @for notice in caught {
                li {
                    (notice.at) " " strong { (notice.kind) }
                    @if let Some(text) = notice.data["case"]["text"].as_str() { ": " (text) }
                    @if let Some(code) = notice.data["decline"]["code"].as_str() { " (" (code) ")" }
                }
            }
        }
    }
}

fn timeline_table(lines: &[TimelineLine]) -> Markup {
    html! {
        @if lines.is_empty() { p.soft { "Nothing yet." } } @else {
            table id="timeline" {
                thead { tr { th { "Time" } th { "What" } th { "Why" } } }
                tbody { @for line in lines { tr { td { (line.at) } td { (line.what) } td { (line.why) } } } }
            }
        }
    }
}

fn status(status: &OrderStatus) -> Markup {
    let word = match status {
        OrderStatus::Open => "open",
        OrderStatus::OnHold => "on hold",
        OrderStatus::Cancelled => "cancelled",
        OrderStatus::Fulfilled => "fulfilled",
        OrderStatus::Other(other) => other,
    };
    html! { span.tag { (word) } }
}

fn payment_tag(kept: &OrderRecord) -> Markup {
    match &kept.payment {
        Some(payment) => {
            let name = payment.status.name();
            html! { span class={ "tag " (name) } { (name.replace('_', " ")) } }
        }
        None => html! { span.soft { "not told yet" } },
    }
}

fn page(status: u16, title: &str, body: &Markup) -> HttpResponse {
    let whole = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · Demo shop" }
                style { (PreEscaped(CSS)) }
            }
            body { header { a href="/" { "Demo shop" } } main { (body) } }
        }
    };
    text_answer(status, "text/html; charset=utf-8", whole.into_string())
}

fn problem(status: u16, text: &str) -> HttpResponse {
    page(
        status,
        "Not possible",
        &html! { section.problem { p { (text) } } p { a href="/" { "All orders" } } },
    )
}

/// Where a form leads: to its order, or to what was wrong with it.
fn after(outcome: Result<String, ShopError>) -> HttpResponse {
    match outcome {
        Ok(id) => {
            let mut answer = text_answer(303, "text/plain", String::new());
            if let Ok(to) = HeaderValue::try_from(format!("/o/{id}")) {
                answer.headers_mut().insert(header::LOCATION, to);
            }
            answer
        }
        Err(why @ ShopError::NoOrder(_)) => problem(404, &why.to_string()),
        Err(why) => problem(422, &why.to_string()),
    }
}

fn new_order(fields: &BTreeMap<String, String>) -> Result<NewOrder, ShopError> {
    let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
    let product = PRODUCTS.iter().find(|(sku, _, _)| *sku == field("product"));
    let (sku, name, hundredths) = product.ok_or(ShopError::Invalid("Choose a product."))?;
    let currency =
        Currency::parse(field("currency")).map_err(|_| ShopError::Invalid("Choose a currency."))?;
    // A yen has no hundredths: the same figure is a plausible price in whole yen.
    let amount = if currency.iso_exponent() == 3 { hundredths * 10 } else { *hundredths };
    let mut new = NewOrder::simple(currency, amount, Some(field("customer")).filter(|c| !c.is_empty()));
    for item in &mut new.items {
        (item.sku, item.name) = ((*sku).to_owned(), (*name).to_owned());
    }
    new.collection =
        if field("collection") == "automatic" { Collection::Automatic } else { Collection::Page };
    new.capture =
        if field("capture") == "on_fulfilment" { CaptureMode::OnFulfilment } else { CaptureMode::AtOnce };
    Ok(new)
}

/// The fields of a form as browsers encode it.
fn form(body: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(body);
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(k, v)| (percent_decode(k), percent_decode(v))).collect()
}

/// A browser names the page a form came from: another site's form is refused.
fn same_origin(request: &HttpRequest) -> bool {
    let header = |name| request.headers().get(name).and_then(|v: &HeaderValue| v.to_str().ok());
    match header(header::ORIGIN).and_then(|o| o.split_once("://")) {
        Some((_, origin)) => request.uri().authority().is_some_and(|a| a.as_str() == origin),
        None => header(header::ORIGIN).is_none(),
    }
}
