//! EventBridge Scheduler: one-time schedules as the timers set them.

use aws_sdk_scheduler::operation::create_schedule::builders::CreateScheduleFluentBuilder;
use aws_sdk_scheduler::types::{ActionAfterCompletion, FlexibleTimeWindow, FlexibleTimeWindowMode, Target};
use shared::domain::time::UnixTime;

use crate::bench::Bench;
use crate::check::{Seen, Trouble, checks, verdict};

const CREATE: &str = "Scheduler API, CreateSchedule";
const TYPES: &str = "Scheduler guide, Schedule types";
const DELETION: &str = "Scheduler guide, Deletion after completion";

checks! {
    "shown", "what GetSchedule shows of a new schedule", "same expression, UTC, DELETE, ENABLED, same target and input", "Scheduler API, GetSchedule" => shown;
    "same-name", "a second schedule of one name", "ConflictException", CREATE => same_name;
    "same-name-at-once", "8 creations of one name at once", "one accepted, 7 ConflictException", CREATE => same_name_at_once;
    "same-token", "the same creation again with its client token", "accepted", CREATE => same_token;
    "other-group", "the same name in another group", "accepted", CREATE => other_group;
    "missing-group", "a group that is not there", "ResourceNotFoundException", CREATE => missing_group;
    "get-absent", "reading a schedule that is not there", "ResourceNotFoundException", "Scheduler API, GetSchedule" => get_absent;
    "deleted", "a deleted schedule, read; its name, used again", "ResourceNotFoundException, accepted", "Scheduler API, DeleteSchedule" => deleted;
    "delete-absent", "deleting a schedule that is not there", "ResourceNotFoundException", "Scheduler API, DeleteSchedule" => delete_absent;
    "past", "a time that has passed by an hour", "ValidationException", "unverified: not in the guide, reported by users" => past;
    "no-such-time", "the 30th of February", "ValidationException", TYPES => no_such_time;
    "with-zone-letter", "a time that ends in Z", "ValidationException", TYPES => with_zone_letter;
    "nonsense", "`every now and then`", "ValidationException", TYPES => nonsense;
    "unknown-zone", "the time zone Mars/Olympus", "ValidationException", CREATE => unknown_zone;
    "long-name", "names of 64 and of 65 characters", "accepted, ValidationException", CREATE => long_name;
    "bad-name", "a name with #", "ValidationException", CREATE => bad_name;
    "recurring", "rate(5 minutes)", "accepted", TYPES => recurring;
    "fires", "a schedule due in 5 s", "its input came once, then it is gone", DELETION => fires;
    "fires-in-its-zone", "the same, its time written in Asia/Tokyo", "its input came once, then it is gone", TYPES => fires_in_its_zone;
    "kept", "the same without deletion after completion: afterwards its name is", "ConflictException", DELETION => kept;
    "disabled", "the same, disabled", "nothing came", "Scheduler guide, Changing the schedule state" => disabled;
    "page", "schedules by prefix, two a page", "2 1", "Scheduler API, ListSchedules" => page;
}

/// `at(...)` of a time in UTC.
fn at(time: UnixTime) -> String {
    format!("at({})", time.to_string().trim_end_matches('Z'))
}

/// A queue that nobody reads, as far as most checks go.
const TARGET: &str = "arn:aws:sqs:eu-central-1:000000000000:target";

impl Bench {
    fn target(arn: &str) -> Result<Target, Trouble> {
        let role = "arn:aws:iam::000000000000:role/scheduler";
        Ok(Target::builder().arn(arn).role_arn(role).input("{\"wake\":1}").build()?)
    }

    fn schedule(&self, name: &str, expression: &str) -> Result<CreateScheduleFluentBuilder, Trouble> {
        let window = FlexibleTimeWindow::builder().mode(FlexibleTimeWindowMode::Off).build()?;
        let create = self.scheduler.create_schedule().name(name).group_name(self.group());
        let create = create.schedule_expression(expression).schedule_expression_timezone("UTC");
        let create = create.flexible_time_window(window).target(Self::target(TARGET)?);
        Ok(create.action_after_completion(ActionAfterCompletion::Delete))
    }

    fn tomorrow(&self) -> String {
        at(UnixTime(self.clock.now().0 + 86_400))
    }

    async fn tried(&self, expression: &str) -> Seen {
        Ok(verdict(&self.schedule(&self.name("timer"), expression)?.send().await))
    }
}

async fn shown(bench: &Bench) -> Seen {
    let (name, when) = (bench.name("timer"), bench.tomorrow());
    bench.schedule(&name, &when)?.send().await?;
    let got = bench.scheduler.get_schedule().name(&name).group_name(bench.group()).send().await?;
    let target = got.target().is_some_and(|t| t.arn() == TARGET && t.input() == Some("{\"wake\":1}"));
    Ok(format!(
        "{}, {}, {}, {}, {}",
        if got.schedule_expression() == Some(&when) { "same expression" } else { "another expression" },
        got.schedule_expression_timezone().unwrap_or("no zone"),
        got.action_after_completion().map_or("no action", |a| a.as_str()),
        got.state().map_or("no state", |s| s.as_str()),
        if target { "same target and input" } else { "another target" },
    ))
}

async fn same_name(bench: &Bench) -> Seen {
    let (name, when) = (bench.name("timer"), bench.tomorrow());
    bench.schedule(&name, &when)?.send().await?;
    Ok(verdict(&bench.schedule(&name, &when)?.send().await))
}

async fn same_name_at_once(bench: &Bench) -> Seen {
    let (name, when) = (bench.name("timer"), bench.tomorrow());
    let mut calls = Vec::new();
    for _ in 0..8 {
        calls.push(bench.schedule(&name, &when)?.send());
    }
    let told: Vec<String> = futures::future::join_all(calls).await.iter().map(verdict).collect();
    let of = |what: &str| told.iter().filter(|t| *t == what).count();
    Ok(match (of("accepted"), of("ConflictException")) {
        (1, 7) => "one accepted, 7 ConflictException".to_owned(),
        _ => told.join(", "),
    })
}

async fn same_token(bench: &Bench) -> Seen {
    let (name, when, token) = (bench.name("timer"), bench.tomorrow(), bench.name("token"));
    bench.schedule(&name, &when)?.client_token(&token).send().await?;
    Ok(verdict(&bench.schedule(&name, &when)?.client_token(&token).send().await))
}

async fn other_group(bench: &Bench) -> Seen {
    let (name, when) = (bench.name("timer"), bench.tomorrow());
    bench.schedule(&name, &when)?.send().await?;
    Ok(verdict(&bench.schedule(&name, &when)?.group_name("default").send().await))
}

async fn missing_group(bench: &Bench) -> Seen {
    let create = bench.schedule(&bench.name("timer"), &bench.tomorrow())?;
    Ok(verdict(&create.group_name("no-such-group").send().await))
}

async fn get_absent(bench: &Bench) -> Seen {
    let get = bench.scheduler.get_schedule().name(bench.name("timer")).group_name(bench.group());
    Ok(verdict(&get.send().await))
}

async fn deleted(bench: &Bench) -> Seen {
    let (name, when) = (bench.name("timer"), bench.tomorrow());
    bench.schedule(&name, &when)?.send().await?;
    bench.scheduler.delete_schedule().name(&name).group_name(bench.group()).send().await?;
    let read = bench.scheduler.get_schedule().name(&name).group_name(bench.group()).send().await;
    let read = verdict(&read);
    Ok(format!("{read}, {}", verdict(&bench.schedule(&name, &when)?.send().await)))
}

async fn delete_absent(bench: &Bench) -> Seen {
    let delete = bench.scheduler.delete_schedule().name(bench.name("timer")).group_name(bench.group());
    Ok(verdict(&delete.send().await))
}

async fn past(bench: &Bench) -> Seen {
    bench.tried(&at(UnixTime(bench.clock.now().0 - 3600))).await
}

async fn no_such_time(bench: &Bench) -> Seen {
    bench.tried("at(2039-02-30T00:00:00)").await
}

async fn with_zone_letter(bench: &Bench) -> Seen {
    bench.tried("at(2039-01-01T00:00:00Z)").await
}

async fn nonsense(bench: &Bench) -> Seen {
    bench.tried("every now and then").await
}

async fn unknown_zone(bench: &Bench) -> Seen {
    let create = bench.schedule(&bench.name("timer"), &bench.tomorrow())?;
    Ok(verdict(&create.schedule_expression_timezone("Mars/Olympus").send().await))
}

async fn long_name(bench: &Bench) -> Seen {
    let name = format!("{:x<64}", bench.name("timer"));
    let fits = verdict(&bench.schedule(&name, &bench.tomorrow())?.send().await);
    Ok(format!("{fits}, {}", verdict(&bench.schedule(&format!("{name}x"), &bench.tomorrow())?.send().await)))
}

async fn bad_name(bench: &Bench) -> Seen {
    Ok(verdict(&bench.schedule("order#1", &bench.tomorrow())?.send().await))
}

async fn recurring(bench: &Bench) -> Seen {
    bench.tried("rate(5 minutes)").await
}

/// The longest wait for a schedule: the service promises a minute, the doubles look every second or so.
const FIRED_WITHIN: u64 = 30;

/// A queue, and a schedule that sends to it in 5 s; the expression is written in a zone so many hours ahead.
async fn soon(bench: &Bench, hours: i64) -> Result<(String, String, CreateScheduleFluentBuilder), Trouble> {
    let url = bench.queue(&[]).await?;
    let arn = bench.arn(&url).await?;
    let name = bench.name("timer");
    let when = UnixTime(bench.clock.now().0 + 5 + hours * 3600);
    let create = bench.schedule(&name, &at(when))?.target(Bench::target(&arn)?);
    Ok((url, name, create))
}

/// How many messages came to a queue within [`FIRED_WITHIN`], or of 3 s if `soon_enough` came.
async fn came(bench: &Bench, url: &str, soon_enough: usize) -> Result<usize, Trouble> {
    let arn = bench.arn(url).await?;
    let (mut came, mut left) = (0, FIRED_WITHIN);
    while left > 0 {
        bench.fire(url, &arn).await;
        came += bench.receive(url).await?.iter().filter(|m| m.body() == Some("{\"wake\":1}")).count();
        if came >= soon_enough {
            left = left.min(3);
        }
        left -= 1;
        bench.pass(1).await;
    }
    Ok(came)
}

async fn fired(bench: &Bench, hours: i64, zone: &str) -> Seen {
    let (url, name, create) = soon(bench, hours).await?;
    create.schedule_expression_timezone(zone).send().await?;
    let times = match came(bench, &url, 1).await? {
        0 => "nothing came".to_owned(),
        1 => "its input came once".to_owned(),
        n => format!("its input came {n} times"),
    };
    let read = bench.scheduler.get_schedule().name(&name).group_name(bench.group()).send().await;
    Ok(format!("{times}, then it is {}", if read.is_ok() { "still there" } else { "gone" }))
}

async fn fires(bench: &Bench) -> Seen {
    fired(bench, 0, "UTC").await
}

async fn fires_in_its_zone(bench: &Bench) -> Seen {
    fired(bench, 9, "Asia/Tokyo").await
}

async fn kept(bench: &Bench) -> Seen {
    let (url, name, create) = soon(bench, 0).await?;
    create.action_after_completion(ActionAfterCompletion::None).send().await?;
    if came(bench, &url, 1).await? != 1 {
        return Ok("it did not fire".to_owned());
    }
    Ok(verdict(&bench.schedule(&name, &bench.tomorrow())?.send().await))
}

async fn disabled(bench: &Bench) -> Seen {
    let (url, _, create) = soon(bench, 0).await?;
    create.state(aws_sdk_scheduler::types::ScheduleState::Disabled).send().await?;
    Ok(match came(bench, &url, 1).await? {
        0 => "nothing came".to_owned(),
        n => format!("{n} came"),
    })
}

async fn page(bench: &Bench) -> Seen {
    let prefix = bench.name("listed");
    for i in 0..3 {
        bench.schedule(&format!("{prefix}-{i}"), &bench.tomorrow())?.send().await?;
    }
    let (mut sizes, mut after) = (Vec::new(), None);
    for _ in 0..5 {
        let list =
            bench.scheduler.list_schedules().group_name(bench.group()).name_prefix(format!("{prefix}-"));
        let answer = list.max_results(2).set_next_token(after).send().await?;
        sizes.push(answer.schedules().len().to_string());
        after = answer.next_token;
        if after.is_none() {
            break;
        }
    }
    Ok(sizes.join(" "))
}
