//! What SAM makes of the template, told in the template's own words, so that the same rules are asked of what is deployed.
//!
//! Invariant: everything here is read from the transformed template; what SAM leaves out or adds shows in a rule.

use serde_json::{Value, json};

/// Names the file that `scripts/transform-template` wrote.
const PATH: &str = "TANDEM_TRANSFORMED";

/// The transformed template.
pub(super) fn template() -> Result<Value, String> {
    let path = shared::config::env(PATH)
        .ok_or_else(|| format!("{PATH} names no file: scripts/transform-template > FILE, and {PATH}=FILE"))?;
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
    serde_json::from_str(&text).map_err(|e| format!("{path}: {e}"))
}

/// Resources of one type: name and properties.
fn of_type<'a>(t: &'a Value, kind: &'a str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    let all = t["Resources"].as_object().into_iter().flatten();
    all.filter(move |(_, r)| r["Type"] == kind).map(|(name, r)| (name, &r["Properties"]))
}

/// The transformed template as it would be written: functions with their events, the API with its stage's settings.
pub(super) fn as_written(deployed: &Value) -> Value {
    let mut t = deployed.clone();
    let property = |name: &Value, key: &str| {
        format!("/Resources/{}/Properties/{key}", name["Ref"].as_str().unwrap_or_default())
    };
    let mut put = |pointer: String, value: Value| {
        let (parent, key) = pointer.rsplit_once('/').unwrap_or_default();
        if let Some(place) = t.pointer_mut(parent) {
            place[key.replace("~1", "/")] = value;
        }
    };
    for (name, _) in of_type(deployed, "AWS::Lambda::Function") {
        put(format!("/Resources/{name}/Type"), "AWS::Serverless::Function".into());
        put(format!("/Resources/{name}/Properties/Events"), json!({}));
    }
    for (_, p) in of_type(deployed, "AWS::Lambda::EventSourceMapping") {
        let mut event = p.clone();
        event["Queue"] = p["EventSourceArn"].clone();
        let event = json!({"Type": "SQS", "Properties": event});
        put(property(&p["FunctionName"], "Events/Messages"), event);
    }
    for (_, p) in of_type(deployed, "AWS::Lambda::EventInvokeConfig") {
        put(property(&p["FunctionName"], "EventInvokeConfig"), p.clone());
    }
    for (path, methods) in
        deployed["Resources"]["Api"]["Properties"]["Body"]["paths"].as_object().into_iter().flatten()
    {
        for (method, route) in methods.as_object().into_iter().flatten() {
            let to = &route["x-amazon-apigateway-integration"];
            let uri = to["uri"]["Fn::Sub"].as_str().unwrap_or_default();
            let name = uri.split(['{', '}']).find_map(|part| part.strip_suffix(".Arn")).unwrap_or_default();
            let event = json!({"Type": "HttpApi", "Properties": {
                "Method": method.to_uppercase(), "Path": path, "PayloadFormatVersion": to["payloadFormatVersion"],
            }});
            let called = format!("{method} {path}").replace('/', "~1");
            put(property(&json!({"Ref": name}), &format!("Events/{called}")), event);
        }
    }
    for (_, p) in of_type(deployed, "AWS::ApiGatewayV2::Stage") {
        put("/Resources/Api/Properties".to_owned(), p.clone());
    }
    t
}

/// Who may call the functions from outside of roles: the API, each by one of its routes.
pub(super) fn callers(deployed: &Value) -> Vec<String> {
    let from_a_route = |p: &Value| {
        let from = p["SourceArn"]["Fn::Sub"][0].as_str().unwrap_or_default();
        p["Principal"] == "apigateway.amazonaws.com"
            && from.contains("${__ApiId__}/${__Stage__}/")
            && !from.ends_with("/*/*/*")
    };
    let all = of_type(deployed, "AWS::Lambda::Permission");
    all.filter(|(_, p)| !from_a_route(p))
        .map(|(name, _)| format!("{name} lets in more than a route of the API"))
        .collect()
}
