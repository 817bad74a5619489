//! What becomes of a step that was done, or was not.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Actor, Effect, Trouble};
use crate::{
    error::{Chain, Error, ErrorKind},
    host::plan::{self, StartPart, Step, Work},
    runtime::AttemptState,
};

/// After so long an operator is told what is stuck.
const STUCK: Duration = Duration::from_secs(60);

impl Actor {
    /// Takes in what became of a step.
    pub(super) fn take(&mut self, step: &Step, done: Result<Effect, Trouble>) {
        match done {
            Ok(effect) => {
                self.backoff.reset();
                self.work.held = None;
                self.work.trouble = None;
                self.stuck_since = None;
                self.effect(effect);
            }
            Err(Trouble::Never(reason)) => self.work.failure = Some(reason),
            Err(Trouble::Again(error)) => self.again(step, part_of(step), &error),
            Err(Trouble::Unwritten(error)) => {
                let waits = matches!(step, Step::Begin { .. } | Step::Start { .. } | Step::Retire { .. });
                let part = waits.then_some(StartPart::Begin);
                self.again(step, part, &error);
            }
            Err(Trouble::NoSpec(error)) => {
                self.work.spec_refused = true;
                self.again(step, None, &error);
            }
        }
        self.progress = None;
    }

    fn effect(&mut self, effect: Effect) {
        let mut see = |attempt: u32, state: Option<AttemptState>| {
            if let Some(seen) = &mut self.seen {
                match state {
                    Some(state) => drop(seen.insert(attempt, state)),
                    None => drop(seen.remove(&attempt)),
                }
                self.door.saw(seen);
            }
        };
        match effect {
            Effect::Noted => {}
            Effect::Begun => {
                let retired = std::mem::take(&mut self.work.retired);
                self.work = Work { begun: true, retired, ..Work::default() };
                self.image = None;
            }
            Effect::Image(image) => {
                self.work.image = true;
                self.image = image.map(Arc::new);
            }
            Effect::Prepared => self.work.prepared = true,
            Effect::Created(attempt) => see(attempt, Some(AttemptState::Created)),
            Effect::Started(attempt) => {
                let started_at = Some(self.host.wall());
                see(attempt, Some(AttemptState::Running { started_at, pid: None, paused: false }));
            }
            Effect::Exited(attempt, exit) => see(attempt, Some(AttemptState::Exited(exit))),
            Effect::Retired(attempt) => drop(self.work.retired.insert(attempt)),
            Effect::Removed(attempt) => see(attempt, None),
            Effect::NetworkGone => self.work.network_gone = true,
            Effect::Look => self.door.look(),
        }
    }

    /// A step failed in a way that may pass.
    fn again(&mut self, step: &Step, part: Option<StartPart>, error: &Error) {
        let wait = self.backoff.delay();
        let first = self.work.held.is_none();
        self.work.held = Some((step.clone(), self.host.now().plus(wait)));
        // What it did all the same is for a look to tell.
        self.door.look();
        if !self.host.engine.is_answering() {
            // That is said by the watch, and no fault of the start.
            self.stuck_since = None;
            return;
        }
        if first {
            tracing::warn!(session.id = %self.session, error = %Chain(error),
                "session {}: could not {}, will retry in {wait:?}", self.session, step.name());
        }
        let since = *self.stuck_since.get_or_insert_with(Instant::now);
        let Some(part) = part else {
            if since.elapsed() >= STUCK {
                let message = format!("session {} is stuck: {}", self.session, Chain(error));
                self.host.warn_once("stuck", message);
            }
            return;
        };
        self.work.trouble = Some(plan::start_failure(part, error));
        if part == StartPart::Create && error.kind() == ErrorKind::NotFound {
            // The image was here, and is not any more.
            self.work.image = false;
        }
        if since.elapsed() >= self.host.config.start_patience() {
            self.work.failure = self.work.trouble.clone();
        }
    }
}

/// Which part of a start a step is, if it is one.
fn part_of(step: &Step) -> Option<StartPart> {
    match step {
        Step::Pull => Some(StartPart::Pull),
        Step::Prepare => Some(StartPart::Prepare),
        Step::Create { .. } => Some(StartPart::Create),
        Step::Start { .. } => Some(StartPart::Start),
        _ => None,
    }
}
