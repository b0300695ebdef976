//! What changed since: one page of the store's own listing, oldest change first.

use serde_json::json;

use super::read::{Reader, gid_number};
use super::{ShopifyClient, document};
use crate::domain::time::UnixTime;
use crate::outbound::shop::field::refuse;
use crate::outbound::shop::{OrderRef, Page, ShopError, state_of};

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
    Ok(OrderRef {
        id: gid_number(row.text("id")?, "Order")
            .ok_or_else(|| row.refused("id", "a global id of an order"))?,
        version: u64::try_from(updated_at.0).unwrap_or(0),
        updated_at,
        state: Some(state_of(row.value(), updated_at, Some(as_of))),
    })
}
