//! Form encoding as Stripe reads it: nested hashes, indexed and `[]` arrays, order kept.
//!
//! Invariant: after decoding every name is in one canonical spelling (`a[b][0][c]`), so a lookup is a comparison.

use super::error::ApiError;
use super::objects::Metadata;

/// Decoded parameters of one request, in the order they were sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Form {
    pairs: Vec<(String, String)>,
}

impl Form {
    /// Decodes a query string or a form body. Undecodable escapes are kept as they are.
    pub(crate) fn parse(text: &str) -> Self {
        let mut form = Self::default();
        for part in text.split('&').filter(|p| !p.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let name = form.canonical(&decode(name));
            form.pairs.push((name, decode(value)));
        }
        form
    }

    /// Everything, flat, in order, names canonical.
    pub(crate) fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }

    /// Adds the pairs of `other` behind our own.
    pub(crate) fn extend(&mut self, other: Self) {
        self.pairs.extend(other.pairs);
    }

    /// Replaces each `[]` by the index it stands for.
    fn canonical(&self, name: &str) -> String {
        let Some(at) = name.find("[]") else { return name.to_owned() };
        let (prefix, rest) = (&name[..at], &name[at + 2..]);
        let used = self.children(prefix);
        let last = used.last().cloned();
        let index = match last {
            None => 0,
            Some(last) => {
                let n = used.len();
                // `a[][k]=1&a[][j]=2` is one element until a key repeats.
                if rest.is_empty() || self.has(&format!("{last}{rest}")) { n } else { n - 1 }
            }
        };
        self.canonical(&format!("{prefix}[{index}]{rest}"))
    }

    /// The value sent under `name`; an empty string means "unset".
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.pairs.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The value under `name` if it is not empty.
    pub(crate) fn filled(&self, name: &str) -> Option<&str> {
        self.text(name).filter(|v| !v.is_empty())
    }

    /// As [`Self::filled`], owned.
    pub(crate) fn owned(&self, name: &str) -> Option<String> {
        self.filled(name).map(str::to_owned)
    }

    /// A parameter that must be there.
    pub(crate) fn required(&self, name: &str) -> Result<&str, ApiError> {
        match self.text(name) {
            Some("") => Err(ApiError::param(
                "parameter_invalid_empty",
                name,
                &format!("You passed an empty string for '{name}'."),
            )),
            Some(v) => Ok(v),
            None => {
                Err(ApiError::param("parameter_missing", name, &format!("Missing required param: {name}.")))
            }
        }
    }

    /// An integer, if sent.
    pub(crate) fn int(&self, name: &str) -> Result<Option<i64>, ApiError> {
        self.filled(name)
            .map(|v| {
                v.parse().map_err(|_| {
                    ApiError::param("parameter_invalid_integer", name, &format!("Invalid integer: {v}"))
                })
            })
            .transpose()
    }

    /// A boolean, if sent.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.filled(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(v) => Err(ApiError::plain_param(name, &format!("Invalid boolean: {v}"))),
        }
    }

    /// One of a closed list, if sent.
    pub(crate) fn one_of(&self, name: &str, allowed: &[&str]) -> Result<Option<String>, ApiError> {
        match self.filled(name) {
            None => Ok(None),
            Some(v) if allowed.contains(&v) => Ok(Some(v.to_owned())),
            Some(v) => Err(ApiError::plain_param(
                name,
                &format!("Invalid {name}: must be one of {}; got {v}", allowed.join(", ")),
            )),
        }
    }

    /// Whether anything was sent under `name` or below it.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.pairs
            .iter()
            .any(|(n, _)| n.strip_prefix(name).is_some_and(|r| r.is_empty() || r.starts_with('[')))
    }

    /// The canonical names of the direct children of `name`, in order of first appearance.
    pub(crate) fn children(&self, name: &str) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for (n, _) in &self.pairs {
            let Some(rest) = n.strip_prefix(name).and_then(|r| r.strip_prefix('[')) else { continue };
            let Some(end) = rest.find(']') else { continue };
            let child = format!("{name}[{}]", &rest[..end]);
            if !found.contains(&child) {
                found.push(child);
            }
        }
        found
    }

    /// The values of an array of scalars.
    pub(crate) fn array(&self, name: &str) -> Vec<&str> {
        self.children(name).iter().filter_map(|c| self.text(c)).collect()
    }

    /// The hash below `name` as strings, keyed by the last part of the name.
    pub(crate) fn hash(&self, name: &str) -> Vec<(String, String)> {
        self.children(name)
            .into_iter()
            .filter_map(|child| {
                let value = self.text(&child)?.to_owned();
                let key = child.get(name.len() + 1..child.len() - 1)?.to_owned();
                Some((key, value))
            })
            .collect()
    }

    /// Applies `name[key]=value` to metadata: an empty value removes a key, an empty `name` removes all.
    pub(crate) fn metadata(&self, name: &str, onto: &mut Metadata) -> Result<(), ApiError> {
        if self.text(name) == Some("") {
            onto.clear();
        }
        for (key, value) in self.hash(name) {
            if key.chars().count() > 40 || value.chars().count() > 500 {
                return Err(ApiError::plain_param(
                    name,
                    "Metadata keys may have 40 characters and values 500.",
                ));
            }
            if value.is_empty() {
                onto.remove(&key);
            } else {
                onto.insert(key, value);
            }
        }
        if onto.len() > 50 {
            return Err(ApiError::plain_param(name, "Metadata may have 50 keys."));
        }
        Ok(())
    }
}

/// Percent decoding with `+` for a space.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while let Some(&b) = bytes.get(i) {
        let escaped = (b == b'%')
            .then(|| text.get(i + 1..i + 3).and_then(|h| u8::from_str_radix(h, 16).ok()))
            .flatten();
        match (b, escaped) {
            (_, Some(byte)) => {
                out.push(byte);
                i += 2;
            }
            (b'+', _) => out.push(b' '),
            _ => out.push(b),
        }
        i += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_indexed_and_open_arrays_mean_the_same() {
        let indexed = Form::parse("expand[0]=a&expand[1]=b.c&metadata%5Bk%5D=v+w");
        let open = Form::parse("expand[]=a&expand[]=b.c&metadata[k]=v%20w");
        assert_eq!(indexed.pairs(), open.pairs());
        assert_eq!(open.array("expand"), ["a", "b.c"]);
        assert_eq!(open.text("metadata[k]"), Some("v w"));
    }

    #[test]
    fn an_open_array_of_hashes_starts_a_new_element_when_a_key_repeats() {
        let form = Form::parse("l[][p]=1&l[][q]=2&l[][p]=3&l[][q]=4");
        let names: Vec<_> = form.pairs().iter().map(|(n, _)| n.as_str()).collect();
        assert_eq!(names, ["l[0][p]", "l[0][q]", "l[1][p]", "l[1][q]"]);
    }

    #[test]
    fn an_empty_value_unsets_one_metadata_key() {
        let mut metadata = Metadata::from([("a".into(), "1".into()), ("b".into(), "2".into())]);
        Form::parse("metadata[a]=&metadata[c]=3").metadata("metadata", &mut metadata).unwrap();
        assert_eq!(metadata, Metadata::from([("b".into(), "2".into()), ("c".into(), "3".into())]));
    }
}
