//! A double of EventBridge Scheduler for one-time schedules.
//!
//! Invariant: a name is unique in its group; a schedule is due once and, deleted after completion, then gone.
//! It fires nothing by itself: the pump asks what is due and plays the service's part.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::Method;
use http::request::Parts;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::domain::time::UnixTime;

use super::{ACCOUNT, Answer, REGION, error_answer, json_answer, percent_decode, query_value};

const DEFAULT_GROUP: &str = "default";

/// A schedule's body, as given to CreateSchedule and returned by GetSchedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Definition {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group_name: Option<String>,
    schedule_expression: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    schedule_expression_timezone: Option<String>,
    flexible_time_window: Value,
    target: Target,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    action_after_completion: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(default = "enabled")]
    state: String,
    #[serde(default, skip_serializing)]
    client_token: Option<String>,
}

fn enabled() -> String {
    "ENABLED".to_owned()
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Target {
    arn: String,
    role_arn: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    input: Option<String>,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

#[derive(Clone, Debug)]
struct Schedule {
    definition: Definition,
    due_at: UnixTime,
    created: UnixTime,
    completed: bool,
}

/// A schedule whose time has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueSchedule {
    /// Its group.
    pub group: String,
    /// Its name.
    pub name: String,
    /// When it was due.
    pub due_at: UnixTime,
    /// ARN of the queue it sends to.
    pub target_arn: String,
    /// The message it sends.
    pub input: String,
}

#[derive(Debug, Default)]
struct State {
    refused: Vec<String>,
    groups: BTreeMap<String, UnixTime>,
    schedules: BTreeMap<(String, String), Schedule>,
}

/// The embedded scheduler.
#[derive(Debug, Default)]
pub struct Scheduler(Mutex<State>);

/// The operation a request asks for.
pub(super) fn operation(method: &Method, path: &str) -> &'static str {
    let named = path.trim_matches('/').contains('/');
    match (method, path.starts_with("/schedule-groups"), named) {
        (&Method::POST, true, _) => "CreateScheduleGroup",
        (&Method::POST, false, true) => "CreateSchedule",
        (&Method::PUT, false, true) => "UpdateSchedule",
        (&Method::GET, false, true) => "GetSchedule",
        (&Method::DELETE, false, true) => "DeleteSchedule",
        (&Method::GET, false, false) => "ListSchedules",
        _ => "Unknown",
    }
}

impl Scheduler {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a group; an existing one is kept.
    pub fn create_group(&self, name: &str, now: UnixTime) {
        self.lock().groups.entry(name.to_owned()).or_insert(now);
    }

    /// The schedules whose time has come, earliest first.
    pub fn due(&self, now: UnixTime) -> Vec<DueSchedule> {
        let state = self.lock();
        let mut due: Vec<DueSchedule> = state
            .schedules
            .iter()
            .filter(|(_, s)| is_waiting(s) && s.due_at <= now)
            .map(|((group, name), s)| DueSchedule {
                group: group.clone(),
                name: name.clone(),
                due_at: s.due_at,
                target_arn: s.definition.target.arn.clone(),
                input: s.definition.target.input.clone().unwrap_or_default(),
            })
            .collect();
        due.sort_by(|a, b| (a.due_at, &a.name).cmp(&(b.due_at, &b.name)));
        due
    }

    /// The earliest time at which anything will be due.
    pub fn next_due_at(&self) -> Option<UnixTime> {
        self.lock().schedules.values().filter(|s| is_waiting(s)).map(|s| s.due_at).min()
    }

    /// The schedules it would not make, and why. A timer is a hint: its setter goes on without it, and nobody else would
    /// hear of a refusal.
    pub fn refused(&self) -> Vec<String> {
        self.lock().refused.clone()
    }

    /// The target took the message: the schedule is over, and gone if it asked for that.
    pub fn complete(&self, due: &DueSchedule) {
        let mut state = self.lock();
        let key = (due.group.clone(), due.name.clone());
        let Some(schedule) = state.schedules.get_mut(&key).filter(|s| s.due_at == due.due_at) else {
            return;
        };
        if schedule.definition.action_after_completion.as_deref() == Some("DELETE") {
            state.schedules.remove(&key);
        } else {
            schedule.completed = true;
        }
    }

    pub(super) fn call(&self, parts: &Parts, body: &[u8], now: UnixTime) -> Answer {
        let name = percent_decode(parts.uri.path().rsplit('/').next().unwrap_or_default());
        let group = query_value(&parts.uri, "groupName").unwrap_or_else(|| DEFAULT_GROUP.to_owned());
        match operation(&parts.method, parts.uri.path()) {
            "CreateScheduleGroup" => {
                if self.lock().groups.insert(name.clone(), now).is_some() {
                    return conflict("Schedule group", &name);
                }
                json_answer(
                    200,
                    &json!({"ScheduleGroupArn":
                    format!("arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule-group/{name}")}),
                )
            }
            "CreateSchedule" => self.put(&name, body, now, false),
            "UpdateSchedule" => self.put(&name, body, now, true),
            "GetSchedule" => match self.lock().schedules.get(&(group.clone(), name.clone())) {
                Some(schedule) => show(&group, &name, schedule),
                None => missing("Schedule", &name),
            },
            "DeleteSchedule" => match self.lock().schedules.remove(&(group, name.clone())) {
                Some(_) => json_answer(200, &json!({})),
                None => missing("Schedule", &name),
            },
            "ListSchedules" => self.list(parts),
            _ => error_answer(400, "ValidationException", "this operation is not emulated"),
        }
    }

    fn put(&self, name: &str, body: &[u8], now: UnixTime, update: bool) -> Answer {
        let definition: Definition = match serde_json::from_slice(body) {
            Ok(definition) => definition,
            Err(error) => return error_answer(400, "ValidationException", &error.to_string()),
        };
        let due_at = match validate(name, &definition, now) {
            Ok(due_at) => due_at,
            Err(Refusal { status, kind, why }) => {
                tracing::warn!(name, kind, why, "schedule refused");
                self.lock().refused.push(format!("{name}: {why}"));
                return error_answer(status, kind, &why);
            }
        };
        let group = definition.group_name.clone().unwrap_or_else(|| DEFAULT_GROUP.to_owned());
        let mut state = self.lock();
        if group != DEFAULT_GROUP && !state.groups.contains_key(&group) {
            return missing("Schedule group", &group);
        }
        let key = (group.clone(), name.to_owned());
        let created = match state.schedules.get(&key) {
            // The SDK's own retry of a call that did arrive: the same token, the same answer.
            Some(old) if !update && old.definition != definition => return conflict("Schedule", name),
            Some(old) => old.created,
            None if update => return missing("Schedule", name),
            None => now,
        };
        state.schedules.insert(key, Schedule { definition, due_at, created, completed: false });
        json_answer(200, &json!({"ScheduleArn": arn(&group, name)}))
    }

    /// Pages by name; the token is the last key given.
    fn list(&self, parts: &Parts) -> Answer {
        let group = query_value(&parts.uri, "ScheduleGroup");
        let prefix = query_value(&parts.uri, "NamePrefix").unwrap_or_default();
        let after = query_value(&parts.uri, "NextToken");
        let most = query_value(&parts.uri, "MaxResults").and_then(|n| n.parse().ok()).unwrap_or(100_usize);
        let state = self.lock();
        let mut matching = state.schedules.iter().filter(|((g, n), _)| {
            group.as_ref().is_none_or(|wanted| wanted == g)
                && n.starts_with(&prefix)
                && after.as_ref().is_none_or(|a| format!("{g}/{n}") > *a)
        });
        let page: Vec<_> = matching.by_ref().take(most).collect();
        let more = matching.next().is_some();
        let token = page.last().filter(|_| more).map(|((g, n), _)| format!("{g}/{n}"));
        let schedules: Vec<Value> = page
            .iter()
            .map(|((g, n), s)| {
                json!({"Arn": arn(g, n), "Name": n, "GroupName": g, "State": s.definition.state,
                    "CreationDate": s.created.0, "LastModificationDate": s.created.0,
                    "Target": {"Arn": s.definition.target.arn}})
            })
            .collect();
        json_answer(200, &json!({"Schedules": schedules, "NextToken": token}))
    }
}

fn is_waiting(schedule: &Schedule) -> bool {
    !schedule.completed && schedule.definition.state == "ENABLED"
}

/// Why a schedule is not made.
struct Refusal {
    status: u16,
    kind: &'static str,
    why: String,
}

fn invalid(why: impl Into<String>) -> Refusal {
    Refusal { status: 400, kind: "ValidationException", why: why.into() }
}

/// Checks what AWS checks of a one-time schedule; returns when it is due.
fn validate(name: &str, definition: &Definition, now: UnixTime) -> Result<UnixTime, Refusal> {
    let good_name = (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if !good_name {
        return Err(invalid(format!("name {name:?} must match [0-9a-zA-Z-_.]{{1,64}}")));
    }
    if definition.flexible_time_window.get("Mode").and_then(Value::as_str).is_none() {
        return Err(invalid("FlexibleTimeWindow.Mode is missing"));
    }
    if !definition.target.arn.starts_with("arn:") || !definition.target.role_arn.starts_with("arn:") {
        return Err(invalid("Target.Arn and Target.RoleArn must be ARNs"));
    }
    let expression = &definition.schedule_expression;
    let inner = expression.strip_prefix("at(").and_then(|e| e.strip_suffix(')'));
    let civil = inner.and_then(|text| jiff::civil::DateTime::strptime("%Y-%m-%dT%H:%M:%S", text).ok());
    let Some(civil) = civil else {
        return Err(invalid(format!("schedule expression {expression:?} is not at(yyyy-mm-ddThh:mm:ss)")));
    };
    let zone = definition.schedule_expression_timezone.as_deref().unwrap_or("UTC");
    let zoned = civil.to_zoned(zone_of(zone, jiff::tz::db())?);
    let due_at = zoned.map_err(|e| invalid(format!("{expression} in {zone:?} is no time: {e}")))?;
    let due_at = UnixTime(due_at.timestamp().as_second());
    if due_at < now {
        return Err(invalid(format!("{expression} in {zone:?} has passed: it is {now}")));
    }
    Ok(due_at)
}

/// A time zone by name. UTC needs no database; a build without one says so and does not call every zone unknown.
fn zone_of(name: &str, database: &jiff::tz::TimeZoneDatabase) -> Result<jiff::tz::TimeZone, Refusal> {
    if matches!(name, "UTC" | "Etc/UTC") {
        return Ok(jiff::tz::TimeZone::UTC);
    }
    if database.is_definitively_empty() {
        let why = format!(
            "time zone {name:?} cannot be looked up: this build has no time zone database; build with jiff's feature \
             tzdb-bundle-always"
        );
        return Err(Refusal { status: 500, kind: "InternalServerException", why });
    }
    database.get(name).map_err(|_| {
        invalid(format!(
            "time zone {name:?} is not in the IANA database; write one like Europe/Berlin, or UTC"
        ))
    })
}

fn arn(group: &str, name: &str) -> String {
    format!("arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/{group}/{name}")
}

fn show(group: &str, name: &str, schedule: &Schedule) -> Answer {
    let mut body = serde_json::to_value(&schedule.definition).unwrap_or_default();
    if let Some(fields) = body.as_object_mut() {
        fields.insert("Arn".to_owned(), json!(arn(group, name)));
        fields.insert("Name".to_owned(), json!(name));
        fields.insert("GroupName".to_owned(), json!(group));
        fields.insert("CreationDate".to_owned(), json!(schedule.created.0));
        fields.insert("LastModificationDate".to_owned(), json!(schedule.created.0));
    }
    json_answer(200, &body)
}

fn missing(what: &str, name: &str) -> Answer {
    error_answer(404, "ResourceNotFoundException", &format!("{what} {name} does not exist."))
}

fn conflict(what: &str, name: &str) -> Answer {
    error_answer(409, "ConflictException", &format!("{what} {name} already exists."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(expression: &str, zone: Option<&str>) -> Definition {
        let body = json!({
            "ScheduleExpression": expression,
            "ScheduleExpressionTimezone": zone,
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": {"Arn": "arn:aws:sqs:r:1:q", "RoleArn": "arn:aws:iam::1:role/r"},
        });
        serde_json::from_value(body).unwrap()
    }

    #[test]
    fn a_time_is_read_in_its_zone_and_without_one_in_utc() {
        let at =
            |zone| validate("t", &definition("at(2026-11-21T09:00:00)", zone), UnixTime(0)).ok().unwrap();
        assert_eq!(at(None), UnixTime(1_795_251_600));
        assert_eq!(at(Some("UTC")), at(None));
        assert_eq!(at(Some("Europe/Berlin")), UnixTime(1_795_251_600 - 3600));
        assert_eq!(at(Some("Asia/Tokyo")), UnixTime(1_795_251_600 - 9 * 3600));
    }

    #[test]
    fn a_time_that_has_passed_is_refused_in_words() {
        let now = UnixTime(1_795_251_600);
        let refused = validate("t", &definition("at(2026-11-21T08:59:59)", None), now).err().unwrap();
        assert_eq!((refused.status, refused.kind), (400, "ValidationException"));
        assert!(refused.why.contains("has passed: it is 2026-11-21T09:00:00Z"), "{}", refused.why);
        assert!(validate("t", &definition("at(2026-11-21T09:00:00)", None), now).is_ok());
    }

    #[test]
    fn an_unknown_zone_and_a_missing_database_are_told_apart() {
        let unknown = zone_of("Mars/Olympus", jiff::tz::db()).err().unwrap();
        assert_eq!((unknown.status, unknown.kind), (400, "ValidationException"));
        assert!(unknown.why.contains("Europe/Berlin"), "{}", unknown.why);
        let none = jiff::tz::TimeZoneDatabase::none();
        let missing = zone_of("Europe/Berlin", &none).err().unwrap();
        assert_eq!((missing.status, missing.kind), (500, "InternalServerException"));
        assert!(missing.why.contains("tzdb-bundle-always"), "{}", missing.why);
        assert!(zone_of("UTC", &none).is_ok(), "UTC needs no database");
    }

    #[test]
    fn what_was_refused_is_remembered() {
        let scheduler = Scheduler::default();
        let body = serde_json::to_vec(&json!({
            "ScheduleExpression": "at(2026-11-21T09:00:00)",
            "ScheduleExpressionTimezone": "Mars/Olympus",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": {"Arn": "arn:aws:sqs:r:1:q", "RoleArn": "arn:aws:iam::1:role/r"},
        }));
        let answer = scheduler.put("retry", &body.unwrap(), UnixTime(0), false);
        assert_eq!(answer.status(), 400);
        assert_eq!(scheduler.refused().len(), 1);
        assert!(scheduler.refused()[0].starts_with("retry: time zone \"Mars/Olympus\" is not in"));
    }
}
