//! The ID maps between systems, both ways, and the buyer's customer item.
//!
//! Invariant: a link is put if absent and never changed; two orders that meet at one buyer share one customer.

use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;

use super::{Store, StoreError, n, number_of, s, text_of, unavailable};
use crate::domain::ids::OrderKey;
use crate::domain::state::Claim;

/// A buyer's item: the link, or who is making it.
#[derive(Clone, Debug, Default)]
pub struct CustomerItem {
    /// 0: there is none yet.
    pub rev: u64,
    /// `cus_...`
    pub customer: Option<String>,
    /// Generation of the creation's key.
    pub generation: u32,
    /// Who creates it now.
    pub claim: Option<Claim>,
    /// Token of the last commit.
    pub token: String,
}

impl Store {
    /// Puts a link to an order if there is none. Returns the order that the link names.
    pub async fn link(&self, pk: &str, order: &OrderKey) -> Result<OrderKey, StoreError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.links)
            .item("pk", s(pk))
            .item("order_key", s(order.as_str()))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let error = match put {
            Ok(_) => return Ok(order.clone()),
            Err(error) => error,
        };
        match error.as_service_error() {
            Some(aws_sdk_dynamodb::operation::put_item::PutItemError::ConditionalCheckFailedException(c)) => {
                let named = c.item.as_ref().and_then(|i| text_of(i, "order_key"));
                match named.and_then(|k| OrderKey::parse(k).ok()) {
                    Some(key) => Ok(key),
                    None => self.linked(pk).await.map(|k| k.unwrap_or_else(|| order.clone())),
                }
            }
            _ => Err(unavailable("PutItem", error)),
        }
    }

    /// The order a link names, read strongly.
    pub async fn linked(&self, pk: &str) -> Result<Option<OrderKey>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.links)
            .key("pk", s(pk))
            .consistent_read(true)
            .send()
            .await
            .map_err(|e| unavailable("GetItem", e))?;
        Ok(answer.item.as_ref().and_then(|i| text_of(i, "order_key")).and_then(|k| OrderKey::parse(k).ok()))
    }

    /// A buyer's item, read strongly.
    pub async fn customer(&self, pk: &str) -> Result<CustomerItem, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.links)
            .key("pk", s(pk))
            .consistent_read(true)
            .send()
            .await
            .map_err(|e| unavailable("GetItem", e))?;
        let Some(item) = answer.item else { return Ok(CustomerItem::default()) };
        let claim = match text_of(&item, "claim").map(serde_json::from_str) {
            Some(Ok(claim)) => Some(claim),
            Some(Err(e)) => return Err(StoreError::Unreadable { key: pk.into(), detail: e.to_string() }),
            None => None,
        };
        Ok(CustomerItem {
            rev: number_of(&item, "rev").and_then(|r| u64::try_from(r).ok()).unwrap_or(0),
            customer: text_of(&item, "customer").map(str::to_owned),
            generation: number_of(&item, "generation").and_then(|g| u32::try_from(g).ok()).unwrap_or(1),
            claim,
            token: text_of(&item, "token").unwrap_or_default().to_owned(),
        })
    }

    /// Commits a buyer's item on its revision. `false`: somebody else was first.
    pub async fn commit_customer(&self, pk: &str, rev: u64, next: &CustomerItem) -> Result<bool, StoreError> {
        let mut put = self
            .client
            .put_item()
            .table_name(&self.links)
            .item("pk", s(pk))
            .item("rev", n(rev + 1))
            .item("generation", n(next.generation))
            .item("token", s(&next.token));
        if let Some(customer) = &next.customer {
            put = put.item("customer", s(customer));
        }
        if let Some(claim) = &next.claim {
            put = put.item("claim", s(serde_json::to_string(claim).unwrap_or_default()));
        }
        put = if rev == 0 {
            put.condition_expression("attribute_not_exists(pk)")
        } else {
            put.condition_expression("rev = :rev").expression_attribute_values(":rev", n(rev))
        };
        let Err(error) = put.send().await else { return Ok(true) };
        match error.as_service_error() {
            Some(e) if e.is_conditional_check_failed_exception() => {
                // The SDK may repeat our own success as a conflict.
                Ok(self.customer(pk).await?.token == next.token)
            }
            _ => Err(unavailable("PutItem", error)),
        }
    }
}
