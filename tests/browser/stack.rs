//! The two processes under the test: the local stack and chromedriver. Each ends with its owner.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// A process that is ended and awaited when dropped.
struct Owned(Child);

impl Drop for Owned {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a process and reads its output up to the first line that `wanted` understands; the rest is read and dropped,
/// so that the process never waits for a reader.
fn start<T>(mut command: Command, wanted: impl Fn(&str) -> Option<T>) -> Result<(Owned, T), String> {
    let name = format!("{command:?}");
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut owned = Owned(child.map_err(|e| format!("{name}: {e}"))?);
    let mut output = BufReader::new(owned.0.stdout.take().ok_or("no output")?);
    let mut seen = String::new();
    loop {
        let mut line = String::new();
        if output.read_line(&mut line).map_err(|e| format!("{name}: {e}"))? == 0 {
            return Err(format!("{name} ended before it was ready:\n{seen}"));
        }
        if let Some(found) = wanted(line.trim()) {
            std::thread::spawn(move || output.lines().for_each(drop));
            return Ok((owned, found));
        }
        seen.push_str(&line);
    }
}

/// Where the parts of the local stack listen.
pub(crate) struct Addresses {
    /// The demo shop.
    pub(crate) shop: String,
}

/// `tandem serve --json`.
pub(crate) struct Stack {
    _process: Owned,
    /// Where its parts listen.
    pub(crate) addresses: Addresses,
}

impl Stack {
    /// Starts it and waits for its addresses.
    pub(crate) fn start() -> Result<Self, String> {
        let mut command = Command::new(tandem()?);
        command.args(["serve", "--json"]);
        let (process, addresses) = start(command, |line| {
            let line: Value = serde_json::from_str(line).ok()?;
            Some(Addresses { shop: line["shop"].as_str()?.to_owned() })
        })?;
        Ok(Self { _process: process, addresses })
    }
}

/// The command: `TANDEM_BIN`, or beside this test in the target folder.
fn tandem() -> Result<PathBuf, String> {
    #[expect(clippy::disallowed_methods, reason = "the caller names the binary under test")]
    let named = std::env::var("TANDEM_BIN").ok().map(PathBuf::from);
    let own = std::env::current_exe().map_err(|e| e.to_string())?;
    let beside = own.ancestors().nth(2).unwrap_or(Path::new(".")).join("tandem");
    let found = named.unwrap_or(beside);
    if found.exists() {
        Ok(found)
    } else {
        Err(format!("{} is not there: run `cargo build` first", found.display()))
    }
}

/// chromedriver on a free port of its own choice.
pub(crate) struct Driver {
    _process: Owned,
    url: String,
    profile: PathBuf,
}

impl Driver {
    /// Starts it with an empty profile folder.
    pub(crate) fn start() -> Result<Self, String> {
        let profile = std::env::temp_dir().join(format!("tandem-browser-{}", std::process::id()));
        std::fs::create_dir_all(&profile).map_err(|e| e.to_string())?;
        let mut command = Command::new("chromedriver");
        command.arg("--port=0");
        let (process, url) = start(command, |line| {
            let port = line.split("on port ").nth(1)?.trim_end_matches('.').parse::<u16>().ok()?;
            (port != 0).then(|| format!("http://127.0.0.1:{port}"))
        })?;
        Ok(Self { _process: process, url, profile })
    }

    /// Its address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The browser's profile, empty at the start.
    pub(crate) fn profile(&self) -> &Path {
        &self.profile
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}
