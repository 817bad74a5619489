//! What is said to the control plane, until it has arrived.
//!
//! Where a session is: only the latest. That an attempt ended, and what became of a
//! command: once, in order; the former again under each registration until it is on record.
//! That it ended: again and again, until it is on record.

mod again;
mod publish;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};
use uuid::Uuid;

pub(super) use publish::{go_away, run, send};

use super::host::Host;
use crate::{
    host::{
        HostEvent,
        journal::Journal,
        plan::{self, Stage},
    },
    id::{AttemptId, SessionId},
    wire::{Outcome, SessionReport},
};

/// How many reports of one session wait that are said once.
const WAITING: usize = 1_000;

/// How long an end that was published is waited for to be on record, before it is
/// published again: at first, and at most.
const END_AGAIN: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(60));

/// What is to be said.
#[derive(Debug, Default)]
pub(super) struct Reports {
    sessions: Mutex<BTreeMap<SessionId, Pending>>,
    bell: Notify,
    /// An end of a session or of an attempt was published, and may be on record soon.
    pub published: Notify,
}

/// What is to be said of one session.
#[derive(Debug, Default)]
struct Pending {
    /// What is said once and in order.
    once: VecDeque<Saying>,
    /// Where it is.
    latest: Option<Saying>,
    /// The attempts whose ends were published, and are not known to be on record.
    over: BTreeSet<u32>,
    /// It has ended, and that is to be said until it is on record.
    ended: Option<EndAgain>,
    /// One of it is on its way.
    busy: bool,
    /// How many outcomes were dropped because too much waited.
    dropped: u64,
}

/// A report with the id that it keeps through all tries.
#[derive(Clone, Debug)]
struct Saying {
    id: Uuid,
    report: SessionReport,
    /// Told beside it, for whoever waits at the API.
    reply: Option<Uuid>,
}

#[derive(Debug)]
struct EndAgain {
    due: Instant,
    wait: Duration,
    said: bool,
}

/// Which of the reports of a session.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Which {
    Once,
    Latest,
    Ended,
}

/// What is to be said now: of which session, and which of its reports.
type Due = (SessionId, Which, Option<Saying>);

impl Reports {
    /// Takes up what the journal says is still to be said.
    pub fn resume(&self, journal: &Journal) {
        self.say_attempts_again(journal);
        let ended: Vec<SessionId> = journal.look(|state| {
            let unreceipted = state
                .sessions
                .iter()
                .filter(|(_, entry)| entry.memory.end.as_ref().is_some_and(|end| !end.receipted));
            unreceipted.map(|(&session, _)| session).collect()
        });
        ended.into_iter().for_each(|session| self.ended(session));
    }

    /// Where a session is. What was to be said of that before is not, any more.
    pub fn latest(&self, report: SessionReport) {
        self.with(report.session(), |pending| {
            pending.latest = Some(Saying { id: Uuid::now_v7(), report, reply: None });
        });
    }

    /// What is said once. Of too much, the oldest outcomes of commands go: nobody waits for
    /// them any more, while a container waits until the end of its attempt is said.
    fn once(&self, report: SessionReport, reply: Option<Uuid>) {
        let session = report.session();
        self.with(session, |pending| {
            pending.once.push_back(Saying { id: Uuid::now_v7(), report, reply });
            if pending.once.len() > WAITING && pending.drop_an_outcome() {
                pending.dropped += 1;
                if pending.dropped.is_power_of_two() {
                    tracing::warn!(session.id = %session,
                        "{} outcomes of commands to session {session} were not reported: too many wait",
                        pending.dropped);
                }
            }
        });
    }

    /// What became of a one-shot command.
    pub fn outcome(&self, session: SessionId, command: Uuid, outcome: Outcome) {
        self.once(SessionReport::Outcome { session, command, outcome }, Some(command));
    }

    /// An attempt ended and another one follows.
    pub fn over(&self, host: &Host, run: AttemptId) {
        let report = host.journal.look(|state| {
            let known = state.sessions.get(&run.session)?.memory.attempts.get(&run.attempt)?;
            match &known.stage {
                Stage::Over { cause, .. } => {
                    Some(plan::attempt_ended(run.session, run.attempt, cause, known.stop.is_some()))
                }
                _ => None,
            }
        });
        if let Some(report) = report {
            host.events.tell(HostEvent::Session(report.clone()));
            self.once(report, None);
        }
    }

    /// A session ended: said until it is on record.
    pub fn ended(&self, session: SessionId) {
        self.with(session, |pending| {
            pending.latest = None;
            pending.ended = Some(EndAgain { due: Instant::now(), wait: END_AGAIN.0, said: false });
        });
    }

    /// Nothing more is to be said of a session, but what became of its commands.
    pub fn forget(&self, session: SessionId) {
        self.with(session, |pending| {
            pending.latest = None;
            pending.ended = None;
            pending.over.clear();
        });
    }

    fn with(&self, session: SessionId, change: impl FnOnce(&mut Pending)) {
        change(self.sessions().entry(session).or_default());
        self.bell.notify_one();
    }

    fn sessions(&self) -> MutexGuard<'_, BTreeMap<SessionId, Pending>> {
        // Whole between any two statements.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be said now, one for each session that has something; and when the next
    /// one is due.
    fn due(&self, most: usize) -> (Vec<Due>, Option<Instant>) {
        let now = Instant::now();
        let (mut due, mut next) = (Vec::new(), None::<Instant>);
        let mut sessions = self.sessions();
        sessions.retain(|_, pending| !pending.is_done());
        for (&session, pending) in sessions.iter_mut().filter(|(_, pending)| !pending.busy) {
            let what = if let Some(saying) = pending.once.front() {
                (Which::Once, Some(saying.clone()))
            } else if let Some(saying) = &pending.latest {
                (Which::Latest, Some(saying.clone()))
            } else {
                match &pending.ended {
                    Some(end) if end.due <= now => (Which::Ended, None),
                    Some(end) => {
                        next = Some(next.map_or(end.due, |next| next.min(end.due)));
                        continue;
                    }
                    None => continue,
                }
            };
            if due.len() < most {
                pending.busy = true;
                due.push((session, what.0, what.1));
            }
        }
        (due, next)
    }

    /// Nothing is on its way any more, whatever was.
    fn none_on_their_way(&self) {
        self.sessions().values_mut().for_each(|pending| pending.busy = false);
    }

    /// What became of saying it.
    fn settle(&self, session: SessionId, which: Which, id: Option<Uuid>, done: bool) {
        let mut sessions = self.sessions();
        let Some(pending) = sessions.get_mut(&session) else { return };
        pending.busy = false;
        if !done {
            return;
        }
        match which {
            Which::Once => {
                let said = pending.once.pop_front();
                if let Some(SessionReport::AttemptEnded { attempt, .. }) = said.map(|saying| saying.report) {
                    pending.over.insert(attempt);
                    self.published.notify_one();
                }
            }
            // A later one came meanwhile: that is still to be said.
            Which::Latest if pending.latest.as_ref().map(|saying| saying.id) == id => pending.latest = None,
            Which::Latest => {}
            Which::Ended => {
                if let Some(end) = &mut pending.ended {
                    end.said = true;
                    self.published.notify_one();
                    end.due = Instant::now() + end.wait;
                    end.wait = (end.wait * 2).min(END_AGAIN.1);
                }
            }
        }
    }
}

impl Pending {
    /// Drops the oldest outcome that is not on its way; `false` if there is none.
    fn drop_an_outcome(&mut self) -> bool {
        let outcome = |saying: &Saying| matches!(saying.report, SessionReport::Outcome { .. });
        let first = usize::from(self.busy);
        let oldest = (first..self.once.len()).find(|&at| outcome(&self.once[at]));
        oldest.is_some_and(|at| self.once.remove(at).is_some())
    }

    /// Whether the end of this attempt waits to be said, and is not on its way.
    fn is_to_tell(&self, attempt: u32) -> bool {
        let of = |saying: &Saying| match saying.report {
            SessionReport::AttemptEnded { attempt, .. } => Some(attempt),
            _ => None,
        };
        self.once.iter().skip(usize::from(self.busy)).any(|saying| of(saying) == Some(attempt))
    }

    fn is_done(&self) -> bool {
        let waits = !self.once.is_empty() || self.latest.is_some() || self.ended.is_some();
        !self.busy && !waits && self.over.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Reason, reason::ReasonCode};

    #[test]
    fn of_too_much_the_oldest_outcomes_go_and_no_end_of_an_attempt() {
        const SESSION: SessionId = SessionId(7);
        let reports = Reports::default();
        let over = |attempt| SessionReport::AttemptEnded {
            session: SESSION,
            attempt,
            exit_code: None,
            reason: Reason::new(ReasonCode::Restarted, "ended"),
        };
        let first = Uuid::from_u128(0);
        reports.outcome(SESSION, first, Outcome::Done);
        assert_eq!(reports.due(1).0.len(), 1, "the first one is on its way");
        for command in 1..WAITING as u128 {
            reports.outcome(SESSION, Uuid::from_u128(command), Outcome::Done);
        }
        for attempt in 1..=3 {
            reports.once(over(attempt), None);
        }
        let sessions = reports.sessions();
        let pending = &sessions[&SESSION];
        assert_eq!((pending.once.len(), pending.dropped), (WAITING, 3));
        let command = |saying: &Saying| match saying.report {
            SessionReport::Outcome { command, .. } => Some(command),
            _ => None,
        };
        assert_eq!(command(&pending.once[0]), Some(first));
        assert_eq!(command(&pending.once[1]), Some(Uuid::from_u128(4)));
        assert!(pending.once.iter().rev().take(3).all(|saying| command(saying).is_none()));
    }
}
