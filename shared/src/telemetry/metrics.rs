//! Metrics in CloudWatch's embedded format: JSON lines that cost no API call.
//!
//! Invariant: dimensions are words of the program or names of the configuration, never of a request: each combination
//! is a metric that is paid for.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use crate::clock::Clock;
use crate::domain::ids::Function;

/// Most values of one metric in one line.
const VALUES_MAX: usize = 100;

/// Dimensions beside the stack and the function.
type Dimensions = Vec<(&'static str, String)>;
/// Everything measured under one set of dimensions, by metric.
type Measured = BTreeMap<Dimensions, BTreeMap<&'static str, Measure>>;

/// What was measured under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Measure {
    Count(u64),
    Milliseconds(Vec<u64>),
}

/// The metrics of one function of one stack.
#[derive(Clone, Debug)]
pub struct Metrics {
    function: &'static str,
    stack: Arc<str>,
    clock: Clock,
    printed: bool,
    measured: Arc<Mutex<Measured>>,
}

impl Metrics {
    /// Metrics that [`Metrics::flush`] prints for CloudWatch.
    pub fn stdout(function: Function, stack: &str, clock: Clock) -> Self {
        Self {
            function: function.name(),
            stack: stack.into(),
            clock,
            printed: true,
            measured: Arc::default(),
        }
    }

    /// Metrics that stay in memory: the local stack and tests.
    pub fn held(function: Function) -> Self {
        Self { printed: false, ..Self::stdout(function, "local", Clock::System) }
    }

    /// Counts one.
    pub fn count(&self, name: &'static str, dimensions: &[(&'static str, &str)]) {
        self.add(name, 1, dimensions);
    }

    /// Counts `n`. Nothing counted is told too: a metric that is there at 0 is one that lives.
    pub fn add(&self, name: &'static str, n: u64, dimensions: &[(&'static str, &str)]) {
        self.measure(name, dimensions, Measure::Count(0), |value| {
            if let Measure::Count(count) = value {
                *count += n;
            }
        });
    }

    /// A span of time.
    pub fn took(&self, name: &'static str, ms: u64, dimensions: &[(&'static str, &str)]) {
        self.measure(name, dimensions, Measure::Milliseconds(Vec::new()), |value| {
            if let Measure::Milliseconds(all) = value {
                all.push(ms);
            }
        });
    }

    fn measure(
        &self,
        name: &'static str,
        dimensions: &[(&'static str, &str)],
        empty: Measure,
        change: impl FnOnce(&mut Measure),
    ) {
        let dimensions = dimensions.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        change(self.lock().entry(dimensions).or_default().entry(name).or_insert(empty));
    }

    /// What was counted under `name` and not yet printed, over all dimensions.
    pub fn total(&self, name: &str) -> u64 {
        let measured = self.lock();
        let counts = measured.values().filter_map(|metrics| metrics.get(name));
        counts.map(|value| if let Measure::Count(n) = value { *n } else { 0 }).sum()
    }

    /// What was counted under `name` with this value of a dimension, e.g. `Outcome`, `done`.
    pub fn total_of(&self, name: &str, dimension: &str, value: &str) -> u64 {
        let measured = self.lock();
        let of = |d: &Dimensions| d.iter().any(|(k, v)| *k == dimension && v == value);
        let counts = measured.iter().filter(|(d, _)| of(d)).filter_map(|(_, metrics)| metrics.get(name));
        counts.map(|value| if let Measure::Count(n) = value { *n } else { 0 }).sum()
    }

    /// The spans measured under `name` and not yet printed, in milliseconds.
    pub fn spans(&self, name: &str) -> Vec<u64> {
        let measured = self.lock();
        let values = measured.values().filter_map(|metrics| metrics.get(name));
        values
            .flat_map(|value| if let Measure::Milliseconds(all) = value { all.clone() } else { Vec::new() })
            .collect()
    }

    /// Prints and forgets what was measured, once per invocation: one line per set of dimensions. What is held stays.
    pub fn flush(&self) {
        if !self.printed {
            return;
        }
        let measured = std::mem::take(&mut *self.lock());
        for (dimensions, metrics) in measured {
            let _ = writeln!(std::io::stdout(), "{}", self.line(&dimensions, &metrics));
        }
    }

    fn line(&self, dimensions: &Dimensions, metrics: &BTreeMap<&'static str, Measure>) -> Value {
        let mut names = vec!["Stack", "Function"];
        names.extend(dimensions.iter().map(|(key, _)| *key));
        // Alarms look at the sum over functions, sources, kinds and outcomes: a set of dimensions of its own, and one metric.
        let sets = if dimensions.is_empty() { vec![names] } else { vec![vec!["Stack"], names] };
        let units: Vec<Value> = metrics
            .iter()
            .map(|(name, value)| {
                let unit = if matches!(value, Measure::Count(_)) { "Count" } else { "Milliseconds" };
                json!({ "Name": name, "Unit": unit })
            })
            .collect();
        let mut line = json!({
            "_aws": {
                "Timestamp": self.clock.now_ms(),
                "CloudWatchMetrics": [{ "Namespace": "Tandem", "Dimensions": sets, "Metrics": units }],
            },
            "Stack": &*self.stack,
            "Function": self.function,
        });
        for (name, value) in metrics {
            line[*name] = match value {
                Measure::Count(n) => (*n).into(),
                Measure::Milliseconds(all) => all.iter().take(VALUES_MAX).copied().collect(),
            };
        }
        for (key, value) in dimensions {
            line[*key] = value.as_str().into();
        }
        line
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Measured> {
        self.measured.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_cloudwatch_reads() {
        let metrics = Metrics::stdout(Function::WebhookReceiver, "tandem-test", Clock::System);
        metrics.count("Accepted", &[("Source", "stripe")]);
        metrics.count("Accepted", &[("Source", "shop")]);
        metrics.count("Unused", &[("Source", "shop")]);
        metrics.took("Age", 1_200, &[("Source", "shop")]);
        metrics.took("Age", 30, &[("Source", "shop")]);
        assert_eq!((metrics.total("Accepted"), metrics.total_of("Accepted", "Source", "shop")), (2, 1));
        assert_eq!(metrics.spans("Age"), [1_200, 30]);
        let shop = vec![("Source", "shop".to_owned())];
        let line = metrics.line(&shop, &metrics.lock()[&shop]);
        assert_eq!((&line["Accepted"], &line["Unused"]), (&json!(1), &json!(1)));
        assert_eq!(line["Age"], json!([1_200, 30]));
        assert_eq!(line["Source"], "shop");
        assert_eq!((&line["Stack"], &line["Function"]), (&json!("tandem-test"), &json!("webhook-receiver")));
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Namespace"], "Tandem");
        assert_eq!(directive["Dimensions"], json!([["Stack"], ["Stack", "Function", "Source"]]));
        assert_eq!(directive["Metrics"][0], json!({ "Name": "Accepted", "Unit": "Count" }));
        assert_eq!(directive["Metrics"][1], json!({ "Name": "Age", "Unit": "Milliseconds" }));
        assert!(line["_aws"]["Timestamp"].as_i64().is_some_and(|ms| ms > 1_600_000_000_000));
        // Every metric that the directive names is a member of the line, and the other way round.
        assert_eq!(line.as_object().unwrap().len(), 1 + 3 + directive["Metrics"].as_array().unwrap().len());
    }

    #[test]
    fn what_was_printed_is_forgotten_and_what_is_held_stays() {
        let printed = Metrics::stdout(Function::Notifier, "s", Clock::System);
        printed.add("Commits", 0, &[]);
        printed.flush();
        assert!(printed.lock().is_empty());
        let held = Metrics::held(Function::Notifier);
        held.count("Commits", &[]);
        held.flush();
        assert_eq!(held.total("Commits"), 1);
    }
}
