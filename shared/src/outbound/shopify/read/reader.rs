//! A place in an answer that knows its path, so that every refusal names the field.

use serde_json::Value;

use crate::domain::time::UnixTime;
use crate::outbound::shop::ShopError;
use crate::outbound::shop::field::refuse;

/// A JSON object and where it stands.
pub(in super::super) struct Reader<'a> {
    value: &'a Value,
    path: String,
}

impl<'a> Reader<'a> {
    pub(in super::super) fn of(value: &'a Value, path: &str) -> Self {
        Self { value, path: path.to_owned() }
    }

    pub(in super::super) fn value(&self) -> &'a Value {
        self.value
    }

    pub(in super::super) fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    pub(in super::super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.value.get(name)
    }

    pub(in super::super) fn refused(&self, name: &str, rule: &'static str) -> ShopError {
        refuse(&self.path(name), self.get(name), rule)
    }

    /// The object under `name`.
    pub(in super::super) fn at(&self, name: &str) -> Result<Self, ShopError> {
        self.optional(name)?.ok_or_else(|| self.refused(name, "an object"))
    }

    /// The same where it may be null or absent.
    pub(in super::super) fn optional(&self, name: &str) -> Result<Option<Self>, ShopError> {
        match self.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value @ Value::Object(_)) => Ok(Some(Self { value, path: self.path(name) })),
            Some(_) => Err(self.refused(name, "an object")),
        }
    }

    pub(in super::super) fn text(&self, name: &str) -> Result<&'a str, ShopError> {
        self.optional_text(name)?.ok_or_else(|| self.refused(name, "a string"))
    }

    pub(in super::super) fn optional_text(&self, name: &str) -> Result<Option<&'a str>, ShopError> {
        match self.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.refused(name, "a string")),
        }
    }

    pub(in super::super) fn boolean(&self, name: &str) -> Result<bool, ShopError> {
        self.get(name).and_then(Value::as_bool).ok_or_else(|| self.refused(name, "true or false"))
    }

    pub(in super::super) fn time(&self, name: &str) -> Result<UnixTime, ShopError> {
        let time = self.text(name)?.parse::<jiff::Timestamp>();
        let time = time.map_err(|_| self.refused(name, "a time such as 2026-11-21T00:00:00Z"))?;
        Ok(UnixTime(time.as_second()))
    }

    /// The objects of the list under `name`.
    pub(in super::super) fn nodes(&self, name: &str) -> Result<Vec<Self>, ShopError> {
        let list = self.get(name).and_then(Value::as_array).ok_or_else(|| self.refused(name, "a list"))?;
        let path = self.path(name);
        let node = |(i, value): (usize, &'a Value)| match value {
            Value::Object(_) => Ok(Self { value, path: format!("{path}[{i}]") }),
            other => Err(refuse(&format!("{path}[{i}]"), Some(other), "an object")),
        };
        list.iter().enumerate().map(node).collect()
    }

    pub(in super::super) fn texts(&self, name: &str) -> Result<Vec<String>, ShopError> {
        let list = self.get(name).and_then(Value::as_array).ok_or_else(|| self.refused(name, "a list"))?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        list.iter().map(|v| text(v).ok_or_else(|| self.refused(name, "a list of strings"))).collect()
    }
}

/// The number in a global id such as `gid://shopify/Order/450789469`.
pub(in super::super) fn gid_number(gid: &str, kind: &str) -> Option<String> {
    let number = gid.strip_prefix("gid://shopify/")?.strip_prefix(kind)?.strip_prefix('/')?;
    crate::inbound::shopify::is_id(number).then(|| number.to_owned())
}
