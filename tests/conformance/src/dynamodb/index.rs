//! The indexes: what is in them, in which order, and in pages.

use super::{Item, n, names, s};
use crate::bench::Bench;
use crate::check::{Seen, Trouble, checks, verdict};

const GSI: &str = "DynamoDB guide, Global secondary indexes";
const PAGES: &str = "DynamoDB guide, Paginating table query results";
const QUERY: &str = "DynamoDB API, Query";

checks! {
    "sparse", "an item in the due index: before, with and after its due time", "0, 1, 0", "DynamoDB guide, Sparse indexes" => sparse;
    "keys-only", "what the due index (keys only) shows of an item", "due_at due_shard pk sk", GSI => keys_only;
    "included", "what the day index (with `summary`) shows of an item", "day order_key pk sk summary", GSI => included;
    "consistent-index-read", "a strongly consistent query of an index", "ValidationException", GSI => consistent_index_read;
    "index-order", "due times 100, 9 and 20 come in this order", "9 20 100", QUERY => index_order;
    "index-descending", "the same backwards", "100 20 9", QUERY => index_descending;
    "same-index-key", "two items due at the same second", "2", GSI => same_index_key;
    "due-by-now", "`due_at <= :now` with 1, 5 and 9 due and now 5", "1 5", QUERY => due_by_now;
    "pages", "five items, two a page: items of each page", "2 2 1", PAGES => pages;
    "last-page-full", "four items, two a page: the last page is not known to be it", "2 2 0", PAGES => last_page_full;
    "page-key", "where the next page of the due index begins", "due_at due_shard pk sk", PAGES => page_key;
    "page-key-gone", "going on after an item that left the index meanwhile", "the rest", PAGES => page_key_gone;
    "megabyte", "five items of 300 KB without a limit: more than one page", "more than one page, all five", PAGES => megabyte;
    "missing-index", "a query of an index that is not there", "ValidationException", QUERY => missing_index;
    "missing-table", "a query of a table that is not there", "ResourceNotFoundException", QUERY => missing_table;
    "index-lag", "an index read right after the write, 50 times", "may be old", GSI => index_lag;
}

/// Rounds of looking until an index, which may lag, shows what is looked for.
const LOOKS: u32 = 20;

/// How many items of `shard` the due index shows, looked at until there are `wanted`.
async fn in_due(bench: &Bench, shard: &str, wanted: usize) -> Result<usize, Trouble> {
    let mut count = usize::MAX;
    for _ in 0..LOOKS {
        count = bench.index("due", "due_shard", shard).send().await?.items().len();
        if count == wanted {
            break;
        }
        bench.pass(1).await;
    }
    Ok(count)
}

async fn sparse(bench: &Bench) -> Seen {
    let (pk, shard) = (bench.name("order"), bench.name("shard"));
    bench.put(&pk).send().await?;
    let before = in_due(bench, &shard, 0).await?;
    bench.due(&pk, &shard, 5).await?;
    let with = in_due(bench, &shard, 1).await?;
    bench.update(&pk, "REMOVE due_shard, due_at").send().await?;
    Ok(format!("{before}, {with}, {}", in_due(bench, &shard, 0).await?))
}

async fn keys_only(bench: &Bench) -> Seen {
    let (pk, shard) = (bench.name("order"), bench.name("shard"));
    bench.due(&pk, &shard, 5).await?;
    in_due(bench, &shard, 1).await?;
    let answer = bench.index("due", "due_shard", &shard).send().await?;
    Ok(answer.items().first().map(names).unwrap_or_default())
}

async fn included(bench: &Bench) -> Seen {
    let (pk, day) = (bench.name("order"), bench.name("day"));
    let put = bench.put(&pk).item("day", s(&day)).item("order_key", s(&pk)).item("rev", n(1));
    put.item("summary", s("paid")).send().await?;
    let mut shown = String::new();
    for _ in 0..LOOKS {
        let answer = bench.index("day", "day", &day).send().await?;
        shown = answer.items().first().map(names).unwrap_or_default();
        if !shown.is_empty() {
            break;
        }
        bench.pass(1).await;
    }
    Ok(shown)
}

async fn consistent_index_read(bench: &Bench) -> Seen {
    Ok(verdict(&bench.index("due", "due_shard", "a").consistent_read(true).send().await))
}

/// Items due at these times in a shard of their own.
async fn shard(bench: &Bench, times: &[i64]) -> Result<String, Trouble> {
    let shard = bench.name("shard");
    for at in times {
        bench.due(&bench.name("order"), &shard, *at).await?;
    }
    in_due(bench, &shard, times.len()).await?;
    Ok(shard)
}

fn times(items: &[Item]) -> String {
    items.iter().map(|item| super::number(item, "due_at")).collect::<Vec<_>>().join(" ")
}

async fn index_order(bench: &Bench) -> Seen {
    let shard = shard(bench, &[100, 9, 20]).await?;
    Ok(times(bench.index("due", "due_shard", &shard).send().await?.items()))
}

async fn index_descending(bench: &Bench) -> Seen {
    let shard = shard(bench, &[100, 9, 20]).await?;
    let query = bench.index("due", "due_shard", &shard).scan_index_forward(false);
    Ok(times(query.send().await?.items()))
}

async fn same_index_key(bench: &Bench) -> Seen {
    let shard = shard(bench, &[7, 7]).await?;
    Ok(bench.index("due", "due_shard", &shard).send().await?.items().len().to_string())
}

async fn due_by_now(bench: &Bench) -> Seen {
    let shard = shard(bench, &[1, 5, 9]).await?;
    let query = bench.index("due", "due_shard", &shard);
    let query = query.key_condition_expression("#column = :value AND due_at <= :now");
    Ok(times(query.expression_attribute_values(":now", n(5)).send().await?.items()))
}

/// Sizes of the pages of a shard.
async fn sizes(bench: &Bench, shard: &str, limit: i32) -> Seen {
    let (mut sizes, mut after) = (Vec::new(), None);
    for _ in 0..LOOKS {
        let query = bench.index("due", "due_shard", shard).limit(limit);
        let answer = query.set_exclusive_start_key(after).send().await?;
        sizes.push(answer.items().len().to_string());
        after = answer.last_evaluated_key;
        if after.is_none() {
            break;
        }
    }
    Ok(sizes.join(" "))
}

async fn pages(bench: &Bench) -> Seen {
    let shard = shard(bench, &[1, 2, 3, 4, 5]).await?;
    sizes(bench, &shard, 2).await
}

async fn last_page_full(bench: &Bench) -> Seen {
    let shard = shard(bench, &[1, 2, 3, 4]).await?;
    sizes(bench, &shard, 2).await
}

async fn page_key(bench: &Bench) -> Seen {
    let shard = shard(bench, &[1, 2, 3]).await?;
    let answer = bench.index("due", "due_shard", &shard).limit(1).send().await?;
    Ok(answer.last_evaluated_key().map(names).unwrap_or_default())
}

async fn page_key_gone(bench: &Bench) -> Seen {
    let shard = shard(bench, &[1, 2, 3]).await?;
    let first = bench.index("due", "due_shard", &shard).limit(1).send().await?;
    let gone = first.items().first().and_then(|item| item["pk"].as_s().ok()).cloned().unwrap_or_default();
    bench.update(&gone, "REMOVE due_shard, due_at").send().await?;
    in_due(bench, &shard, 2).await?;
    let rest = bench.index("due", "due_shard", &shard).set_exclusive_start_key(first.last_evaluated_key);
    let rest = times(rest.send().await?.items());
    Ok(if rest == "2 3" { "the rest".to_owned() } else { rest })
}

async fn megabyte(bench: &Bench) -> Seen {
    let pk = bench.name("big");
    for i in 0..5 {
        let put = bench.dynamodb.put_item().table_name(&bench.orders).item("pk", s(&pk));
        put.item("sk", s(i.to_string())).item("v", s("x".repeat(300 * 1024))).send().await?;
    }
    let (mut pages, mut items, mut after) = (0, 0, None);
    for _ in 0..LOOKS {
        let query = bench.dynamodb.query().table_name(&bench.orders).consistent_read(true);
        let query = query.key_condition_expression("pk = :pk").expression_attribute_values(":pk", s(&pk));
        let answer = query.set_exclusive_start_key(after).send().await?;
        (pages, items) = (pages + 1, items + answer.items().len());
        after = answer.last_evaluated_key;
        if after.is_none() {
            break;
        }
    }
    let many = if pages > 1 { "more than one page" } else { "one page" };
    Ok(if items == 5 { format!("{many}, all five") } else { format!("{many}, {items} items") })
}

async fn missing_index(bench: &Bench) -> Seen {
    Ok(verdict(&bench.index("none", "due_shard", "a").send().await))
}

async fn missing_table(bench: &Bench) -> Seen {
    Ok(verdict(&bench.index("due", "due_shard", "a").table_name("no-such-table").send().await))
}

async fn index_lag(bench: &Bench) -> Seen {
    let shard = bench.name("shard");
    for written in 1..=50 {
        bench.due(&bench.name("order"), &shard, written).await?;
        let shown = bench.index("due", "due_shard", &shard).send().await?.items().len();
        if i64::try_from(shown) != Ok(written) {
            return Ok("may be old".to_owned());
        }
    }
    Ok("always the newest".to_owned())
}
