//! The rules, one function each. A rule reports through `breach` and never panics: what is missing reads as null.

mod alarms;
pub(crate) mod permissions;

use std::collections::{BTreeMap, BTreeSet};

pub(super) use permissions::secrets;
use permissions::{conditions, exact_permissions, names_follow_permissions, own_secrets, readers_only_read};
use serde_json::{Value, json};
use shared::queue::Queue;

/// What a rule says about a breach.
type Breach<'a> = dyn FnMut(String) + 'a;
/// A rule: its name, and what it checks.
pub(super) type Rule = (&'static str, fn(&Value, &mut Breach<'_>));

/// Every rule by name.
pub(super) const RULES: &[Rule] = &[
    ("functions", functions),
    (BUILT, built),
    ("visibility", visibility),
    ("dead letters", dead_letters),
    ("queues are closed", queues_are_closed),
    ("mappings", mappings),
    ("schedules", schedules),
    ("api", api),
    ("access log", access_log),
    ("tables", tables),
    ("indexes", indexes),
    ("logs", logs),
    ("exact permissions", exact_permissions),
    ("conditions", conditions),
    ("public address", public_address),
    ("own secrets", own_secrets),
    ("names follow permissions", names_follow_permissions),
    ("readers only read", readers_only_read),
    ("no secret", no_secret),
    ("reports", reports),
    ("alarms", alarms::alarms),
    ("dashboard", alarms::dashboard),
];

/// The rule that only the source can keep: a deployed template names code in a bucket.
pub(super) const BUILT: &str = "built";

/// The ten functions, and whether each holds a key to Stripe.
const FUNCTIONS: [(&str, bool); 10] = [
    ("webhook-receiver", false),
    ("payment-page", true),
    ("payment-creator", true),
    ("payment-recorder", true),
    ("refund-processor", true),
    ("failure-handler", true),
    ("order-updater", false),
    ("notifier", false),
    ("sweeper", true),
    ("reconciler", true),
];

const DAY: u64 = 86_400;

pub(crate) fn pascal(name: &str) -> String {
    name.split('-').map(|part| part[..1].to_uppercase() + &part[1..]).collect()
}

fn of_type<'a>(t: &'a Value, kind: &str) -> BTreeMap<&'a str, &'a Value> {
    let kind = Value::from(kind);
    t["Resources"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, r)| r["Type"] == kind)
        .map(|(n, r)| (n.as_str(), r))
        .collect()
}

fn function<'a>(t: &'a Value, name: &str) -> &'a Value {
    &t["Resources"][format!("{}Function", pascal(name))]
}

/// Those who tell somebody a payment link or look where webhooks go know the public address.
fn public_address(t: &Value, breach: &mut Breach<'_>) {
    for name in ["payment-creator", "failure-handler", "order-updater", "notifier", "sweeper"] {
        let variables = &function(t, name)["Properties"]["Environment"]["Variables"];
        if variables["TANDEM_PUBLIC_URL"]["Fn::If"][0] != "HasPublicUrl" {
            breach(format!("{name} does not know where the functions are reached"));
        }
    }
}

/// A function's own setting, or that of all.
fn setting<'a>(t: &'a Value, name: &str, key: &str) -> &'a Value {
    let own = &function(t, name)["Properties"][key];
    if own.is_null() { &t["Globals"]["Function"][key] } else { own }
}

fn timeout(t: &Value, name: &str) -> u64 {
    setting(t, name, "Timeout").as_u64().unwrap_or(u64::MAX)
}

fn arn(resource: &str) -> Value {
    json!({"Fn::GetAtt": [resource, "Arn"]})
}

pub(crate) fn list(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Null => Vec::new(),
        one => vec![one],
    }
}

fn functions(t: &Value, breach: &mut Breach<'_>) {
    let wanted: BTreeSet<_> = FUNCTIONS.iter().map(|(name, _)| format!("{}Function", pascal(name))).collect();
    let there: BTreeSet<_> = of_type(t, "AWS::Serverless::Function").into_keys().map(str::to_owned).collect();
    if wanted != there {
        breach(format!("functions are {there:?}, not {wanted:?}"));
    }
    for (name, _) in FUNCTIONS {
        if setting(t, name, "Runtime") != "provided.al2023"
            || *setting(t, name, "Architectures") != json!([{"Ref": "Architecture"}])
        {
            breach(format!("{name}: runtime or architecture is not the common one"));
        }
        if function(t, name)["Properties"]["Role"] != arn(&format!("{}Role", pascal(name))) {
            breach(format!("{name} does not run as a role of its own"));
        }
    }
}

fn built(t: &Value, breach: &mut Breach<'_>) {
    for (name, _) in FUNCTIONS {
        let f = function(t, name);
        if f["Metadata"]["BuildMethod"] != "rust-cargolambda"
            || f["Metadata"]["BuildProperties"]["Binary"] != name
        {
            breach(format!("{name} is not built by cargo-lambda from its own binary"));
        }
        if f["Properties"]["CodeUri"] != format!("functions/{name}") {
            breach(format!("{name} is not built from functions/{name}"));
        }
    }
}

fn visibility(t: &Value, breach: &mut Breach<'_>) {
    for queue in Queue::ALL {
        let seconds =
            t["Resources"][format!("{}Queue", pascal(queue.name()))]["Properties"]["VisibilityTimeout"]
                .as_u64();
        let needed = timeout(t, queue.owner().name()).saturating_mul(6);
        if seconds.is_none_or(|s| s < needed) {
            breach(format!(
                "{}: visibility {seconds:?} is below six times the worker's timeout, {needed}",
                queue.name()
            ));
        }
    }
}

fn dead_letters(t: &Value, breach: &mut Breach<'_>) {
    for queue in Queue::ALL {
        let name = queue.name();
        let p = &t["Resources"][format!("{}Queue", pascal(name))]["Properties"];
        let dead_name = format!("{}DeadQueue", pascal(name));
        let dead = &t["Resources"][&dead_name]["Properties"];
        if p["RedrivePolicy"]["deadLetterTargetArn"] != arn(&dead_name) {
            breach(format!("{name} has no dead letter queue of its own"));
        }
        if !p["RedrivePolicy"]["maxReceiveCount"].as_u64().is_some_and(|n| (8..=10).contains(&n)) {
            breach(format!("{name}: maxReceiveCount is not 8 to 10"));
        }
        if dead["MessageRetentionPeriod"] != 14 * DAY
            || p["MessageRetentionPeriod"].as_u64().is_none_or(|s| s >= 14 * DAY)
        {
            breach(format!("{name}: a message must be able to outlive its queue by days"));
        }
        let source = dead["RedriveAllowPolicy"]["sourceQueueArns"][0]["Fn::Sub"].as_str().unwrap_or_default();
        if dead["RedriveAllowPolicy"]["redrivePermission"] != "byQueue"
            || !source.ends_with(&format!("${{AWS::StackName}}-{name}"))
        {
            breach(format!("{name}: its dead letter queue takes from others"));
        }
        let named = |p: &Value, suffix: &str| {
            p["QueueName"]["Fn::Sub"] == format!("${{AWS::StackName}}-{name}{suffix}")
        };
        if !named(p, "") || !named(dead, "-dead") {
            breach(format!("{name}: names are not STACK-{name} and STACK-{name}-dead"));
        }
    }
}

fn queues_are_closed(t: &Value, breach: &mut Breach<'_>) {
    let policy = &t["Resources"]["QueuePolicy"]["Properties"];
    for (name, queue) in of_type(t, "AWS::SQS::Queue") {
        if queue["Properties"]["SqsManagedSseEnabled"] != true {
            breach(format!("{name} is not encrypted"));
        }
        if !list(&policy["Queues"]).contains(&&json!({"Ref": name})) {
            breach(format!("{name} accepts plain HTTP"));
        }
    }
    for (name, policy) in
        of_type(t, "AWS::SQS::QueuePolicy").into_iter().chain(of_type(t, "AWS::S3::BucketPolicy"))
    {
        let all = list(&policy["Properties"]["PolicyDocument"]["Statement"]);
        if !all.iter().any(|s| {
            s["Effect"] == "Deny" && s["Condition"] == json!({"Bool": {"aws:SecureTransport": "false"}})
        }) {
            breach(format!("{name} does not deny plain HTTP"));
        }
        if all.iter().any(|s| s["Effect"] != "Deny") {
            breach(format!("{name} grants; grants belong to roles"));
        }
    }
}

fn mappings(t: &Value, breach: &mut Breach<'_>) {
    for queue in Queue::ALL {
        let owner = queue.owner().name();
        let event = &function(t, owner)["Properties"]["Events"]["Messages"];
        let p = &event["Properties"];
        if event["Type"] != "SQS" || p["Queue"] != arn(&format!("{}Queue", pascal(queue.name()))) {
            breach(format!("{owner} is not fed by {}", queue.name()));
        }
        if p["FunctionResponseTypes"] != json!(["ReportBatchItemFailures"]) {
            breach(format!("{owner}: one bad message would fail its whole batch"));
        }
        if p["BatchSize"] != 10
            || p["ScalingConfig"]["MaximumConcurrency"] != json!({"Ref": "WorkerConcurrency"})
        {
            breach(format!("{owner}: batch size or concurrency is not bounded"));
        }
    }
    if t["Parameters"]["WorkerConcurrency"]["MinValue"].as_u64().is_none_or(|n| n < 2) {
        breach("SQS mappings have a concurrency of 2 or more".to_owned());
    }
}

fn schedules(t: &Value, breach: &mut Breach<'_>) {
    for name in ["sweeper", "reconciler"] {
        let p = &t["Resources"][format!("{}Schedule", pascal(name))]["Properties"];
        let target = &p["Target"];
        if target["Arn"] != arn(&format!("{}Function", pascal(name))) {
            breach(format!("{name} is not run by a schedule"));
        }
        if target["DeadLetterConfig"]["Arn"] != arn("SchedulesDeadQueue")
            || target["RetryPolicy"]["MaximumRetryAttempts"].is_null()
        {
            breach(format!("{name}: a run that cannot start would vanish"));
        }
        if function(t, name)["Properties"]["EventInvokeConfig"]["DestinationConfig"]["OnFailure"]["Destination"]
            != arn("SchedulesDeadQueue")
        {
            breach(format!("{name}: a run that fails would vanish"));
        }
    }
    let every =
        t["Resources"]["SweeperSchedule"]["Properties"]["ScheduleExpression"].as_str().unwrap_or_default();
    let minutes: Option<u64> =
        every.strip_prefix("rate(").and_then(|s| s.strip_suffix(" minutes)")).and_then(|s| s.parse().ok());
    if minutes.is_none_or(|m| timeout(t, "sweeper") >= m * 60) {
        breach(format!("sweeper: two runs could overlap ({every})"));
    }
}

fn api(t: &Value, breach: &mut Breach<'_>) {
    let mut routes = BTreeSet::new();
    for (name, _) in FUNCTIONS {
        for event in
            function(t, name)["Properties"]["Events"].as_object().into_iter().flatten().map(|(_, e)| e)
        {
            if event["Type"] != "HttpApi" {
                continue;
            }
            let p = &event["Properties"];
            routes.insert(format!(
                "{} {} {name}",
                p["Method"].as_str().unwrap_or_default(),
                p["Path"].as_str().unwrap_or_default()
            ));
            if p["PayloadFormatVersion"] != "2.0" {
                breach(format!("{name}: payload format is not 2.0"));
            }
            if timeout(t, name) >= 30 {
                breach(format!("{name}: the API gives up at 30 s, before the function"));
            }
        }
    }
    let wanted = [
        "GET /pay/{token} payment-page",
        "POST /pay/{token} payment-page",
        "POST /webhooks/{source} webhook-receiver",
        "POST /webhooks/{source}/{secret} webhook-receiver",
    ];
    if routes != wanted.map(str::to_owned).into() {
        breach(format!("open routes are {routes:?}"));
    }
    let settings = &t["Resources"]["Api"]["Properties"];
    let throttled = ["POST /pay/{token}", "POST /webhooks/{source}/{secret}"];
    let own = throttled.map(|route| &settings["RouteSettings"][route]);
    for s in own.into_iter().chain([&settings["DefaultRouteSettings"]]) {
        if s["ThrottlingRateLimit"].is_null() || s["ThrottlingBurstLimit"].is_null() {
            breach("a route is not throttled".to_owned());
        }
    }
}

fn access_log(t: &Value, breach: &mut Breach<'_>) {
    let settings = &t["Resources"]["Api"]["Properties"]["AccessLogSettings"];
    if settings["DestinationArn"] != arn("ApiLogGroup") {
        breach("the API has no access log".to_owned());
    }
    // The path holds pay tokens and the secrets of unsigned sources; an address is personal data.
    let allowed = [
        "requestTimeEpoch",
        "requestId",
        "routeKey",
        "status",
        "integrationStatus",
        "responseLatency",
        "responseLength",
        "error.responseType",
    ];
    for part in settings["Format"].as_str().unwrap_or_default().split("$context.").skip(1) {
        let name: String =
            part.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '.' || *c == '_').collect();
        if !allowed.contains(&name.as_str()) {
            breach(format!("the access log holds {name}"));
        }
    }
}

fn tables(t: &Value, breach: &mut Breach<'_>) {
    let tables = of_type(t, "AWS::DynamoDB::Table");
    if tables.keys().copied().collect::<Vec<_>>() != ["ControlTable", "LinksTable", "OrdersTable"] {
        breach(format!("tables are {:?}", tables.keys()));
    }
    for (name, table) in tables {
        let p = &table["Properties"];
        let kept = table["DeletionPolicy"] == "Retain"
            && table["UpdateReplacePolicy"] == "Retain"
            && p["DeletionProtectionEnabled"] == true;
        let safe = p["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] == true
            && p["SSESpecification"]["SSEEnabled"] == true;
        if !kept || !safe {
            breach(format!("{name} can be lost or read"));
        }
        if p["BillingMode"] != "PAY_PER_REQUEST"
            || p["TimeToLiveSpecification"] != json!({"AttributeName": "expires_at", "Enabled": true})
        {
            breach(format!("{name} is not on demand, or expiry is not `expires_at`"));
        }
    }
}

fn indexes(t: &Value, breach: &mut Breach<'_>) {
    let p = &t["Resources"]["OrdersTable"]["Properties"];
    let mut there = BTreeSet::new();
    for index in list(&p["GlobalSecondaryIndexes"]) {
        let keys: Vec<_> = list(&index["KeySchema"])
            .iter()
            .map(|k| k["AttributeName"].as_str().unwrap_or_default())
            .collect();
        let name = index["IndexName"].as_str().unwrap_or_default();
        there.insert(format!(
            "{name} {} {} {}",
            keys.join("+"),
            index["Projection"]["ProjectionType"],
            index["Projection"]["NonKeyAttributes"]
        ));
    }
    let wanted = [
        r#"due due_shard+due_at "KEYS_ONLY" null"#,
        r#"day day+order_key "INCLUDE" ["summary"]"#,
        r#"cases case_kind+case_opened_at "INCLUDE" ["summary"]"#,
    ];
    if there != wanted.map(str::to_owned).into() {
        breach(format!("indexes are {there:?}"));
    }
}

fn logs(t: &Value, breach: &mut Breach<'_>) {
    for (name, _) in FUNCTIONS {
        let group = format!("{}LogGroup", pascal(name));
        if function(t, name)["Properties"]["LoggingConfig"]["LogGroup"] != json!({"Ref": group}) {
            breach(format!("{name} does not log to a group of its own"));
        }
        if t["Resources"][&group]["Properties"]["RetentionInDays"] != json!({"Ref": "LogRetentionDays"}) {
            breach(format!("{group} is kept for ever"));
        }
    }
}

fn no_secret(t: &Value, breach: &mut Breach<'_>) {
    let text = t.to_string();
    for shape in ["sk_live", "sk_test", "rk_live", "rk_test", "whsec_", "NoEcho", "{{resolve:", "AKIA"] {
        if text.contains(shape) {
            breach(format!("{shape}: a secret or the way to one"));
        }
    }
}

fn reports(t: &Value, breach: &mut Breach<'_>) {
    let bucket = &t["Resources"]["ReportsBucket"];
    let p = &bucket["Properties"];
    let block = &p["PublicAccessBlockConfiguration"];
    if ["BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"]
        .iter()
        .any(|k| block[k] != true)
    {
        breach("reports could become public".to_owned());
    }
    if p["BucketEncryption"].is_null()
        || p["LifecycleConfiguration"].is_null()
        || bucket["DeletionPolicy"] != "Retain"
    {
        breach("reports are not encrypted, never expire, or go with the stack".to_owned());
    }
}
