//! The stories: what people, banks and networks do to an order, and how it must end.

use futures::future::BoxFuture;
use shared::domain::ids::Function;
use shared::domain::money::Currency;
use shared::domain::order::{CaptureMode, Collection};
use shared::domain::time::Seconds;
use shared::domain::view::PaymentStatus as S;
use shared::operator::{self, By};

use super::Expected;
use crate::shop::{NewOrder, OrderRecord};
use crate::stack::buyer::Paid;
use crate::stack::{Error, Stack};
use crate::stripe::{CardOutcome, Reason, WebhookRule};

const GOOD: &str = "4242424242424242";
const DECLINED: &str = "4000000000000002";

/// One story.
pub(super) struct Scenario {
    pub(super) title: &'static str,
    pub(super) play: for<'a, 'b> fn(&'a mut Story<'b>) -> BoxFuture<'a, Result<(), Error>>,
}

/// A story being told.
pub(super) struct Story<'a> {
    stack: &'a Stack,
    expected: &'a mut Expected,
    pub(super) orders: Vec<(String, String)>,
    pub(super) problems: Vec<String>,
}

macro_rules! scenarios {
    ($($title:literal => $play:ident),* $(,)?) => {
        /// All of them, in the order in which they are told.
        pub(super) fn all() -> Vec<Scenario> {
            vec![$(Scenario { title: $title, play: |story| Box::pin($play(story)) }),*]
        }
    };
}

scenarios! {
    "paid at once" => paid_at_once,
    "declined, then paid on the same page" => declined_then_paid,
    "amount changed before payment" => amount_changed,
    "authorised, captured on fulfilment" => captured_on_fulfilment,
    "refunded in part, then in full" => refunded,
    "cancelled after payment" => cancelled_after_payment,
    "saved card, soft decline, a day later recovered" => soft_decline,
    "saved card, hard decline, the buyer is asked and pays by the link" => hard_decline,
    "the buyer pays while the retry timer fires" => buyer_against_timer,
    "a refund made in Stripe's dashboard" => dashboard_refund,
    "webhooks lost, healed by the sweeper" => lost_webhooks,
    "events repeated, late and out of order" => disorder,
    "orders in JPY and KWD" => currencies,
    "one buyer, every order system" => every_system,
    "the operator's switch stops every money call, and lets them go on" => money_switch,
}

fn currency(code: &str) -> Result<Currency, Error> {
    Ok(Currency::parse(code)?)
}

impl<'a> Story<'a> {
    pub(super) fn new(stack: &'a Stack, expected: &'a mut Expected) -> Self {
        Self { stack, expected, orders: Vec::new(), problems: Vec::new() }
    }

    async fn place(&mut self, new: NewOrder) -> Result<String, Error> {
        let order = self.stack.shop.place(new)?;
        self.orders.push(("shop".to_owned(), order.id.clone()));
        self.expected.placed.push(order.id.clone());
        self.stack.settle().await?;
        Ok(order.id)
    }

    async fn euros(&mut self, amount: i64, customer: Option<&str>) -> Result<String, Error> {
        self.place(NewOrder::simple(currency("EUR")?, amount, customer)).await
    }

    async fn pay(&mut self, id: &str, card: &str) -> Result<(), Error> {
        let said = self.stack.pay(id, card).await?;
        self.check(matches!(said, Paid::Returned(_)), "the buyer returns to the shop after paying");
        self.stack.settle().await.map(|_| ())
    }

    fn check(&mut self, holds: bool, must: &str) {
        if !holds {
            self.problems.push(format!("not so: {must}"));
        }
    }

    fn shows(&self, id: &str) -> Option<OrderRecord> {
        self.stack.shop.order(id)
    }

    fn check_status(&mut self, id: &str, status: S) {
        let shown = self.shows(id).and_then(|o| o.payment).map(|p| p.status);
        if shown != Some(status) {
            self.problems.push(format!("order {id} shows {shown:?}, must be {status}"));
        }
    }

    fn ends(&mut self, id: &str, status: S, captured: i64, refunded: i64) {
        self.expected.orders.insert(("shop".to_owned(), id.to_owned()), (status, captured, refunded));
        self.check_status(id, status);
    }

    /// A buyer whose card is saved by a first order; the card's fingerprint.
    async fn saved_card(&mut self, customer: &str) -> Result<String, Error> {
        let id = self.euros(1000, Some(customer)).await?;
        self.pay(&id, GOOD).await?;
        self.ends(&id, S::Paid, 1000, 0);
        let ledger = self.stack.sim.ledger();
        let saved =
            ledger.payment_methods.iter().rev().find(|m| m.customer.is_some()).ok_or("no card was saved")?;
        Ok(saved.id.clone())
    }

    async fn automatic(&mut self, amount: i64, customer: &str) -> Result<String, Error> {
        let mut order = NewOrder::simple(currency("EUR")?, amount, Some(customer));
        order.collection = Collection::Automatic;
        self.place(order).await
    }
}

async fn paid_at_once(story: &mut Story<'_>) -> Result<(), Error> {
    let id = story.euros(1250, Some("anna")).await?;
    story.check_status(&id, S::AwaitingPayment);
    story.pay(&id, GOOD).await?;
    story.ends(&id, S::Paid, 1250, 0);
    Ok(())
}

async fn declined_then_paid(story: &mut Story<'_>) -> Result<(), Error> {
    let id = story.euros(2000, None).await?;
    let link = story.stack.pay_link(&id)?;
    let session = story.stack.open_link(&link).await?.map_err(|_| "the link leads to no session")?;
    let said = story.stack.pay_session(&session, DECLINED).await?;
    story.check(matches!(&said, Paid::Page(text) if text.contains("declined")), "the page shows the decline");
    story.stack.settle().await?;
    story.check_status(&id, S::AwaitingPayment);
    story.pay(&id, GOOD).await?;
    story.ends(&id, S::Paid, 2000, 0);
    Ok(())
}

async fn amount_changed(story: &mut Story<'_>) -> Result<(), Error> {
    let id = story.euros(3000, Some("ben")).await?;
    let link = story.stack.pay_link(&id)?;
    let old = story.stack.open_link(&link).await?.map_err(|_| "the link leads to no session")?;
    story.stack.shop.change_total(&id, 3500)?;
    story.stack.settle().await?;
    let said = story.stack.pay_session(&old, GOOD).await?;
    story.check(matches!(said, Paid::Page(_)), "the session for the old amount cannot be paid any more");
    story.check(story.stack.pay_link(&id)? == link, "the link stays the same");
    story.pay(&id, GOOD).await?;
    story.ends(&id, S::Paid, 3500, 0);
    Ok(())
}

async fn captured_on_fulfilment(story: &mut Story<'_>) -> Result<(), Error> {
    let mut order = NewOrder::simple(currency("EUR")?, 4000, Some("carla"));
    order.capture = CaptureMode::OnFulfilment;
    let id = story.place(order).await?;
    story.pay(&id, GOOD).await?;
    story.check_status(&id, S::Authorized);
    story.stack.shop.fulfil(&id)?;
    story.stack.settle().await?;
    story.ends(&id, S::Paid, 4000, 0);
    Ok(())
}

async fn refunded(story: &mut Story<'_>) -> Result<(), Error> {
    let id = story.euros(5000, Some("dora")).await?;
    story.pay(&id, GOOD).await?;
    story.stack.shop.request_refund(&id, Some(1500), "one piece came back")?;
    story.stack.settle().await?;
    story.check_status(&id, S::PartiallyRefunded);
    story.stack.shop.request_refund(&id, None, "all of it came back")?;
    story.stack.settle().await?;
    story.ends(&id, S::Refunded, 5000, 5000);
    Ok(())
}

async fn cancelled_after_payment(story: &mut Story<'_>) -> Result<(), Error> {
    let id = story.euros(6000, None).await?;
    story.pay(&id, GOOD).await?;
    story.stack.shop.cancel(&id)?;
    story.stack.settle().await?;
    story.ends(&id, S::Refunded, 6000, 6000);
    Ok(())
}

async fn soft_decline(story: &mut Story<'_>) -> Result<(), Error> {
    let card = story.saved_card("emil").await?;
    let outcomes = vec![CardOutcome::Decline(Reason::InsufficientFunds), CardOutcome::Succeed];
    story.stack.sim.set_card_behaviour(&card, outcomes);
    let id = story.automatic(7000, "emil").await?;
    story.check_status(&id, S::AwaitingPayment);
    story.stack.advance(Seconds(86_490), None).await?;
    story.ends(&id, S::Paid, 7000, 0);
    Ok(())
}

async fn hard_decline(story: &mut Story<'_>) -> Result<(), Error> {
    let card = story.saved_card("fritz").await?;
    story.stack.sim.set_card_behaviour(&card, vec![CardOutcome::Decline(Reason::LostCard)]);
    let id = story.automatic(8000, "fritz").await?;
    let asked = story.stack.shop.record().notices.iter().any(|n| n.kind == "payment.action_required");
    story.check(asked, "the shop is told to ask the buyer");
    story.pay(&id, GOOD).await?;
    story.ends(&id, S::Paid, 8000, 0);
    Ok(())
}

async fn buyer_against_timer(story: &mut Story<'_>) -> Result<(), Error> {
    let card = story.saved_card("gerda").await?;
    let outcomes = vec![CardOutcome::Decline(Reason::InsufficientFunds), CardOutcome::Succeed];
    story.stack.sim.set_card_behaviour(&card, outcomes);
    let id = story.automatic(9000, "gerda").await?;
    let link = story.stack.pay_link(&id)?;
    let state = story.stack.engine(Function::Cli).store.load(&story.stack.key(&id)?).await?.state();
    let due = state.retries.values().copied().max().ok_or("no retry is scheduled")?;
    let wait = due - story.stack.clock.now();
    // Half a minute short: settling takes time on a clock that runs.
    story.stack.advance(Seconds(wait.0 - 30), None).await?;
    let wait = due - story.stack.clock.now();
    story.check(wait.0 > 0, "the timer has not fired yet");
    story.stack.jump(wait).await?;
    // The timer's message and the buyer's button, at the same moment.
    let (worked, pressed) = tokio::join!(story.stack.settle(), story.stack.press_button(&link));
    worked?;
    if let Ok(session) = pressed? {
        let said = story.stack.pay_session(&session, GOOD).await?;
        story.check(matches!(said, Paid::Returned(_)), "the one live session can be paid");
    }
    story.stack.advance(Seconds::minutes(10), Some(Seconds::minutes(5))).await?;
    story.ends(&id, S::Paid, 9000, 0);
    Ok(())
}

async fn dashboard_refund(story: &mut Story<'_>) -> Result<(), Error> {
    let id = story.euros(10_000, Some("hugo")).await?;
    story.pay(&id, GOOD).await?;
    let key = story.stack.key(&id)?;
    let ledger = story.stack.sim.ledger();
    let charge = ledger.captured_for(key.as_str()).next().map(|c| c.id.clone()).ok_or("no charge")?;
    story.stack.sim.refund(&charge, Some(2500))?;
    story.stack.settle().await?;
    story.ends(&id, S::PartiallyRefunded, 10_000, 2500);
    Ok(())
}

async fn lost_webhooks(story: &mut Story<'_>) -> Result<(), Error> {
    story.stack.shop.set(|knobs| knobs.lose_notices = 1);
    story.stack.sim.add_webhook_rule(WebhookRule { lose: true, ..WebhookRule::on("*") });
    let id = story.euros(11_000, Some("ida")).await?;
    story.check(story.shows(&id).is_some_and(|o| o.payment.is_none()), "nothing was heard of the order");
    story.stack.advance(Seconds::minutes(6), Some(Seconds::minutes(5))).await?;
    story.check_status(&id, S::AwaitingPayment);
    let said = story.stack.pay(&id, GOOD).await?;
    story.check(matches!(said, Paid::Returned(_)), "the buyer pays");
    story.stack.settle().await?;
    story.check_status(&id, S::AwaitingPayment);
    story.stack.sim.calm();
    story.stack.advance(Seconds::minutes(6), Some(Seconds::minutes(5))).await?;
    story.ends(&id, S::Paid, 11_000, 0);
    Ok(())
}

async fn disorder(story: &mut Story<'_>) -> Result<(), Error> {
    story.stack.shop.set(|knobs| {
        knobs.repeat_notices = 2;
        knobs.reverse_notices = true;
    });
    let shuffled = WebhookRule { repeat: 2, shuffle_ms: 120_000, ..WebhookRule::on("*") };
    story.stack.sim.add_webhook_rule(shuffled);
    let id = story.euros(12_000, Some("jan")).await?;
    let link = story.stack.pay_link(&id)?;
    let session = story.stack.open_link(&link).await?.map_err(|_| "the link leads to no session")?;
    story.stack.pay_session(&session, DECLINED).await?;
    let said = story.stack.pay_session(&session, GOOD).await?;
    story.check(matches!(said, Paid::Returned(_)), "the buyer pays");
    story.stack.advance(Seconds::minutes(3), None).await?;
    story.stack.shop.request_refund(&id, Some(2000), "a discount")?;
    story.stack.advance(Seconds::minutes(4), None).await?;
    story.stack.sim.calm();
    story.stack.shop.set(|knobs| {
        knobs.repeat_notices = 0;
        knobs.reverse_notices = false;
    });
    story.ends(&id, S::PartiallyRefunded, 12_000, 2000);
    Ok(())
}

async fn currencies(story: &mut Story<'_>) -> Result<(), Error> {
    for (code, amount, back) in [("JPY", 1_500, 500), ("KWD", 12_340, 2_340)] {
        let id = story.place(NewOrder::simple(currency(code)?, amount, Some("kim"))).await?;
        story.pay(&id, GOOD).await?;
        story.stack.shop.request_refund(&id, Some(back), "a part came back")?;
        story.stack.settle().await?;
        story.ends(&id, S::PartiallyRefunded, amount, back);
    }
    Ok(())
}

/// The same buyer in every shop there is: each tells its own customers and orders apart, and each is told.
async fn every_system(story: &mut Story<'_>) -> Result<(), Error> {
    let stack = story.stack;
    for (i, shop) in stack.shops().enumerate() {
        let amount = 4000 + 100 * i64::try_from(i)?;
        let id = shop.place(NewOrder::simple(currency("EUR")?, amount, Some("dora")))?.id;
        story.orders.push((shop.name().to_owned(), id.clone()));
        stack.settle().await?;
        let said = stack.pay_at(shop, &id, GOOD).await?;
        story.check(matches!(said, Paid::Returned(_)), "the buyer returns to the shop after paying");
        stack.settle().await?;
        let shown = shop.order(&id).and_then(|o| o.payment).map(|p| p.status);
        story.check(shown == Some(S::Paid), "each shop shows its order as paid");
        story.expected.orders.insert((shop.name().to_owned(), id), (S::Paid, amount, 0));
    }
    Ok(())
}

async fn money_switch(story: &mut Story<'_>) -> Result<(), Error> {
    let id = story.euros(5200, Some("tina")).await?;
    story.pay(&id, GOOD).await?;
    let (operator, by) = (story.stack.engine(Function::Cli), By::new("olga", None)?);
    let refunds = story.stack.sim.ledger().refunds.len();
    operator::set_money(&operator, false, &by).await?;
    story.stack.shop.request_refund(&id, Some(600), "one piece came back")?;
    story.stack.settle().await?;
    let since = story.stack.sim.ledger().refunds.len() - refunds;
    story.check(since == 0, "no money goes back while the switch is off");
    story.check_status(&id, S::Paid);
    operator::set_money(&operator, true, &by).await?;
    story.stack.advance(Seconds::minutes(10), Some(Seconds::minutes(5))).await?;
    story.ends(&id, S::PartiallyRefunded, 5200, 600);
    Ok(())
}

/// Plants what the reconciler must find: kinds, sorted.
pub(super) async fn plant(stack: &Stack, expected: &Expected) -> Result<Vec<&'static str>, Error> {
    let [first, second, third, ..] = expected.placed.as_slice() else {
        return Err("there are not three orders to plant with".into());
    };
    stack.recurring_fired().await?;
    // A refund that nobody heard of, and a second charge for a paid order: their events are lost.
    stack.sim.add_webhook_rule(WebhookRule { lose: true, ..WebhookRule::on("*") });
    let ledger = stack.sim.ledger();
    let key = stack.key(first)?;
    let charge =
        ledger.captured_for(key.as_str()).next().map(|c| c.id.clone()).ok_or("no charge to refund")?;
    stack.sim.refund(&charge, Some(250))?;
    charge_again(stack, &stack.key(second)?, 2000).await?;
    // The shop's record of a payment is edited by hand.
    stack.shop.tamper(third, shared::domain::view::PaymentStatus::AwaitingPayment)?;
    stack.settle().await?;
    stack.sim.calm();
    let mut kinds = vec!["unlinked_refund", "duplicate_charge", "status"];
    kinds.sort_unstable();
    Ok(kinds)
}

/// The sabotage: somebody charges the first order a second time.
pub(super) async fn charge_behind_our_back(stack: &Stack, expected: &Expected) -> Result<(), Error> {
    let first = expected.placed.first().ok_or("there is no order to charge again")?;
    charge_again(stack, &stack.key(first)?, 1250).await
}

async fn charge_again(stack: &Stack, key: &shared::domain::ids::OrderKey, amount: i64) -> Result<(), Error> {
    let form = format!(
        "amount={amount}&currency=eur&confirm=true&payment_method=pm_card_visa\
         &automatic_payment_methods[enabled]=true&automatic_payment_methods[allow_redirects]=never\
         &metadata[tandem_order]={}",
        key.as_str().replace('#', "%23")
    );
    let request = http::Request::post(format!("{}/v1/payment_intents", stack.bases.stripe))
        .header("authorization", format!("Bearer {}", crate::stack::local_secrets::stripe_key()))
        .header("content-type", "application/x-www-form-urlencoded")
        .header("stripe-version", crate::stripe::API_VERSION)
        .body(bytes::Bytes::from(form))?;
    let answer = stack.http.send(request, std::time::Duration::from_secs(20)).await?;
    if !answer.status().is_success() {
        return Err(format!("planting a charge failed: {}", String::from_utf8_lossy(answer.body())).into());
    }
    Ok(())
}
