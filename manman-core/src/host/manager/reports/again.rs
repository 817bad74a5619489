//! What was said and may not have arrived.

use std::collections::BTreeSet;

use tokio::time::Instant;

use super::{Pending, Reports};
use crate::{
    host::{
        journal::Journal,
        plan::{self, Stage},
    },
    id::SessionId,
};

impl Reports {
    /// Ends of attempts that are not known to be on record may not have counted: they are said
    /// before anything of the attempts after them is said under this registration.
    pub fn say_attempts_again(&self, journal: &Journal) {
        let over = journal.look(|state| {
            let mut over = Vec::new();
            for (&session, entry) in &state.sessions {
                for (&attempt, known) in &entry.memory.attempts {
                    if let Stage::Over { cause, receipted: false } = &known.stage {
                        over.push((
                            attempt,
                            plan::attempt_ended(session, attempt, cause, known.stop.is_some()),
                        ));
                    }
                }
            }
            over
        });
        for (attempt, report) in over {
            let waits = self.sessions().get_mut(&report.session()).is_some_and(|pending| {
                pending.over.remove(&attempt);
                pending.is_to_tell(attempt)
            });
            if !waits {
                self.once(report, None);
            }
        }
    }

    /// The ends of a session's attempts before `highest` are on record: which of those that were
    /// published was not known to be.
    pub fn receipted(&self, session: SessionId, highest: u32) -> BTreeSet<u32> {
        match self.sessions().get_mut(&session) {
            Some(pending) => {
                let rest = pending.over.split_off(&highest);
                std::mem::replace(&mut pending.over, rest)
            }
            None => BTreeSet::new(),
        }
    }

    /// Whether ends of attempts were published and are not known to be on record.
    pub fn await_attempts(&self, journal: &Journal) -> bool {
        let published: Vec<SessionId> = {
            let sessions = self.sessions();
            sessions
                .iter()
                .filter(|(_, pending)| !pending.over.is_empty())
                .map(|(&session, _)| session)
                .collect()
        };
        let (ours, gone): (Vec<_>, Vec<_>) = journal
            .look(|state| published.into_iter().partition(|session| state.sessions.contains_key(session)));
        // Of those nobody says any more what is on record.
        gone.into_iter().for_each(|session| self.with(session, |pending| pending.over.clear()));
        !ours.is_empty()
    }

    /// The ends that were published and are not known to be on record.
    pub fn unreceipted(&self) -> Vec<SessionId> {
        let said = |pending: &Pending| pending.ended.as_ref().is_some_and(|end| end.said);
        self.sessions().iter().filter(|(_, pending)| said(pending)).map(|(&session, _)| session).collect()
    }

    /// Ends that were said may not have counted: they are due now.
    pub fn say_ends_again(&self) {
        for end in self.sessions().values_mut().filter_map(|pending| pending.ended.as_mut()) {
            end.due = Instant::now();
        }
        self.bell.notify_one();
    }
}
