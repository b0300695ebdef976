//! `template.yaml` as JSON, with CloudFormation's short forms (`!Ref`, `!Sub`, ...) written out.

use saphyr::{LoadableYamlNode as _, Scalar, Yaml};
use serde_json::{Map, Value};

/// The repository's template.
pub(crate) fn template() -> Result<Value, String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml");
    read(&std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?)
}

/// One YAML document as JSON.
pub(super) fn read(text: &str) -> Result<Value, String> {
    let documents = Yaml::load_from_str(text).map_err(|e| e.to_string())?;
    documents.first().ok_or("empty document".to_owned()).and_then(json)
}

fn json(node: &Yaml<'_>) -> Result<Value, String> {
    Ok(match node {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(b)) => Value::from(*b),
        Yaml::Value(Scalar::Integer(i)) => Value::from(*i),
        Yaml::Value(Scalar::FloatingPoint(f)) => Value::from(f.into_inner()),
        Yaml::Value(Scalar::String(s)) => Value::from(s.as_ref()),
        Yaml::Sequence(items) => Value::Array(items.iter().map(json).collect::<Result<_, _>>()?),
        Yaml::Mapping(entries) => {
            let mut object = Map::new();
            for (key, value) in entries {
                let key = key.as_str().ok_or_else(|| format!("a key is not a string: {key:?}"))?;
                object.insert(key.to_owned(), json(value)?);
            }
            Value::Object(object)
        }
        Yaml::Tagged(tag, inner) => {
            let value = json(inner)?;
            let (name, value) = match (tag.suffix.as_str(), value) {
                ("Ref" | "Condition", value) => (tag.suffix.clone(), value),
                ("GetAtt", Value::String(path)) => {
                    ("Fn::GetAtt".to_owned(), path.splitn(2, '.').map(Value::from).collect())
                }
                (other, value) => (format!("Fn::{other}"), value),
            };
            Value::Object(Map::from_iter([(name, value)]))
        }
        other => return Err(format!("not understood: {other:?}")),
    })
}
