//! The laws: what holds for every order, whatever happens to it. The laws of the plan are beside the plan
//! (`plan/tests/properties.rs`), those of revisions where an engine is (`tests/it/laws.rs`).
//!
//! Each runs on 256 cases, and on as many as `TANDEM_LAW_CASES` names.

pub(crate) mod arbitrary;
mod archive;
mod builds;
mod truth;

use proptest::test_runner::Config;

/// How a law is tried.
pub(crate) fn law() -> Config {
    let cases = std::env::var_os("TANDEM_LAW_CASES").and_then(|n| n.to_str()?.parse().ok());
    Config { cases: cases.unwrap_or(256), failure_persistence: None, ..Config::default() }
}
