//! Lists, pages, filters, expansion.

use super::{Sim, told};
use crate::check::{Seen, checks};

const PAGES: &str = "Stripe API reference, Pagination";
const EVENTS: &str = "Stripe API reference, List all events";
const EXPAND: &str = "Stripe API reference, Expanding responses";

checks! { over Sim;
    "page-default", "how many of twelve a page holds by itself", "10 and more", PAGES => page_default;
    "page-limits", "limits of 100, 101 and 0", "200, 400, 400", PAGES => page_limits;
    "page-order", "the order of a list", "newest first", PAGES => page_order;
    "page-walk", "five by pages of two, going on after the last id", "2 more, 2 more, 1", PAGES => page_walk;
    "page-back", "the two before the oldest, by ending_before", "the next newer two, more", PAGES => page_back;
    "page-both-cursors", "starting_after and ending_before together", "400", PAGES => page_both_cursors;
    "page-gone-cursor", "going on after an id that is not there", "400 resource_missing", PAGES => page_gone_cursor;
    "page-grows", "an object made between two pages", "not seen, none twice", PAGES => page_grows;
    "created-window", "created from second 20 (with) to second 40 (without)", "those of 20 and 30", PAGES => created_window;
    "by-email", "customers by e-mail: exact, in other case", "1, 0", "Stripe API reference, List all customers" => by_email;
    "events-by-type", "events by wildcard, newest first", "payment_intent.succeeded payment_intent.created", EVENTS => events_by_type;
    "events-of-21-types", "a list of 20 types and of 21", "200, 400", EVENTS => events_of_21_types;
    "events-type-and-types", "type and types together", "400", EVENTS => events_type_and_types;
    "events-for-30-days", "events after 29 and after 31 days", "some, none", EVENTS => events_for_30_days;
    "refunds-of-a-charge", "refunds listed by their charge", "2", "Stripe API reference, List all refunds" => refunds_of_a_charge;
    "expand-deep", "an intent with its charge's balance transaction", "1000", EXPAND => expand_deep;
    "expand-list", "rows of a list with their charge's intent", "the intent", EXPAND => expand_list;
    "expand-nothing", "expanding what cannot be expanded", "400, nothing made", EXPAND => expand_nothing;
    "expand-hidden", "a charge's refunds without and with expand", "absent, list", "Stripe changelog, 2022-11-15 (unverified)" => expand_hidden;
}

/// Customers made ten seconds apart, newest first.
async fn customers(sim: &Sim, n: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for i in 0..n {
        if i > 0 {
            sim.wait(10).await;
        }
        ids.push(sim.post("/v1/customers", &format!("email=c{i}@b.test")).await.text("/id"));
    }
    ids.reverse();
    ids
}

const LIST: &str = "/v1/customers";

async fn page_default(sim: &Sim) -> Seen {
    customers(sim, 12).await;
    let page = sim.get(LIST, "").await;
    Ok(format!("{}{}", page.ids().len(), if page.text("/has_more") == "true" { " and more" } else { "" }))
}

async fn page_limits(sim: &Sim) -> Seen {
    let mut statuses = Vec::new();
    for limit in [100, 101, 0] {
        statuses.push(sim.get(LIST, &format!("limit={limit}")).await.status.to_string());
    }
    Ok(statuses.join(", "))
}

async fn page_order(sim: &Sim) -> Seen {
    let ids = customers(sim, 5).await;
    Ok(if sim.get(LIST, "").await.ids() == ids { "newest first" } else { "another order" }.to_owned())
}

async fn page_walk(sim: &Sim) -> Seen {
    let ids = customers(sim, 5).await;
    let (mut walked, mut pages) = (Vec::<String>::new(), Vec::new());
    for _ in 0..4 {
        let after = walked.last().map(|id| format!("&starting_after={id}")).unwrap_or_default();
        let page = sim.get(LIST, &format!("limit=2{after}")).await;
        let more = page.text("/has_more") == "true";
        pages.push(format!("{}{}", page.ids().len(), if more { " more" } else { "" }));
        walked.extend(page.ids());
        if !more {
            break;
        }
    }
    Ok(if walked == ids { pages.join(", ") } else { format!("walked {walked:?}") })
}

async fn page_back(sim: &Sim) -> Seen {
    let ids = customers(sim, 5).await;
    let back = sim.get(LIST, &format!("limit=2&ending_before={}", ids[4])).await;
    let which = if back.ids() == ids[2..4] { "the next newer two" } else { "others" };
    Ok(format!("{which}, {}", if back.text("/has_more") == "true" { "more" } else { "no more" }))
}

async fn page_both_cursors(sim: &Sim) -> Seen {
    let ids = customers(sim, 3).await;
    let query = format!("starting_after={}&ending_before={}", ids[0], ids[2]);
    Ok(sim.get(LIST, &query).await.status.to_string())
}

async fn page_gone_cursor(sim: &Sim) -> Seen {
    Ok(told(&sim.get(LIST, "starting_after=cus_gone").await))
}

async fn page_grows(sim: &Sim) -> Seen {
    let ids = customers(sim, 4).await;
    let first = sim.get(LIST, "limit=2").await.ids();
    let late = sim.post(LIST, "email=late@b.test").await.text("/id");
    let rest = sim.get(LIST, &format!("starting_after={}", first[1])).await.ids();
    let seen = if rest.contains(&late) { "seen" } else { "not seen" };
    Ok(format!("{seen}, {}", if [first, rest].concat() == ids { "none twice" } else { "others" }))
}

async fn created_window(sim: &Sim) -> Seen {
    let ids = customers(sim, 5).await;
    let start = local::stripe::bench::START;
    let query = format!("created[gte]={}&created[lt]={}", start + 20, start + 40);
    let found = sim.get(LIST, &query).await.ids();
    Ok(if found == ids[1..3] { "those of 20 and 30".to_owned() } else { format!("{} others", found.len()) })
}

async fn by_email(sim: &Sim) -> Seen {
    customers(sim, 2).await;
    let exact = sim.get(LIST, "email=c1@b.test").await.ids().len();
    Ok(format!("{exact}, {}", sim.get(LIST, "email=C1@b.test").await.ids().len()))
}

async fn events_by_type(sim: &Sim) -> Seen {
    sim.paid("pm_card_visa", 1000).await;
    let answer = sim.get("/v1/events", "type=payment_intent.*").await;
    let rows = answer.body["data"].as_array().cloned().unwrap_or_default();
    Ok(rows.iter().filter_map(|e| e["type"].as_str()).collect::<Vec<_>>().join(" "))
}

async fn events_of_21_types(sim: &Sim) -> Seen {
    let query = |n: usize| {
        let types: Vec<String> = (0..n).map(|i| format!("types[{i}]=charge.kind{i}")).collect();
        types.join("&")
    };
    let twenty = sim.get("/v1/events", &query(20)).await.status;
    Ok(format!("{twenty}, {}", sim.get("/v1/events", &query(21)).await.status))
}

async fn events_type_and_types(sim: &Sim) -> Seen {
    let query = "type=charge.succeeded&types[0]=charge.failed";
    Ok(sim.get("/v1/events", query).await.status.to_string())
}

async fn events_for_30_days(sim: &Sim) -> Seen {
    sim.paid("pm_card_visa", 1000).await;
    let mut found = Vec::new();
    for days in [29, 2] {
        sim.wait(days * 86_400).await;
        let none = sim.get("/v1/events", "type=payment_intent.succeeded").await.ids().is_empty();
        found.push(if none { "none" } else { "some" });
    }
    Ok(found.join(", "))
}

async fn refunds_of_a_charge(sim: &Sim) -> Seen {
    let charge = sim.paid("pm_card_visa", 1000).await.text("/latest_charge");
    let other = sim.paid("pm_card_visa", 1000).await.text("/latest_charge");
    for of in [&charge, &charge, &other] {
        sim.post("/v1/refunds", &format!("charge={of}&amount=100")).await;
    }
    Ok(sim.get("/v1/refunds", &format!("charge={charge}")).await.ids().len().to_string())
}

async fn expand_deep(sim: &Sim) -> Seen {
    let intent = sim.paid("pm_card_visa", 1000).await.text("/id");
    let path = format!("/v1/payment_intents/{intent}");
    let deep = sim.get(&path, "expand[0]=latest_charge.balance_transaction").await;
    Ok(deep.number("/latest_charge/balance_transaction/amount").to_string())
}

async fn expand_list(sim: &Sim) -> Seen {
    let intent = sim.paid("pm_card_visa", 1000).await.text("/id");
    let list = sim.get("/v1/charges", "expand[]=data.payment_intent").await;
    let same = list.text("/data/0/payment_intent/id") == intent;
    Ok(if same { "the intent" } else { "something else" }.to_owned())
}

async fn expand_nothing(sim: &Sim) -> Seen {
    let form = "amount=1000&currency=eur&expand[]=amount";
    let status = sim.post("/v1/payment_intents", form).await.status;
    let made = if sim.sim.ledger().intents.is_empty() { "nothing made" } else { "made" };
    Ok(format!("{status}, {made}"))
}

async fn expand_hidden(sim: &Sim) -> Seen {
    let charge = sim.paid("pm_card_visa", 1000).await.text("/latest_charge");
    let path = format!("/v1/charges/{charge}");
    let plain = sim.get(&path, "").await.text("/refunds");
    Ok(format!("{plain}, {}", sim.get(&path, "expand[]=refunds").await.text("/refunds/object")))
}
