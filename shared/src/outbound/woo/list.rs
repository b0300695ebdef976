//! Orders changed since a time, page by page.
//!
//! Invariant: the next page begins at the second of the last row, not at a number: orders that change while the listing is
//! read move to its end and push others forward, past a page's border. Only a page that lies within one second is
//! followed by its number. A row that comes twice is harmless.

use http::Method;
use serde_json::Value;

use super::{WooClient, answer};
use crate::domain::time::{Seconds, UnixTime};
use crate::inbound::woo::seconds;
use crate::outbound::shop::call::date;
use crate::outbound::shop::field::refuse;
use crate::outbound::shop::{OrderRef, Page, ShopError, state_of};

/// The most that WooCommerce gives at once.
const PER_PAGE: usize = 100;

/// What a row shows of its order; its metadata stays away, for size.
const FIELDS: &str = "id,status,currency,total,customer_id,payment_method,transaction_id,date_modified_gmt,date_paid_gmt,refunds";

/// Where a page begins: after this second, the so-manieth page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct At {
    after: i64,
    page: u32,
}

impl At {
    fn parse(cursor: &str) -> Option<Self> {
        let (after, page) = cursor.split_once('.')?;
        Some(Self { after: after.parse().ok()?, page: page.parse().ok().filter(|n| *n > 0)? })
    }

    fn text(self) -> String {
        format!("{}.{}", self.after, self.page)
    }

    /// Where the page after one whose last row changed at `last` begins.
    fn next(self, last: i64) -> Self {
        // `modified_after` leaves its own second out.
        let after = last - 1;
        if after > self.after { Self { after, page: 1 } } else { Self { page: self.page + 1, ..self } }
    }
}

impl WooClient {
    /// One page of the orders changed at or after `since`.
    pub(super) async fn page(&self, since: UnixTime, cursor: Option<&str>) -> Result<Page, ShopError> {
        let at = match cursor {
            None => At { after: since.0.max(1) - 1, page: 1 },
            Some(cursor) => At::parse(cursor).ok_or(ShopError::Refused(400))?,
        };
        let after = UnixTime(at.after).to_string();
        let path = format!(
            "/orders?modified_after={}&dates_are_gmt=true&orderby=modified&order=asc&per_page={PER_PAGE}&page={}\
             &status=any&_fields={FIELDS}",
            after.trim_end_matches('Z'),
            at.page
        );
        let answered = self.send(Method::GET, &path, None).await?;
        let body = answer::json(&answered, "")?;
        let rows = body.as_array().ok_or_else(|| refuse("(body)", Some(&body), "a list of orders"))?;
        let now = date(&answered);
        let orders =
            rows.iter().enumerate().map(|(i, row)| line(i, row, now)).collect::<Result<Vec<_>, _>>()?;
        let last = orders.iter().map(|o| o.updated_at).max();
        let next = last.filter(|_| orders.len() >= PER_PAGE).map(|last| at.next(last.0).text());
        // What changes within the second of the answer may change again within it.
        let as_of = now.map(|now| now - Seconds(1)).or(last).unwrap_or(since);
        Ok(Page { orders, as_of, next_cursor: next })
    }
}

fn line(i: usize, row: &Value, now: Option<UnixTime>) -> Result<OrderRef, ShopError> {
    let id = row.get("id").and_then(Value::as_u64).filter(|id| *id > 0);
    let id = id.ok_or_else(|| refuse(&format!("orders[{i}].id"), row.get("id"), "a whole number above 0"))?;
    let modified = row.get("date_modified_gmt");
    let version = modified.and_then(Value::as_str).and_then(seconds).ok_or_else(|| {
        let rule = "a time such as \"2026-11-21T03:38:14\"";
        refuse(&format!("orders[{i}].date_modified_gmt"), modified, rule)
    })?;
    let updated_at = UnixTime(i64::try_from(version).unwrap_or(i64::MAX));
    let state = state_of(row, updated_at, now);
    Ok(OrderRef { id: id.to_string(), version, updated_at, state: Some(state) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_begins_at_the_second_of_the_last_row_and_by_number_only_within_one_second() {
        let first = At { after: 99, page: 1 };
        assert_eq!(first.next(150), At { after: 149, page: 1 });
        assert_eq!(first.next(100), At { after: 99, page: 2 }, "all rows in one second");
        let second = At { after: 99, page: 2 };
        assert_eq!(second.next(100), At { after: 99, page: 3 });
        assert_eq!(second.next(101), At { after: 100, page: 1 }, "the second is over");
    }

    #[test]
    fn a_cursor_reads_back_and_nonsense_is_refused() {
        let at = At { after: 1_795_232_294, page: 3 };
        assert_eq!(At::parse(&at.text()), Some(at));
        for bad in ["", "1", "1.0", "x.1", "1.x", "1.1.1", "-"] {
            assert_eq!(At::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn two_states_within_one_second_are_two_hints_and_an_open_second_is_named_again() {
        let row = |status: &str| serde_json::json!({"id": 34, "status": status, "date_modified_gmt": "2026-11-21T03:38:14"});
        let at = 1_795_232_294;
        let state = |status, now| line(0, &row(status), Some(UnixTime(now))).unwrap().state;
        assert_ne!(state("pending", at + 9), state("processing", at + 9));
        assert_eq!(state("pending", at + 9), state("pending", at + 99), "an old row stays the same hint");
        assert_ne!(state("pending", at), state("pending", at + 9), "its second was not over");
    }
}
