//! Orders followed from the webhook to the write-back, on the local stack in process.

use local::shop::NewOrder;
use local::stack::buyer::Paid;
use local::stack::{Options, Stack};
use shared::domain::money::Currency;
use shared::domain::view::PaymentStatus;

fn eur() -> Currency {
    Currency::parse("EUR").unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_order_is_paid_and_written_back() {
    let stack = Stack::start(Options::in_process()).await.unwrap();
    let order = stack.shop.place(NewOrder::simple(eur(), 1250, Some("c1"))).unwrap();
    let stats = stack.settle().await.unwrap();
    println!("{stats:?}");
    for f in stack
        .engine(shared::domain::ids::Function::Cli)
        .store
        .load(&stack.key(&order.id).unwrap())
        .await
        .unwrap()
        .facts
    {
        println!("{}", f.raw);
    }
    println!("{:?}", stack.shop.order(&order.id).unwrap().payment);
    let paid = stack.pay(&order.id, "4242424242424242").await.unwrap();
    assert!(matches!(paid, Paid::Returned(_)), "{paid:?}");
    stack.settle().await.unwrap();
    let record = stack.shop.order(&order.id).unwrap();
    let view = record.payment.unwrap();
    assert_eq!((view.status, view.amount_captured), (PaymentStatus::Paid, 1250));
    assert_eq!(stack.sim.ledger().money["eur"].captured, 1250);
}
