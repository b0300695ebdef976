//! DynamoDB: the order item, the links between systems, counters and switches.
//!
//! Invariants: only this module builds keys and knows attribute values; every write is conditional; reads that decide
//! about money are strong.

pub mod archive;
pub mod control;
pub mod item;
pub mod keys;
pub mod links;
pub mod orders;
pub mod packed;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::config::Resources;

pub use self::item::{Change, OrderItem, Summary};

/// The three tables.
#[derive(Clone, Debug)]
pub struct Store {
    client: Client,
    orders: String,
    links: String,
    control: String,
}

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The service did not do it, or nobody knows; try again later.
    #[error("the table did not answer {operation}: {detail}")]
    Unavailable {
        /// The operation.
        operation: &'static str,
        /// The chain of causes, without data.
        detail: String,
    },
    /// An item this build cannot read.
    #[error("item {key} cannot be read: {detail}; a newer build may have written it, deploy that one")]
    Unreadable {
        /// Its key.
        key: String,
        /// What does not fit.
        detail: String,
    },
    /// Somebody else committed first.
    #[error("somebody else committed first")]
    Conflict,
}

impl Store {
    /// A store over the stack's tables.
    pub fn new(client: Client, resources: &Resources) -> Self {
        Self {
            client,
            orders: resources.orders_table.clone(),
            links: resources.links_table.clone(),
            control: resources.control_table.clone(),
        }
    }
}

fn unavailable<E, R>(operation: &'static str, error: SdkError<E, R>) -> StoreError
where
    E: ProvideErrorMetadata,
{
    // The service's own words may repeat keys and values: its code is enough.
    StoreError::Unavailable { operation, detail: crate::error::aws_reason(&error) }
}

fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn n(number: impl std::fmt::Display) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

type Item = std::collections::HashMap<String, AttributeValue>;

fn text_of<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name).and_then(|v| v.as_s().ok()).map(String::as_str)
}

fn number_of(item: &Item, name: &str) -> Option<i64> {
    item.get(name).and_then(|v| v.as_n().ok()).and_then(|t| t.parse().ok())
}
