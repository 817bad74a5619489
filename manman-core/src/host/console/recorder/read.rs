//! Reads back what was recorded, kept or not.

use std::sync::{Arc, PoisonError};

use super::{Recorder, locked, off, unkept::Unkept};
use crate::{
    console::{Channel, Position, Resume},
    error::Result,
    host::spool::{Entry, History, Kept},
};

impl Recorder {
    /// Takes a gap of an attempt after all that was taken of it.
    pub(in crate::host::console) async fn push_gap_here(self: &Arc<Self>, attempt: u32, reason: &str) {
        let position = match self.resume(attempt).await {
            Ok(Some(resume)) => resume.position,
            _ => Position::START,
        };
        self.push_gap(attempt, position, reason);
    }

    /// Where to go on reading an attempt: after all that was taken, kept or not.
    pub(in crate::host::console) async fn resume(&self, attempt: u32) -> Result<Option<Resume>> {
        let (kept, unkept) = {
            let state = locked(&self.state);
            (state.unkept.first().unwrap_or(state.next), state.unkept.of(attempt))
        };
        let (spool, session) = (self.spool.clone(), self.session);
        let resume = off(&*self.spool, move || spool.resume(session, attempt, kept)).await?;
        Ok(Unkept::resume(attempt, resume, &unkept))
    }

    /// The last pieces of an attempt, at most `most`, oldest first.
    pub(in crate::host::console) async fn last(
        &self,
        attempt: u32,
        most: u64,
    ) -> Result<Vec<(Channel, Vec<u8>)>> {
        let (next, kept, unkept) = {
            let state = locked(&self.state);
            (state.next, state.unkept.first().unwrap_or(state.next), state.unkept.of(attempt))
        };
        let (spool, session, from) = (self.spool.clone(), self.session, next.saturating_sub(most));
        let mut entries = off(&*self.spool, move || match spool.read(session)? {
            Some(mut history) if from < kept => history.read(from, kept, usize::MAX),
            _ => Ok(Vec::new()),
        })
        .await?;
        entries.extend(unkept);
        let mut pieces = Vec::new();
        for entry in entries.iter().filter(|entry| entry.attempt == attempt) {
            if let Kept::Output(batch) = &entry.what {
                let skip = usize::try_from(from.saturating_sub(entry.first)).unwrap_or(usize::MAX);
                pieces.extend(batch.pieces().skip(skip).map(|(channel, piece)| (channel, piece.to_vec())));
            }
        }
        Ok(pieces)
    }

    /// Some entries from the one that holds `from` on, all of them shown; empty only if
    /// there is nothing to be had of what is kept there.
    pub(in crate::host::console) async fn fetch(
        &self,
        from: u64,
        history: &mut Option<Box<dyn History>>,
    ) -> Result<Vec<Entry>> {
        const BATCHES: usize = 256;
        const BYTES: usize = 256 << 10;
        let held = self.ring.read().unwrap_or_else(PoisonError::into_inner).from(from, BATCHES);
        if !held.is_empty() {
            return Ok(held);
        }
        let kept = {
            let state = locked(&self.state);
            let kept = state.unkept.first().unwrap_or(state.next);
            if from >= kept {
                let unkept = state.unkept.entries().filter(|entry| entry.next() > from);
                return Ok(unkept
                    .filter(|entry| entry.next() <= state.shown)
                    .take(BATCHES)
                    .cloned()
                    .collect());
            }
            kept
        };
        let (spool, session, open) = (self.spool.clone(), self.session, history.take());
        let (read, open) = off(&*self.spool, move || {
            let Some(mut open) = open.map_or_else(|| spool.read(session), |open| Ok(Some(open)))? else {
                return Ok((Vec::new(), None));
            };
            Ok((open.read(from, kept, BYTES)?, Some(open)))
        })
        .await?;
        *history = open;
        Ok(read)
    }

    /// The first number that is kept, and the one that is shown next.
    pub(in crate::host::console) async fn span(&self) -> Result<(u64, u64)> {
        let (spool, session) = (self.spool.clone(), self.session);
        let first = off(&*self.spool, move || {
            Ok(spool
                .read(session)?
                .map(|mut history| history.span())
                .transpose()?
                .map_or(1, |span| span.first))
        });
        Ok((first.await?, self.progress.look().shown))
    }
}
