//! Creates what `template.yaml` deploys: tables with their indexes, queues with dead letter queues, group, bucket.
//!
//! Invariant: names, keys and limits here are those of the template.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, TimeToLiveSpecification,
};
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::json;
use shared::config::Resources;
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
        let dynamodb = aws_sdk_dynamodb::Client::new(&config);
        let sqs = aws_sdk_sqs::Client::new(&config);
        let mut resources = Resources {
            orders_table: format!("{stack}-orders"),
            links_table: format!("{stack}-links"),
            control_table: format!("{stack}-control"),
            queue_urls: BTreeMap::new(),
            dead_queue_urls: BTreeMap::new(),
            queue_arns: BTreeMap::new(),
            schedule_group: stack.to_owned(),
            schedule_role_arn: format!("arn:aws:iam::{ACCOUNT}:role/{stack}-scheduler"),
            reports_bucket: format!("{stack}-reports"),
        };
        let sort = |name| Some((name, ScalarAttributeType::S));
        let number = |name| Some((name, ScalarAttributeType::N));
        let indexes = [
            Index { name: DUE_INDEX, keys: ("due_shard", number("due_at")), include: None },
            Index { name: DAY_INDEX, keys: ("day", sort("order_key")), include: Some("summary") },
            Index {
                name: CASES_INDEX,
                keys: ("case_kind", number("case_opened_at")),
                include: Some("summary"),
            },
        ];
        create_table(&dynamodb, &resources.orders_table, &("pk", sort("sk")), &indexes).await?;
        create_table(&dynamodb, &resources.links_table, &("pk", None), &[]).await?;
        create_table(&dynamodb, &resources.control_table, &("pk", None), &[]).await?;
        for queue in Queue::ALL {
            let name = queue.name();
            let (dead_url, dead_arn) = create_queue(&sqs, &format!("{stack}-{name}-dead"), None).await?;
            let (url, arn) = create_queue(&sqs, &format!("{stack}-{name}"), Some(&dead_arn)).await?;
            resources.queue_urls.insert(name.to_owned(), url);
            resources.queue_arns.insert(name.to_owned(), arn);
            resources.dead_queue_urls.insert(name.to_owned(), dead_url);
        }
        self.scheduler().create_group(&resources.schedule_group, self.clock().now());
        self.s3().create_bucket(&resources.reports_bucket);
        Ok(resources)
    }
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
    call.send().await.map_err(|e| AwsError::new(format!("table {name}"), e))?;
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

/// Creates a queue, with a dead letter queue if one is named; returns its URL and ARN. Works at other emulators too.
pub(crate) async fn create_queue(
    sqs: &aws_sdk_sqs::Client,
    name: &str,
    dead_letter_arn: Option<&str>,
) -> Result<(String, String), AwsError> {
    let failed = |e: &dyn std::fmt::Debug| AwsError::new(format!("queue {name}"), e);
    let mut call = sqs
        .create_queue()
        .queue_name(name)
        .attributes(QueueAttributeName::VisibilityTimeout, VISIBILITY_SECONDS.to_string())
        .attributes(QueueAttributeName::MessageRetentionPeriod, "1209600");
    if let Some(arn) = dead_letter_arn {
        let policy = json!({"deadLetterTargetArn": arn, "maxReceiveCount": MAX_RECEIVES});
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
