//! Conditional writes: who wins, and what the loser is told.

use std::sync::{Arc, Barrier};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemOutput};
use aws_sdk_dynamodb::types::{
    Put, ReturnValue, ReturnValuesOnConditionCheckFailure as Failure, TransactWriteItem,
};

use super::{Item, n, number, s};
use crate::bench::Bench;
use crate::check::{Seen, Trouble, checks, verdict};

const CONDITIONS: &str = "DynamoDB guide, Condition expressions";
const UPDATE: &str = "DynamoDB API, UpdateItem";
const TRANSACT: &str = "DynamoDB API, TransactWriteItems";

checks! {
    "put-if-absent", "put the same key twice, each if absent", "accepted, ConditionalCheckFailedException", CONDITIONS => put_if_absent;
    "old-item-of-a-refused-put", "a refused put that asks for the old item", "refused with the old item", "DynamoDB API, PutItem" => old_item_of_a_refused_put;
    "on-revision", "two updates on the same revision", "accepted, refused with revision 2", UPDATE => on_revision;
    "no-old-item-unasked", "a refused update that does not ask for the old item", "refused without an item", UPDATE => no_old_item_unasked;
    "revision-of-an-absent-item", "an update on revision 3 of an item that is not there", "refused without an item, nothing made", UPDATE => revision_of_an_absent_item;
    "absent-attribute-compares-false", "`held_until <= :now` where the attribute is not there", "ConditionalCheckFailedException", CONDITIONS => absent_compares_false;
    "lease", "a lease: absent, held by another, own, ended", "accepted, ConditionalCheckFailedException, accepted, accepted", CONDITIONS => lease;
    "equal-numbers", "`rev = :n` with 5 stored and 5.0 asked", "accepted", "DynamoDB guide, Naming rules and data types" => equal_numbers;
    "types-differ", "`rev = :n` with text stored and a number asked", "ConditionalCheckFailedException", CONDITIONS => types_differ;
    "delete-absent", "a delete of an item that is not there", "accepted", "DynamoDB API, DeleteItem" => delete_absent;
    "eight-writers", "8 threads update one revision, 20 rounds", "one winner in each of 20 rounds, 140 losers see the winner", CONDITIONS => eight_writers;
    "eight-counters", "8 threads add 1 to a counter, 20 times each", "160", "DynamoDB guide, Atomic counters" => eight_counters;
    "transaction-is-whole", "a transaction whose second put is refused", "TransactionCanceledException [None, ConditionalCheckFailed], nothing written", TRANSACT => transaction_is_whole;
    "transaction-token", "one transaction twice with one token", "acted once", TRANSACT => transaction_token;
}

async fn put_if_absent(bench: &Bench) -> Seen {
    let pk = bench.name("order");
    let put = || bench.put(&pk).condition_expression("attribute_not_exists(pk)").send();
    let first = verdict(&put().await);
    Ok(format!("{first}, {}", verdict(&put().await)))
}

async fn old_item_of_a_refused_put(bench: &Bench) -> Seen {
    let pk = bench.name("order");
    bench.put(&pk).item("order_key", s("first")).send().await?;
    let again = bench.put(&pk).item("order_key", s("second"));
    let again = again.condition_expression("attribute_not_exists(pk)");
    let again = again.return_values_on_condition_check_failure(Failure::AllOld).send().await;
    let Err(error) = again else { return Ok("accepted".to_owned()) };
    let item = match error.as_service_error() {
        Some(aws_sdk_dynamodb::operation::put_item::PutItemError::ConditionalCheckFailedException(c)) => {
            c.item.clone()
        }
        _ => return Ok(crate::check::code(&error)),
    };
    Ok(match item {
        Some(item) if item.get("order_key") == Some(&s("first")) => "refused with the old item".to_owned(),
        Some(item) => format!("refused with {item:?}"),
        None => "refused without an item".to_owned(),
    })
}

/// The item inside a refusal.
fn refusal(result: Result<UpdateItemOutput, SdkError<UpdateItemError>>) -> Result<Option<Item>, String> {
    match result {
        Ok(_) => Err("accepted".to_owned()),
        Err(error) => match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(c)) => Ok(c.item.clone()),
            _ => Err(crate::check::code(&error)),
        },
    }
}

async fn on_revision(bench: &Bench) -> Seen {
    let pk = bench.name("order");
    bench.put(&pk).item("rev", n(1)).send().await?;
    let commit = || {
        bench
            .update(&pk, "SET rev = :next")
            .condition_expression("rev = :rev")
            .expression_attribute_values(":rev", n(1))
            .expression_attribute_values(":next", n(2))
            .return_values_on_condition_check_failure(Failure::AllOld)
            .send()
    };
    let first = verdict(&commit().await);
    Ok(match refusal(commit().await) {
        Ok(Some(item)) => format!("{first}, refused with revision {}", number(&item, "rev")),
        Ok(None) => format!("{first}, refused without an item"),
        Err(other) => format!("{first}, {other}"),
    })
}

async fn no_old_item_unasked(bench: &Bench) -> Seen {
    let pk = bench.name("order");
    bench.put(&pk).item("rev", n(1)).send().await?;
    let update = bench.update(&pk, "SET rev = :n").condition_expression("rev = :old");
    let update =
        update.expression_attribute_values(":n", n(9)).expression_attribute_values(":old", n(8)).send().await;
    Ok(match refusal(update) {
        Ok(Some(_)) => "refused with an item".to_owned(),
        Ok(None) => "refused without an item".to_owned(),
        Err(other) => other,
    })
}

async fn revision_of_an_absent_item(bench: &Bench) -> Seen {
    let pk = bench.name("order");
    let update = bench
        .update(&pk, "SET rev = :next")
        .condition_expression("rev = :rev")
        .expression_attribute_values(":rev", n(3))
        .expression_attribute_values(":next", n(4))
        .return_values_on_condition_check_failure(Failure::AllOld);
    let told = match refusal(update.send().await) {
        Ok(Some(item)) => format!("refused with {item:?}"),
        Ok(None) => "refused without an item".to_owned(),
        Err(other) => other,
    };
    let made = if bench.head(&pk).await?.is_some() { "an item made" } else { "nothing made" };
    Ok(format!("{told}, {made}"))
}

async fn absent_compares_false(bench: &Bench) -> Seen {
    let pk = bench.name("lease");
    bench.put(&pk).send().await?;
    let update = bench.update(&pk, "SET holder = :h").condition_expression("held_until <= :now");
    let update = update.expression_attribute_values(":h", s("a")).expression_attribute_values(":now", n(5));
    Ok(verdict(&update.send().await))
}

async fn lease(bench: &Bench) -> Seen {
    let pk = bench.name("lease");
    let take = |holder: &str, now: i64| {
        bench
            .update(&pk, "SET holder = :holder, held_until = :until")
            .condition_expression("attribute_not_exists(pk) OR held_until <= :now OR holder = :holder")
            .expression_attribute_values(":holder", s(holder))
            .expression_attribute_values(":until", n(now + 60))
            .expression_attribute_values(":now", n(now))
            .send()
    };
    let mut told = Vec::new();
    for (holder, now) in [("a", 100), ("b", 159), ("a", 159), ("b", 219)] {
        told.push(verdict(&take(holder, now).await));
    }
    Ok(told.join(", "))
}

async fn conditional(bench: &Bench, stored: aws_sdk_dynamodb::types::AttributeValue, asked: &str) -> Seen {
    let pk = bench.name("order");
    bench.put(&pk).item("rev", stored).send().await?;
    let update = bench.update(&pk, "SET seen = :s").condition_expression("rev = :rev");
    let update =
        update.expression_attribute_values(":s", n(1)).expression_attribute_values(":rev", n(asked)).send();
    Ok(verdict(&update.await))
}

async fn equal_numbers(bench: &Bench) -> Seen {
    conditional(bench, n(5), "5.0").await
}

async fn types_differ(bench: &Bench) -> Seen {
    conditional(bench, s("5"), "5").await
}

async fn delete_absent(bench: &Bench) -> Seen {
    let pk = bench.name("order");
    let delete = bench.dynamodb.delete_item().table_name(&bench.orders);
    Ok(verdict(&delete.key("pk", s(pk)).key("sk", s("body#x")).send().await))
}

const WRITERS: usize = 8;
const ROUNDS: usize = 20;

/// `WRITERS` threads, each with a runtime and a client of its own, begin `work` at the same moment in each round.
async fn together<T, F, Fut>(bench: &Bench, work: F) -> Result<Vec<Vec<T>>, Trouble>
where
    T: Send + 'static,
    F: Fn(Client, usize, usize) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = T>,
{
    let line = Arc::new(Barrier::new(WRITERS));
    let threads = (0..WRITERS).map(|writer| {
        let (config, line, work) = (bench.config(), Arc::clone(&line), work.clone());
        tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(Trouble::new)?;
            let client = Client::new(&config);
            let mut done = Vec::new();
            for round in 0..ROUNDS {
                line.wait();
                done.push(runtime.block_on(work(client.clone(), writer, round)));
            }
            Ok::<_, Trouble>(done)
        })
    });
    let joined = futures::future::join_all(threads).await;
    joined.into_iter().map(|thread| thread.map_err(Trouble::new)?).collect()
}

async fn eight_writers(bench: &Bench) -> Seen {
    let (table, pk) = (bench.orders.clone(), bench.name("race"));
    let commit = move |client: Client, writer: usize, round: usize| {
        let (table, pk) = (table.clone(), pk.clone());
        async move {
            let update = client
                .update_item()
                .table_name(table)
                .key("pk", s(format!("{pk}-{round}")))
                .key("sk", s("head"))
                .update_expression("SET rev = :next, writer = :w")
                .condition_expression("attribute_not_exists(rev)")
                .expression_attribute_values(":next", n(1))
                .expression_attribute_values(":w", n(writer))
                .return_values_on_condition_check_failure(Failure::AllOld);
            refusal(update.send().await)
        }
    };
    let all = together(bench, commit).await?;
    let (mut single, mut seeing) = (0, 0);
    for round in 0..ROUNDS {
        let won: Vec<usize> = (0..WRITERS).filter(|w| all[*w][round] == Err("accepted".to_owned())).collect();
        single += usize::from(won.len() == 1);
        let winner = won.first().map(ToString::to_string).unwrap_or_default();
        let sees = |told: &Result<Option<Item>, String>| matches!(told, Ok(Some(item)) if number(item, "writer") == winner);
        seeing += all.iter().filter(|writer| sees(&writer[round])).count();
    }
    Ok(format!("one winner in each of {single} rounds, {seeing} losers see the winner"))
}

async fn eight_counters(bench: &Bench) -> Seen {
    let (table, pk) = (bench.orders.clone(), bench.name("counter"));
    let counter = pk.clone();
    let add = move |client: Client, _: usize, _: usize| {
        let (table, pk) = (table.clone(), pk.clone());
        async move {
            let update = client.update_item().table_name(table).key("pk", s(pk)).key("sk", s("head"));
            let update =
                update.update_expression("ADD places :one").expression_attribute_values(":one", n(1));
            update.return_values(ReturnValue::UpdatedNew).send().await.map_err(Trouble::from).map(|_| ())
        }
    };
    for writer in together(bench, add).await? {
        writer.into_iter().collect::<Result<Vec<()>, _>>()?;
    }
    Ok(bench.head(&counter).await?.map_or("absent".to_owned(), |item| number(&item, "places")))
}

fn put_in_transaction(bench: &Bench, pk: &str, count: i64) -> Result<TransactWriteItem, Trouble> {
    let put = Put::builder().table_name(&bench.orders).item("pk", s(pk)).item("sk", s("head"));
    let put = put.item("count", n(count)).condition_expression("attribute_not_exists(pk)").build()?;
    Ok(TransactWriteItem::builder().put(put).build())
}

async fn transaction_is_whole(bench: &Bench) -> Seen {
    let (new, old) = (bench.name("order"), bench.name("order"));
    bench.put(&old).send().await?;
    let write = bench
        .dynamodb
        .transact_write_items()
        .transact_items(put_in_transaction(bench, &new, 1)?)
        .transact_items(put_in_transaction(bench, &old, 1)?);
    let Err(error) = write.send().await else { return Ok("accepted".to_owned()) };
    let told = crate::check::code(&error);
    let reasons: Vec<String> = match error.into_service_error() {
        aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError::TransactionCanceledException(c) => {
            c.cancellation_reasons().iter().map(|r| r.code().unwrap_or("-").to_owned()).collect()
        }
        _ => Vec::new(),
    };
    let written = if bench.head(&new).await?.is_some() { "one written" } else { "nothing written" };
    Ok(format!("{told} [{}], {written}", reasons.join(", ")))
}

async fn transaction_token(bench: &Bench) -> Seen {
    let (pk, token) = (bench.name("order"), bench.name("token"));
    for _ in 0..2 {
        let write = bench.dynamodb.transact_write_items().client_request_token(&token);
        let sent = write.transact_items(put_in_transaction(bench, &pk, 1)?).send().await;
        if sent.is_err() {
            return Ok(verdict(&sent));
        }
    }
    Ok("acted once".to_owned())
}
