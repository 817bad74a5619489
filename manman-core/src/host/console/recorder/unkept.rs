//! What has its numbers and is not kept yet.

use std::collections::VecDeque;

use tokio::time::Instant;

use crate::{
    clock::Timestamp,
    console::{Gap, Position, Resume},
    host::spool::{Entry, Kept, Tail},
};

/// Entries that wait for the disk, oldest first. Bounded: beyond the bound the oldest
/// become a gap.
#[derive(Debug)]
pub(super) struct Unkept {
    entries: VecDeque<(Entry, Instant)>,
    bytes: usize,
    most: usize,
    /// How many of the oldest are being written now.
    writing: usize,
}

impl Unkept {
    pub(super) fn new(most: usize) -> Self {
        Self { entries: VecDeque::new(), bytes: 0, most, writing: 0 }
    }

    pub(super) fn push(&mut self, entry: Entry) {
        self.bytes += entry.weight();
        self.entries.push_back((entry, Instant::now()));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn is_over(&self) -> bool {
        self.bytes > self.most
    }

    /// Whether half of the bound is taken.
    pub(super) fn is_much(&self) -> bool {
        self.bytes > self.most / 2
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().map(|(entry, _)| entry)
    }

    /// The one that holds `number`, and those after it.
    pub(super) fn from(&self, number: u64) -> impl Iterator<Item = &Entry> {
        let start = self.entries.partition_point(|(entry, _)| entry.next() <= number);
        self.entries.range(start..).map(|(entry, _)| entry)
    }

    /// The number of the oldest one.
    pub(super) fn first(&self) -> Option<u64> {
        self.entries.front().map(|(entry, _)| entry.first)
    }

    /// Since when the oldest one waits.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.entries.front().map(|(_, since)| *since)
    }

    /// Those of one attempt.
    pub(super) fn of(&self, attempt: u32) -> Vec<Entry> {
        self.entries().filter(|entry| entry.attempt == attempt).cloned().collect()
    }

    /// The oldest ones, at least one and up to `enough` bytes, which are being written now.
    pub(super) fn begin(&mut self, enough: usize) -> Vec<Entry> {
        let (mut group, mut bytes) = (Vec::new(), 0);
        for entry in self.entries() {
            if bytes >= enough {
                break;
            }
            bytes += entry.weight();
            group.push(entry.clone());
        }
        self.writing = group.len();
        group
    }

    /// The number after those that are being written.
    pub(super) fn begun(&self) -> u64 {
        self.entries.range(..self.writing).next_back().map_or(0, |(entry, _)| entry.next())
    }

    /// What was being written is kept.
    pub(super) fn done(&mut self) {
        for (entry, _) in self.entries.drain(..self.writing) {
            self.bytes -= entry.weight();
        }
        self.writing = 0;
        if self.entries.capacity() > 1024 {
            self.entries.shrink_to(64);
        }
    }

    /// What was being written is not kept.
    pub(super) fn failed(&mut self) {
        self.writing = 0;
    }

    /// Makes the oldest that are not being written a gap, until half of the bound is free
    /// again. Gives how many numbers became one.
    pub(super) fn give_up(&mut self) -> u64 {
        if !self.is_over() {
            return 0;
        }
        let (mut at, mut lost) = (self.writing, 0);
        while self.bytes > self.most / 2 && at < self.entries.len() {
            lost += self.make_gap(at);
            let joins = at > self.writing
                && self.entries[at].0.attempt == self.entries[at - 1].0.attempt
                && matches!(self.entries[at - 1].0.what, Kept::Gap(..));
            if joins { self.join_before(at) } else { at += 1 }
        }
        lost
    }

    fn make_gap(&mut self, at: usize) -> u64 {
        let entry = &mut self.entries[at].0;
        let Kept::Output(batch) = &entry.what else { return 0 };
        self.bytes -= entry.weight();
        let gap = Gap {
            channel: None,
            bytes: Some(batch.text().len() as u64),
            lines: Some(batch.pieces().filter(|(_, piece)| piece.ends_with(b"\n")).count() as u64),
            uncertain: false,
            reason: "the disk did not take it".to_owned(),
        };
        let (position, read_at): (Position, Timestamp) = (batch.position, batch.read_at);
        entry.what = Kept::Gap(gap, position, read_at);
        self.bytes += entry.weight();
        entry.numbers
    }

    /// Joins the gap at `at` to the one before it.
    fn join_before(&mut self, at: usize) {
        let Some((later, _)) = self.entries.remove(at) else { return };
        self.bytes -= later.weight();
        let earlier = &mut self.entries[at - 1].0;
        earlier.numbers += later.numbers;
        if let (Kept::Gap(gap, position, _), Kept::Gap(more, after, _)) = (&mut earlier.what, later.what) {
            let sum = |one: Option<u64>, other: Option<u64>| Some(one? + other?);
            gap.bytes = sum(gap.bytes, more.bytes);
            gap.lines = sum(gap.lines, more.lines);
            gap.uncertain |= more.uncertain;
            *position = after;
        }
    }

    /// Where to go on after what is kept and what is not.
    pub(super) fn resume(attempt: u32, kept: Option<Resume>, unkept: &[Entry]) -> Option<Resume> {
        if kept.is_none() && unkept.is_empty() {
            return None;
        }
        let kept = kept.unwrap_or(Resume { position: Position::START, tail: Vec::new() });
        let mut tail = Tail::new(attempt, kept.position);
        for (channel, piece) in &kept.tail {
            tail.push(*channel, piece);
        }
        for entry in unkept {
            tail.take(entry);
        }
        Some(tail.into_resume())
    }
}
