//! The repository's files as text, so that a rule can be tried on an altered copy.

use std::collections::BTreeMap;
use std::path::Path;

/// Path from the root, with `/`, to text.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree(BTreeMap<String, String>);

/// Folders that hold what the rules are about.
const PARTS: [&str; 7] = ["functions", "shared", "local", "cli", "tests", "events", "template.yaml"];
const KINDS: [&str; 4] = ["rs", "toml", "json", "yaml"];

impl Tree {
    /// What is on disk.
    pub(super) fn of_the_repository() -> Result<Self, String> {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let mut tree = Self::default();
        for part in PARTS {
            tree.read(root, part)?;
        }
        Ok(tree)
    }

    fn read(&mut self, root: &Path, path: &str) -> Result<(), String> {
        let full = root.join(path);
        if full.is_dir() {
            for entry in std::fs::read_dir(&full).map_err(|e| format!("{path}: {e}"))? {
                let name = entry.map_err(|e| format!("{path}: {e}"))?.file_name();
                let name = name.to_string_lossy();
                if name != "target" && !name.starts_with('.') {
                    self.read(root, &format!("{path}/{name}"))?;
                }
            }
        } else if full.extension().is_some_and(|e| KINDS.iter().any(|k| e == *k)) {
            self.0
                .insert(path.to_owned(), std::fs::read_to_string(&full).map_err(|e| format!("{path}: {e}"))?);
        }
        Ok(())
    }

    /// Adds text to the end of a file, which need not exist yet.
    pub(super) fn append(&mut self, path: &str, text: &str) {
        let file = self.0.entry(path.to_owned()).or_default();
        // Before the tests, which end a file and are no code.
        let end = file.find(TESTS).unwrap_or(file.len());
        file.insert_str(end, text);
    }

    /// A file's text.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    /// Files below a folder with this ending.
    pub(super) fn below<'a>(
        &'a self,
        folder: &'a str,
        ending: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let all = self.0.iter().map(|(path, text)| (path.as_str(), text.as_str()));
        all.filter(move |(path, _)| path.starts_with(folder) && path.ends_with(ending))
    }

    /// Rust sources of these packages that are not tests.
    pub(super) fn sources<'a>(&'a self, packages: &'a [&'a str]) -> impl Iterator<Item = (&'a str, &'a str)> {
        let all = packages.iter().flat_map(|package| self.below(package, ".rs"));
        all.filter(|(path, _)| !path.contains("/tests/") && !path.ends_with("/tests.rs"))
    }

    /// The functions' folders.
    pub(super) fn functions(&self) -> Vec<&str> {
        let manifests = self.below("functions/", "/Cargo.toml").map(|(path, _)| path);
        manifests.filter_map(|path| path.strip_prefix("functions/")?.strip_suffix("/Cargo.toml")).collect()
    }
}

const TESTS: &str = "#[cfg(test)]\nmod tests";

/// A source without its comments and without the tests that end it.
pub(super) fn code(text: &str) -> String {
    let end = text.find(TESTS).unwrap_or(text.len());
    let mut code = String::with_capacity(end);
    for line in text[..end].lines() {
        // `//` inside a string follows a colon or a quote, a comment follows a space or nothing.
        let comment = line
            .match_indices("//")
            .map(|(at, _)| at)
            .find(|at| line[..*at].chars().next_back().is_none_or(char::is_whitespace));
        code.push_str(&line[..comment.unwrap_or(line.len())]);
        code.push('\n');
    }
    code
}

/// Whether `word` occurs with nothing of a name before and after it.
pub(super) fn mentions(code: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        let open = |edge: Option<char>, own: Option<char>| !(own.is_some_and(part) && edge.is_some_and(part));
        open(before, word.chars().next()) && open(after, word.chars().next_back())
    })
}
