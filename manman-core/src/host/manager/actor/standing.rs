//! What an actor says of where its session is.

use super::Actor;
use crate::{
    host::{
        HostEvent,
        journal::Entry,
        plan::{Stage, Step},
    },
    model::{Phase, Reason, Want, reason::ReasonCode},
    runtime::AttemptState,
    wire::SessionReport,
};

impl Actor {
    /// Says where the session is, if that is news.
    pub(super) fn say(&mut self, entry: &Entry, again: bool) {
        let Some(report) = self.standing(entry) else { return };
        let known = !again && self.said.as_ref() == Some(&report);
        if known || self.host.is_fenced() {
            return;
        }
        if self.said.as_ref() != Some(&report) {
            self.host.events.tell(HostEvent::Session(report.clone()));
        }
        self.said = Some(report.clone());
        self.host.reports.latest(report);
    }

    /// Where the session is, while it goes on.
    fn standing(&self, entry: &Entry) -> Option<SessionReport> {
        let memory = &entry.memory;
        let (number, attempt) = memory.current()?;
        let wanted = matches!(memory.want(&entry.desired), Want::Run { .. });
        // One that is being stopped is only spoken of where it is taken for lost.
        if memory.end.is_some() || memory.disowned || !(wanted || self.lost) {
            return None;
        }
        match &attempt.stage {
            Stage::Running => Some(SessionReport::Running {
                session: self.session,
                attempt: number,
                started_at: attempt.started_at.unwrap_or_default(),
                image_digest: attempt.image_digest.clone(),
                spec_hash: memory.spec.as_ref().map(|spec| spec.hash.clone()).unwrap_or_default(),
                manager_version: env!("CARGO_PKG_VERSION").to_owned(),
            }),
            // One that is seen to run, or to have run, is not starting, whatever was noted.
            Stage::Begun | Stage::Starting => match &self.seen {
                Some(seen) => {
                    let unstarted = matches!(seen.get(&number), None | Some(AttemptState::Created));
                    unstarted.then(|| self.starting(number))
                }
                // What is only begun was not started, whatever the engine would say.
                None => {
                    let unstarted = self.work.begun || attempt.stage == Stage::Begun;
                    unstarted.then(|| self.starting(number))
                }
            },
            Stage::Over { .. } => None,
        }
    }

    fn starting(&self, attempt: u32) -> SessionReport {
        let waits = self.host.engine.is_away() && (self.work.held.is_some() || self.seen.is_none());
        let text = "waits for the engine, which does not answer";
        SessionReport::Phase {
            session: self.session,
            attempt,
            phase: self.phase(attempt),
            progress: self.progress.clone(),
            reason: waits.then(|| Reason::new(ReasonCode::EngineRefused, text)),
        }
    }

    /// What is being done; between two steps, what was done last.
    fn phase(&self, attempt: u32) -> Phase {
        let step = self.work.busy.as_ref().or(self.work.held.as_ref().map(|(step, _)| step));
        match step {
            Some(Step::Pull) => Phase::Pulling,
            Some(Step::Prepare) => Phase::Preparing,
            Some(Step::Create { .. }) => Phase::Creating,
            Some(Step::Start { .. } | Step::NoteRunning { .. }) => Phase::Booting,
            _ => match &self.said {
                Some(SessionReport::Phase { attempt: said, phase, .. }) if *said == attempt => *phase,
                _ => Phase::Accepted,
            },
        }
    }
}
