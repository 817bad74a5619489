//! What deeds decide: plain functions that every store calls, so that all of them
//! behave alike. No I/O; a store reads, asks here, and writes the answer in one deed.

mod ports;
mod post;
mod report;
mod seen;
mod server;
mod silence;
mod token;
mod want;

pub use ports::{ports_change, ports_cover, ports_take};
pub use post::Post;
pub use report::{apply, is_fenced, is_outdated};
pub use seen::same_as_seen;
pub use server::{Presence, beaten, is_silent, registered, reported, silenced};
pub use silence::{abandoned, expired, lost};
pub use token::{Joining, joins};
pub use want::{Wanted, begun, want};

use crate::{
    clock::Timestamp,
    id::{Generation, ServerId},
    model::{
        Reason, Session, State,
        session::{Attempt, TimelineEntry, Transition},
    },
    wire::{ExternalEvent, ExternalKind},
};

/// What a deed makes of a session.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The session as it is now.
    pub session: Session,
    /// What is to be added to its timeline.
    pub entries: Vec<TimelineEntry>,
    /// What was learnt of one of its attempts.
    pub attempt: Option<Attempt>,
    /// What other systems are to be told.
    pub events: Vec<ExternalEvent>,
}

impl Change {
    /// No change of `session` yet.
    fn of(session: &Session) -> Self {
        Self { session: session.clone(), entries: Vec::new(), attempt: None, events: Vec::new() }
    }

    /// Takes the session where `transition` leads, with its timeline and events.
    fn walk(&mut self, transition: &Transition, reason: &Reason, now: Timestamp) {
        if !transition.changed {
            return;
        }
        let to = transition.to;
        if self.session.attempt >= 1 && to.attempt > self.session.attempt {
            // Whoever sees a later attempt knows that the one before has ended, whether or not anybody said so.
            self.tell(ExternalKind::SessionAttemptEnded, reason);
        }
        for &state in &transition.skipped {
            self.enter(state, None, to.attempt, true, reason, now);
        }
        self.session.state = to.state;
        self.session.phase = to.phase;
        self.session.attempt = to.attempt;
        self.session.reason = reason.clone();
        if to.state != State::Starting {
            self.session.progress = None;
        }
        if to.state.is_end() {
            self.session.ended_at.get_or_insert(now);
        }
        self.enter(to.state, to.phase, to.attempt, false, reason, now);
        let event = match to.state {
            State::Pending | State::Starting | State::Stopping => return,
            State::Running => ExternalKind::SessionStarted,
            State::Lost => ExternalKind::SessionLost,
            State::Stopped => ExternalKind::SessionStopped,
            State::Completed => ExternalKind::SessionCompleted,
            State::Crashed => ExternalKind::SessionCrashed,
            State::Failed => ExternalKind::SessionFailed,
        };
        self.tell(event, reason);
    }

    /// Notes something in the timeline that leaves the session where it is.
    fn note(&mut self, reason: &Reason, now: Timestamp) {
        let session = &self.session;
        let (state, phase, attempt) = (session.state, session.phase, session.attempt);
        self.enter(state, phase, attempt, false, reason, now);
    }

    fn enter(
        &mut self,
        state: State,
        phase: Option<crate::model::Phase>,
        attempt: u32,
        not_seen: bool,
        reason: &Reason,
        at: Timestamp,
    ) {
        self.session.revision += 1;
        let revision = self.session.revision;
        self.entries.push(TimelineEntry {
            revision,
            at,
            state,
            phase,
            attempt,
            not_seen,
            reason: reason.clone(),
        });
    }

    fn tell(&mut self, event: ExternalKind, reason: &Reason) {
        let session = &self.session;
        self.events.push(ExternalEvent::Session {
            event,
            session: session.id,
            sgc: session.sgc,
            server: session.server,
            revision: session.revision,
            attempt: session.attempt,
            exit_code: session.exit_code,
            reason: reason.clone(),
        });
    }
}

/// Whether a count that stands at `highest` is lifted to what somebody else knows of.
pub fn lifts(highest: i64, known: i64) -> bool {
    known > highest && known.saturating_sub(highest) <= super::LIFT_MOST
}

/// `session` with a generation beyond the one that its host `server` holds, if that is later
/// than what is on record: then what is wanted counts there again.
pub fn surpassing(session: &Session, server: ServerId, known: Generation, now: Timestamp) -> Option<Change> {
    let behind = lifts(session.generation.0, known.0) && session.server == server;
    (behind && !session.state.is_end()).then(|| {
        let mut change = Change::of(session);
        change.session.generation = Generation(known.0 + 1);
        let text = format!(
            "its host holds generation {known}, and {} was on record: the store was restored from an old copy",
            session.generation
        );
        change.note(&Reason::new(session.reason.code, text), now);
        change
    })
}

/// At most `max` bytes of `text`, without NUL, which not every database keeps.
fn cut(text: &str, max: usize) -> String {
    text[..text.floor_char_boundary(max)].replace('\0', " ")
}

/// A session for the tests of these decisions.
#[cfg(test)]
fn sample() -> Session {
    use crate::{
        id::{ServerId, SessionId, SgcId},
        store::Actor,
    };
    let (sgc, server) = (SgcId(1), ServerId(1));
    let valid_for = std::time::Duration::from_secs(60);
    begun(SessionId(1), sgc, server, valid_for, &Actor("alice".into()), Timestamp::from_micros(1_000_000))
        .session
}
