//! What can be asked of the store.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use shared::domain::time::UnixTime;

use super::graphql::Field;
use super::{Shop, book_of, shapes};

/// A failed field: the code and the message of its error.
pub(super) type Failure = (&'static str, String);

fn invalid(why: impl Into<String>) -> Failure {
    ("argumentLiteralsIncompatible", why.into())
}

/// The number in a global id.
pub(super) fn number_in<'a>(gid: &'a str, kind: &str) -> Option<&'a str> {
    gid.strip_prefix("gid://shopify/")?.strip_prefix(kind)?.strip_prefix('/')
}

impl Shop {
    pub(super) fn shopify_read(&self, field: &Field) -> Result<Value, Failure> {
        let text = |name: &str| field.arguments.get(name).and_then(Value::as_str);
        match field.name.as_str() {
            "order" => {
                let id = text("id").ok_or_else(|| invalid("order needs an id"))?;
                Ok(number_in(id, "Order").and_then(|id| self.shown_in_graphql(id)).unwrap_or_default())
            }
            "orders" => self.orders(field),
            "webhookSubscriptions" => {
                let uri = text("uri");
                let mut state = self.lock();
                let all = state.shopify.subscriptions(&self.0.config);
                let nodes: Vec<Value> = all
                    .iter()
                    .filter(|s| uri.is_none_or(|uri| s.uri == uri))
                    .map(|s| {
                        let id = shapes::gid("WebhookSubscription", &s.id.to_string());
                        json!({ "id": id, "topic": s.topic, "uri": s.uri, "format": "JSON" })
                    })
                    .collect();
                Ok(json!({ "nodes": nodes }))
            }
            "shop" => {
                let domain = self.0.config.public_url.split_once("://").map_or("", |(_, rest)| rest);
                Ok(
                    json!({ "myshopifyDomain": domain, "currencyCode": "EUR", "ianaTimezone": "America/New_York" }),
                )
            }
            "currentAppInstallation" => {
                let scopes = ["read_all_orders", "read_customers", "write_orders"];
                Ok(json!({ "accessScopes": scopes.map(|handle| json!({ "handle": handle })) }))
            }
            other => Err(("undefinedField", format!("Field '{other}' doesn't exist on type 'QueryRoot'"))),
        }
    }

    fn shown_in_graphql(&self, id: &str) -> Option<Value> {
        let (order, native) = self.shown(id).ok()?;
        let state = self.lock();
        let kept = state.record.orders.get(id)?;
        let told = kept.payment.as_ref().map(|view| (kept.payment_version, view));
        Some(shapes::order(&order, &book_of(&native), told))
    }

    /// One page in the order of (`updatedAt`, id); the cursor is the last line given.
    fn orders(&self, field: &Field) -> Result<Value, Failure> {
        let text = |name: &str| field.arguments.get(name).and_then(Value::as_str);
        if text("sortKey") != Some("UPDATED_AT") {
            return Err(invalid("this store lists by UPDATED_AT alone"));
        }
        let query = text("query").unwrap_or("updated_at:>='1970-01-01T00:00:00Z'");
        let since = query.strip_prefix("updated_at:>='").and_then(|rest| rest.strip_suffix('\''));
        let since = since.and_then(|at| at.parse::<jiff::Timestamp>().ok());
        let since = UnixTime(since.ok_or_else(|| invalid(format!("no search: {query}")))?.as_second());
        let after = match text("after") {
            None => None,
            Some(cursor) => {
                Some(place(cursor).ok_or_else(|| invalid("Invalid cursor for current pagination sort."))?)
            }
        };
        let first = field.arguments.get("first").and_then(Value::as_u64).filter(|n| (1..=250).contains(n));
        let first =
            first.and_then(|n| usize::try_from(n).ok()).ok_or_else(|| invalid("first is 1 to 250"))?;
        let state = self.lock();
        let mut lines: Vec<_> = state
            .record
            .orders
            .values()
            .map(|kept| ((kept.order.updated_at, kept.order.id.clone()), kept))
            .filter(|(place, _)| place.0 >= since && after.as_ref().is_none_or(|after| place > after))
            .collect();
        lines.sort_by(|a, b| a.0.cmp(&b.0));
        let more = lines.len() > first;
        lines.truncate(first);
        let end = lines.last().map(|((at, id), _)| STANDARD.encode(format!("{}:{id}", at.0)));
        let nodes: Vec<Value> = lines
            .into_iter()
            .map(|(_, kept)| shapes::order(&kept.order, &book_of(&kept.native), None))
            .collect();
        Ok(json!({ "nodes": nodes, "pageInfo": { "hasNextPage": more, "endCursor": end } }))
    }
}

fn place(cursor: &str) -> Option<(UnixTime, String)> {
    let text = String::from_utf8(STANDARD.decode(cursor).ok()?).ok()?;
    let (at, id) = text.split_once(':')?;
    Some((UnixTime(at.parse().ok()?), id.to_owned()))
}
