//! Places in files, and what is wrong there.

use std::{fmt, sync::Arc};

/// Where something was written.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, as it was named.
    pub file: Arc<str>,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Everything that is wrong, each with its place.
#[derive(Debug, Default)]
pub struct Problems(Vec<(Place, String)>);

impl Problems {
    /// Notes what is wrong at a place.
    pub fn add(&mut self, place: &Place, problem: impl Into<String>) {
        self.0.push((place.clone(), problem.into()));
    }

    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How much is.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// A line for each, by file and place; what was reached through several aliases once.
    pub fn lines(mut self) -> Vec<String> {
        self.0.sort();
        self.0.dedup();
        self.0.into_iter().map(|(place, problem)| format!("{place}: {problem}")).collect()
    }
}
