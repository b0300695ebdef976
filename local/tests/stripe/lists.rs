//! Paging, filters, expansion.

use crate::bench::Bench;

async fn five(bench: &Bench) -> Vec<String> {
    let mut ids = Vec::new();
    for n in 0..5 {
        bench.wait(10).await;
        ids.push(bench.post("/v1/customers", &format!("email=c{n}@b.test")).await.id());
    }
    ids.reverse();
    ids
}

#[tokio::test(start_paused = true)]
async fn pages_walk_from_the_newest_to_the_oldest_and_back() {
    let bench = Bench::new();
    let ids = five(&bench).await;
    let first = bench.get("/v1/customers", "limit=2").await;
    assert_eq!((first.ids(), first.text("/has_more").as_str()), (ids[..2].to_vec(), "true"));
    let second = bench.get("/v1/customers", &format!("limit=2&starting_after={}", ids[1])).await;
    assert_eq!(second.ids(), ids[2..4]);
    let last = bench.get("/v1/customers", &format!("limit=2&starting_after={}", ids[3])).await;
    assert_eq!((last.ids(), last.text("/has_more").as_str()), (ids[4..].to_vec(), "false"));
    let back = bench.get("/v1/customers", &format!("limit=2&ending_before={}", ids[4])).await;
    assert_eq!((back.ids(), back.text("/has_more").as_str()), (ids[2..4].to_vec(), "true"));
}

#[tokio::test(start_paused = true)]
async fn created_bounds_a_window_and_a_missing_cursor_is_an_error() {
    let bench = Bench::new();
    let ids = five(&bench).await;
    let from = crate::bench::START + 20;
    let window = bench.get("/v1/customers", &format!("created[gte]={from}&created[lt]={}", from + 20)).await;
    assert_eq!(window.ids(), ids[2..4]);
    let missing = bench.get("/v1/customers", "starting_after=cus_gone").await;
    assert_eq!((missing.status, missing.text("/error/code").as_str()), (400, "resource_missing"));
    assert_eq!(bench.get("/v1/customers", "limit=101").await.status, 400);
    assert_eq!(bench.get("/v1/customers", "email=c3@b.test").await.ids(), ids[1..2]);
}

#[tokio::test(start_paused = true)]
async fn events_are_filtered_by_type_and_wildcard() {
    let bench = Bench::new();
    bench.paid("pm_card_visa", 1000).await;
    let kinds = |a: &crate::bench::Answer| -> Vec<String> {
        let data = a.body["data"].as_array().unwrap();
        data.iter().map(|e| e["type"].as_str().unwrap().to_owned()).collect()
    };
    let one = bench.get("/v1/events", "type=payment_intent.*").await;
    assert_eq!(kinds(&one), ["payment_intent.succeeded", "payment_intent.created"]);
    let two = bench.get("/v1/events", "types[]=charge.succeeded&types[]=payment_intent.succeeded").await;
    assert_eq!(kinds(&two), ["payment_intent.succeeded", "charge.succeeded"]);
    bench.wait(31 * 86_400).await;
    assert!(bench.get("/v1/events", "").await.ids().is_empty());
}

#[tokio::test(start_paused = true)]
async fn expansion_goes_deep_and_refuses_what_cannot_be_expanded() {
    let bench = Bench::new();
    let intent = bench.paid("pm_card_visa", 1000).await.id();
    let path = format!("/v1/payment_intents/{intent}");
    let deep = bench.get(&path, "expand[0]=latest_charge.balance_transaction&expand[1]=payment_method&expand[2]=latest_charge.refunds").await;
    assert_eq!(deep.number("/latest_charge/balance_transaction/amount"), 1000);
    assert_eq!(deep.text("/payment_method/card/last4"), "4242");
    assert_eq!(deep.text("/latest_charge/refunds/object"), "list");
    assert_eq!(bench.get(&path, "expand[]=amount").await.status, 400);
    let list = bench.get("/v1/balance_transactions", "expand[]=data.source.payment_intent").await;
    assert_eq!(list.text("/data/0/source/payment_intent/id"), intent);
}

#[tokio::test(start_paused = true)]
async fn a_payout_lists_what_it_paid() {
    let bench = Bench::new();
    bench.paid("pm_card_visa", 1000).await;
    assert!(bench.sim.create_payout("eur").is_none(), "nothing is available yet");
    bench.wait(3 * 86_400).await;
    let payout = bench.sim.create_payout("eur").unwrap();
    let rows = bench.get("/v1/balance_transactions", &format!("payout={payout}&type=charge")).await;
    assert_eq!(
        rows.number("/data/0/net"),
        bench.get(&format!("/v1/payouts/{payout}"), "").await.number("/amount")
    );
    bench.wait(2 * 86_400 + 1).await;
    assert_eq!(bench.get(&format!("/v1/payouts/{payout}"), "").await.text("/status"), "paid");
}
