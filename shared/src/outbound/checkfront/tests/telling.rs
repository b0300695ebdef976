//! What is sent to tell a booking our view, and in what order.

use super::*;
use crate::domain::money::Money;
use crate::domain::view::{PaymentStatus, PaymentView};

fn view(status: PaymentStatus, captured: i64, due: i64) -> PaymentView {
    PaymentView {
        status,
        payment_url: None,
        currency: Currency::parse("CAD").unwrap(),
        amount_due: due,
        amount_captured: captured,
        amount_refunded: 0,
        payment_id: Some("pi_1".into()),
        reason: "x".into(),
        refunds: vec![],
    }
}

fn paid(amount: &str, status: &str) -> Answer {
    let mut booking = booking();
    booking["order"]["paid_total"] = json!(amount);
    booking["status_id"] = json!(status);
    ok(json!({ "booking": booking }))
}

fn noted(bodies: &[String]) -> Answer {
    let note = |(i, body): (usize, &String)| {
        let date = "2027-01-15T00:00:00-08:00";
        json!({"note_id": i, "account_id": 7, "date": date, "body": body, "booking_id": CODE})
    };
    ok(json!({ "notes": bodies.iter().enumerate().map(note).collect::<Vec<_>>() }))
}

async fn told(
    settings: CheckfrontSettings,
    answers: Vec<Answer>,
    view: &PaymentView,
) -> (Result<Told, ShopError>, Vec<String>) {
    let (client, http) = client(settings, answers);
    let ended = client.tell(&Telling { id: CODE, version: 7, view, recorded: 0, total: 4830 }).await;
    let seen = http.seen.lock().unwrap();
    let posts = seen.iter().filter(|(what, _)| what.starts_with("POST"));
    (
        ended,
        posts
            .map(|(what, body)| format!("{what} {}", body.split("%0A").last().unwrap_or_default()))
            .collect(),
    )
}

#[tokio::test]
async fn the_balance_is_recorded_alone_after_a_note_of_it_and_the_version_last() {
    let answers = vec![
        paid("0.00", "PEND"),
        noted(&[]),
        ok(json!({})),
        ok(json!({})),
        paid("48.30", "PAID"),
        ok(json!({})),
    ];
    let (ended, posts) =
        told(CheckfrontSettings::default(), answers, &view(PaymentStatus::Paid, 4830, 0)).await;
    let ended = ended.unwrap();
    assert_eq!((ended.recorded, ended.order.payment.map(|p| p.version)), (Some(4830), Some(7)));
    assert_eq!(
        posts[0],
        "POST /api/3.0/booking/KMVQ-060314/note tandem%20records%20v7%20from%3D0%20by%3D4830%20to%3D4830"
    );
    assert_eq!(posts[1], "POST /api/3.0/booking/KMVQ-060314/update status_id=PAID&set_paid=1&notify=0");
    assert!(
        posts[2].starts_with("POST /api/3.0/booking/KMVQ-060314/note tandem%20v7%20books%3D4830"),
        "{}",
        posts[2]
    );
    assert_eq!(posts.len(), 3);
}

#[tokio::test]
async fn a_version_that_the_notes_know_is_not_told_again() {
    let known = notes::telling(7, &view(PaymentStatus::Paid, 4830, 0), 4830);
    let answers = vec![paid("48.30", "PAID"), noted(&[known])];
    let (ended, posts) =
        told(CheckfrontSettings::default(), answers, &view(PaymentStatus::Paid, 4830, 0)).await;
    assert_eq!(ended.unwrap().recorded, Some(4830));
    assert!(posts.is_empty(), "{posts:?}");
}

/// The answer of `set_paid` was lost: the books hold what the note before it said.
#[tokio::test]
async fn a_record_whose_answer_was_lost_is_our_own_and_is_not_made_again() {
    let money = Money::new(4830, Currency::parse("CAD").unwrap());
    let intent = notes::Intent { version: 7, from: 0, by: 4830, to: 4830, at: None };
    let answers = vec![paid("48.30", "PAID"), noted(&[notes::intended(&intent, money)]), ok(json!({}))];
    let (ended, posts) =
        told(CheckfrontSettings::default(), answers, &view(PaymentStatus::Paid, 4830, 0)).await;
    assert_eq!(ended.unwrap().recorded, Some(4830));
    assert_eq!(posts.len(), 1, "only the version is noted: {posts:?}");
}

#[tokio::test]
async fn paid_there_too_is_put_before_a_person_once_and_nothing_is_recorded() {
    let both = view(PaymentStatus::Paid, 4830, 0);
    let answers = vec![paid("48.30", "PAID"), noted(&[]), ok(json!({}))];
    let (ended, posts) = told(CheckfrontSettings::default(), answers, &both).await;
    let Err(ShopError::Stopped { why, recorded: 0 }) = ended else { panic!("{ended:?}") };
    assert!(why.starts_with("paid in Checkfront too") && why.contains("48.30 CAD"), "{why}");
    assert_eq!(posts.len(), 1);
    assert!(posts[0].contains("tandem%20clash"), "{posts:?}");
    let clash = notes::clashing("captured=4830 paid=4830 total=4830", "x");
    let answers = vec![paid("48.30", "PAID"), noted(&[clash]), ok(json!({}))];
    let (ended, posts) = told(CheckfrontSettings::default(), answers, &both).await;
    assert_eq!(ended.unwrap().recorded, Some(0), "approved: told by a note, and none of the money is ours");
    assert!(posts.len() == 1 && !posts[0].contains("set_paid"));
}

#[tokio::test]
async fn what_was_paid_in_part_changes_the_status_and_never_the_money() {
    for (was, captured, due, status, writes) in [
        ("PEND", 1000, 3830, PaymentStatus::PartiallyPaid, Some("PART")),
        ("PAID", 1000, 3830, PaymentStatus::PartiallyPaid, Some("PART")),
        ("PART", 1000, 3830, PaymentStatus::PartiallyPaid, None),
        ("PEND", 0, 4830, PaymentStatus::Processing, Some("HOLD")),
        ("PEND", 0, 4830, PaymentStatus::AwaitingPayment, None),
        // A person's own choice, a cancelled one, a waiting list: left as they are.
        ("CONF", 1000, 3830, PaymentStatus::PartiallyPaid, None),
        ("STOP", 4830, 0, PaymentStatus::Paid, None),
        ("WAIT", 4830, 0, PaymentStatus::Paid, None),
    ] {
        let mut answers = vec![paid("0.00", was), noted(&[])];
        answers.extend((0..2).map(|_| ok(json!({}))));
        let (ended, posts) = told(CheckfrontSettings::default(), answers, &view(status, captured, due)).await;
        assert_eq!(ended.unwrap().recorded, Some(0), "{was} {status}");
        let update = posts.iter().find(|p| p.contains("/update "));
        let expected =
            writes.map(|w| format!("POST /api/3.0/booking/KMVQ-060314/update status_id={w}&notify=0"));
        assert_eq!(update, expected.as_ref(), "{was} {status}");
    }
}

#[tokio::test]
async fn a_balance_that_is_not_what_was_paid_is_never_recorded_whole() {
    // The total grew after our view was made: it is read first.
    let answers = vec![paid("0.00", "PEND"), noted(&[])];
    let (ended, posts) =
        told(CheckfrontSettings::default(), answers, &view(PaymentStatus::Paid, 4000, 0)).await;
    assert!(matches!(ended, Err(ShopError::Wait { .. })), "{ended:?}");
    assert!(posts.is_empty());
    // Less is unpaid than we took: a person.
    let answers = vec![paid("10.00", "PART"), noted(&[]), ok(json!({}))];
    let (ended, posts) =
        told(CheckfrontSettings::default(), answers, &view(PaymentStatus::Paid, 4830, 0)).await;
    assert!(
        matches!(&ended, Err(ShopError::Stopped { why, recorded: 0 }) if why.starts_with("only 38.30 CAD is unpaid")),
        "{ended:?}"
    );
    assert!(posts.iter().all(|p| !p.contains("set_paid")));
}

/// The simulation found it: the record of an older view had arrived, a lagging read showed the booking unpaid, and the refusal of
/// the next view's record made a payment by other means of it.
#[tokio::test]
async fn a_refusal_after_the_same_money_was_noted_for_an_older_view_is_waited_out() {
    let money = Money::new(4830, Currency::parse("CAD").unwrap());
    let intent = notes::Intent { version: 5, from: 0, by: 4830, to: 4830, at: None };
    let refused = raw(400, "application/json", json!({"error": {"code": "paid"}}).to_string());
    let answers = vec![
        paid("0.00", "PEND"),
        noted(&[notes::intended(&intent, money)]),
        ok(json!({})),
        refused,
        paid("0.00", "PEND"),
    ];
    let (ended, posts) =
        told(CheckfrontSettings::default(), answers, &view(PaymentStatus::Paid, 4830, 0)).await;
    assert!(matches!(ended, Err(ShopError::Wait { .. })), "{ended:?}");
    assert_eq!(posts.len(), 2, "noted under the new view, and tried once: {posts:?}");
}

#[tokio::test]
async fn a_refused_set_paid_is_a_refusal_and_one_that_somebody_overtook_is_told_anew() {
    let error = || {
        raw(
            200,
            "application/json",
            json!({"error": {"code": "x", "message": "anna@example.com"}}).to_string(),
        )
    };
    for (after, expect) in [("0.00", "refused"), ("48.30", "again")] {
        let answers = vec![paid("0.00", "PEND"), noted(&[]), ok(json!({})), error(), paid(after, "PAID")];
        let (ended, _) =
            told(CheckfrontSettings::default(), answers, &view(PaymentStatus::Paid, 4830, 0)).await;
        match (expect, ended) {
            ("refused", Err(ShopError::Stopped { why, recorded: 0 })) => {
                assert!(!why.contains("example.com"), "{why}")
            }
            ("again", Err(ShopError::Wait { .. })) => {}
            (_, ended) => panic!("{expect}: {ended:?}"),
        }
    }
}

fn importing() -> CheckfrontSettings {
    let import_body = Some("{\"amount\":{amount},\"reference\":\"{payment_id}/{version}\"}".to_owned());
    CheckfrontSettings { import_body, ..CheckfrontSettings::default() }
}

#[tokio::test]
async fn an_import_records_a_part_once_both_apis_count_alike() {
    let v4 = |total: i64| {
        raw(200, "application/json", json!({"data": {"code": CODE, "total": total}}).to_string())
    };
    let part = view(PaymentStatus::PartiallyPaid, 1000, 3830);
    let answers = vec![
        paid("0.00", "PEND"),
        noted(&[]),
        v4(4830),
        ok(json!({})),
        raw(201, "application/json", "{}"),
        paid("10.00", "PEND"),
        ok(json!({})),
        ok(json!({})),
    ];
    let (ended, posts) = told(importing(), answers, &part).await;
    assert_eq!(ended.unwrap().recorded, Some(1000));
    assert_eq!(
        posts[1],
        "POST /api/4.0/bookings/KMVQ-060314/transactions/import {\"amount\":1000,\"reference\":\"pi_1/7\"}"
    );
    assert!(posts[2].ends_with("status_id=PART&notify=0"));
    let (ended, posts) = told(importing(), vec![paid("0.00", "PEND"), noted(&[]), v4(48)], &part).await;
    assert!(
        matches!(&ended, Err(ShopError::Stopped { why, recorded: 0 }) if why.contains("set import_v4 = false")),
        "{ended:?}"
    );
    assert!(posts.is_empty(), "nothing was written: {posts:?}");
}

#[tokio::test]
async fn a_second_import_waits_until_the_first_can_no_longer_arrive() {
    let money = Money::new(1000, Currency::parse("CAD").unwrap());
    let intent = notes::Intent { version: 7, from: 0, by: 1000, to: 1000, at: None };
    let answers = vec![paid("0.00", "PEND"), noted(&[notes::intended(&intent, money)])];
    let (ended, posts) = told(importing(), answers, &view(PaymentStatus::PartiallyPaid, 1000, 3830)).await;
    assert_eq!(
        ended.unwrap_err(),
        ShopError::Wait { after: 300, why: "an earlier import may still be under way" }
    );
    assert!(posts.is_empty());
}

#[test]
fn what_the_books_will_hold_follows_from_the_view_alone() {
    let plain = CheckfrontSettings::default();
    for (captured, due, by_set_paid, by_import) in
        [(0, 4830, 0, 0), (1000, 3830, 0, 1000), (4830, 0, 4830, 4830)]
    {
        let view = view(PaymentStatus::Paid, captured, due);
        assert_eq!((plain.books(&view), importing().books(&view)), (by_set_paid, by_import));
    }
}
