//! The vocabulary of outcomes that functions and queues share, and how an error is printed: once, at the boundary,
//! as its chain of causes.

use std::error::Error;

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// What becomes of a queue message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Done, or nothing to do: the message is deleted.
    Done,
    /// Not now: the message returns to the queue after its visibility timeout. The word says why.
    Retry(&'static str),
    /// Never: the message stays, and so ends in the dead letter queue, where a person sees it. The word says why.
    Reject(&'static str),
}

/// An error and its causes, `outer: inner: innermost`.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

/// Why an AWS call failed, as a word: the service's error code, or what happened to the request. Never the service's
/// message, which may repeat keys and values.
pub fn aws_reason<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> String {
    match error {
        SdkError::ConstructionFailure(_) => "request not built".to_owned(),
        SdkError::TimeoutError(_) => "timed out".to_owned(),
        SdkError::DispatchFailure(_) => "connection failed".to_owned(),
        SdkError::ResponseError(_) => "answer not readable".to_owned(),
        SdkError::ServiceError(context) => context.err().code().unwrap_or("service error").to_owned(),
        _ => "unknown failure".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("loading order")]
    struct Outer(#[source] std::fmt::Error);

    #[test]
    fn a_chain_is_printed_from_the_outside_in() {
        let text = chain(&Outer(std::fmt::Error));
        assert!(text.starts_with("loading order: an error occurred"), "{text}");
    }
}
