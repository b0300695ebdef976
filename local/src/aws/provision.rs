//! Creates what `template.yaml` deploys: tables with their indexes, queues with dead letter queues, group, bucket.
//!
//! Invariant: names, keys and limits here are those of the template.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, TimeToLiveSpecification,
};
use aws_sdk_sqs::types::QueueAttributeName;
use aws_smithy_types::error::metadata::ProvideErrorMetadata as _;
use serde_json::json;
use shared::config::Resources;
use shared::error::aws_reason;
use shared::queue::Queue;

use super::{ACCOUNT, AwsError, EmbeddedAws};

/// Sparse index of open work: `due_shard`, `due_at`; keys only.
pub const DUE_INDEX: &str = "due";
/// Index of summaries by day: `day`, `order_key`.
pub const DAY_INDEX: &str = "day";
/// Sparse index of open cases: `case_kind`, `case_opened_at`.
pub const CASES_INDEX: &str = "cases";
/// A message is tried this often before it is a dead letter.
pub const MAX_RECEIVES: u32 = 8;
/// How long a received message stays hidden: six times the functions' time limit.
pub const VISIBILITY_SECONDS: u32 = 180;
/// The same in a foreign SQS, whose time nobody can move.
pub const FOREIGN_VISIBILITY_SECONDS: u32 = 2;

type KeyColumns<'a> = (&'a str, Option<(&'a str, ScalarAttributeType)>);

struct Index<'a> {
    name: &'a str,
    keys: KeyColumns<'a>,
    include: Option<&'a str>,
}

impl EmbeddedAws {
    /// Creates the stack's resources, empty, and says what they are called.
    pub async fn provision(&self, stack: &str) -> Result<Resources, AwsError> {
        let config = self.sdk_config();
        let [orders_table, links_table, control_table] =
            create_tables(&aws_sdk_dynamodb::Client::new(&config), stack).await?;
        let mut resources = Resources {
            orders_table,
            links_table,
            control_table,
            queue_urls: BTreeMap::new(),
            dead_queue_urls: BTreeMap::new(),
            queue_arns: BTreeMap::new(),
            schedule_group: stack.to_owned(),
            schedule_role_arn: format!("arn:aws:iam::{ACCOUNT}:role/{stack}-scheduler"),
            reports_bucket: format!("{stack}-reports"),
        };
        let sqs = aws_sdk_sqs::Client::new(&config);
        let hidden =
            if self.foreign().sqs().is_some() { FOREIGN_VISIBILITY_SECONDS } else { VISIBILITY_SECONDS };
        for queue in Queue::ALL {
            let name = queue.name();
            let (dead_url, dead_arn) =
                create_queue(&sqs, &format!("{stack}-{name}-dead"), hidden, None).await?;
            let (url, arn) =
                create_queue(&sqs, &format!("{stack}-{name}"), hidden, Some((&dead_arn, MAX_RECEIVES)))
                    .await?;
            resources.queue_urls.insert(name.to_owned(), url);
            resources.queue_arns.insert(name.to_owned(), arn);
            resources.dead_queue_urls.insert(name.to_owned(), dead_url);
        }
        self.scheduler().create_group(&resources.schedule_group, self.clock().now());
        self.s3().create_bucket(&resources.reports_bucket);
        Ok(resources)
    }
}

/// Creates the three tables of `stack` at any DynamoDB; returns the names of orders, links and control.
pub async fn create_tables(
    dynamodb: &aws_sdk_dynamodb::Client,
    stack: &str,
) -> Result<[String; 3], AwsError> {
    let sort = |name| Some((name, ScalarAttributeType::S));
    let number = |name| Some((name, ScalarAttributeType::N));
    let indexes = [
        Index { name: DUE_INDEX, keys: ("due_shard", number("due_at")), include: None },
        Index { name: DAY_INDEX, keys: ("day", sort("order_key")), include: Some("summary") },
        Index { name: CASES_INDEX, keys: ("case_kind", number("case_opened_at")), include: Some("summary") },
    ];
    let names = ["orders", "links", "control"].map(|table| format!("{stack}-{table}"));
    create_table(dynamodb, &names[0], &("pk", sort("sk")), &indexes).await?;
    create_table(dynamodb, &names[1], &("pk", None), &[]).await?;
    create_table(dynamodb, &names[2], &("pk", None), &[]).await?;
    Ok(names)
}

fn element(name: &str, kind: KeyType) -> Result<KeySchemaElement, AwsError> {
    let built = KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
    built.map_err(|e| AwsError::new(name, e))
}

fn key_schema((hash, range): &KeyColumns<'_>) -> Result<Vec<KeySchemaElement>, AwsError> {
    let mut schema = vec![element(hash, KeyType::Hash)?];
    if let Some((name, _)) = range {
        schema.push(element(name, KeyType::Range)?);
    }
    Ok(schema)
}

async fn create_table(
    dynamodb: &aws_sdk_dynamodb::Client,
    name: &str,
    keys: &KeyColumns<'_>,
    indexes: &[Index<'_>],
) -> Result<(), AwsError> {
    let mut columns = BTreeMap::new();
    for (hash, range) in std::iter::once(keys).chain(indexes.iter().map(|i| &i.keys)) {
        columns.insert(*hash, ScalarAttributeType::S);
        columns.extend(range.clone());
    }
    let mut call = dynamodb
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .set_key_schema(Some(key_schema(keys)?));
    for (column, kind) in columns {
        let built = AttributeDefinition::builder().attribute_name(column).attribute_type(kind).build();
        call = call.attribute_definitions(built.map_err(|e| AwsError::new(name, e))?);
    }
    for index in indexes {
        let projection = match index.include {
            Some(attribute) => {
                Projection::builder().projection_type(ProjectionType::Include).non_key_attributes(attribute)
            }
            None => Projection::builder().projection_type(ProjectionType::KeysOnly),
        };
        let built = GlobalSecondaryIndex::builder()
            .index_name(index.name)
            .set_key_schema(Some(key_schema(&index.keys)?))
            .projection(projection.build())
            .build();
        call = call.global_secondary_indexes(built.map_err(|e| AwsError::new(name, e))?);
    }
    call.send().await.map_err(|error| {
        let there = error.as_service_error().is_some_and(|e| e.is_resource_in_use_exception());
        let why = match error.as_service_error().and_then(|e| e.message()) {
            _ if there => "it is there already: start with an empty DynamoDB".to_owned(),
            Some(message) => format!("{}: {message}", aws_reason(&error)),
            None => aws_reason(&error),
        };
        AwsError::said(format!("table {name}"), why)
    })?;
    let expiry = TimeToLiveSpecification::builder().enabled(true).attribute_name("expires_at").build();
    dynamodb
        .update_time_to_live()
        .table_name(name)
        .time_to_live_specification(expiry.map_err(|e| AwsError::new(name, e))?)
        .send()
        .await
        .map_err(|e| AwsError::new(format!("time to live of {name}"), e))?;
    Ok(())
}

/// Creates a queue at any SQS whose messages hide for `hidden` seconds and die, if a dead letter queue is named, after so
/// many receives; returns its URL and ARN.
pub async fn create_queue(
    sqs: &aws_sdk_sqs::Client,
    name: &str,
    hidden: u32,
    dead_letters: Option<(&str, u32)>,
) -> Result<(String, String), AwsError> {
    let failed = |e: &dyn std::fmt::Debug| AwsError::new(format!("queue {name}"), e);
    let mut call = sqs
        .create_queue()
        .queue_name(name)
        .attributes(QueueAttributeName::VisibilityTimeout, hidden.to_string())
        .attributes(QueueAttributeName::MessageRetentionPeriod, "1209600");
    if let Some((arn, receives)) = dead_letters {
        let policy = json!({"deadLetterTargetArn": arn, "maxReceiveCount": receives});
        call = call.attributes(QueueAttributeName::RedrivePolicy, policy.to_string());
    }
    let url = call.send().await.map_err(|e| failed(&e))?.queue_url.unwrap_or_default();
    let found = sqs
        .get_queue_attributes()
        .queue_url(&url)
        .attribute_names(QueueAttributeName::QueueArn)
        .send()
        .await
        .map_err(|e| failed(&e))?;
    let arn = found.attributes().and_then(|a| a.get(&QueueAttributeName::QueueArn)).cloned();
    Ok((url, arn.unwrap_or_default()))
}
