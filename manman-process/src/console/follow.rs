//! Reads the output files of an attempt as they grow.

use std::{collections::VecDeque, fs::File, io, os::unix::fs::FileExt as _, sync::Arc, time::Duration};

use manman_core::{
    clock::{Clock as _, SystemClock},
    console::{Batch, Channel, EndCause, Gap, Output, PARTIAL_AFTER, Run},
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until},
};

use super::{cut::ends, position::Place};
use crate::{
    directory::{RunDir, read_number},
    observe::has_ended,
    readers::{Reader, Readers},
    watch::Watch,
};

/// So much is read at once.
const CHUNK: usize = 256 << 10;

/// How often it is looked at all the same: with hints in case one got lost, and without.
const LOOK_EVERY: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];

/// So much output may come together in one batch, rather than a batch for every line.
const GATHER: Duration = Duration::from_millis(2);

/// Follows the output of an attempt.
#[derive(Debug)]
pub struct Follower {
    dir: RunDir,
    boot: String,
    files: [Option<Arc<File>>; 2],
    place: Place,
    notify: Arc<Notify>,
    look_every: Duration,
    reader: Reader,
    ready: VecDeque<Output>,
    /// Since when there is an unfinished line, and how long it is.
    unfinished: [Option<(Instant, u64)>; 2],
    is_over: bool,
}

impl Follower {
    pub fn new(dir: &RunDir, boot: String, place: Place, watch: &Watch, readers: &Readers) -> Self {
        Self {
            dir: dir.clone(),
            boot,
            files: [None, None],
            place,
            notify: watch.follow(dir.path()),
            look_every: LOOK_EVERY[usize::from(watch.hints())],
            reader: readers.open(dir, place.0),
            ready: VecDeque::new(),
            unfinished: [None, None],
            is_over: false,
        }
    }

    /// What comes next; `None` after the end.
    pub async fn next(&mut self) -> Option<Output> {
        if let Some(output) = self.ready.pop_front() {
            return Some(output);
        }
        if self.is_over {
            return None;
        }
        // Who asks for more has taken what it was given.
        if let Some(tell) = self.reader.took(self.place.0) {
            tokio::task::spawn_blocking(tell);
        }
        loop {
            let notify = self.notify.clone();
            let woken = notify.notified();
            tokio::pin!(woken);
            // From here on nothing is missed that happens while we look.
            woken.as_mut().enable();
            if let Err(error) = self.look().await {
                tracing::warn!(error = %error, "the output of {} cannot be read", self.dir.name());
                self.over(EndCause::Broken);
            }
            if let Some(output) = self.ready.pop_front() {
                return Some(output);
            }
            let partial = self.unfinished.iter().flatten().map(|(since, _)| *since + PARTIAL_AFTER).min();
            let at_latest = Instant::now() + self.look_every;
            tokio::select! {
                () = &mut woken => sleep(GATHER).await,
                () = sleep_until(partial.map_or(at_latest, |partial| partial.min(at_latest))) => {}
            }
        }
    }

    /// Reads what is there.
    async fn look(&mut self) -> io::Result<()> {
        if !self.dir.path().exists() {
            self.over(EndCause::Broken);
            return Ok(());
        }
        // First whether it has ended, then what it has printed: then that is all.
        let has_ended = has_ended(&self.dir, &self.boot)?;
        let mut more = false;
        for channel in Channel::BOTH {
            more |= self.look_at(channel, has_ended).await?;
        }
        if has_ended && !more {
            self.over(EndCause::Ended);
        }
        Ok(())
    }

    /// Reads on in one of the files; gives whether there is more.
    async fn look_at(&mut self, channel: Channel, has_ended: bool) -> io::Result<bool> {
        let Some(file) = self.open(channel)? else { return Ok(false) };
        let len = file.metadata()?.len();
        let from = self.place.at(channel);
        if len <= from {
            self.unfinished[channel.index()] = None;
            if len < from {
                // Cut off by the game, or lost with the machine: nobody knows what else is.
                self.place.0[channel.index()] = len;
                self.missing(channel, None, "the output ends before what was read of it");
            }
            return Ok(false);
        }
        let waits = self.unfinished[channel.index()];
        let is_due = has_ended || waits.is_some_and(|(since, _)| since.elapsed() >= PARTIAL_AFTER);
        if !is_due && waits.is_some_and(|(_, length)| length == len - from) {
            return Ok(true);
        }
        let read = tokio::task::spawn_blocking(move || {
            let mut text = vec![0; usize::try_from(len - from).unwrap_or(CHUNK).min(CHUNK)];
            let read = file.read_at(&mut text, from)?;
            text.truncate(read);
            io::Result::Ok(text)
        });
        let mut text = read.await.map_err(io::Error::other)??;
        // Looked at after reading: what was punched out meanwhile was read as zeros.
        let trimmed = read_number(&self.dir.trimmed(channel))?;
        if trimmed > from {
            self.gap(channel, trimmed - from);
            return Ok(true);
        }
        let is_all = from + text.len() as u64 >= len;
        let ends = ends(&text, is_all && is_due);
        let taken = ends.last().map_or(0, |&end| end as usize);
        let rest = len - from - taken as u64;
        self.unfinished[channel.index()] = match waits {
            _ if rest == 0 || !is_all => None,
            // The line that waits has grown; it waits no longer for that.
            Some((since, _)) if taken == 0 => Some((since, rest)),
            _ => Some((Instant::now(), rest)),
        };
        if taken > 0 {
            text.truncate(taken);
            self.place = self.place.after(channel, taken);
            let runs = [Run { end: taken as u32, channel }];
            let (position, now) = (self.place.encode(), SystemClock.now());
            let batch = Batch::from_trusted_parts(text.into(), ends.into(), Box::new(runs), position, now);
            self.ready.push_back(Output::Batch(Arc::new(batch)));
        }
        Ok(rest > 0 || taken > 0)
    }

    fn open(&mut self, channel: Channel) -> io::Result<Option<Arc<File>>> {
        let slot = &mut self.files[channel.index()];
        if slot.is_none() {
            *slot = match File::open(self.dir.output(channel)) {
                Ok(file) => Some(Arc::new(file)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
        }
        Ok(slot.clone())
    }

    /// Says that so many bytes were not kept.
    fn gap(&mut self, channel: Channel, bytes: u64) {
        self.place = self.place.after(channel, usize::try_from(bytes).unwrap_or(usize::MAX));
        self.unfinished[channel.index()] = None;
        self.missing(channel, Some(bytes), "more was printed than is kept for who has not read it");
    }

    /// Says that something is missing here; how much, if that is known.
    fn missing(&mut self, channel: Channel, bytes: Option<u64>, reason: &str) {
        let (uncertain, reason) = (bytes.is_none(), reason.to_owned());
        let gap = Gap { channel: Some(channel), bytes, lines: None, uncertain, reason };
        tracing::warn!(gap.bytes = bytes, "console of {}: {}", self.dir.name(), gap.reason);
        self.ready.push_back(Output::Gap(gap, self.place.encode()));
    }

    fn over(&mut self, cause: EndCause) {
        self.is_over = true;
        self.ready.push_back(Output::End(cause));
    }
}
