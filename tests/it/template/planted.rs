//! Breaches planted in a copy of the template: at least one for every rule.

use serde_json::{Value, json};

/// A planted breach: the rule that must notice, and how the template is altered.
type Planted = (&'static str, fn(&mut Value));

/// Sets what the pointer names; a pointer to nothing is noticed by the caller, for then nothing changed.
fn set(t: &mut Value, pointer: &str, value: Value) {
    if let Some(place) = t.pointer_mut(pointer) {
        *place = value;
    }
}

/// Appends a grant to a role.
fn grant(t: &mut Value, role: &str, action: &str, resource: Value) {
    let pointer = format!("/Resources/{role}/Properties/Policies/0/PolicyDocument/Statement");
    if let Some(Value::Array(statements)) = t.pointer_mut(&pointer) {
        statements.push(json!({"Effect": "Allow", "Action": action, "Resource": resource}));
    }
}

/// Every planted breach.
pub(super) const BREACHES: &[Planted] = &[
    ("functions", |t| {
        set(t, "/Resources/SweeperFunction/Properties/Role", json!({"Fn::GetAtt": ["NotifierRole", "Arn"]}))
    }),
    ("built", |t| set(t, "/Resources/NotifierFunction/Metadata/BuildProperties/Binary", json!("sweeper"))),
    ("public address", |t| {
        set(t, "/Resources/SweeperFunction/Properties/Environment/Variables/TANDEM_PUBLIC_URL", json!(""))
    }),
    ("visibility", |t| set(t, "/Resources/PaymentsQueue/Properties/VisibilityTimeout", json!(359))),
    ("visibility", |t| set(t, "/Globals/Function/Timeout", json!(61))),
    ("dead letters", |t| set(t, "/Resources/OrdersQueue/Properties/RedrivePolicy/maxReceiveCount", json!(3))),
    ("dead letters", |t| {
        set(t, "/Resources/RefundsDeadQueue/Properties/MessageRetentionPeriod", json!(345_600))
    }),
    ("dead letters", |t| {
        set(
            t,
            "/Resources/RefundsDeadQueue/Properties/RedriveAllowPolicy/redrivePermission",
            json!("allowAll"),
        )
    }),
    ("queues are closed", |t| {
        set(t, "/Resources/FailuresQueue/Properties/SqsManagedSseEnabled", json!(false))
    }),
    ("queues are closed", |t| {
        set(t, "/Resources/QueuePolicy/Properties/Queues/3", json!({"Ref": "OrdersQueue"}))
    }),
    ("queues are closed", |t| {
        set(t, "/Resources/QueuePolicy/Properties/PolicyDocument/Statement/0/Effect", json!("Allow"))
    }),
    ("mappings", |t| {
        set(
            t,
            "/Resources/NotifierFunction/Properties/Events/Messages/Properties/FunctionResponseTypes",
            json!([]),
        )
    }),
    ("mappings", |t| {
        set(t, "/Resources/NotifierFunction/Properties/Events/Messages/Properties/ScalingConfig", json!({}))
    }),
    ("schedules", |t| set(t, "/Resources/SweeperFunction/Properties/Timeout", json!(300))),
    ("schedules", |t| set(t, "/Resources/ReconcilerSchedule/Properties/Target/DeadLetterConfig", json!({}))),
    ("api", |t| set(t, "/Resources/PaymentPageFunction/Properties/Timeout", json!(30))),
    ("api", |t| {
        set(t, "/Resources/PaymentPageFunction/Properties/Events/Pay/Properties/Method", json!("ANY"))
    }),
    ("api", |t| set(t, "/Resources/Api/Properties/DefaultRouteSettings", json!({}))),
    ("api", |t| {
        set(t, "/Resources/Api/Properties/RouteSettings/POST ~1webhooks~1{source}~1{secret}", json!({}))
    }),
    ("access log", |t| {
        set(
            t,
            "/Resources/Api/Properties/AccessLogSettings/Format",
            json!("$context.requestId $context.path"),
        )
    }),
    ("access log", |t| {
        set(t, "/Resources/Api/Properties/AccessLogSettings/Format", json!("$context.identity.sourceIp"))
    }),
    ("tables", |t| set(t, "/Resources/OrdersTable/DeletionPolicy", json!("Delete"))),
    ("tables", |t| set(t, "/Resources/LinksTable/Properties/PointInTimeRecoverySpecification", json!({}))),
    ("indexes", |t| {
        set(
            t,
            "/Resources/OrdersTable/Properties/GlobalSecondaryIndexes/0/Projection/ProjectionType",
            json!("ALL"),
        )
    }),
    ("logs", |t| set(t, "/Resources/SweeperLogGroup/Properties/RetentionInDays", Value::Null)),
    ("exact permissions", |t| {
        grant(t, "SweeperRole", "dynamodb:*", json!({"Fn::GetAtt": ["OrdersTable", "Arn"]}))
    }),
    ("exact permissions", |t| grant(t, "SweeperRole", "sqs:SendMessage", json!("*"))),
    ("conditions", |t| {
        grant(t, "NotifierRole", "iam:PassRole", json!({"Fn::GetAtt": ["ScheduleRole", "Arn"]}))
    }),
    ("conditions", |t| {
        grant(t, "ScheduleRole", "lambda:InvokeFunction", json!({"Fn::GetAtt": ["NotifierFunction", "Arn"]}))
    }),
    ("own secrets", |t| {
        grant(
            t,
            "NotifierRole",
            "ssm:GetParameter",
            json!({"Fn::Sub": "ssm:1:1:parameter/tandem/${AWS::StackName}/stripe-key-payment-creator"}),
        );
    }),
    ("own secrets", |t| {
        let read = "/Resources/NotifierRole/Properties/Policies/0/PolicyDocument/Statement/1/Fn::If/1";
        set(
            t,
            &format!("{read}/Resource/0"),
            json!({"Fn::Sub": "ssm:1:1:parameter/aws/reference/secretsmanager/x"}),
        );
    }),
    ("own secrets", |t| {
        let read = "/Resources/NotifierRole/Properties/Policies/0/PolicyDocument/Statement/1/Fn::If/1";
        set(t, &format!("{read}/Action"), json!(["ssm:GetParameter"]));
    }),
    ("own secrets", |t| {
        grant(
            t,
            "SweeperRole",
            "ssm:GetParameter",
            json!({"Fn::Sub": "ssm:1:1:parameter/tandem/${AWS::StackName}/stripe-webhook-secret"}),
        );
    }),
    ("alarms", |t| set(t, "/Resources/DeadLettersAlarm/Properties/AlarmActions", json!([]))),
    ("alarms", |t| {
        set(t, "/Resources/SweeperSilentAlarm/Properties/TreatMissingData", json!("notBreaching"))
    }),
    ("alarms", |t| {
        set(
            t,
            "/Resources/MessageAgeAlarm/Properties/AlarmDescription",
            json!("Work waits. docs/RUNBOOK.md#nowhere"),
        )
    }),
    ("alarms", |t| set(t, "/Resources/WrongWorldAlarm/Properties/MetricName", json!("RightWorld"))),
    ("alarms", |t| set(t, "/Resources/CasesAlarm/Properties/Dimensions/0/Name", json!("Function"))),
    ("alarms", |t| {
        set(
            t,
            "/Resources/FunctionErrorsAlarm/Properties/Metrics/3/MetricStat/Metric/Dimensions/0/Value",
            json!({"Ref": "NotifierFunction"}),
        )
    }),
    ("dashboard", |t| {
        set(t, "/Resources/Dashboard/Properties/DashboardBody", json!({"Fn::Sub": "{\"widgets\":[]}"}))
    }),
    ("names follow permissions", |t| {
        grant(t, "WebhookReceiverRole", "sqs:SendMessage", json!({"Fn::GetAtt": ["FailuresQueue", "Arn"]}))
    }),
    ("names follow permissions", |t| {
        set(
            t,
            "/Resources/PaymentPageFunction/Properties/Environment/Variables/TANDEM_LINKS_TABLE",
            json!(""),
        )
    }),
    ("readers only read", |t| {
        grant(t, "ReconcilerRole", "dynamodb:UpdateItem", json!({"Fn::GetAtt": ["OrdersTable", "Arn"]}))
    }),
    ("readers only read", |t| {
        grant(t, "WebhookReceiverRole", "dynamodb:GetItem", json!({"Fn::GetAtt": ["LinksTable", "Arn"]}))
    }),
    ("no secret", |t| {
        set(
            t,
            "/Resources/SweeperFunction/Properties/Environment/Variables/TANDEM_PUBLIC_URL",
            json!(["sk", "test", "planted"].join("_")),
        );
    }),
    ("reports", |t| {
        set(
            t,
            "/Resources/ReportsBucket/Properties/PublicAccessBlockConfiguration/BlockPublicAcls",
            json!(false),
        )
    }),
    ("reports", |t| set(t, "/Resources/ReportsBucket/Properties/LifecycleConfiguration", Value::Null)),
];
