//! A check, what it saw, and the words for it.

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use futures::StreamExt as _;
use futures::future::BoxFuture;

use crate::bench::{Bench, Double};

/// What a double stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// DynamoDB.
    DynamoDb,
    /// SQS.
    Sqs,
    /// EventBridge Scheduler.
    Scheduler,
    /// SSM's parameter store.
    Ssm,
    /// S3.
    S3,
    /// Stripe.
    Stripe,
}

impl Service {
    /// Its name in ids and headings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DynamoDb => "dynamodb",
            Self::Sqs => "sqs",
            Self::Scheduler => "scheduler",
            Self::Ssm => "ssm",
            Self::S3 => "s3",
            Self::Stripe => "stripe",
        }
    }
}

/// A check could not be made to its end.
#[derive(Debug)]
pub struct Trouble(String);

impl Trouble {
    /// In words.
    pub fn new(why: impl std::fmt::Display) -> Self {
        Self(why.to_string())
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Trouble {}

impl<E: ProvideErrorMetadata, R> From<SdkError<E, R>> for Trouble {
    fn from(error: SdkError<E, R>) -> Self {
        Self(code(&error))
    }
}

impl From<aws_smithy_types::error::operation::BuildError> for Trouble {
    fn from(error: aws_smithy_types::error::operation::BuildError) -> Self {
        Self(error.to_string())
    }
}

/// What a check saw, in few words that are the same on every run.
pub type Seen = Result<String, Trouble>;

/// One check, of a double of AWS or of what `B` reaches.
pub struct Check<B: 'static = Bench> {
    /// Unique among the checks of its service.
    pub id: &'static str,
    /// What is tried.
    pub what: &'static str,
    /// What the service does.
    pub expected: &'static str,
    /// Where that is written.
    pub source: &'static str,
    /// Tries it.
    pub run: for<'a> fn(&'a B) -> BoxFuture<'a, Seen>,
}

/// A check with what one double did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// `service/id`.
    pub check: String,
    /// Which service.
    pub service: Service,
    /// What was tried.
    pub what: &'static str,
    /// What the service does.
    pub expected: &'static str,
    /// Where that is written.
    pub source: &'static str,
    /// Who was asked.
    pub double: Double,
    /// What it did.
    pub seen: String,
}

impl Row {
    /// Whether the double does what the service does.
    pub fn agrees(&self) -> bool {
        self.seen == self.expected
    }
}

/// A list of checks: id, what is tried, what the service does, where that is written, the function that tries it. First
/// what they are tried on, if it is no double of AWS.
macro_rules! checks {
    (over $bench:ty; $($id:literal, $what:literal, $expected:literal, $source:expr => $run:path;)*) => {
        /// The checks of this file.
        pub(crate) fn all() -> Vec<$crate::check::Check<$bench>> {
            vec![$($crate::check::Check {
                id: $id,
                what: $what,
                expected: $expected,
                source: $source,
                run: |bench| Box::pin($run(bench)),
            }),*]
        }
    };
    ($($list:tt)*) => {
        $crate::check::checks! { over $crate::bench::Bench; $($list)* }
    };
}
pub(crate) use checks;

/// Checks at once: they wait for the clock more than they work.
const AT_ONCE: usize = 24;

/// A check with what was seen.
pub(crate) fn row<B>(double: Double, service: Service, check: &Check<B>, seen: Seen) -> Row {
    Row {
        check: format!("{}/{}", service.name(), check.id),
        service,
        what: check.what,
        expected: check.expected,
        source: check.source,
        double,
        seen: seen.unwrap_or_else(|trouble| format!("broke off: {trouble}")),
    }
}

/// Runs the checks of a service against one double; rows in the checks' order. Under virtual time one after the
/// other: there waiting costs nothing.
pub async fn run(bench: &Bench, service: Service, checks: &[Check]) -> Vec<Row> {
    let at_once = if bench.double == Double::Embedded { 1 } else { AT_ONCE };
    let ask = async |(place, check): (usize, &Check)| {
        (place, row(bench.double, service, check, (check.run)(bench).await))
    };
    let running = futures::stream::iter(checks.iter().enumerate().map(ask)).buffer_unordered(at_once);
    let mut rows: Vec<(usize, Row)> = running.collect().await;
    rows.sort_by_key(|(place, _)| *place);
    rows.into_iter().map(|(_, row)| row).collect()
}

/// The service's code for an error; SQS's older spelling of a code is the same code.
pub fn code<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> String {
    match (error.as_service_error().and_then(ProvideErrorMetadata::code), error) {
        (Some(code), _) => {
            let code = code.strip_prefix("AWS.SimpleQueueService.").unwrap_or(code);
            if code == "NonExistentQueue" { "QueueDoesNotExist" } else { code }.to_owned()
        }
        (None, SdkError::ServiceError(_)) => "an error without a code".to_owned(),
        (None, SdkError::ResponseError(_)) => "an answer the SDK cannot read".to_owned(),
        (None, _) => "no answer".to_owned(),
    }
}

/// `accepted`, or the code of the refusal.
pub fn verdict<T, E: ProvideErrorMetadata, R>(result: &Result<T, SdkError<E, R>>) -> String {
    result.as_ref().map_or_else(code, |_| "accepted".to_owned())
}

/// `accepted` or `refused`, where the product does not look at the code.
pub fn taken<T, E: ProvideErrorMetadata, R>(result: &Result<T, SdkError<E, R>>) -> &'static str {
    match result {
        Ok(_) => "accepted",
        Err(SdkError::ServiceError(_)) => "refused",
        Err(_) => "no answer",
    }
}
