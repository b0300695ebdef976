//! Update expressions, as the store writes them and as a mistake would.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};

use super::{n, names, number, s};
use crate::bench::Bench;
use crate::check::{Seen, checks, verdict};

const UPDATES: &str = "DynamoDB guide, Update expressions";
const NAMES: &str = "DynamoDB guide, Expression attribute names";
const VALUES: &str = "DynamoDB guide, Expression attribute values";

checks! {
    "binary", "an attribute of every byte there is, written and read", "256 as written", "DynamoDB guide, Naming rules and data types" => binary;
    "commit", "the store's commit: SET and REMOVE in one expression, on a new item", "facts pk rev sk", UPDATES => commit;
    "remove-absent", "REMOVE of an attribute that is not there", "accepted", UPDATES => remove_absent;
    "set-reads-before", "`SET a = b, b = a`: right sides are read before", "a 2, b 1", UPDATES => set_reads_before;
    "all-new", "an update that asks for the item as it is then", "pk rev sk", "DynamoDB API, UpdateItem" => all_new;
    "reserved-word", "the reserved word `token` without a placeholder", "ValidationException", "DynamoDB guide, Reserved words" => reserved_word;
    "unused-value", "a value that no expression uses", "ValidationException", VALUES => unused_value;
    "unused-name", "a name that no expression uses", "ValidationException", NAMES => unused_name;
    "undefined-value", "a value that is not given", "ValidationException", VALUES => undefined_value;
    "one-path-twice", "`SET a = :x, a = :x`", "ValidationException", UPDATES => one_path_twice;
    "set-and-remove-one", "`SET a = :x REMOVE a`", "ValidationException", UPDATES => set_and_remove_one;
    "key-in-update", "`SET sk = :x`", "ValidationException", "DynamoDB API, UpdateItem" => key_in_update;
    "absent-operand", "`SET a = a + :one` where a is not there", "ValidationException", UPDATES => absent_operand;
    "expression-too-long", "an expression longer than 4 KB", "ValidationException", "DynamoDB guide, Quotas: expression parameters" => expression_too_long;
}

async fn binary(bench: &Bench) -> Seen {
    let (pk, bytes) = (bench.name("order"), (0..=u8::MAX).collect::<Vec<_>>());
    let update = bench.update(&pk, "SET facts = :new");
    update.expression_attribute_values(":new", AttributeValue::B(Blob::new(bytes.clone()))).send().await?;
    let item = bench.head(&pk).await?.unwrap_or_default();
    let held = item.get("facts").and_then(|f| f.as_b().ok()).map(|b| b.as_ref().to_vec()).unwrap_or_default();
    Ok(if held == bytes { format!("{} as written", held.len()) } else { format!("{held:?}") })
}

async fn commit(bench: &Bench) -> Seen {
    let pk = bench.name("order");
    let update = bench
        .update(&pk, "SET rev = :next, facts = :new REMOVE due_shard, due_at, due_tries")
        .condition_expression("attribute_not_exists(pk)")
        .expression_attribute_values(":next", n(1))
        .expression_attribute_values(":new", AttributeValue::B(Blob::new("a")));
    update.send().await?;
    Ok(names(&bench.head(&pk).await?.unwrap_or_default()))
}

async fn remove_absent(bench: &Bench) -> Seen {
    let pk = bench.name("order");
    bench.put(&pk).send().await?;
    Ok(verdict(&bench.update(&pk, "REMOVE due_at").send().await))
}

async fn set_reads_before(bench: &Bench) -> Seen {
    let pk = bench.name("order");
    bench.put(&pk).item("a", n(1)).item("b", n(2)).send().await?;
    bench.update(&pk, "SET a = b, b = a").send().await?;
    let item = bench.head(&pk).await?.unwrap_or_default();
    Ok(format!("a {}, b {}", number(&item, "a"), number(&item, "b")))
}

async fn all_new(bench: &Bench) -> Seen {
    let update = bench.update(&bench.name("order"), "SET rev = :n").expression_attribute_values(":n", n(1));
    let answer = update.return_values(ReturnValue::AllNew).send().await?;
    Ok(names(&answer.attributes.unwrap_or_default()))
}

/// What becomes of an update of an item with a = 1 and t = "text", with `:x` = 1 if it is given.
async fn tried(bench: &Bench, expression: &str, x: bool) -> Seen {
    let pk = bench.name("order");
    bench.put(&pk).item("a", n(1)).item("t", s("text")).send().await?;
    let update = bench.update(&pk, expression);
    let update = if x { update.expression_attribute_values(":x", n(1)) } else { update };
    Ok(verdict(&update.send().await))
}

async fn reserved_word(bench: &Bench) -> Seen {
    tried(bench, "SET token = :x", true).await
}

async fn unused_value(bench: &Bench) -> Seen {
    tried(bench, "REMOVE a", true).await
}

async fn unused_name(bench: &Bench) -> Seen {
    let update = bench.update(&bench.name("order"), "REMOVE a").expression_attribute_names("#n", "b");
    Ok(verdict(&update.send().await))
}

async fn undefined_value(bench: &Bench) -> Seen {
    tried(bench, "SET a = :y", false).await
}

async fn one_path_twice(bench: &Bench) -> Seen {
    tried(bench, "SET a = :x, a = :x", true).await
}

async fn set_and_remove_one(bench: &Bench) -> Seen {
    tried(bench, "SET a = :x REMOVE a", true).await
}

async fn key_in_update(bench: &Bench) -> Seen {
    tried(bench, "SET sk = :x", true).await
}

async fn absent_operand(bench: &Bench) -> Seen {
    tried(bench, "SET c = c + :x", true).await
}

async fn expression_too_long(bench: &Bench) -> Seen {
    let parts: Vec<String> = (0..500).map(|i| format!("attribute{i} = :x")).collect();
    tried(bench, &format!("SET {}", parts.join(", ")), true).await
}
