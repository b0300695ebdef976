//! Rules on roles: exact actions on exact resources, own secrets only.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use shared::queue::Queue;

use super::{Breach, FUNCTIONS, arn, function, list, of_type, pascal};

/// A role's statements; both arms of an `Fn::If` count.
pub(crate) fn statements(role: &Value) -> Vec<&Value> {
    let mut found = Vec::new();
    for policy in list(&role["Properties"]["Policies"]) {
        for statement in list(&policy["PolicyDocument"]["Statement"]) {
            match statement["Fn::If"].as_array() {
                Some(arms) => found.extend(arms.iter().skip(1).filter(|arm| arm["Action"] != Value::Null)),
                None => found.push(statement),
            }
        }
    }
    found
}

pub(crate) fn role_of<'a>(t: &'a Value, name: &str) -> &'a Value {
    &t["Resources"][format!("{}Role", pascal(name))]
}

/// Secrets of sources, named in tandem.toml: new sources need no change of the template.
pub(in crate::template) const SOURCES_OWN: [&str; 2] = ["*-api-key", "*-webhook-secret"];

/// A secret as roles name it.
pub(crate) fn as_roles_name_it(secret: &str) -> String {
    let own = SOURCES_OWN.iter().find(|own| secret.ends_with(own.trim_start_matches('*')));
    own.map_or_else(|| secret.to_owned(), |own| (*own).to_owned())
}

pub(super) fn exact_permissions(t: &Value, breach: &mut Breach<'_>) {
    for (name, role) in of_type(t, "AWS::IAM::Role") {
        if !role["Properties"]["ManagedPolicyArns"].is_null() {
            breach(format!("{name} has a managed policy"));
        }
        for s in statements(role) {
            for action in list(&s["Action"]) {
                if action.as_str().is_none_or(|a| a.contains('*')) {
                    breach(format!("{name}: action {action}"));
                }
            }
            for resource in list(&s["Resource"]) {
                let text = resource["Fn::Sub"].as_str().or_else(|| resource.as_str()).unwrap_or_default();
                // A schedule's name is made at run time, an object's too; a key is narrowed by its conditions.
                let narrowed = text.ends_with("schedule/${AWS::StackName}/*")
                    || text == "${ReportsBucket.Arn}/*"
                    || SOURCES_OWN
                        .iter()
                        .any(|own| text.trim_end_matches("-??????").ends_with(&format!("/{own}")))
                    || text.ends_with(":key/*");
                if text.contains('*') && !narrowed {
                    breach(format!("{name}: resource {text}"));
                }
            }
            if list(&s["Resource"]).is_empty() || s["Effect"] != "Allow" || !s["NotAction"].is_null() {
                breach(format!("{name}: a statement that is not a plain grant"));
            }
        }
    }
}

pub(super) fn conditions(t: &Value, breach: &mut Breach<'_>) {
    for (name, role) in of_type(t, "AWS::IAM::Role") {
        for s in statements(role) {
            for action in list(&s["Action"]) {
                let c = &s["Condition"];
                if action == "iam:PassRole"
                    && (c["StringEquals"]["iam:PassedToService"] != "scheduler.amazonaws.com"
                        || s["Resource"] != arn("ScheduleRole"))
                {
                    breach(format!("{name} may pass more than the timers' role to Scheduler"));
                }
                if action == "kms:Decrypt"
                    && (c["StringEquals"]["kms:ViaService"].is_null()
                        || c["ForAnyValue:StringEquals"]["kms:ResourceAliases"].is_null())
                {
                    breach(format!("{name} may decrypt more than its secrets"));
                }
            }
        }
        for s in list(&role["Properties"]["AssumeRolePolicyDocument"]["Statement"]) {
            if s["Principal"]["Service"] == "scheduler.amazonaws.com"
                && s["Condition"]["StringEquals"]["aws:SourceArn"].is_null()
            {
                breach(format!("{name}: a schedule of somebody else could assume it"));
            }
        }
    }
    let timers = statements(&t["Resources"]["ScheduleRole"]);
    if timers.iter().any(|s| list(&s["Action"]) != [&Value::from("sqs:SendMessage")]) || timers.is_empty() {
        breach("the timers' role does more than send hints".to_owned());
    }
}

/// A secret as a role may name it: action, what its ARN holds before the name, and after it.
type Shape = (&'static str, &'static str, &'static str);
const PARAMETER: Shape = ("ssm:GetParameter", ":parameter/tandem/${AWS::StackName}/", "");
/// Secrets Manager is read through Parameter Store, which asks for the right to both.
const REFERENCE: Shape =
    ("ssm:GetParameter", ":parameter/aws/reference/secretsmanager/tandem/${AWS::StackName}/", "");
const SECRET: Shape = ("secretsmanager:GetSecretValue", ":secret:tandem/${AWS::StackName}/", "-??????");

/// Names of the secrets that any function reads.
pub(in crate::template) fn secrets(t: &Value) -> BTreeSet<String> {
    FUNCTIONS.iter().flat_map(|(name, _)| secrets_of(role_of(t, name), PARAMETER)).collect()
}

/// Names of the secrets a role reads in one shape.
fn secrets_of(role: &Value, (action, before, after): Shape) -> BTreeSet<String> {
    let reads = statements(role).into_iter().filter(|s| list(&s["Action"]).contains(&&Value::from(action)));
    reads
        .flat_map(|s| list(&s["Resource"]))
        .filter_map(|r| r["Fn::Sub"].as_str()?.split_once(before)?.1.strip_suffix(after).map(str::to_owned))
        .collect()
}

pub(super) fn own_secrets(t: &Value, breach: &mut Breach<'_>) {
    for (name, stripe) in FUNCTIONS {
        let secrets = secrets_of(role_of(t, name), PARAMETER);
        for shape in [REFERENCE, SECRET] {
            if secrets_of(role_of(t, name), shape) != secrets {
                breach(format!("{name}: other secrets in SSM than in Secrets Manager ({})", shape.1));
            }
        }
        let keys: Vec<_> = secrets.iter().filter(|s| s.starts_with("stripe-key")).cloned().collect();
        let wanted: Vec<_> = if stripe { vec![format!("stripe-key-{name}")] } else { Vec::new() };
        if keys != wanted {
            breach(format!("{name} reads the Stripe keys {keys:?}, not {wanted:?}"));
        }
        if name != "webhook-receiver" && secrets.iter().any(|s| s.contains("webhook")) {
            breach(format!("{name} could forge webhooks"));
        }
    }
}

/// A resource is named to a function if and only if its role may use it.
pub(super) fn names_follow_permissions(t: &Value, breach: &mut Breach<'_>) {
    for (name, _) in FUNCTIONS {
        let role = statements(role_of(t, name));
        let may = |action: &str, resource: &str| {
            role.iter().any(|s| {
                list(&s["Action"]).iter().any(|a| a.as_str().is_some_and(|a| a.starts_with(action)))
                    && list(&s["Resource"]).contains(&&arn(resource))
            })
        };
        let env = &function(t, name)["Properties"]["Environment"]["Variables"];
        for table in ["Orders", "Links", "Control"] {
            let told = env[format!("TANDEM_{}_TABLE", table.to_uppercase())]
                == json!({"Ref": format!("{table}Table")});
            if told != may("dynamodb:", &format!("{table}Table")) {
                breach(format!("{name}: {table} table"));
            }
        }
        for queue in Queue::ALL {
            let resource = format!("{}Queue", pascal(queue.name()));
            let told = env[format!("TANDEM_QUEUE_{}_URL", queue.name().to_uppercase().replace('-', "_"))]
                == json!({"Ref": resource});
            if told != may("sqs:SendMessage", &resource) {
                breach(format!("{name}: {} queue", queue.name()));
            }
        }
        let timers =
            role.iter().any(|s| list(&s["Action"]).contains(&&Value::from("scheduler:CreateSchedule")));
        if timers == env["TANDEM_SCHEDULE_GROUP"].is_null()
            || timers == env["TANDEM_SCHEDULE_ROLE_ARN"].is_null()
        {
            breach(format!("{name}: timers"));
        }
    }
}

/// The receiver knows no table, the reconciler writes nothing but reports, the sweeper creates and deletes no order.
pub(super) fn readers_only_read(t: &Value, breach: &mut Breach<'_>) {
    let actions = |name: &str| -> BTreeSet<String> {
        statements(role_of(t, name))
            .into_iter()
            .flat_map(|s| list(&s["Action"]))
            .filter_map(|a| a.as_str().map(str::to_owned))
            .collect()
    };
    if actions("webhook-receiver").iter().any(|a| a.starts_with("dynamodb:")) {
        breach("webhook-receiver touches a table".to_owned());
    }
    if actions("reconciler")
        .iter()
        .any(|a| ["dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"].contains(&a.as_str()))
    {
        breach("reconciler writes to a table".to_owned());
    }
    if actions("sweeper").contains("dynamodb:DeleteItem")
        || actions("sweeper").contains("scheduler:CreateSchedule")
    {
        breach("sweeper does more than hint and re-date".to_owned());
    }
}
