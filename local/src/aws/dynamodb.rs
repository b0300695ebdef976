//! DynamoDB: an embedded engine over SQLite in memory, called by operation name.

use std::sync::Arc;

use bytes::Bytes;
use dynoxide::{Database, DynoxideError};
use shared::clock::Clock;

use super::{Answer, AwsError, answer};

/// The embedded tables.
pub struct DynamoDb {
    db: Database,
}

impl std::fmt::Debug for DynamoDb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DynamoDb")
    }
}

struct EngineClock(Clock);

impl dynoxide::storage_backend::Clock for EngineClock {
    fn now_unix_secs(&self) -> u64 {
        u64::try_from(self.0.now().0).unwrap_or(0)
    }
    fn now_unix_secs_f64(&self) -> f64 {
        let since_epoch = std::time::Duration::from_millis(u64::try_from(self.0.now_ms()).unwrap_or(0));
        since_epoch.as_secs_f64()
    }
}

const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

/// One arm per operation: the engine's requests and answers are the wire's own shapes.
macro_rules! operations {
    ($db:expr, $operation:expr, $body:expr, { $($name:literal => $method:ident),* $(,)? }) => {
        match $operation {
            $($name => serde_json::from_slice($body)
                .map_err(|e| DynoxideError::SerializationException(e.to_string()))
                .and_then(|request| $db.$method(request))
                .and_then(|response| serde_json::to_string(&response)
                    .map_err(|e| DynoxideError::InternalServerError(e.to_string()))),)*
            other => Err(DynoxideError::ValidationException(format!("operation {other} is not emulated"))),
        }
    };
}

impl DynamoDb {
    pub(super) fn new(clock: Clock) -> Result<Self, AwsError> {
        let db = Database::memory_with_clock(Arc::new(EngineClock(clock)))
            .map_err(|e| AwsError::new("DynamoDB", e))?;
        Ok(Self { db })
    }

    /// The engine itself: for restores and for tests that look beneath the API.
    pub fn engine(&self) -> &Database {
        &self.db
    }

    /// Deletes what its time to live has passed; returns how many items. (AWS does it within days, by itself.)
    pub fn sweep_ttl(&self) -> Result<usize, AwsError> {
        self.db.sweep_ttl().map_err(|e| AwsError::new("time to live", e))
    }

    pub(super) fn call(&self, operation: &str, body: &[u8]) -> Answer {
        let outcome = operations!(self.db, operation, body, {
            "CreateTable" => create_table,
            "DeleteTable" => delete_table,
            "DescribeTable" => describe_table,
            "ListTables" => list_tables,
            "UpdateTimeToLive" => update_time_to_live,
            "DescribeTimeToLive" => describe_time_to_live,
            "PutItem" => put_item,
            "GetItem" => get_item,
            "DeleteItem" => delete_item,
            "UpdateItem" => update_item,
            "Query" => query,
            "Scan" => scan,
            "BatchGetItem" => batch_get_item,
            "BatchWriteItem" => batch_write_item,
            "TransactGetItems" => transact_get_items,
            "TransactWriteItems" => transact_write_items,
        });
        match outcome {
            Ok(json) => answer(200, CONTENT_TYPE, Bytes::from(json)),
            Err(error) => answer(error.status_code(), CONTENT_TYPE, Bytes::from(error.to_json())),
        }
    }
}
