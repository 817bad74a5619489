//! Words that are typed into a game, each of them once, and how often it heard each.

use std::{cell::RefCell, collections::BTreeMap};

use crate::support::{Cluster, PATIENCE, until};

/// What was typed into the game of one deployment.
pub struct Typed<'n> {
    name: &'n str,
    /// Each word, and whether it was said to be written.
    words: RefCell<BTreeMap<String, bool>>,
}

impl<'n> Typed<'n> {
    pub fn into(name: &'n str) -> Self {
        Self { name, words: RefCell::default() }
    }

    /// Types a word, which is none that was typed before; whether it was said to be written.
    #[track_caller]
    pub fn say(&self, cluster: &Cluster, replica: usize, word: &str) -> bool {
        let word = format!("<{word}>");
        let done = cluster.run_at(replica, &["send", self.name, &format!("say {word}")]).code == 0;
        self.note(word, done);
        done
    }

    /// What was typed by somebody else.
    pub fn and(&self, other: Typed<'_>) {
        other.words.into_inner().into_iter().for_each(|(word, done)| self.note(word, done));
    }

    fn note(&self, word: String, done: bool) {
        let before = self.words.borrow_mut().insert(word.clone(), done);
        assert_eq!(before, None, "{word} is typed twice");
    }

    /// Waits until the game is typed to again, with a new word each time.
    #[track_caller]
    pub fn until_written(&self, cluster: &Cluster, replica: usize, word: &str) {
        let mut tries = 0;
        until(&format!("{} hears {word}", self.name), PATIENCE, || {
            tries += 1;
            self.say(cluster, replica, &format!("{word}, try {tries}")).then_some(())
        });
    }

    /// How often the game heard a word.
    pub fn times(&self, cluster: &Cluster, word: &str) -> usize {
        heard(cluster, self.name).get(&format!("<{word}>")).copied().unwrap_or(0)
    }

    /// Each word that was said to be written was heard once, and none was heard more often:
    /// nobody knows of one whose receipt is missing.
    #[track_caller]
    pub fn was_heard_once(&self, cluster: &Cluster) {
        // What was typed before it is heard before it.
        self.until_written(cluster, 0, "that is all");
        let words = self.words.borrow();
        let heard = until("the last word is shown", PATIENCE, || {
            let heard = heard(cluster, self.name);
            let all = words.iter().filter(|(_, done)| **done).all(|(word, _)| heard.contains_key(word));
            all.then_some(heard)
        });
        for (word, done) in words.iter() {
            let times = heard.get(word).copied().unwrap_or(0);
            let right = times == 1 || (times == 0 && !done);
            assert!(right, "{word} (written: {done}) was heard {times} times");
        }
        let done = words.values().filter(|done| **done).count();
        eprintln!("{}: {done} of {} words were written, once each", self.name, words.len());
    }
}

/// How often a game heard each word in <> that was said to it.
fn heard(cluster: &Cluster, name: &str) -> BTreeMap<String, usize> {
    let shown = cluster.run_at(cluster.apis.len() - 1, &["logs", name, "--raw"]).out;
    let mut heard = BTreeMap::new();
    for word in shown.lines().filter_map(|line| line.strip_prefix("CMD: say ")) {
        *heard.entry(word.to_owned()).or_default() += 1;
    }
    heard
}
