//! The road of one attempt: from its number to its exit, and on to the next one.

use super::{Attempt, Cause, Memory, Plan, Stage, Step, Work, begin, expired, stop};
use crate::{
    clock::Timestamp,
    model::{StopMode, Want},
    runtime::{AttemptState, Exit},
    uplink::Desired,
};

/// The road of an attempt from its beginning to its end.
pub(super) struct Road<'a> {
    pub(super) desired: &'a Desired,
    pub(super) want: Want,
    pub(super) work: &'a Work,
    pub(super) memory: &'a Memory,
    pub(super) now: Timestamp,
    pub(super) number: u32,
    pub(super) attempt: &'a Attempt,
}

impl Road<'_> {
    pub(super) fn plan(&self, seen: Option<&AttemptState>) -> Plan {
        match (&self.attempt.stage, seen) {
            (Stage::Over { cause, .. }, Some(AttemptState::Running { .. })) => {
                // Taken for gone, and yet here: it must not run beside the next one.
                match cause {
                    Cause::Gone => self.stop(StopMode::Graceful),
                    _ => self.stop(StopMode::Kill),
                }
            }
            (Stage::Over { cause, .. }, seen) => self.after(cause, seen),
            (Stage::Running, Some(AttemptState::Running { .. })) if !self.attempt.engine_lost => self.alive(),
            (_, Some(AttemptState::Running { started_at, .. })) => {
                Plan::of([Step::NoteRunning { attempt: self.number, started_at: *started_at }])
            }
            (_, Some(AttemptState::Exited(exit))) => self.exited(exit),
            (Stage::Running, Some(AttemptState::Created | AttemptState::Removing) | None) => self.gone(),
            (Stage::Starting, Some(AttemptState::Removing) | None) => self.gone(),
            (Stage::Begun, Some(AttemptState::Removing)) => self.gone(),
            (Stage::Starting, Some(AttemptState::Created)) => self.unstarted(true),
            (Stage::Begun, Some(AttemptState::Created)) => self.unstarted(true),
            (Stage::Begun, None) => self.unstarted(false),
        }
    }

    /// Its game lives.
    fn alive(&self) -> Plan {
        match self.want {
            Want::Stop(mode) => self.stop(mode),
            Want::Run { restarts } if restarts > self.attempt.restarts => self.stop(StopMode::Graceful),
            Want::Run { .. } => Plan::default(),
        }
    }

    /// Its game has not been started yet.
    fn unstarted(&self, created: bool) -> Plan {
        let attempt = self.number;
        let restarts = match self.want {
            Want::Stop(_) => return Plan::of([Step::End { attempt, cause: Cause::NotStarted }]),
            Want::Run { restarts } => restarts,
        };
        if let Some(reason) = &self.work.failure {
            return Plan::of([Step::End { attempt, cause: Cause::Never(reason.clone()) }]);
        }
        if restarts > self.attempt.restarts {
            return Plan::of([Step::Serve { attempt, restarts }]);
        }
        if created {
            return Plan::of([Step::Start { attempt }]);
        }
        if self.attempt.first && !self.work.begun {
            if self.work.time_unknown {
                return Plan::default();
            }
            if self.now > self.desired.not_after {
                return Plan::of([Step::End { attempt, cause: expired(self.work) }]);
            }
        }
        if self.memory.spec.is_none() {
            return Plan::of([Step::FetchSpec]);
        }
        let mut steps = Vec::with_capacity(4);
        if !self.work.image {
            steps.push(Step::Pull);
        }
        if !self.work.prepared {
            steps.push(Step::Prepare);
        }
        steps.extend([Step::Create { attempt }, Step::Start { attempt }]);
        Plan::of(steps)
    }

    fn exited(&self, exit: &Exit) -> Plan {
        self.no_more(match self.attempt.engine_lost {
            true => Cause::EngineRestart(Some(exit.clone())),
            false => Cause::Exited(exit.clone()),
        })
    }

    fn gone(&self) -> Plan {
        self.no_more(match self.attempt.engine_lost {
            true => Cause::EngineRestart(None),
            false => Cause::Gone,
        })
    }

    fn no_more(&self, cause: Cause) -> Plan {
        let attempt = self.number;
        match self.want {
            Want::Run { restarts } if restarts > self.attempt.restarts => {
                Plan::of([Step::Over { attempt, cause }])
            }
            _ => Plan::of([Step::End { attempt, cause }]),
        }
    }

    /// It has ended and another one is to follow.
    fn after(&self, cause: &Cause, seen: Option<&AttemptState>) -> Plan {
        let attempt = self.number;
        let restarts = match self.want {
            Want::Stop(_) => return Plan::of([Step::End { attempt, cause: cause.clone() }]),
            Want::Run { restarts } => restarts,
        };
        if let Some(reason) = &self.work.failure {
            return Plan::of([Step::End { attempt, cause: Cause::Never(reason.clone()) }]);
        }
        match seen {
            Some(AttemptState::Exited(_)) if !self.work.retired.contains(&attempt) => {
                Plan::of([Step::Retire { attempt }])
            }
            Some(AttemptState::Created) => Plan::of([Step::Remove { attempt }]),
            _ => begin(attempt.max(self.desired.attempt), restarts, self.memory),
        }
    }

    fn stop(&self, mode: StopMode) -> Plan {
        match mode {
            StopMode::Kill => stop::kill(self.number, self.work, self.now),
            StopMode::Graceful => {
                stop::graceful(self.number, self.attempt.stop, self.memory, self.work, self.now)
            }
        }
    }
}
