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
