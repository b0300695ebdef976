//! A memory that does not grow.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// The newest words, each once, in the order in which they were first noted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Recent(VecDeque<String>);

impl Recent {
    /// Notes a word and keeps the newest `most`. Whether it is new here.
    pub fn note(&mut self, word: &str, most: usize) -> bool {
        if self.contains(word) {
            return false;
        }
        self.0.push_back(word.to_owned());
        while self.0.len() > most {
            self.0.pop_front();
        }
        true
    }

    /// Whether it is remembered.
    pub fn contains(&self, word: &str) -> bool {
        // Repetitions come soon: the newest first.
        self.0.iter().rev().any(|known| known == word)
    }

    /// Forgets a word.
    pub fn forget(&mut self, word: &str) {
        self.0.retain(|known| known != word);
    }

    /// Whether it is one of the newest `n`.
    pub fn among_newest(&self, word: &str, n: usize) -> bool {
        self.0.iter().rev().take(n).any(|known| known == word)
    }

    /// The word that `newer` others came after.
    pub fn behind(&self, newer: usize) -> Option<&str> {
        self.0.iter().rev().nth(newer).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_words_are_kept_once_each() {
        let mut recent = Recent::default();
        let new: Vec<bool> = ["a", "b", "a", "c"].iter().map(|w| recent.note(w, 2)).collect();
        assert_eq!(new, [true, true, false, true]);
        assert_eq!([recent.contains("a"), recent.contains("b"), recent.contains("c")], [false, true, true]);
        assert_eq!((recent.behind(0), recent.behind(1), recent.behind(2)), (Some("c"), Some("b"), None));
        recent.forget("c");
        assert_eq!(recent.behind(0), Some("b"));
    }
}
