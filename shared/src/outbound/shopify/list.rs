//! What changed since: one page of the store's own listing, oldest change first.

use serde_json::json;

use super::read::{Reader, gid_number};
use super::{ShopifyClient, document};
use crate::domain::time::UnixTime;
use crate::inbound::sha256_hex;
use crate::outbound::shop::field::refuse;
use crate::outbound::shop::{OrderRef, Page, ShopError};

impl ShopifyClient {
    pub(super) async fn page(&self, since: UnixTime, cursor: Option<&str>) -> Result<Page, ShopError> {
        let variables = json!({ "query": format!("updated_at:>='{since}'"), "after": cursor });
        let answer = self.ask(document::ORDERS, variables, "").await?;
        let Some(as_of) = answer.date else {
            return Err(refuse("date", None, "the answer's Date header tells when the listing began"));
        };
        let list = Reader::of(&answer.data, "").at("orders")?;
        let orders = list.nodes("nodes")?.iter().map(|row| line(row, as_of)).collect::<Result<_, _>>()?;
        let info = list.at("pageInfo")?;
        let next_cursor =
            if info.boolean("hasNextPage")? { Some(info.text("endCursor")?.to_owned()) } else { None };
        Ok(Page { orders, as_of, next_cursor })
    }
}

fn line(row: &Reader<'_>, as_of: UnixTime) -> Result<OrderRef, ShopError> {
    let updated_at = row.time("updatedAt")?;
    // Its second is not over: it may change in a way that neither the time nor the row tells, so the next listing names it
    // once more.
    let fresh = if updated_at.0 >= as_of.0 - 1 { as_of.0.to_string() } else { String::new() };
    let mut state = sha256_hex(format!("{}{fresh}", row.value()).as_bytes());
    state.truncate(16);
    Ok(OrderRef {
        id: gid_number(row.text("id")?, "Order")
            .ok_or_else(|| row.refused("id", "a global id of an order"))?,
        version: u64::try_from(updated_at.0).unwrap_or(0),
        updated_at,
        state: Some(state),
    })
}
