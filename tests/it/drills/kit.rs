//! What the drills share: a stack whose clock may jump by days, the schedule of its sweeper, an operator's verbs, and the
//! judgement of how an order ended.

use std::collections::{BTreeMap, BTreeSet};

use local::shop::NewOrder;
use local::stack::buyer::Paid;
use local::stack::{Options, Stack};
use local::stripe::{Fault, FaultMode, Ledger};
use shared::domain::ids::Function;
use shared::domain::order::CaptureMode;
use shared::domain::time::{Seconds, UnixTime};
use shared::domain::view::PaymentStatus as S;
use shared::lambda::Deadline;
use shared::operator::{self, By, Redriven};
use shared::queue::Queue;
use sweeper::SweepReport;

use crate::stories::{GOOD, euros};
pub(super) use crate::stories::{charge, lose_events};

/// As the template's schedule has it.
pub(super) const SWEEP_EVERY: Seconds = Seconds::minutes(5);
/// More than any drill hands to one queue.
pub(super) const ALL: u32 = 1_000;

/// A stack whose clock may jump.
pub(super) async fn stack() -> Stack {
    with(|_| {}).await
}

/// The same with other options.
pub(super) async fn with(change: impl FnOnce(&mut Options)) -> Stack {
    let mut options = Options { light_queues: true, ..Options::in_process() };
    change(&mut options);
    Stack::start(options).await.unwrap()
}

/// Lets `span` pass; the sweeper runs `every` so often, or not at all. A sweep that fails is tried again by its schedule.
pub(super) async fn pass(stack: &Stack, span: Seconds, every: Option<Seconds>) {
    stack.advance_through(span, every).await.unwrap();
}

/// `aws lambda invoke ... sweeper`: one run, and what it did.
pub(super) async fn sweep(stack: &Stack) -> SweepReport {
    let deps = sweeper::Deps::new(stack.engine(Function::Sweeper));
    sweeper::handle(&deps, Deadline::after(std::time::Duration::from_secs(240))).await.unwrap()
}

/// `tandem redrive QUEUE`.
pub(super) async fn redrive(stack: &Stack, queue: Queue) -> Redriven {
    let sqs = shared::aws::sqs(&stack.aws.sdk_config());
    let done = operator::redrive(&sqs, &stack.config.resources, queue, ALL).await.unwrap();
    assert_eq!((done.kept, done.emptied, done.stopped.clone()), (0, true, None), "{}", queue.name());
    done
}

/// Messages in a queue's dead letter queue.
pub(super) fn dead(stack: &Stack, queue: Queue) -> usize {
    let name = format!("{}-dead", queue_name(stack, queue));
    stack.aws.light_queues().unwrap().contents().iter().filter(|(held, _)| *held == name).count()
}

fn queue_name(stack: &Stack, queue: Queue) -> String {
    format!("{}-{}", stack.config.stack, queue.name())
}

/// `aws sqs purge-queue` of every work queue; how many messages were lost.
pub(super) fn purge(stack: &Stack) -> usize {
    let queues = stack.aws.light_queues().unwrap();
    Queue::ALL.into_iter().map(|queue| queues.drain(&queue_name(stack, queue)).len()).sum()
}

/// Webhooks arrive and are queued; nobody works.
pub(super) async fn deliver(stack: &Stack) {
    stack.shop.deliver_due(stack.http.as_ref()).await;
    stack.sim.deliver_due(stack.http.as_ref()).await;
}

/// `tandem money on|off --by NAME`.
pub(super) async fn money(stack: &Stack, on: bool) {
    let by = By::new("Ada", None).unwrap();
    operator::set_money(&stack.engine(Function::Cli), on, &by).await.unwrap();
}

/// `tandem rewind --since ..`.
pub(super) async fn rewind(stack: &Stack, since: UnixTime) {
    let deps = sweeper::Deps::new(stack.engine(Function::Cli));
    let report = sweeper::rewind(&deps, since).await;
    assert_eq!(report.failed, []);
    assert_eq!(report.reads_from.len(), 2, "{report:?}");
}

/// Every call to Stripe's API fails like this, until `calm`.
pub(super) fn stripe_is_down(stack: &Stack, mode: FaultMode) {
    stack.sim.add_fault(Fault { method: None, path: "/v1/".into(), skip: 0, times: u32::MAX, mode });
}

/// Authorised first, captured when the goods leave.
pub(super) fn on_fulfilment(amount: i64, customer: &str) -> NewOrder {
    NewOrder { capture: CaptureMode::OnFulfilment, ..euros(amount, Some(customer)) }
}

/// The shop takes an order and says so.
pub(super) fn place(stack: &Stack, order: NewOrder) -> String {
    stack.shop.place(order).unwrap().id
}

/// The buyer pays by the order's link.
pub(super) async fn pay(stack: &Stack, id: &str) {
    let said = stack.pay(id, GOOD).await.unwrap_or_else(|e| panic!("order {id} cannot be paid: {e}"));
    assert!(matches!(said, Paid::Returned(_)), "order {id}: {said:?}");
}

/// Places an order, lets the stack work, and pays it.
pub(super) async fn paid(stack: &Stack, order: NewOrder) -> String {
    let id = place(stack, order);
    stack.settle().await.unwrap();
    pay(stack, &id).await;
    stack.settle().await.unwrap();
    id
}

/// A buyer whose card is saved by a first order.
pub(super) async fn with_card(stack: &Stack, customer: &str, ends: &mut Ends) {
    let id = paid(stack, euros(1_000, Some(customer))).await;
    ends.must(&id, S::Paid, 1_000, 0);
}

/// The status that the shop shows.
pub(super) fn shown(stack: &Stack, id: &str) -> Option<S> {
    stack.shop.order(id).and_then(|o| o.payment).map(|p| p.status)
}

/// How each order must end: status, captured, refunded.
#[derive(Default)]
pub(super) struct Ends(BTreeMap<String, (S, i64, i64)>);

impl Ends {
    pub(super) fn must(&mut self, id: &str, status: S, captured: i64, refunded: i64) {
        self.0.insert(id.to_owned(), (status, captured, refunded));
    }

    /// What is not so, by Stripe's ledger and the shop's record.
    pub(super) fn wrong(&self, stack: &Stack) -> Vec<String> {
        let ledger = stack.sim.ledger();
        let mut wrong = Vec::new();
        for (id, must) in &self.0 {
            wrong.extend(order_is_wrong(stack, &ledger, id, *must));
        }
        let keys: BTreeSet<String> =
            stack.shop.record().orders.keys().map(|id| stack.key(id).unwrap().as_str().to_owned()).collect();
        let strangers = ledger.charges.iter().filter(|c| c.captured);
        let strangers =
            strangers.filter(|c| !c.metadata.get("tandem_order").is_some_and(|o| keys.contains(o)));
        wrong.extend(strangers.map(|c| format!("charge {} belongs to no order", c.id)));
        wrong
    }

    pub(super) fn hold(&self, stack: &Stack) {
        assert_eq!(self.wrong(stack), Vec::<String>::new());
    }
}

fn order_is_wrong(stack: &Stack, ledger: &Ledger, id: &str, must: (S, i64, i64)) -> Vec<String> {
    let mut wrong = Vec::new();
    let key = stack.key(id).unwrap();
    let charges: Vec<_> = ledger.captured_for(key.as_str()).collect();
    if charges.len() > 1 {
        wrong.push(format!("order {id} was charged {} times", charges.len()));
    }
    let captured: i64 = charges.iter().map(|c| c.amount_captured).sum();
    let refunds: Vec<_> = charges.iter().flat_map(|c| ledger.refunds_of(&c.id)).collect();
    let refunded: i64 = refunds.iter().map(|r| r.amount).sum();
    if (captured, refunded) != (must.1, must.2) {
        wrong.push(format!("order {id}: Stripe took {captured} and gave back {refunded}, must be {must:?}"));
    }
    let requests: Vec<_> = refunds.iter().filter_map(|r| r.metadata.get("tandem_request")).collect();
    if requests.len() != requests.iter().collect::<BTreeSet<_>>().len() {
        wrong.push(format!("order {id}: one request was refunded twice: {requests:?}"));
    }
    let record = stack.shop.order(id).unwrap();
    let told = record.payment.as_ref().map(|v| (v.status, v.amount_captured, v.amount_refunded));
    if told != Some(must) {
        wrong.push(format!("order {id} was told {told:?}, must be {must:?}"));
    }
    wrong
}
