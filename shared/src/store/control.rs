//! Counters, watermarks and switches that span orders.

use std::collections::BTreeMap;

use super::{Store, StoreError, keys, n, number_of, s, text_of, unavailable};
use crate::domain::policy::RetryPolicy;
use crate::domain::state::Budget;
use crate::domain::time::{Seconds, UnixTime};

impl Store {
    /// Whether money calls are allowed: read strongly just before each. Absent means yes.
    pub async fn money_allowed(&self, stack: &str) -> Result<bool, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.control)
            .key("pk", s(keys::money_switch(stack)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|e| unavailable("GetItem", e))?;
        Ok(answer.item.as_ref().and_then(|i| text_of(i, "state")) != Some("off"))
    }

    /// Turns the money switch.
    pub async fn set_money(&self, stack: &str, on: bool, by: &str, now: UnixTime) -> Result<(), StoreError> {
        self.client
            .put_item()
            .table_name(&self.control)
            .item("pk", s(keys::money_switch(stack)))
            .item("state", s(if on { "on" } else { "off" }))
            .item("by_name", s(by))
            .item("at", n(now.0))
            .send()
            .await
            .map_err(|e| unavailable("PutItem", e))?;
        Ok(())
    }

    /// A poll's watermark (any text the poll understands).
    pub async fn cursor(&self, stack: &str, what: &str) -> Result<Option<String>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.control)
            .key("pk", s(keys::cursor(stack, what)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|e| unavailable("GetItem", e))?;
        Ok(answer.item.as_ref().and_then(|i| text_of(i, "value")).map(str::to_owned))
    }

    /// Moves a watermark if it still is `before`. `false`: another run moved it.
    pub async fn move_cursor(
        &self,
        stack: &str,
        what: &str,
        before: Option<&str>,
        value: &str,
    ) -> Result<bool, StoreError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.control)
            .item("pk", s(keys::cursor(stack, what)))
            .item("value", s(value));
        let put = match before {
            None => put.condition_expression("attribute_not_exists(pk)"),
            Some(before) => put
                .condition_expression("#value = :before")
                .expression_attribute_names("#value", "value")
                .expression_attribute_values(":before", s(before)),
        };
        let Err(error) = put.send().await else { return Ok(true) };
        match error.as_service_error() {
            Some(e) if e.is_conditional_check_failed_exception() => {
                Ok(self.cursor(stack, what).await?.as_deref() == Some(value))
            }
            _ => Err(unavailable("PutItem", error)),
        }
    }

    /// Takes or keeps the lease on `what` until `until`. `false`: another holder's has not ended. A holder that dies
    /// loses it by time alone.
    pub async fn lease(
        &self,
        stack: &str,
        what: &str,
        holder: &str,
        now: UnixTime,
        until: UnixTime,
    ) -> Result<bool, StoreError> {
        let sent = self
            .client
            .update_item()
            .table_name(&self.control)
            .key("pk", s(keys::lease(stack, what)))
            .update_expression("SET holder = :holder, held_until = :until")
            .condition_expression("attribute_not_exists(pk) OR held_until <= :now OR holder = :holder")
            .expression_attribute_values(":holder", s(holder))
            .expression_attribute_values(":until", n(until.0))
            .expression_attribute_values(":now", n(now.0))
            .send()
            .await;
        let Err(error) = sent else { return Ok(true) };
        match error.as_service_error() {
            Some(e) if e.is_conditional_check_failed_exception() => Ok(false),
            _ => Err(unavailable("UpdateItem", error)),
        }
    }

    /// Gives the lease back if it still is `holder`'s.
    pub async fn release(
        &self,
        stack: &str,
        what: &str,
        holder: &str,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let sent = self
            .client
            .update_item()
            .table_name(&self.control)
            .key("pk", s(keys::lease(stack, what)))
            .update_expression("SET held_until = :now")
            .condition_expression("holder = :holder")
            .expression_attribute_values(":holder", s(holder))
            .expression_attribute_values(":now", n(now.0))
            .send()
            .await;
        let Err(error) = sent else { return Ok(()) };
        match error.as_service_error() {
            Some(e) if e.is_conditional_check_failed_exception() => Ok(()),
            _ => Err(unavailable("UpdateItem", error)),
        }
    }

    /// Takes a place in a card's budget, keyed by `attempt` so that asking again takes no second one.
    pub async fn reserve_card(
        &self,
        pk: &str,
        attempt: &str,
        policy: &RetryPolicy,
        now: UnixTime,
    ) -> Result<Budget, StoreError> {
        for _ in 0..8 {
            let answer = self
                .client
                .get_item()
                .table_name(&self.control)
                .key("pk", s(pk))
                .consistent_read(true)
                .send()
                .await
                .map_err(|e| unavailable("GetItem", e))?;
            let item = answer.item.unwrap_or_default();
            let rev = number_of(&item, "rev").unwrap_or(0);
            let mut places: BTreeMap<String, i64> =
                text_of(&item, "places").and_then(|t| serde_json::from_str(t).ok()).unwrap_or_default();
            places.retain(|_, at| UnixTime(*at) + Seconds::days(30) > now);
            if places.contains_key(attempt) {
                return Ok(Budget { granted: true, again_at: None });
            }
            if let Some(again_at) = full_until(&places, policy, now) {
                return Ok(Budget { granted: false, again_at: Some(again_at) });
            }
            places.insert(attempt.to_owned(), now.0);
            let put = self
                .client
                .put_item()
                .table_name(&self.control)
                .item("pk", s(pk))
                .item("rev", n(rev + 1))
                .item("places", s(serde_json::to_string(&places).unwrap_or_default()))
                .item("expires_at", n((now + Seconds::days(35)).0));
            let put = if rev == 0 {
                put.condition_expression("attribute_not_exists(pk)")
            } else {
                put.condition_expression("rev = :rev").expression_attribute_values(":rev", n(rev))
            };
            match put.send().await {
                Ok(_) => return Ok(Budget { granted: true, again_at: None }),
                Err(error) => match error.as_service_error() {
                    // Perhaps our own success repeated: the next round finds our key.
                    Some(e) if e.is_conditional_check_failed_exception() => {}
                    _ => return Err(unavailable("PutItem", error)),
                },
            }
        }
        Err(StoreError::Conflict)
    }
}

/// When a full budget has room again; `None`: there is room now.
fn full_until(places: &BTreeMap<String, i64>, policy: &RetryPolicy, now: UnixTime) -> Option<UnixTime> {
    let windows = [
        (Seconds::days(7), policy.card_tries_7_days_max),
        (Seconds::days(30), policy.card_tries_30_days_max),
    ];
    windows
        .into_iter()
        .filter_map(|(window, most)| {
            let mut inside: Vec<i64> =
                places.values().copied().filter(|at| UnixTime(*at) + window > now).collect();
            if most == 0 {
                return Some(now + window);
            }
            inside.sort_unstable();
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            // Room comes when enough of the oldest have left the window.
            inside.len().checked_sub(most).and_then(|over| inside.get(over)).map(|at| UnixTime(*at) + window)
        })
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_budget_says_when_there_is_room_again() {
        let policy =
            RetryPolicy { card_tries_7_days_max: 2, card_tries_30_days_max: 3, ..RetryPolicy::default() };
        let day = |d: i64| UnixTime(d * 86_400);
        let at = |days: &[i64]| days.iter().map(|d| (d.to_string(), day(*d).0)).collect::<BTreeMap<_, _>>();
        assert_eq!(full_until(&at(&[]), &policy, day(10)), None);
        assert_eq!(full_until(&at(&[9]), &policy, day(10)), None);
        assert_eq!(full_until(&at(&[8, 9]), &policy, day(10)), Some(day(15)));
        assert_eq!(full_until(&at(&[1, 2, 9]), &policy, day(10)), Some(day(31)));
        let none = RetryPolicy { card_tries_7_days_max: 0, ..policy };
        assert!(full_until(&at(&[]), &none, day(10)).is_some());
    }
}
