//! Single reads, deletion by age, and tables.

use aws_sdk_dynamodb::types::{AttributeValue, TimeToLiveStatus};

use super::{n, s};
use crate::bench::Bench;
use crate::check::{Seen, checks, verdict};

const READS: &str = "DynamoDB guide, Read consistency";
const TTL: &str = "DynamoDB guide, Time to live";

checks! {
    "absent-item", "a read of an item that is not there", "no item, no error", "DynamoDB API, GetItem" => absent_item;
    "strong-read", "a strongly consistent read right after the write, 50 times", "always the newest", READS => strong_read;
    "weak-read", "an eventually consistent read right after the write, 50 times", "may be old", READS => weak_read;
    "half-a-key", "a read by partition key alone where the table has a sort key", "ValidationException", "DynamoDB API, GetItem" => half_a_key;
    "ttl-on", "the template's time to live setting", "on expires_at", TTL => ttl_on;
    "expired-is-read", "a read of an item whose time has passed a second ago", "still there", TTL => expired_is_read;
    "expired-is-found", "a query for it", "still there", TTL => expired_is_found;
    "expired-blocks", "a put, if absent, over it", "ConditionalCheckFailedException", TTL => expired_blocks;
    "table-twice", "creating a table that is there", "ResourceInUseException", "DynamoDB API, CreateTable" => table_twice;
}

async fn absent_item(bench: &Bench) -> Seen {
    let found = bench.head(&bench.name("order")).await?;
    Ok(if found.is_some() { "an item" } else { "no item, no error" }.to_owned())
}

async fn read_after_write(bench: &Bench, strong: bool) -> Seen {
    let pk = bench.name("order");
    for rev in 0..50 {
        bench.put(&pk).item("rev", n(rev)).send().await?;
        let get = bench.dynamodb.get_item().table_name(&bench.orders).consistent_read(strong);
        let item = get.key("pk", s(&pk)).key("sk", s("head")).send().await?.item.unwrap_or_default();
        if item.get("rev") != Some(&n(rev)) {
            return Ok("may be old".to_owned());
        }
    }
    Ok("always the newest".to_owned())
}

async fn strong_read(bench: &Bench) -> Seen {
    read_after_write(bench, true).await
}

async fn weak_read(bench: &Bench) -> Seen {
    read_after_write(bench, false).await
}

async fn half_a_key(bench: &Bench) -> Seen {
    let get = bench.dynamodb.get_item().table_name(&bench.orders).key("pk", s("a"));
    Ok(verdict(&get.send().await))
}

async fn ttl_on(bench: &Bench) -> Seen {
    let answer = bench.dynamodb.describe_time_to_live().table_name(&bench.orders).send().await?;
    let described = answer.time_to_live_description;
    let on = described
        .as_ref()
        .and_then(|d| d.time_to_live_status())
        .is_some_and(|status| matches!(status, TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling));
    let attribute = described.and_then(|d| d.attribute_name).unwrap_or_default();
    Ok(format!("{} {attribute}", if on { "on" } else { "off" }))
}

/// A key whose item's time to live has passed.
async fn expired(bench: &Bench) -> Result<String, crate::check::Trouble> {
    let pk = bench.name("body");
    bench.put(&pk).item("expires_at", n(bench.clock.now().0 - 1)).send().await?;
    Ok(pk)
}

async fn expired_is_read(bench: &Bench) -> Seen {
    let pk = expired(bench).await?;
    Ok(if bench.head(&pk).await?.is_some() { "still there" } else { "gone" }.to_owned())
}

async fn expired_is_found(bench: &Bench) -> Seen {
    let pk = expired(bench).await?;
    let query = bench.dynamodb.query().table_name(&bench.orders).key_condition_expression("pk = :pk");
    let found = query.expression_attribute_values(":pk", AttributeValue::S(pk)).send().await?;
    Ok(if found.items().is_empty() { "gone" } else { "still there" }.to_owned())
}

async fn expired_blocks(bench: &Bench) -> Seen {
    let pk = expired(bench).await?;
    Ok(verdict(&bench.put(&pk).condition_expression("attribute_not_exists(pk)").send().await))
}

async fn table_twice(bench: &Bench) -> Seen {
    use aws_sdk_dynamodb::types::{
        AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
    };
    let hash = KeySchemaElement::builder().attribute_name("pk").key_type(KeyType::Hash).build()?;
    let column = AttributeDefinition::builder().attribute_name("pk").attribute_type(ScalarAttributeType::S);
    let create = bench.dynamodb.create_table().table_name(&bench.orders).key_schema(hash);
    let create = create.attribute_definitions(column.build()?).billing_mode(BillingMode::PayPerRequest);
    Ok(verdict(&create.send().await))
}
