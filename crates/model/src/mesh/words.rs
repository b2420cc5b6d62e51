//! Words with their values.
use std::fmt;

use serde_json::Value;

/// Words with their values, in order, each once. There are few of them, and many flows that have some: so they stand side by
/// side, which takes a tenth of the room of a tree.
#[derive(Clone, Default, PartialEq)]
pub struct Words(Vec<(String, Value)>); // Invariant: sorted, no word twice.

impl Words {
    /// The value of a word.
    pub fn get(&self, word: &str) -> Option<&Value> {
        let at = self.place(word).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// Whether the word is said.
    pub fn contains_key(&self, word: &str) -> bool {
        self.place(word).is_ok()
    }

    /// Says a word; the value that it had.
    pub fn insert(&mut self, word: String, value: Value) -> Option<Value> {
        match self.place(&word) {
            Ok(at) => self.0.get_mut(at).map(|(_, old)| std::mem::replace(old, value)),
            Err(at) => {
                self.0.insert(at, (word, value));
                None
            }
        }
    }

    /// Takes a word back; the value that it had.
    pub fn remove(&mut self, word: &str) -> Option<Value> {
        self.place(word).ok().map(|at| self.0.remove(at).1)
    }

    /// Takes all words back.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The words, in order.
    pub fn keys(&self) -> impl Iterator<Item = &String> {
        self.0.iter().map(|(word, _)| word)
    }

    /// The words with their values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.0.iter().map(|(word, value)| (word, value))
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn place(&self, word: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(other, _)| other.as_str().cmp(word))
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl FromIterator<(String, Value)> for Words {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(all: I) -> Self {
        let mut words = Self::default();
        for (word, value) in all {
            words.insert(word, value);
        }
        words
    }
}

impl<const N: usize> From<[(String, Value); N]> for Words {
    fn from(all: [(String, Value); N]) -> Self {
        all.into_iter().collect()
    }
}

#[cfg(test)]
mod tests;
