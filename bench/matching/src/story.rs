//! What one order is in all three records, and what is wrong with it: every 160th order carries the next of the faults.
//!
//! Invariant: an order's story depends on its number alone, so that each file can be written in its own order.

use pure::domain::fact::{ChargeView, RefundView};
use pure::domain::ids::OrderKey;
use pure::domain::money::{Currency, Money};
use pure::domain::order::OrderStatus;
use pure::domain::reconcile::{OurOrder, ShopOrder, ShopRead, TheirCharge, TheirRefund};
use pure::domain::time::UnixTime;

use crate::draw::Draw;
use crate::{Failed, NOW, STACK};

/// One order in so many carries a fault.
const FAULT_EVERY: u64 = 160;
const KINDS_OF_FAULT: u64 = 26;
const DAY: i64 = 86_400;

/// One order's part of the three records.
pub(crate) struct Story {
    pub(crate) ours: Option<OurOrder>,
    pub(crate) charges: Vec<TheirCharge>,
    pub(crate) refunds: Vec<TheirRefund>,
    pub(crate) shop: Option<ShopOrder>,
}

/// Most customers pay in euro; some currencies are counted otherwise at Stripe than in ISO 4217.
fn currency(draw: &mut Draw) -> &'static str {
    match draw.below(100) {
        0 => "ISK",
        1 => "KWD",
        2..=3 => "JPY",
        4..=7 => "GBP",
        8..=19 => "USD",
        _ => "EUR",
    }
}

/// The story of order number `n`.
pub(crate) fn tell(n: u64) -> Result<Story, Failed> {
    let mut draw = Draw::new(n + 1);
    let mut story = plain(n, &mut draw)?;
    if n % FAULT_EVERY == FAULT_EVERY - 1 {
        spoil(&mut story, n / FAULT_EVERY % KINDS_OF_FAULT, &mut draw)?;
    } else {
        foreign(&mut story, &mut draw);
    }
    Ok(story)
}

fn charge(draw: &mut Draw, money: Money, created: UnixTime) -> Result<ChargeView, Failed> {
    let amount = money.to_stripe()?;
    Ok(ChargeView {
        id: draw.id("ch_3", 23),
        intent: draw.id("pi_3", 23),
        status: "succeeded".to_owned(),
        amount,
        amount_captured: amount,
        amount_refunded: 0,
        currency: money.currency,
        captured: true,
        disputed: false,
        capture_before: None,
        fingerprint: None,
        decline: None,
        created,
    })
}

fn refund(draw: &mut Draw, charge: &ChargeView, amount: i64) -> RefundView {
    RefundView {
        id: draw.id("re_3", 23),
        charge: charge.id.clone(),
        amount,
        currency: charge.currency,
        status: "succeeded".to_owned(),
        request: None,
        reason: None,
        failure_reason: None,
    }
}

/// An order of which everybody says the same: in a hundred 90 paid, 6 given back in part or whole, 4 not paid yet. One
/// that carries a fault is paid and given back in part, so that there is something to differ about.
fn plain(n: u64, draw: &mut Draw) -> Result<Story, Failed> {
    let faulty = n % FAULT_EVERY == FAULT_EVERY - 1;
    let shop = ["shop", "outlet", "wholesale"][usize::try_from(draw.below(3))?];
    let key = OrderKey::new(STACK, "checkout", shop, &(1_000_000 + n).to_string())?;
    let currency = Currency::parse(currency(draw))?;
    let money = Money::new(500 + 10 * draw.below(5_000), currency);
    let created = UnixTime(NOW.0 - DAY - i64::try_from(n % 1_000_000)?);
    let customer = draw.id("cus_", 14);
    let turn = if faulty { 5 } else { draw.below(100) };
    let mut ours = OurOrder {
        key: key.clone(),
        complete: true,
        currency: Some(currency),
        total: money.minor,
        status: "paid".to_owned(),
        view_at: created,
        captured: money.minor,
        returned: 0,
        customer: Some(customer.clone()),
        charges: Vec::new(),
        refunds: Vec::new(),
        intents: Vec::new(),
    };
    let mut story = Story { ours: None, charges: Vec::new(), refunds: Vec::new(), shop: None };
    if turn < 4 {
        ours.status = "awaiting_payment".to_owned();
        ours.captured = 0;
    } else {
        let paid = charge(draw, money, created)?;
        ours.intents.push(paid.intent.clone());
        if turn < 10 {
            let back = if turn < 8 { Money::new(10 * (money.minor / 20), currency) } else { money };
            let view = refund(draw, &paid, back.to_stripe()?);
            ours.returned = back.minor;
            ours.status = if turn < 8 { "partially_refunded" } else { "refunded" }.to_owned();
            // Some are ours and marked, others were made in the dashboard and are linked by their charge.
            let mark = (turn % 2 == 0).then(|| key.as_str().to_owned());
            ours.refunds.push(view.clone());
            let intent = Some(paid.intent.clone());
            story.refunds.push(TheirRefund { refund: view, order: mark, intent, created });
        }
        ours.charges.push(paid.clone());
        let order = Some(key.as_str().to_owned());
        story.charges.push(TheirCharge { charge: paid, order, customer: Some(customer) });
    }
    let read = ShopRead::Order {
        status: OrderStatus::Open,
        currency,
        total: money.minor,
        echo: Some(ours.status.clone()),
    };
    story.shop = Some(ShopOrder { key, updated_at: created, read: Some(read) });
    story.ours = Some(ours);
    Ok(story)
}

/// Other people's business on the same account: four charges in a hundred, so that there are as many charges as orders.
fn foreign(story: &mut Story, draw: &mut Draw) {
    let turn = draw.below(1_000);
    let Some(known) = story.charges.first().filter(|_| turn < 42) else { return };
    let mark = match turn {
        0 => Some("not a key".to_owned()),
        1..=9 => Some("other#checkout#shop#1".to_owned()),
        _ => None,
    };
    let charge = ChargeView { id: draw.id("ch_3", 23), intent: draw.id("pi_3", 23), ..known.charge.clone() };
    if turn < 4 {
        let refund = refund(draw, &charge, 10);
        let created = charge.created;
        story.refunds.push(TheirRefund { refund, order: mark.clone(), intent: None, created });
    }
    story.charges.push(TheirCharge { charge, order: mark, customer: None });
}

/// The parts of a shop's read.
fn shown(story: &mut Story) -> Result<(&mut Currency, &mut i64, &mut Option<String>), Failed> {
    match story.shop.as_mut().and_then(|s| s.read.as_mut()) {
        Some(ShopRead::Order { currency, total, echo, .. }) => Ok((currency, total, echo)),
        _ => Err("a faulty order is one that its shop shows".into()),
    }
}

/// Our record forgets that anything was paid; the shop still waits with it.
fn forget_payment(story: &mut Story) -> Result<(), Failed> {
    if let Some(ours) = &mut story.ours {
        (ours.captured, ours.returned) = (0, 0);
        ours.status = "awaiting_payment".to_owned();
        ours.charges.clear();
        ours.refunds.clear();
        ours.intents.clear();
    }
    story.refunds.clear();
    *shown(story)?.2 = Some("awaiting_payment".to_owned());
    Ok(())
}

/// One more charge at Stripe, a minute later.
fn second(story: &mut Story, draw: &mut Draw) -> TheirCharge {
    let mut more = story.charges[0].clone();
    more.charge.id = draw.id("ch_3", 23);
    more.charge.created = UnixTime(more.charge.created.0 + 60);
    story.charges.push(more.clone());
    more
}

/// Plants the fault of this number. The last four look like faults and are none.
fn spoil(story: &mut Story, fault: u64, draw: &mut Draw) -> Result<(), Failed> {
    let usd = Currency::parse("USD")?;
    let other = if story.charges[0].charge.currency == usd { Currency::parse("EUR")? } else { usd };
    let Some(ours) = story.ours.as_mut() else { return Err("a faulty order is ours".into()) };
    match fault {
        0 => story.charges[0].charge.amount_captured -= 100,
        1 => story.charges[0].charge.currency = other,
        2 => story.charges[0].customer = Some(draw.id("cus_", 14)),
        3 => {
            story.charges[0].charge.status = "failed".to_owned();
            story.charges[0].charge.captured = false;
        }
        4 => story.charges.clear(),
        5 => forget_payment(story)?,
        6 => {
            // Our facts know neither the order nor its charge; a second charge is the second that they do not know.
            story.ours = None;
            story.refunds.clear();
        }
        7 => drop(second(story, draw)),
        8 => {
            let more = second(story, draw).charge;
            let Some(ours) = story.ours.as_mut() else { return Ok(()) };
            ours.captured *= 2;
            ours.charges.push(more);
        }
        9 => {
            // Linked by the intent alone.
            second(story, draw);
            story.charges[1].order = None;
        }
        10 => story.refunds[0].refund.amount += 100,
        11 => story.refunds[0].refund.status = "failed".to_owned(),
        12 => story.refunds.clear(),
        13 | 14 => {
            let mut more = story.refunds[0].clone();
            more.refund = refund(draw, &story.charges[0].charge, 100);
            more.order = story.charges[0].order.clone().filter(|_| fault == 14);
            more.intent = None;
            story.refunds.push(more);
        }
        15 => story.refunds[0].refund.currency = other,
        16 => *shown(story)?.1 += 700,
        17 => *shown(story)?.0 = other,
        18 => *shown(story)?.2 = Some("awaiting_payment".to_owned()),
        19 => story.shop.iter_mut().for_each(|s| s.read = Some(ShopRead::Gone)),
        20 => {
            (story.ours, story.charges, story.refunds) = (None, Vec::new(), Vec::new());
        }
        21 => ours.captured += ours.total + 1,
        22 => {
            // Both unknown: the first is missing, the second one too many.
            forget_payment(story)?;
            second(story, draw);
        }
        // From here on none is one. Just made: still on its way.
        23 => {
            second(story, draw);
            story.charges[1].charge.created = UnixTime(NOW.0 - 10);
        }
        // Authorised for more: the release of the rest looks like a refund.
        24 => {
            story.charges[0].charge.amount += 300;
            ours.charges[0].amount += 300;
            let mut release = story.refunds[0].clone();
            release.refund = refund(draw, &story.charges[0].charge, 300);
            release.order = None;
            story.refunds.push(release);
        }
        // Older than the window: not all of it was looked for.
        _ => {
            ours.complete = false;
            story.charges.clear();
        }
    }
    Ok(())
}
