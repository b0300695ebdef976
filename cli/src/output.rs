//! The only writer to standard output and standard error. A reader that went away (`| head`) is no failure.

use std::io::Write as _;

/// Why a command failed, in words for the operator.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// One line, or several, on standard output.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush());
}

/// One line on standard error.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "tandem: {text}");
}

/// What the operator should know, beside the output.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
