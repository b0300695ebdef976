//! One-time schedules that send a message to an owner's queue. A timer is a hint: the due time itself is in the item,
//! so a timer that fires late, twice or never costs time and nothing else.

use aws_sdk_scheduler::error::SdkError;
use aws_sdk_scheduler::operation::create_schedule::CreateScheduleError;
use aws_sdk_scheduler::types::{
    ActionAfterCompletion, FlexibleTimeWindow, FlexibleTimeWindowMode, RetryPolicy, Target,
};
use sha2::{Digest, Sha256};

use crate::clock::Clock;
use crate::config::Resources;
use crate::domain::time::{Seconds, UnixTime};
use crate::error::aws_reason;
use crate::queue::{Message, Queue};

/// The nearest a timer fires from now: Scheduler refuses the past and works in minutes.
const NEAREST: Seconds = Seconds(60);

/// Why no timer was set.
#[derive(Debug, thiserror::Error)]
pub enum TimerError {
    /// The template gave no ARN, group or role.
    #[error("no {what} is configured for timers")]
    NotConfigured {
        /// What is missing.
        what: &'static str,
    },
    /// The message or the request could not be built.
    #[error("building the schedule failed")]
    Build,
    /// The call failed.
    #[error("setting a timer failed: {reason}")]
    Call {
        /// The service's code, or what happened to the request.
        reason: String,
    },
}

/// Sets timers.
#[derive(Clone, Debug)]
pub struct Timer {
    client: aws_sdk_scheduler::Client,
    resources: Resources,
    clock: Clock,
}

impl Timer {
    /// Timers in the group and under the role that the template names.
    pub fn new(client: aws_sdk_scheduler::Client, resources: &Resources, clock: Clock) -> Self {
        Self { client, resources: resources.clone(), clock }
    }

    /// Sends `message` to `queue` at `when`, or a minute from now if that has passed. The name decides identity: a
    /// second call with the same name changes nothing, so a name must contain what makes the moment new (order,
    /// purpose, time).
    pub async fn at(
        &self,
        name: &str,
        when: UnixTime,
        queue: Queue,
        message: &Message,
    ) -> Result<(), TimerError> {
        let arn = self.resources.queue_arns.get(queue.name());
        let arn = arn.ok_or(TimerError::NotConfigured { what: "queue ARN" })?;
        let role = Some(self.resources.schedule_role_arn.as_str()).filter(|r| !r.is_empty());
        let role = role.ok_or(TimerError::NotConfigured { what: "role" })?;
        let group = Some(self.resources.schedule_group.as_str()).filter(|g| !g.is_empty());
        let group = group.ok_or(TimerError::NotConfigured { what: "schedule group" })?;
        let input = serde_json::to_string(message).map_err(|_| TimerError::Build)?;
        let target = Target::builder()
            .arn(arn)
            .role_arn(role)
            .input(input)
            .retry_policy(RetryPolicy::builder().maximum_retry_attempts(10).build())
            .build()
            .map_err(|_| TimerError::Build)?;
        let window = FlexibleTimeWindow::builder().mode(FlexibleTimeWindowMode::Off).build();
        let when = when.max(self.clock.now() + NEAREST);
        let made = self
            .client
            .create_schedule()
            .name(schedule_name(name))
            .group_name(group)
            .schedule_expression(expression(when))
            .schedule_expression_timezone("UTC")
            .flexible_time_window(window.map_err(|_| TimerError::Build)?)
            .action_after_completion(ActionAfterCompletion::Delete)
            .target(target)
            .send()
            .await;
        match made {
            Ok(_) => Ok(()),
            Err(SdkError::ServiceError(context))
                if matches!(context.err(), CreateScheduleError::ConflictException(_)) =>
            {
                Ok(())
            }
            Err(error) => Err(TimerError::Call { reason: aws_reason(&error) }),
        }
    }
}

/// `at(2026-11-21T08:00:00)`, read as UTC.
fn expression(when: UnixTime) -> String {
    format!("at({})", when.to_string().trim_end_matches('Z'))
}

/// Scheduler allows 64 characters of `[0-9a-zA-Z-_.]`. A name that fits stays; another keeps a readable beginning and
/// gets the hash of the whole.
pub fn schedule_name(name: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if (1..=64).contains(&name.len()) && name.chars().all(allowed) {
        return name.to_owned();
    }
    let readable: String = name.chars().map(|c| if allowed(c) { c } else { '-' }).take(31).collect();
    let hash = hex::encode(Sha256::digest(name.as_bytes()));
    format!("{readable}-{}", &hash[..32])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::{self, double::Double};
    use crate::domain::ids::OrderKey;

    const NOW: UnixTime = UnixTime(1_795_248_000);

    fn timer(double: &Double) -> Timer {
        let mut resources = Resources {
            schedule_group: "tandem".into(),
            schedule_role_arn: "arn:aws:iam::123456789012:role/timer".into(),
            ..Resources::default()
        };
        resources
            .queue_arns
            .insert("failures".into(), "arn:aws:sqs:eu-central-1:123456789012:failures".into());
        Timer::new(aws::scheduler(&double.sdk()), &resources, Clock::tokio_from(NOW))
    }

    fn message() -> Message {
        Message::wake(OrderKey::new("demo", "checkout", "shop", "1").unwrap(), "c")
    }

    fn made() -> Double {
        Double::new(|_| (200, "", "{\"ScheduleArn\":\"arn\"}".to_owned()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_is_a_one_time_schedule_that_removes_itself() {
        let double = made();
        let when = NOW + Seconds::days(1);
        timer(&double).at("retry-1", when, Queue::Failures, &message()).await.unwrap();
        let (operation, body) = double.calls().remove(0);
        assert_eq!(operation, "POST /schedules/retry-1");
        assert_eq!(body["ScheduleExpression"], "at(2026-11-22T08:00:00)");
        assert_eq!(body["ActionAfterCompletion"], "DELETE");
        assert_eq!(body["FlexibleTimeWindow"]["Mode"], "OFF");
        assert_eq!(body["GroupName"], "tandem");
        assert_eq!(body["Target"]["Arn"], "arn:aws:sqs:eu-central-1:123456789012:failures");
        let input: Message = serde_json::from_str(body["Target"]["Input"].as_str().unwrap()).unwrap();
        assert_eq!(input, message());
    }

    #[tokio::test(start_paused = true)]
    async fn a_moment_that_has_passed_becomes_a_minute_from_now() {
        let double = made();
        for when in [UnixTime(0), NOW, NOW + Seconds(59)] {
            timer(&double).at("t", when, Queue::Failures, &message()).await.unwrap();
        }
        assert!(double.calls().iter().all(|(_, b)| b["ScheduleExpression"] == "at(2026-11-21T08:01:00)"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_exists_is_no_error_and_a_refusal_is() {
        let exists = Double::new(|_| (409, "ConflictException", "{\"Message\":\"exists\"}".to_owned()));
        assert!(timer(&exists).at("t", NOW, Queue::Failures, &message()).await.is_ok());
        let refuses = Double::new(|_| (400, "ValidationException", "{\"Message\":\"no\"}".to_owned()));
        let error = timer(&refuses).at("t", NOW, Queue::Failures, &message()).await.unwrap_err();
        assert_eq!(error.to_string(), "setting a timer failed: ValidationException");
        let nowhere = timer(&exists).at("t", NOW, Queue::Orders, &message()).await.unwrap_err();
        assert!(matches!(nowhere, TimerError::NotConfigured { what: "queue ARN" }));
    }

    #[test]
    fn names_fit_the_service_and_stay_apart() {
        assert_eq!(schedule_name("retry-1_a.b"), "retry-1_a.b");
        let long = schedule_name("demo#checkout#shop#1001/retry/3");
        assert!(long.len() <= 64 && long.starts_with("demo-checkout-shop-1001-retry-3-"), "{long}");
        assert_ne!(schedule_name("a#b"), schedule_name("a/b"));
        assert_eq!(schedule_name(&"x".repeat(200)).len(), 64);
    }
}
