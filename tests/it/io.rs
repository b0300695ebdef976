//! Calls per business event, kept as a golden file: a change in a count is a reviewed diff.
//!
//! After an intended change: `UPDATE_GOLDEN=1 cargo test -p tests --test it io::`, and read the diff.

use std::fmt::Write as _;

use local::stack::{Stack, local_secrets};
use local::stripe::{CardOutcome, Event, Reason};
use shared::domain::ids::Function;
use shared::domain::time::Seconds;
use shared::domain::view::PaymentStatus;
use shared::inbound::stripe::route;

use super::stories::*;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/io.txt");
const HEAD: &str = "\
# Calls that the functions make per business event, from the first webhook to the shop's record.
# units: what DynamoDB bills for them, reads and writes of the table and of its indexes, at the sizes that items have here.
# Not counted: secrets (kept for five minutes), the queues' pollers, Scheduler's own sends.
# Rewritten by: UPDATE_GOLDEN=1 cargo test -p tests --test it io::
";

struct Book {
    stack: Stack,
    text: String,
}

impl Book {
    /// Writes down what was called since `meter` was taken.
    fn write(&mut self, title: &str, meter: &Meter) -> Calls {
        let mut calls = meter.since(&self.stack);
        calls.retain(|(_, place, _), _| place != "ssm");
        let units = meter.half_units(&self.stack);
        let total: u64 = calls.values().sum();
        writeln!(self.text, "\n{title}: {total}").unwrap();
        for (call, n) in &calls {
            let (function, place, what) = call;
            // Stored whole or by the half: DynamoDB's units of a strong read of 4 KB and of a write of 1 KB.
            let units =
                units.get(call).map(|h| format!("  {}.{} units", h / 2, h % 2 * 5)).unwrap_or_default();
            writeln!(self.text, "  {n:>3}  {:<16}  {place:<9}  {what}{units}", function.name()).unwrap();
        }
        calls
    }

    /// Lets everything come to rest, then writes it down.
    async fn settled(&mut self, title: &str, meter: &Meter) -> Calls {
        self.stack.settle().await.unwrap();
        self.write(title, meter)
    }

    fn meter(&self) -> Meter {
        Meter::begin(&self.stack)
    }

    fn shows(&self, id: &str, status: PaymentStatus) {
        let shown = self.stack.shop.order(id).unwrap().payment.map(|p| p.status);
        assert_eq!(shown, Some(status), "order {id}");
    }
}

/// Every function's secrets are read once, so that what follows counts the work alone.
async fn warm_up(stack: &Stack) {
    let id = paid(stack, euros(500, Some("warm"))).await;
    stack.shop.request_refund(&id, None, "warming up").unwrap();
    stack.settle().await.unwrap();
    stack.sim.set_card_behaviour(&newest_card(stack), vec![CardOutcome::Decline(Reason::LostCard)]);
    place(stack, automatic(500, "warm")).await;
    stack.sweep().await.unwrap();
}

async fn webhooks(book: &mut Book) {
    let meter = book.meter();
    book.stack.shop.place(euros(1_000, None)).unwrap();
    assert_eq!(book.stack.shop.deliver_due(book.stack.http.as_ref()).await, 1);
    let all = meter.since(&book.stack);
    let one = (Function::WebhookReceiver, "sqs".to_owned(), "SendMessage orders".to_owned());
    assert_eq!(all, Calls::from([(one, 1)]), "an accepted webhook is one send and nothing else");
    book.write("accepted webhook", &meter);
    book.stack.settle().await.unwrap();
    let id = book.stack.shop.record().orders.into_keys().next_back().unwrap();
    book.stack.pay(&id, GOOD).await.unwrap();
    book.stack.settle().await.unwrap();

    let meter = book.meter();
    let body = r#"{"type":"order.updated","data":{"id":"1001","version":9}}"#;
    let forged = notice(&book.stack, local_secrets::notice(), "msg_forged", body).await;
    assert!((400..500).contains(&forged), "{forged}");
    assert!(meter.since(&book.stack).is_empty(), "a refused webhook calls nobody");
    book.write("refused webhook", &meter);
}

async fn orders(book: &mut Book) {
    let meter = book.meter();
    let first = place(&book.stack, euros(1_000, Some("nina"))).await;
    book.write("order of a buyer seen first, to the session told back", &meter);
    book.shows(&first, PaymentStatus::AwaitingPayment);

    let meter = book.meter();
    let known = place(&book.stack, euros(2_000, Some("nina"))).await;
    book.write("order of a known buyer, to the session told back", &meter);
    book.shows(&known, PaymentStatus::AwaitingPayment);

    let meter = book.meter();
    let guest = place(&book.stack, euros(3_000, None)).await;
    book.write("order of a guest, to the session told back", &meter);

    let meter = book.meter();
    let url = session(&book.stack, &first).await;
    book.write("GET of the pay link", &meter);

    let meter = book.meter();
    book.stack.pay_session(&url, DECLINED).await.unwrap();
    book.settled("decline on the page", &meter).await;

    let meter = book.meter();
    book.stack.pay_session(&url, GOOD).await.unwrap();
    book.settled("session paid, all its webhooks, to paid told back", &meter).await;
    book.shows(&first, PaymentStatus::Paid);

    book.stack.pay(&known, GOOD).await.unwrap();
    book.stack.settle().await.unwrap();
    repetitions(book, &known).await;

    let meter = book.meter();
    book.stack.shop.request_refund(&first, Some(400), "one piece came back").unwrap();
    book.settled("refund asked by the shop, to the refund told back", &meter).await;
    book.shows(&first, PaymentStatus::PartiallyRefunded);

    book.stack.pay(&guest, GOOD).await.unwrap();
    book.stack.settle().await.unwrap();
    let meter = book.meter();
    book.stack.shop.cancel(&guest).unwrap();
    book.settled("cancelled after payment, to refunded told back", &meter).await;
    book.shows(&guest, PaymentStatus::Refunded);
}

/// Of an order that is paid and told.
async fn repetitions(book: &mut Book, id: &str) {
    let key = book.stack.key(id).unwrap();
    let facts = book.stack.engine(Function::Cli).store.load(&key).await.unwrap().facts;
    let known: Vec<&str> = facts.iter().filter_map(|f| f.fact.hint.as_deref()).collect();
    let is_known = |e: &Event| {
        route(&e.kind).is_some() && known.iter().any(|k| k.starts_with(&format!("stripe/{}/", e.id)))
    };
    let event = book.stack.sim.ledger().events.into_iter().rev().find(is_known).unwrap();
    let unheard = Event { id: "evt_1NothingNew".to_owned(), ..event.clone() };
    for (title, event) in
        [("event of Stripe, repeated", event), ("event of Stripe that brings nothing new", unheard)]
    {
        let meter = book.meter();
        assert_eq!(repeat_stripe(&book.stack, &event).await, 200);
        let calls = book.settled(title, &meter).await;
        let reads = calls.keys().filter(|(_, place, _)| place == "stripe").count();
        assert_eq!(reads == 0, title.ends_with("repeated"), "a known event costs no read: {calls:?}");
    }
    let first = known.iter().find_map(|hint| hint.strip_prefix("shop/")?.strip_suffix("/1")).unwrap();
    for (title, msg) in
        [("notice of the shop, repeated", first), ("notice of the shop that brings nothing new", "msg_again")]
    {
        let meter = book.meter();
        let body = format!(r#"{{"type":"order.created","data":{{"id":"{id}","version":1}}}}"#);
        assert!(notice(&book.stack, local_secrets::shop_webhook(), msg, &body).await < 300);
        book.settled(title, &meter).await;
    }
}

async fn retries(book: &mut Book) {
    paid(&book.stack, euros(1_000, Some("otto"))).await;
    let card = newest_card(&book.stack);
    let outcomes = vec![CardOutcome::Decline(Reason::InsufficientFunds), CardOutcome::Succeed];
    book.stack.sim.set_card_behaviour(&card, outcomes);
    let meter = book.meter();
    let id = place(&book.stack, automatic(7_000, "otto")).await;
    book.write("saved card declined softly, to the retry scheduled", &meter);

    let due = book.stack.pump.next_due_at().unwrap();
    book.stack.advance(due - Seconds(1) - book.stack.clock.now(), None).await.unwrap();
    let meter = book.meter();
    book.stack.advance(Seconds(5), None).await.unwrap();
    book.write("retry carried out, to paid told back", &meter);
    book.shows(&id, PaymentStatus::Paid);
}

async fn later_page(book: &mut Book) {
    let id = place(&book.stack, euros(4_000, Some("paula"))).await;
    let link = book.stack.pay_link(&id).unwrap();
    let meter = book.meter();
    book.stack.advance(Seconds::hours(25), None).await.unwrap();
    book.write("session expired", &meter);
    assert!(book.stack.open_link(&link).await.unwrap().is_err(), "the session has expired");
    let meter = book.meter();
    book.stack.press_button(&link).await.unwrap().unwrap();
    book.settled("POST of the pay link makes the next session", &meter).await;
    book.stack.pay(&id, GOOD).await.unwrap();
    book.stack.settle().await.unwrap();
}

async fn sweeps(book: &mut Book) {
    // What is open becomes due and is looked at; then nothing is.
    book.stack.advance(Seconds::hours(1), Some(Seconds::minutes(5))).await.unwrap();
    let meter = book.meter();
    book.stack.sweep().await.unwrap();
    book.settled("sweep with nothing due", &meter).await;
}

#[tokio::test(start_paused = true)]
async fn calls_per_business_event_are_as_written_down() {
    let mut book = Book { stack: start().await, text: HEAD.to_owned() };
    book.stack.aws.count_units();
    warm_up(&book.stack).await;
    webhooks(&mut book).await;
    orders(&mut book).await;
    retries(&mut book).await;
    later_page(&mut book).await;
    sweeps(&mut book).await;
    #[expect(clippy::disallowed_methods, reason = "whoever runs the test says whether the file is rewritten")]
    let update = std::env::var("UPDATE_GOLDEN").is_ok();
    if update {
        std::fs::write(GOLDEN, &book.text).unwrap();
    }
    let golden = std::fs::read_to_string(GOLDEN).unwrap_or_default();
    let differ = book.text.lines().zip(golden.lines()).find(|(is, was)| is != was);
    assert!(
        book.text == golden,
        "the calls differ from tests/golden/io.txt (first: {differ:?}); if that is meant, set UPDATE_GOLDEN=1 and read the diff\n{}",
        book.text
    );
}
