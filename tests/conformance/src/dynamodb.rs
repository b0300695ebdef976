//! DynamoDB: what the store asks of it, on a table made as the template makes it.

mod conditions;
mod expressions;
mod index;
mod reads;
mod values;

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;

use crate::bench::Bench;
use crate::check::{Check, Trouble};

type Item = std::collections::HashMap<String, AttributeValue>;

/// All of them.
pub(crate) fn all() -> Vec<Check> {
    [conditions::all(), expressions::all(), values::all(), index::all(), reads::all()]
        .into_iter()
        .flatten()
        .collect()
}

fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn n(number: impl std::fmt::Display) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// A number attribute as it came back, or what is there instead.
fn number(item: &Item, name: &str) -> String {
    match item.get(name) {
        Some(AttributeValue::N(number)) => number.clone(),
        Some(other) => format!("{other:?}"),
        None => "absent".to_owned(),
    }
}

/// Names of an item's attributes, in order.
fn names(item: &Item) -> String {
    let mut names: Vec<&str> = item.keys().map(String::as_str).collect();
    names.sort_unstable();
    names.join(" ")
}

impl Bench {
    fn update(&self, pk: &str, expression: impl Into<String>) -> UpdateItemFluentBuilder {
        self.dynamodb
            .update_item()
            .table_name(&self.orders)
            .key("pk", s(pk))
            .key("sk", s("head"))
            .update_expression(expression)
    }

    fn put(&self, pk: &str) -> aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder {
        self.dynamodb.put_item().table_name(&self.orders).item("pk", s(pk)).item("sk", s("head"))
    }

    async fn head(&self, pk: &str) -> Result<Option<Item>, Trouble> {
        let get = self.dynamodb.get_item().table_name(&self.orders).consistent_read(true);
        Ok(get.key("pk", s(pk)).key("sk", s("head")).send().await?.item)
    }

    /// A query of one partition of an index.
    fn index(&self, index: &str, column: &str, value: &str) -> QueryFluentBuilder {
        self.dynamodb
            .query()
            .table_name(&self.orders)
            .index_name(index)
            .key_condition_expression("#column = :value")
            .expression_attribute_names("#column", column)
            .expression_attribute_values(":value", s(value))
    }

    /// An order that is due: in the `due` index under `shard` at `at`.
    async fn due(&self, pk: &str, shard: &str, at: i64) -> Result<(), Trouble> {
        let update = self.update(pk, "SET due_shard = :s, due_at = :t, summary = :m");
        let update = update
            .expression_attribute_values(":s", s(shard))
            .expression_attribute_values(":t", n(at))
            .expression_attribute_values(":m", s("open"));
        update.send().await?;
        Ok(())
    }
}
