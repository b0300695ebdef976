//! Form bodies and query strings as Stripe reads them.
//!
//! Invariant: the same calls in the same order give the same bytes, so a stored request can be sent again byte for
//! byte. What is absent leaves no trace; an empty string is sent, because Stripe reads it as "unset".

use std::fmt;
use std::fmt::Write as _;

use crate::domain::time::UnixTime;

/// An ordered list of keys and values, with brackets for what is nested.
///
/// ```
/// use shared::outbound::stripe::form::Form;
/// let form = Form::new().set("amount", 500).set("metadata[order]", "a b").opt("customer", None::<&str>);
/// assert_eq!(form.encode(), "amount=500&metadata[order]=a%20b");
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Form {
    pairs: Vec<(String, String)>,
}

/// A scalar of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormValue(String);

macro_rules! form_value {
    ($($kind:ty),*) => {$(
        impl From<$kind> for FormValue {
            fn from(value: $kind) -> Self {
                Self(value.to_string())
            }
        }
    )*};
}
form_value!(i32, i64, u32, u64, usize, bool, &str, &String);

impl From<String> for FormValue {
    fn from(value: String) -> Self {
        Self(value)
    }
}

impl From<UnixTime> for FormValue {
    fn from(value: UnixTime) -> Self {
        Self(value.0.to_string())
    }
}

impl Form {
    /// An empty form.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one value. `key` may be nested already: `metadata[tandem_order]`.
    #[must_use]
    pub fn set(mut self, key: impl Into<String>, value: impl Into<FormValue>) -> Self {
        self.pairs.push((key.into(), value.into().0));
        self
    }

    /// Adds the value if there is one.
    #[must_use]
    pub fn opt(self, key: impl Into<String>, value: Option<impl Into<FormValue>>) -> Self {
        match value {
            Some(value) => self.set(key, value),
            None => self,
        }
    }

    /// Adds another form under `key`: `amount` becomes `key[amount]`, `a[b]` becomes `key[a][b]`.
    #[must_use]
    pub fn nest(mut self, key: &str, inner: Self) -> Self {
        for (name, value) in inner.pairs {
            let nested = match name.split_once('[') {
                Some((head, rest)) => format!("{key}[{head}][{rest}"),
                None => format!("{key}[{name}]"),
            };
            self.pairs.push((nested, value));
        }
        self
    }

    /// Adds an array of scalars: `key[0]`, `key[1]`, ... An empty one leaves no trace.
    #[must_use]
    pub fn list<V: Into<FormValue>>(mut self, key: &str, values: impl IntoIterator<Item = V>) -> Self {
        for (index, value) in values.into_iter().enumerate() {
            self = self.set(format!("{key}[{index}]"), value);
        }
        self
    }

    /// Adds an array of hashes: `key[0][..]`, `key[1][..]`, ...
    #[must_use]
    pub fn each(mut self, key: &str, values: impl IntoIterator<Item = Self>) -> Self {
        for (index, inner) in values.into_iter().enumerate() {
            self = self.nest(&format!("{key}[{index}]"), inner);
        }
        self
    }

    /// Nothing in it.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The keys and values in their order, not encoded.
    pub fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }

    /// The body or query string.
    pub fn encode(&self) -> String {
        let mut out = String::new();
        for (key, value) in &self.pairs {
            if !out.is_empty() {
                out.push('&');
            }
            escape(&mut out, key, true);
            out.push('=');
            escape(&mut out, value, false);
        }
        out
    }

    /// `path`, with this form as its query if there is anything in it.
    pub fn on_path(&self, path: &str) -> String {
        if self.is_empty() { path.to_owned() } else { format!("{path}?{}", self.encode()) }
    }

    /// Reads a body or query string; `None` if its escapes are broken or not UTF-8.
    pub fn decode(text: &str) -> Option<Self> {
        let mut pairs = Vec::new();
        for part in text.split('&').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            pairs.push((unescape(key)?, unescape(value)?));
        }
        Some(Self { pairs })
    }

    /// The first value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for Form {
    /// Keys only: values may be contact data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.pairs.iter().map(|(key, _)| key)).finish()
    }
}

/// One path segment: an id from outside must not be able to name another path.
pub fn segment(id: &str) -> String {
    let mut out = String::new();
    escape(&mut out, id, false);
    if out.chars().all(|c| c == '.') { out.replace('.', "%2E") } else { out }
}

fn escape(out: &mut String, text: &str, brackets: bool) {
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.' | b'_' | b'~')
            || (brackets && matches!(byte, b'[' | b']'));
        if plain {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

fn unescape(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => hex_digit(bytes.next()?)? * 16 + hex_digit(bytes.next()?)?,
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nested_values_are_bracketed_and_indexed() {
        let form = Form::new()
            .set("mode", "payment")
            .each(
                "line_items",
                [Form::new().set("quantity", 2).nest("price_data", Form::new().set("unit_amount", 500))],
            )
            .list("expand", ["latest_charge", "customer"])
            .nest("payment_intent_data", Form::new().set("metadata[k]", true))
            .set("at", UnixTime(7));
        assert_eq!(
            form.encode(),
            "mode=payment&line_items[0][quantity]=2&line_items[0][price_data][unit_amount]=500\
             &expand[0]=latest_charge&expand[1]=customer&payment_intent_data[metadata][k]=true&at=7"
        );
    }

    #[test]
    fn values_are_percent_encoded_as_utf8() {
        let form = Form::new().set("name", "Zoë & [co]=+%");
        assert_eq!(form.encode(), "name=Zo%C3%AB%20%26%20%5Bco%5D%3D%2B%25");
    }

    #[test]
    fn what_is_absent_leaves_no_trace_and_what_is_empty_is_sent() {
        let form = Form::new().opt("a", None::<i64>).list("b", Vec::<&str>::new()).each("c", []).set("d", "");
        assert_eq!(form.encode(), "d=");
        assert_eq!(Form::new().on_path("/v1/x"), "/v1/x");
    }

    #[test]
    fn broken_escapes_are_refused() {
        for text in ["a=%", "a=%2", "a=%zz", "a=%ff"] {
            assert!(Form::decode(text).is_none(), "{text}");
        }
        assert_eq!(Form::decode("a=b+c&d").unwrap().get("a"), Some("b c"));
    }

    #[test]
    fn an_id_cannot_leave_its_path_segment() {
        assert_eq!(segment("pi_1"), "pi_1");
        assert_eq!(segment("../refunds?x=1"), "..%2Frefunds%3Fx%3D1");
        assert_eq!(segment(".."), "%2E%2E");
    }

    #[test]
    fn debug_shows_no_value() {
        let shown = format!("{:?}", Form::new().set("email", "buyer@example.test"));
        assert_eq!(shown, r#"["email"]"#);
    }

    proptest! {
        #[test]
        fn what_was_encoded_decodes_to_itself(pairs in prop::collection::vec(("[a-z\\[\\]é &=%+]{1,12}", ".*"), 0..8)) {
            let form = pairs.iter().fold(Form::new(), |f, (k, v): &(String, String)| f.set(k.clone(), v.as_str()));
            let wire = form.encode();
            prop_assert!(wire.is_ascii());
            prop_assert_eq!(&wire, &form.clone().encode());
            prop_assert_eq!(Form::decode(&wire), Some(form));
        }
    }
}
