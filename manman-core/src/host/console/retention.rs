//! How long the consoles of ended sessions are kept, by clocks that may be wrong.
//!
//! A machine without a clock of its own may begin its life a month ago and be put right later:
//! what ended meanwhile carries stamps of last month, and is not a month old. So what ended here
//! is as old as it was seen to become, and its stamp is put right for whoever comes after us;
//! and no time counts that this process did not see pass.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use crate::{
    clock::Timestamp,
    error::{Chain, Result},
    host::spool::{Holding, Spool, SpoolConfig},
    id::SessionId,
};

/// A stamp that is wrong by more than this is put right.
const STAMP_OFF: Duration = Duration::from_secs(60);

/// When sessions ended here, by a clock that nobody sets.
#[derive(Debug)]
pub(super) struct Ends {
    base: Timestamp,
    start: Instant,
    here: BTreeMap<SessionId, Instant>,
}

/// By what is judged how old a console is.
#[derive(Debug)]
pub(super) struct Age {
    /// What the clock shows.
    now: Timestamp,
    /// What it would show at most, had nobody set it.
    unset: Timestamp,
    /// For how long those have ended that ended here.
    here: BTreeMap<SessionId, Duration>,
}

impl Ends {
    /// Begins now.
    pub(super) fn new(now: Timestamp) -> Self {
        Self { base: now, start: Instant::now(), here: BTreeMap::new() }
    }

    /// A session ends now.
    pub(super) fn ended(&mut self, session: SessionId) {
        self.here.insert(session, Instant::now());
    }

    /// Nothing is kept of these any more.
    pub(super) fn forget(&mut self, sessions: &[SessionId]) {
        self.here.retain(|session, _| !sessions.contains(session));
    }

    /// What to judge by while the clock shows `now` and somebody else said `told`.
    pub(super) fn age(&self, now: Timestamp, told: Timestamp) -> Age {
        let unset = self.base.plus(self.start.elapsed()).min(now).min(told);
        let here = self.here.iter().map(|(&session, ended)| (session, ended.elapsed())).collect();
        Age { now, unset, here }
    }
}

impl Age {
    /// When a session ended, or was last heard of, by what the clock shows now.
    fn ended_at(&self, held: &Holding) -> Timestamp {
        match self.here.get(&held.session) {
            Some(&ago) => self.now.minus(ago),
            None => held.ended_at.unwrap_or(held.changed_at),
        }
    }

    fn is_over(&self, held: &Holding, keep: Duration) -> bool {
        match self.here.get(&held.session) {
            Some(&ago) => ago > keep,
            // What never was seen to end is as old as its last line.
            None => held.ended_at.unwrap_or(held.changed_at) < self.unset.minus(keep),
        }
    }
}

/// Removes what is too old and too much.
pub(super) fn sweep(
    spool: &dyn Spool,
    config: &SpoolConfig,
    live: &[SessionId],
    age: &Age,
) -> Result<Vec<SessionId>> {
    let keep = Duration::from_secs(u64::from(config.keep_days) * 86_400);
    let mut over: Vec<_> = spool.list()?.into_iter().filter(|held| !live.contains(&held.session)).collect();
    over.sort_by_key(|held| age.ended_at(held));
    let mut total: u64 = over.iter().map(|held| held.bytes).sum();
    let mut removed = Vec::new();
    for held in over {
        let too_much = total > config.keep_bytes && held.ended_at.is_some();
        if age.is_over(&held, keep) || too_much {
            spool.remove(held.session)?;
            total -= held.bytes;
            removed.push(held.session);
        } else {
            put_right(spool, &held, age.ended_at(&held));
        }
    }
    Ok(removed)
}

/// Puts the stamp of an end right that was made before the clock was.
fn put_right(spool: &dyn Spool, held: &Holding, ended_at: Timestamp) {
    let Some(stamp) = held.ended_at else { return };
    if stamp.since(ended_at).max(ended_at.since(stamp)) <= STAMP_OFF {
        return;
    }
    if let Err(error) = spool.correct_end(held.session, ended_at) {
        // Until it is, only a manager that begins anew takes it for older than it is.
        tracing::warn!(session.id = %held.session, error = %Chain(&error),
            "the end of session {} in the spool bears a wrong time, and cannot be put right", held.session);
    }
}
