//! A span of whole UTC days.

use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::domain::time::{Seconds, UnixTime};

/// Most days of one window.
const DAYS_MAX: i32 = 92;

/// The days from `from` to `to`, both in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    from: Date,
    to: Date,
}

/// Not a window.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is no window of days; write for example {{\"from\": \"2026-11-01\", \"to\": \"2026-11-07\"}}, at most 92 days"
)]
pub struct BadWindow(String);

impl Window {
    /// From two dates as `YYYY-MM-DD`.
    pub fn parse(from: &str, to: &str) -> Result<Self, BadWindow> {
        let bad = || BadWindow(format!("{from:?} to {to:?}"));
        let date = |text: &str| (text.len() == 10).then(|| text.parse::<Date>().ok()).flatten();
        let (from, to) = date(from).zip(date(to)).ok_or_else(bad)?;
        let days = from.until(to).map_err(|_| bad())?.get_days();
        if (0..DAYS_MAX).contains(&days) { Ok(Self { from, to }) } else { Err(bad()) }
    }

    /// Yesterday and today.
    pub fn yesterday_and_today(now: UnixTime) -> Result<Self, BadWindow> {
        Self::parse(&(now - Seconds::days(1)).date(), &now.date())
    }

    /// Its first day.
    pub fn from(&self) -> String {
        self.from.to_string()
    }

    /// Its last day.
    pub fn to(&self) -> String {
        self.to.to_string()
    }

    /// Every day, oldest first.
    pub fn dates(&self) -> Vec<String> {
        self.from.series(1.day()).take_while(|day| *day <= self.to).map(|day| day.to_string()).collect()
    }

    /// Its first second.
    pub fn start(&self) -> UnixTime {
        start_of(self.from)
    }

    /// The first second after it.
    pub fn end(&self) -> UnixTime {
        start_of(self.to) + Seconds::days(1)
    }
}

fn start_of(day: Date) -> UnixTime {
    UnixTime(day.to_zoned(TimeZone::UTC).map_or(0, |t| t.timestamp().as_second()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_holds_its_first_and_its_last_day() {
        let window = Window::parse("2026-02-27", "2026-03-01").unwrap();
        assert_eq!(window.dates(), ["2026-02-27", "2026-02-28", "2026-03-01"]);
        assert_eq!(window.start().to_string(), "2026-02-27T00:00:00Z");
        assert_eq!(window.end().to_string(), "2026-03-02T00:00:00Z");
        let now = Window::yesterday_and_today(window.end()).unwrap();
        assert_eq!((now.from(), now.to()), ("2026-03-01".into(), "2026-03-02".into()));
    }

    #[test]
    fn what_is_no_window_is_refused_with_what_was_written() {
        for (from, to) in
            [("2026-03-02", "2026-03-01"), ("yesterday", "2026-03-01"), ("2026-01-01", "2026-12-31")]
        {
            let error = Window::parse(from, to).unwrap_err().to_string();
            assert!(error.contains(from) && error.contains(to), "{error}");
        }
    }
}
