//! What an operator should know.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::id::SessionId;

/// How many messages that were said once are remembered as such.
const SAID_KEPT: usize = 1_000;

/// What may be wrong: with all, or with one session. What is wrong with all comes first, since of
/// too many only the first are shown.
pub(super) type Topic = (Option<SessionId>, &'static str);

/// What is wrong, and what was said of it.
#[derive(Debug, Default)]
pub(super) struct Warnings(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// What is wrong now, by topic.
    now: BTreeMap<Topic, Wrong>,
    /// What was said once and need not be said again.
    said: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Wrong {
    message: String,
    /// What was said of it since it began, without numbers.
    said: BTreeSet<String>,
}

impl Warnings {
    /// Whether this was not said before.
    pub fn is_new(&self, message: &str) -> bool {
        let mut kept = self.kept();
        if kept.said.len() >= SAID_KEPT {
            kept.said.clear();
        }
        kept.said.insert(message.to_owned())
    }

    /// Something is wrong from now on. `true` if that is news: if it was not said since all was
    /// well. Other numbers in the same words are no news, nor is what two tries say in turn.
    pub fn begin(&self, topic: Topic, message: String) -> bool {
        let mut kept = self.kept();
        let wrong = kept.now.entry(topic).or_default();
        if wrong.said.len() >= SAID_KEPT {
            wrong.said.clear();
        }
        let is_news = wrong.said.insert(message.replace(|sign: char| sign.is_ascii_digit(), ""));
        wrong.message = message;
        is_news
    }

    /// It is well again.
    pub fn end(&self, topic: Topic) {
        self.kept().now.remove(&topic);
    }

    /// What is wrong now.
    pub fn now(&self) -> Vec<String> {
        self.kept().now.values().map(|wrong| wrong.message.clone()).collect()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Whole between any two statements.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_otherwise_is_news() {
        let warnings = Warnings::default();
        let clock = (None, "clock");
        let begin = |message: &str| warnings.begin(clock, message.to_owned());
        assert!(begin("3600 s behind"));
        assert!(!begin("3601 s behind"));
        assert!(begin("1 s ahead of"));
        assert_eq!(warnings.now(), ["1 s ahead of"]);
        assert!(!begin("3602 s behind"));
        assert_eq!(warnings.now(), ["3602 s behind"]);
        // Another one's trouble is not its own.
        assert!(warnings.begin((Some(SessionId(7)), "clock"), "3 s behind".to_owned()));
        warnings.end((Some(SessionId(7)), "clock"));
        warnings.end(clock);
        assert!(begin("1 s ahead of"));
    }
}
