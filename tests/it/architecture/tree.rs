//! The repository's files as text, so that a rule can be tried on an altered copy.

use std::collections::BTreeMap;
use std::path::Path;

/// Path from the root, with `/`, to text.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree(BTreeMap<String, String>);

/// Folders that hold what the rules are about.
const PARTS: [&str; 8] = ["functions", "shared", "local", "cli", "tests", "events", "docs", "template.yaml"];
const KINDS: [&str; 5] = ["rs", "toml", "json", "yaml", "md"];

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
        let end = tests_begin(file);
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
        let tests = self.test_modules();
        let all = packages.iter().flat_map(|package| self.below(package, ".rs"));
        all.filter(move |(path, _)| {
            let stem = path.trim_end_matches(".rs");
            let apart = path.contains("/tests/") || path.starts_with("tests/");
            !apart
                && !tests.iter().any(|test| {
                    stem == test || stem.strip_prefix(test).is_some_and(|rest| rest.starts_with('/'))
                })
        })
    }

    /// Modules in files of their own that exist for tests only, as paths without their ending.
    fn test_modules(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (path, text) in self.below("", ".rs") {
            let stem = path.trim_end_matches(".rs");
            // `lib.rs` and `main.rs` own their folder, any other file the folder of its own name.
            let folder = stem.strip_suffix("/lib").or_else(|| stem.strip_suffix("/main")).unwrap_or(stem);
            for after in text.split("#[cfg(test)]").skip(1) {
                let item =
                    after.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
                let name = item.and_then(|item| item.strip_suffix(';')?.split("mod ").nth(1));
                found.extend(name.map(|name| format!("{folder}/{name}")));
            }
        }
        found
    }

    /// The functions' folders.
    pub(super) fn functions(&self) -> Vec<&str> {
        let manifests = self.below("functions/", "/Cargo.toml").map(|(path, _)| path);
        manifests.filter_map(|path| path.strip_prefix("functions/")?.strip_suffix("/Cargo.toml")).collect()
    }
}

/// Where the tests at the end of a file begin: the first module for tests that is written out.
fn tests_begin(text: &str) -> usize {
    let marks = text.match_indices("#[cfg(test)]\nmod ");
    let mut inline =
        marks.filter(|(at, _)| text[*at..].lines().nth(1).is_some_and(|line| line.ends_with('{')));
    inline.next().map_or(text.len(), |(at, _)| at)
}

/// A source without its comments and without the tests that end it.
pub(super) fn code(text: &str) -> String {
    let end = tests_begin(text);
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
