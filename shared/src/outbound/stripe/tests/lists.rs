//! Paging, and the addresses of the reading calls.

use super::super::read::Created;
use super::super::scripted::{Line, Scripted, answer, refusal};
use super::super::*;
use crate::domain::time::UnixTime;

fn page(ids: &[&str], has_more: bool) -> Line {
    let items: Vec<String> = ids
        .iter()
        .map(|id| format!(r#"{{"id":"{id}","amount":1,"currency":"eur","status":"succeeded","type":"a","data":{{"object":{{}}}}}}"#))
        .collect();
    answer(200, &format!(r#"{{"object":"list","has_more":{has_more},"data":[{}]}}"#, items.join(",")), &[])
}

#[tokio::test(start_paused = true)]
async fn pages_follow_the_cursor_to_the_end() {
    let (client, script) = Scripted::client([page(&["a", "b"], true), page(&["c"], false)]);
    let mut pages = client.list_refunds("ch_1").page_size(2);
    assert_eq!(pages.next().await.unwrap().unwrap().len(), 2);
    assert_eq!(pages.cursor(), Some("b"));
    assert_eq!(pages.next().await.unwrap().unwrap()[0].id, "c");
    assert_eq!(pages.next().await.unwrap(), None);
    assert_eq!(
        script.uris(),
        [
            "https://stripe.test/v1/refunds?charge=ch_1&limit=2",
            "https://stripe.test/v1/refunds?charge=ch_1&limit=2&starting_after=b"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_empty_list_is_one_page() {
    let (client, _) = Scripted::client([page(&[], false)]);
    assert!(client.list_refunds("ch_1").collect(10).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_empty_page_that_claims_more_is_an_error() {
    let (client, _) = Scripted::client([page(&[], true)]);
    assert!(client.list_refunds("ch_1").collect(10).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_list_past_its_limit_is_an_error_not_a_short_list() {
    let (client, _) = Scripted::client([page(&["a", "b"], true)]);
    let error = client.list_refunds("ch_1").collect(2).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::ListTooLong { limit: 2 });
    let (client, _) = Scripted::client([page(&["a", "b"], false)]);
    assert_eq!(client.list_refunds("ch_1").collect(2).await.unwrap().len(), 2);
    let (client, script) = Scripted::client([page(&["a"], true)]);
    let mut pages = client.list_refunds("ch_1").limit_pages(1);
    assert!(pages.next().await.is_ok());
    assert_eq!(pages.next().await.unwrap_err().kind, ErrorKind::ListTooLong { limit: 1 });
    assert_eq!(script.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_page_can_be_asked_for_again() {
    let (client, script) =
        Scripted::client_with([page(&["a"], true), refusal(500, ""), page(&["b"], false)], |s| {
            s.max_retries = 0
        });
    let mut pages = client.list_refunds("ch_1");
    assert!(pages.next().await.is_ok());
    assert!(pages.next().await.is_err());
    assert_eq!(pages.next().await.unwrap().unwrap()[0].id, "b");
    let uris = script.uris();
    assert_eq!(uris[1], uris[2]);
}

#[tokio::test(start_paused = true)]
async fn a_run_goes_on_from_a_kept_cursor() {
    let (client, script) = Scripted::client([page(&["c"], false)]);
    client.list_payouts(Created::ANY).starting_after("po_b").collect(5).await.unwrap();
    assert_eq!(script.uris(), ["https://stripe.test/v1/payouts?limit=100&starting_after=po_b"]);
}

#[tokio::test(start_paused = true)]
async fn filters_and_expansions_are_in_the_query() {
    let (client, script) = Scripted::client((0..5).map(|_| page(&[], false)));
    let window = Created::between(UnixTime(5), UnixTime(9));
    client.list_intents(Some("cus_1"), window).expand("latest_charge").collect(1).await.unwrap();
    client.list_charges(Some("pi_1"), Created::ANY).collect(1).await.unwrap();
    client.list_events(UnixTime(5), &["a.b", "c.d"]).collect(1).await.unwrap();
    client.list_customers(Some("a+b@c.test"), Created::since(UnixTime(5))).collect(1).await.unwrap();
    client.list_balance_transactions(Some("po_1"), Created::ANY).expand("source").collect(1).await.unwrap();
    assert_eq!(
        script.uris(),
        [
            "https://stripe.test/v1/payment_intents?customer=cus_1&created[gte]=5&created[lt]=9&expand[0]=data.latest_charge&limit=100",
            "https://stripe.test/v1/charges?payment_intent=pi_1&limit=100",
            "https://stripe.test/v1/events?created[gte]=5&types[0]=a.b&types[1]=c.d&limit=100",
            "https://stripe.test/v1/customers?email=a%2Bb%40c.test&created[gte]=5&limit=100",
            "https://stripe.test/v1/balance_transactions?payout=po_1&expand[0]=data.source&limit=100",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn more_event_types_than_stripe_takes_are_filtered_here() {
    let many: Vec<String> = (0..21).map(|n| format!("t.{n}")).collect();
    let types: Vec<&str> = many.iter().map(String::as_str).collect();
    let (client, script) = Scripted::client([page(&["evt_1"], false), page(&["evt_1"], false)]);
    assert!(client.list_events(UnixTime(5), &types).collect(9).await.unwrap().is_empty());
    let mut with = types.clone();
    with.push("a");
    assert_eq!(client.list_events(UnixTime(5), &with).collect(9).await.unwrap().len(), 1);
    assert_eq!(script.uris()[0], "https://stripe.test/v1/events?created[gte]=5&limit=100");
}

#[tokio::test(start_paused = true)]
async fn single_objects_are_read_with_what_the_engine_needs() {
    let intent = r#"{"id":"pi_1","amount":5,"currency":"eur","status":"succeeded","latest_charge":
        {"id":"ch_1","amount":5,"currency":"eur","status":"succeeded","captured":true}}"#;
    let session =
        format!(r#"{{"id":"cs_1","status":"complete","payment_status":"paid","payment_intent":{intent}}}"#);
    let (client, script) = Scripted::client([
        answer(200, intent, &[]),
        answer(200, &session, &[]),
        answer(200, r#"{"id":"cus_1","object":"customer","deleted":true}"#, &[]),
    ]);
    let read = client.retrieve_intent("pi_1").await.unwrap();
    assert!(read.latest_charge.as_ref().unwrap().object().unwrap().captured);
    let session = client.retrieve_session("cs_1").await.unwrap();
    assert_eq!(session.payment_intent.unwrap().object(), Some(&read));
    assert!(client.retrieve_customer("cus/1").await.unwrap().deleted);
    assert_eq!(
        script.uris(),
        [
            "https://stripe.test/v1/payment_intents/pi_1?expand[0]=latest_charge",
            "https://stripe.test/v1/checkout/sessions/cs_1?expand[0]=payment_intent.latest_charge",
            "https://stripe.test/v1/customers/cus%2F1",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn calls_can_be_awaited_on_any_thread() {
    fn sendable(_: &impl Send) {}
    let (client, _) = Scripted::client([]);
    sendable(&client.retrieve_intent("pi_1"));
    sendable(&client.post_stored("/v1/refunds", Bytes::new(), "k"));
    let mut pages = client.list_refunds("ch_1");
    sendable(&pages.next());
}
