//! How an actor looks at its containers.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use tokio::time::Instant;

use super::{super::watch, Actor};
use crate::{
    error::{Error, ErrorKind, Result},
    host::{
        journal::Entry,
        plan::{Attempt, Stage},
    },
    id::{AttemptId, SessionId},
    model::Want,
    runtime::{AttemptState, Inventory},
};

use super::Host;

/// How old a list of all containers may be to spare a first look of one's own.
const LIST_GOOD_FOR: Duration = Duration::from_secs(1);

/// A session's containers by attempt.
pub(super) type Seen = BTreeMap<u32, AttemptState>;

impl Actor {
    /// Takes over attempts that the engine has and the journal does not know.
    fn take_over(&self, attempts: impl Iterator<Item = u32>) {
        // Lost again, it is found again.
        drop(self.host.journal.change(self.session, |entry| {
            let restarts = match entry.desired.want {
                Want::Run { restarts } => restarts,
                Want::Stop(_) => 0,
            };
            for attempt in attempts {
                entry.memory.attempts.entry(attempt).or_insert_with(|| Attempt::found(restarts));
                entry.memory.highest = entry.memory.highest.max(attempt);
            }
        }));
    }

    /// Looks at all containers that the session may have. Not before all were listed once,
    /// which makes everybody look: what the engine has and the journal does not know is
    /// taken over first.
    pub(super) async fn look(&mut self) {
        self.look_at = None;
        let marks = self.host.engine.marks.load(SeqCst);
        let mut fresh = None;
        if !self.adopted {
            let Some((inventory, listed_at)) = self.host.engine.inventory.look().clone() else { return };
            let listed = listed(&inventory, self.session);
            self.take_over(listed.keys().copied());
            self.adopted = true;
            fresh = (listed_at.elapsed() < LIST_GOOD_FOR).then_some(listed);
        }
        let Some(entry) = self.host.journal.session(self.session) else { return };
        let seen = match fresh {
            Some(listed) => listed,
            None => match inspect(&self.host, self.session, &entry).await {
                Ok(seen) => seen,
                Err(error) => return self.look_later(&error),
            },
        };
        let unknown: Vec<u32> =
            seen.keys().copied().filter(|attempt| !entry.memory.attempts.contains_key(attempt)).collect();
        if !unknown.is_empty() {
            self.take_over(unknown.into_iter());
        }
        if ended_unasked(&entry, &seen)
            && let Err(error) = watch::check(&self.host).await
        {
            // An engine that goes down takes its games along, and then this is no end of its own.
            return self.look_later(&error);
        }
        if marks != self.host.engine.marks.load(SeqCst) {
            // It was restarted between: what was seen may be from before.
            return self.door.look();
        }
        self.door.saw(&seen);
        self.listen(&entry, &seen).await;
        self.seen = Some(seen);
    }

    fn look_later(&mut self, error: &Error) {
        self.seen = None;
        self.look_at = Some(Instant::now() + self.backoff.delay());
        if self.host.engine.is_answering() {
            // The watch finds out whether it is the engine.
            self.host.engine.look.notify_one();
            if error.kind() == ErrorKind::Unavailable {
                self.host.engine.gone();
            }
        }
    }
}

/// What a list has of a session.
fn listed(inventory: &Inventory, session: SessionId) -> Seen {
    let ours = inventory.found.iter().filter(|found| found.run.session == session);
    ours.map(|found| (found.run.attempt, found.state.clone())).collect()
}

/// What there is of a session: of each attempt that is remembered, and of those that were
/// listed besides.
async fn inspect(host: &Arc<Host>, session: SessionId, entry: &Entry) -> Result<Seen> {
    let mut attempts: Vec<u32> = entry.memory.attempts.keys().copied().collect();
    if let Some((inventory, _)) = &*host.engine.inventory.look() {
        attempts.extend(listed(inventory, session).into_keys());
    }
    attempts.sort_unstable();
    attempts.dedup();
    let mut seen = Seen::new();
    for attempt in attempts {
        let run = AttemptId::new(session, attempt);
        let found = host.call("inspect a container", host.runtime.inspect(run)).await?;
        seen.extend(found.map(|found| (attempt, found.state)));
    }
    Ok(seen)
}

/// Whether a game is seen to have ended that nobody had asked to.
fn ended_unasked(entry: &Entry, seen: &Seen) -> bool {
    let memory = &entry.memory;
    let Some((number, attempt)) = memory.current() else { return false };
    let asked = attempt.stop.is_some() || matches!(memory.want(&entry.desired), Want::Stop(_));
    let ran = matches!(attempt.stage, Stage::Starting | Stage::Running);
    let ended = !matches!(seen.get(&number), Some(AttemptState::Running { .. } | AttemptState::Created));
    memory.end.is_none() && ran && ended && !asked
}
