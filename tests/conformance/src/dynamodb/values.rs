//! Values: numbers, empty ones, sizes.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{Item, n, number, s};
use crate::bench::Bench;
use crate::check::{Seen, checks, verdict};

const TYPES: &str = "DynamoDB guide, Naming rules and data types";
const QUOTAS: &str = "DynamoDB guide, Quotas";

checks! {
    "38-digits", "a number of 38 digits", "12345678901234567890123456789012345678", TYPES => digits_38;
    "39-digits", "a number of 39 digits", "ValidationException", TYPES => digits_39;
    "past-2-53", "9007199254740993, which no float holds", "9007199254740993", TYPES => past_2_53;
    "decimal", "0.1 + 0.2 in an update", "0.3", TYPES => decimal;
    "number-spelling", "the numbers 0010, 1.500 and 1E3 come back as", "10, 1.5, 1000", TYPES => number_spelling;
    "not-a-number", "the number `ten`", "ValidationException", TYPES => not_a_number;
    "empty-text", "empty text as an attribute", "accepted", TYPES => empty_text;
    "empty-list", "an empty list and an empty map as attributes", "accepted", TYPES => empty_list;
    "empty-set", "an empty set as an attribute", "ValidationException", TYPES => empty_set;
    "empty-key", "empty text as a key", "ValidationException", TYPES => empty_key;
    "empty-index-key", "empty text as a key of an index", "ValidationException", TYPES => empty_index_key;
    "wrong-index-key", "text where an index has a number as key", "ValidationException", "DynamoDB guide, Global secondary indexes" => wrong_index_key;
    "all-types", "null, bool, binary, set, map and list come back", "unchanged", TYPES => all_types;
    "400-kb", "an item of exactly 400 KB", "accepted", QUOTAS => item_400_kb;
    "past-400-kb", "an item of one byte more", "ValidationException", QUOTAS => past_400_kb;
    "grown-past-400-kb", "an update that grows an item past 400 KB", "ValidationException, item unchanged", QUOTAS => grown_past_400_kb;
    "long-partition-key", "partition keys of 2048 and of 2049 bytes", "accepted, ValidationException", QUOTAS => long_partition_key;
    "long-sort-key", "sort keys of 1024 and of 1025 bytes", "accepted, ValidationException", QUOTAS => long_sort_key;
}

/// `value` as it comes back after a put.
async fn round_trip(bench: &Bench, value: AttributeValue) -> Result<Item, crate::check::Trouble> {
    let pk = bench.name("value");
    bench.put(&pk).item("v", value).send().await?;
    Ok(bench.head(&pk).await?.unwrap_or_default())
}

async fn put(bench: &Bench, name: &str, value: AttributeValue) -> Seen {
    Ok(verdict(&bench.put(&bench.name("value")).item(name, value).send().await))
}

async fn digits_38(bench: &Bench) -> Seen {
    let item = round_trip(bench, n("12345678901234567890123456789012345678")).await?;
    Ok(number(&item, "v"))
}

async fn digits_39(bench: &Bench) -> Seen {
    put(bench, "v", n("123456789012345678901234567890123456789")).await
}

async fn past_2_53(bench: &Bench) -> Seen {
    let item = round_trip(bench, n("9007199254740993")).await?;
    Ok(number(&item, "v"))
}

async fn decimal(bench: &Bench) -> Seen {
    let pk = bench.name("value");
    bench.put(&pk).item("v", n("0.1")).send().await?;
    let update = bench.update(&pk, "SET v = v + :more").expression_attribute_values(":more", n("0.2"));
    update.send().await?;
    Ok(number(&bench.head(&pk).await?.unwrap_or_default(), "v"))
}

async fn number_spelling(bench: &Bench) -> Seen {
    let mut back = Vec::new();
    for spelled in ["0010", "1.500", "1E3"] {
        back.push(number(&round_trip(bench, n(spelled)).await?, "v"));
    }
    Ok(back.join(", "))
}

async fn not_a_number(bench: &Bench) -> Seen {
    put(bench, "v", n("ten")).await
}

async fn empty_text(bench: &Bench) -> Seen {
    put(bench, "v", s("")).await
}

async fn empty_list(bench: &Bench) -> Seen {
    let put = bench.put(&bench.name("value")).item("l", AttributeValue::L(Vec::new()));
    Ok(verdict(&put.item("m", AttributeValue::M(Item::new())).send().await))
}

async fn empty_set(bench: &Bench) -> Seen {
    put(bench, "v", AttributeValue::Ss(Vec::new())).await
}

async fn empty_key(bench: &Bench) -> Seen {
    Ok(verdict(&bench.put("").send().await))
}

async fn empty_index_key(bench: &Bench) -> Seen {
    let put = bench.put(&bench.name("value")).item("due_shard", s("")).item("due_at", n(1));
    Ok(verdict(&put.send().await))
}

async fn wrong_index_key(bench: &Bench) -> Seen {
    let put = bench.put(&bench.name("value")).item("due_shard", s("a")).item("due_at", s("soon"));
    Ok(verdict(&put.send().await))
}

async fn all_types(bench: &Bench) -> Seen {
    let value = AttributeValue::L(vec![
        AttributeValue::Null(true),
        AttributeValue::Bool(false),
        AttributeValue::B(aws_smithy_types::Blob::new([0_u8, 255])),
        AttributeValue::Ss(vec!["a".to_owned()]),
        AttributeValue::M(Item::from([("ü #\u{1f600}".to_owned(), s("\n\"\\ é"))])),
        AttributeValue::L(Vec::new()),
    ]);
    let item = round_trip(bench, value.clone()).await?;
    Ok(if item.get("v") == Some(&value) { "unchanged".to_owned() } else { format!("{:?}", item.get("v")) })
}

/// An item's size is its names and values in UTF-8.
fn filling(pk: &str, size: usize) -> AttributeValue {
    s("x".repeat(size - "pk".len() - pk.len() - "sk".len() - "head".len() - "v".len()))
}

const KB_400: usize = 400 * 1024;

async fn item_400_kb(bench: &Bench) -> Seen {
    let pk = bench.name("big");
    Ok(verdict(&bench.put(&pk).item("v", filling(&pk, KB_400)).send().await))
}

async fn past_400_kb(bench: &Bench) -> Seen {
    let pk = bench.name("big");
    Ok(verdict(&bench.put(&pk).item("v", filling(&pk, KB_400 + 1)).send().await))
}

async fn grown_past_400_kb(bench: &Bench) -> Seen {
    let pk = bench.name("big");
    bench.put(&pk).item("v", filling(&pk, KB_400 - 100)).send().await?;
    let grown = bench.update(&pk, "SET w = :w").expression_attribute_values(":w", s("x".repeat(200)));
    let told = verdict(&grown.send().await);
    let same = bench.head(&pk).await?.is_some_and(|item| !item.contains_key("w"));
    Ok(format!("{told}, item {}", if same { "unchanged" } else { "changed" }))
}

async fn long_partition_key(bench: &Bench) -> Seen {
    let name = bench.name("long");
    let padded = |length: usize| format!("{name}{}", "x".repeat(length - name.len()));
    let fits = verdict(&bench.put(&padded(2048)).send().await);
    Ok(format!("{fits}, {}", verdict(&bench.put(&padded(2049)).send().await)))
}

async fn long_sort_key(bench: &Bench) -> Seen {
    let name = bench.name("long");
    let put = |length: usize| {
        let put = bench.dynamodb.put_item().table_name(&bench.orders);
        put.item("pk", s(&name)).item("sk", s("x".repeat(length))).send()
    };
    let fits = verdict(&put(1024).await);
    Ok(format!("{fits}, {}", verdict(&put(1025).await)))
}
