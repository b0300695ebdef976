//! Between the adapter and the store something goes wrong once: the books are right all the same.

use super::*;

/// Loses one answer, drops one request, lets one land later than its time-out, or reads what lags behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    AnswerLost,
    NeverSent,
    /// The next read shows the order before its last change.
    Stale,
    /// It lands before the call of this number.
    LandsBefore(usize),
}

struct Cutting {
    shop: Shop,
    at: usize,
    how: Cut,
    calls: StdMutex<usize>,
    late: StdMutex<Option<HttpRequest>>,
}

impl Http for Cutting {
    fn send(&self, request: HttpRequest, _: Duration) -> SendFuture<'_> {
        Box::pin(async move {
            let n = {
                let mut calls = self.calls.lock().unwrap();
                *calls += 1;
                *calls
            };
            if self.how == Cut::LandsBefore(n) {
                let late = self.late.lock().unwrap().take();
                if let Some(late) = late {
                    self.shop.handle(late).await;
                }
            }
            if n == self.at && self.how == Cut::Stale {
                self.shop.set(|knobs| knobs.stale_reads = 1);
            }
            if n != self.at || self.how == Cut::Stale {
                return Ok(self.shop.handle(request).await);
            }
            match self.how {
                Cut::NeverSent | Cut::Stale => {}
                Cut::AnswerLost => drop(self.shop.handle(request).await),
                Cut::LandsBefore(_) => *self.late.lock().unwrap() = Some(request),
            }
            Err(SendError::Unknown("timed out".into()))
        })
    }
}

/// Tells both views over a seam that cuts once; each is repeated until it is taken.
async fn told_with(at: usize, how: Cut, settings: Settings) -> (Shop, String, usize) {
    let shop = store();
    let id = placed(&shop);
    let http = Arc::new(Cutting {
        shop: shop.clone(),
        at,
        how,
        calls: StdMutex::default(),
        late: StdMutex::default(),
    });
    let source = ShopSource { system: System::Shopify(settings), ..client(&shop).source().clone() };
    let client = ShopClient::new(http.clone(), source, SecretString::from("token-for-tests".to_owned()));
    let mut recorded = 0;
    for (version, view) in [(1, view(PaymentStatus::Paid, 1250, 0)), (2, refunded())] {
        let mut tries = 0;
        recorded = loop {
            tries += 1;
            assert!(tries < 5, "{how:?} at {at}: it is never taken");
            match tell(&client, &id, version, &view, recorded).await {
                Ok(told) => break told.recorded.unwrap(),
                Err(error) => assert!(error.is_transient(), "{how:?} at {at}: {error}"),
            }
        };
        assert_eq!(recorded, 1250, "{how:?} at {at}: what of the books is ours");
    }
    let calls = *http.calls.lock().unwrap();
    (shop, id, calls)
}

fn is_exactly_once(shop: &Shop, id: &str, what: &str) {
    assert_eq!(movements(shop, id), [(Kind::Sale, 1250), (Kind::Refund, 500)], "{what}");
    let kept = shop.order(id).unwrap();
    assert_eq!((kept.payment_version, book(shop, id).refunds.len()), (2, 1), "{what}");
    let statuses: Vec<_> = book(shop, id).tags.into_iter().filter(|t| t.starts_with("tandem-")).collect();
    assert!(statuses.contains(&"tandem-partially-refunded".to_owned()), "{what}: {statuses:?}");
}

#[tokio::test(start_paused = true)]
async fn whichever_answer_is_lost_the_books_hold_one_sale_and_one_refund() {
    let (_, _, calls) = told_with(0, Cut::NeverSent, Settings::defaults(false)).await;
    assert_eq!(
        calls, 9,
        "read, record, sale, tag, marker; read, refund, tag, marker: a change is a reviewed diff"
    );
    for at in 1..=calls {
        for how in [Cut::AnswerLost, Cut::NeverSent, Cut::Stale] {
            let (shop, id, _) = told_with(at, how, Settings::defaults(false)).await;
            is_exactly_once(&shop, &id, &format!("{how:?} at {at}"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_lands_late_changes_nothing_twice() {
    for at in 1..=9 {
        for lands in at + 1..at + 8 {
            let how = Cut::LandsBefore(lands);
            let (shop, id, _) = told_with(at, how, Settings::defaults(false)).await;
            is_exactly_once(&shop, &id, &format!("{how:?} at {at}"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn between_our_reading_and_our_marking_a_person_marks_and_the_record_is_taken_back() {
    let shop = store();
    let id = placed(&shop);
    let before = shop.clone();
    let paid = id.clone();
    // The third call is the sale.
    let http = Arc::new(Meanwhile {
        shop: shop.clone(),
        at: 3,
        calls: StdMutex::default(),
        act: Box::new(move || {
            before.with_book(&paid, |book| {
                let sale = Transaction::manual_sale(1, "Bank Deposit", 1250);
                book.transactions.push(sale);
            });
        }),
    });
    let client = ShopClient::new(
        http,
        client(&shop).source().clone(),
        SecretString::from("token-for-tests".to_owned()),
    );
    let refused = tell(&client, &id, 1, &view(PaymentStatus::Paid, 1250, 0), 0).await.unwrap_err();
    assert!(refused.to_string().contains("orderMarkAsPaid: Order cannot be marked as paid."), "{refused}");
    let told = tell(&client, &id, 1, &view(PaymentStatus::Paid, 1250, 0), 0).await.unwrap();
    assert_eq!((told.recorded, told.order.paid), (Some(0), Some(1250)));
}

/// Lets somebody act before the call of a number.
struct Meanwhile {
    shop: Shop,
    at: usize,
    calls: StdMutex<usize>,
    act: Box<dyn Fn() + Send + Sync>,
}

impl Http for Meanwhile {
    fn send(&self, request: HttpRequest, _: Duration) -> SendFuture<'_> {
        Box::pin(async move {
            let n = {
                let mut calls = self.calls.lock().unwrap();
                *calls += 1;
                *calls
            };
            if n == self.at {
                (self.act)();
            }
            Ok(self.shop.handle(request).await)
        })
    }
}
