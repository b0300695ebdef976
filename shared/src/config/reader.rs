//! Walks a TOML document and writes down every mistake with its line, instead of stopping at the first.
//!
//! Invariant: a key that nobody asked for is a mistake; an override obeys the rules of the key it replaces.

use std::cell::RefCell;
use std::fmt;
use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::domain::time::Seconds;

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Line of the configuration file, from 1.
    Line(usize),
    /// An environment variable.
    Variable(String),
    /// Nowhere: a required key is missing, or a rule that spans keys is broken.
    Nowhere,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// Where.
    pub place: Place,
    /// The dotted key.
    pub key: String,
    /// What is wrong.
    pub wrong: String,
    /// What to write instead.
    pub instead: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Line(line) => write!(f, "tandem.toml line {line}: ")?,
            Place::Variable(name) => write!(f, "variable {name}: ")?,
            Place::Nowhere => {}
        }
        write!(f, "{}: {}; {}", self.key, self.wrong, self.instead)
    }
}

/// All mistakes of a configuration.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration has {} mistake(s):", self.0.len())?;
        self.0.iter().try_for_each(|error| write!(f, "\n  - {error}"))
    }
}

// A function that refuses to start prints its error with Debug; a person reads it.
impl fmt::Debug for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

/// A value and where it was written.
#[derive(Clone, Debug)]
pub(super) struct Found<T> {
    pub(super) value: T,
    pub(super) place: Place,
    pub(super) key: String,
}

/// The document, the overrides and the mistakes so far.
pub(super) struct Reader<'a> {
    /// Where each line ends. Every value is asked for its line at every cold start: counting from the top each time was a
    /// twelfth of what the receiver executes until its first answer.
    line_ends: Vec<usize>,
    overrides: &'a dyn Fn(&str) -> Option<String>,
    mistakes: RefCell<Vec<ConfigError>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &str, overrides: &'a dyn Fn(&str) -> Option<String>) -> Self {
        let line_ends = text.match_indices('\n').map(|(at, _)| at).collect();
        Self { line_ends, overrides, mistakes: RefCell::default() }
    }

    pub(super) fn mistake(
        &self,
        place: Place,
        key: &str,
        wrong: impl Into<String>,
        instead: impl Into<String>,
    ) {
        self.mistakes.borrow_mut().push(ConfigError {
            place,
            key: key.to_owned(),
            wrong: wrong.into(),
            instead: instead.into(),
        });
    }

    pub(super) fn push(&self, error: ConfigError) {
        self.mistakes.borrow_mut().push(error);
    }

    pub(super) fn line(&self, offset: usize) -> usize {
        1 + self.line_ends.partition_point(|end| *end < offset)
    }

    pub(super) fn variable(&self, name: &str) -> Option<Found<String>> {
        let value = (self.overrides)(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty())?;
        Some(Found { value, place: Place::Variable(name.to_owned()), key: name.to_owned() })
    }

    pub(super) fn into_mistakes(self) -> Vec<ConfigError> {
        let mut list = self.mistakes.into_inner();
        list.sort_by(|a, b| a.place.cmp(&b.place));
        list
    }
}

/// One table of the document.
pub(super) struct Section<'a> {
    pub(super) reader: &'a Reader<'a>,
    path: String,
    table: Option<&'a DeTable<'a>>,
    asked: RefCell<Vec<String>>,
}

impl<'a> Section<'a> {
    pub(super) fn root(reader: &'a Reader<'a>, table: &'a DeTable<'a>) -> Self {
        Self { reader, path: String::new(), table: Some(table), asked: RefCell::default() }
    }

    pub(super) fn exists(&self) -> bool {
        self.table.is_some()
    }

    /// Whether anything is written under `key`.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    pub(super) fn key(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn entry(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.borrow_mut().push(key.to_owned());
        self.table?.iter().find(|(name, _)| name.get_ref().as_ref() == key).map(|(_, value)| value)
    }

    fn place(&self, value: &Spanned<DeValue<'_>>) -> Place {
        Place::Line(self.reader.line(value.span().start))
    }

    fn wrong_type(&self, key: &str, value: &Spanned<DeValue<'_>>, instead: &str) {
        let wrong = format!("is a {}", value.get_ref().type_str());
        self.reader.mistake(self.place(value), &self.key(key), wrong, format!("write {instead}"));
    }

    pub(super) fn missing(&self, key: &str, instead: &str) {
        let instead = format!("write {key} = {instead}");
        self.reader.mistake(Place::Nowhere, &self.key(key), "is missing", instead);
    }

    /// The table under `key`; a missing one reads as empty.
    pub(super) fn section(&self, key: &str) -> Section<'a> {
        let table = self.entry(key).and_then(|value| match value.get_ref() {
            DeValue::Table(table) => Some(table),
            _ => {
                self.wrong_type(key, value, &format!("a table: [{}]", self.key(key)));
                None
            }
        });
        Section { reader: self.reader, path: self.key(key), table, asked: RefCell::default() }
    }

    /// The names in this table, for tables whose keys the user chooses.
    pub(super) fn names(&self) -> Vec<(String, Place)> {
        let place = |offset| Place::Line(self.reader.line(offset));
        self.table.map_or_else(Vec::new, |table| {
            table.keys().map(|k| (k.get_ref().to_string(), place(k.span().start))).collect()
        })
    }

    /// A string, from the variable `over` if it is set.
    pub(super) fn string(&self, key: &str, over: Option<&str>) -> Option<Found<String>> {
        let written = self.entry(key).and_then(|value| match value.get_ref() {
            DeValue::String(text) => {
                Some(Found { value: text.trim().to_owned(), place: self.place(value), key: self.key(key) })
            }
            _ => {
                self.wrong_type(key, value, "a string in quotes");
                None
            }
        });
        over.and_then(|name| self.reader.variable(name)).or(written)
    }

    /// A string that must be there. `example` is shown when it is not.
    pub(super) fn required(&self, key: &str, over: Option<&str>, example: &str) -> Option<Found<String>> {
        let known = self.reader.mistakes.borrow().len();
        let found = self.string(key, over);
        if found.is_none() && self.reader.mistakes.borrow().len() == known {
            self.missing(key, example);
        }
        found
    }

    pub(super) fn boolean(&self, key: &str, over: Option<&str>, default: bool) -> bool {
        let written = self.entry(key).and_then(|value| match value.get_ref() {
            DeValue::Boolean(b) => Some(*b),
            _ => {
                self.wrong_type(key, value, "true or false, without quotes");
                None
            }
        });
        match over.and_then(|name| self.reader.variable(name)) {
            None => written.unwrap_or(default),
            Some(found) => match found.value.as_str() {
                "true" => true,
                "false" => false,
                _ => {
                    self.reader.mistake(
                        found.place,
                        &self.key(key),
                        "is neither true nor false",
                        "write one of them",
                    );
                    default
                }
            },
        }
    }

    pub(super) fn count(&self, key: &str, range: RangeInclusive<u32>, default: u32) -> u32 {
        let Some(value) = self.entry(key) else { return default };
        let instead = format!("a whole number from {} to {}", range.start(), range.end());
        match whole(value.get_ref()).map(u32::try_from) {
            Some(Ok(n)) if range.contains(&n) => n,
            Some(_) => {
                self.reader.mistake(
                    self.place(value),
                    &self.key(key),
                    "is out of range",
                    format!("write {instead}"),
                );
                default
            }
            None => {
                self.wrong_type(key, value, &instead);
                default
            }
        }
    }

    pub(super) fn duration(&self, key: &str, range: RangeInclusive<Seconds>, default: Seconds) -> Seconds {
        self.entry(key).and_then(|value| self.span(key, value, &range)).unwrap_or(default)
    }

    pub(super) fn durations(
        &self,
        key: &str,
        range: &RangeInclusive<Seconds>,
        default: &[Seconds],
    ) -> Vec<Seconds> {
        let Some(value) = self.entry(key) else { return default.to_vec() };
        match value.get_ref() {
            DeValue::Array(list) if list.len() <= 30 => {
                list.iter().filter_map(|item| self.span(key, item, range)).collect()
            }
            _ => {
                self.wrong_type(key, value, "a list of at most 30 spans, e.g. [\"1d\", \"3d\"]");
                default.to_vec()
            }
        }
    }

    fn span(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        range: &RangeInclusive<Seconds>,
    ) -> Option<Seconds> {
        let example =
            "a span in quotes: a number and one of s, m, h, d, e.g. \"90s\", \"30m\", \"12h\", \"1d\"";
        let Some(text) = value.get_ref().as_str() else {
            self.wrong_type(key, value, example);
            return None;
        };
        let at = self.place(value);
        match parse_span(text) {
            Some(span) if range.contains(&span) => Some(span),
            Some(_) => {
                let instead =
                    format!("write at least {} and at most {}", show(*range.start()), show(*range.end()));
                self.reader.mistake(at, &self.key(key), format!("{text:?} is out of range"), instead);
                None
            }
            None => {
                self.reader.mistake(
                    at,
                    &self.key(key),
                    format!("{text:?} is no span"),
                    format!("write {example}"),
                );
                None
            }
        }
    }

    /// One word of a list.
    pub(super) fn choice<T: Copy>(&self, key: &str, words: &[(&str, T)], default: T) -> T {
        let Some(found) = self.string(key, None) else { return default };
        if let Some((_, choice)) = words.iter().find(|(word, _)| *word == found.value) {
            return *choice;
        }
        let list = words.iter().map(|(word, _)| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
        let wrong = format!("{:?} is not known", found.value);
        self.reader.mistake(found.place, &found.key, wrong, format!("write one of {list}"));
        default
    }

    /// A list of strings, at least one.
    pub(super) fn strings(&self, key: &str, example: &str) -> Vec<Found<String>> {
        let Some(value) = self.entry(key) else {
            if self.table.is_some() {
                self.missing(key, example);
            }
            return Vec::new();
        };
        let DeValue::Array(list) = value.get_ref() else {
            self.wrong_type(key, value, &format!("a list, e.g. {example}"));
            return Vec::new();
        };
        if list.is_empty() {
            self.reader.mistake(
                self.place(value),
                &self.key(key),
                "is empty",
                format!("write e.g. {example}"),
            );
        }
        let mut found = Vec::new();
        for item in list.iter() {
            match item.get_ref().as_str() {
                Some(text) => found.push(Found {
                    value: text.trim().to_owned(),
                    place: self.place(item),
                    key: self.key(key),
                }),
                None => self.wrong_type(key, item, "strings in quotes"),
            }
        }
        found
    }

    /// A whole number under a key the user chose.
    pub(super) fn amount(&self, key: &str) -> Option<i64> {
        let value = self.entry(key)?;
        match whole(value.get_ref()) {
            Some(n) if n >= 0 => Some(n),
            _ => {
                let instead = "write a whole number of minor units, at least 0, without quotes";
                self.reader.mistake(self.place(value), &self.key(key), "is no amount", instead);
                None
            }
        }
    }

    /// Reports every key nobody asked for.
    pub(super) fn finish(self) {
        let asked = self.asked.into_inner();
        for (name, value) in self.table.into_iter().flatten() {
            if asked.iter().any(|k| k == name.get_ref().as_ref()) {
                continue;
            }
            let _ = value;
            let key = if self.path.is_empty() {
                name.get_ref().to_string()
            } else {
                format!("{}.{}", self.path, name.get_ref())
            };
            let near = asked.iter().filter(|k| near(k, name.get_ref())).map(|k| format!("\"{k}\"")).next();
            let instead = match near {
                Some(word) => format!("did you mean {word}?"),
                None if asked.is_empty() => "remove it".to_owned(),
                None => format!("remove it, or write one of {}", asked.join(", ")),
            };
            let line = Place::Line(self.reader.line(name.span().start));
            self.reader.mistake(line, &key, "is not a key of Tandem", instead);
        }
    }
}

fn whole(value: &DeValue<'_>) -> Option<i64> {
    let number = value.as_integer()?;
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// `90s`, `30m`, `12h`, `1d`.
pub(super) fn parse_span(text: &str) -> Option<Seconds> {
    let unit = match text.as_bytes().last()? {
        b's' => 1,
        b'm' => 60,
        b'h' => 3600,
        b'd' => 86_400,
        _ => return None,
    };
    let digits = &text[..text.len() - 1];
    if digits.is_empty() || digits.len() > 9 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(Seconds(digits.parse::<i64>().ok()? * unit))
}

fn show(span: Seconds) -> String {
    match span.0 {
        n if n % 86_400 == 0 => format!("\"{}d\"", n / 86_400),
        n if n % 3600 == 0 => format!("\"{}h\"", n / 3600),
        n if n % 60 == 0 => format!("\"{}m\"", n / 60),
        n => format!("\"{n}s\""),
    }
}

/// Whether a typing slip may lie between two words: at most two edits.
fn near(known: &str, written: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (known.chars().collect(), written.chars().collect());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()] <= 2 && a.len() > 3
}
