//! What SQS refuses and the emulator would take: a caller that relies on it would first be told by AWS.

use base64::Engine as _;
use bytes::Bytes;
use rustack_sqs_model::error::SqsError;
use rustack_sqs_model::operations::SqsOperation;
use serde::Deserialize;
use serde_json::Value;

const DELAY_SECONDS_MAX: i64 = 900;
const MESSAGES_MAX: i64 = 10;
const WAIT_SECONDS_MAX: i64 = 20;

/// The parameters that have such limits.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Parameters {
    message_body: String,
    delay_seconds: Option<i64>,
    max_number_of_messages: Option<i64>,
    wait_time_seconds: Option<i64>,
    receipt_handle: String,
}

/// Why AWS would refuse this call, if the emulator does not know it.
pub(super) fn refusal(operation: SqsOperation, body: &[u8]) -> Option<SqsError> {
    let asked: Parameters = serde_json::from_slice(body).unwrap_or_default();
    match operation {
        SqsOperation::SendMessage if !asked.message_body.chars().all(may_be_sent) => {
            Some(SqsError::invalid_parameter_value("the message has a character that XML 1.0 does not allow"))
        }
        SqsOperation::SendMessage => outside("DelaySeconds", asked.delay_seconds, 0, DELAY_SECONDS_MAX),
        SqsOperation::ReceiveMessage => {
            outside("MaxNumberOfMessages", asked.max_number_of_messages, 1, MESSAGES_MAX)
                .or_else(|| outside("WaitTimeSeconds", asked.wait_time_seconds, 0, WAIT_SECONDS_MAX))
        }
        SqsOperation::DeleteMessage | SqsOperation::ChangeMessageVisibility
            if !is_receipt(&asked.receipt_handle) =>
        {
            Some(SqsError::receipt_handle_is_invalid())
        }
        _ => None,
    }
}

fn outside(name: &str, value: Option<i64>, least: i64, most: i64) -> Option<SqsError> {
    let value = value.filter(|value| !(least..=most).contains(value))?;
    Some(SqsError::invalid_parameter_value(format!(
        "value {value} for parameter {name} is invalid: it must be between {least} and {most}"
    )))
}

/// A message to a standard queue without its group, which the emulator refuses there: it knows no fair queues and hands
/// messages out as they were sent.
pub(in crate::aws) fn without_group(body: Bytes) -> Bytes {
    let Ok(Value::Object(mut request)) = serde_json::from_slice(&body) else { return body };
    let to_standard =
        request.get("QueueUrl").and_then(Value::as_str).is_some_and(|url| !url.ends_with(".fifo"));
    if !to_standard || request.remove("MessageGroupId").is_none() {
        return body;
    }
    Value::Object(request).to_string().into()
}

/// The characters of a message: #x9, #xA, #xD, #x20 to #xD7FF, #xE000 to #xFFFD, #x10000 to #x10FFFF.
fn may_be_sent(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// Whether the emulator can have made this receipt: message id, time and a random part, in base64.
fn is_receipt(text: &str) -> bool {
    let decoded = base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default();
    decoded.split(|byte| *byte == b':').count() == 3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(operation: SqsOperation, body: &str) -> bool {
        refusal(operation, body.as_bytes()).is_some()
    }

    #[test]
    fn delays_batches_and_waits_have_the_limits_of_the_service() {
        for (body, wrong) in [
            ("{\"DelaySeconds\":900}", false),
            ("{\"DelaySeconds\":901}", true),
            ("{\"DelaySeconds\":-1}", true),
            ("{}", false),
        ] {
            assert_eq!(refused(SqsOperation::SendMessage, body), wrong, "{body}");
        }
        for (body, wrong) in [
            ("{\"MaxNumberOfMessages\":10,\"WaitTimeSeconds\":20}", false),
            ("{\"MaxNumberOfMessages\":11}", true),
            ("{\"MaxNumberOfMessages\":0}", true),
            ("{\"WaitTimeSeconds\":21}", true),
        ] {
            assert_eq!(refused(SqsOperation::ReceiveMessage, body), wrong, "{body}");
        }
    }

    #[test]
    fn a_message_holds_only_what_xml_can() {
        for (text, wrong) in [
            ("tab\\tline\\n", false),
            ("\\u00fc \\ud83d\\ude00", false),
            ("\\u0001", true),
            ("\\ufffe", true),
        ] {
            let body = format!("{{\"MessageBody\":\"{text}\"}}");
            assert_eq!(refused(SqsOperation::SendMessage, &body), wrong, "{body}");
        }
    }

    #[test]
    fn a_group_is_taken_off_on_its_way_to_a_standard_queue_only() {
        let body = |url: &str| {
            Bytes::from(format!(
                "{{\"QueueUrl\":\"{url}\",\"MessageBody\":\"m\",\"MessageGroupId\":\"shop\"}}"
            ))
        };
        let sent: Value = serde_json::from_slice(&without_group(body("http://sqs/1/orders"))).unwrap();
        assert_eq!(sent, serde_json::json!({"QueueUrl": "http://sqs/1/orders", "MessageBody": "m"}));
        assert_eq!(without_group(body("http://sqs/1/orders.fifo")), body("http://sqs/1/orders.fifo"));
        assert_eq!(without_group(Bytes::from_static(b"no json")), "no json");
    }

    #[test]
    fn a_made_up_receipt_is_no_receipt() {
        let real = rustack_sqs_core::message::generate_receipt_handle("id-1");
        for (receipt, wrong) in [(real.as_str(), false), ("made up", true), ("", true), ("bWFkZQ==", true)] {
            let body = format!("{{\"ReceiptHandle\":\"{receipt}\"}}");
            assert_eq!(refused(SqsOperation::DeleteMessage, &body), wrong, "{receipt}");
            assert_eq!(refused(SqsOperation::ChangeMessageVisibility, &body), wrong, "{receipt}");
        }
    }
}
