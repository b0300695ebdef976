//! Order items: load, commit on a revision, request bytes, and the three indexes.

use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;

use super::archive::Moved;
use super::{
    Change, Item, OrderItem, Store, StoreError, Summary, keys, n, number_of, s, text_of, unavailable,
};
use crate::domain::archive::seal;
use crate::domain::fact::{CaseKind, hash_of};
use crate::domain::ids::OrderKey;
use crate::domain::time::{Seconds, UnixTime};
use crate::planted::{Bug, planted};

/// How long request bytes kept apart may live: past this nobody may send them any more.
const BODY_TTL: Seconds = Seconds::hours(48);

/// How long it is known who dealt with a parked item.
const SETTLED_TTL: Seconds = Seconds::days(180);

/// What happened to a commit.
#[derive(Debug)]
pub enum Committed {
    /// It is in; the item as it is now.
    Yes(Box<OrderItem>),
    /// Somebody else was first; the item as it is now.
    Lost(Box<OrderItem>),
}

impl Store {
    /// The order's item, read strongly. An order without one is [`OrderItem::absent`].
    pub async fn load(&self, key: &OrderKey) -> Result<OrderItem, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.orders)
            .key("pk", s(key.as_str()))
            .key("sk", s(keys::HEAD))
            .consistent_read(true)
            .send()
            .await
            .map_err(|e| unavailable("GetItem", e))?;
        match answer.item {
            Some(item) => self.complete(OrderItem::parse(key.clone(), &item)?).await,
            None => Ok(OrderItem::absent(key.clone())),
        }
    }

    /// One conditional UpdateItem: succeeds only if `rev` is still the item's and makes it one more. The SDK may repeat
    /// our own success as a conflict: then our token is found in the item and it counts as a success. A head that would
    /// grow too large gives its settled facts to an archive, which is put before.
    pub async fn commit(&self, item: &OrderItem, change: Change) -> Result<Committed, StoreError> {
        let claims = item.claims_text(&change.claims)?;
        let summary = serde_json::to_string(&change.summary).unwrap_or_else(|_| "{}".into());
        let moved = Box::pin(self.archive(item, &change, claims.len() + summary.len())).await?;
        let mut set =
            vec!["rev = :next", "#token = :token", "claims = :claims", "summary = :summary", "#date = :date"];
        let mut remove = Vec::new();
        let mut update = self
            .client
            .update_item()
            .table_name(&self.orders)
            .key("pk", s(item.key.as_str()))
            .key("sk", s(keys::HEAD))
            .expression_attribute_names("#token", "token")
            .expression_attribute_names("#date", "date")
            .expression_attribute_values(":next", n(item.rev + 1))
            .expression_attribute_values(":token", s(&change.token))
            .expression_attribute_values(":claims", s(claims))
            .expression_attribute_values(":summary", s(summary))
            .expression_attribute_values(":date", s(&change.day))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        if let Some(newest) = change.facts.last() {
            let stay = item.facts.get(moved.count..).unwrap_or_default();
            let facts = item.packed(stay.iter().chain(&change.facts))?;
            set.push("facts = :facts");
            set.push("head_hash = :hash");
            let hash = seal(moved.kept.as_ref(), &hash_of(&newest.raw));
            update = update
                .expression_attribute_values(":facts", facts)
                .expression_attribute_values(":hash", s(hash));
            if let Some(kept) = moved.kept.as_ref().filter(|_| moved.rewrites) {
                set.push("archived = :archived");
                update = update.expression_attribute_values(":archived", s(&kept.raw));
                update = update.expression_attribute_names("#snapshot", "snapshot");
                match &kept.snapshot {
                    Some(text) => {
                        set.push("#snapshot = :snapshot");
                        update = update.expression_attribute_values(":snapshot", s(text));
                    }
                    None => remove.push("#snapshot"),
                }
            }
        }
        match change.due_at {
            Some(due) => {
                set.extend(["due_shard = :shard", "due_at = :due", "due_tries = :tries"]);
                update = update
                    .expression_attribute_values(":shard", s(keys::due_shard(item.key.as_str())))
                    .expression_attribute_values(":due", n(due.0))
                    .expression_attribute_values(":tries", n(change.due_tries));
            }
            None => remove.extend(["due_shard", "due_at", "due_tries"]),
        }
        match change.case {
            Some((kind, at)) => {
                set.extend(["case_kind = :kind", "case_opened_at = :opened"]);
                update = update
                    .expression_attribute_values(":kind", s(kind.name()))
                    .expression_attribute_values(":opened", n(at.0));
            }
            None => remove.extend(["case_kind", "case_opened_at"]),
        }
        let condition = if item.rev == 0 {
            set.extend(["#day = :day", "order_key = :key"]);
            update = update
                .expression_attribute_names("#day", "day")
                .expression_attribute_values(":day", s(keys::day(&change.day, item.key.as_str())))
                .expression_attribute_values(":key", s(item.key.as_str()));
            "attribute_not_exists(pk)"
        } else {
            update = update.expression_attribute_values(":rev", n(item.rev));
            if planted(Bug::CommitWithoutRevision) { "rev >= :rev" } else { "rev = :rev" }
        };
        let mut expression = format!("SET {}", set.join(", "));
        if !remove.is_empty() {
            expression = format!("{expression} REMOVE {}", remove.join(", "));
        }
        let sent = update.update_expression(expression).condition_expression(condition).send().await;
        match sent {
            Ok(_) => Ok(Committed::Yes(Box::new(applied(item, change, moved)))),
            Err(error) => self.lost(item, &change.token, error).await,
        }
    }

    async fn lost(
        &self,
        item: &OrderItem,
        token: &str,
        error: aws_sdk_dynamodb::error::SdkError<aws_sdk_dynamodb::operation::update_item::UpdateItemError>,
    ) -> Result<Committed, StoreError> {
        let old = match error.as_service_error() {
            Some(
                aws_sdk_dynamodb::operation::update_item::UpdateItemError::ConditionalCheckFailedException(c),
            ) => c.item.clone(),
            _ => return Err(unavailable("UpdateItem", error)),
        };
        let now = match old {
            Some(old) => self.complete(OrderItem::parse(item.key.clone(), &old)?).await?,
            None => self.load(&item.key).await?,
        };
        let ours = now.has_commit(token) || planted(Bug::EveryConflictIsOurs);
        Ok(if ours { Committed::Yes(Box::new(now)) } else { Committed::Lost(Box::new(now)) })
    }

    /// Keeps request bytes apart, before their claim.
    pub async fn put_body(
        &self,
        owner: &str,
        token: &str,
        bytes: &str,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        self.client
            .put_item()
            .table_name(&self.orders)
            .item("pk", s(owner))
            .item("sk", s(keys::body(token)))
            .item("bytes", s(bytes))
            .item("expires_at", n((now + BODY_TTL).0))
            .send()
            .await
            .map_err(|e| unavailable("PutItem", e))?;
        Ok(())
    }

    /// The bytes kept apart, if they are still there.
    pub async fn body(&self, owner: &str, token: &str) -> Result<Option<String>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.orders)
            .key("pk", s(owner))
            .key("sk", s(keys::body(token)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|e| unavailable("GetItem", e))?;
        Ok(answer.item.as_ref().and_then(|i| text_of(i, "bytes")).map(str::to_owned))
    }

    /// Forgets bytes whose outcome is recorded.
    pub async fn delete_body(&self, owner: &str, token: &str) -> Result<(), StoreError> {
        self.client
            .delete_item()
            .table_name(&self.orders)
            .key("pk", s(owner))
            .key("sk", s(keys::body(token)))
            .send()
            .await
            .map_err(|e| unavailable("DeleteItem", e))?;
        Ok(())
    }

    /// Keys of orders due by `now` in one shard, earliest first, at most `limit`.
    pub async fn due(&self, shard: &str, now: UnixTime, limit: i32) -> Result<Vec<OrderKey>, StoreError> {
        let answer = self
            .client
            .query()
            .table_name(&self.orders)
            .index_name("due")
            .key_condition_expression("due_shard = :shard AND due_at <= :now")
            .expression_attribute_values(":shard", s(shard))
            .expression_attribute_values(":now", n(now.0))
            .limit(limit)
            .send()
            .await
            .map_err(|e| unavailable("Query", e))?;
        let keys = answer.items.unwrap_or_default();
        Ok(keys.iter().filter_map(|i| text_of(i, "pk")).filter_map(|k| OrderKey::parse(k).ok()).collect())
    }

    /// One page of what is due by `now` in one shard, earliest first: keys as stored (one that is no order's is given
    /// as `Err`), and where to go on.
    pub async fn due_page(
        &self,
        shard: &str,
        now: UnixTime,
        limit: i32,
        after: Option<Item>,
    ) -> Result<(Vec<Result<OrderKey, String>>, Option<Item>), StoreError> {
        let answer = self
            .client
            .query()
            .table_name(&self.orders)
            .index_name("due")
            .key_condition_expression("due_shard = :shard AND due_at <= :now")
            .expression_attribute_values(":shard", s(shard))
            .expression_attribute_values(":now", n(now.0))
            .limit(limit)
            .set_exclusive_start_key(after)
            .send()
            .await
            .map_err(|e| unavailable("Query", e))?;
        let rows = answer.items.unwrap_or_default();
        let keys = rows.iter().filter_map(|i| text_of(i, "pk"));
        let keys = keys.map(|k| OrderKey::parse(k).map_err(|_| k.to_owned())).collect();
        Ok((keys, answer.last_evaluated_key))
    }

    /// One page of a day partition: order keys with their summaries, and the key to go on from.
    pub async fn day_page(
        &self,
        partition: &str,
        after: Option<Item>,
    ) -> Result<(Vec<(OrderKey, Summary)>, Option<Item>), StoreError> {
        let answer = self
            .client
            .query()
            .table_name(&self.orders)
            .index_name("day")
            .key_condition_expression("#day = :day")
            .expression_attribute_names("#day", "day")
            .expression_attribute_values(":day", s(partition))
            .set_exclusive_start_key(after)
            .send()
            .await
            .map_err(|e| unavailable("Query", e))?;
        let rows = answer.items.unwrap_or_default().iter().filter_map(row).collect();
        Ok((rows, answer.last_evaluated_key))
    }

    /// Open cases of one kind, oldest first: order key, opened at, summary.
    pub async fn cases(&self, kind: CaseKind) -> Result<Vec<(OrderKey, UnixTime, Summary)>, StoreError> {
        let mut out = Vec::new();
        let mut after = None;
        loop {
            let answer = self
                .client
                .query()
                .table_name(&self.orders)
                .index_name("cases")
                .key_condition_expression("case_kind = :kind")
                .expression_attribute_values(":kind", s(kind.name()))
                .set_exclusive_start_key(after)
                .send()
                .await
                .map_err(|e| unavailable("Query", e))?;
            for item in answer.items.unwrap_or_default() {
                let opened = number_of(&item, "case_opened_at").map(UnixTime).unwrap_or_default();
                out.extend(row(&item).map(|(key, summary)| (key, opened, summary)));
            }
            after = answer.last_evaluated_key;
            if after.is_none() || out.len() >= 1_000 {
                return Ok(out);
            }
        }
    }
}

/// Something signed that cannot be read or routed: ids, size and hash, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Parked {
    /// Event, delivery or object id.
    pub id: String,
    /// The source's name.
    pub source: String,
    /// What could not be done.
    pub reason: String,
    /// SHA-256 of the raw body, hex.
    pub sha256: String,
    /// Bytes of the raw body.
    pub size: u64,
}

impl Store {
    /// Keeps what cannot be read or routed yet as a case of kind `parked`; the same twice is kept once, and shown again if
    /// it comes again after somebody dealt with it.
    pub async fn park(&self, parked: &Parked, now: UnixTime) -> Result<(), StoreError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.orders)
            .item("pk", s(keys::unowned(&format!("{}:{}", parked.source, parked.id))))
            .item("sk", s(keys::HEAD))
            .item("case_kind", s("parked"))
            .item("case_opened_at", n(now.0))
            .item("summary", s(serde_json::to_string(parked).unwrap_or_default()))
            .condition_expression("attribute_not_exists(case_kind)")
            .send()
            .await;
        match put {
            Ok(_) => Ok(()),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => {
                Ok(())
            }
            Err(e) => Err(unavailable("PutItem", e)),
        }
    }

    /// Takes a parked item off the list. Who dealt with it is kept for half a year. `false`: there is none.
    pub async fn unpark(&self, source: &str, id: &str, by: &str, now: UnixTime) -> Result<bool, StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.orders)
            .key("pk", s(keys::unowned(&format!("{source}:{id}"))))
            .key("sk", s(keys::HEAD))
            .update_expression(
                "REMOVE case_kind, case_opened_at SET settled_by = :by, settled_at = :now, expires_at = :end",
            )
            .condition_expression("case_kind = :parked")
            .expression_attribute_values(":parked", s("parked"))
            .expression_attribute_values(":by", s(by))
            .expression_attribute_values(":now", n(now.0))
            .expression_attribute_values(":end", n((now + SETTLED_TTL).0))
            .send()
            .await;
        match update {
            Ok(_) => Ok(true),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => {
                Ok(false)
            }
            Err(e) => Err(unavailable("UpdateItem", e)),
        }
    }

    /// What is parked, oldest first.
    pub async fn parked(&self) -> Result<Vec<(UnixTime, Parked)>, StoreError> {
        let answer = self
            .client
            .query()
            .table_name(&self.orders)
            .index_name("cases")
            .key_condition_expression("case_kind = :kind")
            .expression_attribute_values(":kind", s("parked"))
            .send()
            .await
            .map_err(|e| unavailable("Query", e))?;
        let read = |item: &Item| {
            let parked = serde_json::from_str(text_of(item, "summary")?).ok()?;
            Some((number_of(item, "case_opened_at").map(UnixTime)?, parked))
        };
        Ok(answer.items.unwrap_or_default().iter().filter_map(read).collect())
    }
}

fn row(item: &Item) -> Option<(OrderKey, Summary)> {
    let key = OrderKey::parse(text_of(item, "pk")?).ok()?;
    Some((key, serde_json::from_str(text_of(item, "summary")?).ok()?))
}

fn applied(item: &OrderItem, change: Change, moved: Moved) -> OrderItem {
    let mut facts = item.facts.get(moved.count..).unwrap_or_default().to_vec();
    facts.extend(change.facts);
    OrderItem {
        key: item.key.clone(),
        rev: item.rev + 1,
        facts,
        kept: moved.kept,
        base: moved.base,
        claims: change.claims,
        unread: item.unread.clone(),
        due_at: change.due_at,
        due_tries: change.due_tries,
        day: Some(change.day),
        token: change.token,
    }
}
