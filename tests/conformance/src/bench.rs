//! One double under test: how the SDK reaches it, and names that no other check uses.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use local::aws::{ACCOUNT, EmbeddedAws, REGION, create_tables};
use local::pump::Pump;
use shared::clock::Clock;
use shared::config::Resources;
use shared::domain::time::UnixTime;

use crate::check::{Service, Trouble};

/// Who plays a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Double {
    /// What the local stack embeds.
    Embedded,
    /// Amazon's DynamoDB Local.
    DynamodbLocal,
    /// ElasticMQ.
    Elasticmq,
    /// ministack.
    Ministack,
    /// The Stripe simulator.
    Simulator,
}

impl Double {
    /// The doubles of AWS, in the order of the tables.
    pub const AWS: [Self; 4] = [Self::Embedded, Self::DynamodbLocal, Self::Elasticmq, Self::Ministack];

    /// Its name in lists.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::DynamodbLocal => "DynamoDB Local",
            Self::Elasticmq => "ElasticMQ",
            Self::Ministack => "ministack",
            Self::Simulator => "simulator",
        }
    }

    /// Whether it plays `service`.
    pub const fn plays(self, service: Service) -> bool {
        match self {
            Self::Embedded | Self::Ministack => !matches!(service, Service::Stripe),
            Self::DynamodbLocal => matches!(service, Service::DynamoDb),
            Self::Elasticmq => matches!(service, Service::Sqs),
            Self::Simulator => matches!(service, Service::Stripe),
        }
    }
}

enum Reach {
    Embedded(EmbeddedAws),
    At(String),
}

/// A double, ready to be asked.
pub struct Bench {
    /// Which one it is.
    pub double: Double,
    /// Its time.
    pub clock: Clock,
    /// DynamoDB.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// SQS.
    pub sqs: aws_sdk_sqs::Client,
    /// EventBridge Scheduler.
    pub scheduler: aws_sdk_scheduler::Client,
    /// SSM's parameter store.
    pub ssm: aws_sdk_ssm::Client,
    /// S3.
    pub s3: aws_sdk_s3::Client,
    /// The orders table, with its indexes, as the template has it.
    pub orders: String,
    reach: Reach,
    names: AtomicU64,
}

/// Where the embedded clock starts.
const START: UnixTime = UnixTime(1_800_000_000);
/// Names of tables and queues begin with it.
const PREFIX: &str = "conformance";

impl Bench {
    /// The embedded services. On a paused runtime their time passes by itself.
    pub async fn embedded() -> Result<Self, Trouble> {
        let aws = EmbeddedAws::new(Clock::tokio_from(START)).map_err(Trouble::new)?;
        Self::over(Double::Embedded, aws.clock().clone(), Reach::Embedded(aws)).await
    }

    /// A foreign double at an address; its time is the wall clock.
    pub async fn foreign(double: Double, base: &str) -> Result<Self, Trouble> {
        Self::over(double, Clock::System, Reach::At(base.to_owned())).await
    }

    async fn over(double: Double, clock: Clock, reach: Reach) -> Result<Self, Trouble> {
        let config = config(&reach);
        let mut bench = Self {
            double,
            clock,
            dynamodb: aws_sdk_dynamodb::Client::new(&config),
            sqs: aws_sdk_sqs::Client::new(&config),
            scheduler: aws_sdk_scheduler::Client::new(&config),
            ssm: aws_sdk_ssm::Client::new(&config),
            s3: aws_sdk_s3::Client::from_conf(
                aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build(),
            ),
            orders: String::new(),
            reach,
            names: AtomicU64::new(0),
        };
        if double.plays(Service::DynamoDb) {
            let [orders, ..] = create_tables(&bench.dynamodb, PREFIX).await.map_err(Trouble::new)?;
            bench.orders = orders;
        }
        if double.plays(Service::Scheduler) {
            bench.scheduler.create_schedule_group().name(PREFIX).send().await?;
        }
        match &bench.reach {
            // The embedded store makes buckets by hand, as the stack does.
            Reach::Embedded(aws) => aws.s3().create_bucket(PREFIX),
            Reach::At(_) if double.plays(Service::S3) => {
                let place = CreateBucketConfiguration::builder()
                    .location_constraint(BucketLocationConstraint::from(REGION))
                    .build();
                let create = bench.s3.create_bucket().bucket(PREFIX);
                create.create_bucket_configuration(place).send().await?;
            }
            Reach::At(_) => {}
        }
        Ok(bench)
    }

    /// The schedules' group and the bucket.
    pub fn group(&self) -> &'static str {
        PREFIX
    }

    /// A configuration of its own, for a thread with a runtime of its own.
    pub fn config(&self) -> SdkConfig {
        config(&self.reach)
    }

    /// A name that nothing else has.
    pub fn name(&self, what: &str) -> String {
        format!("{PREFIX}-{what}-{}", self.names.fetch_add(1, Ordering::Relaxed))
    }

    /// Lets time pass.
    pub async fn pass(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    /// Plays what the embedded scheduler leaves to the pump: sends the message of each due schedule.
    pub async fn fire(&self, queue_url: &str, queue_arn: &str) {
        let Reach::Embedded(aws) = &self.reach else { return };
        let mut resources = Resources::default();
        resources.queue_urls.insert("target".to_owned(), queue_url.to_owned());
        resources.queue_arns.insert("target".to_owned(), queue_arn.to_owned());
        let pump = Pump::new(self.sqs.clone(), resources, self.clock.clone()).with_scheduler(aws.clone());
        pump.run_until_idle(0).await;
    }
}

/// No retries: what the double did first is what is written down.
fn config(reach: &Reach) -> SdkConfig {
    match reach {
        Reach::Embedded(aws) => aws.sdk_config().into_builder().retry_config(RetryConfig::disabled()).build(),
        Reach::At(base) => SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::from_static(REGION))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
                ACCOUNT,
                "local",
                None,
                None,
                "conformance",
            )))
            .endpoint_url(base)
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::builder().operation_timeout(Duration::from_secs(60)).build())
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .build(),
    }
}
