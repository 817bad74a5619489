//! The newest output of a session, held once for all its viewers.

use std::collections::VecDeque;

use crate::host::spool::Entry;

/// The newest entries, as many as fit. Holds nothing while nobody watches.
#[derive(Debug)]
pub(super) struct Ring {
    entries: VecDeque<Entry>,
    bytes: usize,
    most: usize,
    viewers: usize,
}

impl Ring {
    pub(super) fn new(most: usize) -> Self {
        Self { entries: VecDeque::new(), bytes: 0, most, viewers: 0 }
    }

    pub(super) fn join(&mut self) {
        self.viewers += 1;
    }

    pub(super) fn leave(&mut self) {
        self.viewers = self.viewers.saturating_sub(1);
        if self.viewers == 0 {
            self.entries = VecDeque::new();
            self.bytes = 0;
        }
    }

    pub(super) fn push(&mut self, entry: Entry) {
        if self.viewers == 0 {
            return;
        }
        self.bytes += entry.weight();
        self.entries.push_back(entry);
        while self.bytes > self.most
            && self.entries.len() > 1
            && let Some(oldest) = self.entries.pop_front()
        {
            self.bytes -= oldest.weight();
        }
    }

    /// The number of the oldest entry that is held.
    pub(super) fn first(&self) -> Option<u64> {
        self.entries.front().map(|entry| entry.first)
    }

    /// The entries from the one that holds `from` on, if that is held; at most `most`.
    pub(super) fn from(&self, from: u64, most: usize) -> Vec<Entry> {
        if self.first().is_none_or(|first| first > from) {
            return Vec::new();
        }
        let start = self.entries.partition_point(|entry| entry.next() <= from);
        self.entries.range(start..).take(most).cloned().collect()
    }
}
