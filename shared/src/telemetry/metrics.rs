//! Counters in CloudWatch's embedded metric format: a JSON line that costs no API call.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::Clock;
use crate::domain::ids::Function;

/// A metric's name and its dimensions beside the function's name.
type Series = (&'static str, Vec<(&'static str, String)>);

/// The counters of one function. Dimensions come from configuration (a source's name), never from a request.
#[derive(Clone, Debug)]
pub struct Metrics {
    function: &'static str,
    clock: Clock,
    printed: bool,
    counts: Arc<Mutex<BTreeMap<Series, u64>>>,
}

impl Metrics {
    /// Counters that [`Metrics::flush`] prints for CloudWatch.
    pub fn stdout(function: Function, clock: Clock) -> Self {
        Self { function: function.name(), clock, printed: true, counts: Arc::default() }
    }

    /// Counters that stay in memory: the local stack and tests.
    pub fn held(function: Function) -> Self {
        Self { printed: false, ..Self::stdout(function, Clock::System) }
    }

    /// Counts one.
    pub fn count(&self, name: &'static str, dimensions: &[(&'static str, &str)]) {
        self.add(name, 1, dimensions);
    }

    /// Counts `n`.
    pub fn add(&self, name: &'static str, n: u64, dimensions: &[(&'static str, &str)]) {
        let series = (name, dimensions.iter().map(|(k, v)| (*k, (*v).to_owned())).collect());
        *self.lock().entry(series).or_default() += n;
    }

    /// What was counted under `name` and not yet printed, over all dimensions.
    pub fn total(&self, name: &str) -> u64 {
        self.lock().iter().filter(|((n, _), _)| *n == name).map(|(_, count)| count).sum()
    }

    /// Prints and forgets what was counted, once per invocation. Counters that are held stay.
    pub fn flush(&self) {
        if !self.printed {
            return;
        }
        let counts = std::mem::take(&mut *self.lock());
        for (series, count) in counts {
            let _ = writeln!(std::io::stdout(), "{}", self.line(&series, count));
        }
    }

    fn line(&self, (name, dimensions): &Series, count: u64) -> serde_json::Value {
        let mut names = vec!["Function"];
        names.extend(dimensions.iter().map(|(key, _)| *key));
        let mut line = serde_json::json!({
            "_aws": {
                "Timestamp": self.clock.now_ms(),
                "CloudWatchMetrics": [{
                    "Namespace": "Tandem",
                    "Dimensions": [names],
                    "Metrics": [{ "Name": name, "Unit": "Count" }],
                }],
            },
            "Function": self.function,
        });
        line[*name] = count.into();
        for (key, value) in dimensions {
            line[*key] = value.as_str().into();
        }
        line
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Series, u64>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_cloudwatch_reads() {
        let metrics = Metrics::held(Function::WebhookReceiver);
        metrics.count("Accepted", &[("Source", "stripe")]);
        metrics.count("Accepted", &[("Source", "shop")]);
        assert_eq!(metrics.total("Accepted"), 2);
        let line = metrics.line(&("Accepted", vec![("Source", "shop".to_owned())]), 1);
        assert_eq!(line["Accepted"], 1);
        assert_eq!(line["Source"], "shop");
        assert_eq!(line["Function"], "webhook-receiver");
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Dimensions"], serde_json::json!([["Function", "Source"]]));
        assert_eq!(directive["Metrics"][0]["Name"], "Accepted");
    }
}
